// What a shell and a node say to each other: one encoding, and limits that hold.
#include "messages/introspection.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::introspection;

namespace {

question some_question() {
  question x{7, topic::rows, {}};
  put(x.arguments, "table", "orders.lines");
  put(x.arguments, "limit", value(std::int64_t{100}));
  return x;
}

answer some_answer() {
  answer x{7, false, "", {}};
  put(x.body, "height", value(std::int64_t{12}));
  put(x.body, "rows", value_list{value_map{{"key", bytes{1, 2}}}});
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(introspection_messages)

BOOST_AUTO_TEST_CASE(a_question_travels_whole) {
  const auto asked = some_question();
  const auto read = open_question(make_frame(asked));
  BOOST_REQUIRE(read);
  BOOST_TEST(read->number == 7u);
  BOOST_TEST((read->about == topic::rows));
  BOOST_TEST((read->arguments == asked.arguments));
}

BOOST_AUTO_TEST_CASE(an_answer_travels_whole) {
  const auto given = some_answer();
  const auto read = open_answer(make_frame(given));
  BOOST_REQUIRE(read);
  BOOST_TEST(!read->last);
  BOOST_TEST((read->body == given.body));
}

BOOST_AUTO_TEST_CASE(whose_an_answer_is_can_be_told_by_its_beginning) {
  for (const bool last : {false, true}) {
    const auto frame = make_frame(answer{0x01020304, last, "why not", {}});
    const auto head = head_of_answer(frame);
    BOOST_REQUIRE(head.has_value());
    BOOST_TEST(head->number == 0x01020304u);
    BOOST_TEST(head->last == last);
    BOOST_TEST(!head_of_answer(bytes_view(frame).first(4)).has_value());
  }
}

BOOST_AUTO_TEST_CASE(every_truncation_of_either_is_refused) {
  const auto asked = make_frame(some_question()), given = make_frame(some_answer());
  for (std::size_t i = 0; i < asked.size(); ++i)
    BOOST_TEST(!open_question(bytes_view(asked).first(i)));
  for (std::size_t i = 0; i < given.size(); ++i)
    BOOST_TEST(!open_answer(bytes_view(given).first(i)));
}

BOOST_AUTO_TEST_CASE(a_topic_that_is_none_is_refused) {
  auto frame = make_frame(some_question());
  frame[4] = static_cast<std::uint8_t>(topic::fault) + 1;
  const auto read = open_question(frame);
  BOOST_REQUIRE(!read);
  BOOST_TEST((read.error().code == errc::malformed));
}

BOOST_AUTO_TEST_CASE(a_question_over_its_limit_is_refused_before_it_is_read) {
  auto asked = some_question();
  put(asked.arguments, "table", std::string(max_question_bytes, 'x'));
  const auto read = open_question(make_frame(asked));
  BOOST_REQUIRE(!read);
  BOOST_TEST((read.error().code == errc::too_large));
}

BOOST_AUTO_TEST_CASE(an_answer_over_its_limit_becomes_a_failure_that_says_so) {
  auto given = some_answer();
  put(given.body, "text", std::string(max_answer_bytes, 'x'));
  const auto frame = make_frame(given);
  BOOST_TEST(frame.size() <= max_answer_bytes);
  const auto read = open_answer(frame);
  BOOST_REQUIRE(read);
  BOOST_TEST(read->number == 7u);
  BOOST_TEST(read->last);
  BOOST_TEST(read->failure.find("larger than 256 KiB") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(only_what_changes_something_needs_the_role_control) {
  for (int i = 0; i <= static_cast<int>(topic::fault); ++i) {
    const auto about = static_cast<topic>(i);
    const auto name = to_string(about);
    const bool acts = name == "kill" || name == "restart" || name == "pause" || name == "resume"
                      || name == "log level" || name == "fault";
    BOOST_TEST(needs_control(about) == acts, name);
  }
}

BOOST_AUTO_TEST_CASE(members_of_another_type_give_the_default) {
  value_map body;
  put(body, "height", "many");
  put(body, "list", value_list{value(true), value_map{}});
  BOOST_TEST(number_at(body, "height", -1) == -1);
  BOOST_TEST(text_at(body, "absent", "none") == "none");
  BOOST_TEST(!flag_at(body, "height"));
  BOOST_TEST(map_at(body, "height").empty());
  BOOST_TEST(maps_at(body, "list").size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
