// Performs operations inside a transaction: finds the contract, checks who may, converts the
// arguments and runs the native, built-in or Lua action. It keeps a compiled program for each
// contract that has code. Owned by the executor; one thread.
#pragma once

#include "contracts/program.hpp"
#include "contracts/transaction.hpp"

namespace tallymesh::contracts {

/// Contracts that call each other wait for one another, at most so many.
constexpr int max_call_depth = 8;

class engine final : public code_runner {
public:
  explicit engine(vm_limits limits = {}) : limits_(limits) {}

  /// Compiles what the set's contracts need, and drops what none of them needs any more: for
  /// the time when nothing is at work. Errors: those of program::make.
  result<void> prepare(const contract_set& rules);
  /// Whether something was compiled since then: a version that came in force, or one that was
  /// refused and need not be kept.
  bool has_more() const { return has_more_; }
  /// How many contracts are kept compiled.
  std::size_t held() const { return programs_.size(); }

  /// An action by `on.facts()`: its author, or the contract that it names as caller. What a Lua
  /// action returned. The transaction is left as it is when this refuses: rewinding it is the
  /// caller's.
  checked<value> perform(transaction& on, std::string_view contract_name,
                         std::string_view action_name, const value_map& arguments);

  result<void> compile(const contract_entry& x) override;
  checked<void> judge(transaction& on, const table& where, const value_map& row) override;
  checked<void> migrate(transaction& on, const contract_entry& to) override;

private:
  checked<value> run_declared(transaction& on, const contract_entry& of, const action& what,
                              const value_map& arguments);
  result<program*> program_of(const contract_entry& x);

  vm_limits limits_;
  std::map<digest, std::unique_ptr<program>> programs_; ///< by the digest of the source
  bool has_more_ = false;
  int depth_ = 0;
};

/// Who asks now: the author, or the contract that called on the author's behalf.
actor acting(const call_facts& facts);

} // namespace tallymesh::contracts
