// What an adversary makes that is not genuine: answers whose blocks, batches or certificates
// are nobody's, proposals that nobody may vote for, a lane that never ends. Part of an
// adversary; none of it is among what an ordinary seed draws.
#include "tests/simulation/adversary.hpp"

#include <algorithm>

namespace tallymesh::simulation {

namespace {

constexpr std::uint64_t most_known_tips = 600; ///< of one lane, that are looked at
constexpr std::size_t most_phantoms = 20;
constexpr std::uint64_t flooding_batches = limits::max_block_batches + 44;

struct strategy_name {
  std::uint32_t bits;
  std::string_view name;
};
constexpr strategy_name strategy_names[] = {{strategy::all, "all"},
                                            {strategy::twins, "twins"},
                                            {strategy::rogue, "rogue"},
                                            {strategy::selective, "selective"},
                                            {strategy::equivocate, "equivocate"},
                                            {strategy::fork_lane, "fork_lane"},
                                            {strategy::withhold, "withhold"},
                                            {strategy::lie, "lie"},
                                            {strategy::garbage, "garbage"},
                                            {strategy::replay, "replay"},
                                            {strategy::hoard, "hoard"},
                                            {strategy::mute, "mute"},
                                            {strategy::amnesia, "amnesia"},
                                            {strategy::forge, "forge"},
                                            {strategy::overreach, "overreach"},
                                            {strategy::flood, "flood"},
                                            {strategy::treason, "treason"},
                                            {strategy::accuse, "accuse"}};

template <class Sealed>
std::shared_ptr<const Sealed> with_forged_signature(const Sealed& x) {
  auto made = x;
  made.signed_by.raw[0] ^= 0x40;
  return std::make_shared<const Sealed>(std::move(made));
}

} // namespace

std::optional<std::uint32_t> strategy::named(std::string_view names) {
  std::uint32_t found = 0;
  for (bool more = true; more;) {
    const auto end = names.find('+');
    const auto one =
        std::ranges::find(strategy_names, names.substr(0, end), &strategy_name::name);
    if (one == std::end(strategy_names)) return std::nullopt;
    found |= one->bits;
    more = end != names.npos;
    if (more) names.remove_prefix(end + 1);
  }
  return found;
}

std::string strategy::names_of(std::uint32_t strategies) {
  std::string names;
  for (const auto& [bits, name] : strategy_names) {
    if ((strategies & bits) != bits) continue;
    strategies &= ~bits;
    (names += names.empty() ? "" : "+") += name;
  }
  return names;
}

// --- answers

parcel_ptr adversary::forge_answer(const member& x, const wire_message& honest) {
  if (const auto* answer = std::get_if<fetched_block>(&honest))
    return make_parcel(fetched_block{with_forged_signature(*answer->block)});
  if (const auto* answer = std::get_if<fetched_range>(&honest)) {
    auto said = *answer;
    forge_range(x, said);
    return make_parcel(std::move(said));
  }
  if (const auto* answer = std::get_if<fetched_batches>(&honest)) {
    auto said = *answer;
    forge_batches(x, said);
    return make_parcel(std::move(said));
  }
  if (const auto* said = std::get_if<status>(&honest)) { // so that it is asked
    auto more = *said;
    more.finalized_height += 1 + malice_.below(2);
    return make_parcel(more);
  }
  return nullptr;
}

/// Genuine blocks in nobody's name, a block that does not belong there, or a certificate that
/// nobody voted for.
void adversary::forge_range(const member& x, fetched_range& said) {
  auto& last = said.blocks.back();
  switch (malice_.below(4)) {
  case 0: {
    auto& one = said.blocks[malice_.below(said.blocks.size())];
    one = with_forged_signature(*one);
    return;
  }
  case 1: {
    std::vector<block_ptr> strangers;
    for (const auto& [view, blocks] : blocks_)
      for (const auto& each : blocks)
        if (each->content.height > last->content.height) strangers.push_back(each);
    if (strangers.empty()) return;
    said.blocks.insert(said.blocks.end() - 1, with_forged_signature(*malice_.pick(strangers)));
    return;
  }
  case 2:
    said.finalization = forged_finalization(x, *last);
    return;
  default:
    said.blocks.push_back(own_block_on(x.keys.self, x, *last));
    said.finalization = forged_finalization(x, *said.blocks.back());
  }
}

void adversary::forge_batches(const member& x, fetched_batches& said) {
  if (malice_.chance(500)) {
    auto& one = said.batches[malice_.below(said.batches.size())];
    one = with_forged_signature(*one);
    return;
  }
  const auto& last = said.batches.back()->content;
  batch stranger{last.epoch, last.lane, std::max<std::uint64_t>(last.seq, 2) - 1,
                 random_digest(), last.operations};
  said.batches.push_back(with_forged_signature(*seal(x.keys, std::move(stranger))));
}

/// Of a height that is not final, or of one where others have another block.
void adversary::answer_with_own_block(node_index self, const member& x, node_index to,
                                      block_height height) {
  block_ptr parent;
  for (const auto& [view, blocks] : blocks_)
    for (const auto& each : blocks)
      if (each->content.height + 1 == height
          && (finalizations_.contains(view) || notarizations_.contains(view) || view == 0))
        parent = each;
  if (!parent) return;
  const auto made = own_block_on(self, x, *parent);
  home_.count(fault::forged_answer);
  home_.post(self, to, make_parcel(fetched_range{{made}, forged_finalization(x, *made)}), true);
}

block_ptr adversary::own_block_on(node_index self, const member& x,
                                  const sealed_block& parent) {
  const auto& before = parent.content;
  block content;
  content.view = before.view + 1;
  while (home_.nodes.leader(content.view) != self)
    ++content.view;
  content.height = before.height + 1;
  content.parent_view = before.view;
  content.parent = parent.id;
  content.executed = before.executed;
  content.time_ms = std::max(before.time_ms, home_.wall_ms());
  return seal(x.keys, std::move(content));
}

certificate adversary::forged_finalization(const member& x, const sealed_block& what) {
  certificate made{item_kind::finalize, what.content.view, what.id, {}};
  const auto own = x.keys.make(made.kind, made.view, made.block);
  for (node_index signer = 0; signer < home_.nodes.quorum(); ++signer)
    made.votes.emplace_back(signer, own.signed_by);
  return made;
}

// --- proposals

block_ptr adversary::best_certified(view_number below) const {
  auto best = blocks_.at(0).front();
  for (const auto* kind : {&notarizations_, &finalizations_})
    for (const auto& [view, each] : *kind)
      if (const auto at = by_digest_.find(each.block);
          view < below && at != by_digest_.end() && view > best->content.view)
        best = at->second;
  return best;
}

/// Right in all but one thing, and for everybody.
void adversary::overreach(node_index self, member& x, view_number view) {
  const auto parent = best_certified(view);
  const auto* below = cut_after(parent->id);
  if (!below) return;
  block content;
  content.view = view;
  content.height = parent->content.height + 1;
  content.parent_view = parent->content.view;
  content.parent = parent->id;
  content.executed = parent->content.executed;
  content.time_ms = std::max(parent->content.time_ms, home_.wall_ms());
  switch (malice_.below(10)) {
  case 0:
    ++content.height;
    break;
  case 1:
    content.executed = {content.height, random_digest()};
    break;
  case 2:
    content.contradictions.push_back({x.keys.make(item_kind::nullify, view, {}),
                                      x.keys.make(item_kind::finalize, view, parent->id)});
    for (auto* each : {&content.contradictions[0].first, &content.contradictions[0].second})
      each->signer = static_cast<node_index>((self + 1) % home_.nodes.size);
    break;
  default:
    reach_too_far(x, content, *below);
  }
  x.boasts = x.boasts || (!phantoms_.empty() && malice_.chance(300));
  const auto made = seal(x.keys, std::move(content));
  home_.count(fault::overreach);
  home_.note(
      [&] { return "n" + std::to_string(self) + " overreaches: " + describe(made->content); });
  send_some(self, proposal{made, justify(made->content)}, 1000);
  learn(made);
}

std::vector<lane_tip> adversary::known_tips(node_index lane) const {
  std::vector<lane_tip> tips;
  for (auto at = next_in_lane_.lower_bound({lane, digest{}});
       at != next_in_lane_.end() && at->first.first == lane && tips.size() < most_known_tips;
       ++at)
    tips.insert(tips.end(), at->second.begin(), at->second.end());
  return tips;
}

/// What follows another batch than the parent's cut has of its own lane, made for that.
std::optional<lane_tip> adversary::beside(const member& x, const full_cut& below) {
  const auto self = x.keys.self;
  const auto& from = below[self];
  const auto fork = x.forks.find(from.seq);
  if (fork == x.forks.end() || fork->second->id == from.batch) return std::nullopt;
  auto next = fork->second->content;
  ++next.seq;
  next.parent = fork->second->id;
  const auto made = seal(x.keys, std::move(next));
  learn(made);
  send_some(self, batch_message{made}, 1000);
  return made->tip();
}

/// A cut beyond the limits, below the parent's, beside its chain, or of batches that there are
/// not.
void adversary::reach_too_far(const member& x, block& content, const full_cut& below) {
  if (const auto other = beside(x, below)) {
    content.cut = {*other};
    return;
  }
  enum : std::uint64_t { many, lower, unrelated, phantom, far_phantom, kinds };
  const auto how = x.flooded && malice_.chance(500) ? many : malice_.below(kinds);
  const auto most = 1 + malice_.below(flooding_batches);
  for (const auto& from : below) {
    const auto known = known_tips(from.lane);
    auto tip = from;
    if (how == many) {
      for (const auto& each : known)
        if (each.seq > tip.seq && each.seq <= from.seq + most) tip = each;
    } else if (how == lower || how == unrelated) {
      if (!known.empty()) tip = malice_.pick(known);
      if ((tip.seq > from.seq) == (how == lower)) tip = from;
    } else if (malice_.chance(400)) {
      tip = {from.lane, from.seq + 1, random_digest()};
      if (how == far_phantom) tip.seq += limits::max_block_batches + malice_.below(1000);
      if (phantoms_.size() < most_phantoms) phantoms_.push_back(tip);
    }
    if (tip != from) content.cut.push_back(tip);
  }
}

// --- lanes

/// Of itself, and true, so that some hear early of a fork that others never see; or of somebody
/// else, or of no fork at all, to be refused.
fork_evidence adversary::accuse(const member& x) {
  auto place = 1 + malice_.below(12);
  if (!x.forks.empty() && malice_.chance(700))
    place =
        std::next(x.forks.begin(), static_cast<std::ptrdiff_t>(malice_.below(x.forks.size())))
            ->first;
  const auto one = [&] { return x.keys.make(item_kind::batch, place, random_digest()); };
  evidence made{one(), one()};
  if (malice_.chance(250))
    made.first.signer = made.second.signer =
        static_cast<node_index>(malice_.below(home_.nodes.size));
  else if (malice_.chance(250))
    made.second = made.first;
  return {made};
}

/// More than a block may order, from the end of what its lane had.
void adversary::flood(node_index self, member& x) {
  x.flooded = true;
  home_.count(fault::flooded_lane);
  batch next;
  next.lane = self;
  for (const auto& each : known_tips(self))
    if (each.seq > next.seq) next.seq = each.seq, next.parent = each.batch;
  for (std::uint64_t i = 0; i < flooding_batches; ++i) {
    ++next.seq;
    next.operations.assign(1, {});
    put(next.operations.front().arguments, "row", bytes(malice_.below(300)));
    for (auto& each : next.operations.front().id.raw)
      each = static_cast<std::uint8_t>(malice_.next());
    const auto made = seal(x.keys, next);
    next.parent = made->id;
    learn(made);
    send_some(self, batch_message{made}, 1000);
  }
}

} // namespace tallymesh::simulation
