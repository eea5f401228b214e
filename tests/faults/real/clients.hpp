// The clients of a run on real processes: one a node, each on a thread of its own. Hands in
// what the load says at its time, asks the same node again until it hears that an operation is
// final, and remembers all of it. Public functions: any thread.
#pragma once

#include "tests/faults/history.hpp"
#include "tests/simulation/random.hpp"
#include "tools/tally/http_client.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace tallymesh::faults {

class clients {
public:
  using clock = std::chrono::steady_clock;

  /// `began` is the script's time 0.
  clients(const script& what, std::uint64_t seed, std::vector<tally::http_target> nodes,
          clock::time_point began);
  /// Gives up what is still open.
  ~clients();
  clients(const clients&) = delete;
  clients& operator=(const clients&) = delete;

  client_history history() const;
  /// Handed in and not yet acknowledged, or still to be handed in.
  std::size_t open() const;

private:
  struct planned {
    duration when{0};
    std::string id;
    std::uint64_t size_bytes = 0;
  };
  struct client {
    tally::http_target target;
    std::deque<planned> to_come;
    std::vector<planned> unanswered;
    std::thread worker;
  };

  void plan(const load& x, const script& what, simulation::random_source& chance);
  void work(std::uint16_t node);
  bool hand_in(tally::http_client& over, std::uint16_t node);
  void take_answers(std::uint16_t node, const std::string& body);
  duration now() const;

  const clock::time_point began_;
  mutable std::mutex guard_; ///< of all below
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::vector<client> clients_;
  client_history history_;
};

/// A store of one row, as a line of NDJSON.
std::string operation_line(const std::string& id, std::uint64_t size_bytes);
std::string random_id(simulation::random_source& chance);

} // namespace tallymesh::faults
