// The real shell, driven through a pseudo-terminal against four real nodes: in fewer than five
// commands it finds which node holds back the mesh and why. What the screen showed is compared
// with a recording, except for numbers, digests and widths; RECORD_SHELL=DIRECTORY writes new
// ones.
#include "storage/record.hpp"
#include "tests/end_to_end/terminal.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/processes.hpp"
#include "tools/tally/shell/client.hpp"

#include <atomic>
#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <lmdb.h>
#include <regex>
#include <sstream>
#include <sys/resource.h>
#include <thread>

using namespace tallymesh;
namespace tally = tallymesh::tally;
namespace fs = std::filesystem;
using end_to_end::terminal;

namespace {

struct command_outcome {
  int code = -1;
  std::string text;
};

command_outcome run(const std::string& line) {
  command_outcome out;
  auto* pipe = ::popen((line + " 2>&1").c_str(), "r");
  BOOST_REQUIRE(pipe != nullptr);
  char part[4096];
  while (const auto size = std::fread(part, 1, sizeof part, pipe))
    out.text.append(part, size);
  const int status = ::pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

/// Four nodes that run and hold some streets.
/// Connected to the first node with the mesh's own operator key.
struct operator_of_hq {
  configs::genesis genesis;
  std::unique_ptr<tally::mesh_client> client;

  explicit operator_of_hq(const fs::path& mesh)
      : genesis(configs::load_genesis(mesh / "genesis.toml").value()) {
    client = std::make_unique<tally::mesh_client>(
        genesis, signing_key::load(mesh / "operator.key").value(), std::vector<node_index>{0});
    client->wait_for({0}, std::chrono::seconds(10));
    BOOST_REQUIRE(client->is_up(0));
  }
};

struct running_mesh {
  fs::path scratch, mesh;

  running_mesh() {
    std::string name = fs::temp_directory_path() / "shell_test.XXXXXX";
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    scratch = name;
    mesh = scratch / "mesh";
    must("init " + mesh.string() + " --operator-may-act --contract " + CONTRACT_FILE);
    must("up " + mesh.string() + " --within 120");
    store(1, 20);
  }
  ~running_mesh() {
    for (const auto* each : {"hq", "coop", "platform", "service"})
      signal(each, SIGCONT);
    (void)run(std::string(TALLY_PROGRAM) + " down " + mesh.string() + " --within 10 --force");
    std::error_code ignored;
    fs::remove_all(scratch, ignored);
  }
  running_mesh(const running_mesh&) = delete;
  running_mesh& operator=(const running_mesh&) = delete;

  void must(const std::string& arguments) {
    const auto done = run(std::string(TALLY_PROGRAM) + " " + arguments);
    BOOST_REQUIRE_MESSAGE(done.code == 0, arguments + ": " + done.text);
  }
  fs::path rows(int first, int last) {
    const auto file = scratch / ("rows" + std::to_string(first) + ".csv");
    std::ofstream out(file);
    out << "code,name,areaCode,provinceCode,cityCode\n";
    for (int i = first; i <= last; ++i)
      out << 110101000 + i << ",street,110101,11,1101\n";
    return file;
  }
  void store(int first, int last) {
    must("store " + rows(first, last).string() + " --table divisions.streets --mesh "
         + mesh.string());
  }
  void signal(const std::string& node, int what) {
    if (const auto process = tally::node_process::find(mesh / node)) process->send(what);
  }
  /// As `kill` does it, not as a crash.
  void end(const std::string& node) {
    auto process = tally::node_process::find(mesh / node);
    BOOST_REQUIRE(process.has_value());
    BOOST_REQUIRE(process->send(SIGTERM));
    BOOST_REQUIRE(process->wait_for_end(std::chrono::seconds(30)));
  }
  std::string shell(const std::string& commands, const std::string& more = "") {
    return run(std::string(TALLY_PROGRAM) + " shell hq --mesh " + mesh.string() + " " + more
               + " -c '" + commands + "'")
        .text;
  }
};

/// What stays the same from run to run.
std::string structure_of(const std::string& text) {
  static const std::pair<std::regex, const char*> replacements[] = {
      // Whichever of the two meets the end of the disk first; both parts say the same one.
      {std::regex("(ledger: storage: ledger|batch store: storage: batch_store) at"),
       "STORE at"},
      {std::regex("/[^ ,:]*"), "PATH"},
      {std::regex("\\b[0-9a-f]{8,64}\\b"), "DIGEST"},
      {std::regex("\\b(up|down)\\b"), "#"}, // no round trip yet, or silent for long enough
      {std::regex("[0-9][0-9,.]*( (us|ms|s|min|h|B|KiB|MiB|GiB|TiB))*"), "#"},
      {std::regex("# #"), "#"},
      {std::regex(" +"), " "},
      {std::regex(" - "), " # "}};
  auto out = text;
  for (const auto& [what, with] : replacements)
    out = std::regex_replace(out, what, with);
  return out;
}

/// Types each command, and holds all that the screen showed against the recording.
std::string converse(const running_mesh& mesh, const std::vector<std::string>& commands,
                     const std::string& recording) {
  BOOST_REQUIRE(commands.size() < 5u);
  terminal screen({TALLY_PROGRAM, "shell", "hq", "--mesh", mesh.mesh.string()});
  BOOST_REQUIRE(screen.started());
  const std::string prompt = "hq> ";
  auto all = screen.read_until(prompt);
  BOOST_REQUIRE_MESSAGE(!all.empty(), "no prompt");
  for (const auto& each : commands) {
    screen.type(each + "\n");
    const auto shown = screen.read_until(prompt);
    BOOST_REQUIRE_MESSAGE(!shown.empty(), each + ": no answer");
    all += shown;
  }
  screen.type("quit\n");
  BOOST_TEST(screen.wait_for_end() == 0);
  if (const auto* directory = std::getenv("RECORD_SHELL")) {
    auto kept = all + '\n';
    for (auto at = kept.find(mesh.mesh.string()); at != kept.npos;
         at = kept.find(mesh.mesh.string()))
      kept.replace(at, mesh.mesh.string().size(), "/srv/mesh");
    std::ofstream(fs::path(directory) / recording) << kept;
    return all;
  }
  std::ifstream in(fs::path(RECORDINGS) / recording);
  std::stringstream kept;
  kept << in.rdbuf();
  BOOST_TEST(structure_of(all + "\n") == structure_of(kept.str()));
  return all;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Changes a row behind the back of a node that does not run, as a careless hand would.
void change_a_row(const fs::path& ledger) {
  static const storage::record_kind row_kind{"ledger", "row", storage::hex_name};
  MDB_env* environment = nullptr;
  BOOST_REQUIRE(mdb_env_create(&environment) == 0);
  mdb_env_set_maxdbs(environment, 32);
  mdb_env_set_mapsize(environment, std::size_t{64} << 20);
  BOOST_REQUIRE(mdb_env_open(environment, ledger.c_str(), 0, 0600) == 0);
  MDB_txn* transaction = nullptr;
  BOOST_REQUIRE(mdb_txn_begin(environment, nullptr, 0, &transaction) == 0);
  MDB_dbi database = 0;
  BOOST_REQUIRE(mdb_dbi_open(transaction, "rows", 0, &database) == 0);
  MDB_cursor* at = nullptr;
  BOOST_REQUIRE(mdb_cursor_open(transaction, database, &at) == 0);
  MDB_val key{}, held{};
  bool changed = false;
  while (!changed && mdb_cursor_get(at, &key, &held, MDB_NEXT) == 0) {
    const bytes key_bytes(static_cast<std::uint8_t*>(key.mv_data),
                          static_cast<std::uint8_t*>(key.mv_data) + key.mv_size);
    const bytes_view whole(static_cast<const std::uint8_t*>(held.mv_data), held.mv_size);
    std::string content(as_text(whole.subspan(storage::checksum_bytes)));
    const auto name = content.find("street");
    if (name == content.npos) continue;
    content[name] = 'S';
    auto sealed = storage::seal_record(row_kind, key_bytes, as_bytes(content));
    MDB_val now{sealed.size(), sealed.data()};
    MDB_val where{key_bytes.size(), const_cast<std::uint8_t*>(key_bytes.data())};
    BOOST_REQUIRE(mdb_cursor_put(at, &where, &now, MDB_CURRENT) == 0);
    changed = true;
  }
  mdb_cursor_close(at);
  BOOST_REQUIRE(mdb_txn_commit(transaction) == 0);
  mdb_env_close(environment);
  BOOST_REQUIRE(changed);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(shell, running_mesh)

BOOST_AUTO_TEST_CASE(two_stopped_nodes_are_found) {
  signal("coop", SIGSTOP);
  signal("platform", SIGSTOP);
  const auto seen = converse(*this, {"why", "mesh"}, "stopped_peers.txt");
  BOOST_TEST(holds(seen, "does not finalize: 2 of 4 nodes take part, 3 are needed"));
  BOOST_TEST(holds(seen, "coop: its process is stopped (SIGSTOP)"));
  BOOST_TEST(holds(seen, "platform: its process is stopped (SIGSTOP)"));
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_found) {
  const auto process = tally::node_process::find(mesh / "service");
  BOOST_REQUIRE(process);
  const rlimit full{16 * 1024, RLIM_INFINITY};
  BOOST_REQUIRE(::prlimit(process->pid(), RLIMIT_FSIZE, &full, nullptr) == 0);
  store(21, 40);
  BOOST_REQUIRE(process->wait_for_end(std::chrono::seconds(60)));
  const auto seen = converse(*this, {"why"}, "full_disk.txt");
  BOOST_TEST(holds(seen, "service: its disk is full or failed, and it ended"));
  BOOST_TEST(holds(seen, "File too large"));
}

BOOST_AUTO_TEST_CASE(a_changed_record_is_found) {
  end("platform");
  change_a_row(mesh / "platform" / "data" / "ledger");
  must("up " + mesh.string() + " --within 120");
  BOOST_TEST(tally::poll_until(std::chrono::seconds(30), std::chrono::milliseconds(100),
                               [&] { return !holds(shell("mesh"), "down"); }));
  // Who still fetches batches lacks the records, too.
  BOOST_TEST(tally::poll_until(std::chrono::seconds(30), std::chrono::milliseconds(100),
                               [&] { return !holds(shell("why"), "fetches"); }));
  const auto seen =
      converse(*this, {"why", "use platform; ledger; use hq"}, "changed_record.txt");
  BOOST_TEST(holds(seen, "platform: differs from the others in table divisions.streets"));
  // Who may only look finds the node and the table, and is shown no record's key.
  for (const auto* each : {"hq", "coop", "platform", "service"}) {
    const auto file = mesh / each / "node.toml";
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    std::ofstream(file, std::ios::trunc)
        << std::regex_replace(text.str(), std::regex("role = \"control\""), "role = \"read\"");
    signal(each, SIGHUP);
  }
  std::string hidden;
  BOOST_TEST(tally::poll_until(std::chrono::seconds(20), std::chrono::milliseconds(200),
                               [&] {
                                 hidden = shell("why");
                                 return holds(hidden, "shown to the role control only");
                               }),
             hidden);
  BOOST_TEST(holds(hidden, "platform: differs from the others in table divisions.streets"),
             hidden);
  BOOST_TEST(!holds(hidden, "1101010"), hidden);
}

BOOST_AUTO_TEST_CASE(a_mesh_under_load_is_not_taken_for_one_that_differs) {
  std::atomic<bool> stop = false;
  std::thread load([&] {
    for (int first = 1000; !stop; first += 500) {
      const auto file = rows(first, first + 499);
      (void)run(std::string(TALLY_PROGRAM) + " store " + file.string()
                + " --table divisions.streets --mesh " + mesh.string());
    }
  });
  for (int i = 0; i < 5; ++i) {
    const auto said = shell("why");
    BOOST_TEST(holds(said, "4 of 4 nodes take part"), said);
    BOOST_TEST(!holds(said, "differs"), said);
  }
  stop = true;
  load.join();
}

BOOST_AUTO_TEST_CASE(who_may_only_read_is_refused_what_changes_something) {
  const auto key = scratch / "reader.key";
  const auto made = run(std::string(TALLY_PROGRAM) + " operator " + key.string()
                        + " --name reader --role read");
  BOOST_REQUIRE(made.code == 0);
  end("hq");
  std::ofstream(mesh / "hq" / "node.toml", std::ios::app)
      << made.text.substr(made.text.find("[[operator]]"));
  must("up " + mesh.string() + " --within 120");
  const auto as_reader = "--key " + key.string();
  BOOST_TEST(holds(shell("tree", as_reader), "consensus"));
  for (const auto* each :
       {"kill mempool", "restart mempool", "pause mempool", "log debug", "fault cut coop"})
    BOOST_TEST(holds(shell(each, as_reader), "may read only"), each);
  BOOST_TEST(
      holds(run("grep 'has not the role control' " + (mesh / "hq/tallyd.log").string()).text,
            "operator reader"));
  // Whoever may only look cannot fill the log.
  std::string flood;
  for (int i = 0; i < 100; ++i)
    flood += "kill mempool; ";
  shell(flood, as_reader);
  const auto lines =
      run("grep -c 'has not the role control' " + (mesh / "hq/tallyd.log").string()).text;
  BOOST_TEST(std::stoi(lines) <= 5);
  // Where the key is not listed at all.
  BOOST_TEST(holds(shell("use coop; tree", as_reader), "refused us"));
}

BOOST_AUTO_TEST_CASE(an_actor_that_is_killed_is_started_again_and_the_log_says_who_did_it) {
  BOOST_TEST(holds(shell("kill mempool"), "started again with all core actors"));
  std::string tree;
  BOOST_TEST(tally::poll_until(std::chrono::seconds(30), std::chrono::milliseconds(200), [&] {
    tree = shell("state consensus; tree");
    return holds(tree, "killed");
  }));
  BOOST_TEST(holds(run("grep 'kill mempool' " + (mesh / "hq/tallyd.log").string()).text,
                   "operator operator from 127.0.0.1"));
  store(41, 60); // and the mesh goes on
}

BOOST_AUTO_TEST_CASE(commands_come_from_an_argument_or_a_script_and_answers_go_to_scripts) {
  const auto at_hq = std::string(TALLY_PROGRAM) + " shell hq --mesh " + mesh.string();
  const auto script = run("printf '# what is it\\nledger\\nfrobnicate\\ntree\\n' | " + at_hq);
  BOOST_TEST(script.code == 2);
  BOOST_TEST(holds(script.text, "divisions.streets"));
  BOOST_TEST(holds(script.text, "there is no command frobnicate"));
  BOOST_TEST(!holds(script.text, "peer_links")); // it ended there

  const auto as_json =
      boost::json::parse(run(at_hq + " -o json -c consensus").text).as_object();
  BOOST_TEST(as_json.at("hq").as_object().at("quorum").to_number<int>() == 3);
  const auto all =
      boost::json::parse(run(std::string(TALLY_PROGRAM) + " shell --all -o json --mesh "
                             + mesh.string() + " -c ledger")
                             .text);
  BOOST_TEST(all.as_object().size() == 4u);

  const auto file = (scratch / "report.json").string();
  BOOST_TEST(holds(shell("dump " + file), "holds no keys, tokens or rows"));
  std::stringstream report;
  report << std::ifstream(file).rdbuf();
  const auto dumped = boost::json::parse(report.str()).as_object();
  for (const auto* each : {"hq", "coop", "platform", "service"})
    BOOST_TEST(dumped.at(each).as_object().contains("actor consensus"));

  // What goes to the other nodes is seen where it leaves, too.
  const auto sent = shell("trace consensus --max 40 --for 5s");
  BOOST_TEST(holds(sent, "status"));
  for (const auto* each : {"coop", "platform", "service"})
    BOOST_TEST(holds(sent, each), each);
  const auto traced = shell("trace peer_links --max 5 --for 5s");
  BOOST_TEST(holds(traced, "\n5 messages\n"), traced);
  const auto watched = shell("watch ledger.height --for 100ms");
  BOOST_TEST(std::regex_search(watched, std::regex("\\d\\d:\\d\\d:\\d\\d\\.\\d+ \\d+\n")),
             watched);
}

BOOST_AUTO_TEST_CASE(a_node_that_is_lost_is_said_and_attached_again) {
  terminal screen({TALLY_PROGRAM, "shell", "hq", "--mesh", mesh.string()});
  BOOST_REQUIRE(!screen.read_until("hq> ").empty());
  end("hq");
  std::string shown;
  BOOST_TEST(tally::poll_until(std::chrono::seconds(20), std::chrono::milliseconds(100), [&] {
    screen.type("\n");
    shown += screen.read_until("> ");
    return holds(shown, "hq (lost)> ");
  }));
  BOOST_TEST(holds(shown, "* hq is lost: "), shown);
  must("up " + mesh.string() + " --within 120");
  BOOST_TEST(tally::poll_until(std::chrono::seconds(30), std::chrono::milliseconds(100), [&] {
    screen.type("\n");
    shown = screen.read_until("> ");
    return holds(shown, "hq> ");
  }));
  BOOST_TEST(holds(shown, "* hq is back"), shown);
  screen.type("quit\n");
  BOOST_TEST(screen.wait_for_end() == 0);
}

BOOST_AUTO_TEST_CASE(a_key_that_is_taken_out_of_the_config_is_cut_at_the_next_reload) {
  const operator_of_hq connected(mesh);
  auto& client = *connected.client;
  BOOST_REQUIRE(client.is_up(0));
  const auto config = mesh / "hq" / "node.toml";
  std::stringstream text;
  text << std::ifstream(config).rdbuf();
  std::ofstream(config, std::ios::trunc)
      << text.str().substr(0, text.str().find("[[operator]]"));
  signal("hq", SIGHUP);
  BOOST_TEST(tally::poll_until(std::chrono::seconds(20), std::chrono::milliseconds(50),
                               [&] { return !client.is_up(0); }));
  BOOST_TEST(!tally::poll_until(std::chrono::seconds(2), std::chrono::milliseconds(50),
                                [&] { return client.is_up(0); }));
  std::ofstream(config, std::ios::trunc) << text.str();
  signal("hq", SIGHUP);
  BOOST_TEST(tally::poll_until(std::chrono::seconds(20), std::chrono::milliseconds(50),
                               [&] { return client.is_up(0); }));
}

BOOST_AUTO_TEST_CASE(who_meets_the_limit_of_connections_reads_what_to_do) {
  std::vector<std::unique_ptr<operator_of_hq>> inside;
  for (int i = 0; i < 4; ++i)
    inside.push_back(std::make_unique<operator_of_hq>(mesh));
  for (const auto& each : inside)
    BOOST_REQUIRE(each->client->is_up(0));
  const auto said = shell("tree");
  BOOST_TEST(holds(said, "4 connections open, as many as one may have"), said);
  BOOST_TEST(holds(said, "end one of its shells"), said);
  inside.clear();
  BOOST_TEST(tally::poll_until(std::chrono::seconds(20), std::chrono::milliseconds(100),
                               [&] { return holds(shell("tree"), "consensus"); }));
}

BOOST_AUTO_TEST_CASE(an_operator_who_asks_all_he_may_takes_a_tenth_of_a_processor) {
  using introspection::topic;
  const operator_of_hq connected(mesh);
  auto& client = *connected.client;
  value_map of_introspector, of_unknown;
  put(of_introspector, "actor", "introspector");
  put(of_unknown, "id", std::string(32, '7'));
  const auto busy_us = [&] {
    const auto said = client.ask(0, topic::actor, of_introspector, std::chrono::seconds(20));
    BOOST_REQUIRE_MESSAGE(said.has_value(), (said ? std::string() : said.error().context));
    return introspection::number_at(*said, "busy_us");
  };
  const auto before_us = busy_us();
  const auto began = std::chrono::steady_clock::now();
  std::size_t answered = 0;
  std::deque<std::uint32_t> open;
  // A little below what is refused, in time and never waiting for an answer.
  constexpr auto every = std::chrono::milliseconds(25);
  for (auto next = began; next - began < std::chrono::seconds(3); next += every) {
    std::this_thread::sleep_until(next);
    for (const auto about : {topic::tree, topic::ledger, topic::operation, topic::consensus})
      open.push_back(
          client.begin(0, about, about == topic::operation ? of_unknown : value_map{}));
  }
  for (const auto each : open) {
    const auto got = client.next(each, std::chrono::seconds(20));
    BOOST_REQUIRE(got.has_value());
    answered += got->failure.empty();
  }
  const auto spent_us = busy_us() - before_us;
  const auto took = std::chrono::steady_clock::now() - began;
  const auto took_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  BOOST_TEST_MESSAGE(answered << " answers took " << spent_us << " us of " << took_us);
  BOOST_TEST(answered > 100u);
  BOOST_TEST(spent_us < took_us / 10 + 400'000); // the burst, and the refusals
}

BOOST_AUTO_TEST_SUITE_END()
