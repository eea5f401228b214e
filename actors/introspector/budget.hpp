// How much of a processor operators may take from the node, all together: a bucket of time that
// fills slowly and that each answer empties. Who asks for more waits; nobody is refused for it.
// The introspector's thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tallymesh::introspector {

class budget {
public:
  /// One tenth of one processor, in the long run; at once, a `why` of a small mesh.
  /// So much may be owed at most, too: one dear answer does not shut everyone out.
  static constexpr std::int64_t a_second_us = 100'000, most_us = 300'000;

  explicit budget(std::int64_t now_us) : at_us_(now_us) {}

  void spend(std::int64_t us, std::int64_t now_us) {
    fill(now_us);
    left_us_ = std::max(left_us_ - std::max<std::int64_t>(us, 0), -most_us);
  }
  /// Until there is something left; 0: there is.
  std::int64_t wait_us(std::int64_t now_us) {
    fill(now_us);
    return left_us_ > 0 ? 0 : (1 - left_us_) * 1'000'000 / a_second_us;
  }

private:
  void fill(std::int64_t now_us) {
    // More than a full bucket is never earned, so a long pause cannot overflow.
    const auto passed = std::clamp<std::int64_t>(
        now_us - at_us_, 0, (most_us - left_us_) * 1'000'000 / a_second_us);
    const auto earned = passed * a_second_us / 1'000'000;
    left_us_ = std::min(most_us, left_us_ + earned);
    at_us_ = now_us - (left_us_ < most_us ? passed - earned * 1'000'000 / a_second_us : 0);
  }

  std::int64_t left_us_ = most_us;
  std::int64_t at_us_;
};

} // namespace tallymesh::introspector
