// Who sees which rows and fields of a table.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/readings.hpp"
#include "contracts/row.hpp"
#include "storage/ledger.hpp"

#include <algorithm>

namespace tallymesh::gateway {

// A row that was changed more often since it was made is shown to its author by other rights
// only: one request must not read a whole ledger.
static constexpr std::size_t most_changes = 1000, changes_at_once = 100;

visible_rows::visible_rows(const reading_call& from, const contracts::table& of)
    : from_(from), of_(of), by_list_(contracts::may_read(of, from.reader())) {
  author_matters_ = !by_list_;
  for (const auto& each : of.hidden) {
    const auto is_hidden = [&](bool own) {
      return contracts::is_hidden(of_, each.first, from_.reader(), own);
    };
    if (is_hidden(false) && !is_hidden(true)) author_matters_ = true;
  }
}

bool visible_rows::is_own(bytes_view key) {
  const auto& [last_key, was_own] = last_;
  if (!last_key.empty() && std::equal(key.begin(), key.end(), last_key.begin(), last_key.end()))
    return was_own;
  last_ = {bytes(key.begin(), key.end()), is_by(key, from_.reader())};
  return last_.second;
}

bool visible_rows::is_by(bytes_view key, const contracts::actor& who) const {
  if (!from_.node.operation_of) return false;
  change_place next;
  for (std::size_t looked = 0; looked < most_changes;) {
    const auto page =
        from_.node.ledger.history(of_.full_name, key, next, changes_at_once, from_.page_bytes);
    if (!page) return false;
    looked += page->entries.size();
    for (const auto& each : page->entries) {
      if (each.change.before || each.change.before_erased) continue;
      const auto made_by = from_.node.operation_of(each.receipt);
      return made_by && made_by->author == who.account
             && name_of(from_.node.nodes, each.receipt.lane) == who.node;
    }
    if (page->next.height == 0) return false;
    next = page->next;
  }
  return false;
}

std::optional<value_map> visible_rows::seen(bytes_view key, bytes_view row) {
  const bool own = author_matters_ && is_own(key);
  if (!by_list_ && !(own && contracts::author_may_read(of_))) return std::nullopt;
  auto fields = contracts::stored_row(row);
  contracts::hide_fields(of_, fields, from_.reader(), own);
  return fields;
}

void visible_rows::write(json_out& out, bytes_view key,
                         const std::optional<shared_bytes>& row) {
  const auto fields = row ? seen(key, *row) : std::nullopt;
  if (fields)
    out.typed(*fields);
  else
    out.null();
}

} // namespace tallymesh::gateway
