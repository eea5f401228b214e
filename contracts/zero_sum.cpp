#include "contracts/zero_sum.hpp"

#include "contracts/builtin_rows.hpp"
#include "contracts/row.hpp"

#include <map>

namespace tallymesh::contracts {

namespace {

constexpr std::string_view accounts = "settlement.accounts";

__extension__ using wide = __int128; // no number of accounts can make it overflow

/// By currency.
class sums {
public:
  void add(bytes_view row, int sign) {
    const row_view account(row);
    const auto currency = account.text("currency");
    auto at = all_.find(currency);
    if (at == all_.end()) at = all_.emplace(currency, 0).first;
    at->second += sign * wide(account.units("balance"));
  }
  std::optional<std::string> not_zero() const {
    for (const auto& [currency, sum] : all_)
      if (sum != 0) return currency;
    return std::nullopt;
  }

private:
  std::map<std::string, wide, std::less<>> all_;
};

} // namespace

std::optional<std::string> money_made_by(std::span<const change> changes) {
  // What lies between an account's first and last change of a block cancels out.
  std::map<bytes_view, std::pair<const change*, const change*>, bytes_less> ends;
  for (const auto& each : changes)
    if (is_same(std::string_view(each.table), accounts))
      ends.try_emplace(each.key, &each, nullptr).first->second.second = &each;
  sums changed;
  for (const auto& [key, end] : ends) {
    if (end.first->before) changed.add(*end.first->before, -1);
    if (end.second->after) changed.add(*end.second->after, 1);
  }
  return changed.not_zero();
}

std::optional<std::string> money_out_of_nothing(const table_source& stored) {
  sums all;
  stored.rows(accounts, {}, [&](bytes_view, const held_row& held) {
    if (held.row) all.add(*held.row, 1);
    return true;
  });
  return all.not_zero();
}

} // namespace tallymesh::contracts
