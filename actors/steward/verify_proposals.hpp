// The duty to say on the chain what this node found in each proposed contract
// (contracts/lifecycle.hpp). Any thread.
#pragma once

#include "actors/steward/duty.hpp"

namespace tallymesh::steward {

/// Looks at each candidate once, which takes seconds, and keeps what it found until the chain
/// has it.
duty verify_proposals();

} // namespace tallymesh::steward
