// Netting: the payments clear every position, and there are no fewer that would.
#include "contracts/netting.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

using namespace tallymesh::contracts;

namespace {

std::map<std::string, std::int64_t> left_over(const std::vector<net_position>& positions,
                                              const std::vector<net_payment>& payments) {
  std::map<std::string, std::int64_t> left;
  for (const auto& each : positions)
    left[each.node] += each.units;
  for (const auto& each : payments) {
    left[each.from] += each.units;
    left[each.to] -= each.units;
  }
  std::erase_if(left, [](const auto& each) { return each.second == 0; });
  return left;
}

/// By trying every way to divide the nodes into groups: most groups that sum up to zero.
std::size_t most_groups(const std::vector<std::int64_t>& units, std::uint32_t rest) {
  if (rest == 0) return 0;
  std::size_t best = 0;
  const auto first = rest & (~rest + 1);
  for (auto group = rest; group != 0; group = (group - 1) & rest) {
    if ((group & first) == 0) continue;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < units.size(); ++i)
      if (group >> i & 1) sum += units[i];
    if (sum == 0) best = std::max(best, 1 + most_groups(units, rest & ~group));
  }
  return best;
}

std::vector<net_position> random_positions(std::mt19937_64& random, std::size_t nodes,
                                           std::int64_t most) {
  std::vector<net_position> positions;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < nodes; ++i) {
    auto units = std::uniform_int_distribution<std::int64_t>(-most, most)(random);
    if (i + 1 == nodes) units = -sum;
    sum += units;
    positions.push_back({"n" + std::to_string(i), units});
  }
  return positions;
}

} // namespace

BOOST_AUTO_TEST_SUITE(netting)

BOOST_AUTO_TEST_CASE(a_circle_of_equal_debts_needs_no_payment) {
  BOOST_TEST(fewest_payments({{"a", 0}, {"b", 0}, {"c", 0}}).empty());
  BOOST_TEST(fewest_payments({}).empty());
}

BOOST_AUTO_TEST_CASE(two_pairs_pay_among_themselves) {
  const std::vector<net_payment> expected = {{"b", "c", 7}, {"d", "a", 5}};
  BOOST_TEST((fewest_payments({{"a", 5}, {"b", -7}, {"c", 7}, {"d", -5}}) == expected));
}

BOOST_AUTO_TEST_CASE(the_payments_clear_every_position_and_none_would_do_with_fewer) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    // Small amounts, so that groups which sum up to zero are there to be found.
    const auto positions = random_positions(random, 2 + round % 8, 1 + round % 9);
    const auto payments = fewest_payments(positions);
    BOOST_TEST(left_over(positions, payments).empty());
    std::vector<std::int64_t> units;
    for (const auto& each : positions)
      if (each.units != 0) units.push_back(each.units);
    const auto groups = most_groups(units, (1u << units.size()) - 1);
    BOOST_TEST(payments.size() == units.size() - groups);
  }
}

BOOST_AUTO_TEST_CASE(many_nodes_are_cleared_with_fewer_payments_than_there_are_nodes) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 100; ++round) {
    const auto positions = random_positions(random, 128, round % 2 == 0 ? 20 : 1'000'000'000);
    const auto payments = fewest_payments(positions);
    BOOST_TEST(left_over(positions, payments).empty());
    BOOST_TEST(payments.size() < positions.size());
    for (const auto& each : payments)
      BOOST_TEST(each.units > 0);
  }
}

BOOST_AUTO_TEST_CASE(the_order_in_which_positions_come_does_not_matter) {
  std::mt19937_64 random(9);
  for (const std::size_t nodes : {9u, 40u}) {
    auto positions = random_positions(random, nodes, 50);
    const auto payments = fewest_payments(positions);
    std::shuffle(positions.begin(), positions.end(), random);
    BOOST_TEST((fewest_payments(positions) == payments));
  }
}

BOOST_AUTO_TEST_SUITE_END()
