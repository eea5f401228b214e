// A message on its way, with the fingerprint that goes into the trace, and its form on paper.
// Immutable and shared.
#pragma once

#include "messages/wire.hpp"

namespace tallymesh::simulation {

struct parcel {
  wire_message content;
  std::uint64_t fingerprint = 0;
};
using parcel_ptr = std::shared_ptr<const parcel>;

parcel_ptr make_parcel(wire_message content);

/// Depends on everything in the message that a machine can react to.
std::uint64_t fingerprint(const wire_message& x);

std::string describe(const wire_message& x);
std::string describe(const lane_tip& x);
std::string describe(const std::vector<lane_tip>& x);
std::string describe(const block& x);
std::string describe(const certificate& x);
std::string describe(const vote& x);

} // namespace tallymesh::simulation
