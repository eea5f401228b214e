#include "storage/ledger_records.hpp"

namespace tallymesh::storage {

using namespace ledger_records;

namespace ledger_records {

table_record to_table(bytes_view name, bytes_view value) {
  field_reader in{open_record(table_kind, name, value)};
  table_record x;
  x.number = in.integer<std::uint16_t>();
  x.records = in.integer<std::uint64_t>();
  if (!in.ok) fail_damaged(table_kind, name, "too short");
  return x;
}

std::optional<table_record> find_table(const transaction& t, std::string_view name) {
  if (name.empty() || name.size() > 2 * limits::max_name_bytes + 1) return std::nullopt;
  const auto value = t.get(tables, as_bytes(name));
  if (!value) return std::nullopt;
  return to_table(as_bytes(name), *value);
}

stored_row to_row(bytes_view key, bytes_view value) {
  field_reader in{open_record(row_kind, key, value)};
  stored_row x;
  x.last.height = in.integer<std::uint64_t>();
  x.last.index = in.integer<std::uint32_t>();
  const auto live = in.integer<std::uint8_t>();
  if (!in.ok || live > 1) fail_damaged(row_kind, key, "its form is not one of a row");
  if (live) x.row.emplace(in.rest);
  return x;
}

stored_block to_block(bytes_view key, bytes_view value) {
  auto record =
      decode_record<block_record>(block_kind, key, open_record(block_kind, key, value));
  stored_block x;
  x.full_cut = std::move(record.full_cut);
  x.execution = record.execution;
  x.block = open_block_record(block_kind, key, std::move(record));
  return x;
}

ledger_head read_head(const transaction& t, const ledger_head& genesis) {
  cursor at(t, blocks);
  if (!at.last()) return genesis;
  auto x = to_block(at.key(), at.value());
  return head_of(*x.block, std::move(x.full_cut), x.execution);
}

} // namespace ledger_records

namespace {

[[noreturn]] void fail_no_height(block_height height) {
  fail(errc::not_found,
       "ledger: there is no block of height " + std::to_string(height) + " here");
}

stored_block read_block(const transaction& t, block_height height) {
  const auto key = height_key(height);
  const auto value = t.get(blocks, key);
  if (!value) fail_no_height(height);
  return to_block(key, *value);
}

std::optional<certificate> read_finalization(const transaction& t, block_height height) {
  const auto key = height_key(height);
  const auto value = t.get(finalizations, key);
  if (!value) return std::nullopt;
  return decode_record<certificate>(finalization_kind, key,
                                    open_record(finalization_kind, key, *value));
}

execution_view view_execution(const transaction& t, block_height height) {
  const auto value = t.get(executions, height_key(height));
  if (!value) fail_no_height(height);
  return {height, *value};
}

/// The height of the first finalization at or above `from`.
block_height next_finalized(const transaction& t, block_height from) {
  cursor at(t, finalizations);
  if (!at.seek(height_key(from)))
    fail(errc::not_found,
         "ledger: no finalized block from height " + std::to_string(from) + " on");
  field_reader in{at.key()};
  return in.integer<std::uint64_t>();
}

/// Where a range from `from` ends: README.md tells the rule.
block_height end_of_range(const transaction& t, block_height from, std::size_t max_blocks,
                          std::size_t max_bytes) {
  block_height end = 0;
  std::size_t taken = 0, count = 0;
  cursor at(t, blocks);
  for (bool more = at.seek(height_key(from)); more && count < max_blocks; more = at.next()) {
    taken += at.value().size();
    if (taken > max_bytes) break;
    const auto height = from + count++;
    if (t.get(finalizations, height_key(height))) end = height;
  }
  return end != 0 ? end : next_finalized(t, from);
}

std::size_t bytes_of(const change& x) {
  return x.key.size() + (x.before ? x.before->size() : 0) + (x.after ? x.after->size() : 0);
}

/// The live row that an index entry names.
stored_row indexed_row(const transaction& t, std::uint16_t table, bytes_view key) {
  const auto whole = row_key(table, key);
  const auto value = t.get(rows, whole);
  if (!value) fail_damaged(row_kind, whole, "an index names it and it is not there");
  auto row = to_row(whole, *value);
  if (!row.row) fail_damaged(row_kind, whole, "an index names it and it was deleted");
  return row;
}

/// The two keys of an entry, without the row.
index_entry to_index_entry(bytes_view key, bytes_view value) {
  field_reader in{value};
  const auto stored = in.integer<std::uint16_t>();
  const auto names = key.subspan(index_prefix_bytes);
  if (!in.ok || stored > names.size())
    fail(errc::damaged, "ledger: the index record of key " + to_hex(key) + " is damaged");
  index_entry x;
  put_bytes(x.index_key, names.first(stored));
  put_bytes(x.index_key, in.rest);
  put_bytes(x.row_key, names.subspan(stored));
  return x;
}

/// The first key above all that begin with `prefix`, which is no run of FF: it begins with a
/// table's number.
bytes above(bytes prefix) {
  while (prefix.back() == 0xFF)
    prefix.pop_back();
  ++prefix.back();
  return prefix;
}

/// Visits the records from `from` to, not including, `to`.
template <class Visit>
void walk(const transaction& t, database in, const bytes& from, const bytes& to,
          bool descending, Visit visit) {
  const auto is_below = [](bytes_view a, bytes_view b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  cursor at(t, in);
  if (descending) {
    for (bool more = at.seek_before(to); more && !is_below(at.key(), from);
         more = at.previous())
      if (!visit(at)) return;
  } else {
    for (bool more = at.seek(from); more && is_below(at.key(), to); more = at.next())
      if (!visit(at)) return;
  }
}

history_entry read_history(const transaction& t, change_place place) {
  const auto all = view_execution(t, place.height);
  if (place.index >= all.count(part_kind::change))
    fail(errc::not_found,
         "ledger: height " + std::to_string(place.height) + " has no such change");
  auto what = all.change_at(place.index);
  auto of = all.receipt_of(what.position);
  return {place, std::move(what), std::move(of), all.time_ms()};
}

/// Each row folded into the digest of those before it, beginning with the table's name.
table_sum sum_up(const transaction& t, std::string_view name, const table_record& table) {
  table_sum sum{std::string(name), 0, hash(digest_kind::table, as_bytes(name))};
  const auto start = row_key(table.number, {});
  cursor at(t, rows);
  for (bool more = at.seek(start); more && starts_with(at.key(), start); more = at.next()) {
    const auto row = to_row(at.key(), at.value());
    if (!row.row) continue;
    sum.content =
        hash(digest_kind::table, {sum.content.raw, at.key().subspan(start.size()), *row.row});
    ++sum.records;
  }
  return sum;
}

stored_block whole_block(const transaction& t, block_height height) {
  auto x = read_block(t, height);
  x.finalization = read_finalization(t, height);
  return x;
}

execution whole_execution(const transaction& t, block_height height) {
  const auto key = height_key(height);
  auto found = decode_record<tallymesh::execution>(execution_kind, key,
                                                   view_execution(t, height).encoded());
  if (execution_digest(found) != read_block(t, height).execution)
    fail_damaged(execution_kind, key, "it does not match its digest");
  return found;
}

stored_row one_row(const transaction& t, std::string_view table, bytes_view key) {
  const auto of = find_table(t, table);
  if (!of || key.size() > limits::max_row_key_bytes) return {};
  const auto whole = row_key(of->number, key);
  const auto value = t.get(ledger_records::rows, whole);
  return value ? to_row(whole, *value) : stored_row{};
}

void walk_rows_of(const transaction& t, std::string_view table, const walk_range& wanted,
                  const std::function<bool(bytes_view key, const stored_row&)>& visit) {
  const auto of = find_table(t, table);
  if (!of) return;
  const auto start = row_key(of->number, {});
  const auto end = wanted.to.empty() ? above(start) : row_key(of->number, wanted.to);
  walk(t, ledger_records::rows, row_key(of->number, wanted.from), end, wanted.descending,
       [&](const cursor& at) {
         return visit(at.key().subspan(start.size()), to_row(at.key(), at.value()));
       });
}

void walk_entries_of(
    const transaction& t, std::string_view table, std::uint8_t index, const walk_range& wanted,
    const std::function<bool(bytes_view index_key, bytes_view row_key)>& visit) {
  const auto of = find_table(t, table);
  if (!of) return;
  const auto is_below = [](bytes_view a, bytes_view b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  // Where an index key's end stands in the value, its entry is on neither side of the bound
  // for sure: so the walk takes in all that begin as `to` does, and each is judged.
  auto end = index_start(of->number, index, wanted.to);
  if (wanted.to.empty() || wanted.to.size() > max_stored_index_key_bytes)
    end = above(std::move(end));
  walk(t, indexes, index_start(of->number, index, wanted.from), end, wanted.descending,
       [&](const cursor& at) {
         const auto entry = to_index_entry(at.key(), at.value());
         if (is_below(entry.index_key, wanted.from)
             || (!wanted.to.empty() && !is_below(entry.index_key, wanted.to)))
           return true;
         return visit(entry.index_key, entry.row_key);
       });
}

} // namespace

ledger::ledger(std::unique_ptr<environment> env, const signing_domain& domain)
    : env_(std::move(env)) {
  const auto first = genesis_block(domain);
  genesis_ = head_of(*first, {}, genesis_execution(domain.chain));
}
ledger::~ledger() = default;

result<std::unique_ptr<ledger>> ledger::open(const std::filesystem::path& directory,
                                             const signing_domain& domain, durability how) {
  environment::description about;
  about.store = "ledger";
  about.databases = {"blocks",  "finalizations", "executions", "operations", "rows",
                     "indexes", "tables",        "hidden",     "erasing"};
  about.chain = domain.chain;
  about.sync_every_commit = how == durability::synced;
  auto env = environment::open(directory, std::move(about));
  if (!env) return env.error();
  std::unique_ptr<ledger> opened(new ledger(std::move(*env), domain));
  if (auto head = opened->head(); !head) return head.error();
  return opened;
}

result<ledger_head> ledger::head() const {
  return env_->read([&](const read_transaction& t) { return read_head(t, genesis_); });
}

result<stored_block> ledger::block(block_height height) const {
  return env_->read([&](const read_transaction& t) { return whole_block(t, height); });
}

result<execution> ledger::execution_of(block_height height) const {
  return env_->read([&](const read_transaction& t) { return whole_execution(t, height); });
}

result<std::uint32_t> ledger::operations_of(block_height height) const {
  return env_->read([&](const read_transaction& t) {
    return view_execution(t, height).count(part_kind::receipt);
  });
}

result<change_page> ledger::changes_of(block_height height, std::uint32_t position,
                                       std::uint32_t from, std::size_t max_bytes) const {
  return env_->read([&](const read_transaction& t) {
    const auto all = view_execution(t, height);
    change_page page;
    std::size_t held = 0;
    for (auto i = from; i < all.count(part_kind::change); ++i) {
      if (all.position_of(part_kind::change, i) != position) continue;
      if (held > max_bytes) {
        page.next = i;
        break;
      }
      page.changes.push_back(all.change_at(i));
      held += bytes_of(page.changes.back());
    }
    return page;
  });
}

result<fetched_range> ledger::range(block_height from, std::size_t max_blocks,
                                    std::size_t max_bytes) const {
  return env_->read([&](const read_transaction& t) {
    const auto first = std::max<block_height>(from, 1);
    const auto end = end_of_range(t, first, max_blocks, max_bytes);
    fetched_range found;
    for (auto height = first; height <= end; ++height)
      found.blocks.push_back(read_block(t, height).block);
    found.finalization = *read_finalization(t, end);
    return found;
  });
}

result<receipt> ledger::receipt(const operation_id& id, node_index lane) const {
  return env_->read([&](const read_transaction& t) {
    auto key = operation_key(id, lane);
    auto value = t.get(operations, key);
    if (!value) {
      cursor at(t, operations);
      if (!at.seek(id.raw) || !starts_with(at.key(), id.raw))
        fail(errc::not_found, "ledger: the operation " + id.hex() + " has not been executed");
      key.assign(at.key().begin(), at.key().end());
      value = t.get(operations, key);
    }
    field_reader in{*value};
    const auto height = in.integer<std::uint64_t>();
    const auto index = in.integer<std::uint32_t>();
    if (!in.ok) fail_damaged(operation_kind, key, "too short");
    const auto all = view_execution(t, height);
    if (index >= all.count(part_kind::receipt))
      fail_damaged(operation_kind, key, "it names no receipt");
    auto found = all.receipt_at(index);
    if (operation_key(found.id, found.lane) != key)
      fail_damaged(operation_kind, key, "it names the receipt of another");
    return found;
  });
}

result<std::vector<bool>> ledger::executed(node_index lane,
                                           std::span<const operation_id> ids) const {
  return env_->read([&](const read_transaction& t) {
    std::vector<bool> found;
    found.reserve(ids.size());
    for (const auto& id : ids)
      found.push_back(t.get(operations, operation_key(id, lane)).has_value());
    return found;
  });
}

result<stored_row> ledger::row(std::string_view table, bytes_view key) const {
  return env_->read([&](const read_transaction& t) { return one_row(t, table, key); });
}

result<std::vector<table_row>> ledger::rows(std::string_view table, bytes_view after_key,
                                            std::size_t limit) const {
  return env_->read([&](const read_transaction& t) {
    std::vector<table_row> found;
    const auto of = find_table(t, table);
    if (!of || after_key.size() > limits::max_row_key_bytes) return found;
    const auto start = row_key(of->number, {}), after = row_key(of->number, after_key);
    cursor at(t, ledger_records::rows);
    bool more = at.seek(after);
    if (more && !after_key.empty() && at.key().size() == after.size()
        && starts_with(at.key(), after))
      more = at.next();
    for (; more && found.size() < limit && starts_with(at.key(), start); more = at.next()) {
      auto row = to_row(at.key(), at.value());
      if (!row.row) continue;
      const auto key = at.key().subspan(start.size());
      found.push_back({bytes(key.begin(), key.end()), std::move(*row.row), row.last});
    }
    return found;
  });
}

result<void>
ledger::walk_rows(std::string_view table, const walk_range& wanted,
                  const std::function<bool(bytes_view key, const stored_row&)>& visit) const {
  return env_->read([&](const read_transaction& t) { walk_rows_of(t, table, wanted, visit); });
}

result<void> ledger::walk_entries(
    std::string_view table, std::uint8_t index, const walk_range& wanted,
    const std::function<bool(bytes_view index_key, bytes_view row_key)>& visit) const {
  return env_->read(
      [&](const read_transaction& t) { walk_entries_of(t, table, index, wanted, visit); });
}

result<void> ledger::look(const std::function<void(const ledger_view&)>& use) const {
  return env_->read([&](const read_transaction& t) { use(ledger_view(t, genesis_)); });
}

result<index_page> ledger::index_scan(std::string_view table, std::uint8_t index,
                                      bytes_view prefix, bytes_view after, std::size_t limit,
                                      std::size_t max_bytes) const {
  return env_->read([&](const read_transaction& t) {
    index_page page;
    const auto of = find_table(t, table);
    if (after.size() > max_stored_index_key_bytes + limits::max_row_key_bytes)
      fail(errc::malformed, "a cursor that no earlier page gave");
    if (!of || limit == 0) return page;
    const auto start = index_start(of->number, index, prefix);
    auto from = index_start(of->number, index, {});
    put_bytes(from, after);
    cursor at(t, indexes);
    bool more = at.seek(std::max(start, from));
    if (more && !after.empty() && at.key().size() == from.size() && starts_with(at.key(), from))
      more = at.next();
    std::size_t held = 0;
    for (; more && starts_with(at.key(), start); more = at.next()) {
      auto entry = to_index_entry(at.key(), at.value());
      if (!starts_with(entry.index_key, prefix)) continue;
      if (page.entries.size() == limit || held > max_bytes) {
        page.next = page.entries.back().place;
        break;
      }
      auto row = indexed_row(t, of->number, entry.row_key);
      entry.row = std::move(*row.row);
      entry.last = row.last;
      put_bytes(entry.place, at.key().subspan(index_prefix_bytes));
      held += entry.place.size() + entry.row.size();
      page.entries.push_back(std::move(entry));
    }
    return page;
  });
}

result<history_page> ledger::history(std::string_view table, bytes_view key, change_place from,
                                     std::size_t limit, std::size_t max_bytes) const {
  return env_->read([&](const read_transaction& t) {
    const auto of = find_table(t, table);
    const auto never = [&] {
      fail(errc::not_found, "ledger: no such change of a row of " + std::string(table));
    };
    if (!of || key.size() > limits::max_row_key_bytes) never();
    if (from.height == 0) {
      const auto whole = row_key(of->number, key);
      const auto value = t.get(ledger_records::rows, whole);
      if (!value) never();
      from = to_row(whole, *value).last;
    }
    history_page page;
    std::size_t held = 0;
    for (; from.height != 0 && page.entries.size() < limit && held <= max_bytes;
         from = page.entries.back().change.previous) {
      auto entry = read_history(t, from);
      if (entry.change.table != table
          || !std::equal(entry.change.key.begin(), entry.change.key.end(), key.begin(),
                         key.end()))
        never();
      if (!(entry.change.previous < from))
        fail_damaged(execution_kind, height_key(from.height), "a change that follows itself");
      held += bytes_of(entry.change);
      page.entries.push_back(std::move(entry));
    }
    page.next = from;
    return page;
  });
}

result<std::vector<table_count>> ledger::tables() const {
  return env_->read([&](const read_transaction& t) {
    std::vector<table_count> found;
    cursor at(t, ledger_records::tables);
    for (bool more = at.seek({}); more; more = at.next())
      found.push_back({table_name_of(at.key()), to_table(at.key(), at.value()).records});
    return found;
  });
}

result<ledger_sums> ledger::table_digest(std::string_view table) const {
  return env_->read([&](const read_transaction& t) {
    const auto of = find_table(t, table);
    if (!of) fail(errc::not_found, "ledger: there is no table " + std::string(table));
    return ledger_sums{read_head(t, genesis_), {sum_up(t, table, *of)}};
  });
}

result<ledger_sums> ledger::digests() const {
  return env_->read([&](const read_transaction& t) {
    ledger_sums all{read_head(t, genesis_), {}};
    cursor at(t, ledger_records::tables);
    for (bool more = at.seek({}); more; more = at.next())
      all.tables.push_back(sum_up(t, as_text(at.key()), to_table(at.key(), at.value())));
    return all;
  });
}

// --- one state

result<ledger_head> ledger_view::head() const {
  return environment::guarded([&] { return read_head(at_, genesis_); });
}

result<stored_block> ledger_view::block(block_height height) const {
  return environment::guarded([&] { return whole_block(at_, height); });
}

result<execution> ledger_view::execution_of(block_height height) const {
  return environment::guarded([&] { return whole_execution(at_, height); });
}

result<stored_row> ledger_view::row(std::string_view table, bytes_view key) const {
  return environment::guarded([&] { return one_row(at_, table, key); });
}

result<std::uint64_t> ledger_view::records(std::string_view table) const {
  return environment::guarded([&] {
    const auto found = find_table(at_, table);
    return found ? found->records : 0;
  });
}

result<void> ledger_view::walk_rows(
    std::string_view table, const walk_range& wanted,
    const std::function<bool(bytes_view key, const stored_row&)>& visit) const {
  return environment::guarded([&] { walk_rows_of(at_, table, wanted, visit); });
}

result<void> ledger_view::walk_entries(
    std::string_view table, std::uint8_t index, const walk_range& wanted,
    const std::function<bool(bytes_view index_key, bytes_view row_key)>& visit) const {
  return environment::guarded([&] { walk_entries_of(at_, table, index, wanted, visit); });
}

} // namespace tallymesh::storage
