// One node as the simulator runs it: the two machines, and a model of the actors around them
// that carries effects out in order, loses in a crash what was not committed, executes
// delivered blocks and serves its stores. Owned by the world.
#pragma once

#include "actors/consensus/machine.hpp"
#include "actors/mempool/machine.hpp"
#include "tests/simulation/disk.hpp"
#include "tests/simulation/parcel.hpp"
#include "tests/simulation/random.hpp"

#include <algorithm>
#include <deque>

namespace tallymesh::simulation {

class world;

using agreement_event = decltype(consensus::event::what);
using lanes_event = decltype(mempool::event::what);
enum class part : std::uint8_t { agreement, lanes };

/// How a node's actors and disk behave; a seed chooses.
struct process_traits {
  bool group_commits =
      false; ///< persists of several events share one commit, sends wait for it
  std::int64_t commit_us = 500;
  std::int64_t execute_us = 2000;
  std::size_t range_blocks = 16, answer_batches = 8; ///< what fits in one answer
  std::int64_t wall_offset_ms = 0;
  bool forgets_eagerly = true; ///< prune happens at once rather than never
};

class process {
public:
  process(world& home, std::size_t id, node_index node, bool honest, process_traits traits,
          consensus::settings agreement, mempool::settings lanes);

  void start();
  void crash();
  /// Crashes after `commits` more commits and then `sends` more messages to a peer.
  void arm_crash(int commits, int sends);
  void disarm();

  // What the world's clock brings; each is ignored in another life than the one it was meant
  // for.
  void receive(node_index from, const parcel_ptr& what);
  void happen(agreement_event what);
  void happen(lanes_event what);
  void ring(part which, std::uint64_t generation);
  void flush(part which);
  void execute();

  void submit(const operation& what);
  void link_changed(node_index peer, bool up);

  std::size_t id() const { return id_; }
  node_index node() const { return node_; }
  bool honest() const { return honest_; }
  bool running() const { return running_; }
  std::uint64_t life() const { return life_; }
  model_disk& disk() { return disk_; }
  const model_disk& disk() const { return disk_; }
  process_traits& traits() { return traits_; }
  const credentials& keys() const { return agreement_settings_.keys; }
  consensus::snapshot look() const { return agreement_->look(); }
  /// Of a lane, beyond the final cut.
  bool knows_fork() const {
    return std::ranges::any_of(lanes_->look().lanes, &mempool::lane_snapshot::forked);
  }
  /// What follows its name. Empty: it has nothing to do, and did nothing for so long. While it
  /// runs.
  std::string why_not_quiet(std::int64_t now_us, std::int64_t for_us) const;
  std::int64_t last_activity_us() const { return last_activity_us_; }
  /// Operations that must become final: their batch is on this disk, or wait in this life.
  const std::set<operation_id>& promised_operations() const { return promised_; }
  const std::set<operation_id>& accepted_operations() const { return accepted_; }
  /// What it did last that it would not do idle.
  const std::string& last_deed() const { return last_deed_; }
  /// Status and have messages since count_talk().
  std::int64_t talk() const { return talk_; }
  void count_talk() { talk_ = 0; }
  bool side_a = true;   ///< of a twin
  bool dormant = false; ///< a twin that does not run yet

  /// Crashes when it would store for the `nth` time from now, before it does; 0: every time.
  void fail_stores(int nth) { failing_stores_ = nth; }
  void repair_disk() { failing_stores_.reset(); }
  /// Its disk holds this older copy, without votes. While it does not run.
  void put_back(const model_disk& copy);
  void arm_crash_at_send(int sends) { crash_after_sends_ = sends; }

private:
  template <class Effect>
  struct outbox {
    std::vector<Effect> waiting;
  };

  instant clock() const;
  template <class Effect>
  void absorb(std::vector<Effect> effects, outbox<Effect>& out, part which);
  template <class Effect>
  void flush(outbox<Effect>& out);
  void carry(const consensus::effect& x);
  void carry(const mempool::effect& x);
  void store(const consensus::persist& x);
  void store(const mempool::persist& x);
  void commit_happened();
  bool fails_to_store();
  void transmit(node_index to, const parcel_ptr& what);
  void send_all(wire_message content);
  void set_alarm(part which, std::int64_t at_monotonic_ms);
  void pass(agreement_event what);
  void pass(lanes_event what);
  void queue_execution(const consensus::deliver& what);
  void serve(const consensus::serve_range& x);
  void serve(const mempool::serve_batches& x);
  void settle_admission(const mempool::admitted& x);
  void active(std::string_view deed);

  world& home_;
  const std::size_t id_;
  const node_index node_;
  const bool honest_;
  process_traits traits_;
  consensus::settings agreement_settings_;
  mempool::settings lanes_settings_;
  model_disk disk_;
  random_source chance_;

  bool running_ = false;
  std::uint64_t life_ = 0;
  std::optional<consensus::machine> agreement_;
  std::optional<mempool::machine> lanes_;
  outbox<consensus::effect> agreement_out_;
  outbox<mempool::effect> lanes_out_;
  std::uint64_t alarms_[2] = {0, 0};
  std::int64_t passed_us_[2] = {0, 0};
  std::int64_t monotonic_offset_ms_ = 0;
  std::deque<consensus::deliver> to_execute_;
  bool executing_ = false;
  std::int64_t last_activity_us_ = 0, talk_ = 0;
  std::string last_deed_;

  std::optional<int> crash_after_commits_, crash_after_sends_;
  int armed_sends_ = 0;
  std::optional<int> failing_stores_;
  std::uint64_t next_ticket_ = 1;
  std::map<std::uint64_t, operation_id> tickets_;
  std::set<operation_id> accepted_; ///< in this life
  std::set<operation_id> promised_;
};

} // namespace tallymesh::simulation
