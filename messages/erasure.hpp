// An erasure: the order, on the chain, to drop the payload of a row everywhere, and what each
// node signs once it has done so. The certificate proves it to anyone who holds genesis. Value
// types; any thread.
#pragma once

#include "messages/operation.hpp"
#include "messages/signed_item.hpp"

namespace tallymesh {

/// Everything of an erasure that its digest covers.
struct erasure {
  operation_id id;    ///< of the operation that ordered it
  std::string node;   ///< in whose lane that came
  std::string author; ///< its account
  std::string table;  ///< "contract.table"
  bytes key;          ///< ordered encoding of the key's values
  std::string reason;
  block_height height = 0;
  std::uint32_t position = 0; ///< of the operation in its block
  std::int64_t time_ms = 0;   ///< the block's

  template <class Archive>
  void serialize(Archive& a) {
    a(id, node, author, table, key, reason, height, position, time_ms);
  }
  bool operator==(const erasure&) const = default;
};

digest erasure_digest(const erasure& x);

/// "I hold no payload of this row any more", by the node of `signer`.
signed_item attest(const credentials& signer, const erasure& x);

struct erasure_certificate {
  digest chain;
  std::uint32_t epoch = 0;
  erasure what;
  std::vector<std::pair<node_index, signature>> nodes; ///< ascending

  template <class Archive>
  void serialize(Archive& a) {
    a(chain, epoch, what, nodes);
  }
  bool operator==(const erasure_certificate&) const = default;
};

/// The nodes that signed, in order. `keys` may be those of any node of the mesh. Errors:
/// conflict (of another mesh), malformed (nodes out of order), bad_signature.
result<std::vector<node_index>> check(const erasure_certificate& x, const credentials& keys);

} // namespace tallymesh
