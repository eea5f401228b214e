// `tally bench load` and `tally bench latency`.
#include "tools/tally/contract_files.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/output.hpp"
#include "tools/tally/processes.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace tallymesh::tally {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

milliseconds since(clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(clock::now() - start);
}

std::string tenths(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", x);
  return text;
}

// --- load

struct load_options {
  place where;
  std::string file, table;
  std::uint64_t rows = 0, window = load_settings{}.window,
                request_rows = load_settings{}.request_rows;
  std::uint64_t within_s = 600;
};

struct node_cost {
  std::string node;
  std::uint64_t height = 0;
  std::optional<process_usage> before, after;
};

std::optional<process_usage> usage_at(const gateway& at) {
  if (at.directory.empty()) return std::nullopt;
  const auto process = node_process::find(at.directory);
  return process ? usage_of(process->pid()) : std::nullopt;
}

result<load_summary> send_rows(const load_options& options,
                               const std::vector<gateway>& gateways, const table_name& table) {
  load_settings settings;
  settings.window = options.window;
  settings.request_rows = options.request_rows;
  settings.give_up_after = std::chrono::seconds(options.within_s);
  auto reader = row_reader::open(options.file, std::nullopt);
  if (!reader) return reader.error();
  loader sending(gateways, table, settings);
  progress bar("loading", options.rows);
  const auto draw = [&] { bar.update(sending.done()); };
  for (std::uint64_t number = 0; options.rows == 0 || number < options.rows; ++number) {
    auto row = reader->next();
    if (!row) return row.error();
    if (!*row) break;
    if (!sending.add(number / settings.request_rows % gateways.size(), std::move(**row), draw))
      break;
    draw();
  }
  return sending.finish(draw);
}

/// Until every node has executed and stored up to `height`.
result<void> wait_for_all(std::vector<http_client>& clients, std::vector<node_cost>& nodes,
                          std::uint64_t height, std::uint64_t within_s) {
  const bool all_there = poll_until(std::chrono::seconds(within_s), milliseconds(20), [&] {
    const auto answers = ask_all(clients, "/v1/status");
    for (std::size_t i = 0; i < nodes.size(); ++i)
      if (answers[i])
        nodes[i].height = static_cast<std::uint64_t>(
            std::max<std::int64_t>(0, number_at(*answers[i], "executed_height")));
    return std::all_of(nodes.begin(), nodes.end(),
                       [&](const auto& x) { return x.height >= height; });
  });
  if (all_there) return {};
  for (const auto& each : nodes)
    if (each.height < height)
      return make_error(errc::unavailable, "the node " + each.node + " reached height "
                                               + std::to_string(each.height) + " of "
                                               + std::to_string(height) + " within "
                                               + std::to_string(within_s) + " s");
  return {};
}

void print_load(const load_summary& done, milliseconds took,
                const std::vector<node_cost>& nodes) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, took.count()));
  std::cout << grouped(done.all()) << " operations final, executed and stored on "
            << nodes.size() << " nodes in " << duration_text(took) << ": "
            << painted(colour::bold, grouped(done.all() * 1000 / ms) + " a second") << '\n'
            << "  " << grouped(done.stored) << " stored, " << grouped(done.unchanged)
            << " unchanged, " << grouped(done.refused) << " refused; last receipt after "
            << duration_text(done.took) << "\n\n";
  std::vector<std::vector<cell>> lines;
  for (const auto& each : nodes) {
    const bool known = each.before && each.after;
    lines.push_back(
        {each.node, grouped(each.height),
         each.after
             ? tenths(static_cast<double>(each.after->peak_memory_bytes) / 1048576) + " MiB"
             : "-",
         known ? duration_text(each.after->cpu - each.before->cpu) : "-"});
  }
  print_table(std::cout, {{"node"}, {"height", true}, {"peak memory", true}, {"cpu", true}},
              lines);
}

json::value as_json(const load_summary& done, milliseconds took,
                    const std::vector<node_cost>& nodes) {
  json::array list;
  for (const auto& each : nodes) {
    json::object item{{"node", each.node}, {"height", each.height}};
    if (each.after) item["peak_memory_bytes"] = each.after->peak_memory_bytes;
    if (each.before && each.after)
      item["cpu_ms"] = (each.after->cpu - each.before->cpu).count();
    list.push_back(std::move(item));
  }
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, took.count()));
  return {{"operations", done.all()},
          {"stored", done.stored},
          {"unchanged", done.unchanged},
          {"refused", done.refused},
          {"resent", done.resent},
          {"took_ms", ms},
          {"receipts_ms", done.took.count()},
          {"operations_per_second", done.all() * 1000 / ms},
          {"nodes", std::move(list)}};
}

exit_code run_load(const load_options& options, const invocation& told) {
  const auto table = table_name::from_text(options.table);
  if (!table) return report(table.error());
  const auto gateways = find_gateways(options.where);
  if (!gateways) return report(gateways.error());
  std::vector<node_cost> nodes;
  for (const auto& each : *gateways)
    nodes.push_back({each.node, 0, usage_at(each), {}});
  const auto start = clock::now();
  const auto done = send_rows(options, *gateways, *table);
  if (!done) return report(done.error());
  auto clients = clients_of(*gateways);
  if (const auto there = wait_for_all(clients, nodes, done->last_height, options.within_s);
      !there)
    return report(there.error());
  const auto took = since(start);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    nodes[i].after = usage_at((*gateways)[i]);
  if (told.json())
    print_json(as_json(*done, took, nodes));
  else
    print_load(*done, took, nodes);
  return done->refused > 0 ? exit_code::differs : exit_code::ok;
}

// --- latency

struct latency_options {
  place where;
  std::string file, table;
  std::uint64_t count = 200;
};

/// What to store one by one. Rows of a file are stored as they are; rows that the table holds
/// get another text in `changed_field` each time, and what they were at the end.
struct samples {
  std::string table;
  std::vector<json::object> rows;
  std::string changed_field;

  json::object row(std::uint64_t number) const {
    auto x = rows[number % rows.size()];
    if (!changed_field.empty()) x[changed_field] = "bench latency " + std::to_string(number);
    return x;
  }
};

result<samples> rows_of_file(const latency_options& options) {
  if (options.table.empty())
    return make_error(errc::bad_config, "--file needs --table CONTRACT.TABLE");
  auto reader = row_reader::open(options.file, std::nullopt);
  if (!reader) return reader.error();
  samples out{options.table, {}, {}};
  while (out.rows.size() < options.count) {
    auto row = reader->next();
    if (!row) return row.error();
    if (!*row) break;
    if (!(*row)->problem.empty()) continue;
    const auto parsed = parse_json((*row)->object);
    if (parsed && parsed->is_object()) out.rows.push_back(parsed->as_object());
  }
  if (out.rows.empty())
    return make_error(errc::malformed, options.file + ": holds no row that can be used");
  return out;
}

bool names(const json::array& list, std::string_view field) {
  return std::any_of(list.begin(), list.end(), [&](const json::value& x) {
    return x.is_array() ? names(x.get_array(), field)
                        : x.is_string() && x.get_string() == field;
  });
}

/// A field that takes any text of some length and by which nothing is found; empty: there is
/// none.
std::string free_text_field(const json::value& table) {
  constexpr unsigned long enough_characters = 32;
  const auto* fields = member(table, "fields");
  if (fields == nullptr || !fields->is_object()) return {};
  for (const auto& [name, type] : fields->get_object()) {
    const auto text = shown(type);
    const auto max = text.find("max=");
    if (!text.starts_with("text{") || max == std::string::npos
        || std::strtoul(text.c_str() + max + 4, nullptr, 10) < enough_characters
        || names(list_at(table, "key"), name) || names(list_at(table, "indexes"), name))
      continue;
    return name;
  }
  return {};
}

/// Whether the contract lets anybody store there: most tables of orders and the like change by
/// actions only.
result<bool> is_for_storing(http_client& client, const std::string& full_name) {
  const auto table = table_name::from_text(full_name);
  if (!table) return table.error();
  const auto held = get_json(client, "/v1/contracts/" + url_encoded(table->contract));
  if (!held) return held.error();
  if (const auto* inside = member(*held, "builtin"); inside == nullptr || *inside == true)
    return false;
  const auto contract = check_contract(text_at(*held, "source"), table->contract);
  if (!contract) return contract.error();
  const auto* found = contract->find_table(table->table);
  return found != nullptr && !found->storers.empty();
}

/// Of the first table, or the one that is named, which holds rows with a text to change.
result<samples> rows_of_mesh(const latency_options& options, http_client& client) {
  const auto tables = get_json(client, "/v1/tables");
  if (!tables) return tables.error();
  for (const auto& each : list_of(*tables)) {
    samples out{text_at(each, "table"), {}, free_text_field(each)};
    if ((!options.table.empty() && options.table != out.table) || out.changed_field.empty()
        || number_at(each, "records") == 0)
      continue;
    if (options.table.empty()) { // whoever names one is told why it cannot be
      const auto fits = is_for_storing(client, out.table);
      if (!fits) return fits.error();
      if (!*fits) continue;
    }
    const auto rows =
        get_json(client, "/v1/tables/" + url_encoded(out.table) + "/rows?limit=100");
    if (!rows) return rows.error();
    for (const auto& found : list_at(*rows, "rows"))
      if (const auto* row = member(found, "row"); row != nullptr && row->is_object())
        out.rows.push_back(row->get_object());
    if (!out.rows.empty()) return out;
  }
  return make_error(errc::not_found, "there is no record with a text that could be changed: "
                                     "load some first, or give --file and --table");
}

struct measured {
  std::vector<double> times_ms; ///< ascending
  std::uint64_t unchanged = 0;  ///< operations that found the row as they wanted it
};

result<json::value> store_one(http_client& client, const table_name& table,
                              const json::object& row) {
  auto receipt = post_json(
      client, "/v1/operations?wait=finalized&timeout_ms=20000",
      store_operation(new_operation_id(), table.contract, table.table, json::serialize(row)),
      {milliseconds(30'000)});
  if (!receipt) return receipt;
  if (text_at(*receipt, "status") != "finalized")
    return make_error(errc::unavailable,
                      client.target().url() + ": no receipt within 20 s; see `tally status`");
  if (const auto* ok = member(*receipt, "ok"); ok != nullptr && *ok == false)
    return make_error(errc::forbidden, "refused: " + text_at(*receipt, "description") + " "
                                           + text_at(*receipt, "detail"));
  return receipt;
}

result<measured> measure(const latency_options& options, http_client& client) {
  const auto rows =
      options.file.empty() ? rows_of_mesh(options, client) : rows_of_file(options);
  if (!rows) return rows.error();
  const auto table = table_name::from_text(rows->table);
  if (!table) return table.error();
  measured out;
  progress bar("measuring", options.count);
  for (std::uint64_t i = 0; i < options.count; ++i) {
    const auto row = rows->row(i);
    const auto start = clock::now();
    const auto receipt = store_one(client, *table, row);
    if (!receipt) return receipt.error();
    out.times_ms.push_back(
        std::chrono::duration<double, std::milli>(clock::now() - start).count());
    if (number_at(*receipt, "changes") == 0) ++out.unchanged;
    bar.update(i + 1);
  }
  for (std::size_t i = 0; !rows->changed_field.empty() && i < rows->rows.size(); ++i) {
    if (i >= options.count) break; // never touched
    if (const auto back = store_one(client, *table, rows->rows[i]); !back) return back.error();
  }
  std::sort(out.times_ms.begin(), out.times_ms.end());
  return out;
}

exit_code run_latency(const latency_options& options, const invocation& told) {
  const auto where = find_gateway(options.where);
  if (!where) return report(where.error());
  http_client client(where->target);
  const auto done = measure(options, client);
  if (!done) return report(done.error());
  const auto& times = done->times_ms;
  // The smallest value that at least that share of all does not exceed.
  const auto at = [&](std::size_t percent) {
    return times[(times.size() * percent + 99) / 100 - 1];
  };
  if (told.json()) {
    print_json(json::value{{"count", times.size()},
                           {"unchanged", done->unchanged},
                           {"min_ms", times.front()},
                           {"median_ms", at(50)},
                           {"p95_ms", at(95)},
                           {"max_ms", times.back()}});
    return exit_code::ok;
  }
  std::cout << grouped(times.size())
            << " operations one after another, from submit to final receipt at " << where->node;
  if (done->unchanged > 0)
    std::cout << " (" << grouped(done->unchanged) << " of them changed nothing)";
  std::cout << ":\n";
  print_table(std::cout,
              {{"min ms", true}, {"median ms", true}, {"p95 ms", true}, {"max ms", true}},
              {{tenths(times.front()), tenths(at(50)), tenths(at(95)), tenths(times.back())}});
  return exit_code::ok;
}

} // namespace

void add_bench(command& program) {
  auto& bench =
      program.add("bench", "Measure a running mesh.",
                  {"tally bench load villages.csv --table divisions.villages --rows 100000",
                   "tally bench latency"});

  const auto load_settings = std::make_shared<load_options>();
  auto& load =
      bench.add("load",
                "Load rows through all gateways at once, and say how fast that went.\n"
                "Counts operations a second until they are final, executed and stored on all "
                "nodes, and shows\n"
                "each node's peak memory and CPU time.",
                {"tally bench load villages.csv --table divisions.villages --rows 100000"});
  load.argument("FILE", load_settings->file, "CSV or NDJSON");
  load.required_option("--table", load_settings->table, "Where to: contract.table");
  load.option("--rows", load_settings->rows, "Only the first so many rows; 0: all", 0,
              UINT64_MAX / 2);
  load.option("--window", load_settings->window, "Requests in flight a gateway", 1, 64);
  load.option("--request-rows", load_settings->request_rows, "Rows a request", 1, 10'000);
  load.option("--within", load_settings->within_s, "Seconds to wait for a node that is behind",
              1, 86'400);
  load_settings->where.declare(load, false);
  load.on_run(
      [load_settings](const invocation& told) { return run_load(*load_settings, told); });

  const auto latency_settings = std::make_shared<latency_options>();
  auto& latency = bench.add("latency",
                            "Store single rows one after another, and say how long each took.\n"
                            "Measures from submit to final receipt; the mesh should be idle. "
                            "Without --file it changes a\n"
                            "text in rows that are there, and at the end stores them as they "
                            "were.",
                            {"tally bench latency --count 200",
                             "tally bench latency --file cities.csv --table divisions.cities"});
  latency.option("--count", latency_settings->count, "How many operations", 1, 1'000'000);
  latency.option("--file", latency_settings->file, "Rows to store");
  latency.option("--table", latency_settings->table,
                 "contract.table (default: the first that holds records with a text)");
  latency_settings->where.declare(latency, true);
  latency.on_run([latency_settings](const invocation& told) {
    return run_latency(*latency_settings, told);
  });
}

} // namespace tallymesh::tally
