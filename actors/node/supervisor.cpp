#include "actors/node/supervisor.hpp"

#include "actors/consensus/actor.hpp"
#include "actors/contract_executor/actor.hpp"
#include "actors/gateway/actor.hpp"
#include "actors/introspector/actor.hpp"
#include "actors/ledger_writer/actor.hpp"
#include "actors/mempool/actor.hpp"
#include "actors/node/switchboard.hpp"
#include "actors/peer_link/links.hpp"
#include "actors/steward/actor.hpp"

#include <deque>
#include <spdlog/spdlog.h>

namespace tallymesh::node {

namespace {

using std::chrono::milliseconds;
constexpr std::size_t max_restarts = 5;
constexpr std::int64_t restart_window_ms = 30'000;
constexpr milliseconds first_backoff{10};

using restart_atom = caf::atom_constant<caf::atom("restart")>;

/// Children that restart together. All but the core are families of one.
enum class family : std::uint8_t { core, switchboard, links, gateway, steward, introspector };
std::string_view to_string(family x) {
  static constexpr std::string_view names[] = {"core actors", "switchboard", "peer links",
                                               "gateway",     "steward",     "introspector"};
  return names[static_cast<std::size_t>(x)];
}

struct supervisor_state {
  static inline const char* name = "node";
  context_ptr context;
  link_factory make_links;
  std::map<caf::actor_addr, family> alive;
  wiring wired;
  caf::actor introspector;
  std::deque<std::int64_t> restarts_ms;
  bool stopping = false;

  std::size_t living(family of) const {
    return static_cast<std::size_t>(std::count_if(
        alive.begin(), alive.end(), [&](const auto& each) { return each.second == of; }));
  }
};
using self_ptr = introspector::inspected_actor<supervisor_state>*;

const caf::actor& watch(self_ptr self, family of, const caf::actor& child) {
  self->monitor(child);
  self->state.alive.emplace(child.address(), of);
  const auto* raw = caf::actor_cast<caf::abstract_actor*>(child);
  const auto* named = dynamic_cast<const caf::local_actor*>(raw);
  self->state.context->children.started(child, named != nullptr ? named->name() : "actor",
                                        std::string(to_string(of)), now().wall_ms);
  return child;
}

/// Tells everyone who there is now.
void rewire(self_ptr self) {
  const auto& wired = self->state.wired;
  const auto now_wired = std::make_shared<const wiring>(wired);
  for (const auto& each : {wired.core.ledger_writer, wired.core.contract_executor,
                           wired.core.mempool, wired.core.consensus, wired.switchboard,
                           wired.gateway, wired.steward, self->state.introspector})
    self->send(each, wired_atom::value, now_wired);
  self->send(wired.links, operators_atom::value, self->state.introspector);
}

void start_core(self_ptr self) {
  auto& state = self->state;
  auto& system = self->system();
  auto& core = state.wired.core;
  core.ledger_writer =
      watch(self, family::core, ledger_writer::spawn_ledger_writer(system, state.context));
  core.contract_executor = watch(
      self, family::core, contract_executor::spawn_contract_executor(system, state.context));
  core.consensus = watch(self, family::core, consensus::spawn_consensus(system, state.context));
  core.mempool = watch(self, family::core, mempool::spawn_mempool(system, state.context));
}

std::vector<peer_link::operator_identity>
identities(const std::vector<configs::node_operator>& from) {
  std::vector<peer_link::operator_identity> out;
  for (const auto& each : from)
    out.push_back({each.name, each.key});
  return out;
}

peer_link::link_settings settings_of_links(const context& context) {
  const auto& chosen = context.config.link;
  peer_link::link_settings x{context.self(),
                             context.link_key,
                             context.genesis().chain,
                             chosen.listen.host,
                             chosen.listen.port,
                             {},
                             {},
                             {}};
  for (node_index i = 0; i < context.nodes.size; ++i) {
    const auto& each = context.genesis().nodes[i];
    if (i != context.self())
      x.peers.push_back({i, each.name, each.address.host, each.address.port, each.link_key});
  }
  x.timing.handshake_deadline = chosen.handshake_timeout;
  x.timing.ping_after = chosen.heartbeat;
  x.timing.silence = chosen.peer_timeout;
  x.timing.backoff_first = chosen.reconnect_min;
  x.timing.backoff_cap = chosen.reconnect_max;
  x.limits.queue.queue_bytes = chosen.queue_bytes;
  x.operators = identities(*context.admitted.all());
  return x;
}

/// The introspector sees the new list before any link does.
void renew_operators(self_ptr self, const configs::node_config& config) {
  const auto& state = self->state;
  state.context->admitted.set(config.operators);
  self->send(state.wired.links, operators_atom::value,
             std::make_shared<const std::vector<peer_link::operator_identity>>(
                 identities(config.operators)));
}

void start(self_ptr self, family which) {
  auto& state = self->state;
  auto& system = self->system();
  switch (which) {
  case family::core:
    start_core(self);
    break;
  case family::switchboard:
    state.wired.switchboard = watch(self, which, spawn_switchboard(system, state.context));
    break;
  case family::links:
    state.wired.links =
        watch(self, which, state.make_links(system, *state.context, state.wired.switchboard));
    break;
  case family::gateway:
    state.wired.gateway = watch(self, which, gateway::spawn_gateway(system, state.context));
    break;
  case family::steward:
    state.wired.steward = watch(self, which, steward::spawn_steward(system, state.context));
    break;
  case family::introspector:
    state.introspector =
        watch(self, which, introspector::spawn_introspector(system, state.context));
    break;
  }
}

void end_family(self_ptr self, family which, caf::exit_reason why) {
  for (const auto& [address, of] : self->state.alive)
    if (of == which)
      if (const auto child = caf::actor_cast<caf::actor>(address)) self->send_exit(child, why);
}

/// Backoff doubles with each restart of the last 30 s; too many mean that restarting does not
/// help.
void restart_later(self_ptr self, family which, std::string_view reason) {
  auto& restarts = self->state.restarts_ms;
  const auto at = now().monotonic_ms;
  while (!restarts.empty() && restarts.front() + restart_window_ms < at)
    restarts.pop_front();
  restarts.push_back(at);
  if (restarts.size() > max_restarts)
    end_process(make_error(errc::unavailable, "more than 5 restarts in 30 s; the last of "
                                                  + std::string(to_string(which)) + ": "
                                                  + std::string(reason)),
                "supervisor");
  const auto backoff = first_backoff * (1 << (restarts.size() - 1));
  spdlog::error("{} ended: {}; starting again in {} ms", to_string(which), reason,
                backoff.count());
  self->delayed_send(self, backoff, restart_atom::value, static_cast<std::uint8_t>(which));
}

/// The gateway drains first, while the rest can still finalize what it waits for.
void stop_next(self_ptr self) {
  const auto& state = self->state;
  for (const auto which : {family::gateway, family::steward, family::introspector,
                           family::links, family::switchboard, family::core})
    if (state.living(which) > 0)
      return end_family(self, which, caf::exit_reason::user_shutdown);
  self->quit(caf::exit_reason::user_shutdown);
}

/// Why an actor ended, for a log and for people.
std::string words_for(self_ptr self, const caf::error& reason) {
  if (reason == caf::exit_reason::kill) return "killed";
  if (reason == caf::exit_reason::user_shutdown) return "asked to end";
  return self->system().render(reason);
}

void child_ended(self_ptr self, const caf::down_msg& down) {
  auto& state = self->state;
  const auto at = state.alive.find(down.source);
  if (at == state.alive.end()) return;
  const auto which = at->second;
  state.alive.erase(at);
  const auto reason = words_for(self, down.reason);
  state.context->children.ended(down.source, reason, now().wall_ms);
  if (state.stopping) {
    if (state.living(which) == 0) stop_next(self);
    return;
  }
  if (which == family::core && state.living(which) > 0) {
    // What the others hold in memory no longer fits what is stored: they go too.
    spdlog::error("a core actor ended: {}", reason);
    return end_family(self, which, caf::exit_reason::kill);
  }
  restart_later(self, which, reason);
}

caf::behavior behaviour(self_ptr self, context_ptr context, link_factory links) {
  self->state.context = std::move(context);
  self->state.make_links = std::move(links);
  prepare(self);
  self->set_down_handler([self](const caf::down_msg& down) { child_ended(self, down); });
  self->set_exit_handler([self](const caf::exit_msg&) {
    if (std::exchange(self->state.stopping, true)) return;
    stop_next(self);
  });
  self->state.context->children.started(caf::actor_cast<caf::actor>(self), "node", "node",
                                        now().wall_ms);
  for (const auto which : {family::core, family::switchboard, family::gateway, family::steward,
                           family::links, family::introspector})
    start(self, which);
  rewire(self);
  return {
      [=](restart_atom, std::uint8_t which) {
        if (self->state.stopping) return;
        const auto renewed = static_cast<family>(which);
        start(self, renewed);
        rewire(self);
        // After the wiring, so that the core actors hear what links say to a new switchboard.
        const auto& wired = self->state.wired;
        if (renewed == family::switchboard)
          self->send(wired.links, sink_atom::value, wired.switchboard);
      },
      [=](introspect_atom) { return std::make_shared<const wiring>(self->state.wired); },
      [=](reload_atom, const config_ptr& config) {
        renew_operators(self, *config);
        self->send(self->state.wired.gateway, reload_atom::value);
      },
  };
}

} // namespace

caf::actor tcp_links(caf::actor_system& system, const context& context, caf::actor sink) {
  return peer_link::spawn_links(system, settings_of_links(context), std::move(sink));
}

caf::actor spawn_node(caf::actor_system& system, context_ptr context, link_factory links) {
  return system.spawn(behaviour, std::move(context), std::move(links));
}

} // namespace tallymesh::node
