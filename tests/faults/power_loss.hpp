// What a disk may hold after the power went: a log of writes, syncs and names
// (preload/control.hpp) played up to some record, with any part of what no sync had covered. A
// page is on the disk when a sync of its file has returned, a name when one of its directory
// has; until then either may be there or not. One thread.
#pragma once

#include "messages/result.hpp"
#include "tests/faults/preload/control.hpp"
#include "tests/simulation/random.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace tallymesh::faults {

struct disk_record {
  record_header head;
  std::string content;
};
/// Errors: storage, malformed (a log that ends in the middle of a record).
result<std::vector<disk_record>> read_disk_log(const std::filesystem::path& file);

/// The first part of a name below the data directory: whose file it is.
std::string store_of(std::string_view name);

class disk_replay {
public:
  enum class keep { all, none, some };

  explicit disk_replay(const std::vector<disk_record>& log) : log_(log) {}

  /// What a record made different of what may be found.
  struct difference {
    std::set<std::string> stores; ///< whose files they are
    bool all = false;             ///< if everything written is found
    bool none = false;            ///< if only what syncs covered is found
  };
  /// Plays one record more.
  difference step();
  std::size_t played() const { return next_; }
  bool at_end() const { return next_ == log_.size(); }
  /// Whether it is left to chance what is found of this store.
  bool is_uncertain(const std::string& store) const;

  /// All files as they may be found, into a directory that is empty. Errors: storage.
  result<void> write_to(const std::filesystem::path& directory, keep what,
                        simulation::random_source& chance) const;

private:
  friend class disk_copy;
  static constexpr std::int64_t page_bytes = 4096; ///< what a disk writes at once
  using piece = std::pair<std::int64_t, std::string>;
  struct file {
    std::string synced;                ///< up to the last byte that was written
    std::uint64_t size = 0;            ///< as it was set and synced, if that is more
    std::uint64_t size_asked = 0;      ///< as it was set last
    std::vector<piece> pending;        ///< each within a page, in order
    std::vector<std::int64_t> settled; ///< pages of `synced` that changed, in order
  };
  using names = std::map<std::string, std::shared_ptr<file>>;

  void put(file& to, std::int64_t offset, const std::string& content);
  void add(file& to, std::int64_t offset, const std::string& content);
  bool sync(file& what);
  std::set<std::string> sync_names(const std::string& directory);
  file& named(const std::string& name);
  bool is_reachable(const std::string& name) const;
  /// Which file each name stands for, if the power goes now.
  names found_names(const std::string& store, keep what,
                    simulation::random_source& chance) const;
  static std::vector<const piece*> found_pieces(const file& x, keep what,
                                                simulation::random_source& chance);
  static std::uint64_t found_size(const file& x, keep what, simulation::random_source& chance);
  static result<void> write_file(const std::filesystem::path& path, const file& x, keep what,
                                 simulation::random_source& chance);

  const std::vector<disk_record>& log_;
  std::size_t next_ = 0;
  names visible_, durable_;
  std::set<std::string> directories_; ///< whose own names are on the disk
};

/// One store's directory that follows a replay: only what differs is written, so that every
/// instant can be looked at.
class disk_copy {
public:
  disk_copy(const disk_replay& of, std::filesystem::path directory, std::string store);
  ~disk_copy();
  disk_copy(disk_copy&&) = default;

  /// Becomes what may be found now. Whoever opened the store may have written to it meanwhile.
  /// Errors: storage.
  result<void> become(disk_replay::keep what, simulation::random_source& chance);
  /// Whether any byte of the store's files is part of this text.
  bool holds(std::string_view text) const;
  const std::filesystem::path& directory() const { return directory_; }

private:
  result<void> write_main(const std::shared_ptr<disk_replay::file>& x, disk_replay::keep what,
                          simulation::random_source& chance);
  bool was_written_to() const;
  void forget();

  const disk_replay* of_;
  std::filesystem::path directory_, main_;
  std::string store_;
  std::shared_ptr<disk_replay::file> copied_; ///< whose bytes the file has
  std::size_t settled_ = 0;                   ///< up to here of its `settled`
  std::vector<std::int64_t> overlaid_;        ///< pages that hold what no sync has covered yet
};

} // namespace tallymesh::faults
