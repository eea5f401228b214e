#include "actors/steward/machine.hpp"

#include <algorithm>

namespace tallymesh::steward {

operation_id id_of(const digest& chain, node_index self, const owed& what,
                   std::uint32_t attempt) {
  const std::uint8_t numbers[] = {
      static_cast<std::uint8_t>(self),          static_cast<std::uint8_t>(self >> 8),
      static_cast<std::uint8_t>(attempt),       static_cast<std::uint8_t>(attempt >> 8),
      static_cast<std::uint8_t>(attempt >> 16), static_cast<std::uint8_t>(attempt >> 24)};
  const auto sum =
      hash(digest_kind::record, {as_bytes("steward"), chain.raw, as_bytes(what.contract),
                                 as_bytes(what.action), as_bytes(what.purpose), numbers});
  operation_id id;
  std::copy_n(sum.raw.begin(), id.raw.size(), id.raw.begin());
  return id;
}

/// Refusals that say nothing against the operation itself.
static bool passes(outcome why) {
  return why == outcome::expired || why == outcome::block_full;
}

std::int64_t machine::rest_after(std::uint32_t attempt) const {
  return std::min(set_.retry_ms << std::min(attempt, 16u), set_.longest_rest_ms);
}

std::optional<operation_id> machine::next_id(const owed& what, const fate& known,
                                             std::int64_t now_ms) {
  for (std::uint32_t attempt = 0;; ++attempt) {
    const auto id = id_of(set_.chain, set_.self, what, attempt);
    const auto at = under_way_.find(id);
    if (at != under_way_.end() && at->second > now_ms) return std::nullopt;
    if (hopeless_.contains(id)) return std::nullopt;
    const auto came = known(id);
    if (!came && (attempt == 0 || at != under_way_.end())) return id;
    if (!came) { // the one before was refused since the last look
      if (under_way_.size() < set_.at_once) under_way_[id] = now_ms + rest_after(attempt - 1);
      return std::nullopt;
    }
    if (came->ok()) return std::nullopt; // the duty looked before it was stored
    if (passes(came->result)) continue;
    hopeless_.insert(id);
    given_up_.emplace_back(what.contract + "." + what.action + " for " + what.purpose, *came);
    return std::nullopt;
  }
}

std::vector<operation> machine::take(const std::vector<owed>& all, const fate& known,
                                     std::int64_t now_ms) {
  std::vector<operation> out;
  for (const auto& each : all) {
    const auto id = next_id(each, known, now_ms);
    if (!id) continue;
    if (!under_way_.contains(*id) && under_way_.size() >= set_.at_once) break;
    under_way_[*id] = now_ms + set_.patience_ms;
    out.push_back({.id = *id,
                   .contract = each.contract,
                   .action = each.action,
                   .arguments = each.arguments,
                   .author = set_.account,
                   .valid_until_ms = now_ms + set_.valid_ms});
  }
  return out;
}

void machine::answered(const std::vector<operation_id>& ids,
                       const std::vector<mempool::admission>& verdicts, std::int64_t now_ms) {
  for (std::size_t i = 0; i < ids.size() && i < verdicts.size(); ++i)
    if (const auto at = under_way_.find(ids[i]); at != under_way_.end()
                                                 && verdicts[i] != mempool::admission::accepted
                                                 && verdicts[i] != mempool::admission::known)
      at->second = now_ms + set_.retry_ms;
}

bool machine::executed(const execution& x) {
  bool refused = false;
  for (const auto& each : x.receipts)
    if (each.lane == set_.self && under_way_.erase(each.id) > 0) refused |= !each.ok();
  return refused;
}

void machine::forget_stale(std::int64_t now_ms) {
  std::erase_if(under_way_, [&](const auto& each) { return each.second <= now_ms; });
}

std::optional<std::int64_t> machine::look_at_ms() const {
  std::optional<std::int64_t> first;
  for (const auto& [id, until] : under_way_)
    first = std::min(first.value_or(until), until);
  return first;
}

std::vector<std::pair<std::string, receipt>> machine::take_given_up() {
  return std::exchange(given_up_, {});
}

} // namespace tallymesh::steward
