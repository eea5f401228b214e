// `tally contract …`: writing contracts and bringing them into the mesh.
#include "contracts/trial.hpp"
#include "tools/tally/command.hpp"
#include "tools/tally/contract_files.hpp"
#include "tools/tally/operations.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>

namespace tallymesh::tally {

namespace {

struct contract_options {
  place where;
  std::string name, file, other, proposal, reason, version;
  std::string propose = "anyone", approve = "anyone";
  std::uint64_t approvals = 0, verdicts = 0;
  bool all = false;
};
using options_ptr = std::shared_ptr<contract_options>;

/// What the codes of the contract `mesh` mean to the one who typed a command.
std::string_view meaning_of(std::string_view code) {
  static constexpr std::pair<std::string_view, std::string_view> known[] = {
      {"not_parsed", "the mesh cannot read the file as a contract"},
      {"old_version", "its version must be above the one in force; raise version in the file"},
      {"same_source", "exactly this file is in force already"},
      {"unknown_contract", "the mesh has no such contract"},
      {"never_active", "that version never was in force"},
      {"same_state", "that is its state already"},
      {"already_open", "you have a proposal of this kind for this contract open; tally "
                       "contract status shows it"},
      {"unknown_party", "the mesh has no such node or account"},
      {"too_many_open", "you, or your node's accounts together, have as many proposals open as "
                        "may be; withdraw one"},
      {"bad_threshold",
       "it takes more nodes than may be faulty, and no more than those that may approve"},
      {"not_open", "the proposal is decided, withdrawn or past its time"},
      {"not_proposer", "only who proposed may withdraw"},
  };
  for (const auto& [name, meaning] : known)
    if (name == code) return meaning;
  return {};
}

exit_code refused(const std::string& what, const json::value& receipt) {
  auto why = reason_of(receipt);
  if (const auto meaning = meaning_of(text_at(receipt, "detail")); !meaning.empty())
    why = meaning;
  std::cerr << "tally: not done: " << printable(what + ": " + why) << '\n';
  return exit_code::differs;
}

/// Line by line, each made harmless.
void print_lines(std::ostream& out, std::string_view text) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    out << printable(text.substr(0, end)) << '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

/// What is wrong with a contract file, with the line below it.
exit_code report_file(const error& why) {
  print_lines(std::cerr, why.context);
  return exit_code::differs;
}

// --- new, check: without a mesh

exit_code run_new(const contract_options& options, const invocation&) {
  const auto text = contract_template(options.name);
  if (!text) return report(text.error());
  const auto file = options.file.empty() ? options.name + ".lua" : options.file;
  if (file == "-") {
    std::cout << *text;
    return exit_code::ok;
  }
  if (std::filesystem::exists(file))
    return report(
        make_error(errc::conflict, file + " exists already; give another with --file"));
  std::ofstream out(file, std::ios::binary);
  out << *text;
  if (!out.flush())
    return report(
        make_error(errc::storage, "cannot write " + file + "; is the folder writable?"));
  std::cout << "wrote " << printable(file) << "\nnext: edit it, then tally contract check "
            << printable(file) << '\n';
  return exit_code::ok;
}

json::value as_json(const contracts::contract& x) {
  json::array tables, actions;
  for (const auto& table : x.tables)
    tables.push_back({{"table", table.full_name},
                      {"fields", table.fields.size()},
                      {"indexes", table.indexes.size()}});
  for (const auto& action : x.actions)
    actions.push_back({{"action", action.name}, {"doc", action.doc}});
  return {{"contract", x.name},
          {"version", x.version},
          {"digest", x.source.hex()},
          {"tables", std::move(tables)},
          {"actions", std::move(actions)}};
}

exit_code run_check(const contract_options& options, const invocation& told) {
  const auto source = read_contract_file(options.file);
  if (!source) return report(source.error());
  const auto checked = check_contract(*source, options.file);
  if (!checked) {
    if (told.json()) print_json({{"ok", false}, {"error", checked.error().context}});
    return report_file(checked.error());
  }
  if (told.json()) {
    print_json(as_json(*checked));
    return exit_code::ok;
  }
  std::cout << printable(options.file) << ": good. Contract " << checked->name << ", version "
            << checked->version << ", digest " << checked->source.short_hex() << '\n';
  for (const auto& table : checked->tables)
    std::cout << "  table " << table.full_name << ": " << table.fields.size() << " fields, "
              << table.indexes.size() << " indexes\n";
  for (const auto& action : checked->actions)
    std::cout << "  action " << action.name << (action.doc.empty() ? "" : ": ")
              << printable(action.doc) << '\n';
  return exit_code::ok;
}

// --- test

struct tested {
  std::string sentence;
  contracts::run_outcome came;
};

std::vector<tested> run_tests(contracts::trial& of) {
  std::vector<tested> all;
  const auto& sentences = of.declared().tests;
  progress shown("testing", sentences.size());
  for (const auto& each : sentences) {
    shown.update(all.size(), each);
    all.push_back({each, of.run(each)});
  }
  shown.finish();
  return all;
}

exit_code run_test(const contract_options& options, const invocation& told) {
  const auto source = read_contract_file(options.file);
  if (!source) return report(source.error());
  const auto checked = check_contract(*source, options.file);
  if (!checked) return report_file(checked.error());
  const auto trial = contracts::trial::make(*source, options.file);
  if (!trial) return report_file(trial.error());
  std::size_t failed = 0;
  json::array listed;
  for (const auto& [sentence, came] : run_tests(**trial)) {
    failed += !came.ok();
    if (told.json()) {
      listed.push_back({{"test", sentence}, {"passed", came.ok()}, {"text", came.text}});
      continue;
    }
    std::cout << (came.ok() ? painted(colour::green, "passed") : painted(colour::red, "FAILED"))
              << ' ' << printable(sentence) << '\n';
    if (!came.ok()) print_lines(std::cout, with_text_of_line(came.text, *source, options.file));
  }
  const auto passed = checked->tests.size() - failed;
  if (told.json())
    print_json(listed);
  else if (checked->tests.empty())
    std::cout << printable(options.file)
              << " holds no tests; tally contract new shows how they are written\n";
  else
    std::cout << grouped(passed) << " passed, " << grouped(failed) << " failed\n";
  return failed == 0 ? exit_code::ok : exit_code::differs;
}

// --- proposals

constexpr std::size_t most_listed = 10'000;

std::string proposal_line(const json::value& x) {
  auto text = text_at(x, "kind") + " " + text_at(x, "contract");
  if (const auto version = number_at(x, "version"); version > 0)
    text += " version " + std::to_string(version);
  return text;
}

/// Hands in an action of `mesh`; says `done` and what comes next.
exit_code act(const contract_options& options, const invocation& told, std::string_view action,
              json::object arguments, const std::string& done) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  http_client client(at->target);
  if (!options.reason.empty()) arguments["reason"] = options.reason;
  const auto receipt = perform(client, "mesh", action, std::move(arguments));
  if (!receipt) return report(receipt.error());
  if (told.json()) {
    print_json(*receipt);
    return is_done(*receipt) ? exit_code::ok : exit_code::differs;
  }
  if (!is_done(*receipt)) return refused(std::string(action), *receipt);
  std::cout << done << " at height " << number_at(*receipt, "height") << '\n';
  if (action.starts_with("propose") || action == "roll_back") {
    const auto id = text_at(*receipt, "id");
    std::cout << "proposal " << id << "\nnext: tally contract status " << id
              << "\n      tally contract approve " << id << "   (one vote a node)\n";
  }
  return exit_code::ok;
}

exit_code run_propose(const contract_options& options, const invocation& told) {
  const auto source = read_contract_file(options.file);
  if (!source) return report(source.error());
  const auto checked = check_contract(*source, options.file);
  if (!checked) return report_file(checked.error());
  return act(options, told, "propose", {{"source", *source}},
             "proposed " + checked->name + " version " + std::to_string(checked->version));
}

exit_code run_vote(const contract_options& options, const invocation& told, const char* action,
                   const char* done) {
  return act(options, told, action, {{"proposal", options.proposal}}, done);
}

exit_code run_state(const contract_options& options, const invocation& told,
                    const char* action) {
  return act(options, told, action, {{"contract", options.name}}, "proposed");
}

exit_code run_rules(const contract_options& options, const invocation& told) {
  return act(options, told, "propose_rules",
             {{"contract", options.name},
              {"propose", options.propose},
              {"approve", options.approve},
              {"approvals", options.approvals},
              {"verdicts", options.verdicts}},
             "proposed new rules for " + options.name);
}

// --- status

result<json::value> details_of(http_client& client, const json::value& proposal) {
  const auto query = "&proposal=" + url_encoded(text_at(proposal, "id"));
  auto verdicts = list_table(client, "mesh.verdicts", query, limits::max_nodes);
  if (!verdicts) return verdicts.error();
  auto votes = list_table(client, "mesh.approvals", query, limits::max_nodes);
  if (!votes) return votes.error();
  json::object all = proposal.is_object() ? proposal.get_object() : json::object();
  all["node_verdicts"] = json::array(verdicts->begin(), verdicts->end());
  all["node_votes"] = json::array(votes->begin(), votes->end());
  return json::value(std::move(all));
}

bool flag_at(const json::value& x, std::string_view name) {
  const auto* found = member(x, name);
  return found != nullptr && found->is_bool() && found->get_bool();
}

/// What the chain says in codes, for people.
std::string outcome_text(const json::value& x) {
  static constexpr std::pair<std::string_view, std::string_view> words[] = {
      {"in_force", "in force"},
      {"withdrawn", "its proposer took it back"},
      {"timed_out", "its time ran out"},
      {"voted_against", "too many nodes voted against it"},
      {"verification_failed", "too many nodes found it bad, the first of them"},
      {"outdated", "another version came in force meanwhile; propose it again"},
      {"same_state", "it was frozen, or not frozen, already"},
      {"not_parsed", "its source is no contract"},
      {"built_in", "a contract of this name is built into the program"},
      {"cannot_run", "its code cannot run"},
      {"closed_rows", "rows that are settled would open"},
      {"contradicts_others", "it names what other contracts, or the mesh, do not have"},
      {"table_has_rows", "it no longer declares a table that has rows:"},
      {"row_does_not_fit", "does not fit:"},
      {"key_would_change", "the key would change of"},
      {"too_much_work", "too much to take over:"},
      {"migration_failed", "its migration failed:"}};
  auto text = text_at(x, "outcome");
  for (const auto& [code, said] : words)
    if (text == code) {
      text = said;
      break;
    }
  for (const auto* field : {"outcome_node", "outcome_table"})
    if (const auto part = text_at(x, field); !part.empty()) text += " " + part;
  if (const auto row = text_at(x, "outcome_row"); !row.empty()) text += " row " + row;
  if (const auto cause = text_at(x, "outcome_cause"); !cause.empty()) {
    const auto detail = text_at(x, "outcome_detail");
    text += " " + cause + (detail.empty() ? "" : " (" + detail + ")");
  }
  return text;
}

void print_details(const json::value& x) {
  std::vector<std::vector<cell>> lines = {{"proposal", text_at(x, "id")},
                                          {"what", proposal_line(x)},
                                          {"by", text_at(x, "proposer")},
                                          {"at", time_text(number_at(x, "time_ms"))},
                                          {"open until", time_text(number_at(x, "until_ms"))}};
  if (text_at(x, "kind") == "rules") {
    const auto count = [&](const char* field) {
      const auto asked = number_at(x, field);
      return asked == 0 ? std::string("a quorum") : std::to_string(asked);
    };
    lines.push_back({"may propose", text_at(x, "propose")});
    lines.push_back({"may approve", text_at(x, "approve")});
    lines.push_back({"approvals needed", count("approvals")});
    lines.push_back({"verdicts needed", count("verdicts")});
  }
  if (const auto why = text_at(x, "reason"); !why.empty()) lines.push_back({"reason", why});
  auto state = text_at(x, "state");
  if (const auto outcome = outcome_text(x); !outcome.empty()) state += ": " + outcome;
  lines.push_back({"state", cell(state, text_at(x, "state") == "refused"    ? colour::red
                                        : text_at(x, "state") == "accepted" ? colour::green
                                                                            : colour::yellow)});
  print_table(std::cout, {{"what"}, {"value"}}, lines);
  lines.clear();
  for (const auto& each : list_at(x, "node_verdicts")) {
    const bool good = flag_at(each, "good");
    lines.push_back({text_at(each, "node"),
                     good ? cell("good", colour::green) : cell("bad", colour::red),
                     grouped(static_cast<std::uint64_t>(number_at(each, "tests"))),
                     grouped(static_cast<std::uint64_t>(number_at(each, "rows"))),
                     grouped(static_cast<std::uint64_t>(number_at(each, "replayed"))),
                     grouped(static_cast<std::uint64_t>(number_at(each, "differing"))),
                     text_at(each, "findings", "-")});
  }
  if (!lines.empty()) {
    std::cout << "\nwhat each node found\n";
    print_table(std::cout,
                {{"node"},
                 {"verdict"},
                 {"tests", true},
                 {"rows", true},
                 {"replayed", true},
                 {"differing", true},
                 {"findings"}},
                lines);
  }
  lines.clear();
  for (const auto& each : list_at(x, "node_votes"))
    lines.push_back({text_at(each, "node"),
                     flag_at(each, "approve") ? cell("approve", colour::green)
                                              : cell("reject", colour::red),
                     text_at(each, "account"), time_text(number_at(each, "time_ms")),
                     text_at(each, "reason", "-")});
  if (lines.empty()) return;
  std::cout << "\nvotes\n";
  print_table(std::cout, {{"node"}, {"vote"}, {"account"}, {"at"}, {"reason"}}, lines);
}

void print_proposals(const std::vector<json::value>& all) {
  std::vector<std::vector<cell>> lines;
  for (const auto& each : all)
    lines.push_back({text_at(each, "id"), proposal_line(each), text_at(each, "state"),
                     text_at(each, "proposer"), time_text(number_at(each, "time_ms")),
                     text_at(each, "outcome").empty() ? "-" : outcome_text(each)});
  if (lines.empty())
    std::cout << "no proposals\n";
  else
    print_table(std::cout, {{"proposal"}, {"what"}, {"state"}, {"by"}, {"at"}, {"outcome"}},
                lines);
}

exit_code run_status(const contract_options& options, const invocation& told) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  http_client client(at->target);
  if (operation_id::from_hex(options.proposal)) {
    const auto row = find_row(client, "mesh.proposals", {options.proposal});
    if (!row) return report(row.error());
    if (!*row)
      return report(make_error(errc::not_found, "there is no proposal " + options.proposal
                                                    + "; tally contract status lists them"));
    const auto details = details_of(client, **row);
    if (!details) return report(details.error());
    if (told.json())
      print_json(*details);
    else
      print_details(*details);
    return exit_code::ok;
  }
  const auto query =
      options.proposal.empty() ? std::string() : "&contract=" + url_encoded(options.proposal);
  auto all = list_table(client, "mesh.proposals", query, most_listed);
  if (!all) return report(all.error());
  if (!options.all && options.proposal.empty())
    std::erase_if(*all, [](const json::value& x) {
      const auto state = text_at(x, "state");
      return state != "verifying" && state != "voting";
    });
  std::sort(all->begin(), all->end(), [](const json::value& a, const json::value& b) {
    const auto place = [](const json::value& x) {
      return std::pair(number_at(x, "height"), number_at(x, "position"));
    };
    return place(a) < place(b);
  });
  if (told.json())
    print_json(json::array(all->begin(), all->end()));
  else
    print_proposals(*all);
  return exit_code::ok;
}

// --- history, show, diff, verify

exit_code run_history(const contract_options& options, const invocation& told) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  http_client client(at->target);
  const auto query = "&contract=" + url_encoded(options.name);
  auto proposals = list_table(client, "mesh.proposals", query, most_listed);
  if (!proposals) return report(proposals.error());
  std::erase_if(*proposals,
                [](const json::value& x) { return text_at(x, "state") != "accepted"; });
  std::sort(proposals->begin(), proposals->end(),
            [](const json::value& a, const json::value& b) {
              return number_at(a, "decided_height") < number_at(b, "decided_height");
            });
  const auto versions = list_table(client, "mesh.versions", query, most_listed);
  if (!versions) return report(versions.error());
  json::array all;
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *versions)
    if (text_at(each, "proposal").empty())
      lines.push_back({"0", "genesis: version " + std::to_string(number_at(each, "version")),
                       text_at(each, "digest").substr(0, 12), "-", "-"});
  for (const auto& each : *proposals) {
    const auto details = details_of(client, each);
    if (!details) return report(details.error());
    std::string voters;
    for (const auto& vote : list_at(*details, "node_votes"))
      if (flag_at(vote, "approve"))
        voters += (voters.empty() ? "" : ", ") + text_at(vote, "account");
    lines.push_back({std::to_string(number_at(each, "decided_height")), proposal_line(each),
                     text_at(each, "digest", "-").substr(0, 12), text_at(each, "proposer"),
                     voters});
    all.push_back(*details);
  }
  if (lines.empty()) {
    const auto known = get_json(client, "/v1/contracts/" + url_encoded(options.name));
    if (!known) return report(known.error());
  }
  if (told.json())
    print_json(all);
  else if (lines.empty())
    std::cout << printable(options.name) << " is as genesis gave it\n";
  else
    print_table(std::cout,
                {{"height", true}, {"what"}, {"digest"}, {"proposed by"}, {"approved by"}},
                lines);
  return exit_code::ok;
}

result<std::string> source_of(http_client& client, const std::string& digest) {
  const auto row = find_row(client, "mesh.sources", {digest});
  if (!row) return row.error();
  if (!*row) return make_error(errc::not_found, "the mesh has no source " + digest);
  return text_at(**row, "source");
}

/// The digest of a version that was in force: by its number, or by the start of its digest.
result<std::string> digest_of_version(http_client& client, const std::string& name,
                                      const std::string& version) {
  const auto known =
      list_table(client, "mesh.versions", "&contract=" + url_encoded(name), most_listed);
  if (!known) return known.error();
  std::string found;
  for (const auto& each : *known)
    if (std::to_string(number_at(each, "version")) == version
        || text_at(each, "digest").starts_with(version))
      found = text_at(each, "digest");
  if (found.empty())
    return make_error(errc::not_found, name + " never had a version " + version
                                           + " in force before; tally contract history " + name
                                           + " lists them");
  return found;
}

/// A file; or a contract of the mesh: NAME is the one in force, NAME@VERSION an earlier one, a
/// proposal's id what was proposed.
result<std::string> source_named(const contract_options& options, const std::string& what) {
  if (std::filesystem::exists(what)) return read_contract_file(what);
  const auto at = find_gateway(options.where);
  if (!at) return at.error();
  http_client client(at->target);
  if (operation_id::from_hex(what)) {
    const auto row = find_row(client, "mesh.proposals", {what});
    if (!row) return row.error();
    if (!*row || text_at(**row, "digest").empty())
      return make_error(errc::not_found, "there is no proposal of a contract " + what);
    return source_of(client, text_at(**row, "digest"));
  }
  const auto cut = what.find('@');
  const auto name = what.substr(0, cut);
  const auto in_force = get_json(client, "/v1/contracts/" + url_encoded(name));
  if (!in_force) return in_force.error();
  if (cut == what.npos
      || std::to_string(number_at(*in_force, "version")) == what.substr(cut + 1))
    return text_at(*in_force, "source");
  const auto digest = digest_of_version(client, name, what.substr(cut + 1));
  if (!digest) return digest.error();
  return source_of(client, *digest);
}

exit_code run_show(const contract_options& options, const invocation& told) {
  const auto source = source_named(options, options.name);
  if (!source) return report(source.error());
  if (told.json())
    print_json({{"source", *source}});
  else
    std::cout << *source;
  return exit_code::ok;
}

exit_code run_diff(const contract_options& options, const invocation& told) {
  const auto before = source_named(options, options.file);
  if (!before) return report(before.error());
  const auto after = source_named(options, options.other);
  if (!after) return report(after.error());
  const auto old_contract = check_contract(*before, options.file);
  if (!old_contract) return report_file(old_contract.error());
  const auto new_contract = check_contract(*after, options.other);
  if (!new_contract) return report_file(new_contract.error());
  auto differences = differences_between(*old_contract, *new_contract);
  if (old_contract->name != new_contract->name)
    differences.insert(differences.begin(), "these are two contracts: " + old_contract->name
                                                + " and " + new_contract->name);
  if (told.json()) {
    json::array lines;
    for (const auto& each : differences)
      lines.emplace_back(each);
    print_json({{"same_source", *before == *after}, {"differences", std::move(lines)}});
    return *before == *after ? exit_code::ok : exit_code::differs;
  }
  if (*before == *after) {
    std::cout << "the same, to the byte\n";
    return exit_code::ok;
  }
  for (const auto& each : differences)
    std::cout << printable(each) << '\n';
  if (differences.empty()) std::cout << "declared tables, rights and actions are the same\n";
  std::cout << '\n' << text_difference(*before, options.file, *after, options.other);
  return exit_code::differs;
}

/// The proposal that put the contract in force, with verdicts and votes; null: genesis did.
result<json::value> proposal_in_force(http_client& client, const std::string& contract) {
  const auto row = find_row(client, "mesh.contracts", {contract});
  if (!row) return row.error();
  const auto id = *row ? text_at(**row, "proposal") : std::string();
  if (id.empty()) return json::value();
  const auto found = find_row(client, "mesh.proposals", {id});
  if (!found) return found.error();
  if (!*found) return make_error(errc::not_found, "the mesh has no proposal " + id);
  return details_of(client, **found);
}

/// Every node is asked: what one node says is no proof.
exit_code run_verify(const contract_options& options, const invocation& told) {
  const auto source = read_contract_file(options.file);
  if (!source) return report(source.error());
  const auto wanted = hash(digest_kind::contract, as_bytes(*source)).hex();
  const auto gateways = find_gateways(options.where);
  if (!gateways) return report(gateways.error());
  auto clients = clients_of(*gateways);
  const auto answers = ask_all(clients, "/v1/contracts/" + url_encoded(options.name));
  std::size_t same = 0, other = 0;
  http_client* knows = nullptr; // the contract
  json::array nodes;
  std::vector<std::vector<cell>> lines;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto said = answers[i] ? text_at(*answers[i], "digest") : std::string();
    const bool match = said == wanted;
    if (match)
      ++same;
    else if (answers[i] || answers[i].error().code == errc::not_found)
      ++other;
    if (answers[i] && knows == nullptr) knows = &clients[i];
    const auto verdict = !answers[i] ? answers[i].error().context
                         : match     ? "this file"
                                     : "another";
    nodes.push_back({{"node", (*gateways)[i].node}, {"digest", said}, {"same", match}});
    lines.push_back({(*gateways)[i].node,
                     answers[i] ? std::to_string(number_at(*answers[i], "version")) : "-",
                     said.empty() ? "-" : said.substr(0, 16),
                     cell(verdict, match ? colour::green : colour::red)});
  }
  const bool verified = same == answers.size();
  const auto proposal =
      knows == nullptr ? json::value() : proposal_in_force(*knows, options.name);
  if (!proposal) return report(proposal.error());
  if (told.json()) {
    print_json({{"file_digest", wanted},
                {"same", verified},
                {"nodes", nodes},
                {"proposal", *proposal}});
    return verified ? exit_code::ok : exit_code::differs;
  }
  print_table(std::cout, {{"node"}, {"version", true}, {"digest in force"}, {"is"}}, lines);
  if (!proposal->is_null()) {
    std::cout << "\nin force by this proposal\n";
    print_details(*proposal);
  } else if (knows != nullptr) {
    std::cout << "\nin force by genesis; nobody had to approve it later\n";
  }
  std::cout << '\n'
            << (verified ? painted(colour::green, "verified")
                         : painted(colour::red, "not verified"))
            << ": ";
  const auto name = printable(options.name);
  if (verified)
    std::cout << name << " in force on every node is this file\n";
  else if (other > 0 || same == 0)
    std::cout << name << " in force is not this file everywhere\n";
  else
    std::cout << answers.size() - same << " of " << answers.size() << " nodes did not say; "
              << name << " in force on the others is this file\n";
  return verified ? exit_code::ok : exit_code::differs;
}

exit_code run_roll_back(const contract_options& options, const invocation& told) {
  const auto at = find_gateway(options.where);
  if (!at) return report(at.error());
  http_client client(at->target);
  const auto digest = digest_of_version(client, options.name, options.version);
  if (!digest) return report(digest.error());
  return act(options, told, "roll_back", {{"contract", options.name}, {"digest", *digest}},
             "proposed to go back to version " + options.version + " of " + options.name);
}

// --- declarations

using runner = exit_code (*)(const contract_options&, const invocation&);

command& add(command& group, std::string name, std::string help,
             std::vector<std::string> examples, const options_ptr& options, runner run,
             bool meshed = true) {
  auto& made = group.add(std::move(name), std::move(help), std::move(examples));
  if (meshed) options->where.declare(made, true);
  made.on_run([options, run](const invocation& told) { return run(*options, told); });
  return made;
}

void add_votes(command& group) {
  static constexpr struct {
    const char *name, *help;
    runner run;
  } votes[] = {
      {"approve", "Vote for a proposal, in the name of this node.",
       [](const auto& o, const auto& t) { return run_vote(o, t, "approve", "approved"); }},
      {"reject", "Vote against a proposal, in the name of this node.",
       [](const auto& o, const auto& t) { return run_vote(o, t, "reject", "rejected"); }},
      {"withdraw", "Take your own proposal back.",
       [](const auto& o, const auto& t) { return run_vote(o, t, "withdraw", "withdrawn"); }},
  };
  for (const auto& each : votes) {
    const auto options = std::make_shared<contract_options>();
    auto& made = add(group, each.name, each.help,
                     {"tally contract " + std::string(each.name)
                      + " 0193f2b04c8a7d6e5f40312233445566 --node coop"},
                     options, each.run);
    made.argument("PROPOSAL", options->proposal, "Its id; tally contract status lists them");
    if (std::string_view(each.name) != "withdraw")
      made.option("--reason", options->reason, "Why; it stays on the chain");
  }
}

void add_states(command& group) {
  static constexpr struct {
    const char *name, *help;
    runner run;
  } states[] = {
      {"freeze", "Propose that no operation of a contract be executed until further notice.",
       [](const auto& o, const auto& t) { return run_state(o, t, "propose_freeze"); }},
      {"unfreeze", "Propose that a frozen contract go on.",
       [](const auto& o, const auto& t) { return run_state(o, t, "propose_unfreeze"); }},
  };
  for (const auto& each : states) {
    const auto options = std::make_shared<contract_options>();
    auto& made =
        add(group, each.name, each.help,
            {"tally contract " + std::string(each.name) + " orders --reason \"audit\""},
            options, each.run);
    made.argument("CONTRACT", options->name, "Its name");
    made.option("--reason", options->reason, "Why; it stays on the chain");
  }
}

void add_writing(command& group) {
  const auto fresh = std::make_shared<contract_options>();
  auto& made = add(group, "new", "Write a small contract to begin with, with comments.",
                   {"tally contract new orders"}, fresh, run_new, false);
  made.argument("NAME", fresh->name, "The contract's name: a-z, 0-9 and _");
  made.option("--file", fresh->file, "Where to (default NAME.lua; - for standard output)");

  const auto checking = std::make_shared<contract_options>();
  add(group, "check",
      "Check a contract file without a mesh: what is wrong, in which line, what to write "
      "instead.",
      {"tally contract check orders.lua"}, checking, run_check, false)
      .argument("FILE", checking->file, "The contract file");

  const auto testing = std::make_shared<contract_options>();
  add(group, "test", "Run the tests that a contract file holds, without a mesh.",
      {"tally contract test orders.lua"}, testing, run_test, false)
      .argument("FILE", testing->file, "The contract file");
}

void add_reading(command& group) {
  const auto showing = std::make_shared<contract_options>();
  add(group, "show", "Print a contract's source as the mesh holds it.",
      {"tally contract show orders", "tally contract show orders@2"}, showing, run_show)
      .argument("CONTRACT", showing->name,
                "NAME (in force), NAME@VERSION (an earlier one) or a proposal's id");

  const auto history = std::make_shared<contract_options>();
  add(group, "history",
      "Every change of a contract: which version, since when, approved by whom.",
      {"tally contract history orders"}, history, run_history)
      .argument("CONTRACT", history->name, "Its name");

  const auto comparing = std::make_shared<contract_options>();
  auto& diff =
      add(group, "diff",
          "What changes between two contracts: tables, rights, actions, then the text.\n"
          "Exit 1 if they differ.",
          {"tally contract diff orders orders.lua", "tally contract diff orders@1 orders@2"},
          comparing, run_diff);
  diff.argument("OLD", comparing->file,
                "A file, NAME (in force), NAME@VERSION (an earlier one) or a proposal's id");
  diff.argument("NEW", comparing->other, "Likewise");

  const auto proving = std::make_shared<contract_options>();
  auto& verify =
      add(group, "verify",
          "Prove that a contract in force is this file, on every node, and who approved it.",
          {"tally contract verify orders orders.lua"}, proving, run_verify);
  verify.argument("CONTRACT", proving->name, "Its name");
  verify.argument("FILE", proving->file, "The file");
}

void add_deciding(command& group) {
  const auto proposing = std::make_shared<contract_options>();
  auto& propose = add(group, "propose",
                      "Propose a contract, or its next version, to the mesh.\n"
                      "Every node verifies it, then the nodes vote.",
                      {"tally contract propose orders.lua --reason \"new tariff from May\""},
                      proposing, run_propose);
  propose.argument("FILE", proposing->file, "The contract file, at most 192 KiB");
  propose.option("--reason", proposing->reason, "Why; it stays on the chain");

  const auto asking = std::make_shared<contract_options>();
  auto& status = add(group, "status", "Open proposals; or one, with verdicts and votes.",
                     {"tally contract status", "tally contract status orders",
                      "tally contract status 0193f2b04c8a7d6e5f40312233445566"},
                     asking, run_status);
  status.optional_argument("WHICH", asking->proposal, "A proposal's id, or a contract's name");
  status.flag("--all", asking->all, "Decided ones too");

  const auto going_back = std::make_shared<contract_options>();
  auto& back =
      add(group, "rollback", "Propose to go back to a version that was in force before.",
          {"tally contract rollback orders 1"}, going_back, run_roll_back);
  back.argument("CONTRACT", going_back->name, "Its name");
  back.argument("VERSION", going_back->version, "The version, or the start of its digest");
  back.option("--reason", going_back->reason, "Why; it stays on the chain");

  const auto ruling = std::make_shared<contract_options>();
  auto& rules = add(
      group, "rules",
      "Propose who may propose and approve a contract, and how many nodes it takes.",
      {"tally contract rules orders --propose level1,level2 --approve anyone --approvals 3"},
      ruling, run_rules);
  rules.argument("CONTRACT", ruling->name, "Its name, or * for all without rules of their own");
  rules.option("--propose", ruling->propose, "Tiers, nodes, accounts, anyone; by commas");
  rules.option("--approve", ruling->approve, "Likewise; one vote a node");
  rules.option("--approvals", ruling->approvals, "Votes needed (0: a quorum)", 0,
               limits::max_nodes);
  rules.option("--verdicts", ruling->verdicts, "Good verdicts needed (0: a quorum)", 0,
               limits::max_nodes);
  rules.option("--reason", ruling->reason, "Why; it stays on the chain");
}

} // namespace

void add_contract(command& program) {
  auto& group =
      program.add("contract", "Write contracts, bring them into the mesh, and answer for them.",
                  {"tally contract new orders", "tally contract check orders.lua",
                   "tally contract propose orders.lua", "tally contract status"});
  add_writing(group);
  add_deciding(group);
  add_votes(group);
  add_states(group);
  add_reading(group);
}

} // namespace tallymesh::tally
