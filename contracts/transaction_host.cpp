#include "contracts/transaction_host.hpp"

#include "messages/encoding.hpp"

namespace tallymesh::contracts {

run_facts transaction_host::facts() const {
  const auto& from = on_.facts();
  return {.who = from.who,
          .caller = caller_,
          .operation = from.operation,
          .height = from.height,
          .time_ms = from.time_ms};
}

// --- tables

checked<const table*> transaction_host::own(std::string_view name) const {
  const std::string_view own_name = running_.declared.name;
  if (name.starts_with(own_name) && name.substr(own_name.size()).starts_with('.'))
    name.remove_prefix(own_name.size() + 1);
  const auto* found = running_.declared.find_table(name);
  if (found == nullptr) return refuse(outcome::unknown_table, name);
  return found;
}

actor transaction_host::reading() const {
  auto who = on_.facts().who;
  if (reads_as_ == reader::contract) who.contract = running_.declared.name;
  return who;
}

/// A contract reads its own tables; another's if that one lets it. It does not read with the
/// rights of an author who called it: what that one may see is not for all who may see this
/// contract's tables.
checked<const table*> transaction_host::readable(std::string_view name) const {
  if (name.find('.') == std::string_view::npos) return own(name);
  const auto* found = on_.rules().find_table(name);
  if (found == nullptr) return refuse(outcome::unknown_table, name);
  if (!is_own(*found) && !may_read(*found, reading()))
    return refuse(outcome::forbidden, found->full_name);
  return found;
}

/// Without what another contract hides from this one.
template <class Rows>
Rows transaction_host::visible(const table& of, Rows rows) const {
  if (!is_own(of))
    for (auto& row : rows)
      hide_fields(of, row, reading(), false);
  return rows;
}

// --- reads

checked<std::optional<shared_bytes>> transaction_host::get(std::string_view table,
                                                           const value_list& key) {
  const auto of = readable(table);
  if (!of) return of.error();
  auto found = on_.get_encoded(**of, key);
  if (!found || !*found || (*of)->hidden.empty() || is_own(**of)) return found;
  auto row = stored_row(**found);
  hide_fields(**of, row, reading(), false);
  return std::optional(shared_bytes(encode(row)));
}

checked<std::vector<value_map>> transaction_host::find(std::string_view table,
                                                       const value_map& where, page wanted) {
  const auto of = readable(table);
  if (!of) return of.error();
  // Who finds rows by a value knows that they have it.
  if (!is_own(**of))
    for (const auto& [field, hiders] : (*of)->hidden)
      if (const auto& name = (*of)->fields[field].name;
          tallymesh::find(where, name) != nullptr && is_hidden(**of, field, reading(), false))
        return refuse(outcome::forbidden, name);
  const auto choice = index_for(**of, where);
  if (!choice) return choice.error();
  auto rows = choice->index ? on_.find((*of)->full_name, *choice->index, choice->prefix,
                                       wanted.limit, wanted.descending)
                            : on_.range((*of)->full_name, choice->prefix, wanted.limit,
                                        wanted.descending);
  if (!rows) return rows;
  return visible(**of, std::move(*rows));
}

checked<std::vector<value_map>> transaction_host::range(std::string_view table,
                                                        const value_list& from,
                                                        const value_list& to, page wanted) {
  const auto of = readable(table);
  if (!of) return of.error();
  auto first = transaction::start_of(**of, (*of)->key, from);
  if (!first) return first.error();
  auto last = transaction::start_of(**of, (*of)->key, to);
  if (!last) return last.error();
  const key_range run{std::move(*first), keys_with(std::move(*last)).to, wanted.descending};
  auto rows = on_.range(**of, run, wanted.limit);
  if (!rows) return rows;
  return visible(**of, std::move(*rows));
}

// --- effects

checked<void> transaction_host::store(std::string_view table, const value_map& row) {
  const auto to = own(table);
  if (!to) return to.error();
  if (auto done = on_.put(**to, row); !done) return done.error();
  return {};
}

checked<void> transaction_host::remove(std::string_view table, const value_list& key) {
  const auto from = own(table);
  if (!from) return from.error();
  return on_.remove(**from, key);
}

checked<void> transaction_host::erase(std::string_view table, const value_list& key,
                                      std::string_view reason) {
  const auto from = own(table);
  if (!from) return from.error();
  if (native().erase_for == nullptr) return refuse(outcome::unknown_action, "erase");
  const transaction::called_by scope(on_, running_.declared.name);
  return native().erase_for(on_, **from, key, reason);
}

checked<void> transaction_host::settle(const value_map& what) {
  if (native().settle_for == nullptr) return refuse(outcome::unknown_action, "settle");
  const transaction::called_by scope(on_, running_.declared.name);
  return native().settle_for(on_, running_.declared.name, what);
}

checked<void> transaction_host::distribute(std::string_view table, const value_list& key,
                                           const value_map& to) {
  const auto from = own(table);
  if (!from) return from.error();
  if (native().distribute_for == nullptr) return refuse(outcome::unknown_action, "distribute");
  const transaction::called_by scope(on_, running_.declared.name);
  return native().distribute_for(on_, **from, key, to);
}

checked<void> transaction_host::emit(std::string_view name, value_map what) {
  return on_.emit(name, std::move(what));
}

checked<value> transaction_host::call(std::string_view contract, std::string_view action,
                                      const value_map& params) {
  const transaction::called_by scope(on_, running_.declared.name);
  return by_.perform(on_, contract, action, params);
}

} // namespace tallymesh::contracts
