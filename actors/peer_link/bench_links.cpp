// How fast one link is: two nodes in one process over loopback, TLS and all, one way. Prints a
// line a frame size. Built only when asked for: ninja bench_links
#include "actors/peer_link/links.hpp"

#include <caf/all.hpp>
#include <caf/io/middleman.hpp>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <ctime>
#include <future>
#include <semaphore>

using namespace tallymesh;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t in_flight_bytes =
    8 * 1024 * 1024; // below the queue's limit: nothing is dropped

struct flow {
  std::atomic<std::size_t> sent_bytes = 0, received_bytes = 0;
  std::atomic<bool> sender_waits = false;
  std::binary_semaphore room{0};
  std::promise<caf::actor> peer;
};

caf::behavior counter(caf::event_based_actor* self, flow* into) {
  self->set_default_handler(caf::drop);
  return {
      [=](frame_atom, node_index, const shared_frame& frame) {
        into->received_bytes += frame->size();
        if (into->sender_waits.exchange(false)) into->room.release();
      },
      [=](up_atom, node_index, const caf::actor& peer) { into->peer.set_value(peer); },
  };
}

struct node {
  caf::actor_system_config config;
  caf::actor_system system;
  flow seen;
  caf::actor sink, links;

  static caf::actor_system_config& configured(caf::actor_system_config& x) {
    x.load<caf::io::middleman>();
    x.set("scheduler.policy", caf::atom("sharing"))
        .set("scheduler.max-threads", std::size_t{2});
    return x;
  }
  explicit node(peer_link::link_settings settings)
      : system(configured(config)), sink(system.spawn(counter, &seen)),
        links(peer_link::spawn_links(system, std::move(settings), sink)) {}
  ~node() {
    caf::anon_send_exit(links, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
  }
  std::uint16_t port() {
    std::uint16_t out = 0;
    caf::scoped_actor self{system};
    self->request(links, 10s, port_atom::value)
        .receive([&](std::uint16_t x) { out = x; }, [](const caf::error&) {});
    return out;
  }
};

void measure(const caf::actor& peer, flow& into, std::size_t frame_bytes) {
  const auto frame = std::make_shared<const bytes>(frame_bytes, std::uint8_t{5});
  into.sent_bytes = into.received_bytes = 0;
  const auto cpu_before = std::clock();
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < 2s) {
    while (into.sent_bytes - into.received_bytes > in_flight_bytes) {
      into.sender_waits = true;
      if (into.sent_bytes - into.received_bytes > in_flight_bytes) into.room.acquire();
    }
    caf::anon_send(peer, frame_atom::value, frame);
    into.sent_bytes += frame_bytes;
  }
  while (into.received_bytes < into.sent_bytes)
    std::this_thread::yield();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const auto cpu_s = static_cast<double>(std::clock() - cpu_before) / CLOCKS_PER_SEC;
  const auto received = static_cast<double>(into.received_bytes);
  std::printf("%8zu bytes a frame: %8.0f frames/s %8.1f MB/s, %.2f s of CPU a second\n",
              frame_bytes, received / static_cast<double>(frame_bytes) / took.count(),
              received / 1e6 / took.count(), cpu_s / took.count());
}

} // namespace

int main() {
  initialise_crypto();
  spdlog::set_level(spdlog::level::warn);
  const auto key_a = signing_key::generate(), key_b = signing_key::generate();
  peer_link::link_settings of_b{.own_index = 1, .link_key = key_b};
  of_b.listen_host = "127.0.0.1";
  of_b.peers.push_back({0, "a", "127.0.0.1", 1, key_a.public_part()});
  node b{of_b};
  peer_link::link_settings of_a{.own_index = 0, .link_key = key_a};
  of_a.listen_host = "127.0.0.1";
  of_a.peers.push_back({1, "b", "127.0.0.1", b.port(), key_b.public_part()});
  node a{of_a};
  const auto peer = a.seen.peer.get_future().get();
  for (const std::size_t size : {200, 1024, 16 * 1024, 64 * 1024, 512 * 1024, 4 * 1024 * 1024})
    measure(peer, b.seen, size);
}
