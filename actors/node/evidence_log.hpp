// S18: what contradicts itself is kept in evidence.log, both signed items in a line each, which
// a person and a court can read, and is told in the node's log. Nobody is excluded for it. Who
// lies may do it without end, so the file is bounded, and of each node and kind of statement
// the first is told at once, then once a minute how many more. Owned by the node; any thread.
#pragma once

#include "actors/peer_link/sparing_log.hpp"
#include "messages/signed_item.hpp"

#include <deque>
#include <filesystem>
#include <mutex>

namespace tallymesh::node {

class evidence_log {
public:
  using time_point = peer_link::sparing_log::time_point;
  using writer = peer_link::sparing_log::writer;

  static constexpr std::size_t most_bytes = 4 * 1024 * 1024;

  evidence_log(std::filesystem::path file, writer write);

  void keep(time_point now, const std::string& culprit, const evidence& x);
  /// Tells the counts that are due. Call now and then.
  void flush(time_point now);

  /// The newest lines, at most so many; oldest first.
  std::deque<std::string> newest(std::size_t most) const;
  const std::filesystem::path& file() const { return file_; }

private:
  const std::filesystem::path file_;
  mutable std::mutex file_lock_, told_lock_; // a reader of the file keeps nobody from telling
  peer_link::sparing_log told_;
};

} // namespace tallymesh::node
