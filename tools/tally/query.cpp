// `tally get`, `list`, `history` and `trace`.
#include "tools/tally/loader.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <iostream>

namespace tallymesh::tally {

namespace {

struct query_options {
  place where;
  std::string table, key, after, before, operation;
  std::vector<std::string> conditions;
  std::uint64_t limit = 100;
};

std::string rows_path(const std::string& table) {
  return "/v1/tables/" + url_encoded(table) + "/rows";
}

std::string key_path(const query_options& options) {
  std::string path = rows_path(options.table) + "/";
  bool first = true;
  for (const auto& each : key_parts(options.key))
    (path += std::exchange(first, false) ? "" : ",") += url_encoded(each);
  return path;
}

result<json::value> ask(const query_options& options, const std::string& path) {
  if (!options.table.empty())
    if (const auto table = table_name::from_text(options.table); !table) return table.error();
  const auto where = find_gateway(options.where);
  if (!where) return where.error();
  http_client client(where->target);
  return get_json(client, path);
}

void print_row(const json::value& row) {
  std::vector<std::vector<cell>> lines;
  if (const auto* fields = row.if_object())
    for (const auto& [name, each] : *fields)
      lines.push_back({std::string(name), shown(each)});
  print_table(std::cout, {{"field"}, {"value"}}, lines);
}

/// One side of a change. Where both sides hold a row, only the fields that differ: that is what
/// changed, and a line stays readable.
std::string row_text(const json::value& x, std::string_view side) {
  const auto* row = member(x, side);
  if (row == nullptr || !row->is_object()) return member(x, "erased") ? "erased" : "-";
  const auto* other = member(x, side == "before" ? "after" : "before");
  std::string text;
  for (const auto& [name, field] : row->get_object()) {
    const auto* there = other == nullptr ? nullptr : member(*other, name);
    if (there != nullptr && *there == field) continue;
    if (!text.empty()) text += ", ";
    text += std::string(name) + "=" + shown(field);
  }
  return text;
}

exit_code run_get(const query_options& options, const invocation& told) {
  const auto answer = ask(options, key_path(options));
  if (!answer) return report_absence(answer.error());
  if (told.json())
    print_json(*answer);
  else if (const auto* row = member(*answer, "row"))
    print_row(*row);
  return exit_code::ok;
}

result<std::string> conditions_of(const query_options& options) {
  std::string out;
  for (const auto& each : options.conditions) {
    const auto equals = each.find('=');
    if (equals == each.npos || equals == 0)
      return make_error(errc::bad_config,
                        "--where is " + each + ", expected FIELD=VALUE of an indexed field");
    out +=
        "&" + url_encoded(each.substr(0, equals)) + "=" + url_encoded(each.substr(equals + 1));
  }
  return out;
}

/// Page by page, as many as were asked for: rows, the next cursor, and the last page's height.
result<json::value> list_rows(const query_options& options) {
  constexpr std::uint64_t page = 1000; // the most that a gateway gives at once
  const auto conditions = conditions_of(options);
  if (!conditions) return conditions.error();
  json::object all{{"rows", json::array()}, {"next", options.after}};
  for (auto left = options.limit; left > 0;) {
    auto path = rows_path(options.table) + "?limit=" + std::to_string(std::min(left, page))
                + *conditions;
    if (const auto after = text_at(all, "next"); !after.empty())
      path += "&after=" + url_encoded(after);
    const auto answer = ask(options, path);
    if (!answer) return answer.error();
    const auto& rows = list_at(*answer, "rows");
    for (const auto& each : rows)
      all["rows"].get_array().push_back(each);
    const auto next = text_at(*answer, "next");
    all["next"] = next.empty() ? json::value() : json::value(next);
    all["height"] = number_at(*answer, "height");
    if (next.empty() || rows.empty()) break;
    left -= std::min<std::uint64_t>(left, rows.size());
  }
  return json::value(std::move(all));
}

void print_rows(const json::value& answer) {
  // A row may lack optional fields: the columns are all that any of them has.
  std::vector<std::string> names;
  for (const auto& each : list_at(answer, "rows"))
    if (const auto* row = member(each, "row"); row != nullptr && row->is_object())
      for (const auto& [name, ignored] : row->get_object())
        if (std::find(names.begin(), names.end(), name) == names.end())
          names.emplace_back(name);
  std::vector<column> columns;
  for (const auto& each : names)
    columns.push_back({each});
  std::vector<std::vector<cell>> lines;
  for (const auto& each : list_at(answer, "rows")) {
    auto& line = lines.emplace_back();
    const auto* row = member(each, "row");
    for (const auto& name : names) {
      const auto* field = row == nullptr ? nullptr : member(*row, name);
      line.emplace_back(field == nullptr ? "-" : shown(*field));
    }
  }
  if (lines.empty())
    std::cout << "no rows\n";
  else
    print_table(std::cout, columns, lines);
}

exit_code run_list(const query_options& options, const invocation& told) {
  const auto answer = list_rows(options);
  if (!answer) return report(answer.error());
  if (told.json()) {
    print_json(*answer);
    return exit_code::ok;
  }
  print_rows(*answer);
  if (const auto next = text_at(*answer, "next"); !next.empty())
    std::cerr << "there are more: add --after " << printable(next) << '\n';
  return exit_code::ok;
}

exit_code run_history(const query_options& options, const invocation& told) {
  auto path = key_path(options) + "/history?limit=" + std::to_string(options.limit);
  if (!options.before.empty()) path += "&before=" + url_encoded(options.before);
  const auto answer = ask(options, path);
  if (!answer) return report(answer.error());
  if (told.json()) {
    print_json(*answer);
    return exit_code::ok;
  }
  std::vector<std::vector<cell>> lines;
  for (const auto& each : list_at(*answer, "changes"))
    lines.push_back({std::to_string(number_at(each, "height")),
                     time_text(number_at(each, "time_ms")), text_at(each, "author"),
                     text_at(each, "action"), text_at(each, "operation"),
                     row_text(each, "before"), row_text(each, "after")});
  if (lines.empty())
    std::cout << "no changes\n";
  else
    print_table(std::cout,
                {{"height", true},
                 {"time"},
                 {"author"},
                 {"action"},
                 {"operation"},
                 {"before"},
                 {"after"}},
                lines);
  if (const auto next = text_at(*answer, "next"); !next.empty())
    std::cerr << "there are older ones: add --before " << printable(next) << '\n';
  return exit_code::ok;
}

void print_trace(const json::value& x) {
  static const json::value nothing;
  const auto part = [&](std::string_view name) -> const json::value& {
    const auto* found = member(x, name);
    return found == nullptr ? nothing : *found;
  };
  const auto& receipt = part("receipt");
  const auto& block = part("block");
  const auto& batch = part("batch");
  auto meaning = text_at(receipt, "description");
  if (const auto detail = text_at(receipt, "detail"); !detail.empty())
    meaning += " (" + detail + ")";
  std::vector<std::vector<cell>> lines = {
      {"operation", text_at(receipt, "id")},
      {"author", text_at(x, "author", "-")},
      {"result", text_at(receipt, "result") + ": " + meaning},
      {"time", time_text(number_at(block, "time_ms"))},
      {"block", "height " + std::to_string(number_at(block, "height")) + ", view "
                    + std::to_string(number_at(block, "view")) + ", proposed by "
                    + text_at(block, "leader")},
      {"block digest", text_at(block, "digest")},
      {"batch",
       "number " + std::to_string(number_at(batch, "seq")) + " of " + text_at(batch, "lane")}};
  // Known as long as the node keeps the batch itself.
  if (const auto digest = text_at(batch, "digest"); !digest.empty())
    lines.push_back({"batch digest", digest});
  print_table(std::cout, {{"what"}, {"value"}}, lines);
  lines.clear();
  for (const auto& each : list_at(x, "changes")) {
    const auto* key = member(each, "key");
    lines.push_back({text_at(each, "table"), key == nullptr ? "-" : shown(*key),
                     row_text(each, "before"), row_text(each, "after")});
  }
  if (lines.empty()) return;
  std::cout << '\n';
  print_table(std::cout, {{"table"}, {"key"}, {"before"}, {"after"}}, lines);
  if (const auto more = number_at(x, "changes_left_out"); more > 0)
    std::cout << "and " << more << " more changes; each is in the history of its row\n";
}

exit_code run_trace(const query_options& options, const invocation& told) {
  if (!operation_id::from_hex(options.operation))
    return report(make_error(errc::bad_config, "the operation id "
                                                   + options.operation.substr(0, 80)
                                                   + " is not 32 hexadecimal characters"));
  const auto answer = ask(options, "/v1/operations/" + options.operation + "/trace");
  if (!answer) return report_absence(answer.error());
  if (told.json())
    print_json(*answer);
  else
    print_trace(*answer);
  return exit_code::ok;
}

using runner = exit_code (*)(const query_options&, const invocation&);

command& add_query_command(command& program, std::string name, std::string description,
                           std::vector<std::string> examples,
                           const std::shared_ptr<query_options>& options, runner run) {
  auto& added = program.add(std::move(name), std::move(description), std::move(examples));
  options->where.declare(added, true);
  added.on_run([options, run](const invocation& told) { return run(*options, told); });
  return added;
}

} // namespace

void add_query(command& program) {
  const auto get_options = std::make_shared<query_options>();
  auto& get = add_query_command(
      program, "get", "Show one row by its key (exit 1 if there is none).",
      {"tally get divisions.cities 1101", "tally get orders.steps A-17,1 -o json"}, get_options,
      run_get);
  get.argument("TABLE", get_options->table, "contract.table");
  get.argument("KEY", get_options->key, "The key; its parts separated by commas");

  const auto list_options = std::make_shared<query_options>();
  auto& list = add_query_command(
      program, "list", "List rows in key order, or those of an indexed field's value.",
      {"tally list divisions.provinces",
       "tally list divisions.cities --where provinceCode=37 --limit 20"},
      list_options, run_list);
  list.argument("TABLE", list_options->table, "contract.table");
  list.option("--where", list_options->conditions,
              "FIELD=VALUE of an indexed field; may be given several times");
  list.option("--limit", list_options->limit, "At most so many rows", 1, 1'000'000);
  list.option("--after", list_options->after, "Go on where the answer before ended");

  const auto history_options = std::make_shared<query_options>();
  auto& history = add_query_command(
      program, "history",
      "Show every change of a row, newest first: who, when, before and after.",
      {"tally history divisions.cities 1101"}, history_options, run_history);
  history.argument("TABLE", history_options->table, "contract.table");
  history.argument("KEY", history_options->key, "The key; its parts separated by commas");
  history.option("--limit", history_options->limit, "At most so many changes", 1, 1000);
  history.option("--before", history_options->before, "Go on where the answer before ended");

  const auto trace_options = std::make_shared<query_options>();
  auto& trace = add_query_command(
      program, "trace", "Show an operation's way: receipt, batch, block and what it changed.",
      {"tally trace 01932f6c1a2b3c4d5e6f708192a3b4c5"}, trace_options, run_trace);
  trace.argument("OPERATION", trace_options->operation,
                 "The operation's id, 32 hexadecimal characters");
}

} // namespace tallymesh::tally
