#include "contracts/given.hpp"

#include "contracts/short_bytes.hpp"

#include <algorithm>

namespace tallymesh::contracts {

given_value::given_value(const value& x) {
  if (const auto* text = x.as<std::string>())
    data_ = std::string_view(*text);
  else if (const auto* number = x.as<std::int64_t>())
    data_ = *number;
  else if (const auto* exact = x.as<decimal>())
    data_ = *exact;
  else if (const auto* truth = x.as<bool>())
    data_ = *truth;
  else if (const auto* raw = x.as<bytes>())
    data_ = bytes_view(*raw);
  else if (!x.is_null())
    data_ = nested();
}

bool in_order(given_row row) {
  return std::adjacent_find(row.begin(), row.end(),
                            [](const given_field& a, const given_field& b) {
                              return order_of(a.name, b.name) >= 0;
                            })
         == row.end();
}

given_fields::given_fields(const value_map& row) {
  fields_.reserve(row.size());
  for (const auto& [name, what] : row)
    fields_.push_back({name, what});
}

} // namespace tallymesh::contracts
