// Which operations confirm deliveries, as few as cover them. Pure; any thread.
#pragma once

#include "actors/steward/machine.hpp"

namespace tallymesh::steward {

/// One node's confirmations. Owned by the duty; one thread.
class confirmations {
public:
  /// For deliveries of the inbox that the node has in its tables and not confirmed, by their
  /// numbers, which ascend. Each operation confirms a run of the inbox; at most `limit` of
  /// them. A run stays as it was given until none of its numbers is left, so that what arrives
  /// meanwhile is confirmed by a run of its own and nothing is confirmed twice.
  std::vector<owed> of(const std::vector<std::int64_t>& numbers, std::size_t limit);

private:
  struct run {
    std::int64_t first = 0, last = 0;
  };
  std::vector<run> given_; ///< ascending, none overlaps another
};

} // namespace tallymesh::steward
