// A contract that can run: its file compiled into a closed Lua state whose bytes are put back
// after every run, so that no operation leaves anything behind that a later one could see. The
// same file, action, parameters and host give the same outcome, effects and gas on every node
// (README.md, "How a contract runs"). Owned by the executor, one for each active contract with
// code; one thread at a time. No CAF, no LMDB, no clock.
#pragma once

#include "contracts/contract.hpp"
#include "contracts/host.hpp"

#include <memory>

namespace tallymesh::contracts {

/// Part of what genesis pins: with other limits a node would come to other outcomes.
struct vm_limits {
  parse_limits file; ///< while the file itself runs
  /// All that one run may allocate and not give back by resizing; nothing is collected during
  /// a run.
  std::size_t run_bytes = 8 * 1024 * 1024;
  std::size_t piece_bytes = 1024 * 1024; ///< of one text or table
  /// Of Lua's stack: how many variables functions that wait for one another have together.
  std::size_t stack_bytes = 96 * 1024;
  std::uint64_t test_gas = 200'000'000; ///< of one of the contract's own tests
};

struct run_outcome {
  outcome why = outcome::done;
  std::string detail; ///< for the receipt: a code, a field, or "line 12"
  value returned;     ///< what the action gave back; null: nothing
  std::string text;   ///< for people, never for the chain: what went wrong and where

  bool ok() const { return why == outcome::done; }
};

class program {
public:
  /// Errors: bad_config, too_large, as `parse` gives them; unsupported if `check_lua` says so.
  static result<std::unique_ptr<program>> make(std::string_view source,
                                               std::string_view file_name,
                                               const vm_limits& limits = {},
                                               const parse_options& options = {});
  virtual ~program() = default;

  virtual const contract& declared() const = 0;

  /// `params` as `convert_params` returns them. Rights are the caller's to check. A run of a
  /// contract that is at work already is refused as too_deep: nothing it sees may change behind
  /// its back.
  virtual run_outcome run(std::string_view action_name, const value_map& params, host& on) = 0;
  virtual run_outcome run_migrate(host& on) = 0;
  /// Whether the table's own check takes this row; also while `run` is at work. check_failed
  /// if not, with the code that the check gave, or else the table's name.
  virtual run_outcome run_check(std::string_view table_name, const value_map& row,
                                gas_meter& gas) = 0;
  /// One of the contract's own tests, with at most as much gas as there is in `purse`, from
  /// which it is paid. `text` says what was expected and what came.
  virtual run_outcome run_test(std::string_view sentence, test_host& on,
                               std::uint64_t& purse) = 0;
  run_outcome run_test(std::string_view sentence, test_host& on) {
    auto enough = UINT64_MAX;
    return run_test(sentence, on, enough);
  }
};

/// An action's parameters, each as its type asks. Refusals: missing_field, unknown_field,
/// wrong_type, out_of_range.
checked<value_map> convert_params(const action& x, const value_map& given);

/// "Lua 5.4.4, gas table 1, x86_64": what a node must share with the others to come to the same
/// results. Genesis pins it together with `vm_digest`.
std::string vm_version();
/// Covers version, prices (of the host's work, too) and limits.
digest vm_digest(const vm_limits& limits = {});
/// Whether this is the VM that a mesh's genesis pins. Errors: unsupported, with both.
result<void> check_vm(std::string_view pinned_version, const digest& pinned);
/// Whether the linked Lua is the one that this VM was made for. Errors: unsupported.
result<void> check_lua();

} // namespace tallymesh::contracts
