// A version of a contract comes in force inside a transaction: the tables' rows become its own.
// First every index entry is as the new version declares it, so that its migration reads and
// writes them like any others; then the migration runs; then every row must fit.
#include "contracts/transaction.hpp"

#include "messages/encoding.hpp"

#include <algorithm>
#include <utility>

namespace tallymesh::contracts {

namespace {

constexpr std::size_t rows_at_once = 256;

std::string text_of(const value& x) {
  if (const auto* text = x.as<std::string>()) return *text;
  if (const auto* number = x.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* exact = x.as<decimal>()) return exact->to_text();
  if (const auto* flag = x.as<bool>()) return *flag ? "true" : "false";
  if (const auto* raw = x.as<bytes>()) return to_hex(*raw);
  return "?";
}

/// The key's values as URLs and command lines write them: "2026,17".
std::string name_of(const table& of, const value_map& row) {
  std::string text;
  for (const auto number : of.key) {
    const auto* held = find(row, of.fields[number].name);
    text += (text.empty() ? "" : ",") + (held == nullptr ? "?" : text_of(*held));
  }
  return text;
}

std::string reason(const refusal& why) {
  const auto about = why.detail.empty() ? "" : " (" + why.detail + ")";
  return std::string(to_string(why.why)) + about;
}

using fault = std::optional<activation_refusal>;

fault not_for(activation_fault why, std::string text) {
  return activation_refusal{
      .why = why, .table = {}, .row = {}, .cause = {}, .detail = {}, .text = std::move(text)};
}

fault not_for_row(activation_fault why, const table& of, const value_map& row,
                  const std::optional<refusal>& cause, std::string_view before,
                  std::string_view after) {
  activation_refusal x{.why = why,
                       .table = of.full_name,
                       .row = name_of(of, row),
                       .cause = {},
                       .detail = {},
                       .text = {}};
  x.text = std::string(before) + x.table + " row " + x.row + std::string(after);
  if (!cause) return x;
  x.cause = to_string(cause->why);
  x.detail = cause->detail;
  x.text += ": " + reason(*cause);
  return x;
}

fault too_much_work(const table& of, const refusal& cause, std::string text) {
  return activation_refusal{.why = activation_fault::too_much_work,
                            .table = of.full_name,
                            .row = {},
                            .cause = std::string(to_string(cause.why)),
                            .detail = cause.detail,
                            .text = std::move(text)};
}

std::vector<std::string> names_of(const table& of, const field_numbers& fields) {
  std::vector<std::string> names;
  for (const auto number : fields)
    names.push_back(of.fields[number].name);
  return names;
}

std::vector<std::vector<std::string>> index_names(const table& of) {
  std::vector<std::vector<std::string>> all;
  for (const auto& index : of.indexes)
    all.push_back(names_of(of, index));
  return all;
}

bool same_fields(const table& a, const table& b) {
  return std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(),
                    [](const field& x, const field& y) {
                      return x.name == y.name && x.type_text() == y.type_text();
                    });
}

bool same_references(const table& a, const table& b) {
  return std::equal(a.references.begin(), a.references.end(), b.references.begin(),
                    b.references.end(), [&](const reference& x, const reference& y) {
                      return x.table == y.table && x.index == y.index
                             && names_of(a, x.fields) == names_of(b, y.fields);
                    });
}

/// Whether rows that fit one of them fit the other; a check is code, and may be another.
bool same_rows(const table& a, const table& b) {
  return same_fields(a, b) && names_of(a, a.key) == names_of(b, b.key)
         && index_names(a) == index_names(b) && a.unique == b.unique && same_references(a, b)
         && !b.has_check;
}

std::vector<bytes> entries_of(const table& of, const row_view& row) {
  std::vector<bytes> keys;
  keys.reserve(of.indexes.size());
  for (const auto& index : of.indexes)
    keys.push_back(index_key(of, index, row));
  return keys;
}

/// Of entries that a row would have, whether one is too long to stand in order.
std::optional<refusal> too_long(const table& of, const std::vector<bytes>& entries) {
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (entries[i].size() > limits::max_ordered_index_key_bytes)
      return refuse(outcome::key_too_long, of.fields[of.indexes[i].front()].name);
  return std::nullopt;
}

/// The two may declare different numbers of indexes.
std::vector<index_change> entries_moved(const std::string& table, const bytes& row_key,
                                        std::vector<bytes> gone, std::vector<bytes> fresh) {
  std::vector<index_change> made;
  for (std::size_t i = 0; i < std::max(gone.size(), fresh.size()); ++i) {
    if (i < gone.size() && i < fresh.size() && gone[i] == fresh[i]) continue;
    const auto number = static_cast<std::uint8_t>(i);
    if (i < gone.size()) made.push_back({table, number, std::move(gone[i]), row_key, false});
    if (i < fresh.size()) made.push_back({table, number, std::move(fresh[i]), row_key, true});
  }
  return made;
}

} // namespace

std::string_view to_string(activation_fault x) {
  static constexpr std::string_view names[] = {
      "not_parsed",         "built_in",        "cannot_run",       "closed_rows",
      "contradicts_others", "table_has_rows",  "row_does_not_fit", "key_would_change",
      "too_much_work",      "migration_failed"};
  return names[static_cast<std::size_t>(x)];
}

// --- what is in force

void transaction::forget_sets(std::size_t down_to) {
  if (sets_.size() <= down_to) return;
  over_.forget_indexes();
  sets_.resize(down_to);
}

void transaction::set_frozen(std::string_view contract, bool frozen) {
  sets_.push_back(rules().with_frozen(contract, frozen));
}

checked<fault> transaction::activate(std::string_view source, const actor& author) {
  auto declared = parse(source, "contract");
  if (!declared) return not_for(activation_fault::not_parsed, declared.error().context);
  const auto before = mark();
  const auto used = gas_used_, limit = gas_limit_;
  gas_limit_ = gas_used_ + std::min(activation_gas, activation_limit_);
  auto why = take_over({std::move(*declared), std::string(source), nullptr}, author);
  gas_limit_ = limit + (gas_used_ - used);
  if (!why) return why;
  rewind(before);
  // It may have been the block that was full, not this version that asks for too much.
  if (before.writes.bytes > limits::max_block_change_bytes / 2
      && why->cause == to_string(outcome::block_full))
    return refuse(outcome::block_full, "");
  return why;
}

/// Those who asked first are not asked on whose behalf the rows change: who proposed is.
fault transaction::migrate(const contract_entry& to, const actor& author) {
  const auto voter = std::exchange(facts_.who, author);
  const auto done = runner_->migrate(*this, to);
  facts_.who = voter;
  if (done) return std::nullopt;
  return activation_refusal{.why = activation_fault::migration_failed,
                            .table = {},
                            .row = {},
                            .cause = std::string(to_string(done.error().why)),
                            .detail = done.error().detail,
                            .text = "its migration failed: " + reason(done.error())};
}

fault transaction::take_over(contract_entry next, const actor& author) {
  const auto name = next.declared.name;
  if (find_builtin(name) != nullptr)
    return not_for(activation_fault::built_in, name + " is built into the program");
  if (next.declared.has_code()) {
    TALLYMESH_INVARIANT(runner_ != nullptr);
    if (const auto good = runner_->compile(next); !good)
      return not_for(activation_fault::cannot_run, good.error().context);
  }
  const auto now = rules().find_entry(name);
  const contract none;
  const auto& before = now == nullptr ? none : now->declared;
  for (const auto& each : builtins())
    if (each.check_upgrade != nullptr)
      if (const auto good = each.check_upgrade(before, next.declared); !good)
        return not_for(activation_fault::closed_rows, good.error().context);
  if (auto why = check_removed(before, next.declared)) return why;
  auto made = rules().with(std::move(next));
  if (!made) return not_for(activation_fault::contradicts_others, made.error().context);
  sets_.push_back(std::move(*made));
  over_.forget_indexes();
  const auto& after = *rules().find_entry(name);

  std::vector<const table*> anew;
  for (const auto& each : after.declared.tables) {
    const auto* old = before.find_table(each.name);
    if (old == nullptr || same_rows(*old, each)) continue;
    anew.push_back(&each);
    if (auto why = index_anew(*old, each)) return why;
  }
  if (after.declared.has_migrate)
    if (auto why = migrate(after, author)) return why;
  for (const auto* each : anew)
    if (auto why = fit_rows(*each)) return why;
  for (const auto* each : anew) // only now is every row as it will be
    if (auto why = check_rows(*each)) return why;
  return std::nullopt;
}

// --- rows

fault transaction::each_row(const table& of, const row_visit& visit) {
  key_range rest;
  for (;;) {
    std::vector<std::pair<bytes, held_row>> found;
    checked<void> paid;
    over_.rows(of.full_name, rest, below_, [&](bytes_view key, const held_row& held) {
      const auto size = held.row ? held.row->size() : 0;
      if (paid = charge(prices.visited + prices.byte * size); !paid) return false;
      if (held.row) found.emplace_back(bytes(key.begin(), key.end()), held);
      return found.size() < rows_at_once;
    });
    if (!paid)
      return too_much_work(of, paid.error(),
                           of.full_name + " has too many rows: " + reason(paid.error()));
    for (const auto& [key, held] : found)
      if (auto why = visit(key, held)) return why;
    if (found.size() < rows_at_once) return std::nullopt;
    rest.from = std::move(found.back().first);
    rest.from.push_back(0); // the next key there can be
  }
}

/// A change whose row says the same, in another form or under other entries.
checked<void> transaction::rewrite(const table& of, const bytes& key, held_row before,
                                   shared_bytes after, std::vector<index_change> moved) {
  if (after.size() > limits::max_row_bytes) return refuse(outcome::too_large, of.name);
  return write(of, key, std::move(before), std::move(after), moved);
}

/// That a row could not be rewritten.
static fault not_rewritten(const table& of, const value_map& row, const refusal& cause) {
  return not_for_row(activation_fault::too_much_work, of, row, cause, "", "");
}

fault transaction::check_removed(const contract& before, const contract& after) {
  for (const auto& each : before.tables) {
    if (after.find_table(each.name) != nullptr) continue;
    auto why = each_row(each, [&](const bytes&, const held_row& held) {
      return not_for_row(activation_fault::table_has_rows, each, stored_row(*held.row),
                         std::nullopt, "it no longer declares " + each.full_name + ", and ",
                         " is there");
    });
    if (why) return why;
  }
  return std::nullopt;
}

fault transaction::index_anew(const table& before, const table& after) {
  return each_row(after, [&](const bytes& key, const held_row& held) -> fault {
    const row_view row(*held.row);
    auto fresh = entries_of(after, row);
    // Before the migration: its walks would pass over all that share the first bytes, unpaid.
    if (const auto why = too_long(after, fresh))
      return not_for_row(activation_fault::row_does_not_fit, after, stored_row(*held.row), why,
                         "", " does not fit");
    auto moved = entries_moved(after.full_name, key, entries_of(before, row), std::move(fresh));
    if (moved.empty()) return std::nullopt;
    auto same = *held.row;
    const auto done = rewrite(after, key, held, std::move(same), std::move(moved));
    if (!done) return not_rewritten(before, stored_row(*held.row), done.error());
    return std::nullopt;
  });
}

fault transaction::fit_rows(const table& of) {
  return each_row(of, [&](const bytes& key, const held_row& held) -> fault {
    const auto row = stored_row(*held.row);
    auto after = merge(of, row, std::nullopt);
    if (!after)
      return not_for_row(activation_fault::row_does_not_fit, of, row, after.error(), "",
                         " does not fit");
    const auto key_now = key_of(of, stored_row(*after));
    if (!key_now || *key_now != key)
      return not_for_row(activation_fault::key_would_change, of, row, std::nullopt, "",
                         " does not fit: its key would change");
    if (*after == *held.row) return std::nullopt;
    auto moved = entries_moved(of.full_name, key, entries_of(of, row_view(*held.row)),
                               entries_of(of, row_view(*after)));
    const auto done = rewrite(of, key, held, std::move(*after), std::move(moved));
    if (!done) return not_rewritten(of, row, done.error());
    return std::nullopt;
  });
}

fault transaction::check_rows(const table& of) {
  if (of.unique.empty() && of.references.empty() && !of.has_check) return std::nullopt;
  return each_row(of, [&](const bytes& key, const held_row& held) -> fault {
    const row_view row(*held.row);
    auto good = check_unique(of, key, row);
    if (good) good = check_references(of, row);
    if (good) good = check_by_code(of, *held.row);
    if (good) return std::nullopt;
    return not_for_row(activation_fault::row_does_not_fit, of, stored_row(*held.row),
                       good.error(), "", " does not fit");
  });
}

} // namespace tallymesh::contracts
