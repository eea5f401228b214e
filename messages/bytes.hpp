// Byte strings, and their forms on paper: hexadecimal and UTF-8. Value types; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tallymesh {

using bytes = std::vector<std::uint8_t>;
using bytes_view = std::span<const std::uint8_t>;

inline bytes_view as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(bytes_view raw) {
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

/// Lower case, two characters a byte.
std::string to_hex(bytes_view raw);

/// Nothing if `text` has an odd length or any character outside 0-9 a-f A-F.
std::optional<bytes> from_hex(std::string_view text);

/// True if `text` is well-formed UTF-8: no overlong forms, no surrogates, nothing above
/// U+10FFFF.
bool is_utf8(std::string_view text);

} // namespace tallymesh
