// Integers as they stand in encodings: least byte first. Pure functions; any thread.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace tallymesh {

/// Of sizeof(T) bytes.
template <std::unsigned_integral T>
T read_little_endian(const std::uint8_t* from) {
  T x = 0;
  if constexpr (std::endian::native == std::endian::little)
    std::memcpy(&x, from, sizeof x);
  else
    for (std::size_t i = 0; i < sizeof(T); ++i)
      x = static_cast<T>(x | T{from[i]} << 8 * i);
  return x;
}

template <std::unsigned_integral T>
void write_little_endian(std::uint8_t* to, T x) {
  if constexpr (std::endian::native == std::endian::little)
    std::memcpy(to, &x, sizeof x);
  else
    for (std::size_t i = 0; i < sizeof(T); ++i)
      to[i] = static_cast<std::uint8_t>(x >> 8 * i);
}

} // namespace tallymesh
