// What befalls a mesh before it is healed. Part of a world; the seed's plan decides.
#include "tests/simulation/world.hpp"

namespace tallymesh::simulation {

void world::plan_faults() {
  const auto total = plan_.pick(std::vector<std::int64_t>{0, 2, 6, 12, 25});
  for (std::int64_t i = 0; i < total; ++i)
    at(plan_.between(100'000, heal_us_), nullptr, action{[this] { inject(); }});
}

void world::inject() {
  if (healed_) return;
  switch (plan_.below(12)) {
  case 0:
    return break_partition(false);
  case 1:
    return break_partition(true);
  case 2:
    return isolate();
  case 3:
  case 4:
    return crash_one();
  case 5:
    return crash_all();
  case 6:
  case 7:
  case 8:
    return arm_crash();
  case 9:
    return crash_on_certificate();
  case 10:
    return jump_clock();
  default:
    return slow_disk();
  }
}

// --- the network

void world::cut(const std::vector<std::pair<node_index, node_index>>& ways,
                std::int64_t for_us) {
  for (const auto& [from, to] : ways) {
    ++link_of(from, to).cuts;
    check_link(from, to);
  }
  after(for_us, [=, this] {
    if (healed_) return;
    for (const auto& [from, to] : ways) {
      --link_of(from, to).cuts;
      check_link(from, to);
    }
  });
}

void world::break_partition(bool one_way) {
  count(one_way ? fault::one_way_partition : fault::partition);
  std::vector<bool> side(nodes_.size);
  for (std::size_t i = 0; i < side.size(); ++i)
    side[i] = plan_.chance(500);
  std::vector<std::pair<node_index, node_index>> ways;
  for (node_index from = 0; from < nodes_.size; ++from)
    for (node_index to = 0; to < nodes_.size; ++to)
      if (side[from] != side[to] && (!one_way || side[from])) ways.emplace_back(from, to);
  const auto for_us = std::min(plan_.between(50'000, 8'000'000), heal_us_ - now_us_);
  note(nullptr, [&] {
    std::string text = one_way ? "one-way partition, from:" : "partition:";
    for (std::size_t i = 0; i < side.size(); ++i)
      if (side[i]) text += " n" + std::to_string(i);
    return text + " for " + std::to_string(for_us / 1000) + " ms";
  });
  cut(ways, for_us);
}

void world::isolate() {
  count(fault::isolated_node);
  const auto node = static_cast<node_index>(plan_.below(nodes_.size));
  std::vector<std::pair<node_index, node_index>> ways;
  for (node_index peer = 0; peer < nodes_.size; ++peer)
    if (peer != node) ways.emplace_back(node, peer), ways.emplace_back(peer, node);
  const auto for_us = std::min(plan_.between(50'000, 8'000'000), heal_us_ - now_us_);
  note(nullptr, [&] {
    return "n" + std::to_string(node) + " is cut off for " + std::to_string(for_us / 1000)
           + " ms";
  });
  cut(ways, for_us);
}

// --- crashes

process* world::pick_running() {
  std::vector<process*> running;
  for (const auto& each : processes_)
    if (each->running() && each->honest()) running.push_back(each.get());
  return running.empty() ? nullptr : plan_.pick(running);
}

void world::restart_later(process& who, std::int64_t at_most_us) {
  const auto delay_us = std::min(plan_.between(20'000, at_most_us),
                                 std::max<std::int64_t>(heal_us_ - now_us_, 1));
  if (amnesiacs_.contains(who.node()) && plan_.chance(500)) {
    count(fault::lost_vote_log);
    who.disk().lose_vote_log();
    checker_.lost_vote_log(who.node());
  }
  after(delay_us, [this, &who] { start(who); });
}

void world::crash_one() {
  if (auto* who = pick_running()) {
    count(fault::crash);
    who->crash();
  }
}

void world::crash_all() {
  count(fault::mesh_crash);
  note(nullptr, [] { return std::string("the whole mesh loses power"); });
  for (const auto& each : processes_)
    if (each->running() && each->honest()) each->crash();
}

/// Right after a commit: what was stored is there, what should follow was not sent, or to some.
void world::arm_crash() {
  if (auto* who = pick_running()) {
    who->arm_crash(static_cast<int>(plan_.between(1, 6)),
                   static_cast<int>(plan_.below(nodes_.size + 1u)));
  }
}

/// All nodes, in the middle of work: each after its next commits.
void world::crash_on_certificate() {
  count(fault::mesh_crash);
  for (const auto& each : processes_)
    if (each->running() && each->honest()) {
      each->arm_crash(static_cast<int>(plan_.between(1, 3)),
                      static_cast<int>(plan_.below(nodes_.size)));
    }
}

// --- clocks and disks

/// One clock at a time may be hours off: more would be more faulty nodes than the mesh bears.
void world::jump_clock() {
  auto* who = pick_running();
  if (!who || clock_is_off_) return;
  count(fault::clock_jump);
  clock_is_off_ = true;
  auto& offset = who->traits().wall_offset_ms;
  const auto before = offset;
  offset = plan_.between(-4'000'000, 4'000'000);
  note(who, [&] {
    return "its clock jumps to " + std::to_string(who->traits().wall_offset_ms) + " ms off";
  });
  after(plan_.between(100'000, 2'000'000), [this, who, before] {
    who->traits().wall_offset_ms = before;
    clock_is_off_ = false;
  });
}

void world::slow_disk() {
  if (auto* who = pick_running()) {
    count(fault::slow_disk);
    const auto before = who->traits();
    who->traits().group_commits = true;
    who->traits().commit_us = plan_.between(50'000, 800'000);
    after(plan_.between(500'000, 5'000'000), [who, before] {
      who->traits().group_commits = before.group_commits;
      who->traits().commit_us = before.commit_us;
    });
  }
}

void world::heal() {
  healed_ = true;
  note(nullptr, [] { return std::string("healed: every line is good, every node runs"); });
  line_ = {500, plan_.between(1'000, 20'000), 0, 0, 0, 0};
  if (options_.benign_faults && plan_.chance(300)) line_.lost = 10;
  for (auto& each : links_) {
    each.cuts = 0;
    each.own.reset();
    each.bytes_per_s = 0;
  }
  for (const auto& each : processes_) {
    each->disarm();
    start(*each);
  }
  for (node_index a = 0; a < nodes_.size; ++a)
    for (node_index b = 0; b < a; ++b)
      check_link(a, b);
  judge();
}

} // namespace tallymesh::simulation
