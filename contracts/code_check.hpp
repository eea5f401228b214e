// What compiled code may not do, found by reading it: floats would round apart on different
// machines, and an assignment to a variable outside a function would outlive the operation. The
// format is that of the Lua that check_lua pins. Pure; one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

struct lua_State;

namespace tallymesh::contracts {

struct code_fault {
  int line = 0;
  std::string what; ///< "a number with a fraction …", and what to write instead
};

/// What is wrong with the use of a global name, or of a library's function: "os",
/// "string.dump". Nothing: it is known.
using name_check = std::function<std::optional<std::string>(std::string_view name)>;

/// Of a dumped function and all functions inside it. `outside_variables`: whether it may not
/// assign to variables outside itself, as no function may that lives on after the file is read.
std::optional<code_fault> find_code_fault(std::string_view dumped, bool outside_variables,
                                          const name_check& names = {});

/// The function on top of the stack, dumped with its lines and names.
std::string dump_function(lua_State* lua);

} // namespace tallymesh::contracts
