// Which contracts are in force is said by tables: whoever has the tables of a height has them.
#include "contracts/memory_source.hpp"
#include "contracts/rules_in_force.hpp"
#include "contracts/transaction.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

constexpr char mesh_tables[] = R"lua(return { contract = "mesh", version = 1, tables = {
  contracts = { key = {"contract"}, fields = { contract = text{max=64}, version = int64{min=1},
    digest = bytes{max=32, min=32}, state = one_of{"active", "frozen"} } },
  sources = { key = {"digest"}, fields = { digest = bytes{max=32, min=32}, source = text{max=196608} } },
} })lua";

std::string shop(int version) {
  return R"(return { contract = "shop", version = )" + std::to_string(version)
         + R"(, tables = { orders = { key = {"id"}, fields = { id = text{max=8} } } } })";
}

contract_entry entry(const std::string& source) {
  auto made = parse(source, "test.lua", {}, {.builtin = true});
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  return {std::move(*made), source, nullptr};
}

struct tables_fixture {
  contract_set_ptr genesis = *contract_set::make({}, {entry(mesh_tables), entry(shop(1))});
  memory_source stored;
  overlay newer;
  block_height height = 0;

  void block(std::initializer_list<std::pair<const char*, value_map>> rows) {
    newer.begin_block(++height);
    transaction work(*genesis, newer, stored, {.height = height});
    for (const auto& [table, row] : rows)
      BOOST_TEST_REQUIRE(work.put(table, row).has_value());
    const auto made = newer.end_block();
    stored.apply(height, made.changes, made.indexes);
    newer.stored(height);
  }
  static bytes digest_of(int version) {
    const auto raw = entry(shop(version)).declared.source.raw;
    return {raw.begin(), raw.end()};
  }
  static std::pair<const char*, value_map> source(int version) {
    return {"mesh.sources", {{"digest", digest_of(version)}, {"source", shop(version)}}};
  }
  static std::pair<const char*, value_map> in_force(int version, const char* state) {
    return {"mesh.contracts",
            {{"contract", "shop"},
             {"digest", digest_of(version)},
             {"state", state},
             {"version", std::int64_t{version}}}};
  }
  contract_set_ptr now() {
    auto made = rules_in_force(genesis, stored);
    BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
    return *made;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(contract_rules_in_force, tables_fixture)

BOOST_AUTO_TEST_CASE(genesis_is_in_force_until_the_tables_say_otherwise) {
  BOOST_TEST((now() == genesis));
  block({source(2)}); // proposed only
  BOOST_TEST(now()->find_contract("shop")->version == 1u);
}

BOOST_AUTO_TEST_CASE(each_height_has_the_versions_that_its_tables_name) {
  block({source(2), in_force(2, "active")});
  const auto second = now();
  BOOST_TEST(second->find_contract("shop")->version == 2u);
  BOOST_TEST(second->find_entry("shop")->source == shop(2));
  BOOST_TEST(second->find_table("shop.orders") != nullptr);
  block({source(3), in_force(3, "frozen")});
  BOOST_TEST(now()->find_contract("shop")->version == 3u);
  BOOST_TEST(now()->is_frozen("shop"));
  BOOST_TEST(!second->is_frozen("shop"));
  block({in_force(1, "active")}); // back to that of genesis
  BOOST_TEST(now()->find_contract("shop")->version == 1u);
  BOOST_TEST(!now()->is_frozen("shop"));
}

BOOST_AUTO_TEST_CASE(tables_that_name_a_source_which_is_not_there_are_damaged) {
  block({in_force(2, "active")});
  const auto made = rules_in_force(genesis, stored);
  BOOST_TEST_REQUIRE(!made.has_value());
  BOOST_TEST((made.error().code == errc::damaged));
  BOOST_TEST(made.error().context == "the contract shop in force has no source");
}

BOOST_AUTO_TEST_SUITE_END()
