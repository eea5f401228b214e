#include "actors/contract_executor/execution_fetch.hpp"

#include <algorithm>

namespace tallymesh::contract_executor {

std::vector<question> execution_fetch::begin(block_height height) {
  *this = execution_fetch(believed_);
  height_ = height;
  return {{std::nullopt, {height_, digest_only}}};
}

std::optional<digest> execution_fetch::agreed() const {
  std::map<digest, std::size_t> votes;
  for (const auto& [node, said] : said_)
    if (++votes[said.what] >= believed_) return said.what;
  return std::nullopt;
}

std::vector<question> execution_fetch::next_part() {
  return {{*source_, {height_, parts_.size()}}};
}

/// Of those who say the digest that is believed, one that erased least.
std::vector<question> execution_fetch::next_source() {
  source_.reset();
  parts_.clear();
  total_bytes_ = 0;
  const auto what = agreed();
  if (!what) return {};
  for (const auto& [node, said] : said_)
    if (said.what == *what && !useless_.contains(node)
        && (!source_ || said.erased < said_.at(*source_).erased))
      source_ = node;
  if (source_) {
    source_erased_ = said_.at(*source_).erased;
    return next_part();
  }
  useless_.clear(); // all failed once: from the first again, when asked to
  return {};
}

std::vector<question> execution_fetch::retry() {
  if (!under_way() || found_) return {};
  if (source_) useless_.insert(*source_);
  auto out = next_source();
  if (out.empty()) out.push_back({std::nullopt, {height_, digest_only}});
  return out;
}

std::vector<question> execution_fetch::take(node_index from, const fetched_execution& x) {
  if (x.height != height_ || found_ || x.total_bytes == 0) return {};
  said_[from] = {x.execution, x.erased};
  if (!source_) return next_source();
  if (from != *source_ || x.part.empty() || x.offset != parts_.size()) return {};
  if (parts_.empty()) total_bytes_ = x.total_bytes;
  const auto give_up = [&] {
    useless_.insert(from);
    return next_source();
  };
  // What the node has may become shorter between two parts, when it erases: then from the
  // start.
  if (x.execution != agreed() || x.total_bytes != total_bytes_ || x.erased != source_erased_)
    return give_up();
  parts_.insert(parts_.end(), x.part.begin(), x.part.end());
  if (parts_.size() < total_bytes_) return next_part();
  auto whole = decode<execution>(parts_);
  if (!whole || whole->height != height_ || execution_digest(*whole) != x.execution
      || erased_parts(*whole) > source_erased_)
    return give_up();
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

bool serving_budget::may_serve(std::int64_t now_ms) {
  constexpr std::int64_t window_ms = 100;
  constexpr std::size_t questions_a_window = 64;
  constexpr std::size_t bytes_a_window = 8 * 1024 * 1024;
  if (now_ms - window_start_ms_ >= window_ms) *this = {};
  if (questions_ == 0) window_start_ms_ = now_ms;
  if (questions_ == questions_a_window || bytes_ >= bytes_a_window) return false;
  ++questions_;
  return true;
}

} // namespace tallymesh::contract_executor
