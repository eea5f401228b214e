#include "contracts/builtins.hpp"

#include "contracts/distribution.hpp"
#include "contracts/erasure.hpp"
#include "contracts/lifecycle.hpp"
#include "contracts/settlement.hpp"

#include <cstdio>
#include <cstdlib>

namespace tallymesh::contracts {

std::span<const builtin> builtins() {
  // A new one is added at the end: they are asked in this order.
  static const std::vector<builtin> all{settlement::contract(), distribution::contract(),
                                        lifecycle::contract(), erasure::contract()};
  return all;
}

const builtin* find_builtin(std::string_view name) {
  for (const auto& each : builtins())
    if (each.name == name) return &each;
  return nullptr;
}

const native_effects& native() {
  static const native_effects all{.distribute = distribution::distribute_by_operation,
                                  .erase = erasure::perform,
                                  .settle_for = settlement::settle_for,
                                  .distribute_for = distribution::distribute_for,
                                  .erase_for = erasure::erase};
  return all;
}

static contract_entry entry_of(const builtin& x) {
  auto declared =
      parse(x.source, "built-in contract " + std::string(x.name), {}, {.builtin = true});
  if (!declared || declared->name != x.name) {
    std::fprintf(stderr, "%s\n",
                 declared ? "a built-in contract of another name"
                          : declared.error().context.c_str());
    std::abort();
  }
  return {std::move(*declared), std::string(x.source), &x};
}

std::vector<contract_entry> builtin_entries() {
  static const auto entries = [] {
    std::vector<contract_entry> all;
    for (const auto& each : builtins())
      all.push_back(entry_of(each));
    return all;
  }();
  return entries;
}

} // namespace tallymesh::contracts
