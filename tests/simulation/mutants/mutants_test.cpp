// Every mutant of mutants.txt is caught by its seed and check, and by nothing with all rules
// there; where two are left out, by nothing with either.
#define BOOST_TEST_MODULE simulation_mutants
#include "tests/simulation/mutants/mutants.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace tallymesh;
using namespace tallymesh::simulation;

namespace {
const mutant_list& list() {
  static const auto read = [] {
    std::ifstream file(MUTANTS);
    BOOST_REQUIRE(file);
    return read_list(file);
  }();
  return read;
}

/// A case of unit_mutants in a process of its own: a mutant may end it, or go round in circles.
bool test_passes(const std::string& test, rule without) {
  std::fflush(nullptr); // or the child would say it again
  const auto child = fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit seconds{10, 10};
    setrlimit(RLIMIT_CPU, &seconds);
    setenv("LEFT_OUT", std::string(to_string(without)).c_str(), 1);
    if (!std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr))
      _exit(3);
    execl(UNIT_MUTANTS, UNIT_MUTANTS, ("--run_test=" + test).c_str(), nullptr);
    _exit(3);
  }
  int status = 0;
  BOOST_REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
} // namespace

BOOST_AUTO_TEST_CASE(every_mutant_is_caught_by_the_seed_that_once_caught_it) {
  for (const auto& each : list().seen) {
    const auto found = go(each.where);
    BOOST_TEST(found.has_value(), line_of(each) << ": passes");
    if (found)
      BOOST_TEST(found->check == each.check, line_of(each) << ", not " << found->check);
  }
}

BOOST_AUTO_TEST_CASE(with_all_rules_the_same_seeds_pass_and_with_either_of_two) {
  for (const auto& each : list().seen)
    for (const auto& fewer : fewer_than(each.where.without)) {
      auto other = each.where;
      other.without = fewer;
      const auto found = go(other);
      BOOST_TEST(!found.has_value(), line_of(each) << ": without " << to_string(fewer)
                                                   << " as well: " << found->check);
    }
}

BOOST_AUTO_TEST_CASE(what_no_seed_shows_a_unit_test_does) {
  for (const auto& each : list().by_test) {
    const auto name = to_string(each.without);
    BOOST_TEST(!test_passes(each.test, each.without), each.test << " passes without " << name);
    BOOST_TEST(test_passes(each.test, rule::none), each.test << " fails with all rules");
  }
}

BOOST_AUTO_TEST_CASE(every_rule_is_on_the_list) {
  auto listed = list().unseen;
  std::set<std::pair<rule, bool>> hunted; // with the order checked, and without
  for (const auto& each : list().seen) {
    const auto rules = rules_of(each.where.without);
    if (rules.size() != 1) continue; // each of these has a line of its own
    BOOST_TEST(!list().unseen.contains(rules.front()), line_of(each) << ": seen and unseen");
    listed.insert(rules.front());
    hunted.emplace(rules.front(), each.where.check_order);
  }
  for (const auto& each : all_rules()) {
    BOOST_TEST(listed.contains(each.what), each.name << " is not listed");
    if (!each.name.starts_with("s15_")) continue;
    BOOST_TEST(hunted.contains({each.what, true}), each.name << " lacks an order");
    BOOST_TEST(hunted.contains({each.what, false}), each.name << " lacks an effect");
  }
}

BOOST_AUTO_TEST_CASE(a_line_that_says_nothing_known_is_refused) {
  for (const std::string line :
       {"! s17_links unti consensus_rules/s17_links", "! s17_links unit", "! s17_links",
        "! s17_link open", "s17_links 4 1 ordre certificates verify"}) {
    std::istringstream alone(line);
    BOOST_CHECK_THROW(read_list(alone), std::runtime_error);
  }
  std::istringstream known("! s17_links open (not in 15 x 20000 seeds)\n"
                           "! s17_links unit consensus_rules/s17_links\n");
  BOOST_TEST(read_list(known).by_test.size() == 1u);
}
