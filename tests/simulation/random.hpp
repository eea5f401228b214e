// The simulator's only source of chance: xoshiro256**, seeded by splitmix64, so that one number
// decides a whole run on every machine (the standard library's distributions do not promise
// that). Value type; each part of a run owns one.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace tallymesh::simulation {

/// Spreads the bits of a word; a bijection.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

class random_source {
public:
  explicit random_source(std::uint64_t seed) {
    for (auto& word : state_)
      word = seed = mix(seed);
  }

  std::uint64_t next() {
    const auto result = rotate(state_[1] * 5, 7) * 9;
    const auto shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  /// 0 to limit - 1; 0 if limit is 0. The bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : next() % limit; }
  /// Both ends included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool chance(std::uint64_t per_mille) { return below(1000) < per_mille; }

  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& x) {
    for (std::size_t i = x.size(); i > 1; --i)
      std::swap(x[i - 1], x[below(i)]);
  }

private:
  static std::uint64_t rotate(std::uint64_t x, int by) { return x << by | x >> (64 - by); }
  std::array<std::uint64_t, 4> state_{};
};

} // namespace tallymesh::simulation
