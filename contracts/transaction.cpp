#include "contracts/transaction.hpp"

#include "contracts/index_change.hpp"
#include "messages/encoding.hpp"

#include <algorithm>

namespace tallymesh::contracts {

static bytes copy(bytes_view raw) { return {raw.begin(), raw.end()}; }

transaction::transaction(const contract_set& rules, overlay& over, const table_source& below,
                         call_facts facts, std::uint64_t gas_limit)
    : rules_(rules), over_(over), below_(below), facts_(facts),
      gas_limit_(gas_limit), start_{over.mark(), 0, 0, {}, 0, 0} {}

// --- what it costs, and what it leaves

checked<void> transaction::charge(std::uint64_t gas) {
  // Work of more than what is left is not begun, and all that was left is spent.
  if (gas > gas_limit_ - gas_used_) {
    gas_used_ = gas_limit_;
    return refuse(outcome::out_of_gas, "");
  }
  gas_used_ += gas;
  return {};
}

checked<void> transaction::emit(std::string_view name, value_map what) {
  if (name.empty() || name.size() > limits::max_name_bytes || !is_utf8(name))
    return refuse(outcome::malformed_arguments, "event");
  if (events_.size() == limits::max_operation_events)
    return refuse(outcome::out_of_range, "events");
  event told{std::string(name), std::move(what)};
  const auto encoded = encode(told.what);
  const auto size = name.size() + encoded.size();
  if (auto paid = charge(prices.event + prices.byte * size); !paid) return paid.error();
  // What does not decode would be a block that no one can read.
  if (!decode<value_map>(encoded)) return refuse(outcome::malformed_arguments, name);
  if (event_bytes_ + size > limits::max_operation_event_bytes)
    return refuse(outcome::too_large, name);
  if (over_.change_bytes() + size > limits::max_block_change_bytes)
    return refuse(outcome::block_full, name);
  over_.add_bytes(size);
  event_bytes_ += size;
  events_.push_back(std::move(told));
  return {};
}

void transaction::count(effect x) {
  switch (x) {
  case effect::erased:
    ++effects_.erased;
    break;
  case effect::settled:
    ++effects_.settled;
    break;
  case effect::distributed:
    ++effects_.distributed;
    break;
  }
}

transaction::mark_t transaction::mark() const {
  return {over_.mark(), events_.size(), event_bytes_, effects_, gas_used_, sets_.size()};
}

void transaction::rewind(const mark_t& to) {
  forget_sets(to.sets);
  over_.rewind(to.writes);
  events_.resize(to.events);
  event_bytes_ = to.event_bytes;
  effects_ = to.effects;
}

void transaction::forget(const mark_t& to) {
  rewind(to);
  gas_used_ = to.gas;
}

std::uint32_t transaction::changes() const {
  return static_cast<std::uint32_t>(over_.mark().writes - start_.writes.writes);
}

// --- reads

checked<const table*> transaction::table_named(std::string_view full_name) const {
  const auto* found = rules().find_table(full_name);
  if (found == nullptr) return refuse(outcome::unknown_table, full_name);
  return found;
}

checked<held_row> transaction::held(const table& of, const bytes& key) {
  if (auto paid = charge(prices.look_up); !paid) return paid.error();
  auto found = over_.row(of.full_name, key, below_);
  if (auto paid = pay_for(found); !paid) return paid.error();
  return found;
}

checked<void> transaction::pay_for(const held_row& found) {
  return found.row ? charge(prices.byte * found.row->size()) : checked<void>();
}

checked<std::optional<value_map>> transaction::get(std::string_view table,
                                                   std::span<const value> key) {
  const auto of = table_named(table);
  if (!of) return of.error();
  return get(**of, key);
}

checked<std::optional<value_map>> transaction::get(const table& of,
                                                   std::span<const value> key) {
  const auto found = get_encoded(of, key);
  if (!found) return found.error();
  if (!*found) return std::optional<value_map>();
  return std::optional(stored_row(**found));
}

checked<std::optional<shared_bytes>> transaction::get_encoded(const table& of,
                                                              std::span<const value> key) {
  const auto encoded = key_of(of, key);
  if (!encoded) return encoded.error();
  auto found = held(of, *encoded);
  if (!found) return found.error();
  return std::move(found->row);
}

checked<transaction::opened_row> transaction::opened(const table& of, bytes key) {
  if (auto paid = charge(prices.look_up); !paid) return paid.error();
  opened_row made{&of, std::move(key), {}, {}};
  made.before = over_.look(of.full_name, made.key, below_, made.at);
  if (auto paid = pay_for(made.before); !paid) return paid.error();
  return made;
}

checked<transaction::opened_row> transaction::open(std::string_view table,
                                                   std::initializer_list<given_value> key) {
  const auto of = table_named(table);
  if (!of) return of.error();
  auto encoded = key_of(**of, key);
  if (!encoded) return encoded.error();
  return opened(**of, std::move(*encoded));
}

checked<bytes> transaction::start_of(const table& of, const field_numbers& fields,
                                     const value_list& values) {
  if (values.size() > fields.size()) return refuse(outcome::malformed_arguments, of.name);
  value_list converted;
  converted.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& declared = of.fields[fields[i]];
    if (values[i].is_null()) {
      if (!declared.optional) return refuse(outcome::wrong_type, declared.name);
      converted.emplace_back();
      continue;
    }
    auto good = convert(declared, values[i]);
    if (!good) return good.error();
    converted.push_back(std::move(*good));
  }
  return encode_key(of, fields, converted);
}

checked<std::vector<value_map>> transaction::range(std::string_view table,
                                                   const value_list& prefix, std::size_t limit,
                                                   bool descending) {
  const auto of = table_named(table);
  if (!of) return of.error();
  auto start = start_of(**of, (*of)->key, prefix);
  if (!start) return start.error();
  return range(**of, keys_with(std::move(*start), descending), limit);
}

checked<std::vector<value_map>> transaction::range(const table& of, const key_range& wanted,
                                                   std::size_t limit) {
  auto paid = charge(prices.walk);
  std::vector<shared_bytes> found;
  if (paid && limit > 0)
    over_.rows(of.full_name, wanted, below_, [&](bytes_view, const held_row& held) {
      const auto size = held.row ? held.row->size() : 0;
      if (paid = charge(prices.visited + prices.byte * size); !paid) return false;
      if (held.row) found.push_back(*held.row);
      return found.size() < limit;
    });
  if (!paid) return paid.error();
  std::vector<value_map> rows;
  rows.reserve(found.size());
  for (const auto& each : found)
    rows.push_back(stored_row(each));
  return rows;
}

/// Of a walk through an index: entries that this block took away cost what others do.
overlay::skip_visitor transaction::paying_for_skipped(checked<void>& paid) {
  return [this, &paid](std::size_t count) {
    paid = charge(prices.visited * count);
    return paid.has_value();
  };
}

checked<std::vector<value_map>> transaction::find(std::string_view table, std::uint8_t index,
                                                  const value_list& prefix, std::size_t limit,
                                                  bool descending) {
  const auto of = table_named(table);
  if (!of) return of.error();
  if (index >= (*of)->indexes.size()) return refuse(outcome::malformed_arguments, (*of)->name);
  auto start = start_of(**of, (*of)->indexes[index], prefix);
  if (!start) return start.error();
  auto paid = charge(prices.walk);
  std::vector<bytes> keys;
  if (paid && limit > 0)
    over_.entries(
        **of, index, keys_with(std::move(*start), descending), below_,
        [&](bytes_view, bytes_view row_key) {
          if (paid = charge(prices.visited); !paid) return false;
          keys.push_back(copy(row_key));
          return keys.size() < limit;
        },
        paying_for_skipped(paid));
  if (!paid) return paid.error();
  return read_rows(**of, std::move(keys));
}

checked<std::vector<value_map>> transaction::read_rows(const table& of,
                                                       std::vector<bytes> keys) {
  std::vector<value_map> rows;
  rows.reserve(keys.size());
  for (const auto& key : keys) {
    const auto found = held(of, key);
    if (!found) return found.error();
    TALLYMESH_INVARIANT(found->row.has_value()); // an index names live rows only
    rows.push_back(stored_row(*found->row));
  }
  return rows;
}

// --- constraints

checked<void> transaction::may_change(const table& of, const bytes& key) {
  for (const auto& each : builtins())
    if (each.guard != nullptr)
      if (auto good = each.guard(*this, of, key); !good) return good;
  return {};
}

static bool has_all(const table& of, const field_numbers& fields, const row_view& row) {
  return std::all_of(fields.begin(), fields.end(),
                     [&](field_number number) { return row.has(of.fields[number].name); });
}

checked<void> transaction::check_unique(const table& of, const bytes& key,
                                        const row_view& row) {
  for (const auto index : of.unique) {
    const auto& fields = of.indexes[index];
    if (!has_all(of, fields, row)) continue;
    auto paid = charge(prices.walk);
    if (!paid) return paid;
    bool taken = false;
    over_.entries(
        of, index, keys_with(index_key(of, fields, row)), below_,
        [&](bytes_view, bytes_view row_key) {
          taken = !std::equal(row_key.begin(), row_key.end(), key.begin(), key.end());
          return !taken;
        },
        paying_for_skipped(paid));
    if (!paid) return paid;
    if (taken) return refuse(outcome::not_unique, of.fields[fields.front()].name);
  }
  return {};
}

/// Values of `row` as another table's fields hold them; nothing if they do not fit there.
static std::optional<value_list> values_for(const table& from, const field_numbers& here,
                                            const row_view& row, const table& to,
                                            const field_numbers& there) {
  value_list values;
  for (std::size_t i = 0; i < here.size(); ++i) {
    const auto held = row.value_of(from.fields[here[i]].name);
    auto fitting = held.is_null() ? checked<value>(refuse(outcome::missing_field, ""))
                                  : convert(to.fields[there[i]], held);
    if (!fitting) return std::nullopt;
    values.push_back(std::move(*fitting));
  }
  return values;
}

checked<void> transaction::check_references(const table& of, const row_view& row) {
  for (const auto& reference : of.references) {
    if (!has_all(of, reference.fields, row)) continue;
    const auto& to = *rules().find_table(reference.table);
    const auto values = values_for(of, reference.fields, row, to, to.key);
    const auto missing = [&] {
      return refuse(outcome::missing_reference, of.fields[reference.fields.front()].name);
    };
    if (!values) return missing();
    const auto found = held(to, encode_key(to, to.key, *values));
    if (!found) return found.error();
    if (!found->row) return missing();
  }
  return {};
}

checked<void> transaction::check_referrers(const table& of, const row_view& row) {
  for (const auto& each : rules().referrers(of)) {
    const auto& from = *each.from;
    const auto& reference = from.references[each.reference];
    const auto values = values_for(of, of.key, row, from, reference.fields);
    if (!values) continue; // no row there can hold this key
    auto paid = charge(prices.walk);
    if (!paid) return paid;
    bool referenced = false;
    over_.entries(
        from, reference.index, keys_with(encode_key(from, reference.fields, *values)), below_,
        [&](bytes_view, bytes_view) {
          referenced = true;
          return false;
        },
        paying_for_skipped(paid));
    if (!paid) return paid;
    if (referenced) return refuse(outcome::referenced, from.name);
  }
  return {};
}

checked<void> transaction::check_by_code(const table& of, bytes_view row) {
  if (!of.has_check) return {};
  if (runner_ == nullptr) return refuse(outcome::contract_error, of.name);
  return runner_->judge(*this, of, stored_row(row));
}

// --- writes

checked<void> transaction::write(const table& of, bytes key, held_row before,
                                 std::optional<shared_bytes> after,
                                 std::span<index_change> indexes, const overlay::spot& at) {
  const auto size =
      key.size() + (before.row ? before.row->size() : 0) + (after ? after->size() : 0);
  if (auto paid = charge(prices.write + prices.index * of.indexes.size() + prices.byte * size);
      !paid)
    return paid;
  if (over_.change_bytes() + size > limits::max_block_change_bytes)
    return refuse(outcome::block_full, of.name);
  over_.write(of, std::move(key), std::move(before), std::move(after), facts_.position, indexes,
              at);
  return {};
}

checked<void> transaction::put(std::string_view table, const value_map& row) {
  const auto to = table_named(table);
  if (!to) return to.error();
  if (auto done = put(**to, row); !done) return done.error();
  return {};
}

checked<bool> transaction::put(const table& to, const value_map& row) {
  const given_fields given(row);
  if (!in_order(given)) return refuse(outcome::malformed_arguments, to.name);
  auto key = key_of(to, given_row(given));
  if (!key) return key.error();
  auto at = opened(to, std::move(*key));
  if (!at) return at.error();
  return put(std::move(*at), given);
}

checked<bool> transaction::put(opened_row at, given_row row) {
  const auto& to = *at.of;
  row_merge merged(to);
  if (auto good = merged.apply(row, at.before.row); !good) return good.error();
  const auto& after = merged.after();
  if (at.before.row == after) return false;
  if (after.size() > limits::max_row_bytes) return refuse(outcome::too_large, to.name);
  if (auto good = may_change(to, at.key); !good) return good.error();
  const row_view now(after);
  if (auto good = check_unique(to, at.key, now); !good) return good.error();
  if (auto good = check_references(to, now); !good) return good.error();
  if (auto good = check_by_code(to, after); !good) return good.error();
  auto moved = merged.entries_moved(at.key);
  if (auto done =
          write(to, std::move(at.key), std::move(at.before), merged.take(), moved, at.at);
      !done)
    return done.error();
  ++effects_.stored;
  return true;
}

checked<void> transaction::remove(std::string_view table, std::span<const value> key) {
  const auto from = table_named(table);
  if (!from) return from.error();
  return remove(**from, key);
}

checked<void> transaction::remove(const table& from, std::span<const value> key) {
  auto encoded = key_of(from, key);
  if (!encoded) return encoded.error();
  auto at = opened(from, std::move(*encoded));
  if (!at) return at.error();
  if (!at->exists()) return refuse(outcome::not_found, from.name);
  if (auto good = may_change(from, at->key); !good) return good;
  if (auto good = check_referrers(from, at->row()); !good) return good;
  std::vector<index_change> moved;
  append_index_changes(
      from, {.table = from.full_name, .key = at->key, .before = at->before.row}, moved);
  if (auto done =
          write(from, std::move(at->key), std::move(at->before), std::nullopt, moved, at->at);
      !done)
    return done;
  ++effects_.deleted;
  return {};
}

} // namespace tallymesh::contracts
