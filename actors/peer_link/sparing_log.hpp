// Keeps what others do from flooding the log: each kind, from each of them, is told at once the
// first time, then at most once a minute with a count. Bounded however many they are. Refusals
// are told so, and evidence. One thread at a time; time comes from outside.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

namespace tallymesh::peer_link {

class sparing_log {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using writer = std::function<void(const std::string& line)>;

  static constexpr std::size_t max_entries = 1024;

  sparing_log(std::chrono::milliseconds every, writer write)
      : every_(every), write_(std::move(write)) {}

  /// `kind` and `from` name what is limited; `line` is the whole line to write.
  void note(time_point now, const std::string& kind, const std::string& from,
            const std::string& line);

  /// Writes the counts that are due and forgets what has been quiet. Call now and then.
  void flush(time_point now);

private:
  struct entry {
    time_point told;
    std::uint64_t untold = 0;
    std::string last;
  };
  const std::chrono::milliseconds every_;
  const writer write_;
  std::map<std::pair<std::string, std::string>, entry> entries_;
};

} // namespace tallymesh::peer_link
