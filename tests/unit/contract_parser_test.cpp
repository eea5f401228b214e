// Contract files: what is understood, how errors read, and what a hostile file cannot do.
#include "contracts/contract.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <sstream>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

result<contract> parsed(const std::string& source) { return parse(source, "orders.lua"); }

/// The error that `source` gives; empty if it is good.
std::string complaint(const std::string& source) {
  const auto made = parsed(source);
  return made ? "" : made.error().context;
}

/// A contract with one table of these fields, on line 3, and these further lines.
std::string with_fields(const std::string& fields, const std::string& more = "") {
  return "return { contract = \"orders\", version = 1,\n  tables = { orders = { key = "
         "{\"id\"},\n    fields = { id = "
         "text{max=8}, "
         + fields + " },\n    " + more + " } } }\n";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

#define CHECK_SAYS(source, part)                                                               \
  do {                                                                                         \
    const auto said = complaint(source);                                                       \
    BOOST_TEST(contains(said, part), "said '" << said << "' without '" << (part) << "'");      \
  } while (false)

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  BOOST_TEST_REQUIRE(file.good(), "cannot open " << path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace

BOOST_AUTO_TEST_SUITE(contract_files)

BOOST_AUTO_TEST_CASE(a_contract_declares_tables_with_fields_keys_indexes_and_rights) {
  const auto made = parsed(R"(
    local short = text{max=32, min=1}
    return {
      contract = "orders", version = 2, signed = true,
      tables = { orders = {
        key = { "region", "order_id" },
        fields = { order_id = short, region = int64{min=1, max=31}, amount = decimal{scale=2, min="-0.05"},
                   state = one_of{"new", "done"}, paid = bool, seal = bytes{max=64, optional=true},
                   remark = optional(text{max=500}) },
        index = { {"state"}, {"remark", "amount"} },
        read = { "level1", "hq", "importer@coop", "anyone" }, store = { "service" },
      } } })");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  BOOST_TEST(made->name == "orders");
  BOOST_TEST(made->version == 2u);
  BOOST_TEST(made->author_signs);
  const auto* table = made->find_table("orders");
  BOOST_TEST_REQUIRE(table);
  BOOST_TEST(table->full_name == "orders.orders");
  BOOST_TEST(table->fields.size() == 7u);
  BOOST_TEST(table->fields[table->key[0]].name == "region");
  BOOST_TEST(table->fields[table->key[1]].name == "order_id");
  BOOST_TEST(table->indexes.size() == 2u);
  BOOST_TEST(table->find_field("order_id")->type_text() == "text{max=32, min=1}");
  BOOST_TEST(table->find_field("amount")->type_text() == "decimal{scale=2, min=\"-0.05\"}");
  BOOST_TEST(table->find_field("amount")->min == -5);
  BOOST_TEST(table->find_field("state")->type_text() == "one_of{\"new\", \"done\"}");
  BOOST_TEST(table->find_field("paid")->type_text() == "bool{}");
  BOOST_TEST(table->find_field("remark")->type_text() == "optional(text{max=500})");
  BOOST_TEST(table->find_field("seal")->optional);
  BOOST_TEST(table->readers.size() == 4u);
  BOOST_TEST(table->deleters.empty());
}

BOOST_AUTO_TEST_CASE(
    the_contract_that_ships_is_good_and_has_the_columns_of_the_published_files) {
  const auto made = parse(file_text(TALLYMESH_SOURCE_DIR "/contracts/library/divisions.lua"),
                          "divisions.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  BOOST_TEST(made->tables.size() == 5u);
  const auto* villages = made->find_table("villages");
  BOOST_TEST_REQUIRE(villages);
  for (const auto* column :
       {"code", "name", "streetCode", "provinceCode", "cityCode", "areaCode"})
    BOOST_TEST(villages->find_field(column), column);
}

BOOST_AUTO_TEST_CASE(a_mistake_is_reported_with_its_file_and_line) {
  CHECK_SAYS("return {\n  contract = 'orders',\n  version = = 1 }", "orders.lua:3:");
  CHECK_SAYS(with_fields("price = text{}"),
             "orders.lua:3: text needs a greatest length: write text{max=64}");
  CHECK_SAYS(with_fields("price = text{maxx=3}"), "orders.lua:3: text has no option \"maxx\"");
  CHECK_SAYS(with_fields("price = text(3)"), "orders.lua:3: text takes its options in braces");
  CHECK_SAYS(with_fields("price = decimal{scale=2, min=0.05}"),
             "orders.lua:3: min of a decimal is a whole number or a text");
  CHECK_SAYS(with_fields("price = decimal{scale=2, min=\"0.055\"}"), "orders.lua:3:");
  CHECK_SAYS(with_fields("price = decimal{scale=19}"),
             "orders.lua:3: decimal needs a scale from 0 to 18");
  CHECK_SAYS(with_fields("price = int64{min=2, max=1}"),
             "orders.lua:3: int64 needs min <= max");
  CHECK_SAYS(with_fields("price = int64{min=1.5}"), "orders.lua:3: min must be a whole number");
  CHECK_SAYS(with_fields("price = one_of{}"), "orders.lua:3: one_of takes 1 to 256 texts");
  CHECK_SAYS(with_fields("price = one_of{'a', 'a'}"), "orders.lua:3: one_of names \"a\" twice");
  CHECK_SAYS(with_fields("price = string{max=3}"),
             "orders.lua:3: there is no \"string\"; write text{max=64}");
  CHECK_SAYS("x = 1\n" + with_fields("price = bool"),
             "orders.lua:1: \"x\" would be a global; write local");
}

BOOST_AUTO_TEST_CASE(a_long_path_is_shown_whole) {
  const std::string path =
      "/srv/meshes/of/the/whole/group/and/its/partners/for/the/year/2026/contracts/orders.lua";
  BOOST_TEST(parse("return {\n = }", path).error().context.starts_with(path + ":2: "));
  BOOST_TEST(parse("return 1", path).error().context.starts_with(path + ": returns no table"));
}

BOOST_AUTO_TEST_CASE(a_wrong_declaration_is_reported_with_its_path_and_what_to_write) {
  CHECK_SAYS("return 7", "orders.lua: returns no table: write return {");
  CHECK_SAYS("", "orders.lua: returns no table");
  CHECK_SAYS("return { version = 1, tables = {} }",
             "orders.lua: contract: must be the contract's name");
  CHECK_SAYS("return { contract = 'Orders', version = 1 }", "contract: must be");
  CHECK_SAYS("return { contract = 'orders', version = 0 }",
             "version: must be a positive whole number");
  CHECK_SAYS("return { contract = 'orders', version = 1.0 }",
             "version: must be a positive whole number");
  CHECK_SAYS("return { contract = 'orders', version = 1 }", "tables: is missing");
  CHECK_SAYS("return { contract = 'orders', version = 1, tables = {} }",
             "tables: declares no table");
  CHECK_SAYS("return { contract = 'orders', version = 1, tables = { Big = {} } }",
             "is no table name");
  CHECK_SAYS("return { contract = 'orders', version = 1, table = {} }",
             "there is no \"table\" here; known are");
  CHECK_SAYS(with_fields("price = 'text'"),
             "tables.orders.fields.price: is not a type: write price = text{max=64}");
  CHECK_SAYS(with_fields("price = text"), "tables.orders.fields.price: is not a type");
  CHECK_SAYS(with_fields("[\"a b\"] = bool"), "\"a b\" is no field name");
  CHECK_SAYS(with_fields("bool"), "tables.orders.fields: has an entry without a name");
  CHECK_SAYS(with_fields("", "index = { {\"nope\"} }"),
             "tables.orders.index[1]: there is no field \"nope\"");
  CHECK_SAYS(with_fields("", "index = { \"id\" }"), "tables.orders.index[1]: must be a list");
  CHECK_SAYS(with_fields("", "index = { {\"id\"}, {\"id\"} }"), "declares one index twice");
  CHECK_SAYS(with_fields("", "index = { {\"id\", \"id\"} }"), "names id twice");
  CHECK_SAYS(with_fields("", "store = \"level1\""),
             "tables.orders.store: must be a list: write {");
  CHECK_SAYS(with_fields("", "store = { \"a b\" }"), "\"a b\" is neither a tier");
  CHECK_SAYS(with_fields("", "store = { \"a@b@c\" }"), "is neither a tier");
  CHECK_SAYS(with_fields("", "delete = { \"author\" }"),
             "\"author\" is known for read and hide only");
  CHECK_SAYS(with_fields("", "delete = { \"hq\", nil, \"coop\" }"), "has holes");
  CHECK_SAYS("return { contract='o', version=1, tables={ t={ key={'a'}, fields={ "
             "a=optional(bool) } } } }",
             "tables.t.key: a field of the key cannot be optional");
  CHECK_SAYS("return { contract='o', version=1, tables={ t={ key={}, fields={ a=bool } } } }",
             "tables.t.key: is empty");
}

BOOST_AUTO_TEST_CASE(
    actions_checks_migrations_and_tests_are_functions_that_a_contract_declares) {
  const auto made = parsed(R"(return { contract = "orders", version = 1,
    tables = { orders = { key = {"id"}, fields = { id = text{max=8}, of = optional(text{max=8}) },
      unique = { {"of"} }, references = { { fields = {"of"}, table = "people" } }, read = { "author" },
      erase = { "hq" }, check = function(row) return true end },
      people = { key = {"name"}, fields = { name = text{max=8} } } },
    actions = { accept = { may = { "level2" }, params = { id = text{max=8}, why = optional(text{max=9}) },
      doc = "accepts an order", run = function(ctx, p) end } },
    migrate = function(ctx) end,
    tests = { ["an order is accepted"] = function(t) end } })");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  BOOST_TEST(made->has_code());
  BOOST_TEST(made->has_migrate);
  BOOST_TEST((made->tests == std::vector<std::string>{"an order is accepted"}));
  const auto& accept = *made->find_action("accept");
  BOOST_TEST(accept.doc == "accepts an order");
  BOOST_TEST(accept.params.size() == 2u);
  BOOST_TEST(accept.params[1].optional);
  BOOST_TEST((accept.may[0].at == tier::level2));
  const auto& orders = *made->find_table("orders");
  BOOST_TEST(orders.has_check);
  BOOST_TEST(orders.unique.size() == 1u);
  BOOST_TEST(orders.references.at(0).table == "orders.people");
  BOOST_TEST((orders.readers[0].what == grantee::kind::author));
  BOOST_TEST(orders.erasers.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_wrong_action_or_constraint_is_reported_with_its_path) {
  const auto with_action = [](const std::string& action) {
    return "return { contract='o', version=1, tables={ t={ key={'a'}, fields={ a=bool } } }, "
           + action + " }";
  };
  CHECK_SAYS(with_action("actions={ go={} }"), "actions.go.run: is missing: write run =");
  CHECK_SAYS(with_action("actions={ store={ run=function() end } }"),
             "store is there for every table without code");
  CHECK_SAYS(with_action("actions={ Go={ run=function() end } }"), "is no action name");
  CHECK_SAYS(with_action("actions={ go={ run='x' } }"), "actions.go.run: must be a function");
  CHECK_SAYS(with_action("actions={ go={ run=pairs } }"), "actions.go.run: must be a function");
  CHECK_SAYS(with_action("actions={ go={ does=1 } }"), "there is no \"does\" here");
  CHECK_SAYS(with_action("actions={ go={ params={ a=1 }, run=function() end } }"),
             "actions.go.params.a: is not a type");
  CHECK_SAYS(with_action("tests={ function() end }"), "has an entry without a name");
  CHECK_SAYS(with_action("tests={ ['x']=1 }"), "tests: must be a function");
  CHECK_SAYS(with_action("queries={}"), "rows are read by key and by index without code");
  CHECK_SAYS(with_action("settle={}"), "there is no \"settle\" here");
  CHECK_SAYS(with_fields("", "hide = { id = {\"hq\"} }"), "cannot be hidden: id");
  CHECK_SAYS(with_fields("", "unique = { {\"id\"} }"), "the key is unique already");
  CHECK_SAYS(with_fields("", "references = { { fields={\"id\"}, table=\"nope\" } }"),
             "there is no table \"nope\" in this contract");
}

BOOST_AUTO_TEST_CASE(every_count_has_a_limit) {
  const auto many = [](int count, const std::string& each) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      auto one = each;
      for (std::size_t at; (at = one.find('#')) != std::string::npos;)
        one.replace(at, 1, std::to_string(i));
      text += one;
    }
    return text;
  };
  const auto tables = [&](int count) {
    return "return { contract='o', version=1, tables={ "
           + many(count, "t#={key={'a'}, fields={a=bool}}, ") + "} }";
  };
  BOOST_TEST(complaint(tables(64)) == "");
  CHECK_SAYS(tables(65), "tables: has more than 64 entries");
  BOOST_TEST(complaint(with_fields(many(255, "f#=bool, "))) == "");
  CHECK_SAYS(with_fields(many(256, "f#=bool, ")), "fields: has more than 256 entries");
  BOOST_TEST(
      complaint(with_fields(many(8, "f#=bool, "), "index = {" + many(8, "{'f#'}, ") + "}"))
      == "");
  CHECK_SAYS(with_fields(many(9, "f#=bool, "), "index = {" + many(9, "{'f#'}, ") + "}"),
             "index: has more than 8 entries");
  CHECK_SAYS(with_fields(many(9, "f#=bool, "), "index = { {" + many(9, "'f#', ") + "} }"),
             "has more than 8 entries");
  CHECK_SAYS(with_fields("x = one_of{" + many(257, "'v#', ") + "}"),
             "one_of takes 1 to 256 texts");
  const auto choices = "local v = one_of{" + many(256, "'v#', ") + "}\n";
  BOOST_TEST(complaint(choices + with_fields(many(64, "f#=v, "))) == "");
  CHECK_SAYS(choices + with_fields(many(65, "f#=v, ")), "have too many values in all");
  const auto good = with_fields("x = bool");
  const auto filled = good + std::string(max_source_bytes - good.size(), ' ');
  BOOST_TEST(complaint(filled) == "");
  BOOST_TEST((parsed(filled + " ").error().code == errc::too_large));
  CHECK_SAYS(filled + " ", "192 KiB");
  BOOST_TEST(complaint(with_fields(std::string(64, 'a') + " = bool")) == "");
  CHECK_SAYS(with_fields(std::string(65, 'a') + " = bool"), "is no field name");
}

BOOST_AUTO_TEST_CASE(rights_cover_tiers_nodes_accounts_and_nobody_else) {
  const auto made = parsed(with_fields(
      "x = bool", "read = { 'level2', 'hq', 'importer@coop' }, store = { 'anyone' }"));
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  const auto& table = made->tables[0];
  BOOST_TEST(may_read(table, {"any", "some", tier::level2}));
  BOOST_TEST(may_read(table, {"any", "hq", tier::level1}));
  BOOST_TEST(may_read(table, {"importer", "coop", tier::level3}));
  BOOST_TEST(!may_read(table, {"exporter", "coop", tier::level3}));
  BOOST_TEST(!may_read(table, {"importer", "other", tier::level3}));
  BOOST_TEST(!may_read(table, {"importe", "rcoop", tier::level3}));
  BOOST_TEST(!may_read(table, {"any", "level2", tier::level3}));
  BOOST_TEST(may_store(table, {"any", "some", tier::service}));
  BOOST_TEST(!may_delete(table, {"any", "hq", tier::level2}));
  BOOST_TEST(may_read(*made, "orders", {"any", "hq", tier::level1}));
  BOOST_TEST(!may_read(*made, "nope", {"any", "hq", tier::level1}));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(hostile_contract_files)

BOOST_AUTO_TEST_CASE(a_loop_without_end_is_stopped) {
  CHECK_SAYS("while true do end", "orders.lua:1: the file runs too long");
  CHECK_SAYS("::again:: goto again", "runs too long");
  CHECK_SAYS("for i = 1, 1e15 do end", "runs too long");
  CHECK_SAYS("local function f() return f() end return f()", "runs too long");
}

BOOST_AUTO_TEST_CASE(memory_is_limited_at_once_in_all_and_a_piece) {
  CHECK_SAYS("local s = 'x' while true do s = s .. s end", "builds too much in memory");
  CHECK_SAYS("local t = {} for i = 1, 1e9 do t[i] = {} end", "builds too much in memory");
  CHECK_SAYS(
      "local s = 'x' for i = 1, 15 do s = s .. s end\nwhile true do local t = s .. 'y' end",
      "builds too much in memory");
  CHECK_SAYS("local function f() return 1 + f() end return f()", "builds too much in memory");
  CHECK_SAYS("while true do text{max=1} end", "too many types");
  CHECK_SAYS("local v = one_of{'a', 'b', 'c', 'd'} while true do optional(v) end",
             "too many values in all");
}

BOOST_AUTO_TEST_CASE(bytecode_is_refused) {
  CHECK_SAYS(std::string("\x1bLua\x54\x00\x19\x93", 8), "this is compiled Lua");
}

BOOST_AUTO_TEST_CASE(deep_nesting_is_refused) {
  for (const auto& [open, close] :
       {std::pair("{", "}"), std::pair("(", ")"), std::pair("- ", ""), std::pair("#", "")}) {
    std::string source = "return ";
    for (int i = 0; i < 50'000; ++i)
      source += open;
    source += "1";
    for (int i = 0; i < 50'000; ++i)
      source += close;
    CHECK_SAYS(source, "orders.lua: C stack overflow");
  }
}

BOOST_AUTO_TEST_CASE(there_is_no_library_no_metatable_and_no_way_to_one) {
  for (const std::string name :
       {"print",          "require",      "load",   "loadstring", "dofile",   "xpcall",
        "setmetatable",   "getmetatable", "rawset", "rawget",     "rawequal", "rawlen",
        "collectgarbage", "warn",         "io",     "os",         "debug",    "package",
        "coroutine",      "_G",           "_ENV2"})
    CHECK_SAYS("return " + name + "()", "there is no \"" + name + "\"");
  for (const std::string inside :
       {"string.dump", "string.pack", "string.unpack", "table.move", "table.pack",
        "math.random", "math.floor", "math.pi", "utf8.char", "('x').dump"})
    CHECK_SAYS("return " + inside + "()", "attempt to call a nil value");
  CHECK_SAYS("local t = text{max=1} t.max = 5", "attempt to index a field type value");
  CHECK_SAYS("return text{max=1}.__index", "attempt to index a field type value");
  CHECK_SAYS("return #text{max=1}", "attempt to get length");
  CHECK_SAYS(with_fields("x = { kind = 'text', max = 3 }"), "is not a type");
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_text_are_refused_and_errors_stay_one_printable_line) {
  CHECK_SAYS("return '\xff'", "is not UTF-8");
  CHECK_SAYS(with_fields("x = one_of{'\\xff'}"), "1 to 64 bytes of UTF-8");
  const auto said = complaint(with_fields("['\\n\\27[31m'] = bool"));
  BOOST_TEST(said.find('\n') == std::string::npos);
  BOOST_TEST(said.find('\x1b') == std::string::npos);
  BOOST_TEST(is_utf8(complaint("return \"" + std::string(100, 'a') + "网\n")));
  BOOST_TEST(parse("return 1", std::string(5000, 'n')).error().context.size() < 500u);
}

BOOST_AUTO_TEST_CASE(a_file_has_no_zero_bytes) {
  for (const std::string zero :
       {"\\0", "\\00", "\\000", "\\0a", "\\x00", "\\u{0}", "\\u{0000}"})
    CHECK_SAYS("local a = 1\nlocal b = 'x" + zero + "'",
               "2: a text in a contract holds no zero");
  CHECK_SAYS(std::string("-- ") + '\0', "1: a text in a contract holds no zero byte");
  for (const std::string other : {"\\010", "\\x0A", "\\\\0", "\\u{20}", "\\9"})
    BOOST_TEST(parsed("local b = 'x" + other + "' " + with_fields("x = bool")).has_value(),
               other);
}

BOOST_AUTO_TEST_CASE(the_costliest_files_end_within_seconds) {
  // Each is near the size limit and aims at a part of Lua that does more than its steps count.
  const auto repeat = [](const std::string& part, std::size_t bytes) {
    std::string text;
    while (text.size() + part.size() < bytes)
      text += part;
    return text;
  };
  const std::size_t size = max_source_bytes - 1024;
  CHECK_SAYS("local a return " + repeat("a or ", size) + "a",
             "has and, or, elseif, goto, break and :: more than");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"or chain", "local a return " + repeat("a or ", 49'000) + "a"},
      {"elseif chain", "local a if a then " + repeat("elseif a then ", 139'000) + "end"},
      {"labels",
       [] {
         std::string text;
         for (int i = 0; text.size() < 255 * 1024 - 20 && i < 9'900; ++i)
           text += "::l" + std::to_string(i) + "::";
         return text;
       }()},
      {"one large function, kept many times",
       "local function f(a) return function() " + repeat("a = a + 1 ", 30'000)
           + " end end local t = {} for i = 1, 9000 do t[i] = f(i) end return t"},
      {"forward gotos", "do " + repeat("goto a ", 68'000) + "::a:: end"},
      {"comparison of long texts", "local a, b = '" + std::string(100'000, 'x') + "1', '"
                                       + std::string(100'000, 'x')
                                       + "2' while true do local c = a < b end"},
      {"long concatenation",
       "local s = 'x' for i = 1, 14 do s = s .. s end while true do local t = s .. s .. s end"},
      {"nested functions", repeat("local function f() end ", 190 * 23)
                               + repeat("do local x = function() end end ", size - 8000)},
  };
  for (const auto& [name, source] : files) {
    const auto start = std::chrono::steady_clock::now();
    const auto made = parsed(source);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    BOOST_TEST_MESSAGE(name << ": " << took.count()
                            << " s: " << (made ? "good" : made.error().context));
    BOOST_TEST(!made.has_value(), name);
    BOOST_TEST(took.count() < 20.0, name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
