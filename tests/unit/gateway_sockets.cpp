// The gateway over real sockets: limits, deadlines, keep-alive, TLS, and an end that answers.
#include "actors/gateway/server.hpp"
#include "gateway_fixture.hpp"

#include <arpa/inet.h>
#include <condition_variable>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace tallymesh;
using namespace tallymesh::gateway;
using namespace tallymesh::gateway::testing;
using namespace std::chrono_literals;

namespace {

/// A blocking client that sends exactly what the test says.
class client {
public:
  explicit client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BOOST_TEST_REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~client() { ::close(socket_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// False if the server has closed.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// One answer, by its Content-Length; what was read until the end if the server closes.
  std::string receive(std::chrono::milliseconds patience = 10s) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (true) {
      const auto head = held_.find("\r\n\r\n");
      if (head != std::string::npos) {
        const auto size = head + 4 + content_length(held_.substr(0, head));
        if (held_.size() >= size) {
          const auto out = held_.substr(0, size);
          held_.erase(0, size);
          return out;
        }
      }
      if (!read_until(end)) return std::exchange(held_, {});
    }
  }
  /// True if the server ends the connection in time.
  bool ended(std::chrono::milliseconds patience = 10s) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (read_until(end)) {
    }
    return closed_;
  }
  int socket() const { return socket_; }

private:
  static std::size_t content_length(const std::string& head) {
    const auto at = head.find("Content-Length: ");
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
  }
  bool read_until(std::chrono::steady_clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd waiting{socket_, POLLIN, 0};
    if (left <= 0ms || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return false;
    char part[16384];
    const auto count = ::recv(socket_, part, sizeof part, 0);
    if (count <= 0)
      closed_ = true;
    else
      held_.append(part, static_cast<std::size_t>(count));
    return count > 0;
  }

  int socket_;
  bool closed_ = false;
  std::string held_;
};

struct running {
  explicit running(server::settings how = {}) : gateway(how, node.as_backend()) {
    const auto started = gateway.start();
    BOOST_TEST_REQUIRE(started.has_value(), started.error().context);
  }
  /// The mempool has it: from here on a block can hold it.
  void wait_for_operations(std::size_t count) {
    std::unique_lock lock(mutex);
    BOOST_TEST_REQUIRE(
        changed.wait_for(lock, 10s, [&] { return node.pending_count() >= count; }));
  }
  void watch_submissions() {
    node.on_submit = [this] {
      const std::lock_guard lock(mutex);
      changed.notify_all();
    };
  }

  test_node node;
  std::mutex mutex;
  std::condition_variable changed;
  server gateway;
};

std::string get(std::string_view target, std::string_view more = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
         + operator_token + "\r\n" + std::string(more) + "\r\n";
}
std::string post(std::string_view target, std::string_view body,
                 std::string_view type = "application/json") {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
         + operator_token + "\r\nContent-Type: " + std::string(type) + "\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
bool is(const std::string& answer, int status) {
  return answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

server::settings quick() {
  server::settings how;
  how.front.idle_timeout = 200ms;
  how.front.body_timeout = 200ms;
  return how;
}

} // namespace

BOOST_AUTO_TEST_SUITE(gateway_sockets)

BOOST_AUTO_TEST_CASE(many_requests_share_a_connection_also_when_they_come_at_once) {
  running at;
  client c(at.gateway.bound_port());
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(c.send(get("/v1/status")));
    BOOST_TEST(is(c.receive(), 200));
  }
  std::string burst;
  for (int i = 0; i < 200; ++i)
    burst += get(i % 2 == 0 ? "/v1/status" : "/v1/nothing");
  BOOST_TEST(c.send(burst));
  for (int i = 0; i < 200; ++i)
    BOOST_TEST(is(c.receive(), i % 2 == 0 ? 200 : 404));
}

BOOST_AUTO_TEST_CASE(head_has_the_length_but_no_body) {
  running at;
  client c(at.gateway.bound_port());
  c.send("HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n" + get("/v1/nothing"));
  const auto both = c.receive();
  BOOST_TEST(both.find("Content-Length: 6\r\n") != std::string::npos);
  // The next answer begins where the first one's header ends.
  BOOST_TEST(both.substr(both.find("\r\n\r\n") + 4, 6) == "HTTP/1");
}

BOOST_AUTO_TEST_CASE(an_old_client_gets_one_answer_and_the_end) {
  running at;
  client c(at.gateway.bound_port());
  c.send("GET /livez HTTP/1.0\r\n\r\n");
  const auto answer = c.receive();
  BOOST_TEST(is(answer, 200));
  BOOST_TEST(answer.find("Connection: close") != std::string::npos);
  BOOST_TEST(c.ended());
}

BOOST_AUTO_TEST_CASE(wait_finalized_answers_when_the_block_is_stored) {
  running at;
  at.watch_submissions();
  client c(at.gateway.bound_port());
  c.send(post("/v1/operations?wait=finalized", store_city("4301", "长沙市", "43")));
  at.wait_for_operations(1);
  at.gateway.executed(at.node.make_block());
  const auto answer = c.receive();
  BOOST_TEST(is(answer, 200));
  BOOST_TEST(answer.find("\"status\":\"finalized\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_wait_ends_at_its_timeout) {
  running at;
  client c(at.gateway.bound_port());
  c.send(post("/v1/operations?wait=finalized&timeout_ms=100", store_city("4301", "a", "43")));
  const auto answer = c.receive();
  BOOST_TEST(is(answer, 202));
  BOOST_TEST(answer.find("pending") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_shorter_wait_ends_before_a_longer_one_that_began_earlier) {
  running at;
  client longer(at.gateway.bound_port()), shorter(at.gateway.bound_port());
  at.watch_submissions();
  longer.send(
      post("/v1/operations?wait=finalized&timeout_ms=60000", store_city("4301", "a", "43")));
  at.wait_for_operations(1);
  shorter.send(
      post("/v1/operations?wait=finalized&timeout_ms=100", store_city("4302", "a", "43")));
  BOOST_TEST(is(shorter.receive(), 202));
}

BOOST_AUTO_TEST_CASE(bodies_and_headers_over_the_limit_are_refused_before_they_are_read) {
  server::settings how;
  how.front.request_bytes = 10'000;
  running at(how);
  client big(at.gateway.bound_port());
  big.send(post("/v1/operations", std::string(10'001, 'x')));
  BOOST_TEST(is(big.receive(), 413));
  BOOST_TEST(big.ended());

  client huge(at.gateway.bound_port());
  huge.send("POST /v1/operations HTTP/1.1\r\nAuthorization: Bearer " + operator_token
            + "\r\nContent-Length: 18446744073709551615\r\n\r\n");
  const auto refused = huge.receive();
  BOOST_TEST((is(refused, 413) || is(refused, 400)), refused);

  client chunked(at.gateway.bound_port());
  chunked.send("POST /v1/operations HTTP/1.1\r\nAuthorization: Bearer " + operator_token
               + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11 && chunked.send("3e8\r\n" + std::string(1000, 'x') + "\r\n"); ++i) {
  }
  BOOST_TEST(is(chunked.receive(), 413));

  client header(at.gateway.bound_port());
  header.send("GET /livez HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  BOOST_TEST(is(header.receive(), 431));
  client many(at.gateway.bound_port());
  std::string fields;
  for (int i = 0; i < 4000; ++i)
    fields += "a: b\r\n";
  many.send("GET /livez HTTP/1.1\r\n" + fields + "\r\n");
  BOOST_TEST(is(many.receive(), 431));
}

BOOST_AUTO_TEST_CASE(chunked_bodies_are_read) {
  running at;
  client c(at.gateway.bound_port());
  const auto body = store_city("4301", "a", "43");
  c.send("POST /v1/operations HTTP/1.1\r\nAuthorization: Bearer " + operator_token
         + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char byte : body)
    c.send(std::string("1\r\n") + byte + "\r\n");
  c.send("0\r\n\r\n" + get("/v1/status"));
  BOOST_TEST(is(c.receive(), 202));
  BOOST_TEST(is(c.receive(), 200));
}

BOOST_AUTO_TEST_CASE(without_a_token_a_body_is_never_read) {
  running at;
  client c(at.gateway.bound_port());
  c.send("POST /v1/operations HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: "
         "8000000\r\n\r\n");
  const auto answer = c.receive(); // though not a byte of the body was sent
  BOOST_TEST(is(answer, 401));
  BOOST_TEST(answer.find("WWW-Authenticate: Bearer") != std::string::npos);
  BOOST_TEST(answer.find("Connection: close") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_client_that_asks_first_is_told_to_go_on) {
  running at;
  client c(at.gateway.bound_port());
  const auto body = store_city("4301", "a", "43");
  c.send("POST /v1/operations HTTP/1.1\r\nAuthorization: Bearer " + operator_token
         + "\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n\r\n");
  BOOST_TEST(is(c.receive(), 100));
  c.send(body);
  BOOST_TEST(is(c.receive(), 202));
}

BOOST_AUTO_TEST_CASE(slow_and_silent_clients_are_cut_off) {
  running at(quick());
  client silent(at.gateway.bound_port()), trickling(at.gateway.bound_port()),
      half(at.gateway.bound_port());
  half.send("POST /v1/operations HTTP/1.1\r\nAuthorization: Bearer " + operator_token
            + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
  trickling.send("GET /livez HTTP/1.1\r\n");
  // A byte every 20 ms does not prolong its life.
  bool cut = false;
  for (int i = 0; i < 200 && !cut; ++i) {
    trickling.send("x");
    cut = trickling.ended(20ms);
  }
  BOOST_TEST(cut);
  BOOST_TEST(silent.ended());
  BOOST_TEST(half.ended());
}

BOOST_AUTO_TEST_CASE(connections_beyond_the_limit_are_closed_and_the_others_served) {
  server::settings how;
  how.front.connections = 3;
  running at(how);
  std::vector<std::unique_ptr<client>> some;
  for (int i = 0; i < 3; ++i) {
    some.push_back(std::make_unique<client>(at.gateway.bound_port()));
    some.back()->send(get("/livez"));
    BOOST_TEST(is(some.back()->receive(), 200));
  }
  client more(at.gateway.bound_port());
  BOOST_TEST(more.ended());
  some[0]->send(get("/livez"));
  BOOST_TEST(is(some[0]->receive(), 200));
}

BOOST_AUTO_TEST_CASE(requests_beyond_those_in_flight_are_503) {
  server::settings how;
  how.front.requests_in_flight = 1;
  running at(how);
  at.watch_submissions();
  client first(at.gateway.bound_port()), second(at.gateway.bound_port());
  first.send(post("/v1/operations?wait=finalized", store_city("4301", "a", "43")));
  at.wait_for_operations(1);
  second.send(get("/v1/status"));
  const auto refused = second.receive();
  BOOST_TEST(is(refused, 503));
  BOOST_TEST(refused.find("Retry-After: 1") != std::string::npos);
  at.gateway.executed(at.node.make_block());
  BOOST_TEST(is(first.receive(), 200));
  second.send(get("/v1/status"));
  BOOST_TEST(is(second.receive(), 200));
}

BOOST_AUTO_TEST_CASE(what_is_not_http_is_answered_or_cut_and_harms_nobody) {
  running at(quick());
  std::uint64_t state = 7;
  const auto next = [&] { return state = state * 6364136223846793005u + 1442695040888963407u; };
  for (int round = 0; round < 200; ++round) {
    client c(at.gateway.bound_port());
    std::string junk = round % 2 == 0 ? "" : "POST /v1/operations HTTP/1.1\r\nContent-Length: ";
    for (auto left = next() >> 56; left > 0; --left)
      junk += static_cast<char>(next() >> 40);
    c.send(junk + "\r\n\r\n");
    const auto answer = c.receive(2s);
    BOOST_TEST((answer.empty() || answer.starts_with("HTTP/1.1 4")), answer);
  }
  for (const auto* bad :
       {"GET /livez HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /v1/operations HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: "
        "chunked\r\n\r\n",
        "POST /v1/operations HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", "GET /li\x01vez HTTP/1.1\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01"}) {
    client c(at.gateway.bound_port());
    c.send(bad);
    const auto answer = c.receive(2s);
    BOOST_TEST((answer.empty() || answer.starts_with("HTTP/1.1 4")), bad);
  }
  client c(at.gateway.bound_port());
  c.send("POST /v1/operations HTTP/1.1\r\nAuthorization: Bearer " + operator_token
         + "\r\nContent-Type: application/json\r\nTransfer-Encoding: "
           "chunked\r\n\r\nffffffffffffffff1\r\n");
  BOOST_TEST(c.receive(2s).starts_with("HTTP/1.1 4"));
  client good(at.gateway.bound_port());
  good.send(get("/livez"));
  BOOST_TEST(is(good.receive(), 200));
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_while_it_waits_harms_nobody) {
  running at;
  at.watch_submissions();
  for (std::size_t i = 0; i < 20; ++i) {
    client c(at.gateway.bound_port());
    c.send(
        post("/v1/operations?wait=finalized", store_city(std::to_string(1000 + i), "a", "43")));
    at.wait_for_operations(i + 1);
  }
  at.gateway.executed(at.node.make_block());
  client good(at.gateway.bound_port());
  good.send(get("/v1/digest"));
  BOOST_TEST(good.receive().find("\"records\":20") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(stopping_answers_who_waits_refuses_others_and_ends_in_time) {
  server::settings how;
  how.drain_timeout = 200ms;
  running at(how);
  at.watch_submissions();
  client waiting(at.gateway.bound_port()), idle(at.gateway.bound_port());
  waiting.send(post("/v1/operations?wait=finalized", store_city("4301", "a", "43")));
  at.wait_for_operations(1);
  const auto begin = std::chrono::steady_clock::now();
  at.gateway.stop();
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 3s));
  BOOST_TEST(is(waiting.receive(), 503));
  BOOST_TEST(waiting.ended());
  BOOST_TEST(idle.ended());
  at.gateway.executed(at.node.make_block()); // a late block is no harm
}

BOOST_AUTO_TEST_CASE(stopping_waits_for_a_block_that_comes_in_time) {
  server::settings how;
  how.drain_timeout = 20s;
  running at(how);
  at.watch_submissions();
  client waiting(at.gateway.bound_port());
  waiting.send(post("/v1/operations?wait=finalized", store_city("4301", "a", "43")));
  at.wait_for_operations(1);
  std::thread stopper([&] { at.gateway.stop(); });
  at.gateway.executed(at.node.make_block());
  BOOST_TEST(is(waiting.receive(), 200));
  stopper.join();
}

BOOST_AUTO_TEST_CASE(addresses_and_ports_that_cannot_be_had_are_told) {
  running at;
  server::settings how;
  how.front.port = at.gateway.bound_port();
  test_node other;
  server second(how, other.as_backend());
  const auto taken = second.start();
  BOOST_TEST_REQUIRE(taken.has_error());
  BOOST_TEST((taken.error().code == errc::unavailable));
  how.front.host = "no address";
  server third(how, other.as_backend());
  BOOST_TEST((third.start().error().code == errc::bad_config));
  how.front.host = "127.0.0.1";
  how.front.tls_certificate = "/nonexistent.pem";
  how.front.tls_key = "/nonexistent.pem";
  server fourth(how, other.as_backend());
  const auto bad = fourth.start();
  BOOST_TEST((bad.error().code == errc::bad_config));
  BOOST_TEST(bad.error().context.find("/nonexistent.pem") != std::string::npos);
}

// --- TLS

namespace {

/// A self-signed certificate and its key as two files.
void make_certificate(const std::filesystem::path& certificate,
                      const std::filesystem::path& key) {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> pair(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> x(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
  X509_set_pubkey(x.get(), pair.get());
  auto* name = X509_get_subject_name(x.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("hq"), -1, -1, 0);
  X509_set_issuer_name(x.get(), name);
  X509_sign(x.get(), pair.get(), EVP_sha256());
  const auto write = [](const std::filesystem::path& file, const auto& put) {
    const std::unique_ptr<FILE, int (*)(FILE*)> out(std::fopen(file.c_str(), "w"), std::fclose);
    BOOST_TEST_REQUIRE(out != nullptr);
    put(out.get());
  };
  write(certificate, [&](FILE* out) { PEM_write_X509(out, x.get()); });
  write(key, [&](FILE* out) {
    PEM_write_PrivateKey(out, pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

} // namespace

BOOST_AUTO_TEST_CASE(over_tls_the_same_answers_and_plain_text_gets_none) {
  const storage::testing::temporary_directory files;
  server::settings how = quick();
  how.front.idle_timeout = 5s;
  how.front.tls_certificate = files / "certificate.pem";
  how.front.tls_key = files / "key.pem";
  make_certificate(how.front.tls_certificate, how.front.tls_key);
  running at(how);
  BOOST_TEST(at.gateway.reload_certificates().has_value());

  client plain(at.gateway.bound_port());
  plain.send(get("/livez"));
  const auto answer = plain.receive();
  BOOST_TEST(answer.find("HTTP") == std::string::npos);

  client below(at.gateway.bound_port());
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> tls(SSL_new(context.get()), SSL_free);
  SSL_set_fd(tls.get(), below.socket());
  BOOST_TEST_REQUIRE(SSL_connect(tls.get()) == 1);
  for (int i = 0; i < 3; ++i) {
    const auto asked = get("/v1/status");
    BOOST_TEST(SSL_write(tls.get(), asked.data(), static_cast<int>(asked.size())) > 0);
    char part[4096];
    const auto count = SSL_read(tls.get(), part, sizeof part);
    BOOST_TEST_REQUIRE(count > 0);
    BOOST_TEST(is(std::string(part, static_cast<std::size_t>(count)), 200));
  }
}

BOOST_AUTO_TEST_SUITE_END()
