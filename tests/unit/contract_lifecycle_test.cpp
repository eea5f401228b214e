// The life of a contract on the chain: proposed, verified, voted on, in force or refused.
#include "contracts/builtin_rows.hpp"
#include "contracts/engine.hpp"
#include "contracts/lifecycle.hpp"
#include "contracts/memory_source.hpp"
#include "contracts/rules_in_force.hpp"
#include "contracts/transaction.hpp"
#include "tests/unit/five_nodes.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

std::string shop(int version, const std::string& fields) {
  return "return { contract = \"shop\", version = " + std::to_string(version)
         + ", tables = { orders = { key = {\"id\"}, fields = { id = text{max=8}, " + fields
         + " } } } }";
}
const std::string first = shop(1, "amount = int64");
const std::string second = shop(2, "amount = int64, remark = optional(text{max=9})");
const std::string narrow = shop(2, "amount = int64{max=100}");

value digest_of(const std::string& source) {
  const auto made = parse(source, "shop.lua").value().source;
  return bytes(made.raw.begin(), made.raw.end());
}

contract_set_ptr genesis() {
  auto all = builtin_entries();
  all.push_back({parse(first, "shop.lua").value(), first, nullptr});
  return contract_set::make(five_nodes(), std::move(all)).value();
}

using arguments = std::initializer_list<std::pair<std::string_view, value>>;

/// Five nodes, so that a quorum is four and two are more than the faulty ones.
struct mesh_fixture {
  contract_set_ptr base = genesis(), rules = base;
  memory_source stored;
  overlay newer;
  block_height height = 1;
  std::int64_t time_ms = 1'000'000;
  std::uint8_t operations = 0;
  engine code;

  mesh_fixture() { newer.begin_block(height); }

  operation_id next_id() {
    operation_id id;
    id.raw[0] = ++operations;
    return id;
  }
  call_facts facts(std::string_view account, std::string_view node) {
    for (std::size_t i = 0; i < rules->mesh().nodes.size(); ++i)
      if (const auto& each = rules->mesh().nodes[i]; each.name == node)
        return {.who = {account, each.name, each.at},
                .caller = {},
                .operation = next_id(),
                .lane = static_cast<node_index>(i),
                .height = height,
                .time_ms = time_ms};
    BOOST_FAIL("no node " << node);
    return {};
  }

  /// One operation in a block of its own: what came of it, as "not_found" or "done".
  template <class F>
  std::string run(std::string_view account, std::string_view node, F what) {
    std::string came = "done";
    {
      transaction on(*rules, newer, stored, facts(account, node));
      on.run_code_by(&code);
      const checked<void> done = what(on);
      if (!done) {
        on.rewind();
        came = done.error().why == outcome::refused_by_contract
                   ? done.error().detail
                   : std::string(to_string(done.error().why));
      } else if (auto next = on.new_rules()) {
        rules = std::move(next);
      }
    }
    const auto made = newer.end_block();
    stored.apply(height, made.changes, made.indexes);
    newer.stored(height);
    newer.begin_block(++height);
    time_ms += 1000;
    return came;
  }
  std::string act(std::string_view node, std::string_view action, arguments given,
                  std::string_view account = "clerk") {
    return run(account, node, [&](transaction& on) {
      return rules->find_entry("mesh")->native->perform(on, action, make_row(given));
    });
  }
  void put_order(const std::string& id, std::int64_t amount) {
    BOOST_TEST(run("clerk", "hq",
                   [&](transaction& on) {
                     return on.put("shop.orders", make_row({{"amount", amount}, {"id", id}}));
                   })
               == "done");
  }

  /// Proposes, and gives the proposal's id.
  std::string propose(const std::string& source, std::string_view node = "coop",
                      std::string_view account = "clerk") {
    BOOST_TEST(act(node, "propose", {{"source", source}}, account) == "done");
    return last_id();
  }
  std::string last_id() const {
    operation_id id;
    id.raw[0] = operations;
    return id.hex();
  }
  std::string verdict(std::string_view node, const std::string& proposal, bool good,
                      value findings = {}) {
    return act(node, "verdict",
               {{"proposal", proposal},
                {"good", good},
                {"findings", std::move(findings)},
                {"tests", std::int64_t{3}},
                {"rows", std::int64_t{2}},
                {"replayed", std::int64_t{0}},
                {"differing", std::int64_t{0}}},
               "node");
  }
  std::string vote(std::string_view node, const std::string& proposal, bool approve = true) {
    return act(node, approve ? "approve" : "reject", {{"proposal", proposal}});
  }
  void all_good(const std::string& proposal) {
    for (const auto node : {"hq", "coop", "east", "west"})
      BOOST_TEST(verdict(node, proposal, true) == "done");
  }
  void all_approve(const std::string& proposal) {
    for (const auto node : {"hq", "coop", "east", "west"})
      BOOST_TEST(vote(node, proposal) == "done");
  }

  value_map row(std::string_view table, const value_list& key) {
    transaction on(*rules, newer, stored, facts("clerk", "hq"));
    return on.get(table, key).value().value_or(value_map{});
  }
  std::string state(const std::string& proposal) {
    const auto found = row("mesh.proposals", {proposal});
    auto said = text_in(found, "state");
    for (const auto* field : {"outcome", "outcome_node", "outcome_table", "outcome_row",
                              "outcome_cause", "outcome_detail"})
      if (const auto& what = text_in(found, field); !what.empty()) said += " " + what;
    return said;
  }
  std::uint32_t version() const { return rules->find_contract("shop")->version; }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(contract_lifecycle, mesh_fixture)

BOOST_AUTO_TEST_CASE(a_version_is_in_force_once_enough_nodes_have_verified_and_approved_it) {
  const auto proposal = propose(second);
  BOOST_TEST(state(proposal) == "verifying");
  BOOST_TEST(vote("desk", proposal) == "done"); // votes may come before verdicts
  for (const auto node : {"hq", "coop", "east"})
    BOOST_TEST(verdict(node, proposal, true) == "done");
  BOOST_TEST(state(proposal) == "verifying");
  BOOST_TEST(verdict("west", proposal, true) == "done");
  BOOST_TEST(state(proposal) == "voting");
  for (const auto node : {"hq", "coop"})
    BOOST_TEST(vote(node, proposal) == "done");
  BOOST_TEST(version() == 1u);
  const auto decided = height;
  BOOST_TEST(vote("east", proposal) == "done");
  BOOST_TEST(version() == 2u);
  BOOST_TEST(state(proposal) == "accepted in_force");
  const auto now = row("mesh.contracts", {"shop"});
  BOOST_TEST(text_in(now, "state") == "active");
  BOOST_TEST(number_in(now, "version") == 2);
  BOOST_TEST(number_in(now, "height") == static_cast<std::int64_t>(decided));
  BOOST_TEST(text_in(now, "proposal") == proposal);
  BOOST_TEST((*find(now, "digest") == digest_of(second)));
  BOOST_TEST(vote("west", proposal) == "not_open");
}

BOOST_AUTO_TEST_CASE(who_has_the_tables_has_the_contracts_in_force) {
  const auto proposal = propose(second);
  all_good(proposal);
  all_approve(proposal);
  const auto again = rules_in_force(base, stored).value();
  BOOST_TEST(again->find_contract("shop")->version == 2u);
  BOOST_TEST(again->find_entry("shop")->source == second);
}

BOOST_AUTO_TEST_CASE(
    a_candidate_that_the_nodes_find_bad_is_refused_and_the_first_of_them_is_named) {
  const auto proposal = propose(narrow);
  BOOST_TEST(verdict("hq", proposal, true) == "done");
  BOOST_TEST(verdict("coop", proposal, false, "shop.orders row a does not fit") == "done");
  BOOST_TEST(state(proposal) == "verifying");
  BOOST_TEST(verdict("west", proposal, false, "shop.orders row a does not fit") == "done");
  BOOST_TEST(state(proposal) == "refused verification_failed coop");
  BOOST_TEST(version() == 1u);
}

BOOST_AUTO_TEST_CASE(every_node_may_say_its_verdict_once_also_when_others_have_decided) {
  const auto proposal = propose(narrow);
  for (const auto node : {"coop", "west", "east"})
    BOOST_TEST(verdict(node, proposal, false, "no") == "done");
  BOOST_TEST(verdict("desk", proposal, true) == "done");
  BOOST_TEST(verdict("desk", proposal, false) == "has_verdict");
  BOOST_TEST(state(proposal).starts_with("refused"));
  BOOST_TEST(verdict("hq", std::string(32, '0'), true) == "not_found");
}

BOOST_AUTO_TEST_CASE(no_contract_votes_in_somebodys_name) {
  const auto proposal = propose(second);
  BOOST_TEST(run("clerk", "hq",
                 [&](transaction& on) {
                   const transaction::called_by scope(on, "shop");
                   return lifecycle::contract().perform(on, "approve",
                                                        make_row({{"proposal", proposal}}));
                 })
             == "forbidden");
}

std::string parts(std::size_t number) {
  return "return { contract = \"parts" + std::to_string(number)
         + "\", version = 1, tables = { p = { key = {\"id\"}, fields = { id = text{max=8} } } "
           "} }";
}

BOOST_AUTO_TEST_CASE(a_party_has_few_proposals_open_and_so_has_its_node) {
  std::size_t made = 0;
  for (const auto* account : {"clerk", "second", "third"})
    for (std::size_t i = 0; i < lifecycle::max_open_of_account; ++i)
      propose(parts(made++), "hq", account);
  BOOST_TEST(made == lifecycle::max_open_of_node);
  BOOST_TEST(act("hq", "propose", {{"source", parts(99)}}, "fourth") == "too_many_open");
  propose(parts(99), "coop"); // which is not in the others' way
  time_ms += (lifecycle::proposal_days + 1) * 86'400'000;
  propose(parts(98), "hq", "fourth");
}

BOOST_AUTO_TEST_CASE(the_proposals_of_one_account_are_limited_before_its_nodes_are) {
  for (std::size_t i = 0; i < lifecycle::max_open_of_account; ++i)
    propose(parts(i), "hq");
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}}) == "too_many_open");
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}}, "second") == "done");
}

BOOST_AUTO_TEST_CASE(what_one_party_leaves_open_is_in_nobody_elses_way) {
  BOOST_TEST(act("east", "propose_freeze", {{"contract", "shop"}}) == "done");
  propose(narrow, "east");
  propose(second, "coop"); // two for one contract
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}}) == "done");
  const auto freeze = last_id();
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}}) == "already_open");
  all_approve(freeze);
  BOOST_TEST(rules->is_frozen("shop"));
  BOOST_TEST(act("hq", "propose_unfreeze", {{"contract", "shop"}}) == "done");
}

BOOST_AUTO_TEST_CASE(what_was_approved_is_not_carried_out_when_it_no_longer_applies) {
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}}) == "done");
  const auto freeze = last_id();
  BOOST_TEST(act("coop", "propose_freeze", {{"contract", "shop"}}) == "done");
  const auto again = last_id();
  const auto wider = propose(second, "coop"), other = propose(narrow, "east");
  for (const auto& each : {wider, other})
    all_good(each);
  for (const auto node : {"hq", "coop", "east"})
    for (const auto& each : {freeze, again, wider, other})
      BOOST_TEST(vote(node, each) == "done");
  for (const auto& each : {freeze, wider, again, other})
    BOOST_TEST(vote("west", each) == "done");
  BOOST_TEST(state(freeze) == "accepted in_force");
  BOOST_TEST(state(again) == "refused same_state");
  BOOST_TEST(state(wider) == "accepted in_force");
  BOOST_TEST(state(other) == "refused outdated"); // it was verified against version 1
  BOOST_TEST((digest_of(rules->find_entry("shop")->source) == digest_of(second)));
}

BOOST_AUTO_TEST_CASE(votes_count_of_those_who_may_vote_when_it_is_decided) {
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}}) == "done");
  const auto freeze = last_id();
  for (const auto node : {"east", "west", "desk"})
    BOOST_TEST(vote(node, freeze) == "done");
  BOOST_TEST(act("hq", "propose_rules",
                 {{"contract", "shop"},
                  {"propose", "anyone"},
                  {"approve", "level1, level2"},
                  {"approvals", std::int64_t{2}},
                  {"verdicts", std::int64_t{2}}})
             == "done");
  all_approve(last_id());
  BOOST_TEST(vote("hq", freeze) == "done"); // four voted for it, one of them counts
  BOOST_TEST(state(freeze) == "voting");
  BOOST_TEST(vote("coop", freeze) == "done");
  BOOST_TEST(rules->is_frozen("shop"));
}

BOOST_AUTO_TEST_CASE(a_migration_runs_on_behalf_of_who_proposed_it) {
  put_order("a", 7);
  const std::string moving =
      "return { contract = \"shop\", version = 2, tables = { orders = { key = {\"id\"}, fields "
      "= "
      "{ id = text{max=8}, amount = int64, by = optional(text{max=20}) } } }, migrate = "
      "function(ctx) for _, each in ipairs(ctx.range(\"orders\")) do ctx.store(\"orders\", { "
      "id = "
      "each.id, amount = each.amount * 100, by = ctx.author.name }) end end }";
  const auto proposal = propose(moving, "coop", "second");
  all_good(proposal);
  all_approve(proposal);
  BOOST_TEST(state(proposal) == "accepted in_force");
  const auto moved = row("shop.orders", {"a"});
  BOOST_TEST(number_in(moved, "amount") == 700);
  BOOST_TEST(text_in(moved, "by") == "second@coop");
  BOOST_TEST(text_in(row("mesh.approvals", {proposal, "west"}), "account") == "clerk@west");
}

BOOST_AUTO_TEST_CASE(a_migration_that_fails_refuses_its_version_with_a_code) {
  const auto proposal = propose(
      "return { contract = \"shop\", version = 2, tables = { orders = { key = {\"id\"}, fields "
      "= "
      "{ id = text{max=8}, amount = int64 } } },\nmigrate = function(ctx) ctx.require(false, "
      "\"books_open\") end }");
  all_good(proposal);
  all_approve(proposal);
  BOOST_TEST(state(proposal) == "refused migration_failed refused_by_contract books_open");
  BOOST_TEST(version() == 1u);
}

BOOST_AUTO_TEST_CASE(the_longest_contract_that_can_be_read_can_be_proposed) {
  propose(second + std::string(max_source_bytes - second.size(), ' '));
}

BOOST_AUTO_TEST_CASE(only_a_node_itself_says_its_verdict) {
  const auto proposal = propose(second);
  BOOST_TEST(act("hq", "verdict",
                 {{"proposal", proposal},
                  {"good", true},
                  {"tests", std::int64_t{0}},
                  {"rows", std::int64_t{0}},
                  {"replayed", std::int64_t{0}},
                  {"differing", std::int64_t{0}}})
             == "forbidden");
}

BOOST_AUTO_TEST_CASE(rows_that_came_after_the_verdicts_still_refuse_a_version_and_are_named) {
  put_order("a", 7);
  const auto proposal = propose(narrow);
  all_good(proposal);
  put_order("b", 500);
  all_approve(proposal);
  BOOST_TEST(version() == 1u);
  BOOST_TEST(state(proposal) == "refused row_does_not_fit shop.orders b out_of_range amount");
  BOOST_TEST(row("mesh.contracts", {"shop"}).empty());
  BOOST_TEST(row("mesh.versions", {"shop", digest_of(narrow)}).empty());
}

BOOST_AUTO_TEST_CASE(a_node_has_one_vote_and_may_change_it_while_the_proposal_is_open) {
  const auto proposal = propose(second);
  all_good(proposal);
  for (int i = 0; i < 4; ++i)
    BOOST_TEST(vote("hq", proposal) == "done");
  BOOST_TEST(state(proposal) == "voting");
  BOOST_TEST(vote("hq", proposal, false) == "done");
  BOOST_TEST(vote("coop", proposal, false) == "done");
  BOOST_TEST(state(proposal) == "refused voted_against");
}

BOOST_AUTO_TEST_CASE(what_is_no_next_version_is_not_opened) {
  BOOST_TEST(act("hq", "propose", {{"source", "return {"}}) == "not_parsed");
  BOOST_TEST(act("hq", "propose", {{"source", first}}) == "same_source");
  BOOST_TEST(act("hq", "propose", {{"source", shop(1, "amount = bool")}}) == "old_version");
  BOOST_TEST(act("hq", "propose", {{"source", "return { contract = \"mesh\" }"}})
             == "not_parsed");
  propose(second);
  BOOST_TEST(act("coop", "propose", {{"source", narrow}}) == "already_open");
}

BOOST_AUTO_TEST_CASE(a_new_contract_can_be_proposed_too) {
  const auto proposal = propose("return { contract = \"parts\", version = 1, tables = { p = { "
                                "key = {\"id\"}, fields = { id = text{max=8} } } } }");
  all_good(proposal);
  all_approve(proposal);
  BOOST_TEST_REQUIRE(rules->find_contract("parts") != nullptr);
  BOOST_TEST(rules_in_force(base, stored).value()->find_table("parts.p") != nullptr);
}

BOOST_AUTO_TEST_CASE(only_who_proposed_takes_a_proposal_back_and_then_another_may_come) {
  const auto proposal = propose(second, "coop");
  BOOST_TEST(act("hq", "withdraw", {{"proposal", proposal}}) == "not_proposer");
  BOOST_TEST(act("coop", "withdraw", {{"proposal", proposal}}) == "done");
  BOOST_TEST(state(proposal).starts_with("withdrawn"));
  BOOST_TEST(vote("hq", proposal) == "not_open");
  propose(narrow);
}

BOOST_AUTO_TEST_CASE(a_proposal_past_its_time_makes_way) {
  const auto proposal = propose(second);
  time_ms += lifecycle::proposal_days * 86'400'000;
  BOOST_TEST(vote("hq", proposal) == "not_open");
  BOOST_TEST(verdict("hq", proposal, true) == "not_open");
  const auto next = propose(narrow);
  BOOST_TEST(state(proposal) == "refused timed_out");
  BOOST_TEST(state(next) == "verifying");
}

BOOST_AUTO_TEST_CASE(one_goes_back_to_a_version_that_was_in_force_and_to_no_other) {
  BOOST_TEST(act("hq", "roll_back", {{"contract", "shop"}, {"digest", digest_of(second)}})
             == "never_active");
  const auto proposal = propose(second);
  all_good(proposal);
  all_approve(proposal);
  BOOST_TEST(act("hq", "roll_back", {{"contract", "shop"}, {"digest", digest_of(second)}})
             == "same_source");
  BOOST_TEST(act("hq", "roll_back", {{"contract", "part"}, {"digest", digest_of(second)}})
             == "unknown_contract");
  BOOST_TEST(act("hq", "roll_back", {{"contract", "shop"}, {"digest", digest_of(first)}})
             == "done");
  operation_id back;
  back.raw[0] = operations;
  all_good(back.hex());
  all_approve(back.hex());
  BOOST_TEST(version() == 1u);
  BOOST_TEST(rules_in_force(base, stored).value()->find_entry("shop")->source == first);
}

BOOST_AUTO_TEST_CASE(a_frozen_contract_stays_frozen_until_the_nodes_let_it_go_on) {
  BOOST_TEST(act("hq", "propose_unfreeze", {{"contract", "shop"}}) == "same_state");
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "mesh"}}) == "unknown_contract");
  BOOST_TEST(act("hq", "propose_freeze", {{"contract", "shop"}, {"reason", "audit"}})
             == "done");
  operation_id freeze;
  freeze.raw[0] = operations;
  BOOST_TEST(state(freeze.hex()) == "voting"); // there is nothing to verify
  all_approve(freeze.hex());
  BOOST_TEST(rules->is_frozen("shop"));
  BOOST_TEST(rules_in_force(base, stored).value()->is_frozen("shop"));
  const auto proposal = propose(second);
  all_good(proposal);
  all_approve(proposal);
  BOOST_TEST(version() == 2u);
  BOOST_TEST(rules->is_frozen("shop"));
  BOOST_TEST(act("hq", "propose_unfreeze", {{"contract", "shop"}}) == "done");
  operation_id go_on;
  go_on.raw[0] = operations;
  all_approve(go_on.hex());
  BOOST_TEST(!rules_in_force(base, stored).value()->is_frozen("shop"));
}

BOOST_AUTO_TEST_CASE(who_may_propose_and_approve_and_how_many_it_takes_is_decided_alike) {
  const auto rules_of = [](std::int64_t approvals, const char* approve) {
    return make_row({{"approvals", approvals},
                     {"approve", approve},
                     {"contract", "shop"},
                     {"propose", "level1, clerk@coop"},
                     {"verdicts", std::int64_t{2}}});
  };
  const auto ask = [&](std::int64_t approvals, const char* approve) {
    return run("clerk", "hq", [&](transaction& on) {
      return lifecycle::contract().perform(on, "propose_rules", rules_of(approvals, approve));
    });
  };
  BOOST_TEST(ask(1, "level1") == "bad_threshold");
  BOOST_TEST(ask(6, "level1") == "bad_threshold");
  BOOST_TEST(ask(2, "nobody@hq") == "unknown_party");
  BOOST_TEST(ask(3, "hq, level2") == "bad_threshold"); // two nodes never are three
  BOOST_TEST(ask(2, "hq, level2") == "done");
  operation_id proposal;
  proposal.raw[0] = operations;
  all_approve(proposal.hex());
  BOOST_TEST(act("east", "propose", {{"source", second}}) == "forbidden");
  const auto next = propose(second, "coop");
  BOOST_TEST(verdict("east", next, true) == "done");
  BOOST_TEST(verdict("west", next, true) == "done");
  BOOST_TEST(vote("east", next) == "forbidden");
  BOOST_TEST(vote("hq", next) == "done");
  BOOST_TEST(vote("coop", next) == "done");
  BOOST_TEST(version() == 2u);
}

BOOST_AUTO_TEST_CASE(a_node_finds_what_waits_for_its_verdict) {
  const auto waiting = [&](std::string_view node) {
    transaction on(*rules, newer, stored, facts("clerk", "hq"));
    std::vector<std::string> ids;
    for (const auto& each : lifecycle::unverified(on, node, time_ms, 10).value()) {
      BOOST_TEST(each.source == narrow);
      ids.push_back(each.id);
    }
    return ids;
  };
  using ids = std::vector<std::string>;
  const auto proposal = propose(narrow);
  for (const auto node : {"hq", "coop", "east", "west"})
    BOOST_TEST(waiting(node) == ids{proposal}, boost::test_tools::per_element());
  for (const auto node : {"hq", "coop"})
    BOOST_TEST(verdict(node, proposal, false, "no") == "done");
  BOOST_TEST(waiting("hq") == ids(), boost::test_tools::per_element());
  BOOST_TEST(waiting("west") == ids{proposal}, boost::test_tools::per_element());
  time_ms += lifecycle::proposal_days * 86'400'000 + 1;
  BOOST_TEST(waiting("west") == ids(), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(proposals_are_in_the_order_of_the_chain_whatever_their_ids) {
  const auto ids_of = [&](std::string_view node) {
    transaction on(*rules, newer, stored, facts("clerk", "hq"));
    std::vector<std::string> ids;
    for (const auto& each : lifecycle::unverified(on, node, time_ms, 10).value())
      ids.push_back(each.id);
    return ids;
  };
  operations = 200;
  const auto first_one = propose(parts(1), "hq");
  operations = 100;
  const auto later = propose(parts(2), "coop");
  const std::vector<std::string> in_order{first_one, later};
  BOOST_TEST(ids_of("hq") == in_order, boost::test_tools::per_element());
  BOOST_TEST(number_in(row("mesh.proposals", {first_one}), "height")
             < number_in(row("mesh.proposals", {later}), "height"));
}

BOOST_AUTO_TEST_SUITE_END()
