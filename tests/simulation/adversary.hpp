// All Byzantine nodes together: they share what they know, sign with each other's keys, and
// answer faster than the network lets others. Each has a real process behind it, so that it
// behaves like a node except where its strategies bend what goes out. Owned by the world.
#pragma once

#include "tests/simulation/parcel.hpp"
#include "tests/simulation/process.hpp"
#include "tests/simulation/simulation.hpp"

#include <unordered_set>

namespace tallymesh::simulation {

class adversary {
public:
  adversary(world& home, random_source chance);

  /// `strategies` as bits of simulation::strategy.
  void enlist(node_index node, std::uint32_t strategies, credentials keys);
  /// From now on it does this too.
  void take_up(node_index node, std::uint32_t strategies);
  bool has(node_index node) const { return members_.contains(node); }
  bool is_twin(node_index node) const;
  /// Which twin of `node` talks to `peer`.
  bool side(node_index node, node_index peer) const;

  void outgoing(process& from, node_index to, const parcel_ptr& what);
  void incoming(const process& at, const parcel_ptr& what);
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
  block_ptr pick_parent(view_number below);
  const full_cut* cut_after(const digest& block);
  std::vector<lane_tip> build_cut(const full_cut& below);
  std::vector<certificate> justify(const block& content);

  void cast(node_index self, item_kind kind, view_number view, const digest& block,
            std::uint64_t share);
  void send_some(node_index self, const wire_message& content, std::uint64_t share);
  digest random_digest();

  world& home_;
  random_source chance_;
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
  view_number frontier_ = 1;
};

} // namespace tallymesh::simulation
