// Taking over what others executed: which of them is believed, and who gives the bytes.
#include "actors/contract_executor/execution_fetch.hpp"
#include "contracts/builtin_rows.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>

using namespace tallymesh;
using namespace tallymesh::contract_executor;
using contracts::make_row;

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

  /// Nothing comes until this node is asked for bytes.
  std::vector<question> first_to(node_index node) {
    for (int i = 0; i < 20; ++i)
      if (auto asked = fetch.retry(); !asked.empty() && asked[0].to == node) return asked;
    BOOST_ERROR("it is not asked");
    return {};
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
  peers.erase(1);
  follow(first_to(2));
  BOOST_TEST(fetch.found().has_value());
}

// The only one that has all rows may be slow.
BOOST_AUTO_TEST_CASE(a_source_that_is_slow_has_some_time) {
  peers = {{1, {executed("a"), {}}}, {2, {erased(executed("a")), {}}}};
  const auto ask = fetch.begin(height).front().what;
  fetch.take(1, peers[1].answer(ask));
  fetch.take(2, peers[2].answer(ask));
  for (int i = 0; i < 2; ++i) {
    const auto again = fetch.retry();
    BOOST_TEST_REQUIRE(again.size() == 1u);
    BOOST_TEST(*again[0].to == 1);
  }
}

// How much is missing does not tell what: of two rows one was to be erased, and the liar gives
// that and hides the other.
BOOST_AUTO_TEST_CASE(nothing_is_hidden_that_no_honest_node_erased) {
  auto whole = executed("a"), honest = whole, liar = whole;
  for (auto* each : {&whole, &honest, &liar})
    each->changes.push_back(each->changes.front());
  erase_rows(honest.changes[0]);
  erase_rows(liar.changes[1]);
  for (const node_index rogue : {node_index{0}, node_index{1}, node_index{2}}) {
    for (const node_index each : {node_index{0}, node_index{1}, node_index{2}})
      peers[each] = {each == rogue ? liar : honest, {}};
    follow(fetch.begin(height));
    const auto found = fetch.found();
    BOOST_TEST_REQUIRE(found.has_value());
    BOOST_TEST(found->changes[1].after.has_value(), rogue << " hid it");
  }
}

// Whoever is honest may be slow at once, for all execute the same blocks.
BOOST_AUTO_TEST_CASE(a_liars_bytes_alone_are_not_taken_however_slow_the_others_are) {
  for (block_height at = height; at < height + 2; ++at) {
    auto has = executed("a");
    has.height = at;
    peers = {{1, {has, {}}}, {2, {has, {}}}, {3, {erased(has), {}}}};
    auto open = fetch.begin(at);
    for (int i = 0; i < 30; ++i) {
      std::vector<question> next;
      for (const auto& each : open)
        for (const auto& [node, giver] : peers)
          if (each.what.offset == digest_only || (each.to == node && node == 3))
            for (const auto& more : fetch.take(node, giver.answer(each.what)))
              next.push_back(more);
      open = next.empty() ? fetch.retry() : next;
    }
    BOOST_TEST(!fetch.found().has_value());
    follow(first_to(1));
    const auto found = fetch.found();
    BOOST_TEST_REQUIRE(found.has_value());
    BOOST_TEST(found->changes[0].after.has_value());
  }
}

// Each erased what the other has not come to yet.
BOOST_AUTO_TEST_CASE(rows_and_events_come_from_whoever_has_them) {
  auto whole = executed("a");
  whole.changes[0].before = bytes{1, 2};
  whole.changes.push_back(whole.changes.front());
  receipt told;
  told.events.push_back({"sold", {}});
  whole.receipts = {told, told};
  auto one = whole, other = whole;
  erase_rows(one.changes[0]);
  erase_events(one.receipts[0]);
  erase_rows(other.changes[1]);
  erase_events(other.receipts[1]);
  peers = {{1, {one, {}}}, {2, {other, {}}}};
  follow(fetch.begin(height));
  const auto found = fetch.found();
  BOOST_TEST_REQUIRE(found.has_value());
  BOOST_TEST((encode(*found) == encode(whole)));
}

// Whatever two of seven do, and though honest nodes erase at their own pace and answer half of
// the time.
BOOST_AUTO_TEST_CASE(liars_at_random_hide_nothing_and_do_not_stop_it) {
  std::mt19937 dice(7);
  const auto chance = [&](unsigned of) { return dice() % of == 0; };
  execution_fetch seven{3};
  for (block_height at = 1; at <= 300; ++at) {
    auto whole = executed("a");
    whole.height = at;
    whole.changes.resize(6, whole.changes[0]);
    const auto with_less = [&](std::size_t may_go) {
      auto x = whole;
      for (std::size_t i = 0; i < may_go; ++i)
        if (chance(2)) erase_rows(x.changes[i]);
      return x;
    };
    std::map<node_index, execution> has;
    for (node_index each = 0; each < 6; ++each)
      has[each] = with_less(each < 2 ? 6 : 3); // three were to be erased
    const auto answer = [&](node_index from, const fetch_execution& to) {
      auto said = peer{has[from], {}}.answer(to);
      if (from >= 2) return said;
      if (chance(4)) said.execution = execution_digest(executed("b"));
      if (chance(4)) said.erased = dice() % 7;
      if (chance(4)) said.total_bytes += dice() % 9;
      if (chance(4) && !said.part.empty()) said.part[dice() % said.part.size()] ^= 1;
      if (chance(9)) said.part.clear();
      if (chance(9)) has[from] = with_less(6);
      return said;
    };
    auto open = seven.begin(at);
    std::optional<execution> found;
    for (int round = 0; round < 500 && !found; ++round) {
      std::vector<question> next;
      for (const auto& each : open)
        for (node_index from = 0; from < 6; ++from)
          if ((!each.to || *each.to == from) && chance(2))
            for (const auto& more : seven.take(from, answer(from, each.what)))
              next.push_back(more);
      found = seven.found();
      open = next.empty() ? seven.retry() : next;
    }
    BOOST_TEST_REQUIRE(found.has_value(), "height " << at);
    BOOST_TEST((execution_digest(*found) == execution_digest(whole)));
    for (std::size_t i = 3; i < 6; ++i)
      BOOST_TEST(found->changes[i].after.has_value(), "height " << at << ", row " << i);
  }
}

// It says that it erased nothing, of what the others had to erase, and gives nothing.
BOOST_AUTO_TEST_CASE(who_claims_to_have_more_and_is_silent_costs_time_at_one_height) {
  for (block_height at = height; at < height + 50; ++at) {
    auto has = executed("a");
    has.height = at;
    peers = {{0, {has, {}}}, {1, {erased(has), {}}}, {2, {erased(has), {}}}};
    const auto digests = fetch.begin(at).front().what;
    std::vector<question> open;
    for (const auto& [node, each] : peers)
      for (const auto& next : fetch.take(node, each.answer(digests)))
        open.push_back(next);
    peers.erase(0);
    follow(at == height ? first_to(1) : open);
    BOOST_TEST_REQUIRE(fetch.found().has_value());
  }
}

BOOST_AUTO_TEST_CASE(who_sends_a_byte_at_a_time_is_given_up_at_once) {
  const auto large = executed("a", 3 * limits::max_execution_part_bytes);
  peers = {{1, {large, {}}}, {2, {large, {}}}};
  auto drop = peers[1].answer({height, 0});
  drop.part.resize(1);
  const auto ask = fetch.begin(height).front().what;
  fetch.take(1, peers[1].answer(ask));
  fetch.take(2, peers[2].answer(ask));
  const auto next = fetch.take(1, drop);
  BOOST_TEST_REQUIRE(next.size() == 1u);
  BOOST_TEST(*next[0].to == 2);
  peers.erase(1);
  follow(next);
  BOOST_TEST(fetch.found().has_value());
}

// A node that catches up has thousands of heights before it.
BOOST_AUTO_TEST_CASE(a_liar_costs_time_at_one_height_and_not_at_each) {
  for (block_height at = height; at < height + 50; ++at) {
    auto honest = executed("a");
    honest.height = at;
    peers = {{1, {honest, {}}}, {2, {honest, {}}}};
    for (auto open = fetch.begin(at); !open.empty();) {
      const auto next = open.front();
      open.erase(open.begin());
      for (const node_index node : {node_index{0}, node_index{1}, node_index{2}}) {
        if (next.to && *next.to != node) continue;
        if (next.to) asked_for_bytes.push_back(node);
        // Node 0 names the digest of the others, says that it erased nothing, and has nothing.
        auto given = peers[node == 0 ? 1 : node].answer(next.what);
        if (node == 0 && !given.part.empty()) given.part.back() ^= 1;
        const auto more = fetch.take(node, given);
        open.insert(open.end(), more.begin(), more.end());
      }
    }
    BOOST_TEST_REQUIRE(fetch.found().has_value());
  }
  BOOST_TEST(std::count(asked_for_bytes.begin(), asked_for_bytes.end(), 0) == 1);
}

BOOST_AUTO_TEST_CASE(who_is_silent_costs_time_at_one_height_and_not_at_each) {
  for (block_height at = height; at < height + 50; ++at) {
    auto has = executed("a");
    has.height = at;
    peers = {{0, {has, {}}}, {1, {has, {}}}};
    const auto ask = fetch.begin(at).front().what;
    auto open = fetch.take(0, peers[0].answer(ask));
    const auto more = fetch.take(1, peers[1].answer(ask));
    open.insert(open.end(), more.begin(), more.end());
    BOOST_TEST_REQUIRE(open.size() == 1u);
    peers.erase(0);
    follow(*open[0].to == 0 ? first_to(1) : open);
    BOOST_TEST_REQUIRE(fetch.found().has_value());
    if (at > height) BOOST_TEST(*open[0].to == 1);
  }
}

BOOST_AUTO_TEST_CASE(where_only_liars_are_left_they_are_asked_again) {
  peers = {{1, {executed("a"), {}}}, {2, {executed("a"), {}}}};
  const auto ask = fetch.begin(height).front().what;
  for (const auto& [node, each] : peers)
    fetch.take(node, each.answer(ask));
  for (const auto& [node, each] : peers) {
    auto lie = each.answer({height, 0});
    lie.part.back() ^= 1;
    fetch.take(node, lie);
  }
  follow(fetch.retry());
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

// --- what is taken over

BOOST_AUTO_TEST_CASE(what_is_taken_over_follows_what_this_node_has) {
  auto x = executed("a");
  x.block = hash(digest_kind::block, as_bytes("this one"));
  x.previous = execution_digest(executed("before"));
  BOOST_TEST(may_follow(x, x.block, x.previous).has_value());
  for (const auto& wrong :
       {may_follow(x, x.previous, x.previous), may_follow(x, x.block, x.block)}) {
    BOOST_TEST_REQUIRE(!wrong.has_value());
    BOOST_TEST((wrong.error().code == errc::conflict));
  }
}

BOOST_AUTO_TEST_CASE(what_is_taken_over_makes_no_money) {
  const auto balance = [](const std::string& node, std::int64_t units) {
    change x;
    x.table = "settlement.accounts";
    x.key = bytes(node.begin(), node.end());
    x.after =
        encode(make_row({{"currency", "CNY"}, {"node", node}, {"balance", decimal{units, 2}}}));
    return x;
  };
  execution x;
  x.height = height;
  x.changes = {balance("hq", 5), balance("coop", -5)};
  BOOST_TEST(may_follow(x, {}, {}).has_value());
  x.changes[1] = balance("coop", -4);
  const auto wrong = may_follow(x, {}, {});
  BOOST_TEST_REQUIRE(!wrong.has_value());
  BOOST_TEST((wrong.error().code == errc::conflict));
  BOOST_TEST(wrong.error().context.find("CNY") != std::string::npos);
}

// --- what peers ask of this node

BOOST_AUTO_TEST_CASE(a_peer_that_asks_for_much_is_answered_once_a_turn) {
  serving_queue queue;
  for (std::uint64_t i = 0; i < 1000; ++i)
    queue.ask(1, {height, i});
  queue.ask(2, {height, 7});
  const auto first = queue.next(0), second = queue.next(0);
  BOOST_TEST_REQUIRE(first.has_value());
  BOOST_TEST_REQUIRE(second.has_value());
  BOOST_TEST(first->first == 1);
  BOOST_TEST(first->second.offset == 999u, "its last question");
  BOOST_TEST(second->first == 2);
  BOOST_TEST(!queue.next(0).has_value());
  BOOST_TEST(!queue.wait_us(0).has_value());
}

BOOST_AUTO_TEST_CASE(all_answers_together_take_a_fifth_of_the_thread) {
  constexpr std::int64_t an_answer_us = 40'000, minute_us = 60'000'000;
  serving_queue queue;
  std::int64_t used_us = 0;
  std::map<node_index, int> answered;
  for (std::int64_t now_us = 0; now_us < minute_us; now_us += 1000) {
    for (const node_index each : {node_index{1}, node_index{2}, node_index{5}})
      queue.ask(each, {height, 0});
    while (const auto turn = queue.next(now_us)) {
      ++answered[turn->first];
      queue.spent(an_answer_us, now_us);
      used_us += an_answer_us;
    }
  }
  BOOST_TEST(used_us <= minute_us / 5 + 2 * serving_queue::most_us);
  BOOST_TEST(used_us >= minute_us / 5 - an_answer_us);
  BOOST_TEST(std::abs(answered[1] - answered[2]) <= 1);
  BOOST_TEST(std::abs(answered[2] - answered[5]) <= 1);
}

BOOST_AUTO_TEST_CASE(one_dear_answer_is_paid_for_and_then_others_come) {
  serving_queue queue;
  queue.ask(1, {height, 0});
  BOOST_TEST(queue.next(0).has_value());
  queue.spent(60'000'000, 0);
  queue.ask(1, {height, 0});
  BOOST_TEST(!queue.next(0).has_value());
  const auto wait_us = queue.wait_us(0);
  BOOST_TEST_REQUIRE(wait_us.has_value());
  BOOST_TEST(*wait_us <= 3'000'000);
  BOOST_TEST(queue.next(*wait_us).has_value());
}

BOOST_AUTO_TEST_CASE(who_left_is_not_answered) {
  serving_queue queue;
  queue.ask(3, {height, 0});
  queue.forget(3);
  BOOST_TEST(!queue.next(0).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
