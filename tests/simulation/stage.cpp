#include "tests/simulation/stage.hpp"

namespace tallymesh::simulation {

void stage::cut(node_index from, node_index to) {
  ++home_.link_of(from, to).cuts;
  home_.check_link(from, to);
}

void stage::mend(node_index from, node_index to) {
  auto& way = home_.link_of(from, to);
  if (way.cuts == 0) return; // healed meanwhile
  --way.cuts;
  home_.check_link(from, to);
}

void stage::set_line(node_index from, node_index to, const std::optional<quality>& how) {
  auto& way = home_.link_of(from, to);
  way.own.reset();
  way.bytes_per_s = 0;
  if (!how) return;
  way.own.emplace();
  way.own->min_us = how->least_us;
  way.own->max_us = how->most_us;
  way.own->lost = how->lost;
  way.own->duplicated = how->duplicated;
  way.bytes_per_s = how->bytes_per_s;
}

void stage::kill(node_index node) {
  for (auto* each : home_.by_node_[node])
    each->crash();
}

void stage::start(node_index node) {
  for (auto* each : home_.by_node_[node])
    home_.start(*each);
}

void stage::stop(node_index node) {
  for (auto* each : home_.by_node_[node])
    if (each->running()) home_.frozen_.try_emplace(each);
}

void stage::carry_on(node_index node) {
  for (auto* each : home_.by_node_[node]) {
    auto held = home_.frozen_.extract(each);
    if (held.empty()) continue;
    for (auto& what : held.mapped())
      home_.at(home_.now_us_, each, std::move(what));
  }
}

void stage::crash_at_persist(node_index node, int nth, bool before) {
  if (before)
    first(node)->fail_stores(nth);
  else
    first(node)->arm_crash(nth, 0);
}

void stage::crash_at_send(node_index node, int nth, bool before) {
  first(node)->arm_crash_at_send(before ? nth - 1 : nth);
}

void stage::lose_vote_log(node_index node) {
  kill(node);
  home_.count(fault::lost_vote_log);
  first(node)->disk().lose_vote_log();
  home_.checker_.lost_vote_log(node);
}

void stage::restore(node_index node, const model_disk& copy) {
  kill(node);
  home_.count(fault::lost_vote_log);
  first(node)->put_back(copy);
  home_.checker_.put_back(node, first(node)->disk(), [this, node](const digest& batch) {
    return std::ranges::any_of(home_.processes_, [&](const auto& each) {
      return each->honest() && each->node() != node && each->disk().find(batch);
    });
  });
}

void stage::fail_disk(node_index node, int nth) { first(node)->fail_stores(nth); }
void stage::repair_disk(node_index node) { first(node)->repair_disk(); }

void stage::slow_disk(node_index node, std::int64_t commit_us) {
  auto& traits = first(node)->traits();
  usual_.try_emplace(node, traits);
  traits.group_commits = true;
  traits.commit_us = commit_us;
}

void stage::speed_up_disk(node_index node) {
  const auto usual = usual_.extract(node);
  if (usual.empty()) return;
  first(node)->traits().group_commits = usual.mapped().group_commits;
  first(node)->traits().commit_us = usual.mapped().commit_us;
}

void stage::jump_clock(node_index node, std::int64_t by_ms) {
  for (auto* each : home_.by_node_[node])
    each->traits().wall_offset_ms += by_ms;
}

void stage::become(node_index node, std::uint32_t strategies) {
  home_.adversary_->take_up(node, strategies);
  if ((strategies & strategy::twins) == 0) return;
  // The second instance begins with what the first one has stored.
  for (auto* each : home_.by_node_[node]) {
    if (!each->dormant) continue;
    each->dormant = false;
    each->disk() = first(node)->disk();
    home_.start(*each);
  }
}

std::optional<node_index> stage::leader() const {
  std::optional<node_index> found;
  view_number highest = 0;
  for (const auto& each : home_.processes_) {
    if (!each->running() || !each->honest()) continue;
    const auto now = each->look();
    if (!found || now.frontier > highest) found = now.leader, highest = now.frontier;
  }
  return found;
}

} // namespace tallymesh::simulation
