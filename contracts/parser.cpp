// Contract files: the walk over the table that a file returns.
#include "contracts/constructors.hpp"
#include "contracts/contract.hpp"
#include "contracts/library.hpp"
#include "contracts/reading.hpp"
#include "contracts/sandbox.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <lua.hpp>

namespace tallymesh::contracts {

using names = std::vector<std::string>;

static bool is_name(std::string_view raw, bool field_name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto upper = [&](char c) { return field_name && c >= 'A' && c <= 'Z'; };
  if (raw.empty() || raw.size() > limits::max_name_bytes) return false;
  if (!lower(raw[0]) && !upper(raw[0])) return false;
  return std::all_of(raw.begin(), raw.end(), [&](char c) {
    return lower(c) || upper(c) || (c >= '0' && c <= '9') || c == '_';
  });
}

/// Reads one returned contract. The value under inspection is always on top of Lua's stack, and
/// every function leaves the stack as it was.
class walk {
public:
  walk(lua_State* lua, const made_types& types, const std::string& file_name,
       const parse_options& options)
      : lua_(lua), types_(types), file_name_(file_name), options_(options) {}
  contract read_contract();

private:
  [[noreturn]] void fail(const std::string& path, const std::string& message) const {
    // Raised without Lua's own prefix: the path says more than a line of this C++ would.
    const auto text = file_name_ + ": " + (path.empty() ? "" : path + ": ") + message;
    lua_pushlstring(lua_, text.data(), text.size());
    lua_error(lua_);
    std::abort(); // lua_error does not return
  }

  template <class F>
  auto with(const char* name, F&& inspect) {
    return with_pushed([&] { lua_pushstring(lua_, name); }, inspect);
  }
  template <class F>
  auto with(const std::string& name, F&& inspect) {
    return with_pushed([&] { lua_pushlstring(lua_, name.data(), name.size()); }, inspect);
  }
  template <class Push, class F>
  void with_pushed(Push&& push, F&& inspect) {
    luaL_checkstack(lua_, 4, nullptr);
    push();
    lua_rawget(lua_, -2);
    inspect();
    lua_pop(lua_, 1);
  }

  void need_table(const std::string& path, const std::string& example) const {
    if (!lua_istable(lua_, -1)) fail(path, "is missing or not a table: write " + example);
  }
  names keys(const std::string& path, std::size_t most, const std::string& example) const;
  names text_list(const std::string& path, std::size_t most, const std::string& example) const;
  void only(const std::string& path, const names& allowed, const std::string& example) const;

  table read_table(const std::string& contract_name, const std::string& name);
  std::vector<field> read_fields(const std::string& path);
  field read_field(const std::string& path, const std::string& name);
  enum class use { key, index, fields };
  field_numbers read_key(const table& into, const std::string& path, use what) const;
  std::size_t read_list_size(const std::string& path, std::size_t most,
                             const char* example) const;
  std::vector<field_numbers> read_indexes(const table& into, const std::string& path);
  std::uint8_t index_over(table& into, const field_numbers& fields, const std::string& path);
  void read_unique(table& into, const std::string& path);
  void read_references(table& into, const std::string& contract_name, const std::string& path);
  void read_hidden(table& into, const std::string& path) const;
  void check_references(const contract& x) const;
  std::vector<grantee> read_grantees(const std::string& path, bool author_too = false) const;
  bool read_function(const std::string& path, const char* example) const;
  action read_action(const std::string& name);
  void read_code(contract& into);
  bool read_flag(const std::string& path) const;

  lua_State* lua_;
  const made_types& types_;
  const std::string& file_name_;
  const parse_options& options_;
  std::size_t choices_ = 0; ///< of all fields
};

/// The names in the table on top, ascending, so that every node meets the same error first.
names walk::keys(const std::string& path, std::size_t most, const std::string& example) const {
  names found;
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    if (lua_type(lua_, -1) != LUA_TSTRING)
      fail(path, "has an entry without a name: write " + example);
    if (found.size() == most) fail(path, "has more than " + std::to_string(most) + " entries");
    found.emplace_back(text_at(lua_, -1));
  }
  std::sort(found.begin(), found.end());
  return found;
}

void walk::only(const std::string& path, const names& allowed,
                const std::string& example) const {
  for (const auto& name : keys(path, 32, example)) {
    if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) continue;
    if (path.empty() && name == "queries")
      fail(name, "rows are read by key and by index without code; take queries out");
    fail(path, "there is no " + in_quotes(name) + " here; known are " + join(allowed));
  }
}

names walk::text_list(const std::string& path, std::size_t most,
                      const std::string& example) const {
  if (!lua_istable(lua_, -1)) fail(path, "must be a list: write " + example);
  const auto count = lua_rawlen(lua_, -1);
  std::size_t entries = 0;
  lua_pushnil(lua_);
  while (lua_next(lua_, -2) != 0) {
    lua_pop(lua_, 1);
    if (!lua_isinteger(lua_, -1)) fail(path, "must be a list without names: write " + example);
    if (++entries > most) fail(path, "has more than " + std::to_string(most) + " entries");
  }
  if (entries != count) fail(path, "has holes: write " + example);
  names list;
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua_, -1, static_cast<lua_Integer>(i));
    if (lua_type(lua_, -1) != LUA_TSTRING)
      fail(path, "holds something that is not a text: write " + example);
    list.emplace_back(text_at(lua_, -1));
    lua_pop(lua_, 1);
  }
  return list;
}

field walk::read_field(const std::string& path, const std::string& name) {
  if (!is_name(name, true))
    fail(path,
         in_quotes(name)
             + " is no field name: use letters, digits and _, at most 64, a letter first");
  auto what = type_at(lua_, -1, types_);
  if (!what)
    fail(path + "." + name, "is not a type: write " + name
                                + " = text{max=64}, or int64, decimal, bool, bytes, one_of");
  choices_ += what->choices.size();
  if (choices_ > max_choices_in_all)
    fail(path, "the contract's one_of fields have too many values in all; keep such values in "
               "a table");
  what->name = name;
  return std::move(*what);
}

std::vector<field> walk::read_fields(const std::string& path) {
  static constexpr char example[] = "fields = { code = text{max=12} }";
  std::vector<field> fields;
  need_table(path, example);
  for (const auto& name : keys(path, max_fields, example))
    with(name, [&] { fields.push_back(read_field(path, name)); });
  if (fields.empty()) fail(path, std::string("names no field: write ") + example);
  return fields;
}

field_numbers walk::read_key(const table& into, const std::string& path, use what) const {
  static constexpr char example[] = "{ \"code\" }, with names of fields";
  field_numbers numbers;
  for (const auto& name : text_list(path, max_key_fields, example)) {
    const auto* found = into.find_field(name);
    if (found == nullptr)
      fail(path, "there is no field " + in_quotes(name) + " in this table's fields");
    if (found->optional && what == use::key)
      fail(path, "a field of the key cannot be optional: take optional away from " + name);
    const auto number = static_cast<field_number>(found - into.fields.data());
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end())
      fail(path, "names " + name + " twice; take one out");
    numbers.push_back(number);
  }
  if (numbers.empty()) fail(path, std::string("is empty: write ") + example);
  return numbers;
}

/// Of a list of lists or tables, on top.
std::size_t walk::read_list_size(const std::string& path, std::size_t most,
                                 const char* example) const {
  if (!lua_istable(lua_, -1))
    fail(path, std::string("must be a list of lists: write ") + example);
  const auto count = lua_rawlen(lua_, -1);
  if (count > most) fail(path, "has more than " + std::to_string(most) + " entries");
  lua_pushnil(lua_);
  for (std::size_t entries = 1; lua_next(lua_, -2) != 0; ++entries) {
    lua_pop(lua_, 1);
    if (!lua_isinteger(lua_, -1) || entries > count)
      fail(path, std::string("must be a list of lists: write ") + example);
  }
  return count;
}

std::vector<field_numbers> walk::read_indexes(const table& into, const std::string& path) {
  static constexpr char example[] = "index = { {\"province\"}, {\"state\", \"province\"} }";
  std::vector<field_numbers> indexes;
  if (lua_isnil(lua_, -1)) return indexes;
  const auto count = read_list_size(path, max_indexes, example);
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua_, -1, static_cast<lua_Integer>(i));
    indexes.push_back(read_key(into, path + "[" + std::to_string(i) + "]", use::index));
    if (std::count(indexes.begin(), indexes.end(), indexes.back()) > 1)
      fail(path, "declares one index twice; take one out");
    lua_pop(lua_, 1);
  }
  return indexes;
}

/// The index over exactly these fields: one that is declared, or one more.
std::uint8_t walk::index_over(table& into, const field_numbers& fields,
                              const std::string& path) {
  const auto at = std::find(into.indexes.begin(), into.indexes.end(), fields);
  if (at == into.indexes.end() && into.indexes.size() == max_indexes)
    fail(path, "needs an index over these fields, and the table has 8 already; take one out");
  const auto place = static_cast<std::uint8_t>(at - into.indexes.begin());
  if (at == into.indexes.end()) into.indexes.push_back(fields);
  return place;
}

void walk::read_unique(table& into, const std::string& path) {
  static constexpr char example[] = "unique = { {\"name\"}, {\"province\", \"name\"} }";
  if (lua_isnil(lua_, -1)) return;
  const auto count = read_list_size(path, max_indexes, example);
  for (std::size_t i = 1; i <= count; ++i) {
    lua_rawgeti(lua_, -1, static_cast<lua_Integer>(i));
    const auto fields = read_key(into, path + "[" + std::to_string(i) + "]", use::fields);
    if (fields == into.key) fail(path, "the key is unique already; take it out");
    const auto index = index_over(into, fields, path);
    if (std::count(into.unique.begin(), into.unique.end(), index) > 0)
      fail(path, "declares the same fields twice; take one out");
    into.unique.push_back(index);
    lua_pop(lua_, 1);
  }
}

void walk::read_references(table& into, const std::string& contract_name,
                           const std::string& path) {
  static constexpr char example[] =
      "references = { { fields = {\"province\"}, table = \"provinces\" } }";
  if (lua_isnil(lua_, -1)) return;
  const auto count = read_list_size(path, max_indexes, example);
  for (std::size_t i = 1; i <= count; ++i) {
    const auto here = path + "[" + std::to_string(i) + "]";
    lua_rawgeti(lua_, -1, static_cast<lua_Integer>(i));
    need_table(here, example);
    only(here, {"fields", "table"}, example);
    reference made;
    with("fields", [&] { made.fields = read_key(into, here + ".fields", use::fields); });
    with("table", [&] {
      std::string to(lua_type(lua_, -1) == LUA_TSTRING ? text_at(lua_, -1) : "");
      if (to.find('.') == std::string::npos) to = contract_name + "." + to;
      const auto dot = to.find('.');
      if (!is_name(std::string_view(to).substr(0, dot), false)
          || !is_name(std::string_view(to).substr(dot + 1), false))
        fail(here + ".table", "must be a table's name, or contract.table: write table = "
                              "\"provinces\"");
      made.table = std::move(to);
    });
    made.index = index_over(into, made.fields, here);
    into.references.push_back(std::move(made));
    lua_pop(lua_, 1);
  }
}

/// References within the contract; those to another contract are checked where both are known.
void walk::check_references(const contract& x) const {
  for (const auto& from : x.tables)
    for (std::size_t i = 0; i < from.references.size(); ++i) {
      const auto& each = from.references[i];
      if (!each.table.starts_with(x.name + ".")) continue;
      const auto path = "tables." + from.name + ".references[" + std::to_string(i + 1) + "]";
      const auto name = each.table.substr(x.name.size() + 1);
      const auto* to = x.find_table(name);
      if (to == nullptr)
        fail(path, "there is no table " + in_quotes(name) + " in this contract");
      bool same = each.fields.size() == to->key.size();
      for (std::size_t at = 0; same && at < each.fields.size(); ++at) {
        const auto& field = from.fields[each.fields[at]];
        const auto& key = to->fields[to->key[at]];
        const auto like_text = [](field_kind kind) {
          return kind == field_kind::one_of ? field_kind::text : kind;
        };
        same = like_text(field.kind) == like_text(key.kind) && field.scale == key.scale;
      }
      if (!same)
        fail(path, "the fields must be of the types of the key of " + in_quotes(name)
                       + ", in its order");
    }
}

void walk::read_hidden(table& into, const std::string& path) const {
  static constexpr char example[] = "hide = { amount = { \"level1\", \"hq\" } }";
  if (lua_isnil(lua_, -1)) return;
  need_table(path, example);
  for (const auto& name : keys(path, max_fields, example)) {
    const auto* found = into.find_field(name);
    if (found == nullptr)
      fail(path, "there is no field " + in_quotes(name) + " in this table's fields");
    const auto number = static_cast<field_number>(found - into.fields.data());
    if (std::find(into.key.begin(), into.key.end(), number) != into.key.end())
      fail(path, "a field of the key cannot be hidden: " + name);
    lua_pushlstring(lua_, name.data(), name.size());
    lua_rawget(lua_, -2);
    into.hidden.emplace_back(number, read_grantees(path + "." + name, true));
    lua_pop(lua_, 1);
  }
}

/// Of a field in a key, at most: a character has up to 4 bytes, a byte up to 2 when escaped.
static std::size_t widest_key_bytes(const field& x) {
  switch (x.kind) {
  case field_kind::text:
    return static_cast<std::size_t>(x.max) * 4 + 2;
  case field_kind::bytes:
    return static_cast<std::size_t>(x.max) * 2 + 2;
  case field_kind::one_of:
    return limits::max_name_bytes * 2 + 2;
  default:
    return 9;
  }
}

static bool is_wide(const table& x, const field_numbers& index) {
  std::size_t size = 0;
  for (const auto number : index)
    size += widest_key_bytes(x.fields[number]);
  return size > limits::max_ordered_index_key_bytes;
}

/// A node's or an account's own name, as genesis may give it.
static bool is_party_name(std::string_view raw) {
  if (raw.empty() || raw.size() > limits::max_name_bytes) return false;
  return std::all_of(raw.begin(), raw.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_' || c == '-' || c == '.';
  });
}

std::vector<grantee> walk::read_grantees(const std::string& path, bool author_too) const {
  std::vector<grantee> list;
  if (lua_isnil(lua_, -1)) return list;
  for (auto& name : text_list(path, max_grantees, "{ \"level1\", \"hq\", \"importer@hq\" }")) {
    if (name == "author" && !author_too)
      fail(path, "\"author\" is known for read and hide only; name tiers, nodes or accounts");
    static constexpr std::string_view of_contract = "contract:";
    const auto at = name.find('@');
    if (name.starts_with(of_contract) && is_name(name.substr(of_contract.size()), false))
      list.push_back(
          {.what = grantee::kind::contract, .name = name.substr(of_contract.size())});
    else if (name == "author")
      list.push_back({.what = grantee::kind::author});
    else if (name == "anyone")
      list.push_back({.what = grantee::kind::anyone});
    else if (const auto level = tier_named(name))
      list.push_back({.what = grantee::kind::tier, .at = *level});
    else if (at == std::string::npos && is_party_name(name))
      list.push_back({.what = grantee::kind::node, .name = std::move(name)});
    else if (at != std::string::npos && is_party_name(name.substr(0, at))
             && is_party_name(name.substr(at + 1)))
      list.push_back({.what = grantee::kind::account, .name = std::move(name)});
    else
      fail(path,
           in_quotes(name)
               + " is neither a tier (level1, level2, level3, service), nor a node, nor an "
                 "account written account@node, nor a contract written contract:name, nor "
                 "\"anyone\"");
  }
  return list;
}

bool walk::read_flag(const std::string& path) const {
  if (!lua_isnil(lua_, -1) && !lua_isboolean(lua_, -1)) fail(path, "must be true or false");
  return lua_toboolean(lua_, -1);
}

table walk::read_table(const std::string& contract_name, const std::string& name) {
  const auto path = "tables." + name;
  static constexpr char example[] = "{ key = {\"code\"}, fields = { code = text{max=12} } }";
  if (!is_name(name, false))
    fail("tables",
         in_quotes(name) + " is no table name: use a-z, 0-9 and _, at most 64, a letter first");
  need_table(path, example);
  only(path,
       {"key", "fields", "index", "unique", "references", "check", "hide", "read", "store",
        "delete", "erase", "distribute", "settles"},
       example);
  table made{.name = name, .full_name = contract_name + "." + name};
  with("fields", [&] { made.fields = read_fields(path + ".fields"); });
  with("key", [&] { made.key = read_key(made, path + ".key", use::key); });
  with("index", [&] { made.indexes = read_indexes(made, path + ".index"); });
  with("unique", [&] { read_unique(made, path + ".unique"); });
  with("references", [&] { read_references(made, contract_name, path + ".references"); });
  with("check", [&] {
    made.has_check = read_function(path + ".check", "check = function(row) return … end");
  });
  with("hide", [&] { read_hidden(made, path + ".hide"); });
  made.has_wide_index =
      std::any_of(made.indexes.begin(), made.indexes.end(),
                  [&](const field_numbers& index) { return is_wide(made, index); });
  with("read", [&] { made.readers = read_grantees(path + ".read", true); });
  with("store", [&] { made.storers = read_grantees(path + ".store"); });
  with("delete", [&] { made.deleters = read_grantees(path + ".delete"); });
  with("erase", [&] { made.erasers = read_grantees(path + ".erase"); });
  with("distribute", [&] { made.distributors = read_grantees(path + ".distribute"); });
  with("settles", [&] { made.settles = read_flag(path + ".settles"); });
  return made;
}

/// Whether there is one; it is nil or a function.
bool walk::read_function(const std::string& path, const char* example) const {
  if (lua_isnil(lua_, -1)) return false;
  if (lua_type(lua_, -1) != LUA_TFUNCTION || lua_iscfunction(lua_, -1))
    fail(path, std::string("must be a function: write ") + example);
  return true;
}

action walk::read_action(const std::string& name) {
  static constexpr char example[] =
      "{ may = {\"level2\"}, params = { code = text{max=12} }, run = function(ctx, p) … end }";
  const auto path = "actions." + name;
  if (!is_name(name, false))
    fail("actions", in_quotes(name)
                        + " is no action name: use a-z, 0-9 and _, at most 64, a letter first");
  if (name == "store" || name == "delete" || name == "erase" || name == "distribute")
    fail("actions", name
                        + " is there for every table without code; give the right in the "
                          "table, or choose another name");
  need_table(path, example);
  only(path, {"may", "params", "run", "doc"}, example);
  action made{.name = name};
  with("may", [&] { made.may = read_grantees(path + ".may"); });
  with("params", [&] {
    if (lua_isnil(lua_, -1)) return;
    need_table(path + ".params", "params = { code = text{max=12} }");
    for (const auto& param : keys(path + ".params", max_fields, "code = text{max=12}"))
      with(param, [&] { made.params.push_back(read_field(path + ".params", param)); });
  });
  with("doc", [&] {
    if (lua_isnil(lua_, -1)) return;
    if (lua_type(lua_, -1) != LUA_TSTRING || text_at(lua_, -1).size() > max_doc_bytes
        || printable(std::string(text_at(lua_, -1)), max_doc_bytes) != text_at(lua_, -1))
      fail(path + ".doc", "must be one line of at most 256 bytes: write doc = \"accepts an "
                          "order\"");
    made.doc = text_at(lua_, -1);
  });
  with("run", [&] {
    if (!read_function(path + ".run", "run = function(ctx, p) … end") && !options_.builtin)
      fail(path + ".run", "is missing: write run = function(ctx, p) … end");
  });
  return made;
}

void walk::read_code(contract& into) {
  with("actions", [&] {
    static constexpr char example[] = "actions = { accept = { may = …, run = … } }";
    if (lua_isnil(lua_, -1)) return;
    need_table("actions", example);
    for (const auto& name : keys("actions", max_actions, example))
      with(name, [&] { into.actions.push_back(read_action(name)); });
  });
  with("migrate",
       [&] { into.has_migrate = read_function("migrate", "migrate = function(ctx) … end"); });
  with("tests", [&] {
    static constexpr char example[] =
        "tests = { [\"an order is accepted once\"] = function(t) … end }";
    if (lua_isnil(lua_, -1)) return;
    need_table("tests", example);
    for (const auto& name : keys("tests", max_tests, example)) {
      if (name.empty() || name.size() > max_doc_bytes || printable(name, max_doc_bytes) != name)
        fail("tests",
             "a test's name is one line of at most 256 bytes: write " + std::string(example));
      with(name, [&] {
        if (!read_function("tests", example))
          fail("tests", in_quotes(name) + " is no function: write " + example);
      });
      into.tests.push_back(name);
    }
  });
}

contract walk::read_contract() {
  static constexpr char example[] =
      "return { contract = \"orders\", version = 1, tables = { … } }";
  contract made;
  if (!lua_istable(lua_, -1)) fail("", std::string("returns no table: write ") + example);
  only("", {"contract", "version", "signed", "tables", "actions", "migrate", "tests"}, example);
  with("contract", [&] {
    if (lua_type(lua_, -1) != LUA_TSTRING || !is_name(text_at(lua_, -1), false))
      fail("contract", "must be the contract's name, of a-z, 0-9 and _, at most 64: write "
                       "contract = \"orders\"");
    made.name = text_at(lua_, -1);
    static constexpr std::string_view kept[] = {"mesh", "settlement", "distribution",
                                                "erasure"};
    if (!options_.builtin
        && std::find(std::begin(kept), std::end(kept), made.name) != std::end(kept))
      fail("contract", in_quotes(made.name) + " is built into the mesh; choose another name");
  });
  with("version", [&] {
    const auto number = lua_isinteger(lua_, -1) ? lua_tointeger(lua_, -1) : 0;
    if (number < 1 || number > std::numeric_limits<std::int32_t>::max())
      fail("version", "must be a positive whole number: write version = 1");
    made.version = static_cast<std::uint32_t>(number);
  });
  with("signed", [&] { made.author_signs = read_flag("signed"); });
  with("tables", [&] {
    need_table("tables", "tables = { orders = { key = …, fields = … } }");
    for (const auto& name : keys("tables", max_tables, "orders = { key = …, fields = … }"))
      with(name, [&] { made.tables.push_back(read_table(made.name, name)); });
    if (made.tables.empty())
      fail("tables", "declares no table: write tables = { orders = { key = …, fields = … } }");
  });
  check_references(made);
  read_code(made);
  return made;
}

// --- parse

/// How often the source has a word or label from which Lua's compiler builds lists. It walks a
/// list's length for each further one, so a file of nothing else would keep a node busy for ten
/// seconds.
static std::size_t count_jump_words(std::string_view source) {
  static constexpr std::string_view jump_words[] = {"and", "or", "elseif", "goto", "break"};
  const auto in_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_';
  };
  std::size_t count = 0;
  for (std::size_t i = 0; i < source.size();) {
    const auto start = i;
    while (i < source.size() && in_word(source[i]))
      ++i;
    count +=
        std::find(std::begin(jump_words), std::end(jump_words), source.substr(start, i - start))
        != std::end(jump_words);
    if (i > start) continue;
    const bool label = source.substr(i, 2) == "::";
    count += label;
    i += label ? 2 : 1;
  }
  return count;
}

/// Where the source has a zero byte, or an escape that stands for one. Lua compares texts with
/// such bytes piece by piece, which no count of its steps shows.
static std::optional<std::size_t> find_zero_byte(std::string_view source) {
  const auto all_zeros = [](std::string_view digits) {
    return !digits.empty() && digits.find_first_not_of('0') == std::string_view::npos;
  };
  const auto run_of = [&](std::size_t from, std::size_t most) {
    std::size_t size = 0;
    while (size < most && from + size < source.size()
           && std::isxdigit(static_cast<unsigned char>(source[from + size])) != 0)
      ++size;
    return source.substr(from, size);
  };
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\0') return i;
    if (source[i] != '\\' || ++i == source.size()) continue;
    const auto decimal = run_of(i, 3);
    const auto digits = decimal.substr(0, decimal.find_first_not_of("0123456789"));
    if (all_zeros(digits)) return i;
    if (source[i] == 'x' && all_zeros(run_of(i + 1, 2))) return i;
    if (source.substr(i, 2) == "u{" && all_zeros(run_of(i + 2, source.size()))) return i;
  }
  return std::nullopt;
}

static result<void> check_source(std::string_view source, const std::string& file_name,
                                 const parse_limits& limits) {
  if (source.size() > limits.source_bytes)
    return make_error(errc::too_large, file_name + ": a contract file has at most "
                                           + std::to_string(limits.source_bytes / 1024)
                                           + " KiB");
  if (source.starts_with(LUA_SIGNATURE))
    return make_error(errc::bad_config,
                      file_name + ":1: this is compiled Lua; give the source text");
  if (!is_utf8(source))
    return make_error(errc::bad_config, file_name + ": is not UTF-8 text; save it as UTF-8");
  if (const auto at = find_zero_byte(source))
    return make_error(
        errc::bad_config,
        file_name + ":"
            + std::to_string(1 + std::count(source.begin(), source.begin() + *at, '\n'))
            + ": a text in a contract holds no zero byte; take it out, or keep such values in "
              "a "
              "bytes field");
  if (count_jump_words(source) > limits.jump_words)
    return make_error(errc::too_large,
                      file_name + ": has and, or, elseif, goto, break and :: more than "
                          + std::to_string(limits.jump_words)
                          + " times; declare tables instead");
  return {};
}

/// What Lua calls the file, for it shortens long names in its messages.
static constexpr std::string_view stand_in = "?";

void name_file(std::string& text, std::string_view file) {
  // What Lua says of its own limits comes without a place.
  if (text.starts_with(stand_in))
    text.replace(0, stand_in.size(), file);
  else if (!text.starts_with(file))
    text.insert(0, std::string(file) + ": ");
}

std::string shown_file_name(std::string_view file_name) {
  return printable(std::string(file_name.substr(0, 250)), 240);
}

result<contract> read_file(sandbox& box, made_types& types, std::string_view source,
                           std::string_view file, const parse_limits& limits,
                           const parse_options& options,
                           const std::function<void(lua_State*, const contract&)>& keep) {
  const std::string file_name(file);
  if (auto good = check_source(source, file_name, limits); !good) return good.error();
  contract made;
  const auto digest_of_file = hash(digest_kind::contract, as_bytes(source));
  static constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (source.starts_with(byte_order_mark)) source.remove_prefix(byte_order_mark.size());

  auto failure = box.run([&](lua_State* lua) {
    open_constructors(lua, types);
    box.evaluate(lua, source, stand_in);
    made = walk(lua, types, file_name, options).read_contract();
    made.source = digest_of_file;
    freeze_deep(lua, -1);
    if (keep) keep(lua, made);
  });
  if (!failure) return made;
  if (*failure == "not enough memory")
    return make_error(errc::too_large, file_name
                                           + ": the file builds too much in memory; a contract "
                                             "only declares");
  name_file(*failure, file_name);
  return make_error(errc::bad_config, printable(std::move(*failure), 500));
}

result<contract> parse(std::string_view source, std::string_view file_name,
                       const parse_limits& limits, const parse_options& options) {
  sandbox box(limits);
  made_types types;
  return read_file(box, types, source, shown_file_name(file_name), limits, options, {});
}

} // namespace tallymesh::contracts
