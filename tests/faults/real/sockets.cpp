#include "tests/faults/real/sockets.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/time.h>
#include <utility>

namespace tallymesh::faults {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

error failed_to(const std::string& what) {
  return make_error(errc::unavailable, what + ": " + std::strerror(errno));
}

} // namespace

result<open_port> listen_on_loopback() {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (number < 0) return failed_to("no socket");
  auto at = loopback(0);
  socklen_t size = sizeof at;
  auto* raw = reinterpret_cast<sockaddr*>(&at);
  if (::bind(number, raw, size) != 0 || ::listen(number, 64) != 0
      || ::getsockname(number, raw, &size) != 0) {
    auto why = failed_to("no port on loopback");
    ::close(number);
    return why;
  }
  return open_port{number, ntohs(at.sin_port)};
}

result<std::uint16_t> free_port() {
  const auto found = listen_on_loopback();
  if (!found) return found.error();
  ::close(found->number);
  return found->port;
}

int dial_loopback(std::uint16_t port) {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (number < 0) return -1;
  const auto at = loopback(port);
  if (::connect(number, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0
      || errno == EINPROGRESS)
    return number;
  ::close(number);
  return -1;
}

int connect_loopback(std::uint16_t port) {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (number < 0) return -1;
  const timeval patience{0, 200'000};
  for (const int each : {SO_SNDTIMEO, SO_RCVTIMEO})
    ::setsockopt(number, SOL_SOCKET, each, &patience, sizeof patience);
  const auto at = loopback(port);
  if (::connect(number, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return number;
  ::close(number);
  return -1;
}

void no_delay(int number) {
  const int yes = 1;
  ::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

waker::~waker() {
  for (auto& each : ends_)
    if (each >= 0) ::close(std::exchange(each, -1));
}

result<void> waker::open() {
  if (::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) != 0) return failed_to("no pipe");
  return {};
}

void waker::nudge() {
  const char x = 0;
  if (::write(ends_[1], &x, 1) < 0) return; // full: it wakes anyway
}

void waker::drain() {
  char drained[64];
  while (::read(ends_[0], drained, sizeof drained) > 0) {
  }
}

} // namespace tallymesh::faults
