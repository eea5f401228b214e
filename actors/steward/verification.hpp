// What a node finds when it looks at a candidate by itself: does the file parse and run, do its
// own tests pass, does every row that there is fit, and would recent operations have come out
// otherwise. Writes to memory only. Owned by the verifier's actor; one thread.
#pragma once

#include "actors/contract_executor/machine.hpp"
#include "storage/batch_store.hpp"
#include "storage/ledger.hpp"

namespace tallymesh::steward {

/// As the node says it on the chain.
struct findings {
  bool good = true;
  std::vector<std::string> lines; ///< the first is why it is not good
  std::uint64_t tests = 0;        ///< passed
  std::uint64_t rows = 0;      ///< of the tables that the candidate declares, as they are now
  std::uint64_t replayed = 0;  ///< recent operations of this contract
  std::uint64_t differing = 0; ///< of those, with another outcome or other rows

  void refuse(std::string why);
  void note(std::string what) { lines.push_back(std::move(what)); }
  /// The lines, as far as they go into so many bytes.
  std::string text(std::size_t most) const;
};

/// All work on one candidate comes out of one purse: its tests may take the first part of it,
/// so that enough is left to put it in force; the past is replayed with the rest.
constexpr std::uint64_t verification_gas = 12'000'000'000;
constexpr std::uint64_t tests_gas = 2'000'000'000;

/// Of the past, what is replayed at most.
constexpr std::size_t replayed_blocks = 64;
constexpr std::size_t replayed_operations = 500; ///< of any contract
/// Of batches, and of what executing them gave.
constexpr std::size_t replayed_bytes = 32 * 1024 * 1024;
constexpr std::size_t told_differences = 5;

struct surroundings {
  const contract_executor::machine& executor;
  const storage::ledger& ledger;
  const storage::batch_store& batches;
  /// A ledger that cannot be read ends the process: it must not return.
  void (*fail)(const error&);
  std::uint64_t gas = verification_gas;
};

/// Whatever the source, it ends: each part has its limit of work.
findings verify(const std::string& source, const std::string& proposer, const surroundings& at);

} // namespace tallymesh::steward
