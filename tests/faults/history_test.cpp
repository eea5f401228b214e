// The judge of client histories and ledgers, on histories made by hand; and the reducer.
#define BOOST_TEST_MODULE faults_history
#include "tests/faults/history.hpp"
#include "tests/faults/language/parser.hpp"
#include "tests/faults/reduction.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh::faults;
using namespace std::chrono_literals;

namespace {

client_history two_acknowledged() {
  client_history clients;
  clients.submitted("a", 0, 1s);
  clients.submitted("b", 1, 1s);
  clients.submitted("never answered", 1, 1s);
  clients.acknowledged("a", 2s);
  clients.acknowledged("b", 3s);
  return clients;
}

const block_copy first{1, "x1", {"a"}}, second{2, "x2", {"b"}};

/// The only finding, and that it holds a text.
void found_one(const std::vector<finding>& found, check what, const std::string& text) {
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST((found[0].what == what));
  BOOST_TEST(found[0].text.find(text) != found[0].text.npos, found[0].text);
}

} // namespace

BOOST_AUTO_TEST_CASE(equal_ledgers_with_all_that_was_acknowledged_are_right) {
  BOOST_TEST(judge(two_acknowledged(), {{0, {first, second}}, {1, {first, second}}}).empty());
}

BOOST_AUTO_TEST_CASE(an_acknowledged_operation_that_a_ledger_lacks_is_lost) {
  found_one(judge(two_acknowledged(), {{0, {first, {2, "x2", {}}}}}), check::no_lost_ack,
            "operation b, acknowledged by n2 at 3s, is not on n1");
}

BOOST_AUTO_TEST_CASE(a_refused_operation_is_on_no_ledger) {
  auto clients = two_acknowledged();
  clients.submitted("c", 0, 4s);
  clients.refused("c", 5s);
  BOOST_TEST(judge(clients, {{0, {first, second}}}).empty());
  found_one(judge(clients, {{0, {first, second, {3, "x3", {"c"}}}}}), check::no_lost_ack,
            "operation c, acknowledged by n1 at 5s as refused, has run on n1");
}

BOOST_AUTO_TEST_CASE(an_operation_that_ran_twice_is_found) {
  found_one(judge(two_acknowledged(), {{0, {first, {2, "x2", {"b", "a"}}}}}),
            check::exactly_once, "operation a ran twice on n1, again at height 2");
}

BOOST_AUTO_TEST_CASE(different_blocks_at_one_height_are_a_divergence) {
  found_one(judge(two_acknowledged(), {{0, {first, second}}, {1, {first, {2, "y", {"b"}}}}}),
            check::no_divergence, "at height 2 n2 holds y, n1 holds x2");
}

BOOST_AUTO_TEST_CASE(a_ledger_that_ends_early_has_not_converged) {
  found_one(judge({}, {{0, {first, second}}, {1, {first}}}), check::converged,
            "n2 ends at height 1, n1 ends at height 2");
}

BOOST_AUTO_TEST_CASE(life_needs_an_operation_of_that_time) {
  const auto clients = two_acknowledged();
  BOOST_TEST(clients.lived(1s, 2s));
  BOOST_TEST(!clients.lived(1s, 1900ms));
  BOOST_TEST(!clients.lived(1100ms, 9s));
}

BOOST_AUTO_TEST_CASE(a_script_is_cut_down_to_what_it_fails_by) {
  const auto whole =
      parse_script("name \"x\"\nnodes n1..n4\nload * rate 5/s\nat 1s kill n1\n"
                   "at 2s kill n2\nat 3s cut n3\nat 4s clock n4 +1h\n"
                   "at 5s start n1\nat 9s heal\nwithin 9s after heal converged\n",
                   "x");
  BOOST_REQUIRE(whole.has_value());
  const auto needs = [](const script& x, const char* text) {
    for (const auto& each : x.statements)
      if (each.text == text) return true;
    return false;
  };
  const auto left = reduce(*whole, [&](const script& x) {
    return needs(x, "at 2s kill n2") && needs(x, "at 5s start n1");
  });
  BOOST_REQUIRE(left.statements.size() == 3u);
  BOOST_TEST(left.statements[0].text == "at 2s kill n2");
  BOOST_TEST(left.statements[1].text == "at 5s start n1");
  BOOST_TEST(left.expects(check::converged));
}
