// Comparing and copying keys, names and small values: mostly a few bytes, for which a call of
// the C library costs more than the work. Pure; any thread.
#pragma once

#include "messages/bytes.hpp"

#include <bit>
#include <compare>
#include <cstring>

namespace tallymesh::contracts {

namespace short_bytes {

template <class T>
T load(const std::uint8_t* from) {
  T x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
/// So that numbers order as the bytes do.
inline std::uint64_t load_in_order(const std::uint8_t* from) {
  const auto x = load<std::uint64_t>(from);
  return std::endian::native == std::endian::little ? __builtin_bswap64(x) : x;
}

} // namespace short_bytes

/// By the first byte that differs; a beginning comes before what goes on.
inline std::strong_ordering order_of(bytes_view a, bytes_view b) {
  const auto *in_a = a.data(), *in_b = b.data();
  auto left = std::min(a.size(), b.size());
  for (; left >= 8; left -= 8, in_a += 8, in_b += 8) {
    const auto word_a = short_bytes::load_in_order(in_a);
    const auto word_b = short_bytes::load_in_order(in_b);
    if (word_a != word_b) return word_a <=> word_b;
  }
  for (; left > 0; --left, ++in_a, ++in_b)
    if (*in_a != *in_b) return *in_a <=> *in_b;
  return a.size() <=> b.size();
}
inline std::strong_ordering order_of(std::string_view a, std::string_view b) {
  return order_of(as_bytes(a), as_bytes(b));
}

inline bool is_same(bytes_view a, bytes_view b) {
  const auto size = a.size();
  if (size != b.size()) return false;
  const auto equal = [&]<class T>(T, std::size_t at) {
    return short_bytes::load<T>(a.data() + at) == short_bytes::load<T>(b.data() + at);
  };
  // Looks that may overlap.
  if (size > 32) return std::memcmp(a.data(), b.data(), size) == 0;
  if (size > 16 && !(equal(std::uint64_t(), 8) && equal(std::uint64_t(), size - 16)))
    return false;
  if (size >= 8) return equal(std::uint64_t(), 0) && equal(std::uint64_t(), size - 8);
  if (size >= 4) return equal(std::uint32_t(), 0) && equal(std::uint32_t(), size - 4);
  for (std::size_t i = 0; i < size; ++i)
    if (a[i] != b[i]) return false;
  return true;
}
inline bool is_same(std::string_view a, std::string_view b) {
  return is_same(as_bytes(a), as_bytes(b));
}

/// Behind what was written. The two do not overlap.
inline std::uint8_t* copy_to(std::uint8_t* to, bytes_view from) {
  const auto size = from.size();
  const auto move = [&]<class T>(T, std::size_t at) {
    const auto x = short_bytes::load<T>(from.data() + at);
    std::memcpy(to + at, &x, sizeof x);
  };
  if (size > 16)
    std::memcpy(to, from.data(), size);
  else if (size >= 8)
    move(std::uint64_t(), 0), move(std::uint64_t(), size - 8);
  else if (size >= 4)
    move(std::uint32_t(), 0), move(std::uint32_t(), size - 4);
  else
    for (std::size_t i = 0; i < size; ++i)
      to[i] = from[i];
  return to + size;
}

} // namespace tallymesh::contracts
