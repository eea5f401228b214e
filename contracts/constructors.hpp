// What a contract file may call: text{…}, int64{…}, decimal{…}, bool{…}, bytes{…}, one_of{…}
// and optional(…). A type they make is an opaque Lua value that names a field in `made_types`.
// For parser.cpp only; one parse, one thread, and only inside sandbox::run.
#pragma once

#include "contracts/contract.hpp"

#include <optional>

struct lua_State;

namespace tallymesh::contracts {

/// A field without its name is a type.
struct made_types {
  std::vector<field> all;
  std::size_t choices = 0; ///< of all one_of types together
};

/// Sets the globals; `types` must outlive the state. Any other global is an error.
void open_constructors(lua_State* lua, made_types& types);

/// Why a file cannot use this global name, or this function of a library ("string.dump"), and
/// what to write instead; nothing if there is one.
std::optional<std::string> unknown_name_of(lua_State* lua, std::string_view name);

/// The type at this place of the stack, if it is one.
std::optional<field> type_at(lua_State* lua, int at, const made_types& types);

/// The text at this place; it must be one, and is valid while it stays there.
std::string_view text_at(lua_State* lua, int at);

/// For a message: short, printable, in quotes.
std::string in_quotes(std::string_view raw);
std::string join(const std::vector<std::string>& parts);
/// UTF-8 without control characters, at most `most` bytes.
std::string printable(std::string text, std::size_t most);

} // namespace tallymesh::contracts
