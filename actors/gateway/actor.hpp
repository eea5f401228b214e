// The gateway's server as an actor: it hands operations to the mempool and executed blocks to
// the server. Owned by the node's supervisor; detached, because draining waits for clients. The
// server has threads of its own.
#pragma once

#include "actors/node/context.hpp"
#include "actors/node/wiring.hpp"

namespace tallymesh::gateway {

/// Understands (wired_atom, wiring_ptr), execution_ptr, submission_ptr, and (reload_atom): read
/// certificates and tokens again.
caf::actor spawn_gateway(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::gateway
