// The rules that a run is judged by, checked as each thing happens: agreement, one vote for
// ever, no nullification beside a finalization, stable storage before sending, no wrong
// accusation. Knows only what honest nodes do; one for a run, which owns it.
#pragma once

#include "tests/simulation/disk.hpp"
#include "tests/simulation/parcel.hpp"
#include "tests/simulation/simulation.hpp"
#include "tests/simulation/witness.hpp"

namespace tallymesh::simulation {

class checker {
public:
  /// `epoch_ms`: the wall clock at time 0.
  checker(const options& what, const validator_set& nodes, const credentials& any_keys,
          std::int64_t epoch_ms);

  void set_honest(node_index node) { honest_[node] = true; }
  /// Of a block, as all nodes are told (S2).
  void set_limits(std::size_t batches, std::size_t payload_bytes) {
    block_batches_ = batches;
    block_payload_bytes_ = payload_bytes;
  }
  bool is_honest(node_index node) const { return node < honest_.size() && honest_[node]; }

  // What an honest node's agreement is told, and what it resolves to do, before it does it.
  void told(node_index node, const decltype(consensus::event::what)& what,
            const std::function<consensus::snapshot()>& now);
  /// `now` tells what agreement holds by then.
  void resolved(node_index node, const std::vector<consensus::effect>& effects,
                const std::function<consensus::snapshot()>& now);
  // The same of its mempool.
  void told(node_index node, const decltype(mempool::event::what)& what,
            const model_disk& disk);
  void resolved(node_index node, const std::vector<mempool::effect>& effects);

  // What an honest node did, as it does it.
  void committed(node_index node, const std::vector<consensus::record>& records,
                 const model_disk& disk);
  void committed(node_index node, const std::vector<batch_ptr>& batches);
  void sent(node_index node, const parcel_ptr& what, const model_disk& disk);
  void received(const parcel_ptr& what);
  void delivered(node_index node, const consensus::deliver& what);
  void executed(node_index node, block_height height, const digest& execution);
  void pruned(node_index node, view_number through, const model_disk& disk);
  void observed(node_index node, const evidence& what);
  void halted(node_index node, const std::string& reason);
  void crashed(node_index node, const model_disk& disk);
  void lost_vote_log(node_index node) {
    nodes_[node].observes_only = true;
    witnesses_[node].forget();
  }

  /// An older disk is in its place. `elsewhere`: an honest peer has this batch stored.
  void put_back(node_index node, const model_disk& disk,
                const std::function<bool(const digest&)>& elsewhere);

  void report(int node, std::string rule, std::string text);
  bool failed() const { return !found_.empty(); }
  const std::vector<violation>& found() const { return found_; }
  /// Nodes that halted because they must (S10).
  std::uint64_t halts_at_contradictions() const { return halts_at_contradictions_; }
  void set_time(std::int64_t now_ms) { now_ms_ = now_ms; }

private:
  struct ballot {
    std::optional<digest> proposed, notarized, finalized;
    bool nullified = false;
  };
  struct node_view {
    std::map<view_number, ballot> promised; ///< stored or sent, over the node's whole life
    std::map<view_number, ballot> stored;
    std::set<view_number> nullified;      ///< of these, by a nullification
    bool must_halt = false;               ///< it is being told of a finalization of one of them
    std::set<view_number> cleared;        ///< by a certificate on its disk
    full_cut final_cut;                   ///< as its mempool was told
    view_number finalized = 0;            ///< the highest finalization on its disk
    std::map<std::uint64_t, digest> lane; ///< its own batches
    std::unordered_set<digest, digest_hash> announced; ///< tips whose chains were found stored
    std::unordered_set<digest, digest_hash> kept;      ///< blocks on its disk
    std::unordered_set<digest, digest_hash> judged;    ///< blocks it proposed or voted for
    block_height delivered = 0;
    digest delivered_block;
    block_height executed = 0;     ///< as its agreement was told; in this life
    block_height started_at = 0;   ///< its ledger when this life began
    std::set<offence> found, seen; ///< evidence it holds, and that it saw final; in this life
    bool observes_only = false;
    parcel_ptr last_sent; ///< a broadcast comes here once a peer
  };
  struct certified {
    std::optional<digest> notarized, finalized;
    bool nullified = false;
  };
  struct decision {
    digest block;
    std::optional<digest> execution;
    full_cut cut;
  };

  // What was sent, by kind.
  void said(node_index node, const vote& x, const model_disk& disk);
  void said(node_index node, const certificate& x, const model_disk& disk);
  void said(node_index node, const proposal& x, const model_disk& disk);
  void said(node_index node, const fetched_range& x, const model_disk& disk);
  void said(node_index node, const batch_message& x, const model_disk& disk);
  void said(node_index node, const have_message& x, const model_disk& disk);
  template <class Other>
  void said(node_index, const Other&, const model_disk&) {}

  void promise(node_index node, const signed_item& item);
  void store(node_index node, const signed_item& item);
  bool is_stored(const node_view& of, const signed_item& item) const;
  void check_vote(node_index node, const vote& x, const model_disk& disk);
  void check_batches_stored(node_index node, const vote& x, const model_disk& disk);
  void check_reported(node_index node, const std::function<view_number()>& final_view);
  void check_valid(node_index node, const digest& what, const model_disk& disk);
  std::string why_cut_is_invalid(const block& x, const full_cut& below,
                                 const model_disk& disk) const;
  void check_tips(node_index node, const std::vector<lane_tip>& tips, const model_disk& disk);
  void check_new_block(node_index node, const block& x);
  void check_claim(node_index node, const vote& x);
  void check_final_block(node_index node, const sealed_block& x);
  bool contradicts_what_it_holds(node_index node, const certificate& x,
                                 const consensus::snapshot& before) const;
  std::set<offence> told_by(const digest& block, block_height after) const;
  void check_codec(node_index node, const parcel& what);
  void hold(node_index node, const certificate& x);
  void learn(const block_ptr& block);
  void learn(const wire_message& x);
  const full_cut* cut_after(const digest& block);

  const bool check_order_, treason_;
  const validator_set nodes_set_;
  const credentials keys_;
  const std::int64_t epoch_ms_;
  std::size_t block_batches_ = 0, block_payload_bytes_ = 0;
  std::int64_t now_ms_ = 0;
  std::vector<bool> honest_;
  std::vector<node_view> nodes_;
  std::vector<witness> witnesses_;
  std::map<view_number, certified> certified_;
  std::map<block_height, decision> decided_;
  std::unordered_map<digest, block_ptr, digest_hash> blocks_;
  std::unordered_map<digest, full_cut, digest_hash> cuts_;
  std::vector<violation> found_;
  std::uint64_t halts_at_contradictions_ = 0;
};

} // namespace tallymesh::simulation
