// `tally explain-access`: who may see or do what, and which line of which contract says so.
#include "tools/tally/loader.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"
#include "tools/tally/rows.hpp"

#include <iostream>

namespace tallymesh::tally {

namespace {

struct explain_options {
  place where;
  std::string account, table, key;
};

std::string path_of(const explain_options& options) {
  auto path = "/v1/tables/" + url_encoded(options.table);
  if (!options.key.empty()) {
    path += "/rows/";
    const auto parts = key_parts(options.key);
    for (std::size_t i = 0; i < parts.size(); ++i)
      path += (i == 0 ? "" : ",") + url_encoded(parts[i]);
  }
  return path + "/access?account=" + url_encoded(options.account);
}

void print(const json::value& answer) {
  std::cout << printable(text_at(answer, "account")) << " ("
            << printable(text_at(answer, "tier")) << ") and "
            << printable(text_at(answer, "table"));
  const auto* author = member(answer, "author");
  if (author != nullptr && author->is_bool() && author->get_bool())
    std::cout << ", a row of its own";
  const auto contract = printable(text_at(answer, "contract"));
  std::cout << ", by contract " << contract << " version " << number_at(answer, "version")
            << '\n';
  std::vector<std::vector<cell>> lines;
  for (const auto& each : list_at(answer, "rights")) {
    const auto* given = member(each, "given");
    const bool yes = given != nullptr && given->is_bool() && given->get_bool();
    const auto line = number_at(each, "line");
    const auto place =
        line == 0 ? contract + ": not named, so no one" : contract + ":" + std::to_string(line);
    lines.push_back({printable(text_at(each, "right")), yes ? "yes" : "no",
                     yes ? printable(text_at(each, "by")) : "", place});
  }
  print_table(std::cout, {{"right"}, {"given"}, {"by"}, {"line"}}, lines);
}

exit_code run_explain(const explain_options& options, const invocation& told) {
  const auto where = find_gateway(options.where);
  if (!where) return report(where.error());
  http_client client(where->target);
  const auto answer = get_json(client, path_of(options));
  if (!answer) return report_absence(answer.error());
  if (told.json())
    print_json(*answer);
  else
    print(*answer);
  return exit_code::ok;
}

} // namespace

void add_explain_access(command& program) {
  const auto options = std::make_shared<explain_options>();
  auto& explain =
      program.add("explain-access",
                  "Say what an account may see and do with a table or a row, and why.\n"
                  "Each right with the line of the contract in force that gives it.",
                  {"tally explain-access clerk@hq orders.orders",
                   "tally explain-access clerk@north orders.orders A17"});
  explain.argument("ACCOUNT", options->account, "account@node");
  explain.argument("TABLE", options->table, "contract.table");
  explain.optional_argument("KEY", options->key, "A row's key, its parts separated by commas");
  options->where.declare(explain, true);
  explain.on_run([options](const invocation& told) { return run_explain(*options, told); });
}

} // namespace tallymesh::tally
