#include "contracts/overlay.hpp"

#include "contracts/row.hpp"

#include <algorithm>

namespace tallymesh::contracts {

static bytes copy(bytes_view raw) { return {raw.begin(), raw.end()}; }

// --- blocks

void overlay::begin_block(block_height height) {
  TALLYMESH_INVARIANT(journal_.empty() && made_.changes.empty());
  height_ = height;
  change_bytes_ = 0;
  // A list that grows is copied, and leaves its room in pieces among the rows.
  made_.changes.reserve(usual_.changes);
  made_.indexes.reserve(usual_.indexes);
}

block_changes overlay::end_block() {
  ended_block ended{.height = height_, .gone_entries = 0, .rows = {}, .size_bytes = 0};
  for (const auto& each : made_.indexes)
    ended.gone_entries += !each.add;
  if (ended.gone_entries > 0)
    for (auto& [name, table] : tables_)
      for (auto& [number, entries] : table.indexes)
        entries.gone.clear();
  gone_entries_ += ended.gone_entries;
  ended.rows.reserve(journal_.size());
  for (std::size_t i = 0; i < journal_.size(); ++i) {
    const auto& change = made_.changes[i];
    ended.size_bytes +=
        change.table.size() + change.key.size() + (change.after ? change.after->size() : 0);
    if (journal_[i].first) ended.rows.push_back(journal_[i].at);
  }
  size_bytes_ += ended.size_bytes;
  blocks_.push_back(std::move(ended));
  journal_.clear();
  usual_ = {made_.changes.size(), made_.indexes.size()};
  return std::exchange(made_, {});
}

void overlay::stored(block_height through) {
  for (; !blocks_.empty() && blocks_.front().height <= through; blocks_.pop_front()) {
    for (const auto& each : blocks_.front().rows) // a later block's version stays
      if (each.row->second.last_change.height == blocks_.front().height) drop(each);
    size_bytes_ -= blocks_.front().size_bytes;
    gone_entries_ -= blocks_.front().gone_entries;
  }
}

void overlay::drop(const place& at) {
  for (auto& [number, entries] : at.of->indexes)
    entries.remove(at.row->first);
  at.of->rows.erase(at.row);
  ++drops_;
}

// --- reads

const overlay::table_rows* overlay::find(std::string_view table) const {
  const auto found = tables_.find(table);
  return found == tables_.end() ? nullptr : &found->second;
}

overlay::table_rows& overlay::table_of(std::string_view name) {
  const auto found = tables_.find(name);
  return found != tables_.end() ? found->second : tables_[std::string(name)];
}

held_row overlay::row(std::string_view table, const bytes& key,
                      const table_source& below) const {
  if (const auto* of = find(table))
    if (const auto at = of->rows.find(key); at != of->rows.end()) return at->second;
  return below.row(table, key);
}

held_row overlay::look(std::string_view table, const bytes& key, const table_source& below,
                       spot& at) {
  auto& of = table_of(table);
  at.next_ = {&of, of.rows.lower_bound(key)};
  at.drops_ = drops_;
  const auto& next = at.next_.row;
  return next != of.rows.end() && next->first == key ? next->second : below.row(table, key);
}

namespace {

/// What stands in [first, last) here, handed out before what the source has next to it.
template <class Iterator>
class near_side {
public:
  near_side(Iterator first, Iterator last, bool descending)
      : first_(first), last_(last), descending_(descending) {}

  bool ended() const { return first_ == last_; }
  Iterator at() const { return descending_ ? std::prev(last_) : first_; }
  void next() {
    if (descending_)
      --last_;
    else
      ++first_;
  }
  /// Whether what is next here comes before something that orders so towards it.
  bool is_before(std::strong_ordering here_to_there) const {
    return descending_ ? here_to_there > 0 : here_to_there < 0;
  }

private:
  Iterator first_, last_;
  bool descending_;
};

} // namespace

void overlay::rows(std::string_view table, const key_range& wanted, const table_source& below,
                   const table_source::row_visitor& visit) const {
  if (!wanted.to.empty() && order_of(wanted.to, wanted.from) <= 0) return;
  const auto* of = find(table);
  if (of == nullptr || of->rows.empty()) return below.rows(table, wanted, visit);
  const auto end = wanted.to.empty() ? of->rows.end() : of->rows.lower_bound(wanted.to);
  near_side here(of->rows.lower_bound(wanted.from), end, wanted.descending);
  bool more = true;
  below.rows(table, wanted, [&](bytes_view key, const held_row& held) {
    while (more && !here.ended()) {
      const auto order = order_of(here.at()->first, key);
      if (order != 0 && !here.is_before(order)) break;
      more = visit(here.at()->first, here.at()->second);
      here.next();
      if (order == 0) return more; // it is the newer of the two
    }
    return more = more && visit(key, held);
  });
  for (; more && !here.ended(); here.next())
    more = visit(here.at()->first, here.at()->second);
}

namespace {

/// The entries that are gone, told of as a walk comes past them.
class passed_over {
public:
  using gone_entries = std::map<entry_place, std::uint32_t>;
  passed_over(const gone_entries& gone, const key_range& wanted,
              const overlay::skip_visitor& skipped)
      : here_(gone.lower_bound({copy(ordered_part(wanted.from)), {}}), end_of(gone, wanted),
              wanted.descending),
        skipped_(skipped) {}

  /// Up to this place. False: the walk ends.
  bool before(bytes_view ordered, bytes_view row_key) {
    std::size_t count = 0;
    for (; !here_.ended(); here_.next(), ++count) {
      auto order = order_of(here_.at()->first.ordered, ordered);
      if (order == 0) order = order_of(here_.at()->first.row_key, row_key);
      if (!here_.is_before(order)) break;
    }
    return count == 0 || skipped_(count);
  }
  void rest() {
    std::size_t count = 0;
    for (; !here_.ended(); here_.next())
      ++count;
    if (count > 0) skipped_(count);
  }

private:
  static gone_entries::const_iterator end_of(const gone_entries& gone,
                                             const key_range& wanted) {
    return wanted.to.empty() ? gone.end()
                             : gone.lower_bound({copy(ordered_part(wanted.to)), {}});
  }

  near_side<gone_entries::const_iterator> here_;
  const overlay::skip_visitor& skipped_;
};

} // namespace

void overlay::entries(const table& of, std::uint8_t index, const key_range& wanted,
                      const table_source& below, const table_source::entry_visitor& visit_live,
                      const skip_visitor& skipped) {
  if (!wanted.to.empty() && order_of(wanted.to, wanted.from) <= 0) return;
  const auto& rows = table_of(of.full_name).rows;
  if (rows.empty()) return below.entries(of.full_name, index, wanted, visit_live);
  const auto& known = index_of(of, index);
  const auto& entries = known.in_order;
  passed_over gone(known.gone, wanted, skipped);
  const auto visit = [&](bytes_view index_key, bytes_view row_key) {
    return gone.before(ordered_part(index_key), row_key) && visit_live(index_key, row_key);
  };
  const auto in_range = [&](const bytes& index_key) {
    return order_of(wanted.from, index_key) <= 0
           && (wanted.to.empty() || order_of(index_key, wanted.to) < 0);
  };
  const auto first = entries.lower_bound({copy(ordered_part(wanted.from)), {}});
  // Entries that share the ordered part of `to` may stand on either side of it.
  auto last = entries.end();
  if (!wanted.to.empty()) {
    last = entries.lower_bound({copy(ordered_part(wanted.to)), {}});
    while (last != entries.end() && order_of(last->first.ordered, ordered_part(wanted.to)) == 0)
      ++last;
  }
  near_side here(first, last, wanted.descending);
  bool more = true;
  const auto visit_here = [&] {
    if (in_range(here.at()->second)) more = visit(here.at()->second, here.at()->first.row_key);
    here.next();
  };
  below.entries(of.full_name, index, wanted, [&](bytes_view index_key, bytes_view row_key) {
    while (more && !here.ended()) {
      const auto& [ordered, key] = here.at()->first;
      auto order = order_of(ordered, ordered_part(index_key));
      if (order == 0) order = order_of(key, row_key);
      if (!here.is_before(order)) break;
      visit_here();
    }
    // What is said here of the row is newer, whatever its values were.
    return more = more && (rows.contains(row_key) || visit(index_key, row_key));
  });
  while (more && !here.ended())
    visit_here();
  if (more) gone.rest();
}

// --- writes

void overlay::index_entries::add(const bytes& index_key, const bytes& row_key) {
  in_order[{copy(ordered_part(index_key)), row_key}] = index_key;
  by_row[row_key] = index_key;
}

void overlay::index_entries::remove(const bytes& row_key) {
  const auto found = by_row.find(row_key);
  if (found == by_row.end()) return;
  in_order.erase({copy(ordered_part(found->second)), row_key});
  by_row.erase(found);
}

overlay::index_entries& overlay::index_of(const table& of, std::uint8_t index) {
  auto& rows = table_of(of.full_name);
  const auto [at, fresh] = rows.indexes.try_emplace(index);
  if (fresh)
    for (const auto& [key, held] : rows.rows)
      if (held.row) at->second.add(index_key(of, of.indexes[index], row_view(*held.row)), key);
  if (fresh)
    for (const auto& each : made_.indexes)
      if (!each.add && each.index == index && each.table == of.full_name)
        ++at->second.gone[{copy(ordered_part(each.index_key)), each.row_key}];
  return at->second;
}

void overlay::note_gone(const index_change& x, bool taken_back) {
  if (x.add) return;
  const auto table = tables_.find(x.table);
  if (table == tables_.end()) return;
  const auto index = table->second.indexes.find(x.index);
  if (index == table->second.indexes.end()) return; // made when it is asked for
  auto& gone = index->second.gone;
  const auto at = gone.try_emplace({copy(ordered_part(x.index_key)), x.row_key}).first;
  if (!taken_back)
    ++at->second;
  else if (--at->second == 0)
    gone.erase(at);
}

void overlay::follow(const place& at, const table& of) {
  if (at.of->indexes.empty()) return;
  const auto& [key, held] = *at.row;
  for (auto& [number, entries] : at.of->indexes) {
    TALLYMESH_INVARIANT(number < of.indexes.size()); // forgotten when tables change
    entries.remove(key);
    if (held.row) entries.add(index_key(of, of.indexes[number], row_view(*held.row)), key);
  }
}

void overlay::write(const table& of, bytes key, held_row before,
                    std::optional<shared_bytes> after, std::uint32_t position,
                    std::span<index_change> indexes, const spot& near) {
  const change_place here{height_, changes()};
  const bool known = near.drops_ == drops_;
  auto& rows = known ? *near.next_.of : table_of(of.full_name);
  const auto before_it = rows.rows.size();
  const auto at =
      rows.rows.try_emplace(known ? near.next_.row : rows.rows.lower_bound(key), key);
  const bool fresh = rows.rows.size() > before_it;
  journal_.push_back({.at = {&rows, at},
                      .declared = &of,
                      .indexes = made_.indexes.size(),
                      .fresh = fresh,
                      .first = before.last_change.height != height_});
  change_bytes_ +=
      key.size() + (before.row ? before.row->size() : 0) + (after ? after->size() : 0);
  at->second = {after, here};
  follow(journal_.back().at, of);
  made_.changes.push_back({of.full_name, std::move(key), std::move(before.row),
                           std::move(after), position, before.last_change});
  for (auto& each : indexes) {
    note_gone(each, false);
    made_.indexes.push_back(std::move(each));
  }
}

void overlay::rewind(mark_t to) {
  while (journal_.size() > to.writes) {
    auto& last = journal_.back();
    auto& change = made_.changes.back();
    if (last.fresh) {
      drop(last.at);
    } else {
      last.at.row->second = {std::move(change.before), change.previous};
      follow(last.at, *last.declared);
    }
    for (; made_.indexes.size() > last.indexes; made_.indexes.pop_back())
      note_gone(made_.indexes.back(), true);
    made_.changes.pop_back();
    journal_.pop_back();
  }
  change_bytes_ = to.bytes;
}

void overlay::forget_indexes() {
  for (auto& [name, table] : tables_)
    table.indexes.clear();
}

} // namespace tallymesh::contracts
