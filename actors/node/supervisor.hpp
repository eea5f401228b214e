// The supervisor of one node: starts its actors, watches them, and starts again those that end.
// Peer links, switchboard and gateway restart alone; ledger writer, contract executor,
// consensus and mempool together, in that order, from storage. More than 5 restarts in 30 s end
// the process.
#pragma once

#include "actors/node/context.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

namespace tallymesh::node {

/// Runs until it is sent an exit message: then the gateway drains, all children end, and it
/// ends.
caf::actor spawn_node(caf::actor_system& system, context_ptr context);

} // namespace tallymesh::node
