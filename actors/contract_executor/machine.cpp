#include "actors/contract_executor/machine.hpp"

#include "contracts/row.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::contract_executor {

using contracts::checked;
using contracts::refuse;

// --- genesis

static result<void> check_grantees(const contracts::contract& x, const genesis_facts& facts) {
  const auto exists = [&](const contracts::grantee& who) {
    using kind = contracts::grantee::kind;
    if (who.what == kind::node)
      return std::any_of(facts.nodes.begin(), facts.nodes.end(),
                         [&](const node_facts& node) { return node.name == who.name; });
    if (who.what == kind::account)
      return std::any_of(facts.accounts.begin(), facts.accounts.end(),
                         [&](const account_facts& account) {
                           return account.name + "@" + account.node == who.name;
                         });
    return true;
  };
  for (const auto& table : x.tables)
    for (const auto* list : {&table.readers, &table.storers, &table.deleters})
      for (const auto& who : *list)
        if (!exists(who))
          return make_error(errc::bad_config, "contract " + x.name + " gives a right on table "
                                                  + table.name + " to " + who.name
                                                  + ", which genesis does not have");
  return {};
}

result<machine> machine::make(genesis_facts facts) {
  machine made;
  for (const auto& each : facts.contracts)
    if (auto good = check_grantees(each, facts); !good) return good.error();
  for (auto& each : facts.contracts) {
    const auto name = each.name;
    if (!made.contracts_.try_emplace(name, std::move(each)).second)
      return make_error(errc::bad_config, "genesis names contract " + name + " twice");
  }
  std::map<std::string, node_index, std::less<>> places;
  for (std::size_t i = 0; i < facts.nodes.size(); ++i)
    if (!places.emplace(facts.nodes[i].name, static_cast<node_index>(i)).second)
      return make_error(errc::bad_config,
                        "genesis names node " + facts.nodes[i].name + " twice");
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
  made.chain_ = facts.chain;
  made.nodes_ = std::move(facts.nodes);
  return made;
}

const contracts::contract* machine::find_contract(std::string_view name) const {
  const auto found = contracts_.find(name);
  return found == contracts_.end() ? nullptr : &found->second;
}

const contracts::table* machine::find_table(std::string_view full_name) const {
  const auto dot = full_name.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const auto* owner = find_contract(full_name.substr(0, dot));
  return owner == nullptr ? nullptr : owner->find_table(full_name.substr(dot + 1));
}

const account_facts* machine::find_account(node_index node, std::string_view name) const {
  if (node >= accounts_.size()) return nullptr;
  const auto found = accounts_[node].find(name);
  return found == accounts_[node].end() ? nullptr : &found->second;
}

// --- one block

/// Executing one block: the rows it has touched so far, and what it has produced.
class block_run {
public:
  block_run(const machine& rules, const sealed_block& block, const digest& previous,
            const state_view& view)
      : rules_(rules), view_(view) {
    made_.height = block.content.height;
    made_.block = block.id;
    made_.time_ms = block.content.time_ms;
    made_.previous = previous;
  }

  void run(const batch& from) {
    for (const auto& what : from.operations) {
      const auto position = position_++;
      if (!seen_.emplace(from.lane, what.id).second || view_.executed(from.lane, what.id))
        continue;
      receipt answer{.id = what.id,
                     .height = made_.height,
                     .position = position,
                     .lane = from.lane,
                     .seq = from.seq};
      const auto changes_before = made_.changes.size();
      if (const auto verdict = perform(what, from.lane, position); !verdict) {
        answer.result = verdict.error().why;
        answer.detail = verdict.error().detail;
      }
      answer.changes = static_cast<std::uint32_t>(made_.changes.size() - changes_before);
      made_.receipts.push_back(std::move(answer));
    }
  }

  execution finish() { return std::move(made_); }

private:
  /// Table and key. Ordered, so that no choice of keys makes a look-up slow.
  using row_name = std::pair<const contracts::table*, bytes>;

  /// The order of these checks is the contract's (contracts/README.md): all nodes name the same
  /// one.
  checked<void> perform(const operation& what, node_index lane, std::uint32_t position) {
    if (made_.time_ms > what.valid_until_ms) return refuse(outcome::expired, "");
    const auto* author = rules_.find_account(lane, what.author);
    if (author == nullptr) return refuse(outcome::unknown_account, what.author);
    const auto* contract = rules_.find_contract(what.contract);
    if (contract == nullptr) return refuse(outcome::unknown_contract, what.contract);
    if (contract->author_signs && !signed_by(*author, what))
      return refuse(outcome::unsigned_operation, what.author);
    const contracts::actor who{what.author, author->node, rules_.nodes_[lane].at};
    if (what.action == "store") return store_row(*contract, what.arguments, who, position);
    if (what.action == "delete") return delete_row(*contract, what.arguments, who, position);
    return refuse(outcome::unknown_action, what.action);
  }

  bool signed_by(const account_facts& author, const operation& what) const {
    return author.key && what.author_signature
           && verify(*author.key, author_signing_digest(rules_.chain_, what).raw,
                     *what.author_signature);
  }

  /// What an operation is about, as it stands in its two arguments: `first`, and "table".
  template <class T>
  struct subject {
    const contracts::table* table;
    const T* what;
  };
  template <class T>
  static checked<subject<T>> subject_of(const contracts::contract& contract,
                                        const value_map& given, std::string_view first) {
    if (given.size() != 2 || given[0].first != first || given[1].first != "table")
      return refuse(outcome::malformed_arguments, "");
    const auto* what = given[0].second.as<T>();
    if (what == nullptr) return refuse(outcome::malformed_arguments, first);
    const auto* table_name = given[1].second.as<std::string>();
    if (table_name == nullptr) return refuse(outcome::malformed_arguments, "table");
    const auto* table = contract.find_table(*table_name);
    if (table == nullptr) return refuse(outcome::unknown_table, *table_name);
    return subject<T>{table, what};
  }

  checked<void> store_row(const contracts::contract& contract, const value_map& given,
                          const contracts::actor& who, std::uint32_t position) {
    const auto about = subject_of<value_map>(contract, given, "row");
    if (!about) return about.error();
    const auto& [table, row] = *about;
    if (!may_store(*table, who)) return refuse(outcome::forbidden, table->name);
    auto key = contracts::key_of(*table, *row);
    if (!key) return key.error();
    auto& held = row_at(*table, std::move(*key));
    auto after = contracts::merge(*table, *row, held.second.row);
    if (!after) return after.error();
    if (held.second.row == *after) return refuse(outcome::no_change, "");
    if (after->size() > limits::max_row_bytes) return refuse(outcome::too_large, table->name);
    return write(held, std::move(*after), position);
  }

  checked<void> delete_row(const contracts::contract& contract, const value_map& given,
                           const contracts::actor& who, std::uint32_t position) {
    const auto about = subject_of<value_list>(contract, given, "key");
    if (!about) return about.error();
    const auto& [table, values] = *about;
    if (!may_delete(*table, who)) return refuse(outcome::forbidden, table->name);
    auto key = contracts::key_of(*table, *values);
    if (!key) return key.error();
    auto& held = row_at(*table, std::move(*key));
    if (!held.second.row) return refuse(outcome::not_found, table->name);
    return write(held, std::nullopt, position);
  }

  std::pair<const row_name, held_row>& row_at(const contracts::table& table, bytes key) {
    const auto [at, fresh] = rows_.try_emplace({&table, std::move(key)});
    if (fresh) at->second = view_.row(table.full_name, at->first.second);
    return *at;
  }

  checked<void> write(std::pair<const row_name, held_row>& held, std::optional<bytes> after,
                      std::uint32_t position) {
    auto& [name, now] = held;
    const auto size_bytes =
        name.second.size() + (now.row ? now.row->size() : 0) + (after ? after->size() : 0);
    if (change_bytes_ + size_bytes > limits::max_block_change_bytes)
      return refuse(outcome::block_full, name.first->name);
    change_bytes_ += size_bytes;
    const change_place here{made_.height, static_cast<std::uint32_t>(made_.changes.size())};
    made_.changes.push_back({name.first->full_name, name.second, std::move(now.row), after,
                             position, now.last_change});
    now = {std::move(after), here};
    return {};
  }

  const machine& rules_;
  const state_view& view_;
  execution made_;
  std::uint32_t position_ = 0;
  std::size_t change_bytes_ = 0; ///< of rows before and after, and keys
  std::set<std::pair<node_index, operation_id>> seen_;
  std::map<row_name, held_row>
      rows_; // looked up, never iterated: table addresses differ by process
};

execution machine::execute(const sealed_block& block, const std::vector<batch_ptr>& in_order,
                           const digest& previous, const state_view& view) const {
  block_run run(*this, block, previous, view);
  for (const auto& each : in_order)
    run.run(each->content);
  return run.finish();
}

std::vector<index_change> machine::index_changes(const execution& of) const {
  std::vector<index_change> made;
  for (const auto& each : of.changes) {
    const auto* table = find_table(each.table);
    TALLYMESH_INVARIANT(table != nullptr);
    append_index_changes(*table, each, made);
  }
  return made;
}

} // namespace tallymesh::contract_executor
