#include "tests/faults/language/parser.hpp"

#include "tests/faults/language/words.hpp"

#include <algorithm>
#include <map>

namespace tallymesh::faults {

namespace {

class parser {
public:
  parser(std::string_view text, std::string file) : text_(text) {
    made_.file = std::move(file);
  }

  result<script> read();

private:
  using kind = statement::kind;

  void read_line(std::string_view line);
  void read_header(words& from, std::size_t which);
  void read_statement(words& from, kind what);
  void read_checks(words& from, statement& into);
  void read_load(words& from, load& into);
  void read_quality(words& from, line_quality& into, std::optional<duration>* lasting);
  act read_act(words& from);
  void read_act_about(words& from, act& into);
  void read_faulty(words& from, act& into);
  void read_partition(words& from, act& into);
  void read_disk(words& from, act& into);
  void read_flood(words& from, act& into);
  void read_crash(words& from, act& into);
  void read_lasting(words& from, act& into);
  void add_heal(words& from, duration when);
  duration looked_at_until(const statement& x) const;
  void finish();
  void check_byzantine();
  void fail(std::size_t line, std::size_t column, const std::string& text);

  std::string_view text_;
  script made_;
  std::size_t line_ = 0;
  bool has_name_ = false, has_nodes_ = false, has_heal_ = false;
  std::optional<error> problem_;
};

void parser::fail(std::size_t line, std::size_t column, const std::string& text) {
  if (!problem_)
    problem_ = make_error(errc::bad_config, made_.file + ':' + std::to_string(line) + ':'
                                                + std::to_string(column) + ": " + text);
}

result<script> parser::read() {
  if (text_.size() > script_limits::script_bytes)
    return make_error(errc::too_large, made_.file + ": longer than "
                                           + std::to_string(script_limits::script_bytes)
                                           + " bytes: split it into several scripts");
  for (std::size_t at = 0; at < text_.size() && !problem_;) {
    const auto end = std::min(text_.find('\n', at), text_.size());
    ++line_;
    read_line(text_.substr(at, end - at));
    at = end + 1;
  }
  if (!problem_) finish();
  if (problem_) return *problem_;
  return std::move(made_);
}

void parser::read_line(std::string_view line) {
  if (line.size() > script_limits::line_bytes)
    return fail(line_, 1,
                "longer than " + std::to_string(script_limits::line_bytes)
                    + " bytes: split this line");
  if (made_.statements.empty() && !has_nodes_ && line.starts_with("#")) {
    line.remove_prefix(std::min(line.find_first_not_of("# "), line.size()));
    if (!line.empty()) made_.about.emplace_back(line);
    return;
  }
  words from(line, made_.nodes);
  if (!from.failed() && !from.at_end()) {
    const auto which = from.one_of("a statement", {"name", "nodes", "seed", "link", "load",
                                                   "at", "every", "always", "within", "after"});
    if (from.failed()) {
    } else if (which < 3) {
      read_header(from, which);
    } else if (!has_nodes_) {
      from.fail_here("which nodes are there? write 'nodes n1..n4' before this line");
    } else if (made_.statements.size() == script_limits::statements) {
      from.fail_here("more than " + std::to_string(script_limits::statements)
                     + " statements: split the script");
    } else {
      constexpr kind kinds[] = {kind::link,   kind::load,   kind::at,        kind::every,
                                kind::always, kind::within, kind::after_idle};
      read_statement(from, kinds[which - 3]);
    }
    if (!from.failed()) from.expect_end("");
  }
  if (from.failed()) fail(line_, from.column(), from.problem());
}

void parser::read_header(words& from, std::size_t which) {
  const auto once = [&](bool& seen, const char* what) {
    if (seen) from.fail_here(std::string("a second ") + what + ": leave one");
    seen = true;
  };
  if (which == 0) {
    once(has_name_, "name");
    made_.name = from.quoted("\"leader killed\"");
  } else if (which == 1) {
    once(has_nodes_, "nodes");
    made_.nodes = from.mesh_size();
    made_.nodes_line = line_;
    made_.nodes_column = from.last_column();
  } else {
    made_.seed = from.number("42", 0, UINT64_MAX / 2);
  }
}

void parser::read_statement(words& from, kind what) {
  statement x;
  x.what = what;
  x.line = line_;
  x.text = std::string(from.text());
  x.column = from.first_column();
  switch (what) {
  case kind::link:
    x.does.what = verb::line;
    x.does.sets.push_back(from.set());
    x.does.sets.push_back(from.set());
    read_quality(from, x.does.quality, nullptr);
    break;
  case kind::load:
    read_load(from, x.puts);
    break;
  case kind::at:
    x.when = from.time("5s");
    if (from.take("heal")) return add_heal(from, x.when);
    x.does = read_act(from);
    break;
  case kind::every:
    x.when = from.time("500ms");
    if (!from.failed() && x.when < duration(1000))
      from.fail_here("too often: write 1ms at least");
    if (from.take("from")) x.from = from.time("1s");
    if (from.take("until")) x.until = from.time("9s");
    if (from.next_is("heal")) from.fail_next("healing happens once: write 'at T heal'");
    x.does = read_act(from);
    break;
  case kind::always:
    read_checks(from, x);
    break;
  case kind::within:
    x.when = from.time("15s");
    from.expect("after", "'after heal'");
    from.expect("heal", "'heal'");
    read_checks(from, x);
    break;
  case kind::after_idle:
    from.expect("idle", "'idle', a time and checks, such as 'after idle 5s quiet'");
    x.when = from.time("5s");
    read_checks(from, x);
    break;
  }
  if (from.failed()) return;
  if ((what == kind::at || what == kind::every) && has_heal_)
    return from.fail_here("this comes after healing: write it above 'at "
                          + duration_text(made_.heal) + " heal'");
  made_.statements.push_back(std::move(x));
}

void parser::add_heal(words& from, duration when) {
  if (has_heal_) return from.fail_here("a second heal: leave one, at the end");
  has_heal_ = true;
  made_.heal = when;
}

void parser::read_checks(words& from, statement& into) {
  do {
    into.checks.push_back(static_cast<check>(
        from.one_of("a check", {"no_divergence", "no_lost_ack", "no_double_vote",
                                "exactly_once", "balances_zero", "bounded_memory", "converged",
                                "all_acked_final", "quiet"})));
    if (from.failed()) return;
    const auto timed = into.checks.back() >= check::converged;
    if (into.what == kind::always && timed)
      return from.fail_here(std::string(to_string(into.checks.back()))
                            + " cannot hold always: write 'within 60s after heal "
                            + std::string(to_string(into.checks.back())) + "'");
    if (into.what != kind::after_idle && into.checks.back() == check::quiet)
      return from.fail_here("quiet needs idleness: write 'after idle 5s quiet'");
    if (into.what == kind::after_idle && into.checks.back() != check::quiet)
      return from.fail_here("after idle only quiet is checked: write 'always "
                            + std::string(to_string(into.checks.back())) + "'");
  } while (from.take(",") || !from.at_end());
}

void parser::read_load(words& from, load& into) {
  into.at = from.set();
  for (const auto& each : into.at)
    if (each.what != node_selector::who::node && each.what != node_selector::who::all)
      from.fail_here("a load goes to nodes by name: write n1..n4 or *");
  from.expect("rate", "'rate' and how many a second, such as 'rate 50/s'");
  into.rate_per_s = from.rate("50/s", script_limits::rate_per_s);
  if (from.take("size")) into.size_bytes = from.size("256B", script_limits::size_bytes);
  if (from.take("from")) into.from = from.time("2s");
  if (from.take("until")) into.until = from.time("9s");
  from.expect_end("after the rate may stand size, from and until, in this order");
}

void parser::read_quality(words& from, line_quality& into, std::optional<duration>* lasting) {
  bool any = false;
  while (!from.failed() && !from.at_end()) {
    if (from.take("delay"))
      from.times("5ms..40ms", into.least_delay, into.most_delay);
    else if (from.take("loss"))
      into.lost_ppm = from.parts_per_million("1%");
    else if (from.take("duplicate"))
      into.duplicated_ppm = from.parts_per_million("0.5%");
    else if (from.take("slow"))
      into.bytes_per_s = from.byte_rate("64KiB/s", script_limits::byte_rate);
    else if (any && lasting && from.next_is("for"))
      break;
    else
      from.one_of("how the line is", {"delay", "loss", "duplicate", "slow"});
    any = true;
  }
  if (!any) from.one_of("how the line is", {"delay", "loss", "duplicate", "slow"});
}

act parser::read_act(words& from) {
  act x;
  constexpr verb verbs[] = {
      verb::partition, verb::one_way,       verb::cut,        verb::line,     verb::kill,
      verb::start,     verb::stop,          verb::carry_on,   verb::disk,     verb::clock,
      verb::flood,     verb::lose_vote_log, verb::kill_actor, verb::crash_at, verb::power_loss,
      verb::live,      verb::converged,     verb::quiet,      verb::restore};
  constexpr std::size_t others = std::size(verbs);
  const auto which = from.one_of(
      "what happens", {"partition",  "one",      "cut",    "link",  "kill",      "start",
                       "stop",       "continue", "disk",   "clock", "flood",     "lose",
                       "kill_actor", "crash",    "power",  "live",  "converged", "quiet",
                       "restore",    "twin",     "rogue",  "liar",  "withhold",  "equivocate",
                       "fork",       "babble",   "replay", "hoard", "mute"});
  if (from.failed()) return x;
  if (which >= others) {
    x.what = verb::byzantine;
    x.habit = static_cast<byzantine_habit>(which - others);
    if (x.habit == byzantine_habit::fork_lane) from.expect("lane", "'fork lane' and nodes");
  } else {
    x.what = verbs[which];
  }
  read_act_about(from, x);
  return x;
}

void parser::read_act_about(words& from, act& x) {
  switch (x.what) {
  case verb::partition:
    read_partition(from, x);
    break;
  case verb::one_way:
    from.expect("way", "'one way {n1} -> {n2 n3}'");
    x.sets.push_back(from.set());
    from.expect("->", "'->' and who hears nothing from them any more");
    x.sets.push_back(from.set());
    break;
  case verb::cut:
    x.sets.push_back(from.set());
    if (!from.at_end() && !from.next_is("for")) x.sets.push_back(from.set());
    break;
  case verb::line:
    x.sets.push_back(from.set());
    x.sets.push_back(from.set());
    read_quality(from, x.quality, &x.lasting);
    break;
  case verb::disk:
    read_disk(from, x);
    break;
  case verb::clock:
    x.sets.push_back(from.set());
    x.by = from.signed_time("+1h");
    break;
  case verb::flood:
    read_flood(from, x);
    break;
  case verb::lose_vote_log:
    from.expect("vote", "'lose vote log' and a node");
    from.expect("log", "'lose vote log' and a node");
    read_faulty(from, x);
    break;
  case verb::restore:
    read_faulty(from, x);
    from.expect("from", "'from' and when the copy is made, such as 'restore n3 from 4s'");
    x.by = from.time("4s");
    break;
  case verb::kill_actor:
    x.sets.push_back(from.set());
    x.actor =
        std::vector<std::string>{"consensus", "mempool",   "contract_executor", "ledger_writer",
                                 "gateway",   "peer_link", "introspector"}[from.one_of(
            "an actor", {"consensus", "mempool", "contract_executor", "ledger_writer",
                         "gateway", "peer_link", "introspector"})];
    return;
  case verb::crash_at:
    read_crash(from, x);
    break;
  case verb::power_loss:
    from.expect("loss", "'power loss'");
    if (from.take("of")) from.expect("all", "'power loss of all'");
    break;
  case verb::live:
  case verb::converged:
  case verb::quiet:
    from.expect("within", "'within' and a time, such as 'live within 4s'");
    x.by = from.time("4s");
    return;
  case verb::byzantine:
    read_faulty(from, x);
    break;
  default: // kill, start, stop, continue
    x.sets.push_back(from.set());
  }
  read_lasting(from, x);
}

void parser::read_faulty(words& from, act& x) {
  x.sets.push_back(from.set());
  for (const auto& each : x.sets.front())
    if (each.what != node_selector::who::node)
      from.fail_here("who counts as faulty must be known by name: write n3");
}

void parser::read_partition(words& from, act& x) {
  x.sets.push_back(from.set());
  if (from.next_is("->")) {
    from.fail_next("a partition cuts both ways: write 'one way {n1} -> {n2}' or '|'");
    return;
  }
  from.expect("|", "'|' and the other side, such as 'partition {n1} | {n2..n4}'");
  do
    x.sets.push_back(from.set());
  while (from.take("|"));
  std::map<std::uint16_t, int> seen;
  for (const auto& side : x.sets)
    for (const auto& each : side)
      if (each.what == node_selector::who::node && ++seen[each.number] == 2)
        from.fail_here("n" + std::to_string(each.number + 1)
                       + " stands on two sides: leave it on one");
}

void parser::read_disk(words& from, act& x) {
  x.sets.push_back(from.set());
  x.disk = static_cast<disk_fault>(
      from.one_of("what is wrong with the disk", {"full", "eio", "torn", "slow"}));
}

void parser::read_flood(words& from, act& x) {
  x.sets.push_back(from.set());
  from.expect("with",
              "'with operations', 'with garbage', 'with strangers' or 'with slow_readers'");
  x.flood = static_cast<flood_of>(
      from.one_of("what comes", {"operations", "garbage", "strangers", "slow_readers"}));
  from.expect("rate", "'rate' and how many a second, such as 'rate 500/s'");
  x.rate_per_s = from.rate("500/s", script_limits::rate_per_s);
  if (!from.failed() && !from.next_is("for")) from.fail_next("for how long? write 'for 2s'");
}

void parser::read_crash(words& from, act& x) {
  x.sets.push_back(from.set());
  const auto moment = from.one_of("a moment", {"before", "after"});
  const auto point = from.one_of("a point", {"persist", "send"});
  x.moment = static_cast<crash_moment>(point * 2 + moment);
  if (!from.at_end() && !from.next_is("for")) x.count = from.number("3", 1, 100'000);
}

void parser::read_lasting(words& from, act& x) {
  if (!from.take("for")) return;
  x.lasting = from.time("4s");
  using enum verb;
  for (const auto each : {start, carry_on, lose_vote_log, live, converged, quiet, byzantine})
    if (x.what == each)
      from.fail_here(std::string("'") + std::string(to_string(x.what))
                     + "' is done at once: leave 'for' away");
}

// --- what only the whole script shows

static duration first_time(const statement& x) {
  return x.what == statement::kind::every ? x.from.value_or(x.when) : x.when;
}

/// If it is a check of the moment.
duration parser::looked_at_until(const statement& x) const {
  const auto does = x.does.what;
  if (does != verb::live && does != verb::converged && does != verb::quiet) return {};
  const bool once = x.what == statement::kind::at;
  return (once ? x.when : x.until.value_or(made_.heal)) + x.does.by;
}

void parser::finish() {
  if (!has_nodes_) return fail(line_ + 1, 1, "no nodes: write 'nodes n1..n4'");
  if (!has_name_) return fail(line_ + 1, 1, "no name: write 'name \"what happens\"'");
  if (!has_heal_)
    return fail(line_ + 1, 1, "the script does not end in healing: write 'at 12s heal'");
  std::size_t repetitions = 0;
  for (const auto& each : made_.statements) {
    if (each.what == statement::kind::at && each.when >= made_.heal)
      return fail(each.line, 1,
                  "this comes after healing at " + duration_text(made_.heal)
                      + ": write an earlier time");
    if (each.does.what == verb::restore && each.does.by >= first_time(each))
      return fail(each.line, 1,
                  "at " + duration_text(first_time(each)) + " there is no copy of "
                      + duration_text(each.does.by)
                      + " yet: write an earlier time after 'from'");
    if (const auto until = looked_at_until(each); until > made_.heal)
      return fail(each.line, 1,
                  "this is looked at until " + duration_text(until) + ", and after healing at "
                      + duration_text(made_.heal)
                      + " it holds anyway: write a shorter time, or heal later");
    if (each.what == statement::kind::every)
      repetitions += static_cast<std::size_t>(made_.heal / each.when) + 1;
    if (each.what == statement::kind::load && each.puts.from >= made_.heal)
      return fail(each.line, 1,
                  "this load begins after healing at " + duration_text(made_.heal)
                      + ": write an earlier time");
    if (repetitions > script_limits::repetitions)
      return fail(each.line, 1,
                  "repeated more than " + std::to_string(script_limits::repetitions)
                      + " times before healing: write a longer time");
  }
  if (!made_.expects(check::converged))
    return fail(line_ + 1, 1,
                "nothing says that the mesh recovers: write 'within 60s after heal converged'");
  check_byzantine();
}

/// More than f faulty nodes may break every promise, so no script can ask for it.
void parser::check_byzantine() {
  const auto traitors = made_.unreliable();
  if (traitors.size() <= made_.faulty()) return;
  for (const auto& each : made_.statements)
    if (makes_faulty(each.does.what))
      return fail(each.line, 1,
                  std::to_string(traitors.size()) + " faulty nodes of "
                      + std::to_string(made_.nodes) + ", and the mesh bears "
                      + std::to_string(made_.faulty()) + ": write 'nodes n1..n"
                      + std::to_string(3 * traitors.size() + 1) + "' or fewer of them");
}

} // namespace

result<script> parse_script(std::string_view text, std::string file) {
  return parser(text, std::move(file)).read();
}

} // namespace tallymesh::faults
