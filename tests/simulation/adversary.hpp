// All Byzantine nodes together: they share what they know, sign with each other's keys, and
// answer faster than the network lets others. Each has a real process behind it, so that it
// behaves like a node except where its strategies bend what goes out. Owned by the world, or by
// whoever has real nodes behind it (tests/faults/real/traitors.hpp). One thread.
#pragma once

#include "tests/simulation/disk.hpp"
#include "tests/simulation/parcel.hpp"
#include "tests/simulation/random.hpp"
#include "tests/simulation/simulation.hpp"

#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace tallymesh::simulation {

/// What the adversary needs of where it lives.
struct surroundings {
  validator_set nodes;
  block_ptr genesis;
  std::function<void(std::int64_t delay_us, std::function<void()> what)> after;
  /// To `to`, as from `from`. `promptly`: ahead of what honest nodes say.
  std::function<void(node_index from, node_index to, const parcel_ptr& what, bool promptly)>
      post;
  std::function<void(fault what)> count;
  std::function<std::int64_t()> wall_ms; ///< milliseconds since 1970
  /// Of an act that a person wants to see in the run's story; makes the text only if it is
  /// kept.
  std::function<void(const std::function<std::string()>& text)> note;
};

class adversary {
public:
  adversary(surroundings home, random_source chance);

  /// `strategies` as bits of simulation::strategy.
  void enlist(node_index node, std::uint32_t strategies, credentials keys);
  /// From now on it does this too.
  void take_up(node_index node, std::uint32_t strategies);
  bool has(node_index node) const { return members_.contains(node); }
  bool is_twin(node_index node) const;
  /// Which twin of `node` talks to `peer`.
  bool side(node_index node, node_index peer) const;

  /// What a process of `from` wants to say; `side_a` tells twins apart.
  void outgoing(node_index from, bool side_a, node_index to, const parcel_ptr& what);
  void incoming(node_index from, node_index at, const parcel_ptr& what);
  void start();
  /// From now on its nodes are silent.
  void stop();
  bool active() const { return active_; }

private:
  struct member {
    std::uint32_t strategies = 0;
    credentials keys;
    std::set<node_index> victims; ///< whom it treats worse; changes now and then
    std::vector<bool> sides;      ///< for twins
    std::map<std::uint64_t, batch_ptr> forks;
    std::set<view_number> proposed;
    bool flooded = false;
    bool boasts = false; ///< announces what there is not, and nothing else
  };
  struct vote_key {
    view_number view = 0;
    item_kind kind{};
    digest what;
    auto operator<=>(const vote_key&) const = default;
  };

  bool does(const member& x, strategy::bit what) const { return (x.strategies & what) != 0; }
  void tick();
  void reshuffle(member& x);

  // what goes out bent
  parcel_ptr bend(node_index self, member& x, node_index to, const parcel_ptr& what);
  parcel_ptr lie(const member& x, const wire_message& what);
  parcel_ptr fork(member& x, const batch_ptr& honest);
  void equivocate(node_index self, member& x, node_index to, const vote& honest);
  parcel_ptr garbage(const member& x);
  wire_message odd_message(const member& x);
  certificate random_certificate(const member& x);

  // what it learns
  void learn(const wire_message& x);
  void learn(const vote& x);
  void learn(const certificate& x);
  void learn(const block_ptr& x);
  void learn(const batch_ptr& x);
  void react_to(const block_ptr& x);
  void react_to(const certificate& x);

  // rogue proposals
  void propose_if_leading();
  void propose(node_index self, member& x, view_number view);
  void falsify(const member& x, block& content);
  void forge(node_index self, const block_ptr& honest);
  block_ptr pick_parent(view_number below);
  const full_cut* cut_after(const digest& block);
  std::vector<lane_tip> build_cut(const full_cut& below);
  std::vector<certificate> justify(const block& content);

  // what is not genuine (forgeries.cpp)
  parcel_ptr forge_answer(const member& x, const wire_message& honest);
  void forge_range(const member& x, fetched_range& said);
  void forge_batches(const member& x, fetched_batches& said);
  void answer_with_own_block(node_index self, const member& x, node_index to,
                             block_height height);
  block_ptr own_block_on(node_index self, const member& x, const sealed_block& parent);
  certificate forged_finalization(const member& x, const sealed_block& what);
  void overreach(node_index self, member& x, view_number view);
  void reach_too_far(const member& x, block& content, const full_cut& below);
  std::optional<lane_tip> beside(const member& x, const full_cut& below);
  std::vector<lane_tip> known_tips(node_index lane) const;
  void flood(node_index self, member& x);
  fork_evidence accuse(const member& x);
  block_ptr best_certified(view_number below) const;

  void cast(node_index self, item_kind kind, view_number view, const digest& block,
            std::uint64_t share);
  void send_some(node_index self, const wire_message& content, std::uint64_t share);
  digest random_digest();

  surroundings home_;
  random_source chance_;
  /// For what rogues also do since seeds were first written down (falsify, forge), and for the
  /// strategies beyond `all`: when they act and what they make. So it shifts no draw of
  /// `chance_` in a run without them.
  random_source malice_;
  std::map<node_index, member> members_;
  bool active_ = true;
  std::unordered_set<std::uint64_t> seen_;
  std::vector<parcel_ptr> heard_; ///< for replays; bounded
  std::map<view_number, std::vector<block_ptr>> blocks_;
  std::unordered_map<digest, block_ptr, digest_hash> by_digest_;
  std::unordered_map<digest, full_cut, digest_hash> cuts_;
  std::map<vote_key, std::map<node_index, signature>> votes_;
  std::map<view_number, certificate> notarizations_, nullifications_, finalizations_;
  std::map<std::pair<node_index, digest>, std::vector<lane_tip>> next_in_lane_; ///< by parent
  std::vector<lane_tip> phantoms_; ///< named by a proposal, and there is no such batch
  view_number frontier_ = 1;
};

} // namespace tallymesh::simulation
