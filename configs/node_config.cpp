#include "configs/node_config.hpp"

#include "messages/limits.hpp"

namespace tallymesh::configs {

namespace {

constexpr std::int64_t mebibyte = 1024 * 1024;

const std::vector<std::pair<std::string_view, log_level>> log_levels = {
    {"trace", log_level::trace}, {"debug", log_level::debug},
    {"info", log_level::info},   {"warning", log_level::warning},
    {"error", log_level::error}, {"critical", log_level::critical}};
const std::vector<std::pair<std::string_view, log_format>> log_formats = {
    {"text", log_format::text}, {"json", log_format::json}};
const std::vector<std::pair<std::string_view, ledger_durability>> durabilities = {
    {"synced", ledger_durability::synced}, {"lazy", ledger_durability::lazy}};

void read_duration(section& from, std::string_view key, milliseconds& out, std::int64_t least,
                   std::int64_t most) {
  auto count = out.count();
  from.number(key, count, least, most);
  out = milliseconds(count);
}

void read_link(section from, link_config& out) {
  from.address("listen", out.listen, presence::optional);
  read_duration(from, "handshake_timeout_ms", out.handshake_timeout, 100, 60'000);
  read_duration(from, "heartbeat_ms", out.heartbeat, 50, 60'000);
  read_duration(from, "peer_timeout_ms", out.peer_timeout, 100, 600'000);
  read_duration(from, "reconnect_min_ms", out.reconnect_min, 10, 60'000);
  read_duration(from, "reconnect_max_ms", out.reconnect_max, 10, 600'000);
  // A frame must fit, or a full-sized one could never be sent.
  from.number("queue_bytes", out.queue_bytes, limits::max_frame_bytes, 1024 * mebibyte);
  if (out.peer_timeout < 2 * out.heartbeat)
    from.fail("peer_timeout_ms", "is " + std::to_string(out.peer_timeout.count())
                                     + ", expected at least twice heartbeat_ms, "
                                     + std::to_string(2 * out.heartbeat.count()));
  if (out.reconnect_max < out.reconnect_min)
    from.fail("reconnect_max_ms", "is " + std::to_string(out.reconnect_max.count())
                                      + ", expected at least reconnect_min_ms, "
                                      + std::to_string(out.reconnect_min.count()));
}

std::string plain_outside(const endpoint& listen) {
  return "is " + in_quotes(listen.to_text())
         + ", expected a loopback address such as 127.0.0.1, because without tls_certificate "
           "and"
           " tls_key tokens would travel in plain text";
}

void read_gateway(section from, gateway_config& out) {
  from.address("listen", out.listen, presence::optional);
  from.path("tls_certificate", out.tls_certificate, presence::optional);
  from.path("tls_key", out.tls_key, presence::optional);
  from.path("tokens_file", out.tokens_file, presence::required);
  from.number("max_connections", out.max_connections, 1, 65'536);
  from.number("max_request_bytes", out.max_request_bytes, 4096, 64 * mebibyte);
  if (out.tls_certificate.empty() != out.tls_key.empty())
    from.fail(out.tls_key.empty() ? "tls_key" : "tls_certificate",
              "is missing, expected both tls_certificate and tls_key or neither");
  if (!out.uses_tls() && !out.listen.is_loopback())
    from.fail("listen", plain_outside(out.listen));
}

void read_mempool(section from, mempool_config& out, const genesis_limits& mesh) {
  out.batch_bytes = mesh.batch_bytes;
  from.number("batch_bytes", out.batch_bytes, 1024, mesh.batch_bytes);
  read_duration(from, "batch_delay_ms", out.batch_delay, 0, 10'000);
  from.number("queue_bytes", out.queue_bytes, mebibyte, 4096 * mebibyte);
  from.number("queue_operations", out.queue_operations, 1, 10'000'000);
}

void read_log(section from, log_config& out) {
  from.choice("level", out.level, presence::optional, log_levels);
  from.choice("format", out.format, presence::optional, log_formats);
  from.path("file", out.file, presence::optional);
}

const std::vector<std::pair<std::string_view, introspection::role>> roles = {
    {"read", introspection::role::read}, {"control", introspection::role::control}};

/// An operator's key is no node's: what it says must never be taken for a node's word.
void read_operators(const section& root, node_config& out) {
  constexpr std::size_t most = 64;
  for (auto& each : root.tables("operator", most, {"name", "key", "role"})) {
    node_operator x;
    std::string key;
    each.name("name", x.name);
    each.text("key", key, presence::required, 64);
    each.choice("role", x.role, presence::required, roles);
    if (root.state().failure) return;
    const auto read = public_key::from_hex(key);
    if (!read)
      return each.fail("key", "is " + in_quotes(key) + ", expected 64 hexadecimal characters");
    x.key = *read;
    for (const auto& node : out.mesh.nodes)
      if (node.link_key == x.key || node.vote_key == x.key)
        return each.fail("key", "is a key of the node " + node.name
                                    + ", expected a key that no node has");
    for (const auto& other : out.operators)
      if (other.key == x.key || other.name == x.name)
        return each.fail(other.key == x.key ? "key" : "name",
                         "is that of another operator, expected names and keys that differ");
    out.operators.push_back(std::move(x));
  }
}

void read_identity(section& root, node_config& out, const file_source& read) {
  root.name("node", out.node);
  root.path("genesis", out.genesis_file, presence::required);
  root.path("data_directory", out.data_directory, presence::required);
  root.path("link_key_file", out.link_key_file, presence::required);
  root.path("vote_key_file", out.vote_key_file, presence::required);
  if (root.state().failure) return;
  auto text = read(out.genesis_file);
  if (!text) return root.fail("genesis", text.error().context);
  auto mesh = parse_genesis(*text, out.genesis_file, read);
  if (!mesh) {
    // The genesis file's own line says it all.
    root.state().failure = mesh.error();
    return;
  }
  out.mesh = std::move(*mesh);
  const auto self = out.mesh.index_of(out.node);
  if (!self) {
    std::string names;
    for (const auto& each : out.mesh.nodes)
      (names += names.empty() ? "" : ", ") += each.name;
    return root.fail("node", "is " + in_quotes(out.node) + ", expected a node of "
                                 + out.genesis_file.string() + ": " + names.substr(0, 200));
  }
  out.self = *self;
  out.link.listen = out.mesh.nodes[*self].address;
}

} // namespace

result<node_config> parse_node(std::string_view text, const std::filesystem::path& file,
                               const file_source& read) {
  const auto document = parse_toml(text, file.string());
  if (!document) return document.error();
  reading state{file.string(), {}};
  section root(state, *document, "", 1,
               {"node", "genesis", "data_directory", "link_key_file", "vote_key_file", "link",
                "gateway", "mempool", "consensus", "log", "durability", "introspection",
                "operator"});
  auto link =
      root.table("link", {"listen", "handshake_timeout_ms", "heartbeat_ms", "peer_timeout_ms",
                          "reconnect_min_ms", "reconnect_max_ms", "queue_bytes"});
  auto gateway = root.table("gateway", {"listen", "tls_certificate", "tls_key", "tokens_file",
                                        "max_connections", "max_request_bytes"});
  auto mempool = root.table(
      "mempool", {"batch_bytes", "batch_delay_ms", "queue_bytes", "queue_operations"});
  auto consensus = root.table("consensus", {"delta_ms"});
  auto log = root.table("log", {"level", "format", "file"});
  auto durability = root.table("durability", {"ledger"});
  auto introspection = root.table("introspection", {"measure"});

  node_config out;
  out.file = file;
  read_identity(root, out, read);
  if (state.failure) return std::move(*state.failure);
  read_link(link, out.link);
  read_gateway(gateway, out.gateway);
  read_mempool(mempool, out.mempool, out.mesh.limits);
  read_duration(consensus, "delta_ms", out.consensus.delta, 10, 60'000);
  read_log(log, out.log);
  durability.choice("ledger", out.durability.ledger, presence::optional, durabilities);
  introspection.flag("measure", out.introspection.measure);
  read_operators(root, out);
  if (state.failure) return std::move(*state.failure);
  for (const auto& [key, line] : state.lines)
    out.origins[key] = file.filename().string() + ":" + std::to_string(line);
  return out;
}

result<node_config> load_node(const std::filesystem::path& file) {
  const auto text = read_file(file);
  if (!text) return text.error();
  return parse_node(*text, file);
}

// --- overrides

static constexpr const char* from_command_line = "command line";

template <class E>
static result<void> set_choice(node_config& config, E& out, std::string_view name,
                               std::string_view text,
                               const std::vector<std::pair<std::string_view, E>>& choices) {
  std::string expected;
  for (const auto& [each, meaning] : choices) {
    if (each == text) {
      out = meaning;
      config.origins[std::string(name)] = from_command_line;
      return {};
    }
    (expected += expected.empty() ? "" : ", ") += each;
  }
  return make_error(errc::bad_config, std::string(name) + ": is " + in_quotes(text)
                                          + ", expected one of: " + expected);
}

static result<endpoint> parse_endpoint(std::string_view name, std::string_view text) {
  if (auto parsed = endpoint::from_text(text)) return std::move(*parsed);
  return make_error(errc::bad_config,
                    std::string(name) + ": is " + in_quotes(text)
                        + ", expected \"host:port\" with a port of 1 to 65535");
}

result<void> set_data_directory(node_config& out, std::string_view text) {
  if (text.empty() || text.size() > 4096)
    return make_error(errc::bad_config, "data_directory: expected a path of 1 to 4096 bytes");
  out.data_directory = text;
  out.origins["data_directory"] = from_command_line;
  return {};
}

result<void> set_link_listen(node_config& out, std::string_view text) {
  auto parsed = parse_endpoint("link.listen", text);
  if (!parsed) return parsed.error();
  out.link.listen = std::move(*parsed);
  out.origins["link.listen"] = from_command_line;
  return {};
}

result<void> set_gateway_listen(node_config& out, std::string_view text) {
  auto parsed = parse_endpoint("gateway.listen", text);
  if (!parsed) return parsed.error();
  if (!out.gateway.uses_tls() && !parsed->is_loopback())
    return make_error(errc::bad_config, "gateway.listen: " + plain_outside(*parsed));
  out.gateway.listen = std::move(*parsed);
  out.origins["gateway.listen"] = from_command_line;
  return {};
}

result<void> set_log_level(node_config& out, std::string_view text) {
  return set_choice(out, out.log.level, "log.level", text, log_levels);
}

result<void> set_log_format(node_config& out, std::string_view text) {
  return set_choice(out, out.log.format, "log.format", text, log_formats);
}

result<void> set_ledger_durability(node_config& out, std::string_view text) {
  return set_choice(out, out.durability.ledger, "durability.ledger", text, durabilities);
}

// --- keys

static result<signing_key> load_key(const std::filesystem::path& file,
                                    const public_key& expected, const node_config& node,
                                    std::string_view name) {
  auto key = signing_key::load(file);
  if (key && key->public_part() != expected)
    return make_error(errc::bad_config,
                      file.string() + ": its public key is " + key->public_part().hex()
                          + ", but " + node.genesis_file.string() + " expects " + expected.hex()
                          + " as " + node.node + "'s " + std::string(name));
  return key;
}

result<node_keys> load_keys(const node_config& node) {
  const auto& self = node.mesh.nodes[node.self];
  auto link = load_key(node.link_key_file, self.link_key, node, "link_key");
  if (!link) return link.error();
  auto vote = load_key(node.vote_key_file, self.vote_key, node, "vote_key");
  if (!vote) return vote.error();
  return node_keys{std::move(*link), std::move(*vote)};
}

// --- what is in force

template <class E>
static std::string name_in(const std::vector<std::pair<std::string_view, E>>& choices, E x) {
  for (const auto& [name, each] : choices)
    if (each == x) return std::string(name);
  return "?";
}

std::vector<config_value> values_of(const node_config& x) {
  std::vector<config_value> out;
  const auto add = [&](std::string key, std::string text, const char* otherwise = "default") {
    const auto from = x.origins.find(key);
    auto origin = from != x.origins.end() ? from->second : std::string(otherwise);
    out.push_back({std::move(key), std::move(text), std::move(origin)});
  };
  const auto number = [](auto n) { return std::to_string(n); };
  add("node", x.node);
  add("genesis", x.genesis_file.string());
  add("data_directory", x.data_directory.string());
  add("link_key_file", x.link_key_file.string());
  add("vote_key_file", x.vote_key_file.string());
  add("link.listen", x.link.listen.to_text(), "genesis");
  add("link.handshake_timeout_ms", number(x.link.handshake_timeout.count()));
  add("link.heartbeat_ms", number(x.link.heartbeat.count()));
  add("link.peer_timeout_ms", number(x.link.peer_timeout.count()));
  add("link.reconnect_min_ms", number(x.link.reconnect_min.count()));
  add("link.reconnect_max_ms", number(x.link.reconnect_max.count()));
  add("link.queue_bytes", number(x.link.queue_bytes));
  add("gateway.listen", x.gateway.listen.to_text());
  add("gateway.tls_certificate", x.gateway.tls_certificate.string());
  add("gateway.tls_key", x.gateway.tls_key.string());
  add("gateway.tokens_file", x.gateway.tokens_file.string());
  add("gateway.max_connections", number(x.gateway.max_connections));
  add("gateway.max_request_bytes", number(x.gateway.max_request_bytes));
  add("mempool.batch_bytes", number(x.mempool.batch_bytes), "genesis");
  add("mempool.batch_delay_ms", number(x.mempool.batch_delay.count()));
  add("mempool.queue_bytes", number(x.mempool.queue_bytes));
  add("mempool.queue_operations", number(x.mempool.queue_operations));
  add("consensus.delta_ms", number(x.consensus.delta.count()));
  add("log.level", name_in(log_levels, x.log.level));
  add("log.format", name_in(log_formats, x.log.format));
  add("log.file", x.log.file.empty() ? "standard error" : x.log.file.string());
  add("durability.ledger", name_in(durabilities, x.durability.ledger));
  add("introspection.measure", x.introspection.measure ? "true" : "false");
  for (std::size_t i = 0; i < x.operators.size(); ++i) {
    const auto prefix = "operator[" + std::to_string(i) + "].";
    add(prefix + "name", x.operators[i].name);
    add(prefix + "key", x.operators[i].key.hex());
    add(prefix + "role", std::string(to_string(x.operators[i].role)));
  }
  return out;
}

} // namespace tallymesh::configs
