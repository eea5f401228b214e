// Answers out of the ledger: tables, rows, histories, blocks, traces; each read is checked
// against the contract's read rights. Run in the worker pool; the ledger gives each read a
// snapshot.
#pragma once

#include "actors/gateway/backend.hpp"
#include "actors/gateway/http.hpp"
#include "actors/gateway/router.hpp"

namespace tallymesh::gateway {

struct reading_call {
  const backend& node;
  const std::vector<contracts::contract>& contracts;
  const call& what;
  const account& who;

  contracts::actor reader() const { return {who.name, node.node, node.tier}; }
  const contracts::table* find_table(std::string_view full_name) const;
};

// records.cpp
response read_tables(const reading_call& from);
response read_rows(const reading_call& from);
response read_row(const reading_call& from);
response read_history(const reading_call& from);

// chain.cpp
response read_status(const reading_call& from);
response read_blocks(const reading_call& from);
response read_block(const reading_call& from);
response read_trace(const reading_call& from);

} // namespace tallymesh::gateway
