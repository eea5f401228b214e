#include "contracts/row.hpp"

#include "messages/encoding.hpp"

#include <algorithm>
#include <charconv>

namespace tallymesh::contracts {

refusal refuse(outcome why, std::string_view about) {
  about = about.substr(0, limits::max_name_bytes);
  // A cut inside a character would not be UTF-8, and a receipt must decode everywhere.
  while (!is_utf8(about))
    about.remove_suffix(1);
  return {why, std::string(about)};
}

void throw_exception_from_error(const refusal&, const boost::source_location& at) {
  invariant_broken("value of a refused row", at.file_name(), static_cast<int>(at.line()));
}

// --- values

static std::int64_t characters_in(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

static bool in_range(const field& x, std::int64_t size) {
  return size >= x.min && size <= x.max;
}

static bool looks_like_number(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !text.empty() && digit(text.front()) && digit(text.back())
         && std::count(text.begin(), text.end(), '.') <= 1
         && std::all_of(text.begin(), text.end(), [&](char c) { return digit(c) || c == '.'; });
}

/// The same number with another count of decimals, if it has one exactly.
static std::optional<decimal> rescale(decimal x, std::uint8_t scale) {
  for (; x.scale < scale; ++x.scale)
    if (__builtin_mul_overflow(x.units, std::int64_t{10}, &x.units)) return std::nullopt;
  for (; x.scale > scale; --x.scale) {
    if (x.units % 10 != 0) return std::nullopt;
    x.units /= 10;
  }
  return x;
}

static checked<value> convert_decimal(const field& x, const value& given) {
  std::optional<decimal> number;
  if (const auto* exact = given.as<decimal>())
    number = rescale(*exact, x.scale);
  else if (const auto* whole = given.as<std::int64_t>())
    number = rescale({*whole, 0}, x.scale);
  else if (const auto* text = given.as<std::string>(); text && looks_like_number(*text))
    number = decimal::from_text(*text, x.scale);
  else
    return refuse(outcome::wrong_type, x.name);
  if (!number || !in_range(x, number->units)) return refuse(outcome::out_of_range, x.name);
  return value(*number);
}

checked<value> convert(const field& x, const value& given) {
  const auto keep_if = [&](bool good) -> checked<value> {
    if (!good) return refuse(outcome::out_of_range, x.name);
    return given;
  };
  switch (x.kind) {
  case field_kind::text:
    if (const auto* text = given.as<std::string>())
      return keep_if(in_range(x, characters_in(*text)) && is_utf8(*text));
    break;
  case field_kind::int64:
    if (const auto* number = given.as<std::int64_t>()) return keep_if(in_range(x, *number));
    break;
  case field_kind::decimal:
    return convert_decimal(x, given);
  case field_kind::boolean:
    if (given.as<bool>()) return given;
    break;
  case field_kind::bytes:
    if (const auto* raw = given.as<bytes>())
      return keep_if(in_range(x, static_cast<std::int64_t>(raw->size())));
    break;
  case field_kind::one_of:
    if (const auto* text = given.as<std::string>())
      return keep_if(std::find(x.choices.begin(), x.choices.end(), *text) != x.choices.end());
    break;
  }
  return refuse(outcome::wrong_type, x.name);
}

static std::optional<value> read_text(const field& x, std::string_view text) {
  switch (x.kind) {
  case field_kind::int64: {
    std::int64_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value(number);
  }
  case field_kind::boolean:
    if (text == "true") return value(true);
    if (text == "false") return value(false);
    return std::nullopt;
  case field_kind::bytes:
    if (auto raw = from_hex(text)) return value(std::move(*raw));
    return std::nullopt;
  case field_kind::text:
  case field_kind::decimal: // `convert` reads the number
  case field_kind::one_of:
    break;
  }
  return value(std::string(text));
}

result<value> value_from_text(const field& x, std::string_view text) {
  if (text.empty() && x.optional) return value();
  const auto given = read_text(x, text);
  auto converted =
      given ? convert(x, *given) : checked<value>(refuse(outcome::wrong_type, x.name));
  if (!converted)
    return make_error(errc::malformed, "field " + x.name + " must be " + x.type_text());
  return std::move(*converted);
}

// --- rows

static bool in_order(const value_map& row) {
  return std::adjacent_find(row.begin(), row.end(),
                            [](const auto& a, const auto& b) { return a.first >= b.first; })
         == row.end();
}

value_map stored_row(bytes_view raw) {
  auto row = decode<value_map>(raw);
  TALLYMESH_INVARIANT(row.has_value());
  return std::move(*row);
}

/// What the row holds of one field after the merge; null: nothing.
static checked<value> merged_value(const field& x, const value* given, value* kept) {
  if (given == nullptr) {
    if (kept != nullptr) return std::move(*kept);
    if (!x.optional) return refuse(outcome::missing_field, x.name);
    return value();
  }
  if (!given->is_null()) return convert(x, *given);
  if (!x.optional) return refuse(outcome::missing_field, x.name);
  return value();
}

checked<bytes> merge(const table& x, const value_map& given,
                     const std::optional<bytes>& before) {
  const auto after = merge(x, given, before ? stored_row(*before) : value_map{});
  if (!after) return after.error();
  return encode(*after);
}

checked<value_map> merge(const table& x, const value_map& given, value_map kept) {
  if (!in_order(given)) return refuse(outcome::malformed_arguments, x.name);
  value_map after;
  after.reserve(x.fields.size());
  // All three are ascending by name, so one pass meets every field.
  auto next_given = given.begin();
  auto next_kept = kept.begin();
  for (const auto& declared : x.fields) {
    if (next_given != given.end() && next_given->first < declared.name) break;
    const value* fresh = nullptr;
    value* old = nullptr;
    if (next_given != given.end() && next_given->first == declared.name)
      fresh = &(next_given++)->second;
    while (next_kept != kept.end() && next_kept->first < declared.name)
      ++next_kept;
    if (next_kept != kept.end() && next_kept->first == declared.name)
      old = &(next_kept++)->second;
    auto settled = merged_value(declared, fresh, old);
    if (!settled) return settled.error();
    if (!settled->is_null()) after.emplace_back(declared.name, std::move(*settled));
  }
  if (next_given != given.end()) return refuse(outcome::unknown_field, next_given->first);
  if (x.has_wide_index)
    for (const auto& index : x.indexes)
      if (index_key(x, index, after).size() > limits::max_row_key_bytes)
        return refuse(outcome::key_too_long, x.fields[index.front()].name);
  return after;
}

// --- keys

static constexpr std::uint8_t absent_mark = 0, present_mark = 1;
// Inside a text: the terminator and the escape sign themselves, shifted above the terminator.
static constexpr std::uint8_t terminator = 0, escape = 1, escaped_terminator = 1,
                              escaped_escape = 2;

static void put_ordered(bytes& out, std::int64_t x) {
  const auto shifted =
      static_cast<std::uint64_t>(x) ^ (std::uint64_t{1} << 63); // negative below positive
  for (int i = 7; i >= 0; --i)
    out.push_back(static_cast<std::uint8_t>(shifted >> 8 * i));
}

static void put_ordered(bytes& out, bytes_view raw) {
  for (const auto byte : raw) {
    if (byte <= escape) out.push_back(escape);
    out.push_back(byte == terminator ? escaped_terminator
                  : byte == escape   ? escaped_escape
                                     : byte);
  }
  out.push_back(terminator);
}

static void put_value(bytes& out, const field& x, const value& what) {
  if (x.optional) out.push_back(what.is_null() ? absent_mark : present_mark);
  if (what.is_null()) {
    // A required value is missing only while a new version takes its old rows over.
    if (!x.optional) out.push_back(absent_mark);
    return;
  }
  if (const auto* flag = what.as<bool>())
    out.push_back(*flag ? 1 : 0);
  else if (const auto* number = what.as<std::int64_t>())
    put_ordered(out, *number);
  else if (const auto* exact = what.as<decimal>())
    put_ordered(out, exact->units);
  else if (const auto* text = what.as<std::string>())
    put_ordered(out, as_bytes(*text));
  else if (const auto* raw = what.as<bytes>())
    put_ordered(out, *raw);
  else
    TALLYMESH_INVARIANT(!"a list or map in a key");
}

bytes encode_key(const table& x, std::span<const field_number> fields,
                 std::span<const value> values) {
  TALLYMESH_INVARIANT(values.size() <= fields.size());
  bytes out;
  out.reserve(32);
  for (std::size_t i = 0; i < values.size(); ++i)
    put_value(out, x.fields[fields[i]], values[i]);
  return out;
}

static refusal too_long(const table& x) { return refuse(outcome::key_too_long, x.name); }

checked<bytes> key_of(const table& x, const value_map& row) {
  if (!in_order(row)) return refuse(outcome::malformed_arguments, x.name);
  bytes key;
  key.reserve(32);
  for (const auto number : x.key) {
    const auto& declared = x.fields[number];
    const auto* given = find(row, declared.name);
    if (given == nullptr || given->is_null())
      return refuse(outcome::missing_field, declared.name);
    const auto converted = convert(declared, *given);
    if (!converted) return converted.error();
    put_value(key, declared, *converted);
  }
  if (key.size() > limits::max_row_key_bytes) return too_long(x);
  return key;
}

checked<bytes> key_of(const table& x, const value_list& values) {
  if (values.size() != x.key.size()) return refuse(outcome::malformed_arguments, "key");
  bytes key;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& declared = x.fields[x.key[i]];
    if (values[i].is_null()) return refuse(outcome::missing_field, declared.name);
    const auto converted = convert(declared, values[i]);
    if (!converted) return converted.error();
    put_value(key, declared, *converted);
  }
  if (key.size() > limits::max_row_key_bytes) return too_long(x);
  return key;
}

bytes index_key(const table& x, std::span<const field_number> index, const value_map& row) {
  static const value absent;
  bytes key;
  key.reserve(32);
  for (const auto number : index) {
    const auto& declared = x.fields[number];
    const auto* held = find(row, declared.name);
    put_value(key, declared, held == nullptr ? absent : *held);
  }
  return key;
}

static std::optional<bytes> take_text(bytes_view& raw) {
  bytes text;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == terminator) {
      raw = raw.subspan(i + 1);
      return text;
    }
    if (raw[i] != escape) {
      text.push_back(raw[i]);
      continue;
    }
    if (++i == raw.size() || raw[i] < escaped_terminator || raw[i] > escaped_escape)
      return std::nullopt;
    text.push_back(raw[i] == escaped_terminator ? terminator : escape);
  }
  return std::nullopt;
}

static std::optional<std::int64_t> take_number(bytes_view& raw) {
  if (raw.size() < 8) return std::nullopt;
  std::uint64_t shifted = 0;
  for (int i = 0; i < 8; ++i)
    shifted = shifted << 8 | raw[static_cast<std::size_t>(i)];
  raw = raw.subspan(8);
  return static_cast<std::int64_t>(shifted ^ (std::uint64_t{1} << 63));
}

static std::optional<std::uint8_t> take_flag(bytes_view& raw) {
  if (raw.empty() || raw[0] > 1) return std::nullopt;
  const auto flag = raw[0];
  raw = raw.subspan(1);
  return flag;
}

static std::optional<value> take_value(const field& x, bytes_view& raw) {
  if (x.optional) {
    const auto mark = take_flag(raw);
    if (!mark) return std::nullopt;
    if (*mark == absent_mark) return value();
  }
  switch (x.kind) {
  case field_kind::boolean:
    if (const auto flag = take_flag(raw)) return value(*flag == 1);
    return std::nullopt;
  case field_kind::int64:
    if (const auto number = take_number(raw)) return value(*number);
    return std::nullopt;
  case field_kind::decimal:
    if (const auto units = take_number(raw)) return value(decimal{*units, x.scale});
    return std::nullopt;
  case field_kind::bytes:
    if (auto content = take_text(raw)) return value(std::move(*content));
    return std::nullopt;
  case field_kind::text:
  case field_kind::one_of:
    if (const auto content = take_text(raw); content && is_utf8(as_text(*content)))
      return value(std::string(as_text(*content)));
    return std::nullopt;
  }
  return std::nullopt;
}

result<value_list> decode_key(const table& x, std::span<const field_number> fields,
                              bytes_view raw) {
  value_list values;
  for (const auto number : fields) {
    auto taken = take_value(x.fields[number], raw);
    if (!taken) return make_error(errc::malformed, "these bytes are no key of " + x.full_name);
    values.push_back(std::move(*taken));
  }
  if (!raw.empty())
    return make_error(errc::malformed, "a key of " + x.full_name + " with bytes left over");
  return values;
}

static std::string names_of(const table& x, std::span<const field_number> fields) {
  std::string text;
  for (const auto number : fields)
    text += (text.empty() ? "" : ", ") + x.fields[number].name;
  return text;
}

result<bytes> key_from_text(const table& x, std::span<const field_number> fields,
                            std::span<const std::string> texts) {
  if (texts.size() > fields.size())
    return make_error(errc::malformed,
                      "too many values: give " + names_of(x, fields) + " of " + x.full_name);
  value_list values;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto read = value_from_text(x.fields[fields[i]], texts[i]);
    if (!read) return read.error();
    values.push_back(std::move(*read));
  }
  return encode_key(x, fields, values);
}

} // namespace tallymesh::contracts
