#include "tests/simulation/adversary.hpp"

#include <algorithm>

namespace tallymesh::simulation {

adversary::adversary(surroundings home, random_source chance)
    : home_(std::move(home)), chance_(chance), malice_(mix(chance.next())) {
  const auto& genesis = home_.genesis;
  by_digest_[genesis->id] = genesis;
  blocks_[0].push_back(genesis);
  cuts_[genesis->id] = empty_cut(home_.nodes.size);
}

void adversary::enlist(node_index node, std::uint32_t strategies, credentials keys) {
  auto& x = members_[node];
  x.strategies = strategies;
  x.keys = std::move(keys);
  reshuffle(x);
}

void adversary::take_up(node_index node, std::uint32_t strategies) {
  auto& x = members_.at(node);
  x.strategies |= strategies;
  reshuffle(x);
}

bool adversary::is_twin(node_index node) const {
  const auto at = members_.find(node);
  return at != members_.end() && does(at->second, strategy::twins);
}

bool adversary::side(node_index node, node_index peer) const {
  return members_.at(node).sides[peer];
}

void adversary::reshuffle(member& x) {
  x.victims.clear();
  x.sides.assign(home_.nodes.size, false);
  for (node_index i = 0; i < home_.nodes.size; ++i) {
    if (chance_.chance(400)) x.victims.insert(i);
    const bool half = chance_.chance(500);
    x.sides[i] = half || !does(x, strategy::twins);
  }
}

void adversary::start() {
  if (!members_.empty()) home_.after(chance_.between(10'000, 100'000), [this] { tick(); });
}

void adversary::stop() { active_ = false; }

void adversary::tick() {
  if (!active_) return;
  for (auto& [self, x] : members_) {
    if (chance_.chance(20)) reshuffle(x);
    if (does(x, strategy::garbage) && chance_.chance(500)) {
      home_.count(fault::garbage);
      send_some(self, garbage(x)->content, 400);
    }
    if (does(x, strategy::replay) && !heard_.empty() && chance_.chance(500)) {
      home_.count(fault::replay);
      send_some(self, chance_.pick(heard_)->content, 400);
    }
    if (does(x, strategy::lie) && chance_.chance(200)) {
      home_.count(fault::lie);
      send_some(self, lie(x, status{})->content, 600);
    }
    if (does(x, strategy::rogue) && chance_.chance(300)) propose_if_leading();
    if (does(x, strategy::overreach) && !phantoms_.empty() && malice_.chance(500))
      send_some(self, have_message{{malice_.pick(phantoms_)}}, 1000);
    if (does(x, strategy::flood) && !x.flooded && malice_.chance(50)) flood(self, x);
    if (does(x, strategy::accuse) && malice_.chance(30)) {
      home_.count(fault::sent_evidence);
      send_some(self, accuse(x), 400);
    }
  }
  home_.after(chance_.between(20'000, 150'000), [this] { tick(); });
}

// --- what goes out bent

void adversary::outgoing(node_index self, bool side_a, node_index to, const parcel_ptr& what) {
  auto& x = members_.at(self);
  if (does(x, strategy::twins) && x.sides[to] != side_a) return;
  if (!active_) return;
  learn(what->content);
  const auto withheld = [&] { home_.count(fault::withheld_message); };
  if (does(x, strategy::mute)) return withheld();
  if (does(x, strategy::selective) && chance_.chance(x.victims.contains(to) ? 700 : 50))
    return withheld();
  if (does(x, strategy::twins)) home_.count(fault::twin);
  if (const auto bent = bend(self, x, to, what))
    home_.post(self, to, bent, chance_.chance(300));
}

/// What is sent instead; nothing to send nothing.
parcel_ptr adversary::bend(node_index self, member& x, node_index to, const parcel_ptr& what) {
  const auto& content = what->content;
  if (does(x, strategy::forge) && malice_.chance(400))
    if (auto forged = forge_answer(x, content)) {
      home_.count(fault::forged_answer);
      return forged;
    }
  if (x.boasts && std::holds_alternative<have_message>(content)) return nullptr;
  if (x.flooded)
    if (const auto* made = std::get_if<batch_message>(&content);
        made && made->batch->content.lane == self)
      return nullptr; // its place in the lane is taken
  if (does(x, strategy::withhold)) {
    const bool bodies = std::holds_alternative<batch_message>(content)
                        || std::holds_alternative<fetched_batches>(content);
    if (bodies && chance_.chance(x.victims.contains(to) ? 950 : 300)) {
      home_.count(fault::withheld_batch);
      return nullptr;
    }
  }
  if (const auto* ballot = std::get_if<vote>(&content);
      ballot && does(x, strategy::equivocate)) {
    equivocate(self, x, to, *ballot);
    if (chance_.chance(200)) return nullptr;
  }
  if (const auto* made = std::get_if<batch_message>(&content);
      made && made->batch->content.lane == self && does(x, strategy::fork_lane)
      && x.victims.contains(to)) {
    home_.count(fault::forked_lane);
    return fork(x, made->batch);
  }
  if (const auto* have = std::get_if<have_message>(&content);
      have && does(x, strategy::fork_lane) && x.victims.contains(to)) {
    auto said = *have;
    for (auto& tip : said.tips)
      if (const auto forked = x.forks.find(tip.seq);
          tip.lane == self && forked != x.forks.end())
        tip = forked->second->tip();
    return make_parcel(said);
  }
  if (does(x, strategy::lie) && chance_.chance(300))
    if (auto lied = lie(x, content)) {
      home_.count(fault::lie);
      return lied;
    }
  if (does(x, strategy::garbage) && chance_.chance(30)) {
    home_.count(fault::garbage);
    return garbage(x);
  }
  return what;
}

parcel_ptr adversary::fork(member& x, const batch_ptr& honest) {
  const auto known = x.forks.find(honest->content.seq);
  if (known != x.forks.end()) return make_parcel(batch_message{known->second});
  auto content = honest->content;
  if (const auto before = x.forks.find(content.seq - 1); before != x.forks.end())
    content.parent = before->second->id;
  content.operations.front().author += "?";
  if (chance_.chance(500)) content.operations.front().id.raw[0] ^= 0x55;
  const auto forked = seal(x.keys, content);
  x.forks[content.seq] = forked;
  learn(forked);
  return make_parcel(batch_message{forked});
}

void adversary::equivocate(node_index self, member& x, node_index to, const vote& honest) {
  if (honest.signer != self) return;
  const auto view = honest.position;
  const auto say = [&](item_kind kind, const digest& block) {
    home_.count(fault::equivocating_vote);
    home_.post(self, to, make_parcel(x.keys.make(kind, view, block)), chance_.chance(500));
  };
  if (chance_.chance(400)) say(item_kind::nullify, digest{});
  if (const auto known = blocks_.find(view); known != blocks_.end()) {
    const auto& other = chance_.pick(known->second);
    if (chance_.chance(400)) say(item_kind::notarize, other->id);
    if (chance_.chance(400)) say(item_kind::finalize, other->id);
  }
}

parcel_ptr adversary::lie(const member& x, const wire_message& what) {
  if (std::holds_alternative<status>(what)) {
    status said;
    const std::uint64_t numbers[] = {
        0, 1, frontier_, frontier_ + 1, frontier_ + 3, frontier_ + 1000, UINT64_MAX};
    said.frontier = numbers[chance_.below(7)];
    said.finalized_view = numbers[chance_.below(7)];
    said.finalized_height = numbers[chance_.below(7)];
    said.pending = chance_.chance(500);
    return make_parcel(said);
  }
  if (std::holds_alternative<fetched_block>(what) && !by_digest_.empty()) {
    const auto& views =
        std::next(blocks_.begin(), static_cast<std::ptrdiff_t>(chance_.below(blocks_.size())))
            ->second;
    const auto& other = chance_.pick(views);
    if (other->content.height > 0) return make_parcel(fetched_block{other});
  }
  if (const auto* range = std::get_if<fetched_range>(&what)) {
    auto said = *range;
    switch (chance_.below(4)) {
    case 0:
      said.blocks.pop_back();
      break;
    case 1:
      said.blocks.erase(said.blocks.begin());
      break;
    case 2:
      std::swap(said.blocks.front(), said.blocks.back());
      break;
    default:
      said.finalization = random_certificate(x);
    }
    return make_parcel(said);
  }
  if (const auto* batches = std::get_if<fetched_batches>(&what)) {
    auto said = *batches;
    if (chance_.chance(500))
      std::swap(said.batches.front(), said.batches.back());
    else
      said.batches.erase(said.batches.begin());
    return make_parcel(said);
  }
  if (const auto* attested = std::get_if<attestation>(&what))
    return make_parcel(attestation{
        x.keys.make(item_kind::attestation, attested->item.position, random_digest())});
  if (const auto* have = std::get_if<have_message>(&what)) {
    auto said = *have;
    for (auto& tip : said.tips) {
      if (chance_.chance(300))
        tip.seq += chance_.below(5), tip.batch = random_digest();
      else if (tip.seq > 1 && chance_.chance(300))
        --tip.seq;
    }
    return make_parcel(said);
  }
  return nullptr;
}

digest adversary::random_digest() {
  digest x;
  for (auto& each : x.raw)
    each = static_cast<std::uint8_t>(chance_.next());
  return x;
}

certificate adversary::random_certificate(const member& x) {
  certificate made;
  made.kind = static_cast<item_kind>(chance_.between(3, 5));
  made.view = frontier_ + chance_.below(3);
  if (made.kind != item_kind::nullify) made.block = random_digest();
  node_index signer = 0;
  for (auto left = chance_.below(home_.nodes.size + 2u); left > 0; --left) {
    const auto item = x.keys.make(made.kind, made.view, made.block);
    made.votes.emplace_back(signer, item.signed_by);
    if (!chance_.chance(200)) ++signer; // now and then the same signer twice
  }
  return made;
}

/// Well signed by itself where it can be, and impossible otherwise.
wire_message adversary::odd_message(const member& x) {
  if (!heard_.empty() && chance_.chance(400)) {
    auto frame = make_frame(chance_.pick(heard_)->content);
    for (auto left = chance_.between(1, 4); left > 0; --left)
      frame[chance_.below(frame.size())] = static_cast<std::uint8_t>(chance_.next());
    if (auto opened = open_frame(frame))
      return std::move(*opened); // else the link would refuse it
  }
  const auto odd = [&]() -> std::uint64_t {
    const std::uint64_t numbers[] = {0,
                                     1,
                                     frontier_,
                                     frontier_ + 1,
                                     frontier_ + 10'000,
                                     UINT64_MAX - 1,
                                     UINT64_MAX,
                                     chance_.below(100)};
    return numbers[chance_.below(8)];
  };
  const auto lane = [&] {
    return static_cast<node_index>(chance_.chance(700) ? chance_.below(home_.nodes.size)
                                                       : odd());
  };
  const auto tip = [&] { return lane_tip{lane(), odd(), random_digest()}; };
  switch (chance_.below(9)) {
  case 0:
    return have_message{{tip(), tip(), tip()}};
  case 1:
    return fetch_batches{tip(), odd()};
  case 2:
    return fetch_block{random_digest()};
  case 3:
    return fetch_range{odd()};
  case 4:
    return random_certificate(x);
  case 5:
    return attestation{x.keys.make(item_kind::attestation, odd(), random_digest())};
  case 6: {
    auto said =
        x.keys.make(static_cast<item_kind>(chance_.between(1, 6)), odd(), random_digest());
    if (chance_.chance(200)) said.signer = lane();
    return said;
  }
  case 7: {
    block content;
    content.view = odd();
    content.height = odd();
    content.parent_view = odd();
    content.parent = random_digest();
    content.executed = {odd(), random_digest()};
    content.time_ms = static_cast<std::int64_t>(odd());
    return proposal{seal(x.keys, content), {random_certificate(x)}};
  }
  default: {
    batch content;
    content.lane = lane();
    content.seq = odd();
    content.parent = random_digest();
    content.operations.emplace_back();
    return batch_message{seal(x.keys, content)};
  }
  }
}

/// What a peer's link lets through: the rest is refused when its frame is opened.
parcel_ptr adversary::garbage(const member& x) {
  auto opened = open_frame(make_frame(odd_message(x)));
  return opened ? make_parcel(std::move(*opened)) : make_parcel(status{});
}

// --- what it learns

void adversary::incoming(node_index from, node_index at, const parcel_ptr& what) {
  if (!active_ || !has(at)) return;
  if (const auto* asked = std::get_if<fetch_range>(&what->content);
      asked && !has(from) && does(members_.at(at), strategy::forge) && malice_.chance(500))
    answer_with_own_block(at, members_.at(at), from, asked->from);
  if (!seen_.insert(what->fingerprint).second) return;
  if (heard_.size() < 200)
    heard_.push_back(what);
  else if (chance_.chance(100))
    heard_[chance_.below(heard_.size())] = what;
  learn(what->content);
  propose_if_leading();
}

void adversary::learn(const wire_message& x) {
  if (const auto* said = std::get_if<vote>(&x)) learn(*said);
  if (const auto* said = std::get_if<certificate>(&x)) learn(*said);
  if (const auto* said = std::get_if<batch_message>(&x)) learn(said->batch);
  if (const auto* said = std::get_if<fetched_block>(&x)) learn(said->block);
  if (const auto* said = std::get_if<fetched_batches>(&x))
    for (const auto& each : said->batches)
      learn(each);
  if (const auto* said = std::get_if<proposal>(&x)) {
    for (const auto& each : said->justification)
      learn(each);
    learn(said->block);
  }
  if (const auto* said = std::get_if<fetched_range>(&x)) {
    for (const auto& each : said->blocks)
      learn(each);
    learn(said->finalization);
  }
}

void adversary::learn(const block_ptr& x) {
  if (!by_digest_.emplace(x->id, x).second) return;
  blocks_[x->content.view].push_back(x);
  react_to(x);
}

void adversary::learn(const batch_ptr& x) {
  auto& next = next_in_lane_[{x->content.lane, x->content.parent}];
  if (std::find(next.begin(), next.end(), x->tip()) == next.end()) next.push_back(x->tip());
}

/// Completes a certificate as soon as its own votes are all that is missing.
void adversary::learn(const vote& x) {
  if (x.signer >= home_.nodes.size) return;
  auto& held = votes_[{x.position, x.kind, x.what}];
  if (!held.emplace(x.signer, x.signed_by).second) return;
  std::size_t reachable = held.size();
  for (const auto& each : members_)
    reachable += !held.contains(each.first);
  if (reachable < home_.nodes.quorum()) return;
  for (const auto& [node, each] : members_)
    held.emplace(node, each.keys.make(x.kind, x.position, x.what).signed_by);
  certificate made{x.kind, x.position, x.what, {held.begin(), held.end()}};
  learn(made);
}

void adversary::learn(const certificate& x) {
  auto& of_kind = x.kind == item_kind::notarize  ? notarizations_
                  : x.kind == item_kind::nullify ? nullifications_
                                                 : finalizations_;
  if (of_kind.contains(x.view) || members_.empty()
      || !verify(x, home_.nodes, members_.begin()->second.keys))
    return;
  of_kind.emplace(x.view, x);
  if (x.view >= frontier_ || x.kind == item_kind::finalize)
    frontier_ = std::max(frontier_, x.view + 1);
  react_to(x);
}

void adversary::react_to(const block_ptr& x) {
  for (auto& [self, each] : members_) {
    if (!active_
        || !does(each, strategy::bit(strategy::equivocate | strategy::rogue | strategy::hoard)))
      continue;
    if (chance_.chance(500)) cast(self, item_kind::notarize, x->content.view, x->id, 600);
    if (chance_.chance(150)) cast(self, item_kind::finalize, x->content.view, x->id, 500);
    if (chance_.chance(150)) cast(self, item_kind::nullify, x->content.view, digest{}, 500);
    if (does(each, strategy::rogue) && !has(x->leader) && malice_.chance(20)) forge(self, x);
  }
}

void adversary::react_to(const certificate& x) {
  for (auto& [self, each] : members_) {
    if (!active_) return;
    if (does(each, strategy::hoard)) {
      home_.count(fault::hoarded_certificate);
      if (chance_.chance(400)) send_some(self, x, chance_.below(800));
    }
    if (x.kind != item_kind::notarize
        || !does(each, strategy::bit(strategy::equivocate | strategy::rogue)))
      continue;
    if (chance_.chance(500)) cast(self, item_kind::finalize, x.view, x.block, 600);
    if (chance_.chance(300)) cast(self, item_kind::nullify, x.view, digest{}, 600);
  }
}

void adversary::cast(node_index self, item_kind kind, view_number view, const digest& block,
                     std::uint64_t share) {
  home_.count(fault::equivocating_vote);
  const auto made = members_.at(self).keys.make(kind, view, block);
  send_some(self, made, share);
  learn(made);
}

void adversary::send_some(node_index self, const wire_message& content, std::uint64_t share) {
  const auto what = make_parcel(content);
  for (node_index to = 0; to < home_.nodes.size; ++to)
    if (to != self && chance_.chance(share)) home_.post(self, to, what, chance_.chance(600));
}

// --- rogue proposals

void adversary::propose_if_leading() {
  for (auto view = frontier_; view < frontier_ + 2; ++view) {
    const auto self = home_.nodes.leader(view);
    const auto at = members_.find(self);
    if (at == members_.end()
        || !does(at->second, strategy::bit(strategy::rogue | strategy::overreach)))
      continue;
    if (!at->second.proposed.insert(view).second) continue;
    if (does(at->second, strategy::overreach)
        && (!does(at->second, strategy::rogue) || malice_.chance(500))) {
      overreach(self, at->second, view);
      continue;
    }
    for (auto count = chance_.between(1, 3); count > 0; --count)
      propose(self, at->second, view);
  }
}

/// The highest certified one, or one that is stale, or any.
block_ptr adversary::pick_parent(view_number below) {
  std::vector<block_ptr> certified{blocks_[0].front()};
  for (const auto* kind : {&notarizations_, &finalizations_})
    for (const auto& [view, each] : *kind)
      if (const auto at = by_digest_.find(each.block); view < below && at != by_digest_.end())
        certified.push_back(at->second);
  std::sort(certified.begin(), certified.end(),
            [](const auto& a, const auto& b) { return a->content.view < b->content.view; });
  if (chance_.chance(300)) return certified.back();
  if (chance_.chance(700))
    return certified[certified.size() - 1 - std::min(certified.size() - 1, chance_.below(6))];
  const auto& views =
      std::next(blocks_.begin(), static_cast<std::ptrdiff_t>(chance_.below(blocks_.size())))
          ->second;
  return chance_.pick(views);
}

const full_cut* adversary::cut_after(const digest& block) {
  std::vector<block_ptr> path;
  auto known = cuts_.find(block);
  for (auto at = block; known == cuts_.end();) {
    const auto found = by_digest_.find(at);
    if (found == by_digest_.end() || path.size() > 100) return nullptr;
    path.push_back(found->second);
    at = found->second->content.parent;
    known = cuts_.find(at);
  }
  auto cut = known->second;
  for (auto next = path.rbegin(); next != path.rend(); ++next)
    cuts_[(*next)->id] = cut = extend(std::move(cut), (*next)->content.cut);
  return &cuts_[block];
}

std::vector<lane_tip> adversary::build_cut(const full_cut& below) {
  std::vector<lane_tip> cut;
  for (const auto& from : below) {
    auto tip = from;
    for (auto steps = chance_.below(4); steps > 0; --steps) {
      const auto next = next_in_lane_.find({tip.lane, tip.batch});
      if (next == next_in_lane_.end()) break;
      tip = chance_.pick(next->second);
    }
    if (tip != from) cut.push_back(tip);
  }
  if (!cut.empty() && chance_.chance(60))
    cut[chance_.below(cut.size())].batch = random_digest();
  if (!cut.empty() && chance_.chance(60))
    cut[chance_.below(cut.size())].seq = 1 + chance_.below(3);
  return cut;
}

std::vector<certificate> adversary::justify(const block& content) {
  std::vector<certificate> said;
  if (const auto at = notarizations_.find(content.parent_view);
      at != notarizations_.end() && chance_.chance(900))
    said.push_back(at->second);
  else if (const auto final_one = finalizations_.find(content.parent_view);
           final_one != finalizations_.end())
    said.push_back(final_one->second);
  for (auto at = nullifications_.upper_bound(content.parent_view);
       at != nullifications_.end() && at->first < content.view; ++at)
    if (said.size() < limits::max_justification && chance_.chance(900))
      said.push_back(at->second);
  return said;
}

/// Results that nobody got, heights that are not the next, and accusations of its own making.
void adversary::falsify(const member& x, block& content) {
  if (malice_.chance(500)) {
    const auto whole = content.executed;
    if (content.executed.height > 0 && malice_.chance(500)) --content.executed.height;
    for (auto& each : content.executed.execution.raw)
      each = static_cast<std::uint8_t>(malice_.next());
    const auto drawn = content.executed.execution.raw.front();
    if (drawn < 80) {
      content.executed = whole;
      content.height += drawn % 3 == 0 ? 2 : 1;
    }
    return;
  }
  auto first = x.keys.make(item_kind::nullify, content.view, {});
  auto second = x.keys.make(item_kind::finalize, content.view, content.parent);
  if (malice_.chance(700)) // of somebody else, whose signature this is not
    first.signer = second.signer =
        static_cast<node_index>(malice_.below(home_.nodes.size + 1u));
  content.contradictions.push_back({first, second});
}

/// A block of its own making in the name of whoever leads the view, with a signature that is
/// not the leader's.
void adversary::forge(node_index self, const block_ptr& honest) {
  auto content = honest->content;
  content.time_ms += 1;
  auto made = *seal(members_.at(self).keys, std::move(content));
  made.leader = honest->leader;
  home_.count(fault::rogue_proposal);
  send_some(self,
            proposal{std::make_shared<const sealed_block>(made), justify(honest->content)},
            700);
}

void adversary::propose(node_index self, member& x, view_number view) {
  const auto parent = pick_parent(view);
  const auto* below = cut_after(parent->id);
  if (!below || parent->content.view >= view) return;
  block content;
  content.view = view;
  content.height = parent->content.height + (chance_.chance(30) ? 2 : 1);
  content.parent_view = parent->content.view;
  content.parent = parent->id;
  content.cut = build_cut(*below);
  content.executed = parent->content.executed;
  if (chance_.chance(50)) content.executed = {content.height, random_digest()};
  content.time_ms = std::max(parent->content.time_ms, home_.wall_ms());
  if (chance_.chance(50)) content.time_ms += chance_.chance(500) ? 10'000'000 : -20'000'000;
  if (malice_.chance(60)) falsify(x, content);
  const auto made = seal(x.keys, std::move(content));
  home_.count(fault::rogue_proposal);
  home_.note([&] {
    return "rogue n" + std::to_string(self) + " proposes " + describe(made->content);
  });
  send_some(self, proposal{made, justify(made->content)},
            static_cast<std::uint64_t>(chance_.between(200, 1000)));
  learn(made);
}

} // namespace tallymesh::simulation
