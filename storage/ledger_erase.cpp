// What the ledger forgets when a row is erased: see README.md, "Erasing".
#include "storage/ledger_records.hpp"

#include <algorithm>

namespace tallymesh::storage {

using namespace ledger_records;

namespace {

/// One execution that is being rewritten; a row's changes of one block stand together.
class rewriting {
public:
  explicit rewriting(write_transaction& t) : t_(t) {}

  execution& at(block_height height) {
    if (what_.height != height) {
      finish();
      load(height);
    }
    return what_;
  }
  void touched() { changed_ = true; }
  /// The digest is the same with the rows and without; if not, what was read is not what was
  /// stored, and nothing is written.
  void finish() {
    if (!std::exchange(changed_, false)) return;
    const auto key = height_key(what_.height);
    const auto packed = pack(what_);
    const auto block = t_.get(blocks, key);
    if (!block || to_block(key, *block).execution != packed.execution)
      fail_damaged(execution_kind, key, "it does not match its digest");
    t_.put(executions, key, packed.value);
  }

private:
  void load(block_height height) {
    const auto key = height_key(height);
    const auto value = t_.get(executions, key);
    if (!value) fail_damaged(execution_kind, key, "a change names it and it is not there");
    what_ =
        decode_record<execution>(execution_kind, key, execution_view(height, *value).encoded());
    if (what_.height != height) fail_damaged(execution_kind, key, "it is of another height");
  }

  write_transaction& t_;
  execution what_;
  bool changed_ = false;
};

receipt& receipt_of(execution& x, std::uint32_t position) {
  const auto at = std::find_if(x.receipts.begin(), x.receipts.end(),
                               [&](const receipt& r) { return r.position == position; });
  if (at == x.receipts.end())
    fail_damaged(execution_kind, height_key(x.height),
                 "a change without the receipt of its operation");
  return *at;
}

bool is_within(const change_place& place, const change& what, const erase_bound& through) {
  return place.height < through.height
         || (place.height == through.height && what.position <= through.position);
}

erased_page erase_changes(write_transaction& t, std::string_view table, bytes_view key,
                          const erase_bound& through, change_place from, std::size_t limit) {
  erased_page page;
  rewriting now(t);
  for (; from.height != 0 && limit > 0; --limit) {
    auto& of = now.at(from.height);
    if (from.index >= of.changes.size())
      fail_damaged(execution_kind, height_key(from.height), "a change is missing");
    auto& what = of.changes[from.index];
    if (what.table != table
        || !std::equal(what.key.begin(), what.key.end(), key.begin(), key.end())
        || !(what.previous < from))
      fail_damaged(execution_kind, height_key(from.height), "a row's history leads to another");
    if (is_within(from, what, through)) {
      auto& told =
          receipt_of(of, what.position); // what an operation tells may be what it wrote
      const bool rows_went = erase_rows(what), events_went = erase_events(told);
      if (rows_went || events_went) {
        now.touched();
        page.changed = true;
      }
      page.origins.push_back({from.height, what.position, told.lane, told.seq, told.id});
    }
    from = what.previous;
  }
  now.finish();
  if (page.changed) t.note_erased();
  page.next = from;
  return page;
}

} // namespace

result<erased_page> ledger::erase_history(std::string_view table, bytes_view key,
                                          const erase_bound& through, change_place from,
                                          std::size_t limit) {
  erased_page page;
  const auto done = env_->write([&](write_transaction& t) {
    auto start = from;
    if (start.height == 0) {
      const auto of = find_table(t, table);
      const auto whole = of ? row_key(of->number, key) : bytes{};
      const auto value = of ? t.get(ledger_records::rows, whole) : std::nullopt;
      if (!value)
        fail(errc::not_found, "ledger: " + std::string(table) + " never had such a row");
      start = to_row(whole, *value).last;
    }
    page = erase_changes(t, table, key, through, start, limit);
  });
  if (!done) return done.error();
  return page;
}

result<block_height> ledger::erased_through() const {
  return env_->read([&](const read_transaction& t) -> block_height {
    const auto value = t.get(erasing, as_bytes(through_key));
    if (!value) return 0;
    field_reader in{*value};
    const auto height = in.integer<std::uint64_t>();
    if (!in.ok || !in.rest.empty())
      fail(errc::damaged, "ledger: the mark of what was erased is damaged");
    return height;
  });
}

result<void> ledger::set_erased_through(block_height height) {
  return env_->write([&](write_transaction& t) {
    bytes value;
    put_integer(value, height);
    t.put(erasing, as_bytes(through_key), value);
  });
}

result<bool> ledger::hides_rows() const {
  return env_->read([&](const read_transaction& t) { return t.entries(hidden) > 0; });
}

result<void> ledger::rebuild(const std::function<void(std::size_t copied_bytes)>& told) {
  return env_->rebuild(told);
}
bool ledger::holds_erased() const { return env_->holds_erased(); }
result<void> ledger::sync() { return env_->sync(); }
std::size_t ledger::used_bytes() const { return env_->used_bytes(); }

} // namespace tallymesh::storage
