// BLAKE2b-256 digests, personalised by the kind of thing that is hashed, so that a block's
// digest is never that of a batch with the same bytes. Value types; any thread.
#pragma once

#include "messages/bytes.hpp"

#include <array>
#include <compare>
#include <cstring>

namespace tallymesh {

struct digest {
  std::array<std::uint8_t, 32> raw{};

  bool is_zero() const;
  std::string hex() const { return to_hex(raw); }
  std::string short_hex() const { return hex().substr(0, 12); }
  template <class Archive>
  void serialize(Archive& a) {
    a(raw);
  }
  auto operator<=>(const digest&) const = default;
};

/// What is hashed. The name is BLAKE2b's personalisation (16 bytes, zero-padded).
enum class digest_kind {
  genesis,
  operation,
  batch,
  block,
  execution,
  write_set,
  table,
  contract,
  record,
  author,
  arguments,
  change,
  row,
  erasure,
  event
};

digest hash(digest_kind kind, bytes_view raw);

/// Hash of several parts, each preceded by its length, so that no two lists of parts collide,
/// nor a list of parts and the string of bytes above.
digest hash(digest_kind kind, std::initializer_list<bytes_view> parts);

/// For unordered containers: a digest is already uniform, so its first word will do.
struct digest_hash {
  std::size_t operator()(const digest& x) const noexcept {
    std::size_t word;
    std::memcpy(&word, x.raw.data(), sizeof word);
    return word;
  }
};

} // namespace tallymesh
