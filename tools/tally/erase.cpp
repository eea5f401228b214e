// `tally erase`: orders an erasure, and shows, keeps and checks the proof of who has erased.
#include "tools/tally/certificate.hpp"
#include "tools/tally/loader.hpp"
#include "tools/tally/operations.hpp"
#include "tools/tally/output.hpp"

#include <fstream>
#include <iostream>

namespace tallymesh::tally {

namespace {

constexpr std::uintmax_t most_file_bytes = 64 * 1024 * 1024;

struct erase_options {
  place where;
  std::string table, key, reason, certificate, to, verify;
};

// --- to order it

exit_code run_order(const erase_options& options, const invocation& told) {
  const auto table = table_name::from_text(options.table);
  if (!table) return report(table.error());
  if (options.key.empty() || options.reason.empty())
    return report(make_error(errc::bad_config,
                             options.key.empty()
                                 ? "give the KEY of the row to erase"
                                 : "give a --reason: it is kept on the chain for ever, so do "
                                   "not repeat in it what is to be erased"));
  json::array key;
  for (auto& each : key_parts(options.key))
    key.emplace_back(std::move(each));
  const auto done =
      act(options.where, table->contract, "erase",
          {{"table", table->table}, {"key", std::move(key)}, {"reason", options.reason}}, told);
  if (done == exit_code::ok && !told.json())
    std::cout << "every node erases it and signs that it has: tally erase --certificate "
                 "OPERATION shows who did\n";
  return done;
}

// --- the proof

result<json::value> certificate_from(const erase_options& options) {
  if (!operation_id::from_hex(options.certificate))
    return make_error(errc::bad_config, "the operation id " + options.certificate.substr(0, 80)
                                            + " is not 32 hexadecimal characters");
  const auto at = find_gateway(options.where);
  if (!at) return at.error();
  http_client client(at->target);
  const auto status = get_json(client, "/v1/status");
  if (!status) return status.error();
  const auto of_it = where_text({{"id", options.certificate}});
  const auto orders = list_table(client, "erasure.erasures", of_it);
  if (!orders) return orders.error();
  const auto attestations = list_table(client, "erasure.attestations", of_it);
  if (!attestations) return attestations.error();
  return certificate_of(text_at(*status, "chain"), *orders, *attestations);
}

result<configs::genesis> genesis_at(const place& where) {
  const std::filesystem::path given = where.mesh;
  return configs::load_genesis(std::filesystem::is_directory(given) ? given / "genesis.toml"
                                                                    : given);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& each : names)
    (text += text.empty() ? "" : ", ") += each;
  return text.empty() ? "-" : text;
}

bool is_complete(const std::vector<proven_erasure>& all) {
  return std::all_of(all.begin(), all.end(),
                     [](const proven_erasure& each) { return each.missing.empty(); });
}

json::array as_json(const std::vector<proven_erasure>& all) {
  json::array out;
  for (const auto& each : all) {
    json::array erased_by, missing;
    for (const auto& name : each.erased_by)
      erased_by.emplace_back(name);
    for (const auto& name : each.missing)
      missing.emplace_back(name);
    out.push_back(json::object{{"operation", each.what.id.hex()},
                               {"table", each.what.table},
                               {"row_key", to_hex(each.what.key)},
                               {"reason", each.what.reason},
                               {"ordered_by", each.what.author + "@" + each.what.node},
                               {"height", each.what.height},
                               {"erased_by", std::move(erased_by)},
                               {"missing", std::move(missing)}});
  }
  return out;
}

void print(const std::vector<proven_erasure>& all) {
  for (const auto& each : all) {
    const auto& x = each.what;
    print_table(std::cout, {{"what"}, {"value"}},
                {{"operation", x.id.hex()},
                 {"row of", x.table},
                 {"key, encoded", to_hex(x.key)},
                 {"reason", x.reason},
                 {"ordered by", x.author + "@" + x.node + " at height "
                                    + std::to_string(x.height) + ", " + time_text(x.time_ms)},
                 {"erased by", cell(joined(each.erased_by), colour::green)},
                 {"not yet by", cell(joined(each.missing),
                                     each.missing.empty() ? colour::none : colour::red)}});
  }
}

exit_code show(const json::value& file, const erase_options& options, const invocation& told) {
  const auto mesh = genesis_at(options.where);
  if (!mesh) return report(mesh.error());
  const auto proven = check_certificate(file, *mesh);
  if (!proven) return report(proven.error());
  if (told.json())
    print_json(as_json(*proven));
  else
    print(*proven);
  return is_complete(*proven) ? exit_code::ok : exit_code::differs;
}

exit_code run_certificate(const erase_options& options, const invocation& told) {
  const auto file = certificate_from(options);
  if (!file) return report_absence(file.error());
  if (!options.to.empty()) {
    std::ofstream out(options.to);
    out << json::serialize(*file) << '\n';
    if (!out.flush()) return report(make_error(errc::storage, "cannot write " + options.to));
  }
  return show(*file, options, told);
}

exit_code run_verify(const erase_options& options, const invocation& told) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(options.verify, failed);
  if (failed || size > most_file_bytes)
    return report(make_error(
        failed ? errc::not_found : errc::too_large,
        options.verify + (failed ? ": " + failed.message() : " is larger than 64 MiB")));
  std::ifstream in(options.verify);
  std::string text(std::istreambuf_iterator<char>(in), {});
  const auto file = parse_json(text);
  if (!file) return report(file.error());
  return show(*file, options, told);
}

exit_code run_erase(const erase_options& options, const invocation& told) {
  const int chosen =
      !options.table.empty() + !options.certificate.empty() + !options.verify.empty();
  if (chosen != 1)
    return report(make_error(errc::bad_config, "give TABLE and KEY, or --certificate, or "
                                               "--verify: one of the three"));
  if (!options.certificate.empty()) return run_certificate(options, told);
  if (!options.verify.empty()) return run_verify(options, told);
  return run_order(options, told);
}

} // namespace

void add_erase(command& program) {
  const auto options = std::make_shared<erase_options>();
  auto& erase = program.add(
      "erase",
      "Erase a row: from the tables, from history, batches and indexes, on every node.\n"
      "Digests stay, so the chain still verifies. The key and the reason stay too. It takes "
      "the right\n`erase` of the table. Each node signs that it has erased; the certificate "
      "holds these\nsignatures, and is checked with nothing but the mesh's genesis (exit 1 "
      "while nodes are missing).",
      {"tally erase people.persons P-17 --reason \"the subscriber asked for it, ticket 4711\"",
       "tally erase --certificate 01932f6c1a2b3c4d5e6f708192a3b4c5 --to erased.json",
       "tally erase --verify erased.json --mesh ./mesh"});
  erase.optional_argument("TABLE", options->table, "contract.table");
  erase.optional_argument("KEY", options->key,
                          "The row's key; its parts separated by commas, \\, for a comma");
  erase.option("--reason", options->reason, "Why; stays on the chain");
  erase.option("--certificate", options->certificate,
               "Show who has erased what this operation ordered");
  erase.option("--to", options->to, "With --certificate: write it to this file");
  erase.option("--verify", options->verify,
               "Check a certificate's file; --mesh names the genesis, no node is asked");
  options->where.declare(erase, true);
  erase.on_run([options](const invocation& told) { return run_erase(*options, told); });
}

} // namespace tallymesh::tally
