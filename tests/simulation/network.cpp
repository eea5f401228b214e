// The network between the nodes: lines with delay and loss, links that go up and down as TCP
// connections do. Part of a world.
#include "tests/simulation/world.hpp"

namespace tallymesh::simulation {

process* world::process_at(node_index node, node_index seen_from) {
  const auto& there = by_node_[node];
  if (there.size() == 1) return there[0];
  return there[adversary_->side(node, seen_from) ? 0 : 1];
}

bool world::runs(node_index node) const {
  for (const auto* each : by_node_[node])
    if (each->running()) return true;
  return false;
}

bool world::connected(node_index a, node_index b) {
  return runs(a) && runs(b) && link_of(a, b).cuts == 0 && link_of(b, a).cuts == 0;
}

void world::transmit(process& from, node_index to, const parcel_ptr& what) {
  if (to >= nodes_.size || to == from.node())
    return checker_.report(from.node(), "messages go to peers",
                           "to n" + std::to_string(to) + ": " + describe(what->content));
  if (from.honest())
    post(from.node(), to, what);
  else
    adversary_->outgoing(from.node(), from.side_a, to, what);
}

void world::post(node_index from, node_index to, const parcel_ptr& what, bool promptly) {
  auto& way = link_of(from, to);
  if (!way.up) return; // a node drops what it says to a peer whose link is down
  const auto& line = way.own ? *way.own : line_;
  if (way.cuts > 0 || (net_.chance(line.lost) && !promptly)) return count(fault::message_lost);
  const int copies = net_.chance(line.duplicated) ? 2 : 1;
  if (copies == 2) count(fault::message_duplicated);
  for (int i = 0; i < copies; ++i) {
    auto delay_us = promptly ? net_.between(50, 1000) : net_.between(line.min_us, line.max_us);
    if (!promptly && net_.chance(line.spiked)) {
      count(fault::message_delayed);
      delay_us += net_.between(0, line.spike_us);
    }
    if (way.bytes_per_s > 0) delay_us += send_time_us(way, what);
    if (!healed_ || (adversary_->active() && !checker_.is_honest(from)))
      untrue_until_us_ = std::max(untrue_until_us_, now_us_ + delay_us);
    at(now_us_ + delay_us, process_at(to, from), incoming{from, what});
  }
}

/// On a line with a rate a message waits for those before it.
std::int64_t world::send_time_us(link& way, const parcel_ptr& what) {
  const auto bytes = make_frame(what->content).size();
  way.busy_until_us = std::max(way.busy_until_us, now_us_)
                      + static_cast<std::int64_t>(bytes * 1'000'000 / way.bytes_per_s);
  return way.busy_until_us - now_us_;
}

void world::start(process& who) {
  if (who.running() || who.dormant || over()) return;
  who.start();
  for (node_index peer = 0; peer < nodes_.size; ++peer)
    if (peer != who.node()) check_link(who.node(), peer);
}

/// A closed process closes its connections; its peers notice soon.
void world::crashed(process& who) {
  const auto node = who.node();
  frozen_.erase(&who);
  for (node_index peer = 0; peer < nodes_.size; ++peer) {
    if (peer == node) continue;
    link_of(node, peer).up = false;
    check_link(node, peer);
  }
  if (!options_.directed) restart_later(who, plan_.chance(500) ? 300'000 : 4'000'000);
}

/// After whatever may have changed it: both ends notice a little later.
void world::check_link(node_index a, node_index b) {
  const bool alive = connected(a, b);
  const auto delay_us = alive ? net_.between(500, 200'000) : net_.between(5'000, 3'000'000);
  after(delay_us, [=, this] { settle_link(a, b); });
}

void world::settle_link(node_index a, node_index b) {
  const bool now = connected(a, b);
  auto& there = link_of(a, b);
  auto& back = link_of(b, a);
  if (now && there.up && back.up) return;
  if (there.up) tell_link(a, b, false);
  if (back.up) tell_link(b, a, false);
  if (!now || !connected(a, b)) return;
  tell_link(a, b, true);
  tell_link(b, a, true);
}

void world::tell_link(node_index node, node_index peer, bool up) {
  link_of(node, peer).up = up;
  for (auto* each : by_node_[node]) {
    if (!each->running()) continue;
    if (const auto held = frozen_.find(each); held != frozen_.end())
      held->second.push_back(action{[=] { each->link_changed(peer, up); }});
    else
      each->link_changed(peer, up);
  }
}

} // namespace tallymesh::simulation
