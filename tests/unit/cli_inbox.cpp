// What `tally take` leaves behind: the file, whatever ended its writer, and what the mesh is
// told of it.
#include "tests/unit/cli_server.hpp"
#include "tools/tally/inbox_file.hpp"
#include "tools/tally/subscriber.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

using deliveries = std::vector<inbox_file::delivery>;

struct inbox_on_disk {
  std::string path = (std::filesystem::temp_directory_path()
                      / ("tallymesh-inbox-" + std::to_string(::getpid())))
                         .string();
  inbox_on_disk() { std::filesystem::remove(path); }
  ~inbox_on_disk() { std::filesystem::remove(path); }

  void write(const std::string& text) const { std::ofstream(path) << text; }
  std::string read() const {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  /// Which of 1 to 9 it holds, or why it cannot be opened.
  std::string held(std::string_view inbox = "coop of 17") const {
    const auto opened = inbox_file::open(path, inbox);
    if (!opened) return std::string(to_string(opened.error().code));
    std::string text;
    for (int i = 1; i < 10; ++i)
      if (opened->has(i)) text += std::to_string(i);
    return text;
  }
};

std::string line(int number, const std::string& more = "") {
  return "{\"number\":" + std::to_string(number) + ",\"inbox\":\"coop of 17\",\"row\":\"" + more
         + "\"}";
}
inbox_file::delivery delivery(int number) { return {number, ",\"row\":\"\"}"}; }

} // namespace

BOOST_FIXTURE_TEST_SUITE(tally_inbox, inbox_on_disk)

BOOST_AUTO_TEST_CASE(a_delivery_stands_in_it_once) {
  BOOST_TEST(held() == "");
  {
    auto inbox = inbox_file::open(path, "coop of 17");
    BOOST_TEST_REQUIRE(inbox.has_value());
    BOOST_TEST(inbox->append({delivery(3), delivery(4)}).has_value());
    BOOST_TEST(inbox->append({delivery(4), delivery(9)}).has_value());
    BOOST_TEST(inbox->append({delivery(2)}).has_value()); // passed over before
  }
  BOOST_TEST(held() == "2349");
  BOOST_TEST(read() == line(3) + "\n" + line(4) + "\n" + line(9) + "\n" + line(2) + "\n");
  auto again = inbox_file::open(path, "coop of 17");
  BOOST_TEST(again->append({delivery(2), delivery(3), delivery(5)}).has_value());
  BOOST_TEST(read().ends_with(line(2) + "\n" + line(5) + "\n"));
}

BOOST_AUTO_TEST_CASE(numbers_are_kept_as_runs) {
  number_set all;
  for (const auto each : {5, 3, 4, 9, 1, 2, 2})
    all.add(each);
  for (int i = 0; i < 12; ++i)
    BOOST_TEST(all.has(i) == ((i >= 1 && i <= 5) || i == 9), i);
}

BOOST_AUTO_TEST_CASE(half_a_line_is_cut_off) {
  write(line(7) + "\n" + line(8).substr(0, 9));
  BOOST_TEST(held() == "7");
  BOOST_TEST(read() == line(7) + "\n");
  write(line(8).substr(0, 9));
  BOOST_TEST(held() == "");
  BOOST_TEST(read() == "");
}

BOOST_AUTO_TEST_CASE(long_lines_are_found_too) {
  const std::string much(400'000, 'x');
  write(line(1, much) + "\n" + line(2, much) + "\n" + line(3, much).substr(0, 350'000));
  BOOST_TEST(held() == "12");
  BOOST_TEST(read() == line(1, much) + "\n" + line(2, much) + "\n");
}

BOOST_AUTO_TEST_CASE(what_is_no_inbox_is_left_alone) {
  for (const std::string text :
       {"some notes\n", "{\"row\":1}\n", "\n", "{\"number\":-1,\"inbox\":\"coop of 17\"}\n",
        "{\"number\":1}\n"}) {
    write(text);
    BOOST_TEST(held() == "damaged");
    BOOST_TEST(read() == text);
  }
}

BOOST_AUTO_TEST_CASE(a_file_belongs_to_one_inbox) {
  write(line(7) + "\n");
  BOOST_TEST(held("coop of 18") == "conflict");
  BOOST_TEST(held("coop of 1") == "conflict");
  BOOST_TEST(held() == "7");
}

BOOST_AUTO_TEST_CASE(two_do_not_write_to_it_together) {
  const auto inbox = inbox_file::open(path, "coop of 17");
  BOOST_TEST(held() == "conflict");
}

namespace {

/// A node's inbox behind a gateway: what is open, and what was acknowledged.
struct node_inbox {
  std::mutex mutex;
  std::map<int, std::string> open; ///< number to table
  std::vector<int> acknowledged;
  std::function<std::optional<fixture::told_answer>(const std::vector<int>&)> on_ack;

  std::optional<fixture::told_answer> answer(const fixture::seen_request& x) {
    const std::lock_guard lock(mutex);
    if (x.path == "/v1/status")
      return fixture::told_answer{200, R"({"node":"coop","chain":"17"})", {}};
    if (x.path.starts_with("/v1/deliveries?"))
      return fixture::told_answer{200, page(x.path), {}};
    std::vector<int> numbers;
    const auto body = *parse_json(x.body);
    for (const auto& each : list_at(body, "numbers"))
      numbers.push_back(each.to_number<int>());
    if (on_ack)
      if (const auto other = on_ack(numbers)) return other;
    for (const auto each : numbers) {
      open.erase(each);
      acknowledged.push_back(each);
    }
    return fixture::told_answer{200, R"({"status":"finalized","ok":true})", {}};
  }

private:
  static std::string parameter(const std::string& path, const std::string& name) {
    const auto at = path.find(name + "=");
    return at == path.npos
               ? ""
               : path.substr(at + name.size() + 1, path.find('&', at) - at - name.size() - 1);
  }
  /// Two at most.
  std::string page(const std::string& path) {
    const auto table = parameter(path, "table"), after = parameter(path, "after");
    int next = after.empty() ? 0 : std::stoi(after);
    std::string text;
    for (const auto& [number, of] : open) {
      if (number <= next || (!table.empty() && table != of)) continue;
      if (std::count(text.begin(), text.end(), '{') == 2) break;
      text += (text.empty() ? "" : ",");
      text += R"({"number":)" + std::to_string(number) + R"(,"row":""})";
      next = number;
    }
    return R"({"deliveries":[)" + text + R"(],"next":)" + std::to_string(next) + "}";
  }
};

struct subscribed : inbox_on_disk {
  node_inbox node;
  fixture::server gateway{[this](const fixture::seen_request& x) { return node.answer(x); }};

  result<void> take(const std::string& table = {}) {
    return subscriber({.table = table,
                       .file = path,
                       .follow = false,
                       .give_up = std::chrono::seconds(0)},
                      gateway.target())
        .run();
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(what_is_acknowledged_is_in_the_file_before, subscribed) {
  node.open = {{1, "a"}, {2, "a"}, {4, "a"}};
  std::string missing;
  node.on_ack = [&](const std::vector<int>& numbers) -> std::optional<fixture::told_answer> {
    for (const auto each : numbers)
      if (read().find(line(each) + "\n") == std::string::npos) missing += std::to_string(each);
    return std::nullopt;
  };
  BOOST_TEST(take().has_value());
  BOOST_TEST(missing == "");
  BOOST_TEST(node.open.empty());
  BOOST_TEST(read() == line(1) + "\n" + line(2) + "\n" + line(4) + "\n");
}

BOOST_FIXTURE_TEST_CASE(ended_before_it_acknowledged_the_next_one_writes_nothing_twice,
                        subscribed) {
  node.open = {{1, "a"}, {2, "a"}, {3, "a"}};
  node.on_ack = [](const std::vector<int>&) { return fixture::told_answer{400, "{}", {}}; };
  BOOST_TEST(!take().has_value());
  BOOST_TEST(read() == line(1) + "\n" + line(2) + "\n");
  node.on_ack = nullptr;
  BOOST_TEST(take().has_value());
  BOOST_TEST(read() == line(1) + "\n" + line(2) + "\n" + line(3) + "\n");
  BOOST_TEST((node.acknowledged == std::vector{1, 2, 3}));
}

BOOST_FIXTURE_TEST_CASE(what_an_earlier_one_passed_over_is_neither_lost_nor_acknowledged_unseen,
                        subscribed) {
  node.open = {{1, "other"}, {2, "orders"}, {3, "other"}, {4, "orders"}};
  BOOST_TEST(take("orders").has_value());
  BOOST_TEST((node.acknowledged == std::vector{2, 4}));
  BOOST_TEST(take().has_value());
  BOOST_TEST((node.acknowledged == std::vector{2, 4, 1, 3}));
  BOOST_TEST(held() == "1234");
}

BOOST_AUTO_TEST_SUITE_END()
