// What a link is made of, without sockets: TLS sessions that talk through memory, framing, the
// two bounds on memory, and the log's limit.
#include "actors/peer_link/framing.hpp"
#include "actors/peer_link/queues.hpp"
#include "actors/peer_link/sparing_log.hpp"
#include "actors/peer_link/tls_session.hpp"

#include <boost/test/unit_test.hpp>
#include <openssl/ssl.h>

#include <thread>

using namespace tallymesh;
using namespace tallymesh::peer_link;

namespace {

struct party {
  signing_key key = signing_key::generate();
  tls_context identity = tls_context::make(key).value();
};

bytes take_output(tls_session& from) {
  std::vector<char> out;
  from.drain(out);
  return {out.begin(), out.end()};
}

/// One end of a conversation, with what came of it.
struct end {
  tls_session session;
  bytes heard;
  std::optional<errc> failed;

  end(const party& who, tls_role role, const public_key& expected)
      : session(who.identity, role, [=](const public_key& key) { return key == expected; }) {
    if (role == tls_role::dialing) BOOST_REQUIRE(session.start());
  }
  void hear(bytes_view wire) {
    if (failed) return;
    if (auto got = session.receive(wire, heard); !got) failed = got.error().code;
  }
  void say(std::string_view text) { BOOST_REQUIRE(session.send(as_bytes(text))); }
};

/// Carries bytes both ways, `step` at a time, until nobody has more to say.
void converse(end& a, end& b, std::size_t step = 1 << 20) {
  const auto carry = [=](end& from, end& to) {
    const auto wire = take_output(from.session);
    for (bytes_view rest = wire; !rest.empty();
         rest = rest.subspan(std::min(step, rest.size())))
      to.hear(rest.first(std::min(step, rest.size())));
    return !wire.empty();
  };
  while (carry(a, b) | carry(b, a)) {
  }
}

struct two_parties {
  party alice, bob;
  end dialer{alice, tls_role::dialing, bob.key.public_part()};
  end acceptor{bob, tls_role::accepting, alice.key.public_part()};
};

bytes raw(std::string_view text) { return {text.begin(), text.end()}; }

bytes framed(frame_kind kind, const bytes& body) {
  const auto header = frame_header(kind, body.size());
  bytes out(header.begin(), header.end());
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

const digest chain{{9, 8, 7}};

frame_reader greeted_reader() {
  frame_reader out;
  const auto hello = hello_frame(chain);
  bytes_view in = hello;
  BOOST_REQUIRE(out.next(in).value());
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(tls)

BOOST_FIXTURE_TEST_CASE(two_pinned_keys_meet_and_talk_both_ways, two_parties) {
  converse(dialer, acceptor);
  BOOST_REQUIRE(dialer.session.established());
  BOOST_REQUIRE(acceptor.session.established());
  BOOST_TEST((dialer.session.peer() == bob.key.public_part()));
  BOOST_TEST((acceptor.session.peer() == alice.key.public_part()));
  dialer.say("from the dialer");
  acceptor.say("from the acceptor");
  converse(dialer, acceptor);
  BOOST_TEST((acceptor.heard == raw("from the dialer")));
  BOOST_TEST((dialer.heard == raw("from the acceptor")));
}

BOOST_FIXTURE_TEST_CASE(bytes_may_come_one_at_a_time, two_parties) {
  converse(dialer, acceptor, 1);
  dialer.say(std::string(40'000, 'x'));
  converse(dialer, acceptor, 1);
  BOOST_TEST(acceptor.heard.size() == 40'000u);
  BOOST_TEST(!acceptor.failed.has_value());
}

BOOST_AUTO_TEST_CASE(what_travels_is_not_the_plain_text) {
  two_parties x;
  converse(x.dialer, x.acceptor);
  x.dialer.say("a secret that nobody else may read");
  const auto wire = take_output(x.dialer.session);
  BOOST_TEST(as_text(wire).find("secret") == std::string_view::npos);
}

BOOST_AUTO_TEST_CASE(an_acceptor_refuses_a_key_it_does_not_know) {
  const party alice, bob, mallory;
  end dialer{mallory, tls_role::dialing, bob.key.public_part()};
  end acceptor{bob, tls_role::accepting, alice.key.public_part()};
  converse(dialer, acceptor);
  BOOST_TEST(!acceptor.session.established());
  BOOST_TEST((acceptor.failed == errc::forbidden));
  BOOST_TEST((dialer.failed == errc::unavailable)); // told by an alert
  BOOST_TEST(!acceptor.session.peer().has_value());
}

BOOST_AUTO_TEST_CASE(a_dialer_refuses_any_key_but_the_one_it_dialed) {
  const party alice, bob, mallory;
  end dialer{alice, tls_role::dialing, bob.key.public_part()};
  end acceptor{mallory, tls_role::accepting, alice.key.public_part()};
  converse(dialer, acceptor);
  BOOST_TEST(!dialer.session.established());
  BOOST_TEST((dialer.failed == errc::forbidden));
  BOOST_TEST(!acceptor.session.established());
}

BOOST_AUTO_TEST_CASE(a_client_without_a_certificate_is_refused) {
  const party bob;
  end acceptor{bob, tls_role::accepting, bob.key.public_part()};
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context{SSL_CTX_new(TLS_client_method()),
                                                             &SSL_CTX_free};
  const std::unique_ptr<SSL, void (*)(SSL*)> client{SSL_new(context.get()), &SSL_free};
  auto* in = BIO_new(BIO_s_mem());
  auto* out = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), in, out);
  for (int i = 0; i < 4; ++i) {
    (void)SSL_connect(client.get());
    std::uint8_t wire[16 * 1024];
    const int size = BIO_read(out, wire, sizeof wire);
    if (size > 0) acceptor.hear({wire, static_cast<std::size_t>(size)});
    const auto answer = take_output(acceptor.session);
    if (!answer.empty()) BIO_write(in, answer.data(), static_cast<int>(answer.size()));
  }
  BOOST_TEST((acceptor.failed == errc::forbidden));
}

BOOST_AUTO_TEST_CASE(an_older_tls_is_refused) {
  const party bob;
  end acceptor{bob, tls_role::accepting, bob.key.public_part()};
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context{SSL_CTX_new(TLS_client_method()),
                                                             &SSL_CTX_free};
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  const std::unique_ptr<SSL, void (*)(SSL*)> client{SSL_new(context.get()), &SSL_free};
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  (void)SSL_connect(client.get());
  std::uint8_t wire[4096];
  const int size = BIO_read(SSL_get_wbio(client.get()), wire, sizeof wire);
  BOOST_REQUIRE(size > 0);
  acceptor.hear({wire, static_cast<std::size_t>(size)});
  BOOST_TEST((acceptor.failed == errc::unsupported));
}

BOOST_AUTO_TEST_CASE(garbage_and_plain_text_are_refused_at_once) {
  const party bob;
  for (const auto& text :
       {raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), bytes(600, 0xee), bytes(600, 0)}) {
    end acceptor{bob, tls_role::accepting, bob.key.public_part()};
    acceptor.hear(text);
    BOOST_TEST((acceptor.failed == errc::malformed || acceptor.failed == errc::unsupported));
  }
}

BOOST_FIXTURE_TEST_CASE(a_truncated_handshake_waits_and_costs_nothing, two_parties) {
  const auto flight = take_output(dialer.session);
  acceptor.hear(bytes_view(flight).first(flight.size() / 2));
  BOOST_TEST(!acceptor.failed.has_value());
  BOOST_TEST(!acceptor.session.established());
  BOOST_TEST(take_output(acceptor.session).empty());
}

BOOST_FIXTURE_TEST_CASE(a_changed_byte_is_noticed, two_parties) {
  converse(dialer, acceptor);
  dialer.say("pay 10");
  auto wire = take_output(dialer.session);
  wire[wire.size() / 2] ^= 1;
  acceptor.hear(wire);
  BOOST_TEST((acceptor.failed == errc::malformed));
  BOOST_TEST(acceptor.heard.empty());
}

BOOST_FIXTURE_TEST_CASE(a_record_larger_than_tls_allows_is_refused_by_its_header, two_parties) {
  converse(dialer, acceptor);
  acceptor.hear(bytes{23, 3, 3, 0xff, 0xff});
  BOOST_TEST((acceptor.failed == errc::malformed));
}

BOOST_AUTO_TEST_CASE(a_handshake_that_never_ends_is_cut_by_size) {
  const party bob;
  end acceptor{bob, tls_role::accepting, bob.key.public_part()};
  // Handshake records of a ClientHello that announces 16 MiB.
  bytes first{22, 3, 1, 4, 0, 1, 0xff, 0xff, 0xff};
  first.resize(5 + 1024);
  bytes next{22, 3, 1, 4, 0};
  next.resize(5 + 1024);
  acceptor.hear(first);
  int records = 1;
  for (; !acceptor.failed && records < 100; ++records)
    acceptor.hear(next);
  BOOST_TEST(acceptor.failed.has_value());
  BOOST_TEST(records < 20);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(framing)

BOOST_AUTO_TEST_CASE(frames_are_found_wherever_the_stream_is_cut) {
  auto stream = framed(frame_kind::data, raw("one"));
  for (const auto& x :
       {framed(frame_kind::ping, {}), framed(frame_kind::data, bytes(70'000, 5))})
    stream.insert(stream.end(), x.begin(), x.end());
  for (const std::size_t step : {1ul, 2ul, 3ul, 7ul, 1000ul, 1ul << 20}) {
    auto reader = greeted_reader();
    std::vector<link_frame> found;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      auto in = bytes_view(stream).subspan(at, std::min(step, stream.size() - at));
      while (auto frame = reader.next(in).value())
        found.push_back(std::move(*frame));
      BOOST_TEST(in.empty());
    }
    BOOST_REQUIRE(found.size() == 3u);
    BOOST_TEST((found[0].body == raw("one")));
    BOOST_TEST((found[1].kind == frame_kind::ping));
    BOOST_TEST(found[2].body.size() == 70'000u);
  }
}

BOOST_AUTO_TEST_CASE(a_length_is_judged_before_the_body_comes) {
  const auto refused = [](bytes header) {
    auto reader = greeted_reader();
    bytes_view in = header;
    const auto got = reader.next(in);
    return got ? std::optional<errc>{} : got.error().code;
  };
  BOOST_TEST((refused({0, 0, 0, 0}) == errc::malformed));
  BOOST_TEST((refused({0xff, 0xff, 0xff, 0xff}) == errc::too_large));
  BOOST_TEST((refused({2, 0, 0x80, 0}) == errc::too_large)); // a body of 8 MiB and one byte
  BOOST_TEST(!refused({1, 0, 0x80, 0}));                     // exactly 8 MiB
  BOOST_TEST((refused({1, 0, 0, 0, 0}) == errc::malformed)); // data without a body
  BOOST_TEST((refused({2, 0, 0, 0, 1}) == errc::malformed)); // a ping with one
  BOOST_TEST((refused({5, 0, 0, 0, 77}) == errc::malformed));
  BOOST_TEST((refused({35, 0, 0, 0, 3}) == errc::malformed)); // a second hello
}

BOOST_AUTO_TEST_CASE(before_the_hello_nothing_else_is_read) {
  for (const auto& x : {framed(frame_kind::data, raw("x")), framed(frame_kind::ping, {}),
                        framed(frame_kind::data, bytes(100, 1))}) {
    frame_reader reader;
    bytes_view in = x;
    BOOST_TEST(!reader.next(in).has_value());
  }
}

BOOST_AUTO_TEST_CASE(a_hello_of_another_chain_or_version_is_told_apart) {
  const auto hello = hello_frame(chain);
  bytes body(hello.begin() + frame_header_bytes, hello.end());
  BOOST_TEST(check_hello(body, chain).has_value());
  BOOST_TEST((check_hello(body, digest{}).error().code == errc::forbidden));
  body[0] = 2;
  BOOST_TEST((check_hello(body, chain).error().code == errc::unsupported));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bounds)

BOOST_AUTO_TEST_CASE(a_full_queue_drops_large_frames_first) {
  send_queue queue{{.queue_bytes = 1000, .reserve_bytes = 100, .small_frame_bytes = 10}};
  const auto frame = [](std::size_t size) { return std::make_shared<const bytes>(size); };
  using enum send_queue::outcome;
  BOOST_TEST((queue.push(frame(600)) == queued_first));
  BOOST_TEST((queue.push(frame(600)) == dropped));
  BOOST_TEST((queue.push(frame(400)) == queued));
  BOOST_TEST((queue.push(frame(11)) == dropped));
  for (int i = 0; i < 10; ++i)
    BOOST_TEST((queue.push(frame(10)) == queued));
  BOOST_TEST((queue.push(frame(10)) == dropped));
  BOOST_TEST(queue.bytes() == 1100u);
  BOOST_TEST(queue.take()->size() == 600u);
  queue.set_write_buffer_bytes(600); // taken, and not yet on the wire: still counts
  BOOST_TEST((queue.push(frame(11)) == dropped));
  queue.set_write_buffer_bytes(0);
  BOOST_TEST((queue.push(frame(11)) == queued));
  while (queue.take()) {
  }
  BOOST_TEST((queue.push(frame(1)) == queued_first));
  queue.close();
  BOOST_TEST(queue.bytes() == 0u);
  BOOST_TEST((queue.push(frame(1)) == dropped));
}

BOOST_AUTO_TEST_CASE(reading_pauses_until_half_of_what_was_lent_is_given_back) {
  int low = 0;
  constexpr auto overhead = receive_credit::frame_overhead_bytes;
  const auto credit = std::make_shared<receive_credit>(2 * overhead + 1000, [&] { ++low; });
  auto a = credit->lend(bytes(400)), b = credit->lend(bytes(400));
  BOOST_TEST(!credit->must_pause());
  auto c = credit->lend(bytes(400));
  BOOST_TEST(credit->must_pause());
  auto copy = a;
  a = nullptr;
  b = nullptr;
  BOOST_TEST(low == 0); // a is still held by its copy: two frames are out
  copy = nullptr;
  BOOST_TEST(low == 1);
  BOOST_TEST(credit->is_low());
  c = nullptr;
  BOOST_TEST(low == 1);
}

BOOST_AUTO_TEST_CASE(a_pause_always_ends_however_threads_interleave) {
  std::atomic<int> low = 0;
  const auto credit = std::make_shared<receive_credit>(64, [&] { ++low; });
  int pauses = 0;
  for (int i = 0; i < 2000; ++i) {
    std::vector<shared_frame> out;
    for (int j = 0; j < 64; ++j)
      out.push_back(credit->lend(bytes(1)));
    std::thread holder{[held = std::move(out)]() mutable { held.clear(); }};
    if (credit->must_pause()) ++pauses;
    holder.join();
    BOOST_REQUIRE(low == pauses);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_is_logged_once_a_minute_with_a_count) {
  std::vector<std::string> lines;
  sparing_log log{std::chrono::minutes{1}, [&](const std::string& x) { lines.push_back(x); }};
  const sparing_log::time_point start{};
  for (int i = 0; i < 1000; ++i)
    log.note(start, "not TLS", "10.0.0.1", "refused");
  log.note(start, "not TLS", "10.0.0.2", "other");
  log.flush(start + std::chrono::seconds{59});
  BOOST_TEST(lines.size() == 2u);
  log.flush(start + std::chrono::seconds{60});
  BOOST_REQUIRE(lines.size() == 3u);
  BOOST_TEST(lines[2] == "refused (999 times more)");
  log.flush(start + std::chrono::seconds{120});
  BOOST_TEST(lines.size() == 3u);
  log.note(start + std::chrono::seconds{121}, "not TLS", "10.0.0.1", "again");
  BOOST_TEST(lines.back() == "again");
}

BOOST_AUTO_TEST_CASE(many_addresses_cannot_flood_the_log) {
  int lines = 0;
  sparing_log log{std::chrono::minutes{1}, [&](const std::string&) { ++lines; }};
  for (int i = 0; i < 100'000; ++i)
    log.note({}, "not TLS", std::to_string(i), "refused");
  BOOST_TEST(lines <= static_cast<int>(sparing_log::max_entries) + 1);
}

BOOST_AUTO_TEST_SUITE_END()
