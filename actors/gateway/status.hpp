// What a person asks of a node first: where it stands, and with whom it is connected. The node
// fills it in, the gateway writes it as JSON and as metrics. Value types; any thread.
#pragma once

#include "messages/digest.hpp"
#include "messages/signed_item.hpp"

#include <optional>

namespace tallymesh::gateway {

struct peer_status {
  std::string node;
  bool up = false;
  std::int64_t since_ms = 0; ///< of the last change of `up`, milliseconds since 1970
};

/// A number for /metrics beyond those of the status, such as the mempool's bytes.
struct named_counter {
  std::string name; ///< as Prometheus names it, without the prefix "tallymesh_"
  std::string help; ///< one line
  bool is_gauge = false;
  std::uint64_t amount = 0;
};

struct node_status {
  enum class phase : std::uint8_t { running, catching_up, observing, halted };

  std::string node, tier, version;
  digest chain;
  phase state = phase::running;
  bool ready = false;      ///< for /readyz: takes operations and answers from current tables
  block_height height = 0; ///< of the last final block
  view_number view = 0, finalized_view = 0;
  std::string leader; ///< of `view`
  std::vector<peer_status> peers;
  std::uint64_t pending_operations = 0;
  std::int64_t last_block_ms = 0; ///< milliseconds since 1970; 0: there is none yet
  block_height executed_height = 0;
  block_height attested_height = 0; ///< the highest that a quorum attested to
  std::uint64_t evidence = 0;
  std::int64_t uptime_ms = 0;
  std::vector<named_counter> counters;
};

constexpr std::string_view to_string(node_status::phase x) {
  switch (x) {
  case node_status::phase::running:
    return "running";
  case node_status::phase::catching_up:
    return "catching_up";
  case node_status::phase::observing:
    return "observing";
  case node_status::phase::halted:
    return "halted";
  }
  return "unknown";
}

} // namespace tallymesh::gateway
