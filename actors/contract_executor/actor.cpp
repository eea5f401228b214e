#include "actors/contract_executor/actor.hpp"

#include "actors/contract_executor/execution_fetch.hpp"
#include "actors/contract_executor/ledger_tables.hpp"
#include "contracts/index_change.hpp"
#include "contracts/memory_source.hpp"
#include "contracts/rules_in_force.hpp"
#include "contracts/zero_sum.hpp"

#include <algorithm>
#include <ctime>
#include <spdlog/spdlog.h>

namespace tallymesh::contract_executor {

namespace {

// How far execution runs ahead of the ledger: enough to keep the writer's transactions large.
constexpr std::size_t ahead_blocks = 32;
constexpr std::size_t ahead_bytes = 16 * 1024 * 1024;
// What walks pass over unpaid, because how many it is depends on what is stored: few.
constexpr std::size_t ahead_gone_entries = 1024;
/// A question without an answer is asked again.
constexpr std::chrono::milliseconds fetch_retry{500};

using retry_atom = caf::atom_constant<caf::atom("retry")>;
/// To itself: peers' questions may be answered.
using serve_atom = caf::atom_constant<caf::atom("serve")>;

/// What a peer asked for last, so that its parts are read once.
struct served_execution {
  block_height height = 0;
  digest sum;
  std::uint32_t erased = 0;
  bytes encoded;
};

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

  // What cannot be executed here, because payloads were erased, is fetched; such a block is
  // taken over, and stored, before the next one is looked at.
  block_height stored = 0;
  bool takes_over = false; ///< the last block was taken over and is not stored yet
  bool hides_rows = false; ///< there are rows of which only the digest is known
  std::optional<execution_fetch> fetch;
  std::uint64_t fetch_steps = 0; ///< grows with each answer that led on
  node::peer_handles peers;
  serving_queue questions;
  served_execution served;
  bool serves_later = false;
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

void ledger_failed(const error& why) { node::end_process(why, "ledger"); }

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
  state.height = state.stored = head.height;
  state.execution = head.execution;
  state.cut = std::move(head.full_cut);
  state.cut.resize(state.context->nodes.size);
  state.hides_rows = read_or_end(ledger.hides_rows(), "ledger");
  state.fetch.emplace(state.context->nodes.faulty() + 1u);
  state.rules = read_or_end(contracts::rules_in_force(state.context->executor.base(),
                                                      ledger_tables(ledger, ledger_failed)),
                            "contracts");
  if (const auto good = state.runs.prepare(*state.rules); !good)
    node::end_process(good.error(), "contracts");
  state.context->in_force.begin(state.rules);
}

bool was_executed(const actor_state& state, node_index lane, const operation_id& id) {
  return state.ahead_ids.contains(lane, id)
         || read_or_end(state.context->ledger->executed(lane, std::span(&id, 1)), "ledger")
                .front();
}

/// To the ledger writer, and from here on the state is that after the block.
void commit_block(self_ptr self, consensus::deliver final_block, execution made,
                  std::vector<index_change> indexes) {
  auto& state = self->state;
  const auto outcome = std::make_shared<const execution>(std::move(made));
  auto commit = std::make_shared<storage::ledger_commit>();
  commit->block = std::move(final_block.block);
  commit->full_cut = final_block.full_cut;
  commit->finalization = std::move(final_block.finalization);
  commit->result = outcome;
  commit->execution = execution_digest(*outcome);
  commit->indexes = std::move(indexes);
  state.height = outcome->height;
  state.execution = commit->execution;
  state.cut = std::move(final_block.full_cut);
  state.ahead_ids.add(*outcome);
  self->send(state.wired->core.ledger_writer, node::commit_ptr(std::move(commit)));
}

void execute(self_ptr self, const std::vector<batch_ptr>& batches) {
  auto& state = self->state;
  auto final_block = std::move(state.waiting.front());
  state.waiting.pop_front();
  const ledger_tables below(*state.context->ledger, ledger_failed);
  const tables on{
      state.ahead, below,
      [&](node_index lane, const operation_id& id) { return was_executed(state, lane, id); },
      state.runs, state.rules};
  auto made = state.context->executor.execute(*final_block.block, batches, state.execution, on);
  if (made.rules != state.rules) {
    state.rules = std::move(made.rules);
    state.context->in_force.change(final_block.block->content.height, state.rules);
  }
  commit_block(self, std::move(final_block), std::move(made.result), std::move(made.indexes));
}

// --- blocks that cannot be executed here

/// Not if it takes arguments that are gone, or the content of rows may be missing that was gone
/// when their block was taken over.
bool can_execute(const actor_state& state, const std::vector<batch_ptr>& batches) {
  if (state.takes_over || state.hides_rows) return false;
  return std::all_of(batches.begin(), batches.end(), [&](const batch_ptr& each) {
    const auto& operations = each->content.operations;
    return each->erased == 0
           || std::all_of(operations.begin(), operations.end(), [&](const operation& what) {
                return !what.erased || was_executed(state, each->content.lane, what.id);
              });
  });
}

void ask(self_ptr self, const std::vector<question>& all) {
  auto& state = self->state;
  for (const auto& each : all)
    if (each.to)
      state.peers.send(self, *each.to, each.what);
    else
      state.peers.broadcast(self, each.what);
}

void ask_later(self_ptr self) {
  self->delayed_send(self, fetch_retry, retry_atom::value, self->state.fetch->height(),
                     self->state.fetch_steps);
}

void begin_fetch(self_ptr self, block_height height) {
  auto& state = self->state;
  spdlog::debug("height {}: payloads were erased, so what it did is fetched from peers",
                height);
  ask(self, state.fetch->begin(height));
  ask_later(self);
}

bool changes_contracts(const execution& x) {
  return std::any_of(x.changes.begin(), x.changes.end(),
                     [](const change& each) { return each.table.starts_with("mesh."); });
}

/// The contracts in force after a block that is not stored yet.
contracts::contract_set_ptr rules_after(const actor_state& state, const execution& x) {
  contracts::memory_source tables;
  std::vector<change> rows;
  for (const std::string name : {"mesh.contracts", "mesh.sources"}) {
    const auto walked = state.context->ledger->walk_rows(
        name, {}, [&](bytes_view key, const storage::stored_row& held) {
          change row;
          row.table = name;
          row.key.assign(key.begin(), key.end());
          row.after = held.row;
          rows.push_back(std::move(row));
          return true;
        });
    if (!walked) ledger_failed(walked.error());
  }
  tables.apply(0, rows, {});
  tables.apply(x.height, x.changes, {});
  return read_or_end(contracts::rules_in_force(state.context->executor.base(), tables),
                     "contracts");
}

/// What goes and comes in the indexes as this node has them: a row that is only a digest has no
/// entries. A version that came in force changed every row whose entries moved.
std::vector<index_change> indexes_of(const actor_state& state, const execution& x,
                                     const contracts::contract_set& rules_then) {
  std::map<std::pair<std::string, bytes>, std::optional<shared_bytes>> rows; // as they are then
  for (const auto& each : x.changes)
    rows[{each.table, each.key}] = each.after;
  std::vector<index_change> all;
  for (auto& [place, row] : rows) {
    change moved;
    std::tie(moved.table, moved.key) = place;
    moved.before =
        read_or_end(state.context->ledger->row(place.first, place.second), "ledger").row;
    if (const auto* table = state.rules->find_table(place.first))
      contracts::append_index_changes(*table, moved, all);
    moved.before.reset();
    moved.after = std::move(row);
    if (const auto* table = rules_then.find_table(place.first))
      contracts::append_index_changes(*table, moved, all);
  }
  return all;
}

/// f + 1 nodes say that this is what the block did, so one honest node does.
void take_over(self_ptr self, execution x) {
  auto& state = self->state;
  auto final_block = std::move(state.waiting.front());
  state.waiting.pop_front();
  if (const auto good = may_follow(x, final_block.block->id, state.execution); !good)
    node::end_process(good.error(), "executor");
  const auto rules_then = changes_contracts(x) ? rules_after(state, x) : state.rules;
  auto indexes = indexes_of(state, x, *rules_then);
  if (rules_then != state.rules) {
    state.rules = rules_then;
    if (const auto good = state.runs.prepare(*state.rules); !good)
      node::end_process(good.error(), "contracts");
    state.context->in_force.change(x.height, state.rules);
  }
  state.takes_over = true;
  commit_block(self, std::move(final_block), std::move(x), std::move(indexes));
}

/// False if it has to wait.
bool execute_next(self_ptr self) {
  auto& state = self->state;
  const auto& next = state.waiting.front();
  const auto batches = gather(state, next);
  if (can_execute(state, batches)) {
    execute(self, batches);
    return true;
  }
  if (state.stored == state.height) begin_fetch(self, state.height + 1);
  return false;
}

void execute_waiting(self_ptr self) {
  auto& state = self->state;
  while (!state.waiting.empty() && !state.fetch->under_way()
         && state.ahead.blocks() < ahead_blocks && state.ahead.size_bytes() < ahead_bytes
         && state.ahead.gone_entries() < ahead_gone_entries)
    if (!execute_next(self)) return;
}

void learn_stored(self_ptr self, block_height height) {
  auto& state = self->state;
  state.ahead.stored(height);
  state.ahead_ids.stored(height);
  state.stored = height;
  if (state.takes_over && state.stored == state.height) {
    state.takes_over = false;
    state.hides_rows = read_or_end(state.context->ledger->hides_rows(), "ledger");
  }
  execute_waiting(self);
}

// --- peers

/// Reads an execution unless it is the one that was asked for last.
void look_up(actor_state& state, block_height height) {
  auto& served = state.served;
  if (height == served.height) return;
  served = {};
  if (height == 0 || height > state.stored) return;
  const auto found = read_or_end(state.context->ledger->execution_of(height), "ledger");
  served = {height, execution_digest(found), erased_parts(found), encode(found)};
}

void answer(self_ptr self, node_index from, const fetch_execution& x) {
  auto& state = self->state;
  if (state.served.height == x.height && x.offset == digest_only) state.served = {}; // anew
  look_up(state, x.height);
  state.peers.send(self, from,
                   answer_of(x, state.served.sum, state.served.erased, state.served.encoded));
}

/// Of this thread, whoever else runs.
std::int64_t processor_us() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * 1'000'000 + used.tv_nsec / 1000;
}

/// One question, and then what waits here: blocks come first.
void serve(self_ptr self) {
  auto& state = self->state;
  if (const auto turn = state.questions.next(node::now().monotonic_ms * 1000)) {
    const auto began_us = processor_us();
    answer(self, turn->first, turn->second);
    state.questions.spent(processor_us() - began_us, node::now().monotonic_ms * 1000);
  }
  const auto wait_us = state.questions.wait_us(node::now().monotonic_ms * 1000);
  if (!wait_us || std::exchange(state.serves_later, true)) return;
  self->delayed_send(self, std::chrono::microseconds(*wait_us), serve_atom::value);
}

void take_answer(self_ptr self, node_index from, const fetched_execution& x) {
  auto& state = self->state;
  if (!state.fetch->under_way() || x.height != state.fetch->height()) return;
  const auto questions = state.fetch->take(from, x);
  if (!questions.empty()) {
    ++state.fetch_steps;
    ask(self, questions);
    ask_later(self);
  }
  if (auto found = state.fetch->found()) {
    take_over(self, std::move(*found));
    execute_waiting(self);
  }
}

void take_frame(self_ptr self, node_index from, const shared_frame& frame) {
  static const auto an_answer = wire_message(fetched_execution()).index();
  auto& state = self->state;
  if (!state.wired) return;
  // What nobody asked for is not worth reading.
  if (!state.fetch->under_way() && !frame->empty() && frame->front() == an_answer) return;
  auto message = open_frame(*frame);
  if (!message) {
    spdlog::debug("executor: dropped a frame of node {}: {}", from, message.error().context);
  } else if (const auto* asked = std::get_if<fetch_execution>(&*message)) {
    state.questions.ask(from, *asked);
    serve(self);
  } else if (const auto* told = std::get_if<fetched_execution>(&*message)) {
    take_answer(self, from, *told);
  }
}

void retry(self_ptr self, block_height height, std::uint64_t step) {
  auto& state = self->state;
  if (state.fetch->height() != height || state.fetch_steps != step) return;
  ask(self, state.fetch->retry());
  ask_later(self);
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
      [=](node::stored_atom, block_height height) { learn_stored(self, height); },
      [=](frame_atom, node_index from, const shared_frame& frame) {
        take_frame(self, from, frame);
      },
      [=](up_atom, node_index peer, const caf::actor& handle) {
        self->state.peers.up(peer, handle);
      },
      [=](down_atom, node_index peer) {
        self->state.peers.down(peer);
        self->state.questions.forget(peer);
      },
      [=](retry_atom, block_height height, std::uint64_t step) { retry(self, height, step); },
      [=](serve_atom) {
        self->state.serves_later = false;
        serve(self);
      },
  };
}

} // namespace

caf::actor spawn_contract_executor(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::contract_executor
