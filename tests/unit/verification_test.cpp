// What a node finds in a candidate, and that it says so whatever the candidate does to it.
#include "actors/steward/candidates.hpp"
#include "tests/unit/storage_fixture.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::steward;
using storage::testing::temporary_directory;

namespace {

struct node_ended {};

/// What this node has to say, in a process that begins with what is on the disk.
struct process {
  int looked = 0;
  bool dies = false;
  candidates mine;

  explicit process(const std::filesystem::path& marks)
      : mine(begun_verifications::open(marks).value(), [this](const auto&) {
          ++looked;
          if (dies) throw node_ended(); // nothing runs after it that a dead process would not
          return findings{.tests = 3};
        }) {}

  std::string said(const std::vector<candidates::waiting>& open) {
    std::string all;
    const auto verdicts = mine.verdicts_on(open);
    BOOST_TEST_REQUIRE(verdicts.has_value(), verdicts.error().context);
    for (const auto& each : *verdicts) {
      const auto* why = find(each.arguments, "findings");
      const bool good = *find(each.arguments, "good")->as<bool>();
      all += (all.empty() ? "" : "; ") + each.purpose + (good ? " good" : " not good")
             + (why == nullptr ? "" : ": " + *why->as<std::string>());
    }
    return all;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(verification)

BOOST_AUTO_TEST_CASE(a_candidate_that_ends_the_node_does_so_once) {
  const temporary_directory home;
  const auto marks = home / "verifying";
  {
    process first(marks);
    first.dies = true;
    BOOST_CHECK_THROW(first.said({{"b", "source"}, {"a", "source"}}), node_ended);
  }
  const std::string verdict =
      "b not good: cannot be verified here: the verification ended the node; a good";
  for (int start = 0; start < 2; ++start) { // until the chain has the verdict
    process next(marks);
    BOOST_TEST(next.said({{"b", "source"}, {"a", "source"}}) == verdict);
    BOOST_TEST(next.said({{"b", "source"}, {"a", "source"}}) == verdict);
    BOOST_TEST(next.looked == 1); // at the other one
  }
  process later(marks);
  BOOST_TEST(later.said({{"a", "source"}}) == "a good");
  BOOST_TEST(std::filesystem::is_empty(marks));
}

BOOST_AUTO_TEST_SUITE_END()
