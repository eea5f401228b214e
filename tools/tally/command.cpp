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

/// What follows the options: the rest of the description, and the examples.
std::string footer(const std::string& more, const std::vector<std::string>& examples) {
  auto text = more;
  if (!text.empty() && !examples.empty()) text += "\n\n";
  if (!examples.empty()) text += "Examples:";
  for (const auto& each : examples)
    text += "\n  " + each;
  return text;
}

std::string with_default(const std::string& kind, const std::string& value) {
  return value.empty() ? kind : kind + " (default " + value + ")";
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
  const auto end = std::min(description.find('\n'), description.size());
  child->app = state_->app->add_subcommand(name, description.substr(0, end));
  child->app->footer(
      footer(description.substr(std::min(end + 1, description.size())), examples));
  child->app->fallthrough(false);
  state_->children.push_back(std::unique_ptr<command>(new command(std::move(child))));
  return *state_->children.back();
}

void command::argument(std::string name, std::string& out, std::string help) {
  state_->app->add_option(name, out, help)->required()->option_text(" ");
}

void command::optional_argument(std::string name, std::string& out, std::string help) {
  state_->app->add_option(name, out, help)->option_text(" ");
}

void command::arguments(std::string name, std::vector<std::string>& out, std::string help) {
  state_->app->add_option(name, out, help)->required()->option_text("...");
}

void command::optional_arguments(std::string name, std::vector<std::string>& out,
                                 std::string help) {
  state_->app->add_option(name, out, help)->option_text("...");
}

void command::option(std::string name, std::string& out, std::string help,
                     std::string environment) {
  auto* added =
      state_->app->add_option(name, out, help)->option_text(with_default("TEXT", out));
  if (environment.empty()) return;
  added->envname(environment)
      ->option_text(with_default("TEXT", out) + " (or " + environment + ")");
}

void command::required_option(std::string name, std::string& out, std::string help) {
  state_->app->add_option(name, out, help)->required()->option_text("TEXT (required)");
}

void command::option(std::string name, std::vector<std::string>& out, std::string help) {
  // One value an occurrence, so that what follows is not swallowed.
  state_->app->add_option(name, out, help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->option_text("TEXT ...");
}

void command::option(std::string name, std::uint64_t& out, std::string help,
                     std::uint64_t least, std::uint64_t most) {
  state_->app->add_option(name, out, help)
      ->check(CLI::Range(least, most))
      ->option_text(with_default("N", std::to_string(out)));
}

void command::flag(std::string name, bool& out, std::string help) {
  state_->app->add_flag(name, out, help);
}

void command::on_run(action what) {
  state_->app->add_option("-o,--output", state_->output, "How to print: table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->option_text(with_default("TEXT", state_->output));
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

exit_code report_absence(const error& failure) {
  report(failure);
  return failure.code == errc::not_found ? exit_code::differs : exit_code::failed;
}

} // namespace tallymesh::tally
