// The mempool machine as an actor: it takes operations from the gateway and frames from peers,
// and carries out the machine's effects. Owned by the node's supervisor; detached, because
// batches are synced to disk on its thread.
#pragma once

#include "actors/node/context.hpp"
#include "actors/node/wiring.hpp"

namespace tallymesh::mempool {

/// Understands submission_ptr, what node/wiring.hpp lists for the mempool, and
/// (frame_atom, from, frame), (up_atom, peer, handle), (down_atom, peer).
caf::actor spawn_mempool(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::mempool
