// What is counted of one actor, always: messages in and handled, the time they took, how long
// the oldest waits. Written by whoever enqueues (`arrived`) and by the actor's own thread (all
// else); read by any thread without a lock, so looking never holds up the actor. An actor that
// is started anew has a new meter.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallymesh::introspector {

/// Set once, before the actors start (config introspection.measure).
inline std::atomic<bool> measuring = true;

inline std::int64_t steady_ns() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

/// Of microseconds, by powers of two: bucket b counts below 2^b, the last one all that is
/// longer.
constexpr std::size_t latency_buckets = 24;
constexpr std::size_t latency_bucket(std::int64_t ns) {
  auto us = static_cast<std::uint64_t>(ns > 0 ? ns : 0) / 1000;
  std::size_t b = 0;
  for (; us > 0 && b + 1 < latency_buckets; us >>= 1)
    ++b;
  return b;
}

struct kind_reading {
  std::string name;
  std::uint64_t count = 0;
  std::int64_t busy_ns = 0;
  std::array<std::uint64_t, latency_buckets> buckets{};
};

struct meter_reading {
  std::uint64_t arrived = 0, handled = 0;
  std::int64_t busy_ns = 0;
  std::int64_t oldest_ns = 0;     ///< how long the oldest message waits; 0: none does
  bool oldest_at_least = false;   ///< it may wait longer: more wait than are stamped
  std::int64_t in_handler_ns = 0; ///< how long the present handler runs; 0: idle
  std::string handler;            ///< the kind it handles
  bool paused = false;
  std::int64_t born_ns = 0;
  std::vector<kind_reading> kinds; ///< most time first
  std::uint64_t waiting() const { return arrived > handled ? arrived - handled : 0; }
};

/// How a message reaches its actor. Urgent ones overtake the others; direct ones never wait.
enum class passage : std::uint8_t { normal, urgent, direct };

/// The messages of one passage, which are handled in the order in which they arrived.
class arrivals {
public:
  void arrived() {
    const auto number = arrived_.fetch_add(1, std::memory_order_relaxed);
    stamps_[number % stamps_.size()].store(stamp_of(number, steady_ns()),
                                           std::memory_order_relaxed);
  }
  /// The actor's thread.
  void handled() {
    handled_.store(handled_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void read_into(meter_reading& x, std::int64_t now_ns) const {
    const auto handled = handled_.load(std::memory_order_acquire);
    const auto arrived = arrived_.load(std::memory_order_acquire);
    x.handled += handled;
    x.arrived += arrived;
    if (arrived <= handled) return;
    // Of a longer queue the first stamps are overwritten.
    const bool too_long = arrived - handled > stamps_.size();
    const auto first = too_long ? arrived - stamps_.size() : handled;
    const auto stamp = stamps_[first % stamps_.size()].load(std::memory_order_relaxed);
    // Another message's: this one arrives just now, or is handled meanwhile.
    if (stamp >> time_bits != (first & number_mask)) return;
    const auto at_ns = static_cast<std::int64_t>((stamp & time_mask) << time_shift);
    x.oldest_at_least = x.oldest_at_least || too_long;
    x.oldest_ns = std::max({x.oldest_ns, now_ns - at_ns, std::int64_t{1}});
  }

private:
  // A stamp says whose it is, so that none is taken for another's: number and time in one word.
  static constexpr int time_bits = 48, time_shift = 14; // 16 us; enough for 146 years
  static constexpr std::uint64_t time_mask = (std::uint64_t{1} << time_bits) - 1,
                                 number_mask = 0xFFFF;
  static std::uint64_t stamp_of(std::uint64_t number, std::int64_t ns) {
    return (number & number_mask) << time_bits
           | (static_cast<std::uint64_t>(ns) >> time_shift & time_mask);
  }

  std::atomic<std::uint64_t> arrived_ = 0, handled_ = 0;
  std::array<std::atomic<std::uint64_t>, 1024> stamps_{}; ///< when the last ones arrived
};

class meter {
public:
  /// Identifies a kind of message: made of its type, and of a frame's first byte.
  using kind_key = std::uint64_t;

  /// Any thread, before the message is in the mailbox.
  void arrived(passage by) {
    if (by != passage::direct) waiting_[by == passage::urgent].arrived();
  }
  /// The actor's thread. `name` is called the first time that the kind is seen.
  template <class Name>
  std::size_t begin(kind_key key, std::int64_t at_ns, Name name) {
    const auto slot = find(key, name);
    current_.store(static_cast<std::uint32_t>(slot), std::memory_order_relaxed);
    since_ns_.store(at_ns, std::memory_order_relaxed);
    return slot;
  }
  void end(std::size_t slot, passage by, std::int64_t began_ns, std::int64_t ended_ns) {
    auto& of = kinds_[slot];
    const auto took = ended_ns - began_ns;
    bump(of.count, std::uint64_t{1});
    bump(of.busy_ns, took);
    bump(of.buckets[latency_bucket(took)], std::uint64_t{1});
    bump(busy_ns_, took);
    if (by == passage::direct)
      bump(direct_, std::uint64_t{1});
    else
      waiting_[by == passage::urgent].handled();
    since_ns_.store(0, std::memory_order_relaxed);
  }
  /// The message went back into the mailbox.
  void skipped() { since_ns_.store(0, std::memory_order_relaxed); }
  void set_paused(bool x) { paused_.store(x, std::memory_order_relaxed); }

  meter_reading read() const {
    meter_reading x;
    const auto now = steady_ns();
    x.handled = x.arrived = direct_.load(std::memory_order_relaxed);
    for (const auto& each : waiting_)
      each.read_into(x, now);
    x.busy_ns = busy_ns_.load(std::memory_order_relaxed);
    x.paused = paused_.load(std::memory_order_relaxed);
    x.born_ns = born_ns_;
    if (const auto since = since_ns_.load(std::memory_order_relaxed); since != 0) {
      x.in_handler_ns = std::max<std::int64_t>(now - since, 1);
      const auto at = current_.load(std::memory_order_relaxed);
      if (at < kinds_.size() && kinds_[at].key.load(std::memory_order_acquire) != 0)
        x.handler = kinds_[at].name;
    }
    for (const auto& each : kinds_)
      if (each.key.load(std::memory_order_acquire) != 0) x.kinds.push_back(read(each));
    std::sort(x.kinds.begin(), x.kinds.end(),
              [](const auto& a, const auto& b) { return a.busy_ns > b.busy_ns; });
    return x;
  }

  /// What the log shows of this actor; below 0: what it shows of all.
  std::atomic<int> log_level = -1;

private:
  struct kind {
    std::atomic<kind_key> key = 0; ///< stored last: who sees it sees the name
    std::string name;
    std::atomic<std::uint64_t> count = 0;
    std::atomic<std::int64_t> busy_ns = 0;
    std::array<std::atomic<std::uint64_t>, latency_buckets> buckets{};
  };
  static constexpr std::size_t most_kinds = 48;

  /// One writer: no locked instruction is needed.
  template <class T>
  static void bump(std::atomic<T>& x, T by) {
    x.store(x.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  template <class Name>
  std::size_t find(kind_key key, Name name) {
    for (std::size_t i = 0; i + 1 < kinds_.size(); ++i) {
      const auto at = kinds_[i].key.load(std::memory_order_relaxed);
      if (at == key) return i;
      if (at != 0) continue;
      kinds_[i].name = name();
      kinds_[i].key.store(key, std::memory_order_release);
      return i;
    }
    auto& others = kinds_.back();
    if (others.key.load(std::memory_order_relaxed) == 0) {
      others.name = "others";
      others.key.store(1, std::memory_order_release);
    }
    return kinds_.size() - 1;
  }
  static kind_reading read(const kind& from) {
    kind_reading x{from.name,
                   from.count.load(std::memory_order_relaxed),
                   from.busy_ns.load(std::memory_order_relaxed),
                   {}};
    for (std::size_t i = 0; i < latency_buckets; ++i)
      x.buckets[i] = from.buckets[i].load(std::memory_order_relaxed);
    return x;
  }

  std::array<arrivals, 2> waiting_; ///< normal, urgent
  std::atomic<std::uint64_t> direct_ = 0;
  std::atomic<std::int64_t> busy_ns_ = 0;
  std::atomic<std::int64_t> since_ns_ = 0; ///< when the present handler began; 0: none
  std::atomic<std::uint32_t> current_ = 0;
  std::atomic<bool> paused_ = false;
  std::array<kind, most_kinds> kinds_;
  const std::int64_t born_ns_ = steady_ns();
};

} // namespace tallymesh::introspector
