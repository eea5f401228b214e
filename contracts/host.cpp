#include "contracts/host.hpp"

#include <algorithm>

namespace tallymesh::contracts {

/// The values in the order of `fields`, if those begin with exactly the names in `where`.
static std::optional<value_list> prefix_of(const table& x, const field_numbers& fields,
                                           const value_map& where) {
  if (where.size() > fields.size()) return std::nullopt;
  value_list prefix;
  for (std::size_t i = 0; i < where.size(); ++i) {
    const auto* given = find(where, x.fields[fields[i]].name);
    if (given == nullptr) return std::nullopt;
    prefix.push_back(*given);
  }
  return prefix;
}

static checked<index_choice> converted(const table& x, const field_numbers& fields,
                                       index_choice choice) {
  for (std::size_t i = 0; i < choice.prefix.size(); ++i) {
    const auto& declared = x.fields[fields[i]];
    if (choice.prefix[i].is_null() && declared.optional) continue;
    auto made = convert(declared, choice.prefix[i]);
    if (!made) return made.error();
    choice.prefix[i] = std::move(*made);
  }
  return choice;
}

checked<index_choice> index_for(const table& x, const value_map& where) {
  for (const auto& [name, given] : where)
    if (x.find_field(name) == nullptr) return refuse(outcome::unknown_field, name);
  if (auto prefix = prefix_of(x, x.key, where))
    return converted(x, x.key, {std::nullopt, std::move(*prefix)});
  for (std::size_t i = 0; i < x.indexes.size(); ++i)
    if (auto prefix = prefix_of(x, x.indexes[i], where))
      return converted(x, x.indexes[i], {static_cast<std::uint8_t>(i), std::move(*prefix)});
  return refuse(outcome::malformed_arguments, x.name);
}

} // namespace tallymesh::contracts
