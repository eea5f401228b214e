// Clients that attack a node's link port: raw TCP, and TLS with a key of their own. They block
// and give up after ten seconds; one thread each.
#pragma once

#include "actors/peer_link/tls_session.hpp"

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace attackers {

using namespace tallymesh;
using namespace tallymesh::peer_link;

/// A blocking TCP connection to a port of loopback.
class client {
public:
  explicit client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to the attacked node");
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  client(client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~client() {
    if (fd_ >= 0) ::close(fd_);
  }
  void write(bytes_view what) { (void)::send(fd_, what.data(), what.size(), MSG_NOSIGNAL); }
  /// Empty when the other side closed.
  bytes read() {
    bytes out(16 * 1024);
    const auto size = ::recv(fd_, out.data(), out.size(), 0);
    out.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return out;
  }
  bool closed_by_other_side() {
    for (;;) {
      pollfd x{fd_, POLLIN, 0};
      if (::poll(&x, 1, 10'000) != 1) return false;
      if (read().empty()) return true;
    }
  }
  int descriptor() const { return fd_; }

private:
  int fd_;
};

/// A client that speaks TLS with a key of its own.
class tls_client {
public:
  tls_client(const tls_context& identity, std::uint16_t port)
      : line(port),
        session(identity, tls_role::dialing, [](const public_key&) { return true; }) {
    if (!session.start()) throw std::runtime_error("cannot start a TLS session");
    flush();
    while (!session.established()) {
      const auto wire = line.read();
      if (wire.empty() || !session.receive(wire, heard)) break;
      flush();
    }
  }
  void say(bytes_view plain) {
    if (session.send(plain)) flush();
  }
  void flush() {
    std::vector<char> out;
    session.drain(out);
    line.write({reinterpret_cast<const std::uint8_t*>(out.data()), out.size()});
  }
  client line;
  tls_session session;
  bytes heard;
};

inline void send_and_wait_for_the_end(std::uint16_t port, bytes_view what) {
  client x{port};
  x.write(what);
  BOOST_REQUIRE(x.closed_by_other_side());
}

} // namespace attackers
