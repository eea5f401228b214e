// The consensus machine as an actor: it feeds frames and the mempool's answers to the machine
// and carries out the effects. Owned by the node's supervisor; detached, because votes are
// synced to disk on its thread.
#pragma once

#include "actors/node/context.hpp"
#include "actors/node/wiring.hpp"

namespace tallymesh::consensus {

/// Understands what node/wiring.hpp lists for consensus, and (frame_atom, from, frame),
/// (up_atom, peer, handle), (down_atom, peer).
caf::actor spawn_consensus(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::consensus
