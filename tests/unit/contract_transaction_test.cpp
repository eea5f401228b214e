// The overlay and the transaction: what an operation sees, and that it leaves all or nothing.
#include "contracts/memory_source.hpp"
#include "contracts/transaction.hpp"

#include <boost/test/unit_test.hpp>
#include <random>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

constexpr char shop_source[] = R"(return { contract = "shop", version = 1, tables = {
  customers = { key = {"id"}, fields = { id = text{max=8}, mail = optional(text{max=20}) }, index = { {"mail"} } },
  orders    = { key = {"year", "number"}, fields = { year = int64{}, number = int64{}, customer = optional(text{max=8}),
                state = one_of{"new", "done"} }, index = { {"customer"}, {"state", "year"} } } } })";

/// The constraints as the parser leaves them.
contract shop() {
  auto made = parse(shop_source, "shop.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  for (auto& each : made->tables) {
    if (each.name == "customers") each.unique = {0};
    if (each.name == "orders")
      each.references = {{.fields = each.indexes[0], .table = "shop.customers", .index = 0}};
  }
  return std::move(*made);
}

struct shop_fixture {
  contract_set_ptr rules = *contract_set::make({}, {{shop(), {}, nullptr}});
  memory_source stored;
  overlay newer;
  block_height height = 0;
  std::deque<block_changes> unstored;

  shop_fixture() { begin(); }
  void begin() { newer.begin_block(++height); }
  void end() {
    unstored.push_back(newer.end_block());
    begin();
  }
  /// The oldest block that is not stored reaches the tables; its versions may go.
  void store_one() {
    const auto at = height - unstored.size();
    stored.apply(at, unstored.front().changes, unstored.front().indexes);
    newer.stored(at);
    unstored.pop_front();
  }
  transaction begin_operation(std::uint64_t gas = default_operation_gas) {
    return {
        *rules, newer, stored, {.who = {"clerk", "hq", tier::level1}, .height = height}, gas};
  }
};

value_map customer(const std::string& id, const std::string& mail = {}) {
  value_map row;
  put(row, "id", id);
  if (!mail.empty()) put(row, "mail", mail);
  return row;
}
value_map order(std::int64_t year, std::int64_t number, const std::string& of,
                const std::string& state = "new") {
  value_map row;
  put(row, "year", year);
  put(row, "number", number);
  if (!of.empty()) put(row, "customer", of);
  put(row, "state", state);
  return row;
}
refusal why(const checked<void>& x) { return x ? refusal{} : x.error(); }
void must(const checked<void>& x) {
  BOOST_TEST_REQUIRE(x.has_value(), to_string(x.error().why));
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(contract_transaction, shop_fixture)

BOOST_AUTO_TEST_CASE(an_operation_sees_its_own_writes_and_takes_all_of_them_back) {
  {
    auto first = begin_operation();
    must(first.put("shop.customers", customer("a", "a@x")));
  }
  auto work = begin_operation();
  must(work.put("shop.customers", customer("a", "b@x")));
  must(work.put("shop.customers", customer("n")));
  must(work.emit("seen", {{"id", "a"}}));
  must(work.remove("shop.customers", {"n"}));
  BOOST_TEST((**work.get("shop.customers", {"a"}) == customer("a", "b@x")));
  BOOST_TEST(work.find("shop.customers", 0, {"b@x"}, 5)->size() == 1u);
  BOOST_TEST(work.changes() == 3u);
  work.rewind();
  BOOST_TEST(work.changes() == 0u);
  BOOST_TEST((work.effects() == effect_counts{}));
  BOOST_TEST((**work.get("shop.customers", {"a"}) == customer("a", "a@x")));
  BOOST_TEST(!work.get("shop.customers", {"n"})->has_value());
  BOOST_TEST(work.find("shop.customers", 0, {"b@x"}, 5)->empty());
  BOOST_TEST(work.find("shop.customers", 0, {"a@x"}, 5)->size() == 1u);
  BOOST_TEST(work.take_events().empty());
  BOOST_TEST(newer.end_block().changes.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_was_done_before_a_mark_stays) {
  auto work = begin_operation();
  must(work.put("shop.customers", customer("a")));
  const auto here = work.mark();
  must(work.put("shop.customers", customer("b")));
  work.count(effect::settled);
  work.rewind(here);
  BOOST_TEST(work.get("shop.customers", {"a"})->has_value());
  BOOST_TEST(!work.get("shop.customers", {"b"})->has_value());
  BOOST_TEST(work.effects().stored == 1u);
  BOOST_TEST(work.effects().settled == 0u);
}

BOOST_AUTO_TEST_CASE(an_opened_row_is_written_in_its_place_whatever_came_and_went_beside_it) {
  auto work = begin_operation();
  must(work.put("shop.customers", customer("a", "a@x")));
  const auto here = work.mark();
  must(work.put("shop.customers", customer("c"))); // the next one to "b"
  auto b = work.open("shop.customers", {"b"});
  auto a = work.open("shop.customers", {"a"});
  BOOST_TEST_REQUIRE((b.has_value() && a.has_value()));
  BOOST_TEST(!b->exists());
  BOOST_TEST(a->row().text("mail") == "a@x");
  work.rewind(here);
  must(work.put("shop.customers", customer("bb")));
  BOOST_TEST(work.put(std::move(*b), {{"id", "b"}, {"mail", "b@x"}}).value());
  BOOST_TEST(work.put(std::move(*a), {{"id", "a"}, {"mail", "z@x"}}).value());
  const auto rows = work.range("shop.customers", {}, 9);
  BOOST_TEST_REQUIRE(rows.has_value());
  BOOST_TEST(
      (*rows == std::vector{customer("a", "z@x"), customer("b", "b@x"), customer("bb")}));
  BOOST_TEST(work.find("shop.customers", 0, {"a@x"}, 5)->empty());
  BOOST_TEST(work.find("shop.customers", 0, {"z@x"}, 5)->size() == 1u);
  // As it is already; and with a field that there is not.
  BOOST_TEST(!work.put(*work.open("shop.customers", {"b"}), {{"id", "b"}}).value());
  BOOST_TEST(
      (work.put(*work.open("shop.customers", {"b"}), {{"id", "b"}, {"male", "b@x"}}).error()
       == refusal{outcome::unknown_field, "male"}));
}

BOOST_AUTO_TEST_CASE(a_row_that_a_check_must_judge_is_not_stored_unjudged) {
  auto judged = shop();
  for (auto& each : judged.tables)
    each.has_check = each.name == "customers";
  const auto with_check = *contract_set::make({}, {{std::move(judged), {}, nullptr}});
  transaction work(*with_check, newer, stored,
                   {.who = {"clerk", "hq", tier::level1}, .height = height});
  BOOST_TEST((why(work.put("shop.customers", customer("a")))
              == refusal{outcome::contract_error, "customers"}));
}

BOOST_AUTO_TEST_CASE(values_declared_unique_are_taken_once) {
  auto work = begin_operation();
  must(work.put("shop.customers", customer("a", "same")));
  const auto taken = work.put("shop.customers", customer("b", "same"));
  BOOST_TEST((why(taken) == refusal{outcome::not_unique, "mail"}));
  must(work.put("shop.customers", customer("a", "same"))); // its own
  must(work.put("shop.customers", customer("c")));         // without one it is not bound
  must(work.put("shop.customers", customer("d")));
  end();
  store_one();
  auto later = begin_operation();
  BOOST_TEST(
      (why(later.put("shop.customers", customer("b", "same"))).why == outcome::not_unique));
  must(later.remove("shop.customers", {"a"}));
  must(later.put("shop.customers", customer("b", "same")));
}

BOOST_AUTO_TEST_CASE(a_row_can_only_name_rows_that_are_there_and_those_cannot_go) {
  auto work = begin_operation();
  BOOST_TEST((why(work.put("shop.orders", order(2026, 1, "a")))
              == refusal{outcome::missing_reference, "customer"}));
  must(work.put("shop.orders", order(2026, 2, ""))); // names none
  must(work.put("shop.customers", customer("a")));
  must(work.put("shop.orders", order(2026, 1, "a")));
  BOOST_TEST(
      (why(work.remove("shop.customers", {"a"})) == refusal{outcome::referenced, "orders"}));
  end();
  store_one();
  auto later = begin_operation();
  BOOST_TEST((why(later.remove("shop.customers", {"a"})).why == outcome::referenced));
  must(later.remove("shop.orders", {std::int64_t{2026}, std::int64_t{1}}));
  must(later.remove("shop.customers", {"a"}));
}

BOOST_AUTO_TEST_CASE(a_walk_pays_for_what_its_block_took_away_whatever_is_stored) {
  const auto costs = [](bool store_before) {
    shop_fixture at;
    {
      auto first = at.begin_operation();
      for (int i = 0; i < 40; ++i)
        must(first.put("shop.orders", order(2026, i, "")));
    }
    at.end();
    if (store_before) at.store_one();
    std::vector<std::uint64_t> paid;
    const auto walk = [&](bool descending) {
      auto work = at.begin_operation();
      BOOST_TEST(work.find("shop.orders", 1, {"new"}, 1, descending)->size() == 1u);
      paid.push_back(work.gas_used());
    };
    const auto remove = [&](transaction& work, std::int64_t from, std::int64_t to) {
      for (auto i = from; i < to; ++i)
        must(work.remove("shop.orders", {std::int64_t{2026}, i}));
    };
    walk(false);
    {
      auto refused = at.begin_operation();
      remove(refused, 0, 30);
      refused.rewind();
    }
    walk(false); // as before
    {
      auto done = at.begin_operation();
      remove(done, 0, 30);
    }
    walk(false); // past thirty
    walk(true);  // from the other end, past none
    {
      auto back = at.begin_operation();
      for (int i = 0; i < 30; ++i)
        must(back.put("shop.orders", order(2026, i, "", "done")));
    }
    walk(false);
    at.end();
    walk(false); // in another block, past none
    return paid;
  };
  const auto from_source = costs(true), from_memory = costs(false);
  BOOST_TEST(from_source == from_memory, boost::test_tools::per_element());
  const auto thirty = 30 * prices.visited;
  const auto free = from_source[0];
  const std::vector<std::uint64_t> expected{free, free,          free + thirty,
                                            free, free + thirty, free};
  BOOST_TEST(from_source == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(gas_ends_an_operation_at_the_same_place_whatever_is_stored) {
  {
    auto first = begin_operation();
    for (int i = 0; i < 20; ++i)
      must(first.put("shop.orders", order(2026, i, "")));
    for (int i = 0; i < 10; ++i)
      must(first.remove("shop.orders", {std::int64_t{2026}, std::int64_t{i}}));
  }
  const auto cost = [&] {
    auto work = begin_operation();
    BOOST_TEST(work.range("shop.orders", {std::int64_t{2026}}, 5)->size() == 5u);
    BOOST_TEST(work.find("shop.orders", 1, {"new"}, 5)->size() == 5u);
    return work.gas_used();
  };
  const auto in_its_block = cost();
  end();
  const auto before = cost();
  BOOST_TEST(in_its_block == before + 10 * prices.visited); // what this block took away
  store_one();
  BOOST_TEST(cost() == before);
  auto poor = begin_operation(3000);
  BOOST_TEST((poor.range("shop.orders", {}, 100).error().why == outcome::out_of_gas));
  BOOST_TEST(poor.gas_used() == poor.gas_limit());
}

BOOST_AUTO_TEST_CASE(events_are_bounded_in_number_and_size) {
  auto work = begin_operation();
  for (std::size_t i = 0; i < limits::max_operation_events; ++i)
    must(work.emit("e", {}));
  BOOST_TEST((why(work.emit("e", {})).why == outcome::out_of_range));
  auto other = begin_operation();
  BOOST_TEST(
      (why(other.emit("e", {{"x", std::string(limits::max_operation_event_bytes, 'x')}})).why
       == outcome::too_large));
  BOOST_TEST((why(other.emit("", {})).why == outcome::malformed_arguments));
  BOOST_TEST(
      (why(other.emit("e", {{"b", true}, {"a", true}})).why == outcome::malformed_arguments));
}

BOOST_AUTO_TEST_CASE(a_contract_set_whose_references_lead_nowhere_is_refused) {
  auto broken = shop();
  for (auto& each : broken.tables)
    if (!each.references.empty()) each.references[0].table = "shop.clients";
  const auto made = contract_set::make({}, {{broken, {}, nullptr}});
  BOOST_TEST_REQUIRE(!made.has_value());
  BOOST_TEST(made.error().context
             == "table shop.orders refers to shop.clients, which no contract declares");
}

/// Ranges over two levels give what one table would: random writes, failures, blocks and
/// storing, against a plain map.
BOOST_AUTO_TEST_CASE(ranges_over_what_is_stored_and_what_is_not_are_as_of_one_table) {
  std::mt19937 random(11);
  std::map<std::pair<std::int64_t, std::int64_t>, std::string> expected;
  const auto below = [&](std::uint32_t limit) {
    return static_cast<std::int64_t>(random() % limit);
  };
  for (int step = 0; step < 3000; ++step) {
    auto work = begin_operation();
    auto wanted = expected;
    for (auto writes = below(4); writes > 0; --writes) {
      const auto year = below(6), number = below(20);
      const auto key = std::pair(year, number);
      if (below(3) == 0) {
        if (work.remove("shop.orders", {year, number})) wanted.erase(key);
      } else {
        const auto* state = below(2) ? "new" : "done";
        must(work.put("shop.orders", order(year, number, "", state)));
        wanted[key] = state;
      }
    }
    if (below(4) == 0)
      work.rewind();
    else
      expected = wanted;
    if (below(8) == 0) end();
    if (below(10) == 0 && !unstored.empty()) store_one();

    auto reader = begin_operation();
    const auto year = below(6);
    const bool down = below(2), done = below(2);
    const auto limit = static_cast<std::size_t>(below(30));
    std::vector<value_map> by_key, by_index;
    for (const auto& [key, state] : expected)
      if (key.first == year) by_key.push_back(order(key.first, key.second, "", state));
    for (const auto& [key, state] : expected)
      if (state == (done ? "done" : "new"))
        by_index.push_back(order(key.first, key.second, "", state));
    for (auto* list : {&by_key, &by_index}) {
      if (down) std::reverse(list->begin(), list->end());
      if (list->size() > limit) list->resize(limit);
    }
    BOOST_REQUIRE((*reader.range("shop.orders", {year}, limit, down) == by_key));
    BOOST_REQUIRE(
        (*reader.find("shop.orders", 1, {done ? "done" : "new"}, limit, down) == by_index));
  }
}

BOOST_AUTO_TEST_SUITE_END()
