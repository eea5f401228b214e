// The tables as stored, before what was executed and is not stored yet: what a transaction
// reads below its overlay. Implemented over the ledger by the executor's actor, and in memory
// (memory_source.hpp) for tests and for `tally contract test`. Threads: the caller's.
#pragma once

#include "contracts/short_bytes.hpp"
#include "messages/receipt.hpp"

#include <functional>

namespace tallymesh::contracts {

/// A row as the tables hold it. A deleted row keeps the place of its last change, so that its
/// history goes on when it is stored again.
struct held_row {
  std::optional<shared_bytes> row;
  change_place last_change;
};

struct bytes_less {
  using is_transparent = void;
  bool operator()(bytes_view a, bytes_view b) const { return order_of(a, b) < 0; }
};

/// A run of keys: from `from` (inclusive) to `to` (exclusive; empty: no end).
struct key_range {
  bytes from, to;
  bool descending = false;
};
/// All keys that begin with `prefix`.
key_range keys_with(bytes prefix, bool descending = false);

/// Index keys longer than this stand in the order of their first bytes, then of their row keys.
inline bytes_view ordered_part(bytes_view index_key) {
  return index_key.first(std::min(index_key.size(), limits::max_ordered_index_key_bytes));
}

/// Where an entry stands in its index.
struct entry_place {
  bytes ordered; ///< the ordered part of the index key
  bytes row_key;
  bool operator<(const entry_place& other) const {
    const auto order = order_of(ordered, other.ordered);
    return order != 0 ? order < 0 : order_of(row_key, other.row_key) < 0;
  }
};

/// Each call may be a snapshot of its own: `overlay` holds everything newer. A visitor returns
/// false to end the walk; it must not read from the source.
class table_source {
public:
  using row_visitor = std::function<bool(bytes_view key, const held_row& held)>;
  using entry_visitor = std::function<bool(bytes_view index_key, bytes_view row_key)>;

  virtual ~table_source() = default;
  virtual held_row row(std::string_view table, bytes_view key) const = 0;
  /// In key order, deleted rows too: what a walk costs must not depend on what is stored yet.
  virtual void rows(std::string_view table, const key_range& wanted,
                    const row_visitor& visit) const = 0;
  /// In the order of (index key, row key); the range is over index keys.
  virtual void entries(std::string_view table, std::uint8_t index, const key_range& wanted,
                       const entry_visitor& visit) const = 0;
};

} // namespace tallymesh::contracts
