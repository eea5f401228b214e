// Genesis files: what is read, what is refused and in which words.
#include "tests/unit/config_fixture.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>

using namespace tallymesh;
using namespace tallymesh::configs;
using namespace tallymesh::configs::fixture;

namespace {

std::string problem_of(const std::string& text, const file_source& read = files({})) {
  const auto parsed = parse_genesis(text, "g.toml", read);
  return parsed ? "accepted" : parsed.error().context;
}

genesis read_well(const std::string& text, const file_source& read = files({})) {
  const auto parsed = parse_genesis(text, "g.toml", read);
  BOOST_REQUIRE_MESSAGE(parsed.has_value(), (parsed.has_value() ? "" : parsed.error().context));
  return *parsed;
}

const std::string contract_source = "return {}";
std::string contract_entry(const std::string& digest_text) {
  return "[[contract]]\nname = \"orders\"\nfile = \"contracts/orders.lua\"\ndigest = \""
         + digest_text + "\"\n";
}
std::string source_digest() {
  return hash(digest_kind::contract, as_bytes(contract_source)).hex();
}

struct bad_genesis {
  const char* what;
  std::string text;
  std::string expected; ///< the error begins with this
};

std::vector<bad_genesis> bad_files() {
  const auto good = genesis_text();
  return {
      {"broken TOML", "mesh = \"test\nepoch = 1\n", "g.toml:1: "},
      {"not UTF-8", "mesh = \"\xff\"\n", "g.toml: is not UTF-8 text"},
      {"an unknown key that resembles a known one", "mehs = \"test\"\n",
       "g.toml:1: mehs: unknown key, did you mean \"mesh\"?"},
      {"an unknown key that resembles none", "mesh = \"a\"\n\ncolour = 1\n",
       "g.toml:3: colour: unknown key, expected one of: mesh, epoch"},
      {"an unknown key in a section", good + "[limits]\nbatch_byte = 1\n",
       "g.toml:33: limits.batch_byte: unknown key, did you mean \"batch_bytes\"?"},
      {"an unknown key in a node", replaced(good, "tier =", "teir ="),
       "g.toml:4: node[0].teir: unknown key, did you mean \"tier\"?"},
      {"no contract machine", replaced(good, "[vm]\nversion = \"Lua\"\n", "[vm]\n"),
       "g.toml:26: vm.version: is missing, expected text"},
      {"prices that are no digest", replaced(good, key_text('9'), "gas table 3"),
       "g.toml:28: vm.digest: is \"gas table 3\", expected a digest of 64 hexadecimal"},
      {"no mesh", replaced(good, "mesh = \"test\"\n", "\n"),
       "g.toml:1: mesh: is missing, expected text"},
      {"a name with capitals", replaced(good, "\"test\"", "\"Test\""),
       "g.toml:1: mesh: is \"Test\", expected a name: a lower-case letter"},
      {"a number for a name", replaced(good, "\"test\"", "7"),
       "g.toml:1: mesh: is 7, expected text"},
      {"an epoch out of range", "epoch = 0\n" + good,
       "g.toml:1: epoch: is 0, expected a whole number from 1 to 4294967295"},
      {"a float", "epoch = 1.5\n" + good,
       "g.toml:1: epoch: is a float, expected a whole number"},
      {"a batch above the hard limit", good + "[limits]\nbatch_bytes = 4_000_000\n",
       "g.toml:33: limits.batch_bytes: is 4000000, expected a whole number from 65536 to "
       "2097152"},
      {"a block smaller than a batch", good + "[limits]\nblock_payload_bytes = 100_000\n",
       "g.toml:33: limits.block_payload_bytes: is 100000, expected at least batch_bytes"},
      {"an unknown tier", replaced(good, "\"level1\"", "\"level9\""),
       "g.toml:4: node[0].tier: is \"level9\", expected one of: \"level1\", \"level2\""},
      {"an address without a port", replaced(good, "127.0.0.1:7011", "127.0.0.1"),
       "g.toml:5: node[0].address: is \"127.0.0.1\", expected \"host:port\""},
      {"a port of 0", replaced(good, "127.0.0.1:7011", "127.0.0.1:0"),
       "g.toml:5: node[0].address: is \"127.0.0.1:0\", expected"},
      {"a key that is too short", replaced(good, "\"0202", "\"02"),
       "g.toml:6: node[0].link_key: is \""},
      {"two nodes of one name", replaced(good, "\"n2\"", "\"n1\""),
       "g.toml:9: node[1].name: \"n1\" is named twice"},
      {"one key for two nodes", replaced(good, to_hex(bytes(32, 4)), to_hex(bytes(32, 3))),
       "g.toml:12: node[1].link_key: is used twice"},
      {"two nodes only", "mesh = \"test\"\n" + node_entry("n1", 1) + node_entry("n2", 2),
       "g.toml:2: node: there are 2 nodes, expected 1 (for development) or 4 to 128"},
      {"no node", "mesh = \"test\"\n", "g.toml:1: node: there are 0 nodes"},
      {"nodes that are no tables", "mesh = \"test\"\nnode = [1, 2]\n",
       "g.toml:2: node: holds 1, expected tables [[node]]"},
      {"an account of no node", replaced(good, "node = \"n1\"", "node = \"n9\""),
       "g.toml:31: account[0].node: is \"n9\", expected the name of a [[node]]"},
      {"an account twice", good + "[[account]]\nname = \"clerk\"\nnode = \"n1\"\n",
       "g.toml:33: account[1].name: clerk@n1 is named twice"},
      {"a contract without its file", good + contract_entry(key_text('0')),
       "g.toml:34: contract[0].file: contracts/orders.lua: cannot be read"},
  };
}

} // namespace

BOOST_AUTO_TEST_SUITE(genesis_files)

BOOST_AUTO_TEST_CASE(a_file_that_is_wrong_gets_an_error_with_line_and_key) {
  for (const auto& each : bad_files()) {
    const auto problem = problem_of(each.text);
    BOOST_TEST(problem.substr(0, each.expected.size()) == each.expected,
               each.what << ": " << problem);
    BOOST_TEST(problem.find('\n') == std::string::npos,
               each.what << " takes more than one line");
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_given_gets_its_default) {
  const auto read = read_well(genesis_text());
  BOOST_TEST(read.mesh == "test");
  BOOST_TEST(read.epoch == 1u);
  BOOST_TEST(read.limits.batch_bytes == 512u * 1024);
  BOOST_TEST(read.nodes.size() == 4u);
  BOOST_TEST(*read.index_of("n3") == 2u);
  BOOST_TEST(!read.index_of("n5"));
  BOOST_TEST(read.find_account("clerk", "n1") != nullptr);
  BOOST_TEST(read.find_account("clerk", "n2") == nullptr);
}

BOOST_AUTO_TEST_CASE(comments_order_of_keys_and_addresses_do_not_change_the_chain) {
  const auto plain = read_well(genesis_text());
  auto other = "# a comment\n" + replaced(genesis_text(), "127.0.0.1:7011", "hq.example:9");
  other = replaced(other, "mesh = \"test\"\n", "\n epoch   = 1\nmesh='test' # the name\n");
  BOOST_TEST(read_well(other).chain.hex() == plain.chain.hex());
  BOOST_TEST(!plain.chain.is_zero());
}

BOOST_AUTO_TEST_CASE(every_part_of_the_meaning_changes_the_chain) {
  const auto read = files({{"contracts/orders.lua", contract_source}});
  const auto chain = read_well(genesis_text(), read).chain;
  const std::string variants[] = {
      replaced(genesis_text(), "\"test\"", "\"tests\""),
      "epoch = 2\n" + genesis_text(),
      "created = \"today\"\n" + genesis_text(),
      genesis_text() + "[limits]\nblock_batches = 255\n",
      replaced(genesis_text(), "\"Lua\"", "\"Lua 5\""),
      replaced(genesis_text(), key_text('9'), key_text('8')),
      replaced(genesis_text(), "\"n4\"", "\"n5\""),
      replaced(genesis_text(), "\"level1\"", "\"level2\""),
      replaced(genesis_text(), to_hex(bytes(32, 2)), to_hex(bytes(32, 99))),
      replaced(genesis_text(), to_hex(bytes(32, 3)), to_hex(bytes(32, 99))),
      replaced(genesis_text(), "\"clerk\"", "\"clerks\""),
      genesis_text() + "key = \"" + key_text('1') + "\"\n",
      genesis_text() + contract_entry(source_digest()),
  };
  for (const auto& each : variants)
    BOOST_TEST(read_well(each, read).chain.hex() != chain.hex(), each);
}

BOOST_AUTO_TEST_CASE(a_contract_must_be_the_one_that_genesis_names) {
  const auto read = files({{"contracts/orders.lua", contract_source}});
  const auto well = read_well(genesis_text() + contract_entry(source_digest()), read);
  BOOST_TEST(well.contracts.at(0).source == contract_source);
  const auto problem = problem_of(genesis_text() + contract_entry(key_text('0')), read);
  BOOST_TEST(problem.find("g.toml:35: contract[0].digest: is \"0000") == 0u, problem);
  BOOST_TEST(problem.find("has the digest " + source_digest()) != std::string::npos, problem);
}

BOOST_AUTO_TEST_CASE(a_genesis_encodes_and_decodes_to_the_same) {
  const auto read = read_well(genesis_text());
  const auto again = decode<genesis>(encode(read));
  BOOST_REQUIRE(again.has_value());
  BOOST_TEST(chain_digest(*again).hex() == read.chain.hex());
}

BOOST_AUTO_TEST_CASE(a_file_of_more_than_a_mebibyte_a_folder_and_a_fifo_are_refused) {
  char name[] = "/tmp/tallymesh-config-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(name);
  std::ofstream(folder / "large.toml") << std::string(max_config_bytes + 1, '#');
  BOOST_TEST((load_genesis(folder / "large.toml").error().code == errc::too_large));
  BOOST_TEST((load_genesis(folder).error().code == errc::bad_config));
  BOOST_TEST((load_genesis(folder / "absent.toml").error().code == errc::not_found));
  std::filesystem::remove_all(folder);
}

BOOST_AUTO_TEST_CASE(addresses_are_read_and_written) {
  const auto v6 = endpoint::from_text("[::1]:80");
  BOOST_REQUIRE(v6.has_value());
  BOOST_TEST(v6->host == "::1");
  BOOST_TEST(v6->to_text() == "[::1]:80");
  BOOST_TEST(v6->is_loopback());
  BOOST_TEST(endpoint::from_text("127.9.9.9:1")->is_loopback());
  BOOST_TEST(!endpoint::from_text("127.evil.example:1")->is_loopback());
  for (const auto* bad : {"", ":1", "host", "host:", "host:65536", "host:-1", "ho st:1",
                          "::1:80", "[1.2.3.4]:80", "a/b:1"})
    BOOST_TEST(!endpoint::from_text(bad), bad);
}

BOOST_AUTO_TEST_SUITE_END()
