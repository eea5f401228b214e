#include "tools/tally/processes.hpp"

#include "configs/document.hpp"
#include "tools/tally/mesh.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

// glibc 2.36 forgets to say that these have C linkage.
extern "C" {
#include <sys/pidfd.h>
}

namespace tallymesh::tally {

namespace fs = std::filesystem;

namespace {

fs::path proc(pid_t pid, const char* what) {
  return fs::path("/proc") / std::to_string(pid) / what;
}

fs::path config_file(const fs::path& node_directory) {
  std::error_code code;
  return fs::weakly_canonical(fs::absolute(node_directory, code), code) / "node.toml";
}

// The executable's name (with " (deleted)" after a rebuild) and its config: a pid that was
// given to another program since, or to another mesh's tallyd, does not match.
bool is_tallyd_of(pid_t pid, const fs::path& node_directory) {
  std::error_code code;
  const auto name = fs::read_symlink(proc(pid, "exe"), code).filename().string();
  if (code || (name != "tallyd" && name != "tallyd (deleted)")) return false;
  std::ifstream in(proc(pid, "cmdline"), std::ios::binary);
  const auto wanted = config_file(node_directory).string();
  for (std::string argument; std::getline(in, argument, '\0');)
    if (argument == wanted) return true;
  return false;
}

result<fs::path> tallyd_path() {
  std::error_code code;
  const auto beside = fs::read_symlink("/proc/self/exe", code).parent_path() / "tallyd";
  if (!code && ::access(beside.c_str(), X_OK) == 0) return beside;
  return make_error(errc::not_found, "there is no program " + beside.string()
                                         + ": build it, or put tallyd beside tally");
}

} // namespace

node_process::~node_process() {
  if (handle_ >= 0) ::close(handle_);
}

std::optional<node_process> node_process::find(const fs::path& node_directory) {
  const auto text = configs::read_bounded(pid_file(node_directory), 64);
  if (!text) return std::nullopt;
  pid_t pid = 0;
  std::from_chars(text->data(), text->data() + text->size(), pid);
  if (pid <= 1) return std::nullopt;
  const int handle = ::pidfd_open(pid, 0);
  if (handle < 0) return std::nullopt;
  node_process found(pid, handle);
  // Checked after the handle was taken, so that both mean one process; one that ended has no
  // exe.
  if (!is_tallyd_of(pid, node_directory)) return std::nullopt;
  return found;
}

result<node_process> node_process::start(const fs::path& node_directory,
                                         const std::vector<std::string>& environment) {
  const auto program = tallyd_path();
  if (!program) return program.error();
  const auto log = log_file(node_directory);
  const auto config = config_file(node_directory).string();

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0640);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // Its own session: closing the terminal does not end the node.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  const char* arguments[] = {program->c_str(), "--config", config.c_str(), nullptr};
  std::vector<char*> variables;
  for (const auto& each : environment)
    variables.push_back(const_cast<char*>(each.c_str()));
  for (char** each = environ; *each; ++each)
    variables.push_back(*each);
  variables.push_back(nullptr);
  pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, program->c_str(), &files, &attributes,
                                   const_cast<char* const*>(arguments), variables.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return make_error(errc::storage, "cannot start " + program->string() + " with its log in "
                                         + log.string() + ": " + std::strerror(failed));
  node_process started(pid, ::pidfd_open(pid, 0));
  std::ofstream(pid_file(node_directory), std::ios::trunc) << pid << '\n';
  return started;
}

bool node_process::send(int signal) const {
  return ::pidfd_send_signal(handle_, signal, nullptr, 0) == 0;
}

bool node_process::wait_for_end(std::chrono::milliseconds limit) const {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd waiting{handle_, POLLIN, 0};
    const int ready =
        ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready > 0) {
      // Takes the exit status if it was this process that started it.
      ::waitpid(pid_, nullptr, WNOHANG);
      return true;
    }
    if (ready == 0) return false;
    if (errno != EINTR) return false;
  }
}

std::optional<process_usage> usage_of(pid_t pid) {
  process_usage out;
  std::ifstream status(proc(pid, "status"));
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0)
      out.peak_memory_bytes = std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  std::ifstream stat(proc(pid, "stat"));
  std::string text;
  if (!std::getline(stat, text) || text.rfind(')') == std::string::npos) return std::nullopt;
  // After the name in parentheses: state is field 3, utime 14, stime 15.
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i)
    fields >> skipped;
  std::uint64_t user = 0, system = 0;
  fields >> user >> system;
  out.cpu = std::chrono::milliseconds((user + system) * 1000
                                      / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
  return out;
}

std::string last_lines(const fs::path& file, std::size_t count) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const auto size = static_cast<std::streamoff>(in.tellg());
  constexpr std::streamoff most = 16 * 1024;
  in.seekg(std::max<std::streamoff>(0, size - most));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  std::size_t at = text.size();
  for (std::size_t i = 0; i < count && at != std::string::npos && at > 0; ++i)
    at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

} // namespace tallymesh::tally
