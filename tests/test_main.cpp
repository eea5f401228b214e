// main() of every Boost.Test executable.
#define BOOST_TEST_NO_MAIN
#define BOOST_TEST_ALTERNATIVE_INIT_API
#include "messages/keys.hpp"

#include <boost/test/unit_test.hpp>

static bool initialise() {
  tallymesh::initialise_crypto();
  return true;
}

int main(int argc, char** argv) {
  return boost::unit_test::unit_test_main(&initialise, argc, argv);
}
