#include "actors/peer_link/links.hpp"

#include <caf/all.hpp>

namespace tallymesh::peer_link {

namespace {

struct one_way_state {
  static inline const char* name = "local_link";
  /// Each way keeps the other alive: CAF ends an actor whose handle nobody holds, and a link
  /// that a node has replaced would then end after its successor came up, and seem to be that
  /// one's end.
  caf::actor other_way;
};

/// Carries what `from` says to `to`, and tells `to` when it ends.
caf::behavior one_way(caf::stateful_actor<one_way_state>* self, node_index from,
                      const caf::actor& to) {
  self->set_default_handler(caf::drop);
  self->attach_functor([from, to] { caf::anon_send(to, down_atom::value, from); });
  return {
      [=](frame_atom, const shared_frame& frame) {
        caf::anon_send(to, frame_atom::value, from, frame);
      },
      [=](caf::link_atom, const caf::actor& other_way) {
        self->state.other_way = other_way;
        self->link_to(other_way);
      },
  };
}

} // namespace

std::pair<caf::actor, caf::actor> connect_local(caf::actor_system& system, caf::actor sink_a,
                                                node_index index_a, caf::actor sink_b,
                                                node_index index_b) {
  const auto a_to_b = system.spawn(one_way, index_a, sink_b);
  const auto b_to_a = system.spawn(one_way, index_b, sink_a);
  caf::anon_send(a_to_b, caf::link_atom::value, b_to_a);
  caf::anon_send(b_to_a, caf::link_atom::value, a_to_b);
  caf::anon_send(sink_a, up_atom::value, index_b, a_to_b);
  caf::anon_send(sink_b, up_atom::value, index_a, b_to_a);
  return {a_to_b, b_to_a};
}

} // namespace tallymesh::peer_link
