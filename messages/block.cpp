#include "messages/block.hpp"
#include "messages/receipt.hpp"

#include <algorithm>
#include <numeric>

namespace tallymesh {

std::string_view to_string(item_kind x) {
  switch (x) {
  case item_kind::batch:
    return "batch";
  case item_kind::proposal:
    return "proposal";
  case item_kind::notarize:
    return "notarize";
  case item_kind::nullify:
    return "nullify";
  case item_kind::finalize:
    return "finalize";
  case item_kind::attestation:
    return "attestation";
  case item_kind::erasure:
    return "erasure";
  }
  return "unknown";
}

bytes signing_bytes(const signing_domain& domain, item_kind kind, node_index signer,
                    std::uint64_t position, const digest& what) {
  static constexpr std::string_view tag = "tallymesh";
  bytes out;
  out.reserve(tag.size() + 32 + 4 + 1 + 2 + 8 + 32);
  const auto integer = [&out](std::uint64_t x, int size) {
    for (int i = 0; i < size; ++i)
      out.push_back(static_cast<std::uint8_t>(x >> 8 * i));
  };
  out.insert(out.end(), tag.begin(), tag.end());
  out.insert(out.end(), domain.chain.raw.begin(), domain.chain.raw.end());
  integer(domain.epoch, 4);
  integer(static_cast<std::uint64_t>(kind), 1);
  integer(signer, 2);
  integer(position, 8);
  out.insert(out.end(), what.raw.begin(), what.raw.end());
  return out;
}

signed_item credentials::make(item_kind kind, std::uint64_t position,
                              const digest& what) const {
  return {kind, self, position, what, sign(signing_bytes(domain, kind, self, position, what))};
}

bool credentials::check(const signed_item& x) const {
  return verify(x.signer, signing_bytes(domain, x.kind, x.signer, x.position, x.what),
                x.signed_by);
}

credentials ed25519_credentials(node_index self, signing_domain domain, signing_key key,
                                std::vector<public_key> nodes) {
  return {self, domain, [key](bytes_view message) { return key.sign(message); },
          [nodes = std::move(nodes)](node_index signer, bytes_view message,
                                     const signature& signed_by) {
            return signer < nodes.size() && verify(nodes[signer], message, signed_by);
          }};
}

bool contradicts(const signed_item& a, const signed_item& b) {
  if (a.signer != b.signer || a.position != b.position) return false;
  const auto pair_of = [&](item_kind x, item_kind y) {
    return (a.kind == x && b.kind == y) || (a.kind == y && b.kind == x);
  };
  if (pair_of(item_kind::nullify, item_kind::finalize)) return true;
  if (a.what == b.what) return false;
  return (a.kind == b.kind && a.kind != item_kind::nullify && a.kind != item_kind::attestation
          && a.kind != item_kind::erasure)
         || pair_of(item_kind::notarize, item_kind::finalize);
}

validator_set validator_set::make(const digest& chain, std::uint32_t epoch,
                                  std::uint16_t size) {
  TALLYMESH_INVARIANT(size >= 1 && size <= limits::max_nodes);
  validator_set nodes{epoch, size, std::vector<node_index>(size)};
  std::iota(nodes.permutation.begin(), nodes.permutation.end(), node_index{0});
  // Every node computes the same order: each index is ranked by its hash with chain and epoch.
  const auto rank = [&](node_index i) {
    const std::uint8_t part[] = {
        static_cast<std::uint8_t>(epoch),       static_cast<std::uint8_t>(epoch >> 8),
        static_cast<std::uint8_t>(epoch >> 16), static_cast<std::uint8_t>(epoch >> 24),
        static_cast<std::uint8_t>(i),           static_cast<std::uint8_t>(i >> 8)};
    return hash(digest_kind::genesis, {chain.raw, part});
  };
  std::sort(nodes.permutation.begin(), nodes.permutation.end(),
            [&](node_index a, node_index b) { return rank(a) < rank(b); });
  return nodes;
}

result<void> verify(const certificate& x, const validator_set& nodes, const credentials& keys) {
  const bool null = x.kind == item_kind::nullify;
  if (x.kind != item_kind::notarize && !null && x.kind != item_kind::finalize)
    return make_error(errc::malformed, "a certificate of a kind that is never certified");
  if (null != x.block.is_zero())
    return make_error(errc::malformed, "a certificate whose digest does not fit its kind");
  if (x.votes.size() < nodes.quorum() || x.votes.size() > nodes.size)
    return make_error(errc::malformed, "a certificate without a quorum of votes");
  for (std::size_t i = 0; i < x.votes.size(); ++i) {
    if (x.votes[i].first >= nodes.size || (i > 0 && x.votes[i].first <= x.votes[i - 1].first))
      return make_error(errc::malformed,
                        "a certificate whose signers are not distinct nodes in order");
    if (!keys.check({x.kind, x.votes[i].first, x.view, x.block, x.votes[i].second}))
      return make_error(errc::bad_signature,
                        "a certificate with a vote that its signer did not sign");
  }
  return {};
}

std::string_view to_string(outcome x) {
  switch (x) {
  case outcome::done:
    return "done";
  case outcome::malformed_arguments:
    return "malformed_arguments";
  case outcome::unknown_contract:
    return "unknown_contract";
  case outcome::unknown_action:
    return "unknown_action";
  case outcome::unknown_table:
    return "unknown_table";
  case outcome::unknown_account:
    return "unknown_account";
  case outcome::forbidden:
    return "forbidden";
  case outcome::expired:
    return "expired";
  case outcome::unknown_field:
    return "unknown_field";
  case outcome::missing_field:
    return "missing_field";
  case outcome::wrong_type:
    return "wrong_type";
  case outcome::out_of_range:
    return "out_of_range";
  case outcome::not_found:
    return "not_found";
  case outcome::unsigned_operation:
    return "unsigned_operation";
  case outcome::key_too_long:
    return "key_too_long";
  case outcome::no_change:
    return "no_change";
  case outcome::too_large:
    return "too_large";
  case outcome::block_full:
    return "block_full";
  case outcome::refused_by_contract:
    return "refused_by_contract";
  case outcome::out_of_gas:
    return "out_of_gas";
  case outcome::out_of_memory:
    return "out_of_memory";
  case outcome::contract_error:
    return "contract_error";
  case outcome::too_deep:
    return "too_deep";
  case outcome::not_unique:
    return "not_unique";
  case outcome::missing_reference:
    return "missing_reference";
  case outcome::referenced:
    return "referenced";
  case outcome::check_failed:
    return "check_failed";
  case outcome::limit_exceeded:
    return "limit_exceeded";
  case outcome::settled:
    return "settled";
  case outcome::period_closed:
    return "period_closed";
  case outcome::wrong_state:
    return "wrong_state";
  case outcome::frozen:
    return "frozen";
  }
  return "unknown";
}

std::string_view describe(outcome x) {
  switch (x) {
  case outcome::done:
    return "executed; the change is in the tables";
  case outcome::malformed_arguments:
    return "the arguments are not what this action takes";
  case outcome::unknown_contract:
    return "the mesh has no contract of this name";
  case outcome::unknown_action:
    return "the contract has no action of this name";
  case outcome::unknown_table:
    return "the contract has no table of this name";
  case outcome::unknown_account:
    return "the author is not an account of the node that sent this";
  case outcome::forbidden:
    return "the contract does not give the author this right";
  case outcome::expired:
    return "it was ordered after its last valid time; send it again with a new id";
  case outcome::unknown_field:
    return "the table has no field of this name";
  case outcome::missing_field:
    return "the row lacks a field that the table requires";
  case outcome::wrong_type:
    return "a value is not of the type that the field declares";
  case outcome::out_of_range:
    return "a value is outside the limits that the field declares";
  case outcome::not_found:
    return "there is no row with this key";
  case outcome::unsigned_operation:
    return "the contract asks for the author's signature";
  case outcome::key_too_long:
    return "a key is too long when encoded: of a row at most 255 bytes, of an index 253";
  case outcome::no_change:
    return "the row already was exactly this";
  case outcome::too_large:
    return "the row would be longer than 256 KiB";
  case outcome::block_full:
    return "its block changes too much already; send it again with a new id";
  case outcome::refused_by_contract:
    return "the contract requires something that is not so";
  case outcome::out_of_gas:
    return "its work costs more than an operation may; do it in several";
  case outcome::out_of_memory:
    return "the action takes more memory than it may";
  case outcome::contract_error:
    return "the action failed; whoever wrote the contract must mend it";
  case outcome::too_deep:
    return "contracts called each other deeper than they may";
  case outcome::not_unique:
    return "another row has these values already";
  case outcome::missing_reference:
    return "the row that it refers to is not there";
  case outcome::referenced:
    return "other rows refer to it; take those away first";
  case outcome::check_failed:
    return "the table's check does not accept the row";
  case outcome::limit_exceeded:
    return "a node would owe more than its credit limit";
  case outcome::settled:
    return "the row is settled; dispute its entry before changing it";
  case outcome::period_closed:
    return "the settlement period is closed, or none is open";
  case outcome::wrong_state:
    return "what it is about is not in a state that allows it";
  case outcome::frozen:
    return "the contract is frozen by the mesh; its tables can be read";
  }
  return "unknown";
}

} // namespace tallymesh
