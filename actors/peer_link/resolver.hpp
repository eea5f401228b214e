// Turns host names into addresses on a thread of its own, because name servers may take
// seconds.
#pragma once

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/atom.hpp>
#include <string>

struct sockaddr_storage;

namespace tallymesh::peer_link {

/// To the resolver: (resolve_atom, std::uint16_t tag, std::string host); it answers the sender
/// (resolved_atom, tag, std::string address), the address numeric, or empty if there is none.
using resolve_atom = caf::atom_constant<caf::atom("resolve")>;
using resolved_atom = caf::atom_constant<caf::atom("resolved")>;

caf::actor spawn_resolver(caf::actor_system& system);

/// Fills `out` from a numeric IPv4 or IPv6 address; the size to connect with, or 0 if `address`
/// is not numeric.
unsigned numeric_address(const std::string& address, std::uint16_t port, sockaddr_storage& out);

} // namespace tallymesh::peer_link
