// Counts requests that came without a right token, by address. Owned by `service`; any thread.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>

namespace tallymesh::gateway {

/// Each address may fail `burst` times at once and once a second after that. Who has a right
/// token is never kept out by others at the same address: tokens are too long to be guessed,
/// the limit only keeps failing cheap and the log quiet.
class failure_limiter {
public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr unsigned burst = 20;
  static constexpr std::size_t max_addresses = 4096;

  /// Counts one failure; false if the address has failed too often.
  bool allow(const std::string& address, time_point now);

private:
  struct bucket {
    double failures = 0;
    time_point last{};
  };
  void forget_old(time_point now);
  std::mutex mutex_;
  std::unordered_map<std::string, bucket> buckets_;
};

} // namespace tallymesh::gateway
