// Each attack that needs no more than TCP access, or the key of one lawful node, a thousand
// times against a pair of linked nodes that goes on exchanging frames: nothing crashes, no link
// of the pair goes down, and neither memory, descriptors nor the log grow with the number of
// attacks.
#include "tests/end_to_end/attackers.hpp"
#include "tests/unit/peer_link_fixture.hpp"
#include "tools/tally/mesh.hpp"

#include "actors/peer_link/framing.hpp"

#include <openssl/ssl.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

using namespace peer_link_test;
using namespace attackers;
using namespace tallymesh::peer_link;

namespace {

constexpr int times = 1000;

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

/// Nothing can be said of it under the address sanitizer, which keeps what was freed.
std::size_t resident_bytes() {
#ifdef __SANITIZE_ADDRESS__
  return 0;
#endif
  std::ifstream in{"/proc/self/statm"};
  std::size_t total = 0, resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Counts the log's lines and keeps the last ones.
class counting_sink : public spdlog::sinks::base_sink<std::mutex> {
public:
  std::atomic<int> lines = 0;

protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (message.level >= spdlog::level::warn) ++lines;
  }
  void flush_() override {}
};

std::shared_ptr<counting_sink> counted_log() {
  static const auto sink = [] {
    auto x = std::make_shared<counting_sink>();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", x));
    return x;
  }();
  return sink;
}

/// Nodes 1 and 2 are linked; node 0, whom both know and who would dial them, is the attacker.
/// A thread sends a frame both ways every few milliseconds and waits for them.
struct attacked_pair {
  std::shared_ptr<counting_sink> log = counted_log();
  genesis mesh{3};
  node b{mesh.settings(2)};
  node a{dialing(mesh.settings(1), 2, b.port)};
  tls_context member = tls_context::make(mesh.keys[0]).value();
  tls_context stranger = tls_context::make(signing_key::generate()).value();
  std::atomic<bool> stop = false;
  std::atomic<int> exchanges = 0;
  std::atomic<bool> exchange_failed = false;
  std::thread traffic;

  attacked_pair() {
    BOOST_REQUIRE(a.wait_up(2));
    BOOST_REQUIRE(b.wait_up(1));
    traffic = std::thread{[this] { exchange(); }};
  }
  ~attacked_pair() {
    stop = true;
    traffic.join();
  }
  static bool take_frame(node& from, node_index sender) {
    const auto is_his = [=](const delivered::frame& x) {
      return x.from == sender && x.size == 3000;
    };
    return from.seen->wait([&](auto& x) {
      const auto i = std::find_if(x.frames.begin(), x.frames.end(), is_his);
      if (i == x.frames.end()) return false;
      x.frames.erase(i);
      return true;
    });
  }
  void exchange() {
    while (!stop && !exchange_failed) {
      a.send(2, bytes(3000, 1));
      b.send(1, bytes(3000, 2));
      if (take_frame(b, 1) && take_frame(a, 2))
        ++exchanges;
      else
        exchange_failed = true;
    }
  }

  /// Runs `attack` a thousand times against both nodes in turn, and checks what must stay.
  template <class Attack>
  void withstand(Attack attack) {
    for (int i = 0; i < 20; ++i)
      attack(a.port), attack(b.port); // what is allocated once
    const auto exchanges_before = exchanges.load();
    const auto descriptors_before = open_descriptors();
    const auto resident_before = resident_bytes();
    const auto lines_before = log->lines.load();
    for (int i = 0; i < times; ++i)
      attack(i % 2 == 0 ? a.port : b.port);
    const auto enough = [&] { return exchanges > exchanges_before + 10 || exchange_failed; };
    tally::poll_until(10s, 10ms, enough);
    BOOST_TEST(!exchange_failed);
    BOOST_TEST(exchanges > exchanges_before + 10);
    BOOST_TEST(a.info(2).times_up == 1u);
    BOOST_TEST(b.info(1).times_up == 1u);
    // Each node may hold 32 strangers, one of them at the moment of counting.
    BOOST_TEST(open_descriptors() < descriptors_before + descriptors_allowed);
    BOOST_TEST(resident_bytes() < resident_before + 16 * 1024 * 1024);
    BOOST_TEST(log->lines - lines_before <= log_lines_allowed);
  }
  int log_lines_allowed = 4;
  std::size_t descriptors_allowed = 80;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(link_attacks, attacked_pair)

BOOST_AUTO_TEST_CASE(an_unknown_key_is_refused) {
  withstand([this](std::uint16_t port) {
    tls_client x{stranger, port};
    BOOST_REQUIRE(x.line.closed_by_other_side());
  });
}

BOOST_AUTO_TEST_CASE(plain_text_is_refused) {
  withstand([](std::uint16_t port) {
    send_and_wait_for_the_end(port, as_bytes("GET / HTTP/1.1\r\nHost: node\r\n\r\n"));
  });
}

BOOST_AUTO_TEST_CASE(random_garbage_is_refused) {
  withstand([](std::uint16_t port) {
    bytes x(2000);
    random_bytes(x);
    x[0] = 23; // an alert or data before any handshake
    send_and_wait_for_the_end(port, x);
  });
}

BOOST_AUTO_TEST_CASE(garbage_inside_a_tls_record_is_refused) {
  withstand([](std::uint16_t port) {
    bytes x(2005);
    random_bytes(x);
    const std::uint8_t header[] = {22, 3, 1, 2000 >> 8, 2000 & 0xff};
    std::copy(std::begin(header), std::end(header), x.begin());
    x[5] = 99; // no handshake message
    send_and_wait_for_the_end(port, x);
  });
}

BOOST_AUTO_TEST_CASE(a_connection_closed_at_once_costs_nothing) {
  log_lines_allowed = 6;
  withstand([](std::uint16_t port) { client{port}; });
}

BOOST_AUTO_TEST_CASE(connections_left_open_are_few_and_end) {
  using clock = std::chrono::steady_clock;
  std::deque<client> open; // the newest hundred stay
  std::deque<clock::time_point> since;
  descriptors_allowed = 200; // counted below
  const auto descriptors_before = open_descriptors();
  withstand([&](std::uint16_t port) {
    open.emplace_back(port);
    since.push_back(clock::now());
    if (open.size() > 100) open.pop_front(), since.pop_front();
  });
  // Each node lets 32 of them in, long before the handshake's deadline (5 s) ends all. One more
  // is open for as long as it takes to turn it away.
  const auto allowed = descriptors_before + open.size() + 64;
  const auto deadline_is_far = std::max(
      std::chrono::duration_cast<std::chrono::milliseconds>(since.front() + 4s - clock::now()),
      0ms);
  BOOST_TEST(
      tally::poll_until(deadline_is_far, 10ms, [&] { return open_descriptors() <= allowed; }));
  for (auto& x : open)
    BOOST_REQUIRE(x.closed_by_other_side());
}

BOOST_AUTO_TEST_CASE(an_oversized_frame_of_a_member_ends_his_link_only) {
  log_lines_allowed = 30; // his link goes up and down
  withstand([this](std::uint16_t port) {
    tls_client x{member, port};
    BOOST_REQUIRE(x.session.established());
    x.say(hello_frame(mesh.chain));
    x.say(bytes{0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3});
    BOOST_REQUIRE(x.line.closed_by_other_side());
  });
}

BOOST_AUTO_TEST_CASE(an_empty_frame_of_a_member_ends_his_link_only) {
  log_lines_allowed = 30; // his link goes up and down
  withstand([this](std::uint16_t port) {
    tls_client x{member, port};
    BOOST_REQUIRE(x.session.established());
    x.say(hello_frame(mesh.chain));
    x.say(bytes{0, 0, 0, 0});
    BOOST_REQUIRE(x.line.closed_by_other_side());
  });
}

BOOST_AUTO_TEST_CASE(a_truncated_frame_of_a_member_costs_its_buffer_and_no_more) {
  log_lines_allowed = 30; // his link goes up and down
  withstand([this](std::uint16_t port) {
    tls_client x{member, port};
    BOOST_REQUIRE(x.session.established());
    x.say(hello_frame(mesh.chain));
    x.say(bytes{1, 0, 0x80, 0, 0, 1, 2, 3}); // announces 8 MiB
  });
}

BOOST_AUTO_TEST_CASE(a_member_of_another_chain_is_refused) {
  withstand([this](std::uint16_t port) {
    tls_client x{member, port};
    BOOST_REQUIRE(x.session.established());
    x.say(hello_frame(digest{{6}}));
    BOOST_REQUIRE(x.line.closed_by_other_side());
  });
}

BOOST_AUTO_TEST_CASE(an_older_tls_is_refused) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context{SSL_CTX_new(TLS_client_method()),
                                                             &SSL_CTX_free};
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  withstand([&](std::uint16_t port) {
    client x{port};
    const std::unique_ptr<SSL, void (*)(SSL*)> ssl{SSL_new(context.get()), &SSL_free};
    SSL_set_fd(ssl.get(), x.descriptor());
    BOOST_REQUIRE(SSL_connect(ssl.get()) <= 0);
    BOOST_REQUIRE(x.closed_by_other_side());
  });
}

BOOST_AUTO_TEST_CASE(a_newer_connection_of_a_member_replaces_the_older) {
  tls_client first{member, b.port};
  first.say(hello_frame(mesh.chain));
  BOOST_REQUIRE(b.wait_up(0));
  tls_client second{member, b.port};
  second.say(hello_frame(mesh.chain));
  BOOST_TEST(first.line.closed_by_other_side());
  BOOST_TEST(
      b.seen->wait([](auto& x) { return x.ups == 3 && x.downs == 1 && x.up.contains(0); }));
}

/// A link that asks for an answer to every byte and never reads one must not fill our memory.
BOOST_AUTO_TEST_CASE(pings_of_a_member_that_never_reads_cost_nothing) {
  tls_client x{member, b.port};
  x.say(hello_frame(mesh.chain));
  BOOST_REQUIRE(b.wait_up(0));
  bytes pings;
  for (int i = 0; i < 3000; ++i)
    for (const auto byte : frame_header(frame_kind::ping, 0))
      pings.push_back(byte);
  const auto resident_before = resident_bytes();
  for (int i = 0; i < 1000; ++i)
    x.say(pings);
  const auto all_read = [&] { return b.info(0).bytes_in >= 3'000'000; };
  tally::poll_until(10s, 10ms, all_read);
  BOOST_TEST(all_read());
  BOOST_TEST(resident_bytes() < resident_before + 16 * 1024 * 1024);
  BOOST_TEST(!exchange_failed);
}

/// What running out of descriptors must not do: end the process, or the links that are up.
BOOST_AUTO_TEST_CASE(running_out_of_descriptors_is_survived) {
  rlimit before{};
  BOOST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  std::deque<client> open;
  open.emplace_back(a.port);
  auto few = before;
  few.rlim_cur = open_descriptors() + 10;
  BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::vector<int> hoard;
  for (int fd = 0; (fd = ::dup(0)) >= 0;)
    hoard.push_back(fd);
  ::close(hoard.back());
  hoard.pop_back();
  open.emplace_back(a.port); // takes the last descriptor; the node has none to accept it with
  const auto exchanges_before = exchanges.load();
  const auto goes_on = [&] { return exchanges > exchanges_before + 1000 || exchange_failed; };
  tally::poll_until(10s, 10ms, goes_on);
  BOOST_TEST(goes_on());
  BOOST_TEST(!exchange_failed);
  for (const int fd : hoard)
    ::close(fd);
  BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  // With descriptors again, newcomers are heard again, and those who waited come to their
  // deadline.
  tls_client late{member, a.port};
  BOOST_TEST(late.session.established());
  for (auto& x : open)
    BOOST_TEST(x.closed_by_other_side());
}

BOOST_AUTO_TEST_SUITE_END()
