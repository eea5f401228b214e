// The disks of all nodes of a recorded mesh at one instant that moves forward, and what must be
// true of every node that is opened on what they may hold then: nothing that it told is lost,
// nothing that it said is contradicted. One thread.
#pragma once

#include "messages/signed_item.hpp"
#include "storage/batch_store.hpp"
#include "storage/ledger.hpp"
#include "storage/vote_log.hpp"
#include "tests/faults/power_loss.hpp"

#include <array>
#include <map>
#include <optional>
#include <set>

namespace tallymesh::faults {

struct acknowledgement {
  std::int64_t at_us = 0; ///< on the clock of the records, not before its client had been told
  std::uint16_t node = 0; ///< who told it, and in whose lane it came in
  operation_id id;
};

struct power_recording {
  std::vector<std::vector<disk_record>> logs; ///< by node
  std::vector<std::uint16_t> order;           ///< of all records in time: whose comes next
  validator_set nodes;
  std::vector<credentials> keys;             ///< of each node
  std::vector<acknowledgement> acknowledged; ///< in order of time
  std::string erased;                        ///< was in a row that was erased
  std::int64_t erased_us = 0;                ///< every node had signed so by then
  /// Records were left out or moved: a store may be damaged so that LMDB ends the process.
  bool bent = false;

  const signing_domain& domain() const { return keys.front().domain; }
};
/// Whose record comes next, by time; the records of one node stay in their order.
std::vector<std::uint16_t> merged(const std::vector<std::vector<disk_record>>& logs);

class power_cuts {
public:
  using keep = disk_replay::keep;
  /// What must not be, in words, by the promise that it breaks.
  struct findings {
    std::vector<std::string> lost_operations, contradictions, damaged_stores, kept_payloads;
    std::size_t size() const {
      return lost_operations.size() + contradictions.size() + damaged_stores.size()
             + kept_payloads.size();
    }
  };

  /// `scratch`: a folder for copies of disks, better in memory. `seed` decides which parts of
  /// what was not synced are found.
  power_cuts(const power_recording& what, std::filesystem::path scratch, std::uint64_t seed);

  bool at_end() const { return played_ == what_.order.size(); }
  std::size_t played() const { return played_; }
  std::int64_t now_us() const { return now_us_; }
  /// Plays the next record of all.
  void step();
  /// Opens what the last record made different, with all, none, and so many random parts of
  /// what no sync has covered.
  void examine(std::size_t random_parts);
  /// Opens every store of every node, whatever the last record was.
  void examine_all(std::size_t random_parts);
  std::size_t examined() const { return examined_; }
  const findings& found() const { return found_; }
  /// How many of this kind were seen on synced parts of disks.
  std::size_t votes_of(item_kind kind) const;

  /// The data directory of each node as it may be found now. Errors: storage.
  result<void> write_to(std::uint16_t node, const std::filesystem::path& data, keep what);

private:
  using slot = std::pair<view_number, item_kind>;
  static constexpr std::array<const char*, 3> stores{"ledger", "batches", "votes"};

  struct one_node {
    disk_replay replay;
    std::map<std::string, disk_copy> copies;  ///< of each store
    std::vector<std::int64_t> next_ledger_us; ///< by records played: its ledger's next one
    // What the synced part of its disk holds: whatever happens, a node opens on no less.
    std::optional<storage::ledger_head> head;
    std::optional<storage::stored_block> tip;
    std::optional<std::vector<vote_record>> votes;
    std::map<lane_tip, storage::batch_header> batches;
    std::map<slot, signed_item> signed_votes; ///< that any synced part ever held
    std::map<slot, digest> written_votes;     ///< that any part held
    view_number oldest_vote = 0;
    std::uint64_t lane_seen = 0; ///< up to where another node's disk held its lane
  };

  void examine(std::uint16_t node, const std::string& store, keep what);
  void look_at(std::uint16_t node, const std::string& store, keep what);
  void look_at_ledger(std::uint16_t node, const std::filesystem::path& where, keep what);
  void look_at_batches(std::uint16_t node, const std::filesystem::path& where, keep what);
  void look_at_votes(std::uint16_t node, const std::filesystem::path& where, keep what);
  void check_operations(const storage::ledger& of, std::uint16_t node);
  void check_chain(const storage::ledger& of, const storage::ledger_head& head,
                   std::uint16_t node);
  void check_votes(std::uint16_t node, keep what, const std::vector<vote_record>& stored);
  void check_grounds(std::uint16_t node, const std::vector<vote_record>& stored);
  void check_certificates(std::uint16_t holder, const std::vector<vote_record>& stored);
  void check_sent(std::uint16_t signer, const slot& which, const digest& content);
  void start_node(std::uint16_t node);
  void start_consensus(std::uint16_t node);
  void start_mempool(std::uint16_t node);
  void check_said(std::uint16_t node, const signed_item& now);

  std::string where(std::uint16_t node) const;
  static std::string in(const slot& which);

  const power_recording& what_;
  simulation::random_source chance_;
  std::vector<one_node> nodes_;
  std::uint16_t last_node_ = 0;
  disk_replay::difference last_;
  std::map<block_height, std::pair<digest, digest>> chain_; ///< block and execution, of anyone
  std::size_t played_ = 0, examined_ = 0;
  std::int64_t now_us_ = 0;
  findings found_;
};

} // namespace tallymesh::faults
