// A run: virtual time, the network, the faults that the seed planned, the work that is
// submitted, and the judgement at the end. Made, run once and thrown away; one thread.
#pragma once

#include "tests/simulation/adversary.hpp"
#include "tests/simulation/checker.hpp"
#include "tests/simulation/process.hpp"

#include <functional>
#include <queue>

namespace tallymesh::simulation {

/// How long nothing is done before it counts as silence.
inline constexpr std::int64_t settle_us = 3'000'000;

struct incoming {
  node_index from = 0;
  parcel_ptr what;
};
struct alarm_due {
  part which{};
  std::uint64_t generation = 0;
};
struct flush_due {
  part which{};
};
struct execution_due {};
using action = std::function<void()>; ///< of the world itself; no process dies with it

class world {
public:
  static constexpr std::int64_t epoch_ms = 1'760'000'000'000; ///< the wall clock at time 0

  explicit world(const options& what);
  outcome run();

  std::uint64_t seed() const { return options_.seed; }
  const options& chosen() const { return options_; }
  const validator_set& nodes() const { return nodes_; }
  std::int64_t now_us() const { return now_us_; }
  std::int64_t now_ms() const { return now_us_ / 1000; }
  checker& checks() { return checker_; }

  using payload = std::variant<incoming, agreement_event, lanes_event, alarm_due, flush_due,
                               execution_due, action>;
  /// For `to` in its present life only; `to` may be null for an action.
  void at(std::int64_t when_us, process* to, payload what);
  void after(std::int64_t delay_us, action what) {
    at(now_us_ + delay_us, nullptr, std::move(what));
  }

  void transmit(process& from, node_index to, const parcel_ptr& what);
  /// Into the network, as from `from`. `promptly`: an attacker with a short line.
  void post(node_index from, node_index to, const parcel_ptr& what, bool promptly = false);
  void crashed(process& who);

  void count(fault what) { ++outcome_.faults[static_cast<std::size_t>(what)]; }
  void fold(std::uint64_t x) { outcome_.trace_digest = mix(outcome_.trace_digest ^ x); }
  template <class F>
  void note(const process* who, F text) {
    if (options_.trace) write_note(who, text());
  }

private:
  friend class stage; // what a script may do to a world: stage.hpp

  struct task {
    std::int64_t at_us = 0;
    std::uint64_t order = 0;
    std::uint32_t slot = 0;
    bool operator<(const task& other) const { // the earliest on top of std::priority_queue
      return at_us != other.at_us ? at_us > other.at_us : order > other.order;
    }
  };
  struct slot {
    process* to = nullptr;
    std::uint64_t life = 0;
    payload what;
  };
  struct line_quality {
    std::int64_t min_us = 500, max_us = 5000, spike_us = 0;
    std::uint64_t lost = 0, duplicated = 0, spiked = 0; ///< per mille
  };
  struct link {
    int cuts = 0;    ///< partitions that drop what goes this way
    bool up = false; ///< as the sending end believes
    std::uint64_t session = 0;
    std::optional<line_quality> own; ///< in place of the mesh's
    std::uint64_t bytes_per_s = 0;   ///< 0: as fast as it goes
    std::int64_t busy_until_us = 0;
  };

  // setting up (world.cpp)
  surroundings surroundings_of_adversary();
  void choose_members();
  void choose_climate();
  process_traits choose_traits();
  void plan_work();
  void write_note(const process* who, const std::string& text);

  // the network (network.cpp)
  link& link_of(node_index from, node_index to) { return links_[from * nodes_.size + to]; }
  process* process_at(node_index node, node_index seen_from);
  std::int64_t send_time_us(link& way, const parcel_ptr& what);
  bool runs(node_index node) const;
  bool connected(node_index a, node_index b);
  void check_link(node_index a, node_index b);
  void settle_link(node_index a, node_index b);
  void tell_link(node_index node, node_index peer, bool up);
  void start(process& who);

  // faults (faults.cpp)
  void plan_faults();
  void inject();
  void cut(const std::vector<std::pair<node_index, node_index>>& ways, std::int64_t for_us);
  void break_partition(bool one_way);
  void isolate();
  void crash_one();
  void crash_all();
  void arm_crash();
  void crash_on_certificate();
  void jump_clock();
  void slow_disk();
  void restart_later(process& who, std::int64_t at_most_us);
  process* pick_running();
  void heal();

  // the end (judgement.cpp)
  void judge();
  std::string why_not_settled();
  std::string why_not_quiet();
  bool all_final(const process& who, std::string* what);
  void watch_silence();
  void end();

  // work (world.cpp)
  void submit(const operation& what, int attempts);

  void step();
  bool over() const { return over_ || checker_.failed(); }

  const options options_;
  const signing_domain domain_;
  const validator_set nodes_;
  outcome outcome_;
  checker checker_;
  random_source plan_, net_, work_;
  std::vector<std::unique_ptr<process>> processes_;
  std::vector<std::vector<process*>> by_node_;
  std::vector<link> links_;
  std::map<process*, std::vector<payload>> frozen_; ///< stand still; what came meanwhile
  line_quality line_;
  std::unique_ptr<adversary> adversary_;
  std::int64_t delta_ms_ = 500;
  mempool::settings lanes_template_;
  consensus::settings agreement_template_;
  std::int64_t heal_us_ = 0;
  /// When the last message arrives that attackers sent, or anybody before healing: what it says
  /// need not be so.
  std::int64_t untrue_until_us_ = 0;
  std::set<node_index> amnesiacs_;
  bool healed_ = false, over_ = false, clock_is_off_ = false;
  std::optional<std::int64_t> silent_since_us_; ///< the watched silence began

  std::int64_t now_us_ = 0;
  std::uint64_t next_order_ = 0;
  std::priority_queue<task> queue_;
  std::vector<slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t events_this_ms_ = 0;
};

} // namespace tallymesh::simulation
