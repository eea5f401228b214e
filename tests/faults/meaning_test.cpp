// Which nodes and lines a script means.
#define BOOST_TEST_MODULE faults_meaning
#include "tests/faults/meaning.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh::faults;
using namespace std::chrono_literals;

namespace {

using nodes = some_nodes;
using who = node_selector::who;

/// Five nodes: the second is dead, the third stands still, the fourth leads.
struct small_mesh {
  mesh_now mesh{5, [](auto node) { return node != 1; }, [](auto node) { return node == 2; },
                [] { return std::optional<std::uint16_t>(3); }};
  tallymesh::simulation::random_source chance{7};

  nodes meant(who what, std::uint16_t number = 0) {
    return resolve({{what, number}}, mesh, chance);
  }
};

act cut_of(verb what) {
  act x;
  x.what = what;
  return x;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(a_set_means_the_nodes_it_fits_at_that_moment, small_mesh) {
  BOOST_TEST((meant(who::node, 4) == nodes{4}));
  BOOST_TEST((meant(who::all) == nodes{0, 1, 2, 3, 4}));
  BOOST_TEST((meant(who::killed) == nodes{1}));
  BOOST_TEST((meant(who::stopped) == nodes{2}));
  BOOST_TEST((meant(who::leader) == nodes{3}));
  BOOST_TEST((resolve({{who::leader, 0}, {who::node, 0}, {who::node, 3}}, mesh, chance)
              == nodes{0, 3}));
}

BOOST_FIXTURE_TEST_CASE(chance_picks_among_the_nodes_that_run, small_mesh) {
  for (int i = 0; i < 20; ++i)
    for (const auto each : meant(who::random, 2))
      BOOST_TEST((each != 1 && each != 2));
  BOOST_TEST((meant(who::random, 9) == nodes{0, 3, 4}));
}

BOOST_AUTO_TEST_CASE(lines_break_between_the_sides_and_not_within) {
  BOOST_TEST((broken_ways(cut_of(verb::partition), {{0, 1}, {2}}, 3)
              == std::vector<way>{{0, 2}, {2, 0}, {1, 2}, {2, 1}}));
  BOOST_TEST(
      (broken_ways(cut_of(verb::one_way), {{0}, {0, 2}}, 3) == std::vector<way>{{0, 2}}));
  BOOST_TEST((broken_ways(cut_of(verb::cut), {{1}}, 3)
              == std::vector<way>{{1, 0}, {0, 1}, {1, 2}, {2, 1}}));
}

BOOST_AUTO_TEST_CASE(a_line_that_was_set_for_a_while_is_then_as_it_was_before) {
  known_lines lines;
  const line_quality slow{1s, 2s}, lost{0s, 0s, 500'000};
  const nodes all{0, 1, 2};
  for (const auto& [each, before] : set_lines(lines, all, all, slow))
    BOOST_TEST(!before.has_value());
  BOOST_TEST(lines.size() == 6u);
  const auto before = set_lines(lines, {0, 1}, {0, 1}, lost);
  BOOST_TEST(before.size() == 2u);
  for (const auto& [each, was] : before) {
    BOOST_TEST_REQUIRE(was.has_value());
    BOOST_TEST((was->least_delay == slow.least_delay));
    BOOST_TEST(lines.at(each)->lost_ppm == lost.lost_ppm);
  }
  BOOST_TEST(lines.at({0, 2})->lost_ppm == 0u);
  restore_lines(lines, before);
  for (const auto& [each, now] : lines) {
    BOOST_TEST_REQUIRE(now.has_value());
    BOOST_TEST((now->least_delay == slow.least_delay));
    BOOST_TEST(now->lost_ppm == 0u);
  }
}
