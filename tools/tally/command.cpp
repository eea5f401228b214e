#include "tools/tally/command.hpp"

#include "tools/tally/output.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

namespace tallymesh::tally {

struct command::state {
  std::unique_ptr<CLI::App> owned; ///< of the program only
  CLI::App* app = nullptr;
  std::vector<std::unique_ptr<command>> children;
  action what;
  std::string output = "table";
};

namespace {

std::string footer(const std::vector<std::string>& examples) {
  if (examples.empty()) return "";
  std::string text = "Examples:";
  for (const auto& each : examples)
    text += "\n  " + each;
  return text;
}

} // namespace

command::command(std::unique_ptr<state> made) : state_(std::move(made)) {}

command::command(std::string name, std::string description, std::string version)
    : state_(std::make_unique<state>()) {
  state_->owned = std::make_unique<CLI::App>(description, name);
  state_->app = state_->owned.get();
  state_->app->set_version_flag("--version", version, "Print the version and leave");
  state_->app->set_help_flag("-h,--help", "Print this help and leave");
  state_->app->require_subcommand(1);
  state_->app->footer("`" + name + " COMMAND --help` says more about each, with examples.");
}

command::~command() = default;

command& command::add(std::string name, std::string description,
                      std::vector<std::string> examples) {
  auto child = std::make_unique<state>();
  child->app = state_->app->add_subcommand(name, description);
  child->app->footer(footer(examples));
  child->app->fallthrough(false);
  state_->children.push_back(std::unique_ptr<command>(new command(std::move(child))));
  return *state_->children.back();
}

void command::argument(std::string name, std::string& out, std::string help) {
  state_->app->add_option(name, out, help)->required();
}

void command::optional_argument(std::string name, std::string& out, std::string help) {
  state_->app->add_option(name, out, help);
}

void command::arguments(std::string name, std::vector<std::string>& out, std::string help) {
  state_->app->add_option(name, out, help)->required();
}

void command::option(std::string name, std::string& out, std::string help,
                     std::string environment) {
  const bool has_default = !out.empty();
  auto* added = state_->app->add_option(name, out, help);
  if (has_default) added->capture_default_str();
  if (!environment.empty()) added->envname(environment);
}

void command::option(std::string name, std::vector<std::string>& out, std::string help) {
  // One value an occurrence, so that what follows is not swallowed.
  state_->app->add_option(name, out, help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void command::option(std::string name, std::uint64_t& out, std::string help,
                     std::uint64_t least, std::uint64_t most) {
  state_->app->add_option(name, out, help)
      ->capture_default_str()
      ->check(CLI::Range(least, most));
}

void command::flag(std::string name, bool& out, std::string help) {
  state_->app->add_flag(name, out, help);
}

void command::on_run(action what) {
  state_->app->add_option("-o,--output", state_->output, "How to print: table or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"table", "json"}));
  state_->what = std::move(what);
}

int command::run(int argc, const char* const* argv) {
  try {
    state_->app->parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    const int code = state_->app->exit(failure, std::cout, std::cerr);
    return code == 0 ? 0 : static_cast<int>(exit_code::usage);
  }
  const command* at = this;
  while (!at->state_->what) {
    const command* chosen = nullptr;
    for (const auto& each : at->state_->children)
      if (each->state_->app->parsed()) chosen = each.get();
    if (chosen == nullptr) {
      // A group such as `bench` without its command.
      std::cerr << at->state_->app->help();
      return static_cast<int>(exit_code::usage);
    }
    at = chosen;
  }
  invocation told;
  if (at->state_->output == "json") told.output = output_format::json;
  return static_cast<int>(at->state_->what(told));
}

exit_code report(const error& failure) {
  std::cerr << "tally: error: " << printable(failure.context) << '\n';
  return exit_code::failed;
}

} // namespace tallymesh::tally
