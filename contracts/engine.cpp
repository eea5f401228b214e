#include "contracts/engine.hpp"

#include "contracts/transaction_host.hpp"

#include <set>

namespace tallymesh::contracts {

actor acting(const call_facts& facts) {
  auto who = facts.who;
  who.contract = facts.caller;
  return who;
}

// --- programs

result<program*> engine::program_of(const contract_entry& x) {
  const auto found = programs_.find(x.declared.source);
  if (found != programs_.end()) return found->second.get();
  auto made = program::make(x.source, x.declared.name, limits_);
  if (!made) return made.error();
  has_more_ = true;
  return programs_.emplace(x.declared.source, std::move(*made)).first->second.get();
}

result<void> engine::compile(const contract_entry& x) {
  if (x.native != nullptr || !x.declared.has_code()) return {};
  if (const auto made = program_of(x); !made) return made.error();
  return {};
}

result<void> engine::prepare(const contract_set& rules) {
  std::set<digest> needed;
  for (const auto& [name, entry] : rules.contracts()) {
    needed.insert(entry.declared.source);
    if (const auto good = compile(entry); !good) return good.error();
  }
  std::erase_if(programs_, [&](const auto& each) { return !needed.contains(each.first); });
  has_more_ = false;
  return {};
}

// --- native actions

namespace {

/// What a native action is about, as it stands in its two arguments: `first`, and "table".
template <class T>
struct subject {
  const table* where;
  const T* what;
};

template <class T>
checked<subject<T>> subject_of(const contract& of, const value_map& given,
                               std::string_view first) {
  if (given.size() != 2 || given[0].first != first || given[1].first != "table")
    return refuse(outcome::malformed_arguments, "");
  const auto* what = given[0].second.as<T>();
  if (what == nullptr) return refuse(outcome::malformed_arguments, first);
  const auto* table_name = given[1].second.as<std::string>();
  if (table_name == nullptr) return refuse(outcome::malformed_arguments, "table");
  const auto* found = of.find_table(*table_name);
  if (found == nullptr) return refuse(outcome::unknown_table, *table_name);
  return subject<T>{found, what};
}

checked<value> store_row(transaction& on, const contract& of, const value_map& given) {
  const auto about = subject_of<value_map>(of, given, "row");
  if (!about) return about.error();
  if (!may_store(*about->where, acting(on.facts())))
    return refuse(outcome::forbidden, about->where->name);
  const auto changed = on.put(*about->where, *about->what);
  if (!changed) return changed.error();
  // Of an operation it is the outcome; for a contract that calls it, it is none.
  if (!*changed && on.facts().caller.empty()) return refuse(outcome::no_change, "");
  return value();
}

checked<value> delete_row(transaction& on, const contract& of, const value_map& given) {
  const auto about = subject_of<value_list>(of, given, "key");
  if (!about) return about.error();
  if (!may_delete(*about->where, acting(on.facts())))
    return refuse(outcome::forbidden, about->where->name);
  if (auto done = on.remove(*about->where, *about->what); !done) return done.error();
  return value();
}

using native_function = checked<void> (*)(transaction&, const contract&, const value_map&);

checked<value> by_native(native_function perform, transaction& on, const contract& of,
                         std::string_view action, const value_map& given) {
  if (perform == nullptr) return refuse(outcome::unknown_action, action);
  if (auto done = perform(on, of, given); !done) return done.error();
  return value();
}

} // namespace

// --- one action

static refusal refusal_of(run_outcome ended) { return {ended.why, std::move(ended.detail)}; }

checked<value> engine::perform(transaction& on, std::string_view contract_name,
                               std::string_view action_name, const value_map& arguments) {
  const auto* entry = on.rules().find_entry(contract_name);
  if (entry == nullptr) return refuse(outcome::unknown_contract, contract_name);
  const auto& of = entry->declared;
  if (on.rules().is_frozen(of.name)) return refuse(outcome::frozen, of.name);
  if (action_name == "store") return store_row(on, of, arguments);
  if (action_name == "delete") return delete_row(on, of, arguments);
  if (action_name == "erase") return by_native(native().erase, on, of, action_name, arguments);
  if (action_name == "distribute")
    return by_native(native().distribute, on, of, action_name, arguments);
  const auto* declared = of.find_action(action_name);
  if (declared == nullptr) return refuse(outcome::unknown_action, action_name);
  return run_declared(on, *entry, *declared, arguments);
}

checked<value> engine::run_declared(transaction& on, const contract_entry& of,
                                    const action& what, const value_map& arguments) {
  if (!may_call(what, acting(on.facts()))) return refuse(outcome::forbidden, what.name);
  const auto params = convert_params(what, arguments);
  if (!params) return params.error();
  if (depth_ == max_call_depth) return refuse(outcome::too_deep, of.declared.name);
  struct level {
    int& depth;
    explicit level(int& x) : depth(x) { ++depth; }
    ~level() { --depth; }
  } const here(depth_);
  if (auto paid = on.charge(prices.call); !paid) return paid.error();
  if (of.native != nullptr) {
    if (auto done = of.native->perform(on, what.name, *params); !done) return done.error();
    return value();
  }
  const auto code = program_of(of);
  if (!code) return refuse(outcome::contract_error, of.declared.name);
  transaction_host host(*this, on, of);
  auto ended = (*code)->run(what.name, *params, host);
  if (!ended.ok()) return refusal_of(std::move(ended));
  return std::move(ended.returned);
}

checked<void> engine::migrate(transaction& on, const contract_entry& to) {
  const auto code = program_of(to);
  if (!code) return refuse(outcome::contract_error, to.declared.name);
  transaction_host host(*this, on, to);
  auto ended = (*code)->run_migrate(host);
  if (!ended.ok()) return refusal_of(std::move(ended));
  return {};
}

namespace {

class transaction_meter : public gas_meter {
public:
  explicit transaction_meter(transaction& on) : on_(on) {}
  std::uint64_t left() const override { return on_.gas_limit() - on_.gas_used(); }
  checked<void> charge(std::uint64_t gas) override { return on_.charge(gas); }

private:
  transaction& on_;
};

} // namespace

checked<void> engine::judge(transaction& on, const table& where, const value_map& row) {
  const auto owner = std::string_view(where.full_name).substr(0, where.full_name.find('.'));
  const auto* entry = on.rules().find_entry(owner);
  if (entry == nullptr) return refuse(outcome::contract_error, owner);
  const auto code = program_of(*entry);
  if (!code) return refuse(outcome::contract_error, owner);
  transaction_meter gas(on);
  auto ended = (*code)->run_check(where.name, row, gas);
  if (!ended.ok()) return refusal_of(std::move(ended));
  return {};
}

} // namespace tallymesh::contracts
