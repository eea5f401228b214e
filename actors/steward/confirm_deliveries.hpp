// The duty to confirm on the chain what came into this node's inbox
// (contracts/distribution.md). Any thread.
#pragma once

#include "actors/steward/duty.hpp"

namespace tallymesh::steward {

/// Looks after a block is stored, so that a delivery it finds is in the tables with its row:
/// one confirmation says both, received and applied.
duty confirm_deliveries();

} // namespace tallymesh::steward
