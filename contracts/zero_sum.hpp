// That money is neither made nor lost: the balances of each currency sum up to zero. Asked by
// the executor over every block's changes, whatever code made them, and over all accounts when
// a node starts; beside what settlement checks within each operation. From a start at zero and
// changes that add up to zero follows zero after each block. Pure; any thread.
#pragma once

#include "contracts/table_source.hpp"

#include <span>

namespace tallymesh::contracts {

/// "CNY", if these changes to settlement.accounts would leave its sum another one.
std::optional<std::string> money_made_by(std::span<const change> changes);

/// "CNY", if its accounts, all of them, do not sum up to zero.
std::optional<std::string> money_out_of_nothing(const table_source& stored);

} // namespace tallymesh::contracts
