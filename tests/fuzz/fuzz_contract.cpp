// Any bytes as a contract file: parsing ends, within its limits, with a contract or one line
// that says why not.
#include "contracts/contract.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymesh;
  // Small limits, so that each run is quick; the code that keeps them is the same.
  contracts::parse_limits few;
  few.memory_bytes = 1024 * 1024;
  few.churn_bytes = 4 * 1024 * 1024;
  few.steps = 10'000;
  const auto made = contracts::parse(as_text({data, size}), "fuzz.lua", few);
  if (made) {
    if (made->tables.empty() || made->version == 0) std::abort();
    for (const auto& table : made->tables)
      if (table.key.empty() || table.fields.empty()) std::abort();
  } else {
    const auto& said = made.error().context;
    if (!said.starts_with("fuzz.lua:") || said.find('\n') != std::string::npos
        || !is_utf8(said))
      std::abort();
  }
  return 0;
}
