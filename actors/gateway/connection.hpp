// One client's connection: reads requests within limits and deadlines, hands them on one at a
// time, writes the answers. Keeps itself alive while it waits for something; lives on its own
// strand, so only the marked functions may be called from elsewhere.
#pragma once

#include "actors/gateway/http_front.hpp"
#include "actors/gateway/transport.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace tallymesh::gateway {

class connection;

/// A part of a bounded number; gives it back when it goes.
class share {
public:
  share() = default;
  static std::optional<share> take(std::atomic<std::size_t>& used, std::size_t limit,
                                   std::size_t amount);
  share(share&& other) noexcept
      : used_(std::exchange(other.used_, nullptr)), amount_(other.amount_) {}
  share& operator=(share&& other) noexcept {
    std::swap(used_, other.used_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  ~share() {
    if (used_) used_->fetch_sub(amount_);
  }

private:
  share(std::atomic<std::size_t>& used, std::size_t amount) : used_(&used), amount_(amount) {}
  std::atomic<std::size_t>* used_ = nullptr;
  std::size_t amount_ = 0;
};

/// What all connections of a front share; any thread.
struct shared_parts {
  front_settings settings;
  front_hooks hooks;
  std::atomic<std::size_t> open{0}, buffered{0}, in_flight{0};
  std::atomic<bool> draining{false};

  std::mutex mutex; // guards the connections
  std::condition_variable left;
  std::unordered_map<connection*, std::weak_ptr<connection>> connections;

  std::vector<std::shared_ptr<connection>> all();
};

/// Begins to serve the client behind `bytes`.
void serve(std::shared_ptr<shared_parts> parts, std::unique_ptr<transport> bytes, share place);

/// From any thread: closes it now if it waits for a request, else after the answer.
void begin_drain(const std::shared_ptr<connection>& which);
/// From any thread: closes it now.
void abort(const std::shared_ptr<connection>& which);

} // namespace tallymesh::gateway
