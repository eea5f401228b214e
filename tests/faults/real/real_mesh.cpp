#include "tests/faults/real/real_mesh.hpp"

#include "configs/document.hpp"
#include "configs/node_config.hpp"
#include "tests/faults/real/sockets.hpp"
#include "tools/tally/mesh.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tallymesh::faults {

namespace fs = std::filesystem;

namespace {

constexpr const char* preload_library = "libtallymesh_faults_preload.so";

/// A table with a row an operation: its key is the operation's id.
constexpr const char* contract_text =
    R"(local everyone = { "level1", "level2", "level3", "service" }
return {
  contract = "faults", version = 1,
  tables = {
    entries = {
      key    = { "id" },
      fields = { id = text{max=32, min=32}, filler = text{max=4096} },
      read = everyone, store = everyone, delete = everyone, erase = everyone,
    },
  },
}
)";

error failed_to(const std::string& what, const fs::path& where) {
  return make_error(errc::storage,
                    "cannot " + what + " " + where.string() + ": " + std::strerror(errno));
}

result<void> write_text(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) return failed_to("write", file);
  return {};
}

result<std::string> read_text(const fs::path& file) { return configs::read_bounded(file); }

/// Runs `tally init` and waits for it.
result<void> run_init(const fs::path& program, const fs::path& directory,
                      const std::string& nodes, const fs::path& contract) {
  const auto log = directory.string() + ".init";
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  const char* arguments[] = {
      program.c_str(), "init",           directory.c_str(),    "--nodes", nodes.c_str(),
      "--contract",    contract.c_str(), "--operator-may-act", nullptr};
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, program.c_str(), &files, nullptr,
                                   const_cast<char* const*>(arguments), environ);
  posix_spawn_file_actions_destroy(&files);
  int status = 0;
  if (failed != 0 || ::waitpid(pid, &status, 0) != pid || status != 0)
    return make_error(errc::unavailable, "tally init failed: " + tally::last_lines(log, 1));
  fs::remove(log);
  return {};
}

/// The text between quotes after `key = ` from `at` on; empty if there is none.
std::string quoted_after(const std::string& text, const std::string& key, std::size_t at = 0) {
  const auto found = text.find(key + " = \"", at);
  if (found == text.npos) return {};
  const auto begin = found + key.size() + 4;
  return text.substr(begin, text.find('"', begin) - begin);
}

std::uint16_t port_of(const std::string& address) {
  const auto parsed = configs::endpoint::from_text(address);
  return parsed ? parsed->port : std::uint16_t{0};
}

} // namespace

result<fs::path> program_directory() {
  std::error_code code;
  const auto path = fs::read_symlink("/proc/self/exe", code).parent_path();
  if (code) return make_error(errc::unavailable, "/proc/self/exe: " + code.message());
  return path;
}

result<std::unique_ptr<real_mesh>>
real_mesh::make(std::uint16_t nodes, const fs::path& directory, const roles& who) {
  std::unique_ptr<real_mesh> made(new real_mesh(directory, who));
  if (auto done = made->set_up(nodes); !done) return done.error();
  return made;
}

real_mesh::~real_mesh() {
  for (auto& each : twins_)
    if (each.process) {
      each.process->send(SIGKILL);
      each.process->wait_for_end(std::chrono::seconds(10));
    }
  for (std::uint16_t i = 0; i < size(); ++i) {
    auto& x = nodes_[i];
    if (x.process) {
      x.process->send(SIGKILL);
      x.process->wait_for_end(std::chrono::seconds(10));
    }
    if (x.control) ::munmap(x.control, sizeof(preload_control));
  }
}

result<void> real_mesh::set_up(std::uint16_t nodes) {
  const auto programs = program_directory();
  if (!programs) return programs.error();
  std::string list;
  static constexpr const char* tiers[] = {"level1", "level2", "level3", "service"};
  for (std::uint16_t i = 0; i < nodes; ++i)
    list += (i ? "," : "") + name_of(i) + ":" + tiers[i % 4];
  const fs::path contract = directory_.string() + ".lua";
  if (auto done = write_text(contract, contract_text); !done) return done.error();
  if (auto done = run_init(*programs / "tally", directory_, list, contract); !done)
    return done.error();
  fs::remove(contract);
  auto genesis = read_text(directory_ / "genesis.toml");
  if (!genesis) return genesis.error();
  genesis_ = std::move(*genesis);
  nodes_.resize(nodes);
  for (std::uint16_t i = 0; i < nodes; ++i)
    if (auto done = read_addresses(i); !done) return done.error();
  if (auto done = prepare_traitors(); !done) return done;
  for (std::uint16_t i = 0; i < nodes; ++i) {
    auto ports = redirect(i, name_of(i), true);
    if (!ports) return ports.error();
    nodes_[i].line_ports = std::move(*ports);
    if (auto done = map_control(i); !done) return done.error();
  }
  for (const auto each : roles_.twins)
    if (auto done = prepare_twin(each); !done) return done;
  if (traitors_)
    if (auto done = traitors_->start(); !done) return done;
  return lines_.start();
}

result<void> real_mesh::prepare_traitors() {
  if (roles_.traitors.empty()) return {};
  std::vector<traitors::member> members;
  signing_domain domain;
  for (std::uint16_t i = 0; i < size(); ++i) {
    const auto config = configs::load_node(directory_of(i) / "node.toml");
    if (!config) return config.error();
    auto keys = configs::load_keys(*config);
    if (!keys) return keys.error();
    domain = config->mesh.domain();
    members.push_back({keys->link, keys->vote});
  }
  traitors_ =
      std::make_unique<traitors>(domain, std::move(members), roles_.traitors, roles_.seed);
  return {};
}

bool real_mesh::honest(std::uint16_t node) const {
  const auto& found = roles_.traitors;
  return std::find(found.begin(), found.end(), node) == found.end();
}

/// The port of a line, and between a traitor and the honest whoever bends what it says.
result<std::uint16_t> real_mesh::join(std::uint16_t from, std::uint16_t to,
                                      std::uint16_t target) {
  if (target != 0 && honest(from) != honest(to)) {
    const auto between = traitors_->stand_between(from, to, target);
    if (!between) return between.error();
    target = *between;
  }
  return lines_.add(from, to, target);
}

result<void> real_mesh::read_addresses(std::uint16_t node) {
  auto& x = nodes_[node];
  const auto at = genesis_.find("name = \"" + name_of(node) + "\"");
  x.link_port = port_of(quoted_after(genesis_, "address", at));
  const auto config = read_text(directory_of(node) / "node.toml");
  const auto tokens = read_text(directory_of(node) / "tokens");
  if (!config) return config.error();
  if (!tokens) return tokens.error();
  x.gateway.host = "127.0.0.1";
  x.gateway.port = port_of(quoted_after(*config, "listen"));
  const auto token = tokens->find("operator ");
  if (x.link_port == 0 || x.gateway.port == 0 || token == tokens->npos)
    return make_error(errc::unavailable,
                      "tally init made something unexpected in " + directory_of(node).string());
  x.gateway.token = tokens->substr(token + 9, tokens->find('\n', token) - token - 9);
  return {};
}

/// A genesis of its own for each process, in which the others' addresses are our lines;
/// addresses are no part of the chain's identity. `open`: the lines lead to someone.
result<std::vector<std::uint16_t>> real_mesh::redirect(std::uint16_t node,
                                                       const std::string& name, bool open) {
  auto genesis = genesis_;
  std::vector<std::uint16_t> ports(size());
  for (std::uint16_t peer = 0; peer < size(); ++peer) {
    if (peer == node) continue;
    const auto port =
        open ? join(node, peer, nodes_[peer].link_port) : lines_.add(node, peer, 0);
    if (!port) return port.error();
    ports[peer] = *port;
    const auto at =
        genesis.find("address = ", genesis.find("name = \"" + name_of(peer) + "\""));
    const auto end = genesis.find('\n', at);
    genesis.replace(at, end - at, "address = \"127.0.0.1:" + std::to_string(*port) + "\"");
  }
  const auto file = "genesis-" + name + ".toml";
  if (auto done = write_text(directory_ / file, genesis); !done) return done.error();
  auto config = read_text(directory_ / name / "node.toml");
  if (!config) return config.error();
  constexpr std::string_view shared = "../genesis.toml";
  const auto at = config->find(shared);
  if (at == config->npos)
    return make_error(errc::unavailable, "tally init names no genesis in " + name);
  config->replace(at, shared.size(), "../" + file);
  if (auto done = write_text(directory_ / name / "node.toml", *config); !done)
    return done.error();
  return ports;
}

/// Keys and tokens as the first process has them, ports and data of its own; its lines lead
/// nowhere until it is started.
result<void> real_mesh::prepare_twin(std::uint16_t node) {
  twin made;
  made.node = node;
  const auto name = name_of(node) + "-twin", first = name_of(node);
  std::error_code code;
  fs::copy(directory_ / first, directory_ / name, fs::copy_options::recursive, code);
  if (code) return failed_to("copy", directory_ / first);
  const auto link = free_port(), gateway = free_port();
  if (!link) return link.error();
  if (!gateway) return gateway.error();
  made.link_port = *link;
  made.gateway_port = *gateway;
  auto config = read_text(directory_ / name / "node.toml");
  if (!config) return config.error();
  const auto old = "127.0.0.1:" + std::to_string(nodes_[node].gateway.port);
  if (const auto at = config->find(old); at != config->npos)
    config->replace(at, old.size(), "127.0.0.1:" + std::to_string(*gateway));
  const auto mine = "../genesis-" + first + ".toml";
  if (const auto at = config->find(mine); at != config->npos)
    config->replace(at, mine.size(), "../genesis.toml");
  *config += "\n[link]\nlisten = \"127.0.0.1:" + std::to_string(*link) + "\"\n";
  if (auto done = write_text(directory_ / name / "node.toml", *config); !done) return done;
  auto ports = redirect(node, name, false);
  if (!ports) return ports.error();
  made.line_ports = std::move(*ports);
  twins_.push_back(std::move(made));
  return {};
}

result<void> real_mesh::turn(std::uint16_t node, byzantine_habit habit) {
  if (habit != byzantine_habit::twin) {
    traitors_->turn(node, habit);
    return {};
  }
  for (auto& each : twins_)
    if (each.node == node && !each.process) return start_twin(each);
  return {};
}

/// Every second one of the others now finds the twin where the first was, and is found by it.
result<void> real_mesh::start_twin(twin& x) {
  const auto directory = directory_ / (name_of(x.node) + "-twin");
  if (auto copied = copy_disk(x.node, directory / "data"); !copied) return copied;
  const auto programs = program_directory();
  if (!programs) return programs.error();
  for (std::uint16_t peer = 0; peer < size(); peer += 2) {
    if (peer == x.node) continue;
    lines_.lead_to(nodes_[x.node].line_ports[peer], 0);
    lines_.lead_to(x.line_ports[peer], nodes_[peer].link_port);
    lines_.lead_to(nodes_[peer].line_ports[x.node], x.link_port);
  }
  const auto library = "LD_PRELOAD=" + (*programs / preload_library).string();
  auto started =
      tally::node_process::start(directory, {library, std::string(leash_variable) + "=1"});
  if (!started) return started.error();
  x.process.emplace(std::move(*started));
  return {};
}

void real_mesh::banish() {
  for (auto& each : twins_)
    if (each.process) {
      each.process->send(SIGKILL);
      each.process->wait_for_end(std::chrono::seconds(30));
      each.process.reset();
    }
  for (const auto each : roles_.traitors)
    end(each);
}

result<void> real_mesh::map_control(std::uint16_t node) {
  const auto file = directory_of(node) / "faults";
  const int number = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (number < 0 || ::ftruncate(number, sizeof(preload_control)) != 0)
    return failed_to("make", file);
  void* at =
      ::mmap(nullptr, sizeof(preload_control), PROT_READ | PROT_WRITE, MAP_SHARED, number, 0);
  ::close(number);
  if (at == MAP_FAILED) return failed_to("map", file);
  nodes_[node].control = new (at) preload_control;
  nodes_[node].control->gateway_port = nodes_[node].gateway.port;
  return {};
}

std::vector<std::string> real_mesh::environment_of(std::uint16_t node,
                                                   const fs::path& programs) const {
  const auto here = fs::weakly_canonical(directory_of(node));
  std::vector<std::string> made{"LD_PRELOAD=" + (programs / preload_library).string(),
                                std::string(control_variable) + "="
                                    + (here / "faults").string(),
                                std::string(data_variable) + "=" + (here / "data").string(),
                                std::string(leash_variable) + "=1"};
  if (const auto& file = nodes_[node].record; !file.empty())
    made.push_back(std::string(record_variable) + "=" + file.string());
  return made;
}

result<void> real_mesh::start(std::uint16_t node) {
  auto& x = nodes_[node];
  if (running(node)) return {};
  const auto programs = program_directory();
  if (!programs) return programs.error();
  auto started =
      tally::node_process::start(directory_of(node), environment_of(node, *programs));
  if (!started) return started.error();
  x.process.emplace(std::move(*started));
  x.stopped = false;
  return {};
}

bool real_mesh::running(std::uint16_t node) {
  auto& x = nodes_[node];
  if (!x.process) return false;
  peak_memory(node);
  if (!x.process->wait_for_end(std::chrono::milliseconds(0))) return true;
  x.process.reset();
  x.stopped = false;
  return false;
}

void real_mesh::kill(std::uint16_t node) {
  if (!running(node)) return;
  end(node);
  ++kills_;
}

void real_mesh::end(std::uint16_t node) {
  auto& x = nodes_[node];
  if (!x.process) return;
  x.process->send(SIGKILL);
  x.process->wait_for_end(std::chrono::seconds(30));
  x.process.reset();
  x.stopped = false;
}

void real_mesh::stop(std::uint16_t node) {
  if (running(node)) nodes_[node].stopped = nodes_[node].process->send(SIGSTOP);
}

void real_mesh::carry_on(std::uint16_t node) {
  if (!running(node)) return;
  nodes_[node].process->send(SIGCONT);
  nodes_[node].stopped = false;
}

void real_mesh::lose_vote_log(std::uint16_t node) {
  kill(node);
  std::error_code ignored;
  fs::remove_all(directory_of(node) / "data" / "votes", ignored);
}

result<void> real_mesh::copy_disk(std::uint16_t node, const fs::path& to) {
  const bool ran = running(node) && !stopped(node);
  if (ran) stop(node); // so that the copy is what a disk holds at one moment
  std::error_code code;
  fs::remove_all(to, code);
  fs::copy(directory_of(node) / "data", to, fs::copy_options::recursive, code);
  if (ran) carry_on(node);
  if (code) return failed_to("copy", to);
  return {};
}

result<void> real_mesh::restore(std::uint16_t node, const fs::path& from) {
  kill(node);
  const auto data = directory_of(node) / "data";
  std::error_code code;
  fs::remove_all(data, code);
  fs::copy(from, data, fs::copy_options::recursive, code);
  if (code) return failed_to("copy", data);
  fs::remove_all(data / "votes", code);
  return {};
}

std::uint64_t real_mesh::peak_memory(std::uint16_t node) {
  auto& x = nodes_[node];
  if (x.process)
    if (const auto used = tally::usage_of(x.process->pid()))
      x.peak_memory = std::max(x.peak_memory, used->peak_memory_bytes);
  return x.peak_memory;
}

} // namespace tallymesh::faults
