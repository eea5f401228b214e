// `why` and `dump`: what is asked of all nodes, and what this machine knows of their processes.
#include "messages/operation.hpp"
#include "tools/tally/processes.hpp"
#include "tools/tally/shell/session.hpp"
#include "tools/tally/shell/tables.hpp"
#include "tools/tally/shell/why.hpp"

#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

namespace tallymesh::tally {

using namespace introspection;

namespace {

constexpr milliseconds patience{2000}; ///< a node that answers later is as good as silent

/// 'T' in /proc/PID/stat: SIGSTOP, or a debugger.
bool is_stopped(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(in, text);
  const auto end = text.rfind(')');
  return end != text.npos && text.size() > end + 2
         && (text[end + 2] == 'T' || text[end + 2] == 't');
}

/// The last line of its log that is an error; the last words of a node that ended.
std::string last_error(const std::filesystem::path& directory) {
  std::istringstream lines(last_lines(log_file(directory), 20));
  std::string found;
  for (std::string line; std::getline(lines, line);)
    if (line.find("critical") != line.npos || line.find(" error") != line.npos) found = line;
  // After the time, level and name of the node: "2026-11-24 05:00:00.000 critical [hq] ledger:
  // ..."
  const auto named = found.find("] ");
  return named == found.npos ? found : found.substr(named + 2);
}

void look_at_process(const shell_session& session, node_facts& out) {
  if (session.directory.empty()) return;
  const auto directory = session.directory / out.name;
  std::error_code failed;
  if (!std::filesystem::exists(directory / "node.toml", failed)) return;
  const auto process = node_process::find(directory);
  out.process = !process                     ? process_state::absent
                : is_stopped(process->pid()) ? process_state::stopped
                                             : process_state::running;
  if (out.process == process_state::absent) out.last_log_line = last_error(directory);
}

std::int64_t highest(const std::vector<node_facts>& nodes) {
  std::int64_t out = 0;
  for (const auto& each : nodes)
    out = std::max(out, number_at(each.tree, "height"));
  return out;
}

std::vector<node_facts> gather(shell_session& session) {
  std::vector<node_facts> out;
  for (const auto each : session.everyone)
    out.emplace_back().name = session.name_of(each);
  const std::pair<topic, value_map node_facts::*> asked[] = {
      {topic::tree, &node_facts::tree},
      {topic::consensus, &node_facts::consensus},
      {topic::mempool, &node_facts::mempool},
      {topic::ledger, &node_facts::ledger},
      {topic::links, &node_facts::links}};
  for (const auto& [about, member] : asked) {
    auto answers = session.client.ask_all(session.everyone, about, {}, patience);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i]) {
        out[i].*member = std::move(*answers[i]);
        if (about == topic::tree) out[i].reachable = true;
      } else if (about == topic::tree) {
        out[i].trouble = answers[i].error().context;
        const std::string prefix = "no link: ";
        if (out[i].trouble.starts_with(prefix)) out[i].trouble.erase(0, prefix.size());
      }
    }
  }
  for (auto& each : out)
    if (!each.reachable) look_at_process(session, each);
  return out;
}

// --- the first record that differs

struct comparison_of_tables {
  std::vector<table_difference> differences;
  std::vector<std::string> unfinished; ///< tables that were not compared to their end, and why
};

bytes raw_at(const value_map& from, std::string_view key) {
  const auto* found = find(from, key);
  const auto* raw = found == nullptr ? nullptr : found->as<bytes>();
  return raw == nullptr ? bytes{} : *raw;
}

/// Whether all say the same of this part of the table, without looking at each record.
bool all_the_same(const std::vector<result<value_map>>& x) {
  return std::all_of(x.begin(), x.end(), [&](const auto& each) {
    return raw_at(*each, "digest") == raw_at(*x[0], "digest")
           && raw_at(*each, "last") == raw_at(*x[0], "last")
           && number_at(*each, "count") == number_at(*x[0], "count");
  });
}

class table_comparer {
public:
  table_comparer(shell_session& session, std::vector<node_index> nodes, std::string table,
                 std::chrono::steady_clock::time_point end)
      : session_(session), nodes_(std::move(nodes)), table_(std::move(table)), end_(end) {}

  void run(comparison_of_tables& out) {
    // Digests are of no use to who has not asked: what a record may hold cannot be guessed.
    arguments_ = {};
    put(arguments_, "table", table_);
    put(arguments_, "limit", value(page_rows));
    put(arguments_, "salt", random_salt());
    for (bytes after;;) {
      if (std::chrono::steady_clock::now() > end_)
        return unfinished(out, "there is too much of it; `tally compare` reads all");
      put(arguments_, "after", after);
      put(arguments_, "rows", false);
      auto answers = session_.client.ask_all(nodes_, topic::rows, arguments_);
      if (!are_good(answers, out)) return;
      if (std::any_of(answers.begin(), answers.end(),
                      [](const auto& each) { return flag_at(*each, "hidden"); }))
        return compare_hidden(out);
      std::optional<bytes> next;
      if (all_the_same(answers)) {
        if (number_at(*answers[0], "count") >= page_rows) next = raw_at(*answers[0], "last");
      } else if (!look_closer(next, out)) {
        return;
      }
      if (!next) return;
      if (*next <= after) return unfinished(out, "a node's pages do not go on");
      after = std::move(*next);
    }
  }

private:
  static constexpr std::int64_t page_rows = 500;

  /// Where a node shows no keys, pages are compared whole, while nothing moves.
  void compare_hidden(comparison_of_tables& out) {
    constexpr int tries = 3;
    put(arguments_, "rows", false);
    put(arguments_, "hide", true);
    for (int i = 0; i < tries; ++i)
      if (compare_hidden_once(out)) return;
    unfinished(out, "it changes meanwhile; with a key that has the role control, or by `tally "
                    "compare`, records are compared one by one");
  }
  /// False if it has to begin anew.
  bool compare_hidden_once(comparison_of_tables& out) {
    bytes after;
    std::optional<std::int64_t> height;
    for (std::int64_t passed = 0;;) {
      if (std::chrono::steady_clock::now() > end_)
        return unfinished(out, "there is too much of it; `tally compare` reads all"), true;
      put(arguments_, "after", after);
      const auto answers = session_.client.ask_all(nodes_, topic::rows, arguments_);
      if (!are_good(answers, out)) return true;
      for (const auto& each : answers) {
        const auto begun = number_at(*each, "height"), ended = number_at(*each, "height_after");
        if (!height) height = begun;
        if (begun != *height || ended != *height) return false;
      }
      if (!all_the_same(answers)) return note_difference(answers, passed, out), true;
      const auto count = number_at(*answers[0], "count");
      after = raw_at(*answers[0], "last");
      if (count < page_rows || after.empty()) return true;
      passed += count;
    }
  }
  void note_difference(const std::vector<result<value_map>>& answers, std::int64_t passed,
                       comparison_of_tables& out) const {
    table_difference found;
    found.table = table_;
    found.key = std::to_string(passed + 1) + " to " + std::to_string(passed + page_rows)
                + " of it, which one is shown to the role control only";
    std::map<bytes, std::vector<std::string>> by_content;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto content = raw_at(*answers[i], "digest");
      const auto& name = session_.name_of(nodes_[i]);
      by_content[content].push_back(name);
      found.holds.emplace_back(name, to_hex(content).substr(0, 8));
    }
    for (const auto& [content, nodes] : by_content)
      if (nodes.size() == 1 && answers.size() > 2 && by_content.size() == 2)
        found.odd = nodes.front();
    out.differences.push_back(std::move(found));
  }

  static bytes random_salt() {
    bytes out(16);
    random_bytes(out);
    return out;
  }
  void unfinished(comparison_of_tables& out, const std::string& why) const {
    out.unfinished.push_back("table " + table_ + " was not compared to its end: " + why);
  }
  bool are_good(const std::vector<result<value_map>>& answers,
                comparison_of_tables& out) const {
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (!answers[i]) {
        unfinished(out, session_.name_of(nodes_[i]) + ": " + answers[i].error().context);
        return false;
      }
    return true;
  }
  /// Record by record. False when there is nothing more to look for.
  bool look_closer(std::optional<bytes>& next, comparison_of_tables& out) {
    put(arguments_, "rows", true);
    const auto answers = session_.client.ask_all(nodes_, topic::rows, arguments_);
    if (!are_good(answers, out)) return false;
    std::vector<table_page> pages;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto& name = session_.name_of(nodes_[i]);
      auto page = read_page(name, *answers[i], page_rows);
      if (!page) return unfinished(out, name + " contradicts itself"), false;
      pages.push_back(std::move(*page));
    }
    if (auto found = first_difference(table_, pages)) {
      out.differences.push_back(std::move(*found));
      return false;
    }
    next = common_end(pages);
    return true;
  }

  shell_session& session_;
  const std::vector<node_index> nodes_;
  const std::string table_;
  const std::chrono::steady_clock::time_point end_;
  value_map arguments_;
};

comparison_of_tables compare_tables(shell_session& session,
                                    const std::vector<node_facts>& facts) {
  constexpr std::chrono::seconds a_person_waits{10};
  constexpr std::size_t most_tables = 200;
  std::vector<node_index> nodes;
  std::set<std::string> tables;
  for (std::size_t i = 0; i < facts.size(); ++i) {
    if (!facts[i].reachable || facts[i].ledger.empty()) continue;
    nodes.push_back(session.everyone[i]);
    for (const auto* each : maps_at(facts[i].ledger, "tables"))
      if (tables.size() < most_tables) tables.insert(text_at(*each, "table"));
  }
  comparison_of_tables out;
  if (nodes.size() < 2) return out;
  const auto end = std::chrono::steady_clock::now() + a_person_waits;
  for (const auto& each : tables)
    table_comparer(session, nodes, each, end).run(out);
  return out;
}

bool explain_operation(shell_session& session, const std::string& id) {
  if (!operation_id::from_hex(id))
    return fail(id + " is no operation's id: 32 hexadecimal characters");
  value_map arguments;
  put(arguments, "id", id);
  const auto answers = session.client.ask_all(session.everyone, topic::operation, arguments);
  std::vector<std::vector<cell>> lines;
  json::object all;
  std::size_t executed = 0, known = 0, asked = 0, unsure = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& name = session.name_of(session.everyone[i]);
    if (!answers[i]) {
      all[name] = {{"error", answers[i].error().context}};
      lines.push_back({name, {"unreachable", colour::red}, answers[i].error().context});
      continue;
    }
    ++asked;
    const auto& x = *answers[i];
    all[name] = to_json(value(x));
    const auto where = text_at(x, "where");
    std::string says = "never heard of it";
    if (const auto why = text_at(x, "unsure"); !why.empty()) {
      ++unsure;
      says = "not found, but " + why;
    }
    if (where == "executed") {
      ++executed;
      says = "at height " + std::to_string(number_at(x, "height")) + ": "
             + text_at(x, "outcome")
             + (text_at(x, "detail").empty() ? "" : " (" + text_at(x, "detail") + ")");
    } else if (where == "batch") {
      ++known;
      says = "in batch " + std::to_string(number_at(x, "batch")) + " of "
             + session.name_of(number_at(x, "lane"))
             + (flag_at(x, "available") ? ", stored at a quorum: it waits for a block"
                                        : ", not yet known to be stored at a quorum");
    } else if (where == "queue") {
      ++known;
      says = "accepted here; its batch is not sealed or not stored yet";
    }
    lines.push_back({name, where.empty() ? "?" : where, says});
  }
  if (session.json) {
    print_json(all);
    return true;
  }
  print_fitting(std::cout, {{"node"}, {"operation"}, {""}}, lines);
  std::cout << '\n';
  if (executed > 0 && executed == asked)
    std::cout << "it is executed on every reachable node\n";
  else if (executed > 0)
    std::cout << "it is final; the other nodes are behind\n";
  else if (known > 0)
    std::cout << "it is pending; what holds it back is what holds back the mesh:\n\n";
  else if (unsure > 0)
    std::cout << "nobody found it, and not all could look everywhere: ask again\n";
  else
    std::cout << "no reachable node has it: it was refused, has expired, or was never sent\n";
  return executed > 0 || known == 0 || explain_why(session, {});
}

void print(const diagnosis& x) {
  std::cout << "The mesh "
            << painted(x.healthy ? colour::green : colour::bold, printable(x.verdict)) << ".\n";
  for (const auto& each : x.findings) {
    const auto with = each.how == weight::stops   ? colour::red
                      : each.how == weight::harms ? colour::yellow
                                                  : colour::none;
    const auto mark = each.how == weight::stops   ? "!!"
                      : each.how == weight::harms ? "! "
                                                  : "  ";
    std::cout << painted(with,
                         std::string(mark) + " " + (each.node.empty() ? "mesh" : each.node))
              << ": " << printable(each.what) << '\n';
    if (!each.advice.empty()) std::cout << "     -> " << printable(each.advice) << '\n';
  }
  if (x.findings.empty()) std::cout << "Nothing is wrong with any node.\n";
}

json::value as_json(const diagnosis& x) {
  json::array list;
  for (const auto& each : x.findings)
    list.push_back({{"weight", each.how == weight::stops   ? "stops"
                               : each.how == weight::harms ? "harms"
                                                           : "note"},
                    {"node", each.node},
                    {"what", each.what},
                    {"advice", each.advice}});
  return {{"verdict", x.verdict}, {"healthy", x.healthy}, {"findings", std::move(list)}};
}

} // namespace

bool explain_why(shell_session& session, const words& args) {
  if (args.size() > 1) return fail("usage: why [OPERATION-ID]");
  if (args.size() == 1) return explain_operation(session, args[0]);
  const auto before = gather(session);
  // Two looks, so that a mesh that moves is told from one that stands; the second is the newer.
  const auto again = session.client.ask_all(session.everyone, topic::tree, {}, patience);
  auto facts = before;
  for (std::size_t i = 0; i < again.size(); ++i)
    if (again[i]) facts[i].tree = *again[i];
  const bool moved = highest(facts) > highest(before);
  const auto compared = compare_tables(session, before);
  auto found = diagnose(facts, moved, compared.differences);
  for (const auto& each : compared.unfinished)
    found.findings.push_back({weight::note, "", each, ""});
  if (session.json)
    print_json(as_json(found));
  else
    print(found);
  return true;
}

bool write_dump(shell_session& session, const words& args) {
  if (args.size() != 1) return fail("usage: dump FILE");
  json::object all;
  for (const auto about : {topic::tree, topic::consensus, topic::mempool, topic::ledger,
                           topic::links, topic::contracts, topic::evidence, topic::config}) {
    const auto answers = session.client.ask_all(session.everyone, about);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      auto& node = all[session.name_of(session.everyone[i])];
      if (!node.is_object()) node = json::object{};
      node.as_object()[to_string(about)] =
          answers[i] ? to_json(value(*answers[i]))
                     : json::value{{"error", answers[i].error().context}};
    }
  }
  const std::pair<topic, const char*> of_actors[] = {
      {topic::actor, "actor "}, {topic::state, "state "}, {topic::mailbox, "mailbox "}};
  for (const auto& actor : session.actors)
    for (const auto& [about, title] : of_actors) {
      value_map arguments;
      put(arguments, "actor", actor);
      const auto answers = session.client.ask_all(session.everyone, about, arguments);
      for (std::size_t i = 0; i < answers.size(); ++i)
        if (answers[i])
          all[session.name_of(session.everyone[i])].as_object()[title + actor] =
              to_json(value(*answers[i]));
    }
  value_map lines;
  put(lines, "lines", value(std::int64_t{200}));
  const auto logs = session.client.ask_all(session.everyone, topic::logs, lines);
  for (std::size_t i = 0; i < logs.size(); ++i)
    if (logs[i])
      all[session.name_of(session.everyone[i])].as_object()["logs"] = to_json(value(*logs[i]));
  std::ofstream out(args[0], std::ios::trunc);
  out << json::serialize(all) << '\n';
  if (!out.flush()) return fail("cannot write " + args[0]);
  if (session.json)
    print_json(json::value{{"file", args[0]}});
  else
    std::cout << "wrote all of it to " << printable(args[0])
              << " (JSON, an object a node); it holds no keys, tokens or rows\n";
  return true;
}

} // namespace tallymesh::tally
