// The unit tests of the machines, with mutants in their place: lacks the rule that LEFT_OUT in
// the environment names. mutants_test.cpp runs single cases of it.
#include "tests/simulation/mutants/mutants.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <stdexcept>

namespace {

struct as_told {
  as_told() {
    const char* name = std::getenv("LEFT_OUT");
    const auto what = tallymesh::simulation::rule_named(name ? name : "none");
    if (!what) throw std::runtime_error(std::string("LEFT_OUT: no rule ") + name);
    tallymesh::left_out = *what;
  }
};

} // namespace

BOOST_TEST_GLOBAL_FIXTURE(as_told);
