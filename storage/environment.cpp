#include "storage/environment.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tallymesh::storage {

namespace {

constexpr unsigned max_readers = 256;
constexpr unsigned max_databases = 16 + 1;
constexpr mode_t directory_mode = 0700, file_mode = 0600;
/// Where a file is made anew, below the store's own directory.
constexpr const char* rebuilt_name = "rebuilt";

/// Thrown by a write when the map has no page left; environment::write grows it and starts
/// again.
struct map_is_full {};

constexpr record_kind mark_kind{"tallymesh", "mark", hex_name};

MDB_val to_lmdb(bytes_view x) { return {x.size(), const_cast<std::uint8_t*>(x.data())}; }

/// True if all of [data, data + size) is mapped. LMDB believes the sizes in its pages; one that
/// was damaged may point beyond the map, and reading there would end the process.
bool is_mapped(const void* data, std::size_t size) {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(data) & ~(page - 1);
  const auto end = reinterpret_cast<std::uintptr_t>(data) + size;
  return ::msync(reinterpret_cast<void*>(begin), end - begin, MS_ASYNC) == 0;
}

/// A value within one LMDB page can only run over into the next page; only larger ones are
/// checked.
constexpr std::size_t surely_small_bytes = 4096;

errc code_for(int code) {
  switch (code) {
  case MDB_CORRUPTED:
  case MDB_INVALID:
  case MDB_PAGE_NOTFOUND:
  case MDB_INCOMPATIBLE:
    return errc::damaged;
  case MDB_VERSION_MISMATCH:
    return errc::unsupported;
  default:
    return errc::storage;
  }
}

bool means_full(int code) { return code == ENOSPC || code == EDQUOT || code == EFBIG; }

std::string text_for(int code) {
  if (means_full(code))
    return "the disk is full (" + std::string(std::strerror(code))
           + "); make room, then start again";
  if (code == MDB_INVALID) return "the file is damaged or not a store";
  return mdb_strerror(code);
}

/// LMDB tells a write that was cut short as an input/output error, so the disk is asked again.
bool takes_no_more(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return means_full(errno);
  const std::array<char, 4096> page{};
  const auto done = ::write(fd, page.data(), page.size());
  const bool full = done < 0 ? means_full(errno) : done < std::ssize(page);
  ::close(fd);
  return full;
}

void sync_directory(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool done = fd >= 0 && ::fsync(fd) == 0;
  const int cause = errno;
  if (fd >= 0) ::close(fd);
  if (!done)
    fail(errc::storage,
         "cannot sync the directory " + path.string() + ": " + std::strerror(cause));
}

} // namespace

// --- reader_gate

void reader_gate::enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !closed_; });
  ++inside_;
}

void reader_gate::leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0 && closed_) changed_.notify_all();
}

void reader_gate::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  changed_.wait(lock, [this] { return inside_ == 0; });
}

void reader_gate::open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  changed_.notify_all();
}

// --- transactions

transaction::~transaction() {
  if (raw_) mdb_txn_abort(raw_);
}

std::optional<bytes_view> transaction::get(database in, bytes_view key) const {
  auto name = to_lmdb(key);
  MDB_val value{};
  const int code = mdb_get(raw_, env_.databases_[in], &name, &value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) env_.fail_lmdb(code, "reading");
  if (value.mv_size > surely_small_bytes && !is_mapped(value.mv_data, value.mv_size))
    env_.fail_lmdb(MDB_CORRUPTED, "reading");
  return bytes_view{static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}

std::uint64_t transaction::entries(database in) const {
  MDB_stat stat{};
  if (const int code = mdb_stat(raw_, env_.databases_[in], &stat))
    env_.fail_lmdb(code, "reading");
  return stat.ms_entries;
}

read_transaction::read_transaction(const environment& of) : transaction(of) {
  of.gate_.enter();
  if (const int code = mdb_txn_begin(of.env_, nullptr, MDB_RDONLY, &raw_)) {
    raw_ = nullptr;
    of.gate_.leave();
    of.fail_lmdb(code, "beginning to read");
  }
}

read_transaction::read_transaction(const environment& of, inside_closed_gate)
    : transaction(of), entered_(false) {
  if (const int code = mdb_txn_begin(of.env_, nullptr, MDB_RDONLY, &raw_)) {
    raw_ = nullptr;
    of.fail_lmdb(code, "beginning to read");
  }
}

read_transaction::~read_transaction() {
  mdb_txn_abort(raw_);
  raw_ = nullptr;
  if (entered_) env_.gate_.leave();
}

write_transaction::write_transaction(environment& of) : transaction(of) {
  if (const int code = mdb_txn_begin(of.env_, nullptr, 0, &raw_)) {
    raw_ = nullptr;
    of.fail_lmdb(code, "beginning to write");
  }
}

static void check_write(const environment& env, int code) {
  if (code == MDB_MAP_FULL) throw map_is_full{};
  if (code != 0) env.fail_lmdb(code, "writing");
}

void write_transaction::put(database in, bytes_view key, bytes_view value) {
  auto name = to_lmdb(key), what = to_lmdb(value);
  check_write(env_, mdb_put(raw_, env_.databases_[in], &name, &what, 0));
}

bool write_transaction::insert(database in, bytes_view key, bytes_view value) {
  auto name = to_lmdb(key), what = to_lmdb(value);
  const int code = mdb_put(raw_, env_.databases_[in], &name, &what, MDB_NOOVERWRITE);
  if (code == MDB_KEYEXIST) return false;
  check_write(env_, code);
  return true;
}

void write_transaction::erase(database in, bytes_view key) {
  auto name = to_lmdb(key);
  const int code = mdb_del(raw_, env_.databases_[in], &name, nullptr);
  if (code != MDB_NOTFOUND) check_write(env_, code);
}

void write_transaction::note_erased() {
  put(env_.databases_.size() - 1, as_bytes(erased_key), {});
}

void write_transaction::commit() {
  check_write(env_, mdb_txn_commit(std::exchange(raw_, nullptr)));
}

// --- cursor

cursor::cursor(const transaction& of, database in) : env_(of.env_) {
  if (const int code = mdb_cursor_open(of.raw_, env_.databases_[in], &raw_))
    env_.fail_lmdb(code, "reading");
}

cursor::~cursor() { mdb_cursor_close(raw_); }

bool cursor::move(MDB_cursor_op how) {
  auto key = to_lmdb(key_);
  MDB_val value{};
  const int code = mdb_cursor_get(raw_, &key, &value, how);
  at_ = code == 0;
  if (code == MDB_NOTFOUND) return false;
  if (code != 0) env_.fail_lmdb(code, "reading");
  if (value.mv_size > surely_small_bytes && !is_mapped(value.mv_data, value.mv_size))
    env_.fail_lmdb(MDB_CORRUPTED, "reading");
  key_ = {static_cast<const std::uint8_t*>(key.mv_data), key.mv_size};
  value_ = {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
  return true;
}

bool cursor::seek(bytes_view key) {
  key_ = key;
  return move(key.empty() ? MDB_FIRST : MDB_SET_RANGE);
}

bool cursor::next() { return move(MDB_NEXT); }
bool cursor::previous() { return move(MDB_PREV); }
bool cursor::last() { return move(MDB_LAST); }

bool cursor::seek_before(bytes_view key) { return seek(key) ? previous() : last(); }

void cursor::write(bytes_view key, bytes_view value, unsigned flags) {
  auto name = to_lmdb(key), what = to_lmdb(value);
  check_write(env_, mdb_cursor_put(raw_, &name, &what, flags));
}

void cursor::put(bytes_view key, bytes_view value) { write(key, value, 0); }
void cursor::append(bytes_view key, bytes_view value) { write(key, value, MDB_APPEND); }

void cursor::erase() {
  check_write(env_, mdb_cursor_del(raw_, 0));
  at_ = false;
}

// --- environment

environment::environment(std::filesystem::path directory, description about)
    : directory_(std::move(directory)), about_(std::move(about)) {}

environment::~environment() {
  if (env_) mdb_env_close(env_);
  if (lock_ >= 0) ::close(lock_);
}

void environment::fail_lmdb(int code, std::string_view doing) const {
  fail(code_for(code), where() + ": " + std::string(doing) + " failed: " + text_for(code));
}

bytes store_mark(std::string_view store, std::uint32_t format, const digest& chain) {
  bytes content;
  put_integer(content, format);
  put_bytes(content, chain.raw);
  put_bytes(content, as_bytes(store));
  return seal_record(mark_kind, as_bytes(mark_key), content);
}

void environment::check_mark(bytes_view value) const {
  field_reader in{};
  try {
    in.rest = open_record(mark_kind, as_bytes(mark_key), value);
  } catch (const failure&) {
    fail(errc::damaged, where() + ": the record that names its format and chain is damaged");
  }
  const auto written = in.integer<std::uint32_t>();
  digest chain;
  in.array(chain.raw);
  if (!in.ok)
    fail(errc::damaged, where() + ": the record that names its format and chain is too short");
  if (as_text(in.rest) != about_.store)
    fail(errc::conflict, directory_.string() + " holds a " + std::string(as_text(in.rest))
                             + ", not a " + about_.store);
  if (written != format)
    fail(errc::unsupported, where() + " has format " + std::to_string(written)
                                + ", this program reads " + std::to_string(format)
                                + "; run the version that wrote it");
  if (chain != about_.chain)
    fail(errc::conflict, where() + " belongs to the chain " + chain.short_hex() + ", not to "
                             + about_.chain.short_hex()
                             + "; check the genesis file and the data directory");
}

void environment::lock_directory() {
  lock_ = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0)
    fail(errc::storage,
         "cannot open the directory of " + where() + ": " + std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK)
    fail(errc::conflict, where() + " is in use by another process; stop that one first");
  fail(errc::storage, "cannot lock " + where() + ": " + std::strerror(errno));
}

namespace {
/// A way to look into a store that leaves every file as it is: no lock file, nothing written.
struct looking_glass {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  ~looking_glass() {
    if (txn) mdb_txn_abort(txn);
    if (env) mdb_env_close(env);
  }
};
} // namespace

/// False if there is no store yet. Fails if there is one that must not be opened. A store gets
/// its name when it is whole, so what is half written under it was damaged.
bool environment::look() {
  const auto file = directory_ / "data.mdb";
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    fail(errc::storage, "cannot read " + file.string() + ": " + std::strerror(errno));
  }
  if (info.st_size == 0) return false; // created, then the process ended before it wrote
  looking_glass look;
  const auto check = [this](int code) {
    if (code != 0) fail_lmdb(code, "looking into it");
  };
  check(mdb_env_create(&look.env));
  check(mdb_env_set_maxdbs(look.env, 1));
  check(mdb_env_open(look.env, directory_.c_str(), MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS,
                     file_mode));
  MDB_envinfo map{};
  MDB_stat stat{};
  check(mdb_env_info(look.env, &map));
  check(mdb_env_stat(look.env, &stat));
  const auto used = (static_cast<std::uint64_t>(map.me_last_pgno) + 1) * stat.ms_psize;
  if (static_cast<std::uint64_t>(info.st_size) < used)
    fail(errc::damaged, where() + ": the file is cut off; it has "
                            + std::to_string(info.st_size) + " bytes and "
                            + std::to_string(used) + " are in use");
  while (map_bytes_ < std::max<std::uint64_t>(map.me_mapsize, used))
    map_bytes_ *= 2;
  check(mdb_txn_begin(look.env, nullptr, MDB_RDONLY, &look.txn));
  MDB_dbi meta = 0;
  const int code = mdb_dbi_open(look.txn, mark_database, 0, &meta);
  if (code == MDB_NOTFOUND) {
    if (stat.ms_entries != 0)
      fail(errc::damaged, where() + ": it is not a store of ours, or its mark is gone");
    return false; // created, then the process ended before its first commit
  }
  check(code);
  auto name = to_lmdb(as_bytes(mark_key));
  MDB_val value{};
  const int found = mdb_get(look.txn, meta, &name, &value);
  if (found == MDB_NOTFOUND) fail(errc::damaged, where() + ": its mark is gone");
  check(found);
  check_mark({static_cast<const std::uint8_t*>(value.mv_data), value.mv_size});
  return true;
}

/// Under another name until its first commit is on the disk: LMDB's own beginnings cannot be
/// told from damage, if the power goes before they are whole.
void environment::make_fresh() {
  const auto making = directory_ / rebuilt_name;
  if (::mkdir(making.c_str(), directory_mode) != 0)
    fail(errc::storage, "cannot create " + making.string() + ": " + std::strerror(errno));
  open_for_writing(making);
  open_databases(true);
  if (const int code = mdb_env_sync(env_, 1)) fail_lmdb(code, "creating");
  mdb_env_close(std::exchange(env_, nullptr));
  take_place_of_old(making);
}

void environment::take_place_of_old(const std::filesystem::path& made) {
  std::filesystem::rename(made / "data.mdb", directory_ / "data.mdb");
  sync_directory(directory_);
  std::filesystem::remove_all(made);
}

void environment::open_for_writing(const std::filesystem::path& directory) {
  const auto check = [this](int code) {
    if (code != 0) fail_lmdb(code, "opening");
  };
  check(mdb_env_create(&env_));
  check(mdb_env_set_maxdbs(env_, max_databases));
  check(mdb_env_set_maxreaders(env_, max_readers));
  check(mdb_env_set_mapsize(env_, map_bytes_));
  // MDB_NOTLS: a reader's slot belongs to its transaction, not to its thread. Without the sync
  // of the meta page the data is still synced before it, so a power cut never damages the
  // store.
  const unsigned flags = MDB_NOTLS | (about_.sync_every_commit ? 0u : unsigned{MDB_NOMETASYNC});
  check(mdb_env_open(env_, directory.c_str(), flags, file_mode));
  cover_map();
}

void environment::open_databases(bool fresh) {
  write_locked([&](write_transaction& t) {
    databases_.clear();
    const auto open_one = [&](const char* name) {
      MDB_dbi handle = 0;
      if (const int code = mdb_dbi_open(t.raw_, name, MDB_CREATE, &handle))
        check_write(*this, code);
      databases_.push_back(handle);
    };
    for (const auto& name : about_.databases)
      open_one(name.c_str());
    open_one(mark_database);
    if (fresh)
      t.put(databases_.size() - 1, as_bytes(mark_key),
            store_mark(about_.store, format, about_.chain));
  });
}

/// The file is as long as the map (sparse, it takes no room): so a file that is shorter than
/// what is in use has been cut off, and no read beyond its end kills the process.
void environment::cover_map() {
  int file = -1;
  struct stat info {};
  if (mdb_env_get_fd(env_, &file) != 0 || ::fstat(file, &info) != 0
      || (static_cast<std::size_t>(info.st_size) < map_bytes_
          && (::ftruncate(file, static_cast<off_t>(map_bytes_)) != 0 || ::fsync(file) != 0)))
    fail(errc::storage,
         "cannot make the file of " + where() + " longer: " + std::strerror(errno));
}

void environment::grow() {
  gate_.close();
  map_bytes_ *= 2;
  const int code = mdb_env_set_mapsize(env_, map_bytes_);
  gate_.open();
  if (code != 0) {
    failed_ = true;
    fail_lmdb(code, "growing the map to " + std::to_string(map_bytes_ >> 20) + " MiB");
  }
  cover_map();
}

result<std::unique_ptr<environment>> environment::open(const std::filesystem::path& directory,
                                                       description about) {
  return guarded([&] {
    TALLYMESH_INVARIANT(about.databases.size() < max_databases);
    std::unique_ptr<environment> env(new environment(directory, std::move(about)));
    const auto refuse = [&] {
      fail(errc::not_found, env->where() + " is missing. " + env->about_.if_missing);
    };
    if (!std::filesystem::exists(directory)) {
      if (!env->about_.may_create) refuse();
      if (directory.has_parent_path())
        std::filesystem::create_directories(directory.parent_path());
      if (::mkdir(directory.c_str(), directory_mode) != 0 && errno != EEXIST)
        fail(errc::storage, "cannot create " + env->where() + ": " + std::strerror(errno));
    }
    env->lock_directory();
    std::filesystem::remove_all(directory / rebuilt_name); // cut off before it took the place
    const bool fresh = !env->look();
    if (fresh && !env->about_.may_create) refuse();
    if (fresh) {
      env->make_fresh();
      sync_directory(std::filesystem::absolute(directory).parent_path());
    }
    env->open_for_writing(directory);
    env->open_databases(false);
    return env;
  });
}

void environment::commit(write_transaction& t) {
  try {
    t.commit();
  } catch (const failure&) {
    // A failed sync may have dropped pages; a second one would succeed and prove nothing.
    failed_ = true;
    throw;
  }
}

void environment::write_locked(const std::function<void(write_transaction&)>& body) {
  for (;;) {
    if (failed_) fail(errc::storage, where() + ": an earlier commit failed; start again");
    try {
      write_transaction t(*this);
      body(t);
      return commit(t);
    } catch (const map_is_full&) {
      grow();
    }
  }
}

result<void> environment::write(const std::function<void(write_transaction&)>& body) {
  return guarded([&] {
    const std::lock_guard one_at_a_time(writing_);
    write_locked(body);
  });
}

// --- a file without what was deleted

namespace {

constexpr std::size_t copied_at_once_bytes = std::size_t{64} << 20;
/// Left on the disk beside a copy: all else that is stored goes on meanwhile.
constexpr std::size_t left_for_others_bytes = std::size_t{64} << 20;

/// Another environment, while it is filled.
struct copy_target {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  ~copy_target() {
    if (txn) mdb_txn_abort(txn);
    if (env) mdb_env_close(env);
  }
};

} // namespace

std::size_t environment::used_bytes() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

bool environment::holds_erased() const {
  const auto found = read([&](const read_transaction& t) {
    return t.get(databases_.size() - 1, as_bytes(erased_key)).has_value();
  });
  return !found || *found;
}

result<void> environment::sync() {
  return guarded([&] {
    const std::lock_guard one_at_a_time(writing_);
    if (const int code = mdb_env_sync(env_, 1)) {
      failed_ = true;
      fail_lmdb(code, "syncing");
    }
  });
}

void environment::copy_into(const std::filesystem::path& directory,
                            const copy_listener& told) const {
  const auto check = [this](int code) {
    if (code != 0) fail_lmdb(code, "making it anew");
  };
  copy_target to;
  check(mdb_env_create(&to.env));
  check(mdb_env_set_maxdbs(to.env, max_databases));
  check(mdb_env_set_mapsize(to.env, map_bytes_));
  check(mdb_env_open(to.env, directory.c_str(), MDB_NOTLS | MDB_NOSYNC, file_mode));
  auto names = about_.databases;
  names.emplace_back(mark_database);
  const read_transaction from(*this, read_transaction::inside_closed_gate{});
  std::size_t copied = 0, committed = 0;
  // Each part is synced by itself: one sync at the end would take minutes and say nothing.
  const auto commit = [&] {
    check(mdb_txn_commit(std::exchange(to.txn, nullptr)));
    check(mdb_env_sync(to.env, 1));
    committed = copied;
    if (told) told(copied);
  };
  for (database i = 0; i < names.size(); ++i) {
    check(mdb_txn_begin(to.env, nullptr, 0, &to.txn));
    MDB_dbi into = 0;
    check(mdb_dbi_open(to.txn, names[i].c_str(), MDB_CREATE, &into));
    cursor at(from, i);
    for (bool more = at.seek({}); more; more = at.next()) {
      if (i + 1 == names.size() && as_text(at.key()) == erased_key) continue;
      auto key = to_lmdb(at.key()), value = to_lmdb(at.value());
      check(mdb_put(to.txn, into, &key, &value, MDB_APPEND));
      copied += key.mv_size + value.mv_size;
      if (copied - committed < copied_at_once_bytes) continue;
      commit();
      check(mdb_txn_begin(to.env, nullptr, 0, &to.txn));
    }
    commit();
  }
}

void environment::check_room_for_copy() const {
  const auto needed = used_bytes() + left_for_others_bytes;
  const auto free = std::filesystem::space(directory_).available;
  if (free < needed)
    fail(errc::too_large, where() + ": making it anew takes up to "
                              + std::to_string((needed >> 20) + 1)
                              + " MiB of the disk beside the old file, and "
                              + std::to_string(free >> 20) + " are free; make room");
}

result<void> environment::rebuild(const copy_listener& told) {
  return guarded([&] {
    const std::lock_guard one_at_a_time(writing_);
    if (failed_) fail(errc::storage, where() + ": an earlier commit failed; start again");
    const auto fresh = directory_ / rebuilt_name;
    std::filesystem::remove_all(fresh);
    check_room_for_copy();
    if (::mkdir(fresh.c_str(), directory_mode) != 0)
      fail(means_full(errno) ? errc::too_large : errc::storage,
           "cannot create " + fresh.string() + ": " + std::strerror(errno));
    gate_.close();
    try {
      copy_into(fresh, told);
    } catch (...) {
      gate_.open();
      const bool is_full = takes_no_more(fresh / "data.mdb");
      std::error_code ignored;
      std::filesystem::remove_all(fresh, ignored);
      if (is_full)
        fail(errc::too_large, where()
                                  + ": the disk filled up while it was made anew, and the old "
                                    "file stays; make room");
      throw;
    }
    // Should anything fail from here on, the gate stays closed: there is no file to read, and
    // the process has to end.
    mdb_env_close(std::exchange(env_, nullptr));
    take_place_of_old(fresh);
    open_for_writing(directory_);
    open_databases(false);
    gate_.open();
  });
}

} // namespace tallymesh::storage
