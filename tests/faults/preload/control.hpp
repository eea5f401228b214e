// What a test tells the preloaded library of a running node: a file of this shape, mapped by
// both. All members are atomic and lock-free, so a change counts at the next call that it
// concerns.
#pragma once

#include <atomic>
#include <cstdint>

namespace tallymesh::faults {

enum class disk_state : std::uint32_t { well, full, eio, torn, slow };

struct preload_control {
  std::atomic<std::uint32_t> disk{0};    ///< a disk_state
  std::atomic<std::uint32_t> slow_ms{0}; ///< how long a sync takes more
  std::atomic<std::int64_t> clock_offset_ms{0};
  std::atomic<std::uint32_t> gateway_port{0}; ///< what is sent from here is no send to a peer
  // The process ends as by kill -9 at the nth call from now; 0: never.
  // A sync is a commit's; a send is one to a peer.
  std::atomic<std::int32_t> before_sync{0}, after_sync{0}, before_send{0}, after_send{0};
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free
              && std::atomic<std::int32_t>::is_always_lock_free);

// The environment variables that switch the library on; without them it changes nothing.
constexpr const char* control_variable = "TALLYMESH_FAULTS_CONTROL"; ///< the mapped file
constexpr const char* data_variable = "TALLYMESH_FAULTS_DATA"; ///< faults of disks: below here
constexpr const char* record_variable =
    "TALLYMESH_FAULTS_RECORD";                                   ///< a log of writes and syncs
constexpr const char* leash_variable = "TALLYMESH_FAULTS_LEASH"; ///< ends with its parent

/// The log of what was done to files, one after another, each with `size` bytes of content
/// behind it. A sync of a directory is one of the names in it.
enum class recorded : std::uint32_t { write, sync, truncate, rename, remove };
struct record_header {
  std::uint32_t what = 0;      ///< a `recorded`
  std::uint32_t is_synced = 0; ///< a write through a descriptor with O_DSYNC
  std::int64_t at_us = 0;      ///< CLOCK_MONOTONIC, when the call had returned; never falls
  std::int64_t offset = 0;     ///< of a write; of a truncate the new size
  std::uint64_t size = 0;      ///< of what was written, or of the name that a file got
  char name[96] = {}; ///< the file's path below the data directory; ".": that one itself
};

} // namespace tallymesh::faults
