#include "actors/mempool/machine.hpp"

#include <algorithm>
#include <limits>

namespace tallymesh::mempool {

namespace {

/// Of a batch's encoding that is not operations: place, parent, count. Rounded up.
constexpr std::size_t batch_overhead_bytes = 64;
/// Announcements beyond our own tip that are remembered of one peer and lane.
constexpr std::size_t claims_ahead = 8;
/// Batches in one answer that are looked at; a frame bounds their bytes.
constexpr std::size_t answer_batches = 1024;
/// Fetches that wait for one peer's answer, and fetches sent to one peer in a serving window.
/// The latter is half of what the peer serves, since its window begins when it likes: so that
/// an honest node is not refused.
constexpr std::size_t asked_at_once = 8;
constexpr std::size_t asked_per_window = 8;
constexpr std::int64_t serving_window_ms = 100;
constexpr std::size_t served_per_window = 16;
constexpr std::uint64_t served_batches_per_window = 1024;
constexpr std::uint64_t served_batches_at_once = 256;
/// Bad signatures of one link in such a window after which no more of it are checked.
constexpr std::size_t bad_signatures_per_window = 8;
/// Repeated announcements that change nothing come this many times rarer in the end.
constexpr std::int64_t announce_slowdown = 4;
/// A peer is asked this often for what it announced and did not give, until it is heeded again:
/// at once at first, and this many times `announce_ms` later in the end.
constexpr std::size_t asked_in_vain = 4;
/// For so many times the while after which a quorum will do, f - 1 nodes may be right (S16).
constexpr std::int64_t doubt_pauses = 4;
constexpr std::int64_t heeded_slowdown = 16;
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

batch_header header_of(const sealed_batch& x) {
  return {x.tip(), x.content.parent, x.full_bytes, x.content.operations.size(), x.signed_by};
}

lane_tip parent_of(const batch_header& x) { return {x.tip.lane, x.tip.seq - 1, x.parent}; }

signed_item item_of(const batch_header& x) {
  return {item_kind::batch, x.tip.lane, x.tip.seq, x.tip.batch, x.signed_by};
}

bool full_cut(const std::vector<lane_tip>& cut, std::size_t lanes) {
  if (cut.size() != lanes) return false;
  for (std::size_t i = 0; i < lanes; ++i)
    if (cut[i].lane != i || (cut[i].seq == 0) != cut[i].batch.is_zero()) return false;
  return true;
}

} // namespace

// --- a lane's own books

const batch_header* machine::lane_state::on_chain(std::uint64_t seq) const {
  if (seq <= final_tip.seq || seq - final_tip.seq > chain.size()) return nullptr;
  return &chain[seq - final_tip.seq - 1];
}

bool machine::lane_state::links(const lane_tip& x) const {
  if (x == final_tip) return true;
  const auto here = on_chain(x.seq);
  return here && here->tip == x;
}

const batch_header* machine::lane_state::stored(const lane_tip& x) const {
  if (const auto here = on_chain(x.seq); here && here->tip == x) return here;
  const auto there = aside.find(x.seq);
  if (there == aside.end()) return nullptr;
  for (const auto& each : there->second)
    if (each.tip == x) return &each;
  return nullptr;
}

const batch_header* machine::lane_state::rival(const lane_tip& x) const {
  if (const auto here = on_chain(x.seq); here && here->tip != x) return here;
  if (const auto there = aside.find(x.seq); there != aside.end())
    for (const auto& each : there->second)
      if (each.tip != x) return &each;
  const auto waiting = held.find(x.seq);
  return waiting != held.end() && waiting->second.header.tip != x ? &waiting->second.header
                                                                  : nullptr;
}

std::uint64_t machine::lane_state::first_fork() const {
  return forked.empty() ? std::numeric_limits<std::uint64_t>::max() : forked.begin()->first;
}

// --- start

machine::machine(settings with, recovered from) : set_(std::move(with)) {
  const std::size_t n = set_.nodes.size;
  TALLYMESH_INVARIANT(n > 0 && set_.keys.self < n && full_cut(from.final_cut, n));
  TALLYMESH_INVARIANT(set_.batch_bytes > 0 && set_.lane_window > 0 && set_.block_batches > 0
                      && set_.block_payload_bytes > batch_overhead_bytes);
  set_.batch_bytes = std::min({set_.batch_bytes, limits::max_batch_bytes - batch_overhead_bytes,
                               set_.block_payload_bytes - batch_overhead_bytes});
  lanes_.resize(n);
  up_.resize(n);
  serving_.resize(n);
  asking_.resize(n);
  forging_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    lanes_[i].final_tip = lanes_[i].available = from.final_cut[i];
    lanes_[i].peers.resize(n);
  }
  told_ms_.assign(n, never);
  own_lane_in_doubt_ = from.own_lane_in_doubt && n > 1;
  own_highest_ = lanes_[set_.keys.self].final_tip.seq;
  std::sort(from.stored.begin(), from.stored.end(),
            [](const auto& a, const auto& b) { return a.tip < b.tip; });
  for (const auto& each : from.stored) {
    TALLYMESH_INVARIANT(each.tip.lane < n);
    auto& lane = lanes_[each.tip.lane];
    if (each.tip.seq <= lane.final_tip.seq || lane.stored(each.tip)) continue;
    lane.aside[each.tip.seq].push_back(each);
    // S1: a number that was ever used for an own batch is not used for another.
    if (each.tip.lane == set_.keys.self) own_highest_ = std::max(own_highest_, each.tip.seq);
  }
  for (auto& lane : lanes_) {
    settle(lane);
    remember_forks(lane);
  }
}

/// S1: a restart must not take a forked place for work again.
void machine::remember_forks(lane_state& lane) {
  for (const auto& [seq, rivals] : lane.aside) {
    const auto here = lane.on_chain(seq);
    if (!here && rivals.size() < 2) continue;
    lane.forked.emplace(
        seq, evidence{item_of(rivals.front()), item_of(here ? *here : rivals.back())});
  }
}

std::vector<effect> machine::handle(const event& happened) {
  now_ms_ = happened.at.monotonic_ms;
  std::visit([this](const auto& x) { on(x); }, happened.what);
  seal_due();
  recheck_wants();
  update_work();
  announce();
  settle_doubt();
  run_fetches();
  set_next_alarm();
  std::vector<effect> effects;
  // S15: a batch is on stable storage before it is sent, announced or reported as ready.
  if (!stored_now_.empty()) effects.emplace_back(persist{std::exchange(stored_now_, {})});
  std::move(out_.begin(), out_.end(), std::back_inserter(effects));
  out_.clear();
  return effects;
}

void machine::on(const started&) {
  report_work_ = true;
  told_ms_[set_.keys.self] = now_ms_ + proof_pause_ms();
}

void machine::on(const received& x) {
  if (x.from >= set_.nodes.size || x.from == set_.keys.self) {
    ++dropped_;
    return;
  }
  up_[x.from] = true;
  std::visit(
      [&](const auto& message) {
        if constexpr (requires { on_message(x.from, message); }) on_message(x.from, message);
      },
      x.message);
}

void machine::on(const peer_up& x) {
  if (x.peer >= set_.nodes.size || x.peer == set_.keys.self) return;
  up_[x.peer] = true;
  // It may have been started anew: what it was shown on the link before, it may have forgotten.
  for (auto& lane : lanes_) {
    auto& peer = lane.peers[x.peer];
    peer.proven_ms.reset();
    peer.shown_ms.reset();
    peer.tries = 0;
    peer.pause_ms = peer.unheeded_till = 0;
  }
  told_ms_[x.peer] = now_ms_ + proof_pause_ms(); // who has none of our lane says nothing of it
  auto have = full_have();
  if (!have.tips.empty()) out_.emplace_back(send{x.peer, std::move(have)});
  wake_fetches();
}

void machine::on(const peer_down& x) {
  if (x.peer >= set_.nodes.size) return;
  up_[x.peer] = false;
  told_ms_[x.peer] = never;
  for (auto& [tip, each] : fetches_)
    if (each.to == x.peer && each.due_ms != never) each.due_ms = now_ms_;
}

void machine::on(const alarm_rang&) { alarm_ms_.reset(); }

// --- own lane

admission machine::admit(const operation& x) {
  if (x.erased) return admission::erased;
  const auto size = encode(x).size();
  if (size > limits::max_operation_bytes || size > set_.batch_bytes)
    return admission::too_large;
  if (waiting_.contains(x.id)) return admission::known;
  if (queue_.size() + own_operations_ >= set_.queue_operations
      || queue_bytes_ + own_bytes_ + size > set_.queue_bytes)
    return admission::overloaded;
  waiting_.insert(x.id);
  queue_.push_back({x, size, now_ms_});
  queue_bytes_ += size;
  return admission::accepted;
}

void machine::on(const operations_submitted& x) {
  own_bytes_ = own_operations_ = 0;
  for (const auto& each : lanes_[set_.keys.self].chain) {
    own_bytes_ += each.size_bytes;
    own_operations_ += each.operations;
  }
  admitted answer{x.ticket, {}};
  answer.verdicts.reserve(x.operations.size());
  for (const auto& each : x.operations)
    answer.verdicts.push_back(admit(each));
  out_.emplace_back(std::move(answer));
}

/// S16: what stands at the next places of the own lane only peers can say, and each does when
/// its link comes up (S14). So nothing is sealed before all have spoken, or after a while a
/// quorum, this node included, and what they named is here. This node counts as faulty, so
/// f - 1 others may name what is not: what no more than those name is asked for a while only.
void machine::settle_doubt() {
  if (!own_lane_in_doubt_) return;
  auto& own = lanes_[set_.keys.self];
  std::size_t told = 1, ahead = 0;
  for (std::size_t i = 0; i < own.peers.size(); ++i) {
    auto& peer = own.peers[i];
    // Whether it is there or not: what it said may be true.
    const bool names_more = peer.latest.seq > own.tip().seq;
    if (names_more) ++ahead;
    if (!up_[i]) continue;
    if (told_ms_[i] <= now_ms_) ++told;
    if (names_more && peer.tries >= asked_in_vain) heed(peer); // it may only have been slow
  }
  const auto since_start_ms = now_ms_ - told_ms_[set_.keys.self];
  if (told < (since_start_ms >= 0 ? set_.nodes.quorum() : set_.nodes.size)) return;
  const bool may_be_lies = ahead < std::max<std::size_t>(set_.nodes.faulty(), 1);
  own_lane_in_doubt_ =
      ahead > 0 && !(may_be_lies && since_start_ms >= doubt_pauses * proof_pause_ms());
}

/// When time alone may change what `settle_doubt` comes to.
std::int64_t machine::next_doubt_ms() const {
  auto next = never;
  const auto start_ms = told_ms_[set_.keys.self];
  if (start_ms == never) return never;
  const auto consider = [&](std::int64_t at_ms) {
    if (at_ms > now_ms_) next = std::min(next, at_ms);
  };
  for (const auto told_ms : told_ms_)
    consider(told_ms);
  consider(start_ms + doubt_pauses * proof_pause_ms());
  const auto& own = lanes_[set_.keys.self];
  for (const auto& peer : own.peers)
    if (peer.latest.seq > own.tip().seq) consider(peer.unheeded_till);
  return next;
}

bool machine::may_seal() const {
  const auto& own = lanes_[set_.keys.self];
  // S1: while peers hold own batches that this disk has lost, the next free number is not
  // known.
  return !queue_.empty() && own.chain.size() < set_.lane_window && own.held.empty()
         && own.tip().seq >= own_highest_ && !own_lane_in_doubt_;
}

void machine::seal_due() {
  while (may_seal()
         && (queue_bytes_ >= set_.batch_bytes || queue_.size() >= limits::max_batch_operations
             || queue_.front().since_ms + set_.batch_delay_ms <= now_ms_))
    seal_one();
}

void machine::seal_one() {
  auto& own = lanes_[set_.keys.self];
  const auto before = own.tip();
  batch next{set_.nodes.epoch, set_.keys.self, before.seq + 1, before.batch, {}};
  auto& ids = sealed_ids_[next.seq];
  std::size_t size = 0;
  while (!queue_.empty() && next.operations.size() < limits::max_batch_operations
         && size + queue_.front().size_bytes <= set_.batch_bytes) {
    size += queue_.front().size_bytes;
    ids.push_back(queue_.front().what.id);
    next.operations.push_back(std::move(queue_.front().what));
    queue_.pop_front();
  }
  queue_bytes_ -= size;
  const auto sealed = seal(set_.keys, std::move(next));
  append(own, sealed);
  if (set_.nodes.size > 1) out_.emplace_back(broadcast{batch_message{sealed}});
}

// --- lanes

/// Without its arguments an operation cannot be executed, so a batch that lacks some is no
/// work: its owner could show each node another form. Of what a quorum chose, which f + 1
/// honest nodes had as a whole before they voted, others may have erased since.
bool machine::acceptable(const batch_ptr& x, bool certified) const {
  return x && x->content.lane < set_.nodes.size && x->content.epoch == set_.nodes.epoch
         && x->content.seq > 0 && x->full_bytes <= set_.block_payload_bytes
         && (certified || x->erased == 0);
}

void machine::note_stored(lane_state& lane, const batch_ptr& x) {
  stored_now_.push_back(x);
  if (x->content.lane == set_.keys.self) own_highest_ = std::max(own_highest_, x->content.seq);
  lane.changed = wants_changed_ = true;
}

void machine::append(lane_state& lane, const batch_ptr& x) {
  note_stored(lane, x);
  lane.chain.push_back(header_of(*x));
  lane.announce = true;
}

/// S1: named by a quorum, so it is kept though it may fork the lane or come before its parent.
void machine::store_certified(lane_state& lane, const batch_ptr& x) {
  examine(lane, x);
  note_stored(lane, x);
  lane.aside[x->content.seq].push_back(header_of(*x));
}

/// In memory until the batches before it come; `settle` stores it then.
void machine::hold(lane_state& lane, const batch_ptr& x) {
  const auto tip = x->tip();
  if (tip.seq <= lane.tip().seq || tip.seq > lane.final_tip.seq + set_.peer_lane_window) return;
  auto& place =
      lane.held.try_emplace(tip.seq, held_batch{header_of(*x), nullptr}).first->second;
  if (place.body || place.header.tip != tip) return;
  place.body = x;
  held_bytes_ += place.header.size_bytes;
  shorten_held();
}

/// Gives up bodies, not headers: of the lane that takes most memory, the ones that link last.
void machine::shorten_held() {
  const auto bytes_in = [](const lane_state& lane) {
    std::size_t sum = 0;
    for (const auto& [seq, each] : lane.held)
      sum += each.body ? each.header.size_bytes : 0;
    return sum;
  };
  while (held_bytes_ > 2 * set_.block_payload_bytes) {
    lane_state* largest = nullptr;
    std::size_t most = 0;
    for (auto& lane : lanes_)
      if (const auto sum = bytes_in(lane); sum > most) {
        most = sum;
        largest = &lane;
      }
    TALLYMESH_INVARIANT(largest);
    const auto last =
        std::find_if(largest->held.rbegin(), largest->held.rend(),
                     [](const auto& each) { return each.second.body != nullptr; });
    last->second.body.reset();
    held_bytes_ -= last->second.header.size_bytes;
  }
}

void machine::drop_held(lane_state& lane, std::uint64_t through_seq) {
  while (!lane.held.empty() && lane.held.begin()->first <= through_seq) {
    const auto& first = lane.held.begin()->second;
    if (first.body) held_bytes_ -= first.header.size_bytes;
    lane.held.erase(lane.held.begin());
  }
}

/// Of several stored batches that follow the tip, the one with the longest stored chain behind
/// it.
std::optional<batch_header> machine::next_aside(const lane_state& lane) const {
  const auto tip = lane.tip();
  const auto place = lane.aside.find(tip.seq + 1);
  if (place == lane.aside.end()) return std::nullopt;
  std::vector<batch_header> followers;
  for (const auto& each : place->second)
    if (each.parent == tip.batch) followers.push_back(each);
  if (followers.empty()) return std::nullopt;
  if (followers.size() == 1) return followers.front();
  std::sort(followers.begin(), followers.end(),
            [](const auto& a, const auto& b) { return a.tip < b.tip; });
  std::size_t best = 0, longest = 0;
  for (std::size_t i = 0; i < followers.size(); ++i) {
    std::set<digest> level{followers[i].tip.batch};
    std::size_t length = 0;
    for (auto seq = tip.seq + 2; !level.empty(); ++seq, ++length) {
      std::set<digest> next;
      if (const auto above = lane.aside.find(seq); above != lane.aside.end())
        for (const auto& each : above->second)
          if (level.contains(each.parent)) next.insert(each.tip.batch);
      level = std::move(next);
    }
    if (length > longest) {
      longest = length;
      best = i;
    }
  }
  return followers[best];
}

void machine::take_from_aside(lane_state& lane, const lane_tip& x) {
  const auto place = lane.aside.find(x.seq);
  std::erase_if(place->second, [&](const auto& each) { return each.tip == x; });
  if (place->second.empty()) lane.aside.erase(place);
}

/// Stored batches that can no longer descend from the final cut are no rivals of those that do.
void machine::prune_aside(lane_state& lane) {
  std::set<digest> dead;
  auto seq = lane.final_tip.seq;
  // Beyond a hole nothing is known.
  for (auto place = lane.aside.begin(); place != lane.aside.end() && place->first == seq + 1;
       ++place) {
    const bool first = seq++ == lane.final_tip.seq;
    std::set<digest> gone;
    std::erase_if(place->second, [&](const batch_header& x) {
      const bool dies = first ? x.parent != lane.final_tip.batch : dead.contains(x.parent);
      if (dies) gone.insert(x.tip.batch);
      return dies;
    });
    dead = std::move(gone);
  }
  std::erase_if(lane.aside, [](const auto& place) { return place.second.empty(); });
}

bool machine::settle_once(lane_state& lane) {
  if (const auto next = next_aside(lane)) {
    take_from_aside(lane, next->tip);
    lane.chain.push_back(*next);
    lane.changed = lane.announce = wants_changed_ = true;
    return true;
  }
  const auto tip = lane.tip();
  const auto waiting = lane.held.find(tip.seq + 1);
  if (waiting == lane.held.end()) return false;
  if (waiting->second.header.parent != tip.batch) {
    drop_held(lane,
              tip.seq + 1); // its owner forked below; the rest of that fork goes as it comes
    ++dropped_;
    return false;
  }
  if (!waiting->second.body) return false;
  append(lane, waiting->second.body);
  drop_held(lane, tip.seq + 1);
  return true;
}

/// Extends the chain by all that is here and links.
void machine::settle(lane_state& lane) {
  while (settle_once(lane)) {
  }
  if (lane.preferred) {
    const auto target = *lane.preferred;
    lane.preferred.reset();
    follow(lane, target);
  }
  drop_held(lane, lane.tip().seq);
}

void machine::cut_back(lane_state& lane, std::uint64_t to_seq) {
  while (!lane.chain.empty() && lane.chain.back().tip.seq > to_seq) {
    lane.aside[lane.chain.back().tip.seq].push_back(lane.chain.back());
    lane.chain.pop_back();
  }
  for (auto& each : lane.peers)
    each.supports = std::min(each.supports, to_seq);
}

/// S1: a certificate chose between forks; the chain goes its way.
void machine::follow(lane_state& lane, const lane_tip& target) {
  if (target.seq <= lane.final_tip.seq || lane.links(target)) return;
  std::vector<batch_header> path;
  auto at = target;
  while (!lane.links(at)) {
    if (at.seq <= lane.final_tip.seq) return; // not a descendant of the final cut: of no use
    const auto here = lane.stored(at);
    if (!here) {
      lane.preferred = target;
      return;
    }
    path.push_back(*here);
    at = parent_of(*here);
  }
  cut_back(lane, at.seq);
  for (auto each = path.rbegin(); each != path.rend(); ++each) {
    take_from_aside(lane, each->tip);
    lane.chain.push_back(*each);
  }
  lane.changed = lane.announce = wants_changed_ = true;
  while (settle_once(lane)) {
  }
}

/// S18: two signed batches for one place. Shown once a place.
void machine::show_fork(lane_state& lane, const evidence& what) {
  if (!lane.forked.emplace(what.first.position, what).second) return;
  lane.changed = lane.announce = true;
  ++evidence_;
  out_.emplace_back(observed{what});
}

/// `x` is validly signed.
void machine::examine(lane_state& lane, const batch_ptr& x) {
  if (const auto other = lane.rival(x->tip())) show_fork(lane, {item_of(*other), x->as_item()});
}

std::int64_t machine::proof_pause_ms() const { return announce_slowdown * set_.announce_ms; }

/// A peer that saw one side only would take the place for work, and wait for it without end.
/// Both signatures are proof enough, and need neither this node's memory nor its disk to hold
/// the batches: a liar may fork more places than there is room for.
void machine::prove_fork(node_index to, lane_state& lane, const lane_tip& claimed) {
  if (lane.forked.empty() || claimed.seq < lane.first_fork()) return;
  auto& peer = lane.peers[to];
  if (peer.proven_ms && now_ms_ < *peer.proven_ms + proof_pause_ms()) return;
  peer.proven_ms = now_ms_;
  out_.emplace_back(send{to, fork_evidence{lane.forked.begin()->second}});
}

/// Honest nodes pass on only what they have checked. Who does not is not heard for a while, so
/// that checking cannot be made to fill this node's time.
bool machine::genuine(node_index from, const signed_item& x) {
  auto& bad = forging_[from];
  if (now_ms_ - bad.window_start_ms >= serving_window_ms) bad = {now_ms_, 0, 0};
  if (bad.requests >= bad_signatures_per_window) return false;
  const bool good = set_.keys.check(x);
  if (!good) ++bad.requests;
  return good;
}

/// As above; of a batch that waits without its body the signature was checked before.
bool machine::genuine(node_index from, const lane_state& lane, const batch_ptr& x) {
  const auto waiting = lane.held.find(x->content.seq);
  if (waiting != lane.held.end() && waiting->second.header.tip == x->tip()
      && waiting->second.header.signed_by == x->signed_by)
    return true;
  return genuine(from, x->as_item());
}

/// Whether it is worth checking a signature. An owner signs as many batches as it likes, so
/// only what can be evidence (once a place), be stored or wait in memory is checked; and of one
/// that waits no second signature, for an honest owner makes one.
bool machine::of_use(const lane_state& lane, const batch_ptr& x) const {
  const auto here = x->tip();
  if (lane.rival(here) && !lane.forked.contains(here.seq)) return true;
  if (const auto waiting = lane.held.find(here.seq); waiting != lane.held.end()) {
    const auto& [header, body] = waiting->second;
    return !body && header.tip == here && header.signed_by == x->signed_by;
  }
  const auto tip = lane.tip();
  if (here.seq <= tip.seq || here.seq > lane.final_tip.seq + set_.peer_lane_window)
    return false;
  // One that follows another batch than the tip lost its place: it proves nothing by itself.
  return here.seq > tip.seq + 1 || x->content.parent == tip.batch;
}

void machine::on_message(node_index from, const fork_evidence& x) {
  const auto& [one, other] = x.what;
  const bool of_a_lane = one.kind == item_kind::batch && one.signer < set_.nodes.size;
  if (!of_a_lane || !contradicts(one, other)) {
    ++dropped_;
    return;
  }
  auto& lane = lanes_[one.signer];
  const bool beyond = one.position > lane.final_tip.seq
                      && one.position <= lane.final_tip.seq + set_.peer_lane_window;
  if (!beyond || lane.forked.contains(one.position) || !genuine(from, one)
      || !genuine(from, other)) {
    ++dropped_;
    return;
  }
  show_fork(lane, x.what);
}

void machine::on_message(node_index from, const batch_message& message) {
  const auto& x = message.batch;
  if (!acceptable(x, false)) { // who sends a batch unasked has all of it
    ++dropped_;
    return;
  }
  auto& lane = lane_of(x);
  const auto tip = x->tip();
  if (tip.seq <= lane.final_tip.seq || lane.stored(tip)) return; // old news
  if (tip.seq > lane.final_tip.seq + set_.peer_lane_window) {
    ++dropped_;
    return;
  }
  const auto waiting = lane.held.find(tip.seq);
  if (waiting != lane.held.end() && waiting->second.header.tip == tip && waiting->second.body)
    return;
  const auto asked = fetches_.find(tip);
  const bool certified = asked != fetches_.end() && asked->second.certified;
  // A place whose fork is proven takes no more of our time, unless a quorum chose this batch.
  const bool worth_a_check = certified || (!lane.forked.contains(tip.seq) && of_use(lane, x));
  if (!worth_a_check || !genuine(from, lane, x)) {
    ++dropped_;
    return;
  }
  if (certified)
    store_certified(lane, x);
  else
    take_live(lane, x);
  settle(lane);
}

/// S1: only the next batch of the lane's own chain is stored; one further on waits. `x` is of
/// use.
void machine::take_live(lane_state& lane, const batch_ptr& x) {
  if (lane.rival(x->tip()))
    examine(lane, x);
  else if (x->content.seq > lane.tip().seq + 1)
    hold(lane, x);
  else
    append(lane, x);
}

// --- who has what

void machine::on_message(node_index from, const have_message& x) {
  if (x.tips.size() > set_.nodes.size) {
    ++dropped_;
    return;
  }
  for (const auto& each : x.tips) {
    if (each.lane == set_.keys.self) told_ms_[from] = std::min(told_ms_[from], now_ms_);
    if (each.lane >= set_.nodes.size || each.seq == 0)
      ++dropped_;
    else
      claim(from, lanes_[each.lane], each);
  }
}

void machine::claim(node_index from, lane_state& lane, const lane_tip& x) {
  auto& peer = lane.peers[from];
  peer.latest = x;
  if (x.seq <= lane.final_tip.seq) return;
  prove_fork(from, lane, x);
  if (x.seq <= lane.final_tip.seq + set_.peer_lane_window)
    lane.highest_claim = std::max(lane.highest_claim, x.seq);
  if (x.seq > lane.tip().seq) {
    if (heed(peer)) wake_fetches(x);
    if (!peer.ahead.empty() && peer.ahead.back() == x) return;
    if (!peer.ahead.empty() && peer.ahead.back().seq >= x.seq) peer.ahead.clear();
    if (peer.ahead.size() < claims_ahead)
      peer.ahead.push_back(x);
    else
      peer.ahead.back() = x;
  } else if (lane.links(x)) {
    if (x.seq <= peer.supports) return;
    peer.supports = x.seq;
    lane.changed = true;
  } else {
    // The lane forked, and that peer has the other batch: ours is the proof that it needs
    // (S18).
    // Now and then all of it, because the fork may lie further down.
    const bool whole = !peer.shown_ms || now_ms_ >= *peer.shown_ms + proof_pause_ms();
    if (whole) peer.shown_ms = now_ms_;
    fetch_batches proof{lane.on_chain(x.seq)->tip, whole ? lane.final_tip.seq : x.seq - 1};
    if (may_serve(from, proof)) out_.emplace_back(serve_batches{from, proof});
  }
}

/// What nobody gives may be a lie, and a lie costs nothing to repeat: the more often it came to
/// nothing, the less often it starts new questions. A truth is heeded in the end all the same.
bool machine::heed(claims& peer) const {
  if (now_ms_ < peer.unheeded_till) return false;
  peer.tries = 0;
  peer.pause_ms =
      std::clamp(2 * peer.pause_ms, set_.announce_ms, heeded_slowdown * set_.announce_ms);
  peer.unheeded_till = now_ms_ + peer.pause_ms;
  return true;
}

/// S1: a tip is available when a quorum, this node included, announced a chain that holds it.
void machine::weigh(lane_state& lane) {
  const auto tip = lane.tip();
  std::vector<std::uint64_t> supports;
  for (std::size_t i = 0; i < lane.peers.size(); ++i) {
    auto& peer = lane.peers[i];
    const auto beyond = std::find_if(peer.ahead.begin(), peer.ahead.end(),
                                     [&](const lane_tip& x) { return x.seq > tip.seq; });
    for (auto each = peer.ahead.begin(); each != beyond; ++each)
      if (lane.links(*each)) peer.supports = std::max(peer.supports, each->seq);
    peer.ahead.erase(peer.ahead.begin(), beyond);
    if (lane.links(peer.latest)) peer.supports = std::max(peer.supports, peer.latest.seq);
    supports.push_back(i == set_.keys.self ? tip.seq : peer.supports);
  }
  const auto place = supports.begin() + (set_.nodes.quorum() - 1);
  std::nth_element(supports.begin(), place, supports.end(), std::greater<>());
  auto top = *place;
  // S1: no quorum may ever hold either side of a fork, so nothing from there on is work; a
  // block that names one all the same is stored once it is certified.
  top = std::min(top, lane.first_fork() - 1);
  const auto here = lane.on_chain(top);
  lane.available = here ? here->tip : lane.final_tip;
}

void machine::update_work() {
  for (auto& lane : lanes_) {
    if (!lane.changed) continue;
    lane.changed = false;
    news_ = true;
    weigh(lane);
  }
  if (!news_ && !report_work_) return;
  std::vector<lane_tip> work;
  for (const auto& lane : lanes_)
    if (lane.available.seq > lane.final_tip.seq) work.push_back(lane.available);
  if (work == work_ && !report_work_) return;
  report_work_ = false;
  work_ = work;
  out_.emplace_back(work_changed{std::move(work)});
}

bool machine::pending() const {
  // From a fork on a lane may stay as it is for ever; it must not keep the mesh awake (S1,
  // S11). What lies below is work as ever, and others may wait for this node's word.
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) {
    return lane.available.seq > lane.final_tip.seq
           || (!lane.chain.empty() && lane.first_fork() > lane.final_tip.seq + 1);
  });
}

/// Below a proven fork nodes may share a chain that their tips, on different branches, do not
/// show: so what is announced ends there, and a quorum can see that it has it (S1).
lane_tip machine::announced_tip(const lane_state& lane) {
  if (lane.first_fork() > lane.tip().seq) return lane.tip();
  const auto below = lane.on_chain(lane.first_fork() - 1);
  return below ? below->tip : lane.final_tip;
}

have_message machine::full_have() const {
  have_message have;
  for (const auto& lane : lanes_)
    if (const auto tip = announced_tip(lane); tip.seq > 0) have.tips.push_back(tip);
  return have;
}

void machine::announce() {
  const bool news = std::exchange(news_, false);
  have_message have;
  for (auto& lane : lanes_)
    if (std::exchange(lane.announce, false) && !lane.chain.empty())
      if (const auto tip = announced_tip(lane); tip.seq > 0) have.tips.push_back(tip);
  if (set_.nodes.size == 1) return;
  if (!have.tips.empty()) out_.emplace_back(broadcast{std::move(have)});
  if (!pending()) {
    announce_ms_.reset();
    return;
  }
  if (news || !announce_ms_) {
    announce_step_ms_ = set_.announce_ms;
    announce_ms_ = std::min(announce_ms_.value_or(never), now_ms_ + announce_step_ms_);
  }
  if (now_ms_ < *announce_ms_) return;
  out_.emplace_back(broadcast{full_have()});
  announce_ms_ = now_ms_ + announce_step_ms_;
  announce_step_ms_ = std::min(2 * announce_step_ms_, announce_slowdown * set_.announce_ms);
}

// --- cuts

void machine::on(const cut_wanted& x) {
  cut_built answer{x.parent, {}};
  const std::size_t n = set_.nodes.size;
  if (full_cut(x.parent_cut, n)) {
    auto tips = x.parent_cut;
    std::vector<bool> open(n);
    // S2: never below the parent's; a lane whose parent tip is not on our chain stays as it is.
    for (std::size_t i = 0; i < n; ++i)
      open[i] = lanes_[i].links(tips[i]) && lanes_[i].available.seq > tips[i].seq;
    std::size_t batches = 0, size = 0;
    // Where the limits bite, another lane goes first each time.
    const std::size_t first = (x.parent.raw[0] + 256u * x.parent.raw[1]) % n;
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t k = 0; k < n; ++k) {
        const auto i = (first + k) % n;
        if (!open[i]) continue;
        const auto next = lanes_[i].on_chain(tips[i].seq + 1);
        open[i] = next && tips[i].seq < lanes_[i].available.seq && batches < set_.block_batches
                  && size + next->size_bytes <= set_.block_payload_bytes;
        if (!open[i]) continue;
        ++batches;
        size += next->size_bytes;
        tips[i] = next->tip;
        moved = true;
      }
    }
    for (std::size_t i = 0; i < n; ++i)
      if (tips[i] != x.parent_cut[i]) answer.cut.push_back(tips[i]);
  }
  out_.emplace_back(std::move(answer));
}

/// What can be told of a cut without its batches (S2, S7.6).
bool machine::plausible(const batches_wanted& x) const {
  const std::size_t n = set_.nodes.size;
  if (!full_cut(x.parent_cut, n) || !full_cut(x.cut, n)) return false;
  std::uint64_t batches = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (x.cut[i] == x.parent_cut[i]) continue;
    if (x.cut[i].seq <= x.parent_cut[i].seq) return false;
    const auto moved = x.cut[i].seq - x.parent_cut[i].seq;
    if (moved > set_.block_batches) return false;
    batches += moved;
  }
  return batches <= set_.block_batches;
}

void machine::on(const batches_wanted& x) {
  if (!plausible(x)) {
    out_.emplace_back(batches_invalid{x.block});
    return;
  }
  want next{x.block, x.parent_cut, x.cut, x.certified, {}, {}, 0};
  for (std::size_t i = 0; i < x.cut.size(); ++i)
    if (x.cut[i] != x.parent_cut[i]) next.open.push_back(static_cast<node_index>(i));
  const auto known = std::find_if(wants_.begin(), wants_.end(),
                                  [&](const want& w) { return w.block == x.block; });
  if (known != wants_.end()) {
    next.certified = next.certified || known->certified;
    *known = std::move(next);
    wake_fetches(); // asked again: so must be the peers
  } else {
    if (wants_.size() >= 4u * set_.nodes.size + 64) {
      // Those of certified blocks are bounded by consensus; proposals come from anyone who
      // leads.
      const auto oldest = std::find_if(wants_.begin(), wants_.end(),
                                       [](const want& w) { return !w.certified; });
      if (oldest != wants_.end()) wants_.erase(oldest);
    }
    wants_.push_back(std::move(next));
  }
  wants_changed_ = true;
}

machine::verdict machine::examine_lane(want& x, node_index index, std::size_t& size) {
  auto& lane = lanes_[index];
  const auto& top = x.cut[index];
  if (top.seq <= lane.final_tip.seq)
    return top.seq == lane.final_tip.seq && top != lane.final_tip ? verdict::invalid
                                                                  : verdict::ready;
  const auto& base = x.parent_cut[index];
  const auto stop = base.seq >= lane.final_tip.seq ? base : lane.final_tip;
  auto at = top;
  while (at.seq > stop.seq) {
    auto here = lane.stored(at);
    if (!here && x.certified) {
      const auto waiting = lane.held.find(at.seq);
      if (waiting != lane.held.end() && waiting->second.header.tip == at
          && waiting->second.body) {
        store_certified(lane, waiting->second.body);
        here = lane.stored(at);
      }
    }
    if (!here) {
      const auto tip = lane.tip();
      x.missing[index] = {at, tip.seq < at.seq ? std::max(stop.seq, tip.seq) : stop.seq};
      return verdict::waiting;
    }
    size += here->size_bytes;
    at = parent_of(*here);
  }
  return at == stop ? verdict::ready : verdict::invalid;
}

machine::verdict machine::examine(want& x) {
  x.missing.clear();
  std::size_t size = 0;
  std::vector<node_index> open;
  for (const auto index : std::exchange(x.open, {})) {
    std::size_t lane_size = 0;
    const auto found = examine_lane(x, index, lane_size);
    if (x.certified) settle(lanes_[index]);
    if (found == verdict::invalid) return found;
    size += lane_size;
    if (x.bytes_done + size > set_.block_payload_bytes) return verdict::invalid; // S2
    if (found == verdict::waiting) {
      open.push_back(index);
      continue;
    }
    x.bytes_done += lane_size;
    size -= lane_size;
    if (x.certified) follow(lanes_[index], x.cut[index]);
  }
  x.open = std::move(open);
  return x.open.empty() ? verdict::ready : verdict::waiting;
}

/// Cuts only grow along the chain (S2): one that is behind the final cut in a lane and ahead of
/// it in another belongs to a block beside the chain, which nobody will ever follow.
bool machine::passed_over(const want& x) const {
  bool behind = false, ahead = false;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    behind = behind || x.cut[i].seq < lanes_[i].final_tip.seq;
    ahead = ahead || x.cut[i].seq > lanes_[i].final_tip.seq;
  }
  return behind && ahead;
}

void machine::recheck_wants() {
  // Following one cut may store or link what another waits for.
  while (std::exchange(wants_changed_, false)) {
    std::erase_if(wants_, [this](const want& each) { return passed_over(each); });
    std::vector<want> left;
    for (auto& each : wants_) {
      const auto found = examine(each);
      if (found == verdict::ready)
        out_.emplace_back(batches_ready{each.block});
      else if (found == verdict::invalid)
        out_.emplace_back(batches_invalid{each.block});
      else
        left.push_back(std::move(each));
    }
    wants_ = std::move(left);
  }
}

void machine::on(const cut_finalized& x) {
  for (const auto& each : x.cut)
    if (each.lane < set_.nodes.size) finalize_lane(lanes_[each.lane], each);
}

void machine::finalize_lane(lane_state& lane, const lane_tip& to) {
  if (to.seq <= lane.final_tip.seq) return;
  if (lane.links(to)) {
    while (!lane.chain.empty() && lane.chain.front().tip.seq <= to.seq)
      lane.chain.pop_front();
  } else {
    // The mesh went another fork's way, or further than this node has got.
    cut_back(lane, lane.final_tip.seq);
    lane.announce = true;
  }
  lane.final_tip = to;
  lane.aside.erase(lane.aside.begin(), lane.aside.upper_bound(to.seq));
  prune_aside(lane);
  if (lane.first_fork() <= to.seq) lane.announce = true; // all of it again
  lane.forked.erase(lane.forked.begin(), lane.forked.upper_bound(to.seq));
  if (lane.preferred && lane.preferred->seq <= to.seq) lane.preferred.reset();
  drop_held(lane, to.seq);
  settle(lane);
  lane.changed = wants_changed_ = true;
  if (to.lane != set_.keys.self) return;
  own_highest_ = std::max(own_highest_, to.seq);
  while (!sealed_ids_.empty() && sealed_ids_.begin()->first <= to.seq) {
    for (const auto& id : sealed_ids_.begin()->second)
      waiting_.erase(id);
    sealed_ids_.erase(sealed_ids_.begin());
  }
}

// --- fetching

void machine::on_message(node_index from, const fetch_batches& x) {
  auto request = x;
  if (x.tip.lane >= set_.nodes.size || x.tip.seq == 0 || x.after_seq >= x.tip.seq) {
    ++dropped_;
    return;
  }
  // At or below the final cut only the store knows.
  const auto& lane = lanes_[x.tip.lane];
  if (x.tip.seq > lane.final_tip.seq && !lane.stored(x.tip)) return;
  if (may_serve(from, request))
    out_.emplace_back(serve_batches{from, request});
  else
    ++dropped_;
}

/// Reading and sending cost far more than asking: one peer gets so much of it and no more.
bool machine::may_serve(node_index to, fetch_batches& x) {
  auto& spent = serving_[to];
  if (now_ms_ - spent.window_start_ms >= serving_window_ms) spent = {now_ms_, 0, 0};
  if (spent.requests >= served_per_window || spent.batches >= served_batches_per_window)
    return false;
  const auto count = std::min(x.tip.seq - x.after_seq, served_batches_at_once);
  x.after_seq = x.tip.seq - count;
  ++spent.requests;
  spent.batches += count;
  return true;
}

void machine::on_message(node_index from, const fetched_batches& x) {
  if (x.batches.empty()) return;
  if (x.batches.size() > answer_batches || !acceptable(x.batches.front(), true)) {
    ++dropped_;
    return;
  }
  auto& lane = lane_of(x.batches.front());
  auto expected = x.batches.front()->tip();
  const auto asked = fetches_.find(expected);
  const auto& ahead = lane.peers[from].ahead;
  // A late answer is as good as one in time.
  const bool announced = std::find(ahead.begin(), ahead.end(), expected) != ahead.end();
  if (asked == fetches_.end() && !announced) {
    for (const auto& each : x.batches)
      if (acceptable(each, false) && each->content.lane == expected.lane)
        take_proof(from, lane, each);
    return;
  }
  const bool certified = asked != fetches_.end() && asked->second.certified;
  const auto after = std::max(
      asked != fetches_.end() ? asked->second.after_seq : lane.tip().seq, lane.final_tip.seq);
  // Each names the digest of the next, so the first one's digest, which was asked for, vouches
  // for all; but the signatures travel beside the bodies and are checked one by one.
  for (const auto& each : x.batches) {
    if (!acceptable(each, certified)) {
      ++dropped_;
      break;
    }
    if (each->tip() != expected || expected.seq <= after) break;
    if (!lane.stored(expected) && (certified || of_use(lane, each))) {
      if (!genuine(from, lane, each)) {
        ++dropped_;
        break;
      }
      if (certified)
        store_certified(lane, each);
      else
        examine(lane, each), hold(lane, each);
    }
    expected = {expected.lane, expected.seq - 1, each->content.parent};
  }
  settle(lane);
}

/// Not asked for: a late answer, or what a peer has where our lanes differ.
void machine::take_proof(node_index from, lane_state& lane, const batch_ptr& x) {
  const auto tip = x->tip();
  if (tip.seq <= lane.final_tip.seq || lane.stored(tip) || lane.forked.contains(tip.seq))
    return;
  if (!lane.rival(tip)) return;
  if (genuine(from, x->as_item()))
    examine(lane, x);
  else
    ++dropped_;
}

void machine::need_of_held(lane_state& lane, std::map<lane_tip, need>& out) const {
  if (lane.held.empty()) return;
  const auto tip = lane.tip();
  const auto& [seq, first] = *lane.held.begin();
  if (seq > tip.seq + 1) {
    out.try_emplace(parent_of(first.header), need{tip.seq, false, true, {}, 0});
    return;
  }
  // Its body was given up: fetch as many as fit one answer, from the top of them down.
  auto top = first.header;
  auto size = top.size_bytes;
  for (auto each = std::next(lane.held.begin()); each != lane.held.end(); ++each) {
    const auto& next = each->second;
    size += next.header.size_bytes;
    if (next.body || parent_of(next.header) != top.tip || size > limits::max_frame_bytes / 2)
      break;
    top = next.header;
  }
  out.try_emplace(top.tip, need{tip.seq, false, true, {}, 0});
}

/// A peer announced what did not come: ask each that did in turn, for what it announced.
void machine::need_of_claims(lane_state& lane, std::map<lane_tip, need>& out) {
  const auto tip = lane.tip();
  const auto asked = std::exchange(lane.asked, std::nullopt);
  std::vector<std::pair<node_index, lane_tip>> offers;
  bool behind = false;
  if (lane.highest_claim > tip.seq) {
    const auto window = lane.final_tip.seq + set_.peer_lane_window;
    // Once it moved, whoever was asked in vain may give the next; a liar that takes back what
    // it announced, and says it again, did not move it.
    if (std::exchange(lane.tried_at, tip.seq) != tip.seq)
      for (auto& peer : lane.peers)
        peer.tries = 0, peer.pause_ms = peer.unheeded_till = 0;
    for (std::size_t i = 0; i < lane.peers.size(); ++i) {
      const auto& peer = lane.peers[i];
      const auto best =
          std::find_if(peer.ahead.rbegin(), peer.ahead.rend(),
                       [&](const lane_tip& x) { return x.seq > tip.seq && x.seq <= window; });
      if (!up_[i] || best == peer.ahead.rend()) continue;
      behind = true;
      // What a cut waits for as well is asked for, and given up, on the cut's account; it must
      // not keep this node from asking for what others announced.
      if (peer.tries < asked_in_vain && !out.contains(*best))
        offers.emplace_back(static_cast<node_index>(i), *best);
    }
  }
  if (!behind) {
    lane.behind_at.reset();
  } else if (lane.behind_at != tip.seq) {
    lane.behind_at = tip.seq;
    lane.behind_since_ms = now_ms_;
  }
  const auto earliest_ms = lane.behind_since_ms + set_.fetch_retry_ms;
  const auto ask = [&](const lane_tip& what, node_index whom) {
    if (out.try_emplace(what, need{tip.seq, false, false, whom, earliest_ms}).second)
      lane.asked = what;
  };
  // One question at a time, however often they say something else meanwhile; and who takes back
  // what it announced still owes the answer.
  const auto open = asked && asked->seq > tip.seq ? fetches_.find(*asked) : fetches_.end();
  if (open != fetches_.end() && open->second.waits(now_ms_))
    return ask(*asked, *open->second.to);
  if (offers.empty()) return;
  const auto next = std::find_if(offers.begin(), offers.end(),
                                 [&](const auto& x) { return x.first > lane.turn; });
  const auto& [peer, offered] = next == offers.end() ? offers.front() : *next;
  ask(offered, peer);
}

std::map<lane_tip, machine::need> machine::needs() {
  std::map<lane_tip, need> out;
  std::vector<bool> catching_up(lanes_.size());
  for (const auto& each : wants_)
    for (const auto& [index, part] : each.missing) {
      auto tip = part.tip;
      if (each.certified) catching_up[index] = true;
      const auto& held = lanes_[index].held;
      for (auto here = held.find(tip.seq); !each.certified && here != held.end();
           here = held.find(tip.seq)) {
        if (here->second.header.tip != tip || !here->second.body) break;
        tip = parent_of(here->second.header);
      }
      if (tip.seq <= part.after_seq) continue; // all of it waits in memory
      auto& place =
          out.try_emplace(tip, need{part.after_seq, false, false, {}, 0}).first->second;
      place.certified = place.certified || each.certified;
      place.after_seq = std::min(place.after_seq, part.after_seq);
    }
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    auto& lane = lanes_[i];
    need_of_held(lane, out);
    if (i == set_.keys.self && lane.tip().seq < own_highest_ && !lane.aside.empty())
      out.try_emplace(parent_of(lane.aside.begin()->second.front()),
                      need{lane.tip().seq, true, false, {}, 0});
    if (catching_up[i])
      lane.asked.reset(); // whatever is asked for now is asked for a cut
    else
      need_of_claims(lane, out);
  }
  return out;
}

void machine::fetch::wake(std::int64_t now_ms) {
  if (due_ms == never) *this = {after_seq, certified, {}, now_ms, 0};
}

bool machine::fetch::waits(std::int64_t now_ms) const {
  return to && due_ms > now_ms && due_ms != never;
}

/// Somebody may have it now: those that were given up are asked for again. Who announced
/// another batch for a place has not got the one that is sought there.
void machine::wake_fetches(const lane_tip& announced) {
  const auto end = fetches_.lower_bound({announced.lane, announced.seq, {}});
  for (auto each = fetches_.lower_bound({announced.lane, 0, {}}); each != end; ++each)
    each->second.wake(now_ms_);
  if (const auto same = fetches_.find(announced); same != fetches_.end())
    same->second.wake(now_ms_);
}

void machine::wake_fetches() {
  for (auto& [tip, each] : fetches_)
    each.wake(now_ms_);
}

/// Who is asked: first those that are known to have it, each at another place of the round.
std::optional<node_index> machine::source(const lane_tip& tip, const fetch& x, const need& why,
                                          const std::vector<std::size_t>& load) const {
  const auto free = [&](node_index i) {
    const auto& asking = asking_[i];
    const bool fresh = now_ms_ - asking.window_start_ms >= serving_window_ms;
    return up_[i] && load[i] < asked_at_once && (fresh || asking.requests < asked_per_window);
  };
  if (why.only) return free(*why.only) ? why.only : std::nullopt;
  const auto& lane = lanes_[tip.lane];
  const std::size_t n = lanes_.size(), first = (set_.keys.self + tip.seq) % n;
  std::vector<node_index> order;
  for (const bool known : {true, false})
    for (std::size_t k = 0; k < n; ++k) {
      const auto i = static_cast<node_index>((first + k) % n);
      if (!up_[i] || i == set_.keys.self) continue;
      const auto& peer = lane.peers[i];
      const bool has = i == tip.lane || peer.supports >= tip.seq || peer.latest.seq >= tip.seq;
      if (has == known) order.push_back(i);
    }
  for (std::size_t k = 0; k < order.size(); ++k)
    if (const auto i = order[(x.attempts + k) % order.size()]; free(i)) return i;
  return std::nullopt;
}

/// A batch that was asked for before its owner's own copy could have come is sent twice.
std::int64_t machine::first_due(const lane_tip& tip, const need& why) const {
  const auto& lane = lanes_[tip.lane];
  const auto after = lane.aside.find(tip.seq + 1);
  const bool continued =
      after != lane.aside.end()
      && std::any_of(after->second.begin(), after->second.end(),
                     [&](const batch_header& x) { return x.parent == tip.batch; });
  const bool may_come = !continued && !why.only && up_[tip.lane];
  return std::max(why.earliest_ms, now_ms_ + (may_come ? set_.fetch_retry_ms / 10 : 0));
}

void machine::run_fetches() {
  for (auto& lane : lanes_) {
    if (!lane.asked) continue;
    const auto mine = fetches_.find(*lane.asked);
    if (mine == fetches_.end() || !mine->second.to || mine->second.due_ms > now_ms_) continue;
    lane.turn = *mine->second.to;
    ++lane.peers[lane.turn].tries;
    fetches_.erase(mine);
  }
  const auto wanted = needs();
  std::erase_if(fetches_, [&](const auto& each) { return !wanted.contains(each.first); });
  std::vector<std::size_t> load(lanes_.size());
  for (const auto& [tip, each] : fetches_)
    if (each.waits(now_ms_)) ++load[*each.to];
  crowded_ = false;
  for (const auto& [tip, why] : wanted) {
    auto& mine =
        fetches_.try_emplace(tip, fetch{0, false, {}, first_due(tip, why), 0}).first->second;
    if (why.only) mine.wake(now_ms_); // a cut gave it up, and does not wait for it any more
    mine.after_seq = why.after_seq;
    mine.certified = why.certified;
    if (why.certified) mine.due_ms = std::min(mine.due_ms, now_ms_ + set_.fetch_retry_ms);
    if (mine.due_ms <= now_ms_) ask(tip, mine, why, load);
  }
}

void machine::ask(const lane_tip& tip, fetch& x, const need& why,
                  std::vector<std::size_t>& load) {
  // Nobody has it, it seems: a proposal's word alone does not keep this node asking for ever.
  if (!why.certified && x.attempts > 2 * lanes_.size()) {
    x.due_ms = never;
    if (why.from_held) drop_held(lanes_[tip.lane], never);
    return;
  }
  const auto to = source(tip, x, why, load);
  if (!to) {
    crowded_ = crowded_ || std::find(up_.begin(), up_.end(), true) != up_.end();
    return;
  }
  ++load[*to];
  auto& asking = asking_[*to];
  if (now_ms_ - asking.window_start_ms >= serving_window_ms) asking = {now_ms_, 0, 0};
  ++asking.requests;
  x.to = to;
  x.due_ms = now_ms_ + set_.fetch_retry_ms;
  ++x.attempts;
  out_.emplace_back(send{*to, fetch_batches{tip, why.after_seq}});
}

// --- time

void machine::set_next_alarm() {
  auto next = announce_ms_.value_or(never);
  if (may_seal())
    next = std::min(next, std::max(queue_.front().since_ms + set_.batch_delay_ms, now_ms_ + 1));
  if (own_lane_in_doubt_ && !queue_.empty()) next = std::min(next, next_doubt_ms());
  for (const auto& [tip, each] : fetches_)
    if (each.due_ms > now_ms_) next = std::min(next, each.due_ms);
  if (crowded_) next = std::min(next, now_ms_ + serving_window_ms);
  if (next == never || (alarm_ms_ && *alarm_ms_ <= next)) return;
  alarm_ms_ = next;
  out_.emplace_back(set_alarm{next});
}

snapshot machine::look() const {
  snapshot out;
  const auto& own = lanes_[set_.keys.self];
  out.queued_operations = queue_.size();
  out.queued_bytes = queue_bytes_;
  out.own_tip = own.tip();
  out.own_lane_in_doubt = own_lane_in_doubt_;
  out.own_unfinal_batches = own.chain.size();
  for (const auto& lane : lanes_)
    out.lanes.push_back({lane.tip(), lane.final_tip, lane.available, !lane.forked.empty()});
  out.missing = fetches_.size();
  out.wants = wants_.size();
  out.held_bytes = held_bytes_;
  out.dropped = dropped_;
  out.evidence = evidence_;
  return out;
}

} // namespace tallymesh::mempool
