#include "contracts/trial.hpp"

#include "contracts/builtin_rows.hpp"
#include "contracts/engine.hpp"
#include "contracts/memory_source.hpp"
#include "contracts/transaction_host.hpp"

#include <algorithm>

namespace tallymesh::contracts {

namespace {

/// Until a test says who acts and when.
constexpr std::string_view usual_account = "tester@tester";
constexpr std::int64_t usual_time_ms = 1'767'225'600'000; // 2026-01-01

/// Every party to whom the contract gives a right, so that the rights name someone.
class parties {
public:
  void add(const contract& x) {
    for (const auto& each : x.tables) {
      for (const auto* list :
           {&each.readers, &each.storers, &each.deleters, &each.erasers, &each.distributors})
        add(*list);
      for (const auto& [field, list] : each.hidden)
        add(list);
    }
    for (const auto& each : x.actions)
      add(each.may);
  }
  /// The tier of a node is the one it is first named with.
  void add_node(std::string_view name, std::optional<tier> at) {
    if (!has_node(made_, name)) made_.nodes.push_back({std::string(name), at.value_or(tier{})});
  }
  void add_account(std::string_view full) {
    const auto cut = full.find('@');
    if (!has_account(made_, full))
      made_.accounts.push_back(
          {std::string(full.substr(0, cut)), std::string(full.substr(cut + 1))});
  }
  const mesh_facts& made() const { return made_; }
  std::size_t count() const { return made_.nodes.size() + made_.accounts.size(); }
  bool names_tier(std::string_view node) const { return tiers_.contains(node); }
  /// A node that only rights named so far gets its tier from the test.
  void set_tier(std::string_view node, tier at) {
    for (auto& each : made_.nodes)
      if (each.name == node && tiers_.emplace(node).second) each.at = at;
  }

private:
  void add(const std::vector<grantee>& list) {
    for (const auto& each : list) {
      if (each.what == grantee::kind::node) add_node(each.name, {});
      if (each.what != grantee::kind::account) continue;
      add_node(std::string_view(each.name).substr(each.name.find('@') + 1), {});
      add_account(each.name);
    }
  }

  mesh_facts made_;
  std::set<std::string, std::less<>> tiers_;
};

/// One test's mesh: as a node executes, but each operation is a block that is stored at once.
class little_mesh final : public test_host {
public:
  /// `code` compiles each contract once for all tests.
  little_mesh(const contract_entry& tested, const std::vector<contract_entry>& others,
              engine& code)
      : tested_(tested.declared.name), code_(code) {
    entries_ = builtin_entries();
    for (const auto& each : others)
      if (each.native == nullptr && each.declared.name != tested_) entries_.push_back(each);
    entries_.push_back(tested);
    for (const auto& each : entries_)
      known_.add(each.declared);
  }

  result<void> start() {
    if (auto named = name_actor(usual_account, tier::level1); !named) return named.error();
    return {};
  }

  void allow(std::uint64_t gas) override { allowed_ = gas; }
  std::uint64_t take_used() override { return std::exchange(used_, 0); }

  checked<void> become(std::string_view account, std::optional<tier> level) override {
    const auto cut = account.find('@');
    if (cut == account.npos || cut == 0 || cut + 1 == account.size()
        || account.size() > 2 * limits::max_name_bytes)
      return refuse(outcome::unknown_account, account);
    if (auto named = name_actor(account, level); !named)
      return refuse(outcome::unknown_account, account);
    return {};
  }

  checked<void> set_time(std::int64_t time_ms) override {
    if (time_ms < 0) return refuse(outcome::out_of_range, "time");
    time_ms_ = time_ms;
    return {};
  }
  std::int64_t time_ms() const override { return time_ms_; }

  tried perform(std::string_view contract, std::string_view action,
                const value_map& params) override {
    if (below_.size_bytes() > max_trial_bytes)
      return {.why = outcome::out_of_memory, .detail = "rows", .returned = {}};
    over_.begin_block(++height_);
    tried said;
    contract_set_ptr next;
    {
      transaction on(*rules_, over_, below_, facts(),
                     std::min(allowed_, default_operation_gas));
      on.limit_activation(allowed_);
      on.run_code_by(&code_);
      auto came = code_.perform(on, contract.empty() ? tested_ : contract, action, params);
      if (came) {
        said.returned = std::move(*came);
        next = on.new_rules();
      } else {
        on.rewind();
        said.why = came.error().why;
        said.detail = came.error().detail;
      }
      used_ += on.gas_used();
    }
    if (next != nullptr) take_over(std::move(next));
    const auto made = over_.end_block();
    below_.apply(height_, made.changes, made.indexes);
    over_.stored(height_);
    return said;
  }

  checked<std::optional<shared_bytes>> get(std::string_view table,
                                           const value_list& key) override {
    return looking([&](host& on) { return on.get(table, key); });
  }
  checked<std::vector<value_map>> find(std::string_view table, const value_map& where,
                                       page wanted) override {
    return looking([&](host& on) { return on.find(table, where, wanted); });
  }
  checked<std::vector<value_map>> range(std::string_view table, const value_list& from,
                                        const value_list& to, page wanted) override {
    return looking([&](host& on) { return on.range(table, from, to, wanted); });
  }

private:
  void take_over(contract_set_ptr next) {
    rules_ = std::move(next);
    entries_.clear();
    for (const auto& [name, entry] : rules_->contracts())
      entries_.push_back(entry);
    const auto kept = code_.prepare(*rules_);
    TALLYMESH_INVARIANT(kept.has_value()); // all of them were compiled as they came in force
  }

  /// The rights of contracts name parties, so that a new one makes another set.
  result<void> name_actor(std::string_view account, std::optional<tier> level) {
    account_ = std::string(account.substr(0, account.find('@')));
    node_ = std::string(account.substr(account.find('@') + 1));
    const bool fresh = !has_account(known_.made(), account);
    known_.add_node(node_, level);
    known_.add_account(account);
    const bool placed = level && !known_.names_tier(node_);
    if (placed) known_.set_tier(node_, *level);
    if (rules_ != nullptr && !fresh && !placed) return {};
    used_ += price_of_rules();
    if (used_ > allowed_) return {}; // the test ends for it
    auto made = contract_set::make(known_.made(), entries_);
    if (!made) return made.error();
    if (rules_ != nullptr)
      for (const auto& each : entries_)
        if (rules_->is_frozen(each.declared.name))
          made = (*made)->with_frozen(each.declared.name, true);
    rules_ = std::move(*made);
    return code_.prepare(*rules_);
  }

  /// All contracts are copied and looked at.
  std::uint64_t price_of_rules() const {
    constexpr std::uint64_t contract = 20'000, party = 1'000;
    std::uint64_t price = party * known_.count();
    for (const auto& each : entries_)
      price += contract + each.source.size();
    return price;
  }

  call_facts facts() {
    const auto& nodes = rules_->mesh().nodes;
    const auto at = std::find_if(nodes.begin(), nodes.end(),
                                 [&](const auto& each) { return each.name == node_; });
    operation_id id;
    for (std::size_t i = 0; i < sizeof height_; ++i)
      id.raw[id.raw.size() - 1 - i] = static_cast<std::uint8_t>(height_ >> (8 * i));
    return {.who = {account_, node_, at->at},
            .caller = {},
            .operation = id,
            .lane = static_cast<node_index>(at - nodes.begin()),
            .position = 0,
            .height = height_,
            .time_ms = time_ms_};
  }

  /// Tests see all rows of their contract, and of others what the one who acts may read.
  template <class F>
  auto looking(F read) -> decltype(read(std::declval<host&>())) {
    over_.begin_block(height_ + 1);
    transaction on(*rules_, over_, below_, facts(), std::min(allowed_, default_operation_gas));
    transaction_host through(code_, on, *rules_->find_entry(tested_),
                             transaction_host::reader::author);
    auto found = read(through);
    used_ += on.gas_used();
    on.rewind();
    over_.end_block();
    over_.stored(height_ + 1);
    return found;
  }

  std::string tested_;
  engine& code_; ///< its programs are not the one whose test runs
  std::vector<contract_entry> entries_;
  parties known_;
  contract_set_ptr rules_;
  memory_source below_;
  overlay over_;
  block_height height_ = 0;
  std::int64_t time_ms_ = usual_time_ms;
  std::string account_, node_;
  std::uint64_t allowed_ = UINT64_MAX, used_ = 0;
};

class trial_of final : public trial {
public:
  trial_of(std::unique_ptr<program> tester, contract_entry tested,
           std::vector<contract_entry> others, const vm_limits& limits)
      : tester_(std::move(tester)), tested_(std::move(tested)), others_(std::move(others)),
        code_(limits) {}

  const contract& declared() const override { return tested_.declared; }

  run_outcome run(std::string_view sentence, std::uint64_t& purse) override {
    little_mesh on(tested_, others_, code_);
    if (const auto good = on.start(); !good)
      return {outcome::contract_error, {}, {}, good.error().context};
    return tester_->run_test(sentence, on, purse);
  }

  result<void> try_mesh() {
    little_mesh on(tested_, others_, code_);
    return on.start();
  }

private:
  std::unique_ptr<program> tester_;
  contract_entry tested_;
  std::vector<contract_entry> others_;
  engine code_;
};

} // namespace

result<std::unique_ptr<trial>> trial::make(std::string_view source, std::string_view file_name,
                                           const std::vector<contract_entry>& others,
                                           const vm_limits& limits) {
  auto tester = program::make(source, file_name, limits);
  if (!tester) return tester.error();
  auto declared = (*tester)->declared();
  auto made = std::make_unique<trial_of>(
      std::move(*tester), contract_entry{std::move(declared), std::string(source), nullptr},
      others, limits);
  if (auto good = made->try_mesh(); !good) return good.error();
  return std::unique_ptr<trial>(std::move(made));
}

} // namespace tallymesh::contracts
