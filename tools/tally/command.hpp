// What a command of `tally` is: a name, a description with examples, arguments, and a function
// to run. CLI11 stays inside command.cpp. A group of commands is one source file with a
// function add_<group>(command&) that main.cpp calls; README.md shows how to add one. Main
// thread only.
#pragma once

#include "messages/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tallymesh::tally {

enum class exit_code : int {
  ok = 0,
  differs = 1, ///< halves do not match, or the mesh refused something
  failed = 2,  ///< could not be done; stderr says why and what to do
  usage = 64,  ///< the command line itself is wrong
};

enum class output_format { table, json };

/// What every command is told besides its own options.
struct invocation {
  output_format output = output_format::table;
  bool json() const { return output == output_format::json; }
};

class command {
public:
  using action = std::function<exit_code(const invocation&)>;

  /// The program itself.
  command(std::string name, std::string description, std::string version);
  ~command();
  command(const command&) = delete;
  command& operator=(const command&) = delete;

  /// A subcommand. The description's first line is the summary; `examples` are lines of a
  /// shell, shown by --help. Lives as long as this one.
  command& add(std::string name, std::string description, std::vector<std::string> examples);

  // What the command takes. The variables must outlive `run`: keep them in a shared_ptr that
  // the action holds. A variable's value is its default.
  void argument(std::string name, std::string& out, std::string help);
  void optional_argument(std::string name, std::string& out, std::string help);
  void arguments(std::string name, std::vector<std::string>& out, std::string help);
  void optional_arguments(std::string name, std::vector<std::string>& out, std::string help);
  void option(std::string name, std::string& out, std::string help,
              std::string environment = "");
  void required_option(std::string name, std::string& out, std::string help);
  void option(std::string name, std::vector<std::string>& out, std::string help);
  /// Outside of the range is a usage error.
  void option(std::string name, std::uint64_t& out, std::string help, std::uint64_t least,
              std::uint64_t most);
  void flag(std::string name, bool& out, std::string help);

  void on_run(action what);

  /// Parses and runs; prints help, version and usage errors itself. Only on the program.
  int run(int argc, const char* const* argv);

private:
  struct state;
  explicit command(std::unique_ptr<state> made);
  std::unique_ptr<state> state_;
};

/// "tally: error: ..." on stderr.
exit_code report(const error& failure);
/// The same where it is an answer that something is not there: exit_code::differs.
exit_code report_absence(const error& failure);

// One a file of commands.
void add_init(command& program);
void add_processes(command& program); ///< up, down
void add_status(command& program);    ///< status, compare
void add_store(command& program);     ///< store, delete
void add_erase(command& program);     ///< erase, and its certificates
void add_query(command& program);     ///< get, list, history, trace
void add_settle(command& program);    ///< settle balances, statement, close …
void add_deliveries(command& program);
void add_take(command& program);
void add_bench(command& program);    ///< bench load, bench latency
void add_contract(command& program); ///< contract …
void add_call(command& program);
void add_explain_access(command& program);
void add_simulate(command& program);
void add_faults(command& program); ///< faults check, list, explain, run
void add_shell(command& program);  ///< shell, operator
void add_version(command& program);

} // namespace tallymesh::tally
