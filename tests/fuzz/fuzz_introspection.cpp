// A question from an operator, and an answer from a node: the first byte says which.
#include "messages/introspection.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace tallymesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bytes_view frame(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    if (const auto read = introspection::open_question(frame)) {
      fuzzing::require_same(introspection::make_frame(*read), frame);
      TALLYMESH_INVARIANT(!introspection::to_string(read->about).empty());
    }
  } else if (const auto read = introspection::open_answer(frame)) {
    fuzzing::require_same(introspection::make_frame(*read), frame);
    const auto head = introspection::head_of_answer(frame);
    TALLYMESH_INVARIANT(head && head->number == read->number && head->last == read->last);
  }
  return 0;
}
