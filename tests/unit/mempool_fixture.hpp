// A few mempools in one process under a clock that the test moves: messages wait in a queue
// until the test delivers or loses them, and each node's disk keeps what it persisted.
#pragma once

#include "actors/mempool/machine.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <memory>

namespace mempool_test {

using namespace tallymesh;
using namespace tallymesh::mempool;

inline digest chain_id() { return hash(digest_kind::genesis, as_bytes("a mesh")); }

/// Quick signatures: a digest over signer and message.
inline signature stamp(node_index signer, bytes_view message) {
  const std::uint8_t who[] = {static_cast<std::uint8_t>(signer),
                              static_cast<std::uint8_t>(signer >> 8)};
  signature out;
  const auto sum = hash(digest_kind::record, {bytes_view(who), message});
  std::copy(sum.raw.begin(), sum.raw.end(), out.raw.begin());
  return out;
}

inline credentials keys_of(node_index self) {
  return {self,
          {chain_id(), 0},
          [self](bytes_view message) { return stamp(self, message); },
          [](node_index signer, bytes_view message, const signature& by) {
            return by == stamp(signer, message);
          }};
}

inline settings settings_of(node_index self, std::uint16_t n) {
  settings x;
  x.nodes = validator_set::make(chain_id(), 0, n);
  x.keys = keys_of(self);
  return x;
}

inline std::vector<lane_tip> empty_cut(std::size_t n) {
  std::vector<lane_tip> cut(n);
  for (std::size_t i = 0; i < n; ++i)
    cut[i].lane = static_cast<node_index>(i);
  return cut;
}

inline operation operation_of(std::uint32_t number, std::size_t text_bytes = 10) {
  operation x;
  for (int i = 0; i < 4; ++i)
    x.id.raw[i] = static_cast<std::uint8_t>(number >> 8 * i);
  x.contract = "orders";
  x.action = "store";
  x.author = "clerk";
  x.arguments = {{"text", std::string(text_bytes, 'x')}};
  return x;
}

/// A batch as its owner would sign it. Another `number` makes another batch for the same place.
inline batch_ptr batch_of(node_index lane, std::uint64_t seq, const digest& parent,
                          std::uint32_t number = 0, std::size_t text_bytes = 10) {
  return seal(keys_of(lane), {0, lane, seq, parent, {operation_of(number, text_bytes)}});
}

/// Batches `from`.. of a lane, each the parent of the next.
inline std::vector<batch_ptr> lane_of(node_index lane, std::size_t count,
                                      std::uint64_t from = 1, digest parent = {},
                                      std::uint32_t number = 0, std::size_t text_bytes = 10) {
  std::vector<batch_ptr> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(batch_of(lane, from + i, parent, number, text_bytes));
    parent = out.back()->id;
  }
  return out;
}

template <class T>
std::vector<T> all(const std::vector<effect>& effects) {
  std::vector<T> out;
  for (const auto& each : effects)
    if (const auto* x = std::get_if<T>(&each)) out.push_back(*x);
  return out;
}

/// What was sent to anyone, of one kind of message.
template <class M>
std::vector<std::pair<node_index, M>> sent(const std::vector<effect>& effects) {
  std::vector<std::pair<node_index, M>> out;
  for (const auto& each : all<send>(effects))
    if (const auto* x = std::get_if<M>(&each.message)) out.emplace_back(each.to, *x);
  return out;
}
template <class M>
std::vector<M> broadcasts(const std::vector<effect>& effects) {
  std::vector<M> out;
  for (const auto& each : all<broadcast>(effects))
    if (const auto* x = std::get_if<M>(&each.message)) out.push_back(*x);
  return out;
}

/// True if nothing in `effects` leaves the node or touches its disk.
inline bool silent(const std::vector<effect>& effects) {
  return std::all_of(effects.begin(), effects.end(),
                     [](const effect& x) { return std::holds_alternative<set_alarm>(x); });
}

/// One machine and what it stored, for tests that play its peers.
struct subject {
  settings chosen;
  std::unique_ptr<machine> here;
  std::int64_t now_ms = 1000;
  std::map<lane_tip, batch_ptr> disk;
  std::optional<std::int64_t> alarm_ms;

  explicit subject(std::uint16_t n, node_index self = 0,
                   const std::function<void(settings&)>& change = {})
      : chosen(settings_of(self, n)) {
    if (change) change(chosen);
    here = std::make_unique<machine>(chosen, recovered{empty_cut(n), {}});
    for (node_index i = 0; i < n; ++i)
      if (i != self) handle(peer_up{i});
  }

  template <class What>
  std::vector<effect> handle(What what) {
    auto effects = here->handle({{now_ms, now_ms}, std::move(what)});
    for (std::size_t i = 0; i < effects.size(); ++i)
      if (const auto* x = std::get_if<persist>(&effects[i])) {
        BOOST_TEST(i == 0u, "S15: storing comes before all that depends on it");
        for (const auto& each : x->batches)
          disk.emplace(each->tip(), each);
      } else if (const auto* alarm = std::get_if<set_alarm>(&effects[i])) {
        BOOST_TEST(alarm->at_monotonic_ms > now_ms);
        alarm_ms = alarm->at_monotonic_ms;
      }
    return effects;
  }
  std::vector<effect> submit(std::vector<operation> operations) {
    return handle(operations_submitted{7, std::move(operations)});
  }
  template <class M>
  std::vector<effect> hear(node_index from, M message) {
    return handle(received{from, wire_message(std::move(message))});
  }
  std::vector<effect> hear_batch(const batch_ptr& x) {
    return hear(x->content.lane, batch_message{x});
  }
  /// Rings every alarm of this stretch of time; all effects together.
  std::vector<effect> wait(std::int64_t duration_ms) {
    std::vector<effect> all_of_them;
    const auto until = now_ms + duration_ms;
    while (alarm_ms && *alarm_ms <= until) {
      now_ms = std::max(now_ms, *std::exchange(alarm_ms, std::nullopt));
      auto some = handle(alarm_rang{});
      std::move(some.begin(), some.end(), std::back_inserter(all_of_them));
    }
    now_ms = until;
    return all_of_them;
  }
  std::vector<admission> verdicts(const std::vector<effect>& effects) {
    const auto answers = all<admitted>(effects);
    BOOST_TEST_REQUIRE(answers.size() == 1u);
    return answers[0].verdicts;
  }
  bool has(const batch_ptr& x) const { return disk.contains(x->tip()); }
};

/// n machines; what they send waits in `wire`.
struct mesh {
  struct letter {
    node_index from, to;
    wire_message message;
  };
  std::vector<subject> nodes;
  std::deque<letter> wire;
  std::vector<lane_tip> final_cut;
  std::map<node_index, std::vector<effect>> seen; ///< everything since the test last looked
  std::function<bool(const letter&)> loses = [](const letter&) { return false; };

  explicit mesh(std::uint16_t n, const std::function<void(settings&)>& change = {})
      : final_cut(empty_cut(n)) {
    for (node_index i = 0; i < n; ++i)
      nodes.emplace_back(n, i, change);
    for (node_index i = 0; i < n; ++i)
      carry(i, nodes[i].handle(started{}));
    run();
  }

  void carry(node_index from, const std::vector<effect>& effects) {
    const auto n = static_cast<node_index>(nodes.size());
    for (const auto& each : effects) {
      seen[from].push_back(each);
      if (const auto* one = std::get_if<send>(&each))
        wire.push_back({from, one->to, one->message});
      else if (const auto* x = std::get_if<broadcast>(&each)) {
        for (node_index to = 0; to < n; ++to)
          if (to != from) wire.push_back({from, to, x->message});
      } else if (const auto* served = std::get_if<serve_batches>(&each)) {
        wire.push_back({from, served->to, answer(from, served->request)});
      }
    }
  }
  fetched_batches answer(node_index from, const fetch_batches& request) {
    fetched_batches out;
    auto at = request.tip;
    for (std::size_t size = 0; at.seq > request.after_seq;) {
      const auto here = nodes[from].disk.find(at);
      if (here == nodes[from].disk.end()) break;
      size += here->second->body.size();
      if (!out.batches.empty() && size > 2 * 1024 * 1024) break;
      out.batches.push_back(here->second);
      at = {at.lane, at.seq - 1, here->second->content.parent};
    }
    return out;
  }
  /// Delivers all that is under way, and what comes of it.
  void run() {
    while (!wire.empty()) {
      auto next = std::move(wire.front());
      wire.pop_front();
      if (loses(next)) continue;
      // Through the codec, as between processes.
      auto message = open_frame(make_frame(next.message));
      BOOST_TEST_REQUIRE(message.has_value());
      carry(next.to, nodes[next.to].handle(received{next.from, std::move(*message)}));
    }
  }
  void wait(std::int64_t duration_ms) {
    for (std::int64_t step = 0; step < duration_ms; step += 5) {
      for (node_index i = 0; i < nodes.size(); ++i)
        carry(i, nodes[i].wait(5));
      run();
    }
  }
  void submit(node_index to, std::vector<operation> operations) {
    carry(to, nodes[to].submit(std::move(operations)));
    run();
  }
  /// As consensus would: `leader` builds a cut on the final one, all fetch it, it becomes
  /// final. The number of lanes that moved, or nothing if somebody did not get all batches in
  /// time.
  std::optional<std::size_t> finalize(node_index leader) {
    const auto parent = hash(digest_kind::block, as_bytes("parent"));
    const auto block = hash(digest_kind::block, as_bytes("block"));
    const auto built = all<cut_built>(nodes[leader].handle(cut_wanted{parent, final_cut}));
    BOOST_TEST_REQUIRE(built.size() == 1u);
    auto next = final_cut;
    for (const auto& each : built[0].cut)
      next[each.lane] = each;
    seen.clear();
    for (node_index i = 0; i < nodes.size(); ++i)
      carry(i, nodes[i].handle(batches_wanted{block, final_cut, next, true}));
    run();
    wait(2000);
    for (node_index i = 0; i < nodes.size(); ++i)
      if (all<batches_ready>(seen[i]).size() != 1) return std::nullopt;
    final_cut = next;
    for (node_index i = 0; i < nodes.size(); ++i)
      carry(i, nodes[i].handle(cut_finalized{final_cut}));
    run();
    return built[0].cut.size();
  }
  void restart(node_index i) {
    recovered from{final_cut, {}};
    for (const auto& [tip, each] : nodes[i].disk)
      from.stored.push_back({tip, each->content.parent, each->body.size(),
                             each->content.operations.size(), each->signed_by});
    std::reverse(from.stored.begin(), from.stored.end());
    nodes[i].here = std::make_unique<machine>(nodes[i].chosen, std::move(from));
    nodes[i].alarm_ms.reset();
    carry(i, nodes[i].handle(started{}));
    for (node_index k = 0; k < nodes.size(); ++k)
      if (k != i) {
        carry(i, nodes[i].handle(peer_up{k}));
        carry(k, nodes[k].handle(peer_up{i}));
      }
    run();
  }
};

} // namespace mempool_test

namespace tallymesh {
inline std::ostream& operator<<(std::ostream& out, const lane_tip& x) {
  return out << x.lane << '/' << x.seq << '/' << x.batch.short_hex();
}
namespace mempool {
inline std::ostream& operator<<(std::ostream& out, admission x) {
  static constexpr const char* names[] = {"accepted", "known", "overloaded", "too_large"};
  return out << names[static_cast<int>(x)];
}
} // namespace mempool
} // namespace tallymesh
