// The listening socket of peer links. Unlike CAF's own doorman it survives running out of file
// descriptors: it stops listening to the event loop instead of spinning on it, and `try_again`
// lets it continue; who wants in waits in the backlog. Owned by the peer links actor; its
// thread only.
#pragma once

#include "messages/result.hpp"

#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/doorman_impl.hpp>

namespace tallymesh::peer_link {

/// A bound and listening socket with SO_REUSEADDR. An empty host means every address.
/// Errors: bad_config (no such address), unavailable (in use, not allowed, …).
result<int> listen_on(const std::string& host, std::uint16_t port);

class door : public caf::io::doorman {
public:
  door(caf::io::network::default_multiplexer& loop, int listening);

  bool new_connection() override;
  void graceful_shutdown() override {
    acceptor_.graceful_shutdown();
    detach(&acceptor_.backend(), false);
  }
  void launch() override { acceptor_.start(this); }
  std::string addr() const override;
  std::uint16_t port() const override;
  void add_to_loop() override { acceptor_.activate(this); }
  void remove_from_loop() override { acceptor_.passivate(); }

  /// True if accepting stopped for want of descriptors or memory; then it starts again.
  bool try_again();

private:
  /// Stands in for CAF's TCP policy.
  struct patient_accept {
    door* owner;
    bool try_accept(caf::io::network::native_socket& accepted,
                    caf::io::network::native_socket from);
  };
  caf::io::network::acceptor_impl<patient_accept> acceptor_;
  bool exhausted_ = false;
};

} // namespace tallymesh::peer_link
