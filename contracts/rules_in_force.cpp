#include "contracts/rules_in_force.hpp"

#include "contracts/builtin_rows.hpp"

namespace tallymesh::contracts {

namespace {

constexpr std::string_view contracts_table = "mesh.contracts", sources_table = "mesh.sources";

error damaged(const std::string& contract, const std::string& what) {
  return make_error(errc::damaged, "the contract " + contract + " in force " + what);
}

result<contract_entry> entry_of(const std::string& name, const bytes& source_digest,
                                const table& sources, const table_source& tables) {
  const auto key = key_of(sources, value_list{source_digest});
  TALLYMESH_INVARIANT(key.has_value());
  const auto held = tables.row(sources_table, *key);
  if (!held.row) return damaged(name, "has no source");
  auto source = text_in(stored_row(*held.row), "source");
  auto declared = parse(source, name);
  if (!declared) return damaged(name, "cannot be read: " + declared.error().context);
  if (declared->name != name) return damaged(name, "calls itself " + declared->name);
  return contract_entry{std::move(*declared), std::move(source), nullptr};
}

} // namespace

result<contract_set_ptr> rules_in_force(const contract_set_ptr& genesis,
                                        const table_source& tables) {
  const auto* sources = genesis->find_table(sources_table);
  if (sources == nullptr) return genesis;
  std::vector<value_map> changed;
  tables.rows(contracts_table, {}, [&](bytes_view, const held_row& held) {
    if (held.row) changed.push_back(stored_row(*held.row));
    return true;
  });
  if (changed.empty()) return genesis;
  auto all = genesis->contracts();
  std::vector<std::string> frozen;
  for (const auto& row : changed) {
    const auto& name = text_in(row, "contract");
    if (text_in(row, "state") == "frozen") frozen.push_back(name);
    const auto& source = *find(row, "digest")->as<bytes>();
    const auto at = all.find(name);
    if (at != all.end()
        && std::equal(source.begin(), source.end(), at->second.declared.source.raw.begin(),
                      at->second.declared.source.raw.end()))
      continue;
    auto entry = entry_of(name, source, *sources, tables);
    if (!entry) return entry.error();
    all.insert_or_assign(name, std::move(*entry));
  }
  std::vector<contract_entry> entries;
  for (auto& [name, entry] : all)
    entries.push_back(std::move(entry));
  auto made = contract_set::make(genesis->mesh(), std::move(entries));
  if (!made) return make_error(errc::damaged, made.error().context);
  for (const auto& name : frozen)
    made = (*made)->with_frozen(name, true);
  return made;
}

} // namespace tallymesh::contracts
