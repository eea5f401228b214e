// Everything a node signs has one form, so that two contradicting signatures of one node can be
// kept as evidence whatever they are (rules S0, S18):
//   "tallymesh" | chain | epoch | kind | signer | position | digest
// Value types; any thread.
#pragma once

#include "messages/digest.hpp"
#include "messages/encoding.hpp"
#include "messages/keys.hpp"

#include <functional>

namespace tallymesh {

using node_index = std::uint16_t; ///< a node's place in genesis, from 0
using view_number = std::uint64_t;
using block_height = std::uint64_t;

enum class item_kind : std::uint8_t {
  batch = 1,       ///< position: sequence number in the signer's lane
  proposal = 2,    ///< position: view
  notarize = 3,    ///< position: view
  nullify = 4,     ///< position: view; the digest is zero
  finalize = 5,    ///< position: view
  attestation = 6, ///< position: height; the digest is the execution digest
  erasure = 7,     ///< position: height that ordered it; the digest is the erasure's
};
constexpr bool known(item_kind x) { return x >= item_kind::batch && x <= item_kind::erasure; }
std::string_view to_string(item_kind x);

/// The mesh and the epoch that a signature is good for.
struct signing_domain {
  digest chain;
  std::uint32_t epoch = 0;
  auto operator<=>(const signing_domain&) const = default;
};

struct signed_item {
  item_kind kind{};
  node_index signer = 0;
  std::uint64_t position = 0;
  digest what;
  signature signed_by;

  template <class Archive>
  void serialize(Archive& a) {
    a(closed(kind), signer, position, what, signed_by);
  }
  auto operator<=>(const signed_item&) const = default;
};

bytes signing_bytes(const signing_domain& domain, item_kind kind, node_index signer,
                    std::uint64_t position, const digest& what);

/// How a machine signs and checks, without knowing how: libsodium in a node, a quick keyed hash
/// in the simulator, where forging is not what is tested.
struct credentials {
  node_index self = 0;
  signing_domain domain;
  std::function<signature(bytes_view)> sign;
  std::function<bool(node_index, bytes_view, const signature&)>
      verify; ///< false for an unknown node too

  signed_item make(item_kind kind, std::uint64_t position, const digest& what) const;
  bool check(const signed_item& x) const;
};

/// Ed25519 by `key`; `nodes[i]` is node i's public vote key.
credentials ed25519_credentials(node_index self, signing_domain domain, signing_key key,
                                std::vector<public_key> nodes);

/// Two items of one signer that an honest node never signs both (S18), whatever their order.
struct evidence {
  signed_item first, second;
  template <class Archive>
  void serialize(Archive& a) {
    a(first, second);
  }
  auto operator<=>(const evidence&) const = default;
};

/// True if the pair contradicts itself: two batches, proposals, notarize or finalize of one
/// position with different digests; nullify and finalize of one view; notarize(d) and
/// finalize(d') of one view. Notarize and nullify together are lawful. Signatures are not
/// checked.
bool contradicts(const signed_item& a, const signed_item& b);

} // namespace tallymesh
