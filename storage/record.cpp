#include "storage/record.hpp"

#include "messages/encoding_archive.hpp"

#include <algorithm>

namespace tallymesh::storage {

namespace {

constexpr std::size_t part_entry_bytes = 4 + 4 + 4 + 8;
constexpr std::size_t packed_header_bytes = 4 + 4 + 8;
constexpr record_kind execution_kind{"ledger", "execution", height_name};

/// Covers place and time too, so that a part is only good where it was written.
std::uint64_t part_check(block_height height, std::int64_t time_ms, part_kind kind,
                         std::uint32_t index, std::uint32_t position, bytes_view part) {
  bytes place;
  place.reserve(32);
  put_integer(place, height);
  put_integer(place, static_cast<std::uint64_t>(time_ms));
  put_integer(place, static_cast<std::uint8_t>(kind));
  put_integer(place, index);
  put_integer(place, position);
  const auto sum = hash(digest_kind::record, {as_bytes("ledger/part"), place, part});
  field_reader first{bytes_view(sum.raw)};
  return first.integer<std::uint64_t>();
}

digest checksum(const record_kind& kind, bytes_view key, bytes_view content) {
  return hash(digest_kind::record, {as_bytes(kind.store), as_bytes(kind.name), key, content});
}

} // namespace

void fail(errc code, std::string context) {
  throw failure{make_error(code, std::move(context))};
}

bytes height_key(block_height height) {
  bytes key;
  key.reserve(8);
  put_integer(key, height);
  return key;
}

bool starts_with(bytes_view whole, bytes_view prefix) {
  return whole.size() >= prefix.size()
         && std::equal(prefix.begin(), prefix.end(), whole.begin());
}

std::string height_name(bytes_view key) {
  field_reader in{key};
  return "height " + std::to_string(in.integer<std::uint64_t>());
}

std::string hex_name(bytes_view key) { return "key " + to_hex(key); }

bytes seal_record(const record_kind& kind, bytes_view key, bytes_view content) {
  const auto sum = checksum(kind, key, content);
  bytes value;
  value.reserve(checksum_bytes + content.size());
  put_bytes(value, bytes_view(sum.raw).first(checksum_bytes));
  put_bytes(value, content);
  return value;
}

bytes_view open_record(const record_kind& kind, bytes_view key, bytes_view value) {
  if (value.size() < checksum_bytes) fail_damaged(kind, key, "too short");
  const auto content = value.subspan(checksum_bytes);
  const auto sum = checksum(kind, key, content);
  if (!starts_with(sum.raw, value.first(checksum_bytes)))
    fail_damaged(kind, key, "its checksum does not match");
  return content;
}

void fail_damaged(const record_kind& kind, bytes_view key, std::string_view why) {
  fail(errc::damaged, std::string(kind.store) + ": the " + std::string(kind.name)
                          + " record of " + kind.key_name(key)
                          + " is damaged: " + std::string(why));
}

block_record record_of(const sealed_block& x) {
  return {x.body, x.leader, x.signed_by, {}, {}};
}

block_ptr open_block_record(const record_kind& kind, bytes_view key, block_record x) {
  auto opened = open_block(std::move(x.body), x.leader, x.signed_by);
  if (!opened) fail_damaged(kind, key, opened.error().context);
  return std::move(*opened);
}

packed_execution pack(const execution& x) {
  bytes encoded, table;
  encoding_writer out(encoded);
  table.reserve(packed_header_bytes
                + part_entry_bytes * (x.receipts.size() + x.changes.size()));
  const auto add = [&](part_kind kind, std::size_t at, const auto& item) {
    const auto offset = encoded.size();
    out(item);
    const auto size = encoded.size() - offset;
    TALLYMESH_INVARIANT(encoded.size() <= UINT32_MAX);
    const auto index = static_cast<std::uint32_t>(at);
    put_integer(table, static_cast<std::uint32_t>(offset));
    put_integer(table, static_cast<std::uint32_t>(size));
    put_integer(table, item.position);
    put_integer(table, part_check(x.height, x.time_ms, kind, index, item.position,
                                  bytes_view(encoded).subspan(offset, size)));
  };
  put_integer(table, static_cast<std::uint32_t>(x.receipts.size()));
  put_integer(table, static_cast<std::uint32_t>(x.changes.size()));
  put_integer(table, static_cast<std::uint64_t>(x.time_ms));
  // The canonical encoding of an execution, member by member, to learn where each part begins.
  out(x.height, x.block, x.time_ms);
  out.length(x.receipts.size());
  for (std::size_t i = 0; i < x.receipts.size(); ++i)
    add(part_kind::receipt, i, x.receipts[i]);
  out.length(x.changes.size());
  for (std::size_t i = 0; i < x.changes.size(); ++i)
    add(part_kind::change, i, x.changes[i]);
  out(x.previous);
  packed_execution packed{std::move(table), execution_digest(x)};
  put_bytes(packed.value, encoded);
  return packed;
}

execution_view::execution_view(block_height height, bytes_view value) : height_(height) {
  field_reader in{value};
  for (auto& count : counts_)
    count = in.integer<std::uint32_t>();
  time_ms_ = static_cast<std::int64_t>(in.integer<std::uint64_t>());
  table_ = in.take((std::size_t{counts_[0]} + counts_[1]) * part_entry_bytes);
  if (!in.ok) fail_damaged(execution_kind, height_key(height), "too short");
  encoded_ = in.rest;
}

execution_view::place execution_view::place_of(part_kind kind, std::uint32_t index) const {
  if (index >= count(kind))
    fail_damaged(execution_kind, height_key(height_), "a part is missing");
  const auto entry = std::size_t{index} + (kind == part_kind::change ? counts_[0] : 0);
  field_reader in{table_.subspan(entry * part_entry_bytes, part_entry_bytes)};
  place x{};
  x.offset = in.integer<std::uint32_t>();
  x.size = in.integer<std::uint32_t>();
  x.position = in.integer<std::uint32_t>();
  x.check = in.integer<std::uint64_t>();
  return x;
}

bytes_view execution_view::part(part_kind kind, std::uint32_t index) const {
  const auto at = place_of(kind, index);
  if (std::uint64_t{at.offset} + at.size > encoded_.size())
    fail_damaged(execution_kind, height_key(height_), "a part lies beyond its end");
  const auto raw = encoded_.subspan(at.offset, at.size);
  if (part_check(height_, time_ms_, kind, index, at.position, raw) != at.check)
    fail_damaged(execution_kind, height_key(height_), "the checksum of a part does not match");
  return raw;
}

receipt execution_view::receipt_at(std::uint32_t index) const {
  return decode_record<receipt>(execution_kind, height_key(height_),
                                part(part_kind::receipt, index));
}

change execution_view::change_at(std::uint32_t index) const {
  return decode_record<change>(execution_kind, height_key(height_),
                               part(part_kind::change, index));
}

receipt execution_view::receipt_of(std::uint32_t position) const {
  for (std::uint32_t i = 0; i < counts_[0]; ++i)
    if (place_of(part_kind::receipt, i).position == position) return receipt_at(i);
  fail_damaged(execution_kind, height_key(height_),
               "a change without the receipt of its operation");
}

} // namespace tallymesh::storage

namespace tallymesh {
TALLYMESH_ENCODING(storage::block_record);
}
