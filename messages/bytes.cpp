#include "messages/bytes.hpp"

#include <cstring>

namespace tallymesh {

std::string to_hex(bytes_view raw) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(raw.size() * 2);
  for (const auto byte : raw) {
    text.push_back(digits[byte >> 4]);
    text.push_back(digits[byte & 15]);
  }
  return text;
}

static int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  bytes raw;
  raw.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = nibble(text[i]), low = nibble(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    raw.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return raw;
}

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  while (at != end) {
    std::uint64_t eight = 0;
    if (end - at >= 8) { // most text is ASCII
      std::memcpy(&eight, at, sizeof eight);
      if ((eight & 0x8080'8080'8080'8080) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    if (*at < 0x80) {
      ++at;
      continue;
    }
    int following = 0;
    std::uint32_t code = 0, least = 0;
    if ((*at & 0xE0) == 0xC0)
      following = 1, code = *at & 0x1F, least = 0x80;
    else if ((*at & 0xF0) == 0xE0)
      following = 2, code = *at & 0x0F, least = 0x800;
    else if ((*at & 0xF8) == 0xF0)
      following = 3, code = *at & 0x07, least = 0x10000;
    else
      return false;
    if (end - at <= following) return false;
    for (int i = 1; i <= following; ++i) {
      if ((at[i] & 0xC0) != 0x80) return false;
      code = code << 6 | (at[i] & 0x3F);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
    at += following + 1;
  }
  return true;
}

} // namespace tallymesh
