// A host and a test host over plain maps: what a contract's run does to them can be looked at.
// For the VM's tests, its fuzz target and its measurements; one thread.
#pragma once

#include "contracts/host.hpp"
#include "contracts/program.hpp"

#include <algorithm>
#include <functional>
#include <map>

namespace tallymesh::contracts {

class memory_gas : public gas_meter {
public:
  std::uint64_t limit = 50'000'000, used = 0;

  std::uint64_t left() const override { return limit - used; }
  checked<void> charge(std::uint64_t gas) override {
    if (gas > limit - used) {
      used = limit;
      return refuse(outcome::out_of_gas, "");
    }
    used += gas;
    return {};
  }
};

class memory_host final : public host {
public:
  using rows_by_key = std::map<bytes, value_map>;

  explicit memory_host(const contract& declared) : declared_(declared) {}

  memory_gas gas;
  std::map<std::string, rows_by_key, std::less<>> rows; ///< by the table's own name
  std::vector<std::string> effects; ///< "store orders a1", "settle {…}" …
  std::vector<std::pair<std::string, value_map>> told; ///< what was emitted
  value_map settled, recipients;                       ///< the last ones
  std::optional<refusal> refuse_effects;               ///< with this, from now on
  /// What a call of another contract does; none: unknown_contract.
  std::function<checked<value>(std::string_view, std::string_view, const value_map&)> on_call;
  std::function<checked<void>(std::string_view table, const value_map& row)> on_store;
  std::string caller;

  std::uint64_t left() const override { return gas.left(); }
  checked<void> charge(std::uint64_t amount) override { return gas.charge(amount); }
  run_facts facts() const override {
    run_facts made{.who = {"clerk", "hq", tier::level1},
                   .caller = caller,
                   .height = 12,
                   .time_ms = 1'700'000'000'000};
    made.operation.raw[0] = 0xAB;
    return made;
  }

  checked<std::optional<shared_bytes>> get(std::string_view name,
                                           const value_list& key) override {
    const auto* of = declared_.find_table(name);
    if (of == nullptr) return refuse(outcome::unknown_table, name);
    const auto row_key = key_of(*of, key);
    if (!row_key) return row_key.error();
    const auto& held = rows[of->name];
    const auto found = held.find(*row_key);
    if (found == held.end()) return std::optional<shared_bytes>();
    return std::optional(encode(found->second));
  }
  checked<std::vector<value_map>> find(std::string_view name, const value_map& where,
                                       page wanted) override {
    const auto* of = declared_.find_table(name);
    if (of == nullptr) return refuse(outcome::unknown_table, name);
    const auto choice = index_for(*of, where);
    if (!choice) return choice.error();
    return listed(of->name, wanted, [&](const value_map& row) {
      for (const auto& [field, given] : where) {
        const auto* held = tallymesh::find(row, field);
        if (given.is_null() ? held != nullptr : held == nullptr || !(*held == given))
          return false;
      }
      return true;
    });
  }
  checked<std::vector<value_map>> range(std::string_view name, const value_list& from,
                                        const value_list& to, page wanted) override {
    const auto* of = declared_.find_table(name);
    if (of == nullptr) return refuse(outcome::unknown_table, name);
    const auto prefix = [&](const value_list& values) {
      return encode_key(*of, std::span(of->key).first(values.size()), values);
    };
    const auto first = prefix(from), last = prefix(to);
    return listed(of->name, wanted, [&](const value_map& row) {
      const auto key = *key_of(*of, row);
      if (key < first) return false;
      return last.empty()
             || bytes(key.begin(), key.begin() + std::min(key.size(), last.size())) <= last;
    });
  }

  checked<void> store(std::string_view name, const value_map& row) override {
    if (refuse_effects) return *refuse_effects;
    const auto* of = declared_.find_table(name);
    if (of == nullptr) return refuse(outcome::unknown_table, name);
    auto key = key_of(*of, row);
    if (!key) return key.error();
    auto& held = rows[of->name][*key];
    const auto before = held.empty() ? std::nullopt : std::optional(encode(held));
    const auto after = merge(*of, row, before);
    if (!after) return after.error();
    auto merged = stored_row(*after);
    if (on_store)
      if (auto good = on_store(name, merged); !good) return good.error();
    held = std::move(merged);
    effects.push_back("store " + of->name);
    return {};
  }
  checked<void> remove(std::string_view name, const value_list& key) override {
    const auto* of = declared_.find_table(name);
    if (of == nullptr) return refuse(outcome::unknown_table, name);
    const auto row_key = key_of(*of, key);
    if (!row_key) return row_key.error();
    if (rows[of->name].erase(*row_key) == 0) return refuse(outcome::not_found, name);
    effects.push_back("delete " + of->name);
    return {};
  }
  checked<void> erase(std::string_view name, const value_list& key,
                      std::string_view reason) override {
    if (auto gone = remove(name, key); !gone) return gone.error();
    effects.back() = "erase " + std::string(name) + " because " + std::string(reason);
    return {};
  }
  checked<void> settle(const value_map& what) override {
    if (refuse_effects) return *refuse_effects;
    settled = what;
    effects.emplace_back("settle");
    return {};
  }
  checked<void> distribute(std::string_view name, const value_list&,
                           const value_map& to) override {
    recipients = to;
    effects.push_back("distribute " + std::string(name));
    return {};
  }
  checked<void> emit(std::string_view name, value_map what) override {
    told.emplace_back(name, std::move(what));
    return {};
  }
  checked<value> call(std::string_view contract_name, std::string_view action,
                      const value_map& params) override {
    if (!on_call) return refuse(outcome::unknown_contract, contract_name);
    return on_call(contract_name, action, params);
  }

private:
  template <class F>
  std::vector<value_map> listed(const std::string& name, page wanted, F&& fits) {
    std::vector<value_map> found;
    for (const auto& [key, row] : rows[name])
      if (fits(row)) found.push_back(row);
    if (wanted.descending) std::reverse(found.begin(), found.end());
    if (found.size() > wanted.limit) found.resize(wanted.limit);
    return found;
  }

  const contract& declared_;
};

/// One contract on one host, whose operations are all or nothing.
class memory_mesh final : public test_host {
public:
  explicit memory_mesh(program& tested) : tested_(tested), host_(tested.declared()) {}

  std::string who;
  std::optional<tier> level;

  void allow(std::uint64_t) override {}
  std::uint64_t take_used() override { return 0; }
  checked<void> become(std::string_view account, std::optional<tier> at) override {
    who = account;
    level = at;
    return {};
  }
  checked<void> set_time(std::int64_t time_ms) override {
    time_ms_ = time_ms;
    return {};
  }
  std::int64_t time_ms() const override { return time_ms_; }
  tried perform(std::string_view, std::string_view action, const value_map& params) override {
    auto before = host_.rows;
    tried came;
    if (action == "store") {
      auto done = host_.store(*tallymesh::find(params, "table")->as<std::string>(),
                              *tallymesh::find(params, "row")->as<value_map>());
      if (!done) came = {done.error().why, done.error().detail, {}};
    } else {
      auto ended = tested_.run(action, params, host_);
      came = {ended.why, ended.detail, ended.returned};
    }
    if (came.why != outcome::done) host_.rows = std::move(before);
    return came;
  }
  checked<std::optional<shared_bytes>> get(std::string_view table,
                                           const value_list& key) override {
    return host_.get(table, key);
  }
  checked<std::vector<value_map>> find(std::string_view table, const value_map& where,
                                       page wanted) override {
    return host_.find(table, where, wanted);
  }
  checked<std::vector<value_map>> range(std::string_view table, const value_list& from,
                                        const value_list& to, page wanted) override {
    return host_.range(table, from, to, wanted);
  }

private:
  program& tested_;
  memory_host host_;
  std::int64_t time_ms_ = 0;
};

} // namespace tallymesh::contracts
