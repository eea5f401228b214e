// Answers out of the ledger: tables, rows, histories, blocks, traces; each read is checked
// against the contract's read rights. Run in the worker pool; the ledger gives each read a
// snapshot.
#pragma once

#include "actors/gateway/backend.hpp"
#include "actors/gateway/http.hpp"
#include "actors/gateway/json_out.hpp"
#include "actors/gateway/router.hpp"

namespace tallymesh::gateway {

struct reading_call {
  const backend& node;
  const std::vector<contracts::contract>& contracts;
  const call& what;
  const account& who;
  std::size_t page_bytes; ///< a list ends behind the entry that passes this

  contracts::actor reader() const { return {who.name, node.node, node.tier}; }
  const contracts::table* find_table(std::string_view full_name) const;
};

/// What a reader gets of one table's rows: all, or those that he made, and not every field.
class visible_rows {
public:
  visible_rows(const reading_call& from, const contracts::table& of);

  /// Whether there can be any for him.
  bool possible() const { return by_list_ || contracts::author_may_read(of_); }
  bool possible(bytes_view key) {
    return by_list_ || (contracts::author_may_read(of_) && is_own(key));
  }
  /// Which of a row's fields he sees; none: not this row. One whose author matters costs a look
  /// at its history.
  std::optional<value_map> seen(bytes_view key, bytes_view row);
  /// The same as JSON; null for none.
  void write(json_out& out, bytes_view key, const std::optional<shared_bytes>& row);
  /// Whether the row that is there now, or was there last, is of an operation of `who`.
  bool is_by(bytes_view key, const contracts::actor& who) const;

private:
  /// His operation made the row that is there now, or was there last.
  bool is_own(bytes_view key);

  const reading_call& from_;
  const contracts::table& of_;
  bool by_list_; ///< the table's readers name him, as anything but the author
  bool author_matters_;
  std::pair<bytes, bool> last_; ///< the row asked about last, and whether it was his
};

// records.cpp
response read_tables(const reading_call& from);
response read_rows(const reading_call& from);
response read_row(const reading_call& from);
response read_history(const reading_call& from);

// access.cpp
response read_access(const reading_call& from);

// contracts.cpp
response read_contracts(const reading_call& from);
response read_contract(const reading_call& from);

// chain.cpp
response read_status(const reading_call& from);
response read_blocks(const reading_call& from);
response read_block(const reading_call& from);
response read_trace(const reading_call& from);

} // namespace tallymesh::gateway
