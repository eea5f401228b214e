// Who may do what with a table or one of its rows, and by which line of which contract.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/readings.hpp"
#include "contracts/explain_access.hpp"
#include "contracts/row.hpp"
#include "storage/ledger.hpp"

#include <algorithm>

namespace tallymesh::gateway {

namespace {

/// "clerk@hq", or one's own account.
std::variant<contracts::actor, response>
account_asked_about(const reading_call& from, const contracts::mesh_facts& mesh) {
  const auto* text = from.what.find("account");
  if (text == nullptr) return from.reader();
  const auto at = std::min(text->find('@'), text->size());
  const auto name = std::string_view(*text).substr(0, at);
  const auto node = std::string_view(*text).substr(std::min(at + 1, text->size()));
  const auto of = std::find_if(mesh.nodes.begin(), mesh.nodes.end(),
                               [&](const auto& x) { return x.name == node; });
  const bool known =
      of != mesh.nodes.end()
      && (name == contracts::node_account
          || std::any_of(mesh.accounts.begin(), mesh.accounts.end(),
                         [&](const auto& x) { return x.name == name && x.node == node; }));
  if (!known)
    return problem(refuse_as(outcome::unknown_account, "genesis has no account '"
                                                           + text->substr(0, 130)
                                                           + "'; write it account@node"));
  return contracts::actor{name, node, of->at};
}

void write_right(json_out& out, const contracts::explained_right& x) {
  out.begin_object().field("right", x.right).field("given", x.given).key("by");
  if (x.by.empty())
    out.null();
  else
    out.text(x.by);
  out.field("line", x.line).end_object();
}

response write_access(const contracts::contract_entry& of, const contracts::table& about,
                      const contracts::actor& who, bool is_author) {
  std::string body;
  json_out out(body);
  out.begin_object().field("account", std::string(who.account) + "@" + std::string(who.node));
  out.field("tier", to_string(who.at)).field("table", about.full_name);
  out.field("contract", of.declared.name).field("version", of.declared.version);
  out.field("source", of.declared.source.hex()).field("author", is_author);
  out.key("rights").begin_array();
  for (const auto& each : contracts::explain_access(of, about, who, is_author))
    write_right(out, each);
  out.end_array().end_object();
  return json_answer(std::move(body));
}

} // namespace

response read_access(const reading_call& from) {
  const auto rules = from.node.rules ? from.node.rules() : nullptr;
  const auto& name = from.what.path[0];
  const auto* about = rules ? rules->find_table(name) : nullptr;
  if (about == nullptr)
    return problem(
        {404, to_string(outcome::unknown_table), "there is no table '" + name + "'"});
  const auto* of = rules->find_entry(std::string_view(name).substr(0, name.find('.')));
  auto asked = account_asked_about(from, rules->mesh());
  if (auto* refused = std::get_if<response>(&asked)) return std::move(*refused);
  const auto& who = std::get<contracts::actor>(asked);
  if (from.what.key.empty()) return write_access(*of, *about, who, false);
  const auto key = contracts::key_from_text(*about, about->key, from.what.key);
  if (!key) return problem(key.error());
  // Whose row it is may be told to those who see the row.
  const auto row = from.node.ledger.row(about->full_name, *key);
  if (!row && row.error().code != errc::not_found) return problem(row.error());
  if (!row || !row->row || !visible_rows(from, *about).seen(*key, *row->row))
    return problem(refuse_as(errc::not_found, name + " has no such row"));
  return write_access(*of, *about, who, visible_rows(from, *about).is_by(*key, who));
}

} // namespace tallymesh::gateway
