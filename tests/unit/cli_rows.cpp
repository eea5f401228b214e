// CSV and NDJSON as people and spreadsheets write them, and as an attacker would.
#include "tools/tally/rows.hpp"

#include <boost/test/unit_test.hpp>
#include <sstream>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

struct read_rows {
  std::vector<std::string> objects;  ///< good rows
  std::vector<std::string> problems; ///< "LINE: problem"
  std::string failure;               ///< what ended reading
};

read_rows read(const std::string& text, row_format format = row_format::csv) {
  read_rows out;
  auto reader = row_reader::from(std::make_unique<std::istringstream>(text), format, "f");
  if (!reader) {
    out.failure = reader.error().context;
    return out;
  }
  for (;;) {
    auto row = reader->next();
    if (!row) {
      out.failure = row.error().context;
      return out;
    }
    if (!*row) return out;
    if ((*row)->problem.empty())
      out.objects.push_back((*row)->object);
    else
      out.problems.push_back(std::to_string((*row)->line) + ": " + (*row)->problem);
  }
}

using texts = std::vector<std::string>;

void check_objects(const std::string& text, const texts& expected) {
  const auto got = read(text);
  BOOST_TEST(got.failure == "");
  BOOST_TEST(got.problems == texts(), boost::test_tools::per_element());
  BOOST_TEST(got.objects == expected, boost::test_tools::per_element());
}

} // namespace

BOOST_AUTO_TEST_SUITE(csv)

BOOST_AUTO_TEST_CASE(a_row_becomes_an_object_of_texts) {
  check_objects("a,b\n1,2\n3,4\n", {R"({"a":"1","b":"2"})", R"({"a":"3","b":"4"})"});
}

BOOST_AUTO_TEST_CASE(
    line_ends_of_windows_a_byte_order_mark_and_a_missing_last_line_end_do_not_matter) {
  check_objects("\xEF\xBB\xBF"
                "a,b\r\n1,2\r\n3,4",
                {R"({"a":"1","b":"2"})", R"({"a":"3","b":"4"})"});
}

BOOST_AUTO_TEST_CASE(quotes_hold_commas_line_ends_and_quotes) {
  check_objects("a,b\n\"1,5\",\"say \"\"hi\"\"\"\n\"two\r\nlines\",\"\"\n",
                {R"({"a":"1,5","b":"say \"hi\""})", R"({"a":"two\u000d\u000alines","b":""})"});
}

BOOST_AUTO_TEST_CASE(empty_fields_stay_and_blank_lines_go) {
  check_objects("a,b\n\n,\n\r\n1,\n\n", {R"({"a":"","b":""})", R"({"a":"1","b":""})"});
  check_objects("a\n\"\"\n", {R"({"a":""})"});
}

BOOST_AUTO_TEST_CASE(chinese_text_is_kept) {
  check_objects("code,name\n11,\"北京市\"\n", {R"({"code":"11","name":"北京市"})"});
}

BOOST_AUTO_TEST_CASE(a_row_that_is_wrong_is_named_by_its_line_and_the_others_are_read) {
  const auto got = read("a,b\n1\n1,2,3\n\"x\"y,2\nx\"y,2\n\"two\nlines\",2\n\xff,2\n7,8\n");
  BOOST_TEST(got.failure == "");
  BOOST_TEST(got.objects.size() == 2u);
  const texts expected = {
      "2: 1 fields, expected 2 as in the first line",
      "3: 3 fields, expected 2 as in the first line", "4: text after a field's closing quote",
      "5: a quote inside a field that does not begin with one", "8: text that is not UTF-8"};
  BOOST_TEST(got.problems == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_quote_that_is_never_closed_is_a_problem_of_its_row) {
  const auto got = read("a,b\n1,2\n\"open,3\n4,5\n");
  BOOST_TEST(got.objects.size() == 1u);
  BOOST_REQUIRE(got.problems.size() == 1u);
  BOOST_TEST(got.problems[0] == "3: a quote that is opened and never closed");
}

BOOST_AUTO_TEST_CASE(a_row_without_end_stops_the_reading_before_it_fills_the_memory) {
  const auto got =
      read("a,b\n1,2\n3," + std::string(row_limits::max_row_bytes + 10, 'x') + "\n4,5\n");
  BOOST_TEST(got.objects.size() == 1u);
  BOOST_TEST(got.failure == "f:3: a row of more than 256 KiB; is a quote left open?");
}

BOOST_AUTO_TEST_CASE(a_row_of_too_many_fields_is_refused) {
  const auto got = read("a,b\n" + std::string(100'000, ',') + "\n1,2\n");
  BOOST_TEST(got.objects.size() == 1u);
  BOOST_REQUIRE(got.problems.size() == 1u);
  BOOST_TEST(got.problems[0] == "2: more than 1024 fields");
}

BOOST_AUTO_TEST_CASE(a_first_line_that_names_no_fields_is_refused) {
  BOOST_TEST(read("").failure
             == "f:1: is empty, expected a first line with the names of the fields");
  BOOST_TEST(read("a,a\n1,2\n").failure == "f:1: the field a is named twice");
  BOOST_TEST(read("a,\n1,2\n").failure.find("f:1: a field's name is empty") == 0u);
  BOOST_TEST(read("a,\"b\n").failure == "f:1: a quote that is opened and never closed");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(ndjson)

BOOST_AUTO_TEST_CASE(a_line_is_passed_on_as_it_stands) {
  const auto got = read("{\"amount\": 12.50}\r\n\n{\"b\":[1]}", row_format::ndjson);
  const texts expected = {R"({"amount": 12.50})", R"({"b":[1]})"};
  BOOST_TEST(got.objects == expected, boost::test_tools::per_element());
  BOOST_TEST(got.failure == "");
}

BOOST_AUTO_TEST_CASE(a_line_that_is_no_object_is_named) {
  const auto got = read("[1]\n{\"a\":\n{\"a\":1} {}\n\xff\n{}\n" + std::string(100, '[') + "\n",
                        row_format::ndjson);
  BOOST_TEST(got.objects.size() == 1u);
  BOOST_REQUIRE(got.problems.size() == 5u);
  BOOST_TEST(got.problems[0] == "1: expected a JSON object");
  BOOST_TEST(got.problems[1].find("2: is not JSON") == 0u);
  BOOST_TEST(got.problems[2].find("3: is not JSON") == 0u);
  BOOST_TEST(got.problems[3] == "4: text that is not UTF-8");
  BOOST_TEST(got.problems[4].find("6: is not JSON") == 0u);
}

BOOST_AUTO_TEST_CASE(a_huge_line_stops_the_reading) {
  const auto got =
      read("{}\n" + std::string(row_limits::max_row_bytes + 1, ' ') + "\n", row_format::ndjson);
  BOOST_TEST(got.failure == "f:2: a line of more than 256 KiB");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(a_key_is_split_at_commas_that_are_not_escaped) {
  const auto parts = [](std::string_view text) { return key_parts(text); };
  BOOST_TEST(parts("A-17") == texts{"A-17"}, boost::test_tools::per_element());
  const texts two = {"A", ""}, escaped = {"a,b", "c\\"};
  BOOST_TEST(parts("A,") == two, boost::test_tools::per_element());
  BOOST_TEST(parts("a\\,b,c\\\\") == escaped, boost::test_tools::per_element());
}
