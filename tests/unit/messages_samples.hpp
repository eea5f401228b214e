// Random but lawful values of every type in messages/, for property tests and fuzzing's first
// inputs. The same seed gives the same values. Value type; any thread.
#pragma once

#include "messages/erasure.hpp"
#include "messages/receipt.hpp"
#include "messages/wire.hpp"

#include <algorithm>
#include <random>
#include <set>

namespace tallymesh::testing {

class sampler {
public:
  explicit sampler(std::uint64_t seed) : random_(seed) {}

  std::uint64_t any() { return random_(); }
  /// 0 to limit - 1.
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool flip() { return below(2) == 0; }

  template <std::size_t N>
  void fill(std::array<std::uint8_t, N>& out) {
    for (auto& byte : out)
      byte = static_cast<std::uint8_t>(below(256));
  }
  digest some_digest() {
    digest x;
    fill(x.raw);
    return x;
  }
  signature some_signature() {
    signature x;
    fill(x.raw);
    return x;
  }
  bytes some_bytes(std::size_t most) {
    bytes x(below(most + 1));
    for (auto& byte : x)
      byte = static_cast<std::uint8_t>(below(256));
    return x;
  }
  /// Characters of one to four bytes in UTF-8.
  std::string some_text(std::size_t most) {
    static constexpr std::string_view characters[] = {"a", "Z",  "0",  "\0",
                                                      "é", "网", "\n", "🧾"};
    std::string x;
    for (auto i = below(most + 1); i > 0; --i)
      x += characters[below(std::size(characters))];
    return x;
  }
  /// Small numbers, the ends of the range, and all others.
  std::int64_t some_integer() {
    switch (below(4)) {
    case 0:
      return static_cast<std::int64_t>(below(256)) - 128;
    case 1:
      return std::numeric_limits<std::int64_t>::min();
    case 2:
      return std::numeric_limits<std::int64_t>::max();
    default:
      return static_cast<std::int64_t>(any());
    }
  }

  value some_value(int depth = 3) {
    switch (below(depth > 0 ? 8 : 6)) {
    case 0:
      return {};
    case 1:
      return flip();
    case 2:
      return some_integer();
    case 3:
      return decimal{some_integer(), static_cast<std::uint8_t>(below(19))};
    case 4:
      return some_text(5);
    case 5:
      return some_bytes(5);
    case 6: {
      value_list list(below(4));
      for (auto& each : list)
        each = some_value(depth - 1);
      return list;
    }
    default:
      return some_map(depth - 1);
    }
  }
  value_map some_map(int depth = 2) {
    value_map map;
    for (auto i = below(4); i > 0; --i)
      put(map, some_text(4), some_value(depth));
    return map;
  }

  operation_id some_id() {
    operation_id x;
    fill(x.raw);
    return x;
  }
  operation some_operation() {
    operation x{some_id(), some_text(6), some_text(6), some_map(), some_text(6), some_integer(),
                {}};
    if (flip()) x.author_signature = some_signature();
    if (below(4) == 0) {
      x.arguments.clear();
      x.erased = {4 + static_cast<std::uint32_t>(below(1000)), some_digest()};
    }
    return x;
  }
  batch some_batch() {
    batch x;
    x.epoch = static_cast<std::uint32_t>(any());
    x.lane = static_cast<node_index>(below(limits::max_nodes));
    x.seq = flip() ? 1 : 2 + below(1000000);
    if (x.seq > 1) x.parent = some_digest();
    for (auto i = 1 + below(3); i > 0; --i)
      x.operations.push_back(some_operation());
    return x;
  }
  lane_tip some_tip() {
    return {static_cast<node_index>(below(limits::max_nodes)), 1 + below(1000), some_digest()};
  }
  signed_item some_item(item_kind kind) {
    const auto what = kind == item_kind::nullify ? digest{} : some_digest();
    return {kind, static_cast<node_index>(any()), any(), what, some_signature()};
  }
  signed_item some_item() { return some_item(static_cast<item_kind>(1 + below(7))); }
  vote some_vote() {
    static constexpr item_kind kinds[] = {item_kind::notarize, item_kind::nullify,
                                          item_kind::finalize};
    return some_item(kinds[below(3)]);
  }
  evidence some_evidence() { return {some_item(), some_item()}; }
  std::vector<lane_tip> some_cut() {
    std::set<node_index> lanes;
    for (auto i = below(5); i > 0; --i)
      lanes.insert(static_cast<node_index>(below(limits::max_nodes)));
    std::vector<lane_tip> cut;
    for (const auto lane : lanes)
      cut.push_back({lane, 1 + below(1000), some_digest()});
    return cut;
  }
  block some_block() {
    block x;
    x.epoch = static_cast<std::uint32_t>(any());
    x.parent_view = below(1000);
    x.view = x.parent_view + 1 + below(10);
    x.height = 1 + below(x.view);
    x.parent = some_digest();
    x.cut = some_cut();
    x.executed = {below(1000), some_digest()};
    x.time_ms = some_integer();
    for (auto i = below(3); i > 0; --i)
      x.contradictions.push_back(some_evidence());
    return x;
  }
  certificate some_certificate() {
    const auto of = some_vote();
    certificate x{of.kind, of.position, of.what, {}};
    for (node_index i = 0; i < below(5); ++i)
      x.votes.emplace_back(i, some_signature());
    return x;
  }

  receipt some_receipt() {
    receipt x{some_id(),
              any(),
              static_cast<std::uint32_t>(any()),
              static_cast<node_index>(any()),
              any(),
              static_cast<outcome>(below(static_cast<int>(last_outcome) + 1)),
              some_text(8),
              static_cast<std::uint32_t>(any()),
              any(),
              {.stored = static_cast<std::uint32_t>(any()),
               .deleted = static_cast<std::uint32_t>(any()),
               .erased = static_cast<std::uint32_t>(any()),
               .settled = static_cast<std::uint32_t>(any()),
               .distributed = static_cast<std::uint32_t>(any())},
              {}};
    for (auto i = below(3); i > 0; --i)
      x.events.push_back({some_text(8), some_map(2)});
    if (flip()) erase_events(x);
    return x;
  }
  change some_change() {
    change x{some_text(8),
             some_bytes(12),
             {},
             {},
             static_cast<std::uint32_t>(any()),
             {any(), static_cast<std::uint32_t>(any())}};
    if (flip()) x.before = some_bytes(20);
    if (flip()) x.after = some_bytes(20);
    if (flip()) erase_rows(x);
    return x;
  }
  execution some_execution() {
    execution x{any(), some_digest(), some_integer(), {}, {}, some_digest()};
    for (auto i = below(3); i > 0; --i)
      x.receipts.push_back(some_receipt());
    for (auto i = below(3); i > 0; --i)
      x.changes.push_back(some_change());
    return x;
  }

  erasure some_erasure() {
    return {some_id(),      some_text(6),  some_text(6), some_text(8),
            some_bytes(12), some_text(20), any(),        static_cast<std::uint32_t>(any()),
            some_integer()};
  }
  erasure_certificate some_erasure_certificate() {
    erasure_certificate x{some_digest(), static_cast<std::uint32_t>(any()), some_erasure(), {}};
    for (node_index i = 0; i < below(5); ++i)
      x.nodes.emplace_back(i, some_signature());
    return x;
  }

  batch_ptr some_sealed_batch() {
    auto opened = open_batch(encode(some_batch()), some_signature());
    TALLYMESH_INVARIANT(opened.has_value());
    return *opened;
  }
  block_ptr some_sealed_block() {
    auto opened =
        open_block(encode(some_block()), static_cast<node_index>(any()), some_signature());
    TALLYMESH_INVARIANT(opened.has_value());
    return *opened;
  }
  /// A message of the alternative `index` of wire_message.
  wire_message some_message(std::size_t index) {
    switch (index) {
    case 0:
      return batch_message{some_sealed_batch()};
    case 1:
      return have_message{some_cut()};
    case 2:
      return fetch_batches{some_tip(), any()};
    case 3: {
      fetched_batches x;
      for (auto i = below(3); i > 0; --i)
        x.batches.push_back(some_sealed_batch());
      return x;
    }
    case 4: {
      proposal x{some_sealed_block(), {}};
      for (auto i = below(3); i > 0; --i)
        x.justification.push_back(some_certificate());
      return x;
    }
    case 5:
      return some_vote();
    case 6:
      return some_certificate();
    case 7:
      return status{any(), any(), any(), flip()};
    case 8:
      return fetch_block{some_digest()};
    case 9:
      return fetched_block{some_sealed_block()};
    case 10:
      return fetch_range{any()};
    case 11: {
      fetched_range x;
      for (auto i = below(3); i > 0; --i)
        x.blocks.push_back(some_sealed_block());
      x.finalization = some_certificate();
      return x;
    }
    case 12:
      return attestation{some_item(item_kind::attestation)};
    case 13:
      return fetch_execution{any(), any()};
    case 14: {
      const auto erased = static_cast<std::uint32_t>(below(100));
      fetched_execution x{any(), some_digest(), erased, 0, below(100), some_bytes(20)};
      x.total_bytes = x.offset + x.part.size() + below(100);
      return x;
    }
    default:
      return fork_evidence{{some_item(item_kind::batch), some_item(item_kind::batch)}};
    }
  }
  wire_message some_message() { return some_message(below(std::variant_size_v<wire_message>)); }

private:
  std::mt19937_64 random_;
};

} // namespace tallymesh::testing
