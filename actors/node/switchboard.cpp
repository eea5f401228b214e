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

/// True for batch, have, fetch_batches and fetched_batches: the first alternatives of
/// wire_message.
bool is_for_mempool(const bytes& frame) {
  return !frame.empty() && frame.front() < lane_message_kinds;
}

template <class... Ts>
void tell_both(self_ptr self, const Ts&... xs) {
  const auto& core = self->state.core;
  if (core.consensus) self->send(core.consensus, xs...);
  if (core.mempool) self->send(core.mempool, xs...);
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
          tell_both(self, up_atom::value, peer, handle);
      },
      [=](frame_atom, node_index from, const shared_frame& frame) {
        const auto& core = self->state.core;
        const auto& to = is_for_mempool(*frame) ? core.mempool : core.consensus;
        if (to) self->send(to, frame_atom::value, from, frame);
      },
      [=](up_atom, node_index peer, const caf::actor& handle) {
        auto& state = self->state;
        state.peers[peer] = handle;
        state.context->board.peer(peer, true, now().wall_ms);
        tell_both(self, up_atom::value, peer, handle);
      },
      [=](down_atom, node_index peer) {
        auto& state = self->state;
        state.peers.erase(peer);
        state.context->board.peer(peer, false, now().wall_ms);
        tell_both(self, down_atom::value, peer);
      },
  };
}

} // namespace

caf::actor spawn_switchboard(caf::actor_system& system, context_ptr context) {
  return system.spawn(behaviour, std::move(context));
}

} // namespace tallymesh::node
