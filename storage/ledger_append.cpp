#include "storage/ledger_records.hpp"

#include <algorithm>
#include <map>

namespace tallymesh::storage {

using namespace ledger_records;

namespace {

/// One write of each key, in key order, which is how a B-tree takes them quickest.
template <class T>
void keep_last_of_each_key(std::vector<T>& writes) {
  std::stable_sort(writes.begin(), writes.end(),
                   [](const T& a, const T& b) { return a.key < b.key; });
  const auto last = [&](std::size_t i) {
    return i + 1 == writes.size() || writes[i].key != writes[i + 1].key;
  };
  std::size_t kept = 0;
  for (std::size_t i = 0; i < writes.size(); ++i)
    if (last(i)) {
      if (kept != i) writes[kept] = std::move(writes[i]);
      ++kept;
    }
  writes.erase(writes.begin() + static_cast<std::ptrdiff_t>(kept), writes.end());
}

struct operation_write {
  bytes key; ///< operation_key
  block_height height;
  std::uint32_t index; ///< in the execution's receipts
};
struct row_write {
  bytes key;
  const change* what;
  change_place place;
};
struct index_write {
  bytes key;
  const index_change* what;
};

/// An append's transaction: the tables' numbers and counters are read once and written at the
/// end.
class appender {
public:
  appender(write_transaction& t, const ledger_head& genesis)
      : t_(t), head_(read_head(t, genesis)) {}

  void append(const ledger_commit& x, const packed_execution& packed);
  void finish();

private:
  void check(const ledger_commit& x, const packed_execution& packed) const;
  void put_block(const ledger_commit& x);
  void collect(const ledger_commit& x);
  table_record& table(const std::string& name);
  void put_operations();
  void put_rows();
  void put_indexes();
  void put_tables();

  write_transaction& t_;
  ledger_head head_;
  std::map<std::string, table_record> tables_;
  std::size_t new_tables_ = 0;
  std::vector<operation_write> operations_;
  std::vector<row_write> rows_;
  std::vector<index_write> indexes_;
};

[[noreturn]] void refuse(const ledger_commit& x, const std::string& why) {
  fail(errc::conflict, "ledger: the block of height " + std::to_string(x.block->content.height)
                           + " " + why + "; nothing was stored");
}

void appender::check(const ledger_commit& x, const packed_execution& packed) const {
  const auto& b = x.block->content;
  if (b.height != head_.height + 1)
    refuse(x, "does not follow the head at " + std::to_string(head_.height));
  if (b.parent != head_.block || b.parent_view != head_.view)
    refuse(x, "has another parent than the head");
  if (b.time_ms < head_.time_ms) refuse(x, "is older than its parent");
  if (x.result->height != b.height || x.result->block != x.block->id)
    refuse(x, "comes with the execution of another");
  if (x.result->previous != head_.execution) refuse(x, "was executed on another state");
  if (packed.execution != x.execution) refuse(x, "has an execution digest that does not fit");
  if (x.finalization
      && (x.finalization->kind != item_kind::finalize || x.finalization->view != b.view
          || x.finalization->block != x.block->id))
    refuse(x, "comes with the certificate of another");
}

void appender::put_block(const ledger_commit& x) {
  const auto key = height_key(x.block->content.height);
  auto record = record_of(*x.block);
  record.full_cut = x.full_cut;
  record.execution = x.execution;
  cursor(t_, blocks).append(key, seal_record(block_kind, key, encode(record)));
  if (x.finalization)
    cursor(t_, finalizations)
        .append(key, seal_record(finalization_kind, key, encode(*x.finalization)));
}

table_record& appender::table(const std::string& name) {
  const auto known = tables_.find(name);
  if (known != tables_.end()) return known->second;
  auto found = find_table(t_, name);
  if (!found) {
    const auto number = t_.entries(tables) + ++new_tables_;
    if (number > UINT16_MAX) fail(errc::too_large, "ledger: more than 65535 tables");
    found = table_record{static_cast<std::uint16_t>(number), 0};
  }
  return tables_.emplace(name, *found).first->second;
}

void appender::collect(const ledger_commit& x) {
  const auto height = x.block->content.height;
  for (std::size_t i = 0; i < x.result->receipts.size(); ++i)
    operations_.push_back({operation_key(x.result->receipts[i].id, x.result->receipts[i].lane),
                           height, static_cast<std::uint32_t>(i)});
  for (std::size_t i = 0; i < x.result->changes.size(); ++i) {
    const auto& each = x.result->changes[i];
    auto& of = table(each.table);
    if (each.key.size() > limits::max_row_key_bytes)
      refuse(x, "changes a row whose key is too long");
    const bool was = each.before || each.before_erased, is = each.after || each.after_erased;
    if (is && !was) ++of.records;
    if (was && !is) --of.records;
    rows_.push_back(
        {row_key(of.number, each.key), &each, {height, static_cast<std::uint32_t>(i)}});
  }
  for (const auto& each : x.indexes) {
    if (each.row_key.size() > limits::max_row_key_bytes)
      refuse(x, "indexes a row whose key is too long");
    auto key = index_start(table(each.table).number, each.index, each.index_key);
    put_bytes(key, each.row_key);
    indexes_.push_back({std::move(key), &each});
  }
}

void appender::append(const ledger_commit& x, const packed_execution& packed) {
  check(x, packed);
  put_block(x);
  cursor(t_, executions).append(height_key(x.block->content.height), packed.value);
  collect(x);
  head_ = head_of(*x.block, x.full_cut, x.execution);
}

void appender::put_operations() {
  std::sort(operations_.begin(), operations_.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  bytes value;
  for (const auto& each : operations_) {
    value.clear();
    put_integer(value, each.height);
    put_integer(value, each.index);
    if (!t_.insert(operations, each.key, value))
      fail(errc::conflict, "ledger: the operation " + hex_name(each.key)
                               + " was executed before; nothing was stored");
  }
}

void appender::put_rows() {
  keep_last_of_each_key(rows_);
  const bool some_hidden = t_.entries(hidden) > 0;
  cursor at(t_, rows);
  bytes value;
  for (const auto& each : rows_) {
    write_row(value, each.key, each.what->after, each.place);
    at.put(each.key, value);
    if (each.what->after_erased)
      t_.put(hidden, each.key, {});
    else if (some_hidden)
      t_.erase(hidden, each.key);
  }
}

void appender::put_indexes() {
  keep_last_of_each_key(indexes_);
  cursor at(t_, indexes);
  bytes value;
  for (const auto& each : indexes_) {
    if (each.what->add) {
      const auto& key = each.what->index_key;
      const auto stored = std::min(key.size(), max_stored_index_key_bytes);
      value.clear();
      put_integer(value, static_cast<std::uint16_t>(stored));
      put_bytes(value, bytes_view(key).subspan(stored));
      at.put(each.key, value);
    } else if (at.seek(each.key)
               && std::equal(at.key().begin(), at.key().end(), each.key.begin(),
                             each.key.end())) {
      at.erase();
    }
  }
}

void appender::put_tables() {
  for (const auto& [name, record] : tables_)
    t_.put(tables, as_bytes(name), to_value(as_bytes(name), record));
}

void appender::finish() {
  put_operations();
  put_rows();
  put_indexes();
  put_tables();
}

} // namespace

namespace ledger_records {

std::string table_name_of(bytes_view key) { return std::string(as_text(key)); }

bytes to_value(bytes_view name, const table_record& x) {
  bytes content;
  put_integer(content, x.number);
  put_integer(content, x.records);
  return seal_record(table_kind, name, content);
}

bytes row_key(std::uint16_t table, bytes_view key) {
  bytes whole;
  whole.reserve(2 + key.size());
  put_integer(whole, table);
  put_bytes(whole, key);
  return whole;
}

void write_row(bytes& value, bytes_view key, const std::optional<shared_bytes>& row,
               change_place last) {
  bytes content;
  content.reserve(8 + 4 + 1 + (row ? row->size() : 0));
  put_integer(content, last.height);
  put_integer(content, last.index);
  content.push_back(row ? 1 : 0);
  if (row) put_bytes(content, *row);
  value = seal_record(row_kind, key, content);
}

bytes index_start(std::uint16_t table, std::uint8_t index, bytes_view index_key) {
  bytes key;
  key.reserve(index_prefix_bytes + index_key.size() + 64);
  put_integer(key, table);
  put_integer(key, index);
  put_bytes(key, index_key.first(std::min(index_key.size(), max_stored_index_key_bytes)));
  return key;
}

ledger_head head_of(const sealed_block& x, std::vector<lane_tip> full_cut,
                    const digest& execution) {
  return {x.content.height,  x.content.view,      x.id,
          x.content.time_ms, std::move(full_cut), execution};
}

} // namespace ledger_records

result<void> ledger::append(std::span<const ledger_commit> commits) {
  if (commits.empty()) return {};
  std::vector<packed_execution> packed;
  packed.reserve(commits.size());
  for (const auto& each : commits) {
    TALLYMESH_INVARIANT(each.block && each.result);
    packed.push_back(pack(*each.result));
  }
  return env_->write([&](write_transaction& t) {
    appender all(t, genesis_);
    for (std::size_t i = 0; i < commits.size(); ++i)
      all.append(commits[i], packed[i]);
    all.finish();
  });
}

} // namespace tallymesh::storage
