// The ledger writer: puts executed blocks on stable storage, as many as wait in one
// transaction, and only then tells everyone (rules S10, S15): consensus may prune, the mempool
// forgets, clients get their receipts. Owned by the node's supervisor; detached, because it
// waits for the disk.
#pragma once

#include "actors/node/context.hpp"
#include "actors/node/wiring.hpp"

namespace tallymesh::ledger_writer {

/// Understands commit_ptr in height order.
caf::actor spawn_ledger_writer(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::ledger_writer
