// The contracts in force, with their sources: rules are for everyone to read.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/readings.hpp"

namespace tallymesh::gateway {

static void write_contract(json_out& out, const contracts::contract_set& rules,
                           const contracts::contract_entry& x) {
  const auto& declared = x.declared;
  out.field("contract", declared.name).field("version", declared.version);
  out.field("digest", declared.source.hex());
  out.field("state", rules.is_frozen(declared.name) ? "frozen" : "active");
  out.field("builtin", x.native != nullptr);
  out.key("tables").begin_array();
  for (const auto& each : declared.tables)
    out.text(each.full_name);
  out.end_array().key("actions").begin_array();
  for (const auto& each : declared.actions)
    out.begin_object().field("action", each.name).field("doc", each.doc).end_object();
  out.end_array().field("tests", declared.tests.size());
}

response read_contracts(const reading_call& from) {
  const auto rules = from.node.rules();
  std::string body;
  json_out out(body);
  out.begin_array();
  for (const auto& [name, entry] : rules->contracts()) {
    out.begin_object();
    write_contract(out, *rules, entry);
    out.end_object();
  }
  out.end_array();
  return json_answer(std::move(body));
}

response read_contract(const reading_call& from) {
  const auto& name = from.what.path[0];
  const auto rules = from.node.rules();
  const auto* entry = rules->find_entry(name);
  if (entry == nullptr)
    return problem({404, to_string(outcome::unknown_contract),
                    "there is no contract '" + name.substr(0, limits::max_name_bytes) + "'"});
  std::string body;
  json_out out(body);
  out.begin_object();
  write_contract(out, *rules, *entry);
  out.field("source", entry->source).end_object();
  return json_answer(std::move(body));
}

} // namespace tallymesh::gateway
