// The file of `tally take`: whatever ended its writer, it goes on behind the last whole line.
#include "tools/tally/inbox_file.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

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
  /// The last number, or why there is none.
  std::string last() const {
    const auto opened = inbox_file::open(path);
    return opened ? std::to_string(opened->last())
                  : std::string(to_string(opened.error().code));
  }
};

std::string line(int number, const std::string& more = "") {
  return "{\"number\":" + std::to_string(number) + ",\"row\":\"" + more + "\"}";
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(tally_inbox, inbox_on_disk)

BOOST_AUTO_TEST_CASE(it_goes_on_where_it_ended) {
  BOOST_TEST(last() == "0");
  {
    auto inbox = inbox_file::open(path);
    BOOST_TEST_REQUIRE(inbox.has_value());
    BOOST_TEST(inbox->append({line(3), line(4)}, 4).has_value());
    BOOST_TEST(inbox->append({line(9)}, 9).has_value());
    BOOST_TEST(inbox->last() == 9);
  }
  BOOST_TEST(last() == "9");
  BOOST_TEST(read() == line(3) + "\n" + line(4) + "\n" + line(9) + "\n");
}

BOOST_AUTO_TEST_CASE(half_a_line_is_cut_off) {
  write(line(7) + "\n" + line(8).substr(0, 9));
  BOOST_TEST(last() == "7");
  BOOST_TEST(read() == line(7) + "\n");
  write(line(8).substr(0, 9));
  BOOST_TEST(last() == "0");
  BOOST_TEST(read() == "");
}

BOOST_AUTO_TEST_CASE(long_lines_are_found_too) {
  const std::string much(200'000, 'x');
  write(line(1, much) + "\n" + line(2, much) + "\n" + line(3, much).substr(0, 150'000));
  BOOST_TEST(last() == "2");
  BOOST_TEST(read() == line(1, much) + "\n" + line(2, much) + "\n");
}

BOOST_AUTO_TEST_CASE(what_is_no_inbox_is_left_alone) {
  for (const std::string text : {"some notes\n", "{\"row\":1}\n", "\n", "{\"number\":-1}\n"}) {
    write(text);
    BOOST_TEST(last() == "damaged");
    BOOST_TEST(read() == text);
  }
}

BOOST_AUTO_TEST_CASE(only_one_writes_to_it) {
  const auto first = inbox_file::open(path);
  BOOST_TEST_REQUIRE(first.has_value());
  BOOST_TEST(last() == "conflict");
}

BOOST_AUTO_TEST_SUITE_END()
