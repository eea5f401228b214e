#include "contracts/contract_set.hpp"

#include <algorithm>

namespace tallymesh::contracts {

static bool has_party(const mesh_facts& mesh, const grantee& who) {
  using kind = grantee::kind;
  const auto has_node = [&](std::string_view name) {
    return std::any_of(mesh.nodes.begin(), mesh.nodes.end(),
                       [&](const auto& node) { return node.name == name; });
  };
  if (who.what == kind::node) return has_node(who.name);
  if (who.what != kind::account) return true;
  if (who.name.starts_with(std::string(node_account) + '@'))
    return has_node(std::string_view(who.name).substr(node_account.size() + 1));
  return std::any_of(mesh.accounts.begin(), mesh.accounts.end(), [&](const auto& account) {
    return account.name + "@" + account.node == who.name;
  });
}

static result<void> check_grantees(const mesh_facts& mesh, const contract& x,
                                   const std::string& of, const std::vector<grantee>& list) {
  for (const auto& who : list)
    if (!has_party(mesh, who))
      return make_error(errc::bad_config, "contract " + x.name + " gives a right on " + of
                                              + " to " + who.name
                                              + ", which genesis does not have");
  return {};
}

static result<void> check_grantees(const mesh_facts& mesh, const contract& x) {
  for (const auto& table : x.tables) {
    const auto of = "table " + table.name;
    for (const auto* list :
         {&table.readers, &table.storers, &table.deleters, &table.erasers, &table.distributors})
      if (auto good = check_grantees(mesh, x, of, *list); !good) return good;
    for (const auto& [field, list] : table.hidden)
      if (auto good = check_grantees(mesh, x, of, list); !good) return good;
  }
  for (const auto& action : x.actions)
    if (auto good = check_grantees(mesh, x, "action " + action.name, action.may); !good)
      return good;
  return {};
}

result<void> contract_set::link(const table& from) {
  for (std::size_t i = 0; i < from.references.size(); ++i) {
    const auto& reference = from.references[i];
    const auto* to = find_table(reference.table);
    const auto fail = [&](const std::string& what) {
      return make_error(errc::bad_config, "table " + from.full_name + " refers to "
                                              + reference.table + ", " + what);
    };
    if (to == nullptr) return fail("which no contract declares");
    if (to->key.size() != reference.fields.size())
      return fail("whose key has " + std::to_string(to->key.size()) + " fields");
    for (std::size_t k = 0; k < to->key.size(); ++k) {
      const auto& here = from.fields[reference.fields[k]];
      const auto& there = to->fields[to->key[k]];
      const auto is_text = [](field_kind x) {
        return x == field_kind::text || x == field_kind::one_of;
      };
      if (here.kind != there.kind && !(is_text(here.kind) && is_text(there.kind)))
        return fail("whose " + there.name + " is of another type than " + here.name);
    }
    referrers_[to].push_back({&from, i});
  }
  return {};
}

result<contract_set_ptr> contract_set::make(mesh_facts mesh, std::vector<contract_entry> all) {
  return make(std::move(mesh), std::move(all), {});
}

result<contract_set_ptr> contract_set::make(mesh_facts mesh, std::vector<contract_entry> all,
                                            std::set<std::string, std::less<>> frozen) {
  std::shared_ptr<contract_set> made(new contract_set);
  made->mesh_ = std::move(mesh);
  made->frozen_ = std::move(frozen);
  for (auto& each : all) {
    const auto name = each.declared.name;
    if (auto good = check_grantees(made->mesh_, each.declared); !good) return good.error();
    if (!made->all_.try_emplace(name, std::move(each)).second)
      return make_error(errc::bad_config, "there are two contracts named " + name);
  }
  for (const auto& [name, entry] : made->all_)
    for (const auto& each : entry.declared.tables)
      made->tables_.emplace(each.full_name, &each);
  for (const auto& [name, entry] : made->all_)
    for (const auto& each : entry.declared.tables)
      if (auto linked = made->link(each); !linked) return linked.error();
  return contract_set_ptr(std::move(made));
}

std::vector<contract_entry> contract_set::entries() const {
  std::vector<contract_entry> all;
  for (const auto& [name, entry] : all_)
    all.push_back(entry);
  return all;
}

result<contract_set_ptr> contract_set::with(contract_entry next) const {
  auto all = entries();
  std::erase_if(all, [&](const auto& x) { return x.declared.name == next.declared.name; });
  all.push_back(std::move(next));
  return make(mesh_, std::move(all), frozen_);
}

contract_set_ptr contract_set::with_frozen(std::string_view name, bool frozen) const {
  auto names = frozen_;
  if (frozen)
    names.emplace(name);
  else if (const auto at = names.find(name); at != names.end())
    names.erase(at);
  auto made = make(mesh_, entries(), std::move(names));
  TALLYMESH_INVARIANT(made.has_value()); // the same contracts made this set
  return std::move(*made);
}

const contract_entry* contract_set::find_entry(std::string_view name) const {
  const auto found = all_.find(name);
  return found == all_.end() ? nullptr : &found->second;
}

const contract* contract_set::find_contract(std::string_view name) const {
  const auto* entry = find_entry(name);
  return entry == nullptr ? nullptr : &entry->declared;
}

const table* contract_set::find_table(std::string_view full_name) const {
  const auto found = tables_.find(full_name);
  return found == tables_.end() ? nullptr : found->second;
}

const std::vector<contract_set::referrer>& contract_set::referrers(const table& to) const {
  static const std::vector<referrer> none;
  const auto found = referrers_.find(&to);
  return found == referrers_.end() ? none : found->second;
}

} // namespace tallymesh::contracts
