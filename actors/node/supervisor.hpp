// The supervisor of one node: starts its actors, watches them, and starts again those that end.
// Peer links, switchboard, gateway and steward restart alone; ledger writer, contract executor,
// consensus and mempool together, in that order, from storage. More than 5 restarts in 30 s end
// the process.
#pragma once

#include "actors/node/context.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <functional>

namespace tallymesh::node {

/// Starts what brings peers: an actor that delivers to `sink` what messages/caf_types.hpp
/// lists, and to the next one when it is sent (sink_atom, sink).
using link_factory =
    std::function<caf::actor(caf::actor_system&, const context&, caf::actor sink)>;

/// Peer links over TLS, as the config and genesis say.
caf::actor tcp_links(caf::actor_system& system, const context& context, caf::actor sink);

/// Runs until it is sent an exit message: then the gateway drains, all children end, and it
/// ends. Answers (introspect_atom) with its present wiring_ptr.
caf::actor spawn_node(caf::actor_system& system, context_ptr context,
                      link_factory links = tcp_links);

} // namespace tallymesh::node
