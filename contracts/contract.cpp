#include "contracts/contract.hpp"

#include "contracts/short_bytes.hpp"
#include "messages/value.hpp"

#include <algorithm>
#include <limits>

namespace tallymesh::contracts {

static constexpr std::string_view tier_names[] = {"level1", "level2", "level3", "service"};

std::string_view to_string(tier x) { return tier_names[static_cast<std::size_t>(x)]; }

std::optional<tier> tier_named(std::string_view name) {
  const auto at = std::find(std::begin(tier_names), std::end(tier_names), name);
  if (at == std::end(tier_names)) return std::nullopt;
  return static_cast<tier>(at - std::begin(tier_names));
}

template <class T>
static const T* find_named(const std::vector<T>& sorted, std::string_view wanted) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), wanted,
                                   [](const T& x, std::string_view name) {
                                     return order_of(std::string_view(x.name), name) < 0;
                                   });
  return at != sorted.end() && is_same(std::string_view(at->name), wanted) ? &*at : nullptr;
}

const field* table::find_field(std::string_view wanted) const {
  return find_named(fields, wanted);
}
const table* contract::find_table(std::string_view wanted) const {
  return find_named(tables, wanted);
}

static bool covers(const grantee& x, const actor& who) {
  using kind = grantee::kind;
  if (!who.contract.empty() && x.what != kind::anyone && x.what != kind::contract) return false;
  switch (x.what) {
  case grantee::kind::anyone:
    return true;
  case grantee::kind::author:
    return false;
  case grantee::kind::contract:
    return x.name == who.contract;
  case grantee::kind::tier:
    return x.at == who.at;
  case grantee::kind::node:
    return x.name == who.node;
  case grantee::kind::account: {
    const std::string_view name = x.name;
    return name.size() == who.account.size() + 1 + who.node.size()
           && name.starts_with(who.account) && name[who.account.size()] == '@'
           && name.ends_with(who.node);
  }
  }
  return false;
}

bool covered(const std::vector<grantee>& list, const actor& who) {
  return std::any_of(list.begin(), list.end(),
                     [&](const grantee& x) { return covers(x, who); });
}

bool may_read(const table& x, const actor& who) { return covered(x.readers, who); }
bool may_store(const table& x, const actor& who) { return covered(x.storers, who); }
bool may_delete(const table& x, const actor& who) { return covered(x.deleters, who); }
bool may_distribute(const table& x, const actor& who) { return covered(x.distributors, who); }

bool may_erase(const table& x, const actor& who) { return covered(x.erasers, who); }
bool may_call(const action& x, const actor& who) { return covered(x.may, who); }

static bool names_author(const std::vector<grantee>& list) {
  return std::any_of(list.begin(), list.end(),
                     [](const grantee& x) { return x.what == grantee::kind::author; });
}

bool author_may_read(const table& x) { return names_author(x.readers); }

bool is_hidden(const table& x, field_number field, const actor& who, bool is_author) {
  const auto at = std::find_if(x.hidden.begin(), x.hidden.end(),
                               [&](const auto& each) { return each.first == field; });
  if (at == x.hidden.end()) return false;
  return !covered(at->second, who) && !(is_author && names_author(at->second));
}

void hide_fields(const table& x, value_map& row, const actor& who, bool is_author) {
  for (const auto& each : x.hidden) {
    if (!is_hidden(x, each.first, who, is_author)) continue;
    const auto& name = x.fields[each.first].name;
    std::erase_if(row, [&](const auto& held) { return held.first == name; });
  }
}

bool may_read(const contract& x, std::string_view table_name, const actor& who) {
  const auto* found = x.find_table(table_name);
  return found != nullptr && may_read(*found, who);
}

const action* contract::find_action(std::string_view wanted) const {
  return find_named(actions, wanted);
}
bool contract::has_code() const {
  return !actions.empty() || has_migrate || !tests.empty()
         || std::any_of(tables.begin(), tables.end(),
                        [](const table& x) { return x.has_check; });
}

static std::string options_text(const field& x) {
  std::string options;
  const auto add = [&](std::string_view name, const std::string& text) {
    options += (options.empty() ? "" : ", ") + std::string(name) + "=" + text;
  };
  switch (x.kind) {
  case field_kind::text:
  case field_kind::bytes:
    add("max", std::to_string(x.max));
    if (x.min > 0) add("min", std::to_string(x.min));
    break;
  case field_kind::int64:
  case field_kind::decimal: {
    const auto limit = [&](std::int64_t units) {
      const auto text = decimal{units, x.scale}.to_text();
      return x.scale == 0 ? text : '"' + text + '"';
    };
    if (x.kind == field_kind::decimal) add("scale", std::to_string(x.scale));
    if (x.min != std::numeric_limits<std::int64_t>::min()) add("min", limit(x.min));
    if (x.max != std::numeric_limits<std::int64_t>::max()) add("max", limit(x.max));
    break;
  }
  case field_kind::one_of:
    for (const auto& choice : x.choices)
      options += (options.empty() ? "\"" : ", \"") + choice + '"';
    break;
  case field_kind::boolean:
    break;
  }
  return options;
}

std::string field::type_text() const {
  static constexpr std::string_view names[] = {"text", "int64", "decimal",
                                               "bool", "bytes", "one_of"};
  const auto text =
      std::string(names[static_cast<std::size_t>(kind)]) + "{" + options_text(*this) + "}";
  return optional ? "optional(" + text + ")" : text;
}

} // namespace tallymesh::contracts
