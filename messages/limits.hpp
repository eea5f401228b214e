// Hard limits of the protocol: what no configuration can exceed, because every node must accept
// what another may lawfully send. Genesis may set lower ones for batches and blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tallymesh::limits {

constexpr std::size_t max_nodes = 128;
constexpr std::size_t max_operation_bytes = 256 * 1024;
constexpr std::size_t max_batch_bytes = 2 * 1024 * 1024;
constexpr std::size_t max_batch_operations = 16 * 1024;
/// A cut names at most one tip a lane; together its new batches stay below these two.
constexpr std::size_t max_block_batches = 256;
constexpr std::size_t max_block_payload_bytes = 16 * 1024 * 1024;
constexpr std::size_t max_block_bytes = 64 * 1024; ///< the block itself: header, cut, evidence
constexpr std::size_t max_block_evidence = 4;
constexpr std::size_t max_justification =
    64 + 1; ///< nullifications of the gap and the parent's notarization
constexpr std::size_t max_frame_bytes = 8 * 1024 * 1024;
constexpr std::size_t max_row_key_bytes = 255;
/// What a store keeps of an index key in order; contracts make none that is longer.
constexpr std::size_t max_ordered_index_key_bytes = 253;
constexpr std::size_t max_row_bytes = 256 * 1024;
/// What one operation may tell in events: their number, and the bytes of all as encoded.
constexpr std::size_t max_operation_events = 32;
constexpr std::size_t max_operation_event_bytes = 16 * 1024;
/// Of all rows that one block changes, before and after: a short operation may change a long
/// row, and what executing a block gave must stay small enough to hold and to store.
constexpr std::size_t max_block_change_bytes = 64 * 1024 * 1024;
/// What executing one block gave, encoded: rows before and after, keys, and receipts. It
/// travels in parts.
constexpr std::size_t max_execution_bytes = 192 * 1024 * 1024;
constexpr std::size_t max_execution_part_bytes = 1024 * 1024;
/// In one decoded message: a value of one byte takes forty in memory.
constexpr std::size_t max_decoded_values = 512 * 1024;
constexpr std::size_t max_name_bytes =
    64; ///< of a node, account, contract, table, action or field

} // namespace tallymesh::limits
