// The caf::actor handle of a peer in another process: what is sent to it goes into the link's
// queue. Only (frame_atom, shared_frame) passes; every request is refused at once, because no
// answer could come back. Enqueued to from any thread; ended by the link, which fires monitors.
#pragma once

#include "actors/peer_link/queues.hpp"

#include <caf/actor.hpp>
#include <caf/actor_proxy.hpp>

namespace tallymesh::peer_link {

/// To peer links from one of its handles: there is something in the queue of link `serial`.
using wake_atom = caf::atom_constant<caf::atom("wake")>;

class peer_handle : public caf::actor_proxy {
public:
  /// `name`: whose handle it is, for a trace of whoever sends to it.
  peer_handle(caf::actor_config& config, caf::actor links, std::string name,
              std::uint64_t serial, std::shared_ptr<send_queue> queue,
              std::shared_ptr<std::atomic<std::uint64_t>> dropped);

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* context) override;
  using caf::actor_proxy::enqueue;
  bool add_backlink(caf::abstract_actor* x) override;
  bool remove_backlink(caf::abstract_actor* x) override;
  void kill_proxy(caf::execution_unit* context, caf::error reason) override;

private:
  void push(const shared_frame& frame, caf::execution_unit* context);

  const caf::actor links_;
  const std::string name_;
  const std::uint64_t serial_;
  const std::shared_ptr<send_queue> queue_;
  const std::shared_ptr<std::atomic<std::uint64_t>> dropped_;
};

} // namespace tallymesh::peer_link
