#include "actors/node/evidence_log.hpp"

#include "messages/encoding.hpp"

#include <fstream>

namespace tallymesh::node {

evidence_log::evidence_log(std::filesystem::path file, writer write)
    : file_(std::move(file)), told_(std::chrono::minutes{1}, std::move(write)) {}

void evidence_log::keep(time_point now, const std::string& culprit, const evidence& x) {
  const std::string first(to_string(x.first.kind)), second(to_string(x.second.kind));
  {
    const std::lock_guard guard(told_lock_);
    told_.note(now, first, culprit,
               "evidence: node " + culprit + " signed " + first + " and " + second
                   + " that contradict each other at " + std::to_string(x.first.position));
  }
  const std::lock_guard guard(file_lock_);
  std::error_code absent;
  if (std::filesystem::file_size(file_, absent) > most_bytes && !absent) return;
  std::ofstream(file_, std::ios::app) << culprit << ' ' << to_hex(encode(x)) << '\n';
}

void evidence_log::flush(time_point now) {
  const std::lock_guard guard(told_lock_);
  told_.flush(now);
}

std::deque<std::string> evidence_log::newest(std::size_t most) const {
  std::deque<std::string> lines;
  const std::lock_guard guard(file_lock_);
  std::ifstream in(file_);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(std::move(line));
    if (lines.size() > most) lines.pop_front();
  }
  return lines;
}

} // namespace tallymesh::node
