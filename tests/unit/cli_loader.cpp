// Storing many rows against a gateway that is slow, full, restarting or wrong: each row counts
// once.
#include "tests/unit/cli_server.hpp"
#include "tools/tally/loader.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::tally;
using namespace tallymesh::tally::fixture;

namespace {

/// What a gateway would hold: the operations that it executed, by id.
struct ledger {
  std::mutex mutex;
  std::map<std::string, int> executed; ///< how many times each id arrived
  std::atomic<int> requests = 0;

  std::string receipt(const std::string& id, std::string_view result = "done") {
    return R"({"id":")" + id + R"(","status":"finalized","height":7,"result":")"
           + std::string(result) + R"(","ok":)"
           + (result == "done" || result == "no_change" ? "true" : "false")
           + R"(,"description":"why","detail":"field"})" + "\n";
  }
  /// Receipts for every line of the request.
  std::string execute(const std::string& body) {
    std::istringstream lines(body);
    std::string answer;
    const std::lock_guard lock(mutex);
    for (std::string line; std::getline(lines, line);) {
      const auto id = text_at(*parse_json(line), "id");
      ++executed[id];
      answer += receipt(id);
    }
    return answer;
  }
};

input_row row(std::size_t line) {
  return {line, R"({"code":")" + std::to_string(line) + "\"}", ""};
}

result<load_summary> load(const std::vector<gateway>& to, std::size_t rows,
                          load_settings settings) {
  loader sending(to, {"divisions", "cities"}, settings);
  for (std::size_t i = 0; i < rows; ++i)
    if (!sending.add(i % to.size(), row(i + 1), [] {})) break;
  return sending.finish([] {});
}

load_settings small() { return {2, 5, std::chrono::milliseconds(20'000)}; }

} // namespace

BOOST_AUTO_TEST_SUITE(loading)

BOOST_AUTO_TEST_CASE(rows_are_sent_in_requests_with_token_and_wait_through_all_gateways) {
  ledger held;
  std::atomic<int> wrong = 0;
  std::atomic<int> by_port[2] = {0, 0};
  const auto handler = [&](int which) {
    return [&, which](const seen_request& x) -> std::optional<told_answer> {
      if (x.method != "POST" || x.path.find("/v1/operations?wait=finalized") != 0
          || x.authorization != "Bearer secret-token")
        ++wrong;
      ++by_port[which];
      return told_answer{200, held.execute(x.body), ""};
    };
  };
  server first(handler(0)), second(handler(1));
  const auto done = load({{"a", first.target(), {}}, {"b", second.target(), {}}}, 23, small());
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(wrong == 0);
  BOOST_TEST(done->stored == 23u);
  BOOST_TEST(done->last_height == 7u);
  BOOST_TEST(held.executed.size() == 23u);
  BOOST_TEST(by_port[0] >= 3);
  BOOST_TEST(by_port[1] >= 3);
}

BOOST_AUTO_TEST_CASE(a_connection_lost_before_the_answer_is_sent_again_with_the_same_ids) {
  ledger held;
  server gate([&](const seen_request& x) -> std::optional<told_answer> {
    auto answer = held.execute(x.body);
    // Executed, and then the connection dies: the client cannot know.
    if (held.requests++ % 2 == 0) return std::nullopt;
    return told_answer{200, std::move(answer), ""};
  });
  const auto done = load({{"a", gate.target(), {}}}, 20, small());
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(done->stored == 20u);
  BOOST_TEST(held.executed.size() == 20u);
  BOOST_TEST(held.requests > 4);
}

BOOST_AUTO_TEST_CASE(a_gateway_that_is_full_is_asked_again_later) {
  ledger held;
  server gate([&](const seen_request& x) -> std::optional<told_answer> {
    if (held.requests++ < 3)
      return told_answer{held.requests % 2 == 0 ? 429u : 503u, R"({"detail":"full"})",
                         "Retry-After: 0\r\n"};
    return told_answer{200, held.execute(x.body), ""};
  });
  const auto done = load({{"a", gate.target(), {}}}, 10, small());
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(done->stored == 10u);
  BOOST_TEST(done->resent >= 3u);
}

BOOST_AUTO_TEST_CASE(only_what_has_no_receipt_yet_is_sent_again) {
  ledger held;
  server gate([&](const seen_request& x) -> std::optional<told_answer> {
    auto answer = held.execute(x.body);
    if (held.requests++ > 0) return told_answer{200, std::move(answer), ""};
    // Of the first request: a receipt, an accepted one, a full queue, and nothing for the
    // others.
    std::vector<std::string> ids;
    std::istringstream lines(x.body);
    for (std::string line; std::getline(lines, line);)
      ids.push_back(text_at(*parse_json(line), "id"));
    return told_answer{200,
                       held.receipt(ids[0]) + R"({"id":")" + ids[1]
                           + "\",\"status\":\"accepted\"}\n{\"id\":\"" + ids[2]
                           + "\",\"status\":\"refused\",\"code\":\"overloaded\"}\n",
                       ""};
  });
  auto settings = small();
  settings.window = 1;
  const auto done = load({{"a", gate.target(), {}}}, 5, settings);
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(done->stored == 5u);
  std::size_t twice = 0;
  for (const auto& [id, times] : held.executed)
    twice += times == 2;
  BOOST_TEST(twice == 4u);
}

BOOST_AUTO_TEST_CASE(refused_rows_are_named_by_their_lines_in_order) {
  ledger held;
  server gate([&](const seen_request& x) -> std::optional<told_answer> {
    std::istringstream lines(x.body);
    std::string answer;
    for (std::string line; std::getline(lines, line);) {
      const auto parsed = *parse_json(line);
      const auto code = text_at(*member(*member(parsed, "arguments"), "row"), "code");
      const auto result = code == "3" ? "out_of_range" : code == "4" ? "no_change" : "done";
      answer += held.receipt(text_at(parsed, "id"), result);
    }
    return told_answer{200, std::move(answer), ""};
  });
  loader sending({{"a", gate.target(), {}}}, {"divisions", "cities"}, small());
  for (std::size_t i = 1; i <= 6; ++i)
    sending.add(0, row(i), [] {});
  sending.add(0, {2, "", "not UTF-8"}, [] {});
  const auto done = sending.finish([] {});
  BOOST_REQUIRE(done.has_value());
  BOOST_TEST(done->stored == 4u);
  BOOST_TEST(done->unchanged == 1u);
  BOOST_TEST(done->refused == 2u);
  BOOST_REQUIRE(done->first_refused.size() == 2u);
  BOOST_TEST(done->first_refused[0].line == 2u);
  BOOST_TEST(done->first_refused[0].why == "not UTF-8");
  BOOST_TEST(done->first_refused[1].line == 3u);
  BOOST_TEST(done->first_refused[1].why == "why (field)");
}

BOOST_AUTO_TEST_CASE(a_wrong_token_ends_the_load_at_once) {
  server gate([](const seen_request&) -> std::optional<told_answer> {
    return told_answer{401, R"({"detail":"no such token"})", ""};
  });
  const auto done = load({{"a", gate.target(), {}}}, 1000, small());
  BOOST_REQUIRE(!done.has_value());
  BOOST_TEST((done.error().code == errc::forbidden));
  BOOST_TEST(done.error().context.find("no such token; check --token") != std::string::npos,
             done.error().context);
}

BOOST_AUTO_TEST_CASE(a_gateway_that_never_comes_back_is_given_up) {
  server gate([](const seen_request&) -> std::optional<told_answer> { return std::nullopt; });
  auto settings = small();
  settings.give_up_after = std::chrono::milliseconds(300);
  const auto done = load({{"a", gate.target(), {}}}, 1000, settings);
  BOOST_REQUIRE(!done.has_value());
  BOOST_TEST(done.error().context.find("without a receipt from a") != std::string::npos,
             done.error().context);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(operation_ids_begin_with_the_time_and_never_repeat) {
  std::set<operation_id> seen;
  auto before = new_operation_id();
  for (int i = 0; i < 1000; ++i)
    BOOST_TEST(seen.insert(new_operation_id()).second);
  const auto after = new_operation_id();
  BOOST_TEST(std::memcmp(before.raw.data(), after.raw.data(), 6) <= 0);
  std::uint64_t ms = 0;
  for (int i = 0; i < 6; ++i)
    ms = ms << 8 | after.raw[static_cast<std::size_t>(i)];
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  BOOST_TEST(std::abs(static_cast<std::int64_t>(ms) - now) < 60'000);
}

BOOST_AUTO_TEST_CASE(a_table_is_named_by_contract_and_table) {
  BOOST_TEST(table_name::from_text("divisions.cities")->table == "cities");
  for (const auto* bad : {"", "cities", ".cities", "divisions.", "a.b.c"})
    BOOST_TEST(!table_name::from_text(bad), bad);
}
