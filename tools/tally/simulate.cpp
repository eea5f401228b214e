// tally simulate: the machines on a model network, with faults, for as many seeds as one likes.
#include "tests/simulation/simulation.hpp"
#include "tools/tally/command.hpp"
#include "tools/tally/output.hpp"

#include <iostream>
#include <thread>

namespace tallymesh::tally {

namespace {

struct simulate_options {
  std::uint64_t nodes = 4, seeds = 1000, from = 1, jobs = 0;
  std::string strategies = "all";
  bool trace = false;
};

std::optional<simulation::options> options_of(const simulate_options& chosen) {
  simulation::options what;
  what.nodes = static_cast<std::uint16_t>(chosen.nodes);
  what.seed = chosen.from;
  const auto named = simulation::strategy::named(chosen.strategies);
  if (!named) return std::nullopt;
  what.strategies = *named;
  return what;
}

void print_violation(const simulation::outcome& x) {
  for (const auto& each : x.violations)
    std::cerr << "seed " << x.seed << ", at " << static_cast<double>(each.at_ms) / 1000
              << " s, " << (each.node < 0 ? "mesh" : "n" + std::to_string(each.node)) << ": ["
              << each.rule << "] " << each.text << '\n';
}

exit_code summarise(const invocation& told, const simulate_options& chosen,
                    const simulation::campaign_outcome& all) {
  const auto hours = static_cast<double>(all.virtual_ms) / 3'600'000;
  const auto first =
      all.first_failure ? std::to_string(all.first_failure->seed) : std::string("none");
  char hours_text[32];
  std::snprintf(hours_text, sizeof hours_text, "%.1f", hours);
  if (told.json())
    std::cout << "{\"nodes\":" << chosen.nodes << ",\"seeds\":" << all.seeds
              << ",\"simulated_hours\":" << hours_text << ",\"faults\":" << all.faults
              << ",\"violations\":" << all.violations
              << ",\"first_failing_seed\":" << (all.first_failure ? first : "null") << "}\n";
  else
    std::cout << "nodes " << chosen.nodes << "  seeds " << grouped(all.seeds)
              << "  simulated hours " << hours_text << "  injected faults "
              << grouped(all.faults) << "  violations " << all.violations
              << "  first failing seed " << first << '\n';
  return all.violations == 0 ? exit_code::ok : exit_code::differs;
}

exit_code simulate_one(const invocation& told, const simulate_options& chosen,
                       simulation::options what) {
  what.trace = [](std::string_view line) { std::cout << line << '\n'; };
  const auto one = simulation::run(what);
  simulation::campaign_outcome all;
  simulation::add(all, one);
  return summarise(told, chosen, all);
}

exit_code simulate_many(const invocation& told, const simulate_options& chosen,
                        simulation::options base) {
  progress shown("simulating", chosen.seeds);
  simulation::campaign what;
  what.base = std::move(base);
  what.first_seed = chosen.from;
  what.seeds = chosen.seeds;
  what.jobs = chosen.jobs > 0 ? static_cast<unsigned>(chosen.jobs)
                              : std::max(1u, std::thread::hardware_concurrency());
  what.progress = [&](std::uint64_t done) { shown.update(done); };
  const auto all = simulation::run(what);
  shown.finish();
  if (all.first_failure) {
    print_violation(*all.first_failure);
    std::cerr << "see it happen: tally simulate --nodes " << chosen.nodes << " --from "
              << all.first_failure->seed
              << (chosen.strategies == "all" ? "" : " --strategies " + chosen.strategies)
              << " --trace\n";
  }
  return summarise(told, chosen, all);
}

} // namespace

void add_simulate(command& program) {
  auto& simulate = program.add("simulate",
                               "Run the protocol on a model network with faults and Byzantine "
                               "nodes, and judge it after every event.",
                               {"tally simulate --nodes 4 --seeds 1000",
                                "tally simulate --nodes 7 --seeds 1 --from 42 --trace",
                                "tally simulate --strategies all+forge+overreach+flood"});
  const auto chosen = std::make_shared<simulate_options>();
  simulate.option("--nodes", chosen->nodes, "nodes in the mesh", 1, 100);
  simulate.option("--seeds", chosen->seeds, "how many seeds", 1, 1'000'000'000);
  simulate.option("--from", chosen->from, "the first seed", 0, UINT64_MAX / 2);
  simulate.option("--jobs", chosen->jobs, "threads; 0: one a core", 0, 1024);
  simulate.option(
      "--strategies", chosen->strategies,
      "what Byzantine nodes may do, with + between: all, or some of twins, rogue, "
      "selective, equivocate, fork_lane, withhold, lie, garbage, replay, hoard, "
      "mute, amnesia; and beyond all: forge, overreach, flood, accuse, treason (f + 1 nodes)");
  simulate.flag("--trace", chosen->trace, "print what happens under one seed, a line an event");
  simulate.on_run([chosen](const invocation& told) {
    const auto what = options_of(*chosen);
    if (!what) {
      std::cerr << "tally: error: --strategies " << chosen->strategies
                << ": not the names in the help, with + between them\n";
      return exit_code::usage;
    }
    return chosen->trace ? simulate_one(told, *chosen, *what)
                         : simulate_many(told, *chosen, *what);
  });
}

} // namespace tallymesh::tally
