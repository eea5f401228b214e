// Rows and index entries that are newer than the source below: of blocks that are not stored
// yet and of the block that is being executed. Ordered, so that ranges merge with the source's
// and no choice of keys makes a look-up slow. Every write can be taken back until its block
// ends; a version goes when its height is stored. Owned by the executor's actor; one thread.
#pragma once

#include "contracts/by_name.hpp"
#include "contracts/contract.hpp"
#include "contracts/table_source.hpp"

#include <deque>
#include <map>
#include <span>

namespace tallymesh::contracts {

/// What one block did to the tables: changes as they go into its execution, and the index
/// entries that came and went with them.
struct block_changes {
  std::vector<change> changes;
  std::vector<index_change> indexes;
};

class overlay {
public:
  overlay() = default;
  overlay(const overlay&) = delete;
  overlay& operator=(const overlay&) = delete;

  void begin_block(block_height height);
  block_changes end_block();
  /// The source holds the blocks up to this height now.
  void stored(block_height through);

  /// Of blocks that have ended and are not stored.
  std::size_t blocks() const { return blocks_.size(); }
  std::size_t size_bytes() const { return size_bytes_; }
  /// Index entries that these blocks took away: walks through the source pass over them, at
  /// nobody's expense.
  std::size_t gone_entries() const { return gone_entries_; }
  block_height height() const { return height_; }
  /// Of the block that is being executed: keys, and rows before and after.
  std::size_t change_bytes() const { return change_bytes_; }
  std::uint32_t changes() const { return static_cast<std::uint32_t>(made_.changes.size()); }
  /// Adds what else a block has to hold; goes with `rewind`.
  void add_bytes(std::size_t count) { change_bytes_ += count; }

  held_row row(std::string_view table, const bytes& key, const table_source& below) const;
  /// As `row`, and where the row stands or would stand, so that writing it costs no second
  /// search. A spot that is old by then is no harm.
  class spot;
  held_row look(std::string_view table, const bytes& key, const table_source& below, spot& at);
  /// In key order, deleted rows too.
  void rows(std::string_view table, const key_range& wanted, const table_source& below,
            const table_source::row_visitor& visit) const;
  /// Told of so many entries of the range that were passed over; false ends the walk.
  using skip_visitor = std::function<bool(std::size_t count)>;
  /// Keys of the rows that have an entry in this range, in the order of the entries. `skipped`
  /// is told of those which this block took away, where they stood: the same on every node,
  /// whatever is stored yet.
  void entries(const table& of, std::uint8_t index, const key_range& wanted,
               const table_source& below, const table_source::entry_visitor& visit,
               const skip_visitor& skipped);

  /// `before` is what `row` gave. `indexes`: what the change does to the table's entries;
  /// taken.
  void write(const table& of, bytes key, held_row before, std::optional<shared_bytes> after,
             std::uint32_t position, std::span<index_change> indexes, const spot& near = {});

  struct mark_t {
    std::size_t writes = 0, bytes = 0;
  };
  /// A place in the present block.
  mark_t mark() const { return {journal_.size(), change_bytes_}; }
  void rewind(mark_t to);

  /// Tables are declared anew, or as they were: what is known of entries is dropped, of every
  /// table, for one that is gone now may be declared again with other indexes.
  void forget_indexes();

private:
  using rows_by_key = std::map<bytes, held_row, bytes_less>;
  /// The entries of the live rows here.
  struct index_entries {
    std::map<entry_place, bytes> in_order;     ///< to the index key
    std::map<bytes, bytes, bytes_less> by_row; ///< row key to index key
    /// Those that this block took away, and how often.
    std::map<entry_place, std::uint32_t> gone;
    void add(const bytes& index_key, const bytes& row_key);
    void remove(const bytes& row_key);
  };
  struct table_rows {
    rows_by_key rows;
    /// Built when first asked for: most tables' indexes are never read by an operation.
    std::map<std::uint8_t, index_entries> indexes;
  };
  struct place {
    table_rows* of;
    rows_by_key::iterator row;
  };

public:
  class spot {
  public:
    spot() : next_{}, drops_(0) {} ///< nowhere

  private:
    friend overlay;
    place next_; ///< the first row that is not before it
    std::uint64_t drops_;
  };

private:
  struct ended_block {
    block_height height = 0;
    std::size_t gone_entries = 0;
    std::vector<place> rows; ///< whose last change may be of this block
    std::size_t size_bytes = 0;
  };
  struct journal_entry {
    place at;
    const table* declared = nullptr;
    std::size_t indexes = 0; ///< index changes before this write
    bool fresh = false;      ///< the row was not here before
    bool first = false;      ///< of this block's writes to the row
  };

  const table_rows* find(std::string_view table) const;
  table_rows& table_of(std::string_view name);
  /// The row's entries are as its values again.
  static void follow(const place& at, const table& declared);
  index_entries& index_of(const table& of, std::uint8_t index);
  void drop(const place& at);
  /// An index change of this block, or taken back.
  void note_gone(const index_change& x, bool taken_back);

  by_name<table_rows> tables_;
  std::deque<ended_block> blocks_;
  std::size_t size_bytes_ = 0;
  std::size_t gone_entries_ = 0;

  std::uint64_t drops_ = 1; ///< rises when rows go, and with them their places

  block_height height_ = 0;
  block_changes made_;
  struct {
    std::size_t changes = 0, indexes = 0;
  } usual_;                            ///< of the block before
  std::vector<journal_entry> journal_; ///< one for each of made_.changes
  std::size_t change_bytes_ = 0;
};

} // namespace tallymesh::contracts
