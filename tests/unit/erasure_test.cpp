// Erasure on the chain: who may order it, what is recorded, and which nodes say that they did.
#include "tests/unit/settlement_fixture.hpp"

#include "contracts/trial.hpp"

using namespace settlement_test;

namespace {

constexpr const char* orders = "erasure.erasures";

struct erasing : mesh_in_memory {
  erasing() {
    for (const std::string id : {"A1", "A2"})
      BOOST_TEST_REQUIRE(
          run(facts("hq", "clerk"),
              [&](transaction& on) {
                return on.put("shop.orders", make_row({{"id", id}, {"price", n(1)}}));
              })
              .why
          == outcome::done);
    next_block();
  }
  outcome by_operation(const std::string& node, const value_map& given) {
    return run(facts(node, "clerk"),
               [&](transaction& on) {
                 return erasure::perform(on, *rules()->find_contract("shop"), given);
               })
        .why;
  }
  static value_map asked(const std::string& id, const std::string& reason = "a person asked") {
    return make_row({{"key", value_list{id}}, {"reason", reason}, {"table", "orders"}});
  }
  outcome attest(const std::string& node, std::int64_t number = 0,
                 const std::string& account = "node", const std::string& caller = {}) {
    return act("erasure", node, "attest",
               {{"id", bytes(16)},
                {"node", "coop"},
                {"number", n(number)},
                {"signature", bytes(64, 7)}},
               account, caller)
        .why;
  }
  std::string state() { return text_in(row(orders, {bytes(16), "coop", n(0)}), "state"); }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(erasing_rows, erasing)

BOOST_AUTO_TEST_CASE(an_order_takes_the_row_and_says_who_when_and_why) {
  BOOST_TEST(by_operation("coop", asked("A1")) == outcome::done);
  BOOST_TEST(row("shop.orders", {"A1"}).empty());
  BOOST_TEST(!row("shop.orders", {"A2"}).empty());
  const auto all = rows(orders);
  BOOST_TEST_REQUIRE(all.size() == 1u);
  const auto x = erasure::order_of(all[0]);
  BOOST_TEST(x.author == "clerk");
  BOOST_TEST(x.node == "coop");
  BOOST_TEST(x.table == "shop.orders");
  BOOST_TEST((x.key == *key_of(*rules()->find_table("shop.orders"), value_list{"A1"})));
  BOOST_TEST(x.reason == "a person asked");
  BOOST_TEST(x.height == height);
  BOOST_TEST(x.time_ms == time_ms);
  BOOST_TEST(text_in(all[0], "state") == "ordered");
}

BOOST_AUTO_TEST_CASE(it_takes_a_right_of_its_own_and_a_reason) {
  BOOST_TEST(by_operation("hq", asked("A1")) == outcome::forbidden);
  BOOST_TEST(by_operation("coop", asked("A1", "")) == outcome::out_of_range);
  BOOST_TEST(by_operation("coop", asked("A1", std::string(4001, 'x')))
             == outcome::out_of_range);
  BOOST_TEST(by_operation("coop", asked("A9")) == outcome::not_found);
  BOOST_TEST(by_operation("coop", make_row({{"key", value_list{"A1"}}, {"table", "orders"}}))
             == outcome::malformed_arguments);
  BOOST_TEST(
      by_operation("coop",
                   make_row({{"key", value_list{"A1"}}, {"reason", "x"}, {"table", "nothing"}}))
      == outcome::unknown_table);
  BOOST_TEST(!row("shop.orders", {"A1"}).empty());
  BOOST_TEST(rows(orders).empty());
}

BOOST_AUTO_TEST_CASE(what_was_deleted_before_is_erased_from_history) {
  run(facts("hq", "clerk"),
      [&](transaction& on) { return on.remove("shop.orders", value_list{"A1"}); });
  BOOST_TEST(by_operation("coop", asked("A1")) == outcome::done);
  BOOST_TEST(rows(orders).size() == 1u);
}

BOOST_AUTO_TEST_CASE(several_erasures_of_one_operation_are_numbered) {
  const auto done = run(facts("coop", "clerk"), [&](transaction& on) -> checked<void> {
    const auto& from = *rules()->find_table("shop.orders");
    for (const std::string id : {"A1", "A2"})
      if (auto good = erasure::erase(on, from, {id}, "both"); !good) return good;
    BOOST_TEST(on.effects().erased == 2u);
    return {};
  });
  BOOST_TEST(done.why == outcome::done);
  const auto all = rows(orders);
  BOOST_TEST_REQUIRE(all.size() == 2u);
  BOOST_TEST(number_in(all[0], "number") == 0);
  BOOST_TEST(number_in(all[1], "number") == 1);
}

BOOST_AUTO_TEST_CASE(a_node_attests_by_itself_only_and_all_of_them_finish_it) {
  BOOST_TEST(by_operation("coop", asked("A1")) == outcome::done);
  BOOST_TEST(attest("hq", 0, "clerk") == outcome::forbidden);
  BOOST_TEST(attest("hq", 0, "node", "shop") == outcome::forbidden);
  BOOST_TEST(attest("hq", 1) == outcome::not_found);
  for (const std::string node : {"hq", "coop", "east", "west", "hq"}) {
    BOOST_TEST(attest(node) == outcome::done);
    BOOST_TEST(state() == "ordered");
  }
  BOOST_TEST(attest("desk") == outcome::done);
  BOOST_TEST(state() == "done");
  BOOST_TEST(rows("erasure.attestations").size() == 5u);
}

BOOST_AUTO_TEST_CASE(a_contract_erases_by_ctx_and_its_tests_see_it) {
  auto tests = trial::make(R"(return { contract = "people", version = 1, tables = {
  persons = { key = {"id"}, fields = { id = text{max=8}, name = text{max=40} }, store = {"level1"} } },
  actions = {
    forget = { may = {"level1"}, params = { id = text{max=8}, why = text{max=100} },
               run = function(ctx, p) ctx.erase("persons", p.id, p.why) end } },
  tests = {
    ["a forgotten person is gone"] = function(t)
      t.as("clerk@hq", "level1")
      t.store("persons", { id = "p1", name = "Ada" })
      t.run("forget", { id = "p1", why = "asked" })
      assert(t.get("persons", "p1") == nil)
      local orders = t.find("erasure.erasures", { state = "ordered" })
      assert(#orders == 1 and orders[1].reason == "asked" and orders[1].table == "people.persons")
    end,
    ["who may store may not erase"] = function(t)
      t.as("clerk@hq", "level1")
      t.store("persons", { id = "p1", name = "Ada" })
      t.refused("forbidden", "erase", { table = "persons", key = { "p1" }, reason = "asked" })
      t.refused("out_of_range", "forget", { id = "p1", why = "" })
    end } })",
                           "people");
  BOOST_TEST_REQUIRE(tests.has_value(), tests.error().context);
  for (const auto& sentence : (*tests)->declared().tests) {
    const auto came = (*tests)->run(sentence);
    BOOST_TEST(came.ok(), sentence << ": " << came.text);
  }
}

BOOST_AUTO_TEST_SUITE_END()
