// What our actors say to each other in CAF's words: atoms, and the types that travel in CAF
// messages. The only file of messages that knows CAF; everything here stays inside one process,
// so types are passed as they are and never serialised. Any thread.
#pragma once

#include "messages/bytes.hpp"
#include "messages/signed_item.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <memory>

namespace tallymesh {

/// The bytes of one wire_message, shared and never changed. A frame that came from a peer
/// counts against what that peer may have in flight until its last owner lets go of it: decode
/// it, keep what was decoded, and drop the frame.
using shared_frame = std::shared_ptr<const bytes>;

// --- between peer links and the one actor they deliver to (their sink)

/// To a peer: (frame_atom, shared_frame). To the sink: (frame_atom, node_index from,
/// shared_frame).
using frame_atom = caf::atom_constant<caf::atom("frame")>;
/// To the sink: (up_atom, node_index, caf::actor peer).
using up_atom = caf::atom_constant<caf::atom("up")>;
/// To the sink: (down_atom, node_index).
using down_atom = caf::atom_constant<caf::atom("down")>;
/// To peer links: (sink_atom, caf::actor): deliver here from now on; every peer is announced
/// again, up or down, because what was said to the sink before may be lost.
using sink_atom = caf::atom_constant<caf::atom("sink")>;
// --- between peer links and the introspector: connections of operators, which are no peers

/// To peer links: (operators_atom, caf::actor): deliver what operators say here from now on;
/// those that are connected are announced again. And (operators_atom, operator_list): who may
/// connect from now on; whose key is no longer there is cut.
using operators_atom = caf::atom_constant<caf::atom("operators")>;
/// To the introspector: (operator_up_atom, session, public_key of the operator, address,
/// caf::actor handle), (frame_atom, session, shared_frame), (operator_down_atom, session).
using operator_up_atom = caf::atom_constant<caf::atom("op_up")>;
using operator_down_atom = caf::atom_constant<caf::atom("op_down")>;
/// To peer links: (cut_atom, session): end this operator's connection, and let its key in
/// again only after a while.
using cut_atom = caf::atom_constant<caf::atom("cut")>;
/// To peer links: (fault_atom, node_index, for_ms): take the link to this peer down and let
/// none come up for so long. An operator's order, to see what the mesh then does.
using fault_atom = caf::atom_constant<caf::atom("fault")>;

/// A request to peer links: (port_atom) -> std::uint16_t, the port that is really listened on.
using port_atom = caf::atom_constant<caf::atom("port")>;
/// A request to any actor that can be looked into; peer links answer std::vector<link_info>.
using introspect_atom = caf::atom_constant<caf::atom("introspect")>;

/// One peer, as its link sees it. Counts are totals since peer links started.
struct link_info {
  node_index peer = 0;
  std::string name;
  std::string address; ///< of the present connection, or where it is dialed
  bool up = false;
  std::int64_t since_ms = 0;       ///< of the last change of `up`; milliseconds since 1970
  std::int64_t round_trip_us = -1; ///< of the last ping; -1: none answered yet
  std::uint64_t bytes_in = 0, bytes_out = 0; ///< on the wire, encrypted
  std::uint64_t frames_in = 0, frames_out = 0;
  std::uint64_t queue_bytes = 0;    ///< waiting to be written
  std::uint64_t dropped_frames = 0; ///< not sent, because the queue was full or the link down
  std::uint64_t handshake_failures = 0;
  std::uint64_t times_up = 0;
};

} // namespace tallymesh

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::shared_frame)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::public_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<tallymesh::link_info>)
