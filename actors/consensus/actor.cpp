#include "actors/consensus/actor.hpp"

#include "messages/overload.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::consensus {

namespace {

constexpr std::size_t range_blocks = 256;
constexpr std::size_t range_bytes = 1024 * 1024;

struct actor_state {
  static inline const char* name = "consensus";
  node::context_ptr context;
  node::wiring_ptr wired;
  std::optional<class machine> machine;
  node::peer_handles peers;
  node::alarm alarm;
  std::deque<view_number> prunes; ///< of the last blocks, not yet carried out
  std::vector<effect> outbox;
  bool flush_due = false;
};
value_map describe(const actor_state& x) {
  auto out = x.machine ? x.machine->describe(node::now().monotonic_ms) : value_map{};
  put(out, "effects_waiting", value(static_cast<std::int64_t>(x.outbox.size())));
  return out;
}
using self_ptr = introspector::inspected_actor<actor_state>*;

recovered load(const node::context& context) {
  recovered from;
  const auto head = context.ledger->head();
  if (!head) node::end_process(head.error(), "consensus");
  if (head->height == 0) {
    from.tip = {genesis_block(context.keys.domain), std::vector<lane_tip>(context.nodes.size),
                genesis_execution(context.keys.domain.chain), std::nullopt};
    for (node_index lane = 0; lane < context.nodes.size; ++lane)
      from.tip.full_cut[lane].lane = lane;
  } else {
    auto tip = context.ledger->block(head->height);
    if (!tip) node::end_process(tip.error(), "consensus");
    from.tip = {tip->block, tip->full_cut, tip->execution, tip->finalization};
  }
  if (!context.votes) {
    from.observe_only = true;
    return from;
  }
  auto records = context.votes->load();
  if (!records) node::end_process(records.error(), "consensus");
  from.records = std::move(*records);
  return from;
}

void serve(self_ptr self, const serve_range& x) {
  const auto& state = self->state;
  auto range = state.context->ledger->range(x.from, range_blocks, range_bytes);
  if (range) return state.peers.send(self, x.to, std::move(*range));
  if (range.error().code != errc::not_found) node::end_process(range.error(), "consensus");
}

/// The vote log forgets a view only when later blocks were stored after it: with a ledger that
/// is not synced, a power cut may take back its last transaction, which holds at most as many
/// blocks as the executor runs ahead of the writer.
void prune_late(actor_state& state, view_number through) {
  constexpr std::size_t blocks_in_a_transaction = 32;
  state.prunes.push_back(through);
  if (state.prunes.size() <= 2 * blocks_in_a_transaction) return;
  if (state.context->votes) state.context->votes->prune(state.prunes.front());
  state.prunes.pop_front();
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
                 [&](build_cut& x) { self->send(core.mempool, std::move(x)); },
                 [&](require_batches& x) { self->send(core.mempool, std::move(x)); },
                 [&](deliver& x) { self->send(core.contract_executor, std::move(x)); },
                 [&](serve_range& x) { serve(self, x); },
                 [&](prune& x) { prune_late(state, x.through); },
                 [&](observed& x) { node::keep_evidence(*state.context, x.what); },
                 [&](halted& x) {
                   spdlog::critical("consensus stopped: {}", x.reason);
                   state.context->board.stopped(x.reason);
                 },
             },
             what);
}

/// S15: one commit covers every record that waits; what depends on them follows it.
void flush(self_ptr self) {
  auto& state = self->state;
  state.flush_due = false;
  auto effects = std::exchange(state.outbox, {});
  std::vector<record> records;
  for (auto& each : effects)
    if (auto* kept = std::get_if<persist>(&each))
      std::move(kept->records.begin(), kept->records.end(), std::back_inserter(records));
  if (!records.empty() && state.context->votes)
    if (const auto stored = state.context->votes->append(records); !stored)
      node::end_process(stored.error(), "vote log");
  for (auto& each : effects)
    carry_out(self, each);
  state.context->board.set(state.machine->look());
  state.context->evidence->flush(std::chrono::steady_clock::now());
}

template <class What>
void apply(self_ptr self, What what) {
  auto& state = self->state;
  if (!state.machine) return; // not wired yet: peers repeat what matters
  auto effects = state.machine->handle({node::now(), std::move(what)});
  std::move(effects.begin(), effects.end(), std::back_inserter(state.outbox));
  if (state.flush_due) return;
  state.flush_due = true;
  self->send(self, node::flush_atom::value); // behind everything that waits already
}

settings machine_settings(const node::context& context) {
  settings x;
  x.nodes = context.nodes;
  x.keys = context.keys;
  x.delta_ms = context.config.consensus.delta.count();
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
      [=](frame_atom, node_index from, const shared_frame& frame) {
        auto message = open_frame(*frame);
        if (message)
          apply(self, received{from, std::move(*message)});
        else
          spdlog::debug("consensus: dropped a frame of node {}: {}", from,
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
      [=](work_changed& x) { apply(self, std::move(x)); },
      [=](cut_built& x) { apply(self, std::move(x)); },
      [=](const batches_ready& x) { apply(self, x); },
      [=](const batches_invalid& x) { apply(self, x); },
      [=](const evidence_found& x) { apply(self, x); },
      [=](const executed& x) { apply(self, x); },
      [=](node::alarm_atom, std::int64_t at_ms) {
        if (self->state.alarm.rang(self, at_ms, node::now().monotonic_ms))
          apply(self, alarm_rang{});
      },
      [=](node::flush_atom) { flush(self); },
  };
}

} // namespace

caf::actor spawn_consensus(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::consensus
