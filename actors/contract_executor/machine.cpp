#include "actors/contract_executor/machine.hpp"

#include "contracts/zero_sum.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::contract_executor {

using contracts::checked;
using contracts::refuse;

// --- genesis

/// Genesis' contracts after the built-in ones.
static result<contracts::contract_set_ptr> make_base(genesis_facts& facts) {
  contracts::mesh_facts mesh;
  for (const auto& each : facts.nodes)
    mesh.nodes.push_back({each.name, each.at});
  for (const auto& each : facts.accounts)
    mesh.accounts.push_back({each.name, each.node});
  auto entries = contracts::builtin_entries();
  for (auto& each : facts.contracts)
    entries.push_back(std::move(each));
  return contracts::contract_set::make(std::move(mesh), std::move(entries));
}

result<machine> machine::make(genesis_facts facts) {
  machine made;
  std::map<std::string, node_index, std::less<>> places;
  for (std::size_t i = 0; i < facts.nodes.size(); ++i)
    if (!places.emplace(facts.nodes[i].name, static_cast<node_index>(i)).second)
      return make_error(errc::bad_config,
                        "genesis names node " + facts.nodes[i].name + " twice");
  auto base = make_base(facts);
  if (!base) return base.error();
  made.base_ = std::move(*base);
  made.accounts_.resize(facts.nodes.size());
  for (auto& each : facts.accounts) {
    const auto place = places.find(each.node);
    if (place == places.end())
      return make_error(errc::bad_config, "account " + each.name + " is of node " + each.node
                                              + ", which genesis does not have");
    const auto full_name = each.name + "@" + each.node;
    if (!made.accounts_[place->second].emplace(each.name, std::move(each)).second)
      return make_error(errc::bad_config, "genesis names account " + full_name + " twice");
  }
  const std::string own(contracts::node_account);
  for (std::size_t i = 0; i < facts.nodes.size(); ++i)
    made.accounts_[i].try_emplace(own, account_facts{own, facts.nodes[i].name, {}});
  made.chain_ = facts.chain;
  made.nodes_ = std::move(facts.nodes);
  return made;
}

const account_facts* machine::find_account(node_index node, std::string_view name) const {
  if (node >= accounts_.size()) return nullptr;
  const auto found = accounts_[node].find(name);
  return found == accounts_[node].end() ? nullptr : &found->second;
}

// --- one block

/// Executing one block: what it has produced so far.
class block_run {
public:
  block_run(const machine& rules, const sealed_block& block, const digest& previous,
            const tables& on, const std::vector<batch_ptr>& in_order)
      : rules_(rules), on_(on), in_force_(on.rules) {
    made_.height = block.content.height;
    made_.block = block.id;
    made_.time_ms = block.content.time_ms;
    made_.previous = previous;
    on_.newer.begin_block(made_.height);
    std::size_t operations = 0;
    for (const auto& each : in_order)
      operations += each->content.operations.size();
    made_.receipts.reserve(operations);
  }

  void run(const batch& from) {
    for (const auto& what : from.operations) {
      const auto position = position_++;
      if (!seen_.emplace(from.lane, what.id).second || on_.executed(from.lane, what.id))
        continue;
      receipt answer{.id = what.id,
                     .height = made_.height,
                     .position = position,
                     .lane = from.lane,
                     .seq = from.seq};
      perform(what, answer);
      made_.receipts.push_back(std::move(answer));
    }
  }

  executed_block finish() {
    auto written = on_.newer.end_block();
    made_.changes = std::move(written.changes);
    TALLYMESH_INVARIANT(!contracts::money_made_by(made_.changes)); // before anyone hears of it
    return {std::move(made_), std::move(written.indexes), std::move(in_force_)};
  }

private:
  /// All or nothing: a refused operation leaves its receipt only.
  void perform(const operation& what, receipt& answer) {
    const auto refused = [&](const contracts::refusal& why) {
      answer.result = why.why;
      answer.detail = why.detail;
    };
    const auto admitted = admit(what, answer.lane);
    if (!admitted) return refused(admitted.error());
    contracts::transaction work(*in_force_, on_.newer, on_.below,
                                {.who = *admitted,
                                 .caller = {},
                                 .operation = what.id,
                                 .lane = answer.lane,
                                 .position = answer.position,
                                 .height = made_.height,
                                 .time_ms = made_.time_ms},
                                gas_of_one());
    if (on_.purse != nullptr) work.limit_activation(*on_.purse);
    work.run_code_by(&on_.runs);
    auto verdict = work.charge(contracts::prices.operation);
    if (verdict) {
      const auto done = on_.runs.perform(work, what.contract, what.action, what.arguments);
      if (!done) verdict = done.error();
    }
    if (!verdict) {
      work.rewind();
      refused(verdict.error());
    }
    answer.changes = work.changes();
    answer.gas = work.gas_used();
    if (on_.purse != nullptr) *on_.purse -= std::min(*on_.purse, answer.gas);
    answer.effects = work.effects();
    answer.events = work.take_events();
    // From the next operation on; only operations of one block can be of several versions.
    auto changed = work.new_rules();
    // What it compiled is kept if that is in force now; a candidate that was refused is not,
    // for a block may hold many. And a version that is not in force any more goes.
    const bool prepare = changed != nullptr || on_.runs.has_more();
    if (changed != nullptr) in_force_ = std::move(changed);
    if (prepare) keep_what_is_needed();
  }

  std::uint64_t gas_of_one() const {
    return on_.purse == nullptr ? contracts::default_operation_gas
                                : std::min(*on_.purse, contracts::default_operation_gas);
  }

  void keep_what_is_needed() const {
    const auto kept = on_.runs.prepare(*in_force_);
    TALLYMESH_INVARIANT(kept.has_value()); // all of them were compiled as they came in force
  }

  /// The order of these checks is the contract's (contracts/README.md): all nodes name the same
  /// one.
  checked<contracts::actor> admit(const operation& what, node_index lane) const {
    if (made_.time_ms > what.valid_until_ms) return refuse(outcome::expired, "");
    const auto* author = rules_.find_account(lane, what.author);
    if (author == nullptr) return refuse(outcome::unknown_account, what.author);
    const auto* contract = in_force_->find_contract(what.contract);
    if (contract == nullptr) return refuse(outcome::unknown_contract, what.contract);
    if (contract->author_signs && !signed_by(*author, what))
      return refuse(outcome::unsigned_operation, what.author);
    return contracts::actor{what.author, author->node, rules_.nodes_[lane].at};
  }

  bool signed_by(const account_facts& author, const operation& what) const {
    return author.key && what.author_signature
           && verify(*author.key, author_signing_digest(rules_.chain_, what).raw,
                     *what.author_signature);
  }

  const machine& rules_;
  const tables& on_;
  contracts::contract_set_ptr in_force_;
  execution made_;
  std::uint32_t position_ = 0;
  std::set<std::pair<node_index, operation_id>> seen_;
};

executed_block machine::execute(const sealed_block& block,
                                const std::vector<batch_ptr>& in_order, const digest& previous,
                                const tables& on) const {
  block_run run(*this, block, previous, on, in_order);
  for (const auto& each : in_order)
    run.run(each->content);
  return run.finish();
}

} // namespace tallymesh::contract_executor
