#include "actors/contract_executor/actor.hpp"

#include "actors/contract_executor/ledger_tables.hpp"
#include "contracts/rules_in_force.hpp"
#include "contracts/zero_sum.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::contract_executor {

namespace {

// How far execution runs ahead of the ledger: enough to keep the writer's transactions large.
constexpr std::size_t ahead_blocks = 32;
constexpr std::size_t ahead_bytes = 16 * 1024 * 1024;
// What walks pass over unpaid, because how many it is depends on what is stored: few.
constexpr std::size_t ahead_gone_entries = 1024;

struct actor_state {
  static inline const char* name = "contract_executor";
  node::context_ptr context;
  node::wiring_ptr wired;
  std::deque<consensus::deliver> waiting; ///< bounded by consensus' undelivered_blocks
  contracts::overlay ahead;
  recent_ids ahead_ids;
  block_height height = 0; ///< of the last block executed
  digest execution;
  std::vector<lane_tip> cut;
  contracts::engine runs;
  contracts::contract_set_ptr rules; ///< in force after the last block executed
};
value_map describe(const actor_state& x) {
  value_map out;
  put(out, "executed_height", value(static_cast<std::int64_t>(x.height)));
  put(out, "execution", x.execution.hex());
  put(out, "blocks_waiting", value(static_cast<std::int64_t>(x.waiting.size())));
  put(out, "blocks_not_stored_yet", value(static_cast<std::int64_t>(x.ahead.blocks())));
  put(out, "bytes_not_stored_yet", value(static_cast<std::int64_t>(x.ahead.size_bytes())));
  return out;
}
using self_ptr = introspector::inspected_actor<actor_state>*;

template <class T>
T read_or_end(result<T> x, std::string_view where) {
  if (!x) node::end_process(x.error(), where);
  return std::move(*x);
}

/// The block's batches, lane by lane, each lane's by sequence number.
std::vector<batch_ptr> gather(const actor_state& state, const consensus::deliver& final_block) {
  std::vector<batch_ptr> in_order;
  for (const auto& tip : final_block.block->content.cut) {
    auto lane = read_or_end(
        state.context->batches->descend(tip, state.cut[tip.lane].seq, SIZE_MAX, SIZE_MAX),
        "batch store");
    // S7.7 and S9 promised that they are here.
    TALLYMESH_INVARIANT(lane.size() == tip.seq - state.cut[tip.lane].seq);
    in_order.insert(in_order.end(), lane.rbegin(), lane.rend());
  }
  return in_order;
}

void ledger_failed(const error& why) { node::end_process(why, "ledger"); }

/// What follows rests on it, and a node that would settle on false books must not begin.
void check_books(const storage::ledger& ledger) {
  if (const auto currency =
          contracts::money_out_of_nothing(ledger_tables(ledger, ledger_failed)))
    node::end_process(make_error(errc::damaged, "the accounts in " + *currency
                                                    + " do not sum up to zero; remove the "
                                                      "data directory to catch up anew"),
                      "ledger");
}

/// After a start the tables say which contracts are in force at their height: the blocks that
/// follow are executed with these, whatever came later elsewhere.
void begin(actor_state& state) {
  const auto& ledger = *state.context->ledger;
  check_books(ledger);
  auto head = read_or_end(ledger.head(), "ledger");
  state.height = head.height;
  state.execution = head.execution;
  state.cut = std::move(head.full_cut);
  state.cut.resize(state.context->nodes.size);
  state.rules = read_or_end(contracts::rules_in_force(state.context->executor.base(),
                                                      ledger_tables(ledger, ledger_failed)),
                            "contracts");
  if (const auto good = state.runs.prepare(*state.rules); !good)
    node::end_process(good.error(), "contracts");
  state.context->in_force.begin(state.rules);
}

void execute_next(self_ptr self) {
  auto& state = self->state;
  auto final_block = std::move(state.waiting.front());
  state.waiting.pop_front();
  const auto& machine = state.context->executor;
  const auto batches = gather(state, final_block);
  const auto& ledger = *state.context->ledger;
  const ledger_tables below(ledger, ledger_failed);
  const tables on{
      state.ahead, below,
      [&](node_index lane, const operation_id& id) {
        return state.ahead_ids.contains(lane, id)
               || read_or_end(ledger.executed(lane, std::span(&id, 1)), "ledger").front();
      },
      state.runs, state.rules};
  auto made = machine.execute(*final_block.block, batches, state.execution, on);
  if (made.rules != state.rules) {
    state.rules = std::move(made.rules);
    state.context->in_force.change(final_block.block->content.height, state.rules);
  }
  const auto outcome = std::make_shared<const execution>(std::move(made.result));
  auto commit = std::make_shared<storage::ledger_commit>();
  commit->block = final_block.block;
  commit->full_cut = final_block.full_cut;
  commit->finalization = std::move(final_block.finalization);
  commit->result = outcome;
  commit->execution = execution_digest(encode(*outcome));
  commit->indexes = std::move(made.indexes);
  state.height = outcome->height;
  state.execution = commit->execution;
  state.cut = std::move(final_block.full_cut);
  state.ahead_ids.add(*outcome);
  self->send(state.wired->core.ledger_writer, node::commit_ptr(std::move(commit)));
}

void execute_waiting(self_ptr self) {
  auto& state = self->state;
  while (!state.waiting.empty() && state.ahead.blocks() < ahead_blocks
         && state.ahead.size_bytes() < ahead_bytes
         && state.ahead.gone_entries() < ahead_gone_entries)
    execute_next(self);
}

caf::behavior behaviour(self_ptr self, node::context_ptr context) {
  self->state.context = std::move(context);
  node::prepare(self);
  return {
      [=](node::wired_atom, const node::wiring_ptr& wired) {
        auto& state = self->state;
        if (std::exchange(state.wired, wired)) return; // only another gateway
        begin(state);
      },
      [=](consensus::deliver& x) {
        auto& state = self->state;
        TALLYMESH_INVARIANT(x.block->content.height == state.height + state.waiting.size() + 1);
        state.waiting.push_back(std::move(x));
        execute_waiting(self);
      },
      [=](node::stored_atom, block_height height) {
        self->state.ahead.stored(height);
        self->state.ahead_ids.stored(height);
        execute_waiting(self);
      },
  };
}

} // namespace

caf::actor spawn_contract_executor(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::contract_executor
