// Peer links: what lets actors of this node talk to those of other nodes through plain
// caf::actor handles. spawn_links starts one actor, "peer_links", a broker on the middleman's
// thread, that listens, dials, authenticates, and owns every connection; when it ends all of
// them end, and a supervisor can start it again alone. connect_local is the same for nodes that
// share a process.
#pragma once

#include "actors/peer_link/queues.hpp"
#include "messages/digest.hpp"
#include "messages/keys.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <chrono>

namespace tallymesh::peer_link {

struct peer_identity {
  node_index index = 0;
  std::string name, host;
  std::uint16_t port = 0;
  public_key link_key;
};

/// Who may connect without being a node: its frames go to the introspector, never to the sink.
struct operator_identity {
  std::string name;
  public_key key;
};
using operator_list = std::shared_ptr<const std::vector<operator_identity>>;

struct link_timing {
  std::chrono::milliseconds handshake_deadline{
      5000};                                  ///< from connecting to the other side's hello
  std::chrono::milliseconds ping_after{1000}; ///< nothing sent for so long
  std::chrono::milliseconds silence{2500}; ///< nothing received for so long: the link is down
  std::chrono::milliseconds tick{250};     ///< how often the three above are looked at
  std::chrono::milliseconds backoff_first{100};
  std::chrono::milliseconds backoff_cap{2000};
  std::chrono::milliseconds steady_after{
      10000}; ///< a link that lived so long starts over at backoff_first
  std::chrono::milliseconds log_every{60000}; ///< the same refusal of the same address
};

struct link_limits {
  queue_limits queue;
  std::size_t receive_bytes = 16 * 1024 * 1024; ///< delivered and not let go of: reading pauses
  std::size_t write_buffer_bytes = 256 * 1024;  ///< encrypted ahead of the socket
  std::size_t unauthenticated_connections = 32;
  std::size_t operator_connections = 8;        ///< of all operators together; more are refused
  std::size_t operator_connections_a_key = 4;  ///< so that one key cannot keep all others out
  std::size_t operator_frame_bytes = 4 * 1024; ///< what an operator may say at once
  std::size_t operator_queue_bytes = 2 * 1024 * 1024; ///< who reads slower is cut
  std::size_t operator_receive_bytes = 64 * 1024;
  std::size_t operator_frames_a_second = 500; ///< of any kind; who sends more is cut,
  std::size_t operator_bytes_a_second = 4 * 1024 * 1024; ///< as is who sends more bytes
  std::chrono::milliseconds operator_kept_out{10'000};   ///< who was cut, before it may return
};

struct link_settings {
  node_index own_index = 0;
  signing_key link_key;
  digest chain;
  std::string listen_host;          ///< empty: every address
  std::uint16_t listen_port = 0;    ///< 0: any free one; ask for it by port_atom
  std::vector<peer_identity> peers; ///< without ourselves
  link_timing timing;
  link_limits limits;
  std::vector<operator_identity> operators;
  /// We are no node but an operator: dial every peer, listen nowhere. `link_key` is the
  /// operator's.
  bool as_operator = false;
};

/// Delivers to `sink`, and understands, what messages/caf_types.hpp lists. Ends with an error,
/// after a line in the log, if it cannot listen.
caf::actor spawn_links(caf::actor_system& system, link_settings settings, caf::actor sink);

/// Joins two nodes of one process: each sink gets (up_atom, index of the other, handle), then
/// what is sent to the other's handle as (frame_atom, from, shared_frame). When either of the
/// two returned actors ends, both do, and both sinks get (down_atom, index); until then both
/// live, whoever holds them. The first carries from a to b.
std::pair<caf::actor, caf::actor> connect_local(caf::actor_system& system, caf::actor sink_a,
                                                node_index index_a, caf::actor sink_b,
                                                node_index index_b);

} // namespace tallymesh::peer_link

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::peer_link::operator_list)
