// Four whole nodes in one process, joined by plain handles or by TLS links: they agree, and a
// supervisor starts again whichever child ends, with nothing lost.
#include "actors/node/supervisor.hpp"
#include "actors/node/wiring.hpp"
#include "actors/peer_link/links.hpp"
#include "tests/end_to_end/identical.hpp"
#include "tests/end_to_end/made_mesh.hpp"
#include "tools/tally/loader.hpp"

#include <caf/io/middleman.hpp>
#include <fstream>
#include <spdlog/spdlog.h>
#include <sstream>

#include <sys/wait.h>
#include <unistd.h>

using namespace tallymesh;
namespace tally = tallymesh::tally;
using namespace std::chrono_literals;

namespace {

node::context_ptr open_node(const made_mesh& files, const std::string& name) {
  auto config = configs::load_node(files.directory / "mesh" / name / "node.toml");
  BOOST_REQUIRE(config);
  auto context = node::open_context(std::move(*config));
  BOOST_REQUIRE_MESSAGE(context, context.error().context);
  return *context;
}

/// Stands where each node's peer links would be, and joins every pair of switchboards.
class joints {
public:
  explicit joints(caf::actor_system& system) : system_(system) {}

  node::link_factory factory() {
    return [this](caf::actor_system& system, const node::context& context, caf::actor sink) {
      const auto self = context.self();
      join(self, std::move(sink));
      return system.spawn([this, self](caf::event_based_actor*) -> caf::behavior {
        return {[this, self](sink_atom, const caf::actor& next) { join(self, next); },
                [](operators_atom, const caf::actor&) {}}; // no operator comes in by these
      });
    };
  }
  void cut_all() {
    const std::lock_guard guard(lock_);
    for (const auto& each : pairs_)
      caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
    pairs_.clear();
    sinks_.clear();
  }

private:
  /// A pair that a new sink replaces stays until the end, unused: its "down" would come after
  /// the new pair's "up".
  void join(node_index self, caf::actor sink) {
    const std::lock_guard guard(lock_);
    for (const auto& [other, theirs] : sinks_)
      if (other != self)
        pairs_.push_back(peer_link::connect_local(system_, sink, self, theirs, other).first);
    sinks_[self] = std::move(sink);
  }
  caf::actor_system& system_;
  std::mutex lock_;
  std::map<node_index, caf::actor> sinks_;
  std::vector<caf::actor> pairs_;
};

struct system_config : caf::actor_system_config {
  system_config() {
    load<caf::io::middleman>();
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{2});
    spdlog::set_level(spdlog::level::off);
  }
};

node::wiring_ptr wiring_of(caf::scoped_actor& asking, const caf::actor& of) {
  node::wiring_ptr out;
  asking->request(of, 10s, introspect_atom::value)
      .receive([&](const node::wiring_ptr& x) { out = x; },
               [](const caf::error&) { BOOST_FAIL("the supervisor does not answer"); });
  return out;
}

void end_and_wait(caf::scoped_actor& self, const std::vector<caf::actor>& supervisors) {
  for (const auto& each : supervisors) {
    self->monitor(each);
    self->send_exit(each, caf::exit_reason::user_shutdown);
  }
  for (std::size_t i = 0; i < supervisors.size(); ++i)
    self->receive([](const caf::down_msg&) {},
                  caf::after(20s) >> [] { BOOST_FAIL("a node does not end"); });
}

enum class joined_by { handles, tls };

struct four_nodes {
  made_mesh files{four_names};
  std::vector<tally::gateway> gateways;
  system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  joints joined{system};
  std::vector<caf::actor> nodes;
  std::uint64_t next_row = 0;

  explicit four_nodes(joined_by how = joined_by::handles) {
    tally::place where;
    where.mesh = files.directory / "mesh";
    gateways = tally::find_gateways(where).value();
    for (const auto& each : gateways)
      nodes.push_back(
          node::spawn_node(system, open_node(files, each.node),
                           how == joined_by::tls ? node::tcp_links : joined.factory()));
  }
  ~four_nodes() {
    end_and_wait(self, nodes);
    joined.cut_all();
  }

  void store(std::uint64_t rows, const std::function<void(std::uint64_t)>& before_row) {
    tally::load_settings settings;
    settings.request_rows = 25;
    settings.give_up_after = 60s;
    tally::loader loader{gateways, *tally::table_name::from_text("divisions.streets"),
                         settings};
    for (std::uint64_t i = 0; i < rows; ++i) {
      before_row(i);
      BOOST_REQUIRE(
          loader.add(i / 25 % gateways.size(), {i + 1, street_row(next_row++), ""}, [] {}));
    }
    const auto done = loader.finish([] {});
    BOOST_REQUIRE_MESSAGE(done, done.error().context);
    BOOST_TEST(done->stored == rows);
  }

  /// All four hold every row that was stored, and executed the same.
  void check_identical() {
    for (const auto& each : check_all_hold_the_same(gateways))
      BOOST_TEST(each.tables.at("divisions.streets").records == next_row);
  }

  using choice = std::function<caf::actor(const node::wiring&)>;
  /// Ends one child of a node in the midst of work, and returns the wiring before and after.
  std::pair<node::wiring_ptr, node::wiring_ptr> end_child(std::size_t of,
                                                          const choice& chosen) {
    const auto before = wiring_of(self, nodes[of]);
    auto after = before;
    store(600, [&](std::uint64_t row) {
      if (row == 300) self->send_exit(chosen(*before), caf::exit_reason::kill);
    });
    BOOST_TEST(tally::poll_until(20s, 10ms, [&] {
      after = wiring_of(self, nodes[of]);
      return chosen(*after) != chosen(*before);
    }));
    store(200, [](std::uint64_t) {});
    check_identical();
    return {before, after};
  }
  /// As end_child, and every other family stays as it was.
  void end_alone(std::size_t of, caf::actor node::wiring::*child) {
    const auto [before, after] = end_child(of, [=](const node::wiring& x) { return x.*child; });
    BOOST_TEST((before->core.consensus == after->core.consensus));
    BOOST_TEST((before->core.mempool == after->core.mempool));
    for (const auto other :
         {&node::wiring::switchboard, &node::wiring::gateway, &node::wiring::links})
      if (other != child) BOOST_TEST(((*before).*other == (*after).*other));
  }
  void end_core_actor(std::size_t of, const choice& chosen) {
    const auto [before, after] = end_child(of, chosen);
    BOOST_TEST((before->core.ledger_writer != after->core.ledger_writer));
    BOOST_TEST((before->core.contract_executor != after->core.contract_executor));
    BOOST_TEST((before->core.consensus != after->core.consensus));
    BOOST_TEST((before->core.mempool != after->core.mempool));
    BOOST_TEST((before->switchboard == after->switchboard));
    BOOST_TEST((before->gateway == after->gateway));
    BOOST_TEST((before->links == after->links));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(one_process)

/// Forks while no other thread runs, so it is the first.
/// What a process ends with that does this; `run` does not come back, for a node would be
/// waited for then.
int exit_code_of(const std::function<void()>& run) {
  const auto child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) {
    run();
    ::_exit(1);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

BOOST_AUTO_TEST_CASE(more_than_five_restarts_in_thirty_seconds_end_the_process) {
  const made_mesh files{"hq:level1"};
  BOOST_TEST(exit_code_of([&] {
               system_config config;
               caf::actor_system system{config};
               caf::scoped_actor self{system};
               const auto node = node::spawn_node(system, open_node(files, "hq"));
               for (int i = 0; i < 6; ++i) {
                 const auto ended = wiring_of(self, node)->gateway;
                 self->send_exit(ended, caf::exit_reason::kill);
                 if (!tally::poll_until(
                         20s, 5ms, [&] { return wiring_of(self, node)->gateway != ended; }))
                   ::_exit(1);
               }
               ::_exit(0);
             })
             == 74);
}

BOOST_AUTO_TEST_CASE(
    without_its_votes_a_mempool_that_fails_before_peers_told_ends_the_process) {
  const made_mesh files{four_names};
  open_node(files, "hq"); // its key is marked as used
  std::filesystem::remove_all(files.directory / "mesh" / "hq" / "data");
  BOOST_TEST(exit_code_of([&] {
               system_config config;
               caf::actor_system system{config};
               caf::scoped_actor self{system};
               joints alone{system};
               const auto context = open_node(files, "hq");
               const auto node = node::spawn_node(system, context, alone.factory());
               if (!tally::poll_until(
                       20s, 5ms, [&] { return context->own_lane == node::lane_doubt::asking; }))
                 ::_exit(1);
               const auto ended = wiring_of(self, node)->core.mempool;
               self->send_exit(ended, caf::exit_reason::kill);
               tally::poll_until(20s, 5ms,
                                 [&] { return wiring_of(self, node)->core.mempool != ended; });
               ::_exit(0);
             })
             == 74);
}

BOOST_AUTO_TEST_CASE(votes_that_cannot_be_read_are_missing_to_all_of_a_node) {
  const made_mesh files{four_names};
  std::string signature;
  {
    const auto context = open_node(files, "hq");
    BOOST_TEST((context->own_lane == node::lane_doubt::none));
    const vote_record own = context->keys.make(item_kind::notarize, 9, {});
    signature = as_text(std::get<signed_item>(own).signed_by.raw);
    BOOST_REQUIRE(context->votes->append({&own, 1}));
  }
  const auto file = files.directory / "mesh" / "hq" / "data" / "votes" / "data.mdb";
  std::ostringstream held;
  held << std::ifstream(file, std::ios::binary).rdbuf();
  auto bent = held.str();
  const auto at = bent.find(signature);
  BOOST_REQUIRE(at != bent.npos);
  bent[at] ^= 1;
  std::ofstream(file, std::ios::binary) << bent;
  const auto context = open_node(files, "hq");
  BOOST_TEST(!context->votes);
  BOOST_TEST((context->own_lane == node::lane_doubt::unasked));
}

BOOST_AUTO_TEST_CASE(four_nodes_joined_by_handles_execute_the_same) {
  four_nodes mesh;
  mesh.store(2000, [](std::uint64_t) {});
  mesh.check_identical();
}

BOOST_AUTO_TEST_CASE(core_actors_restart_together_and_nothing_is_lost) {
  four_nodes mesh;
  mesh.end_core_actor(0, [](const node::wiring& x) { return x.core.mempool; });
  mesh.end_core_actor(1, [](const node::wiring& x) { return x.core.consensus; });
  mesh.end_core_actor(2, [](const node::wiring& x) { return x.core.contract_executor; });
  mesh.end_core_actor(3, [](const node::wiring& x) { return x.core.ledger_writer; });
}

BOOST_AUTO_TEST_CASE(the_gateway_restarts_alone) {
  four_nodes mesh;
  mesh.end_alone(1, &node::wiring::gateway);
}

BOOST_AUTO_TEST_CASE(the_switchboard_restarts_alone_among_handles) {
  four_nodes mesh;
  mesh.end_alone(2, &node::wiring::switchboard);
}

BOOST_AUTO_TEST_CASE(the_switchboard_restarts_alone_behind_tls_links) {
  four_nodes mesh{joined_by::tls};
  mesh.end_alone(0, &node::wiring::switchboard);
  mesh.end_alone(3, &node::wiring::switchboard);
}

BOOST_AUTO_TEST_CASE(peer_links_restart_alone) {
  four_nodes mesh{joined_by::tls};
  mesh.end_alone(1, &node::wiring::links); // dials and is dialed
}

BOOST_AUTO_TEST_SUITE_END()
