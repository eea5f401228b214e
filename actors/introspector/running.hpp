// Whose message a thread handles now; the log asks for its level.
#pragma once

#include "actors/introspector/meter.hpp"

#include <utility>

namespace tallymesh::introspector {

inline thread_local const meter* running_meter = nullptr;

/// Also when a handler throws, which ends its actor and with it the meter.
class runs_now {
public:
  explicit runs_now(const meter* x) : before_(std::exchange(running_meter, x)) {}
  ~runs_now() { running_meter = before_; }
  runs_now(const runs_now&) = delete;
  runs_now& operator=(const runs_now&) = delete;

private:
  const meter* before_;
};

} // namespace tallymesh::introspector
