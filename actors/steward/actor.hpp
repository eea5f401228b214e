// The steward as an actor: looks into the tables when they changed, and hands what its node
// owes to the mempool. Owned by the node's supervisor, restarts alone; detached, because duties
// read and work on the disk.
#pragma once

#include "actors/node/wiring.hpp"
#include "actors/steward/duty.hpp"

namespace tallymesh::steward {

/// Understands execution_ptr from the ledger writer, once that block is stored.
caf::actor spawn_steward(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::steward
