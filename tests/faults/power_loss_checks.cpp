#include "tests/faults/power_loss_checks.hpp"

#include "actors/consensus/machine.hpp"
#include "actors/mempool/machine.hpp"

#include <algorithm>
#include <csignal>
#include <limits>
#include <sys/wait.h>
#include <unistd.h>

namespace tallymesh::faults {

namespace fs = std::filesystem;

namespace {

constexpr auto never_us = std::numeric_limits<std::int64_t>::max();

/// What an own record says, if it is a vote or a proposal.
std::optional<signed_item> said_by(const vote_record& x) {
  if (const auto* own = std::get_if<vote>(&x)) return *own;
  if (const auto* own = std::get_if<own_proposal>(&x)) return own->block->as_item();
  return std::nullopt;
}

block_ptr block_in(const vote_record& x) {
  if (const auto* own = std::get_if<own_proposal>(&x)) return own->block;
  if (const auto* kept = std::get_if<kept_block>(&x)) return kept->block;
  return nullptr;
}

std::vector<lane_tip> cut_of(const std::vector<lane_tip>& stored, std::size_t lanes) {
  std::vector<lane_tip> full(lanes);
  for (node_index i = 0; i < lanes; ++i)
    full[i].lane = i;
  for (const auto& each : stored)
    full[each.lane] = each;
  return full;
}

} // namespace

std::vector<std::uint16_t> merged(const std::vector<std::vector<disk_record>>& logs) {
  std::vector<std::uint16_t> order;
  std::vector<std::size_t> at(logs.size());
  for (;;) {
    std::optional<std::uint16_t> first;
    for (std::uint16_t i = 0; i < logs.size(); ++i)
      if (at[i] < logs[i].size()
          && (!first || logs[i][at[i]].head.at_us < logs[*first][at[*first]].head.at_us))
        first = i;
    if (!first) return order;
    order.push_back(*first);
    ++at[*first];
  }
}

power_cuts::power_cuts(const power_recording& what, fs::path scratch, std::uint64_t seed)
    : what_(what), chance_(seed) {
  nodes_.reserve(what.logs.size()); // copies of disks refer to them
  for (std::uint16_t i = 0; i < what.logs.size(); ++i) {
    const auto& log = what.logs[i];
    nodes_.push_back({disk_replay(log), {}, {}, {}, {}, {}, {}, {}, {}, 0, 0});
    auto& x = nodes_.back();
    for (const std::string name : stores)
      x.copies.emplace(name, disk_copy(x.replay, scratch / std::to_string(i) / name, name));
    x.next_ledger_us.assign(log.size() + 1, never_us);
    for (auto k = log.size(); k-- > 0;)
      x.next_ledger_us[k] =
          store_of(log[k].head.name) == "ledger" ? log[k].head.at_us : x.next_ledger_us[k + 1];
  }
}

std::string power_cuts::where(std::uint16_t node) const {
  return " after record " + std::to_string(played_) + ", on n" + std::to_string(node + 1);
}
std::string power_cuts::in(const slot& which) {
  return "view " + std::to_string(which.first) + ", " + std::string(to_string(which.second))
         + ": ";
}

void power_cuts::step() {
  last_node_ = what_.order[played_++];
  auto& x = nodes_[last_node_];
  now_us_ = std::max(now_us_, what_.logs[last_node_][x.replay.played()].head.at_us);
  last_ = x.replay.step();
}

void power_cuts::examine(std::size_t random_parts) {
  const auto& x = nodes_[last_node_];
  if (!last_.none && !last_.all) return;
  for (const auto& store : last_.stores) {
    if (!x.copies.contains(store)) continue;
    if (last_.none) examine(last_node_, store, keep::none);
    const bool uncertain = x.replay.is_uncertain(store);
    if (last_.all && (uncertain || !last_.none)) examine(last_node_, store, keep::all);
    for (std::size_t i = 0; uncertain && i < random_parts; ++i)
      examine(last_node_, store, keep::some);
  }
}

void power_cuts::examine_all(std::size_t random_parts) {
  for (std::uint16_t i = 0; i < nodes_.size(); ++i)
    for (const std::string store : stores) {
      examine(i, store, keep::none);
      examine(i, store, keep::all);
      for (std::size_t k = 0; k < random_parts; ++k)
        examine(i, store, keep::some);
    }
}

std::size_t power_cuts::votes_of(item_kind kind) const {
  std::size_t sum = 0;
  for (const auto& each : nodes_)
    sum += static_cast<std::size_t>(
        std::count_if(each.signed_votes.begin(), each.signed_votes.end(),
                      [&](const auto& x) { return x.first.second == kind; }));
  return sum;
}

result<void> power_cuts::write_to(std::uint16_t node, const fs::path& data, keep what) {
  return nodes_[node].replay.write_to(data, what, chance_);
}

/// Whether a process of its own lives through this.
template <class F>
static bool is_survived(F&& work) {
  const auto child = fork();
  TALLYMESH_INVARIANT(child >= 0);
  if (child == 0) {
    for (const auto ending : {SIGABRT, SIGBUS, SIGSEGV})
      std::signal(ending, SIG_DFL);
    close(STDERR_FILENO);
    work();
    _exit(0);
  }
  int status = 0;
  TALLYMESH_INVARIANT(waitpid(child, &status, 0) == child);
  return WIFEXITED(status);
}

void power_cuts::examine(std::uint16_t node, const std::string& store, keep what) {
  auto& copy = nodes_[node].copies.at(store);
  if (const auto done = copy.become(what, chance_); !done) {
    found_.damaged_stores.push_back("the copy failed: " + done.error().context);
    return;
  }
  if (!what_.erased.empty() && now_us_ >= what_.erased_us && copy.holds(what_.erased))
    found_.kept_payloads.push_back(store + " holds what was erased" + where(node));
  // All and none are what a commit left; parts may be no store at all.
  if (what_.bent && what == keep::some && !is_survived([&] { look_at(node, store, what); }))
    found_.damaged_stores.push_back(store + " ends who opens it" + where(node));
  else
    look_at(node, store, what);
  ++examined_;
}

void power_cuts::look_at(std::uint16_t node, const std::string& store, keep what) {
  const auto& directory = nodes_[node].copies.at(store).directory();
  if (store == "ledger") look_at_ledger(node, directory, what);
  if (store == "batches") look_at_batches(node, directory, what);
  if (store == "votes") look_at_votes(node, directory, what);
  if (what == keep::none) start_node(node);
}

// --- ledger

void power_cuts::look_at_ledger(std::uint16_t node, const fs::path& where_it_is, keep what) {
  const auto damaged = [&](const error& why) {
    found_.damaged_stores.push_back("the ledger" + where(node) + ": " + why.context);
  };
  const auto opened = storage::ledger::open(where_it_is, what_.domain());
  if (!opened) return damaged(opened.error());
  const auto& ledger = **opened;
  check_operations(ledger, node);
  const auto head = ledger.head();
  if (!head) return damaged(head.error());
  if (head->height > 0) {
    const auto tip = ledger.block(head->height);
    const auto done = ledger.execution_of(head->height);
    if (!tip) return damaged(tip.error());
    if (!done) return damaged(done.error());
    if (what == keep::none) nodes_[node].tip = *tip;
  }
  check_chain(ledger, *head, node);
  auto& before = nodes_[node].head;
  if (before && head->height < before->height)
    damaged(make_error(errc::storage,
                       "height " + std::to_string(before->height) + " was there before"));
  if (what == keep::none) before = *head;
}

/// What this node told its clients before its ledger changed again is there now.
void power_cuts::check_operations(const storage::ledger& of, std::uint16_t node) {
  const auto& x = nodes_[node];
  const auto until = x.next_ledger_us[x.replay.played()];
  std::vector<operation_id> told;
  for (const auto& each : what_.acknowledged)
    if (each.node == node && each.at_us < until) told.push_back(each.id);
  const auto there = of.executed(node, told);
  if (!there) {
    found_.damaged_stores.push_back("operations" + where(node) + ": " + there.error().context);
    return;
  }
  const auto missing = std::count(there->begin(), there->end(), false);
  if (missing > 0)
    found_.lost_operations.push_back(std::to_string(missing) + " acknowledged operations of "
                                     + std::to_string(told.size()) + " are lost" + where(node));
}

void power_cuts::check_chain(const storage::ledger& of, const storage::ledger_head& head,
                             std::uint16_t node) {
  for (auto height = head.height; height > 0; --height) {
    const auto known = chain_.find(height);
    const auto held = height == head.height ? std::pair{head.block, head.execution} : [&] {
      const auto block = of.block(height);
      return block ? std::pair{block->block->id, block->execution}
                   : std::pair<digest, digest>{};
    }();
    if (known == chain_.end()) {
      chain_.emplace(height, held);
      continue; // the ones before it are new, too
    }
    if (known->second != held)
      found_.contradictions.push_back("another block of height " + std::to_string(height)
                                      + where(node));
    return;
  }
}

// --- batches

void power_cuts::look_at_batches(std::uint16_t node, const fs::path& where_it_is, keep what) {
  const auto damaged = [&](const std::string& why) {
    found_.damaged_stores.push_back("the batch store" + where(node) + ": " + why);
  };
  const auto opened = storage::batch_store::open(where_it_is, what_.domain());
  if (!opened) return damaged(opened.error().context);
  const auto stored = (*opened)->headers_after({});
  if (!stored) return damaged(stored.error().context);
  std::map<lane_tip, storage::batch_header> now;
  for (const auto& each : *stored) {
    now.emplace(each.tip, each);
    auto& owner = nodes_[each.tip.lane];
    // S15: what anyone else has, its own node must never be able to make anew.
    if (each.tip.lane != node && !owner.batches.contains(each.tip))
      found_.contradictions.push_back("batch " + std::to_string(each.tip.seq) + " of n"
                                      + std::to_string(each.tip.lane + 1)
                                      + " is not stored there yet" + where(node));
    if (each.tip.lane != node) owner.lane_seen = std::max(owner.lane_seen, each.tip.seq);
  }
  auto& before = nodes_[node].batches;
  for (const auto& [tip, header] : before)
    if (!now.contains(tip)) return damaged("batch " + std::to_string(tip.seq) + " is gone");
  if (what == keep::none) before = std::move(now);
}

// --- votes

void power_cuts::look_at_votes(std::uint16_t node, const fs::path& where_it_is, keep what) {
  auto& self = nodes_[node];
  const auto damaged = [&](const error& why) {
    found_.damaged_stores.push_back("the vote log" + where(node) + ": " + why.context);
  };
  const bool has_voted = !self.signed_votes.empty() || (self.head && self.head->height > 0);
  const auto opened = storage::vote_log::open(where_it_is, what_.domain(), has_voted);
  if (!opened) return damaged(opened.error());
  auto stored = (*opened)->load();
  if (!stored) return damaged(stored.error());
  check_votes(node, what, *stored);
  if (what != keep::none) check_certificates(node, *stored);
  if (what == keep::none) self.votes = std::move(*stored);
}

void power_cuts::check_votes(std::uint16_t node, keep what,
                             const std::vector<vote_record>& stored) {
  auto& self = nodes_[node];
  std::map<slot, signed_item> now;
  for (const auto& each : stored)
    if (const auto said = said_by(each)) now.emplace(slot{said->position, said->kind}, *said);
  for (const auto& [which, item] : now)
    if (const auto [at, fresh] = self.written_votes.emplace(which, item.what);
        !fresh && at->second != item.what)
      found_.contradictions.push_back(in(which) + "another vote of one slot" + where(node));
  const auto final_view = self.head ? self.head->view : 0;
  for (const auto& [which, item] : self.signed_votes)
    if (which.first > final_view && !now.contains(which))
      found_.contradictions.push_back(in(which) + "a stored vote is gone" + where(node));
  if (what != keep::none) return;
  check_grounds(node, stored);
  if (!now.empty()) self.oldest_vote = now.begin()->first.first;
  self.signed_votes.merge(now);
}

/// S15: before a vote that a block is good, the block and all its batches.
void power_cuts::check_grounds(std::uint16_t node, const std::vector<vote_record>& stored) {
  const auto& self = nodes_[node];
  std::map<digest, block_ptr> blocks;
  for (const auto& each : stored)
    if (const auto block = block_in(each)) blocks.emplace(block->id, block);
  const auto final_view = self.head ? self.head->view : 0;
  for (const auto& each : stored) {
    const auto* own = std::get_if<vote>(&each);
    if (!own || own->kind == item_kind::nullify || own->position <= final_view) continue;
    const auto which = slot{own->position, own->kind};
    const auto block = blocks.find(own->what);
    if (block == blocks.end()) {
      found_.contradictions.push_back(in(which) + "its block is not stored" + where(node));
      continue;
    }
    for (const auto& tip : block->second->content.cut)
      if (!self.batches.contains(tip))
        found_.contradictions.push_back(in(which) + "a batch is not stored" + where(node));
  }
}

/// S15: a vote that anyone else has, its own node must never be able to forget.
void power_cuts::check_certificates(std::uint16_t holder,
                                    const std::vector<vote_record>& stored) {
  for (const auto& each : stored)
    if (const auto* certified = std::get_if<certificate>(&each))
      for (const auto& [signer, signature] : certified->votes)
        if (signer != holder)
          check_sent(signer, {certified->view, certified->kind}, certified->block);
}

void power_cuts::check_sent(std::uint16_t signer, const slot& which, const digest& content) {
  const auto& owner = nodes_[signer];
  const auto at = owner.signed_votes.find(which);
  if (at == owner.signed_votes.end() && which.first < owner.oldest_vote) return; // pruned since
  if (at == owner.signed_votes.end())
    found_.contradictions.push_back(in(which) + "others have a vote that is not stored yet"
                                    + where(signer));
  else if (at->second.what != content)
    found_.contradictions.push_back(in(which) + "others have another vote than what is stored"
                                    + where(signer));
}

// --- the node itself

/// As its actors start from what its stores hold, and then do when time passes and work comes.
void power_cuts::start_node(std::uint16_t node) {
  start_consensus(node);
  start_mempool(node);
}

void power_cuts::start_consensus(std::uint16_t node) {
  const auto& self = nodes_[node];
  if (!self.votes) return;
  const auto& domain = what_.domain();
  const auto lanes = what_.nodes.size;
  consensus::recovered from;
  if (self.tip)
    from.tip = {self.tip->block, cut_of(self.tip->full_cut, lanes), self.tip->execution,
                self.tip->finalization};
  else
    from.tip = {genesis_block(domain), cut_of({}, lanes), genesis_execution(domain.chain),
                std::nullopt};
  from.records = *self.votes;
  consensus::settings chosen;
  chosen.nodes = what_.nodes;
  chosen.keys = what_.keys[node];
  const auto now_ms = now_us_ / 1000;
  const auto time_ms = from.tip.block->content.time_ms;
  std::vector<lane_tip> work;
  for (const auto& [tip, header] : self.batches)
    work.push_back(tip);
  consensus::machine started(std::move(chosen), std::move(from));
  const auto hear = [&](std::int64_t later_ms, auto what) {
    const instant at{now_ms + later_ms, time_ms + later_ms};
    for (const auto& effect : started.handle({at, std::move(what)})) {
      if (const auto* stopped = std::get_if<consensus::halted>(&effect))
        found_.contradictions.push_back("it halts when it is started, " + stopped->reason
                                        + where(node));
      if (const auto* kept = std::get_if<consensus::persist>(&effect))
        for (const auto& each : kept->records)
          if (const auto said = said_by(each)) check_said(node, *said);
    }
  };
  hear(0, consensus::started{});
  hear(1, consensus::work_changed{cut_of(work, lanes)});
  for (const std::int64_t later_ms : {2'000, 10'000, 60'000})
    hear(later_ms, consensus::alarm_rang{});
}

/// What it says after the power came back, against all that it may have said before.
void power_cuts::check_said(std::uint16_t node, const signed_item& now) {
  for (const auto& [which, before] : nodes_[node].signed_votes)
    if (which.first == now.position && contradicts(before, now))
      found_.contradictions.push_back(in(which) + "started again, it says "
                                      + std::string(to_string(now.kind)) + where(node));
}

void power_cuts::start_mempool(std::uint16_t node) {
  const auto& self = nodes_[node];
  const auto lanes = what_.nodes.size;
  mempool::recovered from;
  from.final_cut = cut_of(self.head ? self.head->full_cut : std::vector<lane_tip>(), lanes);
  for (const auto& [tip, each] : self.batches)
    if (tip.seq > from.final_cut[tip.lane].seq)
      from.stored.push_back(
          {each.tip, each.parent, each.body_bytes, each.operations, each.signed_by});
  mempool::settings chosen;
  chosen.nodes = what_.nodes;
  chosen.keys = what_.keys[node];
  mempool::machine started(std::move(chosen), std::move(from));
  operation next;
  next.id.raw.back() = 1;
  const auto hear = [&](std::int64_t later_ms, auto what) {
    const instant at{now_us_ / 1000 + later_ms, now_us_ / 1000 + later_ms};
    for (const auto& effect : started.handle({at, std::move(what)}))
      if (const auto* kept = std::get_if<mempool::persist>(&effect))
        for (const auto& each : kept->batches)
          if (each->content.seq <= self.lane_seen) // S1
            found_.contradictions.push_back("started again, it makes batch "
                                            + std::to_string(each->content.seq)
                                            + " of its lane anew" + where(node));
  };
  hear(0, mempool::started{});
  hear(1, mempool::operations_submitted{1, {next}});
  hear(1'000, mempool::alarm_rang{});
}

} // namespace tallymesh::faults
