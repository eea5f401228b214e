// An operation: what a client wants done, as it travels and stays on the chain (ARCHITECTURE.md
// tells its life). Value types; any thread.
#pragma once

#include "messages/digest.hpp"
#include "messages/encoding.hpp"
#include "messages/keys.hpp"
#include "messages/limits.hpp"
#include "messages/value.hpp"

namespace tallymesh {

/// Chosen by the client; sent twice it counts once. Ids that begin with the time in
/// milliseconds (as UUIDv7 does) keep the index of executed operations compact and quick; any
/// 16 bytes do.
struct operation_id {
  std::array<std::uint8_t, 16> raw{};
  std::string hex() const { return to_hex(raw); }
  static std::optional<operation_id> from_hex(std::string_view text);
  template <class Archive>
  void serialize(Archive& a) {
    a(raw);
  }
  auto operator<=>(const operation_id&) const = default;
};

struct operation_id_hash {
  std::size_t operator()(const operation_id& x) const noexcept {
    std::size_t words[2];
    std::memcpy(words, x.raw.data(), sizeof words);
    return words[0] * 0x9E3779B97F4A7C15u ^ words[1];
  }
};

/// What is left of an operation's arguments once they were erased.
struct erased_arguments {
  std::uint32_t size_bytes = 0; ///< of their encoding, so that no limit depends on the form
  digest content;               ///< of their encoding
  template <class Archive>
  void serialize(Archive& a) {
    a(size_bytes, content);
  }
  auto operator<=>(const erased_arguments&) const = default;
};

struct operation {
  operation_id id;
  std::string contract;
  /// "store" and "delete" are native to every contract; other names are the contract's own
  /// actions.
  std::string action;
  /// store: {"table": text, "row": map}. delete: {"table": text, "key": list of the key's
  /// values}.
  value_map arguments;
  /// An account of the node in whose lane the operation travels; written account@node in
  /// rights.
  std::string author;
  std::int64_t valid_until_ms = 0; ///< last valid block time, milliseconds since 1970
  std::optional<signature> author_signature;
  /// Set: the arguments were erased, `arguments` is empty, and it cannot be executed any more.
  /// Every digest and signature that covers the operation stays what it was.
  std::optional<erased_arguments> erased;

  template <class Archive>
  void serialize(Archive& a) {
    a(id, contract, action, author, valid_until_ms, author_signature,
      erasable<value_map, erased_arguments>{arguments, erased});
  }
};

/// What its author signs: all of the operation but the signature, bound to the chain; the
/// arguments by their digest, so that it can be checked when they are erased.
digest author_signing_digest(const digest& chain, const operation& what);

/// What a batch's id is made of: everything in the operation, the arguments by their digest.
digest operation_digest(const operation& what);

} // namespace tallymesh
