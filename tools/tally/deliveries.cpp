// `tally distribute`: a record to its recipients. `tally deliveries`: which record has reached
// whom, and what is late.
#include "contracts/contract.hpp"
#include "tools/tally/actions.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/output.hpp"
#include "tools/tally/rows.hpp"

#include <algorithm>
#include <iostream>
#include <map>
#include <set>

namespace tallymesh::tally {

namespace {

struct delivery_options {
  place where;
  std::string table, recipient;
  bool late = false;
};

/// More recipients than this are no columns that a person can read.
constexpr std::size_t most_columns = 8;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct delivery {
  std::string state;
  std::int64_t number = 0, deadline_ms = 0, ended_ms = 0;

  /// Handed over after its deadline, or still under way after it.
  bool late(std::int64_t now) const {
    if (deadline_ms == 0 || state == "superseded") return false;
    return (state == "handed_over" ? ended_ms : now) > deadline_ms;
  }
};

struct record {
  std::string table, row;
  auto operator<=>(const record&) const = default;
};

/// The newest delivery of each record to each recipient.
struct matrix {
  std::set<std::string> recipients;
  std::map<record, std::map<std::string, delivery>> records;
};

std::string recipient_of(const json::value& row) {
  const auto account = text_at(row, "account");
  return (account.empty() ? "" : account + "@") + text_at(row, "node");
}

matrix matrix_of(const std::vector<json::value>& rows, const delivery_options& options) {
  matrix made;
  for (const auto& each : rows) {
    const auto to = recipient_of(each);
    if (!options.recipient.empty() && options.recipient != to
        && options.recipient != text_at(each, "node"))
      continue;
    auto& newest = made.records[{text_at(each, "table"), text_at(each, "row")}][to];
    if (number_at(each, "number") < newest.number) continue;
    newest = {text_at(each, "state"), number_at(each, "number"), number_at(each, "deadline_ms"),
              number_at(each, "handed_over_ms")};
    made.recipients.insert(to);
  }
  return made;
}

void keep_late(matrix& all, std::int64_t now) {
  std::set<std::string> concerned;
  for (auto& [what, by_recipient] : all.records) {
    std::erase_if(by_recipient, [&](const auto& one) { return !one.second.late(now); });
    for (const auto& [to, ignored] : by_recipient)
      concerned.insert(to);
  }
  std::erase_if(all.records, [](const auto& each) { return each.second.empty(); });
  all.recipients = std::move(concerned);
}

cell cell_of(const delivery& x, std::int64_t now) {
  static const std::map<std::string, std::string> words = {{"handed_over", "handed over"}};
  const auto found = words.find(x.state);
  auto text = found == words.end() ? x.state : found->second;
  if (x.late(now)) return {text + ", late", colour::red};
  return {text, x.state == "handed_over" ? colour::green : colour::none};
}

void print_columns(const matrix& all, std::int64_t now) {
  std::vector<column> columns = {{"table"}, {"record"}};
  for (const auto& each : all.recipients)
    columns.push_back({each});
  std::vector<std::vector<cell>> lines;
  for (const auto& [what, by_recipient] : all.records) {
    auto& line = lines.emplace_back();
    line = {what.table, what.row};
    for (const auto& each : all.recipients) {
      const auto found = by_recipient.find(each);
      line.push_back(found == by_recipient.end() ? cell("-") : cell_of(found->second, now));
    }
  }
  print_table(std::cout, columns, lines);
}

/// One line a record: how many are how far, and who is late.
void print_counts(const matrix& all, std::int64_t now) {
  std::vector<std::vector<cell>> lines;
  for (const auto& [what, by_recipient] : all.records) {
    std::map<std::string, std::size_t> count;
    std::string late;
    for (const auto& [to, each] : by_recipient) {
      ++count[each.state];
      if (each.late(now)) late += (late.empty() ? "" : ", ") + to;
    }
    lines.push_back(
        {what.table, what.row, std::to_string(by_recipient.size()),
         std::to_string(count["pending"]), std::to_string(count["received"]),
         std::to_string(count["applied"]), std::to_string(count["handed_over"]),
         cell(late.empty() ? "-" : late, late.empty() ? colour::none : colour::red)});
  }
  print_table(std::cout,
              {{"table"},
               {"record"},
               {"recipients", true},
               {"pending", true},
               {"received", true},
               {"applied", true},
               {"handed over", true},
               {"late"}},
              lines);
}

json::array as_json(const matrix& all, std::int64_t now) {
  json::array out;
  for (const auto& [what, by_recipient] : all.records)
    for (const auto& [to, each] : by_recipient)
      out.push_back(json::object{{"table", what.table},
                                 {"row", what.row},
                                 {"recipient", to},
                                 {"number", each.number},
                                 {"state", each.state},
                                 {"deadline_ms", each.deadline_ms},
                                 {"late", each.late(now)}});
  return out;
}

exit_code run_deliveries(const delivery_options& options, const invocation& told) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  http_client client(at->target);
  std::vector<std::pair<std::string, std::string>> conditions;
  if (!options.table.empty()) conditions.emplace_back("table", options.table);
  const auto rows = all_rows(client, "distribution.deliveries", conditions);
  if (!rows) return report(rows.error());
  const auto now = now_ms();
  auto all = matrix_of(*rows, options);
  if (options.late) keep_late(all, now);
  if (told.json())
    print_json(as_json(all, now));
  else if (all.records.empty())
    std::cout << (options.late ? "nothing is late\n" : "nothing was distributed\n");
  else if (all.recipients.size() <= most_columns)
    print_columns(all, now);
  else
    print_counts(all, now);
  return options.late && !all.records.empty() ? exit_code::differs : exit_code::ok;
}

struct distribute_options {
  place where;
  std::string table, key;
  std::vector<std::string> recipients;
  std::uint64_t within_s = 0;
};

/// Tiers, nodes and accounts in one list, as people name them.
json::object recipients_of(const distribute_options& options) {
  json::object to;
  const auto add = [&](const char* kind, const std::string& name) {
    if (!to.contains(kind)) to[kind] = json::array();
    to[kind].get_array().emplace_back(name);
  };
  for (const auto& each : options.recipients)
    add(each.find('@') != each.npos   ? "account"
        : contracts::tier_named(each) ? "tier"
                                      : "node",
        each);
  if (options.within_s > 0) to["within_s"] = static_cast<std::int64_t>(options.within_s);
  return to;
}

exit_code run_distribute(const distribute_options& options, const invocation& told) {
  const auto table = table_name::from_text(options.table);
  if (!table) return report(table.error());
  json::array key;
  for (auto& each : key_parts(options.key))
    key.emplace_back(std::move(each));
  return act(options.where, table->contract, "distribute",
             {{"table", table->table}, {"key", std::move(key)}, {"to", recipients_of(options)}},
             told);
}

} // namespace

void add_deliveries(command& program) {
  const auto sending = std::make_shared<distribute_options>();
  auto& distribute = program.add(
      "distribute",
      "Distribute a record to tiers, nodes or accounts; tally deliveries shows who has it.\n"
      "The parts of a key are separated by commas; \\, stands for a comma inside a part.",
      {"tally distribute orders.orders A-17 --to level3 --within 3600",
       "tally distribute orders.orders A-17 --to coop --to clerk@hq"});
  distribute.argument("TABLE", sending->table, "contract.table");
  distribute.argument("KEY", sending->key, "The record's key");
  distribute.option("--to", sending->recipients, "A tier, a node, or an account@node");
  distribute.option("--within", sending->within_s,
                    "Seconds until it must be handed over; 0: whenever", 0, 315'360'000);
  sending->where.declare(distribute, true);
  distribute.on_run(
      [sending](const invocation& told) { return run_distribute(*sending, told); });

  const auto options = std::make_shared<delivery_options>();
  auto& deliveries = program.add(
      "deliveries",
      "Show how far each distributed record has got with each recipient.\n"
      "A record is received and applied by the recipient's node, and handed over to its "
      "subscriber.\nWith --late only what is past its deadline, exit 1 if there is any.",
      {"tally deliveries", "tally deliveries --table orders.orders",
       "tally deliveries --late -o json"});
  deliveries.option("--table", options->table, "Only records of this table: contract.table");
  deliveries.option("--recipient", options->recipient, "Only this node or account@node");
  deliveries.flag("--late", options->late, "Only what is late");
  options->where.declare(deliveries, true);
  deliveries.on_run(
      [options](const invocation& told) { return run_deliveries(*options, told); });
}

} // namespace tallymesh::tally
