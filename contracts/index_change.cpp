#include "contracts/index_change.hpp"

#include "contracts/row.hpp"

namespace tallymesh::contracts {

void append_index_changes(const table& x, const change& of, std::vector<index_change>& to) {
  if (x.indexes.empty()) return;
  for (std::size_t i = 0; i < x.indexes.size(); ++i) {
    std::optional<bytes> gone, fresh;
    if (of.before) gone = index_key(x, x.indexes[i], row_view(*of.before));
    if (of.after) fresh = index_key(x, x.indexes[i], row_view(*of.after));
    if (gone == fresh) continue;
    const auto number = static_cast<std::uint8_t>(i);
    if (gone) to.push_back({of.table, number, std::move(*gone), of.key, false});
    if (fresh) to.push_back({of.table, number, std::move(*fresh), of.key, true});
  }
}

std::vector<index_change> index_changes(const table& x, const change& of) {
  std::vector<index_change> made;
  append_index_changes(x, of, made);
  return made;
}

} // namespace tallymesh::contracts
