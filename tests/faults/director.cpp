#include "tests/faults/director.hpp"

#include <algorithm>

namespace tallymesh::faults {

namespace sim = simulation;
using std::chrono::microseconds;

constexpr std::int64_t look_every_us = 50'000;
constexpr std::int64_t slow_commit_us = 600'000;
constexpr duration restarted_after{300'000};
/// Views and blocks that a node may hold at once: a few hundred are usual after a long
/// partition.
constexpr std::size_t most_held = 4096;

director::director(const script& what, std::uint64_t seed)
    : script_(what), chance_(sim::mix(seed ^ 0x736372697074)), acts_(timeline(what)) {}

std::shared_ptr<const sim::direction> director::direction() {
  auto made = std::make_shared<sim::direction>();
  made->heal_us = script_.heal.count();
  made->settle_within_us = script_.settle_within().count();
  made->watch_silence = script_.expects(check::quiet);
  made->byzantine = script_.byzantine();
  made->twins = script_.byzantine(byzantine_habit::twin);
  made->begin = [this](sim::stage& on) { begin(on); };
  made->finish = [this](sim::stage& on) { finish(on); };
  return made;
}

void director::begin(sim::stage& on) {
  stage_ = &on;
  for (const auto& each : script_.statements)
    if (each.does.what == verb::restore)
      on.at(each.does.by.count(), [this, &each] { copy_disks(each.does); });
  for (const auto& each : acts_)
    on.at(each.when.count(), [this, &each] { carry_out(each); });
  for (const auto& each : script_.statements)
    if (each.what == statement::kind::load) plan_load(each.puts);
  on.at(script_.heal.count(), [this] { before_healing(); });
  on.at(look_every_us, [this] { look_at_clients(); });
  if (script_.expects(check::bounded_memory))
    on.at(look_every_us, [this] { look_at_memory(); });
  if (script_.expects(check::balances_zero))
    not_applied_.insert("balances_zero is not checked: no settlement tables");
}

void director::carry_out(const timed_act& x) {
  if (stage_->healed()) return;
  stage_->note("script line " + std::to_string(x.from->line) + ": " + x.from->text);
  apply(*x.does);
}

void director::later(const std::optional<duration>& when, sim::action undo) {
  if (!when) return;
  stage_->at(stage_->now_us() + when->count(), [this, undo = std::move(undo)] {
    if (!stage_->healed()) undo();
  });
}

// --- who is meant

some_nodes director::resolve(const node_set& set) {
  return faults::resolve(set,
                         {script_.nodes, [this](auto each) { return stage_->running(each); },
                          [this](auto each) { return stage_->stopped(each); },
                          [this] { return stage_->leader(); }},
                         chance_);
}

// --- what befalls them

void director::apply(const act& x) {
  const auto whom = x.sets.empty() ? nodes{} : resolve(x.sets.front());
  switch (x.what) {
  case verb::partition:
  case verb::one_way:
  case verb::cut:
    return break_lines(x);
  case verb::line:
    return set_lines(x);
  case verb::kill:
    return kill(whom, x.lasting);
  case verb::power_loss:
    stage_->count(sim::fault::mesh_crash);
    return kill(resolve({{node_selector::who::all, 0}}), x.lasting);
  case verb::start:
    for (const auto each : whom)
      stage_->start(each);
    return;
  case verb::stop:
    for (const auto each : whom)
      stage_->stop(each);
    return later(x.lasting, [this, whom] {
      for (const auto each : whom)
        stage_->carry_on(each);
    });
  case verb::carry_on:
    for (const auto each : whom)
      stage_->carry_on(each);
    return;
  case verb::disk:
    return break_disk(x, whom);
  case verb::clock: {
    const auto by_ms = x.by.count() / 1000;
    for (const auto each : whom) {
      stage_->count(sim::fault::clock_jump);
      stage_->jump_clock(each, by_ms);
    }
    return later(x.lasting, [this, whom, by_ms] {
      for (const auto each : whom)
        stage_->jump_clock(each, -by_ms);
    });
  }
  case verb::flood:
    return flood(x, whom);
  case verb::byzantine:
    return turn(x, whom);
  case verb::lose_vote_log:
    for (const auto each : whom) {
      stage_->lose_vote_log(each);
      later(restarted_after, [this, each] { stage_->start(each); });
    }
    return;
  case verb::restore:
    return restore(x, whom);
  case verb::kill_actor: // the core actors restart together, from storage; links too, here
    return kill(whom, duration(20'000));
  case verb::crash_at:
    return crash_at(x, whom);
  case verb::live:
    return expect_life(x.by);
  case verb::converged:
  case verb::quiet:
    return expect(x.what, x.by);
  case verb::heal:
    return;
  }
}

void director::break_lines(const act& x) {
  std::vector<nodes> sides;
  for (const auto& each : x.sets)
    sides.push_back(resolve(each));
  stage_->count(x.what == verb::one_way ? sim::fault::one_way_partition
                                        : sim::fault::partition);
  const auto broken = broken_ways(x, std::move(sides), script_.nodes);
  for (const auto& [from, to] : broken)
    stage_->cut(from, to);
  later(x.lasting, [this, broken] {
    for (const auto& [from, to] : broken)
      stage_->mend(from, to);
  });
}

static std::uint64_t per_mille(std::uint64_t ppm) { return (ppm + 999) / 1000; }

static std::optional<sim::stage::quality> as_staged(const std::optional<line_quality>& x) {
  if (!x) return std::nullopt;
  return sim::stage::quality{x->least_delay.count(), x->most_delay.count(),
                             per_mille(x->lost_ppm), per_mille(x->duplicated_ppm),
                             x->bytes_per_s};
}

void director::set_lines(const act& x) {
  const auto some = resolve(x.sets[0]), others = resolve(x.sets[1]);
  const auto before = faults::set_lines(lines_, some, others, x.quality);
  for (const auto& [each, was] : before)
    stage_->set_line(each.first, each.second, as_staged(x.quality));
  later(x.lasting, [this, before] {
    restore_lines(lines_, before);
    for (const auto& [each, was] : before)
      stage_->set_line(each.first, each.second, as_staged(was));
  });
}

void director::kill(const nodes& whom, const std::optional<duration>& lasting) {
  for (const auto each : whom) {
    if (stage_->running(each)) stage_->count(sim::fault::crash);
    stage_->kill(each);
  }
  later(lasting, [this, whom] {
    for (const auto each : whom)
      stage_->start(each);
  });
}

/// A node whose disk fails ends itself, and is started again when the disk is well.
void director::break_disk(const act& x, const nodes& whom) {
  for (const auto each : whom) {
    if (x.disk == disk_fault::slow) {
      stage_->count(sim::fault::slow_disk);
      stage_->slow_disk(each, slow_commit_us);
    } else {
      stage_->fail_disk(each, 0);
      failing_disks_.insert(each);
    }
  }
  later(x.lasting, [this, whom, slow = x.disk == disk_fault::slow] {
    for (const auto each : whom) {
      if (slow)
        stage_->speed_up_disk(each);
      else {
        stage_->repair_disk(each);
        failing_disks_.erase(each);
        stage_->start(each);
      }
    }
  });
}

void director::turn(const act& x, const nodes& whom) {
  namespace habits = sim::strategy;
  static constexpr std::uint32_t strategies[] = {
      habits::twins,     habits::rogue,   habits::lie,    habits::withhold, habits::equivocate,
      habits::fork_lane, habits::garbage, habits::replay, habits::hoard,    habits::mute};
  for (const auto each : whom)
    stage_->become(each, strategies[static_cast<std::size_t>(x.habit)]);
}

void director::flood(const act& x, const nodes& whom) {
  if (x.flood != flood_of::operations) {
    not_applied_.insert("flood with " + std::string(to_string(x.flood))
                        + ": it ends at the link or the gateway, which the simulator does not "
                          "have (run it with --real)");
    return;
  }
  const auto total = x.rate_per_s * static_cast<std::uint64_t>(x.lasting->count()) / 1'000'000;
  for (std::uint64_t i = 0; i < total; ++i)
    for (const auto each : whom)
      stage_->at(stage_->now_us() + static_cast<std::int64_t>(i * 1'000'000 / x.rate_per_s),
                 [this, each] {
                   if (!stage_->healed()) hand_in(each, 256, false);
                 });
}

void director::copy_disks(const act& x) {
  for (const auto each : resolve(x.sets.front()))
    copies_.insert_or_assign({each, x.by}, stage_->copy_disk(each));
}

void director::restore(const act& x, const nodes& whom) {
  for (const auto each : whom)
    stage_->restore(each, copies_.at({each, x.by}));
  later(x.lasting.value_or(restarted_after), [this, whom] {
    for (const auto each : whom)
      stage_->start(each);
  });
}

void director::crash_at(const act& x, const nodes& whom) {
  const auto nth = static_cast<int>(x.count);
  for (const auto each : whom)
    switch (x.moment) {
    case crash_moment::before_persist:
    case crash_moment::after_persist:
      stage_->crash_at_persist(each, nth, x.moment == crash_moment::before_persist);
      break;
    case crash_moment::before_send:
    case crash_moment::after_send:
      stage_->crash_at_send(each, nth, x.moment == crash_moment::before_send);
    }
  later(x.lasting, [this, whom] {
    for (const auto each : whom)
      stage_->start(each);
  });
}

void director::expect_life(duration within) {
  const auto since = microseconds(stage_->now_us());
  stage_->at((since + within).count(), [this, since, within] {
    if (!clients_.lived(since, since + within))
      stage_->report(-1, "live within " + duration_text(within),
                     "nothing handed in from " + duration_text(since) + " on was acknowledged");
  });
}

std::vector<std::uint16_t> director::honest_running() const {
  std::vector<std::uint16_t> found;
  for (std::uint16_t i = 0; i < script_.nodes; ++i)
    if (stage_->honest(i) && stage_->running(i) && !stage_->stopped(i)) found.push_back(i);
  return found;
}

void director::expect(verb what, duration within) {
  expectation x{what, stage_->now_us(), within.count(), honest_running(), 0};
  for (const auto each : x.who)
    x.height = std::max(x.height, stage_->disk(each).ledger().size());
  look_for(x);
}

void director::look_for(const expectation& x) {
  const auto why = why_not(x);
  if (why.empty() || stage_->over()) return;
  if (stage_->now_us() < x.since_us + x.within_us)
    return stage_->at(stage_->now_us() + look_every_us, [this, x] { look_for(x); });
  stage_->report(-1,
                 std::string(to_string(x.what)) + " within "
                     + duration_text(microseconds(x.within_us)),
                 "from " + duration_text(microseconds(x.since_us)) + " on: " + why);
}

std::string director::why_not(const expectation& x) const {
  if (x.what == verb::quiet) return why_not_quiet();
  for (const auto each : x.who) {
    const auto node = "n" + std::to_string(each + 1);
    if (!stage_->running(each) || stage_->stopped(each)) return node + " does not run";
    if (const auto height = stage_->disk(each).ledger().size(); height < x.height)
      return node + " is at height " + std::to_string(height - 1) + ", and not at "
             + std::to_string(x.height - 1);
  }
  return {};
}

std::string director::why_not_quiet() const {
  for (const auto each : honest_running())
    if (const auto why = stage_->why_not_quiet(each); !why.empty())
      return "n" + std::to_string(each + 1) + " " + why;
  return {};
}

/// The world heals lines and starts nodes; these are the script's own doing.
void director::before_healing() {
  for (std::uint16_t i = 0; i < script_.nodes; ++i) {
    stage_->carry_on(i);
    stage_->repair_disk(i);
    stage_->speed_up_disk(i);
  }
}

// --- clients

void director::plan_load(const load& x) {
  const auto until = std::min(x.until.value_or(script_.heal), script_.heal);
  const auto at = resolve(x.at);
  const auto gap_us = static_cast<std::int64_t>(1'000'000 / x.rate_per_s);
  for (auto when = x.from.count(); when < until.count();
       when += std::max<std::int64_t>(1, chance_.between(gap_us / 2, gap_us * 3 / 2)))
    stage_->at(when, [this, node = chance_.pick(at), size = x.size_bytes] {
      hand_in(node, size, true);
    });
}

void director::hand_in(std::uint16_t node, std::uint64_t size_bytes, bool remembered) {
  open_operation x;
  x.node = node;
  for (auto& each : x.what.id.raw)
    each = static_cast<std::uint8_t>(chance_.next());
  x.what.contract = "simulated";
  x.what.action = "store";
  x.what.author = "client";
  put(x.what.arguments, "row", bytes(size_bytes));
  stage_->count_operation();
  const bool ready = stage_->running(node) && !stage_->stopped(node);
  // A node that breaks the rules owes its clients nothing.
  if (remembered && stage_->honest(node)) {
    clients_.submitted(x.what.id.hex(), node, microseconds(stage_->now_us()));
    if (ready) x.handed_in_life = stage_->life(node);
    open_.push_back(x);
  }
  if (ready) stage_->submit(node, x.what);
}

/// A client that was not answered asks the same node again, once in each of its lives.
void director::look_at_clients() {
  if (stage_->over()) return;
  std::erase_if(open_, [&](open_operation& x) {
    if (!stage_->running(x.node) || stage_->stopped(x.node)) return false;
    if (stage_->disk(x.node).executed(x.what.id)) {
      clients_.acknowledged(x.what.id.hex(), microseconds(stage_->now_us()));
      return true;
    }
    if (x.handed_in_life != stage_->life(x.node)) {
      x.handed_in_life = stage_->life(x.node);
      stage_->submit(x.node, x.what);
    }
    return false;
  });
  stage_->at(stage_->now_us() + look_every_us, [this] { look_at_clients(); });
}

void director::look_at_memory() {
  if (stage_->over()) return;
  for (std::uint16_t i = 0; i < script_.nodes; ++i) {
    if (!stage_->honest(i) || !stage_->running(i)) continue;
    const auto now = stage_->look(i);
    if (now.views_held > most_held || now.blocks_held > most_held)
      stage_->report(i, "bounded_memory",
                     "holds " + std::to_string(now.views_held) + " views and "
                         + std::to_string(now.blocks_held) + " blocks");
  }
  stage_->at(stage_->now_us() + look_every_us, [this] { look_at_memory(); });
}

void director::finish(sim::stage& on) {
  if (on.failed()) return; // in the middle of things ledgers may differ
  std::vector<ledger_copy> copies;
  for (std::uint16_t i = 0; i < script_.nodes; ++i) {
    if (!on.honest(i)) continue;
    ledger_copy copy;
    copy.node = i;
    const auto& ledger = on.disk(i).ledger();
    for (std::size_t height = 1; height < ledger.size(); ++height) {
      block_copy block{height, ledger[height].execution.short_hex(), {}};
      for (const auto& id : ledger[height].ran)
        block.operations.push_back(id.hex());
      copy.blocks.push_back(std::move(block));
    }
    copies.push_back(std::move(copy));
  }
  for (const auto& each : judge(clients_, copies))
    on.report(-1, each.what ? std::string(to_string(*each.what)) : "history", each.text);
}

std::string count_from_one(std::string_view text) {
  std::string made;
  const auto is_digit = [&](std::size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '9';
  };
  const auto is_word = [&](std::size_t at) {
    return is_digit(at) || (text[at] >= 'a' && text[at] <= 'z');
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    made += text[at];
    if (text[at] != 'n' || (at > 0 && is_word(at - 1)) || !is_digit(at + 1)) continue;
    std::uint32_t number = 0;
    for (; is_digit(at + 1) && number < 1'000'000; ++at)
      number = number * 10 + static_cast<std::uint32_t>(text[at + 1] - '0');
    made += std::to_string(number + 1);
  }
  return made;
}

} // namespace tallymesh::faults
