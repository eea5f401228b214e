// The one place where frames of peers enter the node: by its first byte each goes to the
// mempool or to consensus, which decode it on their own threads. Remembers which peers are up,
// so that core actors that were started anew learn of them. Owned by the node's supervisor;
// scheduled.
#pragma once

#include "actors/node/context.hpp"
#include "actors/node/wiring.hpp"

namespace tallymesh::node {

/// A sink for peer links; understands (wired_atom, wiring_ptr).
caf::actor spawn_switchboard(caf::actor_system& system, context_ptr context);

} // namespace tallymesh::node
