// A contract is upgraded while four processes are busy with it: every operation is executed
// once, by the version that was in force at its place on the chain. Candidates that existing
// rows do not fit are refused by every node, with the row named.
#include "tests/end_to_end/identical.hpp"
#include "tests/end_to_end/made_mesh.hpp"

#include "tools/tally/comparison.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/operations.hpp"
#include "tools/tally/processes.hpp"

#include <atomic>
#include <csignal>
#include <fstream>
#include <thread>

using namespace tallymesh;
using namespace std::chrono_literals;
namespace tally = tallymesh::tally;
namespace json = boost::json;

namespace {

/// `make` leaves the number of its version in the row.
std::string jobs(int version, const std::string& fields, const std::string& rest,
                 const std::string& also_stored = "") {
  const auto number = std::to_string(version);
  return "return { contract = \"jobs\", version = " + number
         + ", tables = { jobs = { key = {\"id\"}, fields = { id = text{max=16}, size = int64, "
         + fields + " }, read = {\"anyone\"}, " + rest
         + " } }, actions = { make = { may = {\"anyone\"}, params = { id = text{max=16}, size "
           "= "
           "int64 }, run = function(ctx, p) ctx.store(\"jobs\", { id = p.id, size = p.size, "
           "made_by = "
         + number + also_stored
         + " }) end } },\n  tests = { [\"a job is made\"] = function(t)\n"
         + "    t.run(\"make\", { id = \"a\", size = 1 })\n    t.equal(t.get(\"jobs\", \"a\")."
           "made_by, "
         + number + ")\n  end } }\n";
}
const std::string first = jobs(1, "made_by = int64", "index = { {\"size\"} }");
const std::string second = jobs(2, "made_by = int64, note = optional(text{max=9})",
                                "index = { {\"made_by\"}, {\"size\", \"id\"} }");
const std::string narrow =
    jobs(3, "made_by = int64, urgent = bool", "index = { }", ", urgent = true");

/// The same with a migration in front of its tests.
std::string with_migration(std::string source, const std::string& body) {
  return source.insert(source.rfind("tests = {"),
                       "migrate = function(ctx)\n" + body + "\nend,\n  ");
}
/// A required field that no row has, until the migration has been through all of them.
const std::string marked =
    with_migration(jobs(2, "made_by = int64, even = bool, moved_by = optional(text{max=130})",
                        "index = { {\"even\", \"id\"} }", ", even = false"),
                   R"lua(
      local from = nil
      while true do
        local page = ctx.range("jobs", from, nil, { limit = 100 })
        for _, each in ipairs(page) do
          ctx.store("jobs", { id = each.id, even = each.size % 2 == 0, moved_by = ctx.author.name })
          from = each.id
        end
        if #page < 100 then return end
      end)lua");
const std::string refusing = with_migration(jobs(2, "made_by = int64", ""),
                                            "ctx.require(ctx.height == 0, \"books_open\")");

struct place {
  std::int64_t height = 0, position = 0;
  auto operator<=>(const place&) const = default;
};
place place_of(const json::value& receipt) {
  return {tally::number_at(receipt, "height"), tally::number_at(receipt, "position")};
}

struct made_job {
  std::string id;
  place where;
};

/// Makes jobs through one gateway, request after request, until it is told to stop.
class client {
public:
  client(const tally::gateway& at, std::size_t number)
      : target_(at.target), number_(number), work_([this] { make_until_stopped(); }) {}
  ~client() { stop(); }
  void stop() {
    stopping_ = true;
    if (work_.joinable()) work_.join();
  }
  const std::vector<made_job>& made() const { return made_; } ///< after stop
  const std::string& failure() const { return failure_; }     ///< likewise
  int rounds() const { return rounds_; }

private:
  static constexpr int jobs_a_request = 20;

  void make_until_stopped() {
    tally::http_client gateway(target_);
    while (!stopping_ && failure_.empty()) {
      std::string body;
      for (int i = 0; i < jobs_a_request; ++i)
        body += json::serialize(json::value{
                    {"id", tally::new_operation_id().hex()},
                    {"contract", "jobs"},
                    {"action", "make"},
                    {"arguments",
                     {{"id", std::to_string(number_) + "-" + std::to_string(next_ + i)},
                      {"size", next_ + i}}}})
                + "\n";
      const auto answer = gateway.send({tally::http_method::post,
                                        "/v1/operations?wait=finalized&timeout_ms=60000",
                                        std::move(body), "application/x-ndjson", 70s});
      if (!answer || answer->status != 200) {
        failure_ = answer ? answer->body : answer.error().context;
        return;
      }
      read(answer->body);
      next_ += jobs_a_request;
      ++rounds_;
    }
  }

  void read(std::string_view lines) {
    for (int i = 0; i < jobs_a_request; ++i) {
      const auto end = std::min(lines.find('\n'), lines.size());
      const auto receipt = tally::parse_json(lines.substr(0, end));
      lines.remove_prefix(std::min(end + 1, lines.size()));
      if (!receipt || tally::text_at(*receipt, "result") != "done") {
        failure_ = receipt ? json::serialize(*receipt) : "no receipt";
        return;
      }
      made_.push_back(
          {std::to_string(number_) + "-" + std::to_string(next_ + i), place_of(*receipt)});
    }
  }

  tally::http_target target_;
  std::size_t number_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> rounds_ = 0;
  std::int64_t next_ = 0;
  std::vector<made_job> made_;
  std::string failure_;
  std::thread work_; // last: it uses all of the above
};

struct busy_mesh {
  made_mesh files;
  std::filesystem::path mesh = files.directory / "mesh";
  std::vector<tally::gateway> gateways;
  std::vector<std::unique_ptr<client>> clients;

  static std::string contract_file() {
    const auto file = std::filesystem::temp_directory_path()
                      / ("tallymesh-jobs-" + std::to_string(::getpid()) + ".lua");
    std::ofstream(file) << first;
    return file;
  }

  busy_mesh() : files(four_names, contract_file()) {
    std::filesystem::remove(contract_file());
    BOOST_REQUIRE(tally_runs("up " + mesh.string() + " --within 60") == 0);
    tally::place where;
    where.mesh = mesh;
    gateways = tally::find_gateways(where).value();
    for (std::size_t i = 0; i < gateways.size(); ++i)
      clients.push_back(std::make_unique<client>(gateways[i], i));
  }
  ~busy_mesh() {
    clients.clear();
    BOOST_TEST(tally_runs("down " + mesh.string() + " --within 10 --force") == 0);
  }

  static int tally_runs(const std::string& command) {
    const int status =
        std::system((std::string(TALLY_PROGRAM) + " " + command + " > /dev/null").c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int contract(const std::string& command, const std::string& node = "hq") const {
    return tally_runs("contract " + command + " --mesh " + mesh.string() + " --node " + node);
  }

  void rounds_pass(int more) {
    for (const auto& each : clients) {
      const auto wanted = each->rounds() + more;
      BOOST_TEST_REQUIRE(
          tally::poll_until(60s, 10ms, [&] { return each->rounds() >= wanted; }));
    }
  }

  json::value get(const std::string& path, std::size_t from = 0) {
    tally::http_client asking(gateways[from].target);
    auto answer = tally::get_json(asking, path);
    BOOST_TEST_REQUIRE(answer.has_value(), answer.error().context);
    return *answer;
  }
  std::vector<json::value> list(const std::string& table, const std::string& query,
                                std::size_t from = 0) {
    tally::http_client asking(gateways[from].target);
    auto rows = tally::list_table(asking, table, query, 1'000'000);
    BOOST_TEST_REQUIRE(rows.has_value(), rows.error().context);
    return *rows;
  }

  /// Through the command line, as a person does it. The proposal's id.
  std::string propose(const std::string& source) {
    const auto file = (files.directory / "candidate.lua").string();
    std::ofstream(file) << source;
    const auto before = list("mesh.proposals", "").size();
    BOOST_TEST_REQUIRE(contract("propose " + file + " --reason test", "coop") == 0);
    // The first node may come to it later than the one that was told.
    std::vector<json::value> all;
    BOOST_TEST_REQUIRE(tally::poll_until(60s, 50ms, [&] {
      all = list("mesh.proposals", "");
      return all.size() == before + 1;
    }));
    const auto newest = std::ranges::max_element(
        all, {}, [](const json::value& x) { return tally::number_at(x, "time_ms"); });
    return tally::text_at(*newest, "id");
  }
  json::value proposal(const std::string& id) {
    return get("/v1/tables/mesh.proposals/rows/" + id).at("row");
  }
  void becomes(const std::string& id, std::string_view state) {
    BOOST_TEST(tally::poll_until(
                   60s, 50ms, [&] { return tally::text_at(proposal(id), "state") == state; }),
               json::serialize(proposal(id)));
  }
  /// All four nodes have said what they found.
  std::vector<json::value> verdicts(const std::string& id) {
    std::vector<json::value> all;
    BOOST_TEST(tally::poll_until(60s, 50ms, [&] {
      all = list("mesh.verdicts", "&proposal=" + id);
      return all.size() == gateways.size();
    }));
    return all;
  }

  void stop_clients() {
    for (const auto& each : clients) {
      each->stop();
      BOOST_TEST(each->failure() == "");
    }
    // What one node has said is done, another may still have to execute.
    auto asking = tally::clients_of(gateways);
    BOOST_TEST(tally::poll_until(60s, 20ms, [&] {
      const auto answers = tally::ask_all(asking, "/v1/digest");
      for (std::size_t i = 0; i < answers.size(); ++i) {
        const auto said = tally::node_digest::from(gateways[i].node, answers[i]);
        const auto jobs = said.tables.find("jobs.jobs");
        if (jobs == said.tables.end() || jobs->second.records != jobs_made()) return false;
      }
      return true;
    }));
  }
  std::size_t jobs_made() const {
    std::size_t made = 0;
    for (const auto& each : clients)
      made += each->made().size();
    return made;
  }

  void check_identical() {
    for (const auto& each : check_all_hold_the_same(gateways))
      BOOST_TEST(each.tables.at("jobs.jobs").records == jobs_made());
  }

  const std::filesystem::path& directory_of(std::string_view node) {
    return std::ranges::find(gateways, node, &tally::gateway::node)->directory;
  }
  void start(const std::string& node) {
    BOOST_TEST_REQUIRE(tally_runs("up " + mesh.string() + " " + node + " --within 60") == 0);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(upgrade)

BOOST_AUTO_TEST_CASE(an_upgrade_under_load_loses_nothing_and_each_version_executes_its_own) {
  busy_mesh at;
  at.rounds_pass(3);

  const auto id = at.propose(second);
  for (const auto& each : at.verdicts(id)) {
    BOOST_TEST(each.at("good").as_bool(), json::serialize(each));
    BOOST_TEST(each.at("tests").as_int64() == 1);
    BOOST_TEST(each.at("rows").as_int64() > 0);
    BOOST_TEST(each.at("replayed").as_int64() > 0);
    BOOST_TEST(each.at("differing").as_int64() == each.at("replayed").as_int64());
  }
  at.becomes(id, "voting");
  at.rounds_pass(2);
  for (const std::string node : {"hq", "coop", "platform"})
    BOOST_TEST(at.contract("approve " + id, node) == 0);
  at.becomes(id, "accepted");
  at.rounds_pass(3);

  // A required field that no row has.
  const auto bad = at.propose(narrow);
  for (const auto& each : at.verdicts(bad)) {
    BOOST_TEST(!each.at("good").as_bool());
    const auto& found = each.at("findings").as_string();
    BOOST_TEST(found.find("jobs.jobs row 0-0 does not fit") != found.npos, found);
  }
  at.becomes(bad, "refused");
  at.rounds_pass(2);
  at.stop_clients();

  const auto history = at.get("/v1/tables/mesh.contracts/rows/jobs/history");
  const auto& change = history.at("changes").as_array().front();
  const auto activation =
      place_of(at.get("/v1/operations/" + std::string(change.at("operation").as_string())));
  std::map<std::string, std::int64_t> made_by;
  for (const auto& row : at.list("jobs.jobs", ""))
    made_by[tally::text_at(row, "id")] = tally::number_at(row, "made_by");
  BOOST_TEST(made_by.size() == at.jobs_made());
  std::size_t by_first = 0, by_second = 0, wrong = 0;
  for (const auto& each : at.clients)
    for (const auto& job : each->made()) {
      const auto by = made_by.contains(job.id) ? made_by[job.id] : 0;
      by_first += by == 1;
      by_second += by == 2;
      wrong += by != (job.where < activation ? 1 : 2);
    }
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(by_first > 0u);
  BOOST_TEST(by_second > 0u);
  BOOST_TEST(by_first + by_second == at.jobs_made());
  BOOST_TEST_MESSAGE(by_first << " jobs by version 1, " << by_second << " by version 2");
  // The index that only the second version declares holds the rows of both, on every node.
  for (std::size_t node = 0; node < at.gateways.size(); ++node) {
    BOOST_TEST(at.list("jobs.jobs", "&made_by=1", node).size() == by_first);
    BOOST_TEST(at.list("jobs.jobs", "&made_by=2", node).size() == by_second);
  }
  at.check_identical();

  // Whoever comes back, or begins with nothing, executes each height by its own version.
  const auto service = tally::node_process::find(at.directory_of("service"));
  BOOST_TEST_REQUIRE(service.has_value());
  service->send(SIGKILL);
  BOOST_TEST(service->wait_for_end(10s));
  at.start("service");
  BOOST_TEST(at.tally_runs("down " + at.mesh.string() + " platform --within 10") == 0);
  std::filesystem::remove_all(at.directory_of("platform") / "data");
  at.start("platform");
  at.check_identical();
  const auto file = (at.files.directory / "second.lua").string();
  std::ofstream(file) << second;
  BOOST_TEST(at.contract("verify jobs " + file) == 0);
  std::ofstream(file, std::ios::app) << "\n";
  BOOST_TEST(at.contract("verify jobs " + file) == 1);
}

BOOST_AUTO_TEST_CASE(a_migration_rewrites_the_rows_in_the_block_that_brings_its_version) {
  busy_mesh at;
  at.rounds_pass(3);

  const auto bad = at.propose(refusing);
  for (const auto& each : at.verdicts(bad)) {
    BOOST_TEST(!each.at("good").as_bool());
    const auto& found = each.at("findings").as_string();
    BOOST_TEST(found.find("its migration failed: refused_by_contract (books_open)")
                   != found.npos,
               found);
  }
  at.becomes(bad, "refused");
  BOOST_TEST(tally::text_at(at.proposal(bad), "outcome") == "verification_failed");

  const auto id = at.propose(marked);
  for (const auto& each : at.verdicts(id))
    BOOST_TEST(each.at("good").as_bool(), json::serialize(each));
  for (const std::string node : {"hq", "coop", "platform"})
    BOOST_TEST(at.contract("approve " + id, node) == 0);
  at.becomes(id, "accepted");
  at.rounds_pass(2);
  at.stop_clients();

  const auto in_force = at.get("/v1/tables/mesh.contracts/rows/jobs/history");
  const auto& activation = in_force.at("changes").as_array().front();
  const auto proposer = tally::text_at(at.proposal(id), "proposer");
  std::size_t moved = 0, fresh = 0;
  for (const auto& row : at.list("jobs.jobs", "")) {
    const auto size = tally::number_at(row, "size");
    const bool even = row.at("even").as_bool();
    if (tally::text_at(row, "moved_by").empty()) {
      ++fresh;
      BOOST_TEST(tally::number_at(row, "made_by") == 2);
      continue;
    }
    ++moved;
    BOOST_TEST(tally::number_at(row, "made_by") == 1);
    BOOST_TEST(even == (size % 2 == 0));
    BOOST_TEST(tally::text_at(row, "moved_by") == proposer);
  }
  BOOST_TEST(moved > 100u); // more than the migration reads at once
  BOOST_TEST(fresh > 0u);
  BOOST_TEST(moved + fresh == at.jobs_made());
  BOOST_TEST_MESSAGE(moved << " rows were migrated, " << fresh << " came later");
  // The last change of a row that was migrated is of the operation that brought the version.
  const auto history = at.get("/v1/tables/jobs.jobs/rows/0-0/history");
  BOOST_TEST(history.at("changes").as_array().front().at("operation")
             == activation.at("operation"));
  for (std::size_t node = 0; node < at.gateways.size(); ++node)
    BOOST_TEST(at.list("jobs.jobs", "&even=true", node).size()
                   + at.list("jobs.jobs", "&even=false", node).size()
               == at.jobs_made());
  at.check_identical();
}

BOOST_AUTO_TEST_SUITE_END()
