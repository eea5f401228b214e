// Contract files: the constructors that a file may call, and the walk over the table it
// returns.
#include "contracts/contract.hpp"
#include "contracts/sandbox.hpp"
#include "messages/value.hpp"

#include <algorithm>
#include <limits>
#include <lua.hpp>

namespace tallymesh::contracts {

static constexpr char type_metatable[] = "field type";
static constexpr std::int64_t int64_min = std::numeric_limits<std::int64_t>::min();
static constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();
static constexpr std::int64_t max_length = limits::max_operation_bytes;

/// A type as a constructor made it; the file holds it as an opaque Lua value with this number.
struct declared_type {
  field what;
  int line = 0;
};

struct parsing {
  std::string file_name;
  std::vector<declared_type> types;
};

using names = std::vector<std::string>;

// --- errors

[[noreturn]] static void fail_at_line(lua_State* lua, const std::string& message) {
  luaL_error(lua, "%s", message.c_str());
  std::abort(); // luaL_error does not return
}

static std::string join(const names& parts, std::string_view separator = ", ") {
  std::string text;
  for (const auto& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

/// A name from the file, for a message: short, and without what would break a line.
static std::string quoted(std::string_view raw) {
  std::string text(raw.substr(0, limits::max_name_bytes));
  for (auto& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return '"' + text + (raw.size() > text.size() ? "…\"" : "\"");
}

// --- constructors: text{…}, int64{…}, decimal{…}, bool{…}, bytes{…}, one_of{…}, optional(…)

static parsing& state_of(lua_State* lua) {
  return *static_cast<parsing*>(lua_touserdata(lua, lua_upvalueindex(1)));
}

static std::string_view text_at(lua_State* lua, int at) {
  std::size_t size = 0;
  const char* raw = lua_tolstring(lua, at, &size);
  return {raw, size};
}

static int make_type(lua_State* lua, field what) {
  auto& state = state_of(lua);
  lua_Debug caller{};
  int line = 0;
  if (lua_getstack(lua, 1, &caller) && lua_getinfo(lua, "l", &caller))
    line = caller.currentline;
  const auto number = static_cast<std::uint32_t>(state.types.size());
  if (number >= max_tables * max_fields * 2)
    fail_at_line(lua, "the file makes too many types; make one and use it for several fields");
  state.types.push_back({std::move(what), line});
  *static_cast<std::uint32_t*>(lua_newuserdatauv(lua, sizeof number, 0)) = number;
  luaL_setmetatable(lua, type_metatable);
  return 1;
}

/// The argument of a constructor is one table whose names are among `allowed`.
static void check_options(lua_State* lua, const char* constructor, const names& allowed,
                          const char* example, bool list_too = false) {
  if (lua_gettop(lua) != 1 || !lua_istable(lua, 1))
    fail_at_line(lua,
                 std::string(constructor) + " takes its options in braces: write " + example);
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    lua_pop(lua, 1);
    if (lua_type(lua, -1) == LUA_TSTRING) {
      const auto name = text_at(lua, -1);
      if (std::find(allowed.begin(), allowed.end(), name) == allowed.end())
        fail_at_line(lua, std::string(constructor) + " has no option " + quoted(name)
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
    if (std::find(what.choices.begin(), what.choices.end(), choice) != what.choices.end())
      fail_at_line(lua, "one_of names " + quoted(choice) + " twice; take one out");
    what.choices.emplace_back(choice);
    lua_pop(lua, 1);
  }
  return make_type(lua, std::move(what));
}

/// The type's number if the value at `at` is a type, made by a constructor or the bare word.
static std::optional<std::uint32_t> type_at(lua_State* lua, int at) {
  if (const void* boxed = luaL_testudata(lua, at, type_metatable))
    return *static_cast<const std::uint32_t*>(boxed);
  return std::nullopt;
}

/// `bool` and `int64` need no options, so the bare word will do for a field's type.
static bool is_bare_type(lua_State* lua, int at, field& what) {
  const auto function = lua_tocfunction(lua, at);
  if (function == &make_bool)
    what = {.kind = field_kind::boolean};
  else if (function == &make_int64)
    what = {.kind = field_kind::int64, .min = int64_min, .max = int64_max};
  else
    return false;
  return true;
}

static int make_optional(lua_State* lua) {
  field what;
  const auto number = lua_gettop(lua) == 1 ? type_at(lua, 1) : std::nullopt;
  if (number)
    what = state_of(lua).types[*number].what;
  else if (lua_gettop(lua) != 1 || !is_bare_type(lua, 1, what))
    fail_at_line(lua, "optional takes one type: write optional(text{max=64})");
  what.optional = true;
  return make_type(lua, std::move(what));
}

// --- the names that a file sees

static std::string advice_for(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> words[] = {
      {"string", "text{max=64}"},
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
      {"choice", "one_of{\"a\", \"b\"}"}};
  for (const auto& [wrong, right] : words)
    if (wrong == name) return "write " + std::string(right);
  return "a contract has text, int64, decimal, bool, bytes, one_of and optional, and no "
         "library";
}

static int unknown_name(lua_State* lua) {
  const auto name = lua_type(lua, 2) == LUA_TSTRING ? text_at(lua, 2) : "?";
  fail_at_line(lua, "there is no " + quoted(name) + "; " + advice_for(name));
}

static int refuse_global(lua_State* lua) {
  const std::string name(lua_type(lua, 2) == LUA_TSTRING ? text_at(lua, 2).substr(0, 64)
                                                         : "name");
  fail_at_line(lua, quoted(name) + " would be a global; write local before it");
}

static void open_constructors(lua_State* lua, parsing& state) {
  static constexpr luaL_Reg constructors[] = {
      {"text", &make_text},         {"int64", &make_int64}, {"decimal", &make_decimal},
      {"bool", &make_bool},         {"bytes", &make_bytes}, {"one_of", &make_one_of},
      {"optional", &make_optional}, {nullptr, nullptr}};
  luaL_newmetatable(lua, type_metatable);
  lua_pop(lua, 1);
  lua_pushglobaltable(lua);
  lua_pushlightuserdata(lua, &state);
  luaL_setfuncs(lua, constructors, 1);
  lua_createtable(lua, 0, 2);
  lua_pushcfunction(lua, &unknown_name);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, &refuse_global);
  lua_setfield(lua, -2, "__newindex");
  lua_setmetatable(lua, -2);
  lua_pop(lua, 1);
}

// --- the walk over what the file returned

static bool is_name(std::string_view raw, bool field_name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto upper = [&](char c) { return field_name && c >= 'A' && c <= 'Z'; };
  if (raw.empty() || raw.size() > limits::max_name_bytes) return false;
  if (!lower(raw[0]) && !upper(raw[0])) return false;
  return std::all_of(raw.begin(), raw.end(), [&](char c) {
    return lower(c) || upper(c) || (c >= '0' && c <= '9') || c == '_';
  });
}

/// Reads one returned contract. The value under inspection is always on top of Lua's stack, and
/// every function leaves the stack as it was.
class walk {
public:
  walk(lua_State* lua, const parsing& state) : lua_(lua), state_(state) {}
  contract read_contract();

private:
  [[noreturn]] void fail(const std::string& path, const std::string& message,
                         int line = 0) const {
    auto where = state_.file_name;
    if (line > 0) where += ':' + std::to_string(line);
    if (!path.empty()) where += ": " + path;
    // Raised without Lua's own prefix: `where` says more than a line of this C++ would.
    const auto text = where + ": " + message;
    lua_pushlstring(lua_, text.data(), text.size());
    lua_error(lua_);
    std::abort(); // lua_error does not return
  }

  template <class F>
  auto with(const char* name, F&& inspect) {
    return with_pushed([&] { lua_pushstring(lua_, name); }, inspect);
  }
  template <class F>
  auto with(const std::string& name, F&& inspect) {
    return with_pushed([&] { lua_pushlstring(lua_, name.data(), name.size()); }, inspect);
  }
  template <class Push, class F>
  void with_pushed(Push&& push, F&& inspect) {
    luaL_checkstack(lua_, 4, nullptr);
    push();
    lua_rawget(lua_, -2);
    inspect();
    lua_pop(lua_, 1);
  }

  void need_table(const std::string& path, const std::string& example) const {
    if (!lua_istable(lua_, -1)) fail(path, "is missing or not a table: write " + example);
  }
  names keys(const std::string& path, std::size_t most, const std::string& example) const;
  names text_list(const std::string& path, std::size_t most, const std::string& example) const;
  void only(const std::string& path, const names& allowed, const std::string& example) const;

  table read_table(const std::string& contract_name, const std::string& name);
  std::vector<field> read_fields(const std::string& path);
  field read_field(const std::string& path, const std::string& name) const;
  field_numbers read_key(const table& into, const std::string& path, bool may_be_absent) const;
  std::vector<field_numbers> read_indexes(const table& into, const std::string& path);
  std::vector<grantee> read_grantees(const std::string& path) const;

  lua_State* lua_;
  const parsing& state_;
};

/// The names in the table on top, ascending, so that every node meets the same error first.
names walk::keys(const std::string& path, std::size_t most, const std::string& example) const {
  names found;
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    if (lua_type(lua_, -1) != LUA_TSTRING)
      fail(path, "has an entry without a name: write " + example);
    if (found.size() == most) fail(path, "has more than " + std::to_string(most) + " entries");
    found.emplace_back(text_at(lua_, -1));
  }
  std::sort(found.begin(), found.end());
  return found;
}

void walk::only(const std::string& path, const names& allowed,
                const std::string& example) const {
  for (const auto& name : keys(path, 32, example)) {
    if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) continue;
    if (path.empty() && (name == "actions" || name == "tests" || name == "settle"))
      fail(name, "this version runs declared tables only; take " + name + " out");
    fail(path, "there is no " + quoted(name) + " here; known are " + join(allowed));
  }
}

names walk::text_list(const std::string& path, std::size_t most,
                      const std::string& example) const {
  if (!lua_istable(lua_, -1)) fail(path, "must be a list: write " + example);
  const auto count = lua_rawlen(lua_, -1);
  std::size_t entries = 0;
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    if (!lua_isinteger(lua_, -1)) fail(path, "must be a list without names: write " + example);
    if (++entries > most) fail(path, "has more than " + std::to_string(most) + " entries");
  }
  if (entries != count) fail(path, "has holes: write " + example);
  names list;
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua_, -1, static_cast<lua_Integer>(i));
    if (lua_type(lua_, -1) != LUA_TSTRING)
      fail(path, "holds something that is not a text: write " + example);
    list.emplace_back(text_at(lua_, -1));
    lua_pop(lua_, 1);
  }
  return list;
}

field walk::read_field(const std::string& path, const std::string& name) const {
  if (!is_name(name, true))
    fail(path,
         quoted(name)
             + " is no field name: use letters, digits and _, at most 64, a letter first");
  const auto number = type_at(lua_, -1);
  field what;
  if (number)
    what = state_.types[*number].what;
  else if (!is_bare_type(lua_, -1, what))
    fail(path + "." + name, "is not a type: write " + name
                                + " = text{max=64}, or int64, decimal, bool, bytes, one_of");
  what.name = name;
  return what;
}

std::vector<field> walk::read_fields(const std::string& path) {
  static constexpr char example[] = "fields = { code = text{max=12} }";
  std::vector<field> fields;
  need_table(path, example);
  for (const auto& name : keys(path, max_fields, example))
    with(name, [&] { fields.push_back(read_field(path, name)); });
  if (fields.empty()) fail(path, std::string("names no field: write ") + example);
  return fields;
}

field_numbers walk::read_key(const table& into, const std::string& path,
                             bool may_be_absent) const {
  static constexpr char example[] = "{ \"code\" }, with names of fields";
  field_numbers numbers;
  for (const auto& name : text_list(path, max_key_fields, example)) {
    const auto* found = into.find_field(name);
    if (found == nullptr)
      fail(path, "there is no field " + quoted(name) + " in this table's fields");
    if (found->optional && !may_be_absent)
      fail(path, "a field of the key cannot be optional: take optional away from " + name);
    const auto number = static_cast<field_number>(found - into.fields.data());
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end())
      fail(path, "names " + name + " twice; take one out");
    numbers.push_back(number);
  }
  if (numbers.empty()) fail(path, std::string("is empty: write ") + example);
  return numbers;
}

std::vector<field_numbers> walk::read_indexes(const table& into, const std::string& path) {
  static constexpr char example[] = "index = { {\"province\"}, {\"state\", \"province\"} }";
  std::vector<field_numbers> indexes;
  if (lua_isnil(lua_, -1)) return indexes;
  if (!lua_istable(lua_, -1))
    fail(path, std::string("must be a list of lists: write ") + example);
  const auto count = lua_rawlen(lua_, -1);
  if (count > max_indexes) fail(path, "has more than 8 indexes");
  lua_pushnil(lua_);
  for (std::size_t entries = 1; lua_next(lua_, -2) != 0; ++entries) {
    lua_pop(lua_, 1);
    if (!lua_isinteger(lua_, -1) || entries > count)
      fail(path, std::string("must be a list of lists: write ") + example);
  }
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua_, -1, static_cast<lua_Integer>(i));
    indexes.push_back(read_key(into, path + "[" + std::to_string(i) + "]", true));
    if (std::count(indexes.begin(), indexes.end(), indexes.back()) > 1)
      fail(path, "declares one index twice; take one out");
    lua_pop(lua_, 1);
  }
  return indexes;
}

/// Of a field in a key, at most: a character has up to 4 bytes, a byte up to 2 when escaped.
static std::size_t widest_key_bytes(const field& x) {
  switch (x.kind) {
  case field_kind::text:
    return static_cast<std::size_t>(x.max) * 4 + 2;
  case field_kind::bytes:
    return static_cast<std::size_t>(x.max) * 2 + 2;
  case field_kind::one_of:
    return limits::max_name_bytes * 2 + 2;
  default:
    return 9;
  }
}

static bool is_wide(const table& x, const field_numbers& index) {
  std::size_t size = 0;
  for (const auto number : index)
    size += widest_key_bytes(x.fields[number]);
  return size > limits::max_row_key_bytes;
}

/// A node's or an account's own name, as genesis may give it.
static bool is_party_name(std::string_view raw) {
  if (raw.empty() || raw.size() > limits::max_name_bytes) return false;
  return std::all_of(raw.begin(), raw.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_' || c == '-' || c == '.';
  });
}

std::vector<grantee> walk::read_grantees(const std::string& path) const {
  std::vector<grantee> list;
  if (lua_isnil(lua_, -1)) return list;
  for (auto& name : text_list(path, max_grantees, "{ \"level1\", \"hq\", \"importer@hq\" }")) {
    if (name == "author")
      fail(path, "\"author\" is not known in this version; name tiers, nodes or accounts");
    const auto at = name.find('@');
    if (name == "anyone")
      list.push_back({.what = grantee::kind::anyone});
    else if (const auto level = tier_named(name))
      list.push_back({.what = grantee::kind::tier, .at = *level});
    else if (at == std::string::npos && is_party_name(name))
      list.push_back({.what = grantee::kind::node, .name = std::move(name)});
    else if (at != std::string::npos && is_party_name(name.substr(0, at))
             && is_party_name(name.substr(at + 1)))
      list.push_back({.what = grantee::kind::account, .name = std::move(name)});
    else
      fail(path,
           quoted(name)
               + " is neither a tier (level1, level2, level3, service), nor a node, nor an "
                 "account written account@node, nor \"anyone\"");
  }
  return list;
}

table walk::read_table(const std::string& contract_name, const std::string& name) {
  const auto path = "tables." + name;
  static constexpr char example[] = "{ key = {\"code\"}, fields = { code = text{max=12} } }";
  if (!is_name(name, false))
    fail("tables",
         quoted(name) + " is no table name: use a-z, 0-9 and _, at most 64, a letter first");
  need_table(path, example);
  only(path, {"key", "fields", "index", "read", "store", "delete"}, example);
  table made{.name = name, .full_name = contract_name + "." + name};
  with("fields", [&] { made.fields = read_fields(path + ".fields"); });
  with("key", [&] { made.key = read_key(made, path + ".key", false); });
  with("index", [&] { made.indexes = read_indexes(made, path + ".index"); });
  made.has_wide_index =
      std::any_of(made.indexes.begin(), made.indexes.end(),
                  [&](const field_numbers& index) { return is_wide(made, index); });
  with("read", [&] { made.readers = read_grantees(path + ".read"); });
  with("store", [&] { made.storers = read_grantees(path + ".store"); });
  with("delete", [&] { made.deleters = read_grantees(path + ".delete"); });
  return made;
}

contract walk::read_contract() {
  static constexpr char example[] =
      "return { contract = \"orders\", version = 1, tables = { … } }";
  contract made;
  if (!lua_istable(lua_, -1)) fail("", std::string("returns no table: write ") + example);
  only("", {"contract", "version", "signed", "tables"}, example);
  with("contract", [&] {
    if (lua_type(lua_, -1) != LUA_TSTRING || !is_name(text_at(lua_, -1), false))
      fail("contract", "must be the contract's name, of a-z, 0-9 and _, at most 64: write "
                       "contract = \"orders\"");
    made.name = text_at(lua_, -1);
  });
  with("version", [&] {
    const auto number = lua_isinteger(lua_, -1) ? lua_tointeger(lua_, -1) : 0;
    if (number < 1 || number > std::numeric_limits<std::int32_t>::max())
      fail("version", "must be a positive whole number: write version = 1");
    made.version = static_cast<std::uint32_t>(number);
  });
  with("signed", [&] {
    if (!lua_isnil(lua_, -1) && !lua_isboolean(lua_, -1))
      fail("signed", "must be true or false");
    made.author_signs = lua_toboolean(lua_, -1);
  });
  with("tables", [&] {
    need_table("tables", "tables = { orders = { key = …, fields = … } }");
    for (const auto& name : keys("tables", max_tables, "orders = { key = …, fields = … }"))
      with(name, [&] { made.tables.push_back(read_table(made.name, name)); });
    if (made.tables.empty())
      fail("tables", "declares no table: write tables = { orders = { key = …, fields = … } }");
  });
  return made;
}

// --- parse

/// One printable line of UTF-8, of bounded length: Lua quotes what it could not read, and a cut
/// may fall inside a character.
static std::string one_line(std::string text) {
  static constexpr std::size_t most = 400;
  if (text.size() > most) text.resize(most);
  for (int cut = 0; cut < 3 && !text.empty() && !is_utf8(text); ++cut)
    text.pop_back();
  const bool broken = !is_utf8(text);
  for (auto& c : text) {
    const auto raw = static_cast<unsigned char>(c);
    if (raw < 0x20 || raw == 0x7F || (broken && raw >= 0x80))
      c = raw == '\n' || raw == '\t' ? ' ' : '?';
  }
  return text;
}

/// How often the source has a word from which Lua's compiler builds jump lists. It walks a
/// list's length for each further jump, so a file of nothing else would keep a node busy for
/// ten seconds.
static std::size_t count_jump_words(std::string_view source) {
  static constexpr std::string_view jump_words[] = {"and", "or", "elseif", "goto", "break"};
  const auto in_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_';
  };
  std::size_t count = 0;
  for (std::size_t i = 0; i < source.size();) {
    const auto start = i;
    while (i < source.size() && in_word(source[i]))
      ++i;
    count +=
        std::find(std::begin(jump_words), std::end(jump_words), source.substr(start, i - start))
        != std::end(jump_words);
    if (i == start) ++i;
  }
  return count;
}

static result<void> check_source(std::string_view source, const std::string& file_name,
                                 const parse_limits& limits) {
  if (source.size() > limits.source_bytes)
    return make_error(errc::too_large, file_name + ": a contract file has at most "
                                           + std::to_string(limits.source_bytes / 1024)
                                           + " KiB");
  if (source.starts_with(LUA_SIGNATURE))
    return make_error(errc::bad_config,
                      file_name + ":1: this is compiled Lua; give the source text");
  if (!is_utf8(source))
    return make_error(errc::bad_config, file_name + ": is not UTF-8 text; save it as UTF-8");
  if (count_jump_words(source) > limits.jump_words)
    return make_error(errc::too_large, file_name
                                           + ": says and, or, elseif, goto and break more than "
                                           + std::to_string(limits.jump_words)
                                           + " times; declare tables instead");
  return {};
}

/// What Lua calls the file, for it shortens long names in its messages.
static constexpr std::string_view stand_in = "?";

result<contract> parse(std::string_view source, std::string_view file_name,
                       const parse_limits& limits) {
  parsing state{.file_name = one_line(std::string(file_name.substr(0, 200)))};
  if (auto good = check_source(source, state.file_name, limits); !good) return good.error();
  contract made;
  made.source = hash(digest_kind::contract, as_bytes(source));
  static constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (source.starts_with(byte_order_mark)) source.remove_prefix(byte_order_mark.size());

  sandbox box(limits);
  auto failure = box.run([&](lua_State* lua) {
    open_constructors(lua, state);
    box.evaluate(lua, source, stand_in);
    auto found = walk(lua, state).read_contract();
    found.source = made.source;
    made = std::move(found);
  });
  if (!failure) return made;
  if (*failure == "not enough memory")
    return make_error(errc::too_large,
                      state.file_name
                          + ": the file builds too much in memory; a contract only declares");
  // What Lua says of its own limits comes without a place.
  if (failure->starts_with(stand_in))
    failure->replace(0, stand_in.size(), state.file_name);
  else if (!failure->starts_with(state.file_name))
    failure->insert(0, state.file_name + ": ");
  return make_error(errc::bad_config, one_line(*failure));
}

} // namespace tallymesh::contracts
