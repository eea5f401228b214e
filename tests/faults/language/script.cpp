#include "tests/faults/language/script.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::faults {

std::string_view to_string(check x) {
  static constexpr std::string_view names[] = {
      "no_divergence",  "no_lost_ack", "no_double_vote",  "exactly_once", "balances_zero",
      "bounded_memory", "converged",   "all_acked_final", "quiet"};
  static_assert(std::size(names) == check_count);
  return names[static_cast<std::size_t>(x)];
}

std::string_view to_string(verb x) {
  static constexpr std::string_view names[] = {
      "partition",  "one way", "cut",        "link",  "kill",      "start",         "stop",
      "continue",   "disk",    "clock",      "flood", "byzantine", "lose vote log", "restore",
      "kill_actor", "crash",   "power loss", "heal",  "live",      "converged",     "quiet"};
  return names[static_cast<std::size_t>(x)];
}

bool makes_faulty(verb x) {
  return x == verb::byzantine || x == verb::lose_vote_log || x == verb::restore;
}

std::string_view to_string(flood_of x) {
  static constexpr std::string_view names[] = {"operations", "garbage", "strangers",
                                               "slow_readers"};
  return names[static_cast<std::size_t>(x)];
}

std::string_view to_string(byzantine_habit x) {
  static constexpr std::string_view names[] = {"twin",       "rogue",     "liar",   "withhold",
                                               "equivocate", "fork lane", "babble", "replay",
                                               "hoard",      "mute"};
  return names[static_cast<std::size_t>(x)];
}

bool script::expects(check x) const {
  return std::any_of(statements.begin(), statements.end(), [&](const auto& each) {
    return std::find(each.checks.begin(), each.checks.end(), x) != each.checks.end();
  });
}

duration script::settle_within() const {
  duration longest{0};
  for (const auto& each : statements)
    if (each.what == statement::kind::within) longest = std::max(longest, each.when);
  return longest;
}

static void add_named(const node_set& nodes, std::set<std::uint16_t>& to) {
  for (const auto& each : nodes)
    if (each.what == node_selector::who::node) to.insert(each.number);
}

std::vector<std::uint16_t> script::byzantine(std::optional<byzantine_habit> habit) const {
  std::set<std::uint16_t> found;
  for (const auto& each : statements)
    if (each.does.what == verb::byzantine && (!habit || each.does.habit == *habit))
      add_named(each.does.sets.front(), found);
  return {found.begin(), found.end()};
}

std::vector<std::uint16_t> script::unreliable() const {
  std::set<std::uint16_t> found;
  for (const auto& each : statements)
    if (makes_faulty(each.does.what)) add_named(each.does.sets.front(), found);
  return {found.begin(), found.end()};
}

std::string script::text() const {
  std::string made;
  for (const auto& each : about)
    made += "# " + each + '\n';
  made += "name   \"" + name + "\"\nnodes  n1..n" + std::to_string(nodes) + "\nseed   "
          + std::to_string(seed) + '\n';
  using kind = statement::kind;
  for (const auto& each : statements)
    if (each.what <= kind::every) made += each.text + '\n';
  made += "at " + duration_text(heal) + " heal\n";
  for (const auto& each : statements)
    if (each.what > kind::every) made += each.text + '\n';
  return made;
}

std::vector<timed_act> timeline(const script& what) {
  std::vector<timed_act> made;
  for (const auto& each : what.statements) {
    if (each.what == statement::kind::link) made.push_back({duration(0), &each.does, &each});
    if (each.what == statement::kind::at) made.push_back({each.when, &each.does, &each});
    if (each.what == statement::kind::every)
      for (auto at = each.from.value_or(each.when);
           at < what.heal && (!each.until || at <= *each.until); at += each.when)
        made.push_back({at, &each.does, &each});
  }
  std::stable_sort(made.begin(), made.end(),
                   [](const auto& a, const auto& b) { return a.when < b.when; });
  return made;
}

std::string duration_text(duration x) {
  const auto us = x.count();
  const auto in = [&](std::int64_t unit, const char* name) {
    return std::to_string(us / unit) + name;
  };
  if (us == 0) return "0s";
  if (us % 3'600'000'000 == 0) return in(3'600'000'000, "h");
  if (us % 60'000'000 == 0) return in(60'000'000, "min");
  if (us % 1'000'000 == 0) return in(1'000'000, "s");
  if (us % 1'000 == 0) return in(1'000, "ms");
  return in(1, "us");
}

// --- in words

static std::string in_words(const node_set& set) {
  using who = node_selector::who;
  std::string text;
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (!text.empty()) text += ", ";
    const auto& x = set[i];
    switch (x.what) {
    case who::node: {
      auto last = i;
      while (last + 1 < set.size() && set[last + 1].what == who::node
             && set[last + 1].number == set[last].number + 1)
        ++last;
      text += "n" + std::to_string(x.number + 1);
      if (last > i)
        text += (last == i + 1 ? ", n" : " to n") + std::to_string(set[last].number + 1);
      i = last;
      break;
    }
    case who::all:
      text += "every node";
      break;
    case who::leader:
      text += "the leader of the moment";
      break;
    case who::killed:
      text += "every node that does not run";
      break;
    case who::stopped:
      text += "every node that stands still";
      break;
    case who::random:
      text +=
          x.number == 1 ? "a node by chance" : std::to_string(x.number) + " nodes by chance";
    }
  }
  return text;
}

static std::string percent(std::uint64_t ppm) {
  auto text = std::to_string(ppm / 10'000);
  if (const auto rest = ppm % 10'000) {
    auto digits = std::to_string(10'000 + rest).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += "." + digits;
  }
  return text + " %";
}

static std::string in_words(const line_quality& x) {
  auto text = "messages take " + duration_text(x.least_delay)
              + (x.most_delay != x.least_delay ? " to " + duration_text(x.most_delay) : "");
  if (x.lost_ppm > 0) text += ", " + percent(x.lost_ppm) + " are lost";
  if (x.duplicated_ppm > 0) text += ", " + percent(x.duplicated_ppm) + " come twice";
  if (x.bytes_per_s > 0)
    text += ", at most " + std::to_string(x.bytes_per_s) + " bytes a second";
  return text;
}

static std::string in_words(flood_of x) {
  switch (x) {
  case flood_of::operations:
    return " operations";
  case flood_of::garbage:
    return " pieces of garbage";
  case flood_of::strangers:
    return " visitors with keys that nobody knows";
  case flood_of::slow_readers:
    return " clients that ask for much and do not read it";
  }
  return {};
}

static std::string in_words(byzantine_habit x) {
  switch (x) {
  case byzantine_habit::twin:
    return "runs twice with one key, each half talking to other nodes";
  case byzantine_habit::rogue:
    return "makes several proposals a view, stale and invalid ones";
  case byzantine_habit::liar:
    return "lies about its state and answers with something else";
  case byzantine_habit::withhold:
    return "announces batches and does not hand them out";
  case byzantine_habit::equivocate:
    return "votes differently to different nodes";
  case byzantine_habit::fork_lane:
    return "makes two batches for one place of its lane";
  case byzantine_habit::babble:
    return "sends damaged and impossible messages";
  case byzantine_habit::replay:
    return "sends old messages of anyone again";
  case byzantine_habit::hoard:
    return "completes certificates early and shows them to some";
  case byzantine_habit::mute:
    break;
  }
  return "is heard by none";
}

static std::string in_words(const act& x) {
  const auto first = x.sets.empty() ? std::string() : in_words(x.sets.front());
  static constexpr const char* disks[] = {"is full", "fails with an I/O error",
                                          "writes half of what it is given and fails",
                                          "is slow"};
  static constexpr const char* moments[] = {"before it stores for", "after it stored for",
                                            "before it sends for", "after it sent for"};
  switch (x.what) {
  case verb::partition: {
    std::string text;
    for (const auto& side : x.sets)
      text += (text.empty() ? "" : " | ") + in_words(side);
    return "the mesh falls apart: " + text;
  }
  case verb::one_way:
    return first + ": not heard any more by " + in_words(x.sets[1]);
  case verb::cut:
    return x.sets.size() > 1
               ? "the lines between " + first + " and " + in_words(x.sets[1]) + " are cut"
               : first + ": cut off from all others";
  case verb::line:
    return "from " + first + " to " + in_words(x.sets[1]) + " " + in_words(x.quality);
  case verb::kill:
    return first + ": killed";
  case verb::start:
    return first + ": started";
  case verb::stop:
    return first + ": stands still, its connections open";
  case verb::carry_on:
    return first + ": goes on";
  case verb::disk:
    return first + ": the disk " + disks[static_cast<int>(x.disk)];
  case verb::clock:
    return first + ": the clock jumps by " + (x.by.count() < 0 ? "-" : "+")
           + duration_text(x.by.count() < 0 ? -x.by : x.by);
  case verb::flood:
    return first + ": gets " + std::to_string(x.rate_per_s) + in_words(x.flood) + " a second";
  case verb::byzantine:
    return first + ": " + in_words(x.habit);
  case verb::lose_vote_log:
    return first + ": crashes and loses its votes";
  case verb::restore:
    return first + ": crashes, and its disk is put back to what it held at "
           + duration_text(x.by) + ", but for its votes";
  case verb::kill_actor:
    return first + ": its actor " + x.actor + " is killed";
  case verb::crash_at:
    return first + ": crashes " + moments[static_cast<int>(x.moment)] + " the "
           + std::to_string(x.count) + ". time from now";
  case verb::power_loss:
    return "all nodes lose power";
  case verb::live:
    return "something handed in from now on is acknowledged within " + duration_text(x.by);
  case verb::converged:
    return "within " + duration_text(x.by)
           + " every node that runs is as far as the foremost is now";
  case verb::quiet:
    return "within " + duration_text(x.by) + " no node has anything left to do";
  case verb::heal:
    break;
  }
  return "everything is well again";
}

std::string explain(const script& what) {
  using kind = statement::kind;
  std::string text = what.name + "\n";
  for (const auto& each : what.about)
    text += "  " + each + '\n';
  text += "  " + std::to_string(what.nodes) + " nodes, of which "
          + std::to_string(what.faulty()) + " may be faulty\n";
  const auto line = [&](const std::string& head, const std::string& tail) {
    text +=
        "  " + head + std::string(head.size() < 22 ? 22 - head.size() : 1, ' ') + tail + '\n';
  };
  for (const auto& each : what.statements) {
    auto tail = in_words(each.does);
    if (each.does.lasting) tail += ", for " + duration_text(*each.does.lasting);
    if (each.what == kind::link) line("from the start", tail);
    if (each.what == kind::at) line("at " + duration_text(each.when), tail);
    if (each.what == kind::load)
      line(duration_text(each.puts.from) + " to "
               + duration_text(each.puts.until.value_or(what.heal)),
           std::to_string(each.puts.rate_per_s) + " operations a second of "
               + std::to_string(each.puts.size_bytes) + " bytes, handed to "
               + in_words(each.puts.at));
    if (each.what == kind::every)
      line("every " + duration_text(each.when),
           tail + (each.from ? ", from " + duration_text(*each.from) : "")
               + (each.until ? ", until " + duration_text(*each.until) : ""));
  }
  line("at " + duration_text(what.heal), "healing: every line is good, every node runs");
  for (const auto& each : what.statements) {
    std::string checks;
    for (const auto x : each.checks)
      checks += (checks.empty() ? "" : ", ") + std::string(to_string(x));
    if (each.what == kind::always) line("always", checks);
    if (each.what == kind::within) line("then within " + duration_text(each.when), checks);
    if (each.what == kind::after_idle) line("idle for " + duration_text(each.when), checks);
  }
  return text;
}

} // namespace tallymesh::faults
