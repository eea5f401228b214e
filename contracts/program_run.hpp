// What program's files share: the run in progress, and the objects `ctx` and `t` through which
// a contract's code reaches it. Inside a sandbox's run; one thread.
#pragma once

#include "contracts/contract.hpp"
#include "contracts/host.hpp"
#include "contracts/sandbox.hpp"
#include "contracts/vm_gas.hpp"

struct lua_State;

namespace tallymesh::contracts {

/// sandbox::user points at it while a run is under way.
struct run_in_progress {
  const contract* declared = nullptr;
  gas_meter* meter = nullptr;   ///< none: a test, which has gas of its own
  host* on = nullptr;           ///< of an action or a migration
  test_host* test_on = nullptr; ///< of one of the contract's tests
};

run_in_progress& run_of(lua_State* lua);

/// Whether a contract may give this as the reason of a refusal: on the chain are codes, not
/// texts.
bool is_code(std::string_view raw);

/// Pushes `ctx` and `t`, which serve all runs: while the file is read.
void push_context(lua_State* lua);
void push_test_tool(lua_State* lua);

/// The own table of this name, if there is one: for what its declaration says of bytes.
const table* own_table(lua_State* lua, std::string_view name);
/// The last argument of a listing: { limit = 10, descending = true }.
struct listing {
  page wanted;
  bool all = false; ///< no limit was given, and so all must be there
};
listing listing_argument(lua_State* lua, int number);
/// Raises an error if these were to be all and are not.
void check_all(lua_State* lua, const listing& asked, std::size_t found);

/// The host's answer, or the end of the run with its refusal. Gas is settled before and after.
template <class F>
auto ask_host(lua_State* lua, F&& call) {
  auto& box = sandbox::of(lua);
  auto& work = run_of(lua);
  box.spend(lua, vm_prices.host);
  if (work.meter != nullptr) {
    if (auto paid = work.meter->charge(box.spent()); !paid) box.stop(lua, paid.error());
  }
  if (work.test_on != nullptr) work.test_on->allow(box.left());
  auto answer = call(work);
  if (work.meter != nullptr) box.give_gas(work.meter->left());
  if (work.test_on != nullptr) box.spend(lua, work.test_on->take_used());
  if (!answer) box.stop(lua, answer.error());
  return answer;
}

} // namespace tallymesh::contracts
