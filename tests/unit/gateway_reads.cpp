// Reading through the gateway: who may, what comes, and that pages neither skip nor repeat.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/cursor.hpp"
#include "gateway_fixture.hpp"

using namespace tallymesh;
using namespace tallymesh::gateway;
using namespace tallymesh::gateway::testing;

namespace {

std::string city_code(int i) { return std::to_string(1000 + i); }

/// `count` cities in three provinces, in several blocks.
void fill_cities(desk& at, int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += store_city(city_code(i), "city " + std::to_string(i), std::to_string(11 + i % 3))
             + "\n";
    if (i % 50 == 49 || i + 1 == count) {
      at.fill(lines);
      lines.clear();
    }
  }
}

/// All keys of a list, page by page.
std::vector<std::string> walk(desk& at, const std::string& target) {
  std::vector<std::string> keys;
  std::string after;
  for (int pages = 0; pages < 1000; ++pages) {
    const auto page = at.get(target + after);
    BOOST_TEST_REQUIRE(page.get().status == 200u, page.get().body);
    const auto read = page.json();
    for (const auto& each : read.at("rows").as_array())
      keys.push_back(std::string(each.at("key").as_array().at(0).as_string()));
    if (read.at("next").is_null()) return keys;
    after = "&after=" + text_of(read, "next");
  }
  BOOST_FAIL("a list without end");
  return keys;
}

/// `words` is put into JSON as it is.
std::string store_paper(const std::string& id, const std::string& words) {
  return R"({"contract":"divisions","action":"store","arguments":{"table":"papers","row":{"id":")"
         + id + R"(","shelf":"a","words":")" + words + "\"}}}";
}

constexpr std::size_t usual_page_bytes = std::size_t{4} << 20;
const std::string long_words(249'000, 'w');

/// Every page of a list; none may be much longer than a page's bytes.
std::vector<json::value> pages_of(desk& at, const std::string& target,
                                  const std::string& cursor) {
  std::vector<json::value> all;
  for (std::string next; all.size() < 100;) {
    const auto page = at.get(target + next);
    BOOST_TEST_REQUIRE(page.get().status == 200u, page.get().body.substr(0, 1000));
    BOOST_TEST(page.get().body.size() < usual_page_bytes + 3 * long_words.size());
    all.push_back(page.json());
    if (all.back().at("next").is_null()) return all;
    next = "&" + cursor + "=" + text_of(all.back(), "next");
  }
  BOOST_FAIL("a list without end");
  return all;
}

std::vector<std::string> keys_of(const std::vector<json::value>& pages) {
  std::vector<std::string> keys;
  for (const auto& page : pages)
    for (const auto& each : page.at("rows").as_array())
      keys.push_back(std::string(each.at("key").as_array().at(0).as_string()));
  return keys;
}

const std::vector<std::string> both_lists{
    "/v1/tables/divisions.papers/rows?limit=1000",
    "/v1/tables/divisions.papers/rows?limit=1000&shelf=a"};

} // namespace

BOOST_AUTO_TEST_SUITE(gateway_reads)

BOOST_AUTO_TEST_CASE(tables_tell_their_schema_to_those_who_may_use_them) {
  desk at;
  fill_cities(at, 3);
  const auto all = at.get("/v1/tables").json().as_array();
  BOOST_TEST_REQUIRE(all.size() == 4u);
  BOOST_TEST(text_of(all[0], "table") == "divisions.cities");
  BOOST_TEST(all[0].at("records").to_number<int>() == 3);
  BOOST_TEST(all[0].at("key").as_array().at(0).as_string() == "code");
  BOOST_TEST(text_of(all[0].at("fields"), "area") == "optional(decimal{scale=2})");
  BOOST_TEST(all[0].at("indexes").as_array().at(1).as_array().at(1).as_string() == "name");
  BOOST_TEST(at.get("/v1/tables", reader_token).json().as_array().size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_row_is_read_by_its_key_with_its_last_change) {
  desk at;
  at.fill(store_city("4301", "长沙市", "43",
                     R"(,"people":10,"area":"12.5","capital":true,"seal":"00ff")"));
  const auto read = at.get("/v1/tables/divisions.cities/rows/4301").json();
  const auto& row = read.at("row");
  BOOST_TEST(text_of(row, "name") == "长沙市");
  BOOST_TEST(row.at("people").to_number<int>() == 10);
  BOOST_TEST(text_of(row, "area") == "12.50");
  BOOST_TEST(row.at("capital").as_bool());
  BOOST_TEST(text_of(row, "seal") == "00ff");
  BOOST_TEST(read.at("last_change").at("height").to_number<int>() == 1);
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows/9999").get().status == 404u);
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows/4301,1").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.nothing/rows/1").get().status == 404u);
}

BOOST_AUTO_TEST_CASE(parts_of_a_key_may_hold_commas_slashes_and_negative_numbers) {
  desk at;
  at.fill(
      R"({"contract":"divisions","action":"store","arguments":{"table":"pairs","row":{"a":"x,y/z","n":-3}}})");
  const auto read = at.get("/v1/tables/divisions.pairs/rows/x%2Cy%2Fz,-3");
  BOOST_TEST(read.get().status == 200u);
  BOOST_TEST(read.json().at("key").as_array().at(1).to_number<int>() == -3);
  BOOST_TEST(at.get("/v1/tables/divisions.pairs/rows/x,y,-3").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.pairs/rows/x,many").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.pairs/rows/%zz,1").get().status == 400u);
}

BOOST_AUTO_TEST_CASE(pages_of_a_table_hold_each_row_once_in_key_order) {
  desk at;
  fill_cities(at, 101);
  for (const auto* limit : {"1", "7", "50", "100", "101", "1000"}) {
    const auto keys = walk(at, std::string("/v1/tables/divisions.cities/rows?limit=") + limit);
    BOOST_TEST_REQUIRE(keys.size() == 101u);
    for (int i = 0; i < 101; ++i)
      BOOST_TEST_REQUIRE(keys[static_cast<std::size_t>(i)] == city_code(i));
  }
}

BOOST_AUTO_TEST_CASE(a_page_is_no_longer_than_asked_for) {
  desk at;
  fill_cities(at, 20);
  for (const auto* query : {"?limit=6", "?limit=6&provinceCode=11"}) {
    const auto page = at.get(std::string("/v1/tables/divisions.cities/rows") + query).json();
    BOOST_TEST(page.at("rows").as_array().size() == 6u);
  }
}

BOOST_AUTO_TEST_CASE(pages_by_an_index_hold_what_the_query_asks_for_and_nothing_else) {
  desk at;
  fill_cities(at, 101);
  std::size_t all = 0;
  for (const auto* province : {"11", "12", "13"}) {
    const auto keys = walk(
        at, std::string("/v1/tables/divisions.cities/rows?limit=7&provinceCode=") + province);
    all += keys.size();
    for (const auto& key : keys)
      BOOST_TEST((std::stoi(key) - 1000) % 3 == std::stoi(province) - 11);
  }
  BOOST_TEST(all == 101u);
  BOOST_TEST(walk(at, "/v1/tables/divisions.cities/rows?name=city%205&provinceCode=13").size()
             == 1u);
  BOOST_TEST(walk(at, "/v1/tables/divisions.cities/rows?name=city+5&provinceCode=13").size()
             == 1u);
  BOOST_TEST(walk(at, "/v1/tables/divisions.cities/rows?provinceCode=99").empty());
}

BOOST_AUTO_TEST_CASE(the_first_fields_of_a_key_select_as_an_index_does) {
  desk at;
  std::string lines;
  for (const std::string row : {R"("a":"w","n":1)", R"("a":"x","n":-3)", R"("a":"x","n":2)",
                                R"("a":"x","n":7)", R"("a":"xy","n":1)"})
    lines += R"({"contract":"divisions","action":"store","arguments":{"table":"pairs","row":{)"
             + row + "}}}\n";
  at.fill(lines);
  std::string numbers;
  for (std::string after;;) {
    const auto page = at.get("/v1/tables/divisions.pairs/rows?a=x&limit=2" + after).json();
    for (const auto& each : page.at("rows").as_array())
      numbers += std::to_string(each.at("row").at("n").to_number<int>()) + " ";
    if (page.at("next").is_null()) break;
    after = "&after=" + text_of(page, "next");
  }
  BOOST_TEST(numbers == "-3 2 7 ");
  BOOST_TEST(
      at.get("/v1/tables/divisions.pairs/rows?a=none").json().at("rows").as_array().empty());
  BOOST_TEST(at.get("/v1/tables/divisions.pairs/rows?a=x&n=2").get().status == 422u);
}

BOOST_AUTO_TEST_CASE(a_query_without_an_index_is_refused_and_names_the_indexes) {
  desk at;
  const auto refused = at.get("/v1/tables/divisions.cities/rows?name=a");
  BOOST_TEST(refused.get().status == 422u);
  BOOST_TEST(text_of(refused.json(), "detail").find("[provinceCode, name]")
             != std::string::npos);
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows?mayor=a").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows?limit=0").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows?limit=1001").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows?limit=1&limit=1").get().status == 400u);
}

BOOST_AUTO_TEST_CASE(a_cursor_is_refused_when_changed_or_on_another_list) {
  desk at;
  fill_cities(at, 10);
  const auto next = text_of(at.get("/v1/tables/divisions.cities/rows?limit=3").json(), "next");
  const auto list = std::string("/v1/tables/divisions.cities/rows?limit=3&after=");
  BOOST_TEST(at.get(list + next).get().status == 200u);
  BOOST_TEST(at.get(list + next + "&provinceCode=11").get().status == 400u);
  BOOST_TEST(at.get("/v1/tables/divisions.pairs/rows?after=" + next).get().status == 400u);
  for (std::size_t i = 0; i < next.size(); ++i) {
    auto changed = next;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    BOOST_TEST(at.get(list + changed).get().status == 400u);
    BOOST_TEST(at.get(list + next.substr(0, i)).get().status == 400u);
  }
}

BOOST_AUTO_TEST_CASE(a_page_of_long_rows_ends_at_its_bytes_and_loses_none) {
  desk at;
  std::vector<std::string> stored;
  for (int i = 10; i < 46; ++i) {
    stored.push_back(std::to_string(i));
    at.fill(store_paper(stored.back(), long_words));
  }
  for (const auto& list : both_lists) {
    const auto pages = pages_of(at, list, "after");
    BOOST_TEST(pages.size() == 3u); // seventeen of these rows pass 4 MiB
    BOOST_TEST((keys_of(pages) == stored));
  }
}

BOOST_AUTO_TEST_CASE(rows_that_are_longer_as_json_count_as_they_are_written) {
  desk at;
  std::string words; // six characters for a byte
  for (int i = 0; i < 40'000; ++i)
    words += "\\u0001";
  std::vector<std::string> stored;
  for (int i = 10; i < 40; ++i) {
    stored.push_back(std::to_string(i));
    at.fill(store_paper(stored.back(), words));
  }
  for (const auto& list : both_lists) {
    const auto pages = pages_of(at, list, "after");
    BOOST_TEST(pages.size() == 2u);
    BOOST_TEST((keys_of(pages) == stored));
  }
}

BOOST_AUTO_TEST_CASE(a_row_longer_than_a_page_comes_alone) {
  desk at({.page_bytes = 1});
  fill_cities(at, 12);
  for (const auto* query : {"?limit=5", "?limit=5&provinceCode=11"}) {
    const auto page = at.get(std::string("/v1/tables/divisions.cities/rows") + query).json();
    BOOST_TEST(page.at("rows").as_array().size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_page_ends_at_any_byte_without_losing_a_row_or_telling_it_twice) {
  std::vector<std::string> all, of_eleven;
  for (int i = 0; i < 12; ++i) {
    all.push_back(city_code(i));
    if (i % 3 == 0) of_eleven.push_back(city_code(i));
  }
  for (std::size_t bytes = 1; bytes < 1000; bytes += 33) {
    desk at({.page_bytes = bytes});
    fill_cities(at, 12);
    for (const auto* limit : {"3", "1000"}) {
      const auto list = std::string("/v1/tables/divisions.cities/rows?limit=") + limit;
      BOOST_TEST((walk(at, list) == all), bytes);
      BOOST_TEST((walk(at, list + "&provinceCode=11") == of_eleven), bytes);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_history_of_long_rows_ends_at_its_bytes_and_loses_no_change) {
  desk at;
  constexpr int changes = 40;
  for (int i = 0; i < changes; ++i)
    at.fill(store_paper("1", long_words + std::to_string(i)));
  std::vector<std::int64_t> heights;
  const auto pages =
      pages_of(at, "/v1/tables/divisions.papers/rows/1/history?limit=1000", "before");
  BOOST_TEST(pages.size() > 4u); // before and after, so nine of them pass 4 MiB
  for (const auto& page : pages)
    for (const auto& each : page.at("changes").as_array())
      heights.push_back(each.at("height").as_int64());
  BOOST_TEST_REQUIRE(heights.size() == static_cast<std::size_t>(changes));
  for (int i = 0; i < changes; ++i)
    BOOST_TEST(heights[static_cast<std::size_t>(i)] == changes - i);
}

BOOST_AUTO_TEST_CASE(history_tells_who_when_and_what_newest_first) {
  desk at;
  at.fill(store_city("4301", "old", "43"));
  at.fill(store_city("4301", "new", "43"));
  at.fill(
      R"({"contract":"divisions","action":"delete","arguments":{"table":"cities","key":["4301"]}})");
  const std::string path = "/v1/tables/divisions.cities/rows/4301/history";
  const auto all = at.get(path).json();
  const auto& changes = all.at("changes").as_array();
  BOOST_TEST_REQUIRE(changes.size() == 3u);
  BOOST_TEST(text_of(changes[0], "action") == "delete");
  BOOST_TEST(changes[0].at("after").is_null());
  BOOST_TEST(text_of(changes[0].at("before"), "name") == "new");
  BOOST_TEST(text_of(changes[1], "author") == "operator@hq");
  BOOST_TEST(text_of(changes[1].at("before"), "name") == "old");
  BOOST_TEST(changes[2].at("before").is_null());
  BOOST_TEST(changes[2].at("height").to_number<int>() == 1);
  BOOST_TEST(changes[2].at("time_ms").to_number<std::int64_t>() == 1'700'000'000'001);
  BOOST_TEST(all.at("next").is_null());
  // Page by page the same.
  std::vector<int> heights;
  std::string before;
  do {
    const auto page = at.get(path + "?limit=1" + before).json();
    heights.push_back(page.at("changes").as_array().at(0).at("height").to_number<int>());
    before = page.at("next").is_null() ? "" : "&before=" + text_of(page, "next");
  } while (!before.empty() && heights.size() < 10);
  BOOST_TEST((heights == std::vector<int>{3, 2, 1}));
  BOOST_TEST(at.get("/v1/tables/divisions.cities/rows/1111/history").get().status == 404u);
}

BOOST_AUTO_TEST_CASE(a_table_without_the_right_to_read_is_403_in_every_form) {
  desk at;
  at.fill(
      R"({"contract":"divisions","action":"store","arguments":{"table":"secret","row":{"id":"a"}}})");
  for (const auto* path : {"/rows", "/rows/a", "/rows/a/history"})
    BOOST_TEST(at.get(std::string("/v1/tables/divisions.secret") + path).get().status == 403u);
}

BOOST_AUTO_TEST_CASE(blocks_are_read_one_or_many) {
  desk at;
  fill_cities(at, 120); // three blocks
  const auto one = at.get("/v1/blocks/2").json();
  BOOST_TEST(one.at("operations").to_number<int>() == 50);
  BOOST_TEST(text_of(one, "leader") == "hq");
  BOOST_TEST(text_of(one.at("cut").as_array().at(0), "lane") == "hq");
  BOOST_TEST(text_of(one, "parent") == text_of(at.get("/v1/blocks/1").json(), "digest"));
  const auto many = at.get("/v1/blocks?from=1&limit=2").json();
  BOOST_TEST(many.at("blocks").as_array().size() == 2u);
  BOOST_TEST(many.at("next").to_number<int>() == 3);
  BOOST_TEST(at.get("/v1/blocks").json().at("next").is_null());
  BOOST_TEST(at.get("/v1/blocks/99").get().status == 404u);
  BOOST_TEST(at.get("/v1/blocks/abc").get().status == 400u);
  BOOST_TEST(at.get("/v1/blocks?limit=101").get().status == 400u);
  BOOST_TEST(at.get("/v1/blocks?from=9223372036854775807&limit=100").get().status == 200u);
}

BOOST_AUTO_TEST_CASE(the_digest_covers_every_table_at_one_height) {
  desk at;
  fill_cities(at, 5);
  const auto before = at.get("/v1/digest").json();
  BOOST_TEST(before.at("height").to_number<int>() == 1);
  BOOST_TEST(text_of(before, "execution").size() == 64u);
  BOOST_TEST(text_of(before.at("tables").as_array().at(0), "table") == "divisions.cities");
  BOOST_TEST(before.at("tables").as_array().at(0).at("records").to_number<int>() == 5);
  at.fill(store_city("1000", "changed", "11"));
  BOOST_TEST(text_of(at.get("/v1/digest").json().at("tables").as_array().at(0), "digest")
             != text_of(before.at("tables").as_array().at(0), "digest"));
}

BOOST_AUTO_TEST_CASE(status_health_and_metrics) {
  desk at;
  const auto status = at.get("/v1/status").json();
  BOOST_TEST(text_of(status, "state") == "running");
  BOOST_TEST(status.at("peers_up").to_number<int>() == 1);
  BOOST_TEST(status.at("last_block_ms").is_null());
  BOOST_TEST(at.get("/livez", "").get().status == 200u);
  BOOST_TEST(at.get("/readyz", "").get().status == 200u);
  at.node.ready = false;
  BOOST_TEST(at.get("/readyz", "").get().status == 503u);
  at.fill(store_city("4301", "a", "43"));
  at.core->count_answer(404);
  const auto text = at.get("/metrics").get().body;
  for (const auto* line :
       {"tallymesh_operations_total{result=\"done\"} 1\n", "tallymesh_mempool_bytes 17\n",
        "tallymesh_http_requests_total{code=\"404\"} 1\n",
        "# TYPE tallymesh_cpu_seconds_total counter\n"})
    BOOST_TEST(text.find(line) != std::string::npos, line);
  BOOST_TEST(text.find("tallymesh_resident_bytes 0\n") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(everything_but_the_health_of_the_node_needs_a_token) {
  desk at;
  for (const auto* path :
       {"/v1/status", "/v1/tables", "/metrics", "/v1/openapi.json", "/nothing", "/"}) {
    BOOST_TEST(at.get(path, "").get().status == 401u);
    const auto wrong = at.get(path, "token-of-operator-0002");
    BOOST_TEST((wrong.get().status == 401u || wrong.get().status == 429u));
  }
  desk other;
  BOOST_TEST(other.get("/v1/status", "").get().headers.at(0).first == "WWW-Authenticate");
  BOOST_TEST(other.ask("POST", "/v1/operations", "{}", "application/json", "x").get().status
             == 401u);
}

BOOST_AUTO_TEST_CASE(who_fails_too_often_is_slowed_down_and_others_are_not) {
  desk at;
  unsigned last = 0;
  for (int i = 0; i < 30; ++i)
    last = at.get("/v1/status", "wrong-token-wrong").get().status;
  BOOST_TEST(last == 429u);
  BOOST_TEST(at.get("/v1/status").get().status == 200u);
  failure_limiter limiter;
  const auto now = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < failure_limiter::burst; ++i)
    BOOST_TEST(limiter.allow("a", now));
  BOOST_TEST(!limiter.allow("a", now));
  BOOST_TEST(limiter.allow("b", now));
  BOOST_TEST(limiter.allow("a", now + std::chrono::seconds(1)));
  BOOST_TEST(!limiter.allow("a", now + std::chrono::seconds(1)));
  for (int i = 0; i < 20'000; ++i)
    limiter.allow(std::to_string(i), now);
}

BOOST_AUTO_TEST_CASE(unknown_paths_methods_and_query_keys_are_told_apart) {
  desk at;
  BOOST_TEST(at.get("/v1/nothing").get().status == 404u);
  BOOST_TEST(at.get("/v1/tables/").get().status == 404u);
  BOOST_TEST(at.get("/v1/tables/x/rows/").get().status == 404u);
  const auto wrong = at.ask("DELETE", "/v1/operations");
  BOOST_TEST(wrong.get().status == 405u);
  BOOST_TEST(
      (wrong.get().headers.at(0) == std::pair<std::string, std::string>("Allow", "POST")));
  BOOST_TEST(at.ask("POST", "/v1/status").get().headers.at(0).second == "GET, HEAD");
  BOOST_TEST(at.get("/v1/status?verbose=1").get().status == 400u);
  BOOST_TEST(at.get("http://x/v1/status").get().status == 400u);
  BOOST_TEST(at.post(store_city("4301", "a", "43"), "?wait=never").get().status == 400u);
  BOOST_TEST(at.post(store_city("4301", "a", "43"), "?timeout_ms=0").get().status == 400u);
}

BOOST_AUTO_TEST_CASE(base64url_is_one_text_for_one_string_of_bytes) {
  for (std::size_t size = 0; size < 40; ++size) {
    bytes raw(size);
    if (size > 0) random_bytes(raw);
    BOOST_TEST((from_base64url(to_base64url(raw)) == raw));
  }
  for (const auto* bad : {"A", "AB", "AAB", "A=", "A+", "A/", "AAAAA"})
    BOOST_TEST(!from_base64url(bad));
}

BOOST_AUTO_TEST_CASE(a_contract_is_shown_with_its_source_as_it_is_in_force) {
  desk at;
  const auto one = at.get("/v1/contracts/divisions", reader_token).json();
  BOOST_TEST(one.at("source").as_string() == divisions_source);
  BOOST_TEST(one.at("version").as_int64() == 1);
  BOOST_TEST(
      one.at("digest").as_string()
      == hash(digest_kind::contract, as_bytes(std::string_view(divisions_source))).hex());
  BOOST_TEST(one.at("state").as_string() == "active");
  BOOST_TEST(one.at("tables").as_array().front().as_string() == "divisions.cities");
  const auto all = at.get("/v1/contracts").json().as_array();
  BOOST_TEST(
      std::count_if(all.begin(), all.end(),
                    [](const auto& x) { return x.at("contract").as_string() == "divisions"; })
      == 1);
  const auto frozen = at.node.executor->base()->with_frozen("divisions", true);
  at.node.rules = frozen;
  BOOST_TEST(at.get("/v1/contracts/divisions").json().at("state").as_string() == "frozen");
  BOOST_TEST(at.get("/v1/contracts/nothing").get().status == 404u);
}

BOOST_AUTO_TEST_CASE(the_description_names_every_path) {
  desk at;
  const auto described = at.get("/v1/openapi.json").json();
  for (const auto* path : {"/livez",
                           "/readyz",
                           "/metrics",
                           "/v1/status",
                           "/v1/operations",
                           "/v1/operations/{id}",
                           "/v1/operations/{id}/trace",
                           "/v1/tables",
                           "/v1/tables/{table}/rows",
                           "/v1/tables/{table}/rows/{key}",
                           "/v1/tables/{table}/rows/{key}/history",
                           "/v1/tables/{table}/access",
                           "/v1/tables/{table}/rows/{key}/access",
                           "/v1/blocks",
                           "/v1/blocks/{height}",
                           "/v1/digest",
                           "/v1/deliveries",
                           "/v1/deliveries/ack",
                           "/v1/contracts",
                           "/v1/contracts/{contract}"})
    BOOST_TEST(described.at("paths").as_object().contains(path), path);
}

BOOST_AUTO_TEST_SUITE_END()
