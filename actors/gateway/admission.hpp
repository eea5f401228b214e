// What the mempool says to an operation that is handed to it. No heavy includes, so that the
// mempool's actor and the gateway share it. Value type; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace tallymesh::gateway {

enum class admission : std::uint8_t {
  accepted,   ///< waits in the mempool for its batch
  overloaded, ///< the mempool is full; the client tries again later
  known,      ///< the same id already waits, or lies in a batch that is not executed yet
  too_large,  ///< no batch can hold it
};

constexpr std::string_view to_string(admission x) {
  switch (x) {
  case admission::accepted:
    return "accepted";
  case admission::overloaded:
    return "overloaded";
  case admission::known:
    return "known";
  case admission::too_large:
    return "too_large";
  }
  return "unknown";
}

} // namespace tallymesh::gateway
