// The tallyd processes of a mesh on this machine, by the pid files in the nodes' directories. A
// process is only touched after checking that it is a tallyd of that node. Main thread.
#pragma once

#include "messages/result.hpp"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace tallymesh::tally {

/// A running tallyd, held by a descriptor so that its number cannot come to mean another
/// process.
class node_process {
public:
  /// Nothing if the pid file is missing or names no running tallyd of this node.
  static std::optional<node_process> find(const std::filesystem::path& node_directory);
  /// Starts `tallyd --config DIR/node.toml` in a session of its own, its output appended to the
  /// node's log and NAME=VALUE texts added to its environment. Errors: not_found (no tallyd
  /// beside this program), storage.
  static result<node_process> start(const std::filesystem::path& node_directory,
                                    const std::vector<std::string>& environment = {});

  node_process(node_process&& other) noexcept
      : pid_(other.pid_), handle_(std::exchange(other.handle_, -1)) {}
  node_process& operator=(node_process&&) = delete;
  ~node_process();

  pid_t pid() const { return pid_; }
  bool send(int signal) const;
  /// True once it has ended; false when the time is up first.
  bool wait_for_end(std::chrono::milliseconds limit) const;

private:
  node_process(pid_t pid, int handle) : pid_(pid), handle_(handle) {}
  pid_t pid_;
  int handle_; ///< a pidfd
};

struct process_usage {
  std::uint64_t peak_memory_bytes = 0;
  std::chrono::milliseconds cpu{0};
};
std::optional<process_usage> usage_of(pid_t pid);

/// The last lines of a log, for an error that should show why.
std::string last_lines(const std::filesystem::path& file, std::size_t count);

} // namespace tallymesh::tally
