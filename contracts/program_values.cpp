#include "contracts/program_values.hpp"

#include "contracts/constructors.hpp"
#include "contracts/library.hpp"
#include "contracts/sandbox.hpp"
#include "contracts/short_bytes.hpp"
#include "messages/limits.hpp"

#include <algorithm>
#include <lua.hpp>

namespace tallymesh::contracts {

static constexpr std::size_t max_value_bytes = 1024 * 1024;
static constexpr std::size_t max_value_entries = 16 * 1024;

static bytes bytes_of(std::string_view text) {
  const auto raw = as_bytes(text);
  return {raw.begin(), raw.end()};
}

// --- into Lua

static void push_text(lua_State* lua, std::string_view text) {
  spend_bytes(lua, text.size());
  if (text.find('\0') != std::string_view::npos) sandbox::of(lua).note_zero_byte();
  lua_pushlstring(lua, text.data(), text.size());
}

static void push_list(lua_State* lua, const value_list& list) {
  lua_createtable(lua, static_cast<int>(list.size()), 0);
  spend_entries(lua, list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_null())
      push_none(lua);
    else
      push_value(lua, list[i]);
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
  }
}

void push_row(lua_State* lua, const value_map& row) {
  luaL_checkstack(lua, 4, nullptr);
  lua_createtable(lua, 0, static_cast<int>(row.size()));
  spend_entries(lua, row.size());
  for (const auto& [name, each] : row) {
    lua_pushlstring(lua, name.data(), name.size());
    push_value(lua, each);
    lua_rawset(lua, -3);
  }
}

/// As push_value of the value decoded.
static void push_encoded(lua_State* lua, bytes_view x) {
  luaL_checkstack(lua, 4, nullptr);
  switch (kind_of(x)) {
  case value_kind<bool>:
    return lua_pushboolean(lua, flag_of(x));
  case value_kind<std::int64_t>:
    return lua_pushinteger(lua, integer_of(x));
  case value_kind<decimal>:
    return push_decimal(lua, decimal_of(x));
  default:
    return push_text(lua, as_text(content_of(x)));
  }
}

void push_row(lua_State* lua, const row_view& row) {
  luaL_checkstack(lua, 4, nullptr);
  lua_createtable(lua, 0, static_cast<int>(row.size()));
  spend_entries(lua, row.size());
  for (row_view::cursor at(row); at.at() != nullptr; at.next()) {
    lua_pushlstring(lua, at.at()->name.data(), at.at()->name.size());
    push_encoded(lua, at.at()->encoded);
    lua_rawset(lua, -3);
  }
}

void push_value(lua_State* lua, const value& x) {
  luaL_checkstack(lua, 4, nullptr);
  if (const auto* truth = x.as<bool>())
    lua_pushboolean(lua, *truth);
  else if (const auto* number = x.as<std::int64_t>())
    lua_pushinteger(lua, *number);
  else if (const auto* exact = x.as<decimal>())
    push_decimal(lua, *exact);
  else if (const auto* text = x.as<std::string>())
    push_text(lua, *text);
  else if (const auto* raw = x.as<bytes>())
    push_text(lua, as_text(*raw));
  else if (const auto* list = x.as<value_list>())
    push_list(lua, *list);
  else if (const auto* map = x.as<value_map>())
    push_row(lua, *map);
  else
    lua_pushnil(lua);
}

void push_rows(lua_State* lua, const std::vector<value_map>& rows) {
  lua_createtable(lua, static_cast<int>(rows.size()), 0);
  spend_entries(lua, rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    push_row(lua, rows[i]);
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
  }
}

// --- out of Lua

/// Before the first name that comes behind it.
static value_map::iterator place_in(value_map& map, std::string_view name) {
  auto at = map.end();
  while (at != map.begin() && order_of(std::string_view(std::prev(at)->first), name) > 0)
    --at;
  return at;
}

namespace {

/// Takes one value. What it made so far is counted, for one small table may stand in many
/// places.
class taker {
public:
  explicit taker(lua_State* lua) : lua_(lua) {}

  value take(int at, int depth = 0) {
    switch (lua_type(lua_, at)) {
    case LUA_TNIL:
    case LUA_TNONE:
    case LUA_TLIGHTUSERDATA:
      return {};
    case LUA_TBOOLEAN:
      return lua_toboolean(lua_, at) != 0;
    case LUA_TNUMBER:
      if (!lua_isinteger(lua_, at))
        raise(lua_, "a number with a fraction is kept inexactly; write decimal(\"12.50\", 2)");
      return std::int64_t{lua_tointeger(lua_, at)};
    case LUA_TSTRING:
      return take_text(text_at(lua_, at));
    case LUA_TTABLE:
      return take_table(at, depth + 1);
    default:
      if (const auto* exact = decimal_at(lua_, at)) return *exact;
      raise(lua_, std::string("a ") + type_word(lua_, at)
                      + " cannot leave the contract; give texts, numbers and tables of them");
    }
  }

  value_map take_map(int at, int depth) {
    // Few are put in their places one by one; of many, that would move each again and again.
    constexpr std::size_t few = 16;
    value_map map;
    if (depth <= 1) map.reserve(8); // most rows and arguments; within them may be many maps
    walk(at, depth, [&] {
      if (lua_type(lua_, -2) != LUA_TSTRING)
        raise(lua_, std::string("this table needs names, and has a ") + type_word(lua_, -2)
                        + " as one");
      std::string name(text_at(lua_, -2));
      if (!is_utf8(name)) raise(lua_, "a name in this table is not UTF-8 text");
      count(name.size());
      auto each = take(lua_gettop(lua_), depth);
      map.emplace(map.size() < few ? place_in(map, name) : map.end(), std::move(name),
                  std::move(each));
    });
    if (map.size() > few)
      std::sort(map.begin(), map.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
    return map;
  }

  value_list take_list(int at, int depth) {
    check_depth(depth);
    push_content(lua_, at);
    const int content = lua_gettop(lua_);
    value_list list;
    const auto size = lua_rawlen(lua_, content);
    for (std::size_t i = 1; i <= size; ++i) {
      lua_rawgeti(lua_, content, static_cast<lua_Integer>(i));
      count(0);
      list.push_back(take(lua_gettop(lua_), depth));
      lua_pop(lua_, 1);
    }
    lua_pop(lua_, 1);
    return list;
  }

  bool is_list(int at) const {
    push_content(lua_, at);
    const bool list = lua_rawgeti(lua_, -1, 1) != LUA_TNIL;
    lua_pop(lua_, 2);
    return list;
  }

private:
  void check_depth(int depth) const {
    luaL_checkstack(lua_, 8, nullptr);
    if (depth >= max_value_depth) raise(lua_, "tables nest too deeply, or hold themselves");
  }
  void count(std::size_t size) {
    spend_entries(lua_, 1);
    spend_bytes(lua_, size);
    bytes_ += size;
    if (++entries_ > max_value_entries || bytes_ > max_value_bytes)
      raise(lua_, "this is too much at once; at most 16384 values and 1 MiB of text");
  }
  value take_text(std::string_view text) {
    count(text.size());
    if (is_utf8(text)) return std::string(text);
    return bytes_of(text);
  }
  template <class F>
  void walk(int at, int depth, F&& each) {
    check_depth(depth);
    push_content(lua_, at);
    const int content = lua_gettop(lua_);
    sandbox::of(lua_).spend_walk(lua_);
    lua_pushnil(lua_);
    while (lua_next(lua_, content) != 0) {
      each();
      lua_pop(lua_, 1);
    }
    lua_pop(lua_, 1);
  }
  value take_table(int at, int depth) {
    if (!is_list(at)) return take_map(at, depth);
    std::size_t entries = 0;
    walk(at, depth, [&] {
      ++entries;
      if (!lua_isinteger(lua_, -2)) raise(lua_, "this table has both places and names");
    });
    auto list = take_list(at, depth);
    if (list.size() != entries) raise(lua_, "this list has holes; write none for nothing");
    return list;
  }

  lua_State* lua_;
  std::size_t entries_ = 0, bytes_ = 0;
};

} // namespace

value value_at(lua_State* lua, int at) { return taker(lua).take(lua_absindex(lua, at)); }

value_map map_argument(lua_State* lua, int number) {
  if (lua_isnoneornil(lua, number)) return {};
  table_argument(lua, number);
  return taker(lua).take_map(number, 1);
}

value_list key_argument(lua_State* lua, int number) {
  if (lua_isnoneornil(lua, number)) return {};
  if (lua_type(lua, number) == LUA_TTABLE) return taker(lua).take_list(number, 1);
  return {value_at(lua, number)};
}

value_list key_arguments(lua_State* lua, int number) {
  const int last = lua_gettop(lua);
  if (last == number && lua_type(lua, number) == LUA_TTABLE) return key_argument(lua, number);
  if (last < number) raise_argument(lua, number, "the key's values");
  value_list key;
  for (int at = number; at <= last; ++at) {
    if (lua_type(lua, at) == LUA_TTABLE) raise_argument(lua, at, "a value of the key");
    key.push_back(value_at(lua, at));
  }
  return key;
}

// --- bytes

static void make_bytes_of(const field& x, value& given) {
  if (const auto* text = given.as<std::string>(); text && x.kind == field_kind::bytes)
    given = bytes_of(*text);
}

value_map as_declared(const table* x, value_map row) {
  for (auto& [name, each] : row)
    if (const auto* declared = x == nullptr ? nullptr : x->find_field(name))
      make_bytes_of(*declared, each);
  return row;
}

value_list as_declared(const table* x, value_list key) {
  for (std::size_t i = 0; x != nullptr && i < std::min(key.size(), x->key.size()); ++i)
    make_bytes_of(x->fields[x->key[i]], key[i]);
  return key;
}

} // namespace tallymesh::contracts
