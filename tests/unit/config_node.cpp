// Node and token files, keys, overrides, and the examples that ship.
#include "configs/tokens.hpp"
#include "tests/unit/config_fixture.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sys/stat.h>

using namespace tallymesh;
using namespace tallymesh::configs;
using namespace tallymesh::configs::fixture;

namespace {

result<node_config> parsed(const std::string& text) {
  return parse_node(text, "mesh/n2/node.toml", files({{"mesh/genesis.toml", genesis_text()}}));
}

std::string problem_of(const std::string& text) {
  const auto read = parsed(text);
  return read ? "accepted" : read.error().context;
}

struct bad_node {
  const char* what;
  std::string text;
  std::string expected; ///< the error begins with this, after the file's name
};

std::vector<bad_node> bad_files() {
  const auto good = node_text();
  return {
      {"a name that genesis does not have", replaced(good, "\"n2\"", "\"n7\""),
       ":1: node: is \"n7\", expected a node of mesh/genesis.toml: n1, n2, n3, n4"},
      {"no genesis", replaced(good, "../genesis.toml", "nowhere.toml"),
       ":2: genesis: mesh/n2/nowhere.toml: cannot be read"},
      {"no tokens", replaced(good, "tokens_file = \"tokens\"\n", ""),
       ":6: gateway.tokens_file: is missing"},
      {"an unknown section", good + "[gatway]\n",
       ":8: gatway: unknown key, did you mean \"gateway\"?"},
      {"a number out of range", good + "max_connections = 0\n",
       ":8: gateway.max_connections: is 0, expected a whole number from 1 to 65536"},
      {"text for a number", good + "max_connections = \"many\"\n",
       ":8: gateway.max_connections: is \"many\", expected a whole number"},
      {"a public address in plain text", good + "listen = \"0.0.0.0:80\"\n",
       ":8: gateway.listen: is \"0.0.0.0:80\", expected a loopback address"},
      {"a certificate without its key", good + "tls_certificate = \"a.pem\"\n",
       ":6: gateway.tls_key: is missing, expected both"},
      {"a batch above the mesh's", good + "[mempool]\nbatch_bytes = 600_000\n",
       ":9: mempool.batch_bytes: is 600000, expected a whole number from 1024 to 524288"},
      {"a negative delay", good + "[mempool]\nbatch_delay_ms = -1\n",
       ":9: mempool.batch_delay_ms: is -1, expected"},
      {"a delta out of range", good + "[consensus]\ndelta_ms = 5\n",
       ":9: consensus.delta_ms: is 5, expected a whole number from 10 to 60000"},
      {"a timeout below the heartbeat", good + "[link]\npeer_timeout_ms = 1500\n",
       ":9: link.peer_timeout_ms: is 1500, expected at least twice heartbeat_ms, 2000"},
      {"an unknown level", good + "[log]\nlevel = \"loud\"\n",
       ":9: log.level: is \"loud\", expected one of: \"trace\""},
      {"an unknown durability", good + "[durability]\nledger = \"maybe\"\n",
       ":9: durability.ledger: is \"maybe\", expected one of: \"synced\", \"lazy\""},
      {"a section that is a number", "link = 1\n" + good,
       ":1: link: is 1, expected a table [link]"},
      {"a path that is a list", replaced(good, "\"data\"", "[\"data\"]"),
       ":3: data_directory: is a list, expected text"},
      {"a path with a line end", replaced(good, "\"data\"", "\"a\\nb\""),
       ":3: data_directory: is \"a b\", expected text"},
  };
}

struct temporary_folder {
  std::filesystem::path path;
  temporary_folder() {
    char name[] = "/tmp/tallymesh-config-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~temporary_folder() { std::filesystem::remove_all(path); }
};

const std::string token(32, 'a');

std::string token_problem(const std::string& text) {
  const auto mesh = parse_genesis(genesis_text(), "g.toml", files({}));
  const auto read = token_list::parse(text, "tokens", *mesh, 0);
  return read ? "accepted" : read.error().context;
}

} // namespace

BOOST_AUTO_TEST_SUITE(node_files)

BOOST_AUTO_TEST_CASE(a_file_that_is_wrong_gets_an_error_with_line_and_key) {
  for (const auto& each : bad_files()) {
    const auto problem = problem_of(each.text), expected = "mesh/n2/node.toml" + each.expected;
    BOOST_TEST(problem.substr(0, expected.size()) == expected, each.what << ": " << problem);
    BOOST_TEST(problem.find('\n') == std::string::npos,
               each.what << " takes more than one line");
  }
}

BOOST_AUTO_TEST_CASE(an_error_in_genesis_names_the_line_in_genesis) {
  const auto read = parse_node(node_text(), "mesh/n2/node.toml",
                               files({{"mesh/genesis.toml", "mesh = 1\n"}}));
  BOOST_REQUIRE(!read.has_value());
  BOOST_TEST(read.error().context.find("mesh/genesis.toml:1: mesh: ") == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_not_given_gets_its_default) {
  const auto read = parsed(node_text());
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST(read->self == 1u);
  BOOST_TEST(read->data_directory.string() == "mesh/n2/data");
  BOOST_TEST(read->link.listen.to_text() == "127.0.0.1:7012");
  BOOST_TEST(read->mempool.batch_bytes == read->mesh.limits.batch_bytes);
  BOOST_TEST(read->mempool.batch_delay.count() == 5);
  BOOST_TEST(read->consensus.delta.count() == 500);
  BOOST_TEST((read->durability.ledger == ledger_durability::synced));
  BOOST_TEST(!read->gateway.uses_tls());
}

BOOST_AUTO_TEST_CASE(a_public_address_is_allowed_with_tls) {
  const auto read =
      parsed(node_text()
             + "listen = \"0.0.0.0:443\"\ntls_certificate = \"c.pem\"\ntls_key = \"/k.pem\"\n");
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST(read->gateway.uses_tls());
  BOOST_TEST(read->gateway.tls_certificate.string() == "mesh/n2/c.pem");
  BOOST_TEST(read->gateway.tls_key.string() == "/k.pem");
}

BOOST_AUTO_TEST_CASE(an_override_is_checked_as_the_file_is) {
  auto config = *parsed(node_text());
  BOOST_TEST(set_gateway_listen(config, "127.0.0.1:9").has_value());
  BOOST_TEST(config.gateway.listen.port == 9u);
  BOOST_TEST(!set_gateway_listen(config, "10.0.0.1:9").has_value());
  BOOST_TEST(config.gateway.listen.host == "127.0.0.1");
  BOOST_TEST(set_link_listen(config, "0.0.0.0:9").has_value());
  BOOST_TEST(!set_log_level(config, "loud").has_value());
  BOOST_TEST(set_log_level(config, "debug").has_value());
  BOOST_TEST((config.log.level == log_level::debug));
  BOOST_TEST(set_log_format(config, "json").has_value());
  BOOST_TEST(set_ledger_durability(config, "lazy").has_value());
}

BOOST_AUTO_TEST_CASE(a_key_that_genesis_does_not_name_is_refused) {
  const temporary_folder at;
  auto config = *parsed(node_text());
  const auto link = signing_key::generate(), vote = signing_key::generate();
  config.link_key_file = at.path / "link.key";
  config.vote_key_file = at.path / "vote.key";
  BOOST_REQUIRE(link.save(config.link_key_file).has_value());
  BOOST_REQUIRE(vote.save(config.vote_key_file).has_value());
  BOOST_TEST((load_keys(config).error().code == errc::bad_config));
  config.mesh.nodes[config.self].link_key = link.public_part();
  BOOST_TEST(load_keys(config).error().context.find("n2's vote_key") != std::string::npos);
  config.mesh.nodes[config.self].vote_key = vote.public_part();
  BOOST_TEST(load_keys(config).has_value());
}

BOOST_AUTO_TEST_CASE(the_examples_that_ship_are_right) {
  const auto examples = std::filesystem::path(TALLYMESH_SOURCE_DIR) / "configs" / "examples";
  std::size_t nodes = 0;
  for (const auto& [folder, size] :
       {std::pair{"single", 1u}, {"four", 4u}, {"provincial", 7u}}) {
    const auto mesh = load_genesis(examples / folder / "genesis.toml");
    BOOST_REQUIRE_MESSAGE(mesh.has_value(), (mesh.has_value() ? "" : mesh.error().context));
    BOOST_TEST(mesh->nodes.size() == size);
    for (const auto& entry : std::filesystem::directory_iterator(examples / folder)) {
      if (entry.path().filename() == "genesis.toml" || entry.path().extension() != ".toml")
        continue;
      const auto node = load_node(entry.path());
      BOOST_TEST(node.has_value(), (node.has_value() ? "" : node.error().context));
      ++nodes;
    }
  }
  BOOST_TEST(nodes == 4u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(token_files)

BOOST_AUTO_TEST_CASE(a_token_stands_for_its_account_plain_or_hashed) {
  const auto mesh = parse_genesis(genesis_text(), "g.toml", files({}));
  // printf %s bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb | b2sum -l 256
  const std::string hashed =
      "blake2b:4902b7a0707c01e546b48ed6f93036616e26dedcbe3fb627e93162f55f6af11f";
  const auto read = token_list::parse(
      "# ours\n\nclerk " + token + "\r\nclerk\t" + hashed + "\n", "tokens", *mesh, 0);
  BOOST_REQUIRE_MESSAGE(read.has_value(), (read.has_value() ? "" : read.error().context));
  BOOST_TEST(read->size() == 2u);
  BOOST_TEST(*read->account_of(token) == "clerk");
  BOOST_TEST(*read->account_of(std::string(32, 'b')) == "clerk");
  for (const auto& wrong :
       {std::string(), std::string(32, 'c'), token.substr(1), token + "a", hashed})
    BOOST_TEST(!read->account_of(wrong), wrong);
}

BOOST_AUTO_TEST_CASE(a_wrong_line_is_named_and_its_token_is_not_shown) {
  const std::pair<std::string, std::string> wrong[] = {
      {"clerk short-secret\n", "tokens:1: token: expected 32 to 512 printable"},
      {"\nnobody " + token + "\n",
       "tokens:2: account: is \"nobody\", expected an account that genesis names for node n1"},
      {"clerk\n", "tokens:1: expected an account, a space and a token"},
      {"clerk " + token + " more\n", "tokens:1: expected an account, a space and a token"},
      {"clerk blake2b:12\n",
       "tokens:1: token: expected blake2b: and 64 hexadecimal characters"},
      {"clerk " + token + "\nclerk " + token, "tokens:2: token: is in the file twice"},
  };
  for (const auto& [text, expected] : wrong) {
    const auto problem = token_problem(text);
    BOOST_TEST(problem.substr(0, expected.size()) == expected, problem);
    BOOST_TEST(problem.find("secret") == std::string::npos);
    BOOST_TEST(problem.find(token) == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_others_can_read_is_refused) {
  const temporary_folder at;
  const auto mesh = parse_genesis(genesis_text(), "g.toml", files({}));
  const auto file = at.path / "tokens";
  std::ofstream(file) << "clerk " << token << '\n';
  ::chmod(file.c_str(), 0640);
  const auto open = token_list::load(file, *mesh, 0);
  BOOST_REQUIRE(!open.has_value());
  BOOST_TEST((open.error().code == errc::forbidden));
  BOOST_TEST(open.error().context.find("chmod 600") != std::string::npos);
  ::chmod(file.c_str(), 0600);
  BOOST_TEST(token_list::load(file, *mesh, 0).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
