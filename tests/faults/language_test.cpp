// The language of fault scripts: what it reads, and how it says what is wrong.
#define BOOST_TEST_MODULE faults_language
#include "tests/faults/language/parser.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::faults;
using namespace std::chrono_literals;

namespace {

const std::string head = "name \"a story\"\nnodes n1..n7\n";
const std::string tail = "at 10s heal\nwithin 15s after heal converged\n";

script read(const std::string& body) {
  auto made = parse_script(head + body + "\n" + tail, "x.fault");
  BOOST_REQUIRE_MESSAGE(made.has_value(), body << ": " << (made ? "" : made.error().context));
  return std::move(*made);
}

/// The third line is wrong.
void refuse(const std::string& body, const std::string& wanted) {
  const auto made = parse_script(head + body + "\n" + tail, "x.fault");
  BOOST_REQUIRE_MESSAGE(!made, "accepted: " << body);
  BOOST_TEST(made.error().context == "x.fault:3:" + wanted);
}

} // namespace

BOOST_AUTO_TEST_CASE(the_designs_example_is_read_as_it_stands) {
  const auto made = parse_script("name   \"leader killed while a minority is cut off\"\n"
                                 "nodes  n1..n7\n"
                                 "seed   42\n"
                                 "link   * * delay 5ms..40ms loss 1%\n"
                                 "load   n1..n7 rate 200/s size 256B\n"
                                 "at 2s      partition {n1 n2} | {n3..n7}\n"
                                 "at 3s      kill leader\n"
                                 "at 5s      disk n4 full for 4s\n"
                                 "at 9s      start killed\n"
                                 "at 10s     heal\n"
                                 "always     no_divergence, no_lost_ack, no_double_vote\n"
                                 "within 15s after heal   converged, all_acked_final\n"
                                 "after idle 5s           quiet\n",
                                 "x.fault");
  BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().context));
  BOOST_TEST(made->name == "leader killed while a minority is cut off");
  BOOST_TEST(made->nodes == 7);
  BOOST_TEST(made->seed == 42u);
  BOOST_TEST((made->heal == 10s));
  BOOST_REQUIRE(made->statements.size() == 9u);
  const auto& line = made->statements[0].does.quality;
  BOOST_TEST((line.least_delay == 5ms && line.most_delay == 40ms));
  BOOST_TEST(line.lost_ppm == 10'000u);
  BOOST_TEST(made->statements[2].does.sets[1].size() == 5u);
  BOOST_TEST((made->statements[4].does.lasting == std::optional<duration>(4s)));
  BOOST_TEST(made->expects(check::no_lost_ack));
  BOOST_TEST(made->expects(check::quiet));
  BOOST_TEST(!made->expects(check::exactly_once));
  BOOST_TEST((made->settle_within() == 15s));
}

BOOST_AUTO_TEST_CASE(every_act_is_read) {
  for (const auto* each : {"at 1s partition n1 | n2 | {n3..n7} for 2s",
                           "at 1s one way {n1 n2} -> *",
                           "at 1s cut n1",
                           "at 1s cut n1 n2..n4 for 500ms",
                           "at 1s link n1 * slow 64KiB/s for 2s",
                           "at 1s link * * duplicate 0.5% delay 1ms",
                           "at 1s kill random 2 for 300ms",
                           "at 1s kill leader",
                           "at 1s start killed",
                           "at 1s stop {n1 leader} for 3s",
                           "at 1s continue stopped",
                           "at 1s disk n1 torn",
                           "at 1s disk * slow for 2s",
                           "at 1s disk n1 eio for 2s",
                           "at 1s clock leader +1h for 2s",
                           "at 1s clock n1 -5min",
                           "at 1s flood n1 with garbage rate 100/s for 1s",
                           "at 1s flood n2 with operations rate 900/s for 1s",
                           "at 1s lose vote log n1",
                           "at 5s restore n1 from 2s",
                           "at 5s restore {n1 n2} from 2s for 1s",
                           "every 2s from 5s restore n1 from 4s",
                           "at 1s kill_actor n3 consensus",
                           "at 1s crash n3 before persist 4",
                           "at 1s crash n3 after send",
                           "at 1s power loss of all",
                           "at 1s power loss for 1s",
                           "at 1s live within 4s",
                           "at 1s converged within 4s",
                           "at 1s quiet within 4s",
                           "at 1s twin n7",
                           "at 1s rogue n7",
                           "at 1s liar {n6 n7}",
                           "at 1s withhold n7",
                           "at 1s equivocate n7",
                           "at 1s fork lane n7",
                           "at 1s babble n7",
                           "at 1s replay n7",
                           "at 1s hoard n7",
                           "at 1s mute n7",
                           "every 500ms from 1s until 9s kill random for 300ms",
                           "load * rate 5/s from 2s until 3s",
                           "always exactly_once, balances_zero bounded_memory # a comment",
                           ""})
    read(each);
}

BOOST_AUTO_TEST_CASE(an_error_names_line_and_column_and_says_what_to_write) {
  refuse("at 3s kil leader", "7: found 'kil': write 'kill'");
  refuse("at 3 kill leader",
         "4: found '3': write a time with its unit (us, ms, s, min, h; 24 h "
         "at most), such as 5s");
  refuse("at 3s kill n8", "12: there is no n8: the nodes are n1..n7");
  refuse("at 3s kill {n1 n2", "18: the set does not end: write }");
  refuse("at 3s partition n1 n2", "20: found 'n2': write '|' and the other side, such as "
                                  "'partition {n1} | {n2..n4}'");
  refuse("at 3s partition n1 | {n1 n2}", "28: n1 stands on two sides: leave it on one");
  refuse("at 3s kill n1 now", "15: found 'now' where the line should end");
  refuse("at 11s kill n1", "1: this comes after healing at 10s: write an earlier time");
  for (const std::string check : {"live", "converged", "quiet"}) {
    const std::string until_14s = "1: this is looked at until 14s, and after healing at 10s it "
                                  "holds anyway: write a shorter time, or heal later";
    refuse("at 8s " + check + " within 6s", until_14s);
    refuse("every 1s until 9s " + check + " within 5s", until_14s);
    refuse("every 1s " + check + " within 4s", until_14s);
  }
  refuse("always quiet", "8: quiet cannot hold always: write 'within 60s after heal quiet'");
  refuse("link * * loss 1", "15: found '1': write a share from 0% to 100%, such as 1%");
  refuse("load leader rate 5/s", "6: a load goes to nodes by name: write n1..n4 or *");
  refuse("at 3s restore n1", "17: the line ends here: write 'from' and when the copy is made, "
                             "such as 'restore n3 from 4s'");
  refuse("at 3s restore random 1 from 1s",
         "22: who counts as faulty must be known by name: write n3");
  refuse("at 3s restore n1 from 3s",
         "1: at 3s there is no copy of 3s yet: write an earlier time after 'from'");
  refuse("every 2s restore n1 from 4s",
         "1: at 2s there is no copy of 4s yet: write an earlier time after 'from'");
  refuse("at 1s twin leader", "12: who counts as faulty must be known by name: write n3");
  refuse("at 1s twin n1..n3", "1: 3 faulty nodes of 7, and the mesh bears 2: write 'nodes "
                              "n1..n10' or fewer of them");
  refuse("every 10us kill n1", "7: too often: write 1ms at least");
  refuse("at 1s flood n1 with garbage rate 5/s", "37: for how long? write 'for 2s'");
  refuse("name \"again", "6: this text does not end: write the closing \" on the same line");
}

BOOST_AUTO_TEST_CASE(a_script_must_end_in_healing_and_recovery) {
  const auto without_heal = parse_script(head + "within 5s after heal converged\n", "x.fault");
  BOOST_REQUIRE(!without_heal);
  BOOST_TEST(without_heal.error().context
             == "x.fault:4:1: the script does not end in healing: write 'at 12s heal'");
  const auto without_end = parse_script(head + "at 9s heal\n", "x.fault");
  BOOST_REQUIRE(!without_end);
  BOOST_TEST(
      without_end.error().context
      == "x.fault:4:1: nothing says that the mesh recovers: write 'within 60s after heal "
         "converged'");
}

BOOST_AUTO_TEST_CASE(a_script_written_as_text_again_means_the_same) {
  const auto once = read("# why\nseed 7\nlink n1 n2 delay 2ms\nat 1500ms kill n3 for 200us");
  const auto again = parse_script(once.text(), "y.fault");
  BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().context));
  BOOST_TEST(again->text() == once.text());
  BOOST_TEST(again->seed == 7u);
}

BOOST_AUTO_TEST_CASE(repetitions_stand_in_the_timeline_in_order) {
  const auto made = read("every 2s from 1s until 6s kill n1\nat 4s start n1");
  std::vector<std::string> moments;
  for (const auto& each : timeline(made))
    moments.push_back(duration_text(each.when) + " " + std::string(to_string(each.does->what)));
  const std::vector<std::string> wanted{"1s kill", "3s kill", "4s start", "5s kill"};
  BOOST_TEST(moments == wanted, boost::test_tools::per_element());
}
