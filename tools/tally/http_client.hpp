// A blocking HTTP/1.1 client with one connection that is kept alive, over TCP or TLS. Beast and
// OpenSSL stay inside http_client.cpp. Each object belongs to one thread at a time.
#pragma once

#include "messages/result.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace tallymesh::tally {

/// Where a gateway is and how to come in.
struct http_target {
  bool tls = false;
  std::string host; ///< without brackets
  std::uint16_t port = 0;
  std::string token;   ///< bearer token; empty: none is sent
  std::string ca_file; ///< PEM; empty: the system's certificates

  std::string url() const;
  /// "http://host:port" or "https://host:port"; a path, query or user is refused.
  static result<http_target> from_url(std::string_view url);
};

enum class http_method { get, post };

struct http_request {
  http_method method = http_method::get;
  std::string path; ///< with query
  std::string body;
  std::string content_type = "application/json";
  std::chrono::milliseconds timeout{10'000};
};

struct http_response {
  unsigned status = 0;
  std::string content_type;
  std::string body;
  std::optional<std::chrono::seconds> retry_after;
};

class http_client {
public:
  explicit http_client(http_target target);
  ~http_client();
  http_client(http_client&&) noexcept;
  http_client& operator=(http_client&&) noexcept;

  /// Connects when needed. What a kept connection lost is sent once more over a new one, so
  /// send only what may arrive twice: reads, and operations that carry their id. Errors:
  /// unavailable, bad_config (the CA file), too_large (an answer above 64 MiB).
  result<http_response> send(const http_request& what);

  const http_target& target() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Percent-encodes all but letters, digits and -._~
std::string url_encoded(std::string_view text);

} // namespace tallymesh::tally
