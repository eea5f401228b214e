#include "actors/gateway/failure_limiter.hpp"

#include <algorithm>

namespace tallymesh::gateway {

bool failure_limiter::allow(const std::string& address, time_point now) {
  const std::lock_guard lock(mutex_);
  if (buckets_.size() >= max_addresses && !buckets_.contains(address)) forget_old(now);
  auto& found = buckets_[address];
  const std::chrono::duration<double> passed = now - found.last;
  found.failures = std::max(0.0, found.failures - passed.count());
  found.last = now;
  if (found.failures >= burst) return false;
  found.failures += 1;
  return true;
}

void failure_limiter::forget_old(time_point now) {
  std::erase_if(buckets_, [&](const auto& entry) {
    return now - entry.second.last > std::chrono::seconds(burst);
  });
  // An attacker with very many addresses: begin anew rather than grow.
  if (buckets_.size() >= max_addresses) buckets_.clear();
}

} // namespace tallymesh::gateway
