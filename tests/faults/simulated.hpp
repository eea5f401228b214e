// Runs a fault script in the simulator: virtual time, one seed a run, the same seed the same
// run. Pure; the calling thread, or several that share nothing.
#pragma once

#include "tests/faults/history.hpp"
#include "tests/simulation/simulation.hpp"

#include <functional>

namespace tallymesh::faults {

struct simulated_options {
  std::uint64_t seed = 1;
  /// Off for machines that lack a rule: a script must show what comes of it.
  bool check_order = true;
  std::function<void(std::string_view)> trace;
};

struct simulated_outcome {
  std::uint64_t seed = 0;
  std::vector<finding> findings; ///< nothing: passed
  std::int64_t virtual_ms = 0;
  std::uint64_t operations = 0, acknowledged = 0, blocks = 0, faults = 0, trace_digest = 0;
  /// Statements that have no meaning in the simulator, and checks that need what is not there.
  std::vector<std::string> not_applied;

  bool passed() const { return findings.empty(); }
};

simulated_outcome run_simulated(const script& what, const simulated_options& how);

struct simulated_campaign {
  std::uint64_t first_seed = 1, seeds = 1;
  unsigned jobs = 1;
  bool check_order = true;                     ///< as in simulated_options
  std::function<void(std::uint64_t)> progress; ///< from one thread at a time
};
struct simulated_summary {
  std::uint64_t seeds = 0, failed = 0, operations = 0, acknowledged = 0, blocks = 0, faults = 0;
  std::int64_t virtual_ms = 0;
  std::vector<std::string> not_applied;
  std::optional<simulated_outcome> first_failure; ///< of the lowest seed that failed
};
simulated_summary run_simulated(const script& what, const simulated_campaign& how);

} // namespace tallymesh::faults
