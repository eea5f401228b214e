#include "tests/simulation/witness.hpp"

#include <algorithm>

namespace tallymesh::simulation {

namespace {

/// A link with more is not heard; this counts some that the node does not look at.
constexpr std::uint64_t tolerated_bad_signatures = 7;
/// The mempool checks no more of a link that brought so many in that time.
constexpr std::size_t tolerated_forgeries = 8;
constexpr std::int64_t forgery_window_ms = 100;
constexpr std::uint64_t least_lane_window = 64; ///< places of a lane that every node listens to

} // namespace

offence offence_of(const evidence& x) {
  return {x.first.signer, x.first.kind == item_kind::batch, x.first.position};
}

bool witness::vouched(node_index from, bool good) {
  if (!good) ++bad_signatures_[from];
  return good;
}

bool witness::in_window(view_number view, view_number final_view) const {
  return view > final_view && view <= final_view + 4u * nodes_.size;
}

bool witness::is_by_its_leader(const block_ptr& x) const {
  return x->leader == nodes_.leader(x->content.view) && keys_.check(x->as_item());
}

void witness::received(const consensus::received& x, view_number final_view, bool trusted) {
  const auto good = [&](const certificate& each) {
    return trusted || vouched(x.from, verify(each, nodes_, keys_).has_value());
  };
  const auto heard = [&] { return bad_signatures_[x.from] <= tolerated_bad_signatures; };
  if (const auto* said = std::get_if<vote>(&x.message)) {
    const bool ballot = said->kind == item_kind::notarize || said->kind == item_kind::nullify
                        || said->kind == item_kind::finalize;
    if (ballot && said->signer < nodes_.size
        && (said->kind == item_kind::nullify) == said->what.is_zero()
        && vouched(x.from, keys_.check(*said)) && heard()
        && in_window(said->position, final_view))
      show(*said);
  } else if (const auto* made = std::get_if<proposal>(&x.message)) {
    bool all_good = vouched(x.from, is_by_its_leader(made->block));
    for (const auto& each : made->justification)
      all_good = good(each) && all_good;
    if (all_good && heard() && made->justification.size() <= limits::max_justification
        && made->block->content.epoch == nodes_.epoch
        && in_window(made->block->content.view, final_view))
      show(made->block->as_item());
  } else if (const auto* held = std::get_if<certificate>(&x.message)) {
    good(*held);
  } else if (const auto* answer = std::get_if<fetched_block>(&x.message)) {
    vouched(x.from, is_by_its_leader(answer->block));
  } else if (const auto* range = std::get_if<fetched_range>(&x.message)) {
    good(range->finalization);
    for (const auto& each : range->blocks)
      vouched(x.from, trusted || is_by_its_leader(each));
  } else if (const auto* attested = std::get_if<attestation>(&x.message)) {
    vouched(x.from, keys_.check(attested->item));
  }
}

/// The node took it: so it saw the votes in it.
void witness::stored(const certificate& x) {
  for (const auto& [signer, signed_by] : x.votes)
    show({x.kind, signer, x.view, x.block, signed_by});
}

void witness::show(const signed_item& x) {
  auto& known = shown_[place_of(x)];
  if (std::find(known.begin(), known.end(), x) != known.end()) return;
  for (const auto& each : known)
    if (contradicts(each, x)) due_.push_back({each, x});
  known.push_back(x);
}

/// Before `x`, which is counted for those that follow. A node may not have looked at some.
std::size_t witness::forged_lately(const mempool::received& x, std::int64_t now_ms) {
  auto& lately = forged_ms_[x.from];
  std::erase_if(lately, [&](auto at_ms) { return now_ms - at_ms >= forgery_window_ms; });
  const auto before = lately.size();
  const auto look_at = [&](const signed_item& each) {
    if (!keys_.check(each)) lately.push_back(now_ms);
  };
  if (const auto* said = std::get_if<batch_message>(&x.message))
    look_at(said->batch->as_item());
  if (const auto* answer = std::get_if<fetched_batches>(&x.message))
    for (const auto& each : answer->batches)
      look_at(each->as_item());
  if (const auto* proof = std::get_if<fork_evidence>(&x.message)) {
    look_at(proof->what.first);
    look_at(proof->what.second);
  }
  return before;
}

void witness::received(const mempool::received& x, const full_cut& final_cut,
                       std::size_t most_bytes, const model_disk& disk, std::int64_t now_ms) {
  if (forged_lately(x, now_ms) >= tolerated_forgeries) return;
  if (const auto* said = std::get_if<batch_message>(&x.message))
    show(said->batch, final_cut, most_bytes, disk);
}

/// Beside a batch that the node has stored, and that descends from what is final.
void witness::show(const batch_ptr& x, const full_cut& final_cut, std::size_t most_bytes,
                   const model_disk& disk) {
  const auto& content = x->content;
  if (content.lane >= nodes_.size || content.epoch != nodes_.epoch
      || x->full_bytes > most_bytes)
    return;
  const auto& base = final_cut[content.lane];
  if (content.seq <= base.seq || content.seq > base.seq + least_lane_window || disk.find(x->id))
    return;
  const auto rivals = disk.at_place(content.lane, content.seq);
  if (rivals.size() != 1 || !keys_.check(x->as_item())) return;
  auto below = rivals.front()->content.parent;
  for (auto seq = content.seq - 1; seq > base.seq; --seq) {
    const auto* held = disk.find(below);
    if (!held) return;
    below = (*held)->content.parent;
  }
  if (below == base.batch) due_.push_back({rivals.front()->as_item(), x->as_item()});
}

std::optional<evidence> witness::unreported(const std::function<view_number()>& final_view) {
  for (const auto& each : std::exchange(due_, {})) {
    const auto what = offence_of(each);
    if (observed_.contains(what)) continue;
    if (!what.of_lane && what.position <= final_view()) continue;
    return each;
  }
  return std::nullopt;
}

void witness::forget() {
  shown_.clear();
  observed_.clear();
  due_.clear();
  bad_signatures_.clear();
  forged_ms_.clear();
}

} // namespace tallymesh::simulation
