// What a node's disk holds in the simulator: what was committed, and nothing else, survives a
// crash. It stands for vote_log, batch_store and ledger. Owned by its process.
#pragma once

#include "actors/consensus/machine.hpp"
#include "actors/mempool/machine.hpp"

#include <unordered_set>

namespace tallymesh::simulation {

using full_cut = std::vector<lane_tip>; ///< one tip a lane

/// `below` with the tips of `changes` in place of its own.
full_cut extend(full_cut below, const std::vector<lane_tip>& changes);
full_cut empty_cut(std::uint16_t lanes);

struct ledger_entry {
  block_ptr block;
  full_cut cut;
  std::optional<certificate> finalization;
  digest execution;
  std::vector<operation_id> ran;
};

class model_disk {
public:
  explicit model_disk(const signing_domain& domain, std::uint16_t nodes);

  void commit(const std::vector<consensus::record>& records);
  void commit(const std::vector<batch_ptr>& batches);
  /// Runs the block's operations that have not run before, and appends it. An error names the
  /// batch that is not here.
  result<digest> execute(const block_ptr& block, const full_cut& cut,
                         const std::optional<certificate>& finalization);
  void forget_votes_through(view_number view);
  void lose_vote_log();

  consensus::recovered recover_agreement() const;
  mempool::recovered recover_lanes() const;

  /// Nothing if there is no such height, or no finalization at or above it.
  std::optional<fetched_range> read_range(block_height from, std::size_t max_blocks) const;
  fetched_batches read_batches(const fetch_batches& request, std::size_t max_batches) const;

  const batch_ptr* find(const digest& batch) const;
  std::vector<batch_ptr> batches_of(node_index lane) const;
  std::vector<batch_ptr> at_place(node_index lane, std::uint64_t seq) const;
  bool holds_chain(const lane_tip& tip, std::uint64_t after_seq) const;
  const std::vector<ledger_entry>& ledger() const { return ledger_; }
  bool executed(const operation_id& id) const { return executed_.contains(id); }
  std::size_t executed_operations() const { return executed_.size(); }
  std::size_t records() const { return records_.size(); }
  std::size_t batches() const { return batches_.size(); }

private:
  std::vector<consensus::record> records_;
  std::vector<batch_ptr> batches_; ///< as they came
  std::unordered_map<digest, batch_ptr, digest_hash> by_digest_;
  std::vector<ledger_entry> ledger_; ///< by height; genesis first
  std::unordered_set<operation_id, operation_id_hash> executed_;
  bool vote_log_lost_ = false;
};

} // namespace tallymesh::simulation
