// Power loss at every instant: what the nodes of a loaded mesh write and sync is recorded, and
// their stores are opened on what the disks may hold after each record, with every part of what
// no sync had covered; then the mesh itself is started from such disks. Argument: seconds to
// spend on replays (default 15).
#define BOOST_TEST_MODULE faults_power_loss
#include "configs/genesis.hpp"
#include "storage/batch_store.hpp"
#include "storage/ledger.hpp"
#include "storage/vote_log.hpp"
#include "tests/faults/language/parser.hpp"
#include "tests/faults/power_loss.hpp"
#include "tests/faults/real/clients.hpp"
#include "tests/faults/real/real_mesh.hpp"
#include "tools/tally/mesh.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <set>

using namespace tallymesh;
using namespace tallymesh::faults;
using namespace std::chrono_literals;

namespace {

using clock = std::chrono::steady_clock;
using keep = disk_replay::keep;
constexpr std::uint16_t node_count = 4;
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

std::int64_t microseconds(clock::time_point x) {
  return std::chrono::duration_cast<std::chrono::microseconds>(x.time_since_epoch()).count();
}

struct acknowledgement {
  std::int64_t at_us = 0;
  std::uint16_t node = 0; ///< who told it, and in whose lane it came in
  operation_id id;
};

struct recording {
  std::vector<std::vector<disk_record>> logs; ///< by node
  std::vector<std::uint16_t> order;           ///< of all records in time: whose comes next
  signing_domain domain;
  std::vector<acknowledgement> acknowledged; ///< in order of time
};

/// Whose record comes next, by time; the records of one node stay in their order.
std::vector<std::uint16_t> merged(const std::vector<std::vector<disk_record>>& logs) {
  std::vector<std::uint16_t> order;
  std::vector<std::size_t> at(logs.size());
  for (;;) {
    std::optional<std::uint16_t> first;
    for (std::uint16_t i = 0; i < logs.size(); ++i)
      if (at[i] < logs[i].size()
          && (!first || logs[i][at[i]].head.at_us < logs[*first][at[*first]].head.at_us))
        first = i;
    if (!first) return order;
    order.push_back(*first);
    ++at[*first];
  }
}

void start_all(real_mesh& mesh) {
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    const auto up = mesh.start(i);
    BOOST_REQUIRE_MESSAGE(up.has_value(), (up ? "" : up.error().context));
  }
}

/// Four nodes under load for two seconds; all their disks are recorded.
recording record(real_mesh& mesh, const std::filesystem::path& scratch) {
  std::vector<tally::http_target> gateways;
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    mesh.record(i, scratch / ("record-" + real_mesh::name_of(i)));
    gateways.push_back(mesh.gateway(i));
  }
  start_all(mesh);
  const auto what = parse_script("name \"load\"\nnodes n1..n4\nload n1 rate 100/s\n"
                                 "load n2..n4 rate 30/s\nat 2s heal\n"
                                 "within 60s after heal converged\n",
                                 "load");
  BOOST_REQUIRE(what.has_value());
  const auto began = clock::now();
  clients load(*what, 1, gateways, began);
  while (load.open() > 0 && clock::now() < began + patience)
    std::this_thread::sleep_for(20ms);
  BOOST_REQUIRE(load.open() == 0u);
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    mesh.kill(i);
    mesh.record(i, {});
  }

  recording made;
  const auto genesis = configs::load_genesis(mesh.directory() / "genesis.toml");
  BOOST_REQUIRE(genesis.has_value());
  made.domain = genesis->domain();
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    auto log = read_disk_log(scratch / ("record-" + real_mesh::name_of(i)));
    BOOST_REQUIRE_MESSAGE(log.has_value(), (log ? "" : log.error().context));
    made.logs.push_back(std::move(*log));
  }
  made.order = merged(made.logs);
  const auto history = load.history();
  // A client remembers whole milliseconds; by the end of that one it had been told.
  constexpr std::int64_t millisecond_us = 1000;
  for (const auto& [id, x] : history.entries())
    if (x.acknowledged)
      made.acknowledged.push_back(
          {microseconds(began) + x.acknowledged->count() + millisecond_us, x.node,
           *operation_id::from_hex(id)});
  std::sort(made.acknowledged.begin(), made.acknowledged.end(),
            [](const auto& a, const auto& b) { return a.at_us < b.at_us; });
  return made;
}

using slot = std::pair<view_number, item_kind>;

/// The disks of all nodes at one instant that moves forward, and what must be true of them.
class disks {
public:
  disks(const recording& what, std::filesystem::path scratch)
      : what_(what), scratch_(std::move(scratch)) {
    for (const auto& each : what.logs)
      nodes_.push_back({disk_replay(each), {}, {}, {}});
  }

  bool at_end() const { return played_ == what_.order.size(); }
  std::size_t played() const { return played_; }
  /// Plays the next record of all; whose it is.
  std::uint16_t step() {
    const auto node = what_.order[played_++];
    const auto& log = what_.logs[node];
    now_us_ = std::max(now_us_, log[nodes_[node].replay.played()].head.at_us);
    nodes_[node].replay.step();
    return node;
  }
  std::int64_t now_us() const { return now_us_; }
  std::size_t examined() const { return examined_; }
  /// What must not be, in words.
  const std::vector<std::string>& lost_operations() const { return lost_operations_; }
  const std::vector<std::string>& broken_votes() const { return broken_votes_; }
  const std::vector<std::string>& damaged_stores() const { return damaged_stores_; }

  /// All that may be found of this node's disk if the power goes now.
  void examine(std::uint16_t node) {
    examine(node, keep::none);
    examine(node, keep::all);
    if (nodes_[node].replay.unsynced_pages() > 0) examine(node, keep::some);
  }
  /// Into the directories of a mesh, as they may be found.
  void write_to(const real_mesh& mesh, keep what) {
    for (std::uint16_t i = 0; i < nodes_.size(); ++i) {
      const auto data = mesh.directory_of(i) / "data";
      std::filesystem::remove_all(data);
      BOOST_REQUIRE(nodes_[i].replay.write_to(data, what, chance_).has_value());
    }
  }

private:
  struct one_node {
    disk_replay replay;
    std::map<slot, digest> known;   ///< every vote that any disk held
    std::map<slot, digest> durable; ///< those that one held which had kept synced pages only
    view_number oldest = 0;         ///< that its log held when it was looked at last
  };

  std::string where(std::uint16_t node) const {
    return " after record " + std::to_string(played_) + " on " + real_mesh::name_of(node);
  }

  void examine(std::uint16_t node, keep what) {
    const auto found = put_down(node, what);
    const auto ledger = storage::ledger::open(found / "ledger", what_.domain);
    const auto batches = storage::batch_store::open(found / "batches", what_.domain);
    if (!ledger || !batches) {
      const auto& why = !ledger ? ledger.error() : batches.error();
      damaged_stores_.push_back("a store does not open" + where(node) + ": " + why.context);
      return;
    }
    check_operations(**ledger, node);
    const auto head = (*ledger)->head();
    BOOST_REQUIRE(head.has_value());
    check_votes(node, what, load_votes(node, found), head->view);
    ++examined_;
  }

  std::filesystem::path put_down(std::uint16_t node, keep what) {
    std::filesystem::remove_all(scratch_);
    BOOST_REQUIRE(nodes_[node].replay.write_to(scratch_, what, chance_).has_value());
    return scratch_;
  }

  std::vector<vote_record> load_votes(std::uint16_t node, const std::filesystem::path& found) {
    const auto votes = storage::vote_log::open(found / "votes", what_.domain, true);
    if (!votes) {
      damaged_stores_.push_back("the vote log does not open" + where(node) + ": "
                                + votes.error().context);
      return {};
    }
    auto stored = (*votes)->load();
    if (stored) return std::move(*stored);
    damaged_stores_.push_back("votes cannot be read" + where(node) + ": "
                              + stored.error().context);
    return {};
  }

  /// What this node told its clients is in its own ledger.
  void check_operations(const storage::ledger& ledger, std::uint16_t node) {
    std::vector<operation_id> told;
    for (const auto& each : what_.acknowledged)
      if (each.node == node && each.at_us <= now_us_) told.push_back(each.id);
    const auto there = ledger.executed(node, told);
    BOOST_REQUIRE(there.has_value());
    const auto missing = std::count(there->begin(), there->end(), false);
    if (missing > 0)
      lost_operations_.push_back(std::to_string(missing) + " acknowledged operations are lost"
                                 + where(node));
  }

  std::map<slot, digest> votes_in(const std::vector<vote_record>& stored) {
    std::map<slot, digest> now;
    for (const auto& each : stored) {
      if (const auto* x = std::get_if<vote>(&each)) now[{x->position, x->kind}] = x->what;
      if (const auto* x = std::get_if<own_proposal>(&each))
        now[{x->block->content.view, item_kind::proposal}] = x->block->id;
    }
    return now;
  }

  void check_votes(std::uint16_t node, keep what, const std::vector<vote_record>& stored,
                   view_number final_view) {
    auto& self = nodes_[node];
    const auto now = votes_in(stored);
    for (const auto& [which, content] : now)
      if (const auto before = self.known.find(which);
          before != self.known.end() && before->second != content)
        broken_votes_.push_back(in(which) + "another vote of one slot" + where(node));
    for (const auto& [which, content] : self.durable)
      if (which.first > final_view && !now.contains(which))
        broken_votes_.push_back(in(which) + "a stored vote is gone" + where(node));
    self.known.insert(now.begin(), now.end());
    if (what == keep::none) remember_durable(node, stored);
    if (what == keep::all) check_certificates(node, stored);
  }

  void remember_durable(std::uint16_t node, const std::vector<vote_record>& stored) {
    const auto now = votes_in(stored);
    nodes_[node].durable.insert(now.begin(), now.end());
    if (!now.empty()) nodes_[node].oldest = now.begin()->first.first;
  }

  /// S15: a vote that anyone else has, its own node must never be able to forget.
  void check_certificates(std::uint16_t holder, const std::vector<vote_record>& stored) {
    for (const auto& each : stored) {
      const auto* certified = std::get_if<certificate>(&each);
      if (!certified) continue;
      for (const auto& [signer, signature] : certified->votes)
        if (signer != holder)
          check_sent(signer, {certified->view, certified->kind}, certified->block);
    }
  }
  void check_sent(std::uint16_t signer, const slot& which, const digest& content) {
    auto& votes = nodes_[signer].durable;
    if (!votes.contains(which))
      remember_durable(signer, load_votes(signer, put_down(signer, keep::none)));
    const auto found = votes.find(which);
    if (found == votes.end() && which.first < nodes_[signer].oldest) return; // pruned since
    if (found == votes.end())
      broken_votes_.push_back(in(which) + "others have a vote that is not stored yet"
                              + where(signer));
    else if (found->second != content)
      broken_votes_.push_back(in(which) + "others have another vote than what is stored"
                              + where(signer));
  }
  static std::string in(const slot& which) {
    return "view " + std::to_string(which.first) + ", " + std::string(to_string(which.second))
           + ": ";
  }

  const recording& what_;
  std::filesystem::path scratch_;
  simulation::random_source chance_{11};
  std::vector<one_node> nodes_;
  std::size_t played_ = 0, examined_ = 0;
  std::int64_t now_us_ = 0;
  std::vector<std::string> lost_operations_, broken_votes_, damaged_stores_;
};

std::uint64_t executed_height(const tally::http_target& gateway) {
  tally::http_client over(gateway);
  const auto status = tally::get_json(over, "/v1/status", {2000ms});
  return status ? static_cast<std::uint64_t>(tally::number_at(*status, "executed_height")) : 0;
}

/// Starts the mesh on the disks it has now: all that was acknowledged is there on every node.
void recovers(real_mesh& mesh, const std::vector<std::string>& acknowledged) {
  start_all(mesh);
  const auto end = clock::now() + patience;
  for (std::uint16_t i = 0; i < mesh.size(); ++i) {
    tally::http_client over(mesh.gateway(i));
    for (const auto& id : acknowledged)
      while (!tally::get_json(over, "/v1/tables/faults.entries/rows/" + id)) {
        BOOST_REQUIRE_MESSAGE(clock::now() < end, real_mesh::name_of(i) + " has lost " + id);
        std::this_thread::sleep_for(50ms);
      }
  }
  for (std::uint16_t i = 1; i < mesh.size(); ++i)
    while (executed_height(mesh.gateway(i)) != executed_height(mesh.gateway(0))) {
      BOOST_REQUIRE_MESSAGE(clock::now() < end, real_mesh::name_of(i) + " does not catch up");
      std::this_thread::sleep_for(50ms);
    }
  for (std::uint16_t i = 0; i < mesh.size(); ++i)
    mesh.kill(i);
}

/// One recording for all tests: it takes longer than they do.
struct recorded {
  scratch_folder scratch{std::filesystem::temp_directory_path()};
  scratch_folder memory{memory_folder()};
  std::unique_ptr<real_mesh> mesh;
  recording what;
};
recorded& shared() {
  static recorded made;
  if (made.mesh) return made;
  auto mesh = real_mesh::make(node_count, made.scratch.path / "mesh");
  BOOST_REQUIRE_MESSAGE(mesh.has_value(), (mesh ? "" : mesh.error().context));
  made.mesh = std::move(*mesh);
  made.what = record(*made.mesh, made.scratch.path);
  BOOST_REQUIRE(made.what.acknowledged.size() > 50u);
  BOOST_REQUIRE(made.what.order.size() > 100u); // a slow machine puts much into one commit
  return made;
}

/// Looks at every `stride`th instant from the first acknowledgement on; before it the stores
/// themselves are being made.
disks examine_every(std::size_t stride, const recording& what, clock::time_point end) {
  disks round(what, shared().memory.path / "disk");
  while (!round.at_end() && clock::now() < end) {
    const auto node = round.step();
    if (round.now_us() >= what.acknowledged.front().at_us && round.played() % stride == 0)
      round.examine(node);
  }
  BOOST_TEST_MESSAGE("every " << stride << " of " << what.order.size()
                              << " records: " << round.examined() << " disks opened");
  return round;
}

void none_of(const std::vector<std::string>& found) {
  BOOST_TEST(found.empty(), found.size()
                                << " times, first: " << (found.empty() ? "" : found[0]));
}

} // namespace

BOOST_AUTO_TEST_CASE(
    no_acknowledged_operation_is_lost_and_no_vote_contradicted_at_any_instant) {
  const auto& suite = boost::unit_test::framework::master_test_suite();
  const auto seconds = suite.argc > 1 ? std::atoi(suite.argv[1]) : 15;
  const auto& what = shared().what;
  const auto end = clock::now() + std::chrono::seconds(seconds);
  // Rounds of ever finer steps, as time allows; the last one looks at every record.
  for (std::size_t stride = 128; stride >= 1 && clock::now() < end; stride /= 2) {
    const auto round = examine_every(stride, what, end);
    BOOST_TEST((round.examined() > 0u || clock::now() >= end));
    none_of(round.damaged_stores());
    none_of(round.lost_operations());
    none_of(round.broken_votes());
  }
}

// S15 the other way round: what the first node wrote and synced happened later than it did.
BOOST_AUTO_TEST_CASE(a_node_that_tells_before_it_stores_is_found_out) {
  constexpr auto late = 100'000;
  auto what = shared().what;
  for (auto& each : what.logs[0])
    each.head.at_us += late;
  what.order = merged(what.logs);
  // Its stores are made late too: until then it has none that could be opened.
  const auto from_us = what.acknowledged.front().at_us + late;
  disks round(what, shared().memory.path / "disk");
  while (!round.at_end() && (round.lost_operations().empty() || round.broken_votes().empty())) {
    const auto node = round.step();
    if (round.now_us() >= from_us && round.played() % 8 == 0) round.examine(node);
  }
  BOOST_TEST(!round.lost_operations().empty());
  BOOST_TEST(!round.broken_votes().empty());
  none_of(round.damaged_stores());
}

BOOST_AUTO_TEST_CASE(a_mesh_that_lost_power_in_the_middle_has_all_that_it_acknowledged) {
  auto& [scratch, memory, mesh, what] = shared();
  for (const auto which : {keep::some, keep::none}) {
    disks round(what, memory.path / "disk");
    while (round.played() < what.order.size() * 2 / 3)
      round.step();
    std::vector<std::string> told;
    for (const auto& each : what.acknowledged)
      if (each.at_us <= round.now_us()) told.push_back(each.id.hex());
    BOOST_REQUIRE(!told.empty());
    round.write_to(*mesh, which);
    recovers(*mesh, told);
  }
}
