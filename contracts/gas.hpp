// What an operation's work costs, in gas: roughly nanoseconds of the machine that it was
// measured on, rounded. The same on every node, so nothing here depends on what is stored yet.
// The prices are part of the VM's version, which genesis pins. Constants; any thread.
#pragma once

#include <cstdint>

namespace tallymesh::contracts {

struct gas_prices {
  std::uint64_t operation = 200; ///< every operation that is performed
  std::uint64_t look_up = 800;   ///< a row by its key
  std::uint64_t walk = 1500;     ///< the start of a range, by key or index
  std::uint64_t visited = 150;   ///< a row or entry of a range, deleted rows too
  std::uint64_t write = 1500;    ///< a row stored or deleted
  std::uint64_t index = 400;     ///< an index of a row that is written
  std::uint64_t byte = 1;        ///< of rows read and written, and of events
  std::uint64_t event = 200;
  std::uint64_t call = 500; ///< of another contract, or of a built-in one
};
inline constexpr gas_prices prices;

/// What bringing a version in force may use beside the operation's own gas: each row of the
/// tables that it declares anew is looked at.
constexpr std::uint64_t activation_gas = 5'000'000'000;

/// An operation's gas, where genesis sets no other limit.
constexpr std::uint64_t default_operation_gas = 50'000'000;

} // namespace tallymesh::contracts
