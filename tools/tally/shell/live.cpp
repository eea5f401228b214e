// The commands that go on until q, Ctrl-C or their time is over.
#include "tools/tally/shell/session.hpp"

#include <csignal>
#include <ctime>
#include <iostream>
#include <poll.h>
#include <sstream>
#include <termios.h>
#include <unistd.h>

namespace tallymesh::tally {

using namespace introspection;
using steady = std::chrono::steady_clock;

namespace {

volatile std::sig_atomic_t interrupted = 0;

/// Keys come one at a time and unseen, and Ctrl-C ends the command, not the shell.
class live_mode {
public:
  live_mode() {
    interrupted = 0;
    struct sigaction act {};
    act.sa_handler = [](int) { interrupted = 1; };
    ::sigaction(SIGINT, &act, &before_);
    keys_ = ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &terminal_) == 0;
    if (!keys_) return;
    auto raw = terminal_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~live_mode() {
    if (keys_) ::tcsetattr(STDIN_FILENO, TCSANOW, &terminal_);
    ::sigaction(SIGINT, &before_, nullptr);
  }
  live_mode(const live_mode&) = delete;
  live_mode& operator=(const live_mode&) = delete;

  /// Waits for a key or for the time to pass; true if the command must end.
  bool wait(milliseconds limit) const {
    if (!keys_) {
      ::poll(nullptr, 0, static_cast<int>(limit.count()));
      return interrupted != 0;
    }
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, static_cast<int>(limit.count())) == 1) {
      char key = 0;
      if (::read(STDIN_FILENO, &key, 1) != 1 || key == 'q') return true;
    }
    return interrupted != 0;
  }

private:
  struct sigaction before_ {};
  termios terminal_{};
  bool keys_ = false;
};

std::string clock_text(std::int64_t wall_ms) {
  if (wall_ms < 0) wall_ms = 0; // a node may say anything
  const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm at{};
  ::localtime_r(&seconds, &at);
  char text[48];
  std::snprintf(text, sizeof text, "%02d:%02d:%02d.%03d", at.tm_hour, at.tm_min, at.tm_sec,
                static_cast<int>(wall_ms % 1000));
  return text;
}

std::string microseconds_text(std::int64_t wall_us) {
  char text[16];
  std::snprintf(text, sizeof text, "%03d",
                static_cast<int>(std::max<std::int64_t>(wall_us, 0) % 1000));
  return clock_text(wall_us / 1000) + text;
}

void print_notices(shell_session& session) {
  for (const auto& each : session.client.take_notices())
    std::cout << painted(colour::yellow, "* " + printable(each)) << '\n';
}

/// A stream of answers of one node; ended streams have no number.
struct following {
  node_index node;
  std::optional<std::uint32_t> number;
  bool lost = false; ///< it ended with its link
};

void take_what_came(shell_session& session, following& x,
                    const std::function<void(node_index, const answer&)>& print) {
  constexpr int a_round = 8; // a node that never ends must not keep keys from being heard
  for (int i = 0; i < a_round && x.number; ++i) {
    const auto got = session.client.next(*x.number, milliseconds(0));
    if (!got) return;
    print(x.node, *got);
    if (!got->last) continue;
    x.number.reset();
    x.lost = mesh_client::says_lost(*got);
  }
}

/// Reads what follows of each stream until the user, the time or the streams end. `again`
/// begins a stream anew whose node was lost and is back; without it a stream ends for good.
void follow(shell_session& session, std::vector<following> streams, milliseconds limit,
            const std::function<void(node_index, const answer&)>& print,
            const std::function<std::uint32_t(node_index)>& again = {}) {
  const live_mode keys;
  const auto end = steady::now() + limit;
  const auto goes_on = [&](const following& x) { return x.number || (x.lost && again); };
  while (steady::now() < end) {
    for (auto& each : streams) {
      take_what_came(session, each, print);
      if (each.lost && again && session.client.is_up(each.node))
        each = {each.node, again(each.node)};
    }
    if (std::none_of(streams.begin(), streams.end(), goes_on)) break;
    if (!session.json) print_notices(session);
    std::cout << std::flush;
    if (keys.wait(milliseconds(100))) break;
  }
  for (const auto& each : streams)
    if (each.number) session.client.end(each.node, *each.number);
}

void print_lines(shell_session& session, node_index node, const value_map& body) {
  for (const auto* line : maps_at(body, "lines")) {
    if (session.json) {
      auto one = to_json(value(*line));
      one.as_object()["node"] = session.name_of(node);
      print_json(one);
      continue;
    }
    const auto level = text_at(*line, "level");
    const auto with = level == "warning"                        ? colour::yellow
                      : level == "error" || level == "critical" ? colour::red
                                                                : colour::none;
    std::cout << clock_text(number_at(*line, "time_ms")) << ' '
              << (session.chosen.size() > 1 ? session.name_of(node) + " " : "")
              << painted(with, printable(level)) << ' ' << printable(text_at(*line, "text"))
              << '\n';
  }
}

std::string plain(const value& x) { return shown(to_json(x)); }

/// "consensus.peers.0.up" in an answer.
const value* at_path(const value_map& body, std::string_view path) {
  const value* at = nullptr;
  const value_map* map = &body;
  const value_list* list = nullptr;
  while (!path.empty()) {
    const auto step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(step.size() + 1, path.size()));
    if (map != nullptr) {
      at = find(*map, step);
    } else if (list != nullptr) {
      at = nullptr;
      for (const auto& each : *list) // by name, or by place
        if (const auto* entry = each.as<value_map>();
            entry != nullptr
            && (text_at(*entry, "name") == step || text_at(*entry, "peer") == step
                || text_at(*entry, "table") == step))
          at = &each;
      if (at == nullptr && step.find_first_not_of("0123456789") == step.npos
          && step.size() < 6) {
        const auto place = static_cast<std::size_t>(std::stoul(std::string(step)));
        if (place < list->size()) at = &(*list)[place];
      }
    }
    if (at == nullptr) return nullptr;
    map = at->as<value_map>();
    list = at->as<value_list>();
  }
  return at;
}

struct watched {
  topic about{};
  value_map arguments;
  std::string path;
};

std::optional<watched> parsed_watch(const std::string& text) {
  const auto dot = text.find('.');
  if (dot == text.npos || dot + 1 == text.size()) return std::nullopt;
  const auto head = text.substr(0, dot);
  const auto rest = text.substr(dot + 1);
  for (const auto each :
       {topic::consensus, topic::mempool, topic::ledger, topic::links, topic::tree})
    if (head == to_string(each)) return watched{each, {}, rest};
  // Anything else is an actor: counters of it, as `info` shows them.
  watched x{topic::actor, {}, rest};
  put(x.arguments, "actor", head);
  return x;
}

} // namespace

namespace {

using taken_trees = std::vector<result<value_map>>;

void print_top_of(std::ostream& out, shell_session& session, const std::string& name,
                  const std::string& sort, const value_map& tree, const value_map* before,
                  double seconds) {
  const auto grew = [&](std::int64_t now, std::int64_t then) {
    return before != nullptr && seconds > 0 ? static_cast<double>(now - then) / seconds : 0.0;
  };
  static const value_map nothing;
  const auto& earlier = before != nullptr ? *before : nothing;
  char line[96];
  std::snprintf(
      line, sizeof line, "%.0f operations/s, processor %.0f %%",
      grew(number_at(tree, "operations_executed"), number_at(earlier, "operations_executed")),
      grew(number_at(map_at(tree, "process"), "cpu_ms"),
           number_at(map_at(earlier, "process"), "cpu_ms"))
          / 10);
  out << painted(colour::bold, name) << "  height "
      << grouped(static_cast<std::uint64_t>(number_at(tree, "height"))) << ", " << line << '\n';
  print_actors(out, session, tree, sort, before, seconds);
}

/// All that `top` shows at one moment.
std::string top_page(shell_session& session, const std::string& sort, const taken_trees& now,
                     const taken_trees& before, double seconds) {
  std::ostringstream out;
  for (std::size_t n = 0; n < now.size(); ++n) {
    const auto& name = session.name_of(session.chosen[n]);
    if (now[n])
      print_top_of(out, session, name, sort, *now[n], before[n] ? &*before[n] : nullptr,
                   seconds);
    else
      out << painted(colour::bold, name) << "  "
          << painted(colour::red, printable(now[n].error().context)) << '\n';
    if (n + 1 < now.size()) out << '\n';
  }
  return out.str();
}

/// Drawn over the last one from the upper left corner; what is below the screen is left out, so
/// that the page does not roll.
void draw(const std::string& page) {
  const auto lines = size_of_screen().lines;
  std::size_t end = 0, drawn = 0;
  while (end < page.size() && (lines == 0 || drawn + 2 < lines)) {
    end = std::min(page.find('\n', end), page.size() - 1) + 1;
    ++drawn;
  }
  std::cout << "\033[H\033[J" << page.substr(0, end)
            << (end < page.size() ? "(more below) " : "") << "every second; q ends it"
            << std::flush;
}

} // namespace

bool live_top(shell_session& session, const words& given) {
  auto args = given;
  const auto sort = take_option(args, "--sort").value_or("time");
  const auto times_text = take_option(args, "--times");
  if (!args.empty() || !is_sort_key(sort))
    return fail("usage: top [--sort mailbox|time|rate|restarts|name] [--times N]");
  const bool screen = session.terminal && !session.json;
  std::size_t times = screen ? SIZE_MAX : 1;
  if (times_text)
    times = static_cast<std::size_t>(std::strtoul(times_text->c_str(), nullptr, 10));
  const live_mode keys;
  auto before = session.client.ask_all(session.chosen, topic::tree);
  auto taken = steady::now();
  for (std::size_t i = 0; i < times; ++i) {
    if (keys.wait(milliseconds(1000))) break;
    auto now = session.client.ask_all(session.chosen, topic::tree);
    const auto seconds = std::chrono::duration<double>(steady::now() - taken).count();
    taken = steady::now();
    if (session.json) {
      for (std::size_t n = 0; n < now.size(); ++n)
        if (now[n])
          print_json(json::value{{"node", session.name_of(session.chosen[n])},
                                 {"tree", to_json(value(*now[n]))}});
    } else if (screen) {
      draw(top_page(session, sort, now, before, seconds));
    } else {
      std::cout << top_page(session, sort, now, before, seconds) << std::flush;
    }
    before = std::move(now);
  }
  if (screen) std::cout << '\n';
  return true;
}

bool live_logs(shell_session& session, const words& given) {
  auto args = given;
  value_map arguments;
  const bool goes_on = take_flag(args, "--follow");
  put(arguments, "follow", goes_on);
  if (const auto level = take_option(args, "--level")) put(arguments, "level", *level);
  const auto limit = take_option(args, "--for");
  const auto limit_ms = limit ? duration_ms(*limit) : std::optional<std::int64_t>(INT32_MAX);
  if (args.size() > 1 || !limit_ms)
    return fail("usage: logs [LINES] [--follow] [--level warning] [--for 30s]");
  if (!args.empty())
    put(arguments, "lines",
        value(static_cast<std::int64_t>(std::strtol(args[0].c_str(), nullptr, 10))));
  if (!goes_on) {
    bool good = true;
    const auto answers = session.client.ask_all(session.chosen, topic::logs, arguments);
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (answers[i])
        print_lines(session, session.chosen[i], *answers[i]);
      else
        good = fail(session.name_of(session.chosen[i]) + ": " + answers[i].error().context);
    return good;
  }
  std::vector<following> streams;
  for (const auto each : session.chosen)
    streams.push_back({each, session.client.begin(each, topic::logs, arguments)});
  bool good = true;
  auto later = arguments; // after a loss only what is new: the last lines were shown already
  put(later, "lines", value(std::int64_t{0}));
  follow(
      session, std::move(streams), milliseconds(*limit_ms),
      [&](node_index node, const answer& x) {
        if (!x.failure.empty()) good = fail(session.name_of(node) + ": " + x.failure);
        print_lines(session, node, x.body);
      },
      [&](node_index node) { return session.client.begin(node, topic::logs, later); });
  return good;
}

bool live_trace(shell_session& session, const words& given) {
  auto args = given;
  const auto max = take_option(args, "--max").value_or("100");
  const auto limit_ms = duration_ms(take_option(args, "--for").value_or("10s"));
  if (args.size() != 1 || !limit_ms || session.chosen.size() != 1)
    return fail("usage: trace ACTOR [--max 100] [--for 10s]   (one node: `use NODE` first)");
  value_map arguments;
  put(arguments, "actor", args[0]);
  put(arguments, "max",
      value(static_cast<std::int64_t>(std::strtol(max.c_str(), nullptr, 10))));
  put(arguments, "for_ms", value(*limit_ms));
  const auto node = session.chosen[0];
  bool good = true;
  std::size_t shown_messages = 0;
  if (!session.json)
    std::cout << painted(colour::bold, "time             way  with               message")
              << '\n';
  follow(session, {{node, session.client.begin(node, topic::trace, arguments)}},
         milliseconds(*limit_ms + 2000), [&](node_index, const answer& x) {
           if (!x.failure.empty()) good = fail(x.failure);
           for (const auto* each : maps_at(x.body, "messages")) {
             ++shown_messages;
             if (session.json) {
               print_json(to_json(value(*each)));
               continue;
             }
             const bool out = text_at(*each, "way") == "out";
             char text[160];
             std::snprintf(text, sizeof text, "%s  %s  %-17.17s  ",
                           microseconds_text(number_at(*each, "time_us")).c_str(),
                           out ? "->" : "<-", text_at(*each, "other").c_str());
             std::cout << printable(text) << ' ' << printable(text_at(*each, "kind"));
             if (const auto bytes = number_at(*each, "bytes"); bytes > 0)
               std::cout << ", " << grouped(static_cast<std::uint64_t>(bytes)) << " bytes";
             if (!out) std::cout << ", " << number_at(*each, "took_us") << " us";
             std::cout << '\n';
           }
         });
  if (!session.json) std::cout << shown_messages << " messages\n";
  return good;
}

bool live_watch(shell_session& session, const words& given) {
  auto args = given;
  const auto limit = take_option(args, "--for");
  const auto limit_ms = limit ? duration_ms(*limit) : std::optional<std::int64_t>(INT32_MAX);
  const auto what = args.size() == 1 ? parsed_watch(args[0]) : std::nullopt;
  if (!what || !limit_ms)
    return fail(
        "usage: watch TOPIC.FIELD [--for 10s], as in: watch consensus.view, "
        "watch ledger.height, watch mempool.queued_operations, watch links.peers.coop.up");
  const live_mode keys;
  const auto end = steady::now() + milliseconds(*limit_ms);
  std::map<node_index, std::string> last;
  for (;;) {
    const auto answers = session.client.ask_all(session.chosen, what->about, what->arguments);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto node = session.chosen[i];
      const auto* found = answers[i] ? at_path(*answers[i], what->path) : nullptr;
      if (answers[i] && found == nullptr)
        return fail("there is no " + what->path + " in what " + session.name_of(node)
                    + " answers; -o json shows all there is");
      const auto text = answers[i] ? plain(*found) : answers[i].error().context;
      auto& before = last[node];
      if (text == before) continue;
      before = text;
      using namespace std::chrono;
      const auto now =
          duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
      if (session.json)
        print_json(
            json::value{{"time_ms", now}, {"node", session.name_of(node)}, {"value", text}});
      else
        std::cout << clock_text(now) << ' '
                  << (session.chosen.size() > 1 ? session.name_of(node) + " " : "")
                  << printable(text) << '\n';
    }
    std::cout << std::flush;
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady::now());
    if (left.count() <= 0 || keys.wait(std::min(left, milliseconds(500)))) return true;
  }
}

} // namespace tallymesh::tally
