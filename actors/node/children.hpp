// The supervision tree as the introspector reads it: each child of the supervisor, under which
// name and family it runs, since when, how often it was started again and why. Written by the
// supervisor, read by any thread. Holds no child alive.
#pragma once

#include "actors/introspector/meter.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <map>
#include <memory>
#include <mutex>

namespace tallymesh::node {

struct child {
  std::string name, family; ///< a family restarts together
  caf::actor_addr address;
  std::uint64_t id = 0;
  std::shared_ptr<introspector::meter> meter;
  bool alive = false;
  std::int64_t since_ms = 0; ///< of `alive`; since 1970
  std::uint64_t restarts = 0;
  std::string last_exit; ///< empty: it never ended
};

class child_board {
public:
  void started(const caf::actor& what, std::string name, std::string family,
               std::int64_t wall_ms);
  void ended(const caf::actor_addr& what, std::string reason, std::int64_t wall_ms);
  /// In the order in which they were started first.
  std::vector<child> all() const;

private:
  mutable std::mutex lock_;
  std::vector<child> children_;
};

} // namespace tallymesh::node
