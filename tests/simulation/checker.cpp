#include "tests/simulation/checker.hpp"

#include <algorithm>

namespace tallymesh::simulation {

checker::checker(const options& what, const validator_set& nodes, const credentials& any_keys,
                 std::int64_t epoch_ms)
    : check_order_(what.check_order), treason_((what.strategies & strategy::treason) != 0),
      nodes_set_(nodes), keys_(any_keys), epoch_ms_(epoch_ms), honest_(nodes.size),
      nodes_(nodes.size) {
  const auto genesis = genesis_block(any_keys.domain);
  learn(genesis);
  cuts_[genesis->id] = empty_cut(nodes.size);
  decided_[0] = {genesis->id, std::nullopt, empty_cut(nodes.size)};
  for (auto& each : nodes_) {
    each.delivered_block = genesis->id;
    each.final_cut = empty_cut(nodes.size);
    witnesses_.emplace_back(nodes_set_, keys_);
  }
}

/// S10: all that more than f faulty nodes leave to be kept.
static constexpr std::string_view halts_at_a_contradiction = "halts at a contradiction";

void checker::report(int node, std::string rule, std::string text) {
  if (treason_ && rule != halts_at_a_contradiction) return;
  found_.push_back({now_ms_, node, std::move(rule), std::move(text)});
}

// --- votes

static bool contradicts_ballot(const std::optional<digest>& held, const digest& now) {
  return held && *held != now;
}

void checker::promise(node_index node, const signed_item& item) {
  auto& x = nodes_[node].promised[item.position];
  const auto before = x;
  switch (item.kind) {
  case item_kind::proposal:
    x.proposed = item.what;
    break;
  case item_kind::notarize:
    x.notarized = item.what;
    break;
  case item_kind::finalize:
    x.finalized = item.what;
    break;
  case item_kind::nullify:
    x.nullified = true;
    break;
  default:
    return;
  }
  const bool twice = (before.proposed && before.proposed != x.proposed)
                     || (before.notarized && before.notarized != x.notarized)
                     || (before.finalized && before.finalized != x.finalized);
  if (twice)
    report(node, "no double vote", "a second " + describe(item));
  else if (x.nullified && x.finalized)
    report(node, "no double vote", "nullify and finalize: " + describe(item));
  else if (x.notarized && contradicts_ballot(x.finalized, *x.notarized))
    report(node, "no double vote",
           "notarize and finalize of different blocks: " + describe(item));
  else if (x.proposed && !before.proposed && x.nullified)
    report(node, "no double vote", "a proposal in a view that it gave up: " + describe(item));
  else if (x.notarized && !before.notarized && x.nullified)
    report(node, "no double vote", "notarize in a view that it gave up: " + describe(item));
}

void checker::store(node_index node, const signed_item& item) {
  auto& x = nodes_[node].stored[item.position];
  if (item.kind == item_kind::proposal) x.proposed = item.what;
  if (item.kind == item_kind::notarize) x.notarized = item.what;
  if (item.kind == item_kind::finalize) x.finalized = item.what;
  if (item.kind == item_kind::nullify) x.nullified = true;
}

bool checker::is_stored(const node_view& of, const signed_item& item) const {
  const auto found = of.stored.find(item.position);
  if (found == of.stored.end()) return false;
  const auto& x = found->second;
  switch (item.kind) {
  case item_kind::proposal:
    return x.proposed == item.what;
  case item_kind::notarize:
    return x.notarized == item.what;
  case item_kind::finalize:
    return x.finalized == item.what;
  case item_kind::nullify:
    return x.nullified;
  default:
    return true;
  }
}

void checker::committed(node_index node, const std::vector<consensus::record>& records,
                        const model_disk&) {
  auto& self = nodes_[node];
  for (const auto& record : records) {
    if (const auto* x = std::get_if<vote>(&record)) {
      if (x->signer != node) report(node, "own records", "stored as its own: " + describe(*x));
      if (self.observes_only)
        report(node, "observe only", "stored " + describe(*x) + " after its log was lost");
      promise(node, *x);
      store(node, *x);
    } else if (const auto* made = std::get_if<consensus::own_proposal>(&record)) {
      learn(made->block);
      self.kept.insert(made->block->id);
      promise(node, made->block->as_item());
      store(node, made->block->as_item());
    } else if (const auto* kept = std::get_if<consensus::kept_block>(&record)) {
      learn(kept->block);
      self.kept.insert(kept->block->id);
    } else {
      const auto& held = std::get<certificate>(record);
      hold(node, held);
      self.cleared.insert(held.view);
      if (held.kind == item_kind::nullify) self.nullified.insert(held.view);
      if (held.kind == item_kind::finalize)
        self.finalized = std::max(self.finalized, held.view);
    }
  }
}

void checker::committed(node_index node, const std::vector<batch_ptr>& batches) {
  for (const auto& batch : batches) {
    if (!keys_.check(batch->as_item()))
      report(node, "batches are by their owners", "stored " + describe(batch->tip()));
    if (batch->content.lane != node) continue;
    const auto [place, fresh] = nodes_[node].lane.emplace(batch->content.seq, batch->id);
    if (!fresh && place->second != batch->id)
      report(node, "one batch a place", "a second batch " + describe(batch->tip()));
  }
}

void checker::sent(node_index node, const parcel_ptr& what, const model_disk& disk) {
  auto& self = nodes_[node];
  if (self.last_sent == what) return;
  self.last_sent = what;
  learn(what->content);
  check_codec(node, *what);
  std::visit([&](const auto& x) { said(node, x, disk); }, what->content);
}

void checker::said(node_index node, const vote& x, const model_disk& disk) {
  if (x.signer == node) check_vote(node, x, disk);
}

void checker::said(node_index node, const certificate& x, const model_disk& disk) {
  hold(node, x);
  for (const auto& [signer, signed_by] : x.votes)
    if (signer == node) check_vote(node, {x.kind, signer, x.view, x.block, signed_by}, disk);
}

void checker::said(node_index node, const proposal& x, const model_disk& disk) {
  for (const auto& each : x.justification)
    hold(node, each);
  if (x.block->leader != node) return;
  promise(node, x.block->as_item());
  check_valid(node, x.block->id, disk);
  if (check_order_ && !is_stored(nodes_[node], x.block->as_item()))
    report(node, "stored before sent", "proposal " + describe(x.block->content));
}

void checker::said(node_index node, const fetched_range& x, const model_disk&) {
  hold(node, x.finalization);
}

void checker::said(node_index node, const batch_message& x, const model_disk& disk) {
  if (check_order_ && !disk.find(x.batch->id))
    report(node, "stored before sent", "batch " + describe(x.batch->tip()));
}

void checker::said(node_index node, const have_message& x, const model_disk& disk) {
  check_tips(node, x.tips, disk);
}

void checker::check_vote(node_index node, const vote& x, const model_disk& disk) {
  auto& self = nodes_[node];
  const auto& promised = self.promised[x.position];
  const bool fresh = (x.kind == item_kind::notarize && !promised.notarized)
                     || (x.kind == item_kind::finalize && !promised.finalized)
                     || (x.kind == item_kind::nullify && !promised.nullified);
  if (fresh && self.observes_only)
    report(node, "observe only", "sent " + describe(x) + " after its log was lost");
  promise(node, x);
  if (x.kind == item_kind::notarize) check_valid(node, x.what, disk);
  // A vote from before its log was lost comes back in a certificate: its disk need not know.
  if (!check_order_ || self.observes_only) return;
  if (!is_stored(self, x)) report(node, "stored before sent", describe(x));
  if (x.kind != item_kind::nullify) {
    if (!self.kept.contains(x.what))
      report(node, "stored before sent", describe(x) + " without its block");
    check_batches_stored(node, x, disk);
  }
  // S15: the certificates that cleared the views below are stored before anything is said
  // beyond.
  if (x.kind == item_kind::finalize) return;
  const auto from = std::max(self.finalized, disk.ledger().back().block->content.view) + 1;
  for (auto view = from; view < x.position && !failed(); ++view)
    if (!self.cleared.contains(view))
      report(node, "stored before sent",
             describe(x) + ", and view " + std::to_string(view)
                 + " is not cleared by a stored certificate");
}

// --- what agreement resolves, judged by what it knew then

/// A finalization that it has to take, of a view that it holds a nullification of.
bool checker::contradicts_what_it_holds(node_index node, const certificate& x,
                                        const consensus::snapshot& before) const {
  return x.kind == item_kind::finalize && nodes_[node].nullified.contains(x.view)
         && !before.halted && x.view > before.finalized_view
         && verify(x, nodes_set_, keys_).has_value();
}

void checker::told(node_index node, const decltype(consensus::event::what)& what,
                   const std::function<consensus::snapshot()>& now) {
  auto& self = nodes_[node];
  const auto* heard = std::get_if<consensus::received>(&what);
  const auto* shown = treason_ && heard ? std::get_if<certificate>(&heard->message) : nullptr;
  self.must_halt = shown && contradicts_what_it_holds(node, *shown, now());
  if (const auto* done = std::get_if<consensus::executed>(&what)) self.executed = done->height;
  if (const auto* found = std::get_if<consensus::evidence_found>(&what))
    self.found.insert(offence_of(found->what));
  if (const auto* link = std::get_if<consensus::peer_up>(&what))
    witnesses_[node].linked(link->peer);
  if (heard) witnesses_[node].received(*heard, self.finalized, is_honest(heard->from));
}

void checker::told(node_index node, const decltype(mempool::event::what)& what,
                   const model_disk& disk) {
  auto& self = nodes_[node];
  if (const auto* done = std::get_if<mempool::cut_finalized>(&what))
    self.final_cut = extend(std::move(self.final_cut), done->cut);
  if (const auto* heard = std::get_if<mempool::received>(&what))
    witnesses_[node].received(*heard, self.final_cut, block_payload_bytes_, disk, now_ms_);
}

void checker::resolved(node_index node, const std::vector<mempool::effect>& effects) {
  for (const auto& effect : effects)
    if (const auto* seen = std::get_if<mempool::observed>(&effect))
      witnesses_[node].observed(seen->what);
  check_reported(node, [] { return view_number{0}; });
}

void checker::check_reported(node_index node, const std::function<view_number()>& final_view) {
  if (const auto kept_secret = witnesses_[node].unreported(final_view))
    report(node, "what contradicts is reported",
           describe(kept_secret->first) + " against " + describe(kept_secret->second));
}

void checker::resolved(node_index node, const std::vector<consensus::effect>& effects,
                       const std::function<consensus::snapshot()>& now) {
  bool halts = false;
  for (const auto& effect : effects) {
    halts = halts || std::holds_alternative<consensus::halted>(effect);
    if (const auto* seen = std::get_if<consensus::observed>(&effect))
      witnesses_[node].observed(seen->what);
    if (const auto* kept = std::get_if<consensus::persist>(&effect))
      for (const auto& each : kept->records)
        if (const auto* held = std::get_if<certificate>(&each)) witnesses_[node].stored(*held);
  }
  if (nodes_[node].must_halt && halts) ++halts_at_contradictions_;
  if (nodes_[node].must_halt && !halts)
    report(node, std::string(halts_at_a_contradiction),
           "goes on with a nullification and a finalization of one view");
  if (!halts) check_reported(node, [&] { return now().finalized_view; });
  for (const auto& effect : effects) {
    if (const auto* seen = std::get_if<consensus::observed>(&effect))
      nodes_[node].found.insert(offence_of(seen->what));
    if (const auto* say = std::get_if<consensus::broadcast>(&effect)) {
      if (const auto* made = std::get_if<proposal>(&say->message);
          made && made->block->leader == node)
        check_new_block(node, made->block->content);
      if (const auto* own = std::get_if<vote>(&say->message);
          own && own->kind == item_kind::notarize)
        check_claim(node, *own);
    }
  }
}

/// S18: what its leader has found is in its block or in one before, as far as four go; and what
/// it saw final is not told again.
void checker::check_new_block(node_index node, const block& x) {
  const auto& self = nodes_[node];
  auto told = told_by(x.parent, self.started_at);
  for (const auto& each : x.contradictions) {
    const auto what = offence_of(each);
    if (self.seen.contains(what) || !told.insert(what).second)
      report(node, "evidence is told once",
             describe(x) + " tells again of n" + std::to_string(what.signer));
  }
  if (x.contradictions.size() >= limits::max_block_evidence) return;
  for (const auto& each : self.found)
    if (!told.contains(each))
      report(node, "evidence reaches the chain",
             describe(x) + " keeps silent on n" + std::to_string(each.signer) + " at "
                 + std::to_string(each.position));
}

std::set<offence> checker::told_by(const digest& block, block_height after) const {
  std::set<offence> told;
  for (auto at = blocks_.find(block); at != blocks_.end() && at->second->content.height > after;
       at = blocks_.find(at->second->content.parent))
    for (const auto& each : at->second->content.contradictions)
      told.insert(offence_of(each));
  return told;
}

/// S7.6: nobody votes for a result that its own differs from. Of those before its start a node
/// remembers the last.
void checker::check_claim(node_index node, const vote& x) {
  const auto& self = nodes_[node];
  const auto found = blocks_.find(x.what);
  if (found == blocks_.end()) return;
  const auto& claim = found->second->content.executed;
  if (claim.height < self.started_at || claim.height > self.executed) return;
  const auto place = decided_.find(claim.height);
  if (place == decided_.end() || !place->second.execution) return;
  if (*place->second.execution != claim.execution)
    report(node, "votes for its own result only", describe(x));
}

/// What a quorum let through is what each of its honest members checked.
void checker::check_final_block(node_index node, const sealed_block& x) {
  const auto& content = x.content;
  if (x.leader != nodes_set_.leader(content.view) || !keys_.check(x.as_item()))
    report(node, "blocks are by their leaders", describe(content));
  for (const auto& each : content.contradictions)
    observed(node, each);
  const auto parent = blocks_.find(content.parent);
  if (parent != blocks_.end() && content.time_ms < parent->second->content.time_ms)
    report(node, "time goes forward", describe(content));
  // Honest clocks but one are 10 s off at most, and tolerate 30 s.
  const auto latest = epoch_ms_ + now_ms_ + 40'000;
  if (nodes_set_.size > 1 && content.time_ms > latest)
    report(node, "time goes forward", describe(content) + " is of the future");
}

void checker::check_batches_stored(node_index node, const vote& x, const model_disk& disk) {
  const auto found = blocks_.find(x.what);
  if (found == blocks_.end())
    return report(node, "stored before sent", describe(x) + " of a block never seen");
  const auto& content = found->second->content;
  const auto* below = cut_after(content.parent);
  if (!below)
    return report(node, "stored before sent", describe(x) + " on a parent never seen");
  for (const auto& tip : content.cut)
    if (tip.lane >= below->size() || !disk.holds_chain(tip, (*below)[tip.lane].seq))
      return report(node, "stored before sent",
                    describe(x) + " without batch " + describe(tip));
}

/// S7.6 and what S2 says of a cut: of what a node votes for, and of what it proposes. Times and
/// results are judged by what the node itself had, elsewhere.
void checker::check_valid(node_index node, const digest& what, const model_disk& disk) {
  const auto found = blocks_.find(what);
  if (found == blocks_.end() || nodes_[node].judged.contains(what)) return;
  const auto& x = found->second->content;
  const auto complain = [&](const std::string& why) {
    report(node, "valid blocks only", describe(x) + " " + why);
  };
  const auto parent = blocks_.find(x.parent);
  if (parent == blocks_.end()) return complain("on a parent never seen");
  const auto& before = parent->second->content;
  if (x.height != before.height + 1 || x.parent_view != before.view)
    return complain("does not follow " + describe(before));
  if (x.executed.height >= x.height) return complain("claims a result of its own height");
  for (const auto& each : x.contradictions)
    if (!contradicts(each.first, each.second) || !keys_.check(each.first)
        || !keys_.check(each.second))
      return complain("slanders n" + std::to_string(each.first.signer));
  const auto* below = cut_after(x.parent);
  if (!below) return complain("on a parent never seen");
  if (const auto why = why_cut_is_invalid(x, *below, disk); !why.empty()) return complain(why);
  const bool whole = std::ranges::all_of(x.cut, [&](const lane_tip& tip) {
    return disk.holds_chain(tip, (*below)[tip.lane].seq);
  });
  if (whole) nodes_[node].judged.insert(what); // or it is judged again, by what came meanwhile
}

/// As far as the batches are there: of others check_batches_stored complains.
std::string checker::why_cut_is_invalid(const block& x, const full_cut& below,
                                        const model_disk& disk) const {
  std::uint64_t batches = 0, bytes = 0;
  for (const auto& tip : x.cut) {
    if (tip.lane >= below.size()) return "orders a lane that is none";
    const auto& base = below[tip.lane];
    if (tip.seq <= base.seq) return "falls below its parent's cut at " + describe(tip);
    batches += tip.seq - base.seq;
    if (batches > block_batches_) return "orders too many batches";
    auto at = tip.batch;
    auto seq = tip.seq;
    for (const batch_ptr* held; seq > base.seq && (held = disk.find(at)); --seq) {
      bytes += (*held)->full_bytes;
      at = (*held)->content.parent;
    }
    if (seq == base.seq && at != base.batch)
      return describe(tip) + " does not descend from " + describe(base);
  }
  return bytes > block_payload_bytes_ ? "orders too many bytes" : "";
}

void checker::check_tips(node_index node, const std::vector<lane_tip>& tips,
                         const model_disk& disk) {
  if (!check_order_) return;
  auto& known = nodes_[node].announced;
  for (const auto& tip : tips) {
    auto wanted = tip.batch;
    for (auto seq = tip.seq; seq > 0 && !known.contains(wanted); --seq) {
      const auto* held = disk.find(wanted);
      if (!held)
        return report(node, "stored before sent",
                      "have " + describe(tip) + " without batch " + std::to_string(seq));
      known.insert(wanted);
      wanted = (*held)->content.parent;
    }
  }
}

void checker::check_codec(node_index node, const parcel& what) {
  if (what.fingerprint % 64 != 0) return; // some are enough, and encoding costs
  const auto back = open_frame(make_frame(what.content));
  if (!back || fingerprint(*back) != what.fingerprint)
    report(node, "messages travel whole", describe(what.content));
}

// --- certificates

void checker::received(const parcel_ptr& what) { learn(what->content); }

void checker::hold(node_index node, const certificate& x) {
  auto& held = certified_[x.view];
  const bool known = (x.kind == item_kind::nullify && held.nullified)
                     || (x.kind == item_kind::notarize && held.notarized == x.block)
                     || (x.kind == item_kind::finalize && held.finalized == x.block);
  if (known) return;
  if (!verify(x, nodes_set_, keys_)) return report(node, "certificates verify", describe(x));
  const auto conflicts = [&](const std::optional<digest>& other) {
    return other && *other != x.block;
  };
  if (x.kind == item_kind::nullify)
    held.nullified = true;
  else if (conflicts(held.notarized) || conflicts(held.finalized))
    return report(node, "one certified block a view", describe(x));
  if (x.kind == item_kind::notarize) held.notarized = x.block;
  if (x.kind == item_kind::finalize) held.finalized = x.block;
  if (held.nullified && held.finalized)
    report(node, "no nullification beside a finalization", describe(x));
}

// --- blocks

void checker::learn(const block_ptr& block) { blocks_.emplace(block->id, block); }

void checker::learn(const wire_message& x) {
  if (const auto* said = std::get_if<proposal>(&x)) learn(said->block);
  if (const auto* said = std::get_if<fetched_block>(&x)) learn(said->block);
  if (const auto* said = std::get_if<fetched_range>(&x))
    for (const auto& block : said->blocks)
      learn(block);
}

const full_cut* checker::cut_after(const digest& block) {
  std::vector<block_ptr> path;
  auto at = block;
  auto known = cuts_.find(at);
  while (known == cuts_.end()) {
    const auto found = blocks_.find(at);
    if (found == blocks_.end()) return nullptr;
    path.push_back(found->second);
    at = found->second->content.parent;
    known = cuts_.find(at);
  }
  auto cut = known->second;
  for (auto next = path.rbegin(); next != path.rend(); ++next)
    cuts_[(*next)->id] = cut = extend(std::move(cut), (*next)->content.cut);
  return &cuts_[block];
}

void checker::delivered(node_index node, const consensus::deliver& what) {
  auto& self = nodes_[node];
  const auto& content = what.block->content;
  learn(what.block);
  if (content.height != self.delivered + 1)
    report(node, "heights are consecutive",
           "delivered " + describe(content) + " after h" + std::to_string(self.delivered));
  else if (content.parent != self.delivered_block)
    report(node, "heights are consecutive",
           "delivered " + describe(content) + ", which does not follow the block before");
  self.delivered = content.height;
  self.delivered_block = what.block->id;
  check_final_block(node, *what.block);
  for (const auto& each : content.contradictions)
    self.seen.insert(offence_of(each));
  const auto* cut = cut_after(what.block->id);
  if (!cut || *cut != what.full_cut)
    report(node, "the cut follows the chain", describe(content));
  const auto [place, first] =
      decided_.emplace(content.height, decision{what.block->id, std::nullopt, what.full_cut});
  if (!first && place->second.block != what.block->id)
    report(node, "agreement",
           "delivered " + describe(content) + " " + what.block->id.short_hex()
               + ", another node has " + place->second.block.short_hex());
  if (what.finalization) {
    hold(node, *what.finalization);
    if (what.finalization->kind != item_kind::finalize
        || what.finalization->block != what.block->id)
      report(node, "certificates verify",
             "delivered " + describe(content) + " with " + describe(*what.finalization));
  }
}

void checker::executed(node_index node, block_height height, const digest& execution) {
  auto& place = decided_[height];
  if (!place.execution)
    place.execution = execution;
  else if (*place.execution != execution)
    report(node, "same input, same output",
           "execution digest of h" + std::to_string(height) + " differs");
}

void checker::pruned(node_index node, view_number through, const model_disk& disk) {
  const auto final_view = disk.ledger().back().block->content.view;
  if (through > final_view)
    report(node, "forget only what is in the ledger",
           "prune through v" + std::to_string(through) + ", the ledger ends at v"
               + std::to_string(final_view));
}

void checker::observed(node_index node, const evidence& what) {
  const bool holds = contradicts(what.first, what.second) && keys_.check(what.first)
                     && keys_.check(what.second);
  if (!holds || is_honest(what.first.signer))
    report(node, "no wrong accusation",
           describe(what.first) + " against " + describe(what.second));
}

void checker::halted(node_index node, const std::string& reason) {
  report(node, "never halted", reason);
}

/// Of its lane a place is free again only if what stood there is nowhere any more: the node
/// cannot know of it, and nobody can hold it against the node.
void checker::put_back(node_index node, const model_disk& disk,
                       const std::function<bool(const digest&)>& elsewhere) {
  auto& self = nodes_[node];
  lost_vote_log(node);
  self.announced.clear();
  std::erase_if(self.lane, [&](const auto& place) {
    return !disk.find(place.second) && !elsewhere(place.second);
  });
  crashed(node, disk);
}

void checker::crashed(node_index node, const model_disk& disk) {
  auto& self = nodes_[node];
  self.delivered = disk.ledger().back().block->content.height;
  self.delivered_block = disk.ledger().back().block->id;
  self.executed = self.started_at = self.delivered;
  self.found.clear();
  self.seen.clear();
  self.last_sent = nullptr;
  self.final_cut = disk.ledger().back().cut;
  witnesses_[node].forget();
  if (self.observes_only) return; // its log knows of no vote
  // S7.2: what it has voted for is the first proposal that it saw, after a restart too.
  for (const auto& [view, said_there] : self.stored)
    if (said_there.notarized && self.kept.contains(*said_there.notarized))
      if (const auto voted = blocks_.find(*said_there.notarized); voted != blocks_.end())
        witnesses_[node].voted_for(voted->second->as_item());
}

} // namespace tallymesh::simulation
