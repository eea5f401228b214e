// A version of a contract comes in force while there are rows: they become its own, or it is
// refused with the row named and nothing has changed.
#include "contracts/memory_source.hpp"
#include "contracts/transaction.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

std::string shop(int version, const std::string& tables) {
  return R"(return { contract = "shop", version = )" + std::to_string(version) + ", tables = { "
         + tables + " } }";
}
const std::string first_orders = R"(orders = { key = {"id"}, fields = { id = text{max=8},
  province = optional(text{max=2}), amount = decimal{scale=2} }, index = { {"province"} } })";

contract parsed(const std::string& source) {
  auto made = parse(source, "shop.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  return std::move(*made);
}

struct activation_fixture {
  contract_set_ptr rules = *contract_set::make(
      {}, {{parsed(shop(1, first_orders)), shop(1, first_orders), nullptr}});
  memory_source stored;
  overlay newer;
  block_height height = 1;

  activation_fixture() { newer.begin_block(height); }
  transaction begin_operation() {
    return {*rules, newer, stored, {.who = {"clerk", "hq", tier::level1}, .height = height}};
  }
  void end_and_store() {
    const auto made = newer.end_block();
    stored.apply(height, made.changes, made.indexes);
    newer.stored(height);
    newer.begin_block(++height);
  }
  void put(std::initializer_list<value_map> rows) {
    auto work = begin_operation();
    for (const auto& row : rows)
      BOOST_TEST_REQUIRE(work.put("shop.orders", row).has_value());
  }
  /// Why it cannot be; empty: it is in force.
  std::string activate(const std::string& source) {
    auto work = begin_operation();
    const auto why = work.activate(source, work.facts().who);
    BOOST_TEST_REQUIRE(why.has_value());
    if (*why) {
      BOOST_TEST(work.new_rules() == nullptr);
      BOOST_TEST(work.changes() == 0u);
      return (*why)->text;
    }
    rules = work.new_rules();
    return {};
  }
  std::vector<std::string> ids(std::uint8_t index, const value_list& prefix) {
    auto work = begin_operation();
    std::vector<std::string> found;
    for (const auto& row : *work.find("shop.orders", index, prefix, 100))
      found.push_back(*find(row, "id")->as<std::string>());
    return found;
  }
};

value_map order(const std::string& id, const char* province, std::int64_t cents) {
  value_map row;
  put(row, "id", id);
  if (province != nullptr) put(row, "province", province);
  put(row, "amount", decimal{cents, 2});
  return row;
}
using names = std::vector<std::string>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(contract_activation, activation_fixture)

BOOST_AUTO_TEST_CASE(rows_are_found_by_the_indexes_of_the_version_in_force) {
  put({order("a", "ZJ", 300), order("b", "GD", 100)});
  end_and_store();
  put({order("c", nullptr, 200)});
  const auto next = shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    province = optional(text{max=2}), amount = decimal{scale=2}, remark = optional(text{max=9}) },
    index = { {"amount"}, {"province", "id"} } })");
  BOOST_TEST(activate(next) == "");
  BOOST_TEST(rules->find_contract("shop")->version == 2u);
  BOOST_TEST(rules->find_entry("shop")->source == next);
  for (const auto when : {"executed", "stored"}) {
    BOOST_TEST_CONTEXT(when) {
      BOOST_TEST(ids(0, {}) == (names{"b", "c", "a"}), boost::test_tools::per_element());
      BOOST_TEST(ids(1, {"GD"}) == names{"b"}, boost::test_tools::per_element());
    }
    if (when == std::string("executed")) end_and_store();
  }
  // What is stored holds the entries of these indexes and no others.
  std::size_t entries = 0;
  for (std::uint8_t index = 0; index < 3; ++index)
    stored.entries("shop.orders", index, {}, [&](bytes_view, bytes_view) { return ++entries; });
  BOOST_TEST(entries == 6u);
}

BOOST_AUTO_TEST_CASE(a_version_that_a_row_does_not_fit_is_refused_with_the_row_named) {
  put({order("a", "ZJ", 300), order("b", "GD", 500)});
  end_and_store();
  const auto with_limit = shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    province = optional(text{max=2}), amount = decimal{scale=2, max=4} }, index = { {"amount"} } })");
  BOOST_TEST(activate(with_limit) == "shop.orders row b does not fit: out_of_range (amount)");
  BOOST_TEST(ids(0, {"ZJ"}) == names{"a"}, boost::test_tools::per_element());
  const auto required = shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    province = text{max=2}, amount = decimal{scale=2}, day = int64{} }, index = { {"day"} } })");
  BOOST_TEST(activate(required) == "shop.orders row a does not fit: missing_field (day)");
  const auto without = shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    amount = decimal{scale=2} } })");
  BOOST_TEST(activate(without) == "shop.orders row a does not fit: unknown_field (province)");
  const auto other_key = shop(2, R"(orders = { key = {"amount"}, fields = { id = text{max=8},
    province = optional(text{max=2}), amount = decimal{scale=2} } })");
  BOOST_TEST(activate(other_key) == "shop.orders row 3.00 does not fit: its key would change");
  BOOST_TEST(ids(0, {"ZJ"}) == names{"a"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_table_with_rows_cannot_go_and_an_empty_one_can) {
  const auto renamed = shop(2, R"(sales = { key = {"id"}, fields = { id = text{max=8} } })");
  put({order("a", "ZJ", 300)});
  BOOST_TEST(activate(renamed)
             == "it no longer declares shop.orders, and shop.orders row a is there");
  {
    auto work = begin_operation();
    BOOST_TEST(work.remove("shop.orders", {"a"}).has_value());
  }
  BOOST_TEST(activate(renamed) == "");
  BOOST_TEST(rules->find_table("shop.orders") == nullptr);
  BOOST_TEST(rules->find_table("shop.sales") != nullptr);
}

BOOST_AUTO_TEST_CASE(a_table_that_went_and_comes_again_is_found_by_its_new_indexes_only) {
  const auto without = shop(2, R"(sales = { key = {"id"}, fields = { id = text{max=8} } })");
  const auto again = shop(3, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    amount = decimal{scale=2} } })");
  put({order("a", "ZJ", 300)});
  BOOST_TEST(ids(0, {"ZJ"}) == names{"a"}, boost::test_tools::per_element()); // looked up
  BOOST_TEST(begin_operation().remove("shop.orders", {"a"}).has_value());
  BOOST_TEST(activate(without) == "");
  BOOST_TEST(activate(again) == "");
  put({order("b", nullptr, 100)});
  BOOST_TEST(!begin_operation().find("shop.orders", 0, {}, 9).has_value());
  // A refused version leaves nothing of its indexes behind either.
  const auto narrow = shop(4, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    amount = decimal{scale=2, max=0} }, unique = { {"amount"} } })");
  BOOST_TEST(activate(narrow) == "shop.orders row b does not fit: out_of_range (amount)");
  put({order("c", nullptr, 200)});
  end_and_store();
  std::size_t entries = 0;
  for (std::uint8_t index = 0; index < 3; ++index)
    stored.entries("shop.orders", index, {}, [&](bytes_view, bytes_view) { return ++entries; });
  BOOST_TEST(entries == 0u);
}

BOOST_AUTO_TEST_CASE(values_take_the_form_that_their_new_type_stores) {
  put({order("a", "ZJ", 150)});
  BOOST_TEST(activate(shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    province = optional(text{max=2}), amount = decimal{scale=3} }, index = { {"amount"} } })"))
             == "");
  auto work = begin_operation();
  const auto row = *work.get("shop.orders", {"a"});
  BOOST_TEST((*find(*row, "amount")->as<decimal>() == decimal{1500, 3}));
  BOOST_TEST(ids(0, {decimal{15, 1}}) == names{"a"}, boost::test_tools::per_element());
}

// An index is in the order of a key's first bytes only: a migration that walks one would pass
// over all that share them, and pay for none.
BOOST_AUTO_TEST_CASE(no_migration_begins_beside_index_keys_that_are_too_long) {
  struct : code_runner {
    int migrated = 0;
    result<void> compile(const contract_entry&) override { return {}; }
    checked<void> judge(transaction&, const table&, const value_map&) override { return {}; }
    checked<void> migrate(transaction&, const contract_entry&) override {
      ++migrated;
      return {};
    }
  } runner;
  const auto with = [](int version, const std::string& remark) {
    return R"(return { contract = "shop", version = )" + std::to_string(version)
           + R"(, tables = { orders = { key = {"id"}, fields = { id = text{max=8},
             province = optional(text{max=2}), amount = decimal{scale=2},
             remark = )"
           + remark + R"( } } }, migrate = function(ctx) end })";
  };
  const auto put_in_force = [&](const std::string& source) {
    auto work = begin_operation();
    work.run_code_by(&runner);
    const auto why = work.activate(source, work.facts().who);
    BOOST_TEST_REQUIRE(why.has_value());
    if (!*why) rules = work.new_rules();
    return *why ? (*why)->text : std::string();
  };
  BOOST_TEST(put_in_force(with(2, "optional(text{max=400})")) == "");
  BOOST_TEST(runner.migrated == 1);
  auto row = order("a", "ZJ", 300);
  tallymesh::put(row, "remark", std::string(300, 'x'));
  put({row});
  // As it is declared, and as what is there is though less is declared.
  for (const auto* remark : {"optional(text{max=400})", "optional(text{max=60})"})
    BOOST_TEST(put_in_force(with(3, std::string(remark) + " }, index = { {\"remark\"} "))
               == "shop.orders row a does not fit: key_too_long (remark)");
  BOOST_TEST(runner.migrated == 1);
}

BOOST_AUTO_TEST_CASE(a_version_goes_with_the_operation_that_brought_it) {
  put({order("a", "ZJ", 300)});
  end_and_store();
  auto work = begin_operation();
  BOOST_TEST(work.put("shop.orders", order("b", "GD", 1)).has_value());
  const auto here = work.mark();
  const auto next = shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    province = optional(text{max=2}), amount = decimal{scale=2} }, index = { {"amount"} } })");
  BOOST_TEST(!work.activate(next, work.facts().who)->has_value());
  BOOST_TEST(work.find("shop.orders", 0, {}, 9)->size() == 2u);
  work.set_frozen("shop", true);
  BOOST_TEST(work.rules().is_frozen("shop"));
  work.rewind(here);
  BOOST_TEST(!work.rules().is_frozen("shop"));
  BOOST_TEST(work.rules().find_contract("shop")->version == 1u);
  BOOST_TEST(work.find("shop.orders", 0, {"GD"}, 9)->size() == 1u);
  BOOST_TEST(work.changes() == 1u);
  work.rewind();
  BOOST_TEST(work.find("shop.orders", 0, {}, 9)->size() == 1u);
  BOOST_TEST(work.new_rules() == nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_no_contract_or_contradicts_the_others_is_refused_with_its_line) {
  BOOST_TEST(activate("return {\n contract = 5 }").substr(0, 8) == "contract");
  BOOST_TEST(activate(shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8} },
    read = { "nobody@nowhere" } })"))
             == "contract shop gives a right on table orders to nobody@nowhere, which genesis "
                "does not have");
}

BOOST_AUTO_TEST_CASE(a_large_table_is_taken_over_whatever_the_operations_own_gas) {
  for (int block = 0; block < 2; ++block) {
    auto work = transaction(*rules, newer, stored, {.height = height}, activation_gas);
    for (int i = 0; i < 5000; ++i)
      BOOST_REQUIRE(
          work.put("shop.orders", order("r" + std::to_string(block * 5000 + i), "ZJ", i)));
    if (block == 0) end_and_store();
  }
  transaction work(*rules, newer, stored, {.height = height}, 1000);
  BOOST_TEST(!work.activate(shop(2, R"(orders = { key = {"id"}, fields = { id = text{max=8},
    province = optional(text{max=2}), amount = decimal{scale=2} }, index = { {"amount"} } })"),
                            work.facts().who)
                  ->has_value());
  BOOST_TEST(work.gas_used() > 10'000u * prices.visited);
  BOOST_TEST(work.gas_limit() - work.gas_used() == 1000u); // its own gas is still there
  BOOST_TEST(work.charge(1000).has_value());
  BOOST_TEST(!work.charge(1).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
