// What an operation costs before storage, in processor time: a native store, an action in Lua,
// and how little of that is the call itself: bench_contracts [ROWS].
#include "actors/contract_executor/machine.hpp"
#include "contracts/memory_source.hpp"
#include "messages/encoding.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <utility>

using namespace tallymesh;

namespace {

/// Processor time: other work on the machine does not count.
struct cpu_clock {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<cpu_clock, duration>;
  static time_point now() {
    timespec at{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return time_point(std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec));
  }
};

constexpr std::uint32_t rows_a_block = 5'000;
constexpr std::size_t calls_a_block = 1'000;
constexpr block_height blocks_ahead = 8; // executed and not stored

contract_executor::machine make_machine(const char* library) {
  std::ifstream file(library);
  std::ostringstream source;
  source << file.rdbuf();
  auto divisions = contracts::parse(source.str(), "divisions.lua");
  if (!divisions) {
    std::fprintf(stderr, "%s\n", divisions.error().context.c_str());
    std::exit(1);
  }
  contract_executor::genesis_facts facts;
  facts.nodes = {{"hq", contracts::tier::level1}};
  facts.accounts = {{"importer", "hq", {}}};
  facts.contracts = {{std::move(*divisions), source.str(), nullptr}};
  return std::move(*contract_executor::machine::make(std::move(facts)));
}

operation village(std::uint32_t number, std::int64_t version) {
  const auto code = std::to_string(110'101'000'000 + number);
  value_map row;
  put(row, "code", code);
  put(row, "name", "多福巷社区居委会" + std::to_string(version));
  put(row, "streetCode", code.substr(0, 9));
  put(row, "areaCode", code.substr(0, 6));
  put(row, "cityCode", code.substr(0, 4));
  put(row, "provinceCode", code.substr(0, 2));
  operation what{
      .contract = "divisions", .action = "store", .author = "importer", .valid_until_ms = 1};
  for (int i = 0; i < 4; ++i)
    what.id.raw[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> 8 * i);
  what.id.raw[4] = static_cast<std::uint8_t>(version);
  put(what.arguments, "table", "villages");
  put(what.arguments, "row", std::move(row));
  return what;
}

/// Stores `count` rows in blocks; `stored` is what the tables hold, before and afterwards.
void measure(const char* what, const contract_executor::machine& rules, std::uint32_t count,
             std::int64_t version, contracts::memory_source& stored) {
  using clock = cpu_clock;
  clock::duration executing{}, encoding{};
  std::size_t changes = 0, entries = 0;
  contracts::overlay newer;
  contracts::engine runs;
  const contract_executor::tables on{
      newer, stored, [](node_index, const operation_id&) { return false; }, runs, rules.base()};
  for (std::uint32_t first = 0; first < count; first += rows_a_block) {
    sealed_batch batch;
    for (std::uint32_t i = first; i < std::min(count, first + rows_a_block); ++i)
      batch.content.operations.push_back(village(i, version));
    const std::vector in_order{std::make_shared<const sealed_batch>(std::move(batch))};
    sealed_block block;
    block.content.height = first / rows_a_block + 1;
    const auto start = clock::now();
    const auto made = rules.execute(block, {in_order.begin(), in_order.end()}, {}, on);
    const auto executed = clock::now();
    const auto size = encode(made.result).size();
    executing += executed - start;
    encoding += clock::now() - executed;
    changes += size > 0 ? made.result.changes.size() : 0;
    entries += made.indexes.size();
    stored.apply(block.content.height, made.result.changes, made.indexes);
    if (block.content.height > blocks_ahead) newer.stored(block.content.height - blocks_ahead);
  }
  const auto each_us = [&](clock::duration x) {
    return std::chrono::duration<double, std::micro>(x).count() / count;
  };
  std::printf("%-14s %zu changes, %zu index entries: execute %.2f us, encode %.2f us a row\n",
              what, changes, entries, each_us(executing), each_us(encoding));
}

// --- actions

constexpr char trade_source[] = R"lua(return { contract = "trade", version = 1,
  tables = {
    goods = { key = {"id"}, fields = { id = text{max=8}, price = decimal{scale=2} }, store = {"hq"} },
    orders = { key = {"id"}, fields = { id = text{max=16}, goods = text{max=8},
               state = one_of{"new", "accepted"}, amount = optional(decimal{scale=2}) },
               index = { {"state"} }, store = {"hq"}, settles = true },
  },
  actions = {
    nothing = { may = {"anyone"}, params = { id = text{max=16} }, run = function(ctx, p) end },
    read_two_store_one = { may = {"anyone"}, params = { id = text{max=16} },
      run = function(ctx, p)
        local o = ctx.get("orders", p.id)
        ctx.require(o and o.state == "new", "not_new")
        local g = ctx.get("goods", o.goods)
        ctx.store("orders", { id = p.id, state = "accepted", amount = g.price })
      end },
    accept = { may = {"anyone"}, params = { id = text{max=16} },
      run = function(ctx, p)
        local o = ctx.get("orders", p.id)
        ctx.require(o and o.state == "new", "not_new")
        local g = ctx.get("goods", o.goods)
        ctx.store("orders", { id = p.id, state = "accepted", amount = g.price })
        ctx.settle{ from = "coop", to = "hq", amount = g.price, reference = p.id }
      end },
  } })lua";

/// A mesh of two nodes with orders that wait to be accepted.
class market {
public:
  explicit market(std::uint32_t orders) : rules_(make()) {
    settle("define_currency", {{"currency", "CNY"},
                               {"decimals", std::int64_t{2}},
                               {"limit", decimal{1'000'000'000'000'000, 4}}});
    settle("open_period", {{"period", "2026-11"}});
    std::vector<operation> operations{call(
        "trade", "store",
        {{"row", value_map{{"id", "salt"}, {"price", decimal{1250, 2}}}}, {"table", "goods"}})};
    for (std::uint32_t i = 0; i < orders; ++i)
      operations.push_back(call(
          "trade", "store",
          {{"row", value_map{{"goods", "salt"}, {"id", std::to_string(i)}, {"state", "new"}}},
           {"table", "orders"}}));
    run(std::move(operations));
  }

  /// Processor time of each in microseconds, in blocks as a loaded mesh makes them.
  double each_us(const char* action, std::uint32_t first, std::uint32_t count) {
    double took = 0;
    std::vector<operation> operations;
    for (std::uint32_t i = first; i < first + count; ++i) {
      operations.push_back(call("trade", action, {{"id", std::to_string(i)}}));
      if (operations.size() == calls_a_block || i + 1 == first + count)
        took += run(std::exchange(operations, {}));
    }
    return took / count;
  }

private:
  static contract_executor::machine make() {
    auto trade = contracts::parse(trade_source, "trade.lua");
    contract_executor::genesis_facts facts;
    facts.nodes = {{"hq", contracts::tier::level1}, {"coop", contracts::tier::level2}};
    facts.accounts = {{"clerk", "hq", {}}};
    facts.contracts = {{std::move(*trade), trade_source, nullptr}};
    return std::move(*contract_executor::machine::make(std::move(facts)));
  }
  /// An action of the built-in contract, in a block of its own.
  void settle(const char* action, const value_map& arguments) {
    newer_.begin_block(++height_);
    contracts::transaction work(*rules_.base(), newer_, stored_,
                                {.who = {"clerk", "hq", contracts::tier::level1},
                                 .height = height_,
                                 .time_ms = 1'000'000});
    const auto done =
        rules_.base()->find_entry("settlement")->native->perform(work, action, arguments);
    if (!done) {
      std::fprintf(stderr, "settlement was refused: %s\n", done.error().detail.c_str());
      std::exit(1);
    }
    const auto made = newer_.end_block();
    stored_.apply(height_, made.changes, made.indexes);
    newer_.stored(height_);
  }
  operation call(const char* contract, const char* action, value_map arguments) {
    operation made{.contract = contract, .action = action, .author = "clerk"};
    made.arguments = std::move(arguments);
    made.valid_until_ms = 1'000'000;
    ++next_id_;
    for (int i = 0; i < 4; ++i)
      made.id.raw[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(next_id_ >> 8 * i);
    return made;
  }
  double run(std::vector<operation> operations) {
    sealed_batch batch;
    batch.content.operations = std::move(operations);
    const std::vector in_order{std::make_shared<const sealed_batch>(std::move(batch))};
    sealed_block block;
    block.content.height = ++height_;
    block.content.time_ms = 1'000'000;
    const contract_executor::tables on{newer_, stored_,
                                       [](node_index, const operation_id&) { return false; },
                                       runs_, rules_.base()};
    const auto start = cpu_clock::now();
    const auto made = rules_.execute(block, {in_order.begin(), in_order.end()}, {}, on);
    const auto took = cpu_clock::now() - start;
    stored_.apply(height_, made.result.changes, made.indexes);
    newer_.stored(height_);
    for (const auto& each : made.result.receipts)
      if (!each.ok()) {
        std::fprintf(stderr, "an operation was refused: %s %s\n",
                     std::string(to_string(each.result)).c_str(), each.detail.c_str());
        std::exit(1);
      }
    return std::chrono::duration<double, std::micro>(took).count();
  }

  contract_executor::machine rules_;
  contracts::memory_source stored_;
  contracts::overlay newer_;
  contracts::engine runs_;
  block_height height_ = 0;
  std::uint32_t next_id_ = 0;
};

void measure_actions(std::uint32_t count) {
  market mesh(2 * count);
  mesh.each_us("nothing", 0, count); // warms up
  std::printf("an empty action:                       %.2f us\n",
              mesh.each_us("nothing", 0, count));
  std::printf("an action, two reads, one store:       %.2f us\n",
              mesh.each_us("read_two_store_one", 0, count));
  std::printf("an action, two reads, store, settle:   %.2f us\n",
              mesh.each_us("accept", count, count));
}

} // namespace

int main(int argc, char** argv) {
  const auto count =
      argc > 1 ? static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 100'000;
  if (count == 0) {
    std::fprintf(stderr, "usage: bench_contracts [ROWS]\n");
    return 64;
  }
  const auto rules = make_machine(TALLYMESH_CONTRACT_LIBRARY "/divisions.lua");
  contracts::memory_source stored;
  measure("new rows:", rules, count, 1, stored);
  measure("changed rows:", rules, count, 2, stored);
  measure_actions(std::min(count, 20'000u));
  return 0;
}
