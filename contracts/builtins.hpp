// Contracts inside the program: their tables are declared in a contract file like any other's,
// and may be read by rights; their actions are C++. `builtins()` lists them; their files are
// parsed once, at the first use, and an error in one ends the process. Any thread.
#pragma once

#include "contracts/contract_set.hpp"
#include "contracts/row.hpp"
#include "contracts/table_source.hpp"

#include <span>

namespace tallymesh::contracts {

class transaction;

/// `perform` gets arguments as the action's params declare them.
struct builtin {
  std::string_view name;
  /// A contract file: tables, and actions with may and params but no run.
  std::string_view source;
  checked<void> (*perform)(transaction& on, std::string_view action,
                           const value_map& arguments) = nullptr;
  /// Asked before each write to any contract's table: whether this row may change or go.
  checked<void> (*guard)(transaction& on, const table& where, const bytes& row_key) = nullptr;
};

/// Each of this program's, in an order that is the same everywhere.
std::span<const builtin> builtins();
/// The contracts that they declare; a set begins with these.
std::vector<contract_entry> builtin_entries();

} // namespace tallymesh::contracts
