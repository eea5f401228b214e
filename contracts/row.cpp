#include "contracts/row.hpp"

#include "messages/encoding.hpp"
#include "messages/little_endian.hpp"

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

static checked<decimal> convert_decimal(const field& x, const value& given) {
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
  return *number;
}

/// Why the field cannot hold `given` as it is; nothing if it can. Not asked for decimals, which
/// may be stored in another form.
static std::optional<refusal> misfit(const field& x, const value& given) {
  const auto unless = [&](bool good) -> std::optional<refusal> {
    if (good) return std::nullopt;
    return refuse(outcome::out_of_range, x.name);
  };
  switch (x.kind) {
  case field_kind::text:
    if (const auto* text = given.as<std::string>())
      return unless(in_range(x, characters_in(*text)) && is_utf8(*text));
    break;
  case field_kind::int64:
    if (const auto* number = given.as<std::int64_t>()) return unless(in_range(x, *number));
    break;
  case field_kind::decimal:
    TALLYMESH_INVARIANT(!"a decimal is converted");
    break;
  case field_kind::boolean:
    if (given.as<bool>()) return std::nullopt;
    break;
  case field_kind::bytes:
    if (const auto* raw = given.as<bytes>())
      return unless(in_range(x, static_cast<std::int64_t>(raw->size())));
    break;
  case field_kind::one_of:
    if (const auto* text = given.as<std::string>())
      return unless(std::find(x.choices.begin(), x.choices.end(), *text) != x.choices.end());
    break;
  }
  return refuse(outcome::wrong_type, x.name);
}

checked<value> convert(const field& x, const value& given) {
  if (x.kind == field_kind::decimal) {
    const auto exact = convert_decimal(x, given);
    if (!exact) return exact.error();
    return value(*exact);
  }
  if (auto why = misfit(x, given)) return std::move(*why);
  return given;
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

namespace {

/// A field of the new row: kept as it stands, or given.
struct merged_field {
  const field* of;
  bytes_view kept;    ///< name and value; empty: given
  const value* given; ///< null: a decimal of these units
  std::int64_t units;
};

/// Writes a row as `encode` does (row_view.hpp reads it), into room for all of it.
class row_writer {
public:
  explicit row_writer(std::size_t size) : row_(size), at_(row_.data()) {}

  template <class T>
  void integer(T x) {
    write_little_endian(at_, x);
    at_ += sizeof(T);
  }
  void raw(bytes_view part) { at_ = std::copy(part.begin(), part.end(), at_); }
  void with_size(bytes_view part) {
    integer(static_cast<std::uint32_t>(part.size()));
    raw(part);
  }
  void scalar(const value& x) {
    integer(static_cast<std::uint8_t>(x.data.index()));
    if (const auto* text = x.as<std::string>())
      with_size(as_bytes(*text));
    else if (const auto* number = x.as<std::int64_t>())
      integer(static_cast<std::uint64_t>(*number));
    else if (const auto* flag = x.as<bool>())
      integer(static_cast<std::uint8_t>(*flag));
    else if (const auto* content = x.as<bytes>())
      with_size(*content);
    else
      TALLYMESH_INVARIANT(!"a value that fields do not hold");
  }
  void exact(decimal x) {
    integer(static_cast<std::uint8_t>(value_kind<decimal>));
    integer(static_cast<std::uint64_t>(x.units));
    integer(x.scale);
  }
  bytes take() {
    TALLYMESH_INVARIANT(at_ == row_.data() + row_.size());
    return std::move(row_);
  }

private:
  bytes row_;
  std::uint8_t* at_;
};

std::size_t encoded_bytes(const merged_field& x) {
  if (!x.kept.empty()) return x.kept.size();
  const auto head = 4 + x.of->name.size() + 1;
  if (x.given == nullptr) return head + 8 + 1;
  if (const auto* text = x.given->as<std::string>()) return head + 4 + text->size();
  if (const auto* content = x.given->as<bytes>()) return head + 4 + content->size();
  return head + (x.given->as<bool>() != nullptr ? 1 : 8);
}

bytes write_row(std::span<const merged_field> fields) {
  std::size_t size = 4;
  for (const auto& each : fields)
    size += encoded_bytes(each);
  row_writer out(size);
  out.integer(static_cast<std::uint32_t>(fields.size()));
  for (const auto& each : fields) {
    if (!each.kept.empty()) {
      out.raw(each.kept);
      continue;
    }
    out.with_size(as_bytes(each.of->name));
    if (each.given != nullptr)
      out.scalar(*each.given);
    else
      out.exact({each.units, each.of->scale});
  }
  return out.take();
}

} // namespace

/// Adds what the row holds of one field after the merge, if anything.
static std::optional<refusal> merge_field(const field& x, const value* given, bytes_view kept,
                                          std::vector<merged_field>& after) {
  if (given == nullptr && !kept.empty()) {
    after.push_back({&x, kept, nullptr, 0});
  } else if (given == nullptr || given->is_null()) {
    if (!x.optional) return refuse(outcome::missing_field, x.name);
  } else if (x.kind == field_kind::decimal) {
    const auto exact = convert_decimal(x, *given);
    if (!exact) return exact.error();
    after.push_back({&x, {}, nullptr, exact->units});
  } else {
    if (auto why = misfit(x, *given)) return why;
    after.push_back({&x, {}, given, 0});
  }
  return std::nullopt;
}

checked<bytes> merge(const table& x, const value_map& given,
                     const std::optional<bytes>& before) {
  if (!in_order(given)) return refuse(outcome::malformed_arguments, x.name);
  std::vector<merged_field> fields;
  fields.reserve(x.fields.size());
  // All three are ascending by name, so one pass meets every field.
  auto next_given = given.begin();
  row_view::cursor kept(before ? row_view(*before) : row_view());
  for (const auto& declared : x.fields) {
    const std::string_view name = declared.name;
    const value* fresh = nullptr;
    bytes_view old;
    if (next_given != given.end()) {
      if (next_given->first == name)
        fresh = &(next_given++)->second;
      else if (next_given->first < name)
        break;
    }
    for (bool met = false; !met && kept.at() != nullptr && kept.at()->name <= name;
         kept.next()) {
      met = kept.at()->name == name;
      if (met) old = kept.at()->whole;
    }
    if (auto why = merge_field(declared, fresh, old, fields)) return std::move(*why);
  }
  if (next_given != given.end()) return refuse(outcome::unknown_field, next_given->first);
  auto after = write_row(fields);
  // Of a longer one only the first bytes are in order: a walk would pass over all that share
  // them, any number of them, and nobody would pay for it.
  if (x.has_wide_index)
    for (const auto& index : x.indexes)
      if (index_key(x, index, row_view(after)).size() > limits::max_ordered_index_key_bytes)
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
  std::uint8_t part[8];
  for (std::size_t i = 0; i < 8; ++i)
    part[i] = static_cast<std::uint8_t>(shifted >> 8 * (7 - i));
  out.insert(out.end(), part, part + sizeof part);
}

static void put_ordered(bytes& out, bytes_view raw) {
  if (std::none_of(raw.begin(), raw.end(), [](std::uint8_t byte) { return byte <= escape; })) {
    out.insert(out.end(), raw.begin(), raw.end());
    out.push_back(terminator);
    return;
  }
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

/// `given` as the field stores it.
static std::optional<refusal> put_converted(bytes& out, const field& x, const value& given) {
  if (x.kind == field_kind::decimal) {
    const auto exact = convert_decimal(x, given);
    if (!exact) return exact.error();
    put_value(out, x, value(*exact));
    return std::nullopt;
  }
  if (auto why = misfit(x, given)) return why;
  put_value(out, x, given);
  return std::nullopt;
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
    if (auto why = put_converted(key, declared, *given)) return std::move(*why);
  }
  if (key.size() > limits::max_row_key_bytes) return too_long(x);
  return key;
}

checked<bytes> key_of(const table& x, std::span<const value> values) {
  if (values.size() != x.key.size()) return refuse(outcome::malformed_arguments, "key");
  bytes key;
  key.reserve(32);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& declared = x.fields[x.key[i]];
    if (values[i].is_null()) return refuse(outcome::missing_field, declared.name);
    if (auto why = put_converted(key, declared, values[i])) return std::move(*why);
  }
  if (key.size() > limits::max_row_key_bytes) return too_long(x);
  return key;
}

/// As `put_value` of the value decoded; `encoded` is empty if there is none.
static void put_encoded(bytes& out, const field& x, bytes_view encoded) {
  if (encoded.empty()) return put_value(out, x, value());
  if (x.optional) out.push_back(present_mark);
  switch (kind_of(encoded)) {
  case value_kind<bool>:
    out.push_back(flag_of(encoded) ? 1 : 0);
    return;
  case value_kind<std::int64_t>:
  case value_kind<decimal>:
    return put_ordered(out, integer_of(encoded));
  case value_kind<std::string>:
  case value_kind<bytes>:
    return put_ordered(out, content_of(encoded));
  default:
    TALLYMESH_INVARIANT(!"a list or map in a key");
  }
}

bytes index_key(const table& x, std::span<const field_number> index, const row_view& row) {
  bytes key;
  key.reserve(32);
  for (const auto number : index)
    put_encoded(key, x.fields[number], row.find(x.fields[number].name));
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
