#include "actors/node/switchboard.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::node {

namespace {

struct switchboard_state {
  static inline const char* name = "switchboard";
  context_ptr context;
  core_actors core;
  std::map<node_index, caf::actor> peers;
};
value_map describe(const switchboard_state& x) {
  value_map out;
  value_list up;
  for (const auto& [peer, handle] : x.peers)
    up.emplace_back(x.context->genesis().nodes[peer].name);
  put(out, "peers_up", std::move(up));
  return out;
}
using self_ptr = introspector::inspected_actor<switchboard_state>*;

/// By the alternative of wire_message, which the first byte is.
const caf::actor& reader_of(const core_actors& core, const bytes& frame) {
  static const auto first_of_executions = wire_message(fetch_execution()).index();
  if (frame.empty()) return core.consensus; // which drops it
  if (is_about_lanes(frame.front())) return core.mempool;
  return frame.front() < first_of_executions ? core.consensus : core.contract_executor;
}

template <class... Ts>
void tell_all(self_ptr self, const Ts&... xs) {
  const auto& core = self->state.core;
  for (const auto* each : {&core.consensus, &core.mempool, &core.contract_executor})
    if (*each) self->send(*each, xs...);
}

caf::behavior behaviour(self_ptr self, context_ptr context) {
  self->state.context = std::move(context);
  prepare(self);
  return {
      [=](wired_atom, const wiring_ptr& wired) {
        auto& state = self->state;
        const bool renewed = state.core.consensus != wired->core.consensus;
        state.core = wired->core;
        if (!renewed) return;
        for (const auto& [peer, handle] : state.peers)
          tell_all(self, up_atom::value, peer, handle);
      },
      [=](frame_atom, node_index from, const shared_frame& frame) {
        const auto& to = reader_of(self->state.core, *frame);
        if (to) self->send(to, frame_atom::value, from, frame);
      },
      [=](up_atom, node_index peer, const caf::actor& handle) {
        auto& state = self->state;
        state.peers[peer] = handle;
        state.context->board.peer(peer, true, now().wall_ms);
        tell_all(self, up_atom::value, peer, handle);
      },
      [=](down_atom, node_index peer) {
        auto& state = self->state;
        state.peers.erase(peer);
        state.context->board.peer(peer, false, now().wall_ms);
        tell_all(self, down_atom::value, peer);
      },
  };
}

} // namespace

caf::actor spawn_switchboard(caf::actor_system& system, context_ptr context) {
  return system.spawn(behaviour, std::move(context));
}

} // namespace tallymesh::node
