// What `tally contract` says of contract files.
#include "contracts/trial.hpp"
#include "tools/tally/contract_files.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

/// A contract with one table; `fields` and `rest` are lines 5 and 6.
std::string orders(const std::string& fields, const std::string& rest) {
  return "-- Orders.\nreturn {\n  contract = \"orders\", version = 1,\n  tables = { orders = "
         "{\n"
         "    fields = { id = text{max=8}, "
         + fields + " },\n    key = { \"id\" }, " + rest + " } },\n}\n";
}

std::string problem_of(const std::string& source) {
  const auto checked = check_contract(source, "orders.lua");
  return checked ? std::string() : checked.error().context;
}

contracts::contract good(const std::string& source) {
  return check_contract(source, "orders.lua").value();
}

void check_contains(const std::string& text, std::string_view part) {
  BOOST_TEST(text.find(part) != text.npos, "\"" << part << "\" is not in: " << text);
}

using lines = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_SUITE(contract_files)

BOOST_AUTO_TEST_CASE(the_contract_to_begin_with_is_a_good_one) {
  const auto text = contract_template("parts_2").value();
  const auto made = check_contract(text, "parts_2.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  BOOST_TEST(made->name == "parts_2");
  const auto tests = contracts::trial::make(text, "parts_2.lua").value();
  BOOST_TEST(made->tests.size() == 1u);
  for (const auto& each : made->tests)
    BOOST_TEST(tests->run(each).ok(), tests->run(each).text);
  for (const std::string bad : {"", "Orders", "2nd", "or-ders", "a\nb"})
    BOOST_TEST(contract_template(bad).has_error());
  BOOST_TEST(contract_template(std::string(65, 'a')).has_error());
}

BOOST_AUTO_TEST_CASE(a_mistake_is_shown_with_its_line) {
  const auto no_max = problem_of(orders("a = text{min=1}", ""));
  BOOST_TEST(no_max.starts_with("orders.lua:5: "), no_max);
  check_contains(no_max, "write text{max=64}");
  check_contains(no_max, "\n  5 |     fields = { id = text{max=8}, a = text{min=1} },");
}

BOOST_AUTO_TEST_CASE(a_mistake_in_what_is_declared_is_shown_with_its_line_too) {
  const auto no_field = problem_of(orders("a = bool", "index = { {\"b\"} }"));
  BOOST_TEST(no_field.starts_with("orders.lua:6: tables.orders.index[1]: "), no_field);
  check_contains(no_field, "\n  6 |     key = { \"id\" }, index = { {\"b\"} } } },");
  const auto unknown = problem_of(orders("a = bool", "reed = { \"level1\" }"));
  BOOST_TEST(unknown.starts_with("orders.lua:4: tables.orders: "), unknown);
}

BOOST_AUTO_TEST_CASE(what_a_contract_may_not_use_is_named_with_its_line) {
  const auto opened = problem_of("return io.open(\"x\")");
  BOOST_TEST(opened.starts_with("orders.lua:1:8: there is no \"io\""), opened);
  const auto global = problem_of("-- a\nlimit = 5\nreturn {}");
  BOOST_TEST(global.starts_with("orders.lua:2:1: "), global);
  check_contains(global, "local");
}

BOOST_AUTO_TEST_CASE(a_closed_door_in_an_actions_body_is_shown_with_line_and_column) {
  const auto text = orders("a = int64", "");
  const auto with_action =
      text.substr(0, text.size() - 2)
      + "  actions = { go = { may = { \"anyone\" }, run = function(ctx, p)\n"
        "    local cost = 1\n"
        "    local now = cost + os.time()\n"
        "    return math.floor(now)\n  end } },\n}\n";
  const auto problem = problem_of(with_action);
  BOOST_TEST(problem.starts_with("orders.lua:9:24: there is no \"os\"; write ctx.time"),
             problem);
  check_contains(problem, "\n  9 |     local now = cost + os.time()");
  auto next = with_action;
  next.replace(next.find("os.time()"), 9, "ctx.time");
  BOOST_TEST(problem_of(next).starts_with("orders.lua:10:12: there is no \"math.floor\""),
             problem_of(next));
}

BOOST_AUTO_TEST_CASE(any_text_gets_an_answer) {
  for (const auto& text : {std::string(), std::string("\0\n", 2), std::string("return"),
                           std::string("\xff"), std::string("return { contract = \"x\" }")})
    BOOST_TEST(problem_of(text).starts_with("orders.lua:"), problem_of(text));
}

BOOST_AUTO_TEST_CASE(a_test_that_fails_says_in_which_line_and_what_came_instead) {
  const auto text = orders("a = int64", "store = {\"anyone\"}");
  const auto with_tests =
      text.substr(0, text.size() - 2)
      + "  tests = {\n"
        "    [\"finds\"] = function(t)\n"
        "      t.store(\"orders\", { id = \"x\", a = 1 })\n"
        "      t.equal(t.get(\"orders\", \"x\").a, 2)\n"
        "    end,\n"
        "    [\"keeps nothing of another test\"] = function(t)\n"
        "      t.equal(t.get(\"orders\", \"x\"), nil)\n"
        "    end,\n"
        "    [\"is refused\"] = function(t)\n"
        "      t.refused(\"missing_field\", \"store\", { table = \"orders\", row = "
        "{ id = \"x\" } })\n"
        "      t.as(\"clerk@coop\", \"level2\")\n"
        "      t.store(\"orders\", { id = \"y\" })\n"
        "    end,\n  },\n}\n";
  const auto tests = contracts::trial::make(with_tests, "orders.lua").value();
  const auto failed = tests->run("finds");
  BOOST_TEST(!failed.ok());
  BOOST_TEST(failed.text.starts_with("orders.lua:10: "), failed.text);
  check_contains(failed.text, "expected 2, and came 1");
  BOOST_TEST(tests->run("keeps nothing of another test").ok());
  const auto refused = tests->run("is refused");
  BOOST_TEST(refused.text.starts_with("orders.lua:18: "), refused.text);
  check_contains(refused.text, "missing_field");
}

BOOST_AUTO_TEST_CASE(differences_are_told_in_words) {
  const auto before = good(orders("a = text{max=4}, b = bool", "read = { \"level1\" }"));
  const auto after = good(orders("a = text{max=9}, c = optional(int64)",
                                 "read = { \"anyone\" }, index = { {\"a\"} }"));
  const lines expected = {"table orders.orders: field b is gone",
                          "table orders.orders: field a was text{max=4}; is text{max=9}",
                          "table orders.orders: field c is new: optional(int64{})",
                          "table orders.orders: index {a} is new",
                          "table orders.orders: who may read: was level1; is anyone"};
  BOOST_TEST(differences_between(before, after) == expected, boost::test_tools::per_element());
  BOOST_TEST(differences_between(after, after) == lines(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(two_texts_are_shown_as_diff_shows_them) {
  const auto shown = text_difference("a\nb\n", "old", "a\n\x1b[31mc\n", "new");
  check_contains(shown, "--- old\n+++ new\n");
  check_contains(shown, "\n-b\n");
  BOOST_TEST(shown.find('\x1b') == shown.npos);
  BOOST_TEST(text_difference("a\n", "old", "a\n", "new") == "");
}

BOOST_AUTO_TEST_SUITE_END()
