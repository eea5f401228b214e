#include "tests/simulation/mutants/rules.hpp"

namespace tallymesh {

constinit rule_set left_out;

} // namespace tallymesh
