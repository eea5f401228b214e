// The folder that a failed run leaves: the script, what is left of it when cut down, the seed,
// and a timeline that a person can read. One thread.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/simulated.hpp"

#include <filesystem>

namespace tallymesh::faults {

struct failure_report {
  script reduced;
  simulated_outcome shown; ///< a run of the reduced script
};

/// Cuts the script down to the shortest that still breaks the same promise with the seed, or
/// with one of a few after it. `check_order` as the failed run had it.
failure_report reduce_failure(const script& what, const simulated_outcome& failed,
                              bool check_order);

/// script.fault, reduced.fault, verdict.txt, timeline.txt, trace.txt. Errors: storage.
result<void> write_failure(const std::filesystem::path& folder, const script& what,
                           const simulated_outcome& failed, const failure_report& found,
                           bool check_order);

} // namespace tallymesh::faults
