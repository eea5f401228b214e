// Any bytes as a contract file that is compiled and whose actions, checks and tests run against
// a small host: each run ends within its limits, and a second one comes to the same.
#include "tests/unit/memory_host.hpp"

#include <cstdlib>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

vm_limits few() {
  // Small, so that each input is quick; the code that keeps them is the same.
  vm_limits limits;
  limits.file.memory_bytes = 1024 * 1024;
  limits.file.churn_bytes = 4 * 1024 * 1024;
  limits.file.steps = 10'000;
  limits.run_bytes = 512 * 1024;
  limits.piece_bytes = 128 * 1024;
  limits.test_gas = 500'000;
  return limits;
}

void check_ended(const run_outcome& x) {
  if (!known(x.why) || x.detail.size() > limits::max_name_bytes || !is_utf8(x.detail)
      || !is_utf8(x.text))
    std::abort();
}

/// What a run did, to be compared.
struct done {
  outcome why;
  std::string detail;
  value returned;
  std::uint64_t gas;
  std::map<std::string, memory_host::rows_by_key, std::less<>> rows;
  bool operator==(const done&) const = default;
};

done run_once(program& code, const std::string& action, const value_map& params) {
  memory_host host(code.declared());
  host.gas.limit = 500'000;
  host.on_store = [&](std::string_view table, const value_map& row) -> checked<void> {
    const auto end = code.run_check(table, row, host.gas);
    check_ended(end);
    if (!end.ok()) return refusal{end.why, end.detail};
    return {};
  };
  const auto end = code.run(action, params, host);
  check_ended(end);
  return {end.why, end.detail, end.returned, host.gas.used, host.rows};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto made = program::make(as_text({data, size}), "fuzz.lua", few());
  if (!made) {
    if (!made.error().context.starts_with("fuzz.lua:") || !is_utf8(made.error().context))
      std::abort();
    return 0;
  }
  auto& code = **made;
  for (const auto& action : code.declared().actions) {
    value_map params;
    for (const auto& each : action.params)
      if (each.kind == field_kind::int64 || each.kind == field_kind::decimal)
        put(params, each.name, std::int64_t{3});
      else if (each.kind == field_kind::text)
        put(params, each.name, "text");
    const auto given = convert_params(action, params);
    const auto& used = given ? *given : params;
    if (!(run_once(code, action.name, used) == run_once(code, action.name, used))) std::abort();
  }
  memory_host host(code.declared());
  host.gas.limit = 500'000;
  check_ended(code.run_migrate(host));
  for (const auto& sentence : code.declared().tests) {
    memory_mesh mesh(code);
    check_ended(code.run_test(sentence, mesh));
  }
  return 0;
}
