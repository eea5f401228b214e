#include "tests/faults/real/troublemakers.hpp"

#include "actors/peer_link/tls_session.hpp"
#include "tests/faults/real/clients.hpp"
#include "tests/faults/real/sockets.hpp"

namespace tallymesh::faults {

namespace {

using clock = std::chrono::steady_clock;
constexpr int beats_per_s = 20;

/// Calls `throw_some(count)` twenty times a second, so that `rate` come in a second.
template <class F>
void at_rate(std::uint64_t rate_per_s, duration lasting, const std::atomic<bool>& stopping,
             F throw_some) {
  const auto began = clock::now();
  std::uint64_t thrown = 0;
  while (!stopping && clock::now() < began + lasting) {
    const auto gone = std::chrono::duration<double>(clock::now() - began).count();
    const auto owed = static_cast<std::uint64_t>(gone * static_cast<double>(rate_per_s)) + 1;
    if (owed > thrown) throw_some(owed - thrown);
    thrown = std::max(thrown, owed);
    std::this_thread::sleep_for(std::chrono::milliseconds(1000 / beats_per_s));
  }
}

/// Connects, writes and goes.
void throw_at(std::uint16_t port, std::string_view what) {
  const int number = connect_loopback(port);
  if (number < 0) return;
  static_cast<void>(!::send(number, what.data(), what.size(), MSG_NOSIGNAL));
  ::close(number);
}

void throw_garbage(std::uint16_t port, simulation::random_source& chance) {
  std::string bytes(chance.below(2000) + 1, '\0');
  for (auto& each : bytes)
    each = static_cast<char>(chance.next());
  // Half of them look like the beginning of TLS.
  if (chance.chance(500)) bytes.insert(0, "\x16\x03\x01\x02", 4);
  throw_at(port, bytes);
}

/// A handshake with a key of its own, up to where the node must say no.
void knock(std::uint16_t port, const peer_link::tls_context& key) {
  peer_link::tls_session session(key, peer_link::tls_role::dialing,
                                 [](const public_key&) { return true; });
  const int number = connect_loopback(port);
  if (number < 0) return;
  const auto flush = [&] {
    std::vector<char> out;
    session.drain(out);
    return ::send(number, out.data(), out.size(), MSG_NOSIGNAL) >= 0;
  };
  if (session.start() && flush()) {
    bytes wire(16 * 1024), plain;
    for (int turns = 0; turns < 8; ++turns) {
      const auto count = ::recv(number, wire.data(), wire.size(), 0);
      if (count <= 0) break;
      const bytes_view read(wire.data(), static_cast<std::size_t>(count));
      if (!session.receive(read, plain) || !flush()) break;
    }
  }
  ::close(number);
}

} // namespace

troublemakers::~troublemakers() {
  stopping_ = true;
  for (auto& each : threads_)
    each.join();
}

void troublemakers::flood_operations(std::uint16_t node, std::uint64_t rate_per_s,
                                     duration lasting) {
  threads_.emplace_back([this, node, rate_per_s, lasting, seed = seed_ + threads_.size()] {
    tally::http_client over(gateways_[node]);
    simulation::random_source chance(simulation::mix(seed ^ 0x666C6F6F64));
    at_rate(rate_per_s, lasting, stopping_, [&](std::uint64_t count) {
      tally::http_request request;
      request.method = tally::http_method::post;
      request.path = "/v1/operations?wait=accepted";
      request.content_type = "application/x-ndjson";
      request.timeout = std::chrono::seconds(1);
      for (std::uint64_t i = 0; i < count; ++i)
        request.body += operation_line(random_id(chance), 256);
      static_cast<void>(over.send(request)); // whether it takes them is its own affair
    });
  });
}

void troublemakers::flood_garbage(std::uint16_t port, std::uint64_t rate_per_s,
                                  duration lasting) {
  threads_.emplace_back([this, port, rate_per_s, lasting, seed = seed_ + threads_.size()] {
    simulation::random_source chance(simulation::mix(seed ^ 0x67617262));
    at_rate(rate_per_s, lasting, stopping_, [&](std::uint64_t count) {
      for (std::uint64_t i = 0; i < count && !stopping_; ++i)
        throw_garbage(port, chance);
    });
  });
}

void troublemakers::flood_strangers(std::uint16_t node, std::uint16_t port,
                                    std::uint64_t rate_per_s, duration lasting) {
  threads_.emplace_back([this, node, port, rate_per_s, lasting] {
    const auto key = peer_link::tls_context::make(signing_key::generate());
    if (!key) return;
    auto unknown = gateways_[node];
    unknown.token = std::string(unknown.token.size(), '0');
    at_rate(rate_per_s, lasting, stopping_, [&](std::uint64_t count) {
      tally::http_client over(unknown);
      tally::http_request request;
      request.path = "/v1/status";
      request.timeout = std::chrono::seconds(1);
      for (std::uint64_t i = 0; i < count && !stopping_; ++i) {
        knock(port, *key);
        static_cast<void>(over.send(request)); // that it is refused is what its own tests show
      }
    });
  });
}

void troublemakers::flood_slow_readers(std::uint16_t node, std::uint64_t rate_per_s,
                                       duration lasting) {
  threads_.emplace_back([this, node, rate_per_s, lasting] {
    constexpr int pages = 100;
    constexpr std::size_t most_open = 500;
    const auto& where = gateways_[node];
    std::string asked;
    for (int i = 0; i < pages; ++i)
      asked += "GET /v1/blocks?limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
               + where.token + "\r\n\r\n";
    std::vector<int> open;
    at_rate(rate_per_s, lasting, stopping_, [&](std::uint64_t count) {
      for (; count > 0 && open.size() < most_open; --count) {
        const int number = connect_loopback(where.port);
        if (number < 0) return;
        static_cast<void>(!::send(number, asked.data(), asked.size(), MSG_NOSIGNAL));
        open.push_back(number);
      }
    });
    for (const auto each : open)
      ::close(each);
  });
}

} // namespace tallymesh::faults
