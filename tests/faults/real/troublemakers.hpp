// Those who throw too much at a node: clients with more operations than anyone needs or with no
// wish to read the answers, strangers with garbage for its link or with keys that nobody knows.
// A thread each; they end with this object.
#pragma once

#include "tests/faults/language/script.hpp"
#include "tools/tally/http_client.hpp"

#include <atomic>
#include <thread>

namespace tallymesh::faults {

class troublemakers {
public:
  troublemakers(std::vector<tally::http_target> gateways, std::uint64_t seed)
      : gateways_(std::move(gateways)), seed_(seed) {}
  ~troublemakers();
  troublemakers(const troublemakers&) = delete;
  troublemakers& operator=(const troublemakers&) = delete;

  void flood_operations(std::uint16_t node, std::uint64_t rate_per_s, duration lasting);
  void flood_garbage(std::uint16_t port, std::uint64_t rate_per_s, duration lasting);
  /// TLS with a key that genesis does not know, at the link; unknown tokens, at the gateway.
  void flood_strangers(std::uint16_t node, std::uint16_t port, std::uint64_t rate_per_s,
                       duration lasting);
  /// Each asks for a hundred pages of blocks, reads nothing and stays until the end.
  void flood_slow_readers(std::uint16_t node, std::uint64_t rate_per_s, duration lasting);

private:
  std::vector<tally::http_target> gateways_;
  std::uint64_t seed_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

} // namespace tallymesh::faults
