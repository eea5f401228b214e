// `ctx`: what an action and a migration see of the world. Each function hands one call to the
// host, whose refusals end the run.
#include "contracts/constructors.hpp"
#include "contracts/library.hpp"
#include "contracts/program_run.hpp"
#include "contracts/program_values.hpp"

#include <algorithm>
#include <lua.hpp>

namespace tallymesh::contracts {

run_in_progress& run_of(lua_State* lua) {
  return *static_cast<run_in_progress*>(sandbox::of(lua).user);
}

const table* own_table(lua_State* lua, std::string_view name) {
  return run_of(lua).declared->find_table(name);
}

// --- arguments

/// A listing without a limit gives all rows, and fails if there are more than this.
static constexpr std::size_t max_listed_rows = 1000;

static std::string name_argument(lua_State* lua, int number, const char* expected) {
  if (lua_type(lua, number) == LUA_TTABLE && number == 1)
    raise(lua, "this is called with a dot: write ctx.get, not ctx:get");
  if (lua_type(lua, number) != LUA_TSTRING) raise_argument(lua, number, expected);
  return std::string(text_at(lua, number));
}
static std::string table_name_argument(lua_State* lua) {
  return name_argument(lua, 1, "a table's name");
}

static value_list table_key(lua_State* lua, const std::string& table, value_list key) {
  return as_declared(own_table(lua, table), std::move(key));
}

listing listing_argument(lua_State* lua, int number) {
  listing made{.wanted = {.limit = max_listed_rows + 1, .descending = false}, .all = true};
  for (const auto& [name, given] : map_argument(lua, number)) {
    const auto* limit = given.as<std::int64_t>();
    const auto* descending = given.as<bool>();
    if (name == "limit" && limit != nullptr && *limit >= 1
        && *limit <= static_cast<std::int64_t>(max_listed_rows)) {
      made.wanted.limit = static_cast<std::size_t>(*limit);
      made.all = false;
    } else if (name == "descending" && descending != nullptr) {
      made.wanted.descending = *descending;
    } else {
      raise(lua, "a listing takes { limit = 1 to 1000, descending = true or false }");
    }
  }
  return made;
}

void check_all(lua_State* lua, const listing& asked, std::size_t found) {
  if (asked.all && found > max_listed_rows)
    raise(lua, "there are more than 1000 rows; ask for a part, or write { limit = 1000 }");
}

// --- reads

static int context_get(lua_State* lua) {
  const auto table = table_name_argument(lua);
  const auto key = table_key(lua, table, key_arguments(lua, 2));
  const auto row = ask_host(lua, [&](auto& run) { return run.on->get(table, key); });
  if (*row)
    push_row(lua, row_view(**row));
  else
    lua_pushnil(lua);
  return 1;
}

static int context_find(lua_State* lua) {
  const auto table = table_name_argument(lua);
  const auto where = as_declared(own_table(lua, table), map_argument(lua, 2));
  const auto asked = listing_argument(lua, 3);
  const auto rows =
      ask_host(lua, [&](auto& run) { return run.on->find(table, where, asked.wanted); });
  check_all(lua, asked, rows->size());
  push_rows(lua, *rows);
  return 1;
}

static int context_range(lua_State* lua) {
  const auto table = table_name_argument(lua);
  const auto from = table_key(lua, table, key_argument(lua, 2));
  const auto to = table_key(lua, table, key_argument(lua, 3));
  const auto asked = listing_argument(lua, 4);
  const auto rows =
      ask_host(lua, [&](auto& run) { return run.on->range(table, from, to, asked.wanted); });
  check_all(lua, asked, rows->size());
  push_rows(lua, *rows);
  return 1;
}

// --- effects

static int context_store(lua_State* lua) {
  const auto table = table_name_argument(lua);
  table_argument(lua, 2);
  const auto row = as_declared(own_table(lua, table), map_argument(lua, 2));
  ask_host(lua, [&](auto& run) { return run.on->store(table, row); });
  return 0;
}

static int context_delete(lua_State* lua) {
  const auto table = table_name_argument(lua);
  const auto key = table_key(lua, table, key_arguments(lua, 2));
  ask_host(lua, [&](auto& run) { return run.on->remove(table, key); });
  return 0;
}

static int context_erase(lua_State* lua) {
  const auto table = table_name_argument(lua);
  const auto key = table_key(lua, table, key_argument(lua, 2));
  const auto reason = name_argument(lua, 3, "the reason, as a text");
  ask_host(lua, [&](auto& run) { return run.on->erase(table, key, reason); });
  return 0;
}

static int context_settle(lua_State* lua) {
  table_argument(lua, 1);
  const auto what = map_argument(lua, 1);
  ask_host(lua, [&](auto& run) { return run.on->settle(what); });
  return 0;
}

static int context_distribute(lua_State* lua) {
  const auto table = table_name_argument(lua);
  const auto key = table_key(lua, table, key_argument(lua, 2));
  table_argument(lua, 3);
  const auto to = map_argument(lua, 3);
  ask_host(lua, [&](auto& run) { return run.on->distribute(table, key, to); });
  return 0;
}

static int context_emit(lua_State* lua) {
  const auto name = name_argument(lua, 1, "the event's name");
  auto what = map_argument(lua, 2);
  ask_host(lua, [&](auto& run) { return run.on->emit(name, std::move(what)); });
  return 0;
}

static int context_call(lua_State* lua) {
  const auto contract = name_argument(lua, 1, "a contract's name");
  const auto action = name_argument(lua, 2, "an action's name");
  const auto params = map_argument(lua, 3);
  const auto given =
      ask_host(lua, [&](auto& run) { return run.on->call(contract, action, params); });
  push_value(lua, *given);
  return 1;
}

bool is_code(std::string_view raw) {
  if (raw.empty() || raw.size() > limits::max_name_bytes) return false;
  return std::all_of(raw.begin(), raw.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_' || c == '-' || c == '.';
  });
}

/// ctx.require(condition, "code"): gives back the condition.
static int context_require(lua_State* lua) {
  spend_call(lua);
  const auto code = name_argument(lua, 2, "a code such as \"not_new\"");
  if (!is_code(code))
    raise(lua, "the code of require is for the chain: letters, digits, _ - and ., at most 64");
  if (!lua_toboolean(lua, 1))
    sandbox::of(lua).stop(lua, refuse(outcome::refused_by_contract, code));
  lua_settop(lua, 1);
  return 1;
}

// --- facts: ctx.author, height, time, operation, caller

static void set_text(lua_State* lua, const char* name, std::string_view text) {
  lua_pushlstring(lua, text.data(), text.size());
  lua_setfield(lua, -2, name);
}

static void push_author(lua_State* lua, const actor& who) {
  lua_createtable(lua, 0, 4);
  set_text(lua, "account", who.account);
  set_text(lua, "node", who.node);
  set_text(lua, "tier", to_string(who.at));
  set_text(lua, "name", std::string(who.account) + "@" + std::string(who.node));
}

static bool push_fact(lua_State* lua, std::string_view name) {
  const auto facts = run_of(lua).on->facts();
  if (name == "author")
    push_author(lua, facts.who);
  else if (name == "height")
    lua_pushinteger(lua, static_cast<lua_Integer>(facts.height));
  else if (name == "time")
    lua_pushinteger(lua, facts.time_ms);
  else if (name == "operation")
    lua_pushstring(lua, facts.operation.hex().c_str());
  else if (name == "caller" && facts.caller.empty())
    lua_pushnil(lua);
  else if (name == "caller")
    lua_pushlstring(lua, facts.caller.data(), facts.caller.size());
  else
    return false;
  return true;
}

/// What ctx's table does not hold yet. A fact stays there for the rest of the run.
static int context_fact(lua_State* lua) {
  spend_call(lua);
  const auto name = lua_type(lua, 2) == LUA_TSTRING ? text_at(lua, 2) : std::string_view("?");
  if (!push_fact(lua, name))
    raise(lua, "ctx has no " + in_quotes(name)
                   + "; it has get, find, range, store, delete, erase, settle, distribute, "
                     "emit, call, require, author, caller, height, time and operation");
  lua_pushvalue(lua, 2);
  lua_pushvalue(lua, -2);
  lua_rawset(lua, 1);
  return 1;
}

void push_context(lua_State* lua) {
  static constexpr luaL_Reg functions[] = {
      {"get", &context_get},         {"find", &context_find},
      {"range", &context_range},     {"store", &context_store},
      {"delete", &context_delete},   {"erase", &context_erase},
      {"settle", &context_settle},   {"distribute", &context_distribute},
      {"emit", &context_emit},       {"call", &context_call},
      {"require", &context_require}, {nullptr, nullptr}};
  lua_newtable(lua);
  add_functions(lua, functions);
  lua_createtable(lua, 0, 1);
  lua_pushcfunction(lua, &context_fact);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);
  freeze(lua, -1);
}

} // namespace tallymesh::contracts
