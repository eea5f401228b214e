#include "actors/steward/confirmations.hpp"

#include "contracts/builtin_rows.hpp"
#include "contracts/distribution.hpp"

#include <algorithm>

namespace tallymesh::steward {

static owed confirmation(std::int64_t first, std::int64_t last) {
  return {"distribution", "confirm",
          contracts::make_row({{"first", first}, {"last", last}, {"state", "applied"}}),
          "deliveries " + std::to_string(first) + " to " + std::to_string(last)};
}

std::vector<owed> confirmations::of(const std::vector<std::int64_t>& numbers,
                                    std::size_t limit) {
  std::vector<run> wanted;
  auto before = given_.begin();
  bool growing = false; // whether the last of `wanted` is new and takes more
  for (const auto number : numbers) {
    before = std::find_if(before, given_.end(), [&](const run& x) { return number <= x.last; });
    if (!wanted.empty() && number <= wanted.back().last) continue;
    const bool given = before != given_.end() && before->first <= number;
    if (given) {
      wanted.push_back(*before);
    } else if (growing
               && number - wanted.back().first < contracts::distribution::most_at_once) {
      wanted.back().last = number;
    } else {
      if (wanted.size() == limit) break;
      wanted.push_back({number, number});
    }
    growing = !given;
  }
  given_ = std::move(wanted);
  std::vector<owed> all;
  for (const auto& each : given_)
    if (all.size() < limit) all.push_back(confirmation(each.first, each.last));
  return all;
}

} // namespace tallymesh::steward
