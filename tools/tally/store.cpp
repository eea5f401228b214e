// `tally store` and `tally delete`.
#include "tools/tally/loader.hpp"
#include "tools/tally/output.hpp"

#include <charconv>
#include <iostream>

namespace tallymesh::tally {

namespace {

struct store_options {
  place where;
  std::string file, table, call, format, part;
  bool all_nodes = false;
  std::uint64_t window = load_settings{}.window;
  std::uint64_t request_rows = load_settings{}.request_rows;
  std::uint64_t give_up_s = 120;
};

result<std::optional<row_format>> parsed_format(const std::string& text) {
  if (text.empty()) return std::optional<row_format>();
  if (text == "csv") return std::optional(row_format::csv);
  if (text == "ndjson") return std::optional(row_format::ndjson);
  return make_error(errc::bad_config, "--format is " + text + ", expected csv or ndjson");
}

/// Rows [first, last) of a file.
struct range {
  std::uint64_t first = 0, last = UINT64_MAX;
};

std::optional<std::uint64_t> number_from(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

/// "2/4": the second quarter of the file.
result<range> parsed_part(std::string_view text, std::uint64_t total) {
  if (text.empty()) return range{};
  const auto slash = text.find('/');
  const auto index = number_from(text.substr(0, slash));
  const auto count = slash == text.npos ? std::nullopt : number_from(text.substr(slash + 1));
  if (!index || !count || *index == 0 || *index > *count || *count > 1'000'000)
    return make_error(errc::bad_config, "--part is " + std::string(text.substr(0, 40))
                                            + ", expected I/N such as 1/4");
  return range{total * (*index - 1) / *count, total * *index / *count};
}

json::value as_json(const load_summary& done) {
  json::array reasons;
  for (const auto& each : done.first_refused)
    reasons.push_back({{"line", each.line}, {"why", each.why}});
  const auto ms = std::max<std::int64_t>(1, done.took.count());
  return {{"stored", done.stored},
          {"unchanged", done.unchanged},
          {"refused", done.refused},
          {"first_refused", std::move(reasons)},
          {"resent", done.resent},
          {"last_height", done.last_height},
          {"took_ms", ms},
          {"operations_per_second", done.all() * 1000 / static_cast<std::uint64_t>(ms)}};
}

void print(const load_summary& done, const std::string& file) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(1, done.took.count()));
  std::cout << grouped(done.stored) << " stored, " << grouped(done.unchanged) << " unchanged, "
            << painted(done.refused > 0 ? colour::red : colour::none,
                       grouped(done.refused) + " refused")
            << " in " << duration_text(done.took) << ", " << grouped(done.all() * 1000 / ms)
            << " a second\n";
  for (const auto& each : done.first_refused)
    std::cout << "  " << printable(file) << ":" << each.line << ": " << printable(each.why)
              << '\n';
  if (done.refused > done.first_refused.size())
    std::cout << "  and " << grouped(done.refused - done.first_refused.size()) << " more\n";
}

result<std::vector<gateway>> chosen_gateways(const store_options& options) {
  if (options.all_nodes && !options.where.node.empty())
    return make_error(errc::bad_config, "--all-nodes and --node exclude each other");
  if (options.all_nodes) return find_gateways(options.where);
  auto one = find_gateway(options.where);
  if (!one) return one.error();
  return std::vector<gateway>{std::move(*one)};
}

result<load_summary> store(const store_options& options) {
  if (options.table.empty() == options.call.empty())
    return make_error(errc::bad_config, "give either --table or --call");
  auto table = table_name::from_text(options.call.empty() ? options.table : options.call);
  if (!table) return table.error();
  const auto format = parsed_format(options.format);
  if (!format) return format.error();
  auto gateways = chosen_gateways(options);
  if (!gateways) return gateways.error();

  // Reading the file once before finds what would stop half-way, and says how long the bar is.
  std::uint64_t total = 0;
  if (options.file != "-") {
    const auto counted = count_rows(options.file, *format);
    if (!counted) return counted.error();
    total = *counted;
  } else if (!options.part.empty()) {
    return make_error(errc::bad_config, "--part needs a file, not standard input");
  }
  const auto part = parsed_part(options.part, total);
  if (!part) return part.error();
  const auto rows = total == 0 ? 0 : std::min(part->last, total) - part->first;

  load_settings settings;
  settings.calls = !options.call.empty();
  settings.window = options.window;
  settings.give_up_after = std::chrono::seconds(options.give_up_s);
  settings.request_rows = options.request_rows;
  // Small files too are dealt over all nodes and connections.
  if (rows > 0)
    settings.request_rows =
        std::clamp<std::uint64_t>(rows / (2 * gateways->size()), 1, settings.request_rows);

  auto reader = row_reader::open(options.file, *format);
  if (!reader) return reader.error();
  loader sending(*gateways, *table, settings);
  progress bar("storing", rows);
  const auto draw = [&] { bar.update(sending.done()); };
  std::uint64_t number = 0, sent = 0;
  for (;; ++number) {
    auto row = reader->next();
    if (!row) return row.error();
    if (!*row || number >= part->last) break;
    if (number < part->first) continue;
    const auto to = sent++ / settings.request_rows % gateways->size();
    if (!sending.add(to, std::move(**row), draw)) break;
    draw();
  }
  return sending.finish(draw);
}

exit_code run_store(const store_options& options, const invocation& told) {
  const auto done = store(options);
  if (!done) return report(done.error());
  if (told.json())
    print_json(as_json(*done));
  else
    print(*done, options.file);
  return done->refused > 0 ? exit_code::differs : exit_code::ok;
}

// --- delete

struct delete_options {
  place where;
  std::string table;
  std::vector<std::string> keys;
};

std::string delete_operation(const table_name& table, const std::string& key) {
  json::array parts;
  for (auto& each : key_parts(key))
    parts.emplace_back(each);
  return json::serialize(
      json::value{{"id", new_operation_id().hex()},
                  {"contract", table.contract},
                  {"action", "delete"},
                  {"arguments", {{"table", table.table}, {"key", std::move(parts)}}}});
}

exit_code run_delete(const delete_options& options, const invocation& told) {
  const auto table = table_name::from_text(options.table);
  if (!table) return report(table.error());
  const auto where = find_gateway(options.where);
  if (!where) return report(where.error());
  http_client client(where->target);
  json::array receipts;
  bool all_done = true;
  for (const auto& key : options.keys) {
    auto receipt =
        post_json(client, "/v1/operations?wait=finalized&timeout_ms=20000",
                  delete_operation(*table, key), {std::chrono::milliseconds(30'000)});
    if (!receipt) return report(receipt.error());
    const auto* ok = member(*receipt, "ok");
    const bool deleted = ok != nullptr && ok->is_bool() && ok->get_bool();
    all_done = all_done && deleted;
    if (!told.json()) {
      const auto height = std::to_string(number_at(*receipt, "height"));
      std::cout << printable(options.table + " " + key) << ": "
                << (deleted ? "deleted at height " + height
                            : painted(colour::red,
                                      "not deleted: "
                                          + printable(text_at(*receipt, "description",
                                                              text_at(*receipt, "status")))))
                << '\n';
    }
    receipts.push_back(std::move(*receipt));
  }
  if (told.json()) print_json(receipts);
  return all_done ? exit_code::ok : exit_code::differs;
}

} // namespace

void add_store(command& program) {
  const auto options = std::make_shared<store_options>();
  auto& store = program.add(
      "store",
      "Store the rows of a CSV or NDJSON file in a table, each exactly once.\n"
      "Waits until every row is final. A row that the contract refuses is reported with its "
      "line and\n"
      "does not stop the others (exit 1).",
      {"tally store cities.csv --table divisions.cities",
       "tally store cities.csv --table divisions.cities --all-nodes",
       "tally store cities.csv --table divisions.cities --node coop --part 2/4",
       "tally store usage.csv --call interconnect.collect",
       "zcat rows.ndjson.gz | tally store - --format ndjson --table divisions.villages"});
  store.argument("FILE", options->file,
                 "CSV with a first line of field names, or NDJSON; - for standard input");
  store.option("--table", options->table, "Where to: contract.table");
  store.option("--call", options->call,
               "Call this action with each row instead: contract.action");
  store.option("--format", options->format, "csv or ndjson (default: by the file's name)");
  store.flag("--all-nodes", options->all_nodes, "Deal the rows over the gateways of all nodes");
  store.option("--part", options->part, "Only the I-th of N equal parts of the file, I/N");
  store.option("--window", options->window, "Requests in flight a gateway", 1, 64);
  store.option("--request-rows", options->request_rows, "Rows a request", 1, 10'000);
  store.option("--give-up-after", options->give_up_s,
               "Seconds to wait for a gateway that does not answer", 1, 86'400);
  options->where.declare(store, true);
  store.on_run([options](const invocation& told) { return run_store(*options, told); });

  const auto deleting = std::make_shared<delete_options>();
  auto& erase = program.add(
      "delete",
      "Delete rows by key, and wait until that is final. Their history stays.\n"
      "The parts of a key are separated by commas; \\, stands for a comma inside a part.",
      {"tally delete divisions.cities 1101", "tally delete divisions.areas 110101 110102"});
  erase.argument("TABLE", deleting->table, "contract.table");
  erase.arguments("KEY", deleting->keys, "The key of each row to delete");
  deleting->where.declare(erase, true);
  erase.on_run([deleting](const invocation& told) { return run_delete(*deleting, told); });
}

} // namespace tallymesh::tally
