// Multilateral netting: from what everyone owes everyone, the fewest payments that clear it.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tallymesh::contracts {

struct net_position {
  std::string node;
  std::int64_t units = 0; ///< above zero: it is owed; below: it owes

  bool operator==(const net_position&) const = default;
};
struct net_payment {
  std::string from, to;
  std::int64_t units = 0; ///< above zero

  bool operator==(const net_payment&) const = default;
};

/// Up to here the number of payments is the smallest that there is; finding it takes
/// 2^n steps. Beyond, who owes exactly what another is owed pays that one first, and the
/// number stays below that of the nodes.
constexpr std::size_t exact_netting_nodes = 14;

/// The payments after which every position is zero, ascending by (from, to). The same for the
/// same positions, in whatever order these come. Positions must sum up to zero, and no node be
/// there twice: else the process ends.
std::vector<net_payment> fewest_payments(std::vector<net_position> positions);

} // namespace tallymesh::contracts
