// Every node's ledger as it is read over REST: blocks by height, and which operations changed
// which row in which block. One thread a node while it reads.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/history.hpp"
#include "tools/tally/http_client.hpp"

namespace tallymesh::faults {

struct node_gateway {
  std::uint16_t node = 0;
  tally::http_target at;
};
result<std::vector<ledger_copy>> read_ledgers(const std::vector<node_gateway>& gateways);

} // namespace tallymesh::faults
