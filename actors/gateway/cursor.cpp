#include "actors/gateway/cursor.hpp"

#include "actors/gateway/answers.hpp"
#include "messages/digest.hpp"

#include <algorithm>

namespace tallymesh::gateway {

namespace {

/// Format, then a check over list and position, then the position.
constexpr std::uint8_t format = 1;
constexpr std::size_t check_bytes = 8;
constexpr std::size_t longest_text = 4096;
constexpr std::size_t place_bytes = 12; // height and index, little-endian

bytes with_check(bytes_view position, bytes_view binding) {
  const auto whole = hash(digest_kind::record, {as_bytes("cursor"), binding, position});
  bytes out(1 + check_bytes + position.size());
  out[0] = format;
  std::copy_n(whole.raw.begin(), check_bytes, out.begin() + 1);
  std::copy(position.begin(), position.end(), out.begin() + 1 + check_bytes);
  return out;
}

error not_ours() {
  return make_error(errc::malformed,
                    "this is no cursor of this list; take the one that the page "
                    "before gave as next");
}

} // namespace

std::string make_cursor(bytes_view position, bytes_view binding) {
  return to_base64url(with_check(position, binding));
}

result<bytes> read_cursor(std::string_view text, bytes_view binding) {
  if (text.size() > longest_text) return not_ours();
  const auto raw = from_base64url(text);
  if (!raw || raw->size() <= 1 + check_bytes) return not_ours();
  bytes position(raw->begin() + 1 + check_bytes, raw->end());
  if (*raw != with_check(position, binding)) return not_ours();
  return position;
}

std::string make_place_cursor(const change_place& position, bytes_view binding) {
  bytes raw(place_bytes);
  for (std::size_t i = 0; i < 8; ++i)
    raw[i] = static_cast<std::uint8_t>(position.height >> 8 * i);
  for (std::size_t i = 0; i < 4; ++i)
    raw[8 + i] = static_cast<std::uint8_t>(position.index >> 8 * i);
  return make_cursor(raw, binding);
}

result<change_place> read_place_cursor(std::string_view text, bytes_view binding) {
  const auto raw = read_cursor(text, binding);
  if (!raw) return raw.error();
  if (raw->size() != place_bytes) return not_ours();
  change_place out;
  for (std::size_t i = 0; i < 8; ++i)
    out.height |= block_height{(*raw)[i]} << 8 * i;
  for (std::size_t i = 0; i < 4; ++i)
    out.index |= static_cast<std::uint32_t>((*raw)[8 + i]) << 8 * i;
  return out;
}

} // namespace tallymesh::gateway
