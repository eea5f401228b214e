// The gateway: the REST interface of a node, README.md tells its resources. Owned by the
// gateway actor. It runs threads of its own: `server_settings::front.threads` for the network,
// `readers` for parsing and for reads of the ledger. Member functions may be called from any
// thread.
#pragma once

#include "actors/gateway/backend.hpp"
#include "actors/gateway/http_front.hpp"

namespace tallymesh::gateway {

struct server_settings {
  front_settings front;
  unsigned readers = 2;
  std::size_t waiting_operations = 200'000; ///< of all clients together
  std::chrono::milliseconds drain_timeout{2'000};
};

class server {
public:
  using settings = server_settings;

  server(settings how, backend node);
  ~server(); ///< stops
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Errors: bad_config (address or certificate), unavailable (the port is taken).
  result<void> start();
  std::uint16_t bound_port() const;
  /// Takes no more requests, answers what waits, with 503 after `drain_timeout`, and joins its
  /// threads. Afterwards nothing of the backend is called any more. A stopped server stays so.
  void stop();

  /// The node has stored a block: who waits for its operations gets an answer. Cheap.
  void executed(std::shared_ptr<const execution> what);
  /// The mempool was started anew: what it had not stored is lost with it. Who waits is told
  /// that it is pending and may send it again; ids make that harmless.
  void mempool_restarted();
  /// New connections get the certificate that is in the files now.
  result<void> reload_certificates();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace tallymesh::gateway
