// A contract's own tests: each acts on a little mesh of its own in memory, over transactions
// like those of a node, so that what passes here passes there. Used by `tally contract test`
// and by nodes that verify a proposal. No CAF, no LMDB, no clock; one thread.
#pragma once

#include "contracts/contract_set.hpp"
#include "contracts/program.hpp"

namespace tallymesh::contracts {

/// What the rows of one test may take in memory.
constexpr std::size_t max_trial_bytes = 64 * 1024 * 1024;

class trial {
public:
  /// `others`: what else is in force, for a contract that calls or names others. Errors: those
  /// of program::make, and of contract_set::make.
  static result<std::unique_ptr<trial>> make(std::string_view source,
                                             std::string_view file_name,
                                             const std::vector<contract_entry>& others = {},
                                             const vm_limits& limits = {});
  virtual ~trial() = default;

  virtual const contract& declared() const = 0;
  /// One of `declared().tests`. `text` says what was expected, what came, and in which line.
  /// Its gas comes out of `purse`, which tests of one contract share.
  virtual run_outcome run(std::string_view sentence, std::uint64_t& purse) = 0;
  run_outcome run(std::string_view sentence) {
    auto enough = UINT64_MAX;
    return run(sentence, enough);
  }
};

} // namespace tallymesh::contracts
