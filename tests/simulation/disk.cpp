#include "tests/simulation/disk.hpp"

#include "messages/receipt.hpp"

#include <algorithm>

namespace tallymesh::simulation {

full_cut extend(full_cut below, const std::vector<lane_tip>& changes) {
  for (const auto& tip : changes)
    if (tip.lane < below.size()) below[tip.lane] = tip;
  return below;
}

full_cut empty_cut(std::uint16_t lanes) {
  full_cut cut(lanes);
  for (node_index lane = 0; lane < lanes; ++lane)
    cut[lane].lane = lane;
  return cut;
}

model_disk::model_disk(const signing_domain& domain, std::uint16_t nodes) {
  ledger_.push_back({genesis_block(domain),
                     empty_cut(nodes),
                     std::nullopt,
                     genesis_execution(domain.chain),
                     {}});
}

void model_disk::commit(const std::vector<consensus::record>& records) {
  records_.insert(records_.end(), records.begin(), records.end());
}

void model_disk::commit(const std::vector<batch_ptr>& batches) {
  for (const auto& batch : batches)
    if (by_digest_.emplace(batch->id, batch).second) batches_.push_back(batch);
}

result<digest> model_disk::execute(const block_ptr& block, const full_cut& cut,
                                   const std::optional<certificate>& finalization) {
  const auto& before = ledger_.back();
  bytes ran;
  std::vector<operation_id> ids;
  std::vector<batch_ptr> lane;
  for (const auto& tip : block->content.cut) {
    lane.clear();
    auto wanted = tip.batch;
    for (auto seq = tip.seq; seq > before.cut[tip.lane].seq; --seq) {
      const auto found = by_digest_.find(wanted);
      if (found == by_digest_.end() || found->second->content.seq != seq
          || found->second->content.lane != tip.lane)
        return make_error(errc::not_found, "batch " + std::to_string(tip.lane) + "/"
                                               + std::to_string(seq) + " "
                                               + wanted.short_hex());
      lane.push_back(found->second);
      wanted = found->second->content.parent;
    }
    if (wanted != before.cut[tip.lane].batch)
      return make_error(errc::conflict, "lane " + std::to_string(tip.lane)
                                            + " does not link to the cut before");
    for (auto next = lane.rbegin(); next != lane.rend(); ++next)
      for (const auto& each : (*next)->content.operations)
        if (executed_.insert(each.id).second) {
          ran.insert(ran.end(), each.id.raw.begin(), each.id.raw.end());
          ids.push_back(each.id);
        }
  }
  const auto execution =
      hash(digest_kind::execution, {before.execution.raw, block->id.raw, ran});
  ledger_.push_back({block, cut, finalization, execution, std::move(ids)});
  return execution;
}

static view_number view_of(const consensus::record& record) {
  if (const auto* x = std::get_if<vote>(&record)) return x->position;
  if (const auto* x = std::get_if<consensus::own_proposal>(&record))
    return x->block->content.view;
  if (const auto* x = std::get_if<consensus::kept_block>(&record))
    return x->block->content.view;
  return std::get<certificate>(record).view;
}

void model_disk::forget_votes_through(view_number view) {
  std::erase_if(records_, [&](const auto& each) { return view_of(each) <= view; });
}

void model_disk::lose_vote_log() {
  records_.clear();
  vote_log_lost_ = true;
}

consensus::recovered model_disk::recover_agreement() const {
  const auto& last = ledger_.back();
  auto in_order = records_; // as the vote log has them: by view, then by kind
  std::stable_sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return std::pair{view_of(a), a.index()} < std::pair{view_of(b), b.index()};
  });
  return {{last.block, last.cut, last.execution, last.finalization}, in_order, vote_log_lost_};
}

mempool::recovered model_disk::recover_lanes() const {
  mempool::recovered found;
  found.final_cut = ledger_.back().cut;
  found.own_lane_in_doubt = vote_log_lost_;
  for (const auto& batch : batches_)
    if (batch->content.seq > found.final_cut[batch->content.lane].seq)
      found.stored.push_back({batch->tip(), batch->content.parent, batch->body.size(),
                              batch->content.operations.size(), batch->signed_by});
  return found;
}

std::optional<fetched_range> model_disk::read_range(block_height from,
                                                    std::size_t max_blocks) const {
  if (from == 0 || from >= ledger_.size()) return std::nullopt;
  // Up to the last finalization within the limit; beyond it only if there is none within.
  std::size_t end = 0;
  for (std::size_t height = from; height < ledger_.size(); ++height) {
    if (end != 0 && height >= from + max_blocks) break;
    if (ledger_[height].finalization) end = height + 1;
  }
  if (end == 0) return std::nullopt;
  fetched_range answer;
  for (std::size_t height = from; height < end; ++height)
    answer.blocks.push_back(ledger_[height].block);
  answer.finalization = *ledger_[end - 1].finalization;
  return answer;
}

fetched_batches model_disk::read_batches(const fetch_batches& request,
                                         std::size_t max_batches) const {
  fetched_batches answer;
  auto wanted = request.tip.batch;
  while (answer.batches.size() < max_batches) {
    const auto found = by_digest_.find(wanted);
    if (found == by_digest_.end() || found->second->content.seq <= request.after_seq) break;
    answer.batches.push_back(found->second);
    wanted = found->second->content.parent;
  }
  return answer;
}

const batch_ptr* model_disk::find(const digest& batch) const {
  const auto found = by_digest_.find(batch);
  return found == by_digest_.end() ? nullptr : &found->second;
}

std::vector<batch_ptr> model_disk::batches_of(node_index lane) const {
  std::vector<batch_ptr> found;
  for (const auto& each : batches_)
    if (each->content.lane == lane) found.push_back(each);
  return found;
}

std::vector<batch_ptr> model_disk::at_place(node_index lane, std::uint64_t seq) const {
  std::vector<batch_ptr> found;
  for (const auto& each : batches_)
    if (each->content.lane == lane && each->content.seq == seq) found.push_back(each);
  return found;
}

bool model_disk::holds_chain(const lane_tip& tip, std::uint64_t after_seq) const {
  auto wanted = tip.batch;
  for (auto seq = tip.seq; seq > after_seq; --seq) {
    const auto found = by_digest_.find(wanted);
    if (found == by_digest_.end()) return false;
    wanted = found->second->content.parent;
  }
  return true;
}

} // namespace tallymesh::simulation
