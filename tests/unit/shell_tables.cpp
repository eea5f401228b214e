// Which records differ between nodes that do not stand still, and which are only newer.
#include "tools/tally/shell/tables.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

bytes text(std::string_view x) {
  const auto raw = as_bytes(x);
  return {raw.begin(), raw.end()};
}

struct row {
  const char *key, *content;
  std::int64_t height;
};

table_page page(std::string node, std::int64_t before, std::int64_t after,
                std::vector<row> rows, bool whole = true) {
  table_page out{std::move(node), before, after, {}, {}, whole};
  for (const auto& each : rows) {
    out.rows[text(each.key)] = {text(each.content), each.height};
    out.last = text(each.key);
  }
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(shell_tables)

BOOST_AUTO_TEST_CASE(a_record_that_is_newer_at_a_node_ahead_does_not_differ) {
  BOOST_TEST(!first_difference(
                  "t", {page("hq", 7, 7, {{"a", "1", 5}}), page("coop", 9, 9, {{"a", "2", 8}})})
                  .has_value());
  BOOST_TEST(!first_difference("t", {page("hq", 7, 7, {}), page("coop", 9, 9, {{"a", "1", 8}})})
                  .has_value());
}

BOOST_AUTO_TEST_CASE(a_record_that_was_deleted_at_a_node_ahead_does_not_differ) {
  BOOST_TEST(!first_difference("t", {page("hq", 7, 7, {{"a", "1", 5}}), page("coop", 9, 9, {})})
                  .has_value());
}

BOOST_AUTO_TEST_CASE(what_came_between_the_readings_does_not_differ) {
  BOOST_TEST(!first_difference("t", {page("hq", 7, 7, {{"a", "1", 5}}), page("coop", 7, 8, {})})
                  .has_value());
  BOOST_TEST(!first_difference(
                  "t", {page("hq", 7, 8, {{"a", "2", 8}}), page("coop", 7, 7, {{"a", "1", 5}})})
                  .has_value());
}

BOOST_AUTO_TEST_CASE(a_record_of_the_same_change_with_another_content_differs) {
  // Also at a node that has halted, while the others went on.
  const auto found =
      first_difference("t", {page("hq", 90, 91, {{"a", "1", 5}, {"b", "1", 5}}),
                             page("coop", 90, 90, {{"a", "1", 5}, {"b", "1", 5}}),
                             page("halted", 7, 7, {{"a", "1", 5}, {"b", "X", 5}})});
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST(found->key == "\"b\"");
  BOOST_TEST(found->odd == "halted");
  BOOST_TEST(found->holds.size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_change_that_a_node_executed_and_does_not_hold_differs) {
  const auto older = first_difference(
      "t", {page("hq", 9, 9, {{"a", "2", 8}}), page("coop", 9, 9, {{"a", "1", 5}})});
  BOOST_REQUIRE(older.has_value());
  BOOST_TEST(older->odd.empty()); // of two nobody is the odd one
  BOOST_TEST(first_difference("t", {page("hq", 9, 9, {{"a", "2", 8}}), page("coop", 9, 9, {}),
                                    page("shop", 9, 9, {{"a", "2", 8}})})
                 ->odd
             == "coop");
}

BOOST_AUTO_TEST_CASE(only_what_all_pages_speak_of_is_compared) {
  const std::vector<table_page> pages{
      page("hq", 9, 9, {{"a", "1", 5}, {"c", "1", 5}}, false),
      page("coop", 9, 9, {{"a", "1", 5}, {"b", "1", 9}}, false)};
  BOOST_TEST((common_end(pages) == text("b")));
  // hq has no b and had executed what stored it.
  BOOST_TEST(first_difference("t", pages)->key == "\"b\"");
  const std::vector<table_page> shorter{page("hq", 9, 9, {{"a", "1", 5}}, false),
                                        page("coop", 9, 9, {{"a", "1", 5}, {"b", "1", 5}})};
  BOOST_TEST(!first_difference("t", shorter).has_value());
  BOOST_TEST(!common_end({page("hq", 9, 9, {})}).has_value());
}

BOOST_AUTO_TEST_CASE(a_page_that_contradicts_itself_is_none) {
  value_map row, answer;
  put(row, "key", text("a"));
  put(row, "digest", text("1"));
  put(answer, "rows", value_list{value(row)});
  put(answer, "last", text("a"));
  put(answer, "count", value(std::int64_t{1}));
  BOOST_TEST(read_page("hq", answer, 500).has_value());
  BOOST_TEST(read_page("hq", answer, 500)->whole);
  put(answer, "last", text("b"));
  BOOST_TEST(!read_page("hq", answer, 500).has_value());
  put(answer, "last", text("a"));
  put(answer, "count", value(std::int64_t{2}));
  BOOST_TEST(!read_page("hq", answer, 500).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
