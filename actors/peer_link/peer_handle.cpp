#include "actors/peer_link/peer_handle.hpp"

#include "actors/introspector/inspected.hpp"
#include "messages/limits.hpp"

#include <caf/all.hpp>

namespace tallymesh::peer_link {

peer_handle::peer_handle(caf::actor_config& config, caf::actor links, std::string name,
                         std::uint64_t serial, std::shared_ptr<send_queue> queue,
                         std::shared_ptr<std::atomic<std::uint64_t>> dropped)
    : actor_proxy(config), links_(std::move(links)), name_(std::move(name)), serial_(serial),
      queue_(std::move(queue)), dropped_(std::move(dropped)) {}

void peer_handle::enqueue(caf::mailbox_element_ptr what, caf::execution_unit* context) {
  if (what->mid.is_request()) {
    if (what->sender)
      what->sender->enqueue(nullptr, what->mid.response_id(),
                            caf::make_message(caf::make_error(caf::sec::unexpected_message)),
                            context);
    return;
  }
  auto& content = what->content();
  using introspector::the_trace;
  if (the_trace.runs() && what->sender && the_trace.of(what->sender->id())) {
    const introspector::message_kind kind(content);
    the_trace.note(
        {introspector::steady_ns(), true, id(), name_, kind.name(), kind.bytes(), -1});
  }
  if (content.match_elements<frame_atom, shared_frame>())
    push(content.get_as<shared_frame>(1), context);
}

void peer_handle::push(const shared_frame& frame, caf::execution_unit* context) {
  auto outcome = send_queue::outcome::dropped;
  if (frame && !frame->empty() && frame->size() <= limits::max_frame_bytes)
    outcome = queue_->push(frame);
  if (outcome == send_queue::outcome::dropped)
    ++*dropped_;
  else if (outcome == send_queue::outcome::queued_first)
    links_->enqueue(nullptr, caf::make_message_id(),
                    caf::make_message(wake_atom::value, serial_), context);
}

bool peer_handle::add_backlink(caf::abstract_actor* x) {
  return monitorable_actor::add_backlink(x);
}

bool peer_handle::remove_backlink(caf::abstract_actor* x) {
  return monitorable_actor::remove_backlink(x);
}

void peer_handle::kill_proxy(caf::execution_unit* context, caf::error reason) {
  cleanup(std::move(reason), context);
}

} // namespace tallymesh::peer_link
