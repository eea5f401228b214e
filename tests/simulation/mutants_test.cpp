// With any one rule removed, seeds fail: the simulator would notice if a change broke it.
#define BOOST_TEST_MODULE simulation_mutants
#include "tests/simulation/simulation.hpp"

#include <boost/test/unit_test.hpp>
#include <thread>

using namespace tallymesh::simulation;
using mutation = tallymesh::consensus::settings::mutation;

namespace {

struct hunt {
  mutation without;
  std::uint64_t first_seed, seeds;
  bool check_order = false; ///< without it a mutant is caught by what it brings about, only
  std::uint16_t nodes = 4;
};

campaign_outcome run_mutant(const hunt& x) {
  campaign what;
  what.base.nodes = x.nodes;
  what.base.without = x.without;
  what.base.check_order = x.check_order;
  what.first_seed = x.first_seed;
  what.seeds = x.seeds;
  what.jobs = std::max(1u, std::thread::hardware_concurrency());
  what.stop_at_violation = true;
  return run(what);
}

/// Some seed fails with the mutation, and the same seed passes without it.
void check_bites(const hunt& x) {
  const auto mutated = run_mutant(x);
  BOOST_REQUIRE(mutated.first_failure.has_value());
  const auto& failure = *mutated.first_failure;
  BOOST_TEST_MESSAGE("after " << mutated.seeds << " seeds: seed " << failure.seed << ", ["
                              << failure.violations.front().rule << "] "
                              << failure.violations.front().text);
  options whole;
  whole.nodes = x.nodes;
  whole.seed = failure.seed;
  const auto honest = run(whole);
  BOOST_TEST(honest.passed(), "seed " << failure.seed << " fails without the mutation too");
}

} // namespace

BOOST_AUTO_TEST_CASE(without_the_gap_rule_two_blocks_become_final_at_one_height) { // S7.5
  check_bites({mutation::gap_rule, 1, 1500});
}

BOOST_AUTO_TEST_CASE(without_never_both_a_node_contradicts_itself) { // S8, S9
  check_bites({mutation::never_both, 1, 200});
}

BOOST_AUTO_TEST_CASE(
    with_votes_that_are_not_stored_a_node_contradicts_itself_after_a_crash) { // S15
  check_bites({mutation::forget_votes, 1, 300});
  check_bites({mutation::forget_votes, 1, 20, true});
}

BOOST_AUTO_TEST_CASE(
    with_certificates_that_are_not_stored_a_mesh_that_crashed_stays_where_it_was) { // S15
  check_bites({mutation::forget_certificates, 1, 6000});
  check_bites({mutation::forget_certificates, 1, 20, true});
}

BOOST_AUTO_TEST_CASE(without_status_pushes_what_was_lost_stays_lost) { // S14
  check_bites({mutation::no_status_push, 1, 100});
}
