// Connections of operators: let in by a key of their own, heard by the introspector only, and
// bounded.
#include "actors/introspector/inspected.hpp"
#include "actors/peer_link/framing.hpp"
#include "tests/unit/peer_link_fixture.hpp"

#include <boost/test/unit_test.hpp>

using namespace peer_link_test;
using namespace tallymesh::peer_link;

namespace {

/// Stands where the introspector would be.
struct heard {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::uint64_t, caf::actor> sessions;
  std::vector<public_key> keys;
  std::size_t frames = 0, downs = 0;

  template <class Condition>
  bool wait(Condition holds, std::chrono::milliseconds limit = 10s) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, limit, [&] { return holds(*this); });
  }
  template <class Change>
  void change(Change apply) {
    {
      const std::lock_guard lock{mutex};
      apply(*this);
    }
    changed.notify_all();
  }
};

caf::behavior listener(caf::event_based_actor* self, std::shared_ptr<heard> into) {
  self->set_default_handler(caf::drop);
  return {
      [=](operator_up_atom, std::uint64_t serial, const public_key& key, const std::string&,
          const caf::actor& handle) {
        into->change([&](heard& x) {
          x.sessions[serial] = handle;
          x.keys.push_back(key);
        });
      },
      [=](frame_atom, std::uint64_t, const shared_frame&) {
        into->change([](heard& x) { ++x.frames; });
      },
      [=](operator_down_atom, std::uint64_t serial) {
        into->change([&](heard& x) {
          x.sessions.erase(serial);
          ++x.downs;
        });
      },
  };
}

constexpr std::size_t of_limit = link_limits{}.operator_connections;
constexpr std::size_t of_one_limit = link_limits{}.operator_connections_a_key;

struct attended_node {
  genesis mesh{2};
  signing_key alice = signing_key::generate(), bob = signing_key::generate(),
              carol = signing_key::generate();
  std::shared_ptr<heard> operators = std::make_shared<heard>();
  node of{settings()};
  caf::actor introspector = of.system().spawn(listener, operators);

  attended_node() { caf::anon_send(of.links, operators_atom::value, introspector); }
  ~attended_node() {
    caf::anon_send_exit(introspector, caf::exit_reason::user_shutdown);
    operators->change([](heard& x) { x.sessions.clear(); });
  }

  link_settings settings() {
    auto out = mesh.settings(1);
    out.operators = {{"alice", alice.public_part()},
                     {"bob", bob.public_part()},
                     {"carol", carol.public_part()}};
    out.limits.operator_queue_bytes = 1024 * 1024;
    out.limits.operator_kept_out = 2s;
    out.limits.operator_frames_a_second = 200;
    out.timing.log_every = 1s;
    return out;
  }
  /// A shell: it dials the node with this key.
  link_settings shell(const signing_key& key) const {
    link_settings out{.own_index = 0, .link_key = key, .chain = mesh.chain};
    out.as_operator = true;
    out.peers.push_back({1, "n1", "127.0.0.1", of.port, mesh.keys[1].public_part()});
    return out;
  }
  /// So many shells, with these keys in turn, once all of them are inside.
  std::vector<std::unique_ptr<node>> come_in(std::size_t count,
                                             const std::vector<signing_key>& keys) const {
    std::vector<std::unique_ptr<node>> inside;
    while (inside.size() < count) {
      inside.push_back(std::make_unique<node>(shell(keys[inside.size() % keys.size()])));
      BOOST_REQUIRE(inside.back()->wait_up(1));
    }
    BOOST_REQUIRE(operators->wait([&](auto& x) { return x.sessions.size() == count; }));
    return inside;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(operator_links, attended_node)

BOOST_AUTO_TEST_CASE(an_operator_is_heard_by_the_introspector_and_nobody_else) {
  node shell_of_bob(shell(bob));
  BOOST_REQUIRE(shell_of_bob.wait_up(1));
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.sessions.size() == 1; }));
  BOOST_TEST((operators->keys == std::vector<public_key>{bob.public_part()}));
  shell_of_bob.send(1, bytes{1, 2, 3});
  BOOST_TEST(operators->wait([](auto& x) { return x.frames == 1; }));
  caf::actor back;
  operators->change([&](heard& x) { back = x.sessions.begin()->second; });
  caf::anon_send(back, frame_atom::value, std::make_shared<const bytes>(bytes{9}));
  BOOST_TEST(shell_of_bob.seen->wait([](auto& x) { return x.frames.size() == 1; }));
  of.seen->change([](delivered& x) {
    BOOST_TEST(x.ups == 0); // no peer came up, no frame reached the switchboard
    BOOST_TEST(x.frames.empty());
  });
}

BOOST_AUTO_TEST_CASE(an_unknown_key_is_refused) {
  node shell_of_stranger(shell(signing_key::generate()));
  BOOST_TEST(!shell_of_stranger.wait_up(1, 1s));
  BOOST_TEST(operators->sessions.empty());
}

BOOST_AUTO_TEST_CASE(a_nodes_key_is_no_operators_key) {
  node other(shell(mesh.keys[0]));
  BOOST_REQUIRE(other.wait_up(1));
  BOOST_REQUIRE(of.wait_up(0)); // it is the peer whose key it is
  other.send(1, bytes{1, 2, 3});
  BOOST_REQUIRE(of.seen->wait([](auto& x) { return x.frames.size() == 1; }));
  operators->change([](heard& x) {
    BOOST_TEST(x.sessions.empty());
    BOOST_TEST(x.frames == 0u);
  });
}

BOOST_AUTO_TEST_CASE(an_operator_on_another_chain_is_refused) {
  auto settings = shell(alice);
  settings.chain = digest{{7}};
  node other(settings);
  BOOST_TEST(!other.wait_up(1, 1s));
  BOOST_TEST(operators->sessions.empty());
}

BOOST_AUTO_TEST_CASE(an_oversized_frame_ends_the_connection) {
  node talkative(shell(alice));
  BOOST_REQUIRE(talkative.wait_up(1));
  talkative.send(1, bytes(4097, 1));
  BOOST_TEST(operators->wait([](auto& x) { return x.downs == 1; }));
  BOOST_TEST(operators->frames == 0u);
}

BOOST_AUTO_TEST_CASE(more_operators_than_may_be_are_refused_and_those_inside_stay) {
  auto inside = come_in(of_limit, {alice, bob});
  node late(shell(bob));
  // Its own side is up until it is told; it never becomes a session.
  BOOST_TEST(!operators->wait([](auto& x) { return x.sessions.size() > of_limit; }, 1s));
  BOOST_TEST(operators->downs == 0u);
  inside.pop_back();
  BOOST_TEST(operators->wait([](auto& x) { return x.downs == 1; }));
  BOOST_TEST(operators->wait([](auto& x) { return x.sessions.size() == of_limit; }));
}

BOOST_AUTO_TEST_CASE(one_key_cannot_keep_the_other_operators_out) {
  auto of_alice = come_in(of_one_limit, {alice});
  node one_more(shell(alice));
  node shell_of_bob(shell(bob));
  BOOST_TEST(operators->wait([&](auto& x) { return x.keys.back() == bob.public_part(); }));
  BOOST_TEST(!operators->wait([&](auto& x) { return x.sessions.size() > of_alice.size() + 1; },
                              500ms));
}

BOOST_AUTO_TEST_CASE(who_hoards_places_gives_one_up_to_who_has_none) {
  auto inside = come_in(of_limit, {alice, bob});
  node shell_of_carol(shell(carol));
  BOOST_TEST(operators->wait([&](auto& x) { return x.keys.back() == carol.public_part(); }));
  BOOST_TEST(operators->wait([](auto& x) { return x.downs == 1; }));
  // Who had to go comes back as the others do: when there is room.
  BOOST_TEST(!operators->wait([](auto& x) { return x.downs > 1; }, 1s));
  operators->change([](heard& x) { BOOST_TEST(x.sessions.size() == of_limit); });
}

// What it reads instead: end_to_end_shell.
BOOST_AUTO_TEST_CASE(who_is_refused_for_want_of_room_never_seems_to_be_inside) {
  auto of_alice = come_in(of_one_limit, {alice});
  node one_more(shell(alice));
  BOOST_TEST(!one_more.wait_up(1, 1s));
  of_alice.pop_back();
  BOOST_TEST(one_more.wait_up(1));
}

BOOST_AUTO_TEST_CASE(a_refusal_is_one_line_of_text_whatever_it_holds) {
  frame_reader reader;
  const auto frame = refusal_frame("no\nroom\x1b[2J\xff");
  bytes_view in(frame);
  const auto read = reader.next(in);
  BOOST_REQUIRE((read && *read));
  BOOST_TEST(((*read)->kind == frame_kind::refusal));
  BOOST_TEST(refusal_text((*read)->body) == "no?room?[2J?");
  const auto longest = refusal_frame(std::string(1000, 'x'));
  BOOST_TEST(longest.size() == frame_header_bytes + max_refusal_bytes);
  for (const std::size_t body : {std::size_t{0}, max_refusal_bytes + 1}) {
    frame_reader another;
    auto header = frame_header(frame_kind::refusal, body);
    bytes_view bad(header);
    BOOST_TEST(!another.next(bad).has_value());
  }
}

BOOST_AUTO_TEST_CASE(what_an_actor_sends_to_a_peer_is_traced) {
  using introspector::the_trace;
  node shell_of_alice(shell(alice));
  BOOST_REQUIRE(shell_of_alice.wait_up(1));
  const auto to = shell_of_alice.peer(1);
  const auto frame = std::make_shared<const bytes>(make_frame(fetch_range{}));
  const auto sender =
      shell_of_alice.system().spawn([=](caf::event_based_actor* self) -> caf::behavior {
        return {[=](cut_atom) {
          self->send(to, frame_atom::value, shared_frame(frame));
          return true;
        }};
      });
  BOOST_REQUIRE(the_trace.begin(sender.id(), 10));
  {
    caf::scoped_actor self{shell_of_alice.system()};
    self->request(sender, 10s, cut_atom::value).receive([](bool) {}, [](const caf::error&) {});
  }
  const auto seen = the_trace.take();
  the_trace.end();
  caf::anon_send_exit(sender, caf::exit_reason::user_shutdown);
  BOOST_REQUIRE(seen.size() == 1u);
  BOOST_TEST(seen[0].out);
  BOOST_TEST(seen[0].peer == "n1");
  BOOST_TEST(seen[0].kind == "fetch_range");
  BOOST_TEST(seen[0].bytes == frame->size());
  BOOST_TEST(seen[0].at_ns > 0);
}

BOOST_AUTO_TEST_CASE(who_floods_is_cut_and_comes_back_only_after_a_while) {
  node flooding(shell(alice));
  BOOST_REQUIRE(flooding.wait_up(1));
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.sessions.size() == 1; }));
  for (int i = 0; i < 5000; ++i)
    flooding.send(1, bytes{1, 2, 3});
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.downs == 1; }));
  operators->change([](heard& x) { BOOST_TEST(x.frames < 5000u); });
  // It dials again at once and all the time; another operator is let in meanwhile.
  node shell_of_bob(shell(bob));
  BOOST_REQUIRE(shell_of_bob.wait_up(1));
  BOOST_TEST(!operators->wait([](auto& x) { return x.sessions.size() == 2; }, 500ms));
  BOOST_TEST(operators->wait([](auto& x) { return x.sessions.size() == 2; }));
}

BOOST_AUTO_TEST_CASE(who_is_cut_by_the_introspector_stays_out_as_well) {
  node talkative(shell(alice));
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.sessions.size() == 1; }));
  operators->change(
      [&](heard& x) { caf::anon_send(of.links, cut_atom::value, x.sessions.begin()->first); });
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.downs == 1; }));
  BOOST_TEST(!operators->wait([](auto& x) { return x.sessions.size() == 1; }, 500ms));
  BOOST_TEST(operators->wait([](auto& x) { return x.sessions.size() == 1; }));
}

BOOST_AUTO_TEST_CASE(a_key_that_is_revoked_is_cut_and_does_not_come_back) {
  node shell_of_alice(shell(alice)), shell_of_bob(shell(bob));
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.sessions.size() == 2; }));
  const auto now_admitted = std::make_shared<const std::vector<operator_identity>>(
      std::vector<operator_identity>{{"bob", bob.public_part()}});
  caf::anon_send(of.links, operators_atom::value, operator_list{now_admitted});
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.downs == 1; }));
  BOOST_TEST(!operators->wait([](auto& x) { return x.sessions.size() == 2; }, 1s));
  operators->change([&](heard& x) {
    BOOST_TEST(x.sessions.size() == 1u);
    BOOST_TEST((x.keys.back() == bob.public_part())); // told again: his role may have changed
  });
}

BOOST_AUTO_TEST_CASE(who_does_not_read_his_answers_is_cut) {
  node lazy(shell(alice));
  BOOST_REQUIRE(lazy.wait_up(1));
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.sessions.size() == 1; }));
  lazy.seen->change([](delivered& x) { x.slow = true; }); // its receive credit is used up
  caf::actor back;
  operators->change([&](heard& x) { back = x.sessions.begin()->second; });
  const auto answer = std::make_shared<const bytes>(bytes(256 * 1024, 1));
  // What the sockets and both sides' buffers can hold, and more.
  for (int i = 0; i < 400; ++i)
    caf::anon_send(back, frame_atom::value, answer);
  BOOST_TEST(operators->wait([](auto& x) { return x.downs == 1; }));
  lazy.seen->change([](delivered& x) { x.slow = false; });
}

BOOST_AUTO_TEST_CASE(a_new_introspector_is_told_who_is_there) {
  node shell_of_alice(shell(alice));
  BOOST_REQUIRE(operators->wait([](auto& x) { return x.sessions.size() == 1; }));
  const auto second = std::make_shared<heard>();
  const auto renewed = of.system().spawn(listener, second);
  caf::anon_send(of.links, operators_atom::value, renewed);
  BOOST_TEST(second->wait([](auto& x) { return x.sessions.size() == 1; }));
  second->change([](heard& x) { x.sessions.clear(); });
  caf::anon_send_exit(renewed, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_CASE(a_link_that_an_operator_cut_stays_down_for_its_time) {
  node other(dialing(mesh.settings(0), 1, of.port));
  BOOST_REQUIRE(of.wait_up(0));
  caf::anon_send(of.links, fault_atom::value, node_index{0}, std::int64_t{700});
  BOOST_REQUIRE(of.seen->wait([](auto& x) { return x.downs == 1; }));
  BOOST_TEST(!of.wait_up(0, 400ms));
  BOOST_TEST(of.wait_up(0));
}

BOOST_AUTO_TEST_SUITE_END()
