// The chain as executed: blocks, their certificates, what executing them did, and the tables
// with indexes and history. Written by the ledger_writer actor; read by executor, gateway,
// consensus (catch-up) and tools. Threads: any, one append at a time; every read is one
// snapshot of its own. A read that runs long holds up an append that must grow the map, so
// pages are bounded by the caller.
#pragma once

#include "messages/receipt.hpp"
#include "messages/wire.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <span>

namespace tallymesh::storage {

class environment;
class read_transaction;

enum class durability {
  synced, ///< append returns when it is on stable storage
  lazy,   ///< survives the end of the process; a power cut may take back the last appends
};

struct ledger_commit {
  block_ptr block;
  std::vector<lane_tip> full_cut;          ///< all lanes' tips up to this block
  std::optional<certificate> finalization; ///< of this block, if it has one of its own
  std::shared_ptr<const tallymesh::execution> result;
  digest execution; ///< execution digest of `result`
  std::vector<index_change> indexes;
};

struct ledger_head {
  block_height height = 0;
  view_number view = 0;
  digest block;
  std::int64_t time_ms = 0;
  std::vector<lane_tip> full_cut;
  digest execution;
};

struct stored_block {
  block_ptr block;
  std::vector<lane_tip> full_cut;
  digest execution;
  std::optional<certificate> finalization;
};

struct stored_row {
  std::optional<shared_bytes> row; ///< encoded value_map; none: never there, or deleted
  change_place last;               ///< its last change; height 0: never there
};

/// Keys from `from` to, not including, `to`; an empty `to` is the end.
struct walk_range {
  bytes_view from, to;
  bool descending = false;
};

struct table_row {
  bytes key;
  shared_bytes row;
  change_place last;
};

struct index_entry {
  bytes index_key, row_key;
  shared_bytes row;
  change_place last;
  bytes place; ///< give it as `after` to go on behind this entry
};
struct index_page {
  std::vector<index_entry> entries;
  bytes next; ///< give it as `after` for the next page; empty: this was the last
};

struct history_entry {
  change_place place;
  tallymesh::change change;
  tallymesh::receipt receipt;
  std::int64_t time_ms = 0;
};
struct history_page {
  std::vector<history_entry> entries; ///< newest first
  change_place next; ///< give it as `from` for older ones; height 0: there are none
};

struct change_page {
  std::vector<tallymesh::change> changes;
  std::uint32_t next = 0; ///< give it as `from` to go on; 0: there are no more
};

/// Up to which of a row's changes its payload is erased: those of earlier blocks, and of this
/// one those of operations up to `position`.
struct erase_bound {
  block_height height = 0;
  std::uint32_t position = 0;
};
/// An operation that made an erased change: its arguments have to go too.
struct erased_origin {
  block_height height = 0;
  std::uint32_t position = 0;
  node_index lane = 0;
  std::uint64_t seq = 0; ///< its batch
  operation_id id;
};
struct erased_page {
  std::vector<erased_origin> origins; ///< also of changes that were erased before
  bool changed = false;               ///< something was left to erase
  change_place next;                  ///< give it as `from` to go on; height 0: done
};

struct table_count {
  std::string table;
  std::uint64_t records = 0;
};
struct table_sum {
  std::string table;
  std::uint64_t records = 0;
  digest content;
};
struct ledger_sums {
  ledger_head head; ///< of the same snapshot
  std::vector<table_sum> tables;
};

/// The tables and executions as they all were at one moment. Its reads fail as the ledger's do.
class ledger_view {
public:
  result<ledger_head> head() const;
  result<stored_block> block(block_height height) const;
  result<tallymesh::execution> execution_of(block_height height) const;
  result<stored_row> row(std::string_view table, bytes_view key) const;
  result<std::uint64_t> records(std::string_view table) const; ///< live rows
  result<void>
  walk_rows(std::string_view table, const walk_range& wanted,
            const std::function<bool(bytes_view key, const stored_row&)>& visit) const;
  result<void> walk_entries(
      std::string_view table, std::uint8_t index, const walk_range& wanted,
      const std::function<bool(bytes_view index_key, bytes_view row_key)>& visit) const;

private:
  friend class ledger;
  ledger_view(const read_transaction& at, const ledger_head& genesis)
      : at_(at), genesis_(genesis) {}
  const read_transaction& at_;
  const ledger_head& genesis_;
};

class ledger {
public:
  /// Errors: damaged, unsupported, conflict (another chain, or in use), storage.
  static result<std::unique_ptr<ledger>> open(const std::filesystem::path& directory,
                                              const signing_domain& domain,
                                              durability how = durability::synced);
  ~ledger();

  /// Consecutive blocks in one transaction: all or nothing. Errors: conflict (a block that does
  /// not follow the head, a digest that does not fit, an operation executed before), storage.
  result<void> append(std::span<const ledger_commit> commits);

  /// Genesis if there is no block yet; then its cut is empty.
  result<ledger_head> head() const;
  /// Errors of all reads below: not_found, damaged, storage.
  result<stored_block> block(block_height height) const;
  result<tallymesh::execution> execution_of(block_height height) const;

  /// How many operations the block carried out.
  result<std::uint32_t> operations_of(block_height height) const;
  /// What the operation at `position` of a block changed, from the block's change `from` on;
  /// ends behind the change that passes `max_bytes`.
  result<change_page> changes_of(block_height height, std::uint32_t position,
                                 std::uint32_t from, std::size_t max_bytes) const;

  /// Blocks from `from` on that end at a height with a finalization of its own: the highest
  /// within `max_blocks` and `max_bytes`, or the next one if there is none within.
  result<fetched_range> range(block_height from, std::size_t max_blocks,
                              std::size_t max_bytes) const;

  /// An id counts within the lane it came in: no node can use up the ids of another's clients.
  /// The receipt from `lane` if there is one, otherwise that of the lowest lane with this id.
  result<tallymesh::receipt> receipt(const operation_id& id, node_index lane) const;
  /// For each whether it has been executed in `lane`, all in one snapshot.
  result<std::vector<bool>> executed(node_index lane, std::span<const operation_id> ids) const;

  result<stored_row> row(std::string_view table, bytes_view key) const;
  /// Live rows after `after_key` (empty: from the first), in key order.
  result<std::vector<table_row>> rows(std::string_view table, bytes_view after_key,
                                      std::size_t limit) const;
  /// Every row that ever was, deleted ones too, in key order, until `visit` returns false. All
  /// within one snapshot: `visit` must be quick, and must not read from a ledger.
  result<void>
  walk_rows(std::string_view table, const walk_range& wanted,
            const std::function<bool(bytes_view key, const stored_row&)>& visit) const;
  /// Likewise the entries of an index whose index keys are in the range, in the order of the
  /// index key's first limits::max_ordered_index_key_bytes bytes, then of the row's key.
  result<void> walk_entries(
      std::string_view table, std::uint8_t index, const walk_range& wanted,
      const std::function<bool(bytes_view index_key, bytes_view row_key)>& visit) const;
  /// A page ends behind the entry that passes `max_bytes` of keys and rows, or at `limit`.
  result<index_page> index_scan(std::string_view table, std::uint8_t index, bytes_view prefix,
                                bytes_view after, std::size_t limit,
                                std::size_t max_bytes = SIZE_MAX) const;
  /// The changes of one row, newest first, beginning at `from` (height 0: at its last change);
  /// ends as a page of an index does. not_found if the row never was, or `from` is no change of
  /// it.
  result<history_page> history(std::string_view table, bytes_view key, change_place from,
                               std::size_t limit, std::size_t max_bytes = SIZE_MAX) const;

  /// For work that needs many reads of one state. While `use` runs, an append that must grow
  /// the map waits, and every other reader behind it: seconds, not minutes. `use` must not read
  /// from the ledger but through the view.
  result<void> look(const std::function<void(const ledger_view&)>& use) const;

  // --- erasing: README.md
  /// Erases what the row held, change by change, newest first from `from` (height 0: its last
  /// change), at most `limit` changes in one transaction. Digests stay as they were. May be
  /// repeated, and be broken off anywhere. Errors: not_found, damaged, storage.
  result<erased_page> erase_history(std::string_view table, bytes_view key,
                                    const erase_bound& through, change_place from,
                                    std::size_t limit);
  /// A mark for whoever erases: all that was ordered up to this height is erased here. Of this
  /// ledger only, and not on the chain.
  result<block_height> erased_through() const;
  result<void> set_erased_through(block_height height);
  /// Whether rows are there whose content was erased before this node had executed their
  /// blocks: until the orders to erase them follow, nothing can be executed.
  result<bool> hides_rows() const;
  /// So that the file holds nothing of it either; see environment::rebuild.
  result<void> rebuild(const std::function<void(std::size_t copied_bytes)>& told = {});
  bool holds_erased() const; ///< a rebuild is due
  /// Also where durability is lazy.
  result<void> sync();
  std::size_t used_bytes() const;

  result<std::vector<table_count>> tables() const;
  /// Digest over all live rows of a table in key order, with the head it belongs to. Reads the
  /// table.
  result<ledger_sums> table_digest(std::string_view table) const;
  result<ledger_sums> digests() const;

private:
  ledger(std::unique_ptr<environment> env, const signing_domain& domain);
  std::unique_ptr<environment> env_;
  ledger_head genesis_;
};

} // namespace tallymesh::storage
