// One process of the differential test: runs the random contracts of seeds FIRST to LAST and
// writes what came of each, a line each. With NOISE, other runs come before each of them, in
// the same states and in others.
#include "tests/unit/memory_host.hpp"
#include "tests/unit/random_contract.hpp"

#include <clocale>
#include <cstdio>
#include <cstdlib>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

void show(const value& x, std::string& into) {
  into += x.type_name();
  if (const auto* list = x.as<value_list>())
    for (const auto& each : *list)
      show(each, into);
  else if (const auto* map = x.as<value_map>())
    for (const auto& [name, each] : *map) {
      into += name;
      show(each, into);
    }
  else if (const auto* text = x.as<std::string>())
    into += *text;
  else if (const auto* raw = x.as<bytes>())
    into += to_hex(*raw);
  else if (const auto* number = x.as<std::int64_t>())
    into += std::to_string(*number);
  else if (const auto* exact = x.as<decimal>())
    into += exact->to_text() + "/" + std::to_string(exact->scale);
  else if (const auto* truth = x.as<bool>())
    into += *truth ? "true" : "false";
}

/// Outcome, gas, and a digest of everything that the run did.
std::string outcome_line(program& code, std::int64_t n, memory_host& host) {
  value_map params;
  put(params, "n", n);
  put(params, "s", "Äpfel und Öl 10 9 z-a _x " + std::to_string(n));
  const auto end = code.run("go", params, host);
  std::string done = end.text;
  show(end.returned, done);
  for (const auto& [table, rows] : host.rows)
    for (const auto& [key, row] : rows) {
      done += to_hex(key);
      show(row, done);
    }
  for (const auto& [name, what] : host.told)
    show(what, done);
  for (const auto& each : host.effects)
    done += each;
  return std::string(to_string(end.why)) + " " + end.detail + " "
         + std::to_string(host.gas.used) + " "
         + hash(digest_kind::record, as_bytes(done)).short_hex();
}

void make_noise(program& code, std::uint64_t seed) {
  for (std::uint64_t i = 0; i < seed % 4; ++i) {
    memory_host other(code.declared());
    other.gas.limit = 1000 * (1 + seed % 7) * (i + 1);
    outcome_line(code, static_cast<std::int64_t>(seed * i), other);
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: contract_differential_run FIRST LAST [NOISE]\n");
    return 64;
  }
  std::setlocale(LC_ALL, "");
  std::printf("# locale: %.1f\n", 0.5); // shows in the test's log that it is another one
  const auto first = std::strtoull(argv[1], nullptr, 10),
             last = std::strtoull(argv[2], nullptr, 10);
  std::vector<std::unique_ptr<program>> kept; // so that later states lie elsewhere
  for (auto seed = first; seed <= last; ++seed) {
    const auto source = random_contract(seed).source();
    auto made = program::make(source, "random.lua");
    if (!made) {
      std::printf("%llu refused: %s\n", static_cast<unsigned long long>(seed),
                  made.error().context.c_str());
      continue;
    }
    if (argc > 3) make_noise(**made, seed);
    for (const std::int64_t n : {0, 7, 1000}) {
      memory_host host((*made)->declared());
      host.gas.limit = seed % 5 == 0 ? 200'000 : 5'000'000;
      std::printf("%llu %s\n", static_cast<unsigned long long>(seed),
                  outcome_line(**made, n, host).c_str());
    }
    if (argc > 3 && seed % 3 == 0) kept.push_back(std::move(*made));
    if (kept.size() > 20) kept.clear();
  }
  return 0;
}
