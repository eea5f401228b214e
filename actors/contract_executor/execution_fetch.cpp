#include "actors/contract_executor/execution_fetch.hpp"

#include "contracts/zero_sum.hpp"

#include <algorithm>

namespace tallymesh::contract_executor {

/// How often a source is asked again that does not answer: it may be slow and honest.
constexpr unsigned most_in_vain = 3;

/// What was erased in `x` and not in `other`. Both have one digest, so nothing else differs.
static void fill(execution& x, execution other) {
  TALLYMESH_INVARIANT(x.receipts.size() == other.receipts.size()
                      && x.changes.size() == other.changes.size());
  for (std::size_t i = 0; i < x.receipts.size(); ++i) {
    auto &mine = x.receipts[i], &theirs = other.receipts[i];
    if (mine.events_erased && !theirs.events_erased) {
      mine.events = std::move(theirs.events);
      mine.events_erased.reset();
    }
  }
  for (std::size_t i = 0; i < x.changes.size(); ++i) {
    auto &mine = x.changes[i], &theirs = other.changes[i];
    if (mine.before_erased && !theirs.before_erased) {
      mine.before = std::move(theirs.before);
      mine.before_erased.reset();
    }
    if (mine.after_erased && !theirs.after_erased) {
      mine.after = std::move(theirs.after);
      mine.after_erased.reset();
    }
  }
}

std::vector<question> execution_fetch::begin(block_height height) {
  auto before = std::move(distrusted_);
  *this = execution_fetch(believed_);
  distrusted_ = std::move(before);
  height_ = height;
  return {{std::nullopt, {height_, digest_only}}};
}

std::size_t execution_fetch::who_say(const digest& what) const {
  return static_cast<std::size_t>(std::count_if(
      said_.begin(), said_.end(), [&](const auto& each) { return each.second.what == what; }));
}

execution_fetch::trust execution_fetch::trust_in(node_index node) const {
  const auto at = distrusted_.find(node);
  return at == distrusted_.end() ? trust::fine : at->second;
}

std::vector<question> execution_fetch::next_part() {
  return {{*source_, {height_, parts_.size()}}};
}

/// Of those who say the digest that is believed and did not give their bytes yet, one that is
/// trusted most and erased least.
std::vector<question> execution_fetch::next_source(bool hopes) {
  source_.reset();
  parts_.clear();
  total_bytes_ = 0;
  asked_in_vain_ = 0;
  if (!agreed_) return {};
  const auto rank = [&](node_index node) {
    return std::pair(trust_in(node), said_.at(node).erased);
  };
  for (const auto& [node, said] : said_)
    if (said.what == *agreed_ && !useless_.contains(node) && !gave_.contains(node)
        && (!source_ || rank(node) < rank(*source_)))
      source_ = node;
  // Of 2 f + 1 as many are honest as have to give.
  if (source_ && hopes && trust_in(*source_) != trust::fine
      && who_say(*agreed_) < 2 * believed_ - 1) {
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
  if (!agreed_ && who_say(x.execution) >= believed_) agreed_ = x.execution;
  if (!source_) return next_source(true);
  if (from != *source_ || x.part.empty() || x.offset != parts_.size()) return {};
  if (parts_.empty()) total_bytes_ = x.total_bytes;
  // What the node has may become shorter between two parts, when it erases: then from the
  // start, and it may be asked again.
  if (x.execution != agreed_ || x.total_bytes != total_bytes_ || x.erased != source_erased_)
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
  if (gave_.empty())
    gathered_ = std::move(*whole);
  else
    fill(gathered_, std::move(*whole));
  gave_.insert(from);
  if (erased_parts(gathered_) > 0 && gave_.size() < believed_) return next_source(true);
  found_ = std::move(gathered_);
  return {};
}

std::optional<execution> execution_fetch::found() {
  if (!found_) return std::nullopt;
  height_ = 0;
  return std::exchange(found_, std::nullopt);
}

result<void> may_follow(const execution& fetched, const digest& block, const digest& previous) {
  if (fetched.block != block || fetched.previous != previous)
    return make_error(errc::conflict, "what this node executed up to height "
                                          + std::to_string(fetched.height - 1)
                                          + " is not what the others executed");
  if (const auto currency = contracts::money_made_by(fetched.changes))
    return make_error(errc::conflict,
                      "what others executed at height " + std::to_string(fetched.height)
                          + " makes or loses money: the changes of its accounts in " + *currency
                          + " do not sum up to zero; more than f nodes are faulty");
  return {};
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
