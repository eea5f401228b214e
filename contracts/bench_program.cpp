// What an action costs, before storage: two reads, one store and one settle, against a host in
// memory, beside an action that does nothing and Lua's own call: bench_program [RUNS].
#include "tests/unit/memory_host.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <lua.hpp>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

constexpr char source[] = R"(return { contract = "orders", version = 1,
  tables = {
    orders = { key = {"order_id"}, settles = true, index = { {"state"} },
      fields = { order_id = text{max=32}, province = text{max=8}, amount = decimal{scale=2, min=0},
                 state = one_of{"new", "accepted", "done"}, remark = optional(text{max=200}) } },
    provinces = { key = {"code"}, fields = { code = text{max=8}, name = text{max=40}, open = bool } } },
  actions = {
    nothing = { may = {"level2"}, run = function(ctx, p) end },
    accept = { may = {"level2"}, params = { order_id = text{max=32} }, run = function(ctx, p)
      local o = ctx.require(ctx.get("orders", p.order_id), "no_such_order")
      local province = ctx.require(ctx.get("provinces", o.province), "no_such_province")
      ctx.require(province.open and o.state ~= "done", "closed")
      ctx.store("orders", { order_id = o.order_id, state = "accepted" })
      ctx.settle{ from = ctx.author.node, to = "hq", amount = o.amount, reference = o.order_id }
    end } } })";

/// Processor time: other work on the machine does not count.
double now_us() {
  timespec at{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) * 1e6 + static_cast<double>(at.tv_nsec) * 1e-3;
}

template <class F>
double each_us(std::uint32_t count, F&& work) {
  for (std::uint32_t i = 0; i < count / 10; ++i)
    work();
  const auto start = now_us();
  for (std::uint32_t i = 0; i < count; ++i)
    work();
  return (now_us() - start) / count;
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

void must(const checked<void>& x) {
  if (!x) give_up(std::string(to_string(x.error().why)) + " " + x.error().detail);
}

/// A call of a function that returns its argument, in a state without any limit.
double lua_call_us(std::uint32_t count) {
  auto* const lua = luaL_newstate();
  if (luaL_dostring(lua, "return function(x) return x end") != LUA_OK) give_up("no Lua");
  const auto cost = each_us(count, [&] {
    lua_pushvalue(lua, -1);
    lua_pushinteger(lua, 1);
    lua_pcall(lua, 1, 1, 0);
    lua_pop(lua, 1);
  });
  lua_close(lua);
  return cost;
}

} // namespace

int main(int argc, char** argv) {
  const auto runs =
      argc > 1 ? static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 200'000;
  if (runs < 10) {
    std::fprintf(stderr, "usage: bench_program [RUNS]\n");
    return 64;
  }
  auto made = program::make(source, "orders.lua");
  if (!made) give_up(made.error().context);
  auto& code = **made;
  memory_host host(code.declared());
  value_map order, province, params;
  put(order, "order_id", "2026-11-24/000017");
  put(order, "province", "44");
  put(order, "amount", "1250.00");
  put(order, "state", "new");
  put(order, "remark", "多幅图, as asked for by the office in charge");
  must(host.store("orders", order));
  put(province, "code", "44");
  put(province, "name", "广东省");
  put(province, "open", true);
  must(host.store("provinces", province));
  put(params, "order_id", "2026-11-24/000017");

  const auto run = [&](const char* action, const value_map& given) {
    host.gas.used = 0;
    host.effects.clear();
    const auto end = code.run(action, given, host);
    if (!end.ok()) give_up(end.text);
  };
  const auto host_alone = [&] {
    host.effects.clear();
    value_map change, money;
    put(change, "order_id", "2026-11-24/000017");
    put(change, "state", "accepted");
    put(money, "from", "hq");
    put(money, "to", "hq");
    if (!host.get("orders", {"2026-11-24/000017"}) || !host.get("provinces", {"44"}))
      give_up("no row");
    must(host.store("orders", change));
    must(host.settle(money));
  };
  const auto lua = lua_call_us(runs);
  const auto nothing = each_us(runs, [&] { run("nothing", {}); });
  const auto accept = each_us(runs, [&] { run("accept", params); });
  const auto host_cost = each_us(runs, host_alone);
  std::printf("Lua's own protected call:                  %.2f us\n"
              "an action that does nothing:               %.2f us\n"
              "two reads, one store, one settle:          %.2f us, of gas %llu\n"
              "of which the host in memory, by itself:    %.2f us\n",
              lua, nothing, accept, static_cast<unsigned long long>(host.gas.used), host_cost);
  return 0;
}
