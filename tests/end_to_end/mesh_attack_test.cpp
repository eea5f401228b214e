// Each attack on a node's link port, a thousand times, against one node of a mesh of four
// processes that takes operations meanwhile: operations go on to be final, none is lost, and
// neither the node's memory nor its log grows with the number of attacks.
#include "tests/end_to_end/attackers.hpp"
#include "tests/end_to_end/identical.hpp"
#include "tests/end_to_end/made_mesh.hpp"

#include "actors/peer_link/framing.hpp"
#include "messages/introspection.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/processes.hpp"

#include <atomic>
#include <deque>
#include <fstream>
#include <thread>

using namespace attackers;
using namespace std::chrono_literals;
namespace tally = tallymesh::tally;

namespace {

constexpr int times = 1000, attackers_at_once = 8;
constexpr std::size_t memory_allowed_bytes = 48 * 1024 * 1024;

/// Memory that is not a mapped file: the stores are mapped, and grow with what is stored.
std::size_t own_memory_bytes(pid_t pid) {
  std::ifstream in{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string word; in >> word;)
    if (word == "RssAnon:") {
      std::size_t kib = 0;
      in >> kib;
      return kib * 1024;
    }
  return 0;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::ifstream in{file};
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);)
    out.push_back(line);
  return out;
}

int run(const std::string& command) {
  return std::system((std::string(TALLY_PROGRAM) + " " + command + " > /dev/null").c_str());
}

/// Four processes, and a thread that stores rows through all of them, request after request.
/// The attacks go to the last node, which every other one dials; who attacks as a member has
/// the key of the first.
class attacked_mesh {
public:
  attacked_mesh() {
    BOOST_REQUIRE(run("up " + mesh.string() + " --within 60") == 0);
    tally::place where;
    where.mesh = mesh;
    gateways = tally::find_gateways(where).value();
    const auto target = configs::load_node(gateways.back().directory / "node.toml").value();
    const auto member_config =
        configs::load_node(gateways.front().directory / "node.toml").value();
    port = target.link.listen.port;
    chain = target.mesh.chain;
    member = tls_context::make(configs::load_keys(member_config)->link).value();
    watcher = tls_context::make(signing_key::load(mesh / "operator.key").value()).value();
    log = tally::log_file(gateways.back().directory);
    pid = tally::node_process::find(gateways.back().directory)->pid();
    traffic = std::thread{[this] { store_until_stopped(); }};
    wait_for_rounds(3);
  }
  ~attacked_mesh() {
    stop_traffic();
    BOOST_TEST(run("down " + mesh.string() + " --within 10 --force") == 0);
  }

  /// Runs `attack` a thousand times, and on until the mesh has stored a round of rows
  /// meanwhile; checks what must not grow. The log says `refusal` once, and once more if a
  /// minute passes; `most_told` times at most.
  template <class Attack>
  void withstand(std::string_view refusal, Attack attack, int most_told = 2) {
    BOOST_TEST(repeat(attack, 50)); // what is allocated once
    const auto memory_before = own_memory_bytes(pid);
    const auto start = std::chrono::steady_clock::now();
    const auto rounds_before = rounds.load();
    BOOST_TEST(repeat(attack, times));
    // A thousand may be over before a round is: the mesh must get one done under attack.
    while (rounds == rounds_before && std::chrono::steady_clock::now() < start + 30s)
      BOOST_TEST(repeat(attack, 50));
    const auto rounds_during = rounds - rounds_before;
    const auto took = std::chrono::steady_clock::now() - start;
    BOOST_TEST_MESSAGE(refusal << ": " << took / 1ms << " ms, " << rounds_during
                               << " rounds of operations meanwhile");
    BOOST_TEST(rounds_during > 0);
    wait_for_rounds(3);
    BOOST_TEST(own_memory_bytes(pid) < memory_before + memory_allowed_bytes);
    const auto told = static_cast<int>(std::ranges::count_if(
        lines_of(log), [&](const auto& x) { return x.find(refusal) != std::string::npos; }));
    BOOST_TEST(told >= 1);
    BOOST_TEST(told <= most_told);
    BOOST_TEST(lines_of(log).size() < 60u);
  }

  /// He was kept out for a while.
  void wait_until_operator_is_let_in() {
    BOOST_TEST(tally::poll_until(30s, 200ms, [&] {
      tls_client x{*watcher, port};
      x.say(hello_frame(chain));
      const auto wire = x.line.read();
      constexpr auto hello = static_cast<std::uint8_t>(frame_kind::hello);
      return !wire.empty() && x.session.receive(wire, x.heard)
             && x.heard.size() >= frame_header_bytes && x.heard[4] == hello;
    }));
  }

  /// Nothing was lost: all four hold every row that was acknowledged, and the same.
  void check_identical() {
    stop_traffic();
    for (const auto& each : check_all_hold_the_same(gateways))
      BOOST_TEST(each.tables.at("divisions.streets").records == stored);
    BOOST_TEST(tally::node_process::find(gateways.back().directory)->pid() == pid);
  }

  made_mesh files{four_names};
  std::filesystem::path mesh = files.directory / "mesh";
  std::vector<tally::gateway> gateways;
  std::uint16_t port = 0;
  digest chain;
  std::optional<tls_context> member, watcher; ///< a node; an operator
  tls_context stranger = tls_context::make(signing_key::generate()).value();
  std::filesystem::path log;
  pid_t pid = 0;

private:
  static constexpr std::uint64_t rows_a_round = 100;

  /// Several attack at the same time. False if one attack did not go as it must.
  template <class Attack>
  static bool repeat(Attack attack, int count) {
    std::atomic<int> left = count;
    std::atomic<bool> good = true;
    std::vector<std::thread> threads;
    for (int i = 0; i < attackers_at_once; ++i)
      threads.emplace_back([&] {
        while (left-- > 0)
          if (!attack()) good = false;
      });
    for (auto& each : threads)
      each.join();
    return good;
  }

  void store_until_stopped() {
    for (; !stop && !failed; ++rounds) {
      tally::load_settings settings;
      settings.request_rows = rows_a_round / gateways.size();
      settings.give_up_after = 30s;
      tally::loader loader{gateways, *tally::table_name::from_text("divisions.streets"),
                           settings};
      for (std::uint64_t i = 0; i < rows_a_round; ++i)
        if (!loader.add(i % gateways.size(), {i + 1, street_row(stored + i), ""}, [] {}))
          failed = true;
      const auto done = loader.finish([] {});
      if (!done || done->stored != rows_a_round)
        failed = true;
      else
        stored += rows_a_round;
    }
  }
  void wait_for_rounds(int more) {
    const auto wanted = rounds + more;
    BOOST_TEST(tally::poll_until(60s, 5ms, [&] { return rounds >= wanted || failed; }));
    BOOST_REQUIRE(!failed);
  }
  void stop_traffic() {
    stop = true;
    if (traffic.joinable()) traffic.join();
    BOOST_TEST(!failed);
  }

  std::atomic<bool> stop = false, failed = false;
  std::atomic<int> rounds = 0;
  std::atomic<std::uint64_t> stored = 0;
  std::thread traffic;
};

/// Keeps the newest hundred connections open; those that were let in must end by themselves.
class left_open {
public:
  void add(client x) {
    const std::lock_guard guard(lock_);
    if (open_.size() == 100) open_.pop_front();
    open_.push_back(std::move(x));
  }
  bool all_end() {
    return std::ranges::all_of(open_, [](auto& x) { return x.closed_by_other_side(); });
  }

private:
  std::mutex lock_;
  std::deque<client> open_;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_loaded_mesh_withstands_a_thousand_attacks_of_each_kind) {
  attacked_mesh mesh;
  const auto port = mesh.port;
  const auto is_shut_out = [=](bytes_view said) {
    client x{port};
    x.write(said);
    return x.closed_by_other_side();
  };

  mesh.withstand("refused: its key is not pinned here", [&] {
    tls_client x{mesh.stranger, port};
    return x.line.closed_by_other_side();
  });
  mesh.withstand("refused: what it sent is not TLS",
                 [&] { return is_shut_out(as_bytes("GET / HTTP/1.1\r\nHost: node\r\n\r\n")); });
  mesh.withstand("refused: broken TLS", [&] {
    bytes x(2005);
    random_bytes(x);
    const std::uint8_t header[] = {22, 3, 1, 2000 >> 8, 2000 & 0xff, 99};
    std::copy(std::begin(header), std::end(header), x.begin()); // 99: no handshake message
    return is_shut_out(x);
  });

  left_open silent, half;
  mesh.withstand("connections have not shown a key", [&] {
    silent.add(client{port});
    return true;
  });
  BOOST_TEST(silent.all_end());
  mesh.withstand("refused: no handshake within", [&] {
    client x{port};
    const std::uint8_t beginning[] = {22, 3, 1, 1, 0, 1}; // of a client's first flight
    x.write(beginning);
    half.add(std::move(x));
    return true;
  });
  BOOST_TEST(half.all_end());

  // A member ends nothing but his own link.
  mesh.withstand("refused: a frame of", [&] {
    tls_client x{*mesh.member, port};
    if (!x.session.established()) return false;
    x.say(hello_frame(mesh.chain));
    x.say(bytes{0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3});
    return x.line.closed_by_other_side();
  });

  // Nor does an operator: what he says is bounded in number, size and form. Each connection's
  // coming and going is a line, ten in a minute.
  constexpr int lines = 30;
  const auto say_as_operator = [&](bytes_view said) {
    tls_client x{*mesh.watcher, port};
    x.say(hello_frame(mesh.chain));
    x.say(said);
    return x.line.closed_by_other_side();
  };
  const auto frame_of = [](bytes_view body) {
    const auto header = frame_header(frame_kind::data, body.size());
    bytes out(header.begin(), header.end());
    out.insert(out.end(), body.begin(), body.end());
    return out;
  };
  bytes flood;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const auto asked = frame_of(
        introspection::make_frame(introspection::question{i, introspection::topic::tree, {}}));
    flood.insert(flood.end(), asked.begin(), asked.end());
  }
  mesh.withstand(
      "it sends too much", [&] { return say_as_operator(flood); }, lines);

  mesh.wait_until_operator_is_let_in();
  const auto oversized = frame_of(bytes(introspection::max_question_bytes + 1, 0));
  mesh.withstand(
      "link to operator operator down", [&] { return say_as_operator(oversized); }, lines);

  const auto no_question = frame_of(bytes(7, 0));
  mesh.withstand(
      "what it sent is no question", [&] { return say_as_operator(no_question); }, lines);

  mesh.check_identical();
}
