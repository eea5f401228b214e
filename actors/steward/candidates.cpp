#include "actors/steward/candidates.hpp"

#include <algorithm>

namespace tallymesh::steward {

static constexpr std::size_t findings_bytes = 3'900; // the table takes 4000 characters

static owed verdict_of(const std::string& proposal, const findings& x) {
  owed said{.contract = "mesh", .action = "verdict", .arguments = {}, .purpose = proposal};
  auto& given = said.arguments;
  put(given, "differing", static_cast<std::int64_t>(x.differing));
  if (!x.lines.empty()) put(given, "findings", x.text(findings_bytes));
  put(given, "good", x.good);
  put(given, "proposal", proposal);
  put(given, "replayed", static_cast<std::int64_t>(x.replayed));
  put(given, "rows", static_cast<std::int64_t>(x.rows));
  put(given, "tests", static_cast<std::int64_t>(x.tests));
  return said;
}

result<findings> candidates::found_in(const waiting& x) {
  if (begun_.ended_the_node(x.id)) {
    findings none;
    none.refuse("cannot be verified here: the verification ended the node");
    return none;
  }
  if (auto marked = begun_.begin(x.id); !marked) return marked.error();
  auto found = look_(x);
  if (auto done = begun_.finish(x.id); !done) return done.error();
  return found;
}

result<void> candidates::forget_others(const std::vector<waiting>& open) {
  const auto waits = [&](const std::string& id) {
    return std::any_of(open.begin(), open.end(),
                       [&](const auto& each) { return each.id == id; });
  };
  std::erase_if(found_, [&](const auto& each) { return !waits(each.first); });
  const auto left = begun_.left();
  for (const auto& id : left)
    if (!waits(id))
      if (auto done = begun_.forget(id); !done) return done.error();
  return {};
}

result<std::vector<owed>> candidates::verdicts_on(const std::vector<waiting>& open) {
  if (auto done = forget_others(open); !done) return done.error();
  std::vector<owed> all;
  for (const auto& each : open) {
    auto at = found_.find(each.id);
    if (at == found_.end()) {
      auto found = found_in(each);
      if (!found) return found.error();
      at = found_.emplace(each.id, std::move(*found)).first;
    }
    all.push_back(verdict_of(each.id, at->second));
  }
  return all;
}

} // namespace tallymesh::steward
