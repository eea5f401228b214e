// What a changed row changes in its table's indexes. Storage keeps the entries; this only says
// which come and go. Pure functions; any thread.
#pragma once

#include "contracts/contract.hpp"
#include "messages/receipt.hpp"

namespace tallymesh::contracts {

/// Index by index, what goes before what comes; nothing for an index whose values stay the
/// same.
std::vector<index_change> index_changes(const table& x, const change& of);
/// As above, appending to `to`.
void append_index_changes(const table& x, const change& of, std::vector<index_change>& to);

} // namespace tallymesh::contracts
