// Whether the nodes of a mesh hold the same, asked over REST as `tally compare` does.
#pragma once

#include "tools/tally/comparison.hpp"

#include <boost/test/unit_test.hpp>

/// What each node says of its tables, once all are at one height. The test fails unless they
/// hold the same there, and executed the same.
inline std::vector<tallymesh::tally::node_digest>
check_all_hold_the_same(const std::vector<tallymesh::tally::gateway>& gateways) {
  namespace tally = tallymesh::tally;
  auto clients = tally::clients_of(gateways);
  std::vector<tally::node_digest> said;
  tally::comparison verdict;
  BOOST_TEST(tally::poll_until(std::chrono::seconds(60), std::chrono::milliseconds(50), [&] {
    said.clear();
    const auto answers = tally::ask_all(clients, "/v1/digest");
    for (std::size_t i = 0; i < answers.size(); ++i)
      said.push_back(tally::node_digest::from(gateways[i].node, answers[i]));
    verdict = tally::compare(said);
    return verdict.complete;
  }));
  for (const auto& each : verdict.differences)
    BOOST_TEST_MESSAGE(each);
  BOOST_TEST(verdict.identical);
  for (const auto& each : said)
    BOOST_TEST(each.execution == said.front().execution);
  return said;
}
