// The lines between real nodes: for each pair a TCP proxy on loopback that passes bytes on as
// they are (TLS and all), later, slower, or not at all. One thread of its own carries all of
// them; the public functions may be called from any thread.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/language/script.hpp"

#include <map>
#include <memory>

namespace tallymesh::faults {

class lines {
public:
  lines();
  ~lines();
  lines(const lines&) = delete;
  lines& operator=(const lines&) = delete;

  /// Listens for `from`'s connections to `to`, whose own port is `target`; returns the port.
  result<std::uint16_t> add(std::uint16_t from, std::uint16_t to, std::uint16_t target);
  /// From now on connections to this port go to `target`, and those that went elsewhere end; 0:
  /// to nobody.
  void lead_to(std::uint16_t port, std::uint16_t target);
  result<void> start();

  /// How bytes from `from` to `to` go, whoever dialled.
  void set(std::uint16_t from, std::uint16_t to, const line_quality& how);
  /// Counted: cut twice must be mended twice. A line cut both ways loses its connection and
  /// gets none; one cut one way holds back what goes that way.
  void cut(std::uint16_t from, std::uint16_t to);
  void mend(std::uint16_t from, std::uint16_t to);
  /// Every line good again, with the given quality.
  void heal();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace tallymesh::faults
