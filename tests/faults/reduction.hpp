// What is left of a script that fails when every statement that does not matter is taken away.
// Pure but for what `fails` does.
#pragma once

#include "tests/faults/language/script.hpp"

#include <functional>

namespace tallymesh::faults {

/// Takes away statements, many at once, then one by one, as long as `fails` still says yes. The
/// checks at the end stay: they say what failing means. `most_runs` bounds the calls.
script reduce(script failing, const std::function<bool(const script&)>& fails,
              std::size_t most_runs = 300);

} // namespace tallymesh::faults
