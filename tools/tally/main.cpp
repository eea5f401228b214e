// tally: all that a person types.
#include "messages/keys.hpp"
#include "tools/tally/mesh.hpp"

#include <csignal>
#include <exception>
#include <iostream>

namespace tallymesh::tally {

void add_version(command& program) {
  auto& version =
      program.add("version", "Print the version.", {"tally version", "tally version -o json"});
  version.on_run([](const invocation& told) {
    if (told.json())
      print_json(json::value{{"program", "tally"}, {"version", TALLYMESH_VERSION}});
    else
      std::cout << "tally " << TALLYMESH_VERSION << '\n';
    return exit_code::ok;
  });
}

} // namespace tallymesh::tally

int main(int argc, char** argv) {
  using namespace tallymesh;
  // A closed pipe (`tally list ... | head`) or connection is an error to see, not a signal to
  // die of.
  std::signal(SIGPIPE, SIG_IGN);
  initialise_crypto();
  try {
    tally::command program("tally", "Makes, runs, fills and questions a Tallymesh mesh.",
                           "tally " TALLYMESH_VERSION);
    tally::add_init(program);
    tally::add_processes(program);
    tally::add_status(program);
    tally::add_store(program);
    tally::add_erase(program);
    tally::add_call(program);
    tally::add_query(program);
    tally::add_explain_access(program);
    tally::add_settle(program);
    tally::add_deliveries(program);
    tally::add_take(program);
    tally::add_bench(program);
    tally::add_contract(program);
    tally::add_simulate(program);
    tally::add_faults(program);
    tally::add_shell(program);
    tally::add_version(program);
    return program.run(argc, argv);
  } catch (const std::exception& failure) {
    return static_cast<int>(tally::report(make_error(errc::unavailable, failure.what())));
  }
}
