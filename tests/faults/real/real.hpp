// Runs a fault script on real processes: tallyd on loopback, our lines between them, our
// library in front of their disks and clocks. What clients were told is held against all nodes'
// ledgers, as anyone can read them over REST. Main thread; takes the script's own time.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/history.hpp"

#include <chrono>
#include <filesystem>
#include <functional>

namespace tallymesh::faults {

struct real_options {
  std::uint64_t seed = 1;
  std::filesystem::path keep; ///< where a failed run's folder goes; empty: it leaves none
  std::function<void(const std::string&)> tell; ///< each thing that happens, if set
  std::function<bool()> stop;                   ///< asked often; true gives up
  std::chrono::seconds reduce_for{0};           ///< how long a failing script is cut down
};

struct real_outcome {
  std::vector<finding> findings; ///< nothing: passed
  std::uint64_t operations = 0, acknowledged = 0, blocks = 0, kills = 0, actors_killed = 0;
  std::uint64_t peak_memory_bytes = 0; ///< of the node that used the most
  std::uint64_t misdeeds = 0;          ///< of traitors
  std::vector<std::string> not_applied;
  std::vector<std::string> slow; ///< what held, but later than on a quiet machine
  std::filesystem::path folder;  ///< of a failed run

  bool passed() const { return findings.empty(); }
};

/// An error is no finding: the run could not be made. A script that real processes cannot play
/// is refused: unsupported.
result<real_outcome> run_real(const script& what, const real_options& how);

/// What real processes cannot do, each as "file:line:column: why"; nothing if they can play
/// all.
std::vector<std::string> simulation_only(const script& what);

} // namespace tallymesh::faults
