#include "actors/node/children.hpp"

#include "actors/introspector/inspected.hpp"

namespace tallymesh::node {

void child_board::started(const caf::actor& what, std::string name, std::string family,
                          std::int64_t wall_ms) {
  const std::lock_guard guard(lock_);
  auto at = std::find_if(children_.begin(), children_.end(),
                         [&](const child& x) { return x.name == name; });
  if (at == children_.end()) {
    at = children_.emplace(at);
    at->name = std::move(name);
    at->family = std::move(family);
  } else {
    ++at->restarts;
  }
  at->address = what.address();
  at->id = what.id();
  at->meter = introspector::meter_of(what);
  at->alive = true;
  at->since_ms = wall_ms;
}

void child_board::ended(const caf::actor_addr& what, std::string reason, std::int64_t wall_ms) {
  const std::lock_guard guard(lock_);
  for (auto& each : children_)
    if (each.address == what) {
      each.alive = false;
      each.since_ms = wall_ms;
      each.last_exit = std::move(reason);
    }
}

std::vector<child> child_board::all() const {
  const std::lock_guard guard(lock_);
  return children_;
}

} // namespace tallymesh::node
