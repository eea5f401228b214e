// The mempool: collects operations into batches, keeps the lanes of all nodes (rule S1),
// knows which batches are stored here and available at a quorum, and fetches what is missing.
// Pure: events in, effects out, in the order that they must be carried out; a `persist` comes
// before everything that depends on it (S15). Owned by the mempool actor, and by the simulator.
#pragma once

#include "actors/instant.hpp"
#include "messages/wire.hpp"

#include <deque>
#include <map>
#include <set>

namespace tallymesh::mempool {

enum class admission : std::uint8_t {
  accepted,   ///< queued; will be in one of this node's batches
  known,      ///< an operation with this id already waits here
  overloaded, ///< the queue is full; nothing of it was kept
  too_large,
  erased, ///< its arguments are missing: nobody could execute it
};

struct settings {
  validator_set nodes;
  credentials keys;
  std::size_t batch_bytes = 512 * 1024; ///< a batch is sealed when its operations reach this
  std::int64_t batch_delay_ms = 5;      ///< or when its first operation is this old
  std::size_t queue_bytes = 64 << 20;   ///< operations accepted here and not yet final
  std::size_t queue_operations = 200'000;
  std::size_t lane_window = 64; ///< own sealed batches not yet final; more wait in the queue
  std::size_t block_batches = limits::max_block_batches;             ///< per cut
  std::size_t block_payload_bytes = limits::max_block_payload_bytes; ///< per cut
  std::size_t peer_lane_window =
      1024; ///< batches of a peer's lane beyond the final cut that are kept
  std::int64_t announce_ms = 1000;   ///< `have` is repeated this often, and on link-up
  std::int64_t fetch_retry_ms = 300; ///< an unanswered fetch goes to another peer
};

/// A stored batch without its body.
struct batch_header {
  lane_tip tip;
  digest parent;
  std::size_t size_bytes = 0; ///< of its encoded body, with all its arguments
  std::size_t operations = 0;
  signature signed_by; ///< the lane owner's, for evidence (S18)
};

/// What a restart knows: the final cut (from the ledger) and the stored batches beyond it.
struct recovered {
  std::vector<lane_tip> final_cut;  ///< one tip a lane, n of them
  std::vector<batch_header> stored; ///< any order
  /// The votes are gone (S16): this disk is new, or an older copy, and peers may hold own
  /// batches that it lacks.
  bool own_lane_in_doubt = false;
};

// --- events

struct started {};
struct operations_submitted {
  std::uint64_t ticket = 0; ///< comes back in `admitted`
  std::vector<operation> operations;
};
/// A batch_message, have_message, fetch_batches, fetched_batches or fork_evidence; others are
/// ignored.
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
/// Consensus leads a view and asks which batches may follow `parent_cut`.
struct cut_wanted {
  digest parent;                    ///< comes back in cut_built
  std::vector<lane_tip> parent_cut; ///< full: one tip a lane
};
/// Consensus needs every batch between two full cuts stored here (S7.7, S9, S10). `certified`:
/// a quorum named the block, so its batches are kept even where a lane forks (S1).
struct batches_wanted {
  digest block; ///< comes back in batches_ready or batches_invalid
  std::vector<lane_tip> parent_cut, cut;
  bool certified = false;
};
/// The final cut moved: batches at or below it are no longer work.
struct cut_finalized {
  std::vector<lane_tip> cut;
};
struct alarm_rang {};

struct event {
  instant at;
  std::variant<started, operations_submitted, received, peer_up, peer_down, cut_wanted,
               batches_wanted, cut_finalized, alarm_rang>
      what;
};

// --- effects

struct persist {
  std::vector<batch_ptr> batches;
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
}; ///< replaces the one before
struct admitted {
  std::uint64_t ticket = 0;
  std::vector<admission> verdicts; ///< one an operation, in order
};
/// To consensus, S11 W1: the highest tip of each lane that a quorum announced and that is
/// stored here.
struct work_changed {
  std::vector<lane_tip> available;
};
struct cut_built {
  digest parent;
  std::vector<lane_tip> cut; ///< changed lanes only, ascending; empty if nothing may follow
};
struct batches_ready {
  digest block;
};
/// The cut can never follow its parent's: a lane goes backwards, does not link, or is over a
/// limit.
struct batches_invalid {
  digest block;
};
/// The actor reads the store and sends fetched_batches to `to`; the machine keeps no bodies.
struct serve_batches {
  node_index to = 0;
  fetch_batches request;
};
struct observed {
  evidence what;
}; ///< two batches for one (lane, seq): S18

using effect = std::variant<persist, send, broadcast, set_alarm, admitted, work_changed,
                            cut_built, batches_ready, batches_invalid, serve_batches, observed>;

/// What a person asks first; for status, the shell and the simulator's checks.
struct lane_snapshot {
  lane_tip stored, final_tip, available;
  bool forked = false; ///< two signed batches for one place were seen beyond the final cut
};
struct snapshot {
  std::size_t queued_operations = 0, queued_bytes = 0;
  lane_tip own_tip;
  bool own_lane_in_doubt = false; ///< nothing is sealed before peers have said where it ends
  std::size_t own_unfinal_batches = 0;
  std::vector<lane_snapshot> lanes;
  std::size_t missing = 0;    ///< places in lanes that are being fetched
  std::size_t wants = 0;      ///< cuts that consensus waits for
  std::size_t held_bytes = 0; ///< bodies kept in memory until the batches before them come
  std::uint64_t dropped = 0;  ///< messages or parts of them that were refused
  std::uint64_t evidence = 0; ///< places where a lane was seen to fork
};

class machine {
public:
  machine(settings with, recovered from);
  /// Events come in the order in which they happened; effects are carried out in the order
  /// given.
  std::vector<effect> handle(const event& happened);
  snapshot look() const;
  /// All that a person may want to see: describe.cpp.
  value_map describe(std::int64_t now_ms) const;
  /// True if an operation with this id was accepted here and is not final.
  bool waits(const operation_id& id) const;

private:
  struct queued {
    operation what;
    std::size_t size_bytes = 0;
    std::int64_t since_ms = 0;
  };
  /// What one peer announced of one lane.
  struct claims {
    lane_tip latest;
    std::uint64_t supports = 0;            ///< up to here its chain is ours
    std::vector<lane_tip> ahead;           ///< beyond our tip, ascending; few
    std::optional<std::int64_t> proven_ms; ///< when it was last sent the evidence of a fork
    std::optional<std::int64_t> shown_ms; ///< when it was last sent all of a chain that differs
    std::size_t tries = 0;          ///< how often it was asked in vain for what it announced
    std::int64_t pause_ms = 0;      ///< between announcements that are heeded; grows
    std::int64_t unheeded_till = 0; ///< until then saying it again changes nothing
  };
  /// A batch that waits in memory for the ones before it. The body goes first when memory is
  /// short.
  struct held_batch {
    batch_header header;
    batch_ptr body;
  };
  struct lane_state {
    lane_tip final_tip;
    std::deque<batch_header> chain; ///< stored; the one after final_tip first; ends in the tip
    std::map<std::uint64_t, std::vector<batch_header>>
        aside; ///< stored, certified, not in `chain`
    std::map<std::uint64_t, held_batch> held;
    std::vector<claims> peers; ///< one a node
    lane_tip available;
    std::optional<lane_tip> preferred; ///< certified, but not yet linked to `chain`
    /// Every place beyond the final cut that is known to be forked, with what shows it: the cut
    /// may pass all of them but the last, and then peers must be shown that one.
    std::map<std::uint64_t, evidence> forked;
    std::uint64_t highest_claim = 0;
    std::optional<lane_tip> asked; ///< the claim that is being fetched
    node_index turn = 0;           ///< whose claim was fetched last
    std::optional<std::uint64_t>
        behind_at; ///< the tip when a claim beyond it was first noticed
    std::int64_t behind_since_ms = 0;
    std::optional<std::uint64_t> tried_at; ///< the tip when peers' `tries` began
    bool changed = false;                  ///< chain or claims, since availability was computed
    bool announce = false;                 ///< the tip moved since the last `have`

    lane_tip tip() const { return chain.empty() ? final_tip : chain.back().tip; }
    const batch_header* on_chain(std::uint64_t seq) const;
    bool links(const lane_tip& x) const; ///< x is the final tip or in `chain`
    const batch_header* stored(const lane_tip& x) const;
    const batch_header* rival(const lane_tip& x) const; ///< another known batch at x's place
    std::uint64_t first_fork() const; ///< the lowest of `forked`; beyond all places if none is
  };
  struct missing_part {
    lane_tip tip;
    std::uint64_t after_seq = 0;
  };
  struct want {
    digest block;
    std::vector<lane_tip> parent_cut, cut;
    bool certified = false;
    std::vector<node_index> open;               ///< lanes not yet complete
    std::map<node_index, missing_part> missing; ///< the newest missing batch of each
    std::size_t bytes_done = 0;                 ///< of the complete lanes
  };
  enum class verdict { ready, waiting, invalid };
  struct fetch {
    std::uint64_t after_seq = 0;
    bool certified = false;
    std::optional<node_index> to;
    std::int64_t due_ms = 0; ///< when it is asked for, or asked for again
    std::size_t attempts = 0;
    void wake(std::int64_t now_ms);        ///< if it was given up
    bool waits(std::int64_t now_ms) const; ///< for an answer
  };
  struct need {
    std::uint64_t after_seq = 0;
    bool certified = false;
    bool from_held = false;
    std::optional<node_index> only; ///< nobody else is known to have it
    std::int64_t earliest_ms = 0;
  };
  /// Requests in the current window of time, from a peer or to it, or bad signatures from it.
  struct spending {
    std::int64_t window_start_ms = 0;
    std::size_t requests = 0;
    std::uint64_t batches = 0;
  };

  void on(const started&);
  void on(const operations_submitted& x);
  void on(const received& x);
  void on(const peer_up& x);
  void on(const peer_down& x);
  void on(const cut_wanted& x);
  void on(const batches_wanted& x);
  void on(const cut_finalized& x);
  void on(const alarm_rang&);
  void on_message(node_index from, const batch_message& x);
  void on_message(node_index from, const have_message& x);
  void on_message(node_index from, const fetch_batches& x);
  void on_message(node_index from, const fetched_batches& x);
  void on_message(node_index from, const fork_evidence& x);

  // Own lane.
  void settle_doubt();
  std::int64_t next_doubt_ms() const;
  admission admit(const operation& x);
  bool may_seal() const;
  void seal_due();
  void seal_one();

  // Lanes.
  lane_state& lane_of(const batch_ptr& x) { return lanes_[x->content.lane]; }
  bool acceptable(const batch_ptr& x, bool certified) const;
  bool genuine(node_index from, const signed_item& x);
  bool genuine(node_index from, const lane_state& lane, const batch_ptr& x);
  bool of_use(const lane_state& lane, const batch_ptr& x) const;
  void note_stored(lane_state& lane, const batch_ptr& x);
  void append(lane_state& lane, const batch_ptr& x);
  void take_live(lane_state& lane, const batch_ptr& x);
  void take_proof(node_index from, lane_state& lane, const batch_ptr& x);
  void store_certified(lane_state& lane, const batch_ptr& x);
  void hold(lane_state& lane, const batch_ptr& x);
  void shorten_held();
  void drop_held(lane_state& lane, std::uint64_t through_seq);
  void settle(lane_state& lane);
  bool settle_once(lane_state& lane);
  void prune_aside(lane_state& lane);
  std::optional<batch_header> next_aside(const lane_state& lane) const;
  void take_from_aside(lane_state& lane, const lane_tip& x);
  void follow(lane_state& lane, const lane_tip& target);
  void cut_back(lane_state& lane, std::uint64_t to_seq);
  void show_fork(lane_state& lane, const evidence& what);
  void examine(lane_state& lane, const batch_ptr& x);
  void remember_forks(lane_state& lane);
  std::int64_t proof_pause_ms() const;
  void prove_fork(node_index to, lane_state& lane, const lane_tip& claimed);
  void finalize_lane(lane_state& lane, const lane_tip& to);
  void claim(node_index from, lane_state& lane, const lane_tip& x);
  bool heed(claims& peer) const;
  void weigh(lane_state& lane);

  // Cuts that consensus waits for.
  bool plausible(const batches_wanted& x) const;
  bool passed_over(const want& x) const;
  verdict examine(want& x);
  verdict examine_lane(want& x, node_index lane, std::size_t& bytes);
  void recheck_wants();

  // What every event ends with.
  void update_work();
  void announce();
  bool pending() const;
  static lane_tip announced_tip(const lane_state& lane);
  have_message full_have() const;
  void run_fetches();
  std::map<lane_tip, need> needs();
  void need_of_held(lane_state& lane, std::map<lane_tip, need>& out) const;
  void need_of_claims(lane_state& lane, std::map<lane_tip, need>& out);
  std::optional<node_index> source(const lane_tip& tip, const fetch& x, const need& why,
                                   const std::vector<std::size_t>& load) const;
  std::int64_t first_due(const lane_tip& tip, const need& why) const;
  void ask(const lane_tip& tip, fetch& x, const need& why, std::vector<std::size_t>& load);
  void wake_fetches();
  void wake_fetches(const lane_tip& announced);
  void set_next_alarm();
  bool may_serve(node_index to, fetch_batches& x);

  settings set_;
  std::int64_t now_ms_ = 0;
  std::vector<lane_state> lanes_;
  std::vector<bool> up_;
  std::vector<spending> serving_, asking_, forging_; ///< one a node

  std::deque<queued> queue_;
  std::size_t queue_bytes_ = 0;
  std::set<operation_id>
      waiting_; ///< ordered: ids are chosen by clients, and so would be their hashes
  std::map<std::uint64_t, std::vector<operation_id>> sealed_ids_;
  std::size_t own_bytes_ = 0, own_operations_ = 0; ///< in own batches that are not final
  std::uint64_t own_highest_ = 0;                  ///< no number up to this is used again (S1)
  bool own_lane_in_doubt_ = false;                 ///< peers may know a higher one
  std::vector<std::int64_t> told_ms_; ///< when each has said all; self: when a quorum will do

  std::vector<want> wants_; ///< oldest first
  std::map<lane_tip, fetch> fetches_;
  std::size_t held_bytes_ = 0;
  std::vector<lane_tip> work_;
  std::optional<std::int64_t> alarm_ms_, announce_ms_;
  std::int64_t announce_step_ms_ = 0;
  bool wants_changed_ = false;
  bool report_work_ = false; ///< even if it is what it was
  bool news_ = false;        ///< something changed since the last announcement
  bool crowded_ = false;     ///< a fetch waits because every peer has enough to answer
  std::uint64_t dropped_ = 0, evidence_ = 0;

  std::vector<batch_ptr>
      stored_now_; ///< persisted before anything else this event causes (S15)
  std::vector<effect> out_;
};

} // namespace tallymesh::mempool
