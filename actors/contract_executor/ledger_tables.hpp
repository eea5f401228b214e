// What the executor reads below its overlay: the ledger's tables; and the ids of operations
// that are not in the ledger yet. Owned by the executor's actor; one thread.
#pragma once

#include "actors/contract_executor/machine.hpp"
#include "storage/ledger.hpp"

#include <deque>
#include <set>

namespace tallymesh::contract_executor {

/// `Ledger` is storage::ledger, where each read is of the newest state, or
/// storage::ledger_view.
template <class Ledger>
class tables_of : public contracts::table_source {
public:
  /// A ledger that cannot be read ends the process, since no node may go on by guessing: `fail`
  /// must not return.
  tables_of(const Ledger& from, void (*fail)(const error&)) : from_(from), fail_(fail) {}
  contracts::held_row row(std::string_view table, bytes_view key) const override;
  void rows(std::string_view table, const contracts::key_range& wanted,
            const row_visitor& visit) const override;
  void entries(std::string_view table, std::uint8_t index, const contracts::key_range& wanted,
               const entry_visitor& visit) const override;

private:
  template <class T>
  T checked(result<T> read) const;

  const Ledger& from_;
  void (*fail_)(const error&);
};
using ledger_tables = tables_of<storage::ledger>;
using view_tables = tables_of<storage::ledger_view>;

/// The operations of blocks that are not stored.
class recent_ids {
public:
  void add(const execution& x);
  void stored(block_height through);
  bool contains(node_index lane, const operation_id& id) const {
    return ids_.contains({lane, id});
  }

private:
  using lane_id = std::pair<node_index, operation_id>;
  std::deque<std::pair<block_height, std::vector<lane_id>>> blocks_;
  std::set<lane_id> ids_; // ordered: no choice of ids makes a look-up slow
};

} // namespace tallymesh::contract_executor
