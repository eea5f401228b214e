#include "actors/ledger_writer/actor.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::ledger_writer {

namespace {

struct actor_state {
  static inline const char* name = "ledger_writer";
  node::context_ptr context;
  node::wiring_ptr wired;
  std::vector<storage::ledger_commit> waiting; ///< bounded by how far the executor runs ahead
  bool flush_due = false;
};
value_map describe(const actor_state& x) {
  value_map out;
  put(out, "blocks_waiting", value(static_cast<std::int64_t>(x.waiting.size())));
  put(out, "first_waiting",
      x.waiting.empty() ? value()
                        : value(static_cast<std::int64_t>(x.waiting.front().result->height)));
  return out;
}
using self_ptr = introspector::inspected_actor<actor_state>*;

void flush(self_ptr self) {
  auto& state = self->state;
  state.flush_due = false;
  const auto commits = std::exchange(state.waiting, {});
  if (const auto stored = state.context->ledger->append(commits); !stored)
    node::end_process(stored.error(), "ledger");
  const auto& wired = *state.wired;
  // Whoever learns of a block finds its contracts.
  state.context->in_force.stored(commits.back().result->height);
  for (const auto& each : commits) {
    const auto height = each.result->height;
    state.context->board.executed(height, each.result->time_ms, each.result->receipts.size());
    self->send(wired.core.consensus, consensus::executed{height, each.execution});
    self->send(wired.gateway, node::execution_ptr(each.result));
    self->send(wired.steward, node::execution_ptr(each.result));
    spdlog::debug("height {}: {} operations, {} changes", height, each.result->receipts.size(),
                  each.result->changes.size());
  }
  self->send(wired.core.contract_executor, node::stored_atom::value,
             commits.back().result->height);
  self->send(wired.core.mempool, mempool::cut_finalized{commits.back().full_cut});
}

caf::behavior behaviour(self_ptr self, node::context_ptr context) {
  self->state.context = std::move(context);
  node::prepare(self);
  return {
      [=](node::wired_atom, const node::wiring_ptr& wired) { self->state.wired = wired; },
      [=](const node::commit_ptr& x) {
        auto& state = self->state;
        state.waiting.push_back(*x);
        if (state.flush_due) return;
        state.flush_due = true;
        self->send(self, node::flush_atom::value); // behind the commits that wait already
      },
      [=](node::flush_atom) { flush(self); },
  };
}

} // namespace

caf::actor spawn_ledger_writer(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::ledger_writer
