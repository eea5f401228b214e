#include "contracts/builtin_rows.hpp"

#include <algorithm>
#include <array>

namespace tallymesh::contracts {

value_map make_row(std::initializer_list<std::pair<std::string_view, value>> fields) {
  // Places are sorted, because moving a name and a value about costs more.
  constexpr std::size_t most_at_once = 32;
  std::array<const std::pair<std::string_view, value>*, most_at_once> sorted{};
  TALLYMESH_INVARIANT(fields.size() <= most_at_once);
  std::size_t count = 0;
  for (const auto& each : fields)
    if (!each.second.is_null()) sorted[count++] = &each;
  const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(count);
  const auto before = [](const auto* a, const auto* b) { return a->first < b->first; };
  if (!std::is_sorted(sorted.begin(), end, before)) std::sort(sorted.begin(), end, before);
  value_map row;
  row.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    row.emplace_back(sorted[i]->first, sorted[i]->second);
  return row;
}

std::int64_t number_in(const value_map& row, std::string_view field) {
  const auto* found = find(row, field);
  if (found == nullptr || found->is_null()) return 0;
  TALLYMESH_INVARIANT(found->as<std::int64_t>() != nullptr);
  return *found->as<std::int64_t>();
}

std::int64_t units_in(const value_map& row, std::string_view field) {
  const auto* found = find(row, field);
  if (found == nullptr || found->is_null()) return 0;
  TALLYMESH_INVARIANT(found->as<decimal>() != nullptr);
  return found->as<decimal>()->units;
}

const std::string& text_in(const value_map& row, std::string_view field) {
  static const std::string nothing;
  const auto* found = find(row, field);
  if (found == nullptr || found->is_null()) return nothing;
  TALLYMESH_INVARIANT(found->as<std::string>() != nullptr);
  return *found->as<std::string>();
}

static std::string text_of(const value& x) {
  if (const auto* text = x.as<std::string>()) return *text;
  if (const auto* number = x.as<std::int64_t>()) return std::to_string(*number);
  if (const auto* exact = x.as<decimal>()) return exact->to_text();
  if (const auto* raw = x.as<bytes>()) return to_hex(*raw);
  if (const auto* truth = x.as<bool>()) return *truth ? "true" : "false";
  return "";
}

std::string key_text(const value_list& key) {
  std::string text;
  for (const auto& each : key) {
    if (&each != key.data()) text += ',';
    text += text_of(each);
  }
  return text;
}

/// Calls `visit` with each name of "level1, treasurer@hq" until it says true.
template <class F>
static bool any_name(std::string_view list, F visit) {
  static constexpr std::string_view between = ", ";
  for (auto at = list.find_first_not_of(between); at != list.npos;
       at = list.find_first_not_of(between)) {
    list.remove_prefix(at);
    const auto name = list.substr(0, list.find_first_of(between));
    if (visit(name)) return true;
    list.remove_prefix(name.size());
  }
  return false;
}

std::string full_name(const actor& who) {
  std::string name(who.account);
  name += '@';
  name += who.node;
  return name;
}

bool is_named(std::string_view grantees, const actor& who) {
  return any_name(grantees, [&](std::string_view name) {
    if (name == "anyone" || name == who.node) return true;
    if (const auto level = tier_named(name)) return *level == who.at;
    const auto at = name.find('@');
    return at != name.npos && name.substr(0, at) == who.account
           && name.substr(at + 1) == who.node;
  });
}

bool has_node(const mesh_facts& mesh, std::string_view name) {
  return std::any_of(mesh.nodes.begin(), mesh.nodes.end(),
                     [&](const mesh_facts::node& each) { return each.name == name; });
}

bool has_account(const mesh_facts& mesh, std::string_view account_at_node) {
  const auto at = account_at_node.find('@');
  if (at == account_at_node.npos) return false;
  const auto account = account_at_node.substr(0, at), node = account_at_node.substr(at + 1);
  if (account == "node") return has_node(mesh, node);
  return std::any_of(mesh.accounts.begin(), mesh.accounts.end(),
                     [&](const mesh_facts::account& each) {
                       return each.name == account && each.node == node;
                     });
}

std::optional<actor> party_named(const mesh_facts& mesh, std::string_view account_at_node) {
  const auto at = account_at_node.find('@');
  if (at == account_at_node.npos) return std::nullopt;
  const auto name = account_at_node.substr(at + 1);
  const auto node =
      std::find_if(mesh.nodes.begin(), mesh.nodes.end(),
                   [&](const mesh_facts::node& each) { return each.name == name; });
  if (node == mesh.nodes.end()) return std::nullopt;
  return actor{account_at_node.substr(0, at), node->name, node->at};
}

std::optional<std::string> unknown_name(std::string_view grantees, const mesh_facts& mesh) {
  std::optional<std::string> unknown;
  any_name(grantees, [&](std::string_view name) {
    const bool known =
        name == "anyone" || tier_named(name) || has_node(mesh, name) || has_account(mesh, name);
    if (!known) unknown = std::string(name);
    return !known;
  });
  return unknown;
}

} // namespace tallymesh::contracts
