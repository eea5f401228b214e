// Genesis: what every node of a mesh must agree on before the first block. Read from one TOML
// file that all nodes hold; `chain` is the digest of its meaning, so its layout and comments do
// not matter. configs/README.md describes each key. Loaded once at start, then read by any
// thread.
#pragma once

#include "configs/document.hpp"
#include "messages/signed_item.hpp"

#include <functional>

namespace tallymesh::configs {

enum class tier : std::uint8_t { level1, level2, level3, service };
constexpr bool known(tier x) { return x <= tier::service; }
std::string_view to_string(tier x);
std::optional<tier> tier_from_text(std::string_view text);

struct genesis_limits {
  std::uint32_t batch_bytes = 512 * 1024;
  std::uint32_t block_batches = 256;
  std::uint32_t block_payload_bytes = 16 * 1024 * 1024;

  template <class Archive>
  void serialize(Archive& a) {
    a(batch_bytes, block_batches, block_payload_bytes);
  }
};

/// What carries contracts out: with another version or other prices a node would come to other
/// results. contracts::check_vm compares it with this program's.
struct genesis_vm {
  std::string version; ///< "Lua 5.4.4, gas table 3, x86_64"
  digest prices;       ///< and limits

  template <class Archive>
  void serialize(Archive& a) {
    a(version, prices);
  }
};

struct genesis_node {
  std::string name;
  configs::tier tier{};
  /// Where its peers reach it. Not part of the chain's identity: the keys say who a node is, so
  /// a node may move to another address and stay itself.
  endpoint address;
  public_key link_key, vote_key;

  template <class Archive>
  void serialize(Archive& a) {
    a(name, closed(tier), link_key, vote_key);
  }
};

struct genesis_account {
  std::string name;
  std::string node;
  std::optional<public_key> key; ///< of the author's own signatures

  std::string full_name() const { return name + "@" + node; }
  template <class Archive>
  void serialize(Archive& a) {
    a(name, node, key);
  }
};

struct genesis_contract {
  std::string name;
  std::filesystem::path file; ///< absolute or relative to the working directory
  std::string source;         ///< what the file holds; `source_digest` is of it
  digest source_digest;

  template <class Archive>
  void serialize(Archive& a) {
    a(name, source_digest);
  }
};

struct genesis {
  std::string mesh;
  std::uint32_t epoch = 1;
  std::string created;
  genesis_limits limits;
  genesis_vm vm;
  std::vector<genesis_node> nodes;         ///< a node's index is its place here
  std::vector<genesis_account> accounts;   ///< ascending by node, then name
  std::vector<genesis_contract> contracts; ///< ascending by name
  digest chain;

  template <class Archive>
  void serialize(Archive& a) {
    a(mesh, epoch, created, limits, vm, nodes, accounts, contracts);
  }

  std::optional<node_index> index_of(std::string_view node) const;
  const genesis_account* find_account(std::string_view name, std::string_view node) const;
  signing_domain domain() const { return {chain, epoch}; }
};

/// Gives the text of a file that a config names; `read_bounded`, except in tests.
using file_source = std::function<result<std::string>(const std::filesystem::path&)>;
result<std::string> read_file(const std::filesystem::path& file);

/// Errors: not_found, too_large, bad_config.
result<genesis> load_genesis(const std::filesystem::path& file);
/// `file` is the name for errors, and its folder the one that relative paths start from.
result<genesis> parse_genesis(std::string_view text, const std::filesystem::path& file,
                              const file_source& read = read_file);

/// Of the canonical encoding: what `chain` must be.
digest chain_digest(const genesis& x);

} // namespace tallymesh::configs
