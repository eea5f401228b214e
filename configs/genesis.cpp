#include "configs/genesis.hpp"

#include "messages/encoding_archive.hpp"
#include "messages/limits.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::configs {

static const std::vector<std::pair<std::string_view, tier>> tiers = {
    {"level1", tier::level1},
    {"level2", tier::level2},
    {"level3", tier::level3},
    {"service", tier::service}};

std::string_view to_string(tier x) { return tiers[static_cast<std::size_t>(x)].first; }

std::optional<tier> tier_from_text(std::string_view text) {
  for (const auto& [name, each] : tiers)
    if (name == text) return each;
  return std::nullopt;
}

std::optional<node_index> genesis::index_of(std::string_view node) const {
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i].name == node) return static_cast<node_index>(i);
  return std::nullopt;
}

const genesis_account* genesis::find_account(std::string_view name,
                                             std::string_view node) const {
  for (const auto& each : accounts)
    if (each.name == name && each.node == node) return &each;
  return nullptr;
}

digest chain_digest(const genesis& x) { return hash(digest_kind::genesis, encode(x)); }

result<std::string> read_file(const std::filesystem::path& file) { return read_bounded(file); }

namespace {

constexpr std::size_t max_accounts = 4096;
constexpr std::size_t max_contracts = 256;

void read_key(section& from, std::string_view name, public_key& out) {
  std::string text;
  from.text(name, text, presence::required, 256);
  if (from.state().failure) return;
  auto key = public_key::from_hex(text);
  if (!key)
    return from.fail(name, "is " + in_quotes(text)
                               + ", expected a public key of 64 hexadecimal characters");
  out = *key;
}

void read_limits(section from, genesis_limits& out) {
  // Below 64 KiB a lawful operation might fit into no batch.
  from.number("batch_bytes", out.batch_bytes, 64 * 1024, limits::max_batch_bytes);
  from.number("block_batches", out.block_batches, 1, limits::max_block_batches);
  from.number("block_payload_bytes", out.block_payload_bytes, 64 * 1024,
              limits::max_block_payload_bytes);
  if (out.block_payload_bytes < out.batch_bytes)
    from.fail("block_payload_bytes", "is " + std::to_string(out.block_payload_bytes)
                                         + ", expected at least batch_bytes, "
                                         + std::to_string(out.batch_bytes));
}

void read_vm(section from, genesis_vm& out) {
  std::string prices;
  from.text("version", out.version, presence::required, 64);
  from.text("digest", prices, presence::required, 64);
  if (from.state().failure) return;
  const auto read = from_hex(prices);
  if (!read || read->size() != out.prices.raw.size())
    return from.fail("digest", "is " + in_quotes(prices)
                                   + ", expected a digest of 64 hexadecimal characters");
  std::copy(read->begin(), read->end(), out.prices.raw.begin());
}

void read_nodes(const section& root, genesis& out) {
  std::set<std::string> names;
  std::set<public_key> keys;
  for (auto& each : root.tables("node", limits::max_nodes,
                                {"name", "tier", "address", "link_key", "vote_key"})) {
    genesis_node node;
    each.name("name", node.name);
    each.choice("tier", node.tier, presence::required, tiers);
    each.address("address", node.address, presence::required);
    read_key(each, "link_key", node.link_key);
    read_key(each, "vote_key", node.vote_key);
    if (root.state().failure) return;
    if (!names.insert(node.name).second)
      each.fail("name", in_quotes(node.name) + " is named twice, expected names that differ");
    for (const auto& [name, key] :
         {std::pair{"link_key", node.link_key}, {"vote_key", node.vote_key}})
      if (!keys.insert(key).second)
        each.fail(name, "is used twice, expected keys of one node and one purpose each");
    out.nodes.push_back(std::move(node));
  }
  if (root.state().failure) return;
  if (out.nodes.empty() || out.nodes.size() == 2 || out.nodes.size() == 3)
    root.fail("node", "there are " + std::to_string(out.nodes.size())
                          + " nodes, expected 1 (for development) or 4 to "
                          + std::to_string(limits::max_nodes));
}

void read_accounts(const section& root, genesis& out) {
  std::set<std::string> names;
  for (auto& each : root.tables("account", max_accounts, {"name", "node", "key"})) {
    genesis_account account;
    each.name("name", account.name);
    each.name("node", account.node);
    if (each.has("key")) read_key(each, "key", account.key.emplace());
    if (root.state().failure) return;
    if (!out.index_of(account.node))
      return each.fail("node",
                       "is " + in_quotes(account.node) + ", expected the name of a [[node]]");
    if (!names.insert(account.full_name()).second)
      return each.fail("name",
                       account.full_name() + " is named twice, expected accounts that differ");
    out.accounts.push_back(std::move(account));
  }
  std::sort(out.accounts.begin(), out.accounts.end(), [](const auto& a, const auto& b) {
    return std::tie(a.node, a.name) < std::tie(b.node, b.name);
  });
}

void read_contract(section& from, genesis_contract& out, const file_source& read) {
  std::string expected;
  from.name("name", out.name, true);
  from.path("file", out.file, presence::required);
  from.text("digest", expected, presence::required, 64);
  if (from.state().failure) return;
  auto source = read(out.file);
  if (!source) return from.fail("file", source.error().context);
  if (!is_utf8(*source)) return from.fail("file", out.file.string() + ": is not UTF-8 text");
  out.source = std::move(*source);
  out.source_digest = hash(digest_kind::contract, as_bytes(out.source));
  if (out.source_digest.hex() != expected)
    from.fail("digest", "is " + in_quotes(expected) + ", but " + out.file.string()
                            + " has the digest " + out.source_digest.hex()
                            + "; expected the contract that the mesh was made with");
}

void read_contracts(const section& root, genesis& out, const file_source& read) {
  std::set<std::string> names;
  for (auto& each : root.tables("contract", max_contracts, {"name", "file", "digest"})) {
    genesis_contract contract;
    read_contract(each, contract, read);
    if (root.state().failure) return;
    if (!names.insert(contract.name).second)
      return each.fail("name", in_quotes(contract.name)
                                   + " is named twice, expected names that differ");
    out.contracts.push_back(std::move(contract));
  }
  std::sort(out.contracts.begin(), out.contracts.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
}

} // namespace

result<genesis> parse_genesis(std::string_view text, const std::filesystem::path& file,
                              const file_source& read) {
  const auto document = parse_toml(text, file.string());
  if (!document) return document.error();
  reading state{file.string(), {}};
  section root(state, *document, "", 1,
               {"mesh", "epoch", "created", "limits", "vm", "node", "account", "contract"});
  genesis out;
  root.name("mesh", out.mesh);
  root.number("epoch", out.epoch, 1, UINT32_MAX);
  root.text("created", out.created, presence::optional, 64);
  read_limits(root.table("limits", {"batch_bytes", "block_batches", "block_payload_bytes"}),
              out.limits);
  read_nodes(root, out);
  read_accounts(root, out);
  read_contracts(root, out, read);
  read_vm(root.table("vm", {"version", "digest"}), out.vm);
  if (state.failure) return std::move(*state.failure);
  out.chain = chain_digest(out);
  return out;
}

result<genesis> load_genesis(const std::filesystem::path& file) {
  const auto text = read_file(file);
  if (!text) return text.error();
  return parse_genesis(*text, file);
}

} // namespace tallymesh::configs

namespace tallymesh {
TALLYMESH_ENCODING(configs::genesis);
} // namespace tallymesh
