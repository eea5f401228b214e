// Meshes of several sizes through many seeds; the same seed twice; seeds that once failed.
#define BOOST_TEST_MODULE simulation_seeds
#include "tests/simulation/simulation.hpp"

#include <boost/test/unit_test.hpp>
#include <thread>

using namespace tallymesh::simulation;

namespace {

std::string describe(const outcome& x) {
  std::string text = std::to_string(x.nodes) + " nodes, seed " + std::to_string(x.seed);
  for (const auto& each : x.violations)
    text += ": at " + std::to_string(each.at_ms) + " ms, n" + std::to_string(each.node) + ", ["
            + each.rule + "] " + each.text;
  return text;
}

campaign_outcome run_seeds(std::uint16_t nodes, std::uint64_t seeds, std::uint64_t first = 1,
                           std::uint32_t strategies = strategy::all) {
  campaign what;
  what.base.strategies = strategies;
  what.base.nodes = nodes;
  what.first_seed = first;
  what.seeds = seeds;
  what.jobs = std::max(1u, std::thread::hardware_concurrency());
  return run(what);
}

constexpr std::uint32_t forgers =
    strategy::all | strategy::forge | strategy::overreach | strategy::flood | strategy::accuse;

void check_seeds(std::uint16_t nodes, std::uint64_t seeds, std::uint64_t first = 1,
                 std::uint32_t strategies = strategy::all) {
  const auto all = run_seeds(nodes, seeds, first, strategies);
  BOOST_TEST(all.seeds == seeds);
  BOOST_TEST(all.blocks > 0);
  BOOST_TEST(all.violations == 0, (all.first_failure ? describe(*all.first_failure) : ""));
  BOOST_TEST_MESSAGE(nodes << " nodes: " << all.seeds << " seeds, "
                           << all.virtual_ms / 3'600'000.0 << " simulated hours, " << all.faults
                           << " faults");
}

} // namespace

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_trace) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    options what;
    what.nodes = seed % 2 ? 4 : 7;
    what.seed = seed;
    const auto once = run(what);
    std::uint64_t lines = 0;
    what.trace = [&](std::string_view) { ++lines; }; // being watched changes nothing
    const auto again = run(what);
    BOOST_TEST(once.trace_digest == again.trace_digest);
    BOOST_TEST(once.events == again.events);
    BOOST_TEST(once.virtual_ms == again.virtual_ms);
    BOOST_TEST(lines > 0);
    what.seed = seed + 1000;
    BOOST_TEST(run(what).trace_digest != once.trace_digest);
  }
}

BOOST_AUTO_TEST_CASE(a_mesh_of_four_keeps_its_promises_whatever_happens) {
  check_seeds(4, 1500);
}
BOOST_AUTO_TEST_CASE(a_mesh_of_seven_keeps_its_promises_whatever_happens) {
  check_seeds(7, 600);
}
BOOST_AUTO_TEST_CASE(a_mesh_of_five_keeps_its_promises_whatever_happens) {
  check_seeds(5, 100);
}
BOOST_AUTO_TEST_CASE(a_mesh_of_ten_keeps_its_promises_whatever_happens) { check_seeds(10, 40); }
BOOST_AUTO_TEST_CASE(forgers_gain_nothing) {
  check_seeds(4, 300, 1, forgers);
  check_seeds(7, 100, 1, forgers);
}
BOOST_AUTO_TEST_CASE(more_than_f_traitors_end_in_a_halt) {
  for (const auto& [nodes, seeds] : {std::pair{4, 100}, std::pair{7, 50}}) {
    const auto all = run_seeds(static_cast<std::uint16_t>(nodes),
                               static_cast<std::uint64_t>(seeds), 1, strategy::treason);
    BOOST_TEST(all.violations == 0, (all.first_failure ? describe(*all.first_failure) : ""));
    BOOST_TEST(all.halts > 0, "no node of " << nodes << " had to halt");
  }
}
BOOST_AUTO_TEST_CASE(a_node_alone_keeps_its_promises_whatever_happens) { check_seeds(1, 200); }

BOOST_AUTO_TEST_CASE(every_kind_of_fault_is_among_the_faults) {
  const auto ordinary = run_seeds(7, 300), named = run_seeds(7, 300, 1, forgers);
  for (std::size_t i = 0; i < fault_count; ++i) {
    const auto kind = static_cast<fault>(i);
    const auto& all = kind < fault::forged_answer ? ordinary : named;
    BOOST_TEST(all.by_fault[i] > 0, to_string(kind) << " never happened");
  }
}

namespace {
struct once_failed {
  std::uint16_t nodes;
  std::uint64_t seed;
  std::uint32_t strategies;
  bool benign_faults;
  const char* story;
};
constexpr once_failed regressions[] = {
    {4, 465, 0, true,
     "after a crash of all, nodes that had nullified the best parent's view saw no work"},
    {4, 7, strategy::all, false, "a liar's height was asked for without end"},
    {4, 36, strategy::all, false, "an equivocating leader made an honest node look faulty"},
    {4, 491, strategy::all, false, "a fetch that a claim and a cut shared was never given up"},
    {4, 21, strategy::all, false, "a forked lane kept some nodes awake and others idle"},
    {4, 5, strategy::all, true, "the proof of a fork did not reach those who saw one side"},
    {4, 620, strategy::all, true, "who knew a lane's second fork stopped announcing its first"},
    {4, 639, strategy::all, true, "a certified time ahead of all clocks stopped the mesh"},
    {4, 1728, strategy::all, true, "a block that nobody has was asked for without end"},
    {4, 1378, strategy::all, true, "one side of a fork proved nothing to those who held it"},
    {4, 100438, strategy::all, true, "the fork lay below the place that two nodes compared"},
    {4, 110101, strategy::all, true,
     "a notarized block that was missing was work, and nobody asked for it"},
    {7, 107862, strategy::all, true,
     "a certified batch was asked of one withholding peer for ever"},
    {1, 500060, strategy::all, true,
     "a node alone crashed between its vote and its certificate"},
    {4, 1018888, strategy::all, true, "one node alone held the notarization that was work"},
    {7, 599, strategy::all, true,
     "after a restart both sides of a fork were on disk, and it was work again"},
    {4, 4520, strategy::all, true,
     "who forgot a fork's proof in a crash was not shown it again on the new link"},
    {4, 1069, strategy::all, true,
     "what a rogue's cut waited for hid what honest nodes announced, and both were asked for "
     "ever"},
    {4, 1002528, strategy::all, true,
     "silence was watched while the last lie was still asked for"},
    {7, 1001002, strategy::all, true, "the same"},
    {4, 320, strategy::flood | strategy::overreach, true,
     "who had given up the body of one side took a lane for forked and could not prove it"},
    {4, 3262, strategy::all, true,
     "silence was watched before the proof of one more fork was due to be shown"},
    {4, 2013245, strategy::all, true,
     "only the first four forks of a lane could be proven, and the final cut passed them"},
    {7, 9425, strategy::all | strategy::overreach, true,
     "who had lost its vote log was held to a vote that it had lost, after one more crash"},
};
} // namespace

BOOST_AUTO_TEST_CASE(what_once_failed_passes) {
  for (const auto& each : regressions) {
    options what;
    what.nodes = each.nodes;
    what.seed = each.seed;
    what.strategies = each.strategies;
    what.benign_faults = each.benign_faults;
    const auto result = run(what);
    BOOST_TEST(result.passed(), each.story << ": " << describe(result));
  }
}
