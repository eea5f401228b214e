// Carries a script out on the simulator's stage: does each act at its time and undoes it, hands
// in the load, is the client that retries and remembers, and judges what the world does not.
// Lives for one run; one thread.
#pragma once

#include "tests/faults/history.hpp"
#include "tests/faults/meaning.hpp"
#include "tests/simulation/stage.hpp"

#include <set>

namespace tallymesh::faults {

class director {
public:
  director(const script& what, std::uint64_t seed);

  std::shared_ptr<const simulation::direction> direction();
  const client_history& clients() const { return clients_; }
  std::vector<std::string> not_applied() const {
    return {not_applied_.begin(), not_applied_.end()};
  }

private:
  struct open_operation {
    operation what;
    std::uint16_t node = 0;
    std::uint64_t handed_in_life = 0; ///< 0: not yet
  };
  /// A check of the moment, looked at until it holds.
  struct expectation {
    verb what{}; ///< converged or quiet
    std::int64_t since_us = 0, within_us = 0;
    some_nodes who;         ///< honest, and ran then
    std::size_t height = 0; ///< of the foremost ledger of theirs, then
  };

  void begin(simulation::stage& on);
  void finish(simulation::stage& on);
  void plan_load(const load& x);
  void carry_out(const timed_act& x);
  void apply(const act& x);
  void later(const std::optional<duration>& when, simulation::action undo);

  using nodes = some_nodes;
  nodes resolve(const node_set& set);
  void break_lines(const act& x);
  void set_lines(const act& x);
  void kill(const nodes& whom, const std::optional<duration>& lasting);
  void break_disk(const act& x, const nodes& whom);
  void turn(const act& x, const nodes& whom);
  void flood(const act& x, const nodes& whom);
  void crash_at(const act& x, const nodes& whom);
  void expect_life(duration within);
  void expect(verb what, duration within);
  void look_for(const expectation& x);
  std::vector<std::uint16_t> honest_running() const;
  std::string why_not(const expectation& x) const;
  std::string why_not_quiet() const;
  void before_healing();
  void copy_disks(const act& x);
  void restore(const act& x, const nodes& whom);

  void hand_in(std::uint16_t node, std::uint64_t size_bytes, bool remembered);
  void look_at_clients();
  void look_at_memory();

  const script& script_;
  simulation::random_source chance_;
  simulation::stage* stage_ = nullptr;
  std::vector<timed_act> acts_;
  known_lines lines_;
  std::vector<open_operation> open_;
  std::set<std::uint16_t> failing_disks_;
  std::map<std::pair<std::uint16_t, duration>, simulation::model_disk> copies_; ///< when made
  std::set<std::string> not_applied_;
  client_history clients_;
};

/// The simulator counts nodes from 0, scripts from 1: "n0 <- n3" as "n1 <- n4".
std::string count_from_one(std::string_view text);

} // namespace tallymesh::faults
