#include "tests/faults/real/real.hpp"

#include "tests/faults/meaning.hpp"
#include "tests/faults/real/actor_killer.hpp"
#include "tests/faults/real/clients.hpp"
#include "tests/faults/real/ledgers.hpp"
#include "tests/faults/real/pace.hpp"
#include "tests/faults/real/real_mesh.hpp"
#include "tests/faults/real/troublemakers.hpp"
#include "tests/faults/reduction.hpp"
#include "tools/tally/mesh.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <map>
#include <queue>
#include <set>
#include <sstream>
#include <stdlib.h>

namespace tallymesh::faults {

namespace fs = std::filesystem;

namespace {

using clock = std::chrono::steady_clock;
using nodes = some_nodes;
using namespace std::chrono_literals;

constexpr auto look_every = 25ms, report_every = 1000ms;
constexpr auto all_up_within = 60s;
constexpr auto restarted_after = 300ms;
/// Between looks at an actor that was killed, and until it must be seen to run again.
constexpr auto look_at_actor_every = 200ms, actor_runs_within = 5000ms;
/// A mesh that goes on is given more time, but not for ever.
constexpr int most_extensions = 10;
constexpr std::uint32_t slow_ms = 400;
constexpr std::uint64_t most_memory_bytes = std::uint64_t{768} * 1024 * 1024;

/// A directory that goes with the run.
class scratch {
public:
  scratch() {
    auto name = (fs::temp_directory_path() / "tallymesh-faults-XXXXXX").string();
    if (mkdtemp(name.data())) path_ = name;
  }
  ~scratch() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;
  const fs::path& path() const { return path_; }

private:
  fs::path path_;
};

class real_run {
public:
  real_run(const script& what, const real_options& how)
      : script_(what), how_(how), chance_(simulation::mix(how.seed ^ 0x7265616C)),
        acts_(timeline(what)) {}
  result<real_outcome> run();

private:
  struct task {
    clock::time_point when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const task& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  void at(clock::time_point when, std::function<void()> what) {
    tasks_.push({when, order_++, std::move(what)});
  }
  void later(const std::optional<duration>& in, std::function<void()> what) {
    if (in) at(clock::now() + *in, std::move(what));
  }
  /// In whole milliseconds: a person reads it.
  duration now() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began_);
  }
  /// Into the timeline; tell: and to who watches.
  std::string story(const std::string& text);
  void tell(const std::string& text);
  void report(std::optional<check> what, const std::string& text);
  bool stopped() const { return how_.stop && how_.stop(); }

  result<void> start_all();
  void carry_out(const timed_act& x);
  void apply(const act& x);
  std::filesystem::path copy_of(std::uint16_t node, duration when) const;
  void copy_disks(const act& x);
  void restore(const act& x, const nodes& whom);
  void break_lines(const act& x);
  void set_lines(const act& x);
  void kill(const nodes& whom, const std::optional<duration>& lasting);
  void kill_actor(std::uint16_t node, std::string actor);
  void look_at_actor(const actor_killer::killed& x, pid_t process, clock::time_point since);
  void break_disk(const act& x, const nodes& whom);
  void crash_at(const act& x, const nodes& whom);
  void flood(const act& x, std::uint16_t node);
  void start(std::uint16_t node);
  void play();
  void expect_life(duration within);
  void look_for_life();
  void look_for_deaths();
  void look_at_progress();
  void heal();
  void settle();
  std::string why_not_settled();
  void watch_silence();
  void check_ledgers();
  void check_memory();
  bool honest(std::uint16_t node) const { return mesh_->honest(node); }
  struct place {
    std::uint16_t node = 0;
    std::uint64_t height = 0;
    bool operator==(const place&) const = default;
  };
  std::vector<place> heights(); ///< none: a node does not answer in time
  std::vector<place> heights_in_the_end();
  nodes resolve(const node_set& set);
  std::optional<std::uint16_t> leader();
  std::optional<double> when_logged(const std::string& line) const;
  std::string timeline_with_logs() const;
  void keep_dump(std::uint16_t node, const fs::path& folder);
  fs::path keep_failure();

  struct expected_life {
    duration since{0}, within{0};
  };

  const script& script_;
  const real_options& how_;
  simulation::random_source chance_;
  std::vector<timed_act> acts_;
  scratch scratch_;
  std::unique_ptr<real_mesh> mesh_;
  std::unique_ptr<clients> clients_;
  std::unique_ptr<troublemakers> trouble_;
  std::unique_ptr<actor_killer> actor_killer_; ///< only if the script has a use for it
  std::size_t actors_down_ = 0;                ///< killed, and not yet seen to run again
  clock::time_point began_;
  std::priority_queue<task> tasks_;
  std::uint64_t order_ = 0;
  known_lines lines_;
  std::set<std::uint16_t> may_die_; ///< disks that fail, crashes that are armed
  std::set<std::uint16_t> armed_;   ///< of these: those that end themselves by kill -9
  std::set<std::uint16_t> down_;    ///< known not to run
  bool healed_ = false;
  pace pace_;
  std::vector<expected_life> lives_; ///< not yet seen to hold
  clock::time_point reported_;
  std::set<std::string> not_applied_;
  std::string story_;
  real_outcome made_;
};

std::string real_run::story(const std::string& text) {
  char head[32];
  std::snprintf(head, sizeof head, "%8.3f  ", static_cast<double>(now().count()) / 1e6);
  story_ += head + text + '\n';
  return head + text;
}

void real_run::tell(const std::string& text) {
  const auto line = story(text);
  if (how_.tell) how_.tell(line);
}

void real_run::report(std::optional<check> what, const std::string& text) {
  tell("BROKEN " + (what ? std::string(to_string(*what)) : std::string("a rule")) + ": "
       + text);
  made_.findings.push_back({what, text});
}

result<real_outcome> real_run::run() {
  if (scratch_.path().empty())
    return make_error(errc::storage, "no temporary directory can be made");
  began_ = clock::now();
  auto mesh = real_mesh::make(
      script_.nodes, scratch_.path() / "mesh",
      {script_.byzantine(), script_.byzantine(byzantine_habit::twin), how_.seed});
  if (!mesh) return mesh.error();
  mesh_ = std::move(*mesh);
  if (auto up = start_all(); !up) return up.error();

  std::vector<tally::http_target> gateways;
  for (std::uint16_t i = 0; i < mesh_->size(); ++i)
    gateways.push_back(mesh_->gateway(i));
  trouble_ = std::make_unique<troublemakers>(gateways, how_.seed);
  if (std::any_of(acts_.begin(), acts_.end(),
                  [](const auto& each) { return each.does->what == verb::kill_actor; })) {
    auto killer = actor_killer::attach(mesh_->directory());
    if (!killer) return killer.error();
    actor_killer_ = std::move(*killer);
  }
  began_ = clock::now();
  clients_ = std::make_unique<clients>(script_, how_.seed, gateways, began_);
  play();
  heal();
  settle();
  if (made_.passed() && script_.expects(check::quiet)) watch_silence();
  const auto history = clients_->history();
  if (made_.passed()) check_ledgers();
  if (script_.expects(check::bounded_memory)) check_memory();
  if (script_.expects(check::balances_zero))
    not_applied_.insert("balances_zero is not checked: no settlement tables");

  made_.operations = history.entries().size();
  made_.acknowledged = history.acknowledgements();
  made_.kills += mesh_->kills();
  made_.misdeeds = mesh_->misdeeds();
  made_.not_applied.assign(not_applied_.begin(), not_applied_.end());
  if (!made_.passed() && !how_.keep.empty()) made_.folder = keep_failure();
  clients_.reset();
  return std::move(made_);
}

result<void> real_run::start_all() {
  for (std::uint16_t i = 0; i < mesh_->size(); ++i)
    if (auto up = mesh_->start(i); !up) return up.error();
  const auto end = clock::now() + all_up_within;
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    tally::http_client over(mesh_->gateway(i));
    tally::http_request ready;
    ready.path = "/readyz";
    for (;;) {
      const auto answer = over.send(ready);
      if (answer && answer->status == 200) break;
      if (!mesh_->running(i) || clock::now() > end || stopped())
        return make_error(errc::unavailable,
                          real_mesh::name_of(i) + " does not come up: "
                              + tally::last_lines(tally::log_file(mesh_->directory_of(i)), 2));
      std::this_thread::sleep_for(look_every);
    }
  }
  return {};
}

// --- the script

void real_run::play() {
  for (const auto& each : script_.statements)
    if (each.does.what == verb::restore)
      at(began_ + each.does.by, [this, &each] { copy_disks(each.does); });
  for (const auto& each : acts_)
    at(began_ + each.when, [this, &each] { carry_out(each); });
  // Healing would make any mesh live: it waits for what `live` still asks for. And it starts
  // nodes, but no actors: that is the supervisors' work.
  const auto healing = began_ + script_.heal;
  const auto waits = [&] { return !lives_.empty() || actors_down_ > 0; };
  while ((clock::now() < healing || waits()) && made_.passed() && !stopped()) {
    if (!tasks_.empty() && tasks_.top().when <= clock::now()) {
      const auto next = tasks_.top();
      tasks_.pop();
      next.what();
      continue;
    }
    look_for_deaths();
    look_for_life();
    look_at_progress();
    const auto due = tasks_.empty() ? clock::now() + look_every : tasks_.top().when;
    pace_.sleep_until(std::min(due, clock::now() + look_every));
  }
}

/// What does not live in time on a loaded machine is given more of it, and is called slow; what
/// does not live even then is broken.
void real_run::expect_life(duration within) { lives_.push_back({now(), within}); }

void real_run::look_for_life() {
  if (lives_.empty()) return;
  const auto history = clients_->history();
  std::erase_if(lives_, [&](const expected_life& x) {
    if (now() < x.since + x.within) return false;
    if (history.lived(x.since, x.since + x.within)) return true;
    // Without a load nothing is promised.
    if (std::none_of(script_.statements.begin(), script_.statements.end(),
                     [](const auto& each) { return each.what == statement::kind::load; }))
      return true;
    const auto text =
        "live within " + duration_text(x.within) + " from " + duration_text(x.since);
    if (history.lived(x.since, now())) {
      made_.slow.push_back(text + " took " + duration_text(now() - x.since));
      tell("slow: " + made_.slow.back());
      return true;
    }
    if (now() < x.since + pace_.stretched(x.within)) return false;
    report(std::nullopt,
           text + ": nothing handed in since then was acknowledged by " + duration_text(now()));
    return true;
  });
}

/// For who reads the story: how far every node is, once a second.
void real_run::look_at_progress() {
  if (clock::now() < reported_ + report_every) return;
  reported_ = clock::now();
  std::string text;
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    text += (i ? ", " : "") + real_mesh::name_of(i) + ' ';
    if (!mesh_->running(i) || mesh_->stopped(i)) {
      text += mesh_->running(i) ? "stopped" : "down";
      continue;
    }
    tally::http_client over(mesh_->gateway(i));
    const auto status = tally::get_json(over, "/v1/status", {300ms});
    text += status ? "height " + std::to_string(tally::number_at(*status, "executed_height"))
                         + " view " + std::to_string(tally::number_at(*status, "view"))
                   : std::string("silent");
  }
  const auto history = clients_->history();
  story(text + "; " + std::to_string(history.acknowledgements()) + " of "
        + std::to_string(history.entries().size()) + " acknowledged");
}

void real_run::carry_out(const timed_act& x) {
  if (healed_) return;
  tell("line " + std::to_string(x.from->line) + ": " + x.from->text);
  apply(*x.does);
}

void real_run::apply(const act& x) {
  const auto whom = x.sets.empty() ? nodes{} : resolve(x.sets.front());
  switch (x.what) {
  case verb::partition:
  case verb::one_way:
  case verb::cut:
    return break_lines(x);
  case verb::line:
    return set_lines(x);
  case verb::kill:
    return kill(whom, x.lasting);
  case verb::power_loss:
    return kill(resolve({{node_selector::who::all, 0}}), x.lasting);
  case verb::start:
    for (const auto each : whom)
      start(each);
    return;
  case verb::stop:
    for (const auto each : whom)
      mesh_->stop(each);
    return later(x.lasting, [this, whom] {
      for (const auto each : whom)
        mesh_->carry_on(each);
    });
  case verb::carry_on:
    for (const auto each : whom)
      mesh_->carry_on(each);
    return;
  case verb::disk:
    return break_disk(x, whom);
  case verb::clock: {
    const auto by_ms = x.by.count() / 1000;
    for (const auto each : whom)
      mesh_->control(each).clock_offset_ms += by_ms;
    return later(x.lasting, [this, whom, by_ms] {
      for (const auto each : whom)
        mesh_->control(each).clock_offset_ms -= by_ms;
    });
  }
  case verb::flood:
    for (const auto each : whom)
      flood(x, each);
    return;
  case verb::lose_vote_log:
    for (const auto each : whom) {
      mesh_->lose_vote_log(each);
      down_.insert(each);
      later(restarted_after, [this, each] { start(each); });
    }
    return;
  case verb::restore:
    return restore(x, whom);
  case verb::kill_actor:
    for (const auto each : whom)
      kill_actor(each, x.actor);
    return;
  case verb::crash_at:
    return crash_at(x, whom);
  case verb::live:
    return expect_life(x.by);
  case verb::converged:
  case verb::quiet:
    return; // simulation_only() refuses it
  case verb::byzantine:
    for (const auto each : whom)
      if (auto done = mesh_->turn(each, x.habit); !done)
        report(std::nullopt, done.error().context);
    return;
  case verb::heal:
    return;
  }
}

nodes real_run::resolve(const node_set& set) {
  return faults::resolve(set,
                         {mesh_->size(), [this](auto each) { return mesh_->running(each); },
                          [this](auto each) { return mesh_->stopped(each); },
                          [this] { return leader(); }},
                         chance_);
}

std::optional<std::uint16_t> real_run::leader() {
  std::optional<std::uint16_t> found;
  std::int64_t highest = -1;
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    if (!mesh_->running(i) || mesh_->stopped(i)) continue;
    tally::http_client over(mesh_->gateway(i));
    const auto status = tally::get_json(over, "/v1/status", {300ms});
    if (!status || tally::number_at(*status, "view") <= highest) continue;
    const auto name = tally::text_at(*status, "leader");
    for (std::uint16_t k = 0; k < mesh_->size(); ++k)
      if (real_mesh::name_of(k) == name) found = k, highest = tally::number_at(*status, "view");
  }
  if (found) tell("the leader is " + real_mesh::name_of(*found));
  return found;
}

std::filesystem::path real_run::copy_of(std::uint16_t node, duration when) const {
  return mesh_->directory()
         / (real_mesh::name_of(node) + "-at-" + std::to_string(when.count()) + "us");
}

void real_run::copy_disks(const act& x) {
  for (const auto each : resolve(x.sets.front()))
    if (auto done = mesh_->copy_disk(each, copy_of(each, x.by)); !done)
      report(std::nullopt, done.error().context);
}

void real_run::restore(const act& x, const nodes& whom) {
  for (const auto each : whom) {
    if (auto done = mesh_->restore(each, copy_of(each, x.by)); !done)
      report(std::nullopt, done.error().context);
    down_.insert(each);
  }
  later(x.lasting.value_or(duration(restarted_after)), [this, whom] {
    for (const auto each : whom)
      start(each);
  });
}

void real_run::break_lines(const act& x) {
  std::vector<nodes> sides;
  for (const auto& each : x.sets)
    sides.push_back(resolve(each));
  const auto broken = broken_ways(x, std::move(sides), mesh_->size());
  for (const auto& [from, to] : broken)
    mesh_->wires().cut(from, to);
  later(x.lasting, [this, broken] {
    for (const auto& [from, to] : broken)
      mesh_->wires().mend(from, to);
  });
}

void real_run::set_lines(const act& x) {
  const auto some = resolve(x.sets[0]), others = resolve(x.sets[1]);
  const auto before = faults::set_lines(lines_, some, others, x.quality);
  for (const auto& [each, was] : before)
    mesh_->wires().set(each.first, each.second, x.quality);
  later(x.lasting, [this, before] {
    constexpr line_quality good{duration(0), duration(0), 0, 0, 0};
    restore_lines(lines_, before);
    for (const auto& [each, was] : before)
      mesh_->wires().set(each.first, each.second, was.value_or(good));
  });
}

void real_run::start(std::uint16_t node) {
  if (mesh_->running(node)) return;
  const auto disk = static_cast<disk_state>(mesh_->control(node).disk.load());
  const bool fails = disk != disk_state::well && disk != disk_state::slow;
  if (!fails && !armed_.contains(node)) may_die_.erase(node);
  down_.erase(node);
  if (auto up = mesh_->start(node); !up) report(std::nullopt, up.error().context);
}

void real_run::kill(const nodes& whom, const std::optional<duration>& lasting) {
  // All at once, as power goes, and only then waited for.
  for (const auto each : whom) {
    mesh_->kill(each);
    down_.insert(each);
    tell(real_mesh::name_of(each) + " killed");
  }
  later(lasting, [this, whom] {
    for (const auto each : whom)
      start(each);
  });
}

void real_run::kill_actor(std::uint16_t node, std::string actor) {
  if (actor == "peer_link") actor = "peer_links"; // a node has one actor for all its links
  const auto text = real_mesh::name_of(node) + "'s " + actor;
  if (!mesh_->running(node) || mesh_->stopped(node))
    return tell(text + " cannot be killed: the node does not run");
  const auto done = actor_killer_->kill(node, actor);
  if (!done) return report(std::nullopt, text + " cannot be killed: " + done.error().context);
  tell(text + " killed");
  ++made_.actors_killed;
  ++actors_down_;
  look_at_actor(*done, mesh_->process_of(node), clock::now());
}

/// Again and again until its supervisor has started it, or its node has ended.
void real_run::look_at_actor(const actor_killer::killed& x, pid_t process,
                             clock::time_point since) {
  const bool gone = !mesh_->running(x.node) || mesh_->process_of(x.node) != process;
  if (gone || actor_killer_->runs_again(x)) {
    --actors_down_;
    if (!gone) tell(real_mesh::name_of(x.node) + "'s " + x.actor + " runs again");
    return;
  }
  if (clock::now() - since > pace_.stretched(clock::duration(actor_runs_within))
      && !mesh_->stopped(x.node))
    return report(std::nullopt, real_mesh::name_of(x.node) + "'s " + x.actor
                                    + " was killed and does not run again");
  at(clock::now() + look_at_actor_every,
     [this, x, process, since] { look_at_actor(x, process, since); });
}

void real_run::break_disk(const act& x, const nodes& whom) {
  static constexpr disk_state states[] = {disk_state::full, disk_state::eio, disk_state::torn,
                                          disk_state::slow};
  for (const auto each : whom) {
    auto& control = mesh_->control(each);
    control.slow_ms = slow_ms;
    control.disk = static_cast<std::uint32_t>(states[static_cast<std::size_t>(x.disk)]);
    if (x.disk != disk_fault::slow) may_die_.insert(each);
  }
  later(x.lasting, [this, whom] {
    for (const auto each : whom) {
      mesh_->control(each).disk = static_cast<std::uint32_t>(disk_state::well);
      start(each); // if it ended because of its disk
    }
  });
}

void real_run::flood(const act& x, std::uint16_t node) {
  switch (x.flood) {
  case flood_of::operations:
    return trouble_->flood_operations(node, x.rate_per_s, *x.lasting);
  case flood_of::garbage:
    return trouble_->flood_garbage(mesh_->link_port(node), x.rate_per_s, *x.lasting);
  case flood_of::strangers:
    return trouble_->flood_strangers(node, mesh_->link_port(node), x.rate_per_s, *x.lasting);
  case flood_of::slow_readers:
    return trouble_->flood_slow_readers(node, x.rate_per_s, *x.lasting);
  }
}

void real_run::crash_at(const act& x, const nodes& whom) {
  for (const auto each : whom) {
    auto& control = mesh_->control(each);
    auto& counter = x.moment == crash_moment::before_persist  ? control.before_sync
                    : x.moment == crash_moment::after_persist ? control.after_sync
                    : x.moment == crash_moment::before_send   ? control.before_send
                                                              : control.after_send;
    counter = static_cast<std::int32_t>(x.count);
    may_die_.insert(each);
    armed_.insert(each);
  }
  later(x.lasting, [this, whom] {
    for (const auto each : whom)
      start(each);
  });
}

/// A node that ends without being made to has failed, whatever the script says.
void real_run::look_for_deaths() {
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    if (down_.contains(i) || mesh_->running(i)) continue;
    down_.insert(i);
    made_.kills += armed_.erase(i);
    const auto last = tally::last_lines(tally::log_file(mesh_->directory_of(i)), 1);
    tell(real_mesh::name_of(i) + " has ended: " + last);
    if (!may_die_.contains(i) && honest(i))
      report(std::nullopt, real_mesh::name_of(i) + " ended by itself: " + last);
  }
}

// --- the end

void real_run::heal() {
  healed_ = true;
  may_die_.clear();
  armed_.clear();
  tell("healing: every line is good, every node runs");
  mesh_->wires().heal();
  mesh_->banish();
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    auto& control = mesh_->control(i);
    control.disk = static_cast<std::uint32_t>(disk_state::well);
    control.clock_offset_ms = 0;
    control.before_sync = control.after_sync = control.before_send = control.after_send = 0;
    if (!honest(i)) continue;
    mesh_->carry_on(i);
    start(i);
  }
}

std::vector<real_run::place> real_run::heights() {
  std::vector<place> found;
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    if (!honest(i)) continue;
    tally::http_client over(mesh_->gateway(i));
    const auto status = tally::get_json(over, "/v1/status", {2000ms});
    if (!status) return {};
    found.push_back(
        {i, static_cast<std::uint64_t>(tally::number_at(*status, "executed_height"))});
    if (tally::number_at(*status, "evidence") > 0 && script_.byzantine().empty())
      report(check::no_double_vote,
             real_mesh::name_of(i) + " holds evidence of a contradiction");
  }
  return found;
}

/// A loaded machine may keep a node from answering for a while: that is no word about blocks.
std::vector<real_run::place> real_run::heights_in_the_end() {
  const auto end = clock::now() + pace_.stretched(duration{std::chrono::seconds{20}});
  auto found = heights();
  while (found.empty() && clock::now() < end && !stopped()) {
    pace_.sleep_until(clock::now() + 4 * look_every);
    found = heights();
  }
  return found;
}

std::string real_run::why_not_settled() {
  if (const auto open = clients_->open(); open > 0)
    return std::to_string(open) + " operations are not acknowledged";
  const auto all = heights();
  if (all.empty()) return "a node does not answer";
  for (const auto& each : all)
    if (each.height != all.front().height)
      return real_mesh::name_of(all.front().node) + " is at height "
             + std::to_string(all.front().height) + ", " + real_mesh::name_of(each.node)
             + " at " + std::to_string(each.height);
  return {};
}

/// As long as something goes on the mesh is slow, not stuck, and has the time again.
void real_run::settle() {
  const auto began = clock::now();
  auto end = began + script_.settle_within();
  std::string why, before;
  int extensions = 0;
  while (!stopped() && made_.passed()) {
    look_for_deaths();
    look_at_progress();
    why = why_not_settled();
    if (why.empty()) break;
    if (clock::now() > end) {
      if (why == before || ++extensions > most_extensions) break;
      before = why;
      end = clock::now() + pace_.stretched(script_.settle_within());
    }
    pace_.sleep_until(clock::now() + 4 * look_every);
  }
  if (stopped()) return report(std::nullopt, "stopped from outside");
  if (!made_.passed()) return;
  const duration took =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began);
  if (!why.empty())
    return report(check::converged,
                  "not within " + duration_text(took) + " after healing: " + why);
  tell("all is final everywhere, " + duration_text(took) + " after healing");
  if (took > script_.settle_within())
    made_.slow.push_back("converged after " + duration_text(took) + " instead of "
                         + duration_text(script_.settle_within()));
}

/// No block and no view, for as long as the script says.
void real_run::watch_silence() {
  duration idle{0};
  for (const auto& each : script_.statements)
    if (each.what == statement::kind::after_idle) idle = std::max(idle, each.when);
  const auto before = heights_in_the_end();
  const auto end = clock::now() + idle;
  while (clock::now() < end && !stopped())
    pace_.sleep_until(clock::now() + 4 * look_every);
  const auto after = heights_in_the_end();
  if (stopped()) return;
  if (before.empty() || after.empty())
    report(check::quiet, "a node does not answer");
  else if (after != before)
    report(check::quiet, "blocks were made though nobody asked for any");
}

void real_run::check_ledgers() {
  std::vector<node_gateway> of_the_honest;
  for (std::uint16_t i = 0; i < mesh_->size(); ++i)
    if (honest(i)) of_the_honest.push_back({i, mesh_->gateway(i)});
  const auto copies = read_ledgers(of_the_honest);
  if (!copies) return report(std::nullopt, copies.error().context);
  for (const auto& each : *copies)
    made_.blocks = std::max<std::uint64_t>(made_.blocks, each.blocks.size());
  for (const auto& each : judge(clients_->history(), *copies))
    report(each.what, each.text);
}

void real_run::check_memory() {
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    const auto peak = mesh_->peak_memory(i);
    made_.peak_memory_bytes = std::max(made_.peak_memory_bytes, peak);
    if (peak > most_memory_bytes)
      report(check::bounded_memory,
             real_mesh::name_of(i) + " used " + std::to_string(peak / 1024 / 1024) + " MiB");
  }
}

/// Seconds since the script began of a line of tallyd's log, which starts with the local time.
std::optional<double> real_run::when_logged(const std::string& line) const {
  std::tm parts{};
  const char* rest = ::strptime(line.c_str(), "%Y-%m-%d %H:%M:%S", &parts);
  if (!rest || *rest != '.') return std::nullopt;
  parts.tm_isdst = -1;
  const auto at = static_cast<double>(::mktime(&parts)) + std::strtod(rest, nullptr);
  const auto gone = std::chrono::duration<double>(clock::now() - began_).count();
  const auto now_s =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  return at - (now_s - gone);
}

/// What happened and what all nodes' logs complain of, in one order. Where a clock was set off,
/// so are its node's lines.
std::string real_run::timeline_with_logs() const {
  std::multimap<double, std::string> all;
  const auto each_line = [](std::istream& in, const auto& take) {
    for (std::string line; std::getline(in, line);)
      take(line);
  };
  std::istringstream told(story_);
  each_line(told, [&](const std::string& line) {
    all.emplace(std::strtod(line.c_str(), nullptr),
                line.substr(std::min<std::size_t>(10, line.size())));
  });
  for (std::uint16_t i = 0; i < mesh_->size(); ++i) {
    std::ifstream log(tally::log_file(mesh_->directory_of(i)));
    each_line(log, [&](const std::string& line) {
      const auto at = when_logged(line);
      const auto text = line.substr(std::min<std::size_t>(24, line.size()));
      for (const auto* level : {"warn", "error", "critical"})
        if (at && text.starts_with(level))
          all.emplace(*at, real_mesh::name_of(i) + " logs " + text);
    });
  }
  std::string made;
  for (const auto& [at, text] : all) {
    char head[32];
    std::snprintf(head, sizeof head, "%8.3f  ", at);
    made += head + text + '\n';
  }
  return made;
}

/// What a node answers about itself, or why it does not.
void real_run::keep_dump(std::uint16_t node, const fs::path& folder) {
  const auto name = real_mesh::name_of(node);
  std::error_code ignored;
  fs::copy_file(tally::log_file(mesh_->directory_of(node)), folder / (name + ".log"),
                fs::copy_options::overwrite_existing, ignored);
  tally::http_client over(mesh_->gateway(node));
  const std::pair<const char*, const char*> pages[] = {{"status", "/v1/status"},
                                                       {"blocks", "/v1/blocks?limit=100"}};
  for (const auto& [what, path] : pages) {
    const auto answer = tally::get_json(over, path, {2000ms});
    std::ofstream(folder / (name + '.' + what + ".json"))
        << (answer ? boost::json::serialize(*answer) : answer.error().context) << '\n';
  }
}

/// The script with this seed, the verdict, the timeline, and each node's log and dump.
fs::path real_run::keep_failure() {
  const auto folder =
      how_.keep
      / (fs::path(script_.file).stem().string() + "-real-" + std::to_string(how_.seed));
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  auto played = script_;
  played.seed = how_.seed;
  std::ofstream(folder / "script.fault") << played.text();
  std::ofstream verdict(folder / "verdict.txt");
  for (const auto& each : made_.findings)
    verdict << (each.what ? std::string(to_string(*each.what)) : "a rule")
            << " broken: " << each.text << '\n';
  std::ofstream(folder / "timeline.txt") << timeline_with_logs();
  std::ofstream clients_file(folder / "clients.txt");
  const auto history = clients_->history();
  for (const auto& [id, x] : history.entries())
    clients_file << id << ' ' << real_mesh::name_of(x.node) << " submitted "
                 << duration_text(x.submitted) << " acknowledged "
                 << (x.acknowledged ? duration_text(*x.acknowledged) : "never") << '\n';
  for (std::uint16_t i = 0; i < mesh_->size(); ++i)
    keep_dump(i, folder);
  return folder;
}

} // namespace

std::vector<std::string> simulation_only(const script& what) {
  std::vector<std::string> found;
  const auto refuse = [&](std::size_t line, std::size_t column, const std::string& why) {
    found.push_back(what.file + ':' + std::to_string(line) + ':' + std::to_string(column) + ": "
                    + why);
  };
  const auto refuse_word = [&](const statement& x, std::string_view word,
                               const std::string& why) {
    const auto at = x.text.find(word);
    refuse(x.line, x.column + (at == std::string::npos ? 0 : at), why);
  };
  if (what.nodes > 1 && what.nodes < 4)
    refuse(what.nodes_line, what.nodes_column,
           "a real mesh has 1 node or 4 and more: write n1..n4");
  for (const auto& each : what.statements) {
    if (each.does.what == verb::converged || each.does.what == verb::quiet)
      refuse_word(each, to_string(each.does.what),
                  "real processes are asked for this after healing only: leave this line away");
    if (each.does.what == verb::line && each.does.quality.duplicated_ppm > 0)
      refuse_word(each, "duplicate",
                  "between real nodes TCP delivers everything once: leave this away");
  }
  return found;
}

/// Real runs differ from each other, so a shorter script counts only if it was seen to fail;
/// what does not fail once may still be needed. Of the folder's script no line is left that was
/// not.
static void cut_down(const script& what, const real_options& how, const real_outcome& failed) {
  const auto end = clock::now() + how.reduce_for;
  real_options quietly;
  quietly.seed = how.seed;
  quietly.stop = [&] { return clock::now() > end || (how.stop && how.stop()); };
  const auto broken = failed.findings.front().what;
  const auto fails_too = [&](const script& shorter) {
    if (quietly.stop()) return false;
    if (how.tell)
      how.tell("trying with " + std::to_string(shorter.statements.size()) + " lines");
    const auto again = real_run(shorter, quietly).run();
    return again && !quietly.stop() && !again->passed()
           && again->findings.front().what == broken;
  };
  std::ofstream(failed.folder / "reduced.fault") << reduce(what, fails_too).text();
}

result<real_outcome> run_real(const script& what, const real_options& how) {
  if (const auto why = simulation_only(what); !why.empty())
    return make_error(errc::unsupported, why.front());
  auto done = real_run(what, how).run();
  if (done && !done->passed() && how.reduce_for.count() > 0 && !(how.stop && how.stop()))
    cut_down(what, how, *done);
  return done;
}

} // namespace tallymesh::faults
