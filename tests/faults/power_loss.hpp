// What a disk may hold after the power went: a log of writes and syncs (preload/control.hpp)
// played into a directory up to some record, with any part of what no sync had covered. One
// thread.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/preload/control.hpp"
#include "tests/simulation/random.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tallymesh::faults {

struct disk_record {
  record_header head;
  std::string content;
};
/// Errors: storage, malformed (a log that ends in the middle of a record).
result<std::vector<disk_record>> read_disk_log(const std::filesystem::path& file);

class disk_replay {
public:
  explicit disk_replay(const std::vector<disk_record>& log) : log_(log) {}

  /// Plays one record more.
  void step();
  std::size_t played() const { return next_; }
  bool at_end() const { return next_ == log_.size(); }
  /// Pages written and not covered by a sync.
  std::size_t unsynced_pages() const;

  enum class keep { all, none, some };
  /// The files as they may be found: every page that no sync covered was written or not, as
  /// `what` and chance say. Errors: storage.
  result<void> write_to(const std::filesystem::path& directory, keep what,
                        simulation::random_source& chance) const;

private:
  static constexpr std::int64_t page_bytes = 4096; ///< what a disk writes at once
  struct file {
    std::string synced;     ///< up to the last byte that was written
    std::uint64_t size = 0; ///< as it was set, if that is more
    std::vector<std::pair<std::int64_t, std::string>>
        pending; ///< pieces within a page, in order
  };
  static void put(std::string& into, std::int64_t offset, const std::string& content);
  void add(file& to, std::int64_t offset, const std::string& content);
  static void sync(file& what);

  const std::vector<disk_record>& log_;
  std::size_t next_ = 0;
  std::map<std::string, file> files_;
};

} // namespace tallymesh::faults
