#include "actors/introspector/log_tap.hpp"

#include "actors/introspector/running.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::introspector {

namespace {

std::mutex tap_lock;
std::shared_ptr<log_tap> tap; // by tap_lock

} // namespace

std::shared_ptr<log_tap> the_log_tap() {
  const std::lock_guard guard(tap_lock);
  return tap;
}

void install_log_tap(std::shared_ptr<log_tap> x) {
  const std::lock_guard guard(tap_lock);
  tap = std::move(x);
}

void log_tap::log(const spdlog::details::log_msg& message) {
  const auto own = running_meter != nullptr ? running_meter->log_level.load() : -1;
  if (message.level < (own >= 0 ? own : general_.load())) return;
  inner_->log(message);
  using namespace std::chrono;
  log_line line;
  line.wall_ms = duration_cast<milliseconds>(message.time.time_since_epoch()).count();
  line.level = message.level;
  line.text.assign(message.payload.data(), std::min(message.payload.size(), most_line_bytes));
  const std::lock_guard guard(lock_);
  line.number = ++last_;
  lines_.push_back(std::move(line));
  if (lines_.size() > most_lines) lines_.pop_front();
}

std::vector<log_line> log_tap::after(std::uint64_t number, std::size_t most, int level) const {
  const std::lock_guard guard(lock_);
  std::vector<log_line> out;
  for (auto at = lines_.rbegin(); at != lines_.rend() && at->number > number; ++at) {
    if (out.size() == most) break;
    if (at->level >= level) out.push_back(*at);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

void set_log_level(int level) {
  if (const auto held = the_log_tap()) held->set_general(level);
  spdlog::set_level(static_cast<spdlog::level::level_enum>(level));
}

void set_log_level(meter& of, int level) {
  of.log_level = level;
  if (level >= 0 && level < spdlog::get_level())
    spdlog::set_level(static_cast<spdlog::level::level_enum>(level));
}

} // namespace tallymesh::introspector
