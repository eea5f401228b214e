// What a hostile contract tries: to get out, to hold a node up, to eat its memory, to break its
// stack, to make nodes differ. Each ends within its limits, and the node goes on.
#include "tests/unit/memory_host.hpp"

#include <boost/test/unit_test.hpp>
#include <ctime>

using namespace tallymesh;
using namespace tallymesh::contracts;

namespace {

std::string with_body(const std::string& body, const std::string& before = "") {
  return before + R"( return { contract = "attack", version = 1,
    tables = { rows = { key = {"id"}, fields = { id = text{max=8} } } },
    actions = { go = { may = {"anyone"}, run = function(ctx, p) )"
         + body + " end } } }";
}

/// Processor time, so that other work on the machine does not count.
double seconds_now() {
  timespec at{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) * 1e-9;
}

#ifdef __SANITIZE_ADDRESS__
constexpr double most_seconds = 60;
#else
/// An operation's gas stands for 0.05 s of ordinary work. The costliest instructions may cost
/// more than they pay, but no more than this.
constexpr double most_seconds = 1.5;
#endif

struct attacked {
  run_outcome end;
  std::vector<std::pair<std::string, value_map>> told;
  double seconds = 0;
};

/// `p.zeros`, if it is asked for: as a row's bytes may be, and a text in a file may not.
value_map params_for(const std::string& body) {
  if (body.find("p.zeros") == std::string::npos) return {};
  return {{"zeros", value(bytes(60'000))}};
}

attacked attack(const std::string& body, const std::string& before = "") {
  auto made = program::make(with_body(body, before), "attack.lua");
  if (!made) return {{outcome::contract_error, {}, {}, made.error().context}, {}, 0};
  memory_host host((*made)->declared());
  const auto start = seconds_now();
  attacked came{.end = (*made)->run("go", params_for(body), host), .told = {}, .seconds = 0};
  came.seconds = seconds_now() - start;
  came.told = host.told;
  // The same program serves the next one as if nothing had been.
  memory_host next((*made)->declared());
  const auto again = (*made)->run("go", params_for(body), next);
  BOOST_TEST((again.why == came.end.why && again.detail == came.end.detail
              && next.gas.used == host.gas.used),
             "another outcome the second time: " << body);
  BOOST_TEST_MESSAGE(to_string(came.end.why) << " in " << came.seconds << " s: " << body);
  return came;
}

/// What a run that ends well costs.
std::uint64_t gas_of(const std::string& body, const std::string& before = "") {
  auto made = program::make(with_body(body, before), "attack.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  memory_host host((*made)->declared());
  const auto end = (*made)->run("go", {}, host);
  BOOST_TEST(end.ok(), to_string(end.why) << ": " << end.text);
  return host.gas.used;
}

void check_refused(const std::vector<std::string>& bodies, std::initializer_list<outcome> as,
                   const std::string& before = "") {
  for (const auto& body : bodies) {
    const auto came = attack(body, before);
    BOOST_TEST((std::find(as.begin(), as.end(), came.end.why) != as.end()),
               to_string(came.end.why)
                   << " (" << came.end.detail << ") " << came.end.text << " in " << body);
    BOOST_TEST(came.seconds < most_seconds, came.seconds << " s in " << body);
    BOOST_TEST(came.told.empty(), body);
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(contract_attacks)

BOOST_AUTO_TEST_CASE(everything_that_can_be_reached_is_on_one_list) {
  const auto came = attack(R"(
    local seen, found = {}, {}
    local function walk(path, x)
      if type(x) ~= "table" then found[#found + 1] = path return end
      if seen[x] then return end
      seen[x] = true
      for k, v in pairs(x) do walk(path .. tostring(k) .. " ", v) end
    end
    walk("", _ENV)
    walk("ctx ", ctx)
    ctx.emit("all", { list = table.concat(found, ",") }))");
  BOOST_TEST_REQUIRE(came.end.ok(), came.end.text);
  BOOST_TEST(
      *find(came.told[0].second, "list")->as<std::string>()
      == "assert ,bool ,bytes ,decimal ,error ,int64 ,ipairs ,math abs ,math max ,"
         "math maxinteger ,math min ,math mininteger ,math tointeger ,next ,none ,one_of "
         ",optional ,pairs ,pcall ,select ,string byte ,string char ,string find ,string "
         "format ,string gmatch ,string gsub ,string len ,string lower ,string match "
         ",string rep ,string reverse ,string sub ,string upper ,table concat ,table "
         "insert ,table remove ,table sort ,table unpack ,text ,tonumber ,tostring ,type "
         ",utf8 len ,ctx call ,ctx delete ,ctx distribute ,ctx emit ,ctx erase ,ctx find "
         ",ctx get ,ctx range ,ctx require ,ctx settle ,ctx store ");
}

BOOST_AUTO_TEST_CASE(there_is_no_way_out) {
  check_refused(
      {"load('return 1')()",
       "return string.dump(function() end)",
       "(''):dump()",
       "getmetatable('').__index = nil",
       "setmetatable({}, {})",
       "debug.sethook()",
       "require('os')",
       "coroutine.wrap(function() end)()",
       "collectgarbage()",
       "_G.x = 1",
       "_ENV.x = 1",
       "string.rep = nil",
       "('x').y.z = 1",
       "math.random()",
       "os.exit()",
       "ctx.get = nil",
       "ctx.x = 1",
       "rawset(ctx, 'x', 1)",
       "table.insert(ctx, 1)",
       "table.sort(_ENV)",
       "local mt = ctx.__index mt.x = 1",
       "decimal('1').x = 1",
       "local d = decimal('1') d.round = nil",
       "return (decimal('1')).units.x.y",
       "none.x = 1",
       "text{max=1}",
       "return { text }",
       "error(setmetatable)",
       "ctx.get('attack.rows')",
       "for k in pairs(string) do string[k] = nil end",
       "ctx.emit(ctx)",
       "ctx.emit('', ctx)",
       "local t <close> = {}",
       "local t = {} t.__gc = 1 t.x.y = 1"},
      {outcome::contract_error, outcome::missing_field, outcome::malformed_arguments});
}

BOOST_AUTO_TEST_CASE(nothing_shows_an_address) {
  for (const std::string show :
       {"tostring({})", "tostring(print_ or function() end)", "tostring(ctx)", "tostring(none)",
        "tostring(text)", "('%s'):format({})", "select(2, pcall(error, {})) and 'x'",
        "select(2, pcall(function() return {} .. 'x' end))",
        "select(2, pcall(function() return {} < {} end))",
        "select(2, pcall(function() return #ctx.get end))", "type(decimal)"}) {
    const auto with = attack("local print_ = nil ctx.emit('x', { x = " + show + " })");
    BOOST_TEST_REQUIRE(with.end.ok(), with.end.text);
    BOOST_TEST(find(with.told[0].second, "x")->as<std::string>()->find("0x")
               == std::string::npos);
  }
  check_refused({"return ('%p'):format({})", "return ('%q'):format('x')", "return #{} .. {}"},
                {outcome::contract_error});
}

BOOST_AUTO_TEST_CASE(time_is_paid_for_whatever_an_instruction_does) {
  check_refused(
      {// patterns
       "local s = ('a'):rep(1000000) while true do s:find('.-.-.-.-b') end",
       "local s = ('a'):rep(1000000) while true do s:find('b', 1, true) end",
       "local s = ('a'):rep(500000) while true do s:find(('a'):rep(400000) .. 'b', 1, true) "
       "end",
       "local s = ('('):rep(1000000) while true do s:find('%b()') end",
       "local s = ('a'):rep(100000) while true do s:gsub('.', '%0%0%0%0') end",
       "local s = ('a'):rep(100000) while true do s:gsub('', 'x') end",
       "local s = ('x'):rep(1000000) s:gsub('(x-)', ('%1'):rep(500000))",
       "local p = '[a' .. ('z'):rep(900000) .. ']b' ('a'):rep(900000):find(p)",
       "local s = ('a'):rep(1000) while true do for w in s:gmatch('a-') do end end",
       "local s = ('a'):rep(10000) while true do s:match('^(.-)%1$') end",
       "local s = ('ab'):rep(1000) while true do s:find(('[^%s%d]*'):rep(30) .. 'z') end",
       "while true do ('x'):find(('[' .. ('a'):rep(500000) .. ']')) end",
       // texts
       "local a, b = ('x'):rep(900000) .. '1', ('x'):rep(900000) .. '2' while true do local c "
       "= a < b end",
       "local a, b = ('x'):rep(900000), ('x'):rep(900000) while true do local c = a == b end",
       "local a, b = p.zeros .. '1', p.zeros .. '2' while true do local c = a < b end",
       "local a = p.zeros:rep(900000 // #p.zeros) local b = a .. '1' while true do local c = a "
       "< "
       "b end",
       // texts of many digits where a loop has its bounds, and floats of many digits
       "local n = ('9'):rep(1000) .. 'e-1300' while true do for i = n, n, n do end end",
       "local n = ('0'):rep(1000000) .. '.1' while true do for i = 1, n do end end",
       "for z = '1e308', '1e308' do while true do local s = z .. '' end end",
       // types, which are made only while the file is read
       "local t = {} for i = 1, 256 do t[i] = 'a value with number ' .. i end while true do "
       "pcall(one_of, t) end",
       "local t = {} for i = 1, 9000 do t['x' .. i] = i end while true do pcall(int64, t) end",
       "local a = ('x'):rep(30000) while true do local c = a:upper():reverse():sub(2) end",
       "local t = {} for i = 1, 5000 do t[i] = ('x'):rep(50) end while true do table.concat(t) "
       "end",
       "while true do ('%99d'):rep(99):format() end",
       "while true do local s = ('%-99s'):format('x') end",
       "while true do ('x'):rep(100000) end",
       "local s = ('x'):rep(100000) while true do utf8.len(s) end",
       "local s = ('9'):rep(100000) while true do tonumber(s) end",
       "local s = ('1'):rep(100000) while true do pcall(decimal, s) end",
       // tables whose entries fall together, and such as are mostly empty
       "local t = {} for i = 1, 8191 do t[i * 8191 * 2 + (1 << 40)] = 1 end "
       "while true do local x = t[(8191 * 8191 * 2) + (1 << 40)] end",
       "local t = {} for i = 1, 16000 do t[i * 16383 + (1 << 41)] = i end while true do t[1 << "
       "50] = nil end",
       "local t = {} for i = 1, 8000 do t[i * 16383 + (1 << 41)] = i end while true do for k "
       "in "
       "pairs(t) do end end",
       "local t = {} for i = 1, 8000 do t[i * 16383 + (1 << 41)] = i end while true do next(t) "
       "end",
       "local t = {} for i = 1, 8000 do t[i * 16383 + (1 << 41)] = i end while true do "
       "pcall(ctx.store, 'rows', t) end",
       "local t = {} for i = 1, 8000 do t[i * 16383 + (1 << 41)] = i end while true do "
       "table.unpack(t, 1, 199) end",
       "local t = {} for i = 1, 50000 do t[i] = i end for i = 1, 50000 do t[i] = nil end "
       "while true do next(t) end",
       "local t = {} for i = 1, 50000 do t[i] = i end for i = 1, 50000 do t[i] = nil end "
       "while true do for k in pairs(t) do end end",
       "local t = {} for i = 1, 60000 do t[i] = i end local n = 0 "
       "while true do n = n + 1 t['a' .. n] = 1 t['a' .. n - 1] = nil end",
       "local t = {} for i = 1, 30000 do t[i] = i end while true do table.insert(t, 1, 0) "
       "table.remove(t, 1) end",
       "local t = {} for i = 1, 3000 do t[i] = i end while true do table.sort(t, function(a, "
       "b) return true end) end",
       "local t = {} for i = 1, 30000 do t['k' .. i] = i end while true do next(t, 'k1') end",
       "local t = {} for i = 1, 200 do t[i] = i end while true do local a = { table.unpack(t) "
       "} end",
       "local t = {} for i = 1, 200 do t[i] = i end while true do select('#', table.unpack(t)) "
       "end",
       // arguments without number
       "local function f(n, ...) if n == 0 then while true do select('#', ...) end end "
       "return f(n - 1, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20, ...) end f(100)",
       // values that leave, many times over
       "local t = {} for i = 1, 4000 do t[i] = i end while true do "
       "ctx.get('rows', 'x') pcall(ctx.find, 'rows', t) end",
       "while true do pcall(ctx.get, 'rows', ('x'):rep(8)) end",
       "local s = ('x'):rep(900000) while true do pcall(ctx.get, 'rows', { s, s, s }) end"},
      {outcome::out_of_gas, outcome::out_of_memory, outcome::contract_error,
       outcome::out_of_range, outcome::malformed_arguments, outcome::too_deep});
}

BOOST_AUTO_TEST_CASE(short_texts_whose_hashes_are_the_same_are_paid_for) {
  // Pairs of four characters after which Lua's hash, with this VM's seed, is the same: so the
  // texts of k of them fall together, 2^k of them. Found here as an attacker would find them.
  const auto step = [](std::uint32_t h, unsigned char c) {
    return h ^ ((h << 5) + (h >> 2) + c);
  };
  std::vector<std::pair<std::string, std::string>> pairs;
  constexpr std::uint32_t length = 40;
  std::uint32_t h = 0x74616C6Cu ^ length;
  while (pairs.size() < 10) {
    std::map<std::uint32_t, std::string> seen;
    for (std::uint32_t i = 0;; ++i) {
      std::string four;
      auto next = h;
      for (int k = 0; k < 4; ++k) {
        const auto c = static_cast<char>('0' + (i >> 6 * k) % 64);
        four += c;
        next = step(next, static_cast<unsigned char>(c));
      }
      const auto [at, fresh] = seen.emplace(next, four);
      if (fresh) continue;
      // Lua goes from a text's end to its start.
      pairs.emplace_back(std::string(at->second.rbegin(), at->second.rend()),
                         std::string(four.rbegin(), four.rend()));
      h = next;
      break;
    }
  }
  std::string table = "local pairs_ = {";
  for (const auto& [a, b] : pairs)
    table += "{ [==[" + a + "]==], [==[" + b + "]==] },";
  check_refused({R"(
    local made, last = { "" }, nil
    for _, pair in ipairs(pairs_) do
      local longer = {}
      for _, s in ipairs(made) do
        longer[#longer + 1] = pair[1] .. s
        longer[#longer + 1] = pair[2] .. s
      end
      made = longer
    end
    local first = made[1]:sub(1, 39)
    local end_ = made[1]:sub(40)
    while true do last = first .. end_ end)"},
                {outcome::out_of_gas}, table + "}");
}

BOOST_AUTO_TEST_CASE(memory_is_bounded_inside_and_outside_the_state) {
  check_refused(
      {"local s = ('x'):rep(1 << 40)", "local s = ('x'):rep(1048576, ('y'):rep(1048576))",
       "local s = ('x'):rep(1000000) s:gsub('x', s)",
       "('x'):rep(1000000):gsub('.*', ('%0'):rep(500000))",
       "local t = {} for i = 1, 60000 do t[i] = '' end table.concat(t, ('x'):rep(1000))",
       "local s = ('x'):rep(1000000) local t = { s, s, s } table.concat(t, s)",
       "local s = ('%s'):rep(100) s:format(s, s)",
       "local t = {} for i = 1, 200 do t[i] = 'x' end string.char(table.unpack(t))",
       "local t = {} while true do t[#t + 1] = function() return t end end",
       "local t = {} while true do t[#t + 1] = decimal('1') end",
       "local t = {} for i = 1, 1 << 30 do t['k' .. i] = i end",
       "local s = '' for i = 1, 1 << 30 do s = s .. 'x' end",
       "local s = 'x' for i = 1, 1 << 30 do s = s .. s end",
       "local t = {} for i = 1, 16 do t = { t, t, t, t, t, t, t, t } end ctx.emit('x', t)",
       "local t = { 1 } for i = 1, 14 do t = { t, t, t, t, t, t, t, t } end return t"},
      {outcome::out_of_memory, outcome::contract_error, outcome::out_of_gas});
}

BOOST_AUTO_TEST_CASE(what_gsub_builds_while_it_calls_gsub_is_the_runs_memory) {
  check_refused(
      {"local s = ('x'):rep(1000000) local function f(n) return (('ab'):gsub('.', "
       "function(c) if c == 'a' then return s end return n == 0 and '' or f(n - 1):sub(1, "
       "1) end)) end f(20)"},
      {outcome::out_of_memory});
}

BOOST_AUTO_TEST_CASE(what_gsub_builds_ends_the_run_though_lua_itself_asks_for_no_memory) {
  // Each level keeps a megabyte and calls the next; room for the calls is there before, and the
  // innermost one ends them all by an error, so nothing else would notice.
  const std::string body = R"(
    local long, left = ("x"):rep(1000000), 20
    local function deep(n) if n > 0 then return 1 + deep(n - 1) end return 0 end
    deep(150)
    local function each(c)
      if c == "a" then return long end
      left = left - 1
      if left > 0 then return (("ab"):gsub(".", each)) end
      error()
    end
    return pcall(string.gsub, "ab", ".", each))";
  const auto came = attack(body);
  BOOST_TEST(to_string(came.end.why) == "out_of_memory", came.end.text);
}

BOOST_AUTO_TEST_CASE(the_last_instructions_pay_for_what_makes_them_dear) {
  // Fewer than are counted at once: but each comparison reads 900 KB.
  const std::string body = "local a = ('x'):rep(900000) local b = a .. '1' ";
  auto made = program::make(with_body(body + "return a < b"), "attack.lua");
  BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
  memory_host host((*made)->declared());
  BOOST_TEST((*made)->run("go", {}, host).ok());
  BOOST_TEST(host.gas.used > 900'000u);
}

BOOST_AUTO_TEST_CASE(a_run_pays_for_the_bytes_that_are_put_back_behind_it) {
  // So few texts, and so short, that no instruction is dearer for them.
  const auto large = gas_of(
      "return #kept", "local kept = {} for i = 1, 200 do kept[i] = ('x'):rep(990) .. i end ");
  BOOST_TEST(large > gas_of("return #kept", "local kept = {} ") + 200 * 990 / 32);
}

BOOST_AUTO_TEST_CASE(each_entry_that_a_call_looks_up_in_a_large_table_is_paid_for) {
  // One call, which is a few instructions, looks up two hundred entries, any of which may have
  // fallen together with all others of the 8192 places.
  constexpr std::uint64_t calls = 10, entries = 199, a_look_up = (8192 - 128) / 8;
  for (const std::string look_up : {"table.unpack(t, 1, 199)", "table.concat(t, '', 1, 199)"}) {
    const auto gas_with = [&](std::uint64_t count) {
      return gas_of("local t = {} for i = 1, 199 do t[i] = 1 end for i = 1, 5000 do t['k' .. "
                    "i] = 1 end for i = 1, "
                    + std::to_string(count) + " do " + look_up + " end");
    };
    BOOST_TEST(gas_with(2 * calls) > gas_with(calls) + calls * entries * a_look_up, look_up);
  }
}

BOOST_AUTO_TEST_CASE(the_stack_holds) {
  check_refused(
      {"local function f() return pcall(f) end while true do f() end",
       "local function f() pcall(f) error('again') end while true do pcall(f) end",
       "local function f() return 1 + f() end while true do pcall(f) end",
       "local function f() table.sort({ 2, 1 }, f) end while true do pcall(f) end",
       "local function f() ('x'):gsub('x', f) end while true do pcall(f) end",
       "local function f() error(f()) end while true do pcall(f) end",
       "local function f(x) return pcall(pcall, f, error, x) end while true do f() end",
       "while true do pcall(string.find, 'x', ('('):rep(200)) end",
       "while true do pcall(string.find, ('a'):rep(300), ('(a'):rep(250) .. (')'):rep(250)) "
       "end",
       "while true do pcall(string.find, ('a'):rep(300), ('a?'):rep(300) .. 'b') end",
       "local function f(...) return f(..., ...) end f(1, 2, 3)",
       "local function f(...) return f({...}, ...) end f()",
       "local t = {} for i = 1, 300 do t = { t } end ctx.emit('x', t)"},
      {outcome::out_of_gas, outcome::too_deep, outcome::contract_error,
       outcome::out_of_memory});
}

BOOST_AUTO_TEST_CASE(a_file_that_would_keep_something_is_refused_with_its_line) {
  for (const auto& [before, body] : std::vector<std::pair<std::string, std::string>>{
           {"local n = 0", "n = n + 1 return n"},
           {"local n = 0 local function add() n = n + 1 end", "add()"},
           {"local n = 0 local t = { add = function() n = n + 1 end }", "t.add()"},
           {"local n = 0", "local function add() n = n + 1 end add()"},
           {"local n = 0 local function outer() return function() n = n + 1 end end",
            "outer()()"},
           {"local each = pairs({ 1, 2, 3 })", "return each()"},
           {"local each = ('abc'):gmatch('.')", "return each()"},
           {"local n = 1.5", "return n * 2 > 3"}}) {
    const auto made = program::make(with_body(body, before), "attack.lua");
    BOOST_TEST(!made.has_value(), before << body);
    if (!made)
      BOOST_TEST(made.error().context.starts_with("attack.lua:"), made.error().context);
  }
}

BOOST_AUTO_TEST_SUITE_END()
