#include "tests/simulation/simulation.hpp"

#include <atomic>
#include <mutex>
#include <thread>

namespace tallymesh::simulation {

void add(campaign_outcome& sum, const outcome& one) {
  ++sum.seeds;
  sum.operations += one.operations;
  sum.blocks += one.blocks;
  sum.events += one.events;
  sum.evidence += one.evidence;
  sum.halts += one.halts;
  sum.virtual_ms += one.virtual_ms;
  sum.faults += one.faults_total();
  sum.violations += one.violations.empty() ? 0 : 1;
  for (std::size_t i = 0; i < fault_count; ++i)
    sum.by_fault[i] += one.faults[i];
  if (!one.passed() && (!sum.first_failure || one.seed < sum.first_failure->seed))
    sum.first_failure = one;
}

campaign_outcome run(const campaign& what) {
  campaign_outcome sum;
  std::mutex guard;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&] {
    auto chosen = what.base;
    chosen.trace = nullptr;
    for (;;) {
      const auto index = next++;
      if (index >= what.seeds || stopped) return;
      chosen.seed = what.first_seed + index;
      const auto one = run(chosen);
      const std::scoped_lock lock(guard);
      add(sum, one);
      if (!one.passed() && what.stop_at_violation) stopped = true;
      if (what.progress) what.progress(sum.seeds);
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < what.jobs; ++i)
    others.emplace_back(work);
  work();
  for (auto& each : others)
    each.join();
  return sum;
}

} // namespace tallymesh::simulation
