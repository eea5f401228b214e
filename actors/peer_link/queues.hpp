// What bounds the memory that a peer can cost us, in both directions: a send_queue holds frames
// that wait for the link, a receive_credit counts frames that were delivered and not yet let
// go. Shared between the link's thread and whoever sends or holds frames; every member says who
// may call it.
#pragma once

#include "messages/caf_types.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>

namespace tallymesh::peer_link {

struct queue_limits {
  std::size_t queue_bytes =
      16 * 1024 * 1024;                     ///< frames waiting and bytes written but not taken
  std::size_t reserve_bytes = 1024 * 1024;  ///< on top, for small frames only
  std::size_t small_frame_bytes = 4 * 1024; ///< votes and the like
};

class send_queue {
public:
  enum class outcome {
    dropped, ///< no room, or the link is down
    queued,
    queued_first, ///< the link's thread sleeps: wake it
  };

  explicit send_queue(queue_limits limits) : limits_(limits) {}

  /// Any thread.
  outcome push(shared_frame frame);

  /// The link's thread: the oldest frame, or null; after null the next push asks for a wake-up.
  shared_frame take();
  /// The link's thread: of `bytes` that `take` handed out, how many are now in the write
  /// buffer.
  void set_write_buffer_bytes(std::size_t bytes) { writing_bytes_ = bytes; }
  /// The link's thread: drops what waits, and everything that comes later.
  void close();

  /// Any thread.
  std::size_t bytes() const { return waiting_bytes_ + writing_bytes_; }

private:
  const queue_limits limits_;
  std::mutex mutex_;
  std::deque<shared_frame> frames_;            // by mutex_
  bool awake_ = false;                         // by mutex_
  bool closed_ = false;                        // by mutex_
  std::atomic<std::size_t> waiting_bytes_ = 0; // changed under mutex_
  std::atomic<std::size_t> writing_bytes_ = 0;
};

class receive_credit : public std::enable_shared_from_this<receive_credit> {
public:
  /// What a frame costs beside its bytes, in mailboxes and on the heap: tiny frames are not
  /// free.
  static constexpr std::size_t frame_overhead_bytes = 512;

  /// `low_again` runs on any thread, when after `pause` the frames in flight fell to half of
  /// `limit_bytes`.
  receive_credit(std::size_t limit_bytes, std::function<void()> low_again)
      : limit_bytes_(limit_bytes), low_again_(std::move(low_again)) {}

  /// The link's thread: a frame whose bytes count until its last owner lets go of it.
  shared_frame lend(bytes body);
  /// The link's thread: true if it must stop reading; then `low_again` follows, unless closed.
  bool must_pause();
  /// The link's thread: `low_again` is not called any more.
  void close() { paused_ = false; }
  /// The link's thread: whether enough has been let go to read on.
  bool is_low() const { return in_flight_bytes_ <= limit_bytes_ / 2; }

private:
  void give_back(std::size_t size);

  const std::size_t limit_bytes_;
  const std::function<void()> low_again_;
  std::atomic<std::size_t> in_flight_bytes_ = 0;
  std::atomic<bool> paused_ = false;
};

} // namespace tallymesh::peer_link
