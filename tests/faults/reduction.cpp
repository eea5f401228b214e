#include "tests/faults/reduction.hpp"

#include <algorithm>

namespace tallymesh::faults {

namespace {

using kind = statement::kind;

bool can_go(const statement& x) { return x.what <= kind::every; }

/// Without the `count` removable statements from the `first` one on.
script without(const script& from, std::size_t first, std::size_t count) {
  auto made = from;
  made.statements.clear();
  std::size_t index = 0;
  for (const auto& each : from.statements) {
    if (can_go(each) && index++ - first < count) continue;
    made.statements.push_back(each);
  }
  return made;
}

std::size_t removable(const script& x) {
  return static_cast<std::size_t>(
      std::count_if(x.statements.begin(), x.statements.end(), can_go));
}

} // namespace

script reduce(script failing, const std::function<bool(const script&)>& fails,
              std::size_t most_runs) {
  std::size_t runs = 0;
  auto size = std::max<std::size_t>(removable(failing) / 2, 1);
  for (;;) {
    bool shorter = false;
    for (std::size_t first = 0; first < removable(failing);) {
      if (runs == most_runs) return failing;
      ++runs;
      auto candidate = without(failing, first, size);
      if (fails(candidate)) {
        failing = std::move(candidate);
        shorter = true;
      } else {
        first += size;
      }
    }
    // Statement by statement until none can go: one may only be needless after a later one
    // went.
    if (size == 1 && !shorter) return failing;
    size = std::max<std::size_t>(size / 2, 1);
  }
}

} // namespace tallymesh::faults
