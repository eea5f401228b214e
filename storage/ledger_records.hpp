// The ledger's databases and the layout of their keys and values, which README.md describes.
// Shared by the two halves of the ledger; internal to this folder; any thread.
#pragma once

#include "storage/environment.hpp"
#include "storage/ledger.hpp"

namespace tallymesh::storage::ledger_records {

constexpr database blocks = 0, finalizations = 1, executions = 2, operations = 3, rows = 4,
                   indexes = 5, tables = 6, hidden = 7, erasing = 8;
/// The one key of `erasing`.
inline constexpr std::string_view through_key = "through";

inline constexpr record_kind block_kind{"ledger", "block", height_name};
inline constexpr record_kind finalization_kind{"ledger", "finalization", height_name};
inline constexpr record_kind execution_kind{"ledger", "execution", height_name};
/// Id, then lane: one id's operations of all lanes stand together.
inline bytes operation_key(const operation_id& id, node_index lane) {
  bytes key(id.raw.begin(), id.raw.end());
  put_integer(key, lane);
  return key;
}
inline constexpr record_kind operation_kind{"ledger", "operation", hex_name};
inline constexpr record_kind row_kind{"ledger", "row", hex_name};
std::string table_name_of(bytes_view key);
inline constexpr record_kind table_kind{"ledger", "table", table_name_of};

/// A table's number stands in the keys of its rows and index entries instead of its name.
struct table_record {
  std::uint16_t number = 0;
  std::uint64_t records = 0; ///< live rows
};
bytes to_value(bytes_view name, const table_record& x);
table_record to_table(bytes_view name, bytes_view value);
std::optional<table_record> find_table(const transaction& t, std::string_view name);

bytes row_key(std::uint16_t table, bytes_view key);
void write_row(bytes& value, bytes_view key, const std::optional<shared_bytes>& row,
               change_place last);
stored_row to_row(bytes_view key, bytes_view value);

/// LMDB's keys end at 511 bytes: 3 for table and index, 255 for the row's key, the rest is left
/// for the index key. What is beyond stands in the value, so that nothing is lost but the fine
/// order.
constexpr std::size_t index_prefix_bytes = 3;
constexpr std::size_t max_stored_index_key_bytes = limits::max_ordered_index_key_bytes;
static_assert(index_prefix_bytes + max_stored_index_key_bytes + limits::max_row_key_bytes
              <= 511);
bytes index_start(std::uint16_t table, std::uint8_t index, bytes_view index_key);

/// Of the last block; `genesis` if there is none.
ledger_head read_head(const transaction& t, const ledger_head& genesis);
ledger_head head_of(const sealed_block& x, std::vector<lane_tip> full_cut,
                    const digest& execution);
stored_block to_block(bytes_view key, bytes_view value);

} // namespace tallymesh::storage::ledger_records
