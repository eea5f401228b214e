// What the VM is: its version, a digest of its prices and limits, and the proof that the linked
// Lua is the one whose insides sandbox.cpp and code_check.cpp know.
#include "contracts/code_check.hpp"
#include "contracts/gas.hpp"
#include "contracts/program.hpp"
#include "contracts/sandbox.hpp"
#include "contracts/vm_gas.hpp"

#include <cstring>
#include <lua.hpp>

namespace tallymesh::contracts {

std::string vm_version() {
#if defined(__x86_64__)
  static constexpr char machine[] = "x86_64";
#elif defined(__aarch64__)
  static constexpr char machine[] = "aarch64";
#else
#error "The VM's results are pinned for a machine; name this one"
#endif
  return LUA_RELEASE ", gas table " + std::to_string(vm_prices.number) + ", " + machine;
}

static std::string numbers_of(std::initializer_list<std::uint64_t> numbers) {
  std::string text;
  for (const auto each : numbers)
    text += std::to_string(each) + " ";
  return text;
}

digest vm_digest(const vm_limits& limits) {
  const auto version = vm_version();
  const auto own = numbers_of({vm_prices.number,
                               vm_prices.instruction,
                               vm_prices.library,
                               vm_prices.byte,
                               vm_prices.match_step,
                               vm_prices.entry,
                               vm_prices.caught_error,
                               vm_prices.host,
                               vm_prices.free_text_bytes,
                               vm_prices.text_bytes_a_gas,
                               vm_prices.free_entries,
                               vm_prices.entries_a_gas,
                               vm_prices.free_texts,
                               vm_prices.texts_a_gas,
                               vm_prices.free_stack_bytes,
                               vm_prices.stack_bytes_a_gas,
                               vm_prices.moved_bytes_a_gas,
                               vm_prices.zero_bytes_a_gas,
                               vm_prices.kept_bytes_a_gas,
                               static_cast<std::uint64_t>(instructions_between_counts)});
  const auto host = numbers_of({prices.operation, prices.look_up, prices.walk, prices.visited,
                                prices.write, prices.index, prices.byte, prices.event,
                                prices.call, default_operation_gas, activation_gas});
  const auto bounds =
      numbers_of({limits.file.source_bytes, limits.file.memory_bytes, limits.file.churn_bytes,
                  limits.file.piece_bytes, limits.file.jump_words, limits.file.steps,
                  limits.run_bytes, limits.piece_bytes, limits.stack_bytes, limits.test_gas});
  return hash(digest_kind::contract, {as_bytes("vm"), as_bytes(version), as_bytes(own),
                                      as_bytes(host), as_bytes(bounds)});
}

result<void> check_vm(std::string_view pinned_version, const digest& pinned) {
  if (pinned_version == vm_version() && pinned == vm_digest()) return {};
  const auto say = [](std::string_view version, const digest& of) {
    return "\"" + std::string(version) + "\" (" + of.short_hex() + ")";
  };
  return make_error(errc::unsupported,
                    "vm: this mesh carries contracts out with " + say(pinned_version, pinned)
                        + ", and this program has " + say(vm_version(), vm_digest())
                        + ": it could come to other results; install the version that the "
                          "other nodes run");
}

// --- the linked Lua

/// In what order a table of a hundred texts is kept: it follows from the hashes' seed, and from
/// how Lua grows its tables.
static std::string order_of_texts() {
  sandbox box({});
  std::string order;
  box.run([&](lua_State* lua) {
    lua_newtable(lua);
    for (int i = 0; i < 100; ++i) {
      lua_pushinteger(lua, i);
      lua_setfield(lua, -2, ("name " + std::to_string(i)).c_str());
    }
    lua_pushnil(lua);
    while (lua_next(lua, -2) != 0) {
      order += std::to_string(lua_tointeger(lua, -1)) + " ";
      lua_pop(lua, 1);
    }
  });
  return hash(digest_kind::contract, as_bytes(order)).short_hex();
}

/// Whether reading compiled code finds what it should in each of these.
static bool faults_are_found() {
  static constexpr std::pair<const char*, int> samples[] = {
      {"return 1 + 2 // 3 % 4", 0},
      {"local a = ...\nreturn a / 2", 2},
      {"local a = ...\nreturn 2 / a", 2},
      {"local a, b = ...\nreturn a / b", 2},
      {"local a = ...\nreturn a ^ 2", 2},
      {"local a, b = ...\nreturn a ^ b", 2},
      {"return 1.0", 1},
      {"return 1.5", 1},
      {"local a = ...\nreturn a + 1.5", 2},
      {"local a = ...\nreturn a == 1.5", 2},
      {"local a = ...\nreturn a < 1.0", 2},
      {"local t = ...\nt.x = 1.5", 2},
      {"local x = 1\nreturn function()\nx = 2 end", 0},
      {"return 7,\nfunction(a)\nreturn a + 2.5 end", 3}};
  sandbox box({});
  bool good = true;
  const auto failed = box.run([&](lua_State* lua) {
    for (const auto& [source, line] : samples) {
      if (sandbox::compile(lua, source, "@?") != LUA_OK) lua_error(lua);
      const auto fault = find_code_fault(dump_function(lua), true);
      good = good && (fault ? fault->line : 0) == line;
      lua_pop(lua, 1);
    }
    // An assignment that leaves the function: seen from the inner one.
    static constexpr char outward[] = "local x = 1\nreturn function()\nx = 2 end";
    sandbox::compile(lua, outward, "@?");
    lua_call(lua, 0, 1);
    const auto fault = find_code_fault(dump_function(lua), true);
    good = good && fault && fault->line == 3;
  });
  return good && !failed;
}

/// Whether no text is taken for a number: see sandbox.cpp.
static bool texts_stay_texts() {
  for (const auto* source : {"for i = '1', 2 do end", "for i = 1, '2' do end",
                             "for i = 1, 2, '1' do end", "for i = '0.5', 2 do end"}) {
    sandbox box({});
    const auto failed = box.run([&](lua_State* lua) {
      if (sandbox::compile(lua, source, "@?") == LUA_OK) lua_call(lua, 0, 0);
    });
    if (!failed || failed->find("number expected, got string") == std::string::npos)
      return false;
  }
  return true;
}

static result<void> examine_lua() {
  const std::string_view linked = lua_ident;
  if (linked.find(LUA_RELEASE " ") == std::string_view::npos
      || std::string_view(LUA_RELEASE) != "Lua 5.4.4")
    return make_error(
        errc::unsupported,
        "the linked Lua is not 5.4.4, for which this VM was made: contracts could "
        "come to other results than on other nodes");
  static constexpr std::string_view expected_order = "807e845b3cdb";
  if (const auto order = order_of_texts(); order != expected_order)
    return make_error(errc::unsupported,
                      "the linked Lua keeps its tables in another order (" + order
                          + ") than this VM expects: contracts could come to other results");
  if (!texts_stay_texts())
    return make_error(errc::unsupported,
                      "this program was linked without --wrap for Lua's luaO_str2num, so that "
                      "contracts could make floats: build it as cmake/Dependencies.cmake says");
  if (!faults_are_found())
    return make_error(errc::unsupported,
                      "the linked Lua compiles to other code than this VM can check");
  return {};
}

result<void> check_lua() {
  static const result<void> examined = examine_lua();
  return examined;
}

} // namespace tallymesh::contracts
