// Settlement, rule by rule: accounts, limits, holds, settled rows, periods, statements,
// disputes and payments.
#include "tests/unit/settlement_fixture.hpp"

#include "messages/encoding.hpp"

using namespace settlement_test;

namespace {

/// A mesh with yuan, a period, and an order that costs something.
struct shop : mesh_in_memory {
  shop() {
    must(settle_action("hq", "define_currency",
                       {{"currency", "CNY"}, {"decimals", n(2)}, {"limit", cents(100'000)}}));
    must(settle_action("hq", "open_period", {{"period", "2026-11"}}));
    store_order("A1", 5);
  }
  static void must(const refusal& x) {
    BOOST_TEST_REQUIRE(x.why == outcome::done, x.why << " " << x.detail);
  }
  void store_order(const std::string& id, std::int64_t price) { must(try_to_store(id, price)); }
  refusal try_to_store(const std::string& id, std::int64_t price) {
    return run(facts("hq", "clerk"), [&](transaction& on) {
      return on.put("shop.orders", make_row({{"id", id}, {"price", price}}));
    });
  }
  refusal try_to_remove(const std::string& id) {
    return run(facts("hq", "clerk"),
               [&](transaction& on) { return on.remove("shop.orders", {id}); });
  }
  /// As an action of the contract "shop" would.
  refusal settle(const std::string& from, const std::string& to, std::int64_t hundredths,
                 const std::string& order = {}, std::string_view caller = "shop") {
    return run(facts("hq", "clerk", caller), [&](transaction& on) {
      settlement::transfer what{.from = from,
                                .to = to,
                                .amount = *cents(hundredths).as<decimal>(),
                                .currency = "CNY"};
      if (!order.empty()) {
        what.table = "shop.orders";
        what.key = {order};
      }
      return settlement::settle(on, what);
    });
  }
  void pay(const std::string& from, const std::string& to, std::int64_t hundredths) {
    must(settle_action(from, "transfer", {{"to", to}, {"amount", cents(hundredths)}}));
  }
  std::int64_t balance(const std::string& node) {
    return units_in(row("settlement.accounts", {"CNY", node}), "balance") / 100;
  }
  value_map statement(const std::string& a, const std::string& b) {
    return row("settlement.statements", {"2026-11", "CNY", a, b});
  }
  void close() { must(settle_action("hq", "close_period", {{"period", "2026-11"}})); }
  /// What is due in the closed period, as "from to hundredths".
  std::string due() {
    std::string text;
    for (const auto& each : rows("settlement.payments", {"2026-11", "CNY"}))
      if (units_in(each, "due") > 0)
        text += text_in(each, "from") + " " + text_in(each, "to") + " "
                + std::to_string(units_in(each, "due") / 100) + "\n";
    return text;
  }
  /// By `node`, of its statement with `other` as it is now.
  refusal confirm(const std::string& node, const std::string& other) {
    const auto seen = statement(std::min(node, other), std::max(node, other));
    return settle_action(
        node, "confirm",
        {{"period", "2026-11"}, {"with", other}, {"revision", number_in(seen, "revision")}});
  }
  refusal dispute(const std::string& node, const std::string& payer, std::int64_t number) {
    return settle_action(node, "dispute",
                         {{"payer", payer}, {"number", number}, {"reason", "too much"}});
  }
};

outcome why(const refusal& x) { return x.why; }

} // namespace

BOOST_FIXTURE_TEST_SUITE(settling, shop)

BOOST_AUTO_TEST_CASE(what_one_account_loses_the_other_gains) {
  pay("coop", "hq", 2550);
  BOOST_TEST(balance("coop") == -2550);
  BOOST_TEST(balance("hq") == 2550);
  const auto entry = row("settlement.entries", {"CNY", "coop", n(1)});
  BOOST_TEST(text_in(entry, "payee") == "hq");
  BOOST_TEST(text_in(entry, "author") == "clerk@coop");
  BOOST_TEST(text_in(entry, "period") == "2026-11");
}

BOOST_AUTO_TEST_CASE(amounts_follow_the_currency_and_parties_are_of_the_mesh) {
  BOOST_TEST(why(settle("coop", "hq", 0)) == outcome::out_of_range);
  BOOST_TEST(why(settle("coop", "coop", 5)) == outcome::out_of_range);
  BOOST_TEST(why(settle("coop", "moon", 5)) == outcome::not_found);
  BOOST_TEST(
      why(settle_action("coop", "transfer",
                        {{"to", "hq"}, {"amount", decimal{1, settlement::amount_scale}}}))
      == outcome::out_of_range); // a hundredth of a cent
  BOOST_TEST(why(settle_action("coop", "transfer",
                               {{"to", "hq"}, {"amount", cents(1)}, {"currency", "ZZZ"}}))
             == outcome::not_found);
  BOOST_TEST(rows("settlement.entries").empty());
}

BOOST_AUTO_TEST_CASE(nobody_owes_more_than_its_limit) {
  BOOST_TEST(why(settle("coop", "hq", 100'001)) == outcome::limit_exceeded);
  pay("coop", "hq", 100'000);
  BOOST_TEST((settle("coop", "hq", 1) == refusal{outcome::limit_exceeded, "coop"}));
  must(settle_action("hq", "set_limit", {{"node", "coop"}, {"limit", cents(100'001)}}));
  pay("coop", "hq", 1);
  must(settle_action("hq", "set_limit", {{"node", "coop"}, {"limit", cents(0)}}));
  pay("hq", "coop", 50); // whoever owes too much may still be paid
  BOOST_TEST(why(settle("coop", "hq", 1)) == outcome::limit_exceeded);
}

BOOST_AUTO_TEST_CASE(limits_currencies_and_periods_are_set_by_whom_the_rules_name) {
  BOOST_TEST(why(settle_action("coop", "set_limit", {{"node", "coop"}, {"limit", cents(1)}}))
             == outcome::forbidden);
  BOOST_TEST(why(settle_action("coop", "set_rule", {{"rule", "limits"}, {"may", "coop"}}))
             == outcome::forbidden);
  BOOST_TEST(why(settle_action("hq", "set_rule", {{"rule", "limits"}, {"may", "level2, mon"}}))
             == outcome::not_found);
  must(settle_action("hq", "set_rule", {{"rule", "limits"}, {"may", "level2, clerk@east"}}));
  must(settle_action("coop", "set_limit", {{"node", "coop"}, {"limit", cents(1)}}));
  must(settle_action("east", "set_limit", {{"node", "coop"}, {"limit", cents(2)}}));
  BOOST_TEST(why(settle_action("west", "set_limit", {{"node", "coop"}, {"limit", cents(1)}}))
             == outcome::forbidden);
  BOOST_TEST(why(settle_action("hq", "set_limit", {{"node", "coop"}, {"limit", cents(1)}}))
             == outcome::forbidden);
}

BOOST_AUTO_TEST_CASE(what_is_held_cannot_be_spent_until_it_is_captured_or_released) {
  must(
      settle_action("coop", "hold", {{"hold", "h1"}, {"to", "hq"}, {"amount", cents(99'000)}}));
  BOOST_TEST(why(settle("coop", "hq", 1001)) == outcome::limit_exceeded);
  BOOST_TEST(why(settle_action("coop", "release", {{"from", "coop"}, {"hold", "h1"}}))
             == outcome::forbidden); // else it would hold nothing
  BOOST_TEST(why(settle_action("east", "capture", {{"from", "coop"}, {"hold", "h1"}}))
             == outcome::forbidden);
  BOOST_TEST(why(settle_action("hq", "capture",
                               {{"from", "coop"}, {"hold", "h1"}, {"amount", cents(99'001)}}))
             == outcome::out_of_range);
  must(settle_action("hq", "capture",
                     {{"from", "coop"}, {"hold", "h1"}, {"amount", cents(90'000)}}));
  BOOST_TEST(balance("coop") == -90'000);
  BOOST_TEST(why(settle_action("hq", "release", {{"from", "coop"}, {"hold", "h1"}}))
             == outcome::wrong_state);
  pay("coop", "hq", 10'000); // the rest is free again
}

BOOST_AUTO_TEST_CASE(a_hold_that_ran_out_is_released_by_its_payer) {
  must(settle_action(
      "coop", "hold",
      {{"hold", "h1"}, {"to", "hq"}, {"amount", cents(100'000)}, {"until_ms", time_ms + 500}}));
  next_block();
  must(settle_action("coop", "release", {{"from", "coop"}, {"hold", "h1"}}));
  pay("coop", "hq", 100'000);
}

BOOST_AUTO_TEST_CASE(a_settled_row_neither_changes_nor_goes) {
  must(settle("coop", "hq", 500, "A1"));
  next_block();
  BOOST_TEST(why(try_to_store("A1", 6)) == outcome::settled);
  BOOST_TEST(why(try_to_remove("A1")) == outcome::settled);
  must(try_to_store("A1", 5)); // nothing changes
  BOOST_TEST(why(settle("coop", "hq", 500, "A1")) == outcome::settled);
  must(try_to_store("A2", 6));
  const auto entry = row("settlement.entries", {"CNY", "coop", n(1)});
  BOOST_TEST(text_in(entry, "row") == "shop.orders A1");
  BOOST_TEST(text_in(entry, "contract") == "shop");
}

BOOST_AUTO_TEST_CASE(only_its_own_contract_or_who_may_store_it_settles_a_row) {
  BOOST_TEST(why(settle("coop", "hq", 500, "A1", "other")) == outcome::forbidden);
  BOOST_TEST(why(settle("coop", "hq", 500, "A1", "sho")) == outcome::forbidden);
  BOOST_TEST(why(settle("coop", "hq", 500, "A9")) == outcome::not_found);
  BOOST_TEST(why(settle_action(
                 "coop", "transfer",
                 {{"to", "hq"}, {"amount", cents(1)}, {"table", "shop.orders"}, {"key", "A1"}}))
             == outcome::forbidden);
  must(settle_action(
      "hq", "transfer",
      {{"to", "coop"}, {"amount", cents(1)}, {"table", "shop.orders"}, {"key", "A1"}}));
  BOOST_TEST(why(try_to_store("A1", 6)) == outcome::settled);
  BOOST_TEST(
      why(settle_action(
          "hq", "transfer",
          {{"to", "coop"}, {"amount", cents(1)}, {"table", "shop.notes"}, {"key", "2026,1"}}))
      == outcome::forbidden); // a table that does not settle
}

BOOST_AUTO_TEST_CASE(a_new_version_never_reopens_settled_rows) {
  const auto version = [](std::string table) {
    return std::move(*parse("return { contract = 'shop', version = 2, tables = { " + table
                                + ", other = { key = {'id'}, fields = { id = int64 } } } }",
                            "shop"));
  };
  const auto now = version("orders = { key = {'id'}, fields = { id = text{max=40}, "
                           "scale = decimal{scale=2} }, settles = true }");
  const auto error_of = [&](std::string table) {
    const auto good = settlement::check_upgrade(now, version(std::move(table)));
    return good ? std::string() : good.error().context;
  };
  BOOST_TEST(error_of("orders = { key = {'id'}, fields = { id = one_of{'a', 'b'}, "
                      "added = optional(bool) }, settles = true }")
             == "");
  const std::string about =
      "table shop.orders has rows that are closed once they are settled; ";
  BOOST_TEST(error_of("orders = { key = {'id'}, fields = { id = text{max=40} } }")
             == about + "keep settles = true");
  BOOST_TEST(error_of("orders = { key = {'id'}, fields = { id = text{max=40} }, "
                      "settles = false }")
             == about + "keep settles = true");
  BOOST_TEST(
      error_of("moved = { key = {'id'}, fields = { id = text{max=40} }, settles = true }")
      == about + "keep the table");
  for (const std::string other_key :
       {"key = {'id'}, fields = { id = int64 }", "key = {'no'}, fields = { no = text{max=40} }",
        "key = {'id', 'no'}, fields = { id = text{max=40}, no = int64 }"})
    BOOST_TEST(error_of("orders = { " + other_key + ", settles = true }")
               == about + "keep its key");
  // What does not settle yet may begin to, and what never did may go.
  const auto without = version("orders = { key = {'id'}, fields = { id = int64 } }");
  BOOST_TEST(settlement::check_upgrade(without, now).has_value());
}

BOOST_AUTO_TEST_CASE(a_version_that_would_reopen_settled_rows_does_not_come_in_force) {
  must(settle("coop", "hq", 500, "A1"));
  const auto activate = [&](const std::string& from, const std::string& to) {
    std::string source(shop_source);
    source.replace(source.find(from), from.size(), to);
    std::string why;
    must(run(facts("hq", "clerk"), [&](transaction& on) -> checked<void> {
      const auto made = on.activate(source, on.facts().who);
      if (!made) return made.error();
      if (*made) {
        why = (*made)->text;
        BOOST_TEST(((*made)->why == activation_fault::closed_rows));
      }
      // What is in force now still keeps the row.
      const auto changed = on.put("shop.orders", make_row({{"id", "A1"}, {"price", n(6)}}));
      BOOST_TEST(!changed.has_value());
      return {};
    }));
    return why;
  };
  BOOST_TEST(activate(", settles = true", "")
             == "table shop.orders has rows that are closed once they are settled; keep "
                "settles = true");
  BOOST_TEST(activate("version = 1", "version = 2") == "");
}

BOOST_AUTO_TEST_CASE(nothing_is_settled_without_an_open_period) {
  close();
  BOOST_TEST(why(settle("coop", "hq", 5)) == outcome::period_closed);
  BOOST_TEST(why(settle_action("hq", "open_period", {{"period", "2026-11"}}))
             == outcome::wrong_state);
  must(settle_action("hq", "open_period", {{"period", "2026-12"}}));
  must(settle("coop", "hq", 5));
  BOOST_TEST(text_in(row("settlement.entries", {"CNY", "coop", n(1)}), "period") == "2026-12");
  BOOST_TEST(why(settle_action("coop", "transfer",
                               {{"to", "hq"}, {"amount", cents(1)}, {"period", "2026-11"}}))
             == outcome::period_closed);
}

BOOST_AUTO_TEST_CASE(two_open_periods_take_what_names_them_and_the_newer_one_takes_the_rest) {
  must(settle_action("hq", "open_period", {{"period", "2026-12"}}));
  next_block();
  must(settle_action("coop", "transfer",
                     {{"to", "hq"}, {"amount", cents(1)}, {"period", "2026-11"}}));
  must(settle("coop", "hq", 5));
  BOOST_TEST(text_in(row("settlement.entries", {"CNY", "coop", n(1)}), "period") == "2026-11");
  BOOST_TEST(text_in(row("settlement.entries", {"CNY", "coop", n(2)}), "period") == "2026-12");
  must(settle_action("hq", "close_period", {{"period", "2026-12"}}));
  must(settle("coop", "hq", 5)); // the older one is still open
  BOOST_TEST(text_in(row("settlement.entries", {"CNY", "coop", n(3)}), "period") == "2026-11");
}

BOOST_AUTO_TEST_CASE(closing_nets_what_all_owe_all) {
  pay("coop", "east", 100);
  pay("east", "west", 100);
  pay("west", "hq", 70);
  pay("hq", "west", 20);
  close();
  BOOST_TEST(due() == "coop hq 50\ncoop west 50\n");
}

BOOST_AUTO_TEST_CASE(what_was_paid_is_confirmed_by_who_was_owed_and_clears_the_balances) {
  pay("coop", "hq", 100);
  close();
  BOOST_TEST(why(settle_action("coop", "paid",
                               {{"period", "2026-11"}, {"from", "coop"}, {"amount", cents(1)}}))
             == outcome::not_found);
  must(settle_action("hq", "paid",
                     {{"period", "2026-11"}, {"from", "coop"}, {"amount", cents(60)}}));
  BOOST_TEST(due() == "coop hq 40\n");
  BOOST_TEST(
      why(settle_action("hq", "paid",
                        {{"period", "2026-11"}, {"from", "coop"}, {"amount", cents(41)}}))
      == outcome::out_of_range);
  must(settle_action("hq", "paid",
                     {{"period", "2026-11"}, {"from", "coop"}, {"amount", cents(40)}}));
  BOOST_TEST(due().empty());
  BOOST_TEST(balance("coop") == 0);
  BOOST_TEST(balance("hq") == 0);
}

BOOST_AUTO_TEST_CASE(a_statement_is_agreed_when_both_sides_confirm_it) {
  pay("coop", "hq", 100);
  pay("hq", "coop", 30);
  BOOST_TEST(why(confirm("hq", "coop")) == outcome::wrong_state); // not closed yet
  close();
  BOOST_TEST(why(confirm("hq", "east")) == outcome::not_found);
  must(confirm("hq", "coop"));
  BOOST_TEST(text_in(statement("coop", "hq"), "b_says") == "confirmed");
  BOOST_TEST(text_in(statement("coop", "hq"), "a_says") == "open");
  BOOST_TEST(units_in(statement("coop", "hq"), "a_owes") == 10'000);
  BOOST_TEST(units_in(statement("coop", "hq"), "b_owes") == 3'000);
  must(confirm("coop", "hq"));
  BOOST_TEST(why(dispute("coop", "coop", 1)) == outcome::period_closed);
}

BOOST_AUTO_TEST_CASE(a_statement_is_confirmed_as_it_was_seen) {
  pay("coop", "hq", 100);
  pay("coop", "hq", 30);
  close();
  const auto seen = number_in(statement("coop", "hq"), "revision");
  must(dispute("coop", "coop", 1));
  must(settle_action("coop", "withdraw", {{"payer", "coop"}, {"number", n(1)}}));
  BOOST_TEST(why(settle_action("hq", "confirm",
                               {{"period", "2026-11"}, {"with", "coop"}, {"revision", seen}}))
             == outcome::wrong_state);
  must(settle_action("hq", "confirm",
                     {{"period", "2026-11"}, {"with", "coop"}, {"revision", seen + 2}}));
}

BOOST_AUTO_TEST_CASE(nobody_confirms_or_disputes_in_the_name_of_another) {
  pay("coop", "hq", 100);
  close();
  BOOST_TEST(why(dispute("east", "coop", 1)) == outcome::forbidden);
  BOOST_TEST(why(act("settlement", "coop", "confirm", {{"period", "2026-11"}, {"with", "hq"}},
                     "clerk", "shop"))
             == outcome::forbidden); // a contract that the clerk called
  must(settle_action("hq", "set_rule",
                     {{"rule", "statements"}, {"may", "clerk@coop, clerk@hq"}}));
  BOOST_TEST(why(act("settlement", "coop", "confirm", {{"period", "2026-11"}, {"with", "hq"}},
                     "intern"))
             == outcome::forbidden);
}

BOOST_AUTO_TEST_CASE(a_dispute_reopens_its_own_items_and_nothing_else) {
  store_order("A2", 7);
  must(settle("coop", "hq", 500, "A1"));
  must(settle("coop", "hq", 700, "A2"));
  close();
  must(confirm("hq", "coop"));
  must(dispute("coop", "coop", 1));
  BOOST_TEST(text_in(statement("coop", "hq"), "a_says") == "disputed");
  BOOST_TEST(text_in(statement("coop", "hq"), "b_says") == "open"); // it is another one now
  BOOST_TEST(due() == "coop hq 700\n");
  must(try_to_store("A1", 3));
  BOOST_TEST(why(try_to_store("A2", 3)) == outcome::settled);
  BOOST_TEST(why(settle("coop", "hq", 5)) == outcome::period_closed);
  BOOST_TEST(why(confirm("coop", "hq")) == outcome::wrong_state);
  BOOST_TEST(
      why(settle_action(
          "hq", "transfer",
          {{"to", "east"}, {"amount", cents(1)}, {"table", "shop.orders"}, {"key", "A1"}}))
      == outcome::forbidden);            // in place of what another owes
  must(settle("coop", "hq", 300, "A1")); // anew, in the closed period, in place of the first
  BOOST_TEST(text_in(row("settlement.entries", {"CNY", "coop", n(1)}), "state") == "replaced");
  BOOST_TEST(number_in(row("settlement.entries", {"CNY", "coop", n(3)}), "corrects") == 1);
  BOOST_TEST(balance("coop") == -1000);
  BOOST_TEST(due() == "coop hq 1000\n");
  BOOST_TEST(why(try_to_store("A1", 4)) == outcome::settled);
  must(confirm("coop", "hq"));
  must(confirm("hq", "coop"));
}

BOOST_AUTO_TEST_CASE(a_payer_does_not_lower_what_it_owes_by_disputing_it_itself) {
  pay("coop", "hq", 500);
  must(dispute("coop", "coop", 1));
  const auto correct = [&](const std::string& to, std::int64_t hundredths) {
    return settle_action("coop", "transfer",
                         {{"to", to}, {"amount", cents(hundredths)}, {"corrects", n(1)}});
  };
  BOOST_TEST(correct("hq", 499) == (refusal{outcome::forbidden, "amount"}));
  BOOST_TEST(correct("east", 500) == (refusal{outcome::forbidden, "to"}));
  BOOST_TEST(balance("hq") == 500);
  must(correct("hq", 510)); // it owes more: nobody is worse off for its word alone
  BOOST_TEST(balance("hq") == 510);
  must(dispute("hq", "coop", 2)); // who is owed says that it is wrong
  must(settle_action("coop", "transfer",
                     {{"to", "east"}, {"amount", cents(3)}, {"corrects", n(2)}}));
  BOOST_TEST(balance("hq") == 0);
  BOOST_TEST(balance("east") == 3);
}

BOOST_AUTO_TEST_CASE(a_payer_that_may_store_the_row_lowers_nothing_by_it_either) {
  must(settle("hq", "coop", 500, "A1"));
  must(dispute("hq", "hq", 1));
  const auto anew = [&](std::int64_t hundredths) {
    return settle_action("hq", "transfer",
                         {{"to", "coop"},
                          {"amount", cents(hundredths)},
                          {"table", "shop.orders"},
                          {"key", "A1"}});
  };
  BOOST_TEST(anew(1) == (refusal{outcome::forbidden, "amount"}));
  must(anew(500));
  BOOST_TEST(balance("coop") == 500);
}

BOOST_AUTO_TEST_CASE(a_contract_has_no_office_of_the_account_that_calls_it) {
  const auto by_contract = [&](std::string_view action, auto arguments) {
    return act("settlement", "hq", action, arguments, "clerk", "shop");
  };
  using given = std::initializer_list<std::pair<std::string_view, value>>;
  BOOST_TEST(why(by_contract("set_rule", given{{"rule", "limits"}, {"may", "anyone"}}))
             == outcome::forbidden);
  BOOST_TEST(why(by_contract("set_limit", given{{"node", "coop"}, {"limit", cents(1)}}))
             == outcome::forbidden);
  BOOST_TEST(
      why(by_contract("define_currency",
                      given{{"currency", "EUR"}, {"decimals", n(2)}, {"limit", cents(1)}}))
      == outcome::forbidden);
  BOOST_TEST(why(by_contract("open_period", given{{"period", "2026-12"}}))
             == outcome::forbidden);
  BOOST_TEST(why(by_contract("close_period", given{{"period", "2026-11"}}))
             == outcome::forbidden);
  pay("coop", "east", 5);
  must(dispute("coop", "coop", 1));
  BOOST_TEST(why(by_contract("withdraw", given{{"payer", "coop"}, {"number", n(1)}}))
             == outcome::forbidden); // as an arbiter
  BOOST_TEST(why(by_contract("cancel", given{{"payer", "coop"}, {"number", n(1)}}))
             == outcome::forbidden);
}

BOOST_AUTO_TEST_CASE(a_dispute_is_not_withdrawn_from_a_row_that_changed) {
  must(settle("coop", "hq", 500, "A1"));
  must(dispute("coop", "coop", 1));
  must(try_to_store("A1", 4)); // it was 5, and 500 were for that
  const auto withdraw = [&] {
    return settle_action("coop", "withdraw", {{"payer", "coop"}, {"number", n(1)}});
  };
  BOOST_TEST(withdraw() == (refusal{outcome::wrong_state, "row"}));
  must(try_to_remove("A1"));
  BOOST_TEST(withdraw() == (refusal{outcome::wrong_state, "row"}));
  store_order("A1", 5);
  must(withdraw());
  BOOST_TEST(why(try_to_store("A1", 4)) == outcome::settled);
}

BOOST_AUTO_TEST_CASE(a_withdrawn_dispute_leaves_everything_as_it_was) {
  must(settle("coop", "hq", 500, "A1"));
  close();
  must(dispute("coop", "coop", 1));
  BOOST_TEST(due().empty());
  BOOST_TEST(why(settle_action("hq", "withdraw", {{"payer", "coop"}, {"number", n(1)}}))
             == outcome::done); // headquarters decides disputes, by the rules
  BOOST_TEST(due() == "coop hq 500\n");
  BOOST_TEST(why(try_to_store("A1", 4)) == outcome::settled);
  BOOST_TEST(balance("coop") == -500);
  must(confirm("coop", "hq"));
}

BOOST_AUTO_TEST_CASE(who_is_owed_may_give_up_a_disputed_claim) {
  pay("coop", "east", 500);
  close();
  must(dispute("coop", "coop", 1));
  BOOST_TEST(why(settle_action("coop", "cancel", {{"payer", "coop"}, {"number", n(1)}}))
             == outcome::forbidden);
  must(settle_action("east", "cancel", {{"payer", "coop"}, {"number", n(1)}}));
  BOOST_TEST(balance("coop") == 0);
  BOOST_TEST(balance("east") == 0);
  BOOST_TEST(due().empty());
  BOOST_TEST(why(settle_action("east", "cancel", {{"payer", "coop"}, {"number", n(1)}}))
             == outcome::wrong_state);
}

BOOST_AUTO_TEST_CASE(a_claim_given_up_frees_its_row) {
  must(settle("coop", "east", 500, "A1"));
  must(dispute("coop", "coop", 1));
  must(settle_action("east", "cancel", {{"payer", "coop"}, {"number", n(1)}}));
  must(try_to_store("A1", 9));
  must(settle("coop", "east", 900, "A1"));
  BOOST_TEST(balance("coop") == -900);
}

BOOST_AUTO_TEST_CASE(a_dispute_after_payment_sends_the_difference_back) {
  pay("coop", "hq", 500);
  close();
  must(settle_action("hq", "paid",
                     {{"period", "2026-11"}, {"from", "coop"}, {"amount", cents(500)}}));
  must(dispute("hq", "coop", 1));
  BOOST_TEST(due() == "hq coop 500\n");
  must(settle_action("coop", "transfer",
                     {{"to", "hq"}, {"amount", cents(400)}, {"corrects", n(1)}}));
  BOOST_TEST(due() == "hq coop 100\n");
  must(settle_action("coop", "paid",
                     {{"period", "2026-11"}, {"from", "hq"}, {"amount", cents(100)}}));
  BOOST_TEST(balance("coop") == 0);
  BOOST_TEST(balance("hq") == 0);
}

BOOST_AUTO_TEST_CASE(a_refused_settlement_leaves_nothing_behind) {
  const auto refused = run(facts("hq", "clerk", "shop"), [&](transaction& on) {
    settlement::transfer what{
        .from = "coop", .to = "hq", .amount = *cents(100'001).as<decimal>(), .currency = "CNY"};
    BOOST_TEST(!settlement::settle(on, what).has_value());
    return checked<void>(); // and the action goes on
  });
  BOOST_TEST(why(refused) == outcome::done);
  BOOST_TEST(rows("settlement.entries").empty());
  BOOST_TEST(rows("settlement.statements").empty());
}

BOOST_AUTO_TEST_CASE(what_a_contract_asks_for_is_read_or_refused) {
  const auto read = [](std::initializer_list<std::pair<std::string_view, value>> given) {
    return settlement::transfer_from(make_row(given), "shop");
  };
  const auto good = read({{"from", "coop"},
                          {"to", "hq"},
                          {"amount", decimal{15, 1}},
                          {"table", "orders"},
                          {"key", "A1"}});
  BOOST_TEST_REQUIRE(good.has_value());
  BOOST_TEST(good->table == "shop.orders");
  BOOST_TEST((good->key == value_list{"A1"}));
  BOOST_TEST(good->amount.units == 15'000);
  BOOST_TEST(!read({{"from", "coop"}, {"to", "hq"}}).has_value());
  BOOST_TEST(!read({{"from", "coop"}, {"to", "hq"}, {"amount", "x"}}).has_value());
  BOOST_TEST(!read({{"from", "coop"}, {"amount", n(1)}}).has_value());
  BOOST_TEST(!read({{"from", "coop"}, {"to", "hq"}, {"amount", n(1)}, {"table", "orders"}})
                  .has_value());
  BOOST_TEST(
      !read({{"from", "coop"}, {"to", "hq"}, {"amount", n(1)}, {"colour", "red"}}).has_value());
  BOOST_TEST(!read({{"from", n(1)}, {"to", "hq"}, {"amount", n(1)}}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
