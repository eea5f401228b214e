// The body of a batch.
#include "tests/fuzz/fuzz_input.hpp"

#include <numeric>

using namespace tallymesh;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (const auto opened = open_batch(bytes(data, data + size), {})) {
    const auto& batch = (*opened)->content;
    fuzzing::require_same(encode(batch), {data, size});
    TALLYMESH_INVARIANT(batch.seq > 0 && batch.lane < limits::max_nodes);
    TALLYMESH_INVARIANT(!batch.operations.empty());
    // What an author signs never depends on the signature.
    auto first = batch.operations.front();
    const auto signed_digest = author_signing_digest({}, first);
    first.author_signature.emplace();
    TALLYMESH_INVARIANT(author_signing_digest({}, first) == signed_digest);
    // Erasing keeps the id and gives a batch that opens, whatever stood in it.
    std::vector<std::uint32_t> all(batch.operations.size());
    std::iota(all.begin(), all.end(), 0u);
    const auto less = erase_arguments(**opened, all);
    const auto again = open_batch(less->body, {});
    TALLYMESH_INVARIANT(again && (*again)->id == (*opened)->id
                        && (*again)->full_bytes == (*opened)->full_bytes
                        && (*again)->erased == all.size());
    TALLYMESH_INVARIANT(author_signing_digest({}, (*again)->content.operations.front())
                        == signed_digest);
  }
  return 0;
}
