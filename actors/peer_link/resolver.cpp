#include "actors/peer_link/resolver.hpp"

#include <caf/all.hpp>

#include <arpa/inet.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>

namespace tallymesh::peer_link {

namespace {

std::string resolve(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all{found, &::freeaddrinfo};
  char text[NI_MAXHOST];
  if (::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST)
      != 0)
    return {};
  return text;
}

} // namespace

caf::actor spawn_resolver(caf::actor_system& system) {
  const auto behavior = [](caf::event_based_actor* self, int flags) -> caf::behavior {
    self->set_default_handler(caf::drop);
    return {[flags](resolve_atom, std::uint16_t tag, const std::string& host) {
      return std::make_tuple(resolved_atom::value, tag, resolve(host, flags));
    }};
  };
  return system.spawn<caf::detached>(behavior, AI_ADDRCONFIG);
}

unsigned numeric_address(const std::string& address, std::uint16_t port,
                         sockaddr_storage& out) {
  out = {};
  auto& v4 = reinterpret_cast<sockaddr_in&>(out);
  if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return sizeof v4;
  }
  out = {};
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
  if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return sizeof v6;
  }
  return 0;
}

} // namespace tallymesh::peer_link
