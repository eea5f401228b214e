// What a store gives back, should its checksum ever be right and its content wrong. The first
// byte says which.
#include "tests/fuzz/fuzz_input.hpp"

using namespace tallymesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bytes_view input(data + 1, size - 1);
  switch (data[0] % 7) {
  case 0:
    fuzzing::require_canonical<execution>(input);
    if (auto whole = decode<execution>(input)) {
      const auto sum = execution_digest(*whole);
      for (auto& each : whole->changes)
        erase_rows(each);
      TALLYMESH_INVARIANT(execution_digest(*whole) == sum);
    }
    break;
  case 1:
    fuzzing::require_canonical<receipt>(input);
    break;
  case 2:
    fuzzing::require_canonical<change>(input);
    break;
  case 3:
    fuzzing::require_canonical<certificate>(input);
    break;
  case 4:
    fuzzing::require_canonical<signed_item>(input);
    break;
  case 5:
    fuzzing::require_canonical<evidence>(input);
    break;
  default:
    fuzzing::require_canonical<erasure_certificate>(input);
    break;
  }
  return 0;
}
