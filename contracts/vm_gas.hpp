// What a contract's own computing costs, in gas: roughly nanoseconds. What the host does for it
// has prices of its own (gas.hpp). Part of the VM's version, which genesis pins; a changed
// price is a new gas table. Constants; any thread.
#pragma once

#include <cstdint>

namespace tallymesh::contracts {

struct vm_gas_table {
  std::uint64_t number = 1;       ///< of this table
  std::uint64_t instruction = 10; ///< counted by the hundred
  std::uint64_t library = 30;     ///< a call of a library function
  std::uint64_t byte = 1;         ///< of a text that is read or made, eight bytes
  std::uint64_t match_step = 5;   ///< of a pattern
  std::uint64_t entry = 20;       ///< of a table that is listed, sorted, moved or converted
  std::uint64_t host = 200;       ///< a call of the host, beside what the host asks
};
inline constexpr vm_gas_table vm_prices;

/// How Lua counts; a run counts from zero, and what is left at its end is free.
constexpr int instructions_between_counts = 100;

} // namespace tallymesh::contracts
