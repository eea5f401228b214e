// `tally distribute`: a record to its recipients. `tally deliveries`: which record has reached
// whom, and what is late.
#include "contracts/contract.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/operations.hpp"
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
  std::uint64_t most = 1000;
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

using by_recipient = std::map<std::string, delivery>;

std::string recipient_of(const json::value& row) {
  const auto account = text_at(row, "account");
  return (account.empty() ? "" : account + "@") + text_at(row, "node");
}

/// The newest delivery of each record to each recipient; of a limited number of records, those
/// that were distributed last.
class matrix {
public:
  explicit matrix(const delivery_options& options) : options_(options) {}

  void add(const json::value& row) {
    const auto to = recipient_of(row);
    if (!options_.recipient.empty() && options_.recipient != to
        && options_.recipient != text_at(row, "node"))
      return;
    if (!options_.table.empty() && options_.table != text_at(row, "table")) return;
    auto& [height, deliveries] = all_[{text_at(row, "table"), text_at(row, "row")}];
    height = std::max(height, number_at(row, "height"));
    auto& newest = deliveries[to];
    if (number_at(row, "number") >= newest.number)
      newest = {text_at(row, "state"), number_at(row, "number"), number_at(row, "deadline_ms"),
                number_at(row, "handed_over_ms")};
    if (all_.size() > 2 * options_.most) keep_newest();
  }
  void finish() {
    if (all_.size() > options_.most) keep_newest();
    for (const auto& [what, held] : all_) {
      records[what] = held.second;
      for (const auto& [to, ignored] : held.second)
        recipients.insert(to);
    }
  }

  std::map<record, by_recipient> records;
  std::set<std::string> recipients;
  bool cut = false; ///< there were more

private:
  void keep_newest() {
    cut = true;
    std::vector<std::int64_t> heights;
    for (const auto& [what, held] : all_)
      heights.push_back(held.first);
    const auto last_kept = heights.begin() + static_cast<std::ptrdiff_t>(options_.most - 1);
    std::nth_element(heights.begin(), last_kept, heights.end(), std::greater<>());
    const auto lowest = *last_kept;
    std::erase_if(all_, [&](const auto& each) { return each.second.first < lowest; });
    // Of the lowest height there may be more than have room.
    for (auto at = all_.begin(); at != all_.end() && all_.size() > options_.most;)
      at = at->second.first == lowest ? all_.erase(at) : std::next(at);
  }

  const delivery_options& options_;
  std::map<record, std::pair<std::int64_t, by_recipient>> all_; ///< with the newest height
};

constexpr const char* deliveries_table = "distribution.deliveries";

/// Of one recipient's node, of one table, or all: whatever the table's own order finds fastest.
result<void> read_all(http_client& client, const delivery_options& options, matrix& into) {
  std::vector<std::pair<std::string, std::string>> conditions;
  if (!options.recipient.empty())
    conditions.emplace_back("node", options.recipient.substr(options.recipient.find('@') + 1));
  else if (!options.table.empty())
    conditions.emplace_back("table", options.table);
  return each_row(client, deliveries_table, where_text(conditions), [&](const auto& row) {
    into.add(row);
    return true;
  });
}

/// What is under way past its deadline, and what was handed over after it: found by indexes, so
/// that it does not matter how much was ever distributed.
result<void> read_late(http_client& client, std::int64_t now, matrix& into) {
  const auto add_if_late = [&](const json::value& row) {
    const delivery x{text_at(row, "state"), number_at(row, "number"),
                     number_at(row, "deadline_ms"), number_at(row, "handed_over_ms")};
    if (x.late(now)) into.add(row);
    return true;
  };
  if (auto good =
          each_row(client, deliveries_table, where_text({{"late", "true"}}), add_if_late);
      !good)
    return good;
  const auto inboxes = list_table(client, "distribution.inboxes");
  if (!inboxes) return inboxes.error();
  for (const auto& inbox : *inboxes)
    for (const auto* state : {"pending", "received", "applied"})
      if (auto good = each_row(client, deliveries_table,
                               where_text({{"node", text_at(inbox, "node")}, {"state", state}}),
                               add_if_late);
          !good)
        return good;
  return {};
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
  for (const auto& [what, deliveries] : all.records) {
    auto& line = lines.emplace_back();
    line = {what.table, what.row};
    for (const auto& each : all.recipients) {
      const auto found = deliveries.find(each);
      line.push_back(found == deliveries.end() ? cell("-") : cell_of(found->second, now));
    }
  }
  print_table(std::cout, columns, lines);
}

/// One line a record: how many are how far, and who is late.
void print_counts(const matrix& all, std::int64_t now) {
  std::vector<std::vector<cell>> lines;
  for (const auto& [what, deliveries] : all.records) {
    std::map<std::string, std::size_t> count;
    std::string late;
    for (const auto& [to, each] : deliveries) {
      ++count[each.state];
      if (each.late(now)) late += (late.empty() ? "" : ", ") + to;
    }
    lines.push_back(
        {what.table, what.row, std::to_string(deliveries.size()),
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
  for (const auto& [what, deliveries] : all.records)
    for (const auto& [to, each] : deliveries)
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
  const auto now = now_ms();
  matrix all(options);
  const auto read = options.late ? read_late(client, now, all) : read_all(client, options, all);
  if (!read) return report(read.error());
  all.finish();
  if (told.json())
    print_json(as_json(all, now));
  else if (all.records.empty())
    std::cout << (options.late ? "nothing is late\n" : "nothing was distributed\n");
  else if (all.recipients.size() <= most_columns)
    print_columns(all, now);
  else
    print_counts(all, now);
  if (all.cut)
    std::cerr << "only the " << options.most
              << " records that were distributed last; narrow it by --table, --recipient or "
                 "--late, or raise --most\n";
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
  deliveries.option("--most", options->most, "Records to show, the last distributed ones", 1,
                    1'000'000);
  options->where.declare(deliveries, true);
  deliveries.on_run(
      [options](const invocation& told) { return run_deliveries(*options, told); });
}

} // namespace tallymesh::tally
