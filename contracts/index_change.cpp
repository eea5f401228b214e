#include "contracts/index_change.hpp"

#include "contracts/row.hpp"

namespace tallymesh::contracts {

static std::optional<value_map> row_of(const std::optional<bytes>& raw) {
  if (!raw) return std::nullopt;
  return stored_row(*raw);
}

void append_index_changes(const table& x, const change& of, std::vector<index_change>& to) {
  if (x.indexes.empty()) return;
  const auto before = row_of(of.before), after = row_of(of.after);
  for (std::size_t i = 0; i < x.indexes.size(); ++i) {
    std::optional<bytes> gone, fresh;
    if (before) gone = index_key(x, x.indexes[i], *before);
    if (after) fresh = index_key(x, x.indexes[i], *after);
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
