// What a person who looks into consensus sees: machine::describe. Apart from the rules, which
// it only reads.
#include "actors/consensus/machine.hpp"
#include "messages/introspection.hpp"

namespace tallymesh::consensus {

namespace {

constexpr std::size_t most_views = 16;

using introspection::number;

value_list signers(const std::map<node_index, vote>& votes) {
  value_list out;
  for (const auto& [signer, each] : votes)
    out.push_back(number(signer));
  return out;
}

} // namespace

value_map machine::describe(std::int64_t now_ms) const {
  value_map out;
  const auto seen = look();
  put(out, "view", number(seen.frontier));
  put(out, "leader", number(seen.leader));
  put(out, "finalized_view", number(seen.finalized_view));
  put(out, "finalized_height", number(seen.finalized_height));
  put(out, "executed_height", number(seen.executed_height));
  put(out, "attested_height", number(seen.attested_height));
  put(out, "pending", seen.pending);
  put(out, "observing", seen.observing);
  put(out, "halted", seen.halted);
  put(out, "catching_up", seen.catching_up);
  put(out, "views_given_up", number(seen.views_given_up));
  put(out, "waiting_for", seen.waiting_for);
  put(out, "blocks_held", number(seen.blocks_held));
  put(out, "quorum", number(settings_.nodes.quorum()));
  put(out, "nodes", number(settings_.nodes.size));
  put(out, "self", number(self()));
  put(out, "in_view_ms", number(now_ms - entered_ms_));
  if (work_since_ms_) {
    put(out, "work_for_ms", number(now_ms - *work_since_ms_));
    put(out, "nullify_in_ms", number(nullify_deadline() - now_ms));
  }
  put(out, "execution", executions_.empty() ? "" : executions_.rbegin()->second.hex());
  put(out, "views", describe_views());
  put(out, "peers", describe_peers(now_ms));
  return out;
}

/// The last ones; of a view only what was said.
value_list machine::describe_views() const {
  value_list out;
  auto at = views_.end();
  while (at != views_.begin() && out.size() < most_views) {
    --at;
    const auto& [view, said] = *at;
    value_map each;
    put(each, "view", number(view));
    put(each, "leader", number(settings_.nodes.leader(view)));
    put(each, "proposal", said.proposal ? said.proposal->id.short_hex() : "");
    if (said.proposal) put(each, "height", number(said.proposal->content.height));
    put(each, "notarize", signers(said.notarize));
    put(each, "nullify", signers(said.nullify));
    put(each, "finalize", signers(said.finalize));
    put(each, "notarized", said.notarization.has_value());
    put(each, "nullified", said.nullification.has_value());
    put(each, "finalized", said.finalization.has_value());
    out.emplace_back(std::move(each));
  }
  return out;
}

value_list machine::describe_peers(std::int64_t now_ms) const {
  value_list out;
  for (node_index i = 0; i < peers_.size(); ++i) {
    if (i == self()) continue;
    const auto& peer = peers_[i];
    value_map each;
    put(each, "node", number(i));
    put(each, "up", peer.up);
    put(each, "heard_ms", peer.heard_ms > 0 ? number(now_ms - peer.heard_ms) : value());
    put(each, "view", number(peer.last.frontier));
    put(each, "finalized_view", number(peer.last.finalized_view));
    put(each, "finalized_height", number(peer.last.finalized_height));
    put(each, "pending", peer.last.pending);
    put(each, "attested_height", number(peer.attested));
    put(each, "bad_signatures", number(peer.bad_signatures));
    if (peer.differing) put(each, "differs_at", number(peer.differing->first));
    out.emplace_back(std::move(each));
  }
  return out;
}

} // namespace tallymesh::consensus
