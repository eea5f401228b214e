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
  /// Asked before a version of any contract takes the place of `now`. Errors: bad_config, with
  /// a line for people that is the same on every node.
  result<void> (*check_upgrade)(const contract& now, const contract& candidate) = nullptr;
};

/// What the built-in contracts do for all others; null: this program has it not.
struct native_effects {
  /// Native actions of every contract, with an operation's arguments; rights are checked
  /// inside.
  checked<void> (*distribute)(transaction& on, const contract& of,
                              const value_map& arguments) = nullptr;
  checked<void> (*erase)(transaction& on, const contract& of,
                         const value_map& arguments) = nullptr;
  /// For a contract that runs, which answers for it: `on.facts().caller` names it.
  checked<void> (*settle_for)(transaction& on, std::string_view contract,
                              const value_map& what) = nullptr;
  checked<void> (*distribute_for)(transaction& on, const table& from, const value_list& key,
                                  const value_map& to) = nullptr;
  checked<void> (*erase_for)(transaction& on, const table& from, const value_list& key,
                             std::string_view reason) = nullptr;
};
const native_effects& native();

/// Each of this program's, in an order that is the same everywhere.
std::span<const builtin> builtins();
/// Null: no contract of this name is inside the program.
const builtin* find_builtin(std::string_view name);
/// The contracts that they declare; a set begins with these.
std::vector<contract_entry> builtin_entries();

} // namespace tallymesh::contracts
