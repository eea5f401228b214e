// Whose message a thread handles now; the log asks for its level.
#pragma once

#include "actors/introspector/meter.hpp"

namespace tallymesh::introspector {

inline thread_local const meter* running_meter = nullptr;

} // namespace tallymesh::introspector
