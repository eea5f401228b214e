#include "contracts/memory_source.hpp"

#include <algorithm>

namespace tallymesh::contracts {

static bytes copy(bytes_view raw) { return {raw.begin(), raw.end()}; }

key_range keys_with(bytes prefix, bool descending) {
  auto end = prefix;
  while (!end.empty() && end.back() == 0xFF)
    end.pop_back();
  if (!end.empty()) ++end.back();
  return {std::move(prefix), std::move(end), descending};
}

void memory_source::apply(block_height height, std::span<const change> changes,
                          std::span<const index_change> indexes) {
  constexpr std::size_t node_bytes = 128; // of a map, beside what it holds
  for (std::uint32_t i = 0; i < changes.size(); ++i) {
    const auto& each = changes[i];
    const auto [at, fresh] = tables_[each.table].try_emplace(each.key);
    if (fresh) size_bytes_ += node_bytes + each.key.size();
    size_bytes_ -= at->second.row ? at->second.row->size() : 0;
    size_bytes_ += each.after ? each.after->size() : 0;
    at->second = {each.after, {height, i}};
  }
  for (const auto& each : indexes) {
    auto& entries = indexes_[{each.table, each.index}];
    entry_place named{copy(ordered_part(each.index_key)), each.row_key};
    const auto size =
        node_bytes + named.ordered.size() + each.row_key.size() + each.index_key.size();
    if (each.add)
      size_bytes_ +=
          entries.insert_or_assign(std::move(named), each.index_key).second ? size : 0;
    else
      size_bytes_ -= entries.erase(named) * size;
  }
}

held_row memory_source::row(std::string_view table, bytes_view key) const {
  const auto of = tables_.find(table);
  if (of == tables_.end()) return {};
  const auto found = of->second.find(key);
  return found == of->second.end() ? held_row{} : found->second;
}

/// Visits [first, last) in the wanted direction until the visitor has enough.
template <class Iterator, class Visit>
static void walk(Iterator first, Iterator last, bool descending, Visit visit) {
  if (descending) {
    while (last != first)
      if (!visit(*--last)) return;
  } else {
    for (; first != last; ++first)
      if (!visit(*first)) return;
  }
}

void memory_source::rows(std::string_view table, const key_range& wanted,
                         const row_visitor& visit) const {
  const auto of = tables_.find(table);
  if (of == tables_.end()) return;
  const auto& all = of->second;
  const auto end = wanted.to.empty() ? all.end() : all.lower_bound(wanted.to);
  if (!wanted.to.empty() && order_of(wanted.to, wanted.from) <= 0) return;
  walk(all.lower_bound(wanted.from), end, wanted.descending,
       [&](const auto& each) { return visit(each.first, each.second); });
}

void memory_source::entries(std::string_view table, std::uint8_t index, const key_range& wanted,
                            const entry_visitor& visit) const {
  const auto of = indexes_.find({std::string(table), index});
  if (of == indexes_.end()) return;
  if (!wanted.to.empty() && order_of(wanted.to, wanted.from) <= 0) return;
  const auto& all = of->second;
  const auto first = all.lower_bound({copy(ordered_part(wanted.from)), {}});
  // Entries that share the ordered part of `to` may stand on either side of it.
  auto last = all.end();
  if (!wanted.to.empty()) {
    last = all.lower_bound({copy(ordered_part(wanted.to)), {}});
    while (last != all.end() && order_of(last->first.ordered, ordered_part(wanted.to)) == 0)
      ++last;
  }
  walk(first, last, wanted.descending, [&](const auto& each) {
    const auto& [place, index_key] = each;
    if (order_of(index_key, wanted.from) < 0
        || (!wanted.to.empty() && order_of(index_key, wanted.to) >= 0))
      return true;
    return visit(index_key, place.row_key);
  });
}

} // namespace tallymesh::contracts
