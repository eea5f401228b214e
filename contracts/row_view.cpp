#include "contracts/row_view.hpp"

#include "contracts/short_bytes.hpp"
#include "messages/encoding.hpp"
#include "messages/little_endian.hpp"

namespace tallymesh::contracts {

/// Of a value, its kind included. Rows hold what fields hold: neither lists nor maps.
static std::size_t value_bytes(bytes_view raw) {
  constexpr std::size_t kind = 1, size = 4;
  switch (raw[0]) {
  case value_kind<bool>:
    return kind + 1;
  case value_kind<std::int64_t>:
    return kind + 8;
  case value_kind<decimal>:
    return kind + 8 + 1;
  case value_kind<std::string>:
  case value_kind<bytes>:
    TALLYMESH_INVARIANT(raw.size() >= kind + size);
    return kind + size + read_little_endian<std::uint32_t>(raw.data() + kind);
  default:
    TALLYMESH_INVARIANT(!"a row's field of no type that fields have");
    return 0;
  }
}

row_view::row_view(bytes_view encoded) {
  TALLYMESH_INVARIANT(encoded.size() >= 4);
  count_ = read_little_endian<std::uint32_t>(encoded.data());
  items_ = encoded.subspan(4);
}

void row_view::cursor::next() {
  ended_ = left_ == 0;
  if (ended_) return;
  --left_;
  TALLYMESH_INVARIANT(rest_.size() > 4);
  const std::size_t name = read_little_endian<std::uint32_t>(rest_.data());
  TALLYMESH_INVARIANT(name < rest_.size() - 4);
  const auto value = rest_.subspan(4 + name);
  const auto size = value_bytes(value);
  TALLYMESH_INVARIANT(size <= value.size());
  item_ = {as_text(rest_.subspan(4, name)), value.first(size)};
  rest_ = value.subspan(size);
}

bytes_view row_view::find(std::string_view field) const {
  for (cursor walk(*this); walk.at() != nullptr; walk.next())
    if (is_same(walk.at()->name, field)) return walk.at()->encoded;
  return {};
}

value row_view::value_of(std::string_view field) const {
  const auto encoded = find(field);
  if (encoded.empty()) return {};
  auto decoded = decode<value>(encoded);
  TALLYMESH_INVARIANT(decoded.has_value());
  return std::move(*decoded);
}

// What a field's encoded value holds; the empty value if there is no field.
static std::int64_t number_in(bytes_view encoded) {
  if (encoded.empty()) return 0;
  TALLYMESH_INVARIANT(kind_of(encoded) == value_kind<std::int64_t>);
  return integer_of(encoded);
}
static std::int64_t units_in(bytes_view encoded) {
  if (encoded.empty()) return 0;
  TALLYMESH_INVARIANT(kind_of(encoded) == value_kind<decimal>);
  return integer_of(encoded);
}
static std::string_view text_in(bytes_view encoded) {
  if (encoded.empty()) return {};
  TALLYMESH_INVARIANT(kind_of(encoded) == value_kind<std::string>);
  return as_text(content_of(encoded));
}

std::int64_t row_view::number(std::string_view field) const { return number_in(find(field)); }
std::int64_t row_view::units(std::string_view field) const { return units_in(find(field)); }
std::string_view row_view::text(std::string_view field) const { return text_in(find(field)); }

bool row_view::flag(std::string_view field) const {
  const auto encoded = find(field);
  if (encoded.empty()) return false;
  TALLYMESH_INVARIANT(kind_of(encoded) == value_kind<bool>);
  return flag_of(encoded);
}

bytes_view row_reader::find(std::string_view field) {
  for (; at_.at() != nullptr; at_.next()) {
    if (is_same(at_.at()->name, field)) return at_.at()->encoded;
    if (order_of(at_.at()->name, field) > 0) break;
  }
  return {};
}

std::int64_t row_reader::number(std::string_view field) { return number_in(find(field)); }
std::int64_t row_reader::units(std::string_view field) { return units_in(find(field)); }
std::string_view row_reader::text(std::string_view field) { return text_in(find(field)); }

std::int64_t integer_of(bytes_view encoded) {
  return static_cast<std::int64_t>(read_little_endian<std::uint64_t>(encoded.data() + 1));
}

decimal decimal_of(bytes_view encoded) { return {integer_of(encoded), encoded[1 + 8]}; }

bytes_view content_of(bytes_view encoded) { return encoded.subspan(1 + 4); }

bool flag_of(bytes_view encoded) { return encoded[1] != 0; }

} // namespace tallymesh::contracts
