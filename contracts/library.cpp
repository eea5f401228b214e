#include "contracts/library.hpp"

#include "contracts/code_check.hpp"
#include "contracts/constructors.hpp"
#include "contracts/sandbox.hpp"
#include "contracts/vm_gas.hpp"

#include "messages/result.hpp"

#include <algorithm>
#include <cstring>
#include <lua.hpp>
#include <set>
#include <vector>

namespace tallymesh::contracts {

// --- for every function of the library

void raise(lua_State* lua, const std::string& message) {
  luaL_where(lua, 1);
  lua_pushlstring(lua, message.data(), message.size());
  lua_concat(lua, 2);
  lua_error(lua);
  std::abort(); // lua_error does not return
}

void raise_argument(lua_State* lua, int number, const char* expected) {
  lua_Debug here{};
  std::string function = "this function";
  if (lua_getstack(lua, 0, &here) != 0 && lua_getinfo(lua, "n", &here) != 0
      && here.name != nullptr)
    function = here.name;
  raise(lua, function + " takes " + expected + " as argument " + std::to_string(number)
                 + ", and got " + type_word(lua, number));
}

void spend_call(lua_State* lua) {
  sandbox::of(lua).spend(lua, vm_prices.library);
  spend_entries(lua, 1); // an argument's length, a name, a metatable: each is looked up
}
void spend_bytes(lua_State* lua, std::size_t count) {
  sandbox::of(lua).spend(lua, count / 8 * vm_prices.byte);
}
void spend_entries(lua_State* lua, std::size_t count) {
  auto& box = sandbox::of(lua);
  box.spend(lua, count * (vm_prices.entry + box.look_up_price()));
}

std::string_view text_argument(lua_State* lua, int number) {
  if (lua_type(lua, number) == LUA_TNUMBER && lua_isinteger(lua, number)) {
    // As a text in its place, so that it lives as long as the argument does.
    const auto text = std::to_string(lua_tointeger(lua, number));
    lua_pushlstring(lua, text.data(), text.size());
    lua_replace(lua, number);
  }
  if (lua_type(lua, number) != LUA_TSTRING) raise_argument(lua, number, "a text");
  std::size_t size = 0;
  const char* raw = lua_tolstring(lua, number, &size);
  return {raw, size};
}

std::int64_t whole_argument(lua_State* lua, int number) {
  if (lua_type(lua, number) != LUA_TNUMBER || !lua_isinteger(lua, number))
    raise_argument(lua, number, "a whole number");
  return lua_tointeger(lua, number);
}
std::int64_t whole_argument_or(lua_State* lua, int number, std::int64_t otherwise) {
  return lua_isnoneornil(lua, number) ? otherwise : whole_argument(lua, number);
}
void table_argument(lua_State* lua, int number) {
  if (lua_type(lua, number) != LUA_TTABLE) raise_argument(lua, number, "a table");
}

const char* type_word(lua_State* lua, int at) {
  switch (lua_type(lua, at)) {
  case LUA_TNONE:
    return "nothing";
  case LUA_TNUMBER:
    return lua_isinteger(lua, at) ? "number" : "float";
  case LUA_TLIGHTUSERDATA:
    return "none";
  case LUA_TUSERDATA:
    return decimal_at(lua, at) != nullptr ? "decimal" : "field type";
  default:
    return lua_typename(lua, lua_type(lua, at));
  }
}

std::string text_of(lua_State* lua, int at) {
  switch (lua_type(lua, at)) {
  case LUA_TBOOLEAN:
    return lua_toboolean(lua, at) ? "true" : "false";
  case LUA_TNUMBER:
    if (!lua_isinteger(lua, at))
      raise(lua, "this number has a fraction, which nodes may round apart; use a decimal");
    return std::to_string(lua_tointeger(lua, at));
  case LUA_TSTRING: {
    std::size_t size = 0;
    const char* raw = lua_tolstring(lua, at, &size);
    return {raw, size};
  }
  default:
    if (const auto* number = decimal_at(lua, at)) return number->to_text();
    return type_word(lua, at);
  }
}

void push_none(lua_State* lua) { lua_pushlightuserdata(lua, nullptr); }

// --- tables that cannot change

static int refuse_change(lua_State* lua) {
  raise(lua, "this table was made when the file was read and cannot change; copy it first");
}

static int frozen_length(lua_State* lua) {
  push_content(lua, 1);
  lua_pushinteger(lua, static_cast<lua_Integer>(lua_rawlen(lua, -1)));
  return 1;
}

// A frozen table is empty; its metatable holds the content at 1. No other table has a
// metatable, for contracts have no setmetatable.
static constexpr int content_place = 1;

bool is_frozen(lua_State* lua, int at) {
  if (lua_type(lua, at) != LUA_TTABLE || lua_getmetatable(lua, at) == 0) return false;
  const bool frozen = lua_rawgeti(lua, -1, content_place) == LUA_TTABLE;
  lua_pop(lua, 2);
  return frozen;
}

void push_content(lua_State* lua, int at) {
  luaL_checkstack(lua, 4, nullptr);
  at = lua_absindex(lua, at);
  if (lua_getmetatable(lua, at) != 0) {
    const bool frozen = lua_rawgeti(lua, -1, content_place) == LUA_TTABLE;
    lua_remove(lua, -2);
    if (frozen) return;
    lua_pop(lua, 1);
  }
  lua_pushvalue(lua, at);
}

void freeze(lua_State* lua, int at) {
  if (is_frozen(lua, at)) return;
  luaL_checkstack(lua, 8, nullptr);
  at = lua_absindex(lua, at);
  lua_newtable(lua);
  const int content = lua_gettop(lua);
  lua_pushnil(lua);
  while (lua_next(lua, at) != 0) {
    lua_pushvalue(lua, -2);
    lua_insert(lua, -2);
    lua_rawset(lua, content);
  }
  lua_pushnil(lua);
  while (lua_next(lua, content) != 0) {
    lua_pop(lua, 1);
    lua_pushvalue(lua, -1);
    lua_pushnil(lua);
    lua_rawset(lua, at);
  }
  // What the content's own metatable answers (the facts of ctx, say), it goes on answering.
  if (lua_getmetatable(lua, at) != 0) lua_setmetatable(lua, content);
  lua_createtable(lua, 1, 3);
  lua_pushvalue(lua, content);
  lua_rawseti(lua, -2, content_place);
  lua_pushvalue(lua, content);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, &refuse_change);
  lua_setfield(lua, -2, "__newindex");
  lua_pushcfunction(lua, &frozen_length);
  lua_setfield(lua, -2, "__len");
  lua_setmetatable(lua, at);
  lua_settop(lua, content - 1);
}

// --- everything that lives on after the file was read

/// Raised with the place of the fault in the file.
[[noreturn]] static void raise_at_line(lua_State* lua, int line, const std::string& what) {
  lua_pushfstring(lua, "?:%d: %s", line, what.c_str());
  lua_error(lua);
  std::abort(); // lua_error does not return
}

static int first_line(lua_State* lua, int at) {
  lua_Debug about{};
  lua_pushvalue(lua, at);
  lua_getinfo(lua, ">S", &about);
  return about.linedefined;
}

namespace {

/// Walks what a value holds. What is still to be seen waits in a table of Lua, so that nothing
/// nests.
class freezer {
public:
  explicit freezer(lua_State* lua) : lua_(lua) {}

  void everything_in(int at) {
    at = lua_absindex(lua_, at);
    lua_newtable(lua_);
    waiting_ = lua_gettop(lua_);
    lua_pushvalue(lua_, at);
    note();
    while (count_ > 0) {
      lua_rawgeti(lua_, waiting_, count_);
      lua_pushnil(lua_);
      lua_rawseti(lua_, waiting_, count_--);
      if (lua_type(lua_, -1) == LUA_TTABLE)
        enter_table();
      else
        enter_function();
      lua_settop(lua_, waiting_);
    }
    lua_pop(lua_, 1);
  }

private:
  /// Takes the value on top.
  void note() {
    const int kind = lua_type(lua_, -1);
    if (kind == LUA_TNUMBER && !lua_isinteger(lua_, -1))
      raise_at_line(lua_, line_,
                    "a number with a fraction is kept inexactly; write decimal(\"12.50\", 2)");
    if ((kind == LUA_TTABLE || kind == LUA_TFUNCTION)
        && seen_.insert(lua_topointer(lua_, -1)).second)
      lua_rawseti(lua_, waiting_, ++count_);
    else
      lua_pop(lua_, 1);
  }

  void enter_table() {
    const int table = lua_gettop(lua_);
    freeze(lua_, table);
    push_content(lua_, table);
    lua_pushnil(lua_);
    while (lua_next(lua_, table + 1) != 0) {
      note();
      lua_pushvalue(lua_, -1);
      note();
    }
  }

  void enter_function() {
    static constexpr int most_upvalues_without_state = 2;
    const int function = lua_gettop(lua_);
    if (lua_iscfunction(lua_, function)) {
      if (lua_getupvalue(lua_, function, most_upvalues_without_state + 1) != nullptr)
        raise_at_line(lua_, line_, "an iterator cannot be kept; call pairs where you loop");
      return;
    }
    line_ = first_line(lua_, function);
    const auto dumped = dump_function(lua_);
    spend_bytes(lua_, 8 * dumped.size()); // many closures may share one large function
    const auto names = [this](std::string_view name) { return unknown_name_of(lua_, name); };
    if (const auto fault = find_code_fault(dumped, true, names))
      raise_at_line(lua_, fault->line, fault->what);
    for (int i = 1; lua_getupvalue(lua_, function, i) != nullptr; ++i)
      note();
  }

  lua_State* lua_;
  std::set<const void*> seen_;
  int waiting_ = 0, count_ = 0, line_ = 1;
};

} // namespace

void freeze_deep(lua_State* lua, int at) {
  luaL_checkstack(lua, 16, nullptr);
  freezer(lua).everything_in(at);
}

// --- the order of keys

namespace {

struct ordered_key {
  int kind; ///< whole numbers, then texts, then booleans
  std::int64_t number;
  std::string_view text;

  auto operator<=>(const ordered_key&) const = default;
};

} // namespace

static ordered_key key_at(lua_State* lua, int at) {
  switch (lua_type(lua, at)) {
  case LUA_TNUMBER:
    if (lua_isinteger(lua, at)) return {0, lua_tointeger(lua, at), {}};
    break;
  case LUA_TSTRING: {
    std::size_t size = 0;
    const char* raw = lua_tolstring(lua, at, &size);
    return {1, 0, {raw, size}};
  }
  case LUA_TBOOLEAN:
    return {2, lua_toboolean(lua, at), {}};
  }
  raise(lua, std::string("a table that is listed has whole numbers, texts and booleans as keys;"
                         " this one has a ")
                 + type_word(lua, at));
}

static void push_key(lua_State* lua, const ordered_key& x) {
  if (x.kind == 0)
    lua_pushinteger(lua, x.number);
  else if (x.kind == 1)
    lua_pushlstring(lua, x.text.data(), x.text.size());
  else
    lua_pushboolean(lua, static_cast<int>(x.number));
}

static std::vector<ordered_key> ordered_keys(lua_State* lua, int content) {
  std::vector<ordered_key> found;
  sandbox::of(lua).spend_walk(lua);
  lua_pushnil(lua);
  while (lua_next(lua, content) != 0) {
    lua_pop(lua, 1);
    spend_entries(lua, 1);
    found.push_back(key_at(lua, -1));
  }
  std::sort(found.begin(), found.end());
  return found;
}

void push_ordered_keys(lua_State* lua, int at) {
  luaL_checkstack(lua, 8, nullptr);
  push_content(lua, at);
  const int content = lua_gettop(lua);
  const auto keys = ordered_keys(lua, content);
  lua_createtable(lua, static_cast<int>(keys.size()), 0);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    push_key(lua, keys[i]);
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
  }
  lua_remove(lua, content);
}

// Upvalues: the content, its keys in order, how many were given. A key whose value went
// meanwhile is passed over.
static int next_pair(lua_State* lua) {
  const int content = lua_upvalueindex(1), keys = lua_upvalueindex(2);
  auto at = lua_tointeger(lua, lua_upvalueindex(3));
  while (lua_rawgeti(lua, keys, ++at) != LUA_TNIL) {
    spend_entries(lua, 1);
    lua_pushvalue(lua, -1);
    if (lua_rawget(lua, content) != LUA_TNIL) {
      lua_pushinteger(lua, at);
      lua_replace(lua, lua_upvalueindex(3));
      return 2;
    }
    lua_pop(lua, 2);
  }
  return 1;
}

static int library_pairs(lua_State* lua) {
  spend_call(lua);
  table_argument(lua, 1);
  push_content(lua, 1);
  push_ordered_keys(lua, 1);
  lua_pushinteger(lua, 0);
  lua_pushcclosure(lua, &next_pair, 3);
  return 1;
}

static int library_next(lua_State* lua) {
  spend_call(lua);
  table_argument(lua, 1);
  lua_settop(lua, 2);
  push_content(lua, 1);
  const bool from_start = lua_isnil(lua, 2);
  const auto after = from_start ? ordered_key{} : key_at(lua, 2);
  std::optional<ordered_key> least;
  sandbox::of(lua).spend_walk(lua);
  lua_pushnil(lua);
  while (lua_next(lua, 3) != 0) {
    lua_pop(lua, 1);
    spend_entries(lua, 1);
    const auto key = key_at(lua, -1);
    if ((from_start || key > after) && (!least || key < *least)) least = key;
  }
  if (!least) {
    lua_pushnil(lua);
    return 1;
  }
  push_key(lua, *least);
  lua_pushvalue(lua, -1);
  lua_rawget(lua, 3);
  return 2;
}

static int next_place(lua_State* lua) {
  const auto at = whole_argument(lua, 2) + 1;
  spend_entries(lua, 1);
  push_content(lua, 1);
  lua_pushinteger(lua, at);
  return lua_rawgeti(lua, -2, at) == LUA_TNIL ? 1 : 2;
}

static int library_ipairs(lua_State* lua) {
  spend_call(lua);
  table_argument(lua, 1);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_pushvalue(lua, 1);
  lua_pushinteger(lua, 0);
  return 3;
}

// --- the rest of what has no prefix

static int library_type(lua_State* lua) {
  spend_call(lua);
  if (lua_isnone(lua, 1)) raise_argument(lua, 1, "a value");
  lua_pushstring(lua, type_word(lua, 1));
  return 1;
}

static int library_tostring(lua_State* lua) {
  spend_call(lua);
  if (lua_isnone(lua, 1)) raise_argument(lua, 1, "a value");
  const auto text = text_of(lua, 1);
  spend_bytes(lua, text.size());
  lua_pushlstring(lua, text.data(), text.size());
  return 1;
}

/// "12", "-3", " 7 ": whole numbers in base ten only. Nothing for other texts.
static std::optional<std::int64_t> whole_number_in(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && space(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && space(text.back()))
    text.remove_suffix(1);
  if (const auto number = decimal::from_text(text, 0);
      number && text.find('.') == std::string_view::npos)
    return number->units;
  return std::nullopt;
}

static int library_tonumber(lua_State* lua) {
  spend_call(lua);
  if (!lua_isnoneornil(lua, 2)) raise(lua, "tonumber reads base ten only");
  if (lua_type(lua, 1) == LUA_TNUMBER) {
    lua_pushinteger(lua, whole_argument(lua, 1));
  } else if (lua_type(lua, 1) == LUA_TSTRING) {
    const auto text = text_argument(lua, 1);
    spend_bytes(lua, text.size());
    if (const auto number = whole_number_in(text))
      lua_pushinteger(lua, *number);
    else
      lua_pushnil(lua);
  } else {
    lua_pushnil(lua);
  }
  return 1;
}

static int library_select(lua_State* lua) {
  spend_call(lua);
  const int count = lua_gettop(lua) - 1;
  if (lua_type(lua, 1) == LUA_TSTRING && text_argument(lua, 1) == "#") {
    lua_pushinteger(lua, count);
    return 1;
  }
  auto from = whole_argument(lua, 1);
  if (from < 0) from = count + from + 1;
  if (from < 1) raise_argument(lua, 1, "a place among the arguments");
  spend_entries(lua, static_cast<std::size_t>(count));
  return from > count ? 0 : count - static_cast<int>(from) + 1;
}

static int library_error(lua_State* lua) {
  spend_call(lua);
  lua_settop(lua, 1);
  if (lua_type(lua, 1) == LUA_TSTRING) {
    luaL_where(lua, 1);
    lua_insert(lua, 1);
    lua_concat(lua, 2);
  }
  return lua_error(lua);
}

static int library_assert(lua_State* lua) {
  spend_call(lua);
  if (lua_isnone(lua, 1)) raise_argument(lua, 1, "a value");
  if (lua_toboolean(lua, 1)) return lua_gettop(lua);
  if (lua_type(lua, 2) == LUA_TSTRING) raise(lua, text_of(lua, 2));
  raise(lua, "this should be true");
}

/// What ended the whole operation goes on through here; the contract cannot hold it up.
static int library_pcall(lua_State* lua) {
  spend_call(lua);
  if (lua_isnone(lua, 1)) raise_argument(lua, 1, "a function");
  const int failed = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
  // A C++ exception went through Lua: what this node met alone is no outcome.
  TALLYMESH_INVARIANT(failed >= LUA_OK);
  auto& box = sandbox::of(lua);
  if (failed == LUA_ERRMEM && !box.reading()) box.note_memory_error();
  if (box.stopped() != stop_reason::none || failed == LUA_ERRMEM || failed == LUA_ERRERR)
    return lua_error(lua);
  if (failed != LUA_OK) box.spend(lua, vm_prices.caught_error);
  lua_pushboolean(lua, failed == LUA_OK);
  lua_insert(lua, 1);
  return lua_gettop(lua);
}

// --- math: whole numbers, and decimals where they compare

static int extreme(lua_State* lua, bool greatest) {
  spend_call(lua);
  const int count = lua_gettop(lua);
  spend_entries(lua, static_cast<std::size_t>(count));
  int best = 1;
  for (int i = 1; i <= count || i == 1; ++i) {
    if (decimal_at(lua, i) == nullptr) whole_argument(lua, i);
    if (greatest ? lua_compare(lua, best, i, LUA_OPLT) : lua_compare(lua, i, best, LUA_OPLT))
      best = i;
  }
  lua_pushvalue(lua, best);
  return 1;
}
static int math_max(lua_State* lua) { return extreme(lua, true); }
static int math_min(lua_State* lua) { return extreme(lua, false); }

static int math_abs(lua_State* lua) {
  spend_call(lua);
  if (const auto* exact = decimal_at(lua, 1)) {
    if (exact->units == LUA_MININTEGER) raise(lua, "this number is too large");
    push_decimal(lua, {exact->units < 0 ? -exact->units : exact->units, exact->scale});
    return 1;
  }
  const auto number = whole_argument(lua, 1);
  if (number == LUA_MININTEGER) raise(lua, "this number is too large");
  lua_pushinteger(lua, number < 0 ? -number : number);
  return 1;
}

static int math_tointeger(lua_State* lua) {
  spend_call(lua);
  if (lua_type(lua, 1) == LUA_TNUMBER && lua_isinteger(lua, 1)) {
    lua_settop(lua, 1);
    return 1;
  }
  if (const auto* exact = decimal_at(lua, 1)) {
    std::int64_t units = exact->units;
    for (int i = 0; i < exact->scale; ++i) {
      if (units % 10 != 0) return 0;
      units /= 10;
    }
    lua_pushinteger(lua, units);
    return 1;
  }
  lua_pushnil(lua);
  return 1;
}

void add_functions(lua_State* lua, const luaL_Reg* functions) {
  // An unused upvalue makes a function a piece of the state's own memory, whose address is the
  // same everywhere; a bare C function would hash by where the program was loaded.
  for (; functions->name != nullptr; ++functions) {
    lua_pushboolean(lua, 1);
    lua_pushcclosure(lua, functions->func, 1);
    lua_setfield(lua, -2, functions->name);
  }
}

void open_library(lua_State* lua) {
  static constexpr luaL_Reg base[] = {
      {"type", &library_type},         {"tostring", &library_tostring},
      {"tonumber", &library_tonumber}, {"select", &library_select},
      {"error", &library_error},       {"assert", &library_assert},
      {"pcall", &library_pcall},       {"pairs", &library_pairs},
      {"next", &library_next},         {nullptr, nullptr}};
  static constexpr luaL_Reg math[] = {{"max", &math_max},
                                      {"min", &math_min},
                                      {"abs", &math_abs},
                                      {"tointeger", &math_tointeger},
                                      {nullptr, nullptr}};
  add_functions(lua, base);
  lua_pushboolean(lua, 1);
  lua_pushcclosure(lua, &next_place, 1);
  lua_pushcclosure(lua, &library_ipairs, 1);
  lua_setfield(lua, -2, "ipairs");
  push_none(lua);
  lua_setfield(lua, -2, "none");
  lua_newtable(lua);
  add_functions(lua, math);
  lua_pushinteger(lua, LUA_MAXINTEGER);
  lua_setfield(lua, -2, "maxinteger");
  lua_pushinteger(lua, LUA_MININTEGER);
  lua_setfield(lua, -2, "mininteger");
  freeze(lua, -1);
  lua_setfield(lua, -2, "math");
  open_decimals(lua);
  open_table_library(lua);
  open_string_library(lua);
}

} // namespace tallymesh::contracts
