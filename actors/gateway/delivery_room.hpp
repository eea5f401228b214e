// Subscribers whose inbox holds nothing new: they wait for a block that changes it, or for
// their time. Bounded, in all and for each account, so that none keeps out the others. Owned by
// `service`; any thread (one mutex, never held while an answer is made).
#pragma once

#include "actors/gateway/http.hpp"
#include "actors/gateway/json_in.hpp"
#include "actors/gateway/router.hpp"

#include <algorithm>
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

  delivery_room(std::size_t most, std::size_t most_each) : most_(most), most_each_(most_each) {}

  /// False if the room is full, or holds too many of this account.
  bool enter(const subscriber_ptr& who) {
    const std::lock_guard lock(mutex_);
    const auto own = std::count_if(waiting_.begin(), waiting_.end(), [&](const auto& each) {
      return each->who.name == who->who.name;
    });
    if (waiting_.size() >= most_ || static_cast<std::size_t>(own) >= most_each_) return false;
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
  const std::size_t most_, most_each_;
  mutable std::mutex mutex_;
  std::list<subscriber_ptr> waiting_;
};

} // namespace tallymesh::gateway
