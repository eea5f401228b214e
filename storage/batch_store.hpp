// The bodies of batches, which blocks name and never carry. Written before a batch is sent and
// before `have` covers it (rule S15). Owned by the mempool actor, read by whoever executes or
// answers a fetch. Threads: any, one write at a time.
#pragma once

#include "messages/batch.hpp"

#include <filesystem>
#include <functional>
#include <span>

namespace tallymesh::storage {

class environment;

struct batch_header {
  lane_tip tip;
  digest parent;
  std::uint32_t body_bytes = 0; ///< with all its arguments
  std::uint32_t operations = 0;
  signature signed_by;
  auto operator<=>(const batch_header&) const = default;
};

class batch_store {
public:
  /// Errors: damaged, unsupported, conflict, storage.
  static result<std::unique_ptr<batch_store>> open(const std::filesystem::path& directory,
                                                   const signing_domain& domain);
  ~batch_store();

  /// One synced transaction. A batch that is there already costs nothing; if all are, no sync.
  result<void> put(std::span<const batch_ptr> batches);

  result<bool> contains(const lane_tip& tip) const;
  /// Errors: not_found, damaged, storage.
  result<batch_ptr> get(const lane_tip& tip) const;

  /// `from` and the ones before it down to, not including, `after_seq`: newest first, following
  /// parents. Ends early at `max_bytes` of bodies, `max_count`, or where one is not stored;
  /// holds at least `from`. `sealed`, for sending on: a body is checked by its digest only, and
  /// `content` holds no operations. Errors: not_found (`from` itself), damaged, storage.
  enum class contents { decoded, sealed };
  result<std::vector<batch_ptr>> descend(const lane_tip& from, std::uint64_t after_seq,
                                         std::size_t max_bytes, std::size_t max_count,
                                         contents wanted = contents::decoded) const;

  /// All stored batches beyond `cut` (a lane that it does not name counts from 0), by lane and
  /// seq. Reads and checks each, keeps no body.
  result<std::vector<batch_header>> headers_after(std::span<const lane_tip> cut) const;

  /// Erases the arguments of the operations that `which` picks, in every stored batch at or
  /// below `cut`, those of a lane's forks too. Reads all of them; may be broken off and
  /// repeated. False if there was nothing left to erase. Errors: damaged, storage.
  result<bool> erase(std::span<const lane_tip> cut,
                     const std::function<bool(const batch& of, const operation& what)>& which);
  /// So that the file holds nothing of it either; see environment::rebuild.
  result<void> rebuild(const std::function<void(std::size_t copied_bytes)>& told = {});
  bool holds_erased() const; ///< a rebuild is due
  std::size_t used_bytes() const;

private:
  explicit batch_store(std::unique_ptr<environment> env);
  std::unique_ptr<environment> env_;
};

} // namespace tallymesh::storage
