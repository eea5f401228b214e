// The functions that a contract's code may use: own and deterministic ones in place of Lua's.
// Work is metered by what it does (vm_gas.hpp); floats are refused everywhere; tables are
// listed in the order of their keys; nothing shows an address. For sandbox's users only; one
// thread.
#pragma once

#include "messages/value.hpp"

#include <string>
#include <string_view>

struct lua_State;
struct luaL_Reg;

namespace tallymesh::contracts {

/// Puts the library's names into the table on top of the stack.
void open_library(lua_State* lua);
/// The functions of `string`, `table` and `decimal` values; library.cpp calls them.
void open_string_library(lua_State* lua);
void open_table_library(lua_State* lua);
void open_decimals(lua_State* lua);

/// Puts functions into the table on top, up to one without a name.
void add_functions(lua_State* lua, const luaL_Reg* functions);

/// Raises a Lua error with the line of the calling code in front.
[[noreturn]] void raise(lua_State* lua, const std::string& message);
/// As `raise`: which argument of the running function, and what it should be.
[[noreturn]] void raise_argument(lua_State* lua, int number, const char* expected);

/// Of a text that a library function makes.
constexpr std::size_t max_text_bytes = 1024 * 1024;

void spend_call(lua_State* lua);
void spend_bytes(lua_State* lua, std::size_t count);
void spend_entries(lua_State* lua, std::size_t count);

std::string_view text_argument(lua_State* lua, int number);
std::int64_t whole_argument(lua_State* lua, int number);
std::int64_t whole_argument_or(lua_State* lua, int number, std::int64_t otherwise);
void table_argument(lua_State* lua, int number);

/// "nil", "number", "decimal", "table" ...: Lua's word, or ours for our own values.
const char* type_word(lua_State* lua, int at);
/// The text of a value as `tostring` gives it: without addresses. Raises an error for floats.
std::string text_of(lua_State* lua, int at);

/// Pushes the table that holds the content: of a frozen table the hidden one, else itself.
void push_content(lua_State* lua, int at);
bool is_frozen(lua_State* lua, int at);
/// Moves the content of the table at `at` behind a guard, so that nothing can change it. Not
/// what it holds.
void freeze(lua_State* lua, int at);
/// Freezes everything that the functions in the value at `at` hold, and the value itself.
/// Raises an error that names a function's assignment to a variable outside it, or a float.
void freeze_deep(lua_State* lua, int at);

/// Pushes a list of the keys of the table at `at` in order: whole numbers, texts, booleans.
void push_ordered_keys(lua_State* lua, int at);

void push_decimal(lua_State* lua, decimal x);
const decimal* decimal_at(lua_State* lua, int at);
/// decimal("12.50", 2)
int make_decimal_value(lua_State* lua);

/// The value that stands for a field that is taken away.
void push_none(lua_State* lua);

} // namespace tallymesh::contracts
