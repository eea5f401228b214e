// A node that answers an operator's shell with anything at all: the shell goes on, and nothing
// that the node says drives the terminal.
#include "tests/unit/messages_samples.hpp"
#include "tests/unit/peer_link_fixture.hpp"
#include "tools/tally/shell/session.hpp"

#include <boost/test/unit_test.hpp>

#include <iostream>

using namespace tallymesh;
using peer_link_test::node;
namespace tally = tallymesh::tally;

namespace {

/// The words that an answer is made of, so that what is hostile lies where the shell looks.
constexpr const char* keys[] = {"actor",
                                "actors",
                                "address",
                                "alive",
                                "answers",
                                "attested_height",
                                "batch",
                                "block",
                                "buckets",
                                "busy_us",
                                "bytes",
                                "bytes_in",
                                "bytes_out",
                                "contracts",
                                "count",
                                "cpu_ms",
                                "cut",
                                "data",
                                "descriptors",
                                "detail",
                                "differs_at",
                                "digest",
                                "directory",
                                "disk",
                                "dropped",
                                "dropped_frames",
                                "evidence",
                                "execution",
                                "family",
                                "final",
                                "finalize",
                                "finalized_height",
                                "first",
                                "forked",
                                "free_bytes",
                                "halted",
                                "halted_why",
                                "handled",
                                "handler",
                                "heard_ms",
                                "height",
                                "in_handler_us",
                                "in_view_ms",
                                "key",
                                "kind",
                                "kinds",
                                "lane",
                                "lanes",
                                "last",
                                "last_exit",
                                "leader",
                                "level",
                                "lines",
                                "measuring",
                                "messages",
                                "missing",
                                "most_queued_operations",
                                "name",
                                "node",
                                "nodes",
                                "notarize",
                                "now_ms",
                                "nullify",
                                "nullify_in_ms",
                                "number",
                                "observing",
                                "oldest_us",
                                "operations_executed",
                                "operator",
                                "operators",
                                "origin",
                                "other",
                                "outcome",
                                "paused",
                                "peer",
                                "peers",
                                "pending",
                                "pid",
                                "position",
                                "process",
                                "proposal",
                                "quorum",
                                "queue_bytes",
                                "queued_operations",
                                "records",
                                "resident_bytes",
                                "restarts",
                                "role",
                                "round_trip_us",
                                "rows",
                                "since_ms",
                                "started_ms",
                                "stored",
                                "table",
                                "tables",
                                "text",
                                "time_ms",
                                "time_us",
                                "took_us",
                                "total_bytes",
                                "up",
                                "value",
                                "values",
                                "version",
                                "view",
                                "views",
                                "waiting",
                                "waiting_for",
                                "way",
                                "where",
                                "work_for_ms"};

class liar {
public:
  explicit liar(std::uint64_t seed) : random_(seed) {}

  value_map some_map(int depth = 0) {
    value_map out;
    for (const auto* key : keys)
      if (random_.flip()) put(out, key, some_value(depth));
    return out;
  }

private:
  value some_value(int depth) {
    switch (random_.below(depth < 2 ? 7 : 5)) {
    case 0:
      return value(random_.some_integer());
    case 1:
      return value(random_.flip());
    case 2:
      return value(std::string("\033[2J\033]0;owned\007\r\b\x9b")
                   + "\xc2\x9b"
                     "31mtext");
    case 3:
      return value(std::string(random_.below(300), 'x'));
    case 4:
      return value(random_.some_bytes(40));
    case 5: {
      value_map inside = depth == 0 ? some_map(depth + 1) : value_map{};
      put(inside, "name", value(std::string("\033[31mactor")));
      return value(std::move(inside));
    }
    default: {
      value_list list;
      for (auto i = random_.below(4); i > 0; --i)
        list.push_back(depth == 0 ? value(some_map(depth + 1)) : some_value(depth + 1));
      return value(std::move(list));
    }
    }
  }
  testing::sampler random_;
};

using operator_handles = std::map<std::uint64_t, caf::actor>;
auto came(std::shared_ptr<operator_handles> all) {
  return [=](operator_up_atom, std::uint64_t serial, const public_key&, const std::string&,
             const caf::actor& handle) { (*all)[serial] = handle; };
}
auto left(std::shared_ptr<operator_handles> all) {
  return [=](operator_down_atom, std::uint64_t serial) { all->erase(serial); };
}

/// Answers each question with lies, of which the seed says which.
caf::behavior lying_introspector(caf::event_based_actor* self, std::uint64_t seed) {
  self->set_default_handler(caf::drop);
  const auto lies = std::make_shared<liar>(seed);
  const auto handles = std::make_shared<operator_handles>();
  return {
      came(handles),
      left(handles),
      [=](frame_atom, std::uint64_t serial, const shared_frame& frame) {
        const auto asked = introspection::open_question(*frame);
        if (!asked) return;
        const introspection::answer lie{asked->number, true, {}, lies->some_map()};
        self->send((*handles)[serial], frame_atom::value,
                   std::make_shared<const bytes>(make_frame(lie)));
      },
  };
}

/// Answers without an end, so many at a time, as the link takes them.
caf::behavior endless_introspector(caf::event_based_actor* self, int at_once) {
  self->set_default_handler(caf::drop);
  const auto handles = std::make_shared<operator_handles>();
  return {
      came(handles),
      left(handles),
      [=](frame_atom, std::uint64_t serial, const shared_frame& frame) {
        const auto asked = introspection::open_question(*frame);
        if (asked) self->send(self, serial, asked->number);
      },
      [=](std::uint64_t serial, std::uint32_t number) {
        const auto at = handles->find(serial);
        if (at == handles->end()) return;
        value_map line;
        put(line, "text", "again");
        value_map body;
        put(body, "lines", value_list{value(std::move(line))});
        const auto frame = std::make_shared<const bytes>(
            make_frame(introspection::answer{number, false, {}, std::move(body)}));
        for (int i = 0; i < at_once; ++i)
          self->send(at->second, frame_atom::value, frame);
        self->delayed_send(self, std::chrono::milliseconds(1), serial, number);
      },
  };
}

/// What was written to standard output and standard error meanwhile.
class captured {
public:
  captured() : out_(std::cout.rdbuf(text_.rdbuf())), err_(std::cerr.rdbuf(text_.rdbuf())) {}
  ~captured() {
    std::cout.rdbuf(out_);
    std::cerr.rdbuf(err_);
  }
  std::string text() const { return text_.str(); }

private:
  std::ostringstream text_;
  std::streambuf *out_, *err_;
};

bool drives_a_terminal(const std::string& text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; })
         || text.find("\xc2\x9b") != text.npos; // CSI as one character
}

struct lying_node {
  signing_key operator_key = signing_key::generate();
  peer_link_test::genesis keys{1};
  node of{settings()};
  configs::genesis mesh;

  lying_node() {
    mesh.mesh = "mesh";
    mesh.chain = keys.chain;
    auto& only = mesh.nodes.emplace_back();
    only.name = "hq";
    only.address = {"127.0.0.1", of.port};
    only.link_key = keys.keys[0].public_part();
  }
  peer_link::link_settings settings() const {
    auto out = keys.settings(0);
    out.operators = {{"operator", operator_key.public_part()}};
    return out;
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(whatever_a_node_answers_the_shell_shows_it_harmlessly, lying_node) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const auto liar = of.system().spawn(lying_introspector, seed);
    caf::anon_send(of.links, operators_atom::value, liar);
    {
      tally::mesh_client client(mesh, operator_key, {0});
      client.wait_for({0}, std::chrono::seconds(10));
      BOOST_REQUIRE(client.is_up(0));
      tally::shell_session session{mesh, client, {}, {0}, {0}};
      for (const auto* each : {"tree",
                               "ps --sort mailbox",
                               "top --times 1",
                               "info consensus",
                               "state mempool",
                               "mailbox gateway",
                               "links",
                               "mesh",
                               "consensus",
                               "mempool",
                               "ledger",
                               "contracts",
                               "evidence",
                               "config",
                               "logs 5",
                               "trace mempool --for 1s",
                               "why",
                               "why 00112233445566778899aabbccddeeff",
                               "watch ledger.height --for 1ms",
                               "log debug mempool",
                               "kill mempool",
                               "pause mempool",
                               "fault cut hq"}) {
        const captured seen;
        tally::run_line(session, each);
        const auto text = seen.text();
        BOOST_TEST(!drives_a_terminal(text), "seed " << seed << ", " << each << ": " << text);
      }
      BOOST_TEST(session.actors.size() <= 64u);
    }
    caf::anon_send_exit(liar, caf::exit_reason::user_shutdown);
  }
}

BOOST_FIXTURE_TEST_CASE(a_node_that_never_ends_its_answers_ends_no_command_late, lying_node) {
  const auto endless = of.system().spawn(endless_introspector, 20);
  caf::anon_send(of.links, operators_atom::value, endless);
  {
    tally::mesh_client client(mesh, operator_key, {0});
    client.wait_for({0}, std::chrono::seconds(10));
    BOOST_REQUIRE(client.is_up(0));
    tally::shell_session session{mesh, client, {}, {0}, {0}};
    const captured seen;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i)
      BOOST_TEST(tally::run_line(session, "tree")); // the first of its answers is the answer
    tally::run_line(session, "logs --follow --for 300ms");
    BOOST_TEST((std::chrono::steady_clock::now() - began < std::chrono::seconds(10)));
  }
  caf::anon_send_exit(endless, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_CASE(json_for_a_terminal_holds_nothing_that_drives_it) {
  BOOST_TEST(tally::harmless_json("{\"a\":\"x\xc2\x9b"
                                  "2J\x7f\xe2\x80\xae\"}")
             == "{\"a\":\"x\\u009b2J\\u007f\\u202e\"}");
}
