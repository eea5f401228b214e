// Subscribers whose inbox holds nothing new: they wait for a block that changes it, or for
// their time. Bounded. Owned by `service`; any thread (one mutex, never held while an answer is
// made).
#pragma once

#include "actors/gateway/http.hpp"
#include "actors/gateway/json_in.hpp"
#include "actors/gateway/router.hpp"

#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

namespace tallymesh::gateway {

struct waiting_subscriber {
  call what;
  account who;
  answer_function answer;
  std::chrono::steady_clock::time_point deadline;
};
using subscriber_ptr = std::shared_ptr<waiting_subscriber>;

class delivery_room {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit delivery_room(std::size_t most) : most_(most) {}

  /// False if the room is full.
  bool enter(const subscriber_ptr& who) {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= most_) return false;
    waiting_.push_back(who);
    return true;
  }
  /// True if it was still here: whoever gets true answers it.
  bool leave(const subscriber_ptr& who) {
    const std::lock_guard lock(mutex_);
    return waiting_.remove(who) > 0;
  }
  std::list<subscriber_ptr> all() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  std::list<subscriber_ptr> expire(time_point now) {
    const std::lock_guard lock(mutex_);
    std::list<subscriber_ptr> over;
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      const auto here = at++;
      if ((*here)->deadline <= now) over.splice(over.end(), waiting_, here);
    }
    return over;
  }
  std::optional<time_point> next_deadline() const {
    const std::lock_guard lock(mutex_);
    std::optional<time_point> next;
    for (const auto& each : waiting_)
      if (!next || each->deadline < *next) next = each->deadline;
    return next;
  }
  bool empty() const {
    const std::lock_guard lock(mutex_);
    return waiting_.empty();
  }

private:
  const std::size_t most_;
  mutable std::mutex mutex_;
  std::list<subscriber_ptr> waiting_;
};

} // namespace tallymesh::gateway
