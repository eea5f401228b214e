// A few threads for work that would hold up the network: parsing and reading tables. The queue
// is bounded. Owned by `server`; any thread may call `run`.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tallymesh::gateway {

class worker_pool {
public:
  worker_pool(unsigned threads, std::size_t max_waiting);
  ~worker_pool(); ///< stops
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  /// False if too many tasks wait, or it has stopped; then `task` is not run.
  bool run(std::function<void()> task);
  /// Drops the tasks that wait, lets those that run end.
  void stop();

private:
  void work();

  const std::size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

} // namespace tallymesh::gateway
