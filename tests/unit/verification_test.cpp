// What a node finds in a candidate, and that it says so whatever the candidate does to it.
#include "actors/steward/candidates.hpp"
#include "contracts/trial.hpp"
#include "tests/unit/storage_fixture.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::steward;
using storage::testing::temporary_directory;

namespace tallymesh {
static std::ostream& operator<<(std::ostream& out, outcome x) { return out << to_string(x); }
} // namespace tallymesh

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

std::string jobs(const std::string& tests) {
  return "return { contract = \"jobs\", version = 1, tables = { jobs = { key = {\"id\"}, "
         "fields "
         "= { id = int64, text = text{max=60000} }, store = {\"anyone\"} } }, tests = { "
         + tests + " } }";
}
const std::string busy = "function(t) for i = 1, 10000 do t.time() end end";

/// A node of a mesh whose chain has not begun.
struct idle_node {
  temporary_directory home;
  contract_executor::machine executor =
      contract_executor::machine::make({.chain = {},
                                        .nodes = {{"hq", contracts::tier::level1}},
                                        .accounts = {},
                                        .contracts = {}})
          .value();
  std::unique_ptr<storage::ledger> ledger =
      storage::ledger::open(home / "ledger", storage::testing::test_domain()).value();
  std::unique_ptr<storage::batch_store> batches =
      storage::batch_store::open(home / "batches", storage::testing::test_domain()).value();

  findings verify(const std::string& source, std::uint64_t gas = verification_gas) const {
    return steward::verify(
        source, "node@hq",
        {executor, *ledger, *batches, [](const error&) { std::abort(); }, gas});
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

BOOST_AUTO_TEST_CASE(the_tests_of_a_candidate_share_one_purse) {
  const auto source = jobs("a = " + busy + ", b = " + busy + ", c = " + busy);
  auto of_one = UINT64_MAX;
  auto tests = contracts::trial::make(source, "jobs.lua").value();
  BOOST_TEST(tests->run("a", of_one).ok());
  const auto price = UINT64_MAX - of_one;

  const idle_node here;
  const auto enough = here.verify(source, 3 * price);
  BOOST_TEST(enough.tests == 3u);
  const auto less = here.verify(source, 3 * price - 1);
  BOOST_TEST(!less.good);
  BOOST_TEST(less.tests == 2u);
  BOOST_TEST(less.lines.front().starts_with("its tests together take more than"));
}

BOOST_AUTO_TEST_CASE(who_acts_in_a_test_and_what_it_reads_is_paid_for) {
  const auto price_of = [](const std::string& body) {
    const auto source = jobs("a = function(t) " + body + " end");
    auto purse = UINT64_MAX;
    const auto ended = contracts::trial::make(source, "jobs.lua").value()->run("a", purse);
    BOOST_TEST(ended.ok(), ended.text);
    return UINT64_MAX - purse;
  };
  BOOST_TEST(price_of("t.as(\"clerk@hq\")") > price_of("") + 60'000); // another set of rules
  const std::string write = "t.store(\"jobs\", { id = 1, text = (\"x\"):rep(50000) }) ";
  BOOST_TEST(price_of(write + "t.get(\"jobs\", 1)") > price_of(write) + 50'000);
}

BOOST_AUTO_TEST_CASE(the_rows_of_a_test_have_room_and_no_more) {
  const auto source = jobs("a = function(t) local text = (\"x\"):rep(60000) for i = 1, 1200 do "
                           "t.store(\"jobs\", { id = i, text = text }) end end");
  auto purse = UINT64_MAX;
  contracts::vm_limits limits;
  limits.test_gas = 10'000'000'000;
  const auto ended =
      contracts::trial::make(source, "jobs.lua", {}, limits).value()->run("a", purse);
  BOOST_TEST(!ended.ok());
  BOOST_TEST(ended.text.find("out_of_memory (rows)") != ended.text.npos, ended.text);
}

BOOST_AUTO_TEST_CASE(what_a_test_activates_is_paid_from_its_own_gas) {
  // Its migration never ends; the little mesh has one node, which decides alone.
  const std::string candidate =
      "return { contract = \\\"other\\\", version = 1, tables = { t = { key = {\\\"id\\\"}, "
      "fields "
      "= { id = int64 } } }, migrate = function(ctx) while true do end end }";
  const auto source = jobs(
      "a = function(t) t.as(\"node@tester\") t.call(\"mesh\", \"propose\", { source = \""
      + candidate
      + "\" }) local id = (\"0\"):rep(31) .. \"1\" t.call(\"mesh\", \"verdict\", { proposal = "
        "id, "
        "good = true, tests = 0, rows = 0, replayed = 0, differing = 0 }) t.call(\"mesh\", "
        "\"approve\", { proposal = id }) end");
  auto purse = std::uint64_t{100'000'000};
  const auto ended = contracts::trial::make(source, "jobs.lua").value()->run("a", purse);
  BOOST_TEST(ended.why == outcome::out_of_gas, ended.text);
  BOOST_TEST(purse == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
