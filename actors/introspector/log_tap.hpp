// The log's last lines, kept for whoever looks in, and a level for each actor beside the
// general one. A sink round the sink that writes; one a process. Any thread.
#pragma once

#include "actors/introspector/meter.hpp"

#include <deque>
#include <mutex>
#include <spdlog/sinks/sink.h>

namespace tallymesh::introspector {

struct log_line {
  std::uint64_t number = 0; ///< counts from 1
  std::int64_t wall_ms = 0;
  int level = 0; ///< spdlog's
  std::string text;
};

class log_tap : public spdlog::sinks::sink {
public:
  static constexpr std::size_t most_lines = 2000, most_line_bytes = 1024;

  explicit log_tap(spdlog::sink_ptr inner) : inner_(std::move(inner)) {}

  void log(const spdlog::details::log_msg& message) override;
  void flush() override { inner_->flush(); }
  void set_pattern(const std::string& pattern) override { inner_->set_pattern(pattern); }
  void set_formatter(std::unique_ptr<spdlog::formatter> x) override {
    inner_->set_formatter(std::move(x));
  }

  void set_general(int level) { general_ = level; }
  /// Lines after `number`, of `level` and above; the newest `most` of them.
  std::vector<log_line> after(std::uint64_t number, std::size_t most, int level) const;

private:
  const spdlog::sink_ptr inner_;
  std::atomic<int> general_ = 0;
  mutable std::mutex lock_;
  std::deque<log_line> lines_;
  std::uint64_t last_ = 0;
};

/// The process's tap; null until `install_log_tap`, and in tests.
std::shared_ptr<log_tap> the_log_tap();
void install_log_tap(std::shared_ptr<log_tap> x);

/// The level of everything that has none of its own.
void set_log_level(int level);
/// Of one actor; below 0: as all others. The process logs as much as the most talkative one.
void set_log_level(meter& of, int level);

} // namespace tallymesh::introspector
