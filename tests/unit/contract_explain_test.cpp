// What people are told of rights: what is given, by whom, and the line that says so.
#include "contracts/explain_access.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

constexpr char source[] = R"lua(return {
  contract = "orders", version = 3,
  tables = {
    orders = {
      key    = { "id" },
      fields = { id = text{max=8}, amount = decimal{scale=2} },
      read   = { "level1",
                 "author" },
      hide   = { amount = { "hq", "author" } },
      store  = { "level2", "clerk@hq" },
      delete = { "hq" },
    },
  },
  actions = {
    accept = {
      may = { "contract:desk", "level3" },
      run = function(ctx) end,
    },
  },
})lua";

std::string explained(const actor& who, bool is_author = false) {
  auto declared = parse(source, "orders.lua");
  BOOST_TEST_REQUIRE(declared.has_value(), declared.error().context);
  const contract_entry entry{std::move(*declared), source, nullptr};
  std::string text;
  for (const auto& each : explain_access(entry, entry.declared.tables.front(), who, is_author))
    text += each.right + (each.given ? " by " + each.by : " not") + " at "
            + std::to_string(each.line) + "\n";
  return text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(contract_explain_access)

BOOST_AUTO_TEST_CASE(each_right_names_the_entry_that_gives_it_and_its_line) {
  BOOST_TEST(explained({"clerk", "hq", tier::level1})
             == "read by level1 at 7\nstore by clerk@hq at 10\ndelete by hq at 11\n"
                "erase not at 4\ndistribute not at 4\nsee amount by hq at 9\n"
                "call accept not at 16\n");
}

BOOST_AUTO_TEST_CASE(the_author_of_a_row_has_what_is_given_to_authors) {
  const actor courier{"courier", "south", tier::level3};
  BOOST_TEST(explained(courier).starts_with("read not at 7\n"));
  BOOST_TEST(explained(courier, true).starts_with("read by author at 8\n"));
  BOOST_TEST(explained(courier, true).find("see amount by author at 9") != std::string::npos);
  BOOST_TEST(explained(courier).find("call accept by level3 at 16") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
