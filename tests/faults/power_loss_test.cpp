// Power loss at every instant: a mesh at work is recorded, and after every record its nodes are
// opened on what their disks may hold then, with every kind of part of what no sync had
// covered; then the mesh itself is started from such disks. Argument: for how many seconds more
// other random parts are tried, again at every instant (default 0).
#include "tests/faults/power_loss_recording.hpp"
#include "tools/tally/mesh.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>

using namespace tallymesh;
using namespace tallymesh::faults;
using namespace std::chrono_literals;

namespace {

using clock = std::chrono::steady_clock;
using keep = disk_replay::keep;
constexpr auto patience = 60s; ///< of what takes a second on a quiet machine

struct scratch_folder {
  std::filesystem::path path;
  explicit scratch_folder(const std::filesystem::path& where) {
    auto name = (where / "power-lossXXXXXX").string();
    BOOST_REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

/// Disks that are only looked at need not be durable themselves.
std::filesystem::path memory_folder() {
  return std::filesystem::is_directory("/dev/shm") ? "/dev/shm"
                                                   : std::filesystem::temp_directory_path();
}

bool is(const disk_record& x, recorded what) {
  return x.head.what == static_cast<std::uint32_t>(what);
}

/// One recording for all tests: it takes longer than most of them.
struct shared_recording {
  scratch_folder scratch{std::filesystem::temp_directory_path()};
  scratch_folder memory{memory_folder()};
  recorded_mesh made;
};
shared_recording& shared() {
  static shared_recording all;
  if (all.made.mesh) return all;
  auto made = record_mesh(all.scratch.path);
  BOOST_REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().context));
  all.made = std::move(*made);
  BOOST_REQUIRE(all.made.what.acknowledged.size() > 100u);
  for (const auto& log : all.made.what.logs)
    for (const auto* store : {"ledger/data.mdb", "batches/data.mdb"})
      BOOST_REQUIRE(std::count_if(log.begin(), log.end(),
                                  [&](const disk_record& x) {
                                    return is(x, recorded::rename) && x.content == store;
                                  })
                    >= 2); // when it was made, and when a row was erased
  return all;
}

void none_of(const std::vector<std::string>& found) {
  BOOST_TEST(found.empty(), found.size() << " findings");
  for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), 10); ++i)
    BOOST_TEST_MESSAGE("  " << found[i]);
}

/// Every instant of the recording, whatever time it takes.
void examine_every_instant(std::uint64_t seed) {
  const auto& what = shared().made.what;
  constexpr std::size_t random_parts = 8, of_the_last = 64;
  power_cuts round(what, shared().memory.path / "disks", seed);
  while (!round.at_end()) {
    round.step();
    round.examine(random_parts);
  }
  round.examine_all(of_the_last);
  BOOST_TEST_MESSAGE(what.order.size() << " records, " << round.examined() << " disks opened");
  BOOST_TEST(round.examined() > what.order.size());
  none_of(round.found().damaged_stores);
  none_of(round.found().lost_operations);
  none_of(round.found().contradictions);
  none_of(round.found().kept_payloads);
  // It was at work: with views that were left without a block, too.
  for (const auto kind : {item_kind::notarize, item_kind::nullify, item_kind::finalize})
    BOOST_TEST(round.votes_of(kind) > 0u);
}

/// What the promises say of a recording that was changed: looks at every instant, until
/// `enough` is found.
template <class F>
power_cuts::findings examine_bent(const power_recording& bent, F&& enough) {
  power_cuts round(bent, shared().memory.path / "bent", 1);
  while (!round.at_end() && !enough(round.found())) {
    round.step();
    round.examine(1);
  }
  return round.found();
}

/// The recording as if these records had not been made, once the mesh had begun its work.
template <class F>
power_recording without(F&& left_out) {
  auto bent = shared().made.what;
  bent.bent = true;
  const auto began_us = bent.acknowledged.front().at_us;
  for (auto& log : bent.logs)
    std::erase_if(log,
                  [&](const disk_record& x) { return x.head.at_us > began_us && left_out(x); });
  bent.order = merged(bent.logs);
  return bent;
}
bool is_of_file(const disk_record& x, std::string_view name) {
  return std::string_view(x.head.name).ends_with(name);
}

std::uint64_t executed_height(const tally::http_target& gateway) {
  tally::http_client over(gateway);
  const auto status = tally::get_json(over, "/v1/status", {2000ms});
  return status ? static_cast<std::uint64_t>(tally::number_at(*status, "executed_height")) : 0;
}

/// Starts the mesh on the disks it has now: all that was acknowledged is there on every node.
void recovers(real_mesh& mesh, const std::vector<std::string>& acknowledged) {
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    const auto up = mesh.start(i);
    BOOST_REQUIRE_MESSAGE(up.has_value(), (up ? "" : up.error().context));
  }
  const auto end = clock::now() + patience;
  const auto in_time = [&](auto&& holds) {
    return tally::poll_until(std::chrono::ceil<std::chrono::milliseconds>(end - clock::now()),
                             50ms, holds);
  };
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    tally::http_client over(mesh.gateway(i));
    for (const auto& id : acknowledged)
      BOOST_REQUIRE_MESSAGE(
          in_time([&] {
            return tally::get_json(over, "/v1/tables/faults.entries/rows/" + id).has_value();
          }),
          real_mesh::name_of(i) + " has lost " + id);
  }
  for (std::uint16_t i = 1; i < mesh.size(); ++i)
    BOOST_REQUIRE_MESSAGE(in_time([&] {
                            return executed_height(mesh.gateway(i))
                                   == executed_height(mesh.gateway(0));
                          }),
                          real_mesh::name_of(i) + " does not catch up");
  for (std::uint16_t i = 0; i < mesh.size(); ++i)
    mesh.kill(i);
}

} // namespace

BOOST_AUTO_TEST_CASE(
    no_acknowledged_operation_is_lost_and_no_vote_contradicted_at_any_instant) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  const auto more = std::chrono::seconds(suite.argc > 1 ? std::atoi(suite.argv[1]) : 0);
  examine_every_instant(11);
  const auto end = clock::now() + more;
  for (std::uint64_t seed = 12; clock::now() < end; ++seed)
    examine_every_instant(seed);
}

// S15 the other way round: what the first node wrote and synced happened later than it did.
BOOST_AUTO_TEST_CASE(a_node_that_tells_before_it_stores_is_found_out) {
  constexpr auto late_us = 100'000;
  auto what = shared().made.what;
  for (auto& each : what.logs[0])
    each.head.at_us += late_us;
  what.order = merged(what.logs);
  const auto found = examine_bent(what, [](const auto& x) {
    return !x.lost_operations.empty() && !x.contradictions.empty();
  });
  BOOST_TEST(!found.lost_operations.empty());
  BOOST_TEST(!found.contradictions.empty());
  none_of(found.damaged_stores);
}

BOOST_AUTO_TEST_CASE(a_node_that_does_not_sync_is_found_out) {
  auto what = without([](const disk_record& x) { return is(x, recorded::sync); });
  for (auto& log : what.logs)
    for (auto& each : log)
      if (each.head.at_us > what.acknowledged.front().at_us) each.head.is_synced = 0;
  const auto found = examine_bent(what, [](const auto& x) {
    return !x.lost_operations.empty() && !x.contradictions.empty();
  });
  BOOST_TEST(!found.lost_operations.empty());
  BOOST_TEST(!found.contradictions.empty());
}

// The page by which a commit counts, without the pages that it counts on.
BOOST_AUTO_TEST_CASE(a_commit_that_is_not_synced_before_it_counts_is_found_out) {
  const auto found = examine_bent(without([](const disk_record& x) {
                                    return is(x, recorded::sync) && is_of_file(x, "data.mdb");
                                  }),
                                  [](const auto& x) { return !x.damaged_stores.empty(); });
  BOOST_TEST(!found.damaged_stores.empty());
}

// --- a store that is made, or made anew

BOOST_AUTO_TEST_CASE(a_store_is_looked_at_once_its_directory_is_there_for_good) {
  std::vector<disk_record> log;
  const auto add = [&](recorded what, const char* name) {
    auto& x = log.emplace_back();
    x.head.what = static_cast<std::uint32_t>(what);
    std::strcpy(x.head.name, name);
    if (what == recorded::write) x.content = "a store";
    x.head.size = x.content.size();
  };
  add(recorded::write, "ledger/data.mdb");
  add(recorded::sync, "ledger/data.mdb");
  add(recorded::sync, "ledger");
  add(recorded::sync, ".");
  disk_replay replay(log);
  for (int i = 0; i < 3; ++i)
    replay.step();
  BOOST_TEST(replay.is_uncertain("ledger"));
  const auto made = replay.step();
  BOOST_TEST(!replay.is_uncertain("ledger"));
  BOOST_TEST(made.none);
  BOOST_TEST(made.stores.contains("ledger"));
}

BOOST_AUTO_TEST_CASE(a_new_file_that_is_not_synced_before_it_takes_its_place_is_found_out) {
  const auto found =
      examine_bent(without([](const disk_record& x) {
                     return is(x, recorded::sync) && is_of_file(x, "rebuilt/data.mdb");
                   }),
                   [](const auto& x) { return !x.damaged_stores.empty(); });
  BOOST_TEST(!found.damaged_stores.empty());
}

BOOST_AUTO_TEST_CASE(a_node_that_signs_before_its_new_file_has_its_name_for_good_is_found_out) {
  const auto found = examine_bent(without([](const disk_record& x) {
                                    return is(x, recorded::sync) && !is_of_file(x, "data.mdb");
                                  }),
                                  [](const auto& x) { return !x.kept_payloads.empty(); });
  BOOST_TEST(!found.kept_payloads.empty());
}

BOOST_AUTO_TEST_CASE(a_mesh_that_lost_power_in_the_middle_has_all_that_it_acknowledged) {
  auto& made = shared().made;
  for (const auto which : {keep::some, keep::none}) {
    power_cuts round(made.what, shared().memory.path / "middle", 2);
    while (round.played() < made.what.order.size() * 2 / 3)
      round.step();
    std::vector<std::string> told;
    for (const auto& each : made.what.acknowledged)
      if (each.at_us <= round.now_us()) told.push_back(each.id.hex());
    BOOST_REQUIRE(!told.empty());
    for (std::uint16_t i = 0; i < made.mesh->size(); ++i) {
      const auto data = made.mesh->directory_of(i) / "data";
      std::filesystem::remove_all(data);
      BOOST_REQUIRE(round.write_to(i, data, which).has_value());
    }
    recovers(*made.mesh, told);
  }
}
