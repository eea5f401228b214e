#include "contracts/row.hpp"

#include "contracts/table_source.hpp"
#include "messages/encoding.hpp"
#include "messages/little_endian.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

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

static bool in_range(const field& x, std::int64_t size) {
  return size >= x.min && size <= x.max;
}

/// Of UTF-8: bytes, but for those that go on with a character (10xxxxxx).
static std::int64_t characters_in(std::string_view text) {
  constexpr std::uint64_t ones = 0x0101'0101'0101'0101;
  auto count = static_cast<std::int64_t>(text.size());
  while (!text.empty()) {
    std::uint64_t eight = 0;
    const auto size = std::min(text.size(), sizeof eight);
    std::memcpy(&eight, text.data(), size);
    // A bit for each of the eight, added up in the highest byte.
    count -= ((eight >> 7 & ~(eight >> 6) & ones) * ones) >> 56;
    text.remove_prefix(size);
  }
  return count;
}

/// Whether the text has as many characters as the field asks for.
static bool has_good_length(const field& x, std::string_view text) {
  const auto size = static_cast<std::int64_t>(text.size());
  // A character is one to four bytes, so most texts need not be counted.
  if (size <= x.max && (size + 3) / 4 >= x.min) return true;
  return in_range(x, characters_in(text));
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

static checked<decimal> convert_decimal(const field& x, const given_value& given) {
  std::optional<decimal> number;
  if (const auto* exact = given.as<decimal>())
    number = rescale(*exact, x.scale);
  else if (const auto* whole = given.as<std::int64_t>())
    number = rescale({*whole, 0}, x.scale);
  else if (const auto* text = given.as<std::string_view>(); text && looks_like_number(*text))
    number = decimal::from_text(*text, x.scale);
  else
    return refuse(outcome::wrong_type, x.name);
  if (!number || !in_range(x, number->units)) return refuse(outcome::out_of_range, x.name);
  return *number;
}

/// Why the field cannot hold `given` as it is; nothing if it can. Not asked for decimals, which
/// may be stored in another form.
static std::optional<refusal> misfit(const field& x, const given_value& given) {
  const auto unless = [&](bool good) -> std::optional<refusal> {
    if (good) return std::nullopt;
    return refuse(outcome::out_of_range, x.name);
  };
  switch (x.kind) {
  case field_kind::text:
    if (const auto* text = given.as<std::string_view>())
      return unless(is_utf8(*text) && has_good_length(x, *text));
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
    if (const auto* raw = given.as<bytes_view>())
      return unless(in_range(x, static_cast<std::int64_t>(raw->size())));
    break;
  case field_kind::one_of:
    if (const auto* text = given.as<std::string_view>())
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

value_map stored_row(bytes_view raw) {
  auto row = decode<value_map>(raw);
  TALLYMESH_INVARIANT(row.has_value());
  return std::move(*row);
}

namespace {

/// Writes a row, or values of it, as `encode` does (row_view.hpp reads it), where there is
/// room.
class row_writer {
public:
  explicit row_writer(std::uint8_t* at) : at_(at) {}

  template <class T>
  void integer(T x) {
    write_little_endian(at_, x);
    at_ += sizeof(T);
  }
  void raw(bytes_view part) { at_ = copy_to(at_, part); }
  void with_size(bytes_view part) {
    integer(static_cast<std::uint32_t>(part.size()));
    raw(part);
  }
  template <class T>
  void kind() {
    integer(static_cast<std::uint8_t>(value_kind<T>));
  }
  void scalar(const given_value& x) {
    if (const auto* text = x.as<std::string_view>())
      kind<std::string>(), with_size(as_bytes(*text));
    else if (const auto* number = x.as<std::int64_t>())
      kind<std::int64_t>(), integer(static_cast<std::uint64_t>(*number));
    else if (const auto* flag = x.as<bool>())
      kind<bool>(), integer(static_cast<std::uint8_t>(*flag));
    else if (const auto* content = x.as<bytes_view>())
      kind<bytes>(), with_size(*content);
    else
      TALLYMESH_INVARIANT(!"a value that fields do not hold");
  }
  void exact(decimal x) {
    kind<decimal>();
    integer(static_cast<std::uint64_t>(x.units));
    integer(x.scale);
  }
  void given(const row_merge::forms& form, const field& declared) {
    if (form.from == row_merge::source::exact)
      exact({form.units, declared.scale});
    else
      scalar(*form.given);
  }
  const std::uint8_t* at() const { return at_; }

private:
  std::uint8_t* at_;
};

std::size_t encoded_bytes_of(const given_value& x) {
  if (const auto* text = x.as<std::string_view>()) return 1 + 4 + text->size();
  if (const auto* content = x.as<bytes_view>()) return 1 + 4 + content->size();
  return x.as<bool>() != nullptr ? 1 + 1 : 1 + 8;
}
constexpr std::size_t exact_bytes = 1 + 8 + 1;

} // namespace

/// What the row holds of a field that is given, after the merge.
std::optional<refusal> row_merge::take_given(const field& declared, forms& form) const {
  if (form.given == nullptr || form.given->is_null()) {
    if (!declared.optional) return refuse(outcome::missing_field, declared.name);
    return std::nullopt;
  }
  if (declared.kind == field_kind::decimal) {
    const auto exact = convert_decimal(declared, *form.given);
    if (!exact) return exact.error();
    form.from = source::exact;
    form.units = exact->units;
    return std::nullopt;
  }
  form.from = source::given;
  return misfit(declared, *form.given);
}

void row_merge::count(const field& declared, const forms& form) {
  std::size_t size = 0;
  if (form.from == source::kept)
    size = form.before.size();
  else if (form.from == source::exact)
    size = exact_bytes;
  else if (form.from == source::given)
    size = encoded_bytes_of(*form.given);
  same_places_ = same_places_ && size == form.before.size();
  if (size == 0) return;
  ++present_;
  size_ += 4 + declared.name.size() + size;
}

/// One pass: the declared fields, the given ones and those of `before` all ascend by name.
std::optional<refusal> row_merge::gather(given_row given,
                                         const std::optional<shared_bytes>& before) {
  auto next = given.begin();
  row_view::cursor held(before ? row_view(*before) : row_view());
  same_places_ = before.has_value();
  forms_.resize(of_.fields.size());
  for (std::size_t i = 0; i < of_.fields.size(); ++i) {
    const auto& declared = of_.fields[i];
    const std::string_view name = declared.name;
    auto& form = forms_[i];
    for (const auto* at = held.at(); at != nullptr; at = held.at()) {
      const bool met = is_same(at->name, name);
      if (!met && order_of(at->name, name) > 0) break;
      if (met)
        form.before = at->encoded;
      else
        same_places_ = false; // of an earlier declaration: it goes
      held.next();
      if (met) break;
    }
    const bool is_given = next != given.end() && is_same(next->name, name);
    if (is_given) form.given = &(next++)->what;
    if (!is_given && !form.before.empty()) {
      form.from = source::kept;
    } else if (auto why = take_given(declared, form)) {
      // A given name that no field has stays next: it is what is wrong first.
      if (next != given.end() && next->name < name)
        return refuse(outcome::unknown_field, next->name);
      return why;
    }
    count(declared, form);
  }
  if (held.at() != nullptr) same_places_ = false;
  if (next != given.end()) return refuse(outcome::unknown_field, next->name);
  return std::nullopt;
}

void row_merge::write_whole(std::uint8_t* to) {
  row_writer out(to);
  out.integer(present_);
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    auto& form = forms_[i];
    const auto& declared = of_.fields[i];
    if (form.from == source::none) continue;
    out.with_size(as_bytes(declared.name));
    const auto* const start = out.at();
    if (form.from == source::kept)
      out.raw(form.before);
    else
      out.given(form, declared);
    form.after = {start, out.at()};
  }
  TALLYMESH_INVARIANT(out.at() == to + size_);
}

void row_merge::write_over(bytes_view before, std::uint8_t* to) {
  std::copy(before.begin(), before.end(), to);
  for (std::size_t i = 0; i < forms_.size(); ++i) {
    auto& form = forms_[i];
    if (form.from == source::none) continue;
    auto* const at = to + (form.before.data() - before.data());
    form.after = {at, form.before.size()};
    if (form.from != source::kept) row_writer(at).given(form, of_.fields[i]);
  }
}

checked<void> row_merge::apply(given_row given, const std::optional<shared_bytes>& before) {
  replaces_ = before.has_value();
  if (auto why = gather(given, before)) return std::move(*why);
  after_ = shared_bytes::made(same_places_ ? before->size() : size_, [&](std::uint8_t* to) {
    if (same_places_)
      write_over(*before, to);
    else
      write_whole(to);
  });
  if (of_.has_wide_index)
    if (auto why = check_width()) return std::move(*why);
  return {};
}

checked<shared_bytes> merge(const table& x, const value_map& given,
                            const std::optional<shared_bytes>& before) {
  const given_fields row(given);
  if (!in_order(row)) return refuse(outcome::malformed_arguments, x.name);
  row_merge made(x);
  if (auto done = made.apply(row, before); !done) return done.error();
  return made.take();
}

// --- keys

static constexpr std::uint8_t absent_mark = 0, present_mark = 1;
// Inside a text: the terminator and the escape sign themselves, shifted above the terminator.
static constexpr std::uint8_t terminator = 0, escape = 1, escaped_terminator = 1,
                              escaped_escape = 2;

/// A key that is being made, where most find room.
using key_in_making = boost::container::small_vector<std::uint8_t, 256>;

static void append(key_in_making& out, bytes_view raw) {
  const auto at = out.size();
  out.resize(at + raw.size(), boost::container::default_init);
  copy_to(out.data() + at, raw);
}

static void put_ordered(key_in_making& out, std::int64_t x) {
  const auto shifted =
      static_cast<std::uint64_t>(x) ^ (std::uint64_t{1} << 63); // negative below positive
  std::uint8_t part[8];
  for (std::size_t i = 0; i < 8; ++i)
    part[i] = static_cast<std::uint8_t>(shifted >> 8 * (7 - i));
  append(out, part);
}

/// Whether a byte is a terminator or an escape, that is below 2.
static bool has_escapable(bytes_view raw) {
  constexpr std::uint64_t ones = 0x0101'0101'0101'0101, highest = ones << 7;
  for (; raw.size() >= sizeof ones; raw = raw.subspan(sizeof ones)) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, raw.data(), sizeof eight);
    if (((eight - 2 * ones) & ~eight & highest) != 0) return true;
  }
  return std::any_of(raw.begin(), raw.end(), [](std::uint8_t byte) { return byte <= escape; });
}

static void put_ordered(key_in_making& out, bytes_view raw) {
  if (!has_escapable(raw)) {
    append(out, raw);
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

static void put_value(key_in_making& out, const field& x, const given_value& what) {
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
  else if (const auto* text = what.as<std::string_view>())
    put_ordered(out, as_bytes(*text));
  else if (const auto* raw = what.as<bytes_view>())
    put_ordered(out, *raw);
  else
    TALLYMESH_INVARIANT(!"a list or map in a key");
}

bytes encode_key(const table& x, std::span<const field_number> fields,
                 std::span<const value> values) {
  TALLYMESH_INVARIANT(values.size() <= fields.size());
  key_in_making out;
  for (std::size_t i = 0; i < values.size(); ++i)
    put_value(out, x.fields[fields[i]], values[i]);
  return {out.begin(), out.end()};
}

/// `given` as the field stores it.
static std::optional<refusal> put_converted(key_in_making& out, const field& x,
                                            const given_value& given) {
  if (given.is_null()) return refuse(outcome::missing_field, x.name);
  if (x.kind == field_kind::decimal) {
    const auto exact = convert_decimal(x, given);
    if (!exact) return exact.error();
    put_value(out, x, *exact);
    return std::nullopt;
  }
  if (auto why = misfit(x, given)) return why;
  put_value(out, x, given);
  return std::nullopt;
}

/// `given` says what stands in the i-th field of the key.
template <class F>
static checked<bytes> make_key(const table& x, F given) {
  key_in_making key;
  for (std::size_t i = 0; i < x.key.size(); ++i)
    if (auto why = put_converted(key, x.fields[x.key[i]], given(i))) return std::move(*why);
  if (key.size() > limits::max_row_key_bytes) return refuse(outcome::key_too_long, x.name);
  return bytes(key.begin(), key.end());
}

checked<bytes> key_of(const table& x, given_row row) {
  return make_key(x, [&](std::size_t i) {
    const auto& name = x.fields[x.key[i]].name;
    const auto at = std::find_if(row.begin(), row.end(),
                                 [&](const given_field& each) { return each.name == name; });
    return at == row.end() ? given_value() : at->what;
  });
}

checked<bytes> key_of(const table& x, const value_map& row) {
  const given_fields given(row);
  if (!in_order(given)) return refuse(outcome::malformed_arguments, x.name);
  return key_of(x, given_row(given));
}

checked<bytes> key_of(const table& x, std::span<const value> values) {
  if (values.size() != x.key.size()) return refuse(outcome::malformed_arguments, "key");
  return make_key(x, [&](std::size_t i) -> given_value { return values[i]; });
}

checked<bytes> key_of(const table& x, std::initializer_list<given_value> values) {
  if (values.size() != x.key.size()) return refuse(outcome::malformed_arguments, "key");
  return make_key(x, [&](std::size_t i) { return values.begin()[i]; });
}

/// As `put_value` of the value decoded; `encoded` is empty if there is none.
static void put_encoded(key_in_making& out, const field& x, bytes_view encoded) {
  if (encoded.empty()) return put_value(out, x, given_value());
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

/// `encoded` says what the row has of a field.
template <class F>
static bytes make_index_key(const table& x, std::span<const field_number> index, F encoded) {
  key_in_making key;
  for (const auto number : index)
    put_encoded(key, x.fields[number], encoded(number));
  return {key.begin(), key.end()};
}

bytes index_key(const table& x, std::span<const field_number> index, const row_view& row) {
  return make_index_key(x, index,
                        [&](field_number number) { return row.find(x.fields[number].name); });
}

/// Of a longer key only the first bytes are in order: a walk would pass over all that share
/// them, any number of them, and nobody would pay for it.
std::optional<refusal> row_merge::check_width() const {
  for (const auto& index : of_.indexes) {
    std::size_t most = 0; // each byte may be escaped, and there are marks and a terminator
    for (const auto number : index)
      most += 2 * forms_[number].after.size() + 2;
    if (most <= limits::max_ordered_index_key_bytes) continue;
    const auto key =
        make_index_key(of_, index, [&](auto number) { return forms_[number].after; });
    if (key.size() > limits::max_ordered_index_key_bytes)
      return refuse(outcome::key_too_long, of_.fields[index.front()].name);
  }
  return std::nullopt;
}

moved_entries row_merge::entries_moved(const bytes& row_key) const {
  moved_entries made;
  for (std::size_t i = 0; i < of_.indexes.size(); ++i) {
    const auto& index = of_.indexes[i];
    const bool same = std::all_of(index.begin(), index.end(), [&](field_number number) {
      return is_same(forms_[number].before, forms_[number].after);
    });
    if (replaces_ && same) continue;
    const auto number = static_cast<std::uint8_t>(i);
    auto fresh = make_index_key(of_, index, [&](auto n) { return forms_[n].after; });
    if (replaces_) {
      auto gone = make_index_key(of_, index, [&](auto n) { return forms_[n].before; });
      if (gone == fresh) continue;
      made.push_back({of_.full_name, number, std::move(gone), row_key, false});
    }
    made.push_back({of_.full_name, number, std::move(fresh), row_key, true});
  }
  return made;
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
