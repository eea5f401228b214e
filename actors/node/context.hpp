// What the actors of one node share: its settings, its stores, and the board on which they
// write what a person asks first. Made by the node before its actors start and outlives them.
// The stores may be used from any thread; each is written by one actor only.
#pragma once

#include "actors/consensus/machine.hpp"
#include "actors/contract_executor/machine.hpp"
#include "actors/gateway/status.hpp"
#include "actors/mempool/machine.hpp"
#include "actors/node/children.hpp"
#include "actors/node/evidence_log.hpp"
#include "configs/node_config.hpp"
#include "configs/tokens.hpp"
#include "storage/batch_store.hpp"
#include "storage/ledger.hpp"
#include "storage/vote_log.hpp"

#include <atomic>
#include <deque>
#include <mutex>

namespace tallymesh::node {

/// Written by the actors after each turn, read by the gateway. Small copies under one lock.
class status_board {
public:
  void set(consensus::snapshot x);
  void set(mempool::snapshot x);
  void executed(block_height height, std::int64_t time_ms, std::size_t operations);
  void peer(node_index index, bool up, std::int64_t now_ms);
  void stopped(std::string_view why); ///< consensus halted

  struct view {
    consensus::snapshot consensus;
    mempool::snapshot mempool;
    block_height height = 0;
    std::int64_t last_block_ms = 0;
    std::uint64_t operations_executed = 0;
    std::vector<std::pair<bool, std::int64_t>> peers; ///< up, and since when
    std::string halted;
  };
  view look() const;

  explicit status_board(std::size_t nodes) { board_.peers.resize(nodes); }

private:
  mutable std::mutex lock_;
  view board_;
};

/// The contracts in force at the height that is stored, for those who read: the gateway shows
/// and checks rows by them. Any thread.
class contract_board {
public:
  using list = std::vector<contracts::contract>;
  /// The executor, as it starts from what is stored.
  void begin(contracts::contract_set_ptr now);
  /// The executor: another set is in force from this height on, which is not stored yet.
  void change(block_height from, contracts::contract_set_ptr next);
  /// The ledger writer, before it tells anyone.
  void stored(block_height through);

  contracts::contract_set_ptr look() const;
  /// The same, ascending by name; shared until they change.
  std::shared_ptr<const list> contracts() const;

private:
  void show(contracts::contract_set_ptr x);

  mutable std::mutex lock_; // guards all below
  contracts::contract_set_ptr set_;
  std::shared_ptr<const list> list_;
  std::deque<std::pair<block_height, contracts::contract_set_ptr>> coming_;
};

/// Whose keys may look into this node. Renewed when the config is read again.
class operators {
public:
  using list = std::shared_ptr<const std::vector<configs::node_operator>>;
  explicit operators(std::vector<configs::node_operator> first) { set(std::move(first)); }
  void set(std::vector<configs::node_operator> x) {
    const std::lock_guard guard(lock_);
    list_ = std::make_shared<const std::vector<configs::node_operator>>(std::move(x));
  }
  list all() const {
    const std::lock_guard guard(lock_);
    return list_;
  }

private:
  mutable std::mutex lock_;
  list list_;
};

/// Whether peers may hold batches of the own lane that this disk lacks (S16).
enum class lane_doubt : std::uint8_t { none, unasked, asking };

struct context {
  configs::node_config config;
  validator_set nodes;
  credentials keys;
  signing_key link_key;
  contract_executor::machine executor;
  std::unique_ptr<storage::ledger> ledger;
  std::unique_ptr<storage::batch_store> batches;
  std::unique_ptr<storage::vote_log>
      votes; ///< none: missing or damaged, the node observes only (S16)
  std::unique_ptr<evidence_log> evidence;
  mutable status_board board;
  mutable contract_board in_force;
  std::int64_t started_ms = 0; ///< since 1970
  mutable operators admitted;
  mutable child_board children;
  mutable std::deque<std::int64_t> operators_restarts_ms{}; ///< the introspector's, however
                                                            ///< often it is started again
  mutable std::atomic<lane_doubt> own_lane = lane_doubt::none;

  node_index self() const { return config.self; }
  const configs::genesis& genesis() const { return config.mesh; }
  gateway::node_status status() const;
};
using context_ptr = std::shared_ptr<const context>;

/// Hears what holds up the start, every few seconds for as long as it does.
using start_listener = std::function<void(const std::string& line)>;

/// Opens stores and keys of a checked config. A missing or damaged vote log is said in the log
/// and leaves `votes` empty. Errors: those of the stores, keys and contracts.
result<std::shared_ptr<context>> open_context(configs::node_config config,
                                              const start_listener& held_up = {});

/// S18: into the node's evidence log, under the name of who signed both. Any thread.
void keep_evidence(const context& context, const evidence& x);

/// Steady and wall clock as machines want them.
instant now();

/// Says why in the log's last line and ends the process at once with status 74: a disk failed,
/// or an invariant of storage. Nothing that was not synced has been said to anyone.
[[noreturn]] void end_process(const error& why, std::string_view where);

} // namespace tallymesh::node
