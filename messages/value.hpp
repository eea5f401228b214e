// Typed values: what operations carry and rows hold. There are no floats, so that every node
// computes the same. Value types; any thread.
#pragma once

#include "messages/bytes.hpp"

#include <compare>
#include <utility>
#include <variant>

namespace tallymesh {

/// `units / 10^scale`; scale 0 to 18. 12.50 with scale 2 is {1250, 2}.
struct decimal {
  std::int64_t units = 0;
  std::uint8_t scale = 0;
  static constexpr std::uint8_t max_scale = 18;

  std::string to_text() const;
  /// "12.5", "-3", "+0.05" at the given scale. Nothing if it does not fit exactly:
  /// "1.50" fits scale 1, "1.55" does not.
  static std::optional<decimal> from_text(std::string_view text, std::uint8_t scale);
  auto operator<=>(const decimal&) const = default;
};

struct value;
using value_list = std::vector<value>;
/// Keys strictly ascending (bytewise); canonical form asks for it, `put` keeps it.
using value_map = std::vector<std::pair<std::string, value>>;

struct value {
  using holder = std::variant<std::monostate, bool, std::int64_t, decimal, std::string, bytes,
                              value_list, value_map>;
  holder data;

  value() = default;
  value(bool x) : data(x) {}
  value(std::int64_t x) : data(x) {}
  value(decimal x) : data(x) {}
  value(std::string x) : data(std::move(x)) {}
  value(const char* x) : data(std::string(x)) {}
  value(bytes x) : data(std::move(x)) {}
  value(value_list x) : data(std::move(x)) {}
  value(value_map x) : data(std::move(x)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(data); }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&data);
  }

  /// The value's type in the words of contracts: null, bool, int64, decimal, text, bytes, list,
  /// map.
  std::string_view type_name() const;

  bool operator==(const value&) const;
};

/// Nothing deeper than this is decoded, so that hostile nesting cannot exhaust the stack.
constexpr int max_value_depth = 16;

const value* find(const value_map& map, std::string_view key);
void put(value_map& map, std::string key, value what);

} // namespace tallymesh
