// How long the native store of a villages row takes, before storage: bench_contracts [ROWS].
#include "actors/contract_executor/machine.hpp"
#include "contracts/memory_source.hpp"
#include "messages/encoding.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

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
  facts.contracts = {std::move(*divisions)};
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
  const contract_executor::tables on{newer, stored,
                                     [](node_index, const operation_id&) { return false; }};
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
  return 0;
}
