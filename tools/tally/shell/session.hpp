// One run of the shell: to whom it talks, how it prints, and its commands. A command is a line
// of the table in commands.cpp; show.cpp, live.cpp, explain.cpp and act.cpp hold what they do.
// Main thread only.
#pragma once

#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"
#include "tools/tally/shell/client.hpp"
#include "tools/tally/shell/screen.hpp"

#include <map>
#include <set>

namespace tallymesh::tally {

// Beside those of the same names that read JSON.
using introspection::flag_at;
using introspection::list_at;
using introspection::map_at;
using introspection::maps_at;
using introspection::number_at;
using introspection::text_at;

struct shell_session {
  const configs::genesis& mesh;
  mesh_client& client;
  std::filesystem::path directory;  ///< of the mesh, if it is on this machine
  std::vector<node_index> everyone; ///< whose links are made
  std::vector<node_index> chosen;   ///< whom commands ask: one, or all
  bool json = false;
  bool terminal = false; ///< standard output is one
  std::set<std::string>
      actors = {"node",          "consensus",   "mempool", "contract_executor",
                "ledger_writer", "switchboard", "gateway", "peer_links",
                "steward",       "introspector"}; ///< for completion; grows by what is seen

  /// A node may call its actors anything, and any number of them.
  void remember_actor(const std::string& name) {
    if (actors.size() < 64 && configs::is_name(name, true)) actors.insert(name);
  }
  const std::string& name_of(node_index x) const { return mesh.nodes[x].name; }
  std::string name_of(std::int64_t x) const {
    return x >= 0 && static_cast<std::size_t>(x) < mesh.nodes.size()
               ? mesh.nodes[static_cast<std::size_t>(x)].name
               : "#" + std::to_string(x);
  }
};

using words = std::vector<std::string>;

struct shell_command {
  std::string name, arguments, summary;
  std::vector<std::string> examples;
  std::function<bool(shell_session&, const words&)> run; ///< false: it failed, and said why
};
const std::vector<shell_command>& shell_commands();
const shell_command* find_command(std::string_view name);

bool is_quit(std::string_view line);
/// Runs one line: commands separated by `;`, up to `quit`. False if one failed or there is no
/// such command.
bool run_line(shell_session& session, std::string_view line);
/// For completion: what may stand where `text` begins, given the words before it.
std::vector<std::string> candidates(const shell_session& session, const words& before,
                                    std::string_view text);

/// The words of one command; "a b" is one word.
words split_words(std::string_view line);
/// Takes `--name VALUE` out of the words; nothing if it is not there.
std::optional<std::string> take_option(words& from, std::string_view name);
bool take_flag(words& from, std::string_view name);
/// "10s", "500ms", "2min".
std::optional<std::int64_t> duration_ms(std::string_view text);

bool fail(const std::string& line);
json::value to_json(const value& x);

// What the commands do: one group a file.
bool show_tree(shell_session&, const words&);
bool show_ps(shell_session&, const words&);
bool show_actor(shell_session&, const words&);
bool show_state(shell_session&, const words&);
bool show_mailbox(shell_session&, const words&);
bool show_links(shell_session&, const words&);
bool show_mesh(shell_session&, const words&);
bool show_consensus(shell_session&, const words&);
bool show_mempool(shell_session&, const words&);
bool show_ledger(shell_session&, const words&);
bool show_contracts(shell_session&, const words&);
bool show_evidence(shell_session&, const words&);
bool show_config(shell_session&, const words&);

bool live_top(shell_session&, const words&);
bool live_logs(shell_session&, const words&);
bool live_trace(shell_session&, const words&);
bool live_watch(shell_session&, const words&);

bool explain_why(shell_session&, const words&);
bool write_dump(shell_session&, const words&);

bool act_on_actor(shell_session&, introspection::topic, const words&);
bool act_log(shell_session&, const words&);
bool act_fault(shell_session&, const words&);

/// Asks each chosen node and prints every answer by `print`, under its name if there are
/// several; as JSON, an object by node. False if one did not answer.
bool ask_chosen(shell_session& session, introspection::topic about, const value_map& arguments,
                const std::function<void(node_index, const value_map&)>& print);
/// The names of the actors as this tree lists them, for completion; and one line an actor.
void print_actors(std::ostream& out, shell_session& session, const value_map& tree,
                  const std::string& sort, const value_map* before, double seconds);
bool is_sort_key(std::string_view text);

} // namespace tallymesh::tally
