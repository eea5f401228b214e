#include "actors/gateway/server.hpp"

#include "actors/gateway/service.hpp"
#include "actors/gateway/worker_pool.hpp"

namespace tallymesh::gateway {

/// How long answers may take to be written once all are made.
static constexpr std::chrono::milliseconds last_writes{500};

struct server::state {
  state(const settings& how, backend node);
  void wake_at(std::chrono::steady_clock::time_point when) {
    front.call_at(when, [this] { core->expire(std::chrono::steady_clock::now()); });
  }

  const std::chrono::milliseconds drain_timeout;
  // Shared with tasks that may outlive a moment of the server: verdicts of the mempool.
  std::shared_ptr<worker_pool> workers;
  http_front front;
  std::shared_ptr<service> core;
  std::mutex stopping;
  bool stopped = false;
};

server::state::state(const settings& how, backend node)
    : drain_timeout(how.drain_timeout),
      // Each request in flight has at most two tasks at once: its own, and its verdicts.
      workers(
          std::make_shared<worker_pool>(how.readers, 2 * how.front.requests_in_flight + 16)),
      front(how.front, {[this](const request& head) { return core->screen(head); },
                        [this](request what, answer_function answer) {
                          core->handle(std::move(what), std::move(answer));
                        },
                        [this](unsigned status) { core->count_answer(status); }}) {
  service_settings limits;
  limits.waiting_operations = how.waiting_operations;
  core = std::make_shared<service>(std::move(node), limits,
                                   service_hooks{[pool = workers](std::function<void()> task) {
                                                   return pool->run(std::move(task));
                                                 },
                                                 [this](auto when) { wake_at(when); }});
}

server::server(settings how, backend node)
    : state_(std::make_unique<state>(how, std::move(node))) {}
server::~server() { stop(); }

result<void> server::start() { return state_->front.start(); }
std::uint16_t server::bound_port() const { return state_->front.bound_port(); }
result<void> server::reload_certificates() { return state_->front.reload_certificates(); }

void server::executed(std::shared_ptr<const execution> what) {
  state_->core->executed(std::move(what));
}

void server::mempool_restarted() {
  state_->core->expire(std::chrono::steady_clock::time_point::max());
}

void server::stop() {
  const std::lock_guard lock(state_->stopping);
  if (std::exchange(state_->stopped, true)) return;
  state_->front.stop_accepting();
  state_->core->drain(state_->drain_timeout);
  state_->workers->stop();
  // Whoever slipped in meanwhile.
  state_->core->drain(std::chrono::milliseconds(0));
  state_->front.close(last_writes);
}

} // namespace tallymesh::gateway
