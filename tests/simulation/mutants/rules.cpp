#include "tests/simulation/mutants/rules.hpp"

namespace tallymesh {

constinit rule left_out = rule::none;

} // namespace tallymesh
