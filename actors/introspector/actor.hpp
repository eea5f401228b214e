// The introspector: answers operators who connect with their key and look into this node. It
// asks the actors with high priority and reads counters that need no lock; what waits for the
// disk runs on its own thread. Owned by the node's supervisor, which restarts it alone;
// detached.
#pragma once

#include "actors/node/context.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

namespace tallymesh::introspector {

/// Understands (wired_atom, wiring_ptr), and what messages/caf_types.hpp lists of operators.
caf::actor spawn_introspector(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::introspector
