// Nodes for tests of peer links: each has an actor system of its own, peer links on a free port
// of loopback, and a sink that remembers what was delivered. A test waits for conditions, never
// for time.
#pragma once

#include "actors/peer_link/links.hpp"

#include <caf/all.hpp>
#include <caf/io/middleman.hpp>

#include <condition_variable>
#include <deque>
#include <mutex>

namespace peer_link_test {

using namespace tallymesh;
using namespace std::chrono_literals;

inline caf::actor_system_config& quiet_config(caf::actor_system_config& config) {
  config.load<caf::io::middleman>();
  config.set("scheduler.policy", caf::atom("sharing"))
      .set("scheduler.max-threads", std::size_t{2});
  return config;
}

/// What a sink saw. Frames are kept as sizes and a first byte, so that receive credit is given
/// back.
struct delivered {
  struct frame {
    node_index from;
    std::size_t size;
    std::uint8_t first, last;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<frame> frames;
  std::map<node_index, caf::actor> up;
  int ups = 0, downs = 0, monitors_fired = 0;
  bool slow = false; ///< while true, frames are held in `hoard`
  std::vector<shared_frame> hoard;

  template <class Condition>
  bool wait(Condition holds, std::chrono::milliseconds limit = 10s) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, limit, [&] { return holds(*this); });
  }
  template <class Change>
  void change(Change apply) {
    // What the change lets go of is destroyed outside the lock.
    std::vector<shared_frame> freed;
    {
      const std::lock_guard lock{mutex};
      apply(*this);
      if (!slow) freed.swap(hoard);
    }
    changed.notify_all();
  }
};

inline caf::behavior recorder(caf::event_based_actor* self, std::shared_ptr<delivered> into) {
  self->set_default_handler(caf::drop);
  self->set_down_handler(
      [into](const caf::down_msg&) { into->change([](delivered& x) { ++x.monitors_fired; }); });
  return {
      [=](frame_atom, node_index from, const shared_frame& frame) {
        into->change([&](delivered& x) {
          x.frames.push_back({from, frame->size(), frame->front(), frame->back()});
          if (x.slow) x.hoard.push_back(frame);
        });
      },
      [=](up_atom, node_index index, const caf::actor& peer) {
        self->monitor(peer);
        into->change([&](delivered& x) { x.up[index] = peer, ++x.ups; });
      },
      [=](down_atom, node_index index) {
        into->change([&](delivered& x) { x.up.erase(index), ++x.downs; });
      },
  };
}

/// The keys of a little mesh, and settings made from them.
struct genesis {
  std::vector<signing_key> keys;
  digest chain{{1, 2, 3}};
  explicit genesis(std::size_t nodes) {
    for (std::size_t i = 0; i < nodes; ++i)
      keys.push_back(signing_key::generate());
  }
  peer_link::link_settings settings(node_index own) const {
    peer_link::link_settings out{.own_index = own, .link_key = keys[own], .chain = chain};
    out.listen_host = "127.0.0.1";
    for (node_index i = 0; i < keys.size(); ++i)
      if (i != own)
        out.peers.push_back(
            {i, "n" + std::to_string(i), "127.0.0.1", 1, keys[i].public_part()});
    return out;
  }
};

class node {
public:
  explicit node(peer_link::link_settings settings)
      : system_(quiet_config(config_)), seen(std::make_shared<delivered>()),
        sink(system_.spawn(recorder, seen)),
        links(peer_link::spawn_links(system_, std::move(settings), sink)) {
    caf::scoped_actor self{system_};
    self->request(links, 10s, port_atom::value)
        .receive([this](std::uint16_t x) { port = x; }, [](const caf::error&) {});
  }
  ~node() {
    caf::anon_send_exit(links, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
    const std::lock_guard lock{seen->mutex};
    seen->up.clear();
    seen->hoard.clear();
  }
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  caf::actor peer(node_index index) {
    const std::lock_guard lock{seen->mutex};
    const auto i = seen->up.find(index);
    return i != seen->up.end() ? i->second : caf::actor{};
  }
  bool wait_up(node_index index, std::chrono::milliseconds limit = 10s) {
    return seen->wait([=](auto& x) { return x.up.contains(index); }, limit);
  }
  void send(node_index to, bytes body) {
    if (const auto handle = peer(to))
      caf::anon_send(handle, frame_atom::value, std::make_shared<const bytes>(std::move(body)));
  }
  link_info info(node_index of) {
    link_info out;
    caf::scoped_actor self{system_};
    self->request(links, 10s, introspect_atom::value)
        .receive(
            [&](const std::vector<link_info>& all) {
              for (const auto& x : all)
                if (x.peer == of) out = x;
            },
            [](const caf::error&) {});
    return out;
  }
  caf::actor_system& system() { return system_; }

private:
  caf::actor_system_config config_;
  caf::actor_system system_;

public:
  std::shared_ptr<delivered> seen;
  caf::actor sink, links;
  std::uint16_t port = 0;
};

/// `settings` with the port of peer `index` filled in.
inline peer_link::link_settings dialing(peer_link::link_settings settings, node_index index,
                                        std::uint16_t port) {
  for (auto& x : settings.peers)
    if (x.index == index) x.port = port;
  return settings;
}

} // namespace peer_link_test
