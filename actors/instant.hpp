// Time as machines see it: it arrives inside events, never from a clock. Value type.
#pragma once

#include <cstdint>

namespace tallymesh {

struct instant {
  std::int64_t monotonic_ms = 0; ///< for timers; only differences mean anything
  std::int64_t wall_ms = 0; ///< since 1970; only for a block's time and an operation's validity
};

} // namespace tallymesh
