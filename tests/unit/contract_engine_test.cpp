// Actions through the executor: who may, with what, what is left of it, and that every node
// comes to the same.
#include "actors/contract_executor/machine.hpp"
#include "contracts/memory_source.hpp"
#include "messages/encoding.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <set>

using namespace tallymesh;
using namespace tallymesh::contract_executor;

namespace {

constexpr char orders_source[] = R"lua(return { contract = "orders", version = 1,
  tables = {
    provinces = { key = {"code"}, fields = { code = text{max=2} }, store = {"hq"}, delete = {"hq"} },
    orders = { key = {"order_id"},
      fields = { order_id = text{max=8}, province = text{max=2}, amount = decimal{scale=2, min=0},
                 state = one_of{"new", "accepted"}, number = optional(int64{}) },
      index = { {"state", "order_id"} }, unique = { {"number"} },
      references = { { fields = {"province"}, table = "provinces" } },
      check = function(row) return row.order_id ~= "bad", "bad_id" end,
      store = {"level1", "contract:desk"} },
  },
  actions = {
    accept = { may = {"level2", "clerk@hq"}, params = { order_id = text{max=8} },
      run = function(ctx, p)
        local o = ctx.get("orders", p.order_id)
        ctx.require(o and o.state == "new", "not_new")
        ctx.store("orders", { order_id = p.order_id, state = "accepted" })
        ctx.emit("accepted", { by = ctx.author.name, order_id = p.order_id })
        return o.amount
      end },
    sweep = { may = {"hq"}, params = { limit = optional(int64{min=1}) },
      run = function(ctx, p)
        for _, o in ipairs(ctx.find("orders", { state = "accepted" }, { limit = p.limit or 10 })) do
          ctx.delete("orders", o.order_id)
        end
        for _, o in ipairs(ctx.range("orders", {"a"}, {"b"})) do ctx.emit("left", { id = o.order_id }) end
      end },
    fail_late = { may = {"anyone"},
      run = function(ctx)
        ctx.store("provinces", { code = "XX" })
        ctx.emit("begun", {})
        error("no")
      end },
    endless = { may = {"anyone"}, run = function(ctx) while true do end end },
    who = { may = {"anyone"}, run = function(ctx) ctx.emit("who", { caller = ctx.caller or "none" }) end },
    only_desk = { may = {"contract:desk"}, run = function(ctx) ctx.emit("desk", {}) end },
  } })lua";
constexpr char desk_source[] = R"lua(return { contract = "desk", version = 1,
  tables = { notes = { key = {"id"}, fields = { id = text{max=8} } } },
  actions = {
    who = { may = {"anyone"}, run = function(ctx) ctx.call("orders", "who", {}) end },
    only_desk = { may = {"anyone"}, run = function(ctx) ctx.call("orders", "only_desk", {}) end },
    place = { may = {"anyone"}, params = { order_id = text{max=8} },
      run = function(ctx, p)
        ctx.call("orders", "store", { table = "orders", row =
          { order_id = p.order_id, province = "ZJ", amount = decimal("1.50"), state = "new" } })
      end },
    accept = { may = {"anyone"}, params = { order_id = text{max=8} },
      run = function(ctx, p) ctx.call("orders", "accept", p) end },
  } })lua";
constexpr char broker_source[] = R"lua(return { contract = "broker", version = 1,
  tables = { notes = { key = {"id"}, fields = { id = text{max=8} } } },
  actions = {
    only_desk = { may = {"anyone"}, run = function(ctx) ctx.call("orders", "only_desk", {}) end },
    look = { may = {"anyone"}, params = { salary = optional(int64) },
      run = function(ctx, p)
        local found = p.salary and ctx.find("staff.people", { salary = p.salary })
                      or { ctx.get("staff.people", "ann"), ctx.range("staff.people", "a", "b")[1],
                           ctx.find("staff.people", { team = "x" })[1] }
        for _, each in ipairs(found) do ctx.emit("saw", { team = each.team, salary = each.salary }) end
      end },
    look_closed = { may = {"anyone"}, run = function(ctx) ctx.get("staff.closed", "a") end },
    by_desk = { may = {"anyone"}, run = function(ctx) ctx.call("desk", "only_desk", {}) end },
  } })lua";

constexpr char staff_source[] = R"lua(return { contract = "staff", version = 1, tables = {
  people = { key = {"name"}, fields = { name = text{max=8}, team = text{max=8}, salary = int64 },
             index = { {"team"}, {"salary"} }, read = {"level1", "contract:broker"},
             hide = { salary = {"level1"} }, store = {"hq"} },
  closed = { key = {"id"}, fields = { id = text{max=8} }, read = {"level1"} } } })lua";

/// link1 calls link2, and so on to link`last`.
std::string link_source(int number, int last) {
  const auto name = "link" + std::to_string(number);
  const auto next = "link" + std::to_string(number + 1);
  return "return { contract = \"" + name + R"(", version = 1,
    tables = { notes = { key = {"id"}, fields = { id = text{max=8} } } },
    actions = { go = { may = {"anyone"}, run = function(ctx) )"
         + (number == last ? "ctx.emit(\"end\", {})" : "ctx.call(\"" + next + "\", \"go\", {})")
         + " end } } }";
}

constexpr node_index hq = 0, coop = 1;
constexpr std::int64_t now_ms = 1'000'000;

contracts::contract_entry entry(const std::string& source) {
  auto made = contracts::parse(source, "test.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  return {std::move(*made), source, nullptr};
}

genesis_facts facts() {
  genesis_facts x;
  x.nodes = {{"hq", contracts::tier::level1}, {"coop", contracts::tier::level2}};
  x.accounts = {{"clerk", "hq", {}}, {"guard", "hq", {}}, {"importer", "coop", {}}};
  for (const auto* source : {orders_source, desk_source, broker_source, staff_source})
    x.contracts.push_back(entry(source));
  for (int i = 1; i <= 9; ++i)
    x.contracts.push_back(entry(link_source(i, 9)));
  return x;
}

value_map map_of(std::initializer_list<std::pair<const char*, value>> fields) {
  value_map made;
  for (const auto& [name, what] : fields)
    put(made, name, what);
  return made;
}
value_map order(const std::string& id, std::int64_t cents, const char* province = "ZJ") {
  return map_of({{"order_id", id},
                 {"province", province},
                 {"amount", decimal{cents, 2}},
                 {"state", "new"}});
}

struct engine_fixture {
  machine rules = std::move(*machine::make(facts()));
  contracts::contract_set_ptr in_force = rules.base();
  contracts::memory_source stored;
  contracts::overlay newer;
  std::set<std::pair<node_index, operation_id>> ids;
  contracts::engine runs;
  block_height height = 0;
  digest previous;
  std::uint32_t next_id = 0;

  execution run(std::vector<operation> operations, node_index lane = hq) {
    sealed_batch x;
    x.content.lane = lane;
    x.content.operations = std::move(operations);
    sealed_block block;
    block.content.height = ++height;
    block.content.time_ms = now_ms;
    auto made =
        rules.execute(block, {std::make_shared<const sealed_batch>(std::move(x))}, previous,
                      {newer, stored,
                       [this](node_index in, const operation_id& id) {
                         return ids.contains({in, id});
                       },
                       runs, in_force});
    stored.apply(height, made.result.changes, made.indexes);
    newer.stored(height);
    in_force = made.rules;
    previous = execution_digest(made.result);
    return std::move(made.result);
  }
  operation operation_of(const char* contract, const char* action, value_map arguments,
                         const char* author = "clerk") {
    operation made{.contract = contract, .action = action, .author = author};
    made.arguments = std::move(arguments);
    made.valid_until_ms = now_ms;
    ++next_id;
    for (int i = 0; i < 4; ++i)
      made.id.raw[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(next_id >> 8 * i);
    return made;
  }
  receipt call(const char* contract, const char* action, value_map arguments = {},
               const char* author = "clerk", node_index lane = hq) {
    auto made = run({operation_of(contract, action, std::move(arguments), author)}, lane);
    BOOST_TEST_REQUIRE(made.receipts.size() == 1u);
    BOOST_TEST(made.changes.size() == made.receipts[0].changes);
    if (!made.receipts[0].ok()) {
      BOOST_TEST(made.changes.empty());
      BOOST_TEST(made.receipts[0].events.empty());
    }
    return std::move(made.receipts[0]);
  }
  receipt store(const char* table, value_map row) {
    return call("orders", "store", map_of({{"row", std::move(row)}, {"table", table}}));
  }
  void one_order() {
    BOOST_TEST_REQUIRE(store("provinces", map_of({{"code", "ZJ"}})).ok());
    BOOST_TEST_REQUIRE(store("orders", order("a1", 150)).ok());
  }
};

std::string said(const receipt& x) {
  return std::string(to_string(x.result)) + (x.detail.empty() ? "" : " " + x.detail);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(contract_engine, engine_fixture)

BOOST_AUTO_TEST_CASE(an_action_reads_stores_and_tells_and_its_receipt_says_so) {
  one_order();
  const auto done = call("orders", "accept", map_of({{"order_id", "a1"}}));
  BOOST_TEST(said(done) == "done");
  BOOST_TEST(done.changes == 1u);
  BOOST_TEST(done.effects.stored == 1u);
  BOOST_TEST_REQUIRE(done.events.size() == 1u);
  BOOST_TEST(done.events[0].name == "accepted");
  BOOST_TEST((done.events[0].what == map_of({{"by", "clerk@hq"}, {"order_id", "a1"}})));
  BOOST_TEST(done.gas > contracts::prices.operation + contracts::prices.write);
  const auto again = call("orders", "accept", map_of({{"order_id", "a1"}}));
  BOOST_TEST(said(again) == "refused_by_contract not_new");
  BOOST_TEST(again.gas > 0u);
}

BOOST_AUTO_TEST_CASE(lists_come_in_the_order_of_keys_and_indexes) {
  one_order();
  for (const auto* id : {"b2", "a3", "c1"})
    BOOST_TEST(store("orders", order(id, 1)).ok());
  for (const auto* id : {"b2", "c1"})
    BOOST_TEST(call("orders", "accept", map_of({{"order_id", id}})).ok());
  const auto swept = call("orders", "sweep", map_of({{"limit", std::int64_t{1}}}), "guard");
  BOOST_TEST(said(swept) == "done");
  BOOST_TEST(swept.effects.deleted == 1u); // b2, the first that was accepted
  BOOST_TEST_REQUIRE(swept.events.size() == 2u);
  BOOST_TEST((swept.events[0].what == map_of({{"id", "a1"}})));
  BOOST_TEST((swept.events[1].what == map_of({{"id", "a3"}})));
}

BOOST_AUTO_TEST_CASE(rights_are_by_tier_node_account_and_contract) {
  one_order();
  BOOST_TEST(said(call("orders", "accept", map_of({{"order_id", "a1"}}), "guard"))
             == "forbidden accept");
  BOOST_TEST(said(call("orders", "sweep", {}, "importer", coop)) == "forbidden sweep");
  BOOST_TEST(call("orders", "accept", map_of({{"order_id", "a1"}}), "importer", coop).ok());
  BOOST_TEST(said(call("orders", "only_desk")) == "forbidden only_desk");
}

BOOST_AUTO_TEST_CASE(parameters_are_converted_or_named) {
  one_order();
  BOOST_TEST(said(call("orders", "accept")) == "missing_field order_id");
  BOOST_TEST(said(call("orders", "accept", map_of({{"order_id", std::int64_t{1}}})))
             == "wrong_type order_id");
  BOOST_TEST(said(call("orders", "accept", map_of({{"order_id", "far too long"}})))
             == "out_of_range order_id");
  BOOST_TEST(said(call("orders", "accept", map_of({{"order_id", "a1"}, {"colour", "red"}})))
             == "unknown_field colour");
  BOOST_TEST(said(call("orders", "reject")) == "unknown_action reject");
}

BOOST_AUTO_TEST_CASE(an_action_that_fails_leaves_nothing_and_its_line) {
  BOOST_TEST(said(call("orders", "fail_late")) == "contract_error line 32");
  BOOST_TEST(store("provinces", map_of({{"code", "XX"}})).ok()); // was not there
}

BOOST_AUTO_TEST_CASE(an_action_that_never_ends_spends_its_gas) {
  const auto spent = call("orders", "endless");
  BOOST_TEST(said(spent) == "out_of_gas");
  BOOST_TEST(spent.gas == contracts::default_operation_gas);
}

BOOST_AUTO_TEST_CASE(constraints_hold_for_native_stores_and_for_actions) {
  BOOST_TEST(said(store("orders", order("a1", 1))) == "missing_reference province");
  one_order();
  auto numbered = order("a2", 1);
  put(numbered, "number", std::int64_t{7});
  BOOST_TEST(store("orders", numbered).ok());
  put(numbered, "order_id", "a3");
  BOOST_TEST(said(store("orders", numbered)) == "not_unique number");
  BOOST_TEST(said(store("orders", order("bad", 1))) == "check_failed bad_id");
  BOOST_TEST(said(call("orders", "delete",
                       map_of({{"key", value_list{"ZJ"}}, {"table", "provinces"}})))
             == "referenced orders");
  BOOST_TEST(said(call("desk", "place", map_of({{"order_id", "bad"}})))
             == "check_failed bad_id");
}

BOOST_AUTO_TEST_CASE(a_called_contract_sees_its_immediate_callers_rights) {
  one_order();
  const auto direct = call("orders", "who");
  BOOST_TEST((direct.events[0].what == map_of({{"caller", "none"}})));
  const auto through = call("desk", "who");
  BOOST_TEST((through.events[0].what == map_of({{"caller", "desk"}})));
  BOOST_TEST(call("desk", "only_desk").ok());
  BOOST_TEST(said(call("broker", "only_desk")) == "forbidden only_desk");
  BOOST_TEST(call("broker", "by_desk").ok());
  // The author's own rights do not pass on: clerk@hq may accept, a contract for him may not.
  BOOST_TEST(said(call("desk", "accept", map_of({{"order_id", "a1"}}))) == "forbidden accept");
  BOOST_TEST(call("desk", "place", map_of({{"order_id", "d1"}}), "importer", coop).ok());
  BOOST_TEST(call("orders", "accept", map_of({{"order_id", "d1"}})).ok());
}

BOOST_AUTO_TEST_CASE(a_contract_reads_others_tables_with_its_own_rights_and_not_its_authors) {
  const auto ann = map_of({{"name", "ann"}, {"salary", std::int64_t{9}}, {"team", "x"}});
  BOOST_TEST(call("staff", "store", map_of({{"row", ann}, {"table", "people"}})).ok());
  // clerk@hq may read all of it; the contract that he calls sees what it may see itself.
  const auto looked = call("broker", "look");
  BOOST_TEST(said(looked) == "done");
  BOOST_TEST_REQUIRE(looked.events.size() == 3u); // by key, by range, by index
  for (const auto& each : looked.events)
    BOOST_TEST((each.what == map_of({{"team", "x"}})));
  BOOST_TEST(said(call("broker", "look", map_of({{"salary", std::int64_t{9}}})))
             == "forbidden salary");
  BOOST_TEST(said(call("broker", "look_closed")) == "forbidden staff.closed");
}

BOOST_AUTO_TEST_CASE(only_contracts_in_force_are_kept_compiled) {
  call("orders", "who");
  const auto before = runs.held();
  const auto decide = [&](const std::string& source) {
    const auto asked = call("mesh", "propose", map_of({{"source", source}}));
    BOOST_TEST(said(asked) == "done");
    const auto id = asked.id.hex();
    const auto verdict = [&] {
      return map_of({{"differing", std::int64_t{0}},
                     {"good", true},
                     {"proposal", id},
                     {"replayed", std::int64_t{0}},
                     {"rows", std::int64_t{0}},
                     {"tests", std::int64_t{0}}});
    };
    for (const auto lane : {hq, coop})
      BOOST_TEST(said(call("mesh", "verdict", verdict(), "node", lane)) == "done");
    BOOST_TEST(said(call("mesh", "approve", map_of({{"proposal", id}}))) == "done");
    const auto last = call("mesh", "approve", map_of({{"proposal", id}}), "importer", coop);
    BOOST_TEST_REQUIRE(last.events.size() == 1u);
    return last.events[0].name;
  };
  const std::string table =
      "tables = { notes = { key = {'id'}, fields = { id = text{max=8} } } }";
  BOOST_TEST(decide("return { contract = 'bad', version = 1, " + table
                    + ", migrate = function(ctx) ctx.require(false, 'no') end }")
             == "proposal_refused");
  BOOST_TEST(runs.held() == before);
  BOOST_TEST(decide("return { contract = 'more', version = 1, " + table
                    + ", migrate = function(ctx) end }")
             == "proposal_accepted");
  BOOST_TEST(runs.held() == before + 1);
  BOOST_TEST(decide("return { contract = 'more', version = 2, " + table + " }")
             == "proposal_accepted");
  BOOST_TEST(runs.held() == before);
}

BOOST_AUTO_TEST_CASE(contracts_wait_for_each_other_eight_deep_and_no_deeper) {
  BOOST_TEST(said(call("link2", "go")) == "done");
  BOOST_TEST(said(call("link1", "go")) == "too_deep link9");
}

BOOST_AUTO_TEST_CASE(two_nodes_come_to_the_same_bytes_whatever_they_ran_before) {
  engine_fixture other;
  // The other node's states have been used for something else.
  for (int i = 0; i < 50; ++i)
    other.call("orders", i % 2 ? "fail_late" : "who");
  other.height = 0;
  other.previous = previous;
  std::mt19937 random(17);
  std::set<outcome> seen;
  std::vector<std::vector<operation>> blocks;
  for (int block = 0; block < 30; ++block) {
    auto& operations = blocks.emplace_back();
    for (int i = 0; i < 40; ++i) {
      const auto id =
          std::string(1, static_cast<char>('a' + random() % 4)) + std::to_string(random() % 10);
      const auto arguments = map_of({{"order_id", id}});
      switch (random() % 6) {
      case 0:
        operations.push_back(
            operation_of("orders", "store",
                         map_of({{"row", map_of({{"code", random() % 2 ? "ZJ" : "GD"}})},
                                 {"table", "provinces"}})));
        break;
      case 1:
        operations.push_back(operation_of(
            "orders", "store",
            map_of({{"row", order(id, static_cast<std::int64_t>(random() % 500) - 20)},
                    {"table", "orders"}})));
        break;
      case 2:
        operations.push_back(operation_of("desk", "place", arguments));
        break;
      case 3:
        operations.push_back(operation_of("orders", "sweep", {}));
        break;
      case 4:
        operations.push_back(
            operation_of("broker", random() % 2 ? "by_desk" : "only_desk", {}));
        break;
      default:
        operations.push_back(operation_of("orders", "accept", arguments));
      }
    }
  }
  for (const auto& operations : blocks) {
    const auto mine = run(operations), theirs = other.run(operations);
    BOOST_REQUIRE((encode(mine) == encode(theirs)));
    for (const auto& each : mine.receipts)
      seen.insert(each.result);
  }
  for (const auto expected : {outcome::done, outcome::forbidden, outcome::refused_by_contract,
                              outcome::missing_reference, outcome::out_of_range})
    BOOST_TEST(seen.contains(expected), to_string(expected));
}

BOOST_AUTO_TEST_SUITE_END()
