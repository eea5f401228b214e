// What two nodes say to each other. A frame on a link is one encoded `wire_message`. Nothing
// here trusts its sender: open_frame checks form and hard limits, the machines check the rest.
#pragma once

#include "messages/block.hpp"

namespace tallymesh {

// --- lanes: read by the mempool

struct batch_message {
  batch_ptr batch;
  template <class Archive>
  void serialize(Archive& a) {
    a(batch);
  }
};
/// The tips of lanes up to which the sender has stored every batch.
struct have_message {
  std::vector<lane_tip> tips;
  template <class Archive>
  void serialize(Archive& a) {
    a(tips);
  }
};
/// Asks for the batch `tip` and the ones before it down to, not including, `after_seq`.
struct fetch_batches {
  lane_tip tip;
  std::uint64_t after_seq = 0;
  template <class Archive>
  void serialize(Archive& a) {
    a(tip, after_seq);
  }
};
/// The answer: newest first, each the parent of the one before it; cut where it would be too
/// large.
struct fetched_batches {
  std::vector<batch_ptr> batches;
  template <class Archive>
  void serialize(Archive& a) {
    a(batches);
  }
};

// --- agreement: read by consensus

struct proposal {
  block_ptr block;
  std::vector<certificate>
      justification; ///< the parent's notarization and the gap's nullifications
  template <class Archive>
  void serialize(Archive& a) {
    a(block, justification);
  }
};
struct status {
  view_number frontier = 0;
  view_number finalized_view = 0;
  block_height finalized_height = 0;
  bool pending = false;
  template <class Archive>
  void serialize(Archive& a) {
    a(frontier, finalized_view, finalized_height, pending);
  }
  auto operator<=>(const status&) const = default;
};
struct fetch_block {
  digest block;
  template <class Archive>
  void serialize(Archive& a) {
    a(block);
  }
};
struct fetched_block {
  block_ptr block;
  template <class Archive>
  void serialize(Archive& a) {
    a(block);
  }
};
/// Asks for finalized blocks from this height upwards.
struct fetch_range {
  block_height from = 0;
  template <class Archive>
  void serialize(Archive& a) {
    a(from);
  }
};
/// Consecutive heights; `finalization` is of the last one.
struct fetched_range {
  std::vector<block_ptr> blocks;
  certificate finalization;
  template <class Archive>
  void serialize(Archive& a) {
    a(blocks, finalization);
  }
};
/// "I executed up to `position` and got `what`" (item_kind::attestation).
struct attestation {
  signed_item item;
  template <class Archive>
  void serialize(Archive& a) {
    a(item);
  }
};

/// Asks for what executing the block of this height gave, as its encoding is stored, from this
/// byte on: for a block whose operations lost arguments, so that they cannot be executed here.
struct fetch_execution {
  block_height height = 0;
  std::uint64_t offset = 0;
  template <class Archive>
  void serialize(Archive& a) {
    a(height, offset);
  }
};
/// A part of it, and what the sender says the digest of the whole is. `total_bytes` 0: the
/// sender has not executed so far. What f + 1 nodes say is so. `erased`: how many of its rows
/// and events are there as digests only; who has the fewest is asked for the bytes.
struct fetched_execution {
  block_height height = 0;
  digest execution;
  std::uint32_t erased = 0;
  std::uint64_t total_bytes = 0, offset = 0;
  bytes part;
  template <class Archive>
  void serialize(Archive& a) {
    a(height, execution, erased, total_bytes, offset, part);
  }
};

/// Two batches that a node signed for one place of its lane (S18), without their bodies: shown
/// to a peer that takes a forked place for work. Read by the mempool.
struct fork_evidence {
  evidence what;
  template <class Archive>
  void serialize(Archive& a) {
    a(what);
  }
};

using wire_message =
    std::variant<batch_message, have_message, fetch_batches, fetched_batches, proposal, vote,
                 certificate, status, fetch_block, fetched_block, fetch_range, fetched_range,
                 attestation, fetch_execution, fetched_execution, fork_evidence>;

constexpr std::uint8_t fork_evidence_kind = 15;
static_assert(std::is_same_v<std::variant_alternative_t<fork_evidence_kind, wire_message>,
                             fork_evidence>);
/// A frame's first byte is the alternative's place: it says whether the mempool reads it.
constexpr bool is_about_lanes(std::uint8_t kind) {
  return kind < 4 || kind == fork_evidence_kind;
}

/// The message's name for logs, metrics and the shell: "batch", "have", "vote", …
std::string_view name_of(const wire_message& x);
/// The same by a frame's first byte; "unknown" beyond the last.
std::string_view name_of_kind(std::uint8_t kind);

bytes make_frame(const wire_message& x);
/// Checks what needs no knowledge of the mesh: encoding, hard limits, kinds that fit their
/// message. Errors: malformed, too_large.
result<wire_message> open_frame(bytes_view frame);

} // namespace tallymesh
