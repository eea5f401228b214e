// The body of a block.
#include "tests/fuzz/fuzz_input.hpp"

using namespace tallymesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (const auto opened = open_block(bytes(data, data + size), 0, {})) {
    const auto& block = (*opened)->content;
    fuzzing::require_same(encode(block), {data, size});
    TALLYMESH_INVARIANT(block.view > block.parent_view && block.height > 0);
    for (const auto& each : block.contradictions)
      TALLYMESH_INVARIANT(contradicts(each.first, each.second)
                          == contradicts(each.second, each.first));
  }
  return 0;
}
