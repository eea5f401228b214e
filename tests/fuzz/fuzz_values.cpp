// Arguments, rows and texts. The first byte says which.
#include "tests/fuzz/fuzz_input.hpp"

using namespace tallymesh;

static void read_decimal(std::string_view text, std::uint8_t scale) {
  if (const auto read = decimal::from_text(text, scale))
    TALLYMESH_INVARIANT(decimal::from_text(read->to_text(), scale) == read);
}

static void read_hex(std::string_view text) {
  if (const auto raw = from_hex(text)) TALLYMESH_INVARIANT(from_hex(to_hex(*raw)) == raw);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bytes_view input(data + 1, size - 1);
  switch (data[0] % 32) {
  case 0:
    fuzzing::require_canonical<value>(input);
    break;
  case 1:
    fuzzing::require_canonical<value_map>(input);
    break;
  case 2:
    fuzzing::require_canonical<operation>(input);
    break;
  case 3:
    read_hex(as_text(input));
    break;
  default:
    read_decimal(as_text(input), static_cast<std::uint8_t>(data[0] % 32 - 4));
    break;
  }
  return 0;
}
