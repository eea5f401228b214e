// `tally call`: one action of a contract, sent and waited for.
#include "tools/tally/operations.hpp"
#include "tools/tally/output.hpp"

#include <iostream>

namespace tallymesh::tally {

namespace {

struct action_call {
  place where;
  std::string contract, action, json;
  std::vector<std::string> parameters;
};

/// NAME=VALUE, each a text that the node reads by the parameter's type.
result<json::object> arguments_of(const action_call& options) {
  json::object made;
  if (!options.json.empty()) {
    json::error_code failed;
    json::parse_options strict;
    strict.max_depth = 16;
    const auto given = json::parse(options.json, failed, {}, strict);
    if (failed || !given.is_object())
      return make_error(errc::bad_config,
                        "--json is no JSON object: write --json '{\"order_id\": \"A17\"}'");
    made = given.get_object();
  }
  for (const auto& each : options.parameters) {
    const auto equals = each.find('=');
    if (equals == std::string::npos || equals == 0)
      return make_error(errc::bad_config, "'" + printable(each.substr(0, 60))
                                              + "' is no parameter: write NAME=VALUE");
    const auto name = each.substr(0, equals);
    if (made.contains(name))
      return make_error(errc::bad_config, printable(name) + " is given twice");
    made[name] = each.substr(equals + 1);
  }
  return made;
}

std::string effects_text(const json::value& receipt) {
  std::string text;
  const auto* effects = member(receipt, "effects");
  for (const auto* kind : {"stored", "deleted", "erased", "settled", "distributed"}) {
    const auto count = effects == nullptr ? 0 : number_at(*effects, kind);
    if (count > 0) text += ", " + grouped(count) + " " + kind;
  }
  return text;
}

void print(const json::value& receipt, bool done, const std::string& what) {
  if (!done) {
    std::cout << what << ": "
              << painted(colour::red, "refused: " + printable(reason_of(receipt))) << '\n';
    return;
  }
  std::cout << what << ": done at height " << number_at(receipt, "height")
            << effects_text(receipt) << ", gas " << grouped(number_at(receipt, "gas")) << '\n';
  for (const auto& each : list_at(receipt, "events"))
    std::cout << "  " << printable(text_at(each, "name")) << ' '
              << printable(json::serialize(*member(each, "what"))) << '\n';
}

exit_code run_call(const action_call& options, const invocation& told) {
  auto arguments = arguments_of(options);
  if (!arguments) return report(arguments.error());
  const auto where = find_gateway(options.where);
  if (!where) return report(where.error());
  http_client client(where->target);
  const auto receipt = perform(client, options.contract, options.action, std::move(*arguments));
  if (!receipt) {
    report(receipt.error());
    return receipt.error().code == errc::unavailable ? exit_code::failed : exit_code::differs;
  }
  const bool done = is_done(*receipt);
  if (told.json())
    print_json(*receipt);
  else
    print(*receipt, done, printable(options.contract + "." + options.action));
  return done ? exit_code::ok : exit_code::differs;
}

} // namespace

void add_call(command& program) {
  const auto options = std::make_shared<action_call>();
  auto& call = program.add(
      "call",
      "Call an action of a contract, and wait until it is final.\n"
      "Parameters are written NAME=VALUE; the node reads each value by the parameter's type. "
      "What the\n"
      "contract or the mesh refuses is told with its code (exit 1).",
      {"tally call orders start order_id=A-17 subject='200 SIM cards' province=37",
       "tally call settlement open_period period=2026-11 --node hq",
       "tally call orders distribute --json '{\"table\": \"orders\", \"key\": [\"A17\"], "
       "\"to\": "
       "{\"tier\": \"level3\"}}'"});
  call.argument("CONTRACT", options->contract, "The contract's name");
  call.argument("ACTION", options->action, "The action's name");
  call.optional_arguments("NAME=VALUE", options->parameters, "Parameters");
  call.option("--json", options->json, "All parameters, or more of them, as a JSON object");
  options->where.declare(call, true);
  call.on_run([options](const invocation& told) { return run_call(*options, told); });
}

} // namespace tallymesh::tally
