// Texts: find, match, gmatch, gsub, format, rep and the rest, metered and without a locale.
#include "contracts/library.hpp"
#include "contracts/pattern.hpp"
#include "contracts/sandbox.hpp"
#include "contracts/vm_gas.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <lua.hpp>

namespace tallymesh::contracts {

// Of a text that a single call makes. It is built outside the state's own memory first.

static void push_text(lua_State* lua, std::string_view text) {
  lua_pushlstring(lua, text.data(), text.size());
}

static void check_size(lua_State* lua, std::size_t size) {
  if (size > max_text_bytes) raise(lua, "the text would be longer than 1 MiB");
}

/// A place as Lua counts: from 1, or from the end if it is below zero.
static std::size_t start_place(std::int64_t place, std::size_t size) {
  if (place > 0) return static_cast<std::size_t>(place);
  if (place == 0 || place < -static_cast<std::int64_t>(size)) return 1;
  return size + static_cast<std::size_t>(place + 1);
}
static std::size_t end_place(std::int64_t place, std::size_t size) {
  if (place > static_cast<std::int64_t>(size)) return size;
  if (place >= 0) return static_cast<std::size_t>(place);
  if (place < -static_cast<std::int64_t>(size)) return 0;
  return size + static_cast<std::size_t>(place + 1);
}

// --- without patterns

static int string_len(lua_State* lua) {
  spend_call(lua);
  lua_pushinteger(lua, static_cast<lua_Integer>(text_argument(lua, 1).size()));
  return 1;
}

static int string_sub(lua_State* lua) {
  spend_call(lua);
  const auto text = text_argument(lua, 1);
  const auto from = start_place(whole_argument(lua, 2), text.size());
  const auto to = end_place(whole_argument_or(lua, 3, -1), text.size());
  const auto part = from > to ? std::string_view() : text.substr(from - 1, to - from + 1);
  spend_bytes(lua, part.size());
  push_text(lua, part);
  return 1;
}

template <class F>
static int changed_text(lua_State* lua, F&& change) {
  spend_call(lua);
  std::string text(text_argument(lua, 1));
  spend_bytes(lua, text.size());
  change(text);
  push_text(lua, text);
  return 1;
}
static int string_upper(lua_State* lua) {
  return changed_text(lua, [](std::string& text) {
    for (auto& c : text)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  });
}
static int string_lower(lua_State* lua) {
  return changed_text(lua, [](std::string& text) {
    for (auto& c : text)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  });
}
static int string_reverse(lua_State* lua) {
  return changed_text(lua, [](std::string& text) { std::reverse(text.begin(), text.end()); });
}

static int string_rep(lua_State* lua) {
  spend_call(lua);
  const auto text = text_argument(lua, 1);
  const auto count = whole_argument(lua, 2);
  const auto between = lua_isnoneornil(lua, 3) ? std::string_view() : text_argument(lua, 3);
  if (count <= 0 || text.size() + between.size() == 0) {
    push_text(lua, "");
    return 1;
  }
  const auto times = static_cast<std::size_t>(count);
  if (times > max_text_bytes) check_size(lua, times);
  check_size(lua, times * text.size() + (times - 1) * between.size());
  spend_bytes(lua, times * (text.size() + between.size()));
  std::string made;
  for (std::size_t i = 0; i < times; ++i) {
    if (i > 0) made += between;
    made += text;
  }
  push_text(lua, made);
  return 1;
}

static int string_byte(lua_State* lua) {
  spend_call(lua);
  const auto text = text_argument(lua, 1);
  const auto first = whole_argument_or(lua, 2, 1);
  const auto from = start_place(first, text.size());
  const auto to =
      end_place(whole_argument_or(lua, 3, static_cast<std::int64_t>(from)), text.size());
  if (from > to) return 0;
  const auto count = to - from + 1;
  if (count > 200) raise(lua, "byte gives at most 200 values");
  spend_entries(lua, count);
  luaL_checkstack(lua, static_cast<int>(count), nullptr);
  for (auto i = from; i <= to; ++i)
    lua_pushinteger(lua, static_cast<unsigned char>(text[i - 1]));
  return static_cast<int>(count);
}

static int string_char(lua_State* lua) {
  spend_call(lua);
  std::string text;
  for (int i = 1; i <= lua_gettop(lua); ++i) {
    const auto code = whole_argument(lua, i);
    if (code < 1 || code > 255) raise_argument(lua, i, "a number from 1 to 255");
    text += static_cast<char>(code);
  }
  spend_entries(lua, text.size());
  push_text(lua, text);
  return 1;
}

/// How many characters; nothing if the text is not UTF-8.
static int utf8_length(lua_State* lua) {
  spend_call(lua);
  const auto text = text_argument(lua, 1);
  spend_bytes(lua, 8 * text.size());
  if (!is_utf8(text)) {
    lua_pushnil(lua);
    return 1;
  }
  const auto characters = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  lua_pushinteger(lua, characters);
  return 1;
}

// --- format

namespace {

struct directive {
  bool left = false, zeros = false, plus = false, space = false;
  std::size_t width = 0;
  std::optional<std::size_t> precision;
  char what = 0;
};

} // namespace

static std::size_t take_number(std::string_view& rest) {
  std::size_t number = 0;
  for (int digits = 0; digits < 2 && !rest.empty() && rest[0] >= '0' && rest[0] <= '9';
       ++digits) {
    number = number * 10 + static_cast<std::size_t>(rest[0] - '0');
    rest.remove_prefix(1);
  }
  return number;
}

static directive take_directive(lua_State* lua, std::string_view& rest) {
  directive made;
  for (; !rest.empty(); rest.remove_prefix(1)) {
    if (rest[0] == '-')
      made.left = true;
    else if (rest[0] == '0')
      made.zeros = true;
    else if (rest[0] == '+')
      made.plus = true;
    else if (rest[0] == ' ')
      made.space = true;
    else
      break;
  }
  made.width = take_number(rest);
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    made.precision = take_number(rest);
  }
  if (rest.empty()) raise(lua, "the format ends inside a %");
  made.what = rest[0];
  rest.remove_prefix(1);
  return made;
}

static std::string digits_of(std::uint64_t number, unsigned base, bool upper) {
  const std::string_view digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::array<char, 64> reversed{};
  std::size_t size = 0;
  do {
    reversed[size++] = digits[number % base];
    number /= base;
  } while (number > 0);
  std::string text(reversed.data(), size);
  std::reverse(text.begin(), text.end());
  return text;
}

static std::string padded(const directive& how, std::string sign, std::string body,
                          bool zeros) {
  const auto size = sign.size() + body.size();
  const auto missing = size < how.width ? how.width - size : 0;
  if (how.left) return sign + body + std::string(missing, ' ');
  if (zeros) return sign + std::string(missing, '0') + body;
  return std::string(missing, ' ') + sign + body;
}

static std::string formatted_number(const directive& how, std::int64_t number) {
  const auto raw = static_cast<std::uint64_t>(number);
  const bool is_signed = how.what == 'd' || how.what == 'i';
  const bool negative = is_signed && number < 0;
  const unsigned base = how.what == 'x' || how.what == 'X' ? 16 : how.what == 'o' ? 8 : 10;
  auto digits = digits_of(negative ? std::uint64_t{0} - raw : raw, base, how.what == 'X');
  if (how.precision && digits.size() < *how.precision)
    digits.insert(0, *how.precision - digits.size(), '0');
  const char* const sign = negative                 ? "-"
                           : is_signed && how.plus  ? "+"
                           : is_signed && how.space ? " "
                                                    : "";
  return padded(how, sign, std::move(digits), how.zeros && !how.precision);
}

static std::string formatted(lua_State* lua, const directive& how, int argument) {
  if (lua_isnone(lua, argument)) raise_argument(lua, argument, "a value for the format");
  switch (how.what) {
  case 'd':
  case 'i':
  case 'u':
  case 'o':
  case 'x':
  case 'X':
    return formatted_number(how, whole_argument(lua, argument));
  case 'c': {
    const auto code = whole_argument(lua, argument);
    if (code < 1 || code > 255) raise_argument(lua, argument, "a number from 1 to 255");
    return padded(how, "", std::string(1, static_cast<char>(code)), false);
  }
  case 's': {
    auto text = text_of(lua, argument);
    if (how.precision && text.size() > *how.precision) text.resize(*how.precision);
    return padded(how, "", std::move(text), false);
  }
  default:
    raise(lua,
          std::string("format has no %") + how.what + "; it has d, i, u, o, x, X, c, s and %%");
  }
}

static int string_format(lua_State* lua) {
  spend_call(lua);
  auto rest = text_argument(lua, 1);
  spend_bytes(lua, 8 * rest.size());
  std::string made;
  for (int argument = 1; !rest.empty();) {
    const char c = rest[0];
    rest.remove_prefix(1);
    if (c != '%') {
      made += c;
    } else if (!rest.empty() && rest[0] == '%') {
      made += c;
      rest.remove_prefix(1);
    } else {
      const auto how = take_directive(lua, rest);
      const auto size_before = made.size();
      made += formatted(lua, how, ++argument);
      spend_bytes(lua, 8 + made.size() - size_before);
      check_size(lua, made.size());
    }
  }
  push_text(lua, made);
  return 1;
}

// --- patterns

static pattern pattern_on(lua_State* lua, std::string_view text, std::string_view rules) {
  return {text, rules, [lua](std::size_t steps) {
            sandbox::of(lua).spend(lua, steps * vm_prices.match_step);
          }};
}

/// Runs `body`; what it throws of a pattern becomes an error with a line.
template <class F>
static auto with_pattern(lua_State* lua, F&& body) {
  const char* why = nullptr;
  try {
    return body();
  } catch (const bad_pattern& x) {
    why = x.why;
  }
  raise(lua, why);
}

static void push_capture(lua_State* lua, std::string_view text, const capture& x) {
  if (x.position) {
    lua_pushinteger(lua, static_cast<lua_Integer>(x.start + 1));
    return;
  }
  spend_bytes(lua, x.size);
  push_text(lua, text.substr(x.start, x.size));
}

/// The captures, or the whole match if there are none and it is asked for.
static int push_captures(lua_State* lua, std::string_view text, const found_match& found,
                         bool or_whole) {
  luaL_checkstack(lua, 40, nullptr);
  if (found.captures.empty() && or_whole) {
    push_capture(lua, text, {found.start, found.end - found.start, false});
    return 1;
  }
  for (const auto& each : found.captures)
    push_capture(lua, text, each);
  return static_cast<int>(found.captures.size());
}

/// In a time that grows with the sizes only: std::string_view::find would compare all of
/// `rules` at each place.
static std::size_t place_of(std::string_view text, std::string_view rules, std::size_t from) {
  const auto rest = text.substr(from);
  if (rules.empty()) return from;
  const void* const at = memmem(rest.data(), rest.size(), rules.data(), rules.size());
  if (at == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

static int search_text(lua_State* lua, bool find) {
  spend_call(lua);
  const auto text = text_argument(lua, 1), rules = text_argument(lua, 2);
  const auto from = start_place(whole_argument_or(lua, 3, 1), text.size());
  if (from > text.size() + 1) {
    lua_pushnil(lua);
    return 1;
  }
  if (find && lua_toboolean(lua, 4)) {
    spend_bytes(lua, 8 * (text.size() + rules.size()));
    const auto at = place_of(text, rules, from - 1);
    if (at == std::string_view::npos) {
      lua_pushnil(lua);
      return 1;
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(at + 1));
    lua_pushinteger(lua, static_cast<lua_Integer>(at + rules.size()));
    return 2;
  }
  const auto found =
      with_pattern(lua, [&] { return pattern_on(lua, text, rules).search(from - 1); });
  if (!found) {
    lua_pushnil(lua);
    return 1;
  }
  if (!find) return push_captures(lua, text, *found, true);
  lua_pushinteger(lua, static_cast<lua_Integer>(found->start + 1));
  lua_pushinteger(lua, static_cast<lua_Integer>(found->end));
  return 2 + push_captures(lua, text, *found, false);
}
static int string_find(lua_State* lua) { return search_text(lua, true); }
static int string_match(lua_State* lua) { return search_text(lua, false); }

// Upvalues: the text, the pattern, where to go on, where the last match ended (or -1).
static int next_match(lua_State* lua) {
  spend_call(lua);
  std::size_t text_size = 0, rules_size = 0;
  const char* const raw_text = lua_tolstring(lua, lua_upvalueindex(1), &text_size);
  const char* const raw_rules = lua_tolstring(lua, lua_upvalueindex(2), &rules_size);
  const std::string_view text(raw_text, text_size), rules(raw_rules, rules_size);
  auto at = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
  const auto last_end = lua_tointeger(lua, lua_upvalueindex(4));
  while (at <= text.size()) {
    const auto found =
        with_pattern(lua, [&] { return pattern_on(lua, text, rules).search(at); });
    if (!found) break;
    if (static_cast<lua_Integer>(found->end) == last_end && found->start == found->end) {
      at = found->end + 1;
      continue;
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(found->end));
    lua_copy(lua, -1, lua_upvalueindex(3));
    lua_replace(lua, lua_upvalueindex(4));
    return push_captures(lua, text, *found, true);
  }
  lua_pushnil(lua);
  return 1;
}

static int string_gmatch(lua_State* lua) {
  spend_call(lua);
  const auto rules = text_argument(lua, 2);
  text_argument(lua, 1);
  if (rules.starts_with('^')) raise(lua, "gmatch takes no pattern that begins with ^");
  lua_settop(lua, 2);
  lua_pushinteger(lua, 0);
  lua_pushinteger(lua, -1);
  lua_pushcclosure(lua, &next_match, 4);
  return 1;
}

/// What a text with %0 to %9 stands for.
static void append_template(lua_State* lua, std::string& made, std::string_view how,
                            std::string_view text, const found_match& found) {
  spend_bytes(lua, 8 * how.size()); // each of them is looked at
  for (std::size_t i = 0; i < how.size(); ++i) {
    check_size(lua, made.size()); // before it grows further: a match may stand here many times
    if (how[i] != '%') {
      made += how[i];
      continue;
    }
    const char next = ++i < how.size() ? how[i] : '\0';
    if (next == '%') {
      made += next;
    } else if (next == '0' || (next == '1' && found.captures.empty())) {
      made += text.substr(found.start, found.end - found.start);
    } else if (next >= '1' && next <= '9'
               && static_cast<std::size_t>(next - '1') < found.captures.size()) {
      const auto& x = found.captures[static_cast<std::size_t>(next - '1')];
      made +=
          x.position ? std::to_string(x.start + 1) : std::string(text.substr(x.start, x.size));
    } else {
      raise(lua, "after a % in what gsub puts in come 0 to 9, or another %");
    }
  }
}

static void append_replacement(lua_State* lua, std::string& made, std::string_view text,
                               const found_match& found) {
  const auto whole = text.substr(found.start, found.end - found.start);
  switch (lua_type(lua, 3)) {
  case LUA_TFUNCTION: {
    lua_pushvalue(lua, 3);
    const int count = push_captures(lua, text, found, true);
    lua_call(lua, count, 1);
    break;
  }
  case LUA_TTABLE:
    push_content(lua, 3);
    push_captures(lua, text, found, true);
    lua_settop(lua, 5); // argument 4 is there, then the table and the first capture
    lua_rawget(lua, 4);
    break;
  default: {
    const auto how = text_argument(lua, 3);
    append_template(lua, made, how, text, found);
    return;
  }
  }
  if (!lua_toboolean(lua, -1)) {
    made += whole;
  } else {
    if (lua_type(lua, -1) != LUA_TSTRING && lua_type(lua, -1) != LUA_TNUMBER
        && decimal_at(lua, -1) == nullptr)
      raise(lua,
            std::string("gsub can put in texts and numbers, and not a ") + type_word(lua, -1));
    made += text_of(lua, -1);
  }
  lua_settop(lua, 3);
}

namespace {

/// What gsub has made so far, while it calls functions that may call gsub themselves.
class held_text {
public:
  explicit held_text(lua_State* lua) : lua_(lua) {}
  ~held_text() { sandbox::of(lua_).release_outside(held_); }
  held_text(const held_text&) = delete;
  held_text& operator=(const held_text&) = delete;

  void grown_to(std::size_t size) {
    sandbox::of(lua_).hold_outside(lua_, size - held_);
    held_ = size;
  }

private:
  lua_State* lua_;
  std::size_t held_ = 0;
};

} // namespace

static int string_gsub(lua_State* lua) {
  spend_call(lua);
  const auto text = text_argument(lua, 1), rules = text_argument(lua, 2);
  const auto most = whole_argument_or(lua, 4, static_cast<std::int64_t>(text.size()) + 1);
  const int kind = lua_type(lua, 3);
  if (kind != LUA_TFUNCTION && kind != LUA_TTABLE) text_argument(lua, 3);
  lua_settop(lua, 3);
  const bool anchored = rules.starts_with('^');
  std::string made;
  held_text held(lua);
  std::size_t copied = 0, at = 0;
  std::optional<std::size_t> last_end;
  std::int64_t count = 0;
  while (count < most && at <= text.size()) {
    const auto found =
        with_pattern(lua, [&] { return pattern_on(lua, text, rules).search(at); });
    if (!found) break;
    if (found->start == found->end && last_end == found->end) {
      at = found->end + 1;
      if (anchored) break;
      continue;
    }
    const auto size_before = made.size();
    made += text.substr(copied, found->start - copied);
    append_replacement(lua, made, text, *found);
    spend_bytes(lua, 8 + made.size() - size_before);
    check_size(lua, made.size());
    held.grown_to(made.size());
    ++count;
    copied = at = found->end;
    last_end = found->end;
    if (anchored) break;
  }
  made += text.substr(std::min(copied, text.size()));
  spend_bytes(lua, text.size() - copied);
  check_size(lua, made.size());
  push_text(lua, made);
  lua_pushinteger(lua, count);
  return 2;
}

// --- opening

/// `string{max=3}` was meant to be a type.
static int called_as_type(lua_State* lua) {
  raise(lua, "there is no \"string\"; write text{max=64}");
}

void open_string_library(lua_State* lua) {
  static constexpr luaL_Reg functions[] = {
      {"find", &string_find},       {"match", &string_match}, {"gmatch", &string_gmatch},
      {"gsub", &string_gsub},       {"rep", &string_rep},     {"format", &string_format},
      {"byte", &string_byte},       {"char", &string_char},   {"sub", &string_sub},
      {"upper", &string_upper},     {"lower", &string_lower}, {"len", &string_len},
      {"reverse", &string_reverse}, {nullptr, nullptr}};
  lua_newtable(lua);
  add_functions(lua, functions);
  freeze(lua, -1);
  lua_getmetatable(lua, -1);
  lua_pushcfunction(lua, &called_as_type);
  lua_setfield(lua, -2, "__call");
  lua_pop(lua, 1);
  // Texts find their methods here, and nothing else: no arithmetic on texts.
  push_text(lua, "");
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);
  lua_pop(lua, 1);
  lua_setfield(lua, -2, "string");
  lua_newtable(lua);
  lua_pushboolean(lua, 1);
  lua_pushcclosure(lua, &utf8_length, 1);
  lua_setfield(lua, -2, "len");
  freeze(lua, -1);
  lua_setfield(lua, -2, "utf8");
}

} // namespace tallymesh::contracts
