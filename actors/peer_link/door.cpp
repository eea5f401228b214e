#include "actors/peer_link/door.hpp"

#include <caf/all.hpp>
#include <caf/io/abstract_broker.hpp>

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tallymesh::peer_link {

namespace net = caf::io::network;

namespace {

/// -1 with errno set.
int listening_socket(const addrinfo& where) {
  const int fd = ::socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0
      && ::bind(fd, where.ai_addr, where.ai_addrlen) == 0 && ::listen(fd, SOMAXCONN) == 0)
    return fd;
  const int why = errno;
  ::close(fd);
  errno = why;
  return -1;
}

} // namespace

result<int> listen_on(const std::string& host, std::uint16_t port) {
  const auto place = host + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  // With no host, IPv4's wildcard: what an operator who writes only a port expects.
  if (host.empty()) hints.ai_family = AF_INET;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                   std::to_string(port).c_str(), &hints, &found);
  if (failed != 0)
    return make_error(errc::bad_config,
                      "cannot listen on " + place + ": " + gai_strerror(failed));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all{found, &::freeaddrinfo};
  for (const auto* x = found; x != nullptr; x = x->ai_next)
    if (const int fd = listening_socket(*x); fd >= 0) return fd;
  return make_error(errc::unavailable,
                    "cannot listen on " + place + ": " + std::strerror(errno));
}

door::door(net::default_multiplexer& loop, int listening)
    : doorman(net::accept_hdl_from_socket(listening)),
      acceptor_(loop, listening, patient_accept{this}) {}

bool door::new_connection() {
  if (detached()) {
    ::close(acceptor_.accepted_socket());
    return false;
  }
  auto& loop = acceptor_.backend();
  auto scribe = loop.new_scribe(acceptor_.accepted_socket());
  const auto handle = scribe->hdl();
  parent()->add_scribe(std::move(scribe));
  return doorman::new_connection(&loop, handle);
}

std::string door::addr() const {
  const auto x = net::local_addr_of_fd(acceptor_.fd());
  return x ? *x : std::string{};
}

std::uint16_t door::port() const {
  const auto x = net::local_port_of_fd(acceptor_.fd());
  return x ? *x : std::uint16_t{0};
}

bool door::patient_accept::try_accept(net::native_socket& accepted, net::native_socket from) {
  accepted = ::accept4(from, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (accepted >= 0) return true;
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    owner->exhausted_ = true;
    owner->remove_from_loop();
  }
  return false;
}

bool door::try_again() {
  const bool was = std::exchange(exhausted_, false);
  add_to_loop(); // does nothing if it is there
  return was;
}

} // namespace tallymesh::peer_link
