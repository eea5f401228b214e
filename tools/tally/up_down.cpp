// `tally up` and `tally down`.
#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"
#include "tools/tally/processes.hpp"

#include <csignal>
#include <iostream>
#include <sstream>

namespace tallymesh::tally {

namespace {

using std::chrono::milliseconds;

struct process_options {
  std::string directory = "./mesh", node;
  std::uint64_t within_s = 30;
  bool force = false;
};

result<std::vector<gateway>> chosen(const process_options& options) {
  place where;
  where.mesh = options.directory;
  auto all = find_gateways(where);
  if (!all || options.node.empty()) return all;
  where.node = options.node;
  auto one = find_gateway(where);
  if (!one) return one.error();
  return std::vector<gateway>{std::move(*one)};
}

struct starting {
  gateway at;
  std::optional<node_process> process;
  bool was_running = false;
  bool ready = false;
};

error start_failure(const starting& x, std::string_view what) {
  return make_error(errc::unavailable, "the node " + x.at.node + " " + std::string(what)
                                           + "; see " + log_file(x.at.directory).string());
}

void show_log(const starting& x) {
  std::istringstream lines(last_lines(log_file(x.at.directory), 10));
  for (std::string line; std::getline(lines, line);)
    std::cerr << "  " << x.at.node << "| " << printable(line) << '\n';
}

bool answers_ready(const gateway& at) {
  http_client client(at.target);
  const auto answer = client.send({http_method::get, "/readyz", "", "", milliseconds(2000)});
  return answer && answer->status == 200;
}

result<void> wait_ready(starting& x, std::chrono::steady_clock::time_point end) {
  bool ended = false;
  const auto left =
      std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
  // The process's end is an event and is waited for; that it is ready shows only in its answer.
  poll_until(left, milliseconds(0), [&] {
    x.ready = answers_ready(x.at);
    ended = !x.ready && x.process->wait_for_end(milliseconds(50));
    return x.ready || ended;
  });
  if (x.ready) return {};
  if (ended && x.was_running) { // it was on its way out when it was found
    auto started = node_process::start(x.at.directory);
    if (!started) return started.error();
    x.process.emplace(std::move(*started));
    x.was_running = false;
    return wait_ready(x, end);
  }
  show_log(x);
  return start_failure(x, ended ? "ended while it started" : "runs but is not ready in time");
}

exit_code run_up(const process_options& options, const invocation& told) {
  auto gateways = chosen(options);
  if (!gateways) return report(gateways.error());
  std::vector<starting> all;
  for (auto& each : *gateways) {
    auto& x = all.emplace_back(starting{std::move(each), {}, false, false});
    if (auto running = node_process::find(x.at.directory)) {
      x.process.emplace(std::move(*running));
      x.was_running = true;
      continue;
    }
    auto started = node_process::start(x.at.directory);
    if (!started) return report(started.error());
    x.process.emplace(std::move(*started));
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.within_s);
  std::optional<error> failure;
  for (auto& each : all)
    if (const auto ready = wait_ready(each, end); !ready && !failure) failure = ready.error();
  if (told.json()) {
    json::array list;
    for (const auto& each : all)
      list.push_back({{"node", each.at.node},
                      {"pid", each.process->pid()},
                      {"ready", each.ready},
                      {"was_running", each.was_running},
                      {"gateway", each.at.target.url()}});
    print_json(list);
  } else {
    std::vector<std::vector<cell>> lines;
    for (const auto& each : all)
      lines.push_back(
          {each.at.node,
           {each.ready ? "ready" : "not ready", each.ready ? colour::green : colour::red},
           std::to_string(each.process->pid()),
           each.at.target.url(),
           each.was_running ? "was running" : "started"});
    print_table(std::cout, {{"node"}, {"state"}, {"pid", true}, {"gateway"}, {"note"}}, lines);
  }
  return failure ? report(*failure) : exit_code::ok;
}

exit_code run_down(const process_options& options, const invocation& told) {
  auto gateways = chosen(options);
  if (!gateways) return report(gateways.error());
  std::vector<std::pair<gateway, std::optional<node_process>>> all;
  for (auto& each : *gateways) {
    auto process = node_process::find(each.directory);
    if (process) process->send(SIGTERM);
    all.emplace_back(std::move(each), std::move(process));
  }
  std::optional<error> failure;
  json::array list;
  std::vector<std::vector<cell>> lines;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.within_s);
  for (const auto& [at, process] : all) {
    std::string state = "was not running";
    if (process) {
      const auto left =
          std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
      bool ended = process->wait_for_end(left);
      state = "stopped";
      if (!ended && options.force) {
        process->send(SIGKILL);
        ended = process->wait_for_end(milliseconds(5000));
        state = "killed";
      }
      if (!ended) {
        state = "still running";
        if (!failure)
          failure = make_error(errc::unavailable,
                               "the node " + at.node + " (pid " + std::to_string(process->pid())
                                   + ") did not stop in time; --force kills it");
      }
    }
    std::error_code ignored;
    if (state != "still running") std::filesystem::remove(pid_file(at.directory), ignored);
    list.push_back({{"node", at.node}, {"state", state}});
    lines.push_back({at.node, state});
  }
  if (told.json())
    print_json(list);
  else
    print_table(std::cout, {{"node"}, {"state"}}, lines);
  return failure ? report(*failure) : exit_code::ok;
}

} // namespace

void add_processes(command& program) {
  const auto starting_options = std::make_shared<process_options>();
  auto& up = program.add("up",
                         "Start the nodes of a mesh.\n"
                         "Starts them in the background and waits until each is ready; DIR is "
                         "the mesh's directory.\n"
                         "A node that runs already is left as it is.",
                         {"tally up mesh", "tally up mesh coop"});
  up.optional_argument("DIR", starting_options->directory,
                       "The mesh's directory (default: ./mesh)");
  up.optional_argument("NODE", starting_options->node, "Only this node");
  up.option("--within", starting_options->within_s, "Seconds to wait until all are ready", 1,
            3600);
  up.on_run(
      [starting_options](const invocation& told) { return run_up(*starting_options, told); });

  const auto stopping_options = std::make_shared<process_options>();
  auto& down = program.add("down",
                           "Stop the nodes of a mesh.\nEach finishes what it has begun. DIR is "
                           "the mesh's directory.",
                           {"tally down mesh", "tally down mesh coop"});
  down.optional_argument("DIR", stopping_options->directory,
                         "The mesh's directory (default: ./mesh)");
  down.optional_argument("NODE", stopping_options->node, "Only this node");
  down.option("--within", stopping_options->within_s, "Seconds to wait until all have stopped",
              1, 3600);
  down.flag("--force", stopping_options->force, "Kill what has not stopped by then");
  down.on_run(
      [stopping_options](const invocation& told) { return run_down(*stopping_options, told); });
}

} // namespace tallymesh::tally
