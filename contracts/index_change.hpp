// What a changed row changes in its table's indexes. Storage keeps the entries; this only says
// which come and go. Pure functions; any thread.
#pragma once

#include "contracts/contract.hpp"
#include "messages/receipt.hpp"

namespace tallymesh {

struct index_change {
  std::string table;      ///< "contract.table"
  std::uint8_t index = 0; ///< place in table::indexes
  bytes index_key;        ///< ordered encoding of the indexed values
  bytes row_key;
  bool add = false; ///< false: the entry goes

  bool operator==(const index_change&) const = default;
};

namespace contracts {

/// Index by index, what goes before what comes; nothing for an index whose values stay the
/// same.
std::vector<index_change> index_changes(const table& x, const change& of);
/// As above, appending to `to`.
void append_index_changes(const table& x, const change& of, std::vector<index_change>& to);

} // namespace contracts
} // namespace tallymesh
