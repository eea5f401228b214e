#include "tests/simulation/process.hpp"

#include "messages/overload.hpp"
#include "tests/simulation/world.hpp"

namespace tallymesh::simulation {

namespace {

const consensus::persist* as_persist(const consensus::effect& x) {
  return std::get_if<consensus::persist>(&x);
}
const mempool::persist* as_persist(const mempool::effect& x) {
  return std::get_if<mempool::persist>(&x);
}

std::string describe_record(const consensus::record& x) {
  return std::visit(overload{[](const vote& each) { return describe(each); },
                             [](const consensus::own_proposal& each) {
                               return "own proposal " + describe(each.block->content);
                             },
                             [](const consensus::kept_block& each) {
                               return "block " + describe(each.block->content);
                             },
                             [](const certificate& each) { return describe(each); }},
                    x);
}

/// What machines tell each other; the rest has notes of its own.
std::string describe_event(const agreement_event& x) {
  if (const auto* each = std::get_if<consensus::work_changed>(&x))
    return "  . available " + describe(each->available);
  if (const auto* each = std::get_if<consensus::cut_built>(&x))
    return "  . cut built on " + each->parent.short_hex() + " " + describe(each->cut);
  if (const auto* each = std::get_if<consensus::batches_ready>(&x))
    return "  . batches ready of " + each->block.short_hex();
  if (const auto* each = std::get_if<consensus::batches_invalid>(&x))
    return "  . batches invalid of " + each->block.short_hex();
  if (const auto* each = std::get_if<consensus::evidence_found>(&x))
    return "  . evidence " + describe(each->what.first) + " against "
           + describe(each->what.second);
  return {};
}

std::string describe_event(const lanes_event& x) {
  if (const auto* each = std::get_if<mempool::cut_wanted>(&x))
    return "  . cut wanted on " + each->parent.short_hex() + " " + describe(each->parent_cut);
  if (const auto* each = std::get_if<mempool::batches_wanted>(&x))
    return "  . batches wanted of " + each->block.short_hex() + " " + describe(each->parent_cut)
           + " to " + describe(each->cut) + (each->certified ? " certified" : "");
  if (const auto* each = std::get_if<mempool::cut_finalized>(&x))
    return "  . final cut " + describe(each->cut);
  return {};
}

} // namespace

process::process(world& home, std::size_t id, node_index node, bool honest,
                 process_traits traits, consensus::settings agreement, mempool::settings lanes)
    : home_(home), id_(id), node_(node), honest_(honest), traits_(traits),
      agreement_settings_(std::move(agreement)), lanes_settings_(std::move(lanes)),
      disk_(agreement_settings_.keys.domain, agreement_settings_.nodes.size),
      chance_(mix(home.seed() ^ mix(1000 + id))) {}

instant process::clock() const {
  const auto now_ms = home_.now_us() / 1000;
  return {now_ms + monotonic_offset_ms_, world::epoch_ms + now_ms + traits_.wall_offset_ms};
}

// --- life and death

void process::start() {
  running_ = true;
  ++life_;
  monotonic_offset_ms_ = chance_.between(0, 1'000'000);
  home_.note(this, [&] {
    return "starts: ledger h" + std::to_string(disk_.ledger().size() - 1) + ", "
           + std::to_string(disk_.records()) + " records";
  });
  agreement_.emplace(agreement_settings_, disk_.recover_agreement());
  lanes_.emplace(lanes_settings_, disk_.recover_lanes());
  happen(lanes_event{mempool::started{}});
  if (running_) happen(agreement_event{consensus::started{}});
}

void process::crash() {
  if (!running_) return;
  home_.note(this, [] { return std::string("crashes"); });
  running_ = false;
  ++life_;
  agreement_.reset();
  lanes_.reset();
  agreement_out_.waiting.clear();
  lanes_out_.waiting.clear();
  to_execute_.clear();
  executing_ = false;
  crash_after_commits_.reset();
  crash_after_sends_.reset();
  tickets_.clear();
  accepted_.clear();
  if (honest_) home_.checks().crashed(node_, disk_);
  home_.crashed(*this);
}

std::string process::why_not_quiet(std::int64_t now_us, std::int64_t for_us) const {
  if (const auto state = look(); state.pending) return "is pending: " + state.waiting_for;
  // Another node's batch may have brought them meanwhile.
  if (lanes_->look().queued_operations > 0) return "has operations that wait for a batch";
  if (now_us - last_activity_us_ < for_us) return "still " + last_deed_;
  return {};
}

void process::put_back(const model_disk& copy) {
  disk_ = copy;
  disk_.lose_vote_log();
  promised_.clear(); // what was only on the disk that is gone is lost lawfully
  for (const auto& each : disk_.batches_of(node_))
    for (const auto& operation : each->content.operations)
      promised_.insert(operation.id);
}

void process::arm_crash(int commits, int sends) {
  crash_after_commits_ = commits;
  armed_sends_ = sends;
}

void process::disarm() {
  repair_disk();
  crash_after_commits_.reset();
  crash_after_sends_.reset();
}

void process::commit_happened() {
  if (!crash_after_commits_ || --*crash_after_commits_ > 0) return;
  crash_after_commits_.reset();
  crash_after_sends_ = armed_sends_;
  if (armed_sends_ > 0) return;
  home_.count(fault::crash_after_commit);
  crash();
}

// --- events

void process::receive(node_index from, const parcel_ptr& what) {
  home_.note(this,
             [&] { return "<- n" + std::to_string(from) + " " + describe(what->content); });
  if (is_about_lanes(static_cast<std::uint8_t>(what->content.index())))
    happen(lanes_event{mempool::received{from, what->content}});
  else
    happen(agreement_event{consensus::received{from, what->content}});
}

void process::happen(agreement_event what) {
  home_.note(this, [&] { return describe_event(what); });
  home_.fold(id_ << 8 | what.index());
  const auto now = [this] { return look(); };
  if (honest_) home_.checks().told(node_, what, now);
  auto effects = agreement_->handle({clock(), std::move(what)});
  if (honest_) home_.checks().resolved(node_, effects, now);
  absorb(std::move(effects), agreement_out_, part::agreement);
}

void process::happen(lanes_event what) {
  home_.note(this, [&] { return describe_event(what); });
  home_.fold(id_ << 8 | 0x80 | what.index());
  if (honest_) home_.checks().told(node_, what, disk_);
  auto effects = lanes_->handle({clock(), std::move(what)});
  if (honest_) home_.checks().resolved(node_, effects);
  absorb(std::move(effects), lanes_out_, part::lanes);
}

void process::ring(part which, std::uint64_t generation) {
  if (alarms_[static_cast<int>(which)] != generation) return;
  if (which == part::agreement)
    happen(agreement_event{consensus::alarm_rang{}});
  else
    happen(lanes_event{mempool::alarm_rang{}});
}

// --- effects, in order

template <class Effect>
void process::absorb(std::vector<Effect> effects, outbox<Effect>& out, part which) {
  const auto life = life_;
  for (auto& each : effects) {
    if (!out.waiting.empty() || (traits_.group_commits && as_persist(each))) {
      if (out.waiting.empty())
        home_.at(home_.now_us() + chance_.between(traits_.commit_us / 4, traits_.commit_us),
                 this, flush_due{which});
      out.waiting.push_back(std::move(each));
    } else {
      carry(each);
      if (life != life_) return;
    }
  }
}

void process::flush(part which) {
  if (which == part::agreement)
    flush(agreement_out_);
  else
    flush(lanes_out_);
}

/// One commit for all that waits, then the rest in order.
template <class Effect>
void process::flush(outbox<Effect>& out) {
  const auto life = life_;
  const auto effects = std::exchange(out.waiting, {});
  for (const auto& each : effects)
    if (const auto* records = as_persist(each)) store(*records);
  commit_happened();
  for (const auto& each : effects) {
    if (life != life_) return;
    if (!as_persist(each)) carry(each);
  }
}

void process::active(std::string_view deed) {
  last_activity_us_ = home_.now_us();
  last_deed_ = deed;
}

/// A disk that fails ends the node before anything of the commit is there.
bool process::fails_to_store() {
  if (!running_) return true;
  if (!failing_stores_) return false;
  if (*failing_stores_ > 0) {
    if (--*failing_stores_ > 0) return false;
    failing_stores_.reset();
  }
  home_.note(this, [] { return std::string("cannot store"); });
  crash();
  return true;
}

void process::store(const consensus::persist& x) {
  if (fails_to_store()) return;
  active("stores votes");
  for (const auto& each : x.records) {
    home_.fold(each.index() + 0x100);
    home_.note(this, [&] { return "stores " + describe_record(each); });
  }
  disk_.commit(x.records);
  if (honest_) home_.checks().committed(node_, x.records, disk_);
}

void process::store(const mempool::persist& x) {
  if (fails_to_store()) return;
  active("stores batches");
  for (const auto& each : x.batches) {
    home_.fold(digest_hash{}(each->id));
    home_.note(this, [&] {
      return "stores batch " + describe(each->tip()) + " of "
             + std::to_string(each->content.operations.size());
    });
    if (each->content.lane == node_)
      for (const auto& operation : each->content.operations)
        promised_.insert(operation.id);
  }
  disk_.commit(x.batches);
  if (honest_) home_.checks().committed(node_, x.batches);
}

void process::carry(const consensus::effect& x) {
  home_.fold(x.index() + 0x200);
  std::visit(overload{[&](const consensus::persist& each) {
                        store(each);
                        commit_happened();
                      },
                      [&](const consensus::send& each) {
                        transmit(each.to, make_parcel(each.message));
                      },
                      [&](const consensus::broadcast& each) { send_all(each.message); },
                      [&](const consensus::set_alarm& each) {
                        set_alarm(part::agreement, each.at_monotonic_ms);
                      },
                      [&](const consensus::build_cut& each) {
                        pass(lanes_event{mempool::cut_wanted{each.parent, each.parent_cut}});
                      },
                      [&](const consensus::require_batches& each) {
                        pass(lanes_event{mempool::batches_wanted{each.block, each.parent_cut,
                                                                 each.cut, each.certified}});
                      },
                      [&](const consensus::deliver& each) { queue_execution(each); },
                      [&](const consensus::serve_range& each) { serve(each); },
                      [&](const consensus::prune& each) {
                        if (honest_) home_.checks().pruned(node_, each.through, disk_);
                        if (traits_.forgets_eagerly) disk_.forget_votes_through(each.through);
                      },
                      [&](const consensus::observed& each) {
                        home_.note(this, [&] {
                          return "observes " + describe(each.what.first) + " against "
                                 + describe(each.what.second);
                        });
                        if (honest_) home_.checks().observed(node_, each.what);
                      },
                      [&](const consensus::halted& each) {
                        home_.note(this, [&] { return "halts: " + each.reason; });
                        if (honest_) home_.checks().halted(node_, each.reason);
                      }},
             x);
}

void process::carry(const mempool::effect& x) {
  home_.fold(x.index() + 0x300);
  std::visit(
      overload{
          [&](const mempool::persist& each) {
            store(each);
            commit_happened();
          },
          [&](const mempool::send& each) { transmit(each.to, make_parcel(each.message)); },
          [&](const mempool::broadcast& each) { send_all(each.message); },
          [&](const mempool::set_alarm& each) { set_alarm(part::lanes, each.at_monotonic_ms); },
          [&](const mempool::admitted& each) { settle_admission(each); },
          [&](const mempool::work_changed& each) {
            pass(agreement_event{consensus::work_changed{each.available}});
          },
          [&](const mempool::cut_built& each) {
            pass(agreement_event{consensus::cut_built{each.parent, each.cut}});
          },
          [&](const mempool::batches_ready& each) {
            pass(agreement_event{consensus::batches_ready{each.block}});
          },
          [&](const mempool::batches_invalid& each) {
            pass(agreement_event{consensus::batches_invalid{each.block}});
          },
          [&](const mempool::serve_batches& each) { serve(each); },
          [&](const mempool::observed& each) {
            if (honest_) home_.checks().observed(node_, each.what);
            pass(agreement_event{consensus::evidence_found{each.what}});
          }},
      x);
}

// --- messages

static bool is_quiet_talk(const wire_message& x) {
  return std::holds_alternative<status>(x) || std::holds_alternative<have_message>(x);
}

void process::transmit(node_index to, const parcel_ptr& what) {
  if (crash_after_sends_ && (*crash_after_sends_)-- <= 0) {
    home_.count(fault::crash_after_commit);
    return crash();
  }
  home_.fold(what->fingerprint ^ to);
  home_.note(this, [&] { return "-> n" + std::to_string(to) + " " + describe(what->content); });
  if (is_quiet_talk(what->content))
    ++talk_;
  else
    active(name_of(what->content));
  if (honest_) home_.checks().sent(node_, what, disk_);
  home_.transmit(*this, to, what);
}

void process::send_all(wire_message content) {
  const auto what = make_parcel(std::move(content));
  const auto life = life_;
  for (node_index to = 0; to < agreement_settings_.nodes.size && life == life_; ++to)
    if (to != node_) transmit(to, what);
}

void process::link_changed(node_index peer, bool up) {
  home_.note(this, [&] {
    return std::string(up ? "link up to n" : "link down to n") + std::to_string(peer);
  });
  const auto life = life_;
  happen(up ? lanes_event{mempool::peer_up{peer}} : lanes_event{mempool::peer_down{peer}});
  if (life != life_) return;
  happen(up ? agreement_event{consensus::peer_up{peer}}
            : agreement_event{consensus::peer_down{peer}});
}

// --- what else an actor does

void process::set_alarm(part which, std::int64_t at_monotonic_ms) {
  const auto generation = ++alarms_[static_cast<int>(which)];
  const auto due_us = (at_monotonic_ms - monotonic_offset_ms_) * 1000 + chance_.between(0, 900);
  home_.at(std::max(due_us, home_.now_us() + 1), this, alarm_due{which, generation});
}

/// Between two actors messages stay in order.
void process::pass(agreement_event what) {
  auto& last = passed_us_[0];
  last = std::max(last + 1, home_.now_us() + chance_.between(5, 300));
  home_.at(last, this, std::move(what));
}

void process::pass(lanes_event what) {
  auto& last = passed_us_[1];
  last = std::max(last + 1, home_.now_us() + chance_.between(5, 300));
  home_.at(last, this, std::move(what));
}

void process::queue_execution(const consensus::deliver& what) {
  active("delivers");
  home_.note(this, [&] { return "delivers " + describe(what.block->content); });
  home_.fold(digest_hash{}(what.block->id));
  if (honest_) home_.checks().delivered(node_, what);
  to_execute_.push_back(what);
  if (executing_) return;
  executing_ = true;
  home_.at(home_.now_us() + chance_.between(10, traits_.execute_us), this, execution_due{});
}

/// Several blocks may share one transaction of the ledger (S10).
void process::execute() {
  if (fails_to_store()) return;
  active("executes");
  std::vector<std::pair<block_height, digest>> done;
  for (auto limit = 1 + chance_.below(4); limit > 0 && !to_execute_.empty(); --limit) {
    const auto next = std::move(to_execute_.front());
    to_execute_.pop_front();
    const auto executed = disk_.execute(next.block, next.full_cut, next.finalization);
    if (!executed) {
      if (honest_)
        home_.checks().report(node_, "delivered with its batches", executed.error().context);
      return;
    }
    done.emplace_back(next.block->content.height, *executed);
    if (honest_) home_.checks().executed(node_, next.block->content.height, *executed);
  }
  home_.note(this, [&] { return "executed through h" + std::to_string(done.back().first); });
  executing_ = !to_execute_.empty();
  if (executing_)
    home_.at(home_.now_us() + chance_.between(10, traits_.execute_us), this, execution_due{});
  const auto life = life_;
  commit_happened();
  if (life != life_) return;
  for (const auto& [height, execution] : done)
    pass(agreement_event{consensus::executed{height, execution}});
  pass(lanes_event{mempool::cut_finalized{disk_.ledger().back().cut}});
}

void process::serve(const consensus::serve_range& x) {
  if (const auto answer = disk_.read_range(x.from, traits_.range_blocks))
    transmit(x.to, make_parcel(*answer));
}

void process::serve(const mempool::serve_batches& x) {
  auto answer = disk_.read_batches(x.request, traits_.answer_batches);
  if (!answer.batches.empty()) transmit(x.to, make_parcel(std::move(answer)));
}

// --- operations

void process::submit(const operation& what) {
  home_.note(this, [&] { return "is given operation " + what.id.hex().substr(0, 8); });
  const auto ticket = next_ticket_++;
  tickets_[ticket] = what.id;
  happen(lanes_event{mempool::operations_submitted{ticket, {what}}});
}

void process::settle_admission(const mempool::admitted& x) {
  const auto at = tickets_.find(x.ticket);
  if (at == tickets_.end()) {
    if (honest_)
      home_.checks().report(node_, "one answer a submission",
                            "ticket " + std::to_string(x.ticket));
    return;
  }
  if (x.verdicts.size() == 1 && x.verdicts[0] == mempool::admission::accepted)
    accepted_.insert(at->second);
  tickets_.erase(at);
}
} // namespace tallymesh::simulation
