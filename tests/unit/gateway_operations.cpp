// Submitting operations: what is refused before it reaches the chain, what waits, what is
// answered.
#include "gateway_fixture.hpp"

using namespace tallymesh;
using namespace tallymesh::gateway;
using namespace tallymesh::gateway::testing;

namespace {
const std::string an_id = "00112233445566778899aabbccddeeff";

/// The status and code of refusing `operation`.
std::pair<unsigned, std::string> refusal_of(const std::string& operation) {
  desk at;
  const auto answer = at.post(operation);
  BOOST_TEST(at.node.pending_count() == 0u);
  return {answer.get().status, text_of(answer.json(), "code")};
}
using status_and_code = std::pair<unsigned, std::string>;

std::string with_row(const std::string& row) {
  return R"({"contract":"divisions","action":"store","arguments":{"table":"cities","row":)"
         + row + "}}";
}
} // namespace

namespace std {
static ostream& operator<<(ostream& out, const status_and_code& x) {
  return out << x.first << ' ' << x.second;
}
} // namespace std

BOOST_AUTO_TEST_SUITE(gateway_operations)

BOOST_AUTO_TEST_CASE(an_operation_is_accepted_in_the_name_of_the_token_and_gets_an_id) {
  desk at;
  const auto answer = at.post(store_city("4301", "长沙市", "43"));
  BOOST_TEST(answer.get().status == 202u);
  BOOST_TEST(text_of(answer.json(), "status") == "accepted");
  BOOST_TEST_REQUIRE(at.node.pending.size() == 1u);
  const auto& made = at.node.pending.front();
  BOOST_TEST(made.author == "operator");
  BOOST_TEST(made.id.hex() == text_of(answer.json(), "id"));
  BOOST_TEST(!made.id.hex().starts_with("000000"));
}

BOOST_AUTO_TEST_CASE(whoever_waits_for_finalized_gets_the_receipt_when_the_block_is_stored) {
  desk at;
  const auto answer = at.post(store_city("4301", "长沙市", "43"), "?wait=finalized");
  BOOST_TEST(!answer.there());
  at.core->executed(at.node.make_block());
  BOOST_TEST(answer.get().status == 200u);
  const auto receipt = answer.json();
  BOOST_TEST(text_of(receipt, "status") == "finalized");
  BOOST_TEST(text_of(receipt, "result") == "done");
  BOOST_TEST(text_of(receipt, "lane") == "hq");
  BOOST_TEST(receipt.at("ok").as_bool());
  BOOST_TEST(receipt.at("height").to_number<int>() == 1);
  BOOST_TEST(receipt.at("changes").to_number<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_block_that_was_stored_before_the_request_is_registered_is_not_missed) {
  desk at;
  at.node.on_submit = [&] { at.node.make_block(); };
  const auto first = at.post(with_id(store_city("4301", "长沙市", "43"), an_id));
  BOOST_TEST(first.get().status == 202u); // executed() was never called
  at.node.on_submit = nullptr;
  const auto second =
      at.post(with_id(store_city("4301", "长沙市", "43"), an_id), "?wait=finalized");
  BOOST_TEST(second.get().status == 200u);
}

BOOST_AUTO_TEST_CASE(an_id_sent_again_returns_its_first_receipt_and_is_not_submitted) {
  desk at;
  at.fill(with_id(store_city("4301", "长沙市", "43"), an_id));
  const auto again = at.post(with_id(store_city("4302", "株洲市", "43"), an_id));
  BOOST_TEST(again.get().status == 200u);
  BOOST_TEST(again.json().at("height").to_number<int>() == 1);
  BOOST_TEST(at.node.pending_count() == 0u);
  // In a request of many, only the others go on.
  const auto mixed = at.post(with_id(store_city("4302", "株洲市", "43"), an_id) + "\n"
                                 + store_city("4303", "湘潭市", "43"),
                             "", desk::ndjson);
  const auto lines = lines_of(mixed.get().body);
  BOOST_TEST(text_of(lines.at(0), "status") == "finalized");
  BOOST_TEST(text_of(lines.at(1), "status") == "accepted");
  BOOST_TEST(at.node.pending_count() == 1u);
}

BOOST_AUTO_TEST_CASE(after_the_timeout_the_answer_is_pending_and_the_room_is_empty) {
  desk at;
  const auto answer =
      at.post(store_city("4301", "长沙市", "43"), "?wait=finalized&timeout_ms=50");
  BOOST_TEST_REQUIRE(at.wake.has_value());
  at.core->expire(*at.wake - std::chrono::milliseconds(1));
  BOOST_TEST(!answer.there());
  at.core->expire(*at.wake);
  BOOST_TEST(answer.get().status == 202u);
  BOOST_TEST(text_of(answer.json(), "status") == "pending");
  at.core->executed(at.node.make_block()); // must not answer again
  const auto id = text_of(answer.json(), "id");
  BOOST_TEST(at.get("/v1/operations/" + id).get().status == 200u);
}

BOOST_AUTO_TEST_CASE(a_full_mempool_is_429_with_retry_after) {
  desk at;
  at.node.mempool = test_node::mood::overloaded;
  const auto answer = at.post(store_city("4301", "长沙市", "43"), "?wait=finalized");
  BOOST_TEST(answer.get().status == 429u);
  BOOST_TEST(answer.get().headers.at(0).first == "Retry-After");
  const auto many = at.post(store_city("4301", "长沙市", "43"), "", desk::ndjson);
  BOOST_TEST(many.get().status == 200u);
  BOOST_TEST(text_of(lines_of(many.get().body).at(0), "code") == "overloaded");
  BOOST_TEST(many.get().headers.at(0).first == "Retry-After");
}

BOOST_AUTO_TEST_CASE(what_waits_is_bounded) {
  service_settings small;
  small.waiting_operations = 2;
  desk at(small);
  at.node.mempool = test_node::mood::silent;
  const auto first = at.post(store_city("4301", "a", "43"), "?wait=finalized");
  const auto second = at.post(store_city("4302", "a", "43"), "?wait=finalized");
  BOOST_TEST(!second.there());
  BOOST_TEST(at.post(store_city("4303", "a", "43"), "?wait=finalized").get().status == 429u);
  at.core->expire(*at.wake + std::chrono::hours(1));
  BOOST_TEST(first.there());
  BOOST_TEST(!at.post(store_city("4303", "a", "43"), "?wait=finalized").there());
}

BOOST_AUTO_TEST_CASE(lines_are_answered_in_their_order_and_a_bad_one_spoils_no_other) {
  desk at;
  const auto body = store_city("4301", "长沙市", "43") + "\n" + "{\"contract\":\n"
                    + "\n" // an empty line counts, but has no answer
                    + with_id(store_city("43015", "too long", "43"), an_id) + "\r\n"
                    + store_city("4302", "株洲市", "43");
  const auto answer = at.post(body, "?wait=finalized", desk::ndjson);
  BOOST_TEST(!answer.there());
  at.core->executed(at.node.make_block());
  BOOST_TEST(answer.get().content_type == "application/x-ndjson");
  const auto lines = lines_of(answer.get().body);
  BOOST_TEST_REQUIRE(lines.size() == 4u);
  BOOST_TEST(text_of(lines[0], "status") == "finalized");
  BOOST_TEST(text_of(lines[1], "status") == "refused");
  BOOST_TEST(lines[1].at("id").is_null());
  BOOST_TEST(lines[1].at("line").to_number<int>() == 2);
  BOOST_TEST(text_of(lines[1], "code") == "malformed");
  BOOST_TEST(text_of(lines[2], "id") == an_id);
  BOOST_TEST(lines[2].at("line").to_number<int>() == 4);
  BOOST_TEST(text_of(lines[2], "code") == "out_of_range");
  BOOST_TEST(text_of(lines[3], "result") == "done");
}

BOOST_AUTO_TEST_CASE(one_id_on_two_lines_of_a_request_is_refused_the_second_time) {
  desk at;
  const auto line = with_id(store_city("4301", "长沙市", "43"), an_id);
  const auto answer = at.post(line + "\n" + line, "", desk::ndjson);
  BOOST_TEST(text_of(lines_of(answer.get().body).at(1), "code") == "conflict");
  BOOST_TEST(at.node.pending_count() == 1u);
}

BOOST_AUTO_TEST_CASE(more_lines_than_allowed_are_refused_as_a_whole) {
  service_settings small;
  small.request_lines = 3;
  desk at(small);
  std::string body;
  for (int i = 0; i < 4; ++i)
    body += store_city("430" + std::to_string(i), "a", "43") + "\n";
  BOOST_TEST(at.post(body, "", desk::ndjson).get().status == 413u);
  BOOST_TEST(at.node.pending_count() == 0u);
}

BOOST_AUTO_TEST_CASE(values_are_typed_by_the_contract) {
  desk at;
  const auto answer =
      at.post(store_city("4301", "长沙市", "43",
                         R"(,"people":"10","area":"12.5","capital":"true","seal":"00FF")"));
  BOOST_TEST(answer.get().status == 202u, answer.get().body);
  const auto* row = find(at.node.pending.front().arguments, "row")->as<value_map>();
  BOOST_TEST_REQUIRE(row != nullptr);
  BOOST_TEST(*find(*row, "people")->as<std::int64_t>() == 10);
  BOOST_TEST((*find(*row, "area")->as<decimal>() == decimal{1250, 2}));
  BOOST_TEST(*find(*row, "capital")->as<bool>());
  BOOST_TEST((*find(*row, "seal")->as<bytes>() == bytes{0, 255}));
  // An integer for a decimal is exact.
  BOOST_TEST(at.post(store_city("4302", "株洲市", "43", R"(,"area":7)")).get().status == 202u);
  const auto* second = find(at.node.pending.back().arguments, "row")->as<value_map>();
  BOOST_TEST((*find(*second, "area")->as<decimal>() == decimal{700, 2}));
}

BOOST_AUTO_TEST_CASE(values_that_would_be_rounded_or_do_not_fit_are_refused) {
  const auto row = [](const char* more) { return store_city("4301", "a", "43", more); };
  BOOST_TEST(refusal_of(row(R"(,"people":1.5)")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"people":1e3)")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"area":12.5)")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"area":"1.234")")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"people":18446744073709551615)"))
             == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"people":-1)")) == status_and_code(422, "out_of_range"));
  BOOST_TEST(refusal_of(row(R"(,"people":[1])")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"capital":"yes")")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"seal":"0")")) == status_and_code(422, "wrong_type"));
  BOOST_TEST(refusal_of(row(R"(,"mayor":"x")")) == status_and_code(422, "unknown_field"));
  BOOST_TEST(refusal_of(with_row(R"({"name":"a"})")) == status_and_code(422, "missing_field"));
  BOOST_TEST(refusal_of(with_row("[]")) == status_and_code(422, "malformed_arguments"));
}

BOOST_AUTO_TEST_CASE(names_and_rights_are_checked_before_anything_reaches_the_chain) {
  const std::string row = R"("arguments":{"table":"cities","row":{"code":"4301"}}})";
  BOOST_TEST(refusal_of(R"({"contract":"nothing","action":"store",)" + row)
             == status_and_code(422, "unknown_contract"));
  BOOST_TEST(refusal_of(R"({"contract":"divisions","action":"melt",)" + row)
             == status_and_code(422, "unknown_action"));
  BOOST_TEST(
      refusal_of(
          R"({"contract":"divisions","action":"store","arguments":{"table":"x","row":{}}})")
      == status_and_code(422, "unknown_table"));
  desk at;
  const std::string drop =
      R"({"contract":"divisions","action":"delete","arguments":{"table":"cities","key":["4301"]}})";
  const auto refused = at.ask("POST", "/v1/operations", drop, "application/json", reader_token);
  BOOST_TEST(refused.get().status == 403u);
  BOOST_TEST(text_of(refused.json(), "code") == "forbidden");
  BOOST_TEST(at.post(drop).get().status == 202u);
}

BOOST_AUTO_TEST_CASE(an_actions_parameters_are_typed_by_their_declaration) {
  desk at;
  using contracts::field_kind;
  contracts::action rename{.name = "rename", .doc = {}, .may = {}, .params = {}};
  rename.may.push_back(
      {.what = contracts::grantee::kind::tier, .at = contracts::tier::level1, .name = {}});
  rename.params = {{.name = "code", .kind = field_kind::text, .min = 1, .max = 4},
                   {.name = "fee", .kind = field_kind::decimal, .scale = 2, .max = 10'000},
                   {.name = "note", .kind = field_kind::text, .optional = true, .max = 9},
                   {.name = "people", .kind = field_kind::int64, .optional = true, .max = 99}};
  auto with_action = *at.node.contract_list;
  auto closed = rename;
  closed.name = "closed";
  closed.may.clear();
  with_action[0].actions = {closed, rename};
  at.node.contract_list = std::make_shared<std::vector<contracts::contract>>(with_action);
  const auto call = [&](const std::string& action, const std::string& arguments) {
    return at.post(R"({"contract":"divisions","action":")" + action + R"(","arguments":)"
                   + arguments + "}");
  };
  const auto code = [](const auto& answer) { return text_of(answer.json(), "code"); };
  const auto good = call("rename", R"({"people":"17","fee":"1.5","code":"4301","note":null})");
  BOOST_TEST(good.get().status == 202u, good.get().body);
  BOOST_TEST_REQUIRE(at.node.pending.size() == 1u);
  BOOST_TEST(
      (at.node.pending.front().arguments
       == value_map{{"code", "4301"}, {"fee", decimal{150, 2}}, {"people", std::int64_t{17}}}));
  BOOST_TEST(code(call("rename", R"({"code":"4301"})")) == "missing_field");
  BOOST_TEST(code(call("rename", R"({"code":"43011","fee":1})")) == "out_of_range");
  BOOST_TEST(code(call("rename", R"({"code":4301,"fee":1})")) == "wrong_type");
  BOOST_TEST(code(call("rename", R"({"code":"1","fee":1,"colour":"red"})")) == "unknown_field");
  BOOST_TEST(code(call("closed", R"({"code":"1","fee":1})")) == "forbidden");
  BOOST_TEST(code(call("nothing", "{}")) == "unknown_action");
  BOOST_TEST(at.node.pending_count() == 1u);
}

BOOST_AUTO_TEST_CASE(a_distribution_names_a_row_and_its_recipients) {
  desk at;
  auto open = *at.node.contract_list;
  for (auto& table : open[0].tables)
    if (table.name == "cities")
      table.distributors.push_back(
          {.what = contracts::grantee::kind::node, .at = {}, .name = "hq"});
  at.node.contract_list = std::make_shared<std::vector<contracts::contract>>(open);
  const auto send = [&](const std::string& arguments) {
    return at.post(R"({"contract":"divisions","action":"distribute","arguments":{)" + arguments
                   + "}}");
  };
  const auto code = [](const auto& answer) { return text_of(answer.json(), "code"); };
  const std::string row = R"("table":"cities","key":["4301"],)";
  BOOST_TEST(
      send(row + R"("to":{"within_s":60,"tier":["level2","level3"],"node":"hq"})").get().status
      == 202u);
  BOOST_TEST_REQUIRE(at.node.pending.size() == 1u);
  BOOST_TEST((at.node.pending.front().arguments
              == value_map{{"key", value_list{"4301"}},
                           {"table", "cities"},
                           {"to", value_map{{"node", "hq"},
                                            {"tier", value_list{"level2", "level3"}},
                                            {"within_s", std::int64_t{60}}}}}));
  BOOST_TEST(code(send(row + R"("to":"hq")")) == "malformed_arguments");
  BOOST_TEST(code(send(R"("table":"cities","to":{"node":"hq"})")) == "malformed_arguments");
  BOOST_TEST(code(send(row + R"("to":{"node":true})")) == "wrong_type");
  BOOST_TEST(code(send(row + R"("to":{"node":["hq",1]})")) == "wrong_type");
  BOOST_TEST(code(send(R"("table":"pairs","key":["a","1"],"to":{"node":"hq"})"))
             == "forbidden");
  BOOST_TEST(at.node.pending_count() == 1u);
}

BOOST_AUTO_TEST_CASE(the_form_of_an_operation_is_checked) {
  const auto bad = [](const std::string& text) { return refusal_of(text).first; };
  const auto good = store_city("4301", "a", "43");
  BOOST_TEST(bad("") == 400u);
  BOOST_TEST(bad("null") == 400u);
  BOOST_TEST(bad("[]") == 400u);
  BOOST_TEST(bad(good + good) == 400u);
  BOOST_TEST(bad(good + "x") == 400u);
  BOOST_TEST(bad("{\"when\":1," + good.substr(1)) == 400u);
  BOOST_TEST(bad(with_id(good, "123")) == 400u);
  BOOST_TEST(bad("{\"signature\":\"00\"," + good.substr(1)) == 400u);
  BOOST_TEST(bad(store_city("4301", "\xff\xfe", "43")) == 400u);
  BOOST_TEST(bad(store_city("4301", "\xed\xa0\x80", "43")) == 400u); // a surrogate
  BOOST_TEST(bad(std::string(100'000, '[')) == 400u);
  BOOST_TEST(bad(with_row("{\"name\":" + std::string(20, '[') + std::string(20, ']') + "}"))
             == 400u);
  BOOST_TEST(bad(R"({"contract":"divisions","action":"store"})") == 400u);
  BOOST_TEST(refusal_of("{\"valid_until\":1000," + good.substr(1))
             == status_and_code(422, "expired"));
  BOOST_TEST(refusal_of("{\"valid_until\":9000000000000," + good.substr(1))
             == status_and_code(422, "out_of_range"));
}

BOOST_AUTO_TEST_CASE(random_bytes_never_reach_the_chain) {
  desk at;
  std::uint64_t state = 42;
  const std::string alphabet = "{}[]\",:\\u0 1e-tfn\n\xff\xc3";
  for (int round = 0; round < 3000; ++round) {
    std::string body;
    const auto size = (state = state * 6364136223846793005u + 1442695040888963407u) >> 58;
    for (std::uint64_t i = 0; i < size; ++i)
      body += alphabet[((state = state * 6364136223846793005u + 1442695040888963407u) >> 33)
                       % alphabet.size()];
    const auto one = at.post(body);
    BOOST_TEST_REQUIRE(one.get().status == 400u);
    BOOST_TEST_REQUIRE(at.post(body, "", desk::ndjson).get().status == 200u);
  }
  BOOST_TEST(at.node.pending_count() == 0u);
}

BOOST_AUTO_TEST_CASE(every_cut_and_every_changed_byte_of_a_good_operation_is_answered) {
  desk at;
  const auto good = with_id(store_city("4301", "长沙市", "43", R"(,"area":"1.5")"), an_id);
  for (std::size_t i = 0; i < good.size(); ++i) {
    BOOST_TEST_REQUIRE(at.post(good.substr(0, i)).get().status == 400u);
    for (const char with : {'"', '\\', '{', '\0', '\x80', '9'}) {
      auto changed = good;
      changed[i] = with;
      BOOST_TEST_REQUIRE(at.post(changed).there());
    }
  }
}

BOOST_AUTO_TEST_CASE(an_operation_over_256_kib_is_refused) {
  desk at;
  const auto answer =
      at.post(with_row("{\"code\":\"4301\",\"name\":\"" + std::string(300'000, 'x') + "\"}"));
  BOOST_TEST((answer.get().status == 413u || answer.get().status == 422u));
  BOOST_TEST(at.node.pending_count() == 0u);
}

BOOST_AUTO_TEST_CASE(other_media_types_are_refused) {
  desk at;
  BOOST_TEST(at.post(store_city("4301", "a", "43"), "", "text/plain").get().status == 415u);
  BOOST_TEST(
      at.post(store_city("4301", "a", "43"), "", "application/json; charset=utf-8").get().status
      == 202u);
}

BOOST_AUTO_TEST_CASE(an_operation_is_unknown_then_pending_then_has_its_receipt) {
  desk at;
  const auto path = "/v1/operations/" + an_id;
  BOOST_TEST(at.get(path).get().status == 404u);
  at.post(with_id(store_city("4301", "长沙市", "43"), an_id));
  BOOST_TEST(text_of(at.get(path).json(), "status") == "pending");
  const auto waiting = at.get(path + "?wait=finalized");
  BOOST_TEST(!waiting.there());
  at.core->executed(at.node.make_block());
  BOOST_TEST(text_of(waiting.json(), "status") == "finalized");
  BOOST_TEST(text_of(at.get(path).json(), "result") == "done");
  BOOST_TEST(at.get("/v1/operations/xyz").get().status == 400u);
}

BOOST_AUTO_TEST_CASE(a_trace_shows_block_batch_author_and_changes) {
  desk at;
  at.fill(with_id(store_city("4301", "长沙市", "43"), an_id));
  const auto trace = at.get("/v1/operations/" + an_id + "/trace").json();
  BOOST_TEST(text_of(trace, "author") == "operator@hq");
  BOOST_TEST(trace.at("block").at("height").to_number<int>() == 1);
  BOOST_TEST(text_of(trace.at("batch"), "lane") == "hq");
  const auto& change = trace.at("changes").as_array().at(0);
  BOOST_TEST(text_of(change, "table") == "divisions.cities");
  BOOST_TEST(text_of(change.at("key").as_array().at(0).is_string() ? change : change, "table")
             == "divisions.cities");
  BOOST_TEST(change.at("before").is_null());
  BOOST_TEST(text_of(change.at("after"), "name") == "长沙市");
}

BOOST_AUTO_TEST_CASE(a_trace_hides_changes_of_tables_that_the_reader_may_not_read) {
  desk at;
  at.fill(with_id(
      R"({"contract":"divisions","action":"store","arguments":{"table":"secret","row":{"id":"a"}}})",
      an_id));
  const auto trace = at.get("/v1/operations/" + an_id + "/trace").json();
  BOOST_TEST(trace.at("receipt").at("changes").to_number<int>() == 1);
  BOOST_TEST(trace.at("changes").as_array().empty());
}

BOOST_AUTO_TEST_CASE(a_trace_tells_what_fits_and_counts_the_other_changes_that_one_may_see) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{3000}, std::size_t{4} << 20}) {
    desk at({.page_bytes = bytes});
    at.fill(with_id(R"({"contract":"divisions","action":"copy","arguments":{"words":")"
                        + std::string(1000, 'w') + R"(","times":12}})",
                    an_id));
    const auto trace = at.get("/v1/operations/" + an_id + "/trace").json();
    BOOST_TEST_REQUIRE(text_of(trace.at("receipt"), "result") == "done");
    const auto& told = trace.at("changes").as_array();
    BOOST_TEST((told.size() > 1) == (bytes > 1));
    BOOST_TEST((told.size() == 12) == (bytes > 3000));
    BOOST_TEST(told.size() + trace.at("changes_left_out").to_number<std::size_t>() == 12u);
    for (std::size_t i = 0; i < told.size(); ++i)
      BOOST_TEST(told[i].at("key").as_array().at(0).as_string() == "c" + std::to_string(i + 1));
  }
}

BOOST_AUTO_TEST_CASE(a_trace_of_many_long_rows_is_no_longer_than_a_page) {
  desk at;
  at.fill(with_id(R"({"contract":"divisions","action":"copy","arguments":{"words":")"
                      + std::string(200'000, 'w') + R"(","times":40}})",
                  an_id));
  const auto answer = at.get("/v1/operations/" + an_id + "/trace");
  BOOST_TEST(answer.get().body.size() < std::size_t{5} << 20);
  const auto trace = answer.json();
  BOOST_TEST(trace.at("receipt").at("changes").to_number<int>() == 41);
  BOOST_TEST(trace.at("changes_left_out").to_number<int>() == 19);
}

BOOST_AUTO_TEST_CASE(an_answer_of_many_lines_holds_a_page_of_events_and_counts_the_others) {
  const std::string tell = R"({"contract":"divisions","action":"tell","arguments":{"words":")"
                           + std::string(1000, 'w') + "\"}}";
  desk at({.page_bytes = 3000});
  std::string lines;
  for (int i = 0; i < 5; ++i)
    lines += tell + "\n";
  const auto many = at.post(lines, "?wait=finalized", desk::ndjson);
  const auto one = at.post(tell, "?wait=finalized");
  at.core->executed(at.node.make_block());
  const auto told = lines_of(many.get().body);
  BOOST_TEST_REQUIRE(told.size() == 5u);
  for (std::size_t i = 0; i < 5; ++i) {
    const auto& receipt = told[i].as_object();
    BOOST_TEST(text_of(told[i], "result") == "done");
    BOOST_TEST(receipt.at("events").as_array().empty() == (i >= 3));
    BOOST_TEST(receipt.contains("events_left_out") == (i >= 3));
  }
  BOOST_TEST(told[4].at("events_left_out").to_number<int>() == 1);
  const auto whole = at.get("/v1/operations/" + text_of(told[4], "id")).json();
  for (const auto& receipt : {whole, one.json()}) {
    BOOST_TEST(receipt.at("events").as_array().size() == 1u);
    BOOST_TEST(!receipt.as_object().contains("events_left_out"));
  }
}

BOOST_AUTO_TEST_CASE(draining_answers_those_who_wait_with_503_and_takes_no_more) {
  desk at;
  const auto one = at.post(with_id(store_city("4301", "a", "43"), an_id), "?wait=finalized");
  const auto many = at.post(store_city("4302", "a", "43"), "?wait=finalized", desk::ndjson);
  at.core->drain(std::chrono::milliseconds(0));
  BOOST_TEST(one.get().status == 503u);
  BOOST_TEST(text_of(one.json(), "detail").find(an_id) != std::string::npos);
  BOOST_TEST(many.get().status == 503u);
  BOOST_TEST(text_of(lines_of(many.get().body).at(0), "status") == "pending");
  BOOST_TEST(at.get("/v1/status").get().status == 503u);
}

BOOST_AUTO_TEST_SUITE_END()
