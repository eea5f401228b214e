#include "tests/faults/simulated.hpp"

#include "tests/faults/director.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace tallymesh::faults {

namespace {

/// Which check of the language a rule of the simulator's checker belongs to.
std::optional<check> check_of(std::string_view rule) {
  struct pair {
    std::string_view rule;
    check what;
  };
  static constexpr pair known[] = {
      {"no double vote", check::no_double_vote},
      {"observe only", check::no_double_vote},
      {"one batch a place", check::no_double_vote},
      {"own records", check::no_double_vote},
      {"one block a height", check::no_divergence},
      {"same input, same output", check::no_divergence},
      {"one certified block a view", check::no_divergence},
      {"no nullification beside a finalization", check::no_divergence},
      {"never halted", check::no_divergence},
      {"stored before sent", check::no_lost_ack},
      {"all final after healing", check::converged},
      {"quiet when idle", check::quiet},
  };
  for (const auto& each : known)
    if (each.rule == rule) return each.what;
  for (std::size_t i = 0; i < check_count; ++i)
    if (to_string(static_cast<check>(i)) == rule) return static_cast<check>(i);
  return std::nullopt;
}

finding to_finding(const simulation::violation& x) {
  return {check_of(x.rule),
          "at " + duration_text(std::chrono::milliseconds(x.at_ms)) + ", "
              + (x.node < 0 ? std::string("the mesh") : "n" + std::to_string(x.node + 1))
              + ": [" + x.rule + "] " + count_from_one(x.text)};
}

} // namespace

simulated_outcome run_simulated(const script& what, const simulated_options& how) {
  director directing(what, how.seed);
  simulation::options options;
  options.nodes = what.nodes;
  options.seed = how.seed;
  options.check_order = how.check_order;
  options.directed = directing.direction();
  options.trace = how.trace;
  const auto done = simulation::run(options);

  simulated_outcome made;
  made.seed = how.seed;
  made.virtual_ms = done.virtual_ms;
  made.operations = done.operations;
  made.acknowledged = directing.clients().acknowledgements();
  made.blocks = done.blocks;
  made.faults = done.faults_total();
  made.trace_digest = done.trace_digest;
  made.not_applied = directing.not_applied();
  for (const auto& each : done.violations)
    made.findings.push_back(to_finding(each));
  return made;
}

simulated_summary run_simulated(const script& what, const simulated_campaign& how) {
  simulated_summary sum;
  std::mutex guard;
  std::atomic<std::uint64_t> next{0};
  const auto work = [&] {
    for (;;) {
      const auto index = next++;
      if (index >= how.seeds) return;
      auto one =
          run_simulated(what, simulated_options{how.first_seed + index, how.check_order, {}});
      const std::scoped_lock lock(guard);
      ++sum.seeds;
      sum.operations += one.operations;
      sum.acknowledged += one.acknowledged;
      sum.blocks += one.blocks;
      sum.faults += one.faults;
      sum.virtual_ms += one.virtual_ms;
      if (sum.not_applied.empty()) sum.not_applied = one.not_applied;
      if (!one.passed()) {
        ++sum.failed;
        if (!sum.first_failure || one.seed < sum.first_failure->seed)
          sum.first_failure = std::move(one);
      }
      if (how.progress) how.progress(sum.seeds);
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < how.jobs; ++i)
    others.emplace_back(work);
  work();
  for (auto& each : others)
    each.join();
  return sum;
}

} // namespace tallymesh::faults
