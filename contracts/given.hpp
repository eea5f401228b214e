// A row as it is given to a table: names, and values that point into what the caller holds, so
// that a row which goes from hand to hand is written once. Value types; any thread.
#pragma once

#include "messages/value.hpp"

#include <boost/container/small_vector.hpp>
#include <concepts>
#include <span>

namespace tallymesh::contracts {

class given_value {
public:
  given_value() = default; ///< null
  given_value(std::same_as<bool> auto x) : data_(x) {}
  given_value(std::int64_t x) : data_(x) {}
  given_value(decimal x) : data_(x) {}
  given_value(std::string_view x) : data_(x) {}
  given_value(const std::string& x) : data_(std::string_view(x)) {}
  given_value(const char* x) : data_(std::string_view(x)) {}
  given_value(bytes_view x) : data_(x) {}
  given_value(const bytes& x) : data_(bytes_view(x)) {}
  given_value(const value& x);

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }

private:
  struct nested {}; ///< a list or a map, which no field holds
  std::variant<std::monostate, bool, std::int64_t, decimal, std::string_view, bytes_view,
               nested>
      data_;
};

struct given_field {
  std::string_view name;
  given_value what;
};

/// Ascending by name, no name twice.
using given_row = std::span<const given_field>;
bool in_order(given_row row);

/// The fields of a map; whether they are in order is still to be asked.
class given_fields {
public:
  explicit given_fields(const value_map& row);
  operator given_row() const { return {fields_.data(), fields_.size()}; }

private:
  boost::container::small_vector<given_field, 24> fields_;
};

} // namespace tallymesh::contracts
