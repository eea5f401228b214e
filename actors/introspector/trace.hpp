// The one trace that may run in a process at a time: the messages in and out of one actor, with
// times, up to a hard cap. Off, it costs each message one load. Begun and read by the
// introspector, written by any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace tallymesh::introspector {

struct traced_message {
  std::int64_t at_ns = 0; ///< steady clock
  bool out = false;
  std::uint64_t other = 0; ///< id of the other actor; 0: not known
  std::string peer;        ///< the other is a node, or an operator, of this name
  std::string kind;
  std::uint64_t bytes = 0;   ///< of a frame
  std::int64_t took_ns = -1; ///< in the handler; -1: sent
};

class trace {
public:
  static constexpr std::size_t most = 1000;
  /// False if one runs already.
  bool begin(std::uint64_t actor, std::size_t max);
  void end();
  /// What came since the last call.
  std::vector<traced_message> take();
  bool full() const { return left_.load(std::memory_order_relaxed) == 0; }

  bool of(std::uint64_t actor) const {
    return actor_.load(std::memory_order_relaxed) == actor && actor != 0 && !full();
  }
  bool runs() const { return actor_.load(std::memory_order_relaxed) != 0; }
  void note(traced_message x);

private:
  std::atomic<std::uint64_t> actor_ = 0;
  std::atomic<std::size_t> left_ = 0;
  std::mutex lock_;
  std::vector<traced_message> messages_; ///< bounded by `most`
};

inline trace the_trace;

inline bool trace::begin(std::uint64_t actor, std::size_t max) {
  const std::lock_guard guard(lock_);
  if (actor_ != 0) return false;
  messages_.clear();
  left_ = std::min(max, most);
  actor_ = actor;
  return true;
}

inline void trace::end() { actor_ = 0; }

inline std::vector<traced_message> trace::take() {
  const std::lock_guard guard(lock_);
  return std::exchange(messages_, {});
}

inline void trace::note(traced_message x) {
  const std::lock_guard guard(lock_);
  if (left_ == 0) return;
  --left_;
  messages_.push_back(std::move(x));
}

} // namespace tallymesh::introspector
