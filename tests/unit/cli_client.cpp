// The HTTP client, the verdict of a comparison, and what is printed.
#include "tests/unit/cli_server.hpp"
#include "tools/tally/comparison.hpp"
#include "tools/tally/output.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <sstream>

using namespace tallymesh;
using namespace tallymesh::tally;
using namespace tallymesh::tally::fixture;

BOOST_AUTO_TEST_SUITE(http)

BOOST_AUTO_TEST_CASE(a_kept_connection_that_the_server_closed_is_opened_again) {
  std::atomic<int> count = 0;
  server gate([&](const seen_request& x) -> std::optional<told_answer> {
    if (++count == 2) return std::nullopt;
    return told_answer{200, x.path, ""};
  });
  http_client client(gate.target());
  BOOST_TEST(client.send({http_method::get, "/one", "", "", std::chrono::seconds(5)})->body
             == "/one");
  const auto second = client.send({http_method::get, "/two", "", "", std::chrono::seconds(5)});
  BOOST_REQUIRE(second.has_value());
  BOOST_TEST(second->body == "/two");
  BOOST_TEST(count == 3);
}

BOOST_AUTO_TEST_CASE(silence_ends_with_the_timeout_and_says_so) {
  std::mutex held;
  held.lock();
  const auto start = std::chrono::steady_clock::now();
  {
    server gate([&](const seen_request&) -> std::optional<told_answer> {
      const std::lock_guard wait(held);
      return std::nullopt;
    });
    http_client client(gate.target());
    const auto answer =
        client.send({http_method::get, "/", "", "", std::chrono::milliseconds(200)});
    BOOST_REQUIRE(!answer.has_value());
    BOOST_TEST((answer.error().code == errc::unavailable));
    BOOST_TEST(answer.error().context.find("no answer in time") != std::string::npos,
               answer.error().context);
    held.unlock();
  }
  BOOST_TEST((std::chrono::steady_clock::now() - start < std::chrono::seconds(10)));
}

BOOST_AUTO_TEST_CASE(nobody_listening_names_the_gateway) {
  http_target gone;
  {
    server gate([](const seen_request&) { return std::optional<told_answer>(); });
    gone = gate.target();
  }
  http_client client(gone);
  const auto answer = client.send({http_method::get, "/", "", "", std::chrono::seconds(5)});
  BOOST_REQUIRE(!answer.has_value());
  BOOST_TEST(answer.error().context.find(gone.url() + ": cannot connect") == 0u,
             answer.error().context);
}

BOOST_AUTO_TEST_CASE(a_refusal_shows_its_detail_and_code) {
  server gate([](const seen_request&) -> std::optional<told_answer> {
    return told_answer{404, R"({"title":"Not Found","detail":"no table x","code":"not_found"})",
                       ""};
  });
  http_client client(gate.target());
  const auto answer = get_json(client, "/v1/tables/x/rows");
  BOOST_REQUIRE(!answer.has_value());
  BOOST_TEST((answer.error().code == errc::not_found));
  BOOST_TEST(answer.error().context == gate.target().url() + ": no table x (not_found)");
}

BOOST_AUTO_TEST_CASE(an_answer_that_is_no_json_is_an_error_of_one_line) {
  server gate([](const seen_request&) -> std::optional<told_answer> {
    return told_answer{200, "<html>\n", ""};
  });
  http_client client(gate.target());
  const auto answer = get_json(client, "/v1/status");
  BOOST_REQUIRE(!answer.has_value());
  BOOST_TEST(answer.error().context.find('\n') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(urls_are_read_and_what_else_is_in_them_is_refused) {
  BOOST_TEST(http_target::from_url("http://h:80/")->url() == "http://h:80");
  BOOST_TEST(http_target::from_url("https://[::1]:9")->url() == "https://[::1]:9");
  BOOST_TEST(http_target::from_url("https://h")->port == 443u);
  for (const auto* bad : {"h:80", "ftp://h:1", "http://", "http://h:0", "http://h:99999",
                          "http://h:8/x", "http://u@h:8", "http://h\r\nX: y:8"})
    BOOST_TEST(!http_target::from_url(bad), bad);
  BOOST_TEST(url_encoded("a b/é,&") == "a%20b%2F%C3%A9%2C%26");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(comparing)

namespace {

node_digest at(const std::string& node, std::uint64_t height, const std::string& execution,
               std::uint64_t cities, const std::string& digest) {
  return {node, {}, height, execution, {{"divisions.cities", {cities, digest}}}};
}

std::string all(const comparison& x) {
  std::string out = x.identical ? "identical" : x.complete ? "different" : "not comparable";
  for (const auto& each : x.differences)
    out += "|" + each;
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(nodes_that_hold_the_same_are_identical) {
  BOOST_TEST(all(compare({at("a", 5, "e", 3, "d"), at("b", 5, "e", 3, "d")})) == "identical");
}

BOOST_AUTO_TEST_CASE(who_differs_from_most_is_named_with_the_table) {
  BOOST_TEST(all(compare({at("a", 5, "x", 2, "y"), at("b", 5, "e", 3, "d"),
                          at("c", 5, "e", 3, "d"), at("d", 5, "e", 3, "d")}))
             == "different|a differs in divisions.cities: 2 records, digest y, others 3 "
                "records, digest d|a differs in its execution digest: x, others e");
}

BOOST_AUTO_TEST_CASE(one_record_that_differs_shows_although_the_counts_are_the_same) {
  BOOST_TEST(!compare({at("a", 5, "e", 3, "d"), at("b", 5, "e", 3, "D")}).identical);
}

BOOST_AUTO_TEST_CASE(a_missing_table_is_a_difference) {
  auto without = at("b", 5, "e", 3, "d");
  without.tables.clear();
  BOOST_TEST(
      all(compare({at("a", 5, "e", 3, "d"), without}))
      == "different|b differs in divisions.cities: no such table, others 3 records, digest d");
}

BOOST_AUTO_TEST_CASE(nodes_at_different_heights_or_silent_ones_are_not_comparable) {
  BOOST_TEST(all(compare({at("a", 5, "e", 3, "d"), at("b", 6, "f", 4, "g")}))
             == "not comparable|b is at height 6, others at 5");
  auto silent = at("b", 5, "e", 3, "d");
  silent.failure = make_error(errc::unavailable, "gone");
  BOOST_TEST(all(compare({at("a", 5, "e", 3, "d"), silent}))
             == "not comparable|b did not answer: gone");
  BOOST_TEST(all(compare({})) == "not comparable");
}

BOOST_AUTO_TEST_CASE(an_answer_without_a_digest_is_a_failure_and_not_an_empty_node) {
  BOOST_TEST(node_digest::from("a", *parse_json("{}")).failure.has_value());
  const auto read = node_digest::from(
      "a",
      *parse_json(
          R"({"height":4,"execution":"ab","tables":[{"table":"t.u","records":2,"digest":"cd"}]})"));
  BOOST_TEST(!read.failure.has_value());
  BOOST_TEST(read.tables.at("t.u").records == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(printing)

BOOST_AUTO_TEST_CASE(columns_align_under_chinese_text_too) {
  std::ostringstream out;
  print_table(out, {{"name"}, {"n", true}}, {{"北京", "7"}, {"a", "123"}});
  BOOST_TEST(out.str() == "name    n\n北京    7\na     123\n");
}

BOOST_AUTO_TEST_CASE(a_row_cannot_drive_the_terminal) {
  BOOST_TEST(printable("a\033[2Jb") == "a\uFFFD[2Jb");
  BOOST_TEST(printable("two\nlines") == "two lines");
  BOOST_TEST(printable("\xff\xc2\x9b\xe2\x80\xaeok") == "\uFFFD\uFFFD\uFFFDok");
}

BOOST_AUTO_TEST_CASE(numbers_and_durations_are_for_people) {
  BOOST_TEST(grouped(0) == "0");
  BOOST_TEST(grouped(999) == "999");
  BOOST_TEST(grouped(1234567) == "1,234,567");
  BOOST_TEST(duration_text(std::chrono::milliseconds(850)) == "850 ms");
  BOOST_TEST(duration_text(std::chrono::milliseconds(12'340)) == "12.3 s");
  BOOST_TEST(duration_text(std::chrono::milliseconds(245'000)) == "4 min 5 s");
}

BOOST_AUTO_TEST_CASE(balances_are_added_up_exactly) {
  const auto sum = [](const std::string& accounts) {
    const auto list = *parse_json(accounts);
    return sum_of_balances({list.as_array().begin(), list.as_array().end()}).value_or("none");
  };
  BOOST_TEST(sum("[]") == "0.0000");
  BOOST_TEST(sum(R"([{"balance":"-12.5000"},{"balance":"12.4999"},{"balance":"0.0001"}])")
             == "0.0000");
  BOOST_TEST(sum(R"([{"balance":"-12.5000"},{"balance":"12.5001"}])") == "0.0001");
  BOOST_TEST(sum(R"([{"balance":"twelve"}])") == "none");
  BOOST_TEST(sum(R"([{"balance":"900000000000000"},{"balance":"900000000000000"}])") == "none");
}

BOOST_AUTO_TEST_SUITE_END()
