// What came of executing a block: a receipt for each operation, the changes to rows, and the
// execution digest that covers both and everything before. Value types; any thread.
#pragma once

#include "messages/batch.hpp"
#include "messages/shared_bytes.hpp"

namespace tallymesh {

/// Why an executed operation changed nothing. On the chain; texts are made from it by the
/// reader.
enum class outcome : std::uint8_t {
  done = 0,
  malformed_arguments, ///< arguments are not what the action takes
  unknown_contract,
  unknown_action,
  unknown_table,
  unknown_account, ///< the author is no account of the node in whose lane it came
  forbidden,       ///< the author has no right to this
  expired,         ///< the block's time is past valid_until_ms
  unknown_field,
  missing_field,
  wrong_type,
  out_of_range,       ///< below min, above max, too long, or not one of the values
  not_found,          ///< delete of a row that is not there
  unsigned_operation, ///< the contract asks for the author's signature, and it is missing or
                      ///< wrong
  key_too_long,
  no_change,  ///< the row already was exactly this; recorded, nothing written
  too_large,  ///< the row would be longer than limits::max_row_bytes
  block_full, ///< the block's changes are at limits::max_block_change_bytes; may be sent again
  refused_by_contract, ///< ctx.require failed; the detail is the contract's own code
  out_of_gas,          ///< the operation's work costs more than its limit
  out_of_memory,       ///< the action holds more memory than it may
  contract_error,      ///< the action failed: a mistake in the contract
  too_deep,            ///< contracts called each other deeper than they may
  not_unique,          ///< another row has these values, of which the table allows one
  missing_reference,   ///< the row that this one names is not there
  referenced,          ///< delete of a row that others name
  check_failed,        ///< the table's own check does not accept the row
  limit_exceeded,      ///< the node (detail) would owe more than its credit limit
  settled,             ///< the row was settled: it neither changes nor goes until disputed
  period_closed,       ///< no period is open, or not this one
  wrong_state,         ///< what it is about (detail) is not in a state that allows it
  frozen,              ///< the contract (detail) is frozen: nothing of it is executed
};
constexpr outcome last_outcome = outcome::frozen;
constexpr bool known(outcome x) { return x <= last_outcome; }
/// The name as in the enum, for JSON and tables.
std::string_view to_string(outcome x);
/// One sentence for a person.
std::string_view describe(outcome x);

/// How many effects of each kind an operation had.
struct effect_counts {
  std::uint32_t stored = 0, deleted = 0, erased = 0, settled = 0, distributed = 0;
  template <class Archive>
  void serialize(Archive& a) {
    a(stored, deleted, erased, settled, distributed);
  }
  bool operator==(const effect_counts&) const = default;
};

/// Something that happened, as a contract tells it. Limits: limits::max_operation_events and
/// max_operation_event_bytes.
struct event {
  std::string name;
  value_map what;
  template <class Archive>
  void serialize(Archive& a) {
    a(name, what);
  }
  bool operator==(const event&) const = default;
};

struct receipt {
  operation_id id;
  block_height height = 0;
  std::uint32_t position = 0; ///< of the operation in its block, from 0
  node_index lane = 0;        ///< whose node vouched for it
  std::uint64_t seq = 0;      ///< its batch
  outcome result{};
  std::string detail;        ///< the field or table that `result` is about; at most 64 bytes
  std::uint32_t changes = 0; ///< rows changed
  std::uint64_t gas = 0;     ///< what its work cost, whether it succeeded or not
  effect_counts effects;
  std::vector<event> events;
  /// Set: there were events, they were erased, and this is their digest.
  std::optional<digest> events_erased;

  bool ok() const { return result == outcome::done || result == outcome::no_change; }
  template <class Archive>
  void serialize(Archive& a) {
    a(id, height, position, lane, seq, closed(result), detail, changes, gas, effects,
      erasable<std::vector<event>, digest>{events, events_erased});
  }
};

/// Where a change stands on the chain: `index` counts a block's changes from 0.
/// Height 0: nowhere (the row has no earlier change).
struct change_place {
  block_height height = 0;
  std::uint32_t index = 0;
  template <class Archive>
  void serialize(Archive& a) {
    a(height, index);
  }
  auto operator<=>(const change_place&) const = default;
};

/// One row before and after. A row's changes are linked backwards, which is its history.
struct change {
  std::string table;                         ///< "contract.table"
  bytes key;                                 ///< ordered encoding of the key's values
  std::optional<shared_bytes> before, after; ///< encoded value_map; none: no row, or erased
  std::uint32_t position = 0;                ///< of the operation in its block
  change_place previous;
  /// Set: there was a row, its content was erased, and this is its row_digest.
  std::optional<digest> before_erased, after_erased;

  template <class Archive>
  void serialize(Archive& a) {
    a(table, key, position, previous,
      erasable<std::optional<shared_bytes>, digest>{before, before_erased},
      erasable<std::optional<shared_bytes>, digest>{after, after_erased});
  }
};

/// Of an encoded row.
digest row_digest(bytes_view row);

/// Covers all of a change, the rows by their digests: it stays the same when they are erased.
digest change_digest(const change& x);

/// Leaves the digests of what was before and after. True if there was something to erase.
bool erase_rows(change& x);

/// An entry of a table's secondary index that comes or goes with a change. `index_key` is an
/// encoding none of whose values begins another, so entries stand in the order of index key,
/// then row key.
struct index_change {
  std::string table;      ///< "contract.table"
  std::uint8_t index = 0; ///< place in table::indexes
  bytes index_key;        ///< ordered encoding of the indexed values
  bytes row_key;
  bool add = false; ///< false: the entry goes

  bool operator==(const index_change&) const = default;
};

/// All that executing one block did.
struct execution {
  block_height height = 0;
  digest block;
  std::int64_t time_ms = 0;
  std::vector<receipt> receipts;
  std::vector<change> changes;
  digest previous; ///< execution digest of height - 1

  template <class Archive>
  void serialize(Archive& a) {
    a(height, block, time_ms, receipts, changes, previous);
  }
};

/// Leaves the digest of what the operation told. True if there was something to erase.
bool erase_events(receipt& x);

/// How many of its rows and lists of events are digests only.
std::uint32_t erased_parts(const execution& x);

/// Covers everything in `x`, events and changes by their digests, and the digest before: so it
/// covers all of history, and stays the same when rows are erased.
digest execution_digest(const execution& x);
/// Before the first block.
digest genesis_execution(const digest& chain);

} // namespace tallymesh
