// The gateway without its sockets: says who may ask what, reads operations in, keeps those
// waiting that wait for their block, and answers. Owned by `server`; any thread. Parsing and
// reads of the ledger happen in the worker pool, behind `service_hooks::run`.
#pragma once

#include "actors/gateway/backend.hpp"
#include "actors/gateway/delivery_room.hpp"
#include "actors/gateway/failure_limiter.hpp"
#include "actors/gateway/router.hpp"
#include "actors/gateway/waiting_room.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <unordered_set>

namespace tallymesh::gateway {

struct service_settings {
  std::size_t waiting_operations = 200'000; ///< of all requests together
  std::size_t request_lines = 10'000;
  std::size_t page_bytes = std::size_t{4} << 20; ///< of a list, however long it was asked for
  std::size_t waiting_subscribers = 1000;
  std::size_t waiting_subscribers_each = 50; ///< of one account
};

struct service_hooks {
  /// Runs a task soon on another thread; false if there are too many.
  std::function<bool(std::function<void()>)> run;
  /// Asks for a call of `expire` at that time.
  std::function<void(std::chrono::steady_clock::time_point)> wake_at;
};

/// A bounded memory of operations that were accepted here, for "pending" instead of "not
/// found".
class recent_ids {
public:
  explicit recent_ids(std::size_t half) : half_(half) {}
  void add(const operation_id& id);
  bool contains(const operation_id& id) const;

private:
  using id_set = std::unordered_set<operation_id, operation_id_hash>;
  const std::size_t half_;
  mutable std::mutex mutex_;
  id_set young_, old_; // when young_ is full it becomes old_
};

class service : public std::enable_shared_from_this<service> {
public:
  service(backend node, service_settings settings, service_hooks hooks);

  /// Looks at a request's head only. An answer refuses it; its body need not be read then.
  std::optional<response> screen(const request& head);
  /// Answers once, now or later. Screens again, so that tests need not.
  void handle(request what, answer_function answer);

  /// A block is stored: those who wait for its operations get their receipts. Cheap.
  void executed(std::shared_ptr<const execution> what);
  void expire(std::chrono::steady_clock::time_point now);
  void count_answer(unsigned status);

  /// From now on new requests are refused. Waits until those in flight are answered, at most
  /// `patience`; then answers the rest with 503.
  void drain(std::chrono::milliseconds patience);

private:
  struct admitted {
    call what;
    account who;
  };
  std::variant<admitted, response> admit(const request& head);
  answer_function counted(answer_function answer);
  void perform(const admitted& what, const request& from, const answer_function& answer);
  response read(const admitted& what);

  // operations.cpp
  void submit(const admitted& what, const request& from, const answer_function& answer);
  void look_up(const admitted& what, const answer_function& answer);
  /// The operations of a request that are good, and which lines they came from.
  struct submission {
    std::vector<operation> operations;
    std::vector<std::size_t> lines;       ///< of the request, one for each operation
    std::vector<std::size_t> with_own_id; ///< places in `operations` whose ids the client chose
  };
  std::optional<response> read_operations(const admitted& what, const request& from,
                                          waiting_request& who, submission& out);
  bool read_lines(operation_reader& reader, std::string_view body, waiting_request& who,
                  submission& out);
  bool settle_executed(const waiting_ptr& who, submission& what);
  void hand_in(const waiting_ptr& who, submission what);
  void resolve_fresh();
  enum class ending : std::uint8_t { complete, timed_out, stopping };
  void finish(waiting_request& who, ending how);
  response answer_one(const waiting_request& who, ending how) const;
  response answer_many(const waiting_request& who, ending how) const;

  // deliveries.cpp
  void read_deliveries(const admitted& what, const answer_function& answer);
  void acknowledge(const admitted& what, request from, const answer_function& answer);
  void deliver(const subscriber_ptr& who);
  void end_waiting(const subscriber_ptr& who);
  void wake_subscribers(const execution& what);
  void look_for_subscribers();

  // chain.cpp
  response metrics() const;
  response digests();

  const backend node_;
  const service_settings settings_;
  const service_hooks hooks_;
  waiting_room room_;
  delivery_room deliveries_;
  std::atomic<bool> looking_{false}; ///< a task that looks for subscribers has not begun yet
  std::atomic<bool> look_missed_{false}; ///< there was no room for one
  recent_ids recent_{100'000};
  failure_limiter failures_;
  std::atomic<bool> draining_{false};

  std::mutex flight_mutex_; // guards the number
  std::condition_variable landed_;
  std::size_t in_flight_ = 0;

  std::mutex fresh_mutex_; // guards the two below
  std::vector<std::shared_ptr<const execution>> fresh_;
  bool resolving_ = false;

  std::mutex digests_mutex_; // held by the one that computes them
  std::array<std::atomic<std::uint64_t>, 600> answers_{};
  std::array<std::atomic<std::uint64_t>, 64> outcomes_{};
};

} // namespace tallymesh::gateway
