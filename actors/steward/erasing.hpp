// Erasing on this node: what the chain orders, done to ledger and batch store, and then owed to
// the mesh as an attestation. What is left to do follows from the tables and a mark in the
// ledger, so it goes on after a crash wherever it was. A duty of the steward; on its thread.
#pragma once

#include "actors/steward/duty.hpp"

namespace tallymesh::steward {

duty erasing();

} // namespace tallymesh::steward
