// Which operations confirm deliveries, as few as cover them. Pure; any thread.
#pragma once

#include "actors/steward/machine.hpp"

namespace tallymesh::steward {

/// For deliveries of this node's inbox that it has in its tables, by their numbers, which
/// ascend. Each operation confirms a run of the inbox; at most `limit` operations.
std::vector<owed> confirmations_of(const std::vector<std::int64_t>& numbers, std::size_t limit);

} // namespace tallymesh::steward
