// Distribution: who gets a delivery, how it moves on, and who may say so.
#include "tests/unit/settlement_fixture.hpp"

#include "messages/encoding.hpp"

using namespace settlement_test;

namespace {

struct inboxes : mesh_in_memory {
  inboxes() {
    for (const std::string id : {"A1", "A2"})
      must(run(facts("hq", "clerk"), [&](transaction& on) {
        return on.put("shop.orders", make_row({{"id", id}, {"price", n(1)}}));
      }));
    must(run(facts("hq", "clerk"), [&](transaction& on) {
      return on.put("shop.notes", make_row({{"year", n(2026)}, {"number", n(1)}}));
    }));
  }
  static void must(const refusal& x) {
    BOOST_TEST_REQUIRE(x.why == outcome::done, x.why << " " << x.detail);
  }
  refusal distribute(const std::string& table, const value_list& key,
                     std::initializer_list<std::pair<std::string_view, value>> to) {
    return run(facts("hq", "clerk"), [&](transaction& on) -> checked<void> {
      const auto what = distribution::request_from("shop", table, key, make_row(to), time_ms);
      if (!what) return what.error();
      return distribution::distribute(on, *what);
    });
  }
  value_map delivery(const std::string& node, std::int64_t number) {
    return row("distribution.deliveries", {node, number});
  }
  std::string state(const std::string& node, std::int64_t number) {
    return text_in(delivery(node, number), "state");
  }
  refusal confirm(const std::string& node, std::int64_t first, std::int64_t last,
                  const std::string& reached, const std::string& account = "node") {
    return act("distribution", node, "confirm",
               {{"first", first}, {"last", last}, {"state", reached}}, account);
  }
  refusal hand_over(const std::string& node, std::int64_t first, std::int64_t last,
                    const std::string& account = "clerk") {
    return act("distribution", node, "hand_over", {{"first", first}, {"last", last}}, account);
  }
};

outcome why(const refusal& x) { return x.why; }

} // namespace

BOOST_FIXTURE_TEST_SUITE(distributing, inboxes)

BOOST_AUTO_TEST_CASE(a_tier_a_node_and_an_account_each_get_a_delivery) {
  must(distribute(
      "orders", {"A1"},
      {{"tier", "level3"}, {"node", value_list{"coop"}}, {"account", "clerk@desk"}}));
  BOOST_TEST(rows("distribution.deliveries").size() == 4u);
  for (const std::string node : {"east", "west", "coop", "desk"})
    BOOST_TEST(state(node, 1) == "pending");
  BOOST_TEST(text_in(delivery("desk", 1), "account") == "clerk");
  BOOST_TEST(text_in(delivery("coop", 1), "row") == "A1");
  BOOST_TEST(text_in(delivery("coop", 1), "table") == "shop.orders");
  BOOST_TEST(find(delivery("coop", 1), "account") == nullptr);
}

BOOST_AUTO_TEST_CASE(who_is_named_twice_gets_it_once) {
  must(distribute("orders", {"A1"}, {{"tier", "level3"}, {"node", "east"}}));
  BOOST_TEST(rows("distribution.deliveries").size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_is_not_there_is_neither_sent_nor_sent_to) {
  BOOST_TEST(why(distribute("orders", {"A9"}, {{"node", "east"}})) == outcome::not_found);
  BOOST_TEST(why(distribute("nothing", {"A1"}, {{"node", "east"}})) == outcome::unknown_table);
  BOOST_TEST(why(distribute("orders", {"A1"}, {{"node", "moon"}})) == outcome::not_found);
  BOOST_TEST(why(distribute("orders", {"A1"}, {{"tier", "level9"}})) == outcome::not_found);
  BOOST_TEST(why(distribute("orders", {"A1"}, {{"account", "moon@east"}}))
             == outcome::not_found);
  BOOST_TEST(why(distribute("orders", {"A1"}, {})) == outcome::malformed_arguments);
  BOOST_TEST(why(distribute("orders", {"A1"}, {{"node", n(1)}})) == outcome::wrong_type);
  BOOST_TEST(why(distribute("orders", {"A1"}, {{"node", "east"}, {"colour", "red"}}))
             == outcome::malformed_arguments);
  BOOST_TEST(why(distribute("orders", {"A1"}, {{"node", "east"}, {"within_s", n(-1)}}))
             == outcome::out_of_range);
  BOOST_TEST(rows("distribution.deliveries").empty());
  BOOST_TEST(rows("distribution.inboxes").empty());
}

BOOST_AUTO_TEST_CASE(whom_the_table_names_distributes_by_an_operation) {
  const auto send = [&](const std::string& node, value_map given) {
    return why(run(facts(node, "clerk"), [&](transaction& on) {
      return distribution::distribute_by_operation(on, *rules()->find_contract("shop"), given);
    }));
  };
  const auto good = make_row(
      {{"key", value_list{"A1"}}, {"table", "orders"}, {"to", make_row({{"node", "east"}})}});
  BOOST_TEST(send("hq", good) == outcome::forbidden);
  BOOST_TEST(send("coop", {}) == outcome::malformed_arguments);
  BOOST_TEST(send("coop", make_row({{"key", "A1"}, {"table", "orders"}, {"to", value_map{}}}))
             == outcome::malformed_arguments);
  BOOST_TEST(send("coop", good) == outcome::done);
  BOOST_TEST(state("east", 1) == "pending");
}

BOOST_AUTO_TEST_CASE(a_delivery_moves_on_step_by_step_and_each_step_has_its_time) {
  must(distribute("orders", {"A1"}, {{"node", "east"}, {"within_s", n(60)}}));
  BOOST_TEST(number_in(delivery("east", 1), "deadline_ms") == time_ms + 60'000);
  next_block();
  const auto received = time_ms;
  must(confirm("east", 1, 1, "received"));
  next_block();
  const auto applied = time_ms;
  must(confirm("east", 1, 1, "applied"));
  must(confirm("east", 1, 1, "received")); // said too late: nothing goes backwards
  next_block();
  must(hand_over("east", 1, 1));
  const auto x = delivery("east", 1);
  BOOST_TEST(text_in(x, "state") == "handed_over");
  BOOST_TEST(number_in(x, "received_ms") == received);
  BOOST_TEST(number_in(x, "applied_ms") == applied);
  BOOST_TEST(number_in(x, "handed_over_ms") == time_ms);
  BOOST_TEST(text_in(x, "handed_over_to") == "clerk@east");
}

BOOST_AUTO_TEST_CASE(a_subscriber_may_be_faster_than_the_confirmation) {
  must(distribute("orders", {"A1"}, {{"node", "east"}}));
  must(hand_over("east", 1, 1));
  const auto x = delivery("east", 1);
  must(confirm("east", 1, 1, "applied"));
  BOOST_TEST((delivery("east", 1) == x));
  BOOST_TEST(number_in(x, "received_ms") == time_ms);
}

BOOST_AUTO_TEST_CASE(one_confirmation_covers_many_deliveries) {
  for (int i = 0; i < 10; ++i) {
    must(distribute("orders", {"A1"}, {{"node", "east"}}));
    must(distribute("orders", {"A2"}, {{"node", "east"}}));
  }
  must(confirm("east", 1, 20, "applied"));
  BOOST_TEST(state("east", 19) == "applied");
  BOOST_TEST(state("east", 20) == "applied");
  BOOST_TEST(why(confirm("east", 1, 1001, "applied")) == outcome::out_of_range);
  BOOST_TEST(why(confirm("east", 3, 2, "applied")) == outcome::out_of_range);
}

BOOST_AUTO_TEST_CASE(what_was_not_named_is_not_handed_over) {
  for (const std::string id : {"A1", "A2"})
    must(distribute("orders", {id}, {{"node", "coop"}}));
  must(distribute("orders", {"A1"}, {{"account", "clerk@coop"}}));
  must(act("distribution", "coop", "hand_over",
           {{"first", n(1)}, {"last", n(3)}, {"only", bytes{0x05}}}));
  BOOST_TEST(state("coop", 1) == "handed_over");
  BOOST_TEST(state("coop", 2) == "pending");
  BOOST_TEST(state("coop", 3) == "handed_over");
}

BOOST_AUTO_TEST_CASE(the_last_number_there_is_ends_a_run) {
  const auto last = std::numeric_limits<std::int64_t>::max();
  must(hand_over("coop", last - 1, last));
  must(confirm("coop", last, last, "applied"));
}

BOOST_AUTO_TEST_CASE(only_the_node_itself_confirms) {
  must(distribute("orders", {"A1"}, {{"node", "east"}}));
  BOOST_TEST(why(confirm("east", 1, 1, "applied", "clerk")) == outcome::forbidden);
  must(confirm("west", 1, 1, "applied")); // of its own inbox, which is empty
  BOOST_TEST(state("east", 1) == "pending");
}

BOOST_AUTO_TEST_CASE(a_newer_version_supersedes_what_was_not_handed_over) {
  must(distribute("orders", {"A1"}, {{"node", "east"}}));
  must(distribute("orders", {"A2"}, {{"node", "east"}}));
  must(distribute("orders", {"A1"}, {{"node", "east"}}));
  BOOST_TEST(state("east", 1) == "superseded");
  BOOST_TEST(number_in(delivery("east", 1), "superseded_by") == 3);
  BOOST_TEST(state("east", 2) == "pending");
  must(hand_over("east", 1, 3));
  BOOST_TEST(state("east", 1) == "superseded");
  must(distribute("orders", {"A1"}, {{"node", "east"}}));
  BOOST_TEST(state("east", 3) == "handed_over");
  BOOST_TEST(state("east", 4) == "pending");
}

BOOST_AUTO_TEST_CASE(what_is_for_an_account_is_superseded_and_taken_by_that_account_alone) {
  must(distribute("orders", {"A1"}, {{"account", "clerk@east"}}));
  must(distribute("orders", {"A1"}, {{"node", "east"}}));
  BOOST_TEST(state("east", 1) == "pending");
  must(hand_over("east", 1, 2, "intern"));
  BOOST_TEST(state("east", 1) == "pending");
  BOOST_TEST(state("east", 2) == "handed_over");
  must(hand_over("east", 1, 2));
  BOOST_TEST(state("east", 1) == "handed_over");
}

BOOST_AUTO_TEST_CASE(who_may_not_read_a_table_does_not_take_its_rows) {
  must(distribute("notes", {n(2026), n(1)}, {{"node", value_list{"east", "coop"}}}));
  BOOST_TEST(text_in(delivery("east", 1), "row") == "2026,1");
  must(hand_over("east", 1, 1));
  BOOST_TEST(state("east", 1) == "pending");
  must(hand_over("coop", 1, 1));
  BOOST_TEST(state("coop", 1) == "handed_over");
}

BOOST_AUTO_TEST_SUITE_END()
