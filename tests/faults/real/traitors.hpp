// Traitors among real nodes. Each is a true tallyd process; whoever holds all keys of the mesh
// stands in its links, speaks TLS with either side in the other's name, and lets the
// simulator's adversary bend, withhold and invent what the traitor says. Honest nodes cannot
// tell. One thread of its own; public functions: any thread.
#pragma once

#include "messages/result.hpp"
#include "messages/signed_item.hpp"
#include "tests/faults/language/script.hpp"

#include <memory>

namespace tallymesh::faults {

class traitors {
public:
  struct member {
    signing_key link, vote;
  };
  /// All nodes of the mesh, by index.
  traitors(const signing_domain& domain, std::vector<member> mesh,
           const std::vector<std::uint16_t>& who, std::uint64_t seed);
  ~traitors();
  traitors(const traitors&) = delete;
  traitors& operator=(const traitors&) = delete;

  /// Where `from`'s connections to `to` must go, whose own port is `target`; one of both is a
  /// traitor. Before start(). Errors: unavailable.
  result<std::uint16_t> stand_between(std::uint16_t from, std::uint16_t to,
                                      std::uint16_t target);
  /// Errors: unavailable, unsupported.
  result<void> start();
  /// From now on it does this too; until then it is a node like others.
  void turn(std::uint16_t node, byzantine_habit habit);
  /// How often something was bent, withheld or invented.
  std::uint64_t misdeeds() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// What the simulator calls it: a bit of simulation::strategy.
std::uint32_t strategy_of(byzantine_habit x);

} // namespace tallymesh::faults
