// Taking over what others executed: which of them is believed, and who gives the bytes.
#include "actors/contract_executor/execution_fetch.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::contract_executor;

namespace {

constexpr block_height height = 7;

execution executed(const std::string& row, std::size_t bytes_of_row = 10) {
  execution x;
  x.height = height;
  change what;
  what.table = "shop.orders";
  what.key = {1};
  what.after = bytes(bytes_of_row, static_cast<std::uint8_t>(row.front()));
  x.changes.push_back(std::move(what));
  return x;
}

execution erased(execution x) {
  for (auto& each : x.changes)
    erase_rows(each);
  return x;
}

/// A peer's answers, honest about everything but what `claim` says.
struct peer {
  execution has;
  std::optional<std::uint32_t> claim;

  fetched_execution answer(const fetch_execution& to) const {
    return answer_of(to, execution_digest(has), claim.value_or(erased_parts(has)), encode(has));
  }
};

/// A fetch on a mesh of four, and the peers it asks.
struct asker {
  execution_fetch fetch{2};
  std::map<node_index, peer> peers;
  std::vector<node_index> asked_for_bytes;

  /// Until nothing more is asked.
  void follow(std::vector<question> open) {
    while (!open.empty()) {
      const auto next = open.front();
      open.erase(open.begin());
      for (const auto& [node, each] : peers)
        if (!next.to || *next.to == node) {
          if (next.to) asked_for_bytes.push_back(node);
          const auto more = fetch.take(node, each.answer(next.what));
          open.insert(open.end(), more.begin(), more.end());
        }
    }
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(fetching_executions, asker)

BOOST_AUTO_TEST_CASE(what_f_plus_1_nodes_say_is_believed_and_nothing_less) {
  peers = {{1, {executed("a"), {}}}};
  follow(fetch.begin(height));
  BOOST_TEST(!fetch.found().has_value());
  BOOST_TEST(fetch.under_way());
  peers[2] = {executed("b"), {}};
  follow(fetch.retry());
  BOOST_TEST(!fetch.found().has_value(), "two nodes of different minds");
  BOOST_TEST(asked_for_bytes.empty());
  peers[3] = {executed("b"), {}};
  follow(fetch.retry());
  const auto found = fetch.found();
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST((execution_digest(*found) == execution_digest(executed("b"))));
  BOOST_TEST(!fetch.under_way());
}

BOOST_AUTO_TEST_CASE(large_executions_come_in_parts) {
  const auto large = executed("a", 3 * limits::max_execution_part_bytes + 17);
  peers = {{1, {large, {}}}, {2, {large, {}}}};
  follow(fetch.begin(height));
  BOOST_TEST_REQUIRE(fetch.found().has_value());
  BOOST_TEST(asked_for_bytes.size() == 4u);
}

BOOST_AUTO_TEST_CASE(who_erased_least_gives_the_bytes) {
  peers = {{1, {erased(executed("a")), {}}}, {2, {executed("a"), {}}}};
  fetch.begin(height);
  follow(fetch.retry());
  const auto found = fetch.found();
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST(found->changes[0].after.has_value());
  BOOST_TEST(asked_for_bytes == std::vector<node_index>{2}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(who_hides_more_than_it_says_is_not_asked_again) {
  peers = {{1, {erased(executed("a")), 0}}, {2, {executed("a"), {}}}};
  follow(fetch.begin(height));
  const auto found = fetch.found();
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST(found->changes[0].after.has_value());
  BOOST_TEST(asked_for_bytes == (std::vector<node_index>{1, 2}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(where_all_have_erased_the_digests_are_what_there_is) {
  peers = {{1, {erased(executed("a")), {}}}, {2, {erased(executed("a")), {}}}};
  follow(fetch.begin(height));
  const auto found = fetch.found();
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST(!found->changes[0].after.has_value());
  BOOST_TEST((execution_digest(*found) == execution_digest(executed("a"))));
}

BOOST_AUTO_TEST_CASE(a_source_that_falls_silent_is_replaced) {
  peers = {{1, {executed("a"), {}}}, {2, {executed("a"), {}}}};
  const auto ask = fetch.begin(height).front().what;
  auto first = fetch.take(1, peers[1].answer(ask));
  BOOST_TEST(first.empty());
  first = fetch.take(2, peers[2].answer(ask));
  BOOST_TEST_REQUIRE(first.size() == 1u);
  BOOST_TEST(*first[0].to == 1);
  const auto second = fetch.retry();
  BOOST_TEST_REQUIRE(second.size() == 1u);
  BOOST_TEST(*second[0].to == 2);
  peers.erase(1);
  follow(second);
  BOOST_TEST(fetch.found().has_value());
}

BOOST_AUTO_TEST_CASE(answers_to_other_questions_are_no_answers) {
  peers = {{1, {executed("a"), {}}}, {2, {executed("a"), {}}}};
  BOOST_TEST(fetch.take(1, peers[1].answer({height, 0})).empty());
  fetch.begin(height);
  auto other = peers[1].answer({height, digest_only});
  other.height = height + 1;
  BOOST_TEST(fetch.take(1, other).empty());
  BOOST_TEST(fetch.take(2, answer_of({height, 0}, {}, 0, {})).empty());
  BOOST_TEST(!fetch.found().has_value());
}

BOOST_AUTO_TEST_CASE(one_peer_gets_so_many_answers_and_bytes_a_while) {
  serving_budget budget;
  int served = 0;
  while (budget.may_serve(1000))
    ++served;
  BOOST_TEST(served == 64);
  BOOST_TEST(!budget.may_serve(1099));
  BOOST_TEST(budget.may_serve(1100));
  budget.served(100 << 20);
  BOOST_TEST(!budget.may_serve(1150));
  BOOST_TEST(budget.may_serve(1200));
}

BOOST_AUTO_TEST_SUITE_END()
