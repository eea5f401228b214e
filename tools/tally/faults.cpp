// tally faults: scripts of what may go wrong, and what must hold then.
#include "tests/faults/failure.hpp"
#include "tests/faults/language/parser.hpp"
#include "tests/faults/real/real.hpp"
#include "tools/tally/command.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <thread>

namespace tallymesh::tally {

namespace {

struct faults_options {
  std::vector<std::string> files;
  std::string keep = "fault-failures";
  std::uint64_t seeds = 0, from = 0, jobs = 0, reduce_s = 0;
  bool real = false, verbose = false;
};

result<faults::script> read_script(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return make_error(errc::not_found, file + ": cannot be read");
  std::string text(faults::script_limits::script_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return faults::parse_script(text, file);
}

/// Files as they are, folders as the scripts in them.
result<std::vector<std::string>> script_files(const std::vector<std::string>& given) {
  std::vector<std::string> found;
  for (const auto& each : given) {
    std::error_code code;
    if (!std::filesystem::is_directory(each, code)) {
      found.push_back(each);
      continue;
    }
    const auto before = found.size();
    for (const auto& entry : std::filesystem::directory_iterator(each, code))
      if (entry.path().extension() == ".fault") found.push_back(entry.path().string());
    if (found.size() == before)
      return make_error(errc::not_found, each + ": no *.fault file in this folder");
  }
  std::sort(found.begin(), found.end());
  return found;
}

using each_script = std::function<exit_code(const faults::script&)>;

/// All scripts, even after one that does not parse; the worst code.
exit_code for_each(const faults_options& chosen, const each_script& what) {
  const auto files = script_files(chosen.files);
  if (!files) return report(files.error());
  auto worst = exit_code::ok;
  for (const auto& file : *files) {
    const auto script = read_script(file);
    worst = std::max(worst, script ? what(*script) : report(script.error()));
  }
  return worst;
}

std::string verdict_line(const faults::simulated_outcome& x) {
  std::string text;
  for (const auto& each : x.findings)
    text += (text.empty() ? "" : "; ")
            + (each.what ? std::string(faults::to_string(*each.what)) : std::string("a rule"))
            + " broken " + each.text;
  return text;
}

void print_summary(const invocation& told, const faults::script& script,
                   const faults::simulated_summary& all, double seconds) {
  char speed[32];
  std::snprintf(speed, sizeof speed, "%.0f",
                static_cast<double>(all.seeds) / std::max(seconds, 1e-3));
  if (told.json()) {
    std::cout << "{\"script\":\"" << std::filesystem::path(script.file).filename().string()
              << "\",\"seeds\":" << all.seeds << ",\"failed\":" << all.failed
              << ",\"operations\":" << all.operations
              << ",\"acknowledged\":" << all.acknowledged << ",\"faults\":" << all.faults
              << ",\"first_failing_seed\":"
              << (all.first_failure ? std::to_string(all.first_failure->seed) : "null")
              << "}\n";
    return;
  }
  std::cout << painted(all.failed ? colour::red : colour::green,
                       all.failed ? "failed" : "passed")
            << "  " << printable(script.name) << ": " << grouped(all.seeds) << " seeds ("
            << speed << "/s), " << grouped(all.faults) << " faults, "
            << grouped(all.acknowledged) << " of " << grouped(all.operations)
            << " operations acknowledged, " << all.failed << " failed\n";
  for (const auto& each : all.not_applied)
    std::cout << "        " << each << '\n';
}

exit_code keep_failure(const faults_options& chosen, const faults::script& script,
                       const faults::simulated_outcome& failed) {
  std::cerr << printable(script.file) << ": seed " << failed.seed << ": "
            << printable(verdict_line(failed)) << "\ncutting the script down...\n";
  const auto found = faults::reduce_failure(script, failed, true);
  const auto folder = std::filesystem::path(chosen.keep)
                      / (std::filesystem::path(script.file).stem().string() + "-"
                         + std::to_string(failed.seed));
  if (const auto written = faults::write_failure(folder, script, failed, found, true); !written)
    return report(written.error());
  std::cerr << "see " << folder.string() << "/timeline.txt; again: tally faults run "
            << folder.string() << "/reduced.fault\n";
  return exit_code::differs;
}

exit_code run_in_simulation(const invocation& told, const faults_options& chosen,
                            const faults::script& script) {
  faults::simulated_campaign how;
  how.first_seed = chosen.from > 0 ? chosen.from : script.seed;
  how.seeds = chosen.seeds > 0 ? chosen.seeds : 1;
  how.jobs = chosen.jobs > 0 ? static_cast<unsigned>(chosen.jobs)
                             : std::max(1u, std::thread::hardware_concurrency());
  progress shown(script.name, how.seeds);
  how.progress = [&](std::uint64_t done) { shown.update(done); };
  const auto began = std::chrono::steady_clock::now();
  const auto all = faults::run_simulated(script, how);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  shown.finish();
  print_summary(told, script, all, took.count());
  return all.first_failure ? keep_failure(chosen, script, *all.first_failure) : exit_code::ok;
}

// A signal ends a real run in order: its processes go with it.
volatile std::sig_atomic_t interrupted = 0;
void interrupt(int) { interrupted = 1; }

void print_real(const invocation& told, const faults::script& script, std::uint64_t seed,
                const faults::real_outcome& done) {
  if (told.json()) {
    std::cout << "{\"script\":\"" << std::filesystem::path(script.file).filename().string()
              << "\",\"seed\":" << seed << ",\"passed\":" << (done.passed() ? "true" : "false")
              << ",\"operations\":" << done.operations
              << ",\"acknowledged\":" << done.acknowledged << ",\"blocks\":" << done.blocks
              << ",\"kills\":" << done.kills << ",\"actors_killed\":" << done.actors_killed
              << ",\"misdeeds\":" << done.misdeeds << ",\"slow\":" << done.slow.size() << "}"
              << std::endl;
    return;
  }
  std::cout << painted(done.passed() ? colour::green : colour::red,
                       done.passed() ? "passed" : "failed")
            << "  " << printable(script.name)
            << ", on real processes: " << grouped(done.acknowledged) << " of "
            << grouped(done.operations) << " operations acknowledged, " << grouped(done.blocks)
            << " blocks, " << grouped(done.kills) << " kill -9";
  if (done.actors_killed > 0)
    std::cout << ", " << grouped(done.actors_killed) << " actors killed";
  if (done.misdeeds > 0) std::cout << ", " << grouped(done.misdeeds) << " misdeeds of traitors";
  std::cout << '\n';
  for (const auto& each : done.not_applied)
    std::cout << "        " << each << '\n';
  for (const auto& each : done.slow)
    std::cout << "        slow: " << each << '\n';
}

/// What only the simulator can do, each with its place.
exit_code refuse_on_processes(const faults::script& script) {
  const auto why = faults::simulation_only(script);
  for (const auto& each : why)
    std::cerr << printable(each) << '\n';
  return why.empty() ? exit_code::ok : exit_code::failed;
}

exit_code run_on_processes(const invocation& told, const faults_options& chosen,
                           const faults::script& script) {
  if (const auto refused = refuse_on_processes(script); refused != exit_code::ok)
    return refused;
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  const auto first = chosen.from > 0 ? chosen.from : script.seed;
  for (std::uint64_t i = 0; i < std::max<std::uint64_t>(chosen.seeds, 1) && !interrupted; ++i) {
    faults::real_options how;
    how.seed = first + i;
    how.keep = chosen.keep;
    how.stop = [] { return interrupted != 0; };
    how.reduce_for = std::chrono::seconds(chosen.reduce_s);
    if (chosen.verbose)
      how.tell = [](const std::string& line) { std::cerr << printable(line) << std::endl; };
    const auto done = faults::run_real(script, how);
    if (!done) return report(done.error());
    print_real(told, script, how.seed, *done);
    if (done->passed()) continue;
    for (const auto& each : done->findings)
      std::cerr << printable(script.file) << ": "
                << (each.what ? std::string(faults::to_string(*each.what)) : "a rule")
                << " broken: " << printable(each.text) << '\n';
    std::cerr << "see " << done->folder.string() << "/timeline.txt\n";
    return exit_code::differs;
  }
  return interrupted ? exit_code::failed : exit_code::ok;
}

exit_code print_list(const invocation& told, const faults_options& chosen) {
  std::vector<std::vector<cell>> rows;
  const auto code = for_each(chosen, [&](const faults::script& script) {
    const auto file = std::filesystem::path(script.file).filename().string();
    if (told.json())
      std::cout << "{\"script\":\"" << file << "\",\"nodes\":" << script.nodes
                << ",\"seed\":" << script.seed << "}\n";
    else
      rows.push_back({cell(file), cell(std::to_string(script.nodes)),
                      cell(faults::duration_text(script.heal)), cell(printable(script.name))});
    return exit_code::ok;
  });
  if (!rows.empty())
    print_table(std::cout, {{"SCRIPT"}, {"NODES", true}, {"HEALS", true}, {"STORY"}}, rows);
  return code;
}

} // namespace

void add_faults(command& program) {
  auto& group =
      program.add("faults", "Fault scripts: what may go wrong, and what must hold then.",
                  {"tally faults list tests/faults", "tally faults check my.fault",
                   "tally faults run tests/faults --seeds 100"});
  const auto chosen = std::make_shared<faults_options>();

  auto& check = group.add("check", "Parse scripts and say what is wrong, with line and column.",
                          {"tally faults check tests/faults/torn_write.fault",
                           "tally faults check --real tests/faults"});
  check.arguments("FILE", chosen->files, "scripts, or folders of them");
  check.flag("--real", chosen->real, "refuse, too, what real processes cannot do");
  check.on_run([chosen](const invocation& told) {
    std::size_t good = 0;
    const auto code = for_each(*chosen, [&](const faults::script& script) {
      const auto found = chosen->real ? refuse_on_processes(script) : exit_code::ok;
      good += found == exit_code::ok;
      return found;
    });
    if (told.json())
      std::cout << "{\"good\":" << good << "}\n";
    else
      std::cout << good << (good == 1 ? " script is" : " scripts are") << " right\n";
    return code;
  });

  auto& list = group.add("list", "Name the scripts of a folder and their stories.",
                         {"tally faults list tests/faults"});
  list.arguments("FILE", chosen->files, "scripts, or folders of them");
  list.on_run([chosen](const invocation& told) { return print_list(told, *chosen); });

  auto& explain = group.add("explain", "Say in words what a script does.",
                            {"tally faults explain tests/faults/torn_write.fault"});
  explain.arguments("FILE", chosen->files, "scripts, or folders of them");
  explain.on_run([chosen](const invocation&) {
    return for_each(*chosen, [](const faults::script& script) {
      std::cout << printable(script.file) << ": ";
      std::string line;
      for (const auto each : faults::explain(script))
        if (each == '\n')
          std::cout << printable(std::exchange(line, {})) << '\n';
        else
          line += each;
      return exit_code::ok;
    });
  });

  auto& run =
      group.add("run",
                "Run scripts in the simulator, in virtual time: any number of seeds; or "
                "with --real on tallyd processes of this machine. A run that fails leaves "
                "a folder that tells why.",
                {"tally faults run tests/faults/dead_leader_is_skipped.fault",
                 "tally faults run tests/faults --seeds 1000 --from 1",
                 "tally faults run tests/faults/torn_write.fault --real --verbose"});
  run.arguments("FILE", chosen->files, "scripts, or folders of them");
  run.option("--seeds", chosen->seeds, "how many seeds; 0: one", 0, 1'000'000'000);
  run.option("--from", chosen->from, "the first seed; 0: the script's own", 0, UINT64_MAX / 2);
  run.option("--jobs", chosen->jobs, "threads; 0: one a core", 0, 1024);
  run.option("--keep", chosen->keep, "where folders of failed runs go");
  run.flag("--real", chosen->real, "on real processes, one run after another");
  run.option("--reduce-for", chosen->reduce_s,
             "with --real: seconds to spend on cutting a failing script down", 0, 86'400);
  run.flag("--verbose", chosen->verbose, "with --real: say what happens, as it happens");
  run.on_run([chosen](const invocation& told) {
    return for_each(*chosen, [&](const faults::script& script) {
      if (chosen->real) return run_on_processes(told, *chosen, script);
      return run_in_simulation(told, *chosen, script);
    });
  });
}

} // namespace tallymesh::tally
