// One operation's dealings with the tables: reads see what earlier operations wrote, writes are
// checked against the table's declaration and its constraints, and all of it takes effect or
// none of it does. Everything that executes goes through here: native store and delete, actions
// in Lua (contracts/host.hpp), and the built-in contracts (settlement, distribution, erasure,
// mesh), which keep their state in declared tables like any other. Pure: no clock, no CAF, no
// LMDB; one thread.
#pragma once

#include "contracts/contract.hpp"
#include "contracts/row.hpp"
#include "messages/receipt.hpp"

#include <map>
#include <memory>

namespace tallymesh::contracts {

/// A row as the tables hold it. A deleted row keeps the place of its last change, so that its
/// history goes on when it is stored again.
struct held_row {
  std::optional<bytes> row;
  change_place last_change;
};

/// A run of keys: from `from` (inclusive) to `to` (exclusive; empty: no end).
struct key_range {
  bytes from, to;
  bool descending = false;
  std::size_t limit = 0;
};
struct keyed_row {
  bytes key, row;
};
struct keyed_entry {
  bytes index_key, row_key;
};

/// The tables as stored, before what was executed and is not stored yet. Implemented over the
/// ledger, and in memory for tests and for `tally contract test`. Each call may be a snapshot
/// of its own: `overlay` holds everything newer.
class table_source {
public:
  virtual ~table_source() = default;
  virtual held_row row(const std::string& table, const bytes& key) const = 0;
  virtual std::vector<keyed_row> rows(const std::string& table,
                                      const key_range& wanted) const = 0;
  /// In the order of (index key, row key); the range is over index keys.
  virtual std::vector<keyed_entry> entries(const std::string& table, std::uint8_t index,
                                           const key_range& wanted) const = 0;
};

/// Rows and index entries that are newer than the source: of blocks that are not stored yet and
/// of the block that is being executed. Owned by the executor's actor; one thread.
class overlay;

/// The parties that genesis names; the place of a node is its node_index. Built-in contracts ask
/// for it: who is of a tier, how many nodes are a quorum.
struct mesh_facts {
  struct node {
    std::string name;
    tier at{};
  };
  struct account {
    std::string name; ///< without the node
    std::string node;
  };
  std::vector<node> nodes;
  std::vector<account> accounts; ///< each node has an account `node` of its own beside these

  std::size_t faulty() const { return (nodes.size() - 1) / 3; }
  std::size_t quorum() const { return nodes.size() - faulty(); }
};

/// All contracts in force at one place of the chain, built-in ones included. Immutable and
/// shared; an activation makes another one.
class contract_set {
public:
  virtual ~contract_set() = default;
  virtual const contract* find_contract(std::string_view name) const = 0;
  /// By "contract.table".
  virtual const table* find_table(std::string_view full_name) const = 0;
  virtual const mesh_facts& mesh() const = 0;
};

/// Who asks, on whose behalf, when.
struct call_facts {
  actor who;               ///< the operation's author
  std::string_view caller; ///< the contract that called; empty: the author itself
  operation_id operation;
  node_index lane = 0;
  std::uint32_t position = 0;
  block_height height = 0;
  std::int64_t time_ms = 0;
};

class transaction {
public:
  transaction(const contract_set& rules, overlay& over, const table_source& below,
              call_facts facts);

  const call_facts& facts() const;
  const contract_set& rules() const;

  // --- reads. Full table names ("contract.table"); rights are the caller's to check.
  /// The row, decoded. Refusals: unknown_table, malformed_arguments, wrong_type ...
  checked<std::optional<value_map>> get(std::string_view table, const value_list& key);
  /// Rows whose key begins with `prefix`, in key order, at most `limit`.
  checked<std::vector<value_map>> range(std::string_view table, const value_list& prefix,
                                        std::size_t limit, bool descending = false);
  /// Rows whose values in the `index`-th index begin with `prefix`, in index order.
  checked<std::vector<value_map>> find(std::string_view table, std::uint8_t index,
                                       const value_list& prefix, std::size_t limit,
                                       bool descending = false);

  // --- writes. Checked: declaration, unique, references, check, settled rows, limits.
  /// Merges `row` over what is there, as a native store does; `no_change` is no refusal here.
  checked<void> put(std::string_view table, const value_map& row);
  /// Refusals: not_found, referenced ...
  checked<void> remove(std::string_view table, const value_list& key);

  /// Something that happened, for the receipt and for those who follow: at most 32 an
  /// operation.
  checked<void> emit(std::string_view name, value_map what);

  /// Adds to the operation's gas. Refusal: out_of_gas.
  checked<void> charge(std::uint64_t gas);

  /// Takes back every write, event and charge since the transaction began, or since `mark`.
  struct mark_t {
    std::size_t writes = 0, events = 0;
  };
  mark_t mark() const;
  void rewind(mark_t to = {});
};

/// A built-in contract: declared tables (from a contract file inside the program) and actions
/// in C++. `perform` gets arguments as the action's params declare them.
struct builtin {
  std::string_view name;
  std::string_view
      source; ///< contract file: tables, and actions with may and params but no run
  checked<void> (*perform)(transaction& on, std::string_view action,
                           const value_map& arguments);
};

} // namespace tallymesh::contracts
