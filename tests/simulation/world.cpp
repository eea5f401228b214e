#include "tests/simulation/world.hpp"

#include "messages/overload.hpp"
#include "tests/simulation/quick_credentials.hpp"
#include "tests/simulation/stage.hpp"

#include <algorithm>
#include <cstdio>

namespace tallymesh::simulation {

constexpr std::size_t directed_batch_bytes = 4096;

static signing_domain simulated_domain() {
  return {hash(digest_kind::genesis, as_bytes("simulation")), 0};
}

std::string_view to_string(fault x) {
  static constexpr std::string_view names[] = {"message_lost",
                                               "message_duplicated",
                                               "message_delayed",
                                               "partition",
                                               "one_way_partition",
                                               "isolated_node",
                                               "crash",
                                               "crash_after_commit",
                                               "mesh_crash",
                                               "clock_jump",
                                               "slow_disk",
                                               "lost_vote_log",
                                               "twin",
                                               "rogue_proposal",
                                               "withheld_message",
                                               "equivocating_vote",
                                               "forked_lane",
                                               "withheld_batch",
                                               "lie",
                                               "garbage",
                                               "replay",
                                               "hoarded_certificate",
                                               "forged_answer",
                                               "overreach",
                                               "flooded_lane",
                                               "sent_evidence"};
  static_assert(std::size(names) == fault_count);
  return names[static_cast<std::size_t>(x)];
}

std::uint64_t outcome::faults_total() const {
  std::uint64_t sum = 0;
  for (const auto each : faults)
    sum += each;
  return sum;
}

world::world(const options& what)
    : options_(what), domain_(simulated_domain()),
      nodes_(validator_set::make(domain_.chain, 0, what.nodes)),
      checker_(what, nodes_, quick_credentials(0, what.nodes, domain_), epoch_ms),
      plan_(mix(what.seed ^ 0x706C616E)), net_(mix(what.seed ^ 0x6E6574)),
      work_(mix(what.seed ^ 0x776F726B)), by_node_(what.nodes),
      links_(std::size_t{what.nodes} * what.nodes),
      adversary_(std::make_unique<adversary>(surroundings_of_adversary(),
                                             random_source(mix(what.seed ^ 0x6576696C)))) {
  outcome_.seed = what.seed;
  outcome_.nodes = what.nodes;
  choose_climate();
  choose_members();
}

// --- setting up

surroundings world::surroundings_of_adversary() {
  surroundings made;
  made.nodes = nodes_;
  made.genesis = genesis_block(domain_);
  made.after = [this](std::int64_t delay_us, action what) { after(delay_us, std::move(what)); };
  made.post = [this](node_index from, node_index to, const parcel_ptr& what, bool promptly) {
    post(from, to, what, promptly);
  };
  made.count = [this](fault what) { count(what); };
  made.wall_ms = [this] { return epoch_ms + now_ms(); };
  made.note = [this](const std::function<std::string()>& text) { note(nullptr, text); };
  return made;
}

void world::choose_climate() {
  delta_ms_ = plan_.pick(std::vector<std::int64_t>{100, 200, 500});
  const auto duration_ms =
      options_.duration_ms > 0 ? options_.duration_ms : plan_.between(2'000, 20'000);
  heal_us_ = options_.directed ? options_.directed->heal_us : duration_ms * 1000;
  const std::vector<std::pair<std::int64_t, std::int64_t>> delays_us{
      {200, 2'000}, {200, 2'000}, {5'000, 40'000}, {1'000, 100'000}, {1'000, 400'000}};
  std::tie(line_.min_us, line_.max_us) = plan_.pick(delays_us);
  line_.lost = plan_.pick(std::vector<std::uint64_t>{0, 0, 10, 100, 300});
  line_.duplicated = plan_.pick(std::vector<std::uint64_t>{0, 0, 10, 100});
  line_.spiked = plan_.pick(std::vector<std::uint64_t>{0, 0, 10, 50});
  line_.spike_us = plan_.between(100'000, 3'000'000);
  if (!options_.benign_faults) line_.lost = line_.duplicated = line_.spiked = 0;

  if (options_.directed) line_ = {};

  auto& agreement = agreement_template_;
  agreement.nodes = nodes_;
  agreement.delta_ms = delta_ms_;
  agreement.undelivered_blocks = plan_.pick(std::vector<std::size_t>{2, 8, 64});
  auto& lanes = lanes_template_;
  lanes.nodes = nodes_;
  lanes.batch_bytes = static_cast<std::size_t>(plan_.between(150, 1500));
  lanes.batch_delay_ms = plan_.pick(std::vector<std::int64_t>{1, 5, 50});
  lanes.queue_operations = plan_.pick(std::vector<std::size_t>{5, 200'000});
  lanes.lane_window = plan_.pick(std::vector<std::size_t>{1, 2, 64});
  lanes.block_batches = plan_.pick(std::vector<std::size_t>{1, 3, limits::max_block_batches});
  lanes.block_payload_bytes =
      plan_.pick(std::vector<std::size_t>{4096, limits::max_block_payload_bytes});
  lanes.peer_lane_window = plan_.pick(std::vector<std::size_t>{64, 1024});
  if (options_.directed) { // a script says how large its operations are: let them in
    lanes.batch_bytes += directed_batch_bytes;
    lanes.block_payload_bytes = std::max(lanes.block_payload_bytes, 4 * directed_batch_bytes);
  }
  checker_.set_limits(lanes.block_batches, lanes.block_payload_bytes);
}

process_traits world::choose_traits() {
  process_traits x;
  x.group_commits = plan_.chance(400);
  x.commit_us = plan_.between(200, 8'000);
  x.execute_us = plan_.pick(std::vector<std::int64_t>{300, 5'000, 50'000});
  x.range_blocks = static_cast<std::size_t>(plan_.between(1, 32));
  x.answer_batches = static_cast<std::size_t>(plan_.between(1, 16));
  // Skews of honest clocks together stay below the tolerance that blocks are judged by.
  x.wall_offset_ms = plan_.chance(500) ? plan_.between(-10'000, 10'000) : 0;
  x.forgets_eagerly = plan_.chance(700);
  return x;
}

void world::choose_members() {
  std::vector<node_index> order(nodes_.size);
  for (node_index i = 0; i < nodes_.size; ++i)
    order[i] = i;
  plan_.shuffle(order);
  const bool treason = (options_.strategies & strategy::treason) != 0;
  const auto faulty =
      treason ? nodes_.faulty() + 1
      : options_.strategies == 0 || options_.directed || plan_.chance(150)
          ? 0
          : plan_.between(plan_.chance(700) ? nodes_.faulty() : 0, nodes_.faulty());
  std::set<node_index> byzantine;
  const auto habits = static_cast<std::uint32_t>(plan_.next()) & options_.strategies;
  for (std::int64_t i = 0; i < faulty; ++i) {
    const auto node = order[static_cast<std::size_t>(i)];
    auto chosen = static_cast<std::uint32_t>(plan_.next()) & options_.strategies;
    if (plan_.chance(500)) chosen &= habits; // a mix of few
    if (plan_.chance(900)) chosen &= ~static_cast<std::uint32_t>(strategy::mute);
    if (!treason && chosen & strategy::amnesia && plan_.chance(200)) {
      amnesiacs_.insert(node);
      continue;
    }
    chosen &= ~static_cast<std::uint32_t>(strategy::amnesia);
    if (treason) chosen = strategy::equivocate | strategy::hoard;
    byzantine.insert(node);
    adversary_->enlist(node, chosen, quick_credentials(node, nodes_.size, domain_));
  }
  std::set<node_index> twins;
  if (options_.directed) {
    for (const auto node : options_.directed->byzantine) {
      byzantine.insert(node);
      adversary_->enlist(node, 0, quick_credentials(node, nodes_.size, domain_));
    }
    twins.insert(options_.directed->twins.begin(), options_.directed->twins.end());
  }
  for (node_index node = 0; node < nodes_.size; ++node) {
    const bool honest = !byzantine.contains(node);
    if (honest) checker_.set_honest(node);
    const bool twofold = adversary_->is_twin(node) || twins.contains(node);
    for (int twin = 0; twin < (twofold ? 2 : 1); ++twin) {
      auto agreement = agreement_template_;
      auto lanes = lanes_template_;
      agreement.keys = lanes.keys = quick_credentials(node, nodes_.size, domain_);
      processes_.push_back(std::make_unique<process>(*this, processes_.size(), node, honest,
                                                     choose_traits(), agreement, lanes));
      processes_.back()->side_a = twin == 0;
      processes_.back()->dormant = twin == 1 && twins.contains(node);
      by_node_[node].push_back(processes_.back().get());
    }
  }
}

// --- work

void world::plan_work() {
  const auto last_us = heal_us_ * 9 / 10;
  const auto total = work_.between(1, 40);
  std::int64_t when = 0;
  for (std::int64_t i = 0; i < total; ++i) {
    operation what;
    for (auto& each : what.id.raw)
      each = static_cast<std::uint8_t>(work_.next());
    what.contract = "simulated";
    what.action = "store";
    what.author = "client";
    put(what.arguments, "row", bytes(static_cast<std::size_t>(work_.between(0, 120))));
    // Bursts, with quiet between them.
    if (work_.chance(400))
      when = work_.between(0, last_us);
    else
      when = std::min(last_us, when + work_.between(0, 50'000));
    at(when, nullptr, action{[this, what] { submit(what, 20); }});
    if (work_.chance(200))
      at(when + work_.between(0, 3'000'000), nullptr,
         action{[this, what] { submit(what, 5); }});
    ++outcome_.operations;
  }
}

void world::submit(const operation& what, int attempts) {
  auto& whom = *work_.pick(by_node_[work_.below(nodes_.size)]);
  if (whom.running())
    whom.submit(what);
  else if (attempts > 0)
    after(200'000, [=, this] { submit(what, attempts - 1); });
}

// --- time

void world::at(std::int64_t when_us, process* to, payload what) {
  std::uint32_t index;
  if (free_slots_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[index] = {to, to ? to->life() : 0, std::move(what)};
  queue_.push({std::max(when_us, now_us_), next_order_++, index});
}

void world::step() {
  const auto next = queue_.top();
  queue_.pop();
  events_this_ms_ = next.at_us / 1000 == now_us_ / 1000 ? events_this_ms_ + 1 : 0;
  if (events_this_ms_ > 100'000)
    return checker_.report(-1, "time goes on", "100,000 events within a millisecond");
  now_us_ = next.at_us;
  checker_.set_time(now_ms());
  auto due = std::move(slots_[next.slot]);
  free_slots_.push_back(next.slot);
  if (due.to && (!due.to->running() || due.to->life() != due.life)) return;
  if (const auto held = frozen_.find(due.to); held != frozen_.end()) {
    held->second.push_back(std::move(due.what));
    return;
  }
  ++outcome_.events;
  fold(static_cast<std::uint64_t>(now_us_) << 4 ^ due.what.index());
  auto* to = due.to;
  std::visit(overload{[&](incoming& x) {
                        if (!to->honest())
                          adversary_->incoming(x.from, to->node(), x.what);
                        else
                          checker_.received(x.what);
                        to->receive(x.from, x.what);
                      },
                      [&](agreement_event& x) { to->happen(std::move(x)); },
                      [&](lanes_event& x) { to->happen(std::move(x)); },
                      [&](alarm_due& x) { to->ring(x.which, x.generation); },
                      [&](flush_due& x) { to->flush(x.which); },
                      [&](execution_due&) { to->execute(); }, [&](action& x) { x(); }},
             due.what);
}

outcome world::run() {
  for (const auto& each : processes_)
    after(plan_.between(0, 200'000), [this, who = each.get()] { start(*who); });
  stage directed(*this);
  if (options_.directed) {
    options_.directed->begin(directed);
  } else {
    plan_work();
    if (options_.benign_faults) plan_faults();
  }
  adversary_->start();
  at(heal_us_, nullptr, action{[this] { heal(); }});
  while (!over() && !queue_.empty())
    step();
  if (options_.directed) options_.directed->finish(directed);
  end();
  return std::move(outcome_);
}

void world::end() {
  outcome_.virtual_ms = now_ms();
  outcome_.violations = checker_.found();
  outcome_.halts = checker_.halts_at_contradictions();
  for (const auto& each : processes_)
    if (each->honest()) {
      std::uint64_t evidence = 0;
      for (const auto& height : each->disk().ledger())
        evidence += height.block->content.contradictions.size();
      outcome_.evidence = std::max(outcome_.evidence, evidence);
      outcome_.blocks =
          std::max<std::uint64_t>(outcome_.blocks, each->disk().ledger().size() - 1);
      outcome_.batches = std::max<std::uint64_t>(outcome_.batches, each->disk().batches());
    }
  note(nullptr, [&] {
    std::string text = checker_.failed() ? "VIOLATION" : "passed";
    for (const auto& each : checker_.found())
      text += " [" + each.rule + "] n" + std::to_string(each.node) + ": " + each.text;
    return text;
  });
}

void world::write_note(const process* who, const std::string& text) {
  if (text.empty()) return;
  char head[48];
  if (who)
    std::snprintf(head, sizeof head, "%10.6f n%u%s ", static_cast<double>(now_us_) / 1e6,
                  unsigned{who->node()},
                  who->honest()                      ? ""
                  : adversary_->is_twin(who->node()) ? (who->side_a ? "a" : "b")
                                                     : "!");
  else
    std::snprintf(head, sizeof head, "%10.6f -- ", static_cast<double>(now_us_) / 1e6);
  options_.trace(head + text);
}

outcome run(const options& what) {
  world here(what);
  return here.run();
}

} // namespace tallymesh::simulation
