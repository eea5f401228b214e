#include "tools/tally/comparison.hpp"

#include "messages/value.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::tally {

node_digest node_digest::from(std::string node, const result<json::value>& answer) {
  node_digest out;
  out.node = std::move(node);
  if (!answer) {
    out.failure = answer.error();
    return out;
  }
  const auto height = number_at(*answer, "height", -1);
  out.execution = text_at(*answer, "execution");
  if (height < 0 || out.execution.empty()) {
    out.failure = make_error(errc::malformed,
                             out.node + ": its answer holds no height and execution digest");
    return out;
  }
  out.height = static_cast<std::uint64_t>(height);
  for (const auto& each : list_at(*answer, "tables"))
    out.tables[text_at(each, "table")] = {
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_at(each, "records"))),
        text_at(each, "digest")};
  return out;
}

namespace {

/// The value that most say; the first of those on a tie.
template <class T, class Of>
T most_common(const std::vector<node_digest>& nodes, Of of) {
  std::map<T, std::size_t> counts;
  for (const auto& each : nodes)
    ++counts[of(each)];
  T best = of(nodes.front());
  for (const auto& each : nodes)
    if (counts[of(each)] > counts[best]) best = of(each);
  return best;
}

std::optional<table_state> state_of(const node_digest& x, const std::string& table) {
  const auto found = x.tables.find(table);
  return found == x.tables.end() ? std::nullopt : std::optional(found->second);
}

std::string records_text(const std::optional<table_state>& x) {
  return x ? std::to_string(x->records) + " records, digest " + x->digest.substr(0, 12)
           : "no such table";
}

} // namespace

comparison compare(const std::vector<node_digest>& nodes) {
  comparison out;
  for (const auto& each : nodes)
    if (each.failure)
      out.differences.push_back(each.node + " did not answer: " + each.failure->context);
  if (nodes.empty() || !out.differences.empty()) return out;
  const auto height = most_common<std::uint64_t>(nodes, [](const auto& x) { return x.height; });
  for (const auto& each : nodes)
    if (each.height != height)
      out.differences.push_back(each.node + " is at height " + std::to_string(each.height)
                                + ", others at " + std::to_string(height));
  if (!out.differences.empty()) return out;
  out.complete = true;

  std::set<std::string> tables;
  for (const auto& each : nodes)
    for (const auto& [name, ignored] : each.tables)
      tables.insert(name);
  for (const auto& table : tables) {
    const auto usual = most_common<std::optional<table_state>>(
        nodes, [&](const auto& x) { return state_of(x, table); });
    for (const auto& each : nodes)
      if (const auto own = state_of(each, table); own != usual)
        out.differences.push_back(each.node + " differs in " + table + ": " + records_text(own)
                                  + ", others " + records_text(usual));
  }
  const auto execution =
      most_common<std::string>(nodes, [](const auto& x) { return x.execution; });
  for (const auto& each : nodes)
    if (each.execution != execution)
      out.differences.push_back(each.node + " differs in its execution digest: "
                                + each.execution.substr(0, 12) + ", others "
                                + execution.substr(0, 12));
  out.identical = out.differences.empty();
  return out;
}

std::optional<std::string> sum_of_balances(const std::vector<json::value>& accounts) {
  constexpr std::uint8_t scale = 4; // of all amounts in settlement's tables
  decimal sum{0, scale};
  for (const auto& each : accounts) {
    const auto balance = decimal::from_text(text_at(each, "balance"), scale);
    if (!balance || __builtin_add_overflow(sum.units, balance->units, &sum.units))
      return std::nullopt;
  }
  return sum.to_text();
}

} // namespace tallymesh::tally
