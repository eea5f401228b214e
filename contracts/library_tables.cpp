// table.insert, remove, concat, unpack and sort.
#include "contracts/library.hpp"

#include <lua.hpp>
#include <vector>

namespace tallymesh::contracts {

static lua_Integer length(lua_State* lua, int at) {
  return static_cast<lua_Integer>(lua_rawlen(lua, at));
}

static void changeable_argument(lua_State* lua) {
  table_argument(lua, 1);
  if (is_frozen(lua, 1))
    raise(lua, "this table was made when the file was read and cannot change; copy it first");
}

static int table_insert(lua_State* lua) {
  spend_call(lua);
  changeable_argument(lua);
  const auto count = length(lua, 1);
  if (lua_gettop(lua) == 2) {
    lua_rawseti(lua, 1, count + 1);
    return 0;
  }
  if (lua_gettop(lua) != 3) raise(lua, "insert takes a table, perhaps a place, and a value");
  const auto at = whole_argument(lua, 2);
  if (at < 1 || at > count + 1) raise_argument(lua, 2, "a place in the table");
  spend_entries(lua, static_cast<std::size_t>(count + 1 - at));
  for (auto i = count; i >= at; --i) {
    lua_rawgeti(lua, 1, i);
    lua_rawseti(lua, 1, i + 1);
  }
  lua_rawseti(lua, 1, at);
  return 0;
}

static int table_remove(lua_State* lua) {
  spend_call(lua);
  changeable_argument(lua);
  const auto count = length(lua, 1);
  const auto at = whole_argument_or(lua, 2, count);
  if (count == 0 && (at == 0 || at == 1)) {
    lua_pushnil(lua);
    return 1;
  }
  if (at < 1 || at > count) raise_argument(lua, 2, "a place in the table");
  spend_entries(lua, static_cast<std::size_t>(count - at));
  lua_rawgeti(lua, 1, at);
  for (auto i = at; i < count; ++i) {
    lua_rawgeti(lua, 1, i + 1);
    lua_rawseti(lua, 1, i);
  }
  lua_pushnil(lua);
  lua_rawseti(lua, 1, count);
  return 1;
}

static int table_concat(lua_State* lua) {
  spend_call(lua);
  table_argument(lua, 1);
  lua_settop(lua, 4);
  const std::string between(lua_isnoneornil(lua, 2) ? "" : text_argument(lua, 2));
  push_content(lua, 1);
  const int content = lua_gettop(lua);
  const auto from = whole_argument_or(lua, 3, 1);
  const auto to = whole_argument_or(lua, 4, length(lua, content));
  std::string text;
  for (auto i = from; i <= to; ++i) {
    const auto size_before = text.size();
    const int kind = lua_rawgeti(lua, content, i);
    if (kind != LUA_TSTRING && kind != LUA_TNUMBER && decimal_at(lua, -1) == nullptr)
      raise(lua, "concat joins texts and numbers; entry " + std::to_string(i) + " is "
                     + type_word(lua, -1));
    text += text_of(lua, -1);
    if (i < to) text += between;
    if (text.size() > max_text_bytes) raise(lua, "the text would be longer than 1 MiB");
    lua_pop(lua, 1);
    spend_entries(lua, 1);
    spend_bytes(lua, text.size() - size_before + 7);
    if (i == to) break; // also where `to` is the greatest number there is
  }
  lua_pushlstring(lua, text.data(), text.size());
  return 1;
}

static int table_unpack(lua_State* lua) {
  static constexpr std::uint64_t most = 200;
  spend_call(lua);
  table_argument(lua, 1);
  lua_settop(lua, 3);
  push_content(lua, 1);
  const int content = lua_gettop(lua);
  const auto from = whole_argument_or(lua, 2, 1);
  const auto to = whole_argument_or(lua, 3, length(lua, content));
  if (from > to) return 0;
  const auto count = static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
  if (count >= most) raise(lua, "unpack gives at most 200 values");
  spend_entries(lua, count + 1);
  luaL_checkstack(lua, static_cast<int>(count) + 8, nullptr);
  for (std::uint64_t i = 0; i <= count; ++i)
    lua_rawgeti(lua, content, from + static_cast<lua_Integer>(i));
  return static_cast<int>(count) + 1;
}

/// Whether the value at `left` must stand before that at `right`. Argument 2 decides, if it is
/// given.
static bool comes_before(lua_State* lua, int left, int right) {
  spend_entries(lua, 1);
  if (lua_isnil(lua, 2)) {
    const bool texts =
        lua_type(lua, left) == LUA_TSTRING && lua_type(lua, right) == LUA_TSTRING;
    if (!texts) return lua_compare(lua, left, right, LUA_OPLT);
    // Lua would compare by the locale.
    std::size_t left_size = 0, right_size = 0;
    const char* const left_raw = lua_tolstring(lua, left, &left_size);
    const char* const right_raw = lua_tolstring(lua, right, &right_size);
    spend_bytes(lua, std::min(left_size, right_size));
    return std::string_view(left_raw, left_size) < std::string_view(right_raw, right_size);
  }
  left = lua_absindex(lua, left);
  right = lua_absindex(lua, right);
  lua_pushvalue(lua, 2);
  lua_pushvalue(lua, left);
  lua_pushvalue(lua, right);
  lua_call(lua, 2, 1);
  const bool before = lua_toboolean(lua, -1);
  lua_pop(lua, 1);
  return before;
}

/// Merges neighbouring runs of `width` from the table at `from` into that at `into`. Entries
/// that are equal keep their order, whatever the comparison says it ends.
static void merge_runs(lua_State* lua, int from, int into, lua_Integer count,
                       lua_Integer width) {
  for (lua_Integer start = 1; start <= count; start += 2 * width) {
    auto left = start, right = std::min(start + width, count + 1);
    const auto left_end = right, right_end = std::min(start + 2 * width, count + 1);
    for (auto to = start; to < right_end; ++to) {
      bool take_right = left == left_end;
      if (left < left_end && right < right_end) {
        lua_rawgeti(lua, from, left);
        lua_rawgeti(lua, from, right);
        take_right = comes_before(lua, -1, -2);
        lua_pop(lua, 2);
      }
      lua_rawgeti(lua, from, take_right ? right++ : left++);
      lua_rawseti(lua, into, to);
    }
  }
}

static int table_sort(lua_State* lua) {
  spend_call(lua);
  changeable_argument(lua);
  lua_settop(lua, 2);
  if (!lua_isnil(lua, 2) && lua_type(lua, 2) != LUA_TFUNCTION)
    raise_argument(lua, 2, "a function that says whether one comes before another");
  const auto count = length(lua, 1);
  spend_entries(lua, static_cast<std::size_t>(count));
  // Two tables of our own, so that the comparison cannot change what is being sorted.
  for (int table = 3; table <= 4; ++table)
    lua_createtable(lua, static_cast<int>(std::min<lua_Integer>(count, 1 << 20)), 0);
  for (lua_Integer i = 1; i <= count; ++i) {
    lua_rawgeti(lua, 1, i);
    lua_rawseti(lua, 3, i);
  }
  int from = 3;
  for (lua_Integer width = 1; width < count; width *= 2) {
    merge_runs(lua, from, 7 - from, count, width);
    from = 7 - from;
  }
  for (lua_Integer i = 1; i <= count; ++i) {
    lua_rawgeti(lua, from, i);
    lua_rawseti(lua, 1, i);
  }
  return 0;
}

void open_table_library(lua_State* lua) {
  static constexpr luaL_Reg functions[] = {{"insert", &table_insert}, {"remove", &table_remove},
                                           {"concat", &table_concat}, {"unpack", &table_unpack},
                                           {"sort", &table_sort},     {nullptr, nullptr}};
  lua_newtable(lua);
  add_functions(lua, functions);
  freeze(lua, -1);
  lua_setfield(lua, -2, "table");
}

} // namespace tallymesh::contracts
