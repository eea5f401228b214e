// What a contract's own computing costs, in gas: roughly nanoseconds. What the host does for it
// has prices of its own (gas.hpp). Part of the VM's version, which genesis pins; a changed
// price is a new gas table. Constants; any thread.
#pragma once

#include <cstdint>

namespace tallymesh::contracts {

struct vm_gas_table {
  std::uint64_t number = 4;          ///< of this table
  std::uint64_t instruction = 10;    ///< counted by the hundred
  std::uint64_t library = 30;        ///< a call of a library function
  std::uint64_t byte = 1;            ///< of a text that is read or made, eight bytes
  std::uint64_t match_step = 5;      ///< of a pattern
  std::uint64_t entry = 20;          ///< of a table that is listed, sorted, moved or converted
  std::uint64_t caught_error = 2000; ///< by pcall: an exception unwinds what was called
  std::uint64_t host = 200;          ///< a call of the host, beside what the host asks

  // One instruction may compare two whole texts, look through all entries of a table that fall
  // together, or copy a function's arguments. So each costs more while a run has such things
  // and they are large: one gas for so many bytes or entries above what is free.
  std::uint64_t free_text_bytes = 1024, text_bytes_a_gas = 64; ///< of the longest text
  std::uint64_t free_entries = 128, entries_a_gas = 8;         ///< of the largest table
  std::uint64_t free_texts = 512, texts_a_gas = 16;            ///< how many there are
  std::uint64_t free_stack_bytes = 16 * 1024, stack_bytes_a_gas = 64;
  std::uint64_t moved_bytes_a_gas = 16; ///< of pieces that are made, grown and given back
  /// Of the longest text, once the run has met one with a zero byte: Lua compares the pieces
  /// between them one by one, some nanoseconds each.
  std::uint64_t zero_bytes_a_gas = 8;
  std::uint64_t kept_bytes_a_gas = 32; ///< of the file's own state, which a run puts back
};
inline constexpr vm_gas_table vm_prices;

/// How Lua counts; a run counts from zero. What is left at its end pays only what makes it
/// dear.
constexpr int instructions_between_counts = 100;

} // namespace tallymesh::contracts
