#include "messages/value.hpp"

#include <algorithm>
#include <limits>

namespace tallymesh {

std::string decimal::to_text() const {
  // Through unsigned, because the smallest int64 has no positive counterpart.
  auto magnitude =
      units < 0 ? ~static_cast<std::uint64_t>(units) + 1 : static_cast<std::uint64_t>(units);
  auto digits = std::to_string(magnitude);
  if (digits.size() <= scale) digits.insert(0, scale + 1 - digits.size(), '0');
  if (scale > 0) digits.insert(digits.size() - scale, ".");
  return units < 0 ? "-" + digits : digits;
}

std::optional<decimal> decimal::from_text(std::string_view text, std::uint8_t scale) {
  if (scale > max_scale) return std::nullopt;
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  auto fraction = point == std::string_view::npos ? std::string_view{} : text.substr(point + 1);
  if (whole.empty() || (point != std::string_view::npos && fraction.empty()))
    return std::nullopt;
  while (fraction.size() > scale && fraction.back() == '0')
    fraction.remove_suffix(1);
  if (fraction.size() > scale) return std::nullopt;
  std::string digits(whole);
  digits += fraction;
  digits.append(scale - fraction.size(), '0');
  std::int64_t units = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    // Accumulates downwards: the negative range is the larger one.
    if (__builtin_mul_overflow(units, std::int64_t{10}, &units)
        || __builtin_sub_overflow(units, std::int64_t{c - '0'}, &units))
      return std::nullopt;
  }
  if (!negative && units == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  return decimal{negative ? units : -units, scale};
}

std::string_view value::type_name() const {
  static constexpr std::string_view names[] = {"null", "bool",  "int64", "decimal",
                                               "text", "bytes", "list",  "map"};
  return names[data.index()];
}

bool value::operator==(const value& other) const { return data == other.data; }

static auto position(value_map& map, std::string_view key) {
  return std::lower_bound(
      map.begin(), map.end(), key,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
}

const value* find(const value_map& map, std::string_view key) {
  const auto at = std::lower_bound(
      map.begin(), map.end(), key,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  return at != map.end() && at->first == key ? &at->second : nullptr;
}

void put(value_map& map, std::string key, value what) {
  const auto at = position(map, key);
  if (at != map.end() && at->first == key)
    at->second = std::move(what);
  else
    map.emplace(at, std::move(key), std::move(what));
}

} // namespace tallymesh
