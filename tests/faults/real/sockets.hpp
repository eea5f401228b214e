// The few calls that everything between real nodes needs: sockets on loopback, and a pipe that
// wakes a thread from poll. Any thread.
#pragma once

#include "messages/result.hpp"

#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tallymesh::faults {

struct open_port {
  int number = -1; ///< the listening socket; whoever asked closes it
  std::uint16_t port = 0;
};
/// On a port that the system chooses. Errors: unavailable.
result<open_port> listen_on_loopback();
/// A port that was free a moment ago. Errors: unavailable.
result<std::uint16_t> free_port();

/// A socket that connects without blocking; negative if it cannot.
int dial_loopback(std::uint16_t port);
/// The same, but connected; sending and receiving give up soon.
int connect_loopback(std::uint16_t port);
void no_delay(int number);

/// A pipe in a set of descriptors to poll.
class waker {
public:
  ~waker();
  /// Errors: unavailable.
  result<void> open();
  int descriptor() const { return ends_[0]; }
  void nudge();
  void drain();

private:
  int ends_[2] = {-1, -1};
};

} // namespace tallymesh::faults
