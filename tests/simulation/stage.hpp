// What a fault script may do to a world: lines, nodes, disks, clocks, traitors, clients; and
// look at it as someone outside would. The world hands it to a direction's functions; one
// thread.
#pragma once

#include "tests/simulation/world.hpp"

namespace tallymesh::simulation {

class stage {
public:
  explicit stage(world& home) : home_(home) {}

  std::uint16_t nodes() const { return home_.nodes_.size; }
  std::uint64_t seed() const { return home_.seed(); }
  std::int64_t now_us() const { return home_.now_us_; }
  bool healed() const { return home_.healed_; }
  bool over() const { return home_.over(); }
  bool failed() const { return home_.checker_.failed(); }
  void at(std::int64_t when_us, action what) { home_.at(when_us, nullptr, std::move(what)); }
  void count(fault what) { home_.count(what); }
  void count_operation() { ++home_.outcome_.operations; }
  void note(const std::string& text) {
    home_.note(nullptr, [&] { return text; });
  }
  void report(int node, std::string rule, std::string text) {
    home_.checker_.report(node, std::move(rule), std::move(text));
  }

  // lines, one way; a line that is cut twice must be mended twice
  struct quality {
    std::int64_t least_us = 500, most_us = 5000;
    std::uint64_t lost = 0, duplicated = 0; ///< per mille
    std::uint64_t bytes_per_s = 0;          ///< 0: as fast as it goes
  };
  void cut(node_index from, node_index to);
  void mend(node_index from, node_index to);
  void set_line(node_index from, node_index to, const std::optional<quality>& how);

  // nodes
  bool running(node_index node) const { return home_.runs(node); }
  bool stopped(node_index node) const { return home_.frozen_.contains(first(node)); }
  bool honest(node_index node) const { return first(node)->honest(); }
  void kill(node_index node);
  void start(node_index node);
  void stop(node_index node);
  void carry_on(node_index node);
  /// Crashes around the `nth` commit or send from now.
  void crash_at_persist(node_index node, int nth, bool before);
  void crash_at_send(node_index node, int nth, bool before);
  void lose_vote_log(node_index node);
  /// What a disk holds now, but for votes: `restore` puts the node back to it. It crashes.
  model_disk copy_disk(node_index node) const { return first(node)->disk(); }
  void restore(node_index node, const model_disk& copy);
  void fail_disk(node_index node, int nth);
  void repair_disk(node_index node);
  void slow_disk(node_index node, std::int64_t commit_us);
  void speed_up_disk(node_index node);
  void jump_clock(node_index node, std::int64_t by_ms);
  void become(node_index node, std::uint32_t strategies);
  /// Of the view that the foremost honest node is in; none if no node runs.
  std::optional<node_index> leader() const;

  // clients
  void submit(node_index node, const operation& what) { first(node)->submit(what); }
  const model_disk& disk(node_index node) const { return first(node)->disk(); }
  std::uint64_t life(node_index node) const { return first(node)->life(); }
  // Only while it runs.
  consensus::snapshot look(node_index node) const { return first(node)->look(); }
  std::string why_not_quiet(node_index node) const {
    return first(node)->why_not_quiet(now_us(), settle_us);
  }

private:
  process* first(node_index node) const { return home_.by_node_[node].front(); }
  world& home_;
  std::map<node_index, process_traits> usual_; ///< of nodes whose disk is slow
};

} // namespace tallymesh::simulation
