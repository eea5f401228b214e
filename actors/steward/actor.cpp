#include "actors/steward/actor.hpp"

#include <algorithm>
#include <spdlog/spdlog.h>

namespace tallymesh::steward {

/// What the mempool said to operations of this node's own.
struct admission_answer {
  std::vector<operation_id> ids;
  std::vector<mempool::admission> verdicts;
};
using answer_ptr = std::shared_ptr<const admission_answer>;

} // namespace tallymesh::steward

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(tallymesh::steward::answer_ptr)

namespace tallymesh::steward {

namespace {

using answered_atom = caf::atom_constant<caf::atom("answered")>;

constexpr std::size_t looked_at_once = 256;
/// Before a duty that had no room on the disk is tried again: it may write for long in vain.
constexpr std::int64_t room_pause_ms = 20'000;

struct actor_state {
  static inline const char* name = "steward";
  node::context_ptr context;
  node::wiring_ptr wired;
  std::optional<class machine> machine;
  std::vector<duty> duties;
  std::vector<bool> due;                    ///< whether the duty of this place has to look
  std::optional<std::int64_t> held_till_ms; ///< monotonic; a duty had no room on the disk
  node::alarm alarm;
  bool flush_due = false;
};
value_map describe(const actor_state& x) {
  value_map out;
  put(out, "duties", value(static_cast<std::int64_t>(x.duties.size())));
  put(out, "due",
      value(static_cast<std::int64_t>(std::count(x.due.begin(), x.due.end(), true))));
  return out;
}
using self_ptr = introspector::inspected_actor<actor_state>*;

settings machine_settings(const node::context& context) {
  settings x;
  x.chain = context.genesis().chain;
  x.self = context.self();
  x.account = node_account;
  return x;
}

/// Behind the messages that wait already: one look for many blocks.
void look_soon(self_ptr self) {
  auto& state = self->state;
  if (std::exchange(state.flush_due, true)) return;
  self->send(self, node::flush_atom::value);
}

std::optional<receipt> fate_of(const node::context& context, const operation_id& id) {
  const auto executed = context.ledger->executed(context.self(), std::span(&id, 1));
  if (!executed) node::end_process(executed.error(), "ledger");
  if (!executed->front()) return std::nullopt;
  auto found = context.ledger->receipt(id, context.self());
  if (!found) node::end_process(found.error(), "ledger");
  return std::move(*found);
}

/// The mempool answers on its own thread, and after this actor may be gone.
void submit(self_ptr self, std::vector<operation> operations) {
  if (operations.empty()) return;
  std::vector<operation_id> ids;
  for (const auto& each : operations)
    ids.push_back(each.id);
  auto x = std::make_shared<node::submission>();
  x->operations = std::move(operations);
  x->answer = [to = caf::actor_cast<caf::actor>(self),
               ids = std::move(ids)](const std::vector<mempool::admission>& verdicts) {
    caf::anon_send(to, answered_atom::value,
                   std::make_shared<const admission_answer>(admission_answer{ids, verdicts}));
  };
  self->send(self->state.wired->core.mempool, node::submission_ptr(std::move(x)));
}

void set_alarm(self_ptr self) {
  auto& state = self->state;
  const auto now = node::now();
  auto next = state.held_till_ms;
  if (const auto at = state.machine->look_at_ms()) {
    const auto at_ms = now.monotonic_ms + std::max<std::int64_t>(*at - now.wall_ms, 100);
    next = std::min(next.value_or(at_ms), at_ms);
  }
  if (next) state.alarm.set(self, *next, now.monotonic_ms);
}

void look(self_ptr self) {
  auto& state = self->state;
  state.flush_due = false;
  if (!state.wired) return;
  const auto& context = *state.context;
  const bool all_look = std::find(state.due.begin(), state.due.end(), false) == state.due.end();
  for (std::size_t i = 0; i < state.duties.size(); ++i) {
    if (!state.due[i]) continue;
    state.due[i] = false;
    const auto owed = state.duties[i].look(context, looked_at_once);
    if (!owed && owed.error().code == errc::too_large) {
      state.held_till_ms = node::now().monotonic_ms + room_pause_ms;
      spdlog::warn("{} is put off: {}", state.duties[i].name, owed.error().context);
      continue;
    }
    if (!owed) node::end_process(owed.error(), state.duties[i].name);
    submit(self, state.machine->take(
                     *owed, [&](const operation_id& id) { return fate_of(context, id); },
                     node::now().wall_ms));
  }
  if (all_look) state.machine->forget_stale(node::now().wall_ms);
  for (const auto& [what, why] : state.machine->take_given_up())
    spdlog::error("this node owes the mesh {}, but its operation was refused: {}", what,
                  describe(why.result));
  set_alarm(self);
}

void learn(self_ptr self, const execution& x) {
  auto& state = self->state;
  bool any = state.machine->executed(x);
  if (any) state.due.assign(state.due.size(), true);
  for (std::size_t i = 0; i < state.duties.size(); ++i)
    for (const auto& table : state.duties[i].tables)
      if (std::any_of(x.changes.begin(), x.changes.end(),
                      [&](const change& each) { return each.table == table; }))
        any = state.due[i] = true;
  if (any) look_soon(self);
}

caf::behavior behaviour(self_ptr self, node::context_ptr context) {
  auto& state = self->state;
  state.context = std::move(context);
  state.machine.emplace(machine_settings(*state.context));
  state.duties = duties_of(*state.context);
  state.due.assign(state.duties.size(), true);
  node::prepare(self);
  return {
      [=](node::wired_atom, const node::wiring_ptr& wired) {
        self->state.wired = wired;
        look_soon(self);
      },
      [=](const node::execution_ptr& x) { learn(self, *x); },
      [=](answered_atom, const answer_ptr& x) {
        self->state.machine->answered(x->ids, x->verdicts, node::now().wall_ms);
      },
      [=](node::alarm_atom, std::int64_t at_ms) {
        auto& now_state = self->state;
        if (!now_state.alarm.rang(self, at_ms, node::now().monotonic_ms)) return;
        now_state.held_till_ms.reset();
        now_state.due.assign(now_state.duties.size(), true);
        look_soon(self);
      },
      [=](node::flush_atom) { look(self); },
  };
}

} // namespace

caf::actor spawn_steward(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::steward
