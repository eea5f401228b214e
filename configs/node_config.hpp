// One node's own settings: who it is in genesis, where its data and keys are, and its limits.
// Read from node.toml, which names the genesis file; configs/README.md describes each key.
// Loaded once at start (log level and certificates again on HUP), then read by any thread.
#pragma once

#include "configs/genesis.hpp"
#include "messages/introspection.hpp"

#include <chrono>

namespace tallymesh::configs {

using std::chrono::milliseconds;

struct link_config {
  endpoint listen; ///< default: the node's address in genesis
  milliseconds handshake_timeout{5000};
  milliseconds heartbeat{1000};
  milliseconds peer_timeout{2500}; ///< nothing heard for so long: the peer is down
  milliseconds reconnect_min{100};
  milliseconds reconnect_max{5000};
  std::size_t queue_bytes =
      16 * 1024 * 1024; ///< a peer; what does not fit is dropped and fetched later
};

struct gateway_config {
  endpoint listen{"127.0.0.1", 8700};
  std::filesystem::path tls_certificate, tls_key; ///< both or none
  std::filesystem::path tokens_file;
  std::size_t max_connections = 256;
  std::size_t max_request_bytes = 8 * 1024 * 1024;

  bool uses_tls() const { return !tls_certificate.empty(); }
};

struct mempool_config {
  std::size_t batch_bytes = 0; ///< default: genesis' limits.batch_bytes
  milliseconds batch_delay{5};
  std::size_t queue_bytes = 64 * 1024 * 1024;
  std::size_t queue_operations = 100'000;
};

struct consensus_config {
  milliseconds delta{500};
};

enum class log_level { trace, debug, info, warning, error, critical };
enum class log_format { text, json };

struct log_config {
  log_level level = log_level::info;
  log_format format = log_format::text;
  std::filesystem::path file; ///< empty: standard error
};

enum class ledger_durability {
  synced, ///< each commit is on stable storage before it is acknowledged
  lazy,   ///< a power loss may cost this node its newest blocks, which it fetches again
};

struct durability_config {
  ledger_durability ledger = ledger_durability::synced;
};

/// Whose key may look into this node by `tally shell`, and whether it may also act.
struct node_operator {
  std::string name;
  public_key key;
  introspection::role role{};
};

struct introspection_config {
  bool measure = true; ///< count messages and time of every actor
};

struct node_config {
  std::filesystem::path file;
  std::string node;
  node_index self = 0; ///< of `node` in `mesh`
  std::filesystem::path genesis_file;
  genesis mesh;
  std::filesystem::path data_directory;
  std::filesystem::path link_key_file, vote_key_file;
  link_config link;
  gateway_config gateway;
  mempool_config mempool;
  consensus_config consensus;
  log_config log;
  durability_config durability;
  introspection_config introspection;
  std::vector<node_operator> operators;
  /// Where each value that is no default comes from: "node.toml:12", "command line". By full
  /// key.
  std::map<std::string, std::string> origins;
};

/// Every value in force, with where it comes from, for a person; no key, no token.
struct config_value {
  std::string key, value, origin;
};
std::vector<config_value> values_of(const node_config& x);

/// Reads the file and the genesis it names. Does not open keys, tokens or data.
/// Errors: not_found, too_large, bad_config.
result<node_config> load_node(const std::filesystem::path& file);
result<node_config> parse_node(std::string_view text, const std::filesystem::path& file,
                               const file_source& read = read_file);

// What command-line flags may override; each checks as the file's reader does.
result<void> set_data_directory(node_config& out, std::string_view text);
result<void> set_link_listen(node_config& out, std::string_view text);
result<void> set_gateway_listen(node_config& out, std::string_view text);
result<void> set_log_level(node_config& out, std::string_view text);
result<void> set_log_format(node_config& out, std::string_view text);
result<void> set_ledger_durability(node_config& out, std::string_view text);

struct node_keys {
  signing_key link, vote;
};
/// Loads both keys and checks that they are the ones genesis names for this node.
/// Errors: those of signing_key::load; bad_config.
result<node_keys> load_keys(const node_config& node);

} // namespace tallymesh::configs
