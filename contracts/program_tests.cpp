// `t`: what a contract's own tests act with. An expectation that is not met fails the test with
// its line, and says what was expected and what came.
#include "contracts/constructors.hpp"
#include "contracts/library.hpp"
#include "contracts/program_run.hpp"
#include "contracts/program_values.hpp"

#include <lua.hpp>

namespace tallymesh::contracts {

// --- how values are shown

static constexpr std::size_t max_shown_bytes = 200;

static void show(const value& x, std::string& into) {
  if (into.size() > max_shown_bytes) return;
  if (const auto* truth = x.as<bool>())
    into += *truth ? "true" : "false";
  else if (const auto* number = x.as<std::int64_t>())
    into += std::to_string(*number);
  else if (const auto* exact = x.as<decimal>())
    into += exact->to_text();
  else if (const auto* text = x.as<std::string>())
    into += in_quotes(*text);
  else if (const auto* raw = x.as<bytes>())
    into += "bytes " + to_hex(*raw).substr(0, max_shown_bytes);
  else if (const auto* list = x.as<value_list>()) {
    into += "{";
    for (const auto& each : *list) {
      if (&each != list->data()) into += ", ";
      show(each, into);
    }
    into += "}";
  } else if (const auto* map = x.as<value_map>()) {
    into += "{";
    for (const auto& [name, each] : *map) {
      into += into.back() == '{' ? " " : ", ";
      into += name + " = ";
      show(each, into);
    }
    into += " }";
  } else {
    into += "nil";
  }
}
static std::string shown(const value& x) {
  std::string text;
  show(x, text);
  return printable(std::move(text), max_shown_bytes);
}

static std::string shown(const tried& x) {
  std::string text(to_string(x.why));
  return x.detail.empty() ? text : text + " (" + x.detail + ")";
}

// --- who, when

static std::string text_at_place(lua_State* lua, int number) {
  return std::string(text_argument(lua, number));
}

static int test_as(lua_State* lua) {
  spend_call(lua);
  const auto account = text_at_place(lua, 1);
  std::optional<tier> level;
  if (!lua_isnoneornil(lua, 2)) {
    level = tier_named(text_argument(lua, 2));
    if (!level) raise_argument(lua, 2, "level1, level2, level3 or service");
  }
  ask_host(lua, [&](auto& run) { return run.test_on->become(account, level); });
  return 0;
}

static int test_at(lua_State* lua) {
  spend_call(lua);
  const auto time_ms = whole_argument(lua, 1);
  ask_host(lua, [&](auto& run) { return run.test_on->set_time(time_ms); });
  return 0;
}

static int test_time(lua_State* lua) {
  spend_call(lua);
  lua_pushinteger(lua, run_of(lua).test_on->time_ms());
  return 1;
}

// --- operations

static tried perform(lua_State* lua, const std::string& contract, const std::string& action,
                     const value_map& params) {
  auto& box = sandbox::of(lua);
  box.spend(lua, vm_prices.host);
  auto& mesh = *run_of(lua).test_on;
  mesh.allow(box.left());
  auto came = mesh.perform(contract, action, params);
  box.spend(lua, mesh.take_used());
  return came;
}

static int expect_done(lua_State* lua, const std::string& contract, const std::string& action,
                       const value_map& params) {
  const auto came = perform(lua, contract, action, params);
  if (came.why != outcome::done && came.why != outcome::no_change)
    raise(lua, action + " was expected to be done, and came to " + shown(came));
  push_value(lua, came.returned);
  return 1;
}

static int test_run(lua_State* lua) {
  spend_call(lua);
  const auto action = text_at_place(lua, 1);
  return expect_done(lua, "", action, map_argument(lua, 2));
}

static int test_call(lua_State* lua) {
  spend_call(lua);
  const auto contract = text_at_place(lua, 1), action = text_at_place(lua, 2);
  return expect_done(lua, contract, action, map_argument(lua, 3));
}

/// t.refused("not_new", "accept", {…}): by the outcome's name, or by its detail.
static int test_refused(lua_State* lua) {
  spend_call(lua);
  const auto code = text_at_place(lua, 1), action = text_at_place(lua, 2);
  const auto came = perform(lua, "", action, map_argument(lua, 3));
  const bool refused = came.why != outcome::done && came.why != outcome::no_change;
  if (!refused || (to_string(came.why) != code && came.detail != code))
    raise(lua,
          action + " was expected to be refused as " + code + ", and came to " + shown(came));
  return 0;
}

/// The arguments of a native operation about one row.
static value_map about_row(lua_State* lua, int key_place) {
  const auto table = text_at_place(lua, 1);
  value_map arguments;
  put(arguments, "table", table);
  put(arguments, "key", as_declared(own_table(lua, table), key_argument(lua, key_place)));
  return arguments;
}

static int test_store(lua_State* lua) {
  spend_call(lua);
  const auto table = text_at_place(lua, 1);
  table_argument(lua, 2);
  value_map arguments;
  put(arguments, "table", table);
  put(arguments, "row", as_declared(own_table(lua, table), map_argument(lua, 2)));
  return expect_done(lua, "", "store", arguments);
}
static int test_delete(lua_State* lua) {
  spend_call(lua);
  return expect_done(lua, "", "delete", about_row(lua, 2));
}
static int test_erase(lua_State* lua) {
  spend_call(lua);
  auto arguments = about_row(lua, 2);
  put(arguments, "reason", text_at_place(lua, 3));
  return expect_done(lua, "", "erase", arguments);
}
static int test_distribute(lua_State* lua) {
  spend_call(lua);
  auto arguments = about_row(lua, 2);
  put(arguments, "to", map_argument(lua, 3));
  return expect_done(lua, "", "distribute", arguments);
}

// --- reads

static int test_get(lua_State* lua) {
  const auto table = text_at_place(lua, 1);
  const auto key = as_declared(own_table(lua, table), key_arguments(lua, 2));
  const auto row = ask_host(lua, [&](auto& run) { return run.test_on->get(table, key); });
  if (*row)
    push_row(lua, row_view(**row));
  else
    lua_pushnil(lua);
  return 1;
}

static int test_find(lua_State* lua) {
  const auto table = text_at_place(lua, 1);
  const auto where = as_declared(own_table(lua, table), map_argument(lua, 2));
  const auto asked = listing_argument(lua, 3);
  const auto rows =
      ask_host(lua, [&](auto& run) { return run.test_on->find(table, where, asked.wanted); });
  check_all(lua, asked, rows->size());
  push_rows(lua, *rows);
  return 1;
}

static int test_range(lua_State* lua) {
  const auto table = text_at_place(lua, 1);
  const auto* declared = own_table(lua, table);
  const auto from = as_declared(declared, key_argument(lua, 2));
  const auto to = as_declared(declared, key_argument(lua, 3));
  const auto asked = listing_argument(lua, 4);
  const auto rows = ask_host(
      lua, [&](auto& run) { return run.test_on->range(table, from, to, asked.wanted); });
  check_all(lua, asked, rows->size());
  push_rows(lua, *rows);
  return 1;
}

// --- expectations

static std::string told(lua_State* lua, int number) {
  return lua_isnoneornil(lua, number) ? "" : text_at_place(lua, number) + ": ";
}

static int test_equal(lua_State* lua) {
  spend_call(lua);
  if (lua_gettop(lua) < 2) raise_argument(lua, 2, "what is expected");
  // Decimals of different scales may be the same number.
  if (lua_compare(lua, 1, 2, LUA_OPEQ)) return 0;
  const auto came = value_at(lua, 1), expected = value_at(lua, 2);
  if (came == expected) return 0;
  raise(lua, told(lua, 3) + "expected " + shown(expected) + ", and came " + shown(came));
}

static int test_check(lua_State* lua) {
  spend_call(lua);
  if (lua_toboolean(lua, 1)) return 0;
  raise(lua, told(lua, 2) + "this was expected to be true");
}

static int unknown_in_tests(lua_State* lua) {
  const auto name = lua_type(lua, 2) == LUA_TSTRING ? text_at(lua, 2) : std::string_view("?");
  raise(lua, "t has no " + in_quotes(name)
                 + "; it has as, at, time, run, call, refused, store, delete, erase, "
                   "distribute, get, find, range, equal and check");
}

void push_test_tool(lua_State* lua) {
  static constexpr luaL_Reg functions[] = {
      {"as", &test_as},       {"at", &test_at},
      {"time", &test_time},   {"run", &test_run},
      {"call", &test_call},   {"refused", &test_refused},
      {"store", &test_store}, {"delete", &test_delete},
      {"erase", &test_erase}, {"distribute", &test_distribute},
      {"get", &test_get},     {"find", &test_find},
      {"range", &test_range}, {"equal", &test_equal},
      {"check", &test_check}, {nullptr, nullptr}};
  lua_newtable(lua);
  add_functions(lua, functions);
  lua_createtable(lua, 0, 1);
  lua_pushcfunction(lua, &unknown_in_tests);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);
  freeze(lua, -1);
}

} // namespace tallymesh::contracts
