#include "actors/contract_executor/execution_fetch.hpp"

#include <algorithm>

namespace tallymesh::contract_executor {

/// How often a source is asked again that does not answer: it may be slow and honest.
constexpr unsigned most_in_vain = 3;

std::vector<question> execution_fetch::begin(block_height height) {
  auto before = std::move(distrusted_);
  *this = execution_fetch(believed_);
  distrusted_ = std::move(before);
  height_ = height;
  return {{std::nullopt, {height_, digest_only}}};
}

std::optional<digest> execution_fetch::agreed() const {
  std::map<digest, std::size_t> votes;
  for (const auto& [node, said] : said_)
    if (++votes[said.what] >= believed_) return said.what;
  return std::nullopt;
}

execution_fetch::trust execution_fetch::trust_in(node_index node) const {
  const auto at = distrusted_.find(node);
  return at == distrusted_.end() ? trust::fine : at->second;
}

std::vector<question> execution_fetch::next_part() {
  return {{*source_, {height_, parts_.size()}}};
}

/// How much each of them says that it erased, ascending.
std::vector<std::uint32_t> execution_fetch::erased_by_those_who_say(const digest& what) const {
  std::vector<std::uint32_t> all;
  for (const auto& [node, said] : said_)
    if (said.what == what) all.push_back(said.erased);
  std::sort(all.begin(), all.end());
  return all;
}

/// Of those who say the digest that is believed and may be asked, one that is trusted most and
/// erased least.
std::vector<question> execution_fetch::next_source(bool hopes) {
  source_.reset();
  parts_.clear();
  total_bytes_ = 0;
  asked_in_vain_ = 0;
  const auto what = agreed();
  if (!what) return {};
  const auto erased = erased_by_those_who_say(*what);
  // Without the f who say most: so much or more was erased by one who is honest. Whoever says
  // more might hide rows while the honest ones are slow.
  const auto most_erased = erased[erased.size() - believed_];
  const auto rank = [&](node_index node) {
    return std::pair(trust_in(node), said_.at(node).erased);
  };
  for (const auto& [node, said] : said_)
    if (said.what == *what && said.erased <= most_erased && !useless_.contains(node)
        && (!source_ || rank(node) < rank(*source_)))
      source_ = node;
  // Of 2 f + 1 an honest one is among those who may be asked.
  if (source_ && hopes && trust_in(*source_) != trust::fine
      && erased.size() < 2 * believed_ - 1) {
    source_.reset();
    return {};
  }
  if (source_) {
    source_erased_ = said_.at(*source_).erased;
    return next_part();
  }
  useless_.clear(); // all failed once: from the first again, when asked to
  return {};
}

std::vector<question> execution_fetch::give_up(trust because) {
  auto& known = distrusted_[*source_];
  known = std::max(known, because);
  useless_.insert(*source_);
  return next_source(false);
}

std::vector<question> execution_fetch::retry() {
  if (!under_way() || found_) return {};
  if (source_ && ++asked_in_vain_ < most_in_vain) return next_part();
  auto out = source_ ? give_up(trust::silent) : next_source(false);
  if (out.empty()) out.push_back({std::nullopt, {height_, digest_only}});
  return out;
}

std::vector<question> execution_fetch::take(node_index from, const fetched_execution& x) {
  if (x.height != height_ || found_ || x.total_bytes == 0) return {};
  said_[from] = {x.execution, x.erased};
  if (!source_) return next_source(true);
  if (from != *source_ || x.part.empty() || x.offset != parts_.size()) return {};
  if (parts_.empty()) total_bytes_ = x.total_bytes;
  // What the node has may become shorter between two parts, when it erases: then from the
  // start, and it may be asked again.
  if (x.execution != agreed() || x.total_bytes != total_bytes_ || x.erased != source_erased_)
    return give_up(trust::fine);
  // Whole parts only: who sends a byte at a time could go on for years.
  const auto due =
      std::min<std::uint64_t>(total_bytes_ - parts_.size(), limits::max_execution_part_bytes);
  if (x.part.size() != due) return give_up(trust::liar);
  asked_in_vain_ = 0;
  parts_.insert(parts_.end(), x.part.begin(), x.part.end());
  if (parts_.size() < total_bytes_) return next_part();
  auto whole = decode<execution>(parts_);
  if (!whole || whole->height != height_ || execution_digest(*whole) != x.execution
      || erased_parts(*whole) > source_erased_)
    return give_up(trust::liar);
  distrusted_.erase(from);
  found_ = std::move(*whole);
  return {};
}

std::optional<execution> execution_fetch::found() {
  if (!found_) return std::nullopt;
  height_ = 0;
  return std::exchange(found_, std::nullopt);
}

fetched_execution answer_of(const fetch_execution& question, const digest& execution,
                            std::uint32_t erased, bytes_view encoded) {
  fetched_execution x{question.height, execution, erased, encoded.size(), 0, {}};
  x.offset = std::min<std::uint64_t>(question.offset, encoded.size());
  const auto size =
      std::min<std::uint64_t>(encoded.size() - x.offset, limits::max_execution_part_bytes);
  const auto part = encoded.subspan(x.offset, size);
  x.part.assign(part.begin(), part.end());
  return x;
}

// --- serving_queue

void serving_queue::fill(std::int64_t now_us) {
  const auto passed = std::max<std::int64_t>(now_us - at_us_.value_or(now_us), 0);
  at_us_ = now_us;
  // More than a full measure is never earned, so a long pause cannot overflow.
  constexpr auto second_us = 1'000'000;
  const auto until_full_us = (most_us - left_us_) * second_us / us_a_second + 1;
  left_us_ =
      std::min(most_us, left_us_ + std::min(passed, until_full_us) * us_a_second / second_us);
}

std::optional<std::pair<node_index, fetch_execution>> serving_queue::next(std::int64_t now_us) {
  fill(now_us);
  if (left_us_ <= 0 || asked_.empty()) return std::nullopt;
  auto at = asked_.upper_bound(served_);
  if (at == asked_.end()) at = asked_.begin();
  served_ = at->first;
  const std::pair<node_index, fetch_execution> turn(*at);
  asked_.erase(at);
  return turn;
}

void serving_queue::spent(std::int64_t us, std::int64_t now_us) {
  fill(now_us);
  left_us_ = std::max(left_us_ - std::max<std::int64_t>(us, 0), -most_us);
}

std::optional<std::int64_t> serving_queue::wait_us(std::int64_t now_us) {
  fill(now_us);
  if (asked_.empty()) return std::nullopt;
  return left_us_ > 0 ? 0 : (1 - left_us_) * 1'000'000 / us_a_second;
}

} // namespace tallymesh::contract_executor
