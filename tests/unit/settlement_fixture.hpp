// A mesh in memory on which operations of the built-in contracts settlement and distribution
// act, one after the other, as the executor would run them.
#pragma once

#include "contracts/builtin_rows.hpp"
#include "contracts/distribution.hpp"
#include "contracts/erasure.hpp"
#include "contracts/memory_source.hpp"
#include "contracts/settlement.hpp"
#include "tests/unit/five_nodes.hpp"

#include <boost/test/unit_test.hpp>

namespace tallymesh {
inline std::ostream& operator<<(std::ostream& out, outcome x) { return out << to_string(x); }
namespace contracts {
inline std::ostream& operator<<(std::ostream& out, const refusal& x) {
  return out << x.why << ' ' << x.detail;
}
} // namespace contracts
} // namespace tallymesh

namespace settlement_test {

using namespace tallymesh;
using namespace tallymesh::contracts;

inline constexpr std::string_view shop_source =
    R"(return { contract = "shop", version = 1, tables = {
  orders = { key = {"id"}, fields = { id = text{max=40}, price = optional(int64{}) }, settles = true,
             read = {"anyone"}, store = {"hq"}, distribute = {"coop"},
             erase = {"coop"} },
  notes  = { key = {"year", "number"}, fields = { year = int64{}, number = int64{} },
             read = {"level1", "level2"}, store = {"anyone"} } } })";

inline const contract_set_ptr& rules() {
  static const auto made = [] {
    auto all = builtin_entries();
    all.push_back({std::move(*parse(shop_source, "shop")), {}, nullptr});
    return std::move(*contract_set::make(five_nodes(), std::move(all)));
  }();
  return made;
}

inline value n(std::int64_t x) { return x; }
/// Amounts in hundredths, as a person would read them.
inline value cents(std::int64_t x) { return decimal{x * 100, settlement::amount_scale}; }

struct mesh_in_memory {
  memory_source stored;
  overlay newer;
  block_height height = 1;
  std::int64_t time_ms = 1'000'000;

  mesh_in_memory() { newer.begin_block(height); }

  void next_block() {
    auto done = newer.end_block();
    stored.apply(height, done.changes, done.indexes);
    newer.stored(height);
    newer.begin_block(++height);
    time_ms += 1000;
  }

  call_facts facts(std::string_view node, std::string_view account,
                   std::string_view caller = {}) const {
    const auto& nodes = rules()->mesh().nodes;
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const auto& each) { return each.name == node; });
    BOOST_TEST_REQUIRE((found != nodes.end()));
    return {.who = {account, found->name, found->at},
            .caller = caller,
            .operation = {},
            .height = height,
            .time_ms = time_ms};
  }

  /// One operation: all or nothing.
  template <class F>
  refusal run(const call_facts& as, F what) {
    transaction work(*rules(), newer, stored, as);
    const checked<void> done = what(work);
    if (done) return {};
    work.rewind();
    return done.error();
  }
  refusal act(std::string_view contract, std::string_view node, std::string_view action,
              std::initializer_list<std::pair<std::string_view, value>> arguments,
              std::string_view account = "clerk", std::string_view caller = {}) {
    return run(facts(node, account, caller), [&](transaction& on) {
      return rules()->find_entry(contract)->native->perform(on, action, make_row(arguments));
    });
  }
  refusal settle_action(std::string_view node, std::string_view action,
                        std::initializer_list<std::pair<std::string_view, value>> arguments) {
    return act("settlement", node, action, arguments);
  }

  /// A row, or an empty map.
  value_map row(std::string_view table, const value_list& key) {
    transaction work(*rules(), newer, stored, facts("hq", "clerk"));
    auto found = work.get(table, key);
    BOOST_TEST_REQUIRE(found.has_value(), table << ": " << found.error().why);
    return found->value_or(value_map{});
  }
  std::vector<value_map> rows(std::string_view table, const value_list& prefix = {}) {
    transaction work(*rules(), newer, stored, facts("hq", "clerk"));
    auto found = work.range(table, prefix, 100'000);
    BOOST_TEST_REQUIRE(found.has_value(), table << ": " << found.error().why);
    return std::move(*found);
  }
};

} // namespace settlement_test
