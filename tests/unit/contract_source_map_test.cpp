#include "contracts/source_map.hpp"

#include <boost/test/unit_test.hpp>

using tallymesh::contracts::source_map;

namespace {

constexpr std::string_view orders = R"(-- Orders { with a brace = in a comment
local everyone = { "level1" }
--[[ return {
  not this ]]
return {
  contract = "orders", version = 2,
  tables = {
    orders = {
      key = { "order_id" },
      fields = { order_id = text{max=32}, note = "a } = {",
                 state = one_of{"new"} },
      index = { {"province"},
                {"state"} },
      ["read"] = everyone,
    },
  },
  actions = {
    accept = { may = { "level2" },
      run = function(ctx, p)
        local t = { order_id = p.order_id, }
        return t
      end },
    answer = { may = { "level3" } },
  },
}
)";

} // namespace

BOOST_AUTO_TEST_SUITE(source_maps)

BOOST_AUTO_TEST_CASE(a_path_leads_to_the_line_that_declares_it) {
  const source_map map(orders);
  BOOST_TEST(map.line_of("contract") == 6u);
  BOOST_TEST(map.line_of("version") == 6u);
  BOOST_TEST(map.line_of("tables.orders") == 8u);
  BOOST_TEST(map.line_of("tables.orders.key") == 9u);
  BOOST_TEST(map.line_of("tables.orders.fields.state") == 11u);
  BOOST_TEST(map.line_of("tables.orders.index[2]") == 13u);
  BOOST_TEST(map.line_of("tables.orders.read") == 14u);
  BOOST_TEST(map.line_of("actions.accept.may") == 18u);
  BOOST_TEST(map.line_of("actions.answer.may") == 23u);
}

BOOST_AUTO_TEST_CASE(what_is_not_declared_is_as_near_as_can_be) {
  const source_map map(orders);
  BOOST_TEST(map.line_of("tables.orders.store") == 8u);
  BOOST_TEST(map.line_of("tables.parts.read") == 7u);
  BOOST_TEST(map.line_of("nothing") == 5u);
}

BOOST_AUTO_TEST_CASE(broken_text_is_read_as_far_as_it_goes) {
  for (const std::string_view text :
       {"", "return {", "return { a = {{{{", "return { a = \"no end", "--[[ no end", "[==[",
        "}}}", "return { a = '\\"})
    source_map{text}.line_of("a.b");
  BOOST_TEST(source_map("x = 1").line_of("a") == 0u);
  BOOST_TEST(source_map("return { " + std::string(100'000, '{')).line_of("[1]") == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
