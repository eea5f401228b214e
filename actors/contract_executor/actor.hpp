// The contract executor as an actor: it gathers a final block's batches, runs its operations
// against the tables, and hands the outcome to the ledger writer. It runs ahead of the writer
// by a bounded amount and remembers what is not stored yet. Owned by the node's supervisor;
// detached.
#pragma once

#include "actors/node/context.hpp"
#include "actors/node/wiring.hpp"

namespace tallymesh::contract_executor {

/// Understands consensus::deliver in height order, and (stored_atom, height) from the writer.
caf::actor spawn_contract_executor(caf::actor_system& system, node::context_ptr context);

} // namespace tallymesh::contract_executor
