// Blocks, votes and certificates: what the nodes agree on and how they say so (Simplex, eprint
// 2023/463). A block orders batches by naming the new tips of the lanes, its cut; bodies never
// travel twice. Value types; any thread.
#pragma once

#include "messages/batch.hpp"

namespace tallymesh {

/// A height that the leader has executed, and what it got.
struct execution_claim {
  block_height height = 0;
  digest execution;

  template <class Archive>
  void serialize(Archive& a) {
    a(height, execution);
  }
  auto operator<=>(const execution_claim&) const = default;
};

struct block {
  std::uint32_t epoch = 0;
  view_number view = 0;
  block_height height = 0;
  view_number parent_view = 0;
  digest parent;
  std::vector<lane_tip> cut; ///< only lanes that moved; lanes strictly ascending
  execution_claim executed;
  std::int64_t time_ms = 0; ///< milliseconds since 1970; never below the parent's
  std::vector<evidence> contradictions;

  template <class Archive>
  void serialize(Archive& a) {
    a(epoch, view, height, parent_view, parent, cut, executed, time_ms, contradictions);
  }
};

/// A block with the exact bytes that travelled. The signature is the leader's, over
/// (item_kind::proposal, view, id). Immutable and shared.
struct sealed_block {
  block content;
  bytes body;
  digest id;
  node_index leader = 0;
  signature signed_by;

  signed_item as_item() const {
    return {item_kind::proposal, leader, content.view, id, signed_by};
  }
};
using block_ptr = std::shared_ptr<const sealed_block>;

block_ptr seal(const credentials& leader, block content);

/// Decodes `body` and checks form and hard limits, not the signature nor the leader's turn.
/// Errors: malformed, too_large.
result<block_ptr> open_block(bytes body, node_index leader, const signature& signed_by);

/// The block before the first: height 0, view 0, its digest that of genesis. Never travels.
block_ptr genesis_block(const signing_domain& domain);

using vote = signed_item; ///< of kind notarize, nullify or finalize

/// A quorum of votes for one (kind, view, block). Signers strictly ascending.
struct certificate {
  item_kind kind{}; ///< notarize, nullify or finalize: then it is a notarization,
                    ///< nullification, finalization
  view_number view = 0;
  digest block; ///< zero for a nullification
  std::vector<std::pair<node_index, signature>> votes;

  template <class Archive>
  void serialize(Archive& a) {
    a(closed(kind), view, block, votes);
  }
  auto operator<=>(const certificate&) const = default;
};

/// n nodes of an epoch, and what follows from n (rule S0).
struct validator_set {
  std::uint32_t epoch = 0;
  std::uint16_t size = 0;              ///< n
  std::vector<node_index> permutation; ///< of 0..n-1

  static validator_set make(const digest& chain, std::uint32_t epoch, std::uint16_t size);
  std::uint16_t faulty() const { return static_cast<std::uint16_t>((size - 1) / 3); } ///< f
  std::uint16_t quorum() const {
    return static_cast<std::uint16_t>(size - faulty());
  } ///< q = n - f
  node_index leader(view_number view) const { return permutation[view % size]; }
};

/// Checks kind, signers (known, distinct, ascending), their number (q or more) and each
/// signature. Errors: malformed, bad_signature.
result<void> verify(const certificate& x, const validator_set& nodes, const credentials& keys);

} // namespace tallymesh
