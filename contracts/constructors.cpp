#include "contracts/constructors.hpp"

#include "contracts/library.hpp"
#include "contracts/sandbox.hpp"
#include "messages/value.hpp"

#include <algorithm>
#include <limits>
#include <lua.hpp>

namespace tallymesh::contracts {

static constexpr char type_metatable[] = "field type"; // as Lua's messages call a type
static constexpr std::int64_t int64_min = std::numeric_limits<std::int64_t>::min();
static constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();
static constexpr std::int64_t max_length = limits::max_operation_bytes;
static constexpr std::size_t max_types = max_tables * max_fields * 2;

// --- text for messages

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts)
    text += (text.empty() ? "" : ", ") + part;
  return text;
}

// Lua quotes what it could not read, and a cut may fall inside a character.
std::string printable(std::string text, std::size_t most) {
  if (text.size() > most) {
    text.resize(most);
    for (int i = 0; i < 3 && !is_utf8(text); ++i)
      text.pop_back();
  }
  const bool broken = !is_utf8(text);
  for (auto& c : text) {
    const auto raw = static_cast<unsigned char>(c);
    if (raw == '\n' || raw == '\t')
      c = ' ';
    else if (raw < 0x20 || raw == 0x7F || (broken && raw >= 0x80))
      c = '?';
  }
  return text;
}

std::string in_quotes(std::string_view raw) {
  const bool cut = raw.size() > limits::max_name_bytes;
  return '"'
         + printable(std::string(raw.substr(0, limits::max_name_bytes + 4)),
                     limits::max_name_bytes)
         + (cut ? "…\"" : "\"");
}

[[noreturn]] static void fail_at_line(lua_State* lua, const std::string& message) {
  luaL_error(lua, "%s", message.c_str());
  std::abort(); // luaL_error does not return
}

// --- constructors: text{…}, int64{…}, decimal{…}, bool{…}, bytes{…}, one_of{…}, optional(…)

static made_types& types_of(lua_State* lua) {
  return *static_cast<made_types*>(lua_touserdata(lua, lua_upvalueindex(1)));
}

std::string_view text_at(lua_State* lua, int at) {
  std::size_t size = 0;
  const char* raw = lua_tolstring(lua, at, &size);
  return {raw, size};
}

/// Before anything else: what a type is made of is not paid for as an operation's work is.
static void check_reading(lua_State* lua) {
  if (!sandbox::of(lua).reading())
    fail_at_line(lua, "types are made when the file is read; make this one before return");
}

static int make_type(lua_State* lua, field what) {
  auto& types = types_of(lua);
  // These live outside the sandbox's memory, so they have limits of their own.
  if (types.all.size() == max_types)
    fail_at_line(lua, "the file makes too many types; make one and use it for several fields");
  types.choices += what.choices.size();
  if (types.choices > max_choices_in_all)
    fail_at_line(
        lua,
        "the file's one_of types have too many values in all; keep such values in a table");
  const auto number = static_cast<std::uint32_t>(types.all.size());
  types.all.push_back(std::move(what));
  *static_cast<std::uint32_t*>(lua_newuserdatauv(lua, sizeof number, 0)) = number;
  luaL_setmetatable(lua, type_metatable);
  return 1;
}

/// The argument of a constructor is one table whose names are among `allowed`.
static void check_options(lua_State* lua, const char* constructor,
                          const std::vector<std::string>& allowed, const char* example,
                          bool list_too = false) {
  check_reading(lua);
  if (lua_gettop(lua) != 1 || !lua_istable(lua, 1))
    fail_at_line(lua,
                 std::string(constructor) + " takes its options in braces: write " + example);
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    lua_pop(lua, 1);
    spend_bytes(lua, 8);
    if (lua_type(lua, -1) == LUA_TSTRING) {
      const auto name = text_at(lua, -1);
      if (std::find(allowed.begin(), allowed.end(), name) == allowed.end())
        fail_at_line(lua, std::string(constructor) + " has no option " + in_quotes(name)
                              + "; it takes " + join(allowed));
    } else if (!list_too) {
      fail_at_line(lua,
                   std::string(constructor) + " takes named options only: write " + example);
    }
  }
}

static std::optional<std::int64_t> whole_number_option(lua_State* lua, const char* name) {
  lua_getfield(lua, 1, name);
  if (lua_isnil(lua, -1)) {
    lua_pop(lua, 1);
    return std::nullopt;
  }
  if (!lua_isinteger(lua, -1))
    fail_at_line(lua, std::string(name) + " must be a whole number, such as " + name + "=10");
  const auto number = lua_tointeger(lua, -1);
  lua_pop(lua, 1);
  return number;
}

static bool optional_option(lua_State* lua) {
  lua_getfield(lua, 1, "optional");
  if (!lua_isnil(lua, -1) && !lua_isboolean(lua, -1))
    fail_at_line(lua, "optional must be true or false");
  const bool on = lua_toboolean(lua, -1);
  lua_pop(lua, 1);
  return on;
}

/// text{max=…} and bytes{max=…}: how long a value may be.
static int make_sized(lua_State* lua, field_kind kind, const char* constructor,
                      const char* example) {
  check_options(lua, constructor, {"max", "min", "optional"}, example);
  field what{.kind = kind, .optional = optional_option(lua)};
  const auto max = whole_number_option(lua, "max");
  if (!max)
    fail_at_line(lua, std::string(constructor) + " needs a greatest length: write " + example);
  what.max = *max;
  what.min = whole_number_option(lua, "min").value_or(0);
  if (what.min < 0 || what.max < 1 || what.max > max_length || what.min > what.max)
    fail_at_line(lua, std::string(constructor) + " needs 0 <= min <= max and 1 <= max <= "
                          + std::to_string(max_length));
  return make_type(lua, std::move(what));
}

static int make_text(lua_State* lua) {
  return make_sized(lua, field_kind::text, "text", "text{max=64}");
}
static int make_bytes(lua_State* lua) {
  return make_sized(lua, field_kind::bytes, "bytes", "bytes{max=64}");
}

static int make_int64(lua_State* lua) {
  check_options(lua, "int64", {"min", "max", "optional"}, "int64{min=0}");
  field what{.kind = field_kind::int64, .optional = optional_option(lua)};
  what.min = whole_number_option(lua, "min").value_or(int64_min);
  what.max = whole_number_option(lua, "max").value_or(int64_max);
  if (what.min > what.max) fail_at_line(lua, "int64 needs min <= max");
  return make_type(lua, std::move(what));
}

static int make_bool(lua_State* lua) {
  check_options(lua, "bool", {"optional"}, "bool{}");
  return make_type(lua, {.kind = field_kind::boolean, .optional = optional_option(lua)});
}

/// A limit of a decimal: a whole number, or a text such as "0.05". Lua's own 0.05 is a binary
/// fraction, near the number but not it, so it is refused.
static std::optional<std::int64_t> decimal_option(lua_State* lua, const char* name,
                                                  std::uint8_t scale) {
  lua_getfield(lua, 1, name);
  std::optional<decimal> limit;
  if (lua_isnil(lua, -1)) {
    lua_pop(lua, 1);
    return std::nullopt;
  }
  if (lua_isinteger(lua, -1))
    limit = decimal::from_text(std::to_string(lua_tointeger(lua, -1)), scale);
  else if (lua_type(lua, -1) == LUA_TSTRING)
    limit = decimal::from_text(text_at(lua, -1), scale);
  else
    fail_at_line(lua, std::string(name) + " of a decimal is a whole number or a text: write "
                          + name + "=10 or " + name + "=\"0.05\"");
  if (!limit)
    fail_at_line(lua, std::string(name) + " is not a number with at most "
                          + std::to_string(scale) + " decimals that fits into 64 bits");
  lua_pop(lua, 1);
  return limit->units;
}

static int make_decimal(lua_State* lua) {
  // decimal{scale=2} is a type, decimal("12.50", 2) a value.
  if (lua_gettop(lua) > 0 && !lua_istable(lua, 1)) return make_decimal_value(lua);
  check_options(lua, "decimal", {"scale", "min", "max", "optional"}, "decimal{scale=2, min=0}");
  field what{.kind = field_kind::decimal, .optional = optional_option(lua)};
  const auto scale = whole_number_option(lua, "scale");
  if (!scale || *scale < 0 || *scale > decimal::max_scale)
    fail_at_line(
        lua,
        "decimal needs a scale from 0 to 18, the number of decimals: write decimal{scale=2}");
  what.scale = static_cast<std::uint8_t>(*scale);
  what.min = decimal_option(lua, "min", what.scale).value_or(int64_min);
  what.max = decimal_option(lua, "max", what.scale).value_or(int64_max);
  if (what.min > what.max) fail_at_line(lua, "decimal needs min <= max");
  return make_type(lua, std::move(what));
}

static int make_one_of(lua_State* lua) {
  static constexpr char example[] = "one_of{\"new\", \"done\"}";
  check_options(lua, "one_of", {"optional"}, example, true);
  field what{.kind = field_kind::one_of, .optional = optional_option(lua)};
  const auto count = lua_rawlen(lua, 1);
  if (count == 0 || count > max_choices)
    fail_at_line(lua, std::string("one_of takes 1 to 256 texts: write ") + example);
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua, 1, static_cast<lua_Integer>(i));
    if (lua_type(lua, -1) != LUA_TSTRING)
      fail_at_line(lua, std::string("one_of takes texts only: write ") + example);
    const auto choice = text_at(lua, -1);
    if (choice.empty() || choice.size() > limits::max_name_bytes || !is_utf8(choice))
      fail_at_line(lua, "a text of one_of has 1 to 64 bytes of UTF-8");
    spend_bytes(lua, 8 * what.choices.size());
    if (std::find(what.choices.begin(), what.choices.end(), choice) != what.choices.end())
      fail_at_line(lua, "one_of names " + in_quotes(choice) + " twice; take one out");
    what.choices.emplace_back(choice);
    lua_pop(lua, 1);
  }
  return make_type(lua, std::move(what));
}

std::optional<field> type_at(lua_State* lua, int at, const made_types& types) {
  if (const void* boxed = luaL_testudata(lua, at, type_metatable))
    return types.all[*static_cast<const std::uint32_t*>(boxed)];
  // `bool` and `int64` need no options, so the bare word will do.
  const auto function = lua_tocfunction(lua, at);
  if (function == &make_bool) return field{.kind = field_kind::boolean};
  if (function == &make_int64)
    return field{.kind = field_kind::int64, .min = int64_min, .max = int64_max};
  return std::nullopt;
}

static int make_optional(lua_State* lua) {
  check_reading(lua);
  auto what = lua_gettop(lua) == 1 ? type_at(lua, 1, types_of(lua)) : std::nullopt;
  if (!what) fail_at_line(lua, "optional takes one type: write optional(text{max=64})");
  what->optional = true;
  return make_type(lua, std::move(*what));
}

// --- the names that a file sees

static std::string advice_for(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> words[] = {
      {"str", "text{max=64}"},
      {"varchar", "text{max=64}"},
      {"char", "text{max=64}"},
      {"integer", "int64{}"},
      {"int", "int64{}"},
      {"int32", "int64{}"},
      {"number", "int64{} or decimal{scale=2}"},
      {"float", "decimal{scale=2}"},
      {"double", "decimal{scale=2}"},
      {"numeric", "decimal{scale=2}"},
      {"boolean", "bool{}"},
      {"blob", "bytes{max=64}"},
      {"binary", "bytes{max=64}"},
      {"enum", "one_of{\"a\", \"b\"}"},
      {"choice", "one_of{\"a\", \"b\"}"},
      {"print", "error(text) where a person must see it: an action prints nothing"},
      {"os", "ctx.time, the block's time in milliseconds"},
      {"io", "ctx.get: a contract sees tables only"},
      {"setmetatable", "plain tables and functions"},
      {"require", "the functions into this file"},
      {"rawget", "table[key]"},
      {"rawset", "table[key] = value"},
      {"rawequal", "a == b"},
      {"rawlen", "#table"}};
  for (const auto& [wrong, right] : words)
    if (wrong == name) return "write " + std::string(right);
  return "a contract has text, int64, decimal, bool, bytes, one_of and optional, and the "
         "library that contracts/README.md lists";
}

static std::string no_such_name(std::string_view name) {
  return "there is no " + in_quotes(name) + "; " + advice_for(name.substr(0, name.find('.')));
}

static int unknown_name(lua_State* lua) {
  const auto name = lua_type(lua, 2) == LUA_TSTRING ? text_at(lua, 2) : "?";
  fail_at_line(lua, no_such_name(name));
}

/// Puts what the table below the top holds under this name in its place on the stack.
static void enter(lua_State* lua, std::string_view name) {
  push_content(lua, -1);
  lua_pushlstring(lua, name.data(), name.size());
  lua_rawget(lua, -2);
}

std::optional<std::string> unknown_name_of(lua_State* lua, std::string_view name) {
  luaL_checkstack(lua, 8, nullptr);
  const int before = lua_gettop(lua);
  const auto dot = name.find('.');
  lua_pushglobaltable(lua);
  enter(lua, name.substr(0, dot));
  if (dot != name.npos && lua_istable(lua, -1)) enter(lua, name.substr(dot + 1));
  const bool known = !lua_isnil(lua, -1);
  lua_settop(lua, before);
  if (known) return std::nullopt;
  return no_such_name(name.substr(0, 128));
}

static int refuse_global(lua_State* lua) {
  const std::string name(lua_type(lua, 2) == LUA_TSTRING ? text_at(lua, 2).substr(0, 64)
                                                         : "name");
  fail_at_line(lua, in_quotes(name) + " would be a global; write local before it");
}

void open_constructors(lua_State* lua, made_types& types) {
  static constexpr luaL_Reg constructors[] = {
      {"text", &make_text},         {"int64", &make_int64}, {"decimal", &make_decimal},
      {"bool", &make_bool},         {"bytes", &make_bytes}, {"one_of", &make_one_of},
      {"optional", &make_optional}, {nullptr, nullptr}};
  luaL_newmetatable(lua, type_metatable);
  lua_pop(lua, 1);
  lua_pushglobaltable(lua);
  lua_pushlightuserdata(lua, &types);
  luaL_setfuncs(lua, constructors, 1);
  open_library(lua);
  lua_createtable(lua, 0, 1);
  lua_pushcfunction(lua, &unknown_name);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);
  freeze(lua, -1);
  lua_getmetatable(lua, -1);
  lua_pushcfunction(lua, &refuse_global);
  lua_setfield(lua, -2, "__newindex");
  lua_pop(lua, 2);
}

} // namespace tallymesh::contracts
