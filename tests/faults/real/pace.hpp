// Tells a slow machine from a mesh that is wrong: how much longer than on a quiet machine
// things may take now, by how many processes wait for a core and how late our own thread is
// woken. Main thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

namespace tallymesh::faults {

class pace {
public:
  using clock = std::chrono::steady_clock;

  /// Sleeps until then and notices how late it was woken.
  void sleep_until(clock::time_point when) {
    std::this_thread::sleep_until(when);
    const auto late = std::chrono::duration<double>(clock::now() - when).count();
    lateness_ += (std::max(late, 0.0) - lateness_) / 16;
  }

  /// At least 1. Every second process that wants a core doubles what we wait for; a thread that
  /// is woken 20 ms late, on average, has waited for one.
  double slowness() {
    const auto now = clock::now();
    if (now - looked_ > std::chrono::seconds(1)) {
      looked_ = now;
      std::ifstream in("/proc/loadavg");
      double load = 0;
      if (in >> load) load_ = load / std::max(1u, std::thread::hardware_concurrency());
    }
    return std::max({1.0, load_, lateness_ / 0.020});
  }

  /// What a promise of `quiet_machine` means here and now.
  template <class Duration>
  Duration stretched(Duration quiet_machine) {
    const auto factor = std::min(most_slowness, slowness() * margin);
    return Duration(static_cast<typename Duration::rep>(
        static_cast<double>(quiet_machine.count()) * std::max(1.0, factor)));
  }

private:
  static constexpr double margin = 2, most_slowness = 20;
  double load_ = 1, lateness_ = 0;
  clock::time_point looked_{};
};

} // namespace tallymesh::faults
