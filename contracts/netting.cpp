#include "contracts/netting.hpp"

#include "messages/result.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <tuple>
#include <utility>

namespace tallymesh::contracts {

namespace {

using positions = std::vector<net_position>;
using payments = std::vector<net_payment>;

__extension__ using wide = __int128; // of up to 128 positions the sum cannot overflow

void check(const positions& by_name) {
  wide sum = 0;
  for (const auto& each : by_name) {
    TALLYMESH_INVARIANT(each.units > std::numeric_limits<std::int64_t>::min());
    sum += each.units;
  }
  TALLYMESH_INVARIANT(sum == 0);
  const auto same = [](const auto& a, const auto& b) { return a.node == b.node; };
  TALLYMESH_INVARIANT(std::adjacent_find(by_name.begin(), by_name.end(), same)
                      == by_name.end());
}

/// Clears a group that sums up to zero with one payment less than it has members: each payment
/// makes one of them whole, and the last one two.
void clear_group(positions group, payments& into) {
  const auto by_size = [](const net_position& a, const net_position& b) {
    return a.units != b.units ? a.units < b.units : a.node < b.node;
  };
  std::sort(group.begin(), group.end(), by_size);
  if (group.empty()) return;
  for (std::size_t owes = 0, is_owed = group.size() - 1; owes < is_owed;) {
    auto& from = group[owes];
    auto& to = group[is_owed];
    const auto units = std::min(-from.units, to.units);
    into.push_back({from.node, to.node, units});
    from.units += units;
    to.units -= units;
    if (from.units == 0) ++owes;
    if (to.units == 0) --is_owed;
  }
}

/// Whoever owes exactly what another is owed pays that one; both go.
void clear_pairs(positions& open, payments& into) {
  for (std::size_t i = 0; i < open.size(); ++i) {
    if (open[i].units >= 0) continue;
    const auto match = std::find_if(open.begin(), open.end(), [&](const net_position& other) {
      return other.units == -open[i].units;
    });
    if (match == open.end()) continue;
    into.push_back({open[i].node, match->node, match->units});
    match->units = open[i].units = 0;
  }
  std::erase_if(open, [](const net_position& x) { return x.units == 0; });
}

/// A group of k members takes k - 1 payments, so the fewest payments have the most groups that
/// sum up to zero. `most[set]`: how many such groups one can cut off one after the other while
/// growing the set member by member.
void clear_exactly(const positions& open, payments& into) {
  const auto count = open.size();
  const auto sets = std::size_t{1} << count;
  std::vector<wide> sum(sets, 0);
  std::vector<std::uint8_t> most(sets, 0);
  for (std::size_t set = 1; set < sets; ++set) {
    const auto lowest = static_cast<std::size_t>(std::countr_zero(set));
    sum[set] = sum[set & (set - 1)] + open[lowest].units;
    for (std::size_t i = 0; i < count; ++i)
      if (set >> i & 1) most[set] = std::max(most[set], most[set ^ (std::size_t{1} << i)]);
    if (sum[set] == 0) ++most[set];
  }
  positions group;
  for (auto set = sets - 1; set != 0;) {
    const auto wanted = static_cast<std::uint8_t>(most[set] - (sum[set] == 0 ? 1 : 0));
    if (sum[set] == 0) clear_group(std::exchange(group, {}), into);
    for (std::size_t i = 0; i < count; ++i) {
      const auto rest = set ^ (std::size_t{1} << i);
      if ((set >> i & 1) == 0 || most[rest] != wanted) continue;
      group.push_back(open[i]);
      set = rest;
      break;
    }
  }
  clear_group(std::move(group), into);
}

} // namespace

std::vector<net_payment> fewest_payments(std::vector<net_position> open) {
  std::sort(open.begin(), open.end(),
            [](const auto& a, const auto& b) { return a.node < b.node; });
  check(open);
  std::erase_if(open, [](const net_position& x) { return x.units == 0; });
  payments made;
  if (open.size() > exact_netting_nodes) clear_pairs(open, made);
  if (open.size() > exact_netting_nodes)
    clear_group(std::move(open), made);
  else
    clear_exactly(open, made);
  std::sort(made.begin(), made.end(), [](const auto& a, const auto& b) {
    return std::tie(a.from, a.to) < std::tie(b.from, b.to);
  });
  return made;
}

} // namespace tallymesh::contracts
