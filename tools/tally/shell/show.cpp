// The commands that show one node at one moment.
#include "tools/tally/shell/session.hpp"

#include <algorithm>
#include <ctime>
#include <iostream>

namespace tallymesh::tally {

using namespace introspection;

namespace {

std::string us_text(std::int64_t us) {
  char text[32];
  if (us < 0) return "-";
  if (us < 1000)
    std::snprintf(text, sizeof text, "%lld us", static_cast<long long>(us));
  else if (us < 1'000'000)
    std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(us) / 1000);
  else
    return duration_text(milliseconds(us / 1000));
  return text;
}

std::string bytes_text(std::int64_t x) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(x);
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < std::size(units); size /= 1024)
    ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
  return text;
}

/// Of an actor's mailbox: the least that is known, where more wait than are stamped.
std::string oldest_text(const value_map& x) {
  return (flag_at(x, "oldest_at_least") ? "> " : "") + us_text(number_at(x, "oldest_us"));
}

std::string count_text(std::int64_t x) {
  return x < 0 ? "-" + grouped(static_cast<std::uint64_t>(-x))
               : grouped(static_cast<std::uint64_t>(x));
}

/// A node that starts anew has not heard of any yet.
std::string attested_text(std::int64_t x) { return x == 0 ? "-" : count_text(x); }

struct actor_line {
  const value_map* actor;
  std::string state;
  colour with = colour::green;
};

actor_line line_of(const value_map& x) {
  if (!flag_at(x, "alive")) return {&x, "down", colour::red};
  if (flag_at(x, "paused")) return {&x, "paused", colour::yellow};
  const auto busy = number_at(x, "in_handler_us");
  if (busy > 2'000'000) return {&x, "stuck", colour::red};
  return busy > 0 ? actor_line{&x, "busy"} : actor_line{&x, "idle"};
}

std::string last_exit_of(const value_map& x) {
  const auto last = text_at(x, "last_exit");
  return last.empty() ? "-" : last;
}

void print_value(const value& x, int depth);

void print_map(const value_map& x, int depth) {
  for (const auto& [key, each] : x) {
    std::cout << std::string(static_cast<std::size_t>(2 * depth), ' ') << printable(key) << ':';
    print_value(each, depth + 1);
  }
}

bool is_flat(const value_list& x) {
  return std::none_of(x.begin(), x.end(), [](const value& each) {
    return each.as<value_list>() != nullptr || each.as<value_map>() != nullptr;
  });
}

void print_value(const value& x, int depth) {
  if (const auto* map = x.as<value_map>()) {
    std::cout << '\n';
    return print_map(*map, depth);
  }
  const auto* list = x.as<value_list>();
  if (list == nullptr || is_flat(*list)) {
    std::cout << ' '
              << printable(list != nullptr ? json::serialize(to_json(x)) : shown(to_json(x)))
              << '\n';
    return;
  }
  std::cout << '\n';
  for (const auto& each : *list) {
    std::cout << std::string(static_cast<std::size_t>(2 * depth), ' ') << '-';
    print_value(each, depth + 1);
  }
}

constexpr std::size_t most_buckets = 24; ///< as a node counts them; it may send any number

std::string histogram_line(const std::vector<std::int64_t>& buckets) {
  static constexpr std::string_view bars = " .:-=+*#@";
  std::int64_t most = 0;
  for (const auto count : buckets)
    most = std::max(most, count);
  std::string out;
  for (const auto count : buckets) {
    const auto share = most == 0 ? 0 : (count * 8 + most - 1) / most;
    out += bars[static_cast<std::size_t>(std::clamp<std::int64_t>(share, 0, 8))];
  }
  return out;
}

/// The bucket below which `share` of the counts lie, as its upper bound in microseconds.
std::int64_t quantile_us(const std::vector<std::int64_t>& buckets, double share) {
  std::int64_t all = 0, seen = 0;
  for (const auto count : buckets)
    all += count;
  for (std::size_t b = 0; b < buckets.size(); ++b) {
    seen += buckets[b];
    if (all > 0 && static_cast<double>(seen) >= share * static_cast<double>(all))
      return std::int64_t{1} << b;
  }
  return 0;
}

std::string names(const shell_session& session, const value_list& indexes) {
  std::string out;
  for (const auto& each : indexes)
    if (const auto* index = each.as<std::int64_t>())
      (out += out.empty() ? "" : " ") += session.name_of(*index);
  return out.empty() ? "-" : out;
}

void print_facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::size_t width = 0;
  for (const auto& [name, text] : facts)
    width = std::max(width, name.size());
  for (const auto& [name, text] : facts)
    std::cout << painted(colour::bold, name) << std::string(width - name.size() + 2, ' ')
              << printable(text) << '\n';
}

void print_unanswered(const value_map& x) {
  std::cout << painted(colour::red, "does not answer") << ": it handles `"
            << printable(text_at(x, "handler", "?")) << "` for "
            << us_text(number_at(x, "in_handler_us")) << ", " << number_at(x, "waiting")
            << " messages wait" << (flag_at(x, "paused") ? ", and it is paused" : "") << '\n';
}

bool said_nothing(const value_map& x) { return find(x, "answers") && !flag_at(x, "answers"); }

value_map actor_argument(const words& args) {
  value_map out;
  if (!args.empty()) put(out, "actor", args[0]);
  return out;
}

} // namespace

bool is_sort_key(std::string_view text) {
  return text == "mailbox" || text == "time" || text == "rate" || text == "restarts"
         || text == "name";
}

void print_actors(std::ostream& out, shell_session& session, const value_map& tree,
                  const std::string& sort, const value_map* before, double seconds) {
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> earlier; // handled, busy
  if (before != nullptr)
    for (const auto* each : maps_at(*before, "actors"))
      earlier[text_at(*each, "name")] = {number_at(*each, "handled"),
                                         number_at(*each, "busy_us")};
  struct row {
    actor_line line;
    double rate, share;
  };
  std::vector<row> rows;
  for (const auto* each : maps_at(tree, "actors")) {
    session.remember_actor(text_at(*each, "name"));
    row x{line_of(*each), 0, 0};
    const auto age =
        static_cast<double>(number_at(tree, "now_ms") - number_at(*each, "since_ms")) / 1000;
    const auto over = before != nullptr ? seconds : std::max(age, 0.001);
    const auto [handled, busy] = earlier[text_at(*each, "name")];
    x.rate =
        static_cast<double>(std::max<std::int64_t>(number_at(*each, "handled") - handled, 0))
        / over;
    x.share = static_cast<double>(std::max<std::int64_t>(number_at(*each, "busy_us") - busy, 0))
              / 10'000 / over;
    rows.push_back(x);
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const row& a, const row& b) {
    const auto& x = *a.line.actor;
    const auto& y = *b.line.actor;
    if (sort == "mailbox") return number_at(x, "waiting") > number_at(y, "waiting");
    if (sort == "restarts") return number_at(x, "restarts") > number_at(y, "restarts");
    if (sort == "rate") return a.rate > b.rate;
    if (sort == "time") return a.share > b.share;
    return sort == "name" && text_at(x, "name") < text_at(y, "name");
  });
  std::vector<std::vector<cell>> lines;
  for (const auto& [line, rate, share] : rows) {
    const auto& x = *line.actor;
    char rate_text[32], share_text[32];
    std::snprintf(rate_text, sizeof rate_text, "%.1f", rate);
    std::snprintf(share_text, sizeof share_text, "%.1f %%", share);
    const auto waiting = number_at(x, "waiting");
    lines.push_back({text_at(x, "name"),
                     {line.state, line.with},
                     {count_text(waiting), waiting > 100 ? colour::yellow : colour::none},
                     oldest_text(x),
                     rate_text,
                     share_text,
                     count_text(number_at(x, "handled")),
                     std::to_string(number_at(x, "restarts")),
                     text_at(x, "handler", "")});
  }
  print_fitting(out,
                {{"actor"},
                 {"state"},
                 {"mailbox", true},
                 {"oldest", true},
                 {"msgs/s", true},
                 {"time", true},
                 {"handled", true},
                 {"restarts", true},
                 {"handling"}},
                lines);
}

bool ask_chosen(shell_session& session, topic about, const value_map& arguments,
                const std::function<void(node_index, const value_map&)>& print) {
  const auto answers = session.client.ask_all(session.chosen, about, arguments);
  bool good = true;
  json::object all;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& name = session.name_of(session.chosen[i]);
    const auto& each = answers[i];
    if (session.json) {
      all[name] = each ? to_json(value(*each)) : json::value{{"error", each.error().context}};
      good = good && each;
      continue;
    }
    if (answers.size() > 1)
      std::cout << (i > 0 ? "\n" : "") << painted(colour::bold, "== " + name) << '\n';
    if (each) {
      print(session.chosen[i], *each);
      continue;
    }
    good = fail(name + ": " + each.error().context) && good;
  }
  if (session.json) print_json(all);
  return good;
}

bool show_tree(shell_session& session, const words&) {
  return ask_chosen(session, topic::tree, {}, [&](node_index, const value_map& x) {
    const auto now = number_at(x, "now_ms");
    const auto& process = map_at(x, "process");
    std::string family;
    std::vector<std::vector<cell>> lines;
    const auto actors = maps_at(x, "actors");
    for (std::size_t i = 0; i < actors.size(); ++i) {
      const auto& each = *actors[i];
      session.remember_actor(text_at(each, "name"));
      const auto own = text_at(each, "family");
      const bool root = own == "node";
      const bool last_of_all = i + 1 == actors.size();
      const bool alone = own == text_at(each, "name") || own != "core actors";
      std::string branch;
      if (!root) {
        if (!alone && own != family)
          lines.push_back({std::string("|-- ") + own + " (restart together)", "", "", "", ""});
        branch = alone ? (last_of_all ? "`-- " : "|-- ")
                       : (i + 1 < actors.size() && text_at(*actors[i + 1], "family") == own
                              ? "|   |-- "
                              : "|   `-- ");
      }
      family = own;
      const auto line = line_of(each);
      lines.push_back({branch + text_at(each, "name"),
                       {line.state, line.with},
                       duration_text(milliseconds(now - number_at(each, "since_ms"))),
                       std::to_string(number_at(each, "restarts")),
                       last_exit_of(each)});
    }
    std::cout << painted(colour::bold, printable(text_at(x, "node"))) << "  pid "
              << number_at(process, "pid") << ", up "
              << duration_text(milliseconds(now - number_at(x, "started_ms"))) << ", height "
              << count_text(number_at(x, "height")) << ", memory "
              << bytes_text(number_at(process, "resident_bytes")) << ", "
              << number_at(process, "descriptors") << " descriptors, processor "
              << duration_text(milliseconds(number_at(process, "cpu_ms"))) << '\n';
    if (const auto halted = text_at(x, "halted"); !halted.empty())
      std::cout << painted(colour::red, "halted: " + printable(halted)) << '\n';
    if (flag_at(x, "observing"))
      std::cout << painted(colour::yellow, "only observes: it never votes") << '\n';
    print_fitting(std::cout,
                  {{"actor"}, {"state"}, {"since", true}, {"restarts", true}, {"last exit"}},
                  lines);
  });
}

bool show_ps(shell_session& session, const words& given) {
  auto args = given;
  const auto sort = take_option(args, "--sort").value_or("time");
  if (!args.empty() || !is_sort_key(sort))
    return fail("usage: ps [--sort mailbox|time|rate|restarts|name]");
  return ask_chosen(session, topic::tree, {}, [&](node_index, const value_map& x) {
    print_actors(std::cout, session, x, sort, nullptr, 0);
    if (!flag_at(x, "measuring"))
      std::cout << "(introspection.measure is off on this node: nothing is counted)\n";
  });
}

bool show_actor(shell_session& session, const words& args) {
  if (args.size() != 1) return fail("usage: info ACTOR");
  return ask_chosen(
      session, topic::actor, actor_argument(args), [&](node_index, const value_map& x) {
        const auto line = line_of(x);
        print_facts({{"actor", text_at(x, "name") + " (#" + std::to_string(number_at(x, "id"))
                                   + ", " + text_at(x, "family") + ")"},
                     {"state", line.state + " since "
                                   + duration_text(milliseconds(number_at(x, "now_ms")
                                                                - number_at(x, "since_ms")))},
                     {"restarts", std::to_string(number_at(x, "restarts"))
                                      + ", last exit: " + last_exit_of(x)},
                     {"mailbox",
                      std::to_string(number_at(x, "waiting")) + ", oldest " + oldest_text(x)},
                     {"handled", count_text(number_at(x, "handled")) + " messages in "
                                     + us_text(number_at(x, "busy_us"))}});
        std::vector<std::vector<cell>> lines;
        for (const auto* kind : maps_at(x, "kinds")) {
          const auto count = std::max<std::int64_t>(number_at(*kind, "count"), 1);
          const auto buckets = numbers_at(*kind, "buckets", most_buckets);
          lines.push_back({text_at(*kind, "kind"), count_text(number_at(*kind, "count")),
                           us_text(number_at(*kind, "busy_us")),
                           us_text(number_at(*kind, "busy_us") / count),
                           "< " + us_text(quantile_us(buckets, 0.5)),
                           "< " + us_text(quantile_us(buckets, 0.99)),
                           "|" + histogram_line(buckets) + "|"});
        }
        if (lines.empty()) return;
        std::cout << '\n';
        print_fitting(std::cout,
                      {{"message"},
                       {"count", true},
                       {"time", true},
                       {"mean", true},
                       {"p50", true},
                       {"p99", true},
                       {"1us    64us    4ms    .3s"}},
                      lines);
      });
}

bool show_state(shell_session& session, const words& args) {
  if (args.size() != 1) return fail("usage: state ACTOR");
  return ask_chosen(session, topic::state, actor_argument(args),
                    [&](node_index, const value_map& x) {
                      if (said_nothing(x)) return print_unanswered(x);
                      if (x.size() <= 1) std::cout << "it holds nothing to show\n";
                      print_map(x, 0);
                    });
}

bool show_mailbox(shell_session& session, const words& args) {
  if (args.size() != 1) return fail("usage: mailbox ACTOR");
  return ask_chosen(
      session, topic::mailbox, actor_argument(args), [&](node_index, const value_map& x) {
        std::cout << number_at(x, "waiting") << " waiting, oldest " << oldest_text(x) << '\n';
        if (said_nothing(x) && number_at(x, "in_handler_us") > 0) print_unanswered(x);
        std::vector<std::vector<cell>> lines;
        for (const auto* kind : maps_at(x, "waiting_kinds"))
          lines.push_back({text_at(*kind, "kind"), count_text(number_at(*kind, "count"))});
        if (!lines.empty())
          print_fitting(std::cout, {{"kinds that wait"}, {"count", true}}, lines);
      });
}

bool show_links(shell_session& session, const words&) {
  return ask_chosen(session, topic::links, {}, [&](node_index, const value_map& x) {
    const auto now = number_at(x, "now_ms");
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "peers")) {
      const bool up = flag_at(*each, "up");
      const auto dropped = number_at(*each, "dropped_frames");
      lines.push_back({text_at(*each, "peer"),
                       {up ? "up" : "down", up ? colour::green : colour::red},
                       duration_text(milliseconds(now - number_at(*each, "since_ms"))),
                       us_text(number_at(*each, "round_trip_us", -1)),
                       bytes_text(number_at(*each, "bytes_in")),
                       bytes_text(number_at(*each, "bytes_out")),
                       bytes_text(number_at(*each, "queue_bytes")),
                       {count_text(dropped), dropped > 0 ? colour::yellow : colour::none},
                       text_at(*each, "address"),
                       text_at(*each, "key").substr(0, 12)});
    }
    print_fitting(std::cout,
                  {{"peer"},
                   {"link"},
                   {"since", true},
                   {"round trip", true},
                   {"in", true},
                   {"out", true},
                   {"queue", true},
                   {"dropped", true},
                   {"address"},
                   {"key"}},
                  lines);
    for (const auto* each : maps_at(x, "operators"))
      std::cout << "operator " << printable(text_at(*each, "operator")) << " ("
                << printable(text_at(*each, "role")) << ") from "
                << printable(text_at(*each, "address")) << '\n';
  });
}

bool show_mesh(shell_session& session, const words&) {
  const auto trees = session.client.ask_all(session.everyone, topic::tree);
  const auto links = session.client.ask_all(session.everyone, topic::links);
  if (session.json) {
    json::object all;
    for (std::size_t i = 0; i < links.size(); ++i)
      all[session.name_of(session.everyone[i])] =
          links[i] ? to_json(value(*links[i]))
                   : json::value{{"error", links[i].error().context}};
    print_json(all);
    return true;
  }
  std::vector<column> columns{{"node"}, {"height", true}};
  for (const auto each : session.everyone)
    columns.push_back({"to " + session.name_of(each)});
  std::vector<std::vector<cell>> lines;
  for (std::size_t i = 0; i < links.size(); ++i) {
    auto& line = lines.emplace_back();
    line.emplace_back(session.name_of(session.everyone[i]));
    line.emplace_back(trees[i] ? count_text(number_at(*trees[i], "height")) : "-");
    if (!links[i]) {
      line.resize(columns.size(), {"?", colour::red});
      continue;
    }
    std::map<std::string, const value_map*> peers;
    for (const auto* each : maps_at(*links[i], "peers"))
      peers[text_at(*each, "peer")] = each;
    for (const auto each : session.everyone) {
      const auto at = peers.find(session.name_of(each));
      if (at == peers.end()) {
        line.emplace_back(".");
        continue;
      }
      const bool up = flag_at(*at->second, "up");
      const auto trip = number_at(*at->second, "round_trip_us", -1);
      line.emplace_back(!up        ? "down"
                        : trip < 0 ? "up"
                                   : us_text(trip),
                        up ? colour::green : colour::red);
    }
  }
  print_fitting(std::cout, columns, lines);
  for (std::size_t i = 0; i < links.size(); ++i)
    if (!links[i])
      std::cout << painted(colour::red, session.name_of(session.everyone[i]) + ": "
                                            + printable(links[i].error().context))
                << '\n';
  return true;
}

bool show_consensus(shell_session& session, const words&) {
  return ask_chosen(session, topic::consensus, {}, [&](node_index, const value_map& x) {
    if (said_nothing(x)) return print_unanswered(x);
    if (const auto halted = text_at(x, "halted_why"); !halted.empty())
      std::cout << painted(colour::red, "halted: " + printable(halted)) << '\n';
    const auto waits = text_at(x, "waiting_for");
    print_facts(
        {{"view", std::to_string(number_at(x, "view")) + ", leader "
                      + session.name_of(number_at(x, "leader")) + ", entered "
                      + duration_text(milliseconds(number_at(x, "in_view_ms"))) + " ago"},
         {"height", "final " + count_text(number_at(x, "finalized_height")) + ", executed "
                        + count_text(number_at(x, "executed_height"))
                        + ", attested by a quorum "
                        + attested_text(number_at(x, "attested_height"))},
         {"work", find(x, "work_for_ms")
                      ? "for " + duration_text(milliseconds(number_at(x, "work_for_ms")))
                            + "; nullifies in "
                            + duration_text(milliseconds(
                                std::max<std::int64_t>(number_at(x, "nullify_in_ms"), 0)))
                      : "none"},
         {"waits for", waits.empty() ? "nothing" : waits},
         {"quorum", std::to_string(number_at(x, "quorum")) + " of "
                        + std::to_string(number_at(x, "nodes")) + "; views given up: "
                        + std::to_string(number_at(x, "views_given_up"))},
         {"mode", std::string(flag_at(x, "halted")        ? "halted"
                              : flag_at(x, "observing")   ? "observes only"
                              : flag_at(x, "catching_up") ? "catches up"
                                                          : "votes")}});
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "views"))
      lines.push_back({std::to_string(number_at(*each, "view")),
                       session.name_of(number_at(*each, "leader")),
                       text_at(*each, "proposal").empty() ? "-" : text_at(*each, "proposal"),
                       names(session, list_at(*each, "notarize")),
                       names(session, list_at(*each, "nullify")),
                       names(session, list_at(*each, "finalize")),
                       std::string(flag_at(*each, "notarized") ? "notarized " : "")
                           + (flag_at(*each, "nullified") ? "nullified " : "")
                           + (flag_at(*each, "finalized") ? "final" : "")});
    if (!lines.empty()) {
      std::cout << '\n';
      print_fitting(std::cout,
                    {{"view", true},
                     {"leader"},
                     {"proposal"},
                     {"notarize"},
                     {"nullify"},
                     {"finalize"},
                     {"certificates"}},
                    lines);
    }
    lines.clear();
    for (const auto* each : maps_at(x, "peers")) {
      const bool up = flag_at(*each, "up");
      const auto* heard = find(*each, "heard_ms");
      lines.push_back(
          {session.name_of(number_at(*each, "node")),
           {up ? "up" : "down", up ? colour::green : colour::red},
           heard && heard->as<std::int64_t>()
               ? duration_text(milliseconds(number_at(*each, "heard_ms"))) + " ago"
               : "never",
           std::to_string(number_at(*each, "view")),
           count_text(number_at(*each, "finalized_height")),
           attested_text(number_at(*each, "attested_height")),
           find(*each, "differs_at") ? cell(
               "differs at " + std::to_string(number_at(*each, "differs_at")), colour::red)
                                     : cell("same")});
    }
    std::cout << '\n';
    print_fitting(std::cout,
                  {{"peer"},
                   {"link"},
                   {"heard", true},
                   {"view", true},
                   {"final", true},
                   {"attested", true},
                   {"execution"}},
                  lines);
  });
}

bool show_mempool(shell_session& session, const words&) {
  return ask_chosen(session, topic::mempool, {}, [&](node_index, const value_map& x) {
    if (said_nothing(x)) return print_unanswered(x);
    print_facts(
        {{"waiting", count_text(number_at(x, "queued_operations")) + " operations, "
                         + bytes_text(number_at(x, "queued_bytes")) + " (of "
                         + count_text(number_at(x, "most_queued_operations")) + ", "
                         + bytes_text(number_at(x, "most_queued_bytes")) + "), oldest "
                         + duration_text(milliseconds(number_at(x, "oldest_queued_ms")))},
         {"own lane", std::to_string(number_at(x, "own_unfinal_batches")) + " of "
                          + std::to_string(number_at(x, "lane_window"))
                          + " batches sealed and not final"},
         {"fetching", std::to_string(number_at(x, "missing")) + " missing, "
                          + std::to_string(number_at(x, "fetches"))
                          + " asked for; consensus waits" + " for "
                          + std::to_string(number_at(x, "wants")) + " cuts"},
         {"refused", count_text(number_at(x, "dropped")) + " messages or parts"}});
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "lanes"))
      lines.push_back(
          {session.name_of(number_at(*each, "node")), count_text(number_at(*each, "stored")),
           count_text(number_at(*each, "available")), count_text(number_at(*each, "final")),
           flag_at(*each, "forked") ? cell("forked", colour::red) : cell("")});
    std::cout << '\n';
    print_fitting(std::cout,
                  {{"lane of"}, {"stored", true}, {"at a quorum", true}, {"final", true}, {""}},
                  lines);
  });
}

bool show_ledger(shell_session& session, const words&) {
  return ask_chosen(session, topic::ledger, {}, [&](node_index, const value_map& x) {
    const auto& disk = map_at(x, "disk");
    const auto time = number_at(x, "time_ms");
    print_facts(
        {{"height",
          count_text(number_at(x, "height")) + ", view " + std::to_string(number_at(x, "view"))
              + (time > 0 ? ", " + duration_text(milliseconds(number_at(x, "now_ms") - time))
                                + " ago"
                          : "")},
         {"block", text_at(x, "block")},
         {"execution", text_at(x, "execution")},
         {"stores", "ledger " + bytes_text(number_at(disk, "ledger_bytes")) + ", batches "
                        + bytes_text(number_at(disk, "batches_bytes")) + ", votes "
                        + bytes_text(number_at(disk, "votes_bytes"))},
         {"disk", bytes_text(number_at(disk, "free_bytes")) + " free of "
                      + bytes_text(number_at(disk, "total_bytes")) + " at "
                      + text_at(disk, "directory")}});
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "tables"))
      lines.push_back({text_at(*each, "table"), count_text(number_at(*each, "records"))});
    if (lines.empty()) return;
    std::cout << '\n';
    print_fitting(std::cout, {{"table"}, {"records", true}}, lines);
  });
}

bool show_contracts(shell_session& session, const words&) {
  return ask_chosen(session, topic::contracts, {}, [&](node_index, const value_map& x) {
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "contracts")) {
      std::string tables;
      for (const auto& table : list_at(*each, "tables"))
        if (const auto* name = table.as<std::string>())
          (tables += tables.empty() ? "" : " ") += *name;
      const auto digest = text_at(*each, "digest");
      lines.push_back({text_at(*each, "contract"), std::to_string(number_at(*each, "version")),
                       digest.empty() ? "built in" : digest.substr(0, 12), tables});
    }
    print_fitting(std::cout, {{"contract"}, {"version", true}, {"digest"}, {"tables"}}, lines);
  });
}

bool show_evidence(shell_session& session, const words&) {
  return ask_chosen(session, topic::evidence, {}, [&](node_index, const value_map& x) {
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "evidence"))
      lines.push_back({text_at(*each, "node"), text_at(*each, "first"),
                       text_at(*each, "first_digest"), text_at(*each, "second"),
                       text_at(*each, "second_digest"),
                       std::to_string(number_at(*each, "position"))});
    if (lines.empty())
      std::cout << "none: no node was seen to contradict itself\n";
    else
      print_fitting(std::cout,
                    {{"node"}, {"signed"}, {"digest"}, {"and"}, {"digest"}, {"at", true}},
                    lines);
  });
}

bool show_config(shell_session& session, const words& args) {
  return ask_chosen(session, topic::config, {}, [&](node_index, const value_map& x) {
    std::vector<std::vector<cell>> lines;
    for (const auto* each : maps_at(x, "values")) {
      const auto key = text_at(*each, "key");
      if (!args.empty() && !key.starts_with(args[0])) continue;
      lines.push_back({key, text_at(*each, "value").empty() ? "-" : text_at(*each, "value"),
                       text_at(*each, "origin")});
    }
    print_fitting(std::cout, {{"key"}, {"value"}, {"from"}}, lines);
  });
}

} // namespace tallymesh::tally
