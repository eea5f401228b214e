// A fault script as read: who takes part, how lines behave, what befalls the mesh and when, and
// what must hold then. Values only; ../README.md is the language's grammar. Any thread.
#pragma once

#include "messages/digest.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tallymesh::faults {

using duration = std::chrono::microseconds;

namespace script_limits {
constexpr std::size_t script_bytes = 64 * 1024;
constexpr std::size_t line_bytes = 1000;
constexpr std::size_t statements = 500;
constexpr std::uint64_t nodes = 31;
constexpr std::size_t repetitions = 10'000; ///< of one `every`, over the whole script
constexpr duration longest = std::chrono::hours(24);
constexpr std::uint64_t rate_per_s = 100'000;
constexpr std::uint64_t size_bytes = 1024 * 1024;
constexpr std::uint64_t byte_rate = 10'000'000'000;
} // namespace script_limits

/// One item of a set of nodes. What depends on the moment is looked up when the act happens.
struct node_selector {
  enum class who {
    node,   ///< `number`
    all,    ///< *
    leader, ///< of the view that most nodes are in
    killed,
    stopped,
    random, ///< `number` running nodes
  };
  who what = who::node;
  std::uint16_t number = 0; ///< from 0: n1 is 0
  bool operator==(const node_selector&) const = default;
};
using node_set = std::vector<node_selector>;

/// How a line between two nodes behaves, one way.
struct line_quality {
  duration least_delay{500}, most_delay{5000};
  std::uint64_t lost_ppm = 0, duplicated_ppm = 0; ///< in a million
  std::uint64_t bytes_per_s = 0;                  ///< 0: as fast as it goes
};

enum class verb : std::uint8_t {
  partition,
  one_way,
  cut,
  line, ///< `link` with a time before it
  kill,
  start,
  stop,
  carry_on, ///< `continue`
  disk,
  clock,
  flood,
  byzantine,
  lose_vote_log,
  restore, ///< an older copy of its disk
  kill_actor,
  crash_at,
  power_loss,
  heal,
  live,
  converged, ///< as `live` a check of the moment, and so is the next
  quiet,
};

enum class disk_fault : std::uint8_t { full, eio, torn, slow };
enum class flood_of : std::uint8_t {
  operations,
  garbage,      ///< for the link: bytes of no meaning
  strangers,    ///< keys and tokens that nobody knows
  slow_readers, ///< ask for much and do not read it
};
enum class byzantine_habit : std::uint8_t {
  twin,
  rogue,
  liar,
  withhold,
  equivocate,
  fork_lane,
  babble,
  replay,
  hoard,
  mute,
};
enum class crash_moment : std::uint8_t {
  before_persist,
  after_persist,
  before_send,
  after_send,
};

/// What befalls the mesh; which fields count depends on the verb.
struct act {
  verb what = verb::heal;
  std::vector<node_set>
      sets; ///< the sides of a partition, the ends of a line, or whom it is about
  std::optional<duration> lasting; ///< `for T`
  line_quality quality;
  disk_fault disk{};
  duration by{0}; ///< of a clock; or within which time a check of the moment must hold; or
                  ///< when the copy of a disk is made
  flood_of flood{};
  std::uint64_t rate_per_s = 0;
  byzantine_habit habit{};
  crash_moment moment{};
  std::uint64_t count = 1; ///< at which persist or send
  std::string actor;
};

enum class check : std::uint8_t {
  no_divergence,
  no_lost_ack,
  no_double_vote,
  exactly_once,
  balances_zero,
  bounded_memory,
  converged,
  all_acked_final,
  quiet,
};
constexpr std::size_t check_count = static_cast<std::size_t>(check::quiet) + 1;
std::string_view to_string(check x);
std::string_view to_string(verb x);
/// Nodes that this befalls count as faulty, and must be named.
bool makes_faulty(verb x);
std::string_view to_string(flood_of x);
std::string_view to_string(byzantine_habit x);

struct load {
  node_set at;
  std::uint64_t rate_per_s = 0; ///< of all these nodes together
  std::uint64_t size_bytes = 256;
  duration from{0};
  std::optional<duration> until; ///< else healing
};

/// A line of the script that can be left out without making it meaningless.
struct statement {
  enum class kind { link, load, at, every, always, within, after_idle };
  kind what = kind::at;
  std::size_t line = 0;
  std::size_t column = 1;              ///< where `text` begins
  std::string text;                    ///< as written, without comment
  duration when{0};                    ///< at, every; within, after idle: how long
  std::optional<duration> from, until; ///< every
  act does;                            ///< link, at, every
  load puts;
  std::vector<check> checks;
};

struct script {
  std::string file;
  std::string name;
  std::vector<std::string> about; ///< the comment lines before the first statement
  std::uint16_t nodes = 4;
  std::size_t nodes_line = 0, nodes_column = 1; ///< where that is said
  std::uint64_t seed = 1;
  duration heal{0};
  std::vector<statement> statements; ///< as they stand, without name, nodes, seed

  std::uint16_t faulty() const { return static_cast<std::uint16_t>((nodes - 1) / 3); }
  bool expects(check x) const;
  /// The longest time that any `within T after heal` gives.
  duration settle_within() const;
  /// Nodes that some statement makes Byzantine: all, or those with this habit.
  std::vector<std::uint16_t> byzantine(std::optional<byzantine_habit> habit = {}) const;
  /// Those, and the nodes that lose votes: all that count as faulty.
  std::vector<std::uint16_t> unreliable() const;
  /// The script as text again, with these statements only.
  std::string text() const;
};

/// An act with the moment it happens at, `every` unrolled; in order of time.
struct timed_act {
  duration when{0};
  const act* does = nullptr;
  const statement* from = nullptr;
};
std::vector<timed_act> timeline(const script& what);

std::string duration_text(duration x);
/// The nodes and times in words, for `tally faults explain`.
std::string explain(const script& what);

} // namespace tallymesh::faults
