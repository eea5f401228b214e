#include "actors/contract_executor/ledger_tables.hpp"

#include <cstdlib>

namespace tallymesh::contract_executor {

template <class Ledger>
template <class T>
T tables_of<Ledger>::checked(result<T> read) const {
  if (!read) {
    fail_(read.error());
    std::abort();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*read);
}

template <class Ledger>
contracts::held_row tables_of<Ledger>::row(std::string_view table, bytes_view key) const {
  auto stored = checked(from_.row(table, key));
  return {std::move(stored.row), stored.last};
}

template <class Ledger>
void tables_of<Ledger>::rows(std::string_view table, const contracts::key_range& wanted,
                             const row_visitor& visit) const {
  checked(from_.walk_rows(table, {wanted.from, wanted.to, wanted.descending},
                          [&](bytes_view key, const storage::stored_row& row) {
                            return visit(key, {row.row, row.last});
                          }));
}

template <class Ledger>
void tables_of<Ledger>::entries(std::string_view table, std::uint8_t index,
                                const contracts::key_range& wanted,
                                const entry_visitor& visit) const {
  checked(from_.walk_entries(table, index, {wanted.from, wanted.to, wanted.descending}, visit));
}

template class tables_of<storage::ledger>;
template class tables_of<storage::ledger_view>;

void recent_ids::add(const execution& x) {
  auto& [height, ids] = blocks_.emplace_back();
  height = x.height;
  ids.reserve(x.receipts.size());
  for (const auto& each : x.receipts) {
    ids_.emplace(each.lane, each.id);
    ids.emplace_back(each.lane, each.id);
  }
}

void recent_ids::stored(block_height through) {
  for (; !blocks_.empty() && blocks_.front().first <= through; blocks_.pop_front())
    for (const auto& id : blocks_.front().second)
      ids_.erase(id);
}

} // namespace tallymesh::contract_executor
