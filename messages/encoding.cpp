// The one place where the types of this folder meet the archives of encoding_archive.hpp.
#include "messages/receipt.hpp"
#include "messages/wire.hpp"

#include "messages/encoding_archive.hpp"

namespace tallymesh {

template <>
constexpr std::size_t most_encoded_bytes<operation> = limits::max_operation_bytes;
/// A body's length, and the signature.
template <>
std::size_t least_encoded_bytes<batch_ptr>() {
  return 4 + 64;
}
/// The same and the leader.
template <>
std::size_t least_encoded_bytes<block_ptr>() {
  return 4 + 2 + 64;
}

// A sealed thing travels as its exact bytes and the signature; opening it checks form and
// limits.

static void save(encoding_writer& out, const batch_ptr& x) { out(x->body, x->signed_by); }
static void load(encoding_reader& in, batch_ptr& x) {
  bytes body;
  signature signed_by;
  in(body, signed_by);
  auto opened = open_batch(std::move(body), signed_by);
  if (!opened) throw malformed_bytes{opened.error()};
  x = std::move(*opened);
}

static void save(encoding_writer& out, const block_ptr& x) {
  out(x->body, x->leader, x->signed_by);
}
static void load(encoding_reader& in, block_ptr& x) {
  bytes body;
  node_index leader = 0;
  signature signed_by;
  in(body, leader, signed_by);
  auto opened = open_block(std::move(body), leader, signed_by);
  if (!opened) throw malformed_bytes{opened.error()};
  x = std::move(*opened);
}

static digest digest_of(digest_kind kind, const bytes& body) {
  return hash(kind, bytes_view(body));
}

std::optional<operation_id> operation_id::from_hex(std::string_view text) {
  const auto raw = tallymesh::from_hex(text);
  operation_id id;
  if (!raw || raw->size() != id.raw.size()) return std::nullopt;
  std::copy(raw->begin(), raw->end(), id.raw.begin());
  return id;
}

digest author_signing_digest(const digest& chain, const operation& what) {
  auto bare = what;
  bare.author_signature.reset();
  return hash(digest_kind::operation, {chain.raw, encode(bare)});
}

batch_ptr seal(const credentials& signer, batch content) {
  auto body = encode(content);
  const auto id = digest_of(digest_kind::batch, body);
  const auto signed_by = signer.make(item_kind::batch, content.seq, id).signed_by;
  return std::make_shared<const sealed_batch>(
      sealed_batch{std::move(content), std::move(body), id, signed_by});
}

result<batch_ptr> open_batch(bytes body, const signature& signed_by) {
  if (body.size() > limits::max_batch_bytes)
    return make_error(errc::too_large, "a batch of more than 2 MiB");
  auto content = decode<batch>(body);
  if (!content) return content.error();
  if (content->lane >= limits::max_nodes || content->seq == 0
      || (content->seq == 1) != content->parent.is_zero())
    return make_error(errc::malformed, "a batch whose place in its lane is impossible");
  if (content->operations.empty() || content->operations.size() > limits::max_batch_operations)
    return make_error(errc::too_large, "a batch without operations or with more than 16384");
  const auto id = digest_of(digest_kind::batch, body);
  return std::make_shared<const sealed_batch>(
      sealed_batch{std::move(*content), std::move(body), id, signed_by});
}

block_ptr seal(const credentials& leader, block content) {
  auto body = encode(content);
  const auto id = digest_of(digest_kind::block, body);
  const auto signed_by = leader.make(item_kind::proposal, content.view, id).signed_by;
  return std::make_shared<const sealed_block>(
      sealed_block{std::move(content), std::move(body), id, leader.self, signed_by});
}

result<block_ptr> open_block(bytes body, node_index leader, const signature& signed_by) {
  if (body.size() > limits::max_block_bytes)
    return make_error(errc::too_large, "a block of more than 64 KiB");
  auto content = decode<block>(body);
  if (!content) return content.error();
  if (content->view == 0 || content->height == 0 || content->parent_view >= content->view)
    return make_error(errc::malformed, "a block whose view or height is impossible");
  if (content->cut.size() > limits::max_nodes
      || content->contradictions.size() > limits::max_block_evidence)
    return make_error(errc::too_large, "a block with too many lanes or too much evidence");
  for (std::size_t i = 0; i < content->cut.size(); ++i)
    if (content->cut[i].seq == 0 || content->cut[i].lane >= limits::max_nodes
        || (i > 0 && content->cut[i].lane <= content->cut[i - 1].lane))
      return make_error(errc::malformed, "a block whose cut is not one tip a lane in order");
  const auto id = digest_of(digest_kind::block, body);
  return std::make_shared<const sealed_block>(
      sealed_block{std::move(*content), std::move(body), id, leader, signed_by});
}

block_ptr genesis_block(const signing_domain& domain) {
  sealed_block first;
  first.content.epoch = domain.epoch;
  first.content.executed.execution = genesis_execution(domain.chain);
  first.body = encode(first.content);
  // Named by the chain, so that blocks of two meshes never link.
  first.id = hash(digest_kind::block, {domain.chain.raw, first.body});
  return std::make_shared<const sealed_block>(std::move(first));
}

digest execution_digest(bytes_view encoded_execution) {
  return hash(digest_kind::execution, encoded_execution);
}

digest genesis_execution(const digest& chain) {
  return hash(digest_kind::execution, {chain.raw});
}

std::string_view name_of(const wire_message& x) {
  return name_of_kind(static_cast<std::uint8_t>(x.index()));
}

std::string_view name_of_kind(std::uint8_t kind) {
  static constexpr std::string_view names[] = {
      "batch",       "have",          "fetch_batches", "fetched_batches", "proposal",
      "vote",        "certificate",   "status",        "fetch_block",     "fetched_block",
      "fetch_range", "fetched_range", "attestation"};
  static_assert(std::size(names) == std::variant_size_v<wire_message>);
  return kind < std::size(names) ? names[kind] : "unknown";
}

// Form only: whether signers, views and digests are right is for the machines to say.

static result<void> check_form(const certificate& x) {
  if (x.votes.size() > limits::max_nodes)
    return make_error(errc::too_large, "a certificate of more votes than a mesh has nodes");
  return {};
}
static result<void> check_form(const vote& x) {
  const bool null = x.kind == item_kind::nullify;
  if (!null && x.kind != item_kind::notarize && x.kind != item_kind::finalize)
    return make_error(errc::malformed, "a vote of a kind that is no vote");
  if (null != x.what.is_zero())
    return make_error(errc::malformed, "a vote whose digest does not fit its kind");
  return {};
}
static result<void> check_form(const have_message& x) {
  if (x.tips.size() > limits::max_nodes)
    return make_error(errc::too_large, "more tips than a mesh has lanes");
  return {};
}
static result<void> check_form(const proposal& x) {
  if (x.justification.size() > limits::max_justification)
    return make_error(errc::too_large, "a proposal with more than 65 certificates");
  for (const auto& each : x.justification)
    if (auto form = check_form(each); !form) return form;
  return {};
}
static result<void> check_form(const fetched_range& x) { return check_form(x.finalization); }
static result<void> check_form(const attestation& x) {
  if (x.item.kind != item_kind::attestation)
    return make_error(errc::malformed, "an attestation of another kind");
  return {};
}
template <class T>
static result<void> check_form(const T&) {
  return {};
}

bytes make_frame(const wire_message& x) { return encode(x); }

result<wire_message> open_frame(bytes_view frame) {
  if (frame.size() > limits::max_frame_bytes)
    return make_error(errc::too_large, "a frame of more than 8 MiB");
  auto message = decode<wire_message>(frame);
  if (!message) return message;
  const auto form = std::visit([](const auto& each) { return check_form(each); }, *message);
  if (!form) return form.error();
  return message;
}

TALLYMESH_ENCODING(value);
TALLYMESH_ENCODING(value_map);
TALLYMESH_ENCODING(operation);
TALLYMESH_ENCODING(batch);
TALLYMESH_ENCODING(block);
TALLYMESH_ENCODING(signed_item);
TALLYMESH_ENCODING(evidence);
TALLYMESH_ENCODING(certificate);
TALLYMESH_ENCODING(receipt);
TALLYMESH_ENCODING(change);
TALLYMESH_ENCODING(execution);
TALLYMESH_ENCODING(wire_message);

} // namespace tallymesh
