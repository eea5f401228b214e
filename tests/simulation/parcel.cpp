#include "tests/simulation/parcel.hpp"

#include "tests/simulation/random.hpp"

namespace tallymesh::simulation {

namespace {

struct folder {
  std::uint64_t sum = 0;
  void operator()(std::uint64_t x) { sum = mix(sum ^ x); }
  void operator()(const digest& x) { (*this)(digest_hash{}(x)); }
  void operator()(const lane_tip& x) {
    (*this)(std::uint64_t{x.lane} << 48 ^ x.seq);
    (*this)(x.batch);
  }
  void operator()(const vote& x) {
    (*this)(std::uint64_t{x.signer} << 8 | static_cast<std::uint64_t>(x.kind));
    (*this)(x.position);
    (*this)(x.what);
    (*this)(x.signed_by);
  }
  void operator()(const signature& x) {
    std::uint64_t word;
    std::memcpy(&word, x.raw.data(), sizeof word);
    (*this)(word);
  }
  void operator()(const certificate& x) {
    (*this)(static_cast<std::uint64_t>(x.kind));
    (*this)(x.view);
    (*this)(x.block);
    for (const auto& [signer, signed_by] : x.votes)
      (*this)(signer), (*this)(signed_by);
  }
  void operator()(const batch_ptr& x) { (*this)(x->id), (*this)(x->signed_by); }
  void operator()(const block_ptr& x) {
    (*this)(x->id), (*this)(x->leader), (*this)(x->signed_by);
  }
  template <class T>
  void operator()(const std::vector<T>& x) {
    (*this)(x.size());
    for (const auto& each : x)
      (*this)(each);
  }
  void operator()(const batch_message& x) { (*this)(x.batch); }
  void operator()(const have_message& x) { (*this)(x.tips); }
  void operator()(const fetch_batches& x) { (*this)(x.tip), (*this)(x.after_seq); }
  void operator()(const fetched_batches& x) { (*this)(x.batches); }
  void operator()(const proposal& x) { (*this)(x.block), (*this)(x.justification); }
  void operator()(const status& x) {
    (*this)(x.frontier), (*this)(x.finalized_view), (*this)(x.finalized_height);
    (*this)(static_cast<std::uint64_t>(x.pending));
  }
  void operator()(const fetch_block& x) { (*this)(x.block); }
  void operator()(const fetched_block& x) { (*this)(x.block); }
  void operator()(const fetch_range& x) { (*this)(x.from); }
  void operator()(const fetched_range& x) { (*this)(x.blocks), (*this)(x.finalization); }
  void operator()(const attestation& x) { (*this)(x.item); }
  void operator()(const fetch_execution& x) { (*this)(x.height), (*this)(x.offset); }
  void operator()(const fetched_execution& x) {
    (*this)(x.height), (*this)(x.execution), (*this)(x.total_bytes), (*this)(x.offset);
    (*this)(static_cast<std::uint64_t>(x.erased));
    (*this)(hash(digest_kind::execution, x.part));
  }
  void operator()(const fork_evidence& x) { (*this)(x.what.first), (*this)(x.what.second); }
};

std::string number(std::uint64_t x) { return std::to_string(x); }
std::string brief(const digest& x) { return x.hex().substr(0, 6); }

struct describer {
  std::string operator()(const batch_message& x) const { return describe(x.batch->tip()); }
  std::string operator()(const have_message& x) const { return describe(x.tips); }
  std::string operator()(const fetch_batches& x) const {
    return describe(x.tip) + " after " + number(x.after_seq);
  }
  std::string operator()(const fetched_batches& x) const {
    std::string text;
    for (const auto& each : x.batches)
      text += describe(each->tip()) + " ";
    return text;
  }
  std::string operator()(const proposal& x) const {
    auto text = describe(x.block->content) + " " + brief(x.block->id) + " by n"
                + number(x.block->leader);
    for (const auto& each : x.justification)
      text += " + " + describe(each);
    return text;
  }
  std::string operator()(const vote& x) const { return describe(x); }
  std::string operator()(const certificate& x) const { return describe(x); }
  std::string operator()(const status& x) const {
    return "frontier v" + number(x.frontier) + " final v" + number(x.finalized_view) + " h"
           + number(x.finalized_height) + (x.pending ? " pending" : "");
  }
  std::string operator()(const fetch_block& x) const { return brief(x.block); }
  std::string operator()(const fetched_block& x) const {
    return describe(x.block->content) + " " + brief(x.block->id);
  }
  std::string operator()(const fetch_range& x) const { return "from h" + number(x.from); }
  std::string operator()(const fetched_range& x) const {
    std::string text;
    for (const auto& each : x.blocks)
      text += "h" + number(each->content.height) + " ";
    return text + describe(x.finalization);
  }
  std::string operator()(const attestation& x) const {
    return "h" + number(x.item.position) + " " + brief(x.item.what) + " by n"
           + number(x.item.signer);
  }
  std::string operator()(const fetch_execution& x) const {
    return "h" + number(x.height) + " from byte " + number(x.offset);
  }
  std::string operator()(const fetched_execution& x) const {
    return "h" + number(x.height) + " " + number(x.part.size()) + " bytes from "
           + number(x.offset) + " of " + number(x.total_bytes);
  }
  std::string operator()(const fork_evidence& x) const {
    return describe(x.what.first) + " against " + describe(x.what.second);
  }
};

} // namespace

std::uint64_t fingerprint(const wire_message& x) {
  folder fold{mix(x.index())};
  std::visit(fold, x);
  // std::visit takes the visitor by reference, so the sum is the visited one's.
  return fold.sum;
}

parcel_ptr make_parcel(wire_message content) {
  const auto sum = fingerprint(content);
  return std::make_shared<const parcel>(parcel{std::move(content), sum});
}

std::string describe(const lane_tip& x) {
  return number(x.lane) + "/" + number(x.seq) + ":" + brief(x.batch);
}

std::string describe(const std::vector<lane_tip>& x) {
  std::string text = "{";
  for (const auto& each : x)
    if (each.seq != 0) text += (text.size() > 1 ? " " : "") + describe(each);
  return text + "}";
}

std::string describe(const block& x) {
  return "v" + number(x.view) + " h" + number(x.height) + " on v" + number(x.parent_view) + " "
         + brief(x.parent) + " cut " + describe(x.cut) + " executed h"
         + number(x.executed.height) + " " + brief(x.executed.execution);
}

std::string describe(const certificate& x) {
  std::string text = (x.kind == item_kind::nullify    ? "nullification v"
                      : x.kind == item_kind::finalize ? "finalization v"
                      : x.kind == item_kind::notarize ? "notarization v"
                                                      : "certificate of a wrong kind v")
                     + number(x.view);
  if (!x.block.is_zero()) text += " " + brief(x.block);
  text += " by";
  for (const auto& each : x.votes)
    text += " n" + number(each.first);
  return text;
}

std::string describe(const vote& x) {
  return std::string(to_string(x.kind)) + " v" + number(x.position)
         + (x.what.is_zero() ? "" : " " + brief(x.what)) + " by n" + number(x.signer);
}

std::string describe(const wire_message& x) {
  const auto* ballot = std::get_if<vote>(&x);
  const auto* certified = std::get_if<certificate>(&x);
  // A vote and a certificate name themselves.
  if (ballot || certified) return std::visit(describer{}, x);
  return std::string(name_of(x)) + " " + std::visit(describer{}, x);
}

} // namespace tallymesh::simulation
