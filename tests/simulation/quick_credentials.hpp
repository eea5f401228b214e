// Signatures for the simulator: a quick keyed hash instead of Ed25519. Whoever holds the node's
// secret can make them, others in the simulator never try: forging is not what is tested.
// Value.
#pragma once

#include "messages/signed_item.hpp"

namespace tallymesh::simulation {

credentials quick_credentials(node_index self, std::uint16_t nodes,
                              const signing_domain& domain);

} // namespace tallymesh::simulation
