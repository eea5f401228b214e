// Fault scripts with anything in them: an error is one line with a place, and what is read
// means the same when it is written as text and read again.
#include "tests/faults/language/parser.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace tallymesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = as_text({data, size});
  const auto script = faults::parse_script(text, "x.fault");
  if (!script) {
    TALLYMESH_INVARIANT(script.error().context.starts_with("x.fault:")
                        && script.error().context.find('\n') == std::string::npos);
    return 0;
  }
  TALLYMESH_INVARIANT(!faults::explain(*script).empty());
  const auto order = faults::timeline(*script);
  for (std::size_t i = 1; i < order.size(); ++i)
    TALLYMESH_INVARIANT(order[i - 1].when <= order[i].when);
  const auto again = faults::parse_script(script->text(), "x.fault");
  TALLYMESH_INVARIANT(again.has_value());
  TALLYMESH_INVARIANT(again->text() == script->text());
  return 0;
}
