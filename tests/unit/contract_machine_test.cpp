// The executor: what a block's operations do, and that they do the same everywhere.
#include "actors/contract_executor/machine.hpp"
#include "contracts/memory_source.hpp"
#include "contracts/row.hpp"
#include "messages/encoding.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <set>

using namespace tallymesh;
using namespace tallymesh::contract_executor;

namespace tallymesh {
static std::ostream& operator<<(std::ostream& out, outcome x) { return out << to_string(x); }
} // namespace tallymesh

namespace {

constexpr char stock_source[] = R"(return { contract = "stock", version = 1, tables = {
  items  = { key = {"id"}, fields = { id = text{max=200}, count = int64{min=0}, note = optional(text{max=20}) },
             index = { {"count"} }, store = {"level1", "importer@coop"}, delete = {"hq"} },
  sealed = { key = {"id"}, fields = { id = text{max=8} } },
  long   = { key = {"id"}, fields = { id = text{max=8}, text = optional(text{max=262144}), count = optional(int64{}) },
             store = {"hq"} } } })";
constexpr char notary_source[] =
    R"(return { contract = "notary", version = 1, signed = true, tables = {
  deeds = { key = {"id"}, fields = { id = text{max=8} }, store = {"anyone"} } } })";

constexpr node_index hq = 0, coop = 1;
constexpr std::int64_t now_ms = 1'000'000;

contracts::contract_entry contract_from(const char* source) {
  auto made = contracts::parse(source, "test.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  return {std::move(*made), source, nullptr};
}

const signing_key& clerk_key() {
  static const auto key = signing_key::from_seed({1, 2, 3});
  return key;
}

genesis_facts facts() {
  genesis_facts x;
  x.chain.raw[0] = 7;
  x.nodes = {{"hq", contracts::tier::level1}, {"coop", contracts::tier::level2}};
  x.accounts = {{"clerk", "hq", clerk_key().public_part()},
                {"importer", "coop", {}},
                {"reader", "coop", {}}};
  x.contracts = {contract_from(stock_source), contract_from(notary_source)};
  return x;
}

/// A ledger in memory: takes executions in and serves the next block.
struct ledger {
  contracts::memory_source stored;
  contracts::overlay newer;
  std::set<std::pair<node_index, operation_id>> ids;
  contracts::engine runs;
  contracts::contract_set_ptr rules;

  tables on() {
    return {newer, stored,
            [this](node_index lane, const operation_id& id) {
              return ids.contains({lane, id});
            },
            runs, rules};
  }
  void apply(const executed_block& x) {
    rules = x.rules;
    stored.apply(x.result.height, x.result.changes, x.indexes);
    newer.stored(x.result.height);
    for (const auto& each : x.result.receipts)
      ids.emplace(each.lane, each.id);
  }
};

operation_id id_of(std::uint32_t number) {
  operation_id id;
  for (int i = 0; i < 4; ++i)
    id.raw[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> 8 * i);
  return id;
}

operation make(std::uint32_t id, std::string action, std::string author, value_map arguments) {
  return {id_of(id), "stock", std::move(action), std::move(arguments), std::move(author),
          now_ms,    {}};
}
value_map item(const std::string& id, std::int64_t count) {
  value_map row;
  put(row, "id", id);
  put(row, "count", count);
  return row;
}
operation store(std::uint32_t id, value_map row, std::string author = "clerk",
                const char* table = "items") {
  value_map arguments;
  put(arguments, "table", table);
  put(arguments, "row", std::move(row));
  return make(id, "store", std::move(author), std::move(arguments));
}
operation remove(std::uint32_t id, const std::string& key, std::string author = "clerk") {
  value_map arguments;
  put(arguments, "table", "items");
  put(arguments, "key", value_list{key});
  return make(id, "delete", std::move(author), std::move(arguments));
}

struct fixture {
  machine rules = std::move(*machine::make(facts()));
  ledger state;
  block_height height = 0;
  digest previous;
  std::vector<index_change> last_indexes; ///< of the last block

  fixture() { state.rules = rules.base(); }

  static batch_ptr lane_batch(node_index lane, std::vector<operation> operations,
                              std::uint64_t seq = 1) {
    sealed_batch x;
    x.content.lane = lane;
    x.content.seq = seq;
    x.content.operations = std::move(operations);
    return std::make_shared<const sealed_batch>(std::move(x));
  }
  execution run(const std::vector<batch_ptr>& batches) {
    sealed_block block;
    block.content.height = ++height;
    block.content.time_ms = now_ms;
    block.id.raw[0] = static_cast<std::uint8_t>(height);
    auto made = rules.execute(block, batches, previous, state.on());
    state.apply(made);
    previous = execution_digest(made.result);
    last_indexes = std::move(made.indexes);
    return std::move(made.result);
  }
  execution run(std::vector<operation> operations, node_index lane = hq) {
    return run(std::vector{lane_batch(lane, std::move(operations))});
  }
  /// The outcome of one operation, in a block of its own.
  std::pair<outcome, std::string> outcome_of(operation what, node_index lane = hq) {
    const auto made = run({std::move(what)}, lane);
    BOOST_TEST_REQUIRE(made.receipts.size() == 1u);
    BOOST_TEST(made.changes.size() == (made.receipts[0].result == outcome::done ? 1u : 0u));
    return {made.receipts[0].result, made.receipts[0].detail};
  }
};

#define CHECK_OUTCOME(given, why, about)                                                       \
  do {                                                                                         \
    const auto got = given;                                                                    \
    BOOST_TEST(got.first == (why));                                                            \
    BOOST_TEST(got.second == (about));                                                         \
  } while (false)

} // namespace

BOOST_FIXTURE_TEST_SUITE(contract_executor_machine, fixture)

BOOST_AUTO_TEST_CASE(a_stored_row_is_a_change_and_a_receipt_in_its_place) {
  const auto made = run({lane_batch(hq, {store(1, item("a", 5))}, 7),
                         lane_batch(coop, {store(2, item("b", 6), "importer")}, 9)});
  BOOST_TEST(made.height == 1u);
  BOOST_TEST(made.time_ms == now_ms);
  BOOST_TEST_REQUIRE(made.receipts.size() == 2u);
  BOOST_TEST_REQUIRE(made.changes.size() == 2u);
  const auto& second = made.receipts[1];
  BOOST_TEST((second.id == id_of(2)));
  BOOST_TEST(second.height == 1u);
  BOOST_TEST(second.position == 1u);
  BOOST_TEST(second.lane == coop);
  BOOST_TEST(second.seq == 9u);
  BOOST_TEST(second.changes == 1u);
  BOOST_TEST(made.changes[1].table == "stock.items");
  BOOST_TEST(made.changes[1].position == 1u);
  BOOST_TEST(!made.changes[1].before.has_value());
  BOOST_TEST((contracts::stored_row(*made.changes[1].after) == item("b", 6)));
  BOOST_TEST(
      (made.changes[1].key
       == *contracts::key_of(*rules.base()->find_table("stock.items"), value_list{"b"})));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_with_an_operation_is_said_and_changes_nothing) {
  auto wrong = store(1, item("a", 1));
  wrong.contract = "shares";
  CHECK_OUTCOME(outcome_of(wrong), outcome::unknown_contract, "shares");
  CHECK_OUTCOME(outcome_of(make(2, "accept", "clerk", {})), outcome::unknown_action, "accept");
  CHECK_OUTCOME(outcome_of(store(3, item("a", 1), "clerk", "goods")), outcome::unknown_table,
                "goods");
  CHECK_OUTCOME(outcome_of(make(4, "store", "clerk", {})), outcome::malformed_arguments, "");
  CHECK_OUTCOME(outcome_of(make(5, "store", "clerk", {{"row", "x"}, {"table", "items"}})),
                outcome::malformed_arguments, "row");
  CHECK_OUTCOME(
      outcome_of(make(6, "store", "clerk", {{"row", value_map{}}, {"table", std::int64_t{1}}})),
      outcome::malformed_arguments, "table");
  CHECK_OUTCOME(
      outcome_of(make(7, "store", "clerk", {{"table", "items"}, {"row", value_map{}}})),
      outcome::malformed_arguments, "");
  CHECK_OUTCOME(
      outcome_of(make(8, "delete", "clerk", {{"key", value_list{}}, {"table", "items"}})),
      outcome::malformed_arguments, "key");
  CHECK_OUTCOME(outcome_of(make(9, "store", "clerk",
                                {{"row", value_map{}}, {"table", "items"}, {"zeal", true}})),
                outcome::malformed_arguments, "");
  CHECK_OUTCOME(outcome_of(store(10, item("a", -1))), outcome::out_of_range, "count");
  CHECK_OUTCOME(outcome_of(store(11, {{"id", "a"}})), outcome::missing_field, "count");
  CHECK_OUTCOME(outcome_of(remove(12, "a")), outcome::not_found, "items");
  CHECK_OUTCOME(outcome_of(store(13, item(std::string(200, '\1'), 1))), outcome::key_too_long,
                "items");
  BOOST_TEST(state.stored.tables().empty());
}

BOOST_AUTO_TEST_CASE(only_those_with_the_right_may_store_and_delete) {
  CHECK_OUTCOME(outcome_of(store(1, item("a", 1), "importer"), coop), outcome::done, "");
  CHECK_OUTCOME(outcome_of(store(2, item("b", 1), "reader"), coop), outcome::forbidden,
                "items");
  CHECK_OUTCOME(outcome_of(remove(3, "a", "importer"), coop), outcome::forbidden, "items");
  CHECK_OUTCOME(outcome_of(store(4, {{"id", "x"}}, "clerk", "sealed")), outcome::forbidden,
                "sealed");
  CHECK_OUTCOME(outcome_of(remove(5, "a")), outcome::done, "");
}

BOOST_AUTO_TEST_CASE(a_node_can_only_vouch_for_its_own_accounts) {
  CHECK_OUTCOME(outcome_of(store(1, item("a", 1), "clerk"), coop), outcome::unknown_account,
                "clerk");
  CHECK_OUTCOME(outcome_of(store(2, item("a", 1), "nobody")), outcome::unknown_account,
                "nobody");
  CHECK_OUTCOME(outcome_of(store(3, item("a", 1), "clerk"), 99), outcome::unknown_account,
                "clerk");
}

BOOST_AUTO_TEST_CASE(an_operation_ordered_after_its_last_valid_time_is_expired) {
  auto late = store(1, item("a", 1));
  late.valid_until_ms = now_ms - 1;
  CHECK_OUTCOME(outcome_of(late), outcome::expired, "");
  auto in_time = store(2, item("a", 1));
  in_time.valid_until_ms = now_ms;
  CHECK_OUTCOME(outcome_of(in_time), outcome::done, "");
}

BOOST_AUTO_TEST_CASE(an_id_counts_once_in_a_block_and_ever_after_even_if_it_failed) {
  const auto first = run({store(1, item("a", 1)), store(1, item("a", 2)), remove(2, "zzz"),
                          store(3, item("c", 1))});
  BOOST_TEST_REQUIRE(first.receipts.size() == 3u);
  BOOST_TEST(first.receipts[1].position == 2u); // the repeated one keeps its place in the count
  BOOST_TEST(first.receipts[2].position == 3u);
  BOOST_TEST(first.changes.size() == 2u);
  const auto second = run({store(1, item("a", 3)), remove(2, "a")});
  BOOST_TEST(second.receipts.empty());
  BOOST_TEST(second.changes.empty());
}

BOOST_AUTO_TEST_CASE(a_node_cannot_use_up_the_ids_of_another_nodes_clients) {
  const auto made = run({lane_batch(coop, {store(1, item("stolen", 1), "reader")}),
                         lane_batch(hq, {store(1, item("a", 5))})});
  BOOST_TEST_REQUIRE(made.receipts.size() == 2u);
  BOOST_TEST(made.receipts[1].ok());
  BOOST_TEST(run({store(1, item("a", 6))}).receipts.empty());
}

BOOST_AUTO_TEST_CASE(long_rows_and_blocks_that_change_too_much_are_refused_alike_everywhere) {
  const auto row = [](std::size_t length) {
    value_map x;
    put(x, "id", "a");
    put(x, "text", std::string(length, 'x'));
    return x;
  };
  BOOST_TEST((outcome_of(store(1, row(limits::max_row_bytes), "clerk", "long")).first
              == outcome::too_large));
  BOOST_TEST((outcome_of(store(2, row(250'000), "clerk", "long")).first == outcome::done));
  // Short operations on the long row: each change holds it twice.
  std::vector<operation> many;
  for (std::uint32_t i = 0; i < 200; ++i) {
    value_map touch;
    put(touch, "id", "a");
    put(touch, "count", std::int64_t{i});
    many.push_back(store(100 + i, std::move(touch), "clerk", "long"));
  }
  const auto made = run(std::move(many));
  BOOST_TEST(made.receipts.size() == 200u);
  BOOST_TEST((made.receipts.front().result == outcome::done));
  BOOST_TEST((made.receipts.back().result == outcome::block_full));
  BOOST_TEST(encode(made).size() < limits::max_block_change_bytes + 1'000'000);
}

BOOST_AUTO_TEST_CASE(operations_of_a_block_see_each_other_and_link_their_changes) {
  run({store(1, item("a", 1))});
  auto noted = item("a", 3);
  put(noted, "note", "n");
  const auto made =
      run({store(2, item("a", 2)), store(3, {{"id", "a"}, {"note", "n"}}),
           store(4, item("a", 3)), remove(5, "a"), remove(6, "a"), store(7, item("a", 9))});
  BOOST_TEST_REQUIRE(made.changes.size() == 5u);
  BOOST_TEST((made.changes[0].previous == change_place{1, 0}));
  for (std::uint32_t i = 1; i < 5; ++i) {
    BOOST_TEST((made.changes[i].previous == change_place{2, i - 1}));
    BOOST_TEST((made.changes[i].before == made.changes[i - 1].after));
  }
  BOOST_TEST((contracts::stored_row(*made.changes[2].after) == noted)); // merged, not replaced
  BOOST_TEST(!made.changes[3].after.has_value());
  BOOST_TEST(made.receipts[4].result == outcome::not_found);
  BOOST_TEST((contracts::stored_row(*made.changes[4].after) == item("a", 9)));
  BOOST_TEST(made.receipts[4].changes == 0u);
  const auto later = run({store(8, item("a", 10))});
  BOOST_TEST((later.changes[0].previous == change_place{2, 4}));
}

BOOST_AUTO_TEST_CASE(history_goes_on_when_a_deleted_row_is_stored_again) {
  run({store(1, item("a", 1))});
  run({remove(2, "a")});
  const auto made = run({store(3, item("a", 1))});
  BOOST_TEST((made.changes[0].previous == change_place{2, 0}));
  BOOST_TEST(!made.changes[0].before.has_value());
}

BOOST_AUTO_TEST_CASE(storing_what_is_already_there_writes_nothing) {
  run({store(1, item("a", 1))});
  const auto made = run({store(2, item("a", 1)), store(3, {{"id", "a"}})});
  BOOST_TEST(made.changes.empty());
  for (const auto& each : made.receipts) {
    BOOST_TEST(each.result == outcome::no_change);
    BOOST_TEST(each.ok());
    BOOST_TEST(each.changes == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_contract_may_ask_for_the_authors_signature) {
  const auto deed = [&](std::uint32_t id, std::string author) {
    auto x = store(id, {{"id", "d" + std::to_string(id)}}, std::move(author), "deeds");
    x.contract = "notary";
    return x;
  };
  const auto sign = [&](operation& x, const digest& chain) {
    x.author_signature = clerk_key().sign(author_signing_digest(chain, x).raw);
  };
  CHECK_OUTCOME(outcome_of(deed(1, "clerk")), outcome::unsigned_operation, "clerk");
  auto good = deed(2, "clerk");
  sign(good, facts().chain);
  CHECK_OUTCOME(outcome_of(good), outcome::done, "");
  auto altered = deed(3, "clerk");
  sign(altered, facts().chain);
  altered.valid_until_ms += 1;
  CHECK_OUTCOME(outcome_of(altered), outcome::unsigned_operation, "clerk");
  auto elsewhere = deed(4, "clerk");
  sign(elsewhere, digest{});
  CHECK_OUTCOME(outcome_of(elsewhere), outcome::unsigned_operation, "clerk");
  auto keyless = deed(5, "importer");
  sign(keyless, facts().chain);
  CHECK_OUTCOME(outcome_of(keyless, coop), outcome::unsigned_operation, "importer");
}

BOOST_AUTO_TEST_CASE(the_same_blocks_give_the_same_bytes_on_every_node) {
  std::mt19937 random(3);
  std::vector<std::vector<batch_ptr>> blocks;
  for (int b = 0; b < 20; ++b) {
    std::vector<batch_ptr> batches;
    for (const node_index lane : {hq, coop}) {
      std::vector<operation> operations;
      for (int i = 0; i < 50; ++i) {
        const auto author = lane == hq ? "clerk" : random() % 4 ? "importer" : "reader";
        const auto key = "k" + std::to_string(random() % 40);
        const auto id = static_cast<std::uint32_t>(random() % 1500);
        if (random() % 5 == 0)
          operations.push_back(remove(id, key, author));
        else
          operations.push_back(
              store(id, item(key, static_cast<std::int64_t>(random() % 5) - 1), author));
      }
      batches.push_back(lane_batch(lane, std::move(operations)));
    }
    blocks.push_back(std::move(batches));
  }
  fixture other;
  std::set<outcome> seen;
  std::size_t repeated = 0;
  for (const auto& batches : blocks) {
    const auto mine = run(batches), theirs = other.run(batches);
    BOOST_TEST((encode(mine) == encode(theirs)));
    for (const auto& each : mine.receipts)
      seen.insert(each.result);
    repeated += 100 - mine.receipts.size();
  }
  BOOST_TEST(previous.hex() == other.previous.hex());
  BOOST_TEST(repeated > 0u);
  for (const auto expected : {outcome::done, outcome::not_found, outcome::forbidden,
                              outcome::out_of_range, outcome::no_change})
    BOOST_TEST(seen.contains(expected), to_string(expected));
  // Golden: another compiler or library that orders or encodes differently shows here.
  BOOST_TEST(previous.hex()
             == "12ed659406b9a0e5c9f7eb27938b520a60e24da0faeb28b02042f92526458539");
}

BOOST_AUTO_TEST_CASE(index_entries_follow_the_rows_through_a_block) {
  std::set<std::pair<bytes, bytes>> entries;
  std::mt19937 random(5);
  std::uint32_t id = 0;
  for (int b = 0; b < 30; ++b) {
    std::vector<operation> operations;
    for (int i = 0; i < 20; ++i) {
      const auto key = "k" + std::to_string(random() % 10);
      if (random() % 3 == 0)
        operations.push_back(remove(++id, key));
      else
        operations.push_back(store(++id, item(key, random() % 4)));
    }
    run(std::move(operations));
    for (const auto& each : last_indexes) {
      BOOST_TEST(each.table == "stock.items");
      if (each.add)
        BOOST_TEST(entries.insert({each.index_key, each.row_key}).second);
      else
        BOOST_TEST(entries.erase({each.index_key, each.row_key}) == 1u);
    }
  }
  std::set<std::pair<bytes, bytes>> expected;
  const auto& table = *rules.base()->find_table("stock.items");
  for (const auto& [key, held] : state.stored.tables().at("stock.items"))
    if (held.row)
      expected.insert(
          {contracts::index_key(table, table.indexes[0], contracts::row_view(*held.row)), key});
  BOOST_TEST(!expected.empty());
  BOOST_TEST((entries == expected));
}

BOOST_AUTO_TEST_CASE(a_genesis_that_contradicts_itself_is_refused) {
  const auto complaint = [](const genesis_facts& x) {
    const auto made = machine::make(x);
    return made ? "" : made.error().context;
  };
  auto x = facts();
  x.accounts.push_back({"guest", "nowhere", {}});
  BOOST_TEST(complaint(x) == "account guest is of node nowhere, which genesis does not have");
  x = facts();
  x.accounts.push_back({"clerk", "hq", {}});
  BOOST_TEST(complaint(x) == "genesis names account clerk@hq twice");
  x = facts();
  x.nodes.push_back({"hq", contracts::tier::service});
  BOOST_TEST(complaint(x) == "genesis names node hq twice");
  x = facts();
  x.contracts.push_back(x.contracts[0]);
  BOOST_TEST(complaint(x) == "there are two contracts named stock");
  x = facts();
  std::erase_if(x.accounts, [](const auto& each) { return each.name == "importer"; });
  BOOST_TEST(complaint(x)
             == "contract stock gives a right on table items to importer@coop, which genesis "
                "does not have");
}

BOOST_AUTO_TEST_SUITE_END()
