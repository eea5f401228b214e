#include "actors/mempool/actor.hpp"

#include "messages/overload.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::mempool {

namespace {

// Of one answer to fetch_batches: below a frame, whatever the batches weigh.
constexpr std::size_t served_bytes = 2 * 1024 * 1024;
constexpr std::size_t served_batches = 64;

struct actor_state {
  static inline const char* name = "mempool";
  node::context_ptr context;
  node::wiring_ptr wired;
  std::optional<class machine> machine;
  node::peer_handles peers;
  node::alarm alarm;
  std::map<std::uint64_t, node::submission_ptr> submissions; ///< by ticket, until admitted
  std::uint64_t last_ticket = 0;
  std::vector<effect> outbox;
  bool flush_due = false;

  actor_state() = default;
  actor_state(const actor_state&) = delete;
  actor_state& operator=(const actor_state&) = delete;
  ~actor_state() { // a client that waits for an answer must not wait for an actor that is gone
    for (const auto& [ticket, each] : submissions)
      each->answer(std::vector<admission>(each->operations.size(), admission::overloaded));
  }
};
value_map describe(const actor_state& x) {
  auto out = x.machine ? x.machine->describe(node::now().monotonic_ms) : value_map{};
  put(out, "clients_waiting", value(static_cast<std::int64_t>(x.submissions.size())));
  return out;
}
using self_ptr = introspector::inspected_actor<actor_state>*;

/// S16: peers tell what they have when a link comes up, and not again to a mempool that is
/// started anew behind it.
bool own_lane_in_doubt(const node::context& context) {
  using node::lane_doubt;
  if (context.own_lane == lane_doubt::none) return false;
  if (context.own_lane.exchange(lane_doubt::asking) == lane_doubt::asking)
    node::end_process(make_error(errc::unavailable,
                                 "ended before peers had told where this node's lane ends, and "
                                 "its votes are gone; start the node again"),
                      "mempool");
  return true;
}

recovered load(const node::context& context) {
  const auto head = context.ledger->head();
  if (!head) node::end_process(head.error(), "mempool");
  recovered from{head->full_cut, {}, own_lane_in_doubt(context)};
  from.final_cut.resize(context.nodes.size);
  for (node_index lane = 0; lane < context.nodes.size; ++lane)
    from.final_cut[lane].lane = lane;
  const auto stored = context.batches->headers_after(from.final_cut);
  if (!stored) node::end_process(stored.error(), "mempool");
  for (const auto& each : *stored)
    from.stored.push_back(
        {each.tip, each.parent, each.body_bytes, each.operations, each.signed_by});
  return from;
}

void serve(self_ptr self, const serve_batches& x) {
  const auto& state = self->state;
  auto found =
      state.context->batches->descend(x.request.tip, x.request.after_seq, served_bytes,
                                      served_batches, storage::batch_store::contents::sealed);
  if (found) return state.peers.send(self, x.to, fetched_batches{std::move(*found)});
  if (found.error().code != errc::not_found) node::end_process(found.error(), "batch store");
}

void carry_out(self_ptr self, effect& what) {
  auto& state = self->state;
  const auto& core = state.wired->core;
  std::visit(overload{
                 [](persist&) {}, // done before all others, see flush
                 [&](send& x) { state.peers.send(self, x.to, x.message); },
                 [&](broadcast& x) { state.peers.broadcast(self, x.message); },
                 [&](set_alarm& x) {
                   state.alarm.set(self, x.at_monotonic_ms, node::now().monotonic_ms);
                 },
                 [&](admitted& x) {
                   const auto at = state.submissions.find(x.ticket);
                   at->second->answer(x.verdicts);
                   state.submissions.erase(at);
                 },
                 [&](work_changed& x) {
                   self->send(core.consensus, consensus::work_changed{std::move(x.available)});
                 },
                 [&](cut_built& x) {
                   self->send(core.consensus, consensus::cut_built{x.parent, std::move(x.cut)});
                 },
                 [&](batches_ready& x) {
                   self->send(core.consensus, consensus::batches_ready{x.block});
                 },
                 [&](batches_invalid& x) {
                   self->send(core.consensus, consensus::batches_invalid{x.block});
                 },
                 [&](serve_batches& x) { serve(self, x); },
                 [&](observed& x) {
                   node::keep_evidence(*state.context, x.what);
                   self->send(core.consensus, consensus::evidence_found{std::move(x.what)});
                 },
             },
             what);
}

/// S15: one commit covers every batch that waits; `have` and the broadcasts follow it.
void flush(self_ptr self) {
  auto& state = self->state;
  state.flush_due = false;
  auto effects = std::exchange(state.outbox, {});
  std::vector<batch_ptr> batches;
  for (auto& each : effects)
    if (auto* kept = std::get_if<persist>(&each))
      std::move(kept->batches.begin(), kept->batches.end(), std::back_inserter(batches));
  if (!batches.empty())
    if (const auto stored = state.context->batches->put(batches); !stored)
      node::end_process(stored.error(), "batch store");
  for (auto& each : effects)
    carry_out(self, each);
  auto seen = state.machine->look();
  if (!seen.own_lane_in_doubt) state.context->own_lane = node::lane_doubt::none;
  state.context->board.set(std::move(seen));
}

template <class What>
void apply(self_ptr self, What what) {
  auto& state = self->state;
  if (!state.machine) return;
  auto effects = state.machine->handle({node::now(), std::move(what)});
  std::move(effects.begin(), effects.end(), std::back_inserter(state.outbox));
  if (state.flush_due) return;
  state.flush_due = true;
  self->send(self, node::flush_atom::value); // behind everything that waits already
}

settings machine_settings(const node::context& context) {
  const auto& chosen = context.config.mempool;
  const auto& limits = context.genesis().limits;
  settings x;
  x.nodes = context.nodes;
  x.keys = context.keys;
  x.batch_bytes = chosen.batch_bytes != 0 ? chosen.batch_bytes : limits.batch_bytes;
  x.batch_delay_ms = chosen.batch_delay.count();
  x.queue_bytes = chosen.queue_bytes;
  x.queue_operations = chosen.queue_operations;
  x.block_batches = limits.block_batches;
  x.block_payload_bytes = limits.block_payload_bytes;
  return x;
}

caf::behavior behaviour(self_ptr self, node::context_ptr context) {
  self->state.context = std::move(context);
  node::prepare(self);
  return {
      [=](node::wired_atom, const node::wiring_ptr& wired) {
        auto& state = self->state;
        state.wired = wired;
        if (state.machine) return; // only another gateway
        state.machine.emplace(machine_settings(*state.context), load(*state.context));
        apply(self, started{});
      },
      [=](const node::submission_ptr& x) {
        auto& state = self->state;
        if (!state.machine)
          return x->answer(std::vector<admission>(x->operations.size(), admission::overloaded));
        state.submissions.emplace(++state.last_ticket, x);
        apply(self, operations_submitted{state.last_ticket, x->operations});
      },
      [=](frame_atom, node_index from, const shared_frame& frame) {
        auto message = open_frame(*frame);
        if (message)
          apply(self, received{from, std::move(*message)});
        else
          spdlog::debug("mempool: dropped a frame of node {}: {}", from,
                        message.error().context);
      },
      [=](up_atom, node_index peer, const caf::actor& handle) {
        self->state.peers.up(peer, handle);
        apply(self, peer_up{peer});
      },
      [=](down_atom, node_index peer) {
        self->state.peers.down(peer);
        apply(self, peer_down{peer});
      },
      [=](consensus::build_cut& x) {
        apply(self, cut_wanted{x.parent, std::move(x.parent_cut)});
      },
      [=](consensus::require_batches& x) {
        apply(self,
              batches_wanted{x.block, std::move(x.parent_cut), std::move(x.cut), x.certified});
      },
      [=](introspector::locate_atom, const operation_id& id) {
        return self->state.machine && self->state.machine->waits(id);
      },
      [=](cut_finalized& x) { apply(self, std::move(x)); },
      [=](node::alarm_atom, std::int64_t at_ms) {
        if (self->state.alarm.rang(self, at_ms, node::now().monotonic_ms))
          apply(self, alarm_rang{});
      },
      [=](node::flush_atom) { flush(self); },
  };
}

} // namespace

caf::actor spawn_mempool(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::mempool
