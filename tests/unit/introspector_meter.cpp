// What is counted of an actor, and what an operator may do to it.
#include "actors/introspector/budget.hpp"
#include "actors/introspector/inspected.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>

using namespace tallymesh;
using namespace tallymesh::introspector;

namespace {

using work_atom = caf::atom_constant<caf::atom("work")>;

struct worker_state {
  static inline const char* name = "worker";
  int done = 0;
};
value_map describe(const worker_state& x) {
  value_map out;
  put(out, "done", value(static_cast<std::int64_t>(x.done)));
  return out;
}

caf::behavior worker(inspected_actor<worker_state>* self) {
  self->set_default_handler(caf::drop);
  return {[=](work_atom) { ++self->state.done; }};
}

struct system_under_test {
  struct config : caf::actor_system_config {
    config() { set("scheduler.policy", caf::atom("testing")); }
  } settings;
  caf::actor_system system{settings};
  caf::scheduler::test_coordinator& scheduler =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  caf::actor actor = system.spawn(worker);
  std::shared_ptr<meter> counts = meter_of(actor);

  system_under_test() { scheduler.run(); }
  ~system_under_test() {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    scheduler.run();
  }
  std::int64_t done() {
    caf::scoped_actor asking(system);
    auto answer = asking->request(actor, caf::infinite, inspect_atom::value);
    scheduler.run();
    std::int64_t out = -1;
    answer.receive([&](const described& x) { out = *find(*x, "done")->as<std::int64_t>(); },
                   [](const caf::error&) {});
    return out;
  }
};

const kind_reading* kind_named(const meter_reading& from, const std::string& name) {
  for (const auto& each : from.kinds)
    if (each.name == name) return &each;
  return nullptr;
}

} // namespace

BOOST_AUTO_TEST_SUITE(introspector_meter)

BOOST_AUTO_TEST_CASE(buckets_are_powers_of_two_of_microseconds) {
  BOOST_TEST(latency_bucket(-5) == 0u);
  BOOST_TEST(latency_bucket(999) == 0u);
  BOOST_TEST(latency_bucket(1'000) == 1u);
  BOOST_TEST(latency_bucket(3'999'999) == 12u); // below 4096 us
  BOOST_TEST(latency_bucket(INT64_MAX) == latency_buckets - 1);
}

BOOST_FIXTURE_TEST_CASE(messages_are_counted_by_kind_without_the_actors_doing,
                        system_under_test) {
  for (int i = 0; i < 5; ++i)
    caf::anon_send(actor, work_atom::value);
  BOOST_TEST(counts->read().waiting() == 5u);
  BOOST_TEST(counts->read().oldest_ns > 0);
  scheduler.run();
  const auto seen = counts->read();
  BOOST_TEST(seen.waiting() == 0u);
  BOOST_TEST(seen.oldest_ns == 0);
  BOOST_TEST(seen.in_handler_ns == 0);
  const auto* kind = kind_named(seen, "work");
  BOOST_REQUIRE(kind != nullptr);
  BOOST_TEST(kind->count == 5u);
  std::uint64_t in_buckets = 0;
  for (const auto each : kind->buckets)
    in_buckets += each;
  BOOST_TEST(in_buckets == 5u);
}

/// Until so much time has passed.
void let_pass(std::chrono::milliseconds time) {
  for (const auto end = std::chrono::steady_clock::now() + time;
       std::chrono::steady_clock::now() < end;) {
  }
}

/// At most: a stamp keeps the time without its lowest bits.
constexpr std::int64_t stamps_are_coarse_ns = 1 << 14;

BOOST_AUTO_TEST_CASE(the_oldest_is_the_one_that_waits_whatever_overtakes_it) {
  meter counts;
  const auto handle = [&](passage by) {
    counts.end(counts.begin(7, steady_ns(), [] { return "work"; }), by, 0, 1);
  };
  counts.arrived(passage::normal);
  let_pass(std::chrono::milliseconds(20));
  const auto second_ns = steady_ns();
  counts.arrived(passage::normal);
  for (int i = 0; i < 3; ++i) {
    counts.arrived(passage::urgent);
    handle(passage::urgent);
    counts.arrived(passage::direct);
    handle(passage::direct);
  }
  auto seen = counts.read();
  BOOST_TEST(seen.waiting() == 2u);
  BOOST_TEST(seen.handled == 6u);
  BOOST_TEST(seen.oldest_ns > 19'000'000);
  BOOST_TEST(!seen.oldest_at_least);
  handle(passage::normal);
  const auto waits_ns = counts.read().oldest_ns;
  BOOST_TEST(waits_ns <= steady_ns() - second_ns + stamps_are_coarse_ns);
  handle(passage::normal);
  BOOST_TEST(counts.read().oldest_ns == 0);
}

BOOST_AUTO_TEST_CASE(of_more_than_are_stamped_the_oldest_is_a_lower_bound_and_says_so) {
  meter counts;
  counts.arrived(passage::normal);
  let_pass(std::chrono::milliseconds(20));
  const auto second_ns = steady_ns();
  for (int i = 0; i < 1023; ++i)
    counts.arrived(passage::normal);
  BOOST_TEST(counts.read().oldest_ns > 19'000'000);
  BOOST_TEST(!counts.read().oldest_at_least);
  counts.arrived(passage::normal);
  const auto waits_ns = counts.read().oldest_ns;
  BOOST_TEST(waits_ns <= steady_ns() - second_ns + stamps_are_coarse_ns);
  BOOST_TEST(waits_ns > 0);
  BOOST_TEST(counts.read().oldest_at_least);
}

BOOST_FIXTURE_TEST_CASE(frames_are_told_apart_by_what_they_carry, system_under_test) {
  caf::anon_send(actor, frame_atom::value, node_index{1},
                 std::make_shared<const bytes>(make_frame(fetch_range{})));
  scheduler.run();
  const auto seen = counts->read();
  BOOST_REQUIRE(kind_named(seen, "fetch_range") != nullptr);
  BOOST_TEST(kind_named(seen, "fetch_range")->count == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_actor_shows_what_it_holds, system_under_test) {
  caf::anon_send(actor, work_atom::value);
  scheduler.run();
  BOOST_TEST(done() == 1);
}

BOOST_FIXTURE_TEST_CASE(a_paused_actor_keeps_its_messages_and_still_shows_itself,
                        system_under_test) {
  caf::anon_send(actor, pause_atom::value, std::int64_t{60'000});
  caf::anon_send(actor, work_atom::value);
  caf::anon_send(actor, work_atom::value);
  scheduler.run();
  BOOST_TEST(done() == 0);
  BOOST_TEST(counts->read().paused);
  BOOST_TEST(counts->read().waiting() == 2u);
  caf::anon_send(actor, resume_atom::value);
  scheduler.run();
  BOOST_TEST(done() == 2);
  BOOST_TEST(!counts->read().paused);
  BOOST_TEST(counts->read().waiting() == 0u);
}

BOOST_FIXTURE_TEST_CASE(what_waits_in_a_mailbox_is_shown_by_kind, system_under_test) {
  caf::anon_send(actor, pause_atom::value, std::int64_t{60'000});
  scheduler.run();
  for (int i = 0; i < 3; ++i)
    caf::anon_send(actor, work_atom::value);
  caf::anon_send(actor, frame_atom::value, node_index{1},
                 std::make_shared<const bytes>(make_frame(fetch_range{})));
  scheduler.run();
  caf::scoped_actor asking(system);
  auto answer = asking->request(actor, caf::infinite, mailbox_atom::value);
  scheduler.run();
  std::map<std::string, std::int64_t> waiting;
  answer.receive(
      [&](const described& x) {
        for (const auto& each : *find(*x, "waiting_kinds")->as<value_list>()) {
          const auto& one = *each.as<value_map>();
          waiting[*find(one, "kind")->as<std::string>()] =
              *find(one, "count")->as<std::int64_t>();
        }
      },
      [](const caf::error&) {});
  BOOST_TEST(waiting.size() == 2u);
  BOOST_TEST(waiting["work"] == 3);
  BOOST_TEST(waiting["fetch_range"] == 1);
}

BOOST_FIXTURE_TEST_CASE(a_pause_ends_by_itself, system_under_test) {
  caf::anon_send(actor, pause_atom::value, std::int64_t{5'000});
  caf::anon_send(actor, work_atom::value);
  scheduler.run();
  BOOST_TEST(done() == 0);
  scheduler.advance_time(std::chrono::milliseconds(4'999));
  scheduler.run();
  BOOST_TEST(done() == 0);
  scheduler.advance_time(std::chrono::milliseconds(1));
  scheduler.run();
  BOOST_TEST(done() == 1);
}

BOOST_FIXTURE_TEST_CASE(a_trace_holds_what_came_in_up_to_its_cap, system_under_test) {
  BOOST_REQUIRE(the_trace.begin(actor.id(), 3));
  BOOST_TEST(!the_trace.begin(actor.id(), 3)); // one at a time
  for (int i = 0; i < 10; ++i)
    caf::anon_send(actor, work_atom::value);
  scheduler.run();
  const auto seen = the_trace.take();
  BOOST_TEST(the_trace.full());
  the_trace.end();
  BOOST_TEST(seen.size() == 3u);
  BOOST_TEST(!seen.at(0).out);
  BOOST_TEST(seen.at(0).kind == "work");
}

BOOST_FIXTURE_TEST_CASE(with_measuring_off_nothing_is_counted_and_all_works,
                        system_under_test) {
  measuring = false;
  caf::anon_send(actor, work_atom::value);
  scheduler.run();
  BOOST_TEST(done() == 1);
  measuring = true;
  BOOST_TEST(counts->read().handled == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(introspector_budget)

constexpr std::int64_t second_us = 1'000'000;

BOOST_AUTO_TEST_CASE(what_is_spent_comes_back_slowly) {
  budget x(0);
  BOOST_TEST(x.wait_us(0) == 0);
  x.spend(budget::most_us + 50'000, 0);
  BOOST_TEST(x.wait_us(0) > second_us / 2); // 50 ms too much, at 100 ms a second
  BOOST_TEST(x.wait_us(0) <= second_us / 2 + 10);
  BOOST_TEST(x.wait_us(second_us / 2 + 10) == 0);
}

BOOST_AUTO_TEST_CASE(in_the_long_run_a_tenth_of_a_processor_is_spent_however_much_is_asked) {
  budget x(0);
  std::int64_t spent = 0;
  constexpr std::int64_t answer_us = 700, run_us = 100 * second_us;
  for (std::int64_t now = 0; now < run_us;) {
    if (const auto wait = x.wait_us(now); wait > 0) {
      now += wait;
      continue;
    }
    x.spend(answer_us, now += answer_us);
    spent += answer_us;
  }
  BOOST_TEST(spent >= run_us / 10);
  BOOST_TEST(spent <= run_us / 10 + budget::most_us + answer_us);
}

BOOST_AUTO_TEST_CASE(one_dear_answer_does_not_shut_everyone_out_for_long) {
  budget x(0);
  x.spend(60 * second_us, 0);
  BOOST_TEST(x.wait_us(0) <= (budget::most_us + 1) * second_us / budget::a_second_us);
}

BOOST_AUTO_TEST_CASE(a_long_rest_earns_no_more_than_a_full_bucket) {
  budget x(0);
  x.spend(1, INT64_MAX / 2);
  x.spend(budget::most_us, INT64_MAX / 2);
  BOOST_TEST(x.wait_us(INT64_MAX / 2) > 0);
}

BOOST_AUTO_TEST_CASE(a_clock_that_stands_earns_nothing) {
  budget x(1000);
  x.spend(budget::most_us, 1000);
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(x.wait_us(1000) > 0);
  BOOST_TEST(x.wait_us(0) > 0); // nor one that went back
}

BOOST_AUTO_TEST_SUITE_END()
