// `why` and `dump`: what is asked of all nodes, and what this machine knows of their processes.
#include "tools/tally/processes.hpp"
#include "tools/tally/shell/session.hpp"
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

bytes raw_at(const value_map& from, std::string_view key) {
  const auto* found = find(from, key);
  const auto* raw = found == nullptr ? nullptr : found->as<bytes>();
  return raw == nullptr ? bytes{} : *raw;
}

/// A key's bytes for a person: its text if it reads as one.
std::string key_text(const bytes& key) {
  std::string text;
  bool readable = true;
  for (const auto byte : key) {
    if (byte >= 0x20 && byte < 0x7f)
      text.push_back(static_cast<char>(byte));
    else if (byte != 0 && byte != 1)
      readable = false;
  }
  return readable && !text.empty() ? "\"" + text + "\"" : "0x" + to_hex(key);
}

/// The odd one out of what each node says; empty if there is no majority.
std::string odd_one(const std::vector<std::pair<std::string, std::string>>& says) {
  std::map<std::string, std::size_t> counts;
  for (const auto& [node, what] : says)
    ++counts[what];
  std::string odd;
  std::size_t odd_nodes = 0;
  for (const auto& [node, what] : says)
    if (counts[what] * 2 < says.size()) {
      odd = node;
      ++odd_nodes;
    }
  return odd_nodes == 1 ? odd : "";
}

table_difference first_difference(const shell_session& session,
                                  const std::vector<node_index>& nodes,
                                  const std::string& table,
                                  const std::vector<result<value_map>>& pages) {
  std::map<bytes, std::map<node_index, std::string>> by_key;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const auto* row : maps_at(*pages[i], "rows"))
      by_key[raw_at(*row, "key")][nodes[i]] = to_hex(raw_at(*row, "digest")).substr(0, 8);
  table_difference out;
  out.table = table;
  for (const auto& [key, held] : by_key) {
    std::set<std::string> values;
    out.holds.clear();
    for (const auto node : nodes) {
      const auto at = held.find(node);
      const auto what = at == held.end() ? "has none" : at->second;
      values.insert(what);
      out.holds.emplace_back(session.name_of(node), what);
    }
    if (values.size() < 2) continue;
    out.key = key_text(key);
    out.odd = odd_one(out.holds);
    return out;
  }
  return out;
}

bool all_good(const std::vector<result<value_map>>& x) {
  return std::all_of(x.begin(), x.end(), [](const auto& each) { return each.has_value(); });
}

/// Compares a table page by page; stops at the first page that differs. Nothing if it is the
/// same everywhere, or a node went away.
std::optional<table_difference> compare_table(shell_session& session,
                                              const std::vector<node_index>& nodes,
                                              const std::string& table) {
  constexpr std::size_t most_pages = 2000; // two million rows
  constexpr std::int64_t page_rows = 1000;
  bytes after;
  for (std::size_t page = 0; page < most_pages; ++page) {
    value_map arguments;
    put(arguments, "table", table);
    put(arguments, "after", after);
    put(arguments, "limit", value(page_rows));
    auto pages = session.client.ask_all(nodes, topic::rows, arguments);
    if (!all_good(pages)) return std::nullopt;
    const auto digest = raw_at(*pages[0], "digest");
    const bool same = std::all_of(pages.begin(), pages.end(), [&](const auto& each) {
      return raw_at(*each, "digest") == digest;
    });
    if (!same) {
      put(arguments, "rows", true);
      pages = session.client.ask_all(nodes, topic::rows, arguments);
      if (!all_good(pages)) return std::nullopt;
      auto found = first_difference(session, nodes, table, pages);
      return found.key.empty() ? std::nullopt : std::optional(std::move(found));
    }
    after = raw_at(*pages[0], "last");
    if (number_at(*pages[0], "count") < page_rows) return std::nullopt;
  }
  return std::nullopt;
}

std::vector<table_difference> compare_tables(shell_session& session,
                                             const std::vector<node_facts>& facts) {
  // Only nodes at one height can be compared; a halted one stays behind for good.
  std::map<std::int64_t, std::vector<node_index>> at_height;
  for (std::size_t i = 0; i < facts.size(); ++i)
    if (facts[i].reachable && !facts[i].ledger.empty())
      at_height[number_at(facts[i].ledger, "height")].push_back(session.everyone[i]);
  std::vector<node_index> nodes;
  std::size_t first = 0;
  for (const auto& [height, some] : at_height)
    if (some.size() > nodes.size()) nodes = some;
  for (std::size_t i = 0; i < facts.size(); ++i)
    if (!nodes.empty() && session.everyone[i] == nodes[0]) first = i;
  std::vector<table_difference> out;
  if (nodes.size() < 2) return out;
  for (const auto* each : maps_at(facts[first].ledger, "tables"))
    if (auto found = compare_table(session, nodes, text_at(*each, "table")))
      out.push_back(std::move(*found));
  return out;
}

bool explain_operation(shell_session& session, const std::string& id) {
  value_map arguments;
  put(arguments, "id", id);
  const auto answers = session.client.ask_all(session.everyone, topic::operation, arguments);
  std::vector<std::vector<cell>> lines;
  json::object all;
  std::size_t executed = 0, known = 0, asked = 0;
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
  const auto found = diagnose(facts, moved, compare_tables(session, before));
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
  for (const auto& actor : session.actors) {
    value_map arguments;
    put(arguments, "actor", actor);
    const auto answers = session.client.ask_all(session.everyone, topic::actor, arguments);
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (answers[i])
        all[session.name_of(session.everyone[i])].as_object()["actor " + actor] =
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
