#include "tests/faults/power_loss.hpp"

#include <algorithm>
#include <fstream>

namespace tallymesh::faults {

constexpr std::uint64_t most_write_bytes = 256 * 1024 * 1024;

result<std::vector<disk_record>> read_disk_log(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return make_error(errc::storage, file.string() + ": cannot be read");
  std::vector<disk_record> made;
  for (disk_record next; in.read(reinterpret_cast<char*>(&next.head), sizeof next.head);) {
    const auto size = next.head.what == static_cast<std::uint32_t>(recorded::write)
                          ? next.head.size
                          : std::uint64_t{0};
    if (size > most_write_bytes)
      return make_error(errc::malformed, file.string() + ": a write of impossible size");
    next.content.resize(size);
    if (!in.read(next.content.data(), static_cast<std::streamsize>(size)))
      return make_error(errc::malformed, file.string() + ": ends in the middle of a record");
    next.head.name[sizeof next.head.name - 1] = '\0';
    made.push_back(next);
  }
  return made;
}

void disk_replay::put(std::string& into, std::int64_t offset, const std::string& content) {
  const auto begin = static_cast<std::size_t>(offset);
  if (into.size() < begin + content.size()) into.resize(begin + content.size());
  std::copy(content.begin(), content.end(), into.begin() + offset);
}

void disk_replay::add(file& to, std::int64_t offset, const std::string& content) {
  for (std::size_t at = 0; at < content.size();) {
    const auto here = offset + static_cast<std::int64_t>(at);
    const auto left = static_cast<std::size_t>(page_bytes - here % page_bytes);
    to.pending.emplace_back(here, content.substr(at, left));
    at += left;
  }
}

void disk_replay::sync(file& what) {
  for (const auto& [offset, content] : what.pending)
    put(what.synced, offset, content);
  what.pending.clear();
}

void disk_replay::step() {
  const auto& record = log_[next_++];
  const auto what = static_cast<recorded>(record.head.what);
  // A sync of a directory: names are there from the beginning here.
  if (what == recorded::sync && !files_.contains(record.head.name)) return;
  auto& to = files_[record.head.name];
  switch (what) {
  case recorded::write:
    // A descriptor with O_DSYNC returns when its own write is on the disk, and no other.
    if (record.head.is_synced)
      put(to.synced, record.head.offset, record.content);
    else
      add(to, record.head.offset, record.content);
    return;
  case recorded::sync:
    return sync(to);
  case recorded::truncate:
    sync(to);
    to.size = static_cast<std::uint64_t>(record.head.offset);
    if (to.synced.size() > to.size) to.synced.resize(static_cast<std::size_t>(to.size));
    return;
  }
}

std::size_t disk_replay::unsynced_pages() const {
  std::size_t sum = 0;
  for (const auto& [name, x] : files_)
    sum += x.pending.size();
  return sum;
}

result<void> disk_replay::write_to(const std::filesystem::path& directory, keep what,
                                   simulation::random_source& chance) const {
  for (const auto& [name, x] : files_) {
    auto found = x.synced;
    for (const auto& [offset, content] : x.pending)
      if (what == keep::all || (what == keep::some && chance.chance(500)))
        put(found, offset, content);
    const auto path = directory / name;
    std::error_code code;
    std::filesystem::create_directories(path.parent_path(), code);
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << found;
    out.close();
    // LMDB makes its file as large as its map; what is beyond the last write is a hole.
    if (out && x.size > found.size()) std::filesystem::resize_file(path, x.size, code);
    if (!out || code) return make_error(errc::storage, path.string() + ": cannot be written");
  }
  return {};
}

} // namespace tallymesh::faults
