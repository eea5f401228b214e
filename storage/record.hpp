// The byte forms of what the stores hold: big-endian keys, so that LMDB's bytewise order is the
// order of the numbers, and values that begin with a checksum over store, kind, key and
// content, so that a damaged or misplaced record is noticed. Internal to this folder; any
// thread.
#pragma once

#include "messages/block.hpp"
#include "messages/receipt.hpp"

#include <concepts>

namespace tallymesh::storage {

/// Thrown by the inner functions of this folder and turned into a result at its interface.
struct failure {
  error what;
};
[[noreturn]] void fail(errc code, std::string context);

// --- keys and other fixed-width fields

template <std::unsigned_integral T>
void put_integer(bytes& out, T x) {
  for (std::size_t i = sizeof(T); i-- > 0;)
    out.push_back(static_cast<std::uint8_t>(x >> 8 * i));
}
inline void put_bytes(bytes& out, bytes_view part) {
  out.insert(out.end(), part.begin(), part.end());
}
/// Reads fixed-width fields from the front; `ok` turns false at the first that is not there.
struct field_reader {
  bytes_view rest;
  bool ok = true;

  bytes_view take(std::size_t size) {
    ok = ok && size <= rest.size();
    if (!ok) return {};
    const auto part = rest.first(size);
    rest = rest.subspan(size);
    return part;
  }
  template <std::unsigned_integral T>
  T integer() {
    T x = 0;
    for (const auto byte : take(sizeof(T)))
      x = static_cast<T>(x << 8 | byte);
    return x;
  }
  template <std::size_t N>
  void array(std::array<std::uint8_t, N>& x) {
    const auto part = take(N);
    std::copy(part.begin(), part.end(), x.begin());
  }
};

bytes height_key(block_height height);
bool starts_with(bytes_view whole, bytes_view prefix);

// --- checked values

/// How a kind of record is called in errors; `key_name` turns its key into words.
struct record_kind {
  std::string_view store, name;
  std::string (*key_name)(bytes_view key);
};
std::string height_name(bytes_view key);
std::string hex_name(bytes_view key);

constexpr std::size_t checksum_bytes = 16;

/// Checksum, then `content`.
bytes seal_record(const record_kind& kind, bytes_view key, bytes_view content);
/// The content. Fails with damaged.
bytes_view open_record(const record_kind& kind, bytes_view key, bytes_view value);
[[noreturn]] void fail_damaged(const record_kind& kind, bytes_view key, std::string_view why);

/// Decodes the content of a record whose checksum was right.
template <class T>
T decode_record(const record_kind& kind, bytes_view key, bytes_view content) {
  auto x = decode<T>(content);
  if (!x) fail_damaged(kind, key, x.error().context);
  return std::move(*x);
}

// --- records with an encoding of their own

struct block_record {
  bytes body;
  node_index leader = 0;
  signature signed_by;
  std::vector<lane_tip> full_cut; ///< empty in the vote log
  digest execution;               ///< zero in the vote log

  template <class Archive>
  void serialize(Archive& a) {
    a(body, leader, signed_by, full_cut, execution);
  }
};
block_record record_of(const sealed_block& x);
/// Fails with damaged.
block_ptr open_block_record(const record_kind& kind, bytes_view key, block_record x);

/// An execution as stored: a table of where each receipt and change stands, each with a
/// checksum of its own, so that one of them is read without the rest; then the canonical
/// encoding. README.md.
struct packed_execution {
  bytes value;
  digest execution; ///< the execution digest of the encoding within
};
packed_execution pack(const execution& x);

enum class part_kind : std::uint8_t { receipt = 0, change = 1 };

/// Reads a packed execution in place.
class execution_view {
public:
  /// Fails with damaged.
  execution_view(block_height height, bytes_view value);
  bytes_view encoded() const { return encoded_; }
  std::int64_t time_ms() const { return time_ms_; }
  std::uint32_t count(part_kind kind) const { return counts_[static_cast<int>(kind)]; }
  /// Of the operation that a part belongs to.
  std::uint32_t position_of(part_kind kind, std::uint32_t index) const {
    return place_of(kind, index).position;
  }
  receipt receipt_at(std::uint32_t index) const;
  change change_at(std::uint32_t index) const;
  /// The receipt of the operation at `position` in the block.
  receipt receipt_of(std::uint32_t position) const;

private:
  struct place {
    std::uint32_t offset, size, position;
    std::uint64_t check;
  };
  place place_of(part_kind kind, std::uint32_t index) const;
  bytes_view part(part_kind kind, std::uint32_t index) const;

  block_height height_;
  std::int64_t time_ms_ = 0;
  std::uint32_t counts_[2] = {};
  bytes_view table_, encoded_;
};

} // namespace tallymesh::storage
