// TLS 1.3 between two nodes without a socket: wire bytes in, plain bytes out, and the other way
// round. Mutual, by self-signed certificates that only carry an Ed25519 key; who may come in is
// asked of the caller, by key. No CA, no expiry, no tickets, no resumption. A context and its
// sessions belong to one actor and live on its thread.
#pragma once

#include "messages/keys.hpp"

#include <functional>
#include <memory>
#include <optional>

struct ssl_st;
struct ssl_ctx_st;

namespace tallymesh::peer_link {

enum class tls_role { accepting, dialing };

/// Our identity on links: the key, and the certificate made from it in memory.
class tls_context {
public:
  /// Errors: unsupported (OpenSSL cannot do what we need).
  static result<tls_context> make(const signing_key& link_key);

private:
  friend class tls_session;
  explicit tls_context(std::shared_ptr<ssl_ctx_st> context) : context_(std::move(context)) {}
  std::shared_ptr<ssl_ctx_st> context_;
};

class tls_session {
public:
  /// Says whether the owner of this key may come in; called once, inside `receive`.
  using admission = std::function<bool(const public_key&)>;

  /// More than a handshake of ours ever takes; a stranger can make us read no more.
  static constexpr std::size_t max_handshake_bytes = 16 * 1024;

  tls_session(const tls_context& identity, tls_role role, admission admit);
  ~tls_session();
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;

  /// Makes the first flight of a dialing session. Call once, before anything else.
  result<void> start();

  /// Takes bytes from the wire and appends what they decrypt to. Even when it fails there may
  /// be output to send: the alert that tells the other side why. Errors: forbidden (the key is
  /// not admitted, or there is none), malformed (not TLS, or broken), unsupported (another
  /// version of TLS), too_large (handshake), unavailable (refused or closed by the other side).
  result<void> receive(bytes_view wire, bytes& plain);

  /// Encrypts; only once established.
  result<void> send(bytes_view plain);

  /// Moves what must go on the wire to the end of `out`.
  void drain(std::vector<char>& out);

  /// Both sides have shown their keys. A dialing session is established before the other side
  /// has judged our key; only its first plain bytes tell that it accepted.
  bool established() const { return established_; }

  /// The admitted key; nothing before the handshake came so far.
  const std::optional<public_key>& peer() const { return peer_; }

  /// Used by OpenSSL's verification callback.
  bool judge(const public_key& key);

private:
  result<void> advance_handshake();
  error explain_failure(int status) const;

  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl_;
  admission admit_;
  std::optional<public_key> peer_;
  std::size_t handshake_bytes_ = 0;
  bool refused_ = false;
  bool established_ = false;
};

} // namespace tallymesh::peer_link
