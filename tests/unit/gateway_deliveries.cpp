// A node's inbox as its subscribers see it: what is new, for whom, and what was taken.
#include "contracts/builtin_rows.hpp"
#include "contracts/distribution.hpp"
#include "gateway_fixture.hpp"

using namespace tallymesh;
using namespace tallymesh::gateway;
using namespace tallymesh::gateway::testing;

namespace {

namespace distribution = contracts::distribution;
using contracts::make_row;

/// Node hq with two cities and a secret, and a mesh that can distribute them.
struct inbox : desk {
  explicit inbox(service_settings settings = {}) : desk(settings) {
    auto all = *node.contract_list;
    for (const auto& each : contracts::builtin_entries())
      all.push_back(each.declared);
    node.contract_list = std::make_shared<std::vector<contracts::contract>>(std::move(all));
    fill(store_city("4301", "长沙市", "43") + "\n" + store_city("4302", "株洲市", "43"));
  }
  void in_next_block(std::function<void(contracts::transaction&)> what) {
    node.in_block = std::move(what);
    core->executed(node.make_block());
  }
  void distribute(const std::string& table, const std::string& key, value_map to) {
    in_next_block([&](contracts::transaction& on) {
      const auto asked =
          distribution::request_from("divisions", table, {key}, to, on.facts().time_ms);
      BOOST_TEST_REQUIRE(asked.has_value());
      const auto done = distribution::distribute(on, *asked);
      BOOST_TEST_REQUIRE(done.has_value(), done.error().detail);
    });
  }
  void distribute_city(const std::string& code) {
    distribute("cities", code, {{"node", "hq"}});
  }
  void hand_over(std::int64_t first, std::int64_t last) {
    in_next_block([&](contracts::transaction& on) {
      const auto done = distribution::contract().perform(
          on, "hand_over", make_row({{"first", first}, {"last", last}}));
      BOOST_TEST_REQUIRE(done.has_value(), done.error().detail);
    });
  }
  /// The numbers and cities of a page, "1 4301, 2 4302; next 2".
  static std::string shown(const json::value& read) {
    std::string text;
    for (const auto& each : read.at("deliveries").as_array())
      text += (text.empty() ? "" : ", ") + std::to_string(each.at("number").to_number<int>())
              + " " + std::string(each.at("key").as_array().at(0).as_string());
    return text + "; next " + std::to_string(read.at("next").to_number<int>());
  }
  std::string page(const std::string& query, const std::string& token = operator_token) {
    const auto answer = get("/v1/deliveries" + query, token);
    BOOST_TEST_REQUIRE(answer.get().status == 200u, answer.get().body);
    return shown(answer.json());
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(gateway_deliveries)

BOOST_AUTO_TEST_CASE(a_delivery_longer_than_a_page_comes_alone) {
  inbox at({.page_bytes = 1});
  at.distribute_city("4301");
  at.distribute_city("4302");
  BOOST_TEST(at.page("") == "1 4301; next 1");
  BOOST_TEST(at.page("?after=1") == "2 4302; next 2");
}

BOOST_AUTO_TEST_CASE(a_subscriber_gets_the_rows_and_where_to_go_on) {
  inbox at;
  BOOST_TEST(at.page("") == "; next 0");
  at.distribute_city("4301");
  at.distribute_city("4302");
  BOOST_TEST(at.page("") == "1 4301, 2 4302; next 2");
  BOOST_TEST(at.page("?after=1") == "2 4302; next 2");
  BOOST_TEST(at.page("?after=2") == "; next 2");
  BOOST_TEST(at.page("?limit=1") == "1 4301; next 1");
  BOOST_TEST(at.page("?table=divisions.pairs") == "; next 2");
  const auto answer = at.get("/v1/deliveries?limit=1").json();
  const auto& first = answer.at("deliveries").at(0);
  BOOST_TEST(text_of(first.at("row"), "name") == "长沙市");
  BOOST_TEST(text_of(first, "table") == "divisions.cities");
  BOOST_TEST(text_of(first, "state") == "pending");
  BOOST_TEST(text_of(first, "author") == "operator@hq");
}

BOOST_AUTO_TEST_CASE(whoever_waits_gets_a_delivery_when_its_block_is_stored) {
  inbox at;
  const auto answer = at.get("/v1/deliveries?after=0&wait_ms=5000");
  BOOST_TEST(!answer.there());
  at.fill(store_city("4303", "湘潭市", "43")); // a block that is none of its business
  BOOST_TEST(!answer.there());
  at.distribute_city("4302");
  BOOST_TEST(inbox::shown(answer.json()) == "1 4302; next 1");
  at.distribute_city("4301");                                       // must not answer again
  BOOST_TEST(at.page("?after=1&wait_ms=5000") == "2 4301; next 2"); // it is there already
}

BOOST_AUTO_TEST_CASE(whoever_waited_in_vain_is_told_so) {
  inbox at;
  at.distribute_city("4301");
  const auto answer = at.get("/v1/deliveries?after=1&wait_ms=50");
  BOOST_TEST_REQUIRE(at.wake.has_value());
  at.core->expire(*at.wake - std::chrono::milliseconds(1));
  BOOST_TEST(!answer.there());
  at.core->expire(*at.wake);
  BOOST_TEST(inbox::shown(answer.json()) == "; next 1");
}

BOOST_AUTO_TEST_CASE(
    a_subscriber_that_forgot_its_place_begins_with_the_oldest_it_did_not_take) {
  inbox at;
  for (const auto* code : {"4301", "4302", "4301", "4302"})
    at.distribute_city(code); // the later ones supersede the first two
  BOOST_TEST(at.page("") == "3 4301, 4 4302; next 4");
  at.hand_over(1, 3);
  BOOST_TEST(at.page("") == "4 4302; next 4");
  BOOST_TEST(at.page("?after=0") == "4 4302; next 4");
  at.hand_over(4, 4);
  BOOST_TEST(at.page("") == "; next 4");
}

BOOST_AUTO_TEST_CASE(what_is_for_another_account_or_not_to_be_read_is_passed_over) {
  inbox at;
  at.in_next_block([](contracts::transaction& on) {
    const auto done = on.put("divisions.secret", make_row({{"id", "x"}}));
    BOOST_TEST_REQUIRE(done.has_value());
  });
  at.distribute("cities", "4301", {{"account", "reader@hq"}});
  at.distribute("secret", "x", {{"node", "hq"}});
  at.distribute_city("4302");
  BOOST_TEST(at.page("") == "3 4302; next 3");
  BOOST_TEST(at.page("", reader_token) == "1 4301, 3 4302; next 3");
}

BOOST_AUTO_TEST_CASE(an_acknowledgement_is_an_operation_of_the_account_that_took_the_rows) {
  inbox at;
  at.distribute_city("4301");
  const auto ack = [&](const std::string& body) {
    return at.ask("POST", "/v1/deliveries/ack", body);
  };
  const auto good = ack(R"({"first":1,"last":1,"id":"00112233445566778899aabbccddeeff"})");
  BOOST_TEST(!good.there()); // until it is final
  BOOST_TEST_REQUIRE(at.node.pending.size() == 1u);
  const auto& made = at.node.pending.front();
  BOOST_TEST(made.contract == "distribution");
  BOOST_TEST(made.action == "hand_over");
  BOOST_TEST(made.author == "operator");
  BOOST_TEST(made.id.hex() == "00112233445566778899aabbccddeeff");
  BOOST_TEST(
      (made.arguments == make_row({{"first", std::int64_t{1}}, {"last", std::int64_t{1}}})));
  at.node.pending.clear();
  BOOST_TEST(ack("[1]").get().status == 400u);
  BOOST_TEST(text_of(ack(R"({"first":1})").json(), "code") == "missing_field");
  BOOST_TEST(text_of(ack(R"({"first":1,"last":1,"colour":"red"})").json(), "code")
             == "unknown_field");
  BOOST_TEST(at.node.pending.empty());
}

BOOST_AUTO_TEST_CASE(an_acknowledgement_may_name_its_deliveries_one_by_one) {
  inbox at;
  for (const auto* code : {"4301", "4302"})
    at.distribute_city(code);
  at.distribute("cities", "4301", {{"account", "reader@hq"}});
  const auto ack = [&](const std::string& numbers) {
    return at.ask("POST", "/v1/deliveries/ack", "{\"numbers\":" + numbers + "}");
  };
  const auto good = ack("[2,12]");
  BOOST_TEST_REQUIRE(at.node.pending.size() == 1u);
  BOOST_TEST((at.node.pending.front().arguments
              == make_row({{"first", std::int64_t{2}},
                           {"last", std::int64_t{12}},
                           {"only", bytes{0x01, 0x04}}})));
  at.node.pending.clear();
  for (const auto* bad : {"[]", "[2,2]", "[3,2]", "[-1]", "[\"2\"]", "7", "[1,1001]"})
    BOOST_TEST(ack(bad).get().status == 400u, bad);
  BOOST_TEST(at.ask("POST", "/v1/deliveries/ack", R"({"numbers":[1],"first":1})").get().status
             == 400u);
}

BOOST_AUTO_TEST_CASE(a_page_ends_when_it_is_long_enough) {
  inbox at;
  auto all = *at.node.contract_list;
  const auto big =
      contracts::parse(R"(return { contract = "big", version = 1, tables = { notes = {
    key = {"id"}, fields = { id = int64{}, words = text{max=200000} },
    read = {"hq"} } } })",
                       "big.lua");
  BOOST_TEST_REQUIRE(big.has_value());
  all.push_back(*big);
  at.node.contract_list = std::make_shared<std::vector<contracts::contract>>(std::move(all));
  contract_executor::genesis_facts facts;
  facts.nodes = {{"hq", contracts::tier::level1}};
  facts.accounts = {{"operator", "hq", {}}, {"reader", "hq", {}}};
  facts.contracts = {{*big, "", nullptr}};
  at.node.executor.emplace(contract_executor::machine::make(std::move(facts)).value());
  for (std::int64_t id = 1; id <= 30; ++id)
    at.in_next_block([&](contracts::transaction& on) {
      BOOST_TEST_REQUIRE(
          on.put("big.notes", make_row({{"id", id}, {"words", std::string(200'000, 'x')}}))
              .has_value());
      const auto asked = distribution::request_from("big", "notes", {id}, {{"node", "hq"}}, 1);
      BOOST_TEST_REQUIRE(distribution::distribute(on, *asked).has_value());
    });
  const auto first = at.get("/v1/deliveries?limit=1000");
  BOOST_TEST(first.get().body.size() > 4'000'000u);
  BOOST_TEST(first.get().body.size() < 4'600'000u);
  const auto next = first.json().at("next").to_number<int>();
  const auto second = at.get("/v1/deliveries?after=" + std::to_string(next)).json();
  BOOST_TEST(first.json().at("deliveries").as_array().size()
                 + second.at("deliveries").as_array().size()
             == 30u);
}

BOOST_AUTO_TEST_CASE(a_subscriber_is_not_answered_on_the_thread_that_executes) {
  inbox at;
  const auto answer = at.get("/v1/deliveries?after=0&wait_ms=60000");
  at.room_for_tasks = false;
  at.wake.reset();
  at.distribute_city("4301");
  BOOST_TEST(!answer.there());
  BOOST_TEST_REQUIRE(at.wake.has_value());
  at.core->expire(*at.wake);
  BOOST_TEST(!answer.there()); // still none
  at.room_for_tasks = true;
  at.core->expire(*at.wake);
  BOOST_TEST(inbox::shown(answer.json()) == "1 4301; next 1");
}

BOOST_AUTO_TEST_CASE(one_account_does_not_keep_out_the_others) {
  service_settings small;
  small.waiting_subscribers_each = 2;
  inbox at(small);
  const auto first = at.get("/v1/deliveries?wait_ms=5000");
  const auto second = at.get("/v1/deliveries?wait_ms=5000");
  BOOST_TEST(at.get("/v1/deliveries?wait_ms=5000").get().status == 429u);
  const auto other = at.get("/v1/deliveries?wait_ms=5000", reader_token);
  BOOST_TEST(!other.there());
  at.distribute_city("4301");
  BOOST_TEST(first.there());
  BOOST_TEST(second.there());
  BOOST_TEST(other.there());
}

BOOST_AUTO_TEST_CASE(those_who_wait_are_bounded_and_a_stopping_node_answers_them) {
  service_settings small;
  small.waiting_subscribers = 1;
  inbox at(small);
  const auto first = at.get("/v1/deliveries?wait_ms=5000");
  BOOST_TEST(at.get("/v1/deliveries?wait_ms=5000").get().status == 429u);
  BOOST_TEST(at.get("/v1/deliveries?wait_ms=60001").get().status == 400u);
  BOOST_TEST(at.get("/v1/deliveries?after=x").get().status == 400u);
  BOOST_TEST(at.get("/v1/deliveries?after=9223372036854775807").get().status == 400u);
  BOOST_TEST(!first.there());
  at.core->drain(std::chrono::milliseconds(0));
  BOOST_TEST(inbox::shown(first.json()) == "; next 0");
}

BOOST_AUTO_TEST_SUITE_END()
