#include "actors/gateway/waiting_room.hpp"

#include "messages/encoding.hpp"

namespace tallymesh::gateway {

using stage = waiting_line::stage;

static bool settled(const waiting_line& x, wait_for until) {
  return x.now == stage::refused || x.now == stage::finalized
         || (until == wait_for::accepted && x.now == stage::accepted);
}

bool waiting_room::enter(const waiting_ptr& who, bool& earliest) {
  const std::lock_guard lock(mutex_);
  who->open = 0;
  for (const auto& line : who->lines)
    if (!settled(line, who->until)) ++who->open;
  if (who->open > max_operations_ - operations_) return false;
  operations_ += who->open;
  for (std::size_t i = 0; i < who->lines.size(); ++i)
    if (!settled(who->lines[i], who->until))
      by_id_.emplace(who->lines[i].id, std::pair(who, i));
  const auto at = by_deadline_.emplace(who->deadline, who);
  earliest = at == by_deadline_.begin();
  who->in_room = true;
  return true;
}

void waiting_room::finish_line(waiting_request& who) {
  --who.open;
  --operations_;
}

void waiting_room::keep(waiting_request& who, waiting_line& line, const receipt& what) const {
  line.now = stage::finalized;
  line.executed = what;
  if (!who.many || what.events.empty()) return;
  if (who.event_bytes > max_event_bytes_) {
    line.events_left_out = what.events.size();
    line.executed->events.clear();
    return;
  }
  for (const auto& each : what.events)
    who.event_bytes += each.name.size() + encode(each.what).size();
}

void waiting_room::leave(const waiting_ptr& who) {
  who->in_room = false;
  operations_ -= who->open;
  for (std::size_t i = 0; i < who->lines.size(); ++i) {
    const auto [from, to] = by_id_.equal_range(who->lines[i].id);
    for (auto at = from; at != to;)
      at = at->second.first == who ? by_id_.erase(at) : std::next(at);
  }
  const auto [from, to] = by_deadline_.equal_range(who->deadline);
  for (auto at = from; at != to; ++at)
    if (at->second == who) {
      by_deadline_.erase(at);
      break;
    }
}

bool waiting_room::admitted(const waiting_ptr& who, const std::vector<std::size_t>& lines,
                            const std::vector<admission>& verdicts) {
  const std::lock_guard lock(mutex_);
  if (!who->in_room) return false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto& line = who->lines[lines[i]];
    if (line.now != stage::submitted) continue; // its receipt was quicker
    const auto verdict = i < verdicts.size() ? verdicts[i] : admission::overloaded;
    if (verdict == admission::accepted || verdict == admission::known) {
      line.now = stage::accepted;
    } else {
      line.now = stage::refused;
      line.refused = verdict == admission::too_large
                         ? refuse_as(errc::too_large, "no batch can hold this operation")
                         : refuse_as(errc::overloaded, "the node is busy; send it again later");
    }
    if (settled(line, who->until)) finish_line(*who);
  }
  if (who->open > 0) return false;
  leave(who);
  return true;
}

bool waiting_room::executed(const waiting_ptr& who, std::size_t index, const receipt& what) {
  const std::lock_guard lock(mutex_);
  if (!who->in_room) return false;
  auto& line = who->lines[index];
  const bool was_settled = settled(line, who->until);
  keep(*who, line, what);
  if (!was_settled) finish_line(*who);
  if (who->open > 0) return false;
  leave(who);
  return true;
}

std::vector<waiting_ptr> waiting_room::executed(node_index own_lane,
                                                const std::vector<receipt>& receipts) {
  std::vector<waiting_ptr> complete;
  const std::lock_guard lock(mutex_);
  for (const auto& what : receipts) {
    if (by_id_.empty()) break;
    // Taken out first: a request that completes here removes its own entries.
    std::vector<std::pair<waiting_ptr, std::size_t>> waiting;
    const auto [from, to] = by_id_.equal_range(what.id);
    for (auto at = from; at != to;) {
      if (what.lane != own_lane && !at->second.first->read_only) {
        ++at;
        continue;
      }
      waiting.push_back(std::move(at->second));
      at = by_id_.erase(at);
    }
    for (const auto& [who, index] : waiting) {
      auto& line = who->lines[index];
      if (!settled(line, who->until)) finish_line(*who);
      keep(*who, line, what);
      if (who->open > 0 || !who->in_room) continue;
      leave(who);
      complete.push_back(who);
    }
  }
  return complete;
}

std::vector<waiting_ptr> waiting_room::expire(time_point now) {
  std::vector<waiting_ptr> out;
  const std::lock_guard lock(mutex_);
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    out.push_back(by_deadline_.begin()->second);
    leave(out.back());
  }
  return out;
}

std::optional<waiting_room::time_point> waiting_room::next_deadline() const {
  const std::lock_guard lock(mutex_);
  if (by_deadline_.empty()) return std::nullopt;
  return by_deadline_.begin()->first;
}

bool waiting_room::empty() const {
  const std::lock_guard lock(mutex_);
  return by_deadline_.empty();
}

std::size_t waiting_room::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

} // namespace tallymesh::gateway
