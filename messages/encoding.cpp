// The one place where the types of this folder meet the archives of encoding_archive.hpp.
#include "messages/erasure.hpp"
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

/// The encodings one after the other.
template <class... Ts>
static bytes encode_all(const Ts&... parts) {
  bytes out;
  encoding_writer writer(out);
  writer(parts...);
  return out;
}

/// Of an operation's encoding that stands before the flag of its arguments.
static std::size_t head_bytes(const operation& x) {
  return x.id.raw.size() + 4 + x.contract.size() + 4 + x.action.size() + 4 + x.author.size() + 8
         + 1 + (x.author_signature ? x.author_signature->raw.size() : 0);
}

static erased_arguments without_content(bytes_view encoded_arguments) {
  return {static_cast<std::uint32_t>(encoded_arguments.size()),
          hash(digest_kind::arguments, encoded_arguments)};
}

/// What stands for the arguments in every digest, whether they are there or not.
static erased_arguments arguments_of(const operation& x) {
  return x.erased ? *x.erased : without_content(encode(x.arguments));
}

digest author_signing_digest(const digest& chain, const operation& what) {
  return hash(digest_kind::author, {chain.raw,
                                    encode_all(what.id, what.contract, what.action, what.author,
                                               what.valid_until_ms),
                                    encode_all(arguments_of(what))});
}

static digest operation_digest(bytes_view head, const erased_arguments& arguments) {
  return hash(digest_kind::operation, {head, encode_all(arguments)});
}

digest operation_digest(const operation& what) {
  const auto encoded = encode(what);
  return operation_digest(bytes_view(encoded).first(head_bytes(what)), arguments_of(what));
}

namespace {

constexpr std::size_t batch_header_bytes = 4 + 2 + 8 + 32;
constexpr std::size_t least_arguments_bytes = 4;       ///< an empty map
constexpr std::size_t erased_arguments_bytes = 4 + 32; ///< what stands in their place
/// An operation grows by this when short arguments are erased.
constexpr std::size_t most_growth_bytes = erased_arguments_bytes - least_arguments_bytes;

/// What opening a batch learns of its operations, from the bytes that travelled.
class operation_walk {
public:
  explicit operation_walk(std::size_t count) { digests_.reserve(count * sizeof(digest)); }

  /// `encoded` is where `x` was read from.
  void add(const operation& x, bytes_view encoded) {
    const auto head = encoded.first(head_bytes(x));
    const auto arguments =
        x.erased ? *x.erased : without_content(encoded.subspan(head.size() + 1));
    if (arguments.size_bytes < least_arguments_bytes)
      throw malformed_bytes{"erased arguments shorter than any"};
    const auto full = head.size() + 1 + arguments.size_bytes;
    if (full > limits::max_operation_bytes)
      throw malformed_bytes{make_error(errc::too_large, "an operation is over its limit")};
    full_bytes_ += full;
    erased_ += x.erased ? 1 : 0;
    const auto sum = operation_digest(head, arguments);
    digests_.insert(digests_.end(), sum.raw.begin(), sum.raw.end());
  }

  std::uint32_t erased() const { return erased_; }
  std::size_t full_bytes() const { return batch_header_bytes + 4 + full_bytes_; }
  digest id(bytes_view header) const { return hash(digest_kind::batch, {header, digests_}); }

private:
  bytes digests_;
  std::size_t full_bytes_ = 0;
  std::uint32_t erased_ = 0;
};

sealed_batch read_batch(bytes body) {
  sealed_batch x;
  encoding_reader in(body);
  in(x.content.epoch, x.content.lane, x.content.seq, x.content.parent);
  auto& operations = x.content.operations;
  operation_walk walk(body.size() / least_encoded_bytes<operation>());
  auto from = body.size() - in.left() + 4; // behind the number of operations
  load_elements(in, operations, [&] {
    const auto to = body.size() - in.left();
    walk.add(operations.back(), bytes_view(body).subspan(from, to - from));
    from = to;
  });
  if (in.left() != 0) throw malformed_bytes{"trailing bytes"};
  x.id = walk.id(bytes_view(body).first(batch_header_bytes));
  x.erased = walk.erased();
  x.full_bytes = walk.full_bytes();
  x.body = std::move(body);
  return x;
}

/// Appends operations to a body one by one, so that where each stands is known.
sealed_batch write_batch(batch content) {
  sealed_batch x;
  encoding_writer out(x.body);
  out(content.epoch, content.lane, content.seq, content.parent);
  out.length(content.operations.size());
  operation_walk walk(content.operations.size());
  for (const auto& each : content.operations) {
    const auto from = x.body.size();
    out(each);
    walk.add(each, bytes_view(x.body).subspan(from));
  }
  x.id = walk.id(bytes_view(x.body).first(batch_header_bytes));
  x.erased = walk.erased();
  x.full_bytes = walk.full_bytes();
  x.content = std::move(content);
  return x;
}

} // namespace

batch_ptr seal(const credentials& signer, batch content) {
  auto x = write_batch(std::move(content));
  x.signed_by = signer.make(item_kind::batch, x.content.seq, x.id).signed_by;
  return std::make_shared<const sealed_batch>(std::move(x));
}

result<batch_ptr> open_batch(bytes body, const signature& signed_by) {
  constexpr auto most_body_bytes =
      limits::max_batch_bytes + limits::max_batch_operations * most_growth_bytes;
  if (body.size() > most_body_bytes)
    return make_error(errc::too_large, "a batch of more than 2 MiB");
  sealed_batch x;
  try {
    x = read_batch(std::move(body));
  } catch (malformed_bytes& refused) {
    return std::move(refused.why);
  }
  const auto& content = x.content;
  if (content.lane >= limits::max_nodes || content.seq == 0
      || (content.seq == 1) != content.parent.is_zero())
    return make_error(errc::malformed, "a batch whose place in its lane is impossible");
  if (x.full_bytes > limits::max_batch_bytes)
    return make_error(errc::too_large, "a batch of more than 2 MiB");
  if (content.operations.empty() || content.operations.size() > limits::max_batch_operations)
    return make_error(errc::too_large, "a batch without operations or with more than 16384");
  x.signed_by = signed_by;
  return std::make_shared<const sealed_batch>(std::move(x));
}

batch_ptr erase_arguments(const sealed_batch& from, std::span<const std::uint32_t> places) {
  auto content = from.content;
  for (const auto place : places) {
    TALLYMESH_INVARIANT(place < content.operations.size());
    auto& what = content.operations[place];
    what.erased = arguments_of(what);
    what.arguments = {};
  }
  auto x = write_batch(std::move(content));
  // The encoding is canonical: what was not erased has the bytes that travelled.
  TALLYMESH_INVARIANT(x.id == from.id);
  x.signed_by = from.signed_by;
  return std::make_shared<const sealed_batch>(std::move(x));
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

digest row_digest(bytes_view row) { return hash(digest_kind::row, row); }

/// 0 if there was no row; otherwise 1 and its digest.
static bytes form_of(const std::optional<shared_bytes>& row,
                     const std::optional<digest>& erased) {
  if (!row && !erased) return {0};
  bytes form{1};
  const auto sum = erased ? *erased : row_digest(*row);
  form.insert(form.end(), sum.raw.begin(), sum.raw.end());
  return form;
}

digest change_digest(const change& x) {
  return hash(digest_kind::change,
              {encode_all(x.table, x.key, x.position, x.previous),
               form_of(x.before, x.before_erased), form_of(x.after, x.after_erased)});
}

bool erase_rows(change& x) {
  const bool something = x.before || x.after;
  if (x.before) x.before_erased = row_digest(*x.before);
  if (x.after) x.after_erased = row_digest(*x.after);
  x.before.reset();
  x.after.reset();
  return something;
}

static digest events_digest(const std::vector<event>& events) {
  return hash(digest_kind::event, encode_all(events));
}

bool erase_events(receipt& x) {
  if (x.events.empty()) return false;
  x.events_erased = events_digest(x.events);
  x.events.clear();
  return true;
}

std::uint32_t erased_parts(const execution& x) {
  std::uint32_t found = 0;
  for (const auto& each : x.receipts)
    found += each.events_erased.has_value();
  for (const auto& each : x.changes)
    found += each.before_erased.has_value() + each.after_erased.has_value();
  return found;
}

/// As it is encoded, with the digest of the events for themselves.
static void cover(encoding_writer& out, const receipt& x) {
  out(x.id, x.height, x.position, x.lane, x.seq, static_cast<std::uint8_t>(x.result), x.detail,
      x.changes, x.gas, x.effects);
  const bool told = x.events_erased || !x.events.empty();
  out(told);
  if (told) out(x.events_erased ? *x.events_erased : events_digest(x.events));
}

digest execution_digest(const execution& x) {
  bytes receipts, changes;
  encoding_writer covered(receipts);
  for (const auto& each : x.receipts)
    cover(covered, each);
  changes.reserve(x.changes.size() * sizeof(digest));
  for (const auto& each : x.changes) {
    const auto sum = change_digest(each);
    changes.insert(changes.end(), sum.raw.begin(), sum.raw.end());
  }
  return hash(digest_kind::execution,
              {encode_all(x.height, x.block, x.time_ms, x.previous), receipts, changes});
}

digest erasure_digest(const erasure& x) { return hash(digest_kind::erasure, encode(x)); }

signed_item attest(const credentials& signer, const erasure& x) {
  return signer.make(item_kind::erasure, x.height, erasure_digest(x));
}

result<std::vector<node_index>> check(const erasure_certificate& x, const credentials& keys) {
  if (signing_domain{x.chain, x.epoch} != keys.domain)
    return make_error(errc::conflict, "the certificate is of another mesh: its chain is "
                                          + x.chain.short_hex() + ", genesis says "
                                          + keys.domain.chain.short_hex());
  const auto what = erasure_digest(x.what);
  std::vector<node_index> good;
  for (const auto& [node, signed_by] : x.nodes) {
    if (!good.empty() && node <= good.back())
      return make_error(errc::malformed, "the certificate's nodes are not in order");
    if (!keys.check({item_kind::erasure, node, x.what.height, what, signed_by}))
      return make_error(errc::bad_signature, "the signature of node " + std::to_string(node)
                                                 + " is not of this erasure");
    good.push_back(node);
  }
  return good;
}

digest genesis_execution(const digest& chain) {
  return hash(digest_kind::execution, {chain.raw});
}

std::string_view name_of(const wire_message& x) {
  return name_of_kind(static_cast<std::uint8_t>(x.index()));
}

std::string_view name_of_kind(std::uint8_t kind) {
  static constexpr std::string_view names[] = {
      "batch",        "have",          "fetch_batches", "fetched_batches", "proposal",
      "vote",         "certificate",   "status",        "fetch_block",     "fetched_block",
      "fetch_range",  "fetched_range", "attestation",   "fetch_execution", "fetched_execution",
      "fork_evidence"};
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
static result<void> check_form(const fetched_execution& x) {
  if (x.total_bytes > limits::max_execution_bytes
      || x.part.size() > limits::max_execution_part_bytes)
    return make_error(errc::too_large,
                      "an execution over 192 MiB, or a part of one over 1 MiB");
  if (x.offset > x.total_bytes || x.part.size() > x.total_bytes - x.offset)
    return make_error(errc::malformed, "a part of an execution that lies beyond its end");
  return {};
}
static result<void> check_form(const fork_evidence& x) {
  if (x.what.first.kind != item_kind::batch || x.what.second.kind != item_kind::batch)
    return make_error(errc::malformed, "evidence of a fork that is not of batches");
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
TALLYMESH_ENCODING(erasure);
TALLYMESH_ENCODING(erasure_certificate);
TALLYMESH_ENCODING(wire_message);

} // namespace tallymesh
