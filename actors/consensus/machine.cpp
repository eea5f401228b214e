#include "actors/consensus/machine.hpp"

#include "messages/overload.hpp"

#include <algorithm>

namespace tallymesh::consensus {

namespace {

constexpr std::size_t max_pushed_certificates = 32;   // S14
constexpr std::size_t max_pushed_votes = 64;          // S14: keeps a push below a few KiB
constexpr std::size_t max_inline_nullifications = 64; // S6
constexpr std::size_t max_range_blocks = 1024;        // S17: more than any honest node sends
constexpr std::int64_t range_serving_ms = 50;         // S17: one range a peer in that time
// Since its last answer came, before it is asked again. Longer: an honest node is never
// refused, for it would wait for the answer as long as for a liar's.
constexpr std::int64_t range_asking_ms = 60;
constexpr std::size_t required_ahead = 8; // final blocks whose batches are fetched at once
constexpr std::size_t remembered_executions = 1024;
constexpr std::size_t early_attestations = 16;        // a peer
constexpr std::uint64_t tolerated_bad_signatures = 8; // a link
constexpr block_height near_gap = 8;           // behind by more: catching up, fetch ranges
constexpr std::uint64_t max_backoff_steps = 8; // 1.5^8 = 25.6, capped at 25 below
// Of one node: a block takes four, and one that lies all the time must not keep out what others
// did. The rest is in the log.
constexpr std::ptrdiff_t max_untold_of_one = 256;
constexpr std::uint64_t told_window = 1024; // places of a lane, from the final cut

/// The votes of `kind` in a view_record.
template <class Record>
auto& votes_of(Record& at, item_kind kind) {
  return kind == item_kind::notarize  ? at.notarize
         : kind == item_kind::nullify ? at.nullify
                                      : at.finalize;
}

/// The certificate of `kind` in a view_record.
template <class Record>
auto& certificate_of(Record& at, item_kind kind) {
  return kind == item_kind::notarize  ? at.notarization
         : kind == item_kind::nullify ? at.nullification
                                      : at.finalization;
}

} // namespace

machine::machine(settings chosen, recovered from_storage)
    : settings_(std::move(chosen)), executed_(std::move(from_storage.tip)),
      peers_(settings_.nodes.size), available_(settings_.nodes.size),
      observe_only_(from_storage.observe_only) {
  TALLYMESH_INVARIANT(executed_.block && executed_.full_cut.size() == settings_.nodes.size);
  auto& tip = hold(executed_.block);
  tip.full_cut = executed_.full_cut;
  tip.batches = batches_state::ready;
  tip.persisted = true;
  finalized_view_ = executed_.block->content.view;
  finalized_block_ = executed_.block->id;
  last_finalization_ = executed_.finalization;
  executions_[executed_.block->content.height] = executed_.execution;
  frontier_ = finalized_view_ + 1;
  for (const auto& each : from_storage.records)
    restore(each);
  // S16: the frontier follows from the certificates, never from "the last record".
  while (advance_frontier()) {
  }
  follow_finalization();
  out_.clear(); // nothing is said or kept before `started`
}

void machine::restore(const record& x) {
  const auto keep = [this](const block_ptr& block) -> held_block* {
    if (block->content.view <= finalized_view_) return nullptr;
    auto& held = hold(block);
    held.persisted = true;
    return &held;
  };
  std::visit(overload{[&](const vote& own) {
                        if (own.position <= finalized_view_) return;
                        auto& at = view_at(own.position);
                        votes_of(at, own.kind).emplace(own.signer, own);
                      },
                      [&](const own_proposal& own) {
                        if (!keep(own.block)) return;
                        auto& at = view_at(own.block->content.view);
                        at.proposal = own.block;
                        at.proposed_here = true;
                      },
                      [&](const kept_block& kept) {
                        if (!keep(kept.block)) return;
                        auto& at = view_at(kept.block->content.view);
                        // S7.2: what was voted for was the first proposal seen.
                        const auto own = at.notarize.find(self());
                        if (!at.proposal && own != at.notarize.end()
                            && own->second.what == kept.block->id)
                          at.proposal = kept.block;
                      },
                      [&](const certificate& kept) { add_certificate(kept, true); }},
             x);
}

std::vector<effect> machine::handle(const event& happened) {
  now_ = happened.at;
  out_.clear();
  if (!halted_) {
    std::visit([this](const auto& what) { on(what); }, happened.what);
    advance();
  }
  return std::move(out_);
}

// --- what arrives

void machine::on(const started&) {
  for (auto& peer : peers_)
    peer.heard_ms = now_.monotonic_ms;
  entered_ms_ = now_.monotonic_ms;
  next_status_ms_ = now_.monotonic_ms; // S16: send Status
  // A node that is a quorum by itself hears nobody repeat what its stored votes amount to.
  std::vector<vote> own;
  for (const auto& [view, at] : views_)
    for (const auto* votes : {&at.notarize, &at.nullify, &at.finalize})
      if (const auto mine = votes->find(self()); mine != votes->end())
        own.push_back(mine->second);
  for (const auto& each : own)
    add_vote(each);
}

void machine::on(const received& x) {
  if (x.from >= peers_.size() || x.from == self() || ignored(x.from)) return;
  peers_[x.from].heard_ms = now_.monotonic_ms;
  std::visit([&](const auto& message) { read(x.from, message); }, x.message);
}

void machine::on(const peer_up& x) {
  if (x.peer >= peers_.size() || x.peer == self()) return;
  peers_[x.peer].up = true;
  peers_[x.peer].bad_signatures = 0;
  peers_[x.peer].heard_ms = now_.monotonic_ms;
  emit(send{x.peer, own_status()}); // S14: and on link-up
}

void machine::on(const peer_down& x) {
  if (x.peer >= peers_.size()) return;
  auto& peer = peers_[x.peer];
  peer.up = false;
  // S13: a closed link is heard from as little as a silent one.
  peer.heard_ms = std::min(peer.heard_ms, now_.monotonic_ms - 4 * settings_.delta_ms);
}

void machine::on(const work_changed& x) {
  std::fill(available_.begin(), available_.end(), lane_tip{});
  for (const auto& tip : x.available)
    if (tip.lane < available_.size()) available_[tip.lane] = tip;
  cut_asked_ = false;
}

void machine::on(const cut_built& x) {
  const auto parent = best_parent();
  if (!cut_asked_) return;
  if (parent.block != x.parent) {
    cut_asked_ = false; // a better parent came meanwhile: ask again
    return;
  }
  if (!x.cut.empty()) propose(parent, x.cut);
  // Nothing may follow after all: cut_asked_ stays set until the mempool reports other work.
}

void machine::on(const batches_ready& x) {
  if (auto* held = find_block(x.block)) held->batches = batches_state::ready;
}

void machine::on(const batches_invalid& x) {
  auto* held = find_block(x.block);
  if (!held || held->batches == batches_state::ready) return;
  if (held->batches == batches_state::asked_certified)
    return halt(
        "a certified block at height " + std::to_string(held->block->content.height)
        + " orders batches that cannot follow its parent's; more than f nodes are faulty");
  held->batches = batches_state::invalid;
}

void machine::on(const evidence_found& x) { keep_for_the_chain(x.what); }

void machine::on(const executed& x) {
  TALLYMESH_INVARIANT(x.height > executed_.block->content.height);
  while (executed_.block->content.height < x.height) {
    TALLYMESH_INVARIANT(delivered_ > 0 && !final_chain_.empty());
    const auto* held = find_block(final_chain_.front());
    executed_.block = held->block;
    executed_.full_cut = held->full_cut;
    final_chain_.pop_front();
    --delivered_;
  }
  executed_.execution = x.execution;
  attest(x.height, x.execution);
  // S10: pruned only now, and never signed for again because finalized_view_ is not below it.
  const auto view = executed_.block->content.view;
  views_.erase(views_.begin(), views_.upper_bound(view));
  std::erase_if(blocks_, [&](const auto& each) {
    return each.second.block->content.view < view
           || (each.second.block->content.view == view && each.first != executed_.block->id);
  });
  std::erase_if(told_, [&](const auto& each) { return !may_be_observed(each); });
  wanted_
      .clear(); // what is still needed asks again; a block that all pruned is asked for no more
  emit(prune{view});
}

void machine::on(const alarm_rang&) {
  alarm_ms_ = -1;
  retry_wanted_blocks();
}

// --- messages

void machine::read(node_index from, const proposal& x) {
  const auto& block = *x.block;
  const auto view = block.content.view;
  if (x.justification.size() > limits::max_justification || view <= finalized_view_
      || block.content.epoch != settings_.nodes.epoch
      || block.leader != settings_.nodes.leader(view)) // S7.2
    return;
  const auto* before = find_view(view);
  if (before && before->reported.contains(block.leader))
    return; // a proven liar costs nothing more
  if (!before || !before->proposal || before->proposal->id != block.id)
    if (!vouched(from, settings_.keys.check(block.as_item()))) return; // S7.2
  for (const auto& each : x.justification) {
    if (each.view <= finalized_view_ || each.view >= view) continue;
    read(from, each);
    if (ignored(from)) return;
  }
  if (!in_window(view)) return;
  auto& at = view_at(view);
  if (at.proposal && at.proposal->id == block.id) return;
  if (at.proposal) { // S7.2: only the first one counts; S18
    at.reported.insert(block.leader);
    observe({at.proposal->as_item(), block.as_item()});
    return;
  }
  at.proposal = x.block;
  hold(x.block);
}

void machine::read(node_index from, const vote& x) {
  const bool known_kind = x.kind == item_kind::notarize || x.kind == item_kind::nullify
                          || x.kind == item_kind::finalize;
  if (!known_kind || x.signer >= settings_.nodes.size || !in_window(x.position)) return;
  if ((x.kind == item_kind::nullify) != x.what.is_zero()) return;
  auto& at = view_at(x.position);
  const auto first = votes_of(at, x.kind).find(x.signer);
  if (first != votes_of(at, x.kind).end() && first->second.what == x.what)
    return; // S4: the first never changes
  if (first != votes_of(at, x.kind).end() && at.reported.contains(x.signer)) return;
  if (!vouched(from, settings_.keys.check(x))) return;
  add_vote(x);
}

void machine::read(node_index from, const certificate& x) {
  // A finalization is good however far ahead; others only near the frontier (S4).
  if (x.view <= finalized_view_ || (x.kind != item_kind::finalize && !in_window(x.view)))
    return;
  if (const auto* at =
          find_view(x.view)) // S4: held already; verifying again would tell nothing
    if (const auto& held = certificate_of(*at, x.kind); held && held->block == x.block) return;
  if (vouched(from, verify(x, settings_.nodes, settings_.keys).has_value()))
    add_certificate(x, true);
}

void machine::read(node_index from, const status& x) {
  auto& peer = peers_[from];
  peer.last = x;
  push_to(from, x);
}

void machine::read(node_index from, const fetch_block& x) {
  if (const auto* held = find_block(x.block); held && held->block->content.height > 0)
    emit(send{from, fetched_block{held->block}});
}

void machine::read(node_index from, const fetched_block& x) {
  // The digest was asked for; leader and signature travel beside it.
  if (wanted_.contains(x.block->id) && vouched(from, is_by_its_leader(*x.block))) hold(x.block);
}

void machine::read(node_index from, const fetch_range& x) {
  auto& peer = peers_[from];
  if (x.from == 0 || x.from > executed_.block->content.height) return;
  if (peer.range_served_ms + range_serving_ms > now_.monotonic_ms && peer.range_served_ms != 0)
    return; // bounds a flood
  peer.range_served_ms = now_.monotonic_ms;
  emit(serve_range{from, x.from});
}

void machine::read(node_index from, const fetched_range& x) {
  if (x.blocks.empty() || x.blocks.size() > max_range_blocks) return;
  const auto& last = *x.blocks.back();
  if (x.finalization.kind != item_kind::finalize || x.finalization.block != last.id
      || x.finalization.view != last.content.view
      || last.content.view <= executed_.block->content.view)
    return;
  if (x.blocks.front()->content.height > final_height() + 1
      || last.content.height <= final_height())
    return;
  // S17: the certificate, then hash links backwards.
  if (!vouched(from, verify(x.finalization, settings_.nodes, settings_.keys).has_value()))
    return;
  for (std::size_t i = x.blocks.size(); i-- > 1;)
    if (x.blocks[i]->content.parent != x.blocks[i - 1]->id
        || x.blocks[i]->content.height != x.blocks[i - 1]->content.height + 1)
      return;
  for (const auto& each : x.blocks)
    if (each->content.height > final_height() && !vouched(from, is_by_its_leader(*each)))
      return;
  for (const auto& each : x.blocks)
    if (each->content.height > final_height()) hold(each);
  add_certificate(x.finalization, true);
  extend_final_chain(last.id);
  peers_[from].range_free_ms = now_.monotonic_ms + range_asking_ms;
  if (from == range_peer_) range_asked_ms_.reset();
}

void machine::read(node_index from, const attestation& x) {
  if (x.item.kind != item_kind::attestation || x.item.signer >= peers_.size()
      || x.item.signer == self())
    return;
  auto& peer = peers_[x.item.signer];
  const auto known = peer.early.find(x.item.position);
  if (x.item.position <= peer.attested || known != peer.early.end()
      || !vouched(from, settings_.keys.check(x.item)))
    return;
  if (x.item.position <= executed_.block->content.height)
    return compare_attestation(x.item.signer, x.item.position, x.item.what);
  peer.early.emplace(x.item.position, x.item.what);
  if (peer.early.size() > early_attestations) peer.early.erase(peer.early.begin());
}

/// Honest nodes pass on only what they have checked. A link that brings bad signatures is not
/// listened to until it is made anew, so that checking them cannot be made to fill this node's
/// time.
bool machine::vouched(node_index from, bool good) {
  if (!good) ++peers_[from].bad_signatures;
  return good;
}

bool machine::ignored(node_index from) const {
  return peers_[from].bad_signatures > tolerated_bad_signatures;
}

bool machine::is_by_its_leader(const sealed_block& block) const {
  return block.leader == settings_.nodes.leader(block.content.view)
         && settings_.keys.check(block.as_item());
}

// --- votes and certificates

/// S18: keeps the first vote of a kind, and reports the first contradiction of each signer.
void machine::note_vote(view_record& at, const vote& x) {
  votes_of(at, x.kind).emplace(x.signer, x); // S4: the first never changes
  for (const auto kind : {item_kind::notarize, item_kind::nullify, item_kind::finalize}) {
    const auto other = votes_of(at, kind).find(x.signer);
    if (other == votes_of(at, kind).end() || !contradicts(other->second, x)) continue;
    if (at.reported.insert(x.signer).second) observe({other->second, x});
    return;
  }
}

// --- evidence (S18)

machine::offence machine::offence_of(const evidence& x) {
  return {x.first.signer, x.first.kind == item_kind::batch, x.first.position};
}

/// Seen by this node itself: an alarm, and work for the next block that it proposes.
void machine::observe(const evidence& what) {
  ++evidence_;
  emit(observed{what});
  keep_for_the_chain(what);
}

void machine::keep_for_the_chain(const evidence& what) {
  const auto key = offence_of(what);
  const auto of_it = std::count_if(untold_.begin(), untold_.end(), [&](const auto& each) {
    return each.first.signer == key.signer;
  });
  if (of_it < max_untold_of_one && !told_.contains(key)) untold_.emplace(key, what);
}

/// What the next block takes: in order, and nothing that its ancestors carry already. It rides
/// along with other work and is none itself, so that idle stays quiet.
std::vector<evidence> machine::untold_evidence(const held_block& parent) const {
  std::set<offence> carried;
  for (const auto* at = &parent; at->block->content.view > executed_.block->content.view;) {
    for (const auto& each : at->block->content.contradictions)
      carried.insert(offence_of(each));
    const auto before = blocks_.find(at->block->content.parent);
    if (before == blocks_.end()) break;
    at = &before->second;
  }
  std::vector<evidence> taken;
  for (const auto& [key, each] : untold_)
    if (taken.size() < limits::max_block_evidence && !carried.contains(key))
      taken.push_back(each);
  return taken;
}

/// A final block tells it: nobody here needs to again.
void machine::settle_evidence(const block& final_one) {
  for (const auto& each : final_one.contradictions) {
    const auto key = offence_of(each);
    untold_.erase(key);
    if (may_be_observed(key)) told_.insert(key);
  }
}

/// Bounds what is remembered of others' offences, whatever leaders put into blocks.
bool machine::may_be_observed(const offence& x) const {
  if (x.signer >= settings_.nodes.size) return false;
  if (!x.of_lane)
    return x.position > executed_.block->content.view
           && x.position <= std::max(frontier_, finalized_view_) + 8u * settings_.nodes.size;
  const auto final_seq = executed_.full_cut[x.signer].seq; // the mempool may not know of it yet
  return std::max(x.position, final_seq) - std::min(x.position, final_seq) <= told_window;
}

// --- certificates

void machine::add_vote(const vote& x) {
  auto& at = view_at(x.position);
  note_vote(at, x);
  certificate made{x.kind, x.position, x.what, {}};
  for (const auto& [signer, each] : votes_of(at, x.kind))
    if (each.what == x.what) made.votes.emplace_back(signer, each.signed_by);
  if (made.votes.size() >= settings_.nodes.quorum()) add_certificate(made, true);
}

bool machine::add_certificate(const certificate& x, bool verified) {
  if (x.view <= executed_.block->content.view) return false;
  if (const auto* at =
          find_view(x.view)) { // S4: held already; a second verification would tell nothing
    const auto& slot = certificate_of(*at, x.kind);
    if (slot && slot->block == x.block) return false;
  }
  if (!verified && !verify(x, settings_.nodes, settings_.keys)) return false;
  auto& at = view_at(x.view);
  auto& slot = certificate_of(at, x.kind);
  if (slot) {
    halt("two certificates of kind " + std::string(to_string(x.kind))
         + " for different blocks in view " + std::to_string(x.view)
         + "; more than f nodes are faulty");
    return false;
  }
  const bool was_cleared = at.notarization || at.nullification;
  slot = x;
  for (const auto& [signer, signed_by] : x.votes)
    note_vote(at, {x.kind, signer, x.view, x.block, signed_by});
  check_consistent(x.view, at);
  // S15: what clears a view is stored before anything beyond that view is signed.
  const bool clears = x.kind == item_kind::finalize ? x.view >= frontier_ : !was_cleared;
  if (clears) emit(persist{{x}});
  if (x.kind == item_kind::finalize && x.view > finalized_view_) {
    finalized_view_ = x.view;
    finalized_block_ = x.block;
    last_finalization_ = x;
    slow_views_ = 0; // S12
    // Nobody needs single votes of views that are final; during a long catch-up they would add
    // up.
    for (auto each = views_.begin(); each != views_.end() && each->first < x.view; ++each)
      for (auto* votes :
           {&each->second.notarize, &each->second.nullify, &each->second.finalize})
        votes->clear();
  }
  return true;
}

/// S10: a finalization beside a nullification or another block's notarization cannot be.
void machine::check_consistent(view_number view, const view_record& at) {
  if (at.finalization && at.nullification)
    halt("view " + std::to_string(view)
         + " holds a finalization and a nullification; more than f nodes are faulty");
  else if (at.finalization && at.notarization
           && at.finalization->block != at.notarization->block)
    halt("view " + std::to_string(view)
         + " notarized one block and finalized another; more than f nodes are faulty");
}

/// Signs and says a vote; the vote and its block are stored first (S15).
void machine::cast(item_kind kind, view_number view, const digest& block,
                   const held_block* keep) {
  const auto own = settings_.keys.make(kind, view, block);
  persist stored;
  if (keep && !keep->persisted) {
    stored.records.emplace_back(kept_block{keep->block});
    find_block(block)->persisted = true;
  }
  stored.records.emplace_back(own);
  emit(std::move(stored));
  emit(broadcast{own});
  add_vote(own);
}

void machine::halt(std::string reason) {
  if (halted_) return;
  halted_ = true;
  emit(halted{std::move(reason)});
}

// --- the rules

void machine::advance() {
  for (bool moved = true; moved && !halted_;) {
    moved = advance_frontier();
    follow_finalization();
    measure_work();
    moved |= try_finalize();
    moved |= try_propose();
    moved |= try_notarize();
    moved |= try_nullify();
    moved |= try_deliver();
  }
  if (halted_) return;
  catch_up();
  if (now_.monotonic_ms >= next_status_ms_) send_status();
  schedule();
}

/// S5: the smallest view above the finalized one that holds neither notarization nor
/// nullification.
bool machine::advance_frontier() {
  const auto before = frontier_;
  frontier_ = std::max(frontier_, finalized_view_ + 1);
  for (const auto* at = find_view(frontier_); at && (at->notarization || at->nullification);
       at = find_view(frontier_)) {
    // S12. Notarized too late for this node counts as well: it cannot finalize what it gave up,
    // and if f + 1 nodes do that in each view nothing ever becomes final.
    const bool gave_up = !at->notarization || voted(item_kind::nullify, frontier_);
    if (gave_up && !leader_is_silent(frontier_)) ++slow_views_;
    ++frontier_;
  }
  if (frontier_ == before) return false;
  entered_ms_ = now_.monotonic_ms;
  work_since_ms_.reset();
  nullify_repeat_ms_ = 0;
  cut_asked_ = false;
  return true;
}

/// S6.
bool machine::try_propose() {
  const auto view = frontier_;
  if (silent() || settings_.nodes.leader(view) != self() || !work_since_ms_) return false;
  const auto* at = find_view(view);
  if ((at && at->proposal) || voted(item_kind::nullify, view))
    return false; // one proposal a view, for ever
  const auto choice = best_parent();
  auto* parent = find_block(choice.block);
  if (!parent) {
    want_block(choice.block, settings_.nodes.leader(choice.view));
    return false;
  }
  if (!resolve_cut(*parent)) return false;
  if (has_new_batches(choice) && !cut_asked_) { // S11 W1
    cut_asked_ = true;
    emit(build_cut{choice.block, parent->full_cut});
    return false;
  }
  if (has_open_suffix(choice)
      && now_.monotonic_ms >= entered_ms_ + settings_.delta_ms) { // S11 W2
    propose(choice, {});
    return true;
  }
  return false;
}

void machine::propose(const parent_choice& choice, std::vector<lane_tip> cut) {
  const auto view = frontier_;
  const auto* parent = find_block(choice.block);
  if (silent() || settings_.nodes.leader(view) != self() || voted(item_kind::nullify, view)
      || !parent || parent->full_cut.empty() || view_at(view).proposal)
    return;
  const auto& before = parent->block->content;
  block content{settings_.nodes.epoch,
                view,
                before.height + 1,
                choice.view,
                choice.block,
                std::move(cut),
                {executed_.block->content.height, executed_.execution},
                std::max(before.time_ms, now_.wall_ms),
                untold_evidence(*parent)};
  const auto made = seal(settings_.keys, std::move(content));
  auto& held = hold(made);
  held.persisted = true;
  held.batches = batches_state::ready; // the mempool builds cuts from stored batches only
  auto& at = view_at(view);
  at.proposal = made;
  at.proposed_here = true;
  emit(persist{{own_proposal{made}}}); // S15: the block before its proposal
  emit(broadcast{with_justification(made)});
}

/// S7.4: notarized at a view above the finalized one, or the finalized block itself.
bool machine::parent_is_certified(const block& content) const {
  if (content.parent_view == finalized_view_) return content.parent == finalized_block_;
  const auto* at =
      content.parent_view > finalized_view_ ? find_view(content.parent_view) : nullptr;
  return at && at->notarization && at->notarization->block == content.parent;
}

/// S7.5: every view between the parent's and this one is nullified.
bool machine::gap_is_nullified(const block& content) const {
  for (auto view = content.parent_view + 1; view < content.view; ++view) {
    const auto* at = find_view(view);
    if (!at || !at->nullification) return false;
  }
  return true;
}

/// S7.6: what can be said of a block beside its parent, whatever else arrives later.
machine::validity machine::judge(const sealed_block& block, const held_block& parent) const {
  const auto& x = block.content;
  const auto& before = parent.block->content;
  if (x.height != before.height + 1 || x.parent_view != before.view) return validity::never;
  // What the parent's time was is agreed already: clocks that were ahead and went back stop
  // nothing.
  const auto latest = std::max(before.time_ms, now_.wall_ms + settings_.clock_tolerance_ms);
  if (x.time_ms < before.time_ms || x.time_ms > latest) return validity::never;
  std::uint64_t batches = 0;
  for (const auto& tip : x.cut) {
    if (tip.lane >= settings_.nodes.size || tip.seq <= parent.full_cut[tip.lane].seq)
      return validity::never;
    const auto added = tip.seq - parent.full_cut[tip.lane].seq;
    if (added > limits::max_block_batches) return validity::never;
    batches += added;
  }
  if (batches > limits::max_block_batches) return validity::never;
  if (x.executed.height >= x.height) return validity::never;
  const auto own = executions_.find(x.executed.height);
  if (own != executions_.end() && own->second != x.executed.execution) return validity::never;
  return validity::valid;
}

/// S18. Depends on nothing but the block, so that it is said once.
bool machine::tells_the_truth(const block& content) const {
  return std::all_of(
      content.contradictions.begin(), content.contradictions.end(), [&](const evidence& each) {
        return contradicts(each.first, each.second) && settings_.keys.check(each.first)
               && settings_.keys.check(each.second);
      });
}

/// S7.4 to S7.7 for the first proposal of `view`; asks for what is missing.
machine::validity machine::examine_proposal(view_number view) {
  const auto& proposed = view_at(view).proposal;
  const auto& content = proposed->content;
  if (!parent_is_certified(content)) return validity::wait; // S7.4
  if (!gap_is_nullified(content)) return validity::wait;    // S7.5
  auto* parent = find_block(content.parent);
  if (!parent) {
    want_block(content.parent, proposed->leader);
    return validity::wait;
  }
  if (!resolve_cut(*parent)) return validity::wait;
  if (judge(*proposed, *parent) == validity::never) return validity::never; // S7.6
  auto& truthful = view_at(view).truthful;
  if (!truthful) truthful = tells_the_truth(content);
  if (!*truthful) return validity::never;
  auto& held = hold(proposed);
  if (!resolve_cut(held)) return validity::wait;
  if (held.batches == batches_state::invalid) return validity::never;
  if (held.batches == batches_state::unknown) require(held, false);
  return held.batches == batches_state::ready ? validity::valid : validity::wait; // S7.7
}

bool machine::try_notarize() {
  const auto view = frontier_; // S7.1
  const auto* at = find_view(view);
  if (silent() || !at || !at->proposal) return false;                                    // S7.2
  if (voted(item_kind::notarize, view) || voted(item_kind::nullify, view)) return false; // S7.3
  const auto verdict = examine_proposal(view);
  if (verdict == validity::wait) return false;
  if (verdict == validity::never) { // S8: the proposal is invalid for ever
    cast(item_kind::nullify, view, {}, nullptr);
    return true;
  }
  const auto id = view_at(view).proposal->id;
  cast(item_kind::notarize, view, id, find_block(id));
  return true;
}

/// S8.
bool machine::try_nullify() {
  const auto view = frontier_;
  if (silent()) return false;
  const auto* at = find_view(view);
  if (voted(item_kind::nullify, view)) { // S14: repeated while there is work
    if (work_since_ms_ && now_.monotonic_ms >= nullify_repeat_ms_) {
      if (nullify_repeat_ms_ != 0) emit(broadcast{at->nullify.at(self())});
      nullify_repeat_ms_ = now_.monotonic_ms + 2 * settings_.delta_ms;
    }
    return false;
  }
  if (voted(item_kind::finalize, view)) return false;
  const bool leader_gave_up = at && at->nullify.contains(settings_.nodes.leader(view));
  const bool expired = work_since_ms_ && now_.monotonic_ms >= nullify_deadline(); // S12
  // f+1 gave up, so an honest one did: whoever lacks its work joins, and no view is stuck
  // half-left.
  const bool others_gave_up = at && at->nullify.size() > settings_.nodes.faulty();
  if (!leader_gave_up && !others_gave_up && !expired) return false;
  cast(item_kind::nullify, view, {}, nullptr);
  return true;
}

/// S9.
bool machine::try_finalize() {
  if (silent()) return false;
  bool cast_any = false;
  std::vector<view_number> open;
  for (auto at = views_.upper_bound(finalized_view_); at != views_.end(); ++at)
    if (at->second.notarization) open.push_back(at->first);
  for (const auto view : open) {
    if (voted(item_kind::finalize, view)) continue;
    if (voted(item_kind::nullify, view)) continue;
    const auto& at = view_at(view);
    const auto& notarization = *at.notarization;
    // S18: an equivocating leader's other block may carry the quorum; who notarized the first
    // one says nothing of it, because both votes together would look like a fault of its own.
    if (const auto own = at.notarize.find(self());
        own != at.notarize.end() && own->second.what != notarization.block)
      continue;
    auto* held = find_block(notarization.block);
    if (!held) {
      want_block(notarization.block, notarization.votes.front().first);
      continue;
    }
    if (!resolve_cut(*held)) continue;
    require(*held, true);
    if (held->batches != batches_state::ready) continue;
    cast(item_kind::finalize, view, held->block->id, held);
    cast_any = true;
  }
  return cast_any;
}

/// S10: final blocks go to the executor in height order, each once its batches are stored here.
bool machine::try_deliver() {
  bool moved = false;
  for (auto i = delivered_; i < final_chain_.size() && i < delivered_ + required_ahead; ++i) {
    auto* held = find_block(final_chain_[i]);
    if (resolve_cut(*held)) require(*held, true);
  }
  while (delivered_ < final_chain_.size() && delivered_ < settings_.undelivered_blocks) {
    auto* held = find_block(final_chain_[delivered_]);
    if (held->full_cut.empty() || held->batches != batches_state::ready) break;
    const auto* at = find_view(held->block->content.view);
    emit(deliver{held->block, held->full_cut,
                 at && at->finalization && at->finalization->block == held->block->id
                     ? at->finalization
                     : std::nullopt});
    ++delivered_;
    moved = true;
  }
  return moved;
}

const digest& machine::final_tip() const {
  return final_chain_.empty() ? executed_.block->id : final_chain_.back();
}

block_height machine::final_height() const {
  return executed_.block->content.height + final_chain_.size();
}

void machine::follow_finalization() {
  if (finalized_view_ > executed_.block->content.view) extend_final_chain(finalized_block_);
}

/// S10: the ancestors by hash link, from `final_block` back to what is final already.
void machine::extend_final_chain(const digest& final_block) {
  std::vector<digest> path;
  for (auto id = final_block; id != final_tip();) {
    const auto* held = find_block(id);
    if (!held) {
      // Far behind, ranges bring the blocks upwards; fetching one by one would hold them all.
      if (path.size() < near_gap) want_block(id, settings_.nodes.leader(finalized_view_));
      return;
    }
    if (held->block->content.height <= final_height()) {
      // Below the tip it must be a block of the chain; then nothing is new.
      const auto below = held->block->content.height;
      const auto base = executed_.block->content.height;
      if (path.empty() && below > base && final_chain_[below - base - 1] == id) return;
      return halt("the final block at height " + std::to_string(below)
                  + " conflicts with one that was final before; more than f nodes are faulty");
    }
    path.push_back(id);
    id = held->block->content.parent;
  }
  if (path.empty()) return;
  final_chain_.insert(final_chain_.end(), path.rbegin(), path.rend());
  for (const auto& each : path)
    settle_evidence(find_block(each)->block->content);
  behind_since_ms_.reset();
}

// --- blocks

machine::held_block* machine::find_block(const digest& id) {
  const auto at = blocks_.find(id);
  return at == blocks_.end() ? nullptr : &at->second;
}

machine::held_block& machine::hold(const block_ptr& block) {
  wanted_.erase(block->id);
  return blocks_.try_emplace(block->id, held_block{block, {}, batches_state::unknown, false})
      .first->second;
}

bool machine::resolve_cut(held_block& held) {
  std::vector<held_block*> unresolved;
  auto* at = &held;
  while (at->full_cut.empty()) {
    unresolved.push_back(at);
    auto* parent = find_block(at->block->content.parent);
    if (!parent) {
      if (unresolved.size() < near_gap)
        want_block(at->block->content.parent, at->block->leader);
      return false;
    }
    at = parent;
  }
  for (; !unresolved.empty(); unresolved.pop_back()) {
    auto full = at->full_cut;
    at = unresolved.back();
    for (const auto& tip : at->block->content.cut) {
      if (tip.lane >= full.size())
        return false; // no quorum notarizes this; as a proposal it is judged
      full[tip.lane] = tip;
    }
    at->full_cut = std::move(full);
  }
  return true;
}

/// Asks the mempool once, and once more with a quorum's word for it (S1: forks are stored
/// then).
void machine::require(held_block& held, bool certified) {
  if (held.batches == batches_state::ready || held.batches == batches_state::asked_certified)
    return;
  if (held.batches != batches_state::unknown && !certified) return;
  const auto* parent = find_block(held.block->content.parent);
  if (!parent || parent->full_cut.empty() || held.full_cut.empty()) return;
  if (held.block->content.cut.empty()) {
    held.batches = batches_state::ready;
    return;
  }
  held.batches = certified ? batches_state::asked_certified : batches_state::asked;
  emit(require_batches{held.block->id, parent->full_cut, held.full_cut, certified});
}

void machine::want_block(const digest& id, node_index first_peer) {
  if (wanted_.size() >= 4u * settings_.nodes.size) return; // what is still needed asks again
  const auto [at, fresh] = wanted_.try_emplace(id);
  if (!fresh) return;
  at->second = {now_.monotonic_ms, static_cast<node_index>((first_peer + 1) % peers_.size()),
                0};
  if (first_peer != self())
    emit(send{first_peer, fetch_block{id}});
  else
    at->second.asked_ms =
        now_.monotonic_ms - settings_.delta_ms; // ask another at the next alarm
}

void machine::retry_wanted_blocks() {
  for (auto& [id, want] : wanted_) {
    if (now_.monotonic_ms < want.asked_ms + settings_.delta_ms) continue;
    want.asked_ms = now_.monotonic_ms;
    ++want.attempts;
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      const auto peer = want.next_peer;
      want.next_peer = static_cast<node_index>((want.next_peer + 1) % peers_.size());
      if (peer == self() || !peers_[peer].up) continue;
      emit(send{peer, fetch_block{id}});
      break;
    }
  }
  // Nobody has it, it seems. A rogue's word keeps nobody asking; what is still needed asks
  // again.
  std::erase_if(wanted_,
                [&](const auto& each) { return each.second.attempts > 2 * peers_.size(); });
}

// --- work and time

const machine::view_record* machine::find_view(view_number view) const {
  const auto at = views_.find(view);
  return at == views_.end() ? nullptr : &at->second;
}

bool machine::voted(item_kind kind, view_number view) const {
  const auto* at = find_view(view);
  return at && votes_of(*at, kind).contains(self());
}

bool machine::in_window(view_number view) const { // S4
  return view > finalized_view_ && view <= frontier_ + 4u * settings_.nodes.size;
}

/// S6: the highest notarized or finalized view below the frontier. By S5 every view between
/// them is nullified.
machine::parent_choice machine::best_parent() const {
  for (auto at = views_.rbegin(); at != views_.rend() && at->first > finalized_view_; ++at)
    if (at->first < frontier_ && at->second.notarization)
      return {at->first, at->second.notarization->block};
  return {finalized_view_, finalized_block_};
}

bool machine::has_new_batches(const parent_choice& choice) const {
  const auto parent = blocks_.find(choice.block);
  if (parent == blocks_.end() || parent->second.full_cut.empty()) return false;
  for (std::size_t lane = 0; lane < available_.size(); ++lane)
    if (available_[lane].seq > parent->second.full_cut[lane].seq) return true;
  return false;
}

bool machine::has_open_suffix(const parent_choice& choice) const {
  for (auto at = choice; at.view > finalized_view_;) {
    const auto held = blocks_.find(at.block);
    if (held == blocks_.end() || !held->second.block->content.cut.empty()) return true;
    at = {held->second.block->content.parent_view, held->second.block->content.parent};
  }
  return false;
}

void machine::measure_work() { // S11
  const auto parent = best_parent();
  // After a restart, or where this node nullified the parent's view, nothing else has asked for
  // it.
  if (auto* held = find_block(parent.block))
    resolve_cut(*held);
  else
    want_block(parent.block, settings_.nodes.leader(parent.view));
  if (!has_new_batches(parent) && !has_open_suffix(parent))
    work_since_ms_.reset();
  else if (!work_since_ms_) {
    work_since_ms_ = now_.monotonic_ms;
    next_status_ms_ = std::min(next_status_ms_, now_.monotonic_ms + settings_.delta_ms);
  }
}

bool machine::heard_lately(node_index peer) const {
  return peer == self() || now_.monotonic_ms < peers_[peer].heard_ms + 4 * settings_.delta_ms;
}

bool machine::leader_is_silent(view_number view) const { // S13
  if (heard_lately(settings_.nodes.leader(view))) return false;
  std::uint16_t heard = 0;
  for (node_index i = 0; i < peers_.size(); ++i)
    heard = static_cast<std::uint16_t>(heard + heard_lately(i));
  return heard >= settings_.nodes.quorum();
}

std::int64_t machine::backoff(std::int64_t base_ms) const { // S12
  auto scaled = base_ms;
  for (std::uint64_t i = 0; i < std::min(slow_views_, max_backoff_steps); ++i)
    scaled = scaled * 3 / 2;
  return std::min(scaled, 25 * base_ms);
}

std::int64_t machine::nullify_deadline() const { // S12, S13
  const auto since = std::max(entered_ms_, *work_since_ms_);
  if (leader_is_silent(frontier_)) return since;
  const auto* at = find_view(frontier_);
  return since + backoff((at && at->proposal ? 3 : 2) * settings_.delta_ms);
}

void machine::schedule() {
  auto next = next_status_ms_;
  const auto consider = [&next](std::int64_t at) { next = std::min(next, at); };
  if (work_since_ms_ && !silent()) {
    const bool gave_up = voted(item_kind::nullify, frontier_);
    consider(gave_up ? nullify_repeat_ms_ : nullify_deadline());
    const auto* at = find_view(frontier_);
    if (settings_.nodes.leader(frontier_) == self() && !gave_up && !(at && at->proposal)
        && now_.monotonic_ms < entered_ms_ + settings_.delta_ms)
      consider(entered_ms_ + settings_.delta_ms);
  }
  for (const auto& [id, want] : wanted_)
    consider(want.asked_ms + settings_.delta_ms);
  if (range_asked_ms_)
    consider(*range_asked_ms_ + 4 * settings_.delta_ms);
  else if (range_due_ms_)
    consider(*range_due_ms_);
  else if (behind_since_ms_ && final_chain_.size() < 2 * settings_.undelivered_blocks)
    consider(*behind_since_ms_ + settings_.delta_ms);
  next = std::max(next, now_.monotonic_ms + 1);
  if (next == alarm_ms_) return;
  alarm_ms_ = next;
  emit(set_alarm{next});
}

// --- talk

status machine::own_status() const {
  return {frontier_, finalized_view_, executed_.block->content.height,
          work_since_ms_.has_value()};
}

void machine::send_status() { // S14
  if (peers_.size() > 1) emit(broadcast{own_status()});
  next_status_ms_ =
      now_.monotonic_ms + (work_since_ms_ ? settings_.delta_ms : settings_.idle_status_ms);
}

/// S14: at most one push a peer a Δ, and none to a peer that lacks nothing.
void machine::push_to(node_index index, const status& theirs) {
  auto& peer = peers_[index];
  if (peer.pushed_ms != 0 && now_.monotonic_ms < peer.pushed_ms + settings_.delta_ms) return;
  const auto before = out_.size();
  if (theirs.finalized_view < finalized_view_ && last_finalization_)
    emit(send{index, *last_finalization_});
  if (theirs.frontier < frontier_) {
    std::size_t sent = 0;
    for (auto at = views_.lower_bound(std::max(theirs.frontier, finalized_view_ + 1));
         at != views_.end() && at->first < frontier_ && sent < max_pushed_certificates; ++at)
      for (const auto* each : {&at->second.notarization, &at->second.nullification})
        if (*each) emit(send{index, **each}), ++sent;
  }
  if (work_since_ms_ && !theirs.pending && theirs.frontier >= frontier_) {
    // It passed this node's best parent by a nullification; with the notarization it has the
    // work too.
    const auto parent = best_parent();
    const auto* at = parent.view > theirs.finalized_view ? find_view(parent.view) : nullptr;
    if (at && at->notarization) emit(send{index, *at->notarization});
  }
  if (theirs.pending && !silent()) {
    std::size_t sent = 0;
    for (auto at = views_.upper_bound(theirs.finalized_view);
         at != views_.end() && sent < max_pushed_votes; ++at) {
      for (const auto* votes :
           {&at->second.notarize, &at->second.nullify, &at->second.finalize})
        if (const auto own = votes->find(self()); own != votes->end())
          emit(send{index, own->second}), ++sent;
      if (at->second.proposed_here && at->first >= theirs.frontier)
        emit(send{index, with_justification(at->second.proposal)});
    }
  }
  if (out_.size() != before) peer.pushed_ms = std::max<std::int64_t>(now_.monotonic_ms, 1);
}

/// S6: the parent's certificate and the nullifications of the gap; more than 64 are fetched.
proposal machine::with_justification(const block_ptr& block) const {
  proposal x{block, {}};
  const auto& content = block->content;
  const auto* parent = find_view(content.parent_view);
  if (parent && parent->notarization)
    x.justification.push_back(*parent->notarization);
  else if (last_finalization_ && last_finalization_->view == content.parent_view)
    x.justification.push_back(*last_finalization_);
  for (auto at = views_.upper_bound(content.parent_view);
       at != views_.end() && at->first < content.view; ++at)
    if (at->second.nullification && x.justification.size() <= max_inline_nullifications)
      x.justification.push_back(*at->second.nullification);
  return x;
}

/// What at least one honest node says it has executed: f of the claims may be lies.
block_height machine::claimed_height() const {
  std::vector<block_height> claims;
  for (const auto& peer : peers_)
    claims.push_back(peer.up ? peer.last.finalized_height : 0);
  std::sort(claims.rbegin(), claims.rend());
  return claims[settings_.nodes.faulty()];
}

/// S17: whom to ask for a range. Who did not answer lately is asked only if there is nobody
/// else, and who has just answered is waited for rather than that.
machine::range_source machine::next_range_source() const {
  range_source found;
  for (const bool also_failed : {false, true}) {
    for (std::size_t i = 1; i <= peers_.size(); ++i) {
      const auto index = static_cast<node_index>((range_peer_ + i) % peers_.size());
      const auto& peer = peers_[index];
      if (index == self() || !peer.up || peer.last.finalized_height <= final_height()) continue;
      const bool failed = peer.range_failed_ms != 0
                          && now_.monotonic_ms < peer.range_failed_ms + 60 * settings_.delta_ms;
      if (failed && !also_failed) continue;
      if (now_.monotonic_ms >= peer.range_free_ms) return {index, {}};
      found.free_ms = std::min(found.free_ms.value_or(peer.range_free_ms), peer.range_free_ms);
    }
    if (found.free_ms) break;
  }
  return found;
}

/// S17: asks one peer at a time for the blocks above what is final here.
void machine::catch_up() {
  range_due_ms_.reset();
  if (range_asked_ms_ && now_.monotonic_ms >= *range_asked_ms_ + 4 * settings_.delta_ms) {
    // What it said of its height counts again when it says it again: a liar is not asked for
    // ever.
    peers_[range_peer_].last.finalized_height = 0;
    peers_[range_peer_].range_failed_ms = now_.monotonic_ms;
    range_asked_ms_.reset();
  }
  block_height target = 0; // even one node may be the only one that has it
  for (const auto& peer : peers_)
    if (peer.up) target = std::max(target, peer.last.finalized_height);
  if (target <= final_height()) {
    behind_since_ms_.reset();
    range_asked_ms_.reset();
    return;
  }
  if (!behind_since_ms_) behind_since_ms_ = now_.monotonic_ms;
  const bool far = target > final_height() + near_gap;
  if (!far && now_.monotonic_ms < *behind_since_ms_ + settings_.delta_ms) return;
  if (range_asked_ms_) return;
  if (final_chain_.size() >= 2 * settings_.undelivered_blocks)
    return; // goes on when some are executed
  const auto [peer, free_ms] = next_range_source();
  range_due_ms_ = free_ms;
  if (!peer) return;
  range_peer_ = *peer;
  range_asked_ms_ = now_.monotonic_ms;
  peers_[range_peer_].range_free_ms = now_.monotonic_ms + range_asking_ms;
  emit(send{range_peer_, fetch_range{final_height() + 1}});
}

/// Says what executing `height` gave. While catching up only now and then: one digest covers
/// all before.
void machine::attest(block_height height, const digest& execution) {
  executions_[height] = execution;
  if (executions_.size() > remembered_executions) executions_.erase(executions_.begin());
  peers_[self()].attested = height;
  if (!silent() && peers_.size() > 1 && (final_chain_.empty() || height % 16 == 0))
    emit(
        broadcast{attestation{settings_.keys.make(item_kind::attestation, height, execution)}});
  for (node_index i = 0; i < peers_.size(); ++i) {
    auto& early = peers_[i].early;
    while (!early.empty() && early.begin()->first <= height) {
      const auto [at, digest_there] = *early.begin();
      early.erase(early.begin());
      compare_attestation(i, at, digest_there);
    }
  }
}

void machine::compare_attestation(node_index index, block_height height,
                                  const digest& execution) {
  auto& peer = peers_[index];
  const auto own = executions_.find(height);
  if (own == executions_.end()) return; // older than what is remembered
  if (own->second == execution) {
    peer.attested = std::max(peer.attested, height);
    return;
  }
  peer.differing = {height, execution};
  const auto same = std::count_if(peers_.begin(), peers_.end(), [&](const auto& each) {
    return each.differing == peer.differing;
  });
  if (same > settings_.nodes.faulty())
    halt("this node's tables differ: at height " + std::to_string(height) + " it computed "
         + own->second.short_hex() + " and " + std::to_string(same) + " nodes computed "
         + execution.short_hex() + "; compare tables with: tally compare");
}

// --- what a person asks

snapshot machine::look() const {
  snapshot x;
  x.frontier = frontier_;
  x.finalized_view = finalized_view_;
  x.finalized_height = final_height();
  x.executed_height = executed_.block->content.height;
  std::vector<block_height> attested;
  for (const auto& peer : peers_)
    attested.push_back(peer.attested);
  std::sort(attested.rbegin(), attested.rend());
  x.attested_height = attested[settings_.nodes.quorum() - 1];
  x.leader = settings_.nodes.leader(frontier_);
  x.pending = work_since_ms_.has_value();
  x.observing = observe_only_;
  x.halted = halted_;
  x.catching_up = claimed_height() > final_height() + near_gap;
  x.views_given_up = slow_views_;
  x.evidence = evidence_;
  x.untold_evidence = untold_.size();
  x.views_held = views_.size();
  x.blocks_held = blocks_.size();
  x.waiting_for = waiting_for();
  return x;
}

std::string machine::waiting_for() const {
  if (!work_since_ms_) return {};
  const auto* at = find_view(frontier_);
  const auto leader = std::to_string(settings_.nodes.leader(frontier_));
  if (!at || !at->proposal)
    return leader_is_silent(frontier_)
               ? "the leader, node " + leader + ", is silent; the view is being skipped"
               : "the proposal of node " + leader;
  const auto of_quorum = " of " + std::to_string(settings_.nodes.quorum());
  if (!voted(item_kind::notarize, frontier_) && !voted(item_kind::nullify, frontier_))
    return "the parent, certificates or batches of node " + leader + "'s proposal";
  return "votes: notarize " + std::to_string(at->notarize.size()) + of_quorum + ", nullify "
         + std::to_string(at->nullify.size()) + of_quorum;
}

} // namespace tallymesh::consensus
