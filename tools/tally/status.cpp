// `tally status` and `tally compare`.
#include "messages/limits.hpp"
#include "tools/tally/comparison.hpp"
#include "tools/tally/operations.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <iostream>
#include <set>

namespace tallymesh::tally {

namespace {

using std::chrono::milliseconds;

// --- status

struct status_options {
  place where;
  std::string directory;
};

colour colour_of(const std::string& state) {
  if (state == "running") return colour::green;
  return state == "halted" ? colour::red : colour::yellow;
}

std::uint64_t records_in(const json::value& tables) {
  std::int64_t sum = 0;
  for (const auto& each : list_of(tables))
    sum += number_at(each, "records");
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, sum));
}

std::vector<cell> status_line(const std::string& node, const result<json::value>& status,
                              const result<json::value>& tables) {
  if (!status) return {node, {"unreachable", colour::red}};
  const auto& x = *status;
  const auto state = text_at(x, "state", "?");
  const auto up = number_at(x, "peers_up"), total = number_at(x, "peers_total");
  // A node that has no block yet has no age of one.
  const auto age = number_at(x, "height") == 0
                       ? "-"
                       : duration_text(milliseconds(number_at(x, "last_block_age_ms")));
  return {
      text_at(x, "node", node),
      text_at(x, "tier", "-"),
      {state, colour_of(state)},
      grouped(static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_at(x, "height")))),
      std::to_string(number_at(x, "view")),
      {std::to_string(up) + "/" + std::to_string(total),
       up == total ? colour::none : colour::yellow},
      std::to_string(number_at(x, "pending_operations")),
      age,
      tables ? grouped(records_in(*tables)) : "-",
      text_at(x, "version", "-")};
}

exit_code run_status(status_options options, const invocation& told) {
  if (!options.directory.empty()) options.where.mesh = options.directory;
  const auto gateways = find_gateways(options.where);
  if (!gateways) return report(gateways.error());
  auto clients = clients_of(*gateways);
  const call_options quick{milliseconds(3000)};
  const auto statuses = ask_all(clients, "/v1/status", quick);
  const auto tables = ask_all(clients, "/v1/tables", quick);
  bool all_answered = true;
  json::array list;
  std::vector<std::vector<cell>> lines;
  for (std::size_t i = 0; i < gateways->size(); ++i) {
    const auto& name = (*gateways)[i].node;
    all_answered = all_answered && statuses[i].has_value();
    lines.push_back(status_line(name, statuses[i], tables[i]));
    if (!statuses[i]) {
      list.push_back(
          {{"node", name}, {"state", "unreachable"}, {"error", statuses[i].error().context}});
      continue;
    }
    auto& item = list.emplace_back(*statuses[i]);
    if (item.is_object() && tables[i]) item.get_object()["records"] = records_in(*tables[i]);
  }
  if (told.json())
    print_json(list);
  else {
    print_table(std::cout,
                {{"node"},
                 {"tier"},
                 {"state"},
                 {"height", true},
                 {"view", true},
                 {"peers up", true},
                 {"pending", true},
                 {"last block", true},
                 {"records", true},
                 {"version"}},
                lines);
    for (std::size_t i = 0; i < statuses.size(); ++i)
      if (!statuses[i])
        std::cerr << "  " << (*gateways)[i].node << ": "
                  << printable(statuses[i].error().context) << '\n';
  }
  return all_answered ? exit_code::ok : exit_code::differs;
}

// --- compare

struct compare_options {
  place where;
  std::uint64_t within_s = 30;
};

std::vector<node_digest> digests_of(const std::vector<gateway>& gateways,
                                    std::vector<http_client>& clients) {
  // Computing a digest reads every record: a large mesh takes its time.
  const auto answers = ask_all(clients, "/v1/digest", {std::chrono::seconds(120)});
  std::vector<node_digest> out;
  for (std::size_t i = 0; i < answers.size(); ++i)
    out.push_back(node_digest::from(gateways[i].node, answers[i]));
  return out;
}

/// More tables than this are lines of their own: a screen is not that wide.
constexpr std::size_t most_table_columns = 5;

std::string records_of(const node_digest& x, const std::string& table) {
  const auto found = x.tables.find(table);
  return found == x.tables.end() ? "-" : grouped(found->second.records);
}

/// A line for each table, a column for each node.
void print_tables(const std::vector<node_digest>& nodes, const std::set<std::string>& tables) {
  std::vector<column> columns = {{"table"}};
  for (const auto& each : nodes)
    columns.push_back({each.node, true});
  std::vector<std::vector<cell>> lines;
  for (const auto& name : tables) {
    auto& line = lines.emplace_back();
    line.emplace_back(name);
    for (const auto& each : nodes)
      line.emplace_back(records_of(each, name));
  }
  print_table(std::cout, columns, lines);
  std::cout << '\n';
}

void print_comparison(const std::vector<node_digest>& nodes, const comparison& verdict) {
  std::set<std::string> tables;
  for (const auto& each : nodes)
    for (const auto& [name, ignored] : each.tables)
      tables.insert(name);
  if (tables.size() > most_table_columns) {
    print_tables(nodes, tables);
    tables.clear();
  }
  std::vector<column> columns = {{"node"}, {"height", true}};
  for (const auto& each : tables)
    columns.push_back({each, true});
  columns.push_back({"records", true});
  columns.push_back({"execution"});
  std::vector<std::vector<cell>> lines;
  for (const auto& each : nodes) {
    auto& line = lines.emplace_back();
    line.emplace_back(each.node);
    line.emplace_back(each.failure ? "-" : grouped(each.height));
    for (const auto& name : tables)
      line.emplace_back(records_of(each, name));
    std::uint64_t sum = 0;
    for (const auto& [name, state] : each.tables)
      sum += state.records;
    line.emplace_back(each.failure ? "-" : grouped(sum));
    line.emplace_back(each.failure ? "-" : each.execution.substr(0, 12));
  }
  print_table(std::cout, columns, lines);
  std::cout << '\n';
  if (verdict.identical)
    std::cout << painted(colour::green, "identical") << '\n';
  else
    std::cout << painted(colour::red, verdict.complete ? "different" : "not comparable")
              << '\n';
  for (const auto& each : verdict.differences)
    std::cout << "  " << printable(each) << '\n';
}

json::value as_json(const std::vector<node_digest>& nodes, const comparison& verdict) {
  json::array list;
  for (const auto& each : nodes) {
    json::array tables;
    for (const auto& [name, state] : each.tables)
      tables.push_back({{"table", name}, {"records", state.records}, {"digest", state.digest}});
    list.push_back({{"node", each.node},
                    {"height", each.height},
                    {"execution", each.execution},
                    {"tables", std::move(tables)}});
    if (each.failure) list.back().get_object()["error"] = each.failure->context;
  }
  json::array differences;
  for (const auto& each : verdict.differences)
    differences.emplace_back(each);
  return {{"verdict", verdict.identical  ? "identical"
                      : verdict.complete ? "different"
                                         : "not comparable"},
          {"nodes", std::move(list)},
          {"differences", std::move(differences)}};
}

/// A line for each currency whose accounts do not sum up to zero on this node.
std::vector<std::string> false_books(const std::string& node, http_client& client) {
  std::vector<std::string> found;
  const auto unreadable = [&](const error& why) {
    found.push_back(node + ": its accounts cannot be read: " + why.context);
    return found;
  };
  const auto currencies = list_table(client, "settlement.currencies", "", 1000);
  if (!currencies) return unreadable(currencies.error());
  for (const auto& each : *currencies) {
    const auto name = text_at(each, "currency");
    // One page, and so one state of the tables.
    const auto accounts = list_table(client, "settlement.accounts",
                                     where_text({{"currency", name}}), limits::max_nodes);
    if (!accounts) return unreadable(accounts.error());
    const auto sum = sum_of_balances(*accounts);
    if (sum != "0.0000")
      found.push_back(node + ": the accounts in " + name + " sum up to "
                      + sum.value_or("no number") + ", and not to zero");
  }
  return found;
}

exit_code run_compare(const compare_options& options, const invocation& told) {
  const auto gateways = find_gateways(options.where);
  if (!gateways) return report(gateways.error());
  auto clients = clients_of(*gateways);
  std::vector<node_digest> nodes;
  comparison verdict;
  {
    progress bar("asked", 0);
    std::uint64_t asked = 0;
    poll_until(std::chrono::seconds(options.within_s), milliseconds(200), [&] {
      nodes = digests_of(*gateways, clients);
      verdict = compare(nodes);
      if (!verdict.complete) bar.update(++asked, "waiting until all nodes are at one height");
      return verdict.complete;
    });
  }
  for (std::size_t i = 0; verdict.complete && i < clients.size(); ++i)
    for (auto& each : false_books((*gateways)[i].node, clients[i])) {
      verdict.differences.push_back(std::move(each));
      verdict.identical = false;
    }
  if (told.json())
    print_json(as_json(nodes, verdict));
  else
    print_comparison(nodes, verdict);
  if (verdict.complete) return verdict.identical ? exit_code::ok : exit_code::differs;
  return report(
      make_error(errc::unavailable, "the nodes were not at one height within "
                                        + std::to_string(options.within_s)
                                        + " s; is a node down, or is something writing? see "
                                          "`tally status`, or give --within more seconds"));
}

} // namespace

void add_status(command& program) {
  const auto status_settings = std::make_shared<status_options>();
  auto& status =
      program.add("status",
                  "Show a line a node.\nState, height, view, peers, what is pending, the last "
                  "block's age and records (exit 1 if one is\nunreachable).",
                  {"tally status mesh", "tally status mesh -o json",
                   "tally status --url http://127.0.0.1:8700 --token TOKEN"});
  status.optional_argument("DIR", status_settings->directory,
                           "The mesh's directory (default: --mesh)");
  status_settings->where.declare(status, false);
  status.on_run(
      [status_settings](const invocation& told) { return run_status(*status_settings, told); });

  const auto compare_settings = std::make_shared<compare_options>();
  auto& compared = program.add(
      "compare",
      "Compare all nodes at one height.\n"
      "Compares the records of each table and the digest over everything that was "
      "ever executed.\n"
      "Says `identical`, or which node differs in which table (exit 1). Also adds up "
      "all balances\nof each node: their sum must be zero.",
      {"tally compare", "tally compare --mesh mesh --within 60 -o json"});
  compared.option("--within", compare_settings->within_s,
                  "Seconds to wait until all nodes are at one height", 0, 3600);
  compare_settings->where.declare(compared, false);
  compared.on_run([compare_settings](const invocation& told) {
    return run_compare(*compare_settings, told);
  });
}

} // namespace tallymesh::tally
