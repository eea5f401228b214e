// Things that are looked up by their name on every operation.
#pragma once

#include "contracts/short_bytes.hpp"

#include <string>
#include <unordered_map>

namespace tallymesh::contracts {

/// Of the beginning, the end and the length: what tells the names of one mesh apart.
struct name_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const {
    const auto raw = as_bytes(name);
    std::uint64_t first = 0, last = 0;
    if (raw.size() >= 8) {
      first = short_bytes::load<std::uint64_t>(raw.data());
      last = short_bytes::load<std::uint64_t>(raw.data() + raw.size() - 8);
    } else {
      for (const auto each : raw)
        first = first << 8 | each;
    }
    const auto mixed =
        (first ^ last * 0x9E37'79B9'7F4A'7C15 ^ name.size()) * 0xFF51'AFD7'ED55'8CCD;
    return static_cast<std::size_t>(mixed ^ mixed >> 32);
  }
};
struct name_equal {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return is_same(a, b); }
};

/// Has no order that is the same on every node: to be looked into, never to be listed. The
/// names are those of approved contracts, so nobody can choose many that fall together.
template <class T>
using by_name = std::unordered_map<std::string, T, name_hash, name_equal>;

} // namespace tallymesh::contracts
