// One LMDB environment in a directory of its own, behind what every store here needs: a map
// that grows by itself, a mark that names store, format and chain, and errors that say what to
// do. The directory is locked, so two processes never open one store. Internal to this folder.
// Threads: read() from any; write() one at a time, others wait. Never call one inside another:
// growing the map waits until all reads have ended.
#pragma once

#include "storage/record.hpp"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <lmdb.h>
#include <mutex>

namespace tallymesh::storage {

class environment;

/// Which of a store's databases; an index into environment::description::databases.
using database = std::size_t;

/// Keeps readers out while the map moves. Unlike std::shared_mutex, whose readers may overlap
/// for ever, it lets nobody in once someone waits to close it.
class reader_gate {
public:
  void enter();
  void leave();
  void close(); ///< waits for all inside to leave
  void open();

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t inside_ = 0;
  bool closed_ = false;
};

class transaction {
public:
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  /// Valid until the transaction ends; in a writing one, until the next write.
  std::optional<bytes_view> get(database in, bytes_view key) const;
  std::uint64_t entries(database in) const;

protected:
  explicit transaction(const environment& of) : env_(of) {}
  ~transaction();

  friend class cursor;
  friend class environment;
  const environment& env_;
  MDB_txn* raw_ = nullptr;
};

class read_transaction : public transaction {
public:
  explicit read_transaction(const environment& of);
  /// For the environment itself, while it keeps all others out.
  struct inside_closed_gate {};
  read_transaction(const environment& of, inside_closed_gate);
  ~read_transaction();

private:
  bool entered_ = true;
};

class write_transaction : public transaction {
public:
  explicit write_transaction(environment& of);
  void put(database in, bytes_view key, bytes_view value);
  /// False, and nothing changed, if the key is there.
  bool insert(database in, bytes_view key, bytes_view value);
  void erase(database in, bytes_view key); ///< also if it is not there
  /// With this transaction goes something that the file must not keep: a rebuild is due.
  void note_erased();
  void commit();
};

/// Walks a database in key order. Views are valid until the next move.
class cursor {
public:
  cursor(const transaction& of, database in);
  ~cursor();
  cursor(const cursor&) = delete;
  cursor& operator=(const cursor&) = delete;

  bool seek(bytes_view key); ///< to the first key not below
  bool next();
  bool previous();
  bool last();
  bool seek_before(bytes_view key); ///< to the last key below
  bool ended() const { return !at_; }
  bytes_view key() const { return key_; }
  bytes_view value() const { return value_; }

  /// Quicker than transaction::put where keys come in order.
  void put(bytes_view key, bytes_view value);
  /// The key must be above all others.
  void append(bytes_view key, bytes_view value);
  void erase(); ///< the entry it stands at; then it stands before the next

private:
  bool move(MDB_cursor_op how);
  void write(bytes_view key, bytes_view value, unsigned flags);

  const environment& env_;
  MDB_cursor* raw_ = nullptr;
  bytes_view key_, value_;
  bool at_ = false;
};

class environment {
public:
  struct description {
    std::string store;                  ///< its name in errors and in its mark
    std::vector<std::string> databases; ///< at most 16
    digest chain;
    bool may_create = true;
    std::string if_missing;        ///< what the operator should know when it may not be created
    bool sync_every_commit = true; ///< false: a power cut may take back the last commits
  };
  static constexpr std::uint32_t format = 4;
  static constexpr std::size_t first_map_bytes = std::size_t{64} << 20;

  /// Looks before it opens: a store that is damaged, of a newer format, of another kind or of
  /// another chain is not touched. Errors: not_found, damaged, unsupported, conflict, storage.
  static result<std::unique_ptr<environment>> open(const std::filesystem::path& directory,
                                                   description about);
  ~environment();

  template <class F>
  auto read(F&& body) const -> result<std::invoke_result_t<F, const read_transaction&>> {
    return guarded([&] {
      const read_transaction snapshot(*this);
      return body(snapshot);
    });
  }
  /// What `work` threw becomes its error.
  template <class F>
  static auto guarded(F&& work) -> result<std::invoke_result_t<F>> {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
        work();
        return {};
      } else {
        return work();
      }
    } catch (const failure& x) {
      return x.what;
    } catch (const std::exception& x) {
      return make_error(errc::storage, x.what());
    }
  }

  /// Commits what `body` did, or nothing if it fails. `body` may run again, when the map was
  /// full.
  result<void> write(const std::function<void(write_transaction&)>& body);

  /// Copies every record into a new file and puts that in the old one's place: then the file
  /// holds nothing that was deleted or overwritten, which LMDB leaves in pages that it may use
  /// again and in the gaps of those in use. Takes the time of reading and writing all that
  /// there is; meanwhile reads and writes wait. On an error the old file stays; errc::too_large
  /// if the disk has no room for both: the store is as it was and goes on. `told` hears
  /// now and then how much is copied; it must not read from the store.
  using copy_listener = std::function<void(std::size_t copied_bytes)>;
  result<void> rebuild(const copy_listener& told = {});
  /// Whether something was erased since the file was made: see write_transaction::note_erased.
  bool holds_erased() const;
  /// All that was committed is on stable storage, also where a commit is not synced.
  result<void> sync();
  std::size_t used_bytes() const;

  std::size_t map_bytes() const { return map_bytes_; }
  const std::string& store() const { return about_.store; }
  [[noreturn]] void fail_lmdb(int code, std::string_view doing) const;

private:
  friend class transaction;
  friend class read_transaction;
  friend class write_transaction;
  friend class cursor;

  environment(std::filesystem::path directory, description about);
  void lock_directory();
  bool look();
  void check_mark(bytes_view value) const;
  void make_fresh();
  void take_place_of_old(const std::filesystem::path& made);
  void open_for_writing(const std::filesystem::path& directory);
  void open_databases(bool fresh);
  void cover_map();
  void write_locked(const std::function<void(write_transaction&)>& body);
  void check_room_for_copy() const;
  void copy_into(const std::filesystem::path& directory, const copy_listener& told) const;
  void commit(write_transaction& t);
  void grow();
  std::string where() const { return about_.store + " at " + directory_.string(); }

  std::filesystem::path directory_;
  description about_;
  int lock_ = -1;
  MDB_env* env_ = nullptr;
  std::vector<MDB_dbi> databases_;
  std::size_t map_bytes_ = first_map_bytes;
  mutable reader_gate gate_;
  std::mutex writing_;
  bool failed_ =
      false; ///< a commit failed: what is on the disk is unknown, so nothing more is written
};

/// The record that every store is created with. Its layout never changes, so that every version
/// can tell what another has written.
bytes store_mark(std::string_view store, std::uint32_t format, const digest& chain);
inline constexpr const char* mark_database = "meta";
inline constexpr std::string_view mark_key = "store";
/// Beside the mark: something was erased since the file was made.
inline constexpr std::string_view erased_key = "erased";

} // namespace tallymesh::storage
