// Reading a contract file in a state that may be kept: parser.cpp's side that program.cpp
// shares.
#pragma once

#include "contracts/constructors.hpp"
#include "contracts/sandbox.hpp"

#include <functional>

namespace tallymesh::contracts {

/// As `parse`. `keep` runs with the contract's table on top of the stack, after everything that
/// lives on was frozen. `file` is as `shown_file_name` gives it.
result<contract> read_file(sandbox& box, made_types& types, std::string_view source,
                           std::string_view file, const parse_limits& limits,
                           const parse_options& options,
                           const std::function<void(lua_State*, const contract&)>& keep);

std::string shown_file_name(std::string_view file_name);
/// Puts the file's name in front of a message of Lua, which knows it as "?".
void name_file(std::string& text, std::string_view file);

} // namespace tallymesh::contracts
