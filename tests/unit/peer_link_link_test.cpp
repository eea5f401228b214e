// Two nodes of one process, each with an actor system of its own, over loopback.
#include "tests/unit/peer_link_fixture.hpp"

#include <boost/test/unit_test.hpp>

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
