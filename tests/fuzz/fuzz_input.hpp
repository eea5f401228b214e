// What every fuzz target shares. A check that fails stops the process, so that libFuzzer keeps
// the input. One thread.
#pragma once

#include "messages/erasure.hpp"
#include "messages/receipt.hpp"
#include "messages/wire.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tallymesh::fuzzing {

/// What opens is the one encoding of what it says.
inline void require_same(const bytes& again, bytes_view input) {
  TALLYMESH_INVARIANT(std::equal(again.begin(), again.end(), input.begin(), input.end()));
}

template <class T>
void require_canonical(bytes_view input) {
  if (const auto opened = decode<T>(input)) require_same(encode(*opened), input);
}

} // namespace tallymesh::fuzzing
