// What the gateway needs of its node. Everything here must outlive the `server`, and may be
// called from any of its threads.
#pragma once

#include "actors/gateway/admission.hpp"
#include "actors/gateway/json_in.hpp"
#include "actors/gateway/status.hpp"
#include "contracts/contract_set.hpp"

#include <functional>

namespace tallymesh::storage {
class ledger;
}

namespace tallymesh::gateway {

struct backend {
  const storage::ledger& ledger;
  /// The contracts in force; asked once a request, so that they may change while it runs.
  std::function<std::shared_ptr<const std::vector<contracts::contract>>()> contracts;

  digest chain;
  std::string node; ///< own name
  contracts::tier tier{};
  node_index lane = 0;            ///< own place in genesis
  std::vector<std::string> nodes; ///< all nodes' names, by index

  /// Whose token this is; must not give away by its time how near a wrong token was.
  std::function<std::optional<account>(std::string_view token)> authenticate;

  /// Hands operations to the mempool. Must not block; the callback comes later, on any thread,
  /// with a verdict for each operation in their order.
  std::function<void(std::vector<operation>, std::function<void(std::vector<admission>)>)>
      submit;

  /// Must be quick: it is asked for every /v1/status, /readyz and /metrics.
  std::function<node_status()> status;

  /// The operation behind a receipt, out of its batch; nothing if its body is not there any
  /// more. Optional: without it changes have no author.
  std::function<std::optional<operation>(const receipt&)> operation_of;

  /// The same contracts with their files, for those who ask why. Optional.
  std::function<contracts::contract_set_ptr()> rules = nullptr;
};

} // namespace tallymesh::gateway
