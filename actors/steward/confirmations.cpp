#include "actors/steward/confirmations.hpp"

#include "contracts/builtin_rows.hpp"
#include "contracts/distribution.hpp"

namespace tallymesh::steward {

std::vector<owed> confirmations_of(const std::vector<std::int64_t>& numbers,
                                   std::size_t limit) {
  std::vector<owed> all;
  for (auto at = numbers.begin(); at != numbers.end() && all.size() < limit;) {
    const auto first = *at;
    auto last = first;
    for (; at != numbers.end() && *at - first < contracts::distribution::most_at_once; ++at)
      last = *at;
    all.push_back(
        {"distribution", "confirm",
         contracts::make_row({{"first", first}, {"last", last}, {"state", "applied"}}),
         "deliveries " + std::to_string(first) + " to " + std::to_string(last)});
  }
  return all;
}

} // namespace tallymesh::steward
