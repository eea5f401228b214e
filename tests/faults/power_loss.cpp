#include "tests/faults/power_loss.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tallymesh::faults {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t most_write_bytes = 256 * 1024 * 1024;
constexpr const char* main_file = "data.mdb";
/// LMDB maps this one and makes it anew when no process has it: nothing in it outlives a node.
constexpr std::string_view passing_file = "lock.mdb";
/// Of a copy that nobody has written to.
constexpr timespec untouched{1, 0};

std::string parent_of(const std::string& name) {
  const auto slash = name.rfind('/');
  return slash == name.npos ? "." : name.substr(0, slash);
}

error failed_to(const std::string& what, const fs::path& where) {
  return make_error(errc::storage,
                    where.string() + ": cannot be " + what + ": " + std::strerror(errno));
}

/// A file while it is written.
class open_file {
public:
  explicit open_file(const fs::path& path)
      : number_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}
  ~open_file() {
    if (number_ >= 0) ::close(number_);
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;

  explicit operator bool() const { return number_ >= 0; }
  bool write(std::int64_t offset, std::string_view content) const {
    while (!content.empty()) {
      const auto done = ::pwrite(number_, content.data(), content.size(), offset);
      if (done <= 0) return false;
      content.remove_prefix(static_cast<std::size_t>(done));
      offset += done;
    }
    return true;
  }
  bool resize(std::uint64_t size) const {
    return ::ftruncate(number_, static_cast<off_t>(size)) == 0;
  }
  bool mark_untouched() const {
    const timespec times[2] = {untouched, untouched};
    return ::futimens(number_, times) == 0;
  }

private:
  int number_;
};

} // namespace

result<std::vector<disk_record>> read_disk_log(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return make_error(errc::storage, file.string() + ": cannot be read");
  std::vector<disk_record> made;
  for (disk_record next; in.read(reinterpret_cast<char*>(&next.head), sizeof next.head);) {
    if (next.head.size > most_write_bytes)
      return make_error(errc::malformed, file.string() + ": a write of impossible size");
    next.content.resize(next.head.size);
    if (!in.read(next.content.data(), static_cast<std::streamsize>(next.head.size)))
      return make_error(errc::malformed, file.string() + ": ends in the middle of a record");
    next.head.name[sizeof next.head.name - 1] = '\0';
    made.push_back(next);
  }
  return made;
}

std::string store_of(std::string_view name) {
  const auto slash = name.find('/');
  return slash == name.npos ? std::string() : std::string(name.substr(0, slash));
}

// --- disk_replay

void disk_replay::put(file& to, std::int64_t offset, const std::string& content) {
  const auto begin = static_cast<std::size_t>(offset);
  if (to.synced.size() < begin + content.size()) to.synced.resize(begin + content.size());
  std::copy(content.begin(), content.end(), to.synced.begin() + offset);
  const auto end = offset + static_cast<std::int64_t>(content.size());
  for (auto page = offset / page_bytes; page * page_bytes < end; ++page)
    to.settled.push_back(page);
}

void disk_replay::add(file& to, std::int64_t offset, const std::string& content) {
  for (std::size_t at = 0; at < content.size();) {
    const auto here = offset + static_cast<std::int64_t>(at);
    const auto left = static_cast<std::size_t>(page_bytes - here % page_bytes);
    to.pending.emplace_back(here, content.substr(at, left));
    at += left;
  }
}

/// False if all was on the disk already.
bool disk_replay::sync(file& what) {
  const bool some = !what.pending.empty() || what.size != what.size_asked;
  for (const auto& [offset, content] : what.pending)
    put(what, offset, content);
  what.pending.clear();
  what.size = what.size_asked;
  return some;
}

/// What is named in this directory is on the disk under these names, and no other is. Gives the
/// stores for which that was not so.
std::set<std::string> disk_replay::sync_names(const std::string& directory) {
  const auto within = [&](const auto& x) { return parent_of(x.first) == directory; };
  std::set<std::string> changed;
  for (auto at = durable_.begin(); at != durable_.end();)
    if (within(*at) && !visible_.contains(at->first)) {
      changed.insert(store_of(at->first));
      at = durable_.erase(at);
    } else {
      ++at;
    }
  for (const auto& each : visible_) {
    if (within(each) && std::exchange(durable_[each.first], each.second) != each.second)
      changed.insert(store_of(each.first));
    const auto holder = parent_of(each.first);
    if (holder != "." && parent_of(holder) == directory && directories_.insert(holder).second)
      changed.insert(store_of(each.first));
  }
  return changed;
}

disk_replay::file& disk_replay::named(const std::string& name) {
  auto& found = visible_[name];
  if (!found) found = std::make_shared<file>();
  return *found;
}

disk_replay::difference disk_replay::step() {
  const auto& record = log_[next_++];
  const std::string name = record.head.name;
  difference made{{store_of(name)}};
  switch (static_cast<recorded>(record.head.what)) {
  case recorded::write:
    made.all = true;
    made.none = record.head.is_synced != 0;
    // A descriptor with O_DSYNC returns when its own write is on the disk, and no other.
    if (made.none)
      put(named(name), record.head.offset, record.content);
    else
      add(named(name), record.head.offset, record.content);
    break;
  case recorded::sync:
    if (visible_.contains(name)) {
      made.none = sync(named(name));
      break;
    }
    made.stores = sync_names(name);
    made.none = !made.stores.empty();
    break;
  case recorded::truncate: {
    auto& to = named(name);
    made.all = true;
    to.size_asked = static_cast<std::uint64_t>(record.head.offset);
    if (to.synced.size() > to.size_asked) { // shorter: at once, which LMDB never asks for
      to.synced.resize(static_cast<std::size_t>(to.size_asked));
      to.size = to.size_asked;
      made.none = true;
    }
    break;
  }
  case recorded::rename:
    if (const auto at = visible_.find(name); at != visible_.end()) {
      auto moved = std::move(at->second);
      visible_.erase(at);
      visible_[record.content] = std::move(moved);
      made.all = true;
    }
    break;
  case recorded::remove:
    made.all = visible_.erase(name) > 0;
    break;
  }
  if (name.ends_with(passing_file)) return {};
  return made;
}

bool disk_replay::is_reachable(const std::string& name) const {
  for (auto at = parent_of(name); at != "."; at = parent_of(at))
    if (!directories_.contains(at)) return false;
  return true;
}

bool disk_replay::is_uncertain(const std::string& store) const {
  const auto concerns = [&](const std::string& name) {
    return store_of(name) == store && !name.ends_with(passing_file);
  };
  for (const auto& [name, x] : visible_) {
    if (!concerns(name)) continue;
    const auto at = durable_.find(name);
    if (at == durable_.end() || at->second != x || !is_reachable(name)) return true;
    if (!x->pending.empty() || x->size != x->size_asked) return true;
  }
  return std::any_of(durable_.begin(), durable_.end(), [&](const auto& each) {
    return concerns(each.first) && !visible_.contains(each.first);
  });
}

disk_replay::names disk_replay::found_names(const std::string& store, keep what,
                                            simulation::random_source& chance) const {
  std::map<std::string, bool> newest; // by directory: a file system writes its names in order
  const auto is_newest = [&](const std::string& directory) {
    const auto at = newest.find(directory);
    if (at != newest.end()) return at->second;
    return newest[directory] = what == keep::all || (what == keep::some && chance.chance(500));
  };
  names found;
  for (const auto* from : {&visible_, &durable_})
    for (const auto& [name, x] : *from)
      if (store_of(name) == store && !name.ends_with(passing_file)
          && is_newest(parent_of(name)) == (from == &visible_)
          && (from == &visible_ || is_reachable(name)))
        found[name] = x;
  return found;
}

std::vector<const disk_replay::piece*>
disk_replay::found_pieces(const file& x, keep what, simulation::random_source& chance) {
  // Most of it missing, half, or hardly anything: each finds other mistakes.
  static const std::vector<std::uint64_t> shares{100, 500, 900};
  const auto share = chance.pick(shares);
  std::vector<const piece*> found;
  for (const auto& each : x.pending)
    if (what == keep::all || (what == keep::some && chance.chance(share)))
      found.push_back(&each);
  return found;
}

std::uint64_t disk_replay::found_size(const file& x, keep what,
                                      simulation::random_source& chance) {
  return what == keep::all || (what == keep::some && chance.chance(500)) ? x.size_asked
                                                                         : x.size;
}

result<void> disk_replay::write_file(const fs::path& path, const file& x, keep what,
                                     simulation::random_source& chance) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  const open_file out(path);
  if (!out || !out.resize(0) || !out.write(0, x.synced)) return failed_to("written", path);
  auto size = std::max<std::uint64_t>(x.synced.size(), found_size(x, what, chance));
  for (const auto* each : found_pieces(x, what, chance)) {
    if (!out.write(each->first, each->second)) return failed_to("written", path);
    size = std::max<std::uint64_t>(size, static_cast<std::uint64_t>(each->first)
                                             + each->second.size());
  }
  // LMDB makes its file as large as its map; what is beyond the last write is a hole.
  if (!out.resize(size)) return failed_to("made longer", path);
  return {};
}

result<void> disk_replay::write_to(const fs::path& directory, keep what,
                                   simulation::random_source& chance) const {
  std::set<std::string> stores;
  for (const auto* from : {&visible_, &durable_})
    for (const auto& [name, x] : *from)
      stores.insert(store_of(name));
  for (const auto& store : stores)
    for (const auto& [name, x] : found_names(store, what, chance))
      if (auto done = write_file(directory / name, *x, what, chance); !done) return done;
  return {};
}

// --- disk_copy

disk_copy::disk_copy(const disk_replay& of, fs::path directory, std::string store)
    : of_(&of), directory_(std::move(directory)), main_(directory_ / main_file),
      store_(std::move(store)) {}

disk_copy::~disk_copy() = default;

void disk_copy::forget() {
  copied_.reset();
  overlaid_.clear();
}

bool disk_copy::was_written_to() const {
  struct stat info {};
  return ::stat(main_.c_str(), &info) != 0 || info.st_mtim.tv_sec != untouched.tv_sec
         || info.st_mtim.tv_nsec != untouched.tv_nsec;
}

result<void> disk_copy::become(disk_replay::keep what, simulation::random_source& chance) {
  const auto found = of_->found_names(store_, what, chance);
  std::error_code ignored;
  fs::remove_all(directory_ / "rebuilt", ignored);
  const auto main = found.find(store_ + "/" + main_file);
  if (main == found.end()) {
    fs::remove_all(directory_, ignored);
    forget();
  }
  for (const auto& [name, x] : found) {
    auto done = name == store_ + "/" + main_file
                    ? write_main(x, what, chance)
                    : disk_replay::write_file(directory_ / name.substr(store_.size() + 1), *x,
                                              what, chance);
    if (!done) return done;
  }
  return {};
}

result<void> disk_copy::write_main(const std::shared_ptr<disk_replay::file>& x,
                                   disk_replay::keep what, simulation::random_source& chance) {
  constexpr auto page_bytes = disk_replay::page_bytes;
  std::error_code ignored;
  fs::create_directories(directory_, ignored);
  const bool anew = copied_ != x || was_written_to();
  const open_file out(main_);
  if (!out) return failed_to("opened", main_);
  const auto& synced = x->synced;
  if (anew) {
    if (!out.resize(0) || !out.write(0, synced)) return failed_to("written", main_);
  } else {
    for (auto i = settled_; i < x->settled.size(); ++i)
      overlaid_.push_back(x->settled[i]);
    std::sort(overlaid_.begin(), overlaid_.end());
    overlaid_.erase(std::unique(overlaid_.begin(), overlaid_.end()), overlaid_.end());
    for (const auto page : overlaid_) {
      const auto begin = static_cast<std::size_t>(page * page_bytes);
      if (begin < synced.size()
          && !out.write(page * page_bytes,
                        std::string_view(synced).substr(begin, std::size_t{page_bytes})))
        return failed_to("written", main_);
    }
    // What chance had put beyond the end of what is synced goes with the holes there.
    if (!out.resize(synced.size())) return failed_to("cut", main_);
  }
  overlaid_.clear();
  auto size = std::max<std::uint64_t>(synced.size(), disk_replay::found_size(*x, what, chance));
  for (const auto* each : disk_replay::found_pieces(*x, what, chance)) {
    if (!out.write(each->first, each->second)) return failed_to("written", main_);
    overlaid_.push_back(each->first / page_bytes);
    size = std::max<std::uint64_t>(size, static_cast<std::uint64_t>(each->first)
                                             + each->second.size());
  }
  if (!out.resize(size) || !out.mark_untouched()) return failed_to("made longer", main_);
  copied_ = x;
  settled_ = x->settled.size();
  return {};
}

bool disk_copy::holds(std::string_view text) const {
  std::error_code ignored;
  for (const auto& each : fs::recursive_directory_iterator(directory_, ignored)) {
    if (!each.is_regular_file(ignored)) continue;
    std::ifstream in(each.path(), std::ios::binary);
    // Its written part: behind that it is as long as the map, and a hole.
    const auto end = copied_ && each.path() == main_ ? copied_->synced.size() : 0;
    std::string content(std::max<std::size_t>(end, 1) + (std::size_t{1} << 20), '\0');
    in.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(in.gcount()));
    if (content.find(text) != content.npos) return true;
  }
  return false;
}

} // namespace tallymesh::faults
