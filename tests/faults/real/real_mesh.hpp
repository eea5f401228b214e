// Real tallyd processes on this machine for one run of a script: made by `tally init`, joined
// by our lines, with the preloaded library in each. Ends what it started when it goes. Main
// thread.
#pragma once

#include "tests/faults/preload/control.hpp"
#include "tests/faults/real/lines.hpp"
#include "tests/faults/real/traitors.hpp"
#include "tools/tally/http_client.hpp"
#include "tools/tally/processes.hpp"

#include <filesystem>
#include <optional>

namespace tallymesh::faults {

class real_mesh {
public:
  /// Who may become a traitor, and of these whose key may be used twice.
  struct roles {
    std::vector<std::uint16_t> traitors, twins;
    std::uint64_t seed = 1;
  };
  /// `directory` must not exist. Errors: storage, unavailable, those of `tally init`.
  static result<std::unique_ptr<real_mesh>> make(std::uint16_t nodes,
                                                 const std::filesystem::path& directory) {
    return make(nodes, directory, roles());
  }
  static result<std::unique_ptr<real_mesh>>
  make(std::uint16_t nodes, const std::filesystem::path& directory, const roles& who);
  ~real_mesh();
  real_mesh(const real_mesh&) = delete;
  real_mesh& operator=(const real_mesh&) = delete;

  std::uint16_t size() const { return static_cast<std::uint16_t>(nodes_.size()); }
  static std::string name_of(std::uint16_t node) { return "n" + std::to_string(node + 1); }

  /// Before it is started: everything the node writes and syncs goes into this log too.
  void record(std::uint16_t node, std::filesystem::path file) {
    nodes_[node].record = std::move(file);
  }
  result<void> start(std::uint16_t node);
  void kill(std::uint16_t node);
  void stop(std::uint16_t node);
  void carry_on(std::uint16_t node);
  /// Notices a process that ended by itself.
  bool running(std::uint16_t node);
  bool stopped(std::uint16_t node) const { return nodes_[node].stopped; }
  /// 0: none runs.
  pid_t process_of(std::uint16_t node) const {
    const auto& process = nodes_[node].process;
    return process ? process->pid() : 0;
  }
  void lose_vote_log(std::uint16_t node);
  /// What its disk holds now. `restore` ends the node and puts it back to that, but for its
  /// votes.
  result<void> copy_disk(std::uint16_t node, const std::filesystem::path& to);
  result<void> restore(std::uint16_t node, const std::filesystem::path& from);
  bool honest(std::uint16_t node) const;
  /// From now on a traitor has this habit. A twin: a second process with the same keys and what
  /// the first has stored, to which a half of the others is led.
  result<void> turn(std::uint16_t node, byzantine_habit habit);
  /// What traitors have bent, withheld and invented.
  std::uint64_t misdeeds() const { return traitors_ ? traitors_->misdeeds() : 0; }
  /// Ends all traitors for good.
  void banish();
  preload_control& control(std::uint16_t node) { return *nodes_[node].control; }
  lines& wires() { return lines_; }

  const tally::http_target& gateway(std::uint16_t node) const { return nodes_[node].gateway; }
  std::uint16_t link_port(std::uint16_t node) const { return nodes_[node].link_port; }
  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path directory_of(std::uint16_t node) const {
    return directory_ / name_of(node);
  }
  /// The most memory that any process of the node had, in bytes.
  std::uint64_t peak_memory(std::uint16_t node);
  std::uint64_t kills() const { return kills_; }

private:
  struct one_node {
    std::optional<tally::node_process> process;
    bool stopped = false;
    tally::http_target gateway;
    std::uint16_t link_port = 0;
    std::vector<std::uint16_t> line_ports; ///< where its connections to each other node go
    preload_control* control = nullptr;
    std::uint64_t peak_memory = 0;
    std::filesystem::path record; ///< empty: none
  };
  /// The second process with one node's keys.
  struct twin {
    std::uint16_t node = 0;
    std::uint16_t link_port = 0, gateway_port = 0;
    std::vector<std::uint16_t> line_ports;
    std::optional<tally::node_process> process;
  };

  real_mesh(std::filesystem::path directory, roles who)
      : directory_(std::move(directory)), roles_(std::move(who)) {}
  result<void> set_up(std::uint16_t nodes);
  result<void> read_addresses(std::uint16_t node);
  result<void> prepare_traitors();
  result<void> prepare_twin(std::uint16_t node);
  result<void> start_twin(twin& x);
  result<std::uint16_t> join(std::uint16_t from, std::uint16_t to, std::uint16_t target);
  result<std::vector<std::uint16_t>> redirect(std::uint16_t node, const std::string& name,
                                              bool open);
  result<void> map_control(std::uint16_t node);
  void end(std::uint16_t node);
  std::vector<std::string> environment_of(std::uint16_t node,
                                          const std::filesystem::path& programs) const;

  std::filesystem::path directory_;
  roles roles_;
  std::vector<one_node> nodes_;
  std::vector<twin> twins_;
  std::string genesis_;
  std::unique_ptr<traitors> traitors_;
  lines lines_;
  std::uint64_t kills_ = 0;
};

/// The folder of this program, where tallyd and the preloaded library are.
result<std::filesystem::path> program_directory();

} // namespace tallymesh::faults
