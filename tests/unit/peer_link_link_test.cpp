// Two nodes of one process, each with an actor system of its own, over loopback.
#include "tests/unit/peer_link_fixture.hpp"

#include "messages/limits.hpp"

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <csignal>
#include <ctime>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace peer_link_test;

namespace {

struct pair_of_nodes {
  genesis mesh{2};
  node b{mesh.settings(1)};
  node a{dialing(mesh.settings(0), 1, b.port)};
};

bytes body_of(std::size_t size, std::uint8_t mark) {
  bytes out(size, 7);
  out.front() = out.back() = mark;
  return out;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(frames_of_any_size_arrive_whole_and_in_order, pair_of_nodes) {
  BOOST_REQUIRE(a.wait_up(1));
  BOOST_REQUIRE(b.wait_up(0));
  const std::size_t sizes[] = {1,     2,       4096,    16379, 16380,         16384,
                               70000, 1 << 20, 5 << 20, 1,     (8 << 20) - 1, 8 << 20};
  std::uint8_t mark = 0;
  for (const auto size : sizes) {
    a.send(1, body_of(size, ++mark));
    b.send(0, body_of(size, mark));
    for (auto* receiver : {&a, &b})
      BOOST_REQUIRE(receiver->seen->wait([=](auto& x) { return x.frames.size() >= mark; }));
  }
  for (int i = 0; i < 1000; ++i)
    a.send(1, body_of(10 + i, static_cast<std::uint8_t>(i)));
  BOOST_REQUIRE(
      b.seen->wait([&](auto& x) { return x.frames.size() == std::size(sizes) + 1000; }));
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    BOOST_TEST(a.seen->frames[i].size == sizes[i]);
    BOOST_TEST(a.seen->frames[i].first == i + 1);
    BOOST_TEST(b.seen->frames[i].size == sizes[i]);
    BOOST_TEST(b.seen->frames[i].last == i + 1);
  }
  for (std::size_t i = 0; i < 1000; ++i) {
    const auto& x = b.seen->frames[std::size(sizes) + i];
    BOOST_REQUIRE(x.size == 10 + i);
    BOOST_REQUIRE(x.from == 0);
    BOOST_REQUIRE(x.first == static_cast<std::uint8_t>(i));
  }
  BOOST_TEST(a.info(1).frames_out == std::size(sizes) + 1000);
  BOOST_TEST(b.info(0).frames_in == std::size(sizes) + 1000);
  BOOST_TEST(a.info(1).dropped_frames == 0u);
}

BOOST_FIXTURE_TEST_CASE(monitors_of_a_handle_fire_when_the_link_goes, pair_of_nodes) {
  BOOST_REQUIRE(a.wait_up(1));
  BOOST_REQUIRE(b.wait_up(0));
  const auto handle = a.peer(1);
  caf::anon_send_exit(b.links, caf::exit_reason::user_shutdown);
  for (auto* x : {&a, &b})
    BOOST_TEST(x->seen->wait([](auto& s) { return s.downs == 1 && s.monitors_fired == 1; }));
  // What asks the ended peer links is told so.
  caf::scoped_actor self{b.system()};
  caf::error got;
  self->request(b.links, caf::infinite, introspect_atom::value)
      .receive([](const std::vector<link_info>&) {}, [&](const caf::error& x) { got = x; });
  BOOST_TEST((got == caf::sec::request_receiver_down));
  // What is sent to a dead handle is counted and goes nowhere.
  caf::anon_send(handle, frame_atom::value, std::make_shared<const bytes>(5));
  BOOST_TEST(a.info(1).dropped_frames == 1u);
  BOOST_TEST(!a.info(1).up);
}

BOOST_AUTO_TEST_CASE(a_link_comes_back_when_the_other_node_has_restarted) {
  const genesis mesh{2};
  auto b = std::make_unique<node>(mesh.settings(1));
  auto settings = mesh.settings(1);
  settings.listen_port = b->port;
  node a{dialing(mesh.settings(0), 1, b->port)};
  for (int round = 1; round <= 3; ++round) {
    BOOST_REQUIRE(a.seen->wait([=](auto& x) { return x.ups == round; }));
    BOOST_REQUIRE(b->wait_up(0));
    a.send(1, bytes{static_cast<std::uint8_t>(round)});
    BOOST_REQUIRE(b->seen->wait([=](auto& x) { return x.frames.size() == 1; }));
    BOOST_TEST(b->seen->frames.front().first == round);
    b.reset();
    BOOST_REQUIRE(a.seen->wait([=](auto& x) { return x.downs == round; }));
    b = std::make_unique<node>(settings);
  }
  BOOST_REQUIRE(a.seen->wait([](auto& x) { return x.ups == 4; }));
  BOOST_TEST(a.info(1).times_up == 4u);
}

BOOST_FIXTURE_TEST_CASE(peer_links_can_be_started_again_alone, pair_of_nodes) {
  BOOST_REQUIRE(a.wait_up(1));
  {
    caf::scoped_actor self{b.system()};
    caf::anon_send_exit(b.links, caf::exit_reason::kill);
    self->wait_for(b.links);
  }
  auto settings = mesh.settings(1);
  settings.listen_port = b.port;
  b.links = peer_link::spawn_links(b.system(), settings, b.sink);
  BOOST_REQUIRE(a.seen->wait([](auto& x) { return x.ups == 2 && x.downs == 1; }));
  BOOST_REQUIRE(b.seen->wait([](auto& x) { return x.ups == 2 && x.downs == 1; }));
  b.send(0, bytes{3});
  BOOST_TEST(a.seen->wait([](auto& x) { return x.frames.size() == 1; }));
}

BOOST_FIXTURE_TEST_CASE(a_new_sink_is_told_of_the_links_that_are_up, pair_of_nodes) {
  BOOST_REQUIRE(b.wait_up(0));
  BOOST_REQUIRE(a.wait_up(1));
  const auto seen = std::make_shared<delivered>();
  const auto sink = b.system().spawn(recorder, seen);
  caf::anon_send(b.links, sink_atom::value, sink);
  BOOST_REQUIRE(seen->wait([](auto& x) { return x.up.contains(0); }));
  a.send(1, bytes{3});
  BOOST_TEST(seen->wait([](auto& x) { return x.frames.size() == 1; }));
  BOOST_TEST(b.seen->frames.empty());
  seen->change([](auto& x) { x.up.clear(); });
  caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_CASE(a_new_sink_is_told_of_the_peers_that_are_down) {
  const genesis mesh{3};
  node b{mesh.settings(1)};
  node a{dialing(mesh.settings(0), 1, b.port)};
  BOOST_REQUIRE(b.wait_up(0));
  const auto seen = std::make_shared<delivered>();
  const auto sink = b.system().spawn(recorder, seen);
  caf::anon_send(b.links, sink_atom::value, sink);
  BOOST_TEST(
      seen->wait([](auto& x) { return x.ups == 1 && x.downs == 1 && x.up.contains(0); }));
  seen->change([](auto& x) { x.up.clear(); });
  caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
}

BOOST_FIXTURE_TEST_CASE(a_request_to_a_peer_is_refused_at_once, pair_of_nodes) {
  BOOST_REQUIRE(a.wait_up(1));
  caf::scoped_actor self{a.system()};
  caf::error got;
  self->request(a.peer(1), caf::infinite, 42)
      .receive([](int) {}, [&](const caf::error& x) { got = x; });
  BOOST_TEST((got == caf::sec::unexpected_message));
  got = {};
  self->request(a.peer(1), caf::infinite, frame_atom::value, std::make_shared<const bytes>(1))
      .receive([] {}, [&](const caf::error& x) { got = x; });
  BOOST_TEST((got == caf::sec::unexpected_message));
  // Other messages, and attempts to end it, do nothing.
  self->send(a.peer(1), 42);
  self->send_exit(a.peer(1), caf::exit_reason::kill);
  a.send(1, {});
  a.send(1, bytes(limits::max_frame_bytes + 1));
  a.send(1, bytes{1});
  BOOST_TEST(b.seen->wait([](auto& x) { return x.frames.size() == 1; }));
  BOOST_TEST(a.info(1).dropped_frames == 2u);
}

BOOST_AUTO_TEST_CASE(a_slow_sink_costs_bounded_memory_and_loses_counted_frames) {
  const genesis mesh{2};
  constexpr std::size_t limit = 2 << 20;
  auto slow = mesh.settings(1);
  slow.limits.receive_bytes = limit;
  node b{slow};
  auto fast = dialing(mesh.settings(0), 1, b.port);
  fast.limits.queue.queue_bytes = limit;
  node a{fast};
  BOOST_REQUIRE(a.wait_up(1));
  b.seen->change([](auto& x) { x.slow = true; });
  std::size_t sent = 0;
  const auto held = [&] {
    const std::lock_guard lock{b.seen->mutex};
    return b.seen->hoard.size() * 64 * 1024;
  };
  // Until every buffer between the two is full: nothing moves while there is plenty to send.
  const auto moved = [&] { return std::pair{held(), a.info(1).frames_out}; };
  for (auto before = std::pair{std::size_t{1}, std::uint64_t{0}};
       before != moved() && sent < 20'000;) {
    before = moved();
    for (int i = 0; i < 64; ++i, ++sent)
      a.send(1, bytes(64 * 1024, 1));
    std::this_thread::sleep_for(100ms);
  }
  BOOST_TEST(held() >= limit);
  BOOST_TEST(a.info(1).queue_bytes > limit / 2);
  BOOST_TEST(a.info(1).queue_bytes <= limit + fast.limits.write_buffer_bytes);
  const auto dropped = a.info(1).dropped_frames;
  BOOST_TEST(dropped > 0u);
  // What CAF reads ahead in one go before it heeds the pause comes on top.
  BOOST_TEST(held() < limit + (4 << 20));
  // A paused link is not a dead one, on neither side.
  BOOST_TEST(!a.seen->wait([](auto& x) { return x.downs > 0; }, 3500ms));
  BOOST_TEST(b.seen->downs == 0);
  // Small frames still find room.
  a.send(1, bytes{42});
  BOOST_TEST(a.info(1).dropped_frames == dropped);
  b.seen->change([](auto& x) { x.slow = false; });
  BOOST_TEST(b.seen->wait([&](auto& x) { return x.frames.size() + dropped == sent + 1; }));
  BOOST_TEST(b.seen->frames.back().first == 42);
}

BOOST_AUTO_TEST_CASE(a_stopped_process_is_noticed_within_three_seconds_and_found_again) {
  const genesis mesh{2};
  int ports[2];
  BOOST_REQUIRE(::pipe(ports) == 0);
  const auto child = ::fork(); // before this test has any thread
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    node b{mesh.settings(1)};
    if (::write(ports[1], &b.port, sizeof b.port) != sizeof b.port) ::_exit(1);
    for (;;)
      ::pause();
  }
  BOOST_REQUIRE(child > 0);
  {
    std::uint16_t port = 0;
    BOOST_REQUIRE(::read(ports[0], &port, sizeof port) == sizeof port);
    node a{dialing(mesh.settings(0), 1, port)};
    BOOST_REQUIRE(a.wait_up(1));
    // An idle link stays up.
    BOOST_TEST(!a.seen->wait([](auto& x) { return x.downs > 0; }, 3500ms));
    const auto cpu_before = std::clock();
    ::kill(child, SIGSTOP);
    BOOST_TEST(a.seen->wait([](auto& x) { return x.downs == 1; }, 3000ms));
    // It is dialed again, though it never answers, and found when it lives again.
    ::kill(child, SIGCONT);
    BOOST_TEST(a.seen->wait([](auto& x) { return x.ups == 2; }, 10s));
    BOOST_TEST(std::clock() - cpu_before < CLOCKS_PER_SEC / 5); // waiting costs next to nothing
    BOOST_TEST(a.info(1).round_trip_us >= -1);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ports[0]);
  ::close(ports[1]);
}

/// A listener whose backlog is full answers nobody, like a host behind a black hole.
BOOST_AUTO_TEST_CASE(a_host_that_never_answers_delays_nobody) {
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  BOOST_REQUIRE(::bind(silent, reinterpret_cast<sockaddr*>(&where), size) == 0);
  BOOST_REQUIRE(::listen(silent, 0) == 0);
  BOOST_REQUIRE(::getsockname(silent, reinterpret_cast<sockaddr*>(&where), &size) == 0);
  std::vector<int> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    (void)::connect(fillers.back(), reinterpret_cast<sockaddr*>(&where), size);
  }
  {
    const genesis mesh{3};
    node c{mesh.settings(2)};
    auto settings = dialing(dialing(mesh.settings(0), 1, ntohs(where.sin_port)), 2, c.port);
    settings.timing.handshake_deadline = 600ms;
    node a{settings};
    BOOST_TEST(a.wait_up(2, 500ms));
    // It is given up at the deadline and tried again, and holds nothing when all ends.
    const auto tried_twice = [&] { return a.info(1).handshake_failures >= 2; };
    for (int i = 0; i < 1000 && !tried_twice(); ++i)
      std::this_thread::sleep_for(10ms);
    BOOST_TEST(tried_twice());
    BOOST_TEST(a.info(2).up);
  }
  for (const int fd : fillers)
    ::close(fd);
  ::close(silent);
}

BOOST_AUTO_TEST_CASE(a_node_on_another_chain_is_refused_and_tried_again) {
  const genesis mesh{2};
  auto other = mesh.settings(1);
  other.chain = digest{{4, 4, 4}};
  node b{other};
  node a{dialing(mesh.settings(0), 1, b.port)};
  BOOST_TEST(!a.wait_up(1, 700ms));
  BOOST_TEST(!b.wait_up(0, 0ms));
  BOOST_TEST(a.info(1).handshake_failures >= 2u);
}

BOOST_AUTO_TEST_CASE(a_node_with_another_key_than_genesis_says_is_refused) {
  const genesis mesh{2}, others{2};
  node b{mesh.settings(1)};
  auto impostor = dialing(mesh.settings(0), 1, b.port);
  impostor.link_key = others.keys[0];
  node a{impostor};
  BOOST_TEST(!a.wait_up(1, 700ms));
  BOOST_TEST(!b.wait_up(0, 0ms));
  BOOST_TEST(a.info(1).handshake_failures >= 2u);
}

BOOST_AUTO_TEST_CASE(host_names_are_resolved) {
  const genesis mesh{2};
  node b{mesh.settings(1)};
  auto settings = dialing(mesh.settings(0), 1, b.port);
  settings.peers[0].host = "localhost";
  node a{settings};
  BOOST_TEST(a.wait_up(1));
}

BOOST_AUTO_TEST_CASE(a_port_in_use_ends_peer_links_with_an_error) {
  const genesis mesh{2};
  node b{mesh.settings(1)};
  auto settings = mesh.settings(0);
  settings.listen_port = b.port;
  caf::scoped_actor self{b.system()};
  const auto links = peer_link::spawn_links(b.system(), settings, b.sink);
  self->monitor(links);
  self->receive(
      [](const caf::down_msg& x) { BOOST_TEST((x.reason == caf::sec::cannot_open_port)); });
}

BOOST_AUTO_TEST_CASE(nodes_of_one_process_are_joined_by_plain_handles) {
  caf::actor_system_config config;
  caf::actor_system system{quiet_config(config)};
  const auto seen_a = std::make_shared<delivered>(), seen_b = std::make_shared<delivered>();
  const auto a = system.spawn(recorder, seen_a), b = system.spawn(recorder, seen_b);
  const auto [a_to_b, b_to_a] = peer_link::connect_local(system, a, 4, b, 7);
  BOOST_REQUIRE(seen_a->wait([](auto& x) { return x.up.contains(7); }));
  BOOST_REQUIRE(seen_b->wait([](auto& x) { return x.up.contains(4); }));
  caf::anon_send(seen_a->up[7], frame_atom::value, std::make_shared<const bytes>(bytes{1, 2}));
  BOOST_REQUIRE(seen_b->wait([](auto& x) { return x.frames.size() == 1; }));
  BOOST_TEST(seen_b->frames.front().from == 4);
  caf::anon_send_exit(b_to_a, caf::exit_reason::user_shutdown);
  for (const auto& seen : {seen_a, seen_b})
    BOOST_TEST(seen->wait([](auto& x) { return x.downs == 1 && x.monitors_fired == 1; }));
  caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(b, caf::exit_reason::user_shutdown);
}
