// A mesh in a box: n nodes, each the real mempool and consensus machine with a model of the
// actors around them, on a model network and model disks, in virtual time, with faults. One
// seed decides everything, so the same options give the same trace. Pure; runs on the calling
// thread.
#pragma once

#include "actors/consensus/machine.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tallymesh::simulation {

/// What can go wrong in a run; README.md says what each one does.
enum class fault : std::uint8_t {
  message_lost,
  message_duplicated,
  message_delayed,
  partition,
  one_way_partition,
  isolated_node,
  crash,
  crash_after_commit,
  mesh_crash,
  clock_jump,
  slow_disk,
  lost_vote_log,
  twin,
  rogue_proposal,
  withheld_message,
  equivocating_vote,
  forked_lane,
  withheld_batch,
  lie,
  garbage,
  replay,
  hoarded_certificate,
  forged_answer,
  overreach,
  flooded_lane,
  sent_evidence,
};
constexpr std::size_t fault_count = static_cast<std::size_t>(fault::sent_evidence) + 1;
std::string_view to_string(fault x);

/// What Byzantine nodes may do: bits of options::strategies.
namespace strategy {
enum bit : std::uint32_t {
  twins = 1 << 0,      ///< two instances with one key, each talking to a part of the mesh
  rogue = 1 << 1,      ///< conflicting, stale, unjustified and invalid proposals
  selective = 1 << 2,  ///< sends to some only
  equivocate = 1 << 3, ///< contradicting votes to different peers
  fork_lane = 1 << 4,  ///< two batches for one place in its lane
  withhold = 1 << 5,   ///< announces batches and does not hand them out
  lie = 1 << 6,        ///< false status, false answers, false attestations
  garbage = 1 << 7,    ///< damaged frames and impossible values
  replay = 1 << 8,     ///< old messages of anyone, again
  hoard = 1 << 9,      ///< certificates completed early and shown to some only
  mute = 1 << 10,      ///< heard by none
  amnesia = 1 << 11,   ///< honest, but its vote log is lost at a restart
  forge = 1 << 12,     ///< answers with blocks, batches and certificates that are not genuine
  overreach = 1 << 13, ///< proposes what nobody may vote for, and announces what there is not
  flood = 1 << 14,     ///< hundreds of batches in its lane at once
  /// f + 1 nodes that equivocate and hoard, whatever else is named. Nothing is promised then
  /// but that who sees a contradiction of certificates halts (S10), and only that is judged.
  treason = 1 << 15,
  accuse = 1 << 16, ///< evidence of forks, true of its own lane and forged of others'
};
/// What seeds draw from, unless told otherwise. The others came later and are left out, so that
/// a seed stays what it was.
constexpr std::uint32_t all = (1 << 12) - 1;
/// By their names above, or `all`, with `+` between them.
std::optional<std::uint32_t> named(std::string_view names);
std::string names_of(std::uint32_t strategies);
} // namespace strategy

class stage;

/// A run that is directed from outside, by a fault script, in place of the seed's plan of
/// faults, work and traitors. The seed still decides limits, commits, delays and what attackers
/// do.
struct direction {
  std::int64_t heal_us = 0;
  std::int64_t settle_within_us = 0;  ///< after healing
  bool watch_silence = true;          ///< at the end
  std::vector<node_index> byzantine;  ///< behave well until the stage tells them not to
  std::vector<node_index> twins;      ///< of these: whose second instance waits
  std::function<void(stage&)> begin;  ///< plans what happens; time is 0
  std::function<void(stage&)> finish; ///< after all has settled, or failed
};

struct options {
  std::uint16_t nodes = 4;
  std::uint64_t seed = 1;
  std::int64_t duration_ms = 0; ///< of the faulty first part; 0: the seed chooses
  std::uint32_t strategies = strategy::all;
  bool benign_faults = true; ///< loss, partitions, crashes, clocks
  /// Checks that a send follows its persist. Off, a mutant must be caught by what it brings
  /// about.
  bool check_order = true;
  std::function<void(std::string_view)> trace; ///< a line an event, if set
  std::shared_ptr<const direction> directed;
};

struct violation {
  std::int64_t at_ms = 0;
  int node = -1; ///< -1: the mesh
  std::string rule, text;
};

struct outcome {
  std::uint64_t seed = 0;
  std::uint16_t nodes = 0;
  std::int64_t virtual_ms = 0;
  std::uint64_t events = 0, operations = 0, blocks = 0, batches = 0;
  std::uint64_t evidence = 0; ///< contradictions that final blocks carry
  std::uint64_t halts = 0; ///< nodes that stopped at what more than f traitors made of a view
  std::array<std::uint64_t, fault_count> faults{};
  std::vector<violation> violations; ///< the first; a run ends there
  std::uint64_t trace_digest = 0;

  bool passed() const { return violations.empty(); }
  std::uint64_t faults_total() const;
};

outcome run(const options& what);

/// Many seeds on several threads.
struct campaign {
  options base; ///< seed and trace are ignored
  std::uint64_t first_seed = 1, seeds = 0;
  unsigned jobs = 1;
  bool stop_at_violation = false;
  /// Called now and then, from one thread at a time, with the number of finished seeds.
  std::function<void(std::uint64_t)> progress;
};
struct campaign_outcome {
  std::uint64_t seeds = 0, operations = 0, blocks = 0, events = 0, faults = 0, violations = 0;
  std::uint64_t evidence = 0, halts = 0;
  std::int64_t virtual_ms = 0;
  std::array<std::uint64_t, fault_count> by_fault{};
  std::optional<outcome> first_failure; ///< of the lowest seed that failed
};
void add(campaign_outcome& sum, const outcome& one);
campaign_outcome run(const campaign& what);

} // namespace tallymesh::simulation
