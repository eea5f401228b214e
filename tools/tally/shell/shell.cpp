// `tally shell`: attaches to the introspectors of a mesh's nodes with an operator's key.
#include "tools/tally/shell/editor.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <unistd.h>

namespace tallymesh::tally {

namespace {

namespace fs = std::filesystem;

struct shell_options {
  std::string node, mesh = "./mesh", key, commands;
  bool all = false;
  std::uint64_t wait_s = 3;
};

constexpr const char* key_name = "operator.key";

/// The directory of the mesh, or the genesis file itself.
result<configs::genesis> genesis_of(const shell_options& options) {
  std::error_code failed;
  const fs::path where = options.mesh;
  if (fs::is_regular_file(where, failed)) return configs::load_genesis(where);
  auto mesh = configs::load_genesis(where / "genesis.toml");
  if (!mesh && mesh.error().code == errc::not_found)
    return make_error(errc::not_found, "there is no mesh in " + where.string()
                                           + " (no genesis.toml): name it by --mesh or "
                                             "TALLYMESH_MESH");
  return mesh;
}

result<signing_key> key_of(const shell_options& options) {
  const auto file =
      options.key.empty() ? fs::path(options.mesh) / key_name : fs::path(options.key);
  auto key = signing_key::load(file);
  if (!key && key.error().code == errc::not_found)
    return make_error(errc::not_found,
                      "there is no operator's key " + file.string()
                          + ": give one by --key; `tally operator FILE` makes one, and a node "
                            "admits it by [[operator]] in its node.toml");
  return key;
}

result<std::vector<node_index>> chosen_of(const shell_options& options,
                                          const configs::genesis& mesh) {
  std::vector<node_index> out;
  std::string names;
  for (node_index i = 0; i < mesh.nodes.size(); ++i) {
    (names += names.empty() ? "" : ", ") += mesh.nodes[i].name;
    if (options.all || options.node == mesh.nodes[i].name) out.push_back(i);
  }
  if (!out.empty()) return out;
  if (options.node.empty()) return std::vector<node_index>{0};
  return make_error(errc::not_found, "there is no node " + configs::in_quotes(options.node)
                                         + " in this mesh; there is: " + names);
}

fs::path history_file() {
  if (const auto* chosen = std::getenv("TALLYMESH_HISTORY")) return chosen;
  const auto* home = std::getenv("HOME");
  return home == nullptr ? fs::path{} : fs::path(home) / ".tally_history";
}

void greet(shell_session& session) {
  const auto& client = session.client;
  std::size_t up = 0;
  for (const auto each : session.everyone)
    up += client.is_up(each);
  std::cout << "Attached to " << up << " of " << session.everyone.size() << " nodes of mesh "
            << session.mesh.mesh
            << ". `why` diagnoses, `help` lists the commands, TAB completes, "
            << "Ctrl-D leaves.\n";
  for (const auto each : session.everyone)
    if (!client.is_up(each))
      std::cout << painted(colour::yellow, "* " + session.name_of(each) + ": "
                                               + printable(client.trouble(each))
                                               + "; trying again")
                << '\n';
}

std::string prompt_of(const shell_session& session) {
  if (session.chosen.size() != 1) return session.mesh.mesh + " (all)> ";
  const auto node = session.chosen[0];
  return session.name_of(node) + (session.client.is_up(node) ? "> " : " (lost)> ");
}

exit_code converse(shell_session& session) {
  greet(session);
  line_editor editor(session, history_file());
  for (;;) {
    for (const auto& each : session.client.take_notices())
      std::cout << painted(colour::yellow, "* " + printable(each)) << '\n';
    std::cout << std::flush;
    const auto line = editor.read(prompt_of(session));
    if (!line || is_quit(*line)) break;
    run_line(session, *line);
  }
  return exit_code::ok;
}

/// A script from standard input: ends at the first command that fails.
exit_code run_script(shell_session& session) {
  for (std::string line; std::getline(std::cin, line) && !is_quit(line);)
    if (!run_line(session, line)) return exit_code::failed;
  return exit_code::ok;
}

exit_code run_shell(const shell_options& options, const invocation& told) {
  const auto mesh = genesis_of(options);
  if (!mesh) return report(mesh.error());
  const auto key = key_of(options);
  if (!key) return report(key.error());
  auto chosen = chosen_of(options, *mesh);
  if (!chosen) return report(chosen.error());
  std::vector<node_index> everyone;
  for (node_index i = 0; i < mesh->nodes.size(); ++i)
    everyone.push_back(i);
  mesh_client client(*mesh, *key, everyone);
  shell_session session{*mesh, client, {}, everyone, std::move(*chosen)};
  std::error_code failed;
  if (fs::is_directory(options.mesh, failed)) session.directory = options.mesh;
  session.json = told.json();
  session.terminal = ::isatty(STDOUT_FILENO) == 1;
  // `why` and `mesh` want all of them; what does not answer within this time is reported so.
  client.wait_for(everyone, std::chrono::seconds(options.wait_s));
  if (!options.commands.empty())
    return run_line(session, options.commands) ? exit_code::ok : exit_code::failed;
  if (::isatty(STDIN_FILENO) == 1 && session.terminal) return converse(session);
  return run_script(session);
}

struct operator_options {
  std::string file, name = "operator", role = "read";
};

exit_code run_operator(const operator_options& options, const invocation& told) {
  if (!configs::is_name(options.name) || (options.role != "read" && options.role != "control"))
    return report(make_error(errc::bad_config,
                             "expected --name of a-z, 0-9 and -, and --role read or control"));
  const auto key = signing_key::generate();
  if (const auto saved = key.save(options.file); !saved) return report(saved.error());
  const auto text = key.public_part().hex();
  if (told.json()) {
    print_json(json::value{{"file", options.file}, {"key", text}});
    return exit_code::ok;
  }
  std::cout << "The key is in " << options.file
            << " (mode 0600). A node admits it by these lines in its node.toml, after a HUP "
               "(kill -HUP) or its next start:\n\n[[operator]]\nname = \""
            << options.name << "\"\nkey = \"" << text << "\"\nrole = \"" << options.role
            << "\"\n";
  return exit_code::ok;
}

} // namespace

void add_shell(command& program) {
  const auto options = std::make_shared<shell_options>();
  auto& shell = program.add(
      "shell",
      "Look inside any node's actors, from anywhere.\n"
      "Attaches to the nodes' introspectors over the mesh's TLS links with an operator's key\n"
      "(default: operator.key in the mesh's directory). Without -c it reads commands from the\n"
      "terminal, or a script from standard input. `help` inside lists the commands; start with "
      "`why`.",
      {"tally shell hq", "tally shell --all -c 'why'",
       "tally shell hq -c 'tree; ps --sort mailbox'", "tally shell hq -o json -c consensus",
       "tally shell coop --mesh genesis.toml --key my.key"});
  shell.optional_argument("NODE", options->node, "Node to look at (default: the first)");
  shell.flag("--all", options->all, "Look at every node");
  shell.option("--mesh", options->mesh, "Directory that `tally init` made, or a genesis.toml",
               "TALLYMESH_MESH");
  shell.option("--key", options->key, "The operator's key file");
  shell.option("-c,--command", options->commands, "Commands to run, separated by `;`");
  shell.option("--wait", options->wait_s, "Seconds to wait for nodes to answer", 0, 60);
  shell.on_run([options](const invocation& told) { return run_shell(*options, told); });

  const auto made = std::make_shared<operator_options>();
  auto& maker = program.add("operator",
                            "Make an operator's key for `tally shell`.\n"
                            "Prints the lines with which a node's config admits it.",
                            {"tally operator alice.key --name alice --role read"});
  maker.argument("FILE", made->file, "Key file to make; never overwrites");
  maker.option("--name", made->name, "The operator's name");
  maker.option("--role", made->role, "read or control");
  maker.on_run([made](const invocation& told) { return run_operator(*made, told); });
}

} // namespace tallymesh::tally
