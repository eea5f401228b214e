// S18: what a node was shown of others' contradictions, which it must report. Knows of a node's
// machines only what they were told; where it cannot tell whether they heard something, it asks
// for nothing. Owned by the checker, one a node; forgets as the node does.
#pragma once

#include "tests/simulation/disk.hpp"

#include <functional>
#include <map>
#include <set>

namespace tallymesh::simulation {

/// Who did wrong, and at which view or place of its lane.
struct offence {
  node_index signer = 0;
  bool of_lane = false;
  std::uint64_t position = 0;
  auto operator<=>(const offence&) const = default;
};
offence offence_of(const evidence& x);

class witness {
public:
  witness(const validator_set& nodes, const credentials& keys) : nodes_(nodes), keys_(keys) {}

  /// `final_view`: not above what the node holds as final. `trusted`: the sender is honest.
  void received(const consensus::received& x, view_number final_view, bool trusted);
  void linked(node_index peer) { bad_signatures_.erase(peer); }
  void stored(const certificate& x);
  void voted_for(const signed_item& proposal) {
    shown_[place_of(proposal)].push_back(proposal);
  }
  /// `final_cut` as the node's mempool was told.
  void received(const mempool::received& x, const full_cut& final_cut, std::size_t most_bytes,
                const model_disk& disk, std::int64_t now_ms);
  void observed(const evidence& what) { observed_.insert(offence_of(what)); }
  /// What the last event showed and its handling did not report. `final_view` is that of the
  /// node by now.
  std::optional<evidence> unreported(const std::function<view_number()>& final_view);

  void forget();

private:
  using place = std::pair<std::uint64_t, node_index>;
  static place place_of(const signed_item& x) { return {x.position, x.signer}; }
  bool vouched(node_index from, bool good);
  std::size_t forged_lately(const mempool::received& x, std::int64_t now_ms);
  void show(const batch_ptr& x, const full_cut& final_cut, std::size_t most_bytes,
            const model_disk& disk);
  void show(const signed_item& x);
  bool in_window(view_number view, view_number final_view) const;
  bool is_by_its_leader(const block_ptr& x) const;

  const validator_set& nodes_;
  const credentials& keys_;
  std::map<place, std::vector<signed_item>> shown_;
  std::set<offence> observed_;
  std::vector<evidence> due_;                          ///< by the last event
  std::map<node_index, std::uint64_t> bad_signatures_; ///< that agreement was shown
  /// When its mempool was shown one, of late. A new link changes nothing, as in the mempool.
  std::map<node_index, std::vector<std::int64_t>> forged_ms_;
};

} // namespace tallymesh::simulation
