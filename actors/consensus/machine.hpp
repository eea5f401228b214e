// Agreement: Simplex (eprint 2023/463) over lanes, rules S0 to S18 of ARCHITECTURE.md; each
// guard in the source names its rule. Pure: events in, effects out, in the order that they must
// be carried out; a `persist` comes before every send that depends on it (S15). Owned by the
// consensus actor, and by the simulator.
#pragma once

#include "actors/instant.hpp"
#include "messages/vote_record.hpp"
#include "messages/wire.hpp"

#include <deque>
#include <map>
#include <set>
#include <unordered_map>

namespace tallymesh::consensus {

struct settings {
  validator_set nodes;
  credentials keys;
  std::int64_t delta_ms = 500;        ///< Δ: the bound on a message's way that timers assume
  std::int64_t idle_status_ms = 1000; ///< between Status messages without work (S14)
  std::int64_t clock_tolerance_ms =
      30'000;                          ///< how far ahead of the own clock a block's time may be
  std::size_t undelivered_blocks = 64; ///< final blocks handed over and not yet executed
};

using tallymesh::kept_block;
using tallymesh::own_proposal;
using record = vote_record; ///< what must survive a crash, in the order in which it was made

/// The last block that was executed and stored; genesis for a new mesh.
struct ledger_tip {
  block_ptr block;
  std::vector<lane_tip> full_cut; ///< one tip a lane, n of them
  digest execution;
  std::optional<certificate> finalization; ///< of this block, if it has one of its own
};

struct recovered {
  ledger_tip tip;
  std::vector<record> records;
  /// The vote log is missing or damaged: never vote or propose again with this key (S16).
  bool observe_only = false;
};

// --- events

struct started {};
/// A proposal, vote, certificate, status, fetch_block, fetched_block, fetch_range,
/// fetched_range or attestation; others are ignored.
struct received {
  node_index from = 0;
  wire_message message;
};
struct peer_up {
  node_index peer = 0;
};
struct peer_down {
  node_index peer = 0;
};
struct work_changed {
  std::vector<lane_tip> available;
};                 ///< from the mempool
struct cut_built { ///< from the mempool
  digest parent;
  std::vector<lane_tip> cut;
};
struct batches_ready {
  digest block;
}; ///< from the mempool
struct batches_invalid {
  digest block;
}; ///< from the mempool
/// Two batches for one place in a lane; from the mempool (S18).
struct evidence_found {
  evidence what;
};
/// A delivered block was executed and is in the ledger, on stable storage (S10).
struct executed {
  block_height height = 0;
  digest execution;
};
struct alarm_rang {};

struct event {
  instant at;
  std::variant<started, received, peer_up, peer_down, work_changed, cut_built, batches_ready,
               batches_invalid, evidence_found, executed, alarm_rang>
      what;
};

// --- effects

struct persist {
  std::vector<record> records;
};
struct send {
  node_index to = 0;
  wire_message message;
};
struct broadcast {
  wire_message message;
};
struct set_alarm {
  std::int64_t at_monotonic_ms = 0;
};                 ///< replaces the one before
struct build_cut { ///< to the mempool
  digest parent;
  std::vector<lane_tip> parent_cut; ///< full
};
struct require_batches { ///< to the mempool
  digest block;
  std::vector<lane_tip> parent_cut, cut; ///< full
  bool certified = false;
};
/// To the contract executor, in height order: this block is final and its batches are stored
/// here.
struct deliver {
  block_ptr block;
  std::vector<lane_tip> full_cut;
  std::optional<certificate> finalization;
};
/// The actor reads the ledger and sends a fetched_range that starts at `from` to `to`.
struct serve_range {
  node_index to = 0;
  block_height from = 0;
};
struct prune {
  view_number through = 0;
}; ///< the vote log may forget these views
struct observed {
  evidence what;
}; ///< S18
/// Agreement or execution is broken beyond repair by this node; it says why and votes no more.
struct halted {
  std::string reason;
};

using effect = std::variant<persist, send, broadcast, set_alarm, build_cut, require_batches,
                            deliver, serve_range, prune, observed, halted>;

/// What a person asks first; for status, the shell and the simulator's checks.
struct snapshot {
  view_number frontier = 0, finalized_view = 0;
  block_height finalized_height = 0, executed_height = 0, attested_height = 0;
  node_index leader = 0;
  bool pending = false, observing = false, halted = false, catching_up = false;
  std::uint64_t views_given_up = 0; ///< of live leaders, since the last finalization: k of S12
  std::size_t evidence = 0, views_held = 0, blocks_held = 0;
  std::size_t untold_evidence = 0; ///< observed here and not yet in a final block
  std::string waiting_for; ///< one sentence: what the current view waits for; empty when idle
};

class machine {
public:
  machine(settings chosen, recovered from_storage);

  std::vector<effect> handle(const event& happened);
  snapshot look() const;
  /// All that a person may want to see: describe.cpp.
  value_map describe(std::int64_t now_ms) const;

private:
  value_list describe_views() const;
  value_list describe_peers(std::int64_t now_ms) const;
  enum class batches_state : std::uint8_t { unknown, asked, asked_certified, ready, invalid };

  /// A block that is not yet executed, or the last executed one.
  struct held_block {
    block_ptr block;
    std::vector<lane_tip>
        full_cut; ///< empty until every ancestor up to an executed one is held
    batches_state batches = batches_state::unknown;
    bool persisted = false;
  };

  /// All that was said about one view above the last executed one.
  struct view_record {
    block_ptr proposal;           ///< the first one seen, validly signed by the leader
    std::optional<bool> truthful; ///< whether what it tells of others is so; none: not judged
    std::map<node_index, vote> notarize, nullify, finalize;
    std::optional<certificate> notarization, nullification, finalization;
    std::set<node_index> reported; ///< whose contradiction was observed: once a view and node
    bool proposed_here = false;    ///< this node made `proposal`
  };

  struct peer_record {
    bool up = false;
    std::int64_t heard_ms = 0;
    std::int64_t pushed_ms = 0;
    std::int64_t range_served_ms = 0;
    status last;
    std::map<block_height, digest> early; ///< attested beyond what is executed here; bounded
    std::int64_t range_failed_ms = 0;
    std::int64_t range_free_ms = 0;   ///< not asked for a range before that
    std::uint64_t bad_signatures = 0; ///< on the present link
    block_height attested = 0; ///< the highest height attested with this node's own digest
    std::optional<std::pair<block_height, digest>>
        differing; ///< attested against this node's own digest
  };

  struct wanted_block {
    std::int64_t asked_ms = 0;
    node_index next_peer = 0;
    std::size_t attempts = 0;
  };

  /// Who contradicted itself where. One proof of it on the chain is enough.
  struct offence {
    node_index signer = 0;
    bool of_lane = false;
    std::uint64_t position = 0; ///< in the lane, or the view
    auto operator<=>(const offence&) const = default;
  };

  struct range_source {
    std::optional<node_index> peer;
    std::optional<std::int64_t> free_ms; ///< nobody now, but somebody then
  };

  struct parent_choice {
    view_number view = 0;
    digest block;
  };

  // what arrives
  void on(const started&);
  void on(const received&);
  void on(const peer_up&);
  void on(const peer_down&);
  void on(const work_changed&);
  void on(const cut_built&);
  void on(const batches_ready&);
  void on(const batches_invalid&);
  void on(const evidence_found&);
  void on(const executed&);
  void on(const alarm_rang&);

  void read(node_index from, const proposal&);
  void read(node_index from, const vote&);
  void read(node_index from, const certificate&);
  void read(node_index from, const status&);
  void read(node_index from, const fetch_block&);
  void read(node_index from, const fetched_block&);
  void read(node_index from, const fetch_range&);
  void read(node_index from, const fetched_range&);
  void read(node_index from, const attestation&);
  template <class Other>
  void read(node_index, const Other&) {}

  // the rules
  void restore(const record& x);
  void advance();
  bool advance_frontier();
  bool try_propose();
  void propose(const parent_choice& parent, std::vector<lane_tip> cut);
  bool try_notarize();
  bool try_nullify();
  bool try_finalize();
  bool try_deliver();
  void cast(item_kind kind, view_number view, const digest& block, const held_block* keep);
  void add_vote(const vote& x);
  bool add_certificate(const certificate& x, bool verified);
  void note_vote(view_record& at, const vote& x);
  void check_consistent(view_number view, const view_record& at);
  void follow_finalization();
  void extend_final_chain(const digest& final_block);
  void halt(std::string reason);

  // evidence (S18)
  void observe(const evidence& what);
  void keep_for_the_chain(const evidence& what);
  std::vector<evidence> untold_evidence(const held_block& parent) const;
  void settle_evidence(const block& final_one);
  bool may_be_observed(const offence& x) const;
  static offence offence_of(const evidence& x);

  // blocks
  held_block* find_block(const digest& id);
  held_block& hold(const block_ptr& block);
  bool resolve_cut(held_block& held); ///< asks for the first missing ancestor
  enum class validity : std::uint8_t { valid, wait, never };
  validity judge(const sealed_block& block, const held_block& parent) const;
  bool tells_the_truth(const block& content) const;
  validity examine_proposal(view_number view);
  bool parent_is_certified(const block& content) const;
  bool gap_is_nullified(const block& content) const;
  void require(held_block& held, bool certified);
  void want_block(const digest& id, node_index first_peer);
  void retry_wanted_blocks();

  // work and time
  parent_choice best_parent() const;
  bool has_new_batches(const parent_choice& parent) const; // S11 W1
  bool has_open_suffix(const parent_choice& parent) const; // S11 W2
  void measure_work();
  bool leader_is_silent(view_number view) const; // S13
  bool heard_lately(node_index peer) const;
  std::int64_t backoff(std::int64_t base_ms) const; // S12: base times beta
  std::int64_t nullify_deadline() const;
  void schedule();

  // talk
  void emit(effect x) { out_.push_back(std::move(x)); }
  void send_status();
  status own_status() const;
  void push_to(node_index peer, const status& theirs); // S14
  proposal with_justification(const block_ptr& block) const;
  std::string waiting_for() const;
  void catch_up(); // S17
  range_source next_range_source() const;
  block_height claimed_height() const;
  bool vouched(node_index from, bool good);
  bool ignored(node_index from) const;
  bool is_by_its_leader(const sealed_block& block) const;
  void attest(block_height height, const digest& execution);
  void compare_attestation(node_index peer, block_height height, const digest& execution);

  view_record& view_at(view_number view) { return views_[view]; }
  const view_record* find_view(view_number view) const;
  const digest& final_tip() const;
  block_height final_height() const;
  bool voted(item_kind kind, view_number view) const;
  bool in_window(view_number view) const;
  node_index self() const { return settings_.keys.self; }
  bool silent() const { return observe_only_ || halted_; }

  settings settings_;
  instant now_;
  std::vector<effect> out_;

  ledger_tip executed_;                       ///< S10: what the ledger holds
  std::map<block_height, digest> executions_; ///< of the last heights, to compare attestations
  view_number finalized_view_ = 0;            ///< highest finalization known
  digest finalized_block_;                    ///< of finalized_view_
  std::optional<certificate> last_finalization_; ///< highest one held, for S14
  std::deque<digest> final_chain_; ///< final blocks above executed_, linked, in height order
  std::size_t delivered_ = 0;      ///< how many of final_chain_ were handed over

  std::map<view_number, view_record> views_;
  std::map<digest, held_block> blocks_;
  std::map<digest, wanted_block> wanted_;
  std::vector<peer_record> peers_;

  view_number frontier_ = 1;
  std::int64_t entered_ms_ = 0;               ///< when the frontier was reached
  std::optional<std::int64_t> work_since_ms_; ///< none: no work (S11)
  std::int64_t nullify_repeat_ms_ = 0;
  std::uint64_t slow_views_ = 0;    ///< k of S12
  std::vector<lane_tip> available_; ///< a tip a lane, seq 0 where there is none
  bool cut_asked_ = false;          ///< build_cut is out for this view and this `available_`

  std::int64_t next_status_ms_ = 0;
  std::int64_t alarm_ms_ = -1;
  std::optional<std::int64_t> range_asked_ms_;
  std::optional<std::int64_t> range_due_ms_; ///< everyone who can serve a range rests till then
  node_index range_peer_ = 0;
  std::optional<std::int64_t> behind_since_ms_;
  std::size_t evidence_ = 0;
  std::map<offence, evidence>
      untold_; ///< observed here, not yet in a final block; so many of each
  /// In final blocks since the start, where it may be observed again. A node that was restarted
  /// may tell once more what an older block tells: this costs a few bytes, remembering costs a
  /// record.
  std::set<offence> told_;
  bool observe_only_ = false, halted_ = false;
};

} // namespace tallymesh::consensus
