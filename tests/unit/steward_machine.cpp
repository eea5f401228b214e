// The node's own operations: each takes effect once, whatever happens between.
#include "actors/steward/confirmations.hpp"
#include "actors/steward/machine.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::steward;
using mempool::admission;

namespace {

const digest chain = hash(digest_kind::genesis, as_bytes("a mesh"));

owed attestation_for(std::string purpose) {
  return {"erasure", "attest", {{"id", purpose}}, purpose};
}

/// A steward of node 2 and the chain it reads.
struct subject {
  settings chosen{.chain = chain, .self = 2, .account = "node"};
  std::optional<machine> here{chosen};
  std::map<operation_id, receipt> stored;
  std::int64_t now_ms = 1'000'000;

  std::vector<operation> look(const std::vector<owed>& all) {
    auto taken = here->take(
        all,
        [this](const operation_id& id) -> std::optional<receipt> {
          const auto at = stored.find(id);
          if (at == stored.end()) return std::nullopt;
          return at->second;
        },
        now_ms);
    here->forget_stale(now_ms);
    return taken;
  }
  bool execute(const operation_id& id, outcome result, node_index lane = 2) {
    execution x;
    x.receipts = {{.id = id, .lane = lane, .result = result}};
    if (lane == 2) stored[id] = x.receipts[0];
    return here->executed(x);
  }
  void restart() { here.emplace(chosen); }
};

} // namespace

BOOST_AUTO_TEST_SUITE(steward_machine)

BOOST_AUTO_TEST_CASE(what_is_owed_is_submitted_once_as_the_nodes_own) {
  subject node;
  const auto first = node.look({attestation_for("a"), attestation_for("b")});
  BOOST_TEST_REQUIRE(first.size() == 2u);
  BOOST_TEST(first[0].author == "node");
  BOOST_TEST(first[0].contract == "erasure");
  BOOST_TEST(first[0].action == "attest");
  BOOST_TEST(first[0].valid_until_ms == node.now_ms + node.chosen.valid_ms);
  BOOST_TEST((first[0].id != first[1].id));
  BOOST_TEST(node.look({attestation_for("a"), attestation_for("b")}).empty());
  BOOST_TEST(!node.execute(first[0].id, outcome::done));
  BOOST_TEST(node.look({attestation_for("a"), attestation_for("b")}).empty(),
             "a look at tables that are not stored yet submits nothing twice");
}

BOOST_AUTO_TEST_CASE(after_a_restart_the_same_operation_goes_out_under_the_same_id) {
  subject node;
  const auto before = node.look({attestation_for("a")});
  node.restart();
  const auto after = node.look({attestation_for("a")});
  BOOST_TEST_REQUIRE(after.size() == 1u);
  BOOST_TEST((after[0].id == before[0].id));
  node.execute(after[0].id, outcome::done);
  node.restart();
  BOOST_TEST(node.look({attestation_for("a")}).empty());
}

BOOST_AUTO_TEST_CASE(an_operation_that_got_lost_is_sent_again) {
  subject node;
  const auto lost = node.look({attestation_for("a")});
  BOOST_TEST(*node.here->look_at_ms() == node.now_ms + node.chosen.patience_ms);
  node.now_ms += node.chosen.patience_ms;
  const auto again = node.look({attestation_for("a")});
  BOOST_TEST_REQUIRE(again.size() == 1u);
  BOOST_TEST((again[0].id == lost[0].id));
}

BOOST_AUTO_TEST_CASE(what_the_mempool_had_no_room_for_is_sent_again_soon) {
  subject node;
  const auto first = node.look({attestation_for("a")});
  node.here->answered({first[0].id}, {admission::overloaded}, node.now_ms);
  BOOST_TEST(*node.here->look_at_ms() == node.now_ms + node.chosen.retry_ms);
  node.now_ms += node.chosen.retry_ms;
  BOOST_TEST(node.look({attestation_for("a")}).size() == 1u);
}

BOOST_AUTO_TEST_CASE(an_expired_operation_gets_another_id_and_a_wrong_one_is_given_up) {
  subject node;
  const auto first = node.look({attestation_for("a")});
  BOOST_TEST(node.execute(first[0].id, outcome::expired), "duties look again");
  BOOST_TEST(node.look({attestation_for("a")}).empty(), "it rests before");
  BOOST_TEST(*node.here->look_at_ms() == node.now_ms + node.chosen.retry_ms);
  node.now_ms += node.chosen.retry_ms;
  const auto second = node.look({attestation_for("a")});
  BOOST_TEST_REQUIRE(second.size() == 1u);
  BOOST_TEST((second[0].id != first[0].id));
  node.execute(second[0].id, outcome::forbidden);
  BOOST_TEST(node.look({attestation_for("a")}).empty());
  const auto told = node.here->take_given_up();
  BOOST_TEST_REQUIRE(told.size() == 1u);
  BOOST_TEST((told[0].second.result == outcome::forbidden));
  BOOST_TEST(node.look({attestation_for("a")}).empty());
  BOOST_TEST(node.here->take_given_up().empty(), "it is told once");
}

BOOST_AUTO_TEST_CASE(full_blocks_delay_it_more_and_more_and_never_end_it) {
  subject node;
  std::set<operation_id> ids;
  std::vector<std::int64_t> rests;
  for (int i = 0; i < 20; ++i) {
    auto sent = node.look({attestation_for("a")});
    const auto from = node.now_ms;
    if (i > 0) {
      BOOST_TEST_REQUIRE(sent.empty());
      node.now_ms = *node.here->look_at_ms();
      rests.push_back(node.now_ms - from);
      sent = node.look({attestation_for("a")});
    }
    BOOST_TEST_REQUIRE(sent.size() == 1u);
    BOOST_TEST(ids.insert(sent[0].id).second);
    BOOST_TEST(node.execute(sent[0].id, outcome::block_full));
  }
  BOOST_TEST(rests[0] == 2'000);
  BOOST_TEST(rests[1] == 4'000);
  BOOST_TEST(rests.back() == 300'000);
  BOOST_TEST(node.here->take_given_up().empty());
}

BOOST_AUTO_TEST_CASE(after_a_restart_it_goes_on_with_the_attempt_that_is_due) {
  subject node;
  for (int i = 0; i < 3; ++i) {
    auto sent = node.look({attestation_for("a")});
    if (sent.empty()) {
      node.now_ms = *node.here->look_at_ms();
      sent = node.look({attestation_for("a")});
    }
    node.execute(sent[0].id, outcome::block_full);
  }
  node.restart();
  BOOST_TEST(node.look({attestation_for("a")}).empty());
  node.now_ms = *node.here->look_at_ms();
  const auto sent = node.look({attestation_for("a")});
  BOOST_TEST_REQUIRE(sent.size() == 1u);
  BOOST_TEST((sent[0].id == id_of(chain, 2, attestation_for("a"), 3)));
}

BOOST_AUTO_TEST_CASE(operations_of_other_lanes_are_not_its_own) {
  subject node;
  const auto first = node.look({attestation_for("a")});
  node.execute(first[0].id, outcome::done, 1);
  BOOST_TEST(node.here->under_way() == 1u);
  BOOST_TEST((id_of(chain, 1, attestation_for("a"), 0) != first[0].id));
}

BOOST_AUTO_TEST_CASE(what_nobody_owes_any_more_is_forgotten) {
  subject node;
  node.look({attestation_for("a")});
  node.now_ms += node.chosen.patience_ms;
  BOOST_TEST(node.look({}).empty());
  BOOST_TEST(node.here->under_way() == 0u);
  BOOST_TEST(!node.here->look_at_ms().has_value());
}

BOOST_AUTO_TEST_CASE(only_so_many_are_under_way_together) {
  subject node;
  node.chosen.at_once = 2;
  node.restart();
  const std::vector<owed> all{attestation_for("a"), attestation_for("b"), attestation_for("c")};
  const auto first = node.look(all);
  BOOST_TEST_REQUIRE(first.size() == 2u);
  BOOST_TEST(node.look(all).empty());
  node.execute(first[0].id, outcome::done);
  const auto next = node.look(all);
  BOOST_TEST_REQUIRE(next.size() == 1u);
  BOOST_TEST((next[0].id == id_of(chain, 2, attestation_for("c"), 0)));
}

BOOST_AUTO_TEST_CASE(few_operations_confirm_many_deliveries) {
  BOOST_TEST(confirmations().of({}, 10).empty());
  const auto runs = confirmations().of({7, 8, 9, 500, 1006, 1007, 1008, 9000}, 10);
  BOOST_TEST_REQUIRE(runs.size() == 3u);
  BOOST_TEST(runs[0].purpose == "deliveries 7 to 1006"); // a thousand numbers
  BOOST_TEST(runs[1].purpose == "deliveries 1007 to 1008");
  BOOST_TEST(runs[2].purpose == "deliveries 9000 to 9000");
  BOOST_TEST(runs[1].contract == "distribution");
  BOOST_TEST(runs[1].action == "confirm");
  BOOST_TEST((runs[1].arguments
              == value_map{{"first", std::int64_t{1007}},
                           {"last", std::int64_t{1008}},
                           {"state", "applied"}}));
  BOOST_TEST(confirmations().of({1, 5000, 9000}, 2).size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_arrives_while_a_confirmation_is_under_way_gets_one_of_its_own) {
  confirmations inbox;
  const auto purposes = [&](const std::vector<std::int64_t>& numbers, std::size_t limit = 10) {
    std::vector<std::string> all;
    for (const auto& each : inbox.of(numbers, limit))
      all.push_back(each.purpose);
    return all;
  };
  using texts = std::vector<std::string>;
  BOOST_TEST(purposes({1, 2, 3}) == (texts{"deliveries 1 to 3"}));
  BOOST_TEST(purposes({1, 2, 3, 4, 5}) == (texts{"deliveries 1 to 3", "deliveries 4 to 5"}));
  BOOST_TEST(purposes({3, 4, 5, 6})
                 == (texts{"deliveries 1 to 3", "deliveries 4 to 5", "deliveries 6 to 6"}),
             "a run stays as it was given, though part of it is done");
  BOOST_TEST(purposes({4, 6, 7})
             == (texts{"deliveries 4 to 5", "deliveries 6 to 6", "deliveries 7 to 7"}));
  BOOST_TEST(purposes({6, 8}, 1) == (texts{"deliveries 6 to 6"}));
  BOOST_TEST(purposes({8, 9}) == (texts{"deliveries 8 to 9"}), "what there was no room for");
}

BOOST_AUTO_TEST_SUITE_END()
