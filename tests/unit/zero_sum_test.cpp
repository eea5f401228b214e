// Money is neither made nor lost, whoever writes the accounts.
#include "contracts/zero_sum.hpp"
#include "messages/encoding.hpp"
#include "tests/unit/settlement_fixture.hpp"

using namespace settlement_test;

namespace {

bytes account(const std::string& currency, const std::string& node, std::int64_t hundredths) {
  return encode(make_row({{"currency", currency},
                          {"node", node},
                          {"balance", cents(hundredths)},
                          {"held", cents(0)},
                          {"entries", n(0)}}));
}
bytes key(const std::string& currency, const std::string& node) {
  const auto& table = *rules()->find_table("settlement.accounts");
  return encode_key(table, table.key, value_list{currency, node});
}
change moved(const std::string& currency, const std::string& node,
             std::optional<std::int64_t> before, std::optional<std::int64_t> after) {
  change x;
  x.table = "settlement.accounts";
  x.key = key(currency, node);
  if (before) x.before = account(currency, node, *before);
  if (after) x.after = account(currency, node, *after);
  return x;
}

} // namespace

BOOST_AUTO_TEST_SUITE(zero_sum)

BOOST_AUTO_TEST_CASE(what_one_loses_another_gains_within_a_block) {
  BOOST_TEST(!money_made_by({}).has_value());
  const std::vector good{moved("CNY", "coop", {}, -5), moved("CNY", "hq", 1, 6),
                         moved("CNY", "hq", 6, 8), moved("CNY", "east", 7, 5)};
  BOOST_TEST(!money_made_by(good).has_value());
  BOOST_TEST(money_made_by(std::span(good).first(3)).value_or("") == "CNY");
}

BOOST_AUTO_TEST_CASE(each_currency_by_itself_and_no_account_goes_with_its_money) {
  const std::vector across{moved("CNY", "coop", 0, -5), moved("EUR", "coop", 0, 5)};
  BOOST_TEST(money_made_by(across).value_or("") == "CNY");
  const std::vector gone{moved("EUR", "coop", 5, {})};
  BOOST_TEST(money_made_by(gone).value_or("") == "EUR");
}

BOOST_FIXTURE_TEST_CASE(all_accounts_are_added_up_as_they_are_stored, mesh_in_memory) {
  BOOST_TEST(!money_out_of_nothing(stored).has_value());
  const auto must = [](const refusal& x) { BOOST_TEST_REQUIRE(x.why == outcome::done, x); };
  must(settle_action("hq", "define_currency",
                     {{"currency", "CNY"}, {"decimals", n(2)}, {"limit", cents(1000)}}));
  must(settle_action("hq", "open_period", {{"period", "2026-11"}}));
  must(settle_action("coop", "transfer", {{"to", "hq"}, {"amount", cents(5)}}));
  next_block();
  BOOST_TEST(!money_out_of_nothing(stored).has_value());
  const std::vector forged{moved("CNY", "west", {}, 1)};
  stored.apply(height, forged, {});
  BOOST_TEST(money_out_of_nothing(stored).value_or("") == "CNY");
}

BOOST_AUTO_TEST_SUITE_END()
