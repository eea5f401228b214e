// What real processes can be asked for. Plays nothing.
#define BOOST_TEST_MODULE faults_real
#include "tests/faults/language/parser.hpp"
#include "tests/faults/real/real.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh::faults;

namespace {

constexpr const char* end_of_script = "at 9s heal\nwithin 60s after heal converged\n";

std::vector<std::string> refused(const std::string& lines) {
  const auto what = parse_script("name \"x\"\n" + lines + end_of_script, "my.fault");
  BOOST_REQUIRE_MESSAGE(what.has_value(), (what ? "" : what.error().context));
  return simulation_only(*what);
}

} // namespace

BOOST_AUTO_TEST_CASE(what_tcp_never_does_is_refused_where_it_stands) {
  const auto why = refused("nodes n1..n4\n  link * * delay 1ms duplicate 5%\n"
                           "at 2s link n1 n2 duplicate 1% for 1s\n");
  BOOST_REQUIRE(why.size() == 2u);
  BOOST_TEST(why[0].starts_with("my.fault:3:22: "));
  BOOST_TEST(why[1].starts_with("my.fault:4:18: "));
  BOOST_TEST(why[0].find("TCP") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_asked_after_healing_only_is_refused_before_it) {
  const auto why = refused("nodes n1..n4\nat 1s converged within 4s\nat 2s live within 4s\n"
                           "at 2s quiet within 4s\n");
  BOOST_REQUIRE(why.size() == 2u);
  BOOST_TEST(why[0].starts_with("my.fault:3:7: "));
  BOOST_TEST(why[1].starts_with("my.fault:5:7: "));
}

BOOST_AUTO_TEST_CASE(a_mesh_that_nobody_can_make_is_refused) {
  const auto why = refused("nodes n1..n3\n");
  BOOST_REQUIRE(why.size() == 1u);
  BOOST_TEST(why[0].starts_with("my.fault:2:7: "));
  BOOST_TEST(refused("nodes n1..n1\n").empty());
}

BOOST_AUTO_TEST_CASE(traitors_floods_and_failing_disks_can_be_played) {
  BOOST_TEST(refused("nodes n1..n4\nat 1s rogue n2\nat 2s disk n3 torn for 1s\n"
                     "at 2s flood n1 with strangers rate 5/s for 1s\n"
                     "at 2s flood n1 with slow_readers rate 5/s for 1s\n"
                     "at 3s crash n1 before send 2 for 1s\n")
                 .empty());
}
