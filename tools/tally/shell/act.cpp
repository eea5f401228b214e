// The commands that change something; the node asks for the role control and logs who did it.
#include "tools/tally/shell/session.hpp"

#include <iostream>

namespace tallymesh::tally {

using namespace introspection;

bool act_on_actor(shell_session& session, topic about, const words& given) {
  auto args = given;
  const auto limit_ms = duration_ms(take_option(args, "--for").value_or("10s"));
  const bool pauses = about == topic::pause;
  if (args.size() != 1 || !limit_ms)
    return fail("usage: " + std::string(to_string(about)) + " ACTOR"
                + (pauses ? " [--for 10s]" : ""));
  value_map arguments;
  put(arguments, "actor", args[0]);
  if (pauses) put(arguments, "for_ms", value(*limit_ms));
  return ask_chosen(session, about, arguments, [&](node_index node, const value_map& x) {
    std::cout << session.name_of(node) << ": " << printable(args[0]);
    if (pauses)
      std::cout << " is paused for " << duration_text(milliseconds(number_at(x, "for_ms")))
                << "; `resume " << printable(args[0]) << "` ends it earlier\n";
    else if (about == topic::resume)
      std::cout << " goes on\n";
    else
      std::cout << " ends and is started again"
                << (text_at(x, "family") == "core actors" ? " with all core actors" : "")
                << '\n';
  });
}

bool act_log(shell_session& session, const words& args) {
  if (args.empty() || args.size() > 2)
    return fail("usage: log trace|debug|info|warning|error|critical [ACTOR]");
  value_map arguments;
  put(arguments, "level", args[0]);
  if (args.size() == 2) put(arguments, "actor", args[1]);
  return ask_chosen(session, topic::log_level, arguments,
                    [&](node_index node, const value_map&) {
                      std::cout << session.name_of(node) << ": "
                                << (args.size() == 2 ? printable(args[1]) : "all") << " logs "
                                << printable(args[0]) << " and above\n";
                    });
}

bool act_fault(shell_session& session, const words& given) {
  auto args = given;
  const auto limit_ms = duration_ms(take_option(args, "--for").value_or("10s"));
  if (args.size() != 2 || (args[0] != "cut" && args[0] != "heal") || !limit_ms)
    return fail("usage: fault cut PEER [--for 10s], or fault heal PEER");
  const bool cuts = args[0] == "cut";
  value_map arguments;
  put(arguments, "what", args[0]);
  put(arguments, "peer", args[1]);
  put(arguments, "for_ms", value(*limit_ms));
  return ask_chosen(session, topic::fault, arguments, [&](node_index node, const value_map& x) {
    std::cout << session.name_of(node) << ": the link to " << printable(args[1]);
    if (cuts)
      std::cout << " is cut for " << duration_text(milliseconds(number_at(x, "for_ms")))
                << '\n';
    else
      std::cout << " may come up again\n";
  });
}

} // namespace tallymesh::tally
