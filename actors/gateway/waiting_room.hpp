// Requests whose answers are not there yet: submitted operations that wait for admission or for
// their block. Bounded in operations. Owned by `service`; any thread (one mutex, never held
// while an answer is made).
#pragma once

#include "actors/gateway/admission.hpp"
#include "actors/gateway/http.hpp"
#include "actors/gateway/json_in.hpp"
#include "messages/receipt.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace tallymesh::gateway {

/// One operation of a request, and what is known of it.
struct waiting_line {
  enum class stage : std::uint8_t { submitted, accepted, refused, finalized };
  operation_id id;
  bool has_id = false;
  stage now = stage::submitted;
  refusal refused;             ///< of stage refused
  std::size_t line_number = 0; ///< in the request, from 1
  std::optional<receipt> executed;
  std::size_t events_left_out = 0; ///< of `executed`, which the request had no room for
};

enum class wait_for : std::uint8_t { accepted, finalized };

/// A request that waits. Guarded by the room's mutex until it has left the room.
struct waiting_request {
  std::vector<waiting_line> lines;
  wait_for until = wait_for::accepted;
  bool many = false;      ///< NDJSON: one answer line for each line
  bool read_only = false; ///< waits for an operation that it did not submit
  std::chrono::steady_clock::time_point deadline;
  std::size_t open = 0; ///< lines that are not yet where `until` wants them
  answer_function answer;
  bool in_room = false;
  std::size_t event_bytes = 0; ///< of all its receipts' events
};
using waiting_ptr = std::shared_ptr<waiting_request>;

class waiting_room {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// A request of many lines keeps so many bytes of events: its operations may tell 16 KiB
  /// each.
  waiting_room(std::size_t max_operations, std::size_t max_event_bytes)
      : max_operations_(max_operations), max_event_bytes_(max_event_bytes) {}

  /// Lines that are refused or finalized already do not count. False if the room is full; then
  /// nothing has changed. `earliest` says that no other request's deadline comes before this
  /// one's.
  bool enter(const waiting_ptr& who, bool& earliest);

  /// `admitted[i]` is for the i-th of `lines`. True if the request is complete and has left.
  bool admitted(const waiting_ptr& who, const std::vector<std::size_t>& lines,
                const std::vector<admission>& verdicts);

  /// Its receipt is there. Gives the requests that are complete and have left. What was
  /// submitted here waits for receipts of `own_lane` only: another node may use the same id.
  std::vector<waiting_ptr> executed(node_index own_lane, const std::vector<receipt>& receipts);
  /// The same for one line of one request. True if it is complete and has left.
  bool executed(const waiting_ptr& who, std::size_t line, const receipt& what);

  /// Those whose deadline has passed; they have left.
  std::vector<waiting_ptr> expire(time_point now);
  std::vector<waiting_ptr> expire_all() { return expire(time_point::max()); }
  std::optional<time_point> next_deadline() const;
  bool empty() const;
  std::size_t operations() const;

private:
  void finish_line(waiting_request& who);
  void keep(waiting_request& who, waiting_line& line, const receipt& what) const;
  void leave(const waiting_ptr& who);

  const std::size_t max_operations_, max_event_bytes_;
  mutable std::mutex mutex_;
  std::size_t operations_ = 0;
  std::unordered_multimap<operation_id, std::pair<waiting_ptr, std::size_t>, operation_id_hash>
      by_id_;
  std::multimap<time_point, waiting_ptr> by_deadline_;
};

} // namespace tallymesh::gateway
