// Ed25519 keys and signatures (RFC 8032, by libsodium). A node has two: a link key, which only
// authenticates its connections, and a vote key, which signs batches, proposals, votes and
// receipts. Any thread.
#pragma once

#include "messages/bytes.hpp"
#include "messages/result.hpp"

#include <array>
#include <compare>
#include <filesystem>
#include <memory>

namespace tallymesh {

struct public_key {
  std::array<std::uint8_t, 32> raw{};
  std::string hex() const { return to_hex(raw); }
  static result<public_key> from_hex(std::string_view text);
  template <class Archive>
  void serialize(Archive& a) {
    a(raw);
  }
  auto operator<=>(const public_key&) const = default;
};

struct signature {
  std::array<std::uint8_t, 64> raw{};
  template <class Archive>
  void serialize(Archive& a) {
    a(raw);
  }
  auto operator<=>(const signature&) const = default;
};

/// A private key; its bytes live in locked memory and are wiped. Copies share them.
class signing_key {
public:
  static signing_key generate();
  static signing_key from_seed(const std::array<std::uint8_t, 32>& seed);

  /// Reads a key file: 64 hexadecimal characters (the seed), owner-readable only.
  /// Errors: not_found, malformed, forbidden (mode lets others read it).
  static result<signing_key> load(const std::filesystem::path& file);
  /// Writes the seed with mode 0600; refuses to overwrite (conflict).
  result<void> save(const std::filesystem::path& file) const;

  const public_key& public_part() const { return public_; }
  signature sign(bytes_view message) const;
  /// 32 bytes; for building a TLS key from it. Never log it.
  bytes_view seed() const;

private:
  signing_key() = default;
  std::shared_ptr<unsigned char> secret_; // 64 bytes: seed, then public key
  public_key public_;
};

bool verify(const public_key& signer, bytes_view message, const signature& signed_by);

/// Fills `out` from the system's random source; only for keys, tokens and ids, never in a
/// machine.
void random_bytes(std::span<std::uint8_t> out);

/// Must run once before anything else of this library; ends the process if libsodium cannot
/// start.
void initialise_crypto();

} // namespace tallymesh
