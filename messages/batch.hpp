// A batch: operations that one node collected and vouches for with one signature. A node's
// batches form its lane (Autobahn, arXiv 2401.10369): numbered from 1, each naming the digest
// of the one before. Value types; any thread.
#pragma once

#include "messages/operation.hpp"
#include "messages/signed_item.hpp"

#include <memory>
#include <span>

namespace tallymesh {

struct batch {
  std::uint32_t epoch = 0;
  node_index lane = 0;
  std::uint64_t seq = 0; ///< from 1
  digest parent;         ///< zero for seq 1
  std::vector<operation> operations;

  template <class Archive>
  void serialize(Archive& a) {
    a(epoch, lane, seq, parent, operations);
  }
};

/// One batch of a lane, by name.
struct lane_tip {
  node_index lane = 0;
  std::uint64_t seq = 0; ///< 0: the lane is empty and the digest zero
  digest batch;

  template <class Archive>
  void serialize(Archive& a) {
    a(lane, seq, batch);
  }
  auto operator<=>(const lane_tip&) const = default;
};

/// A batch with the exact bytes that travelled. `id` is the digest over the bytes before the
/// operations and the digests of the operations, each made of the bytes that travelled: so it
/// stays the same when arguments are erased. The signature is over (item_kind::batch, lane,
/// seq, id). Immutable and shared.
struct sealed_batch {
  batch content;
  bytes body;
  digest id;
  signature signed_by;
  std::uint32_t erased = 0; ///< operations without their arguments
  /// Of the body with all its arguments: what limits are about, whatever form is at hand.
  std::size_t full_bytes = 0;

  lane_tip tip() const { return {content.lane, content.seq, id}; }
  signed_item as_item() const {
    return {item_kind::batch, content.lane, content.seq, id, signed_by};
  }
};
using batch_ptr = std::shared_ptr<const sealed_batch>;

batch_ptr seal(const credentials& signer, batch content);

/// Decodes `body` and checks form and hard limits (place in the lane, number of operations,
/// bytes of each and of all), not the signature. Errors: malformed, too_large.
result<batch_ptr> open_batch(bytes body, const signature& signed_by);

/// The same batch without the arguments of the operations at `places` (from 0, any order): same
/// id, same signature. Those erased before stay so. Every place must be in the batch.
batch_ptr erase_arguments(const sealed_batch& from, std::span<const std::uint32_t> places);

} // namespace tallymesh
