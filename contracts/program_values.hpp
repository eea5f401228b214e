// Values between the contract's code and the host: what goes in and what comes out. Floats,
// functions and tables without end are refused with a line of the contract. For program's own
// files only; inside a sandbox's run; one thread.
#pragma once

#include "contracts/contract.hpp"
#include "contracts/row_view.hpp"
#include "messages/value.hpp"

struct lua_State;

namespace tallymesh::contracts {

/// nil for null. Lists and maps become tables; in a list null is `none`.
void push_value(lua_State* lua, const value& x);
void push_row(lua_State* lua, const value_map& row);
void push_row(lua_State* lua, const row_view& row);
void push_rows(lua_State* lua, const std::vector<value_map>& rows);

/// nil and `none` are null. A table of the numbers 1 to n is a list, one of texts a map; an
/// empty one is a map. A text that is not UTF-8 is bytes.
value value_at(lua_State* lua, int at);
/// Argument `number` of the running function: a table of texts. Nothing given: empty.
value_map map_argument(lua_State* lua, int number);
/// The values of a key: one value, or a list of them. Nothing given: empty.
value_list key_argument(lua_State* lua, int number);
/// Those of all arguments from `number` on, where the key ends the call.
value_list key_arguments(lua_State* lua, int number);

/// What is text to Lua and bytes to the table. Null: nothing is known of the table.
value_map as_declared(const table* x, value_map row);
value_list as_declared(const table* x, value_list key);

} // namespace tallymesh::contracts
