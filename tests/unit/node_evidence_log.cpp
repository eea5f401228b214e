// What a node keeps and tells of contradictions, however many a liar makes.
#include "actors/node/evidence_log.hpp"
#include "storage_fixture.hpp"

using namespace tallymesh;
using node::evidence_log;

BOOST_AUTO_TEST_SUITE(node_evidence_log)

namespace {

evidence two(item_kind kind, std::uint64_t position) {
  const auto one = [&](std::string_view what) {
    return signed_item{kind, 1, position, hash(digest_kind::record, as_bytes(what)), {}};
  };
  return {one("this"), one("that")};
}

struct told_log {
  storage::testing::temporary_directory home;
  std::vector<std::string> lines;
  evidence_log log{home / "evidence.log",
                   [this](const std::string& line) { lines.push_back(line); }};
  evidence_log::time_point now{};
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_lane_forked_in_every_place_is_told_once_a_minute_and_kept_whole,
                        told_log) {
  constexpr std::size_t places = 1024;
  for (std::uint64_t seq = 1; seq <= places; ++seq)
    log.keep(now, "coop", two(item_kind::batch, seq));
  BOOST_TEST_REQUIRE(lines.size() == 1u);
  BOOST_TEST(lines[0]
             == "evidence: node coop signed batch and batch that contradict each other at 1");
  BOOST_TEST(log.newest(places + 1).size() == places);
  BOOST_TEST(log.newest(1).front() == "coop " + to_hex(encode(two(item_kind::batch, places))));

  log.keep(now, "hq", two(item_kind::batch, 1));
  log.keep(now, "coop", two(item_kind::notarize, 1));
  BOOST_TEST(lines.size() == 3u, "another node and another kind are not hidden by it");

  log.flush(now + std::chrono::seconds{59});
  BOOST_TEST(lines.size() == 3u);
  log.flush(now + std::chrono::seconds{60});
  BOOST_TEST_REQUIRE(lines.size() == 4u);
  BOOST_TEST(lines[3].ends_with(" at 1024 (1023 times more)"));
}

BOOST_FIXTURE_TEST_CASE(a_flood_of_evidence_does_not_fill_the_disk, told_log) {
  std::ofstream{log.file()};
  std::filesystem::resize_file(log.file(), evidence_log::most_bytes + 1);
  log.keep(now, "coop", two(item_kind::batch, 1));
  BOOST_TEST(std::filesystem::file_size(log.file()) == evidence_log::most_bytes + 1);
  BOOST_TEST(lines.size() == 1u, "it is told all the same");
}

BOOST_AUTO_TEST_SUITE_END()
