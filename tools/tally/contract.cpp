// `tally contract …`: writing contracts and bringing them into the mesh.
#include "tools/tally/command.hpp"
#include "tools/tally/contract_files.hpp"
#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"

#include <fstream>
#include <iostream>

namespace tallymesh::tally {

namespace {

struct contract_options {
  std::string name, file, other;
};
using options_ptr = std::shared_ptr<contract_options>;

/// What is wrong with a contract file, with the line below it.
exit_code report_file(const error& why) {
  std::string_view left = why.context;
  while (!left.empty()) {
    const auto end = std::min(left.find('\n'), left.size());
    std::cerr << printable(left.substr(0, end)) << '\n';
    left.remove_prefix(std::min(end + 1, left.size()));
  }
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

// --- diff

exit_code run_diff(const contract_options& options, const invocation& told) {
  const auto before = read_contract_file(options.file);
  if (!before) return report(before.error());
  const auto after = read_contract_file(options.other);
  if (!after) return report(after.error());
  const auto old_contract = check_contract(*before, options.file);
  if (!old_contract) return report_file(old_contract.error());
  const auto new_contract = check_contract(*after, options.other);
  if (!new_contract) return report_file(new_contract.error());
  const auto differences = differences_between(*old_contract, *new_contract);
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

// --- declarations

using runner = exit_code (*)(const contract_options&, const invocation&);

command& add(command& group, std::string name, std::string help,
             std::vector<std::string> examples, const options_ptr& options, runner run) {
  auto& made = group.add(std::move(name), std::move(help), std::move(examples));
  made.on_run([options, run](const invocation& told) { return run(*options, told); });
  return made;
}

void add_writing(command& group) {
  const auto fresh = std::make_shared<contract_options>();
  auto& made = add(group, "new", "Write a small contract to begin with, with comments.",
                   {"tally contract new orders"}, fresh, run_new);
  made.argument("NAME", fresh->name, "The contract's name: a-z, 0-9 and _");
  made.option("--file", fresh->file, "Where to (default NAME.lua; - for standard output)");

  const auto checking = std::make_shared<contract_options>();
  add(group, "check",
      "Check a contract file: what is wrong, in which line, and what to write instead.\n"
      "It needs no mesh.",
      {"tally contract check orders.lua"}, checking, run_check)
      .argument("FILE", checking->file, "The contract file");

  const auto comparing = std::make_shared<contract_options>();
  auto& diff = add(group, "diff",
                   "What changes between two contract files: tables and rights, then the text\n"
                   "(exit 1 if they differ).",
                   {"tally contract diff orders.lua orders-new.lua"}, comparing, run_diff);
  diff.argument("OLD", comparing->file, "A contract file");
  diff.argument("NEW", comparing->other, "Likewise");
}

} // namespace

void add_contract(command& program) {
  auto& group = program.add("contract", "Write contracts and check them.",
                            {"tally contract new orders", "tally contract check orders.lua",
                             "tally contract diff orders.lua orders-new.lua"});
  add_writing(group);
}

} // namespace tallymesh::tally
