// What a person who looks into the mempool sees: machine::describe. Apart from the rules, which
// it only reads.
#include "actors/mempool/machine.hpp"
#include "messages/introspection.hpp"

namespace tallymesh::mempool {

using introspection::number;

value_map machine::describe(std::int64_t now_ms) const {
  value_map out;
  const auto seen = look();
  put(out, "queued_operations", number(seen.queued_operations));
  put(out, "queued_bytes", number(seen.queued_bytes));
  put(out, "most_queued_operations", number(set_.queue_operations));
  put(out, "most_queued_bytes", number(set_.queue_bytes));
  put(out, "oldest_queued_ms", number(queue_.empty() ? 0 : now_ms - queue_.front().since_ms));
  put(out, "own_unfinal_batches", number(seen.own_unfinal_batches));
  put(out, "lane_window", number(set_.lane_window));
  put(out, "missing", number(seen.missing));
  put(out, "fetches", number(fetches_.size()));
  put(out, "wants", number(seen.wants));
  put(out, "held_bytes", number(seen.held_bytes));
  put(out, "dropped", number(seen.dropped));
  put(out, "evidence", number(seen.evidence));
  put(out, "own_lane_in_doubt", own_lane_in_doubt_);
  put(out, "self", number(set_.keys.self));
  value_list lanes;
  for (std::size_t i = 0; i < seen.lanes.size(); ++i) {
    value_map lane;
    put(lane, "node", number(i));
    put(lane, "stored", number(seen.lanes[i].stored.seq));
    put(lane, "available", number(seen.lanes[i].available.seq));
    put(lane, "final", number(seen.lanes[i].final_tip.seq));
    put(lane, "forked", seen.lanes[i].forked);
    value_list supports;
    for (const auto& claim : lanes_[i].peers)
      supports.push_back(number(claim.supports));
    put(lane, "stored_by", std::move(supports));
    lanes.emplace_back(std::move(lane));
  }
  put(out, "lanes", std::move(lanes));
  return out;
}

bool machine::waits(const operation_id& id) const { return waiting_.contains(id); }

} // namespace tallymesh::mempool
