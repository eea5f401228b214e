// `tally init`: makes a mesh's genesis, keys, tokens and configs in a new directory.
#include "contracts/contract.hpp"
#include "contracts/program.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <set>
#include <sys/socket.h>
#include <unistd.h>

namespace tallymesh::tally {

namespace fs = std::filesystem;

namespace {

constexpr const char* account_name = "operator";

struct init_options {
  std::string directory;
  std::string nodes = "hq:level1,coop:level2,platform:level3,service:service";
  std::string host = "127.0.0.1";
  std::string name;
  std::vector<std::string> contracts;
  bool operator_may_act = false;
};

struct planned_node {
  std::string name;
  configs::tier tier{};
  std::uint16_t link_port = 0, gateway_port = 0;
};

error failed_to(std::string_view what, const fs::path& file) {
  return make_error(errc::storage, "cannot " + std::string(what) + " " + file.string() + ": "
                                       + std::strerror(errno));
}

result<std::vector<planned_node>> parsed_nodes(std::string_view text) {
  std::vector<planned_node> out;
  std::set<std::string> names;
  while (!text.empty()) {
    const auto item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const auto colon = item.find(':');
    planned_node node;
    node.name = item.substr(0, colon);
    const auto tier =
        configs::tier_from_text(colon == item.npos ? "level3" : item.substr(colon + 1));
    if (!configs::is_name(node.name) || !tier || !names.insert(node.name).second)
      return make_error(
          errc::bad_config,
          "--nodes holds " + configs::in_quotes(item)
              + ", expected NAME:TIER with a name of its own (a-z, 0-9, -) and a tier of"
                " level1, level2, level3, service");
    node.tier = *tier;
    out.push_back(std::move(node));
  }
  if (out.size() == 1 || (out.size() >= 4 && out.size() <= limits::max_nodes)) return out;
  return make_error(errc::bad_config, "--nodes names " + std::to_string(out.size())
                                          + " nodes, expected 1 (for development) or 4 to "
                                          + std::to_string(limits::max_nodes));
}

/// Ports that nobody uses, bound until the last is known. Below those that the kernel gives to
/// outgoing connections: there, dialling a node that is down can end up connected to itself, or
/// another connection can hold the node's port when it comes back.
class free_ports {
public:
  free_ports() {
    std::ifstream in("/proc/sys/net/ipv4/ip_local_port_range");
    int first = 0;
    if (in >> first && first > least_ + 1000 && first <= 65'536) end_ = first;
  }
  ~free_ports() {
    for (const auto each : sockets_)
      ::close(each);
  }
  free_ports(const free_ports&) = delete;
  free_ports& operator=(const free_ports&) = delete;

  result<std::uint16_t> take() {
    constexpr int tries = 1000;
    for (int i = 0; i < tries; ++i)
      if (const auto port = bound(random_port())) return *port;
    // Nearly all are taken: then any that the kernel finds.
    if (const auto port = bound(0)) return *port;
    return make_error(errc::unavailable,
                      std::string("the system gives no free port: ") + std::strerror(errno));
  }

private:
  std::uint16_t random_port() const {
    std::array<std::uint8_t, 4> raw{};
    random_bytes(raw);
    std::uint32_t number = 0;
    std::memcpy(&number, raw.data(), raw.size());
    return static_cast<std::uint16_t>(
        least_ + static_cast<int>(number % static_cast<std::uint32_t>(end_ - least_)));
  }
  std::optional<std::uint16_t> bound(std::uint16_t port) {
    const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (number < 0) return std::nullopt;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(number, raw, size) != 0 || ::getsockname(number, raw, &size) != 0) {
      ::close(number);
      return std::nullopt;
    }
    sockets_.push_back(number);
    return ntohs(address.sin_port);
  }

  static constexpr int least_ = 10'000;
  int end_ = 32'768; ///< the first port that the kernel gives away by itself
  std::vector<int> sockets_;
};

result<void> write_file(const fs::path& file, std::string_view text, mode_t mode) {
  const int number = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (number < 0) return failed_to("create", file);
  bool written = true;
  while (written && !text.empty()) {
    const auto count = ::write(number, text.data(), text.size());
    written = count > 0 || (count < 0 && errno == EINTR);
    text.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  // Keys and genesis made here may be the only copy: they must survive a power loss.
  written = written && ::fsync(number) == 0;
  const auto outcome = written ? result<void>{} : result<void>{failed_to("write", file)};
  ::close(number);
  return outcome;
}

result<void> make_directory(const fs::path& directory, fs::perms mode) {
  std::error_code code;
  fs::create_directories(directory, code);
  if (!code) fs::permissions(directory, mode, code);
  if (code)
    return make_error(errc::storage, "cannot make the directory " + directory.string() + ": "
                                         + code.message());
  return {};
}

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text)
    (out += c == '"' || c == '\\' ? "\\" : "") += c;
  return out += '"';
}

std::string now_text() {
  const auto now = std::time(nullptr);
  std::tm parts{};
  char text[32];
  ::gmtime_r(&now, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

struct contract_entry {
  std::string name, file;
  digest source;
};

result<contract_entry> add_contract(const fs::path& directory, const std::string& file) {
  const auto source = configs::read_bounded(file);
  if (!source) return source.error();
  const auto parsed = contracts::parse(*source, file);
  if (!parsed) return parsed.error();
  contract_entry out{parsed->name, "contracts/" + parsed->name + ".lua",
                     hash(digest_kind::contract, as_bytes(*source))};
  if (auto written = write_file(directory / out.file, *source, 0644); !written) {
    if (errno == EEXIST)
      return make_error(errc::conflict,
                        file + ": the contract " + parsed->name + " is given twice");
    return written.error();
  }
  return out;
}

std::string genesis_entry(const init_options& options, const planned_node& node,
                          const public_key& link, const public_key& vote) {
  const configs::endpoint address{options.host, node.link_port};
  return "\n[[node]]\nname = " + toml_quoted(node.name) + "\ntier = "
         + toml_quoted(to_string(node.tier)) + "\naddress = " + toml_quoted(address.to_text())
         + "\nlink_key = " + toml_quoted(link.hex()) + "\nvote_key = " + toml_quoted(vote.hex())
         + "\n\n[[account]]\nname = " + toml_quoted(account_name)
         + "\nnode = " + toml_quoted(node.name) + "\n";
}

std::string node_toml(const planned_node& node, const public_key& operator_key, bool may_act) {
  return "# The node " + node.name
         + ". configs/README.md describes every key; paths are relative to this file.\n"
           "node = "
         + toml_quoted(node.name)
         + "\n"
           "genesis = \"../genesis.toml\"\n"
           "data_directory = \"data\"\n"
           "link_key_file = \"link.key\"\n"
           "vote_key_file = \"vote.key\"\n"
           "\n[gateway]\n"
           "listen = \"127.0.0.1:"
         + std::to_string(node.gateway_port)
         + "\"\n"
           "tokens_file = \"tokens\"\n"
           "\n[log]\n"
           "level = \"info\"\n"
           "\n# Who may look into this node by `tally shell` (role read), or also act there "
           "(control): operator.key beside genesis.toml.\n"
           "[[operator]]\n"
           "name = \"operator\"\n"
           "key = \""
         + operator_key.hex()
         + "\"\n"
           "role = \""
         + (may_act ? "control" : "read") + "\"\n";
}

std::string token_line() {
  std::array<std::uint8_t, 32> raw{};
  random_bytes(raw);
  return "# account and bearer token; who has the token acts as the account\n"
         + std::string(account_name) + " " + to_hex(raw) + "\n";
}

/// The node's directory with keys, tokens and config. Returns its part of genesis.
result<std::string> make_node(const init_options& options, const planned_node& node,
                              const public_key& operator_key) {
  const auto directory = fs::path(options.directory) / node.name;
  if (auto made = make_directory(directory, fs::perms::owner_all); !made) return made.error();
  const auto link = signing_key::generate(), vote = signing_key::generate();
  if (auto saved = link.save(directory / "link.key"); !saved) return saved.error();
  if (auto saved = vote.save(directory / "vote.key"); !saved) return saved.error();
  if (auto saved = write_file(directory / "tokens", token_line(), 0600); !saved)
    return saved.error();
  if (auto saved = write_file(directory / "node.toml",
                              node_toml(node, operator_key, options.operator_may_act), 0644);
      !saved)
    return saved.error();
  return genesis_entry(options, node, link.public_part(), vote.public_part());
}

result<void> refuse_existing(const fs::path& directory) {
  std::error_code code;
  if (!fs::exists(directory, code)) return {};
  if (fs::is_directory(directory, code) && fs::is_empty(directory, code) && !code) return {};
  const bool mesh = fs::exists(directory / "genesis.toml", code);
  return make_error(
      errc::conflict,
      directory.string() + (mesh ? " holds a mesh already: " : " is not empty: ")
          + "nothing was changed; choose another directory, or remove it yourself");
}

result<std::vector<planned_node>> make_mesh(const init_options& options) {
  const fs::path directory = options.directory;
  auto nodes = parsed_nodes(options.nodes);
  if (!nodes) return nodes.error();
  if (!configs::endpoint::from_text(configs::endpoint{options.host, 1}.to_text()))
    return make_error(errc::bad_config, "--host is " + configs::in_quotes(options.host)
                                            + ", expected a host name or an address");
  if (!configs::is_name(options.name))
    return make_error(errc::bad_config, "--name is " + configs::in_quotes(options.name)
                                            + ", expected a-z, 0-9 and -, a letter first");
  if (auto free = refuse_existing(directory); !free) return free.error();
  free_ports ports;
  for (auto& each : *nodes)
    for (auto* port : {&each.link_port, &each.gateway_port}) {
      const auto taken = ports.take();
      if (!taken) return taken.error();
      *port = *taken;
    }
  if (auto made =
          make_directory(directory / "contracts",
                         fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec
                             | fs::perms::others_read | fs::perms::others_exec);
      !made)
    return made.error();

  std::string genesis = "# What every node of this mesh agrees on: all nodes hold the same "
                        "file, and none may change it.\n"
                        "# configs/README.md describes every key.\nmesh = "
                        + toml_quoted(options.name)
                        + "\nepoch = 1\ncreated = " + toml_quoted(now_text())
                        + "\n\n[vm]\nversion = " + toml_quoted(contracts::vm_version())
                        + "\ndigest = " + toml_quoted(contracts::vm_digest().hex()) + "\n";
  const auto operator_key = signing_key::generate();
  if (auto saved = operator_key.save(directory / "operator.key"); !saved) return saved.error();
  for (const auto& each : *nodes) {
    const auto entry = make_node(options, each, operator_key.public_part());
    if (!entry) return entry.error();
    genesis += *entry;
  }
  for (const auto& each : options.contracts) {
    const auto entry = add_contract(directory, each);
    if (!entry) return entry.error();
    genesis += "\n[[contract]]\nname = " + toml_quoted(entry->name)
               + "\nfile = " + toml_quoted(entry->file)
               + "\ndigest = " + toml_quoted(entry->source.hex()) + "\n";
  }
  // Last, so that a directory with a genesis is a whole mesh.
  if (auto written = write_file(directory / "genesis.toml", genesis, 0644); !written)
    return written.error();
  return nodes;
}

/// What was begun and failed is taken back, unless something else was there.
void take_back(const fs::path& directory, bool existed) {
  std::error_code ignored;
  if (!existed)
    fs::remove_all(directory, ignored);
  else
    for (const auto& each : fs::directory_iterator(directory, ignored))
      fs::remove_all(each.path(), ignored);
}

exit_code run_init(const init_options& options, const invocation& told) {
  const fs::path directory = options.directory;
  std::error_code ignored;
  const bool existed = fs::exists(directory, ignored);
  if (auto free = refuse_existing(directory); !free) return report(free.error());
  const auto nodes = make_mesh(options);
  if (!nodes) {
    take_back(directory, existed);
    return report(nodes.error());
  }
  const auto mesh = configs::load_genesis(directory / "genesis.toml");
  if (!mesh) return report(mesh.error());
  if (told.json()) {
    json::array list;
    for (const auto& each : *nodes)
      list.push_back({{"node", each.name},
                      {"tier", to_string(each.tier)},
                      {"link_port", each.link_port},
                      {"gateway_port", each.gateway_port}});
    print_json(json::value{{"mesh", options.name},
                           {"directory", directory.string()},
                           {"chain", mesh->chain.hex()},
                           {"nodes", std::move(list)}});
    return exit_code::ok;
  }
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *nodes)
    lines.push_back({each.name, std::string(to_string(each.tier)),
                     options.host + ":" + std::to_string(each.link_port),
                     "http://127.0.0.1:" + std::to_string(each.gateway_port)});
  print_table(std::cout, {{"node"}, {"tier"}, {"link"}, {"gateway"}}, lines);
  std::cout << "\nchain " << mesh->chain.hex() << "\n\nNext:\n";
  if (options.contracts.empty())
    std::cout
        << "  (this mesh has no contract, so it holds no tables: --contract FILE adds one)\n";
  std::cout << "  tally up " << directory.string() << "\n  tally status " << directory.string()
            << "\n  tally store FILE --table CONTRACT.TABLE --mesh " << directory.string()
            << '\n';
  return exit_code::ok;
}

} // namespace

void add_init(command& program) {
  const auto options = std::make_shared<init_options>();
  auto& init = program.add("init",
                           "Make a new mesh in a new directory.\n"
                           "Makes genesis, operator.key for `tally shell`, and a directory "
                           "a node with its config, keys\nand a token for its account "
                           "`operator`. Never overwrites anything.",
                           {"tally init mesh --contract contracts/library/divisions.lua",
                            "tally init dev --nodes solo:level1 --contract orders.lua",
                            "tally init mesh --nodes "
                            "hq:level1,east:level2,west:level2,shop:level3 --host 10.0.0.5"});
  init.argument("DIR", options->directory, "Directory to make");
  init.option("--nodes", options->nodes,
              "NAME:TIER of each node; tiers: level1, level2, level3, service");
  init.option("--host", options->host, "Host or address at which the nodes reach each other");
  init.option("--name", options->name, "The mesh's name (default: mesh)");
  init.option("--contract", options->contracts,
              "Contract file to start with; may be given several times");
  init.flag("--operator-may-act", options->operator_may_act,
            "Let operator.key kill, pause and cut, too; else it may only look");
  init.on_run([options](const invocation& told) {
    if (options->name.empty()) options->name = "mesh";
    return run_init(*options, told);
  });
}

} // namespace tallymesh::tally
