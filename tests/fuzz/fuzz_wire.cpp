// A frame from a peer.
#include "tests/fuzz/fuzz_input.hpp"

using namespace tallymesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const bytes_view frame(data, size);
  if (const auto message = open_frame(frame)) {
    fuzzing::require_same(make_frame(*message), frame);
    TALLYMESH_INVARIANT(!name_of(*message).empty());
  }
  return 0;
}
