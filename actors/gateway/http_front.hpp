// The HTTP server itself: sockets, TLS, limits and deadlines of connections; it knows nothing
// of tables. One request of a connection is served at a time, later ones wait in its socket.
// Owned by `server`; runs threads of its own; its member functions may be called from any
// thread.
#pragma once

#include "actors/gateway/http.hpp"
#include "messages/result.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

namespace tallymesh::gateway {

struct front_settings {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0; ///< 0: the kernel chooses
  /// PEM files of the certificate chain and its key; both empty: plain HTTP.
  std::filesystem::path tls_certificate, tls_key;
  unsigned threads = 1;

  std::size_t connections = 1024;
  std::size_t header_bytes = 16 * 1024;
  std::size_t request_bytes = 8 * 1024 * 1024;
  /// Of all request bodies being received or handled: many large ones at once are refused.
  std::size_t buffered_bytes = 64 * 1024 * 1024;
  /// Requests that were handed on and not answered.
  std::size_t requests_in_flight = 512;
  std::chrono::milliseconds idle_timeout{
      30'000}; ///< for a request's header, from the last answer on
  std::chrono::milliseconds body_timeout{60'000}; ///< for all of a body
  std::chrono::milliseconds write_timeout{60'000};
};

/// What the front hands on. `screen` sees the request before its body is read, and refuses
/// early: an unknown client cannot make the node buffer anything. `handle` must not block.
struct front_hooks {
  std::function<std::optional<response>(const request& head)> screen;
  std::function<void(request, answer_function)> handle;
  std::function<void(unsigned status)> answered; ///< of every answer, for the metrics
};

class http_front {
public:
  http_front(front_settings settings, front_hooks hooks);
  ~http_front(); ///< closes
  http_front(const http_front&) = delete;
  http_front& operator=(const http_front&) = delete;

  /// Binds, listens and starts the threads. Errors: bad_config (address, certificate),
  /// unavailable (the port is taken).
  result<void> start();
  std::uint16_t bound_port() const;

  /// Reads the certificate files again; connections there are keep the old ones.
  result<void> reload_certificates();

  /// Runs `task` on a network thread at that time. Only the earliest of several is kept.
  void call_at(std::chrono::steady_clock::time_point when, std::function<void()> task);

  /// No new connections; those that wait for a request are closed.
  void stop_accepting();
  /// Lets answers that are being written finish within `grace`, closes all, joins the threads.
  void close(std::chrono::milliseconds grace);

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace tallymesh::gateway
