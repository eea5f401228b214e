// Rows against their declaration, and the order of keys in bytes.
#include "contracts/index_change.hpp"
#include "contracts/row.hpp"
#include "messages/encoding.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <map>
#include <random>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace tallymesh {
static std::ostream& operator<<(std::ostream& out, outcome x) { return out << to_string(x); }
} // namespace tallymesh

namespace {

contract parse_good(const std::string& source) {
  auto made = parse(source, "test.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  return *made;
}

const table& orders() {
  static const auto made =
      parse_good(R"(return { contract = "orders", version = 1, tables = { orders = {
    key = { "id" },
    fields = { id = text{max=8, min=1}, amount = decimal{scale=2, min=0, max="99.99"}, count = int64{min=-5, max=5},
               paid = bool{}, seal = optional(bytes{max=4}), state = one_of{"new", "done"},
               remark = text{max=3, optional=true} },
    index = { {"state"}, {"remark", "count"} } } } })");
  return made.tables[0];
}

value_map good_row() {
  value_map row;
  put(row, "id", "a1");
  put(row, "amount", decimal{1250, 2});
  put(row, "count", std::int64_t{3});
  put(row, "paid", false);
  put(row, "state", "new");
  return row;
}

/// What comes of storing the good row with one field given otherwise; null value: as null.
refusal verdict(const std::string& name, value given) {
  auto row = good_row();
  put(row, name, std::move(given));
  if (const auto key = key_of(orders(), row); !key) return key.error();
  const auto made = merge(orders(), row, std::nullopt);
  return made ? refusal{outcome::done, ""} : made.error();
}

#define CHECK_VERDICT(name, given, expected)                                                   \
  do {                                                                                         \
    const auto got = verdict(name, given);                                                     \
    BOOST_TEST(got.why == (expected));                                                         \
    BOOST_TEST(got.detail == ((expected) == outcome::done ? "" : name));                       \
  } while (false)

value stored(const std::string& name, value given) {
  auto row = good_row();
  put(row, name, std::move(given));
  const auto made = merge(orders(), row, std::nullopt);
  BOOST_TEST_REQUIRE(made.has_value());
  const auto kept = stored_row(*made);
  const auto* found = find(kept, name);
  return found ? *found : value();
}

/// Declarations, and what is given for them, of any kind; few names, so that they often meet.
struct anything {
  std::mt19937 chance;

  std::size_t below(std::size_t limit) { return chance() % limit; }
  std::string name() { return std::string(1, static_cast<char>('a' + below(6))); }
  contract declaration() {
    static constexpr const char* kinds[] = {
        "int64{min=-9, max=9}", "text{max=5}", "decimal{scale=2}",
        "decimal{scale=0}",     "bool{}",      "bytes{max=3}",
        "one_of{'x', 'y'}"};
    std::map<std::string, std::string> fields{{"a", "int64{}"}};
    for (auto count = below(6); count > 0; --count) {
      const std::string kind = kinds[below(std::size(kinds))];
      fields[name()] = below(2) == 0 ? kind : "optional(" + kind + ")";
    }
    fields["a"] = "int64{}";
    std::string text, index;
    for (const auto& [of, kind] : fields) {
      text += of + " = " + kind + ", ";
      index += '"' + of + "\", ";
    }
    return parse_good("return { contract = 't', version = 1, tables = { t = { key = {'a'}, "
                      "fields = { "
                      + text + " }, index = { {" + index + "} } } } }");
  }
  value given() {
    static const value all[] = {
        value(),        value(true),           value(std::int64_t{7}), value(std::int64_t{70}),
        value("x"),     value("3.5"),          value("too long"),      value(decimal{150, 1}),
        value(bytes{}), value(bytes{1, 0, 2}), value(value_list{}),    value("")};
    return all[below(std::size(all))];
  }
  value fitting(const field& x) {
    for (;;)
      if (auto one = given(); convert(x, one)) return one;
  }
  /// Mostly what fits.
  value_map row(const table& of) {
    value_map x;
    for (const auto& each : of.fields)
      if (each.name == "a" || below(4) != 0) put(x, each.name, fitting(each));
    while (below(4) == 0)
      put(x, name(), given());
    return x;
  }
};

/// What merging comes to, in other words: field by field, on decoded rows.
std::optional<value_map> merged(const table& x, const value_map& given,
                                const value_map& before) {
  for (const auto& [name, what] : given)
    if (std::none_of(x.fields.begin(), x.fields.end(),
                     [&](const field& each) { return each.name == name; }))
      return std::nullopt;
  value_map after;
  for (const auto& each : x.fields) {
    const auto* fresh = find(given, each.name);
    const auto* kept = find(before, each.name);
    if (fresh == nullptr && kept != nullptr) {
      put(after, each.name, *kept);
    } else if (fresh == nullptr || fresh->is_null()) {
      if (!each.optional) return std::nullopt;
    } else {
      const auto good = convert(each, *fresh);
      if (!good) return std::nullopt;
      put(after, each.name, *good);
    }
  }
  return after;
}

} // namespace

BOOST_AUTO_TEST_SUITE(rows)

BOOST_AUTO_TEST_CASE(a_good_row_is_stored_in_canonical_form) {
  const auto made = merge(orders(), good_row(), std::nullopt);
  BOOST_TEST_REQUIRE(made.has_value());
  BOOST_TEST((stored_row(*made) == good_row()));
}

BOOST_AUTO_TEST_CASE(a_stored_row_has_the_bytes_of_any_encoded_row) {
  const auto made = merge(orders(), good_row(), std::nullopt);
  BOOST_TEST_REQUIRE(made.has_value());
  BOOST_TEST((*made == encode(good_row())));
  value_map change;
  put(change, "id", *find(good_row(), "id"));
  put(change, "state", "done");
  auto expected = good_row();
  put(expected, "state", "done");
  const auto after = merge(orders(), change, *made);
  BOOST_TEST_REQUIRE(after.has_value());
  BOOST_TEST((*after == encode(expected)));
}

BOOST_AUTO_TEST_CASE(a_row_read_in_place_holds_what_the_decoded_row_holds) {
  value_map row;
  put(row, "amount", decimal{-1250, 2});
  put(row, "code", std::string(300, 'x'));
  put(row, "count", std::numeric_limits<std::int64_t>::min());
  put(row, "empty", "");
  put(row, "paid", true);
  put(row, "print", bytes{0, 1, 255});
  const auto stored = encode(row);
  const row_view in_place(stored);
  for (const auto& [name, each] : row)
    BOOST_TEST((in_place.value_of(name) == each));
  BOOST_TEST(in_place.units("amount") == -1250);
  BOOST_TEST(in_place.number("count") == std::numeric_limits<std::int64_t>::min());
  BOOST_TEST(in_place.text("code") == std::string(300, 'x'));
  BOOST_TEST(in_place.text("empty") == "");
  BOOST_TEST(in_place.has("empty"));
  std::size_t met = 0;
  for (row_view::cursor walk(in_place); walk.at() != nullptr; walk.next())
    BOOST_TEST(walk.at()->name == row[met++].first);
  BOOST_TEST(met == row.size());
  BOOST_TEST(!in_place.has("amounts"));
  BOOST_TEST(in_place.value_of("zzz").is_null());
  BOOST_TEST(row_view().number("count") == 0);
  BOOST_TEST(row_view().text("code") == "");
}

// Also over a row of another declaration: that is what a migration stores over.
BOOST_AUTO_TEST_CASE(rows_merged_in_place_are_those_merged_field_by_field) {
  anything any{std::mt19937(5)};
  std::size_t stored = 0, over_others = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto now = any.declaration(), other = any.declaration();
    const auto& of = now.tables[0];
    std::optional<shared_bytes> before;
    bool is_others = false;
    for (int step = 0; step < 6; ++step) {
      const auto given = any.row(of);
      const auto expected = merged(of, given, before ? stored_row(*before) : value_map());
      const auto made = merge(of, given, before);
      BOOST_TEST_REQUIRE(made.has_value() == expected.has_value());
      if (made) {
        BOOST_TEST_REQUIRE((*made == encode(*expected)));
        const row_view row(*made);
        for (const auto& each : of.fields) {
          const auto* held = find(*expected, each.name);
          BOOST_TEST_REQUIRE((row.value_of(each.name) == (held ? *held : value())));
        }
        ++stored;
        over_others += is_others;
      }
      is_others = step % 2 == 0;
      const auto next = is_others ? merge(other.tables[0], any.row(other.tables[0]), {}) : made;
      if (next) before = *next;
      is_others = is_others && next.has_value();
    }
  }
  BOOST_TEST(stored > 1000u);
  BOOST_TEST(over_others > 1000u);
}

BOOST_AUTO_TEST_CASE(each_broken_rule_has_its_own_outcome_and_names_the_field) {
  CHECK_VERDICT("nope", "x", outcome::unknown_field);
  CHECK_VERDICT("id", std::int64_t{1}, outcome::wrong_type);
  CHECK_VERDICT("id", "", outcome::out_of_range);
  CHECK_VERDICT("id", "123456789", outcome::out_of_range);
  CHECK_VERDICT("id", value(), outcome::missing_field);
  CHECK_VERDICT("count", value(), outcome::missing_field);
  CHECK_VERDICT("count", std::int64_t{6}, outcome::out_of_range);
  CHECK_VERDICT("count", std::int64_t{-6}, outcome::out_of_range);
  CHECK_VERDICT("count", "3", outcome::wrong_type);
  CHECK_VERDICT("count", (decimal{3, 0}), outcome::wrong_type);
  CHECK_VERDICT("paid", std::int64_t{1}, outcome::wrong_type);
  CHECK_VERDICT("seal", "text", outcome::wrong_type);
  CHECK_VERDICT("seal", bytes(5), outcome::out_of_range);
  CHECK_VERDICT("seal", bytes(4), outcome::done);
  CHECK_VERDICT("state", "old", outcome::out_of_range);
  CHECK_VERDICT("state", true, outcome::wrong_type);
  CHECK_VERDICT("remark", value(value_list{}), outcome::wrong_type);
  CHECK_VERDICT("remark", value(value_map{}), outcome::wrong_type);
  CHECK_VERDICT("remark", value(), outcome::done);
}

BOOST_AUTO_TEST_CASE(a_missing_required_field_is_named) {
  for (const std::string name : {"id", "amount", "count", "paid", "state"}) {
    auto row = good_row();
    std::erase_if(row, [&](const auto& entry) { return entry.first == name; });
    const auto key = key_of(orders(), row);
    const auto got = key ? merge(orders(), row, std::nullopt).error() : key.error();
    BOOST_TEST(got.why == outcome::missing_field);
    BOOST_TEST(got.detail == name);
  }
}

BOOST_AUTO_TEST_CASE(text_is_measured_in_characters_not_bytes) {
  CHECK_VERDICT("remark", "网状网", outcome::done);
  CHECK_VERDICT("remark", "网状网块", outcome::out_of_range);
}

BOOST_AUTO_TEST_CASE(a_decimal_is_taken_from_any_exact_form_and_kept_at_its_scale) {
  const value expected(decimal{1250, 2});
  BOOST_TEST((stored("amount", decimal{125, 1}) == expected));
  BOOST_TEST((stored("amount", decimal{12500, 3}) == expected));
  BOOST_TEST((stored("amount", "12.5") == expected));
  BOOST_TEST((stored("amount", "+12.50") == expected));
  BOOST_TEST((stored("amount", std::int64_t{12}) == value(decimal{1200, 2})));
  CHECK_VERDICT("amount", (decimal{12501, 3}), outcome::out_of_range);
  CHECK_VERDICT("amount", "12.501", outcome::out_of_range);
  CHECK_VERDICT("amount", "100", outcome::out_of_range);
  CHECK_VERDICT("amount", "-0.01", outcome::out_of_range);
  CHECK_VERDICT("amount", std::numeric_limits<std::int64_t>::max(), outcome::out_of_range);
  CHECK_VERDICT("amount", "twelve", outcome::wrong_type);
  CHECK_VERDICT("amount", "1.", outcome::wrong_type);
  CHECK_VERDICT("amount", "", outcome::wrong_type);
}

BOOST_AUTO_TEST_CASE(a_partial_row_is_merged_over_the_row_there_is) {
  auto first = good_row();
  put(first, "remark", "abc");
  const auto before = merge(orders(), first, std::nullopt);
  BOOST_TEST_REQUIRE(before.has_value());
  value_map change;
  put(change, "id", "a1");
  put(change, "state", "done");
  auto expected = first;
  put(expected, "state", "done");
  const auto after = merge(orders(), change, *before);
  BOOST_TEST_REQUIRE(after.has_value());
  BOOST_TEST((stored_row(*after) == expected));
  put(change, "remark", value());
  const auto without = merge(orders(), change, *after);
  BOOST_TEST_REQUIRE(without.has_value());
  BOOST_TEST(!find(stored_row(*without), "remark"));
  put(change, "count", value());
  BOOST_TEST(merge(orders(), change, *after).error().why == outcome::missing_field);
}

BOOST_AUTO_TEST_CASE(a_row_whose_names_are_out_of_order_or_doubled_is_malformed) {
  auto row = good_row();
  std::swap(row[0], row[1]);
  BOOST_TEST(key_of(orders(), row).error().why == outcome::malformed_arguments);
  BOOST_TEST(merge(orders(), row, std::nullopt).error().why == outcome::malformed_arguments);
  row = good_row();
  row.insert(row.begin(), row.front());
  BOOST_TEST(merge(orders(), row, std::nullopt).error().why == outcome::malformed_arguments);
}

BOOST_AUTO_TEST_CASE(a_long_unknown_name_is_cut_to_whole_characters) {
  std::string name = "x";
  for (int i = 0; i < 1000; ++i)
    name += "网";
  const auto got = verdict(name, true);
  BOOST_TEST(got.why == outcome::unknown_field);
  BOOST_TEST(got.detail.size() == 64u); // x and 21 characters of 3 bytes
  BOOST_TEST(is_utf8(got.detail));
}

BOOST_AUTO_TEST_CASE(keys_that_are_too_long_are_refused_in_rows_and_in_indexes) {
  const auto made =
      parse_good("return { contract='c', version=1, tables={ t={ key={'k'}, index={{'v'}}, "
                 "fields={ k=text{max=300}, v=text{max=300} } } } }");
  const auto row = [](std::size_t key, std::size_t indexed) {
    value_map x;
    put(x, "k", std::string(key, 'k'));
    put(x, "v", std::string(indexed, 'v'));
    return x;
  };
  const auto& table = made.tables[0];
  BOOST_TEST(key_of(table, row(254, 1)).has_value());
  BOOST_TEST(key_of(table, row(255, 1)).error().why == outcome::key_too_long);
  // 253 bytes with the terminator: all of it stands in order, and no walk finds others between.
  BOOST_TEST(merge(table, row(1, 252), std::nullopt).has_value());
  BOOST_TEST(
      (merge(table, row(1, 253), std::nullopt).error() == refusal{outcome::key_too_long, "v"}));
}

BOOST_AUTO_TEST_CASE(an_index_key_may_be_too_long_by_its_mark_alone) {
  // 63 characters of four bytes and a terminator are 253; that the field is optional is a byte.
  std::string widest;
  for (int i = 0; i < 63; ++i)
    widest += "\xF0\x9F\x8C\x90";
  value_map row;
  put(row, "k", "k");
  put(row, "v", widest);
  const auto outcome_with = [&](const std::string& type) {
    const auto made = parse_good("return { contract='c', version=1, tables={ t={ key={'k'}, "
                                 "index={{'v'}}, fields={ k=text{max=3}, v="
                                 + type + " } } } }");
    const auto merged = merge(made.tables[0], row, std::nullopt);
    return merged ? outcome::done : merged.error().why;
  };
  BOOST_TEST(outcome_with("text{max=63}") == outcome::done);
  BOOST_TEST(outcome_with("optional(text{max=63})") == outcome::key_too_long);
}

BOOST_AUTO_TEST_CASE(values_read_from_text_follow_the_declared_type) {
  const auto read = [](const std::string& name, const std::string& text) {
    return value_from_text(*orders().find_field(name), text);
  };
  BOOST_TEST((*read("count", "-5") == value(std::int64_t{-5})));
  BOOST_TEST((*read("paid", "true") == value(true)));
  BOOST_TEST((*read("amount", "1.5") == value(decimal{150, 2})));
  BOOST_TEST((*read("seal", "00ff") == value(bytes{0, 255})));
  BOOST_TEST(read("remark", "")->is_null());
  BOOST_TEST(read("count", "5x").error().context == "field count must be int64{min=-5, max=5}");
  BOOST_TEST(read("count", "").error().context == "field count must be int64{min=-5, max=5}");
  BOOST_TEST(read("state", "old").error().context
             == "field state must be one_of{\"new\", \"done\"}");
  BOOST_TEST(!read("paid", "yes").has_value());
  BOOST_TEST(!read("seal", "0").has_value());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(keys_in_bytes)

namespace {

const table& wide() {
  static const auto made = parse_good(R"(return { contract = "c", version = 1, tables = { t = {
    key = { "a" }, fields = { a = text{max=100000}, b = int64, c = decimal{scale=3}, d = bool, e = bytes{max=100000},
                              f = optional(text{max=100000}), g = optional(int64), h = one_of{"x", "y", "xy"} } } } })");
  return made.tables[0];
}

/// Small alphabets and extremes, so that equal prefixes and edges are frequent.
value random_value(const field& x, std::mt19937& random) {
  const auto pick = [&](std::uint32_t below) { return random() % below; };
  if (x.optional && pick(4) == 0) return value();
  static constexpr std::int64_t numbers[] = {
      std::numeric_limits<std::int64_t>::min(), -256, -1, 0, 1, 255, 256,
      std::numeric_limits<std::int64_t>::max()};
  const auto number =
      pick(2) ? numbers[pick(8)] : static_cast<std::int64_t>(random()) - 2'000'000'000;
  switch (x.kind) {
  case field_kind::int64:
    return value(number);
  case field_kind::decimal:
    return value(decimal{number, x.scale});
  case field_kind::boolean:
    return value(pick(2) == 1);
  case field_kind::one_of:
    return value(x.choices[pick(static_cast<std::uint32_t>(x.choices.size()))]);
  case field_kind::text: {
    static const std::string parts[] = {
        std::string(1, '\0'), "\x01", "\x02", "a", "b", "é", "网", "\U0001F600"};
    std::string text;
    for (auto left = pick(5); left > 0; --left)
      text += parts[pick(8)];
    return value(text);
  }
  case field_kind::bytes: {
    static constexpr std::uint8_t parts[] = {0, 1, 2, 127, 254, 255};
    bytes raw;
    for (auto left = pick(5); left > 0; --left)
      raw.push_back(parts[pick(6)]);
    return value(raw);
  }
  }
  return value();
}

/// The order that people expect: null first, false before true, numbers by size, texts and
/// bytes bytewise.
int compare(const value& a, const value& b) {
  if (a.is_null() || b.is_null()) return int(!a.is_null()) - int(!b.is_null());
  const auto sign = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (const auto* x = a.as<std::int64_t>()) return sign(*x, *b.as<std::int64_t>());
  if (const auto* x = a.as<decimal>()) return sign(x->units, b.as<decimal>()->units);
  if (const auto* x = a.as<bool>()) return int(*x) - int(*b.as<bool>());
  if (const auto* x = a.as<bytes>()) return sign(*x, *b.as<bytes>());
  return sign(std::string_view(*a.as<std::string>()), std::string_view(*b.as<std::string>()));
}

int compare(const value_list& a, const value_list& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (const auto order = compare(a[i], b[i])) return order;
  return 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(bytes_order_as_values_do_and_decode_to_them) {
  std::mt19937 random(7);
  const auto& table = wide();
  for (int round = 0; round < 50'000; ++round) {
    field_numbers fields;
    for (auto left = 1 + random() % 3; left > 0; --left)
      fields.push_back(static_cast<field_number>(random() % table.fields.size()));
    value_list a, b;
    for (const auto number : fields) {
      a.push_back(random_value(table.fields[number], random));
      b.push_back(random() % 2 ? a.back() : random_value(table.fields[number], random));
    }
    const auto left = encode_key(table, fields, a), right = encode_key(table, fields, b);
    const int expected = compare(a, b), got = left < right ? -1 : right < left ? 1 : 0;
    BOOST_REQUIRE_EQUAL(expected, got);
    const auto back = decode_key(table, fields, left);
    BOOST_REQUIRE(back.has_value() && *back == a);
    // The first values' encoding starts the whole one, and no other value's does: so a range
    // over the prefix finds exactly the rows with these values.
    const auto prefix = encode_key(table, fields, std::span(b).first(1));
    const bool starts =
        right.size() >= prefix.size()
        && std::equal(prefix.begin(), prefix.end(), left.begin(),
                      left.begin()
                          + static_cast<std::ptrdiff_t>(std::min(prefix.size(), left.size())));
    BOOST_REQUIRE_EQUAL(starts, compare(a[0], b[0]) == 0);
  }
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_key_do_not_decode) {
  std::mt19937 random(11);
  const auto& table = wide();
  const field_numbers text{0}, number{1}, flag{3}, maybe{6};
  BOOST_TEST(!decode_key(table, text, bytes{'a'}).has_value());       // unterminated
  BOOST_TEST(!decode_key(table, text, bytes{1, 3, 0}).has_value());   // no such escape
  BOOST_TEST(!decode_key(table, text, bytes{1}).has_value());         // half an escape
  BOOST_TEST(!decode_key(table, text, bytes{0xFF, 0}).has_value());   // not UTF-8
  BOOST_TEST(!decode_key(table, text, bytes{'a', 0, 0}).has_value()); // left over
  BOOST_TEST(!decode_key(table, number, bytes(7)).has_value());
  BOOST_TEST(!decode_key(table, flag, bytes{2}).has_value());
  BOOST_TEST(!decode_key(table, maybe, bytes{2}).has_value());
  for (int round = 0; round < 20'000; ++round) {
    bytes raw;
    for (auto left = random() % 24; left > 0; --left)
      raw.push_back(static_cast<std::uint8_t>(random() % 4));
    const field_numbers fields{static_cast<field_number>(random() % 8),
                               static_cast<field_number>(random() % 8)};
    if (const auto back = decode_key(table, fields, raw))
      BOOST_REQUIRE(encode_key(table, fields, *back) == raw);
  }
}

BOOST_AUTO_TEST_CASE(a_key_is_read_from_the_texts_of_a_url) {
  const auto& table = wide();
  const field_numbers fields{0, 1, 6};
  const std::string texts[] = {"x", "-7", ""};
  const auto read = key_from_text(table, fields, texts);
  BOOST_TEST_REQUIRE(read.has_value());
  BOOST_TEST((*read == encode_key(table, fields, value_list{"x", std::int64_t{-7}, value()})));
  const auto start = key_from_text(table, fields, std::span(texts).first(1));
  BOOST_TEST((*start == encode_key(table, fields, value_list{"x"})));
  const std::string wrong[] = {"x", "seven"};
  BOOST_TEST(key_from_text(table, fields, wrong).error().context == "field b must be int64{}");
  const std::string many[] = {"x", "1", "2", "3"};
  BOOST_TEST(key_from_text(table, fields, many).error().context
             == "too many values: give a, b, g of c.t");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(indexes)

BOOST_AUTO_TEST_CASE(only_indexes_whose_values_change_get_entries) {
  const auto& table = orders();
  const auto row = [&](const std::string& state, std::int64_t count) {
    auto x = good_row();
    put(x, "state", state);
    put(x, "count", count);
    return encode(x);
  };
  const bytes key{9};
  const field_numbers by_state = table.indexes[0], by_remark = table.indexes[1];
  const auto state_key = [&](const char* x) {
    return encode_key(table, by_state, value_list{x});
  };
  const auto remark_key = [&](std::int64_t x) {
    return encode_key(table, by_remark, value_list{value(), x});
  };
  using changes = std::vector<index_change>;

  const auto stored = index_changes(table, {table.full_name, key, std::nullopt, row("new", 1)});
  BOOST_TEST((stored
              == changes{{"orders.orders", 0, state_key("new"), key, true},
                         {"orders.orders", 1, remark_key(1), key, true}}));
  const auto altered =
      index_changes(table, {table.full_name, key, row("new", 1), row("done", 1)});
  BOOST_TEST((altered
              == changes{{"orders.orders", 0, state_key("new"), key, false},
                         {"orders.orders", 0, state_key("done"), key, true}}));
  const auto deleted =
      index_changes(table, {table.full_name, key, row("done", 1), std::nullopt});
  BOOST_TEST((deleted
              == changes{{"orders.orders", 0, state_key("done"), key, false},
                         {"orders.orders", 1, remark_key(1), key, false}}));
}

BOOST_AUTO_TEST_SUITE_END()
