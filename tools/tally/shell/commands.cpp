// The table of commands, and how a line becomes one of them.
#include "tools/tally/shell/session.hpp"

#include <algorithm>
#include <charconv>
#include <iostream>

namespace tallymesh::tally {

using introspection::topic;

namespace {

bool show_help(shell_session& session, const words& args) {
  if (!args.empty()) {
    const auto* found = find_command(args[0]);
    if (found == nullptr) return fail("there is no command " + args[0] + "; `help` lists them");
    std::cout << painted(colour::bold, found->name) << ' ' << found->arguments << "\n  "
              << found->summary << '\n';
    for (const auto& each : found->examples)
      std::cout << "  > " << each << '\n';
    return true;
  }
  std::vector<std::vector<cell>> lines;
  for (const auto& each : shell_commands())
    lines.push_back(
        {{each.name + (each.arguments.empty() ? "" : " " + each.arguments)}, each.summary});
  print_fitting(std::cout, {{"command"}, {"what it does"}}, lines);
  std::cout << "\n`help COMMAND` shows examples. TAB completes commands, actors and nodes; `;` "
               "separates commands.\nStart with `why`.";
  if (session.chosen.size() == 1)
    std::cout << " You look at " << session.name_of(session.chosen[0])
              << "; `use all` asks every node.";
  std::cout << '\n';
  return true;
}

bool use_node(shell_session& session, const words& args) {
  if (args.size() != 1) return fail("usage: use NODE|all");
  if (args[0] == "all") {
    session.chosen = session.everyone;
    return true;
  }
  for (const auto each : session.everyone)
    if (session.name_of(each) == args[0]) {
      session.chosen = {each};
      return true;
    }
  return fail("there is no node " + args[0]);
}

std::function<bool(shell_session&, const words&)> acts(topic about) {
  return [about](shell_session& session, const words& args) {
    return act_on_actor(session, about, args);
  };
}

std::vector<shell_command> make_commands() {
  return {
      {"why",
       "[OPERATION-ID]",
       "what holds back the mesh, and why; or why an operation waits",
       {"why", "why 0123456789abcdef0123456789abcdef"},
       explain_why},
      {"mesh", "", "the links between all nodes, and everyone's height", {"mesh"}, show_mesh},
      {"tree", "", "the supervision tree: state, restarts, last exit", {"tree"}, show_tree},
      {"ps",
       "[--sort mailbox|time|rate|restarts|name]",
       "a line an actor",
       {"ps --sort mailbox"},
       show_ps},
      {"top",
       "[--sort KEY]",
       "the same, live; q ends it",
       {"top", "top --sort rate"},
       live_top},
      {"info",
       "ACTOR",
       "counters, and a latency histogram for each kind of message",
       {"info consensus"},
       show_actor},
      {"state",
       "ACTOR",
       "what an actor holds",
       {"state mempool", "state introspector"},
       show_state},
      {"mailbox",
       "ACTOR",
       "what waits there, since when, and of which kinds",
       {"mailbox consensus"},
       show_mailbox},
      {"links",
       "",
       "a line a peer: round trip, bytes, queue, dropped frames, key",
       {"links"},
       show_links},
      {"consensus",
       "",
       "view, leader, votes, certificates, and what it waits for",
       {"consensus"},
       show_consensus},
      {"mempool", "", "what waits, and the lane of each node", {"mempool"}, show_mempool},
      {"ledger",
       "",
       "head, tables, size of the stores, room on the disk",
       {"ledger"},
       show_ledger},
      {"contracts", "", "the active contracts and their tables", {"contracts"}, show_contracts},
      {"evidence", "", "nodes that contradicted themselves", {"evidence"}, show_evidence},
      {"config",
       "[PREFIX]",
       "every value in force, and where it comes from",
       {"config", "config link."},
       show_config},
      {"logs",
       "[LINES] [--follow] [--level L] [--for 30s]",
       "the node's last log lines",
       {"logs 50", "logs --follow --level warning"},
       live_logs},
      {"trace",
       "ACTOR [--max 100] [--for 10s]",
       "messages in and out of one actor, with times",
       {"trace consensus --max 20 --for 2s"},
       live_trace},
      {"watch",
       "TOPIC.FIELD [--for 10s]",
       "print a value each time it changes",
       {"watch ledger.height", "watch consensus.view", "watch mempool.queued_operations"},
       live_watch},
      {"dump",
       "FILE",
       "write all of it, of all nodes, to a file for a report",
       {"dump report.json"},
       write_dump},
      {"log",
       "LEVEL [ACTOR]",
       "change the log level, of one actor or of all (control)",
       {"log debug consensus", "log info"},
       act_log},
      {"kill",
       "ACTOR",
       "end an actor at once; its supervisor starts it again (control)",
       {"kill mempool"},
       acts(topic::kill)},
      {"restart",
       "ACTOR",
       "the same, but it may finish first (control)",
       {"restart gateway"},
       acts(topic::restart)},
      {"pause",
       "ACTOR [--for 10s]",
       "an actor handles nothing for a while (control)",
       {"pause consensus --for 5s"},
       acts(topic::pause)},
      {"resume", "ACTOR", "ends a pause (control)", {"resume consensus"}, acts(topic::resume)},
      {"fault",
       "cut|heal PEER [--for 10s]",
       "take a link down for a while, or let it come up again (control)",
       {"fault cut coop --for 5s", "fault heal coop"},
       act_fault},
      {"use",
       "NODE|all",
       "look at another node, or at all of them",
       {"use coop", "use all"},
       use_node},
      {"help",
       "[COMMAND]",
       "this list, or one command with examples",
       {"help trace"},
       show_help},
      {"quit", "", "leave; so does Ctrl-D", {"quit"}, {}},
  };
}

bool run_command(shell_session& session, words given) {
  if (given.empty()) return true;
  const auto* found = find_command(given[0]);
  if (found == nullptr || !found->run) {
    if (found != nullptr) return true; // quit, which the loop looks for
    std::string near;
    for (const auto& each : shell_commands())
      if (each.name.starts_with(given[0])) near = each.name;
    return fail("there is no command " + given[0]
                + (near.empty() ? "; `help` lists them" : "; did you mean `" + near + "`?"));
  }
  given.erase(given.begin());
  return found->run(session, given);
}

} // namespace

const std::vector<shell_command>& shell_commands() {
  static const auto all = make_commands();
  return all;
}

bool is_quit(std::string_view line) {
  const auto said = split_words(line);
  return said.size() == 1 && (said[0] == "quit" || said[0] == "exit");
}

const shell_command* find_command(std::string_view name) {
  for (const auto& each : shell_commands())
    if (each.name == name) return &each;
  return nullptr;
}

bool run_line(shell_session& session, std::string_view line) {
  bool good = true;
  while (!line.empty()) {
    const auto one = line.substr(0, line.find(';'));
    line.remove_prefix(std::min(one.size() + 1, line.size()));
    if (is_quit(one)) break;
    good = run_command(session, split_words(one)) && good;
  }
  return good;
}

words split_words(std::string_view line) {
  words out;
  std::string word;
  bool inside = false, quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      inside = true;
    } else if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      if (inside) out.push_back(std::exchange(word, {}));
      inside = false;
    } else {
      word.push_back(c);
      inside = true;
    }
  }
  if (inside) out.push_back(word);
  if (!out.empty() && out[0].starts_with('#')) out.clear(); // a script's comment
  return out;
}

std::optional<std::string> take_option(words& from, std::string_view name) {
  const auto at = std::find(from.begin(), from.end(), name);
  if (at == from.end() || at + 1 == from.end()) return std::nullopt;
  auto value = *(at + 1);
  from.erase(at, at + 2);
  return value;
}

bool take_flag(words& from, std::string_view name) { return std::erase(from, name) > 0; }

std::optional<std::int64_t> duration_ms(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (failed != std::errc{} || count < 0 || count > 1'000'000) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit == "ms") return count;
  if (unit == "s") return count * 1000;
  if (unit == "min") return count * 60'000;
  return std::nullopt;
}

bool fail(const std::string& line) {
  std::cout << std::flush;
  std::cerr << "tally: " << printable(line) << '\n';
  return false;
}

json::value to_json(const value& x) {
  struct visitor {
    json::value operator()(std::monostate) const { return nullptr; }
    json::value operator()(bool each) const { return each; }
    json::value operator()(std::int64_t each) const { return each; }
    json::value operator()(const decimal& each) const { return json::string(each.to_text()); }
    json::value operator()(const std::string& each) const { return json::string(each); }
    json::value operator()(const bytes& each) const { return json::string(to_hex(each)); }
    json::value operator()(const value_list& list) const {
      json::array out;
      for (const auto& each : list)
        out.push_back(to_json(each));
      return out;
    }
    json::value operator()(const value_map& map) const {
      json::object out;
      for (const auto& [key, each] : map)
        out[key] = to_json(each);
      return out;
    }
  };
  return std::visit(visitor{}, x.data);
}

std::vector<std::string> candidates(const shell_session& session, const words& before,
                                    std::string_view text) {
  std::vector<std::string> out;
  const auto offer = [&](const std::string& each) {
    if (each.starts_with(text)) out.push_back(each);
  };
  const auto offer_nodes = [&] {
    for (const auto each : session.everyone)
      offer(session.name_of(each));
  };
  if (before.empty() || before[0] == "help") {
    for (const auto& each : shell_commands())
      offer(each.name);
    return out;
  }
  const auto* command = find_command(before[0]);
  if (command == nullptr) return out;
  if (command->arguments.starts_with("ACTOR") || (command->name == "log" && before.size() == 2))
    for (const auto& each : session.actors)
      offer(each);
  if (command->name == "log" && before.size() == 1)
    for (const auto* each : {"trace", "debug", "info", "warning", "error", "critical"})
      offer(each);
  if (before.back() == "--sort")
    for (const auto* each : {"mailbox", "time", "rate", "restarts", "name"})
      offer(each);
  if (command->name == "watch")
    for (const auto* each :
         {"consensus.view", "consensus.finalized_height", "consensus.waiting_for",
          "ledger.height", "mempool.queued_operations", "tree.height"})
      offer(each);
  if (command->name == "use") {
    offer_nodes();
    offer("all");
  }
  if (command->name == "fault")
    before.size() == 1 ? (offer("cut"), offer("heal")) : offer_nodes();
  for (const auto* each : {"--sort", "--follow", "--level", "--max", "--for"})
    if (text.starts_with("-") && command->arguments.find(each) != std::string::npos)
      offer(each);
  return out;
}

} // namespace tallymesh::tally
