// With a rule taken out of the machines scripts fail, and what is left of them is short; a
// failed run leaves a folder that repeats it.
#define BOOST_TEST_MODULE faults_bite
#include "tests/faults/failure.hpp"
#include "tests/faults/language/parser.hpp"
#include "tests/simulation/mutants/rules.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdlib.h>

using namespace tallymesh::faults;

namespace {

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

script read(const std::string& name) {
  auto made = parse_script(contents(std::string(SCRIPTS) + "/" + name), name);
  BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().context));
  return std::move(*made);
}

/// Machines lack the rule as long as it lives.
struct without {
  explicit without(tallymesh::rule what) { tallymesh::left_out = what; }
  ~without() { tallymesh::left_out = tallymesh::rule::none; }
  without(const without&) = delete;
  without& operator=(const without&) = delete;
};

/// What a rule is good for must show in what comes of it, not in the order of effects.
constexpr bool check_order = false;

simulated_summary run_seeds(const script& what, std::uint64_t seeds) {
  simulated_campaign how;
  how.first_seed = 1;
  how.seeds = seeds;
  how.jobs = 2;
  how.check_order = check_order;
  return run_simulated(what, how);
}

std::size_t acts(const script& x) {
  std::size_t count = 0;
  for (const auto& each : x.statements)
    count += each.what <= statement::kind::every;
  return count;
}

struct scratch_folder {
  std::filesystem::path path;
  scratch_folder() {
    auto name = (std::filesystem::temp_directory_path() / "faultsXXXXXX").string();
    BOOST_REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~scratch_folder() { std::filesystem::remove_all(path); }
};

} // namespace

BOOST_AUTO_TEST_CASE(the_same_seed_runs_a_script_the_same_way) {
  const auto what = read("leader_killed_minority_cut_off.fault");
  const auto once = run_simulated(what, simulated_options{3, true, {}});
  const auto again = run_simulated(what, simulated_options{3, true, {}});
  const auto other = run_simulated(what, simulated_options{4, true, {}});
  BOOST_TEST(once.trace_digest == again.trace_digest);
  BOOST_TEST(once.trace_digest != other.trace_digest);
  BOOST_TEST(once.acknowledged > 0u);
}

BOOST_AUTO_TEST_CASE(votes_that_are_not_stored_break_a_script_and_little_of_it_is_left) {
  const auto what = read("everything_at_once.fault");
  std::optional<without> forgetful{std::in_place, tallymesh::rule::s15_vote};
  const auto broken = run_seeds(what, 60);
  BOOST_REQUIRE(broken.first_failure.has_value());
  const auto& failed = *broken.first_failure;
  const auto found = reduce_failure(what, failed, check_order);
  BOOST_TEST_MESSAGE(found.reduced.text());
  BOOST_TEST(acts(found.reduced) < acts(what));
  BOOST_TEST(acts(found.reduced) <= 4u); // of eleven

  const scratch_folder scratch;
  BOOST_REQUIRE(
      write_failure(scratch.path / "failed", what, failed, found, check_order).has_value());
  const auto again = parse_script(contents(scratch.path / "failed/reduced.fault"), "reduced");
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(!run_simulated(*again, simulated_options{again->seed, check_order, {}}).passed());
  forgetful.reset();
  BOOST_TEST(run_simulated(what, simulated_options{failed.seed, true, {}}).passed());
  const auto timeline = contents(scratch.path / "failed/timeline.txt");
  BOOST_TEST(timeline.find("script line") != timeline.npos);
  BOOST_TEST(timeline.find("VIOLATION") != timeline.npos);
}

BOOST_AUTO_TEST_CASE(without_status_pushes_a_partition_is_not_healed) {
  const auto what = read("leader_killed_minority_cut_off.fault");
  const without pushes(tallymesh::rule::s14_pushes);
  BOOST_TEST(run_seeds(what, 20).failed > 0u);
}

namespace {
struct once_failed {
  const char* script;
  std::uint64_t seed;
  const char* story;
};
constexpr once_failed regressions[] = {
    {"long_absence.fault", 3000149,
     "who fetched ranges asked sooner than it was served, and waited as for a liar"},
    {"narrow_line.fault", 3000006,
     "silence was watched while a status from before healing was on its way"},
    {"simulator_only/slower_than_patience.fault", 179,
     "each view was notarized just after its nodes had given it up, and none waited longer"},
    {"twin_during_catch_up.fault", 3000096,
     "silence was watched while a twin's last word was still asked for"},
};
} // namespace

BOOST_AUTO_TEST_CASE(scripts_pass_with_the_seeds_that_once_failed) {
  for (const auto& each : regressions) {
    const auto result =
        run_simulated(read(each.script), simulated_options{each.seed, true, {}});
    BOOST_TEST(result.passed(),
               each.story << ": " << (result.passed() ? "" : result.findings.front().text));
  }
}
