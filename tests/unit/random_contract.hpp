// Random contracts for the differential test: each uses what could differ between processes
// (shapes of tables, order of keys, comparison of texts, numbers as texts, memory, gas), and
// tells what it saw. The same seed gives the same contract; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tallymesh::contracts {

class random_contract {
public:
  explicit random_contract(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

  std::string source() {
    std::string body;
    const auto statements = 3 + below(12);
    for (std::uint64_t i = 0; i < statements; ++i)
      body += "      " + statement(2) + "\n";
    return R"(local words = { "ä", "Z", "a", "", "网", "aa", "10", "9", "Ä", "_", "é", "z-a", "B" }
local function told(x) return type(x) == "table" and "table" .. #x or tostring(x) end
return { contract = "random", version = 1, tables = { rows = { key = {"id"}, index = { {"size"} },
  fields = { id = text{max=40}, size = optional(int64), amount = optional(decimal{scale=4}), raw = optional(bytes{max=40}) } } },
  actions = { go = { may = {"anyone"}, params = { n = int64, s = text{max=200} }, run = function(ctx, p)
      local t, s, n, d, seen, i = {}, p.s, p.n, decimal("1.25"), {}
      local things = { {}, {}, function() end, {}, ctx, told, {} }
      local function note(...) for i = 1, select("#", ...) do seen[#seen + 1] = told((select(i, ...))) end end
)" + body + R"(
      pcall(function() for k, v in pairs(t) do note(k, v) end end)
      if #seen > 60 then for i = #seen, 61, -1 do seen[i] = nil end end
      ctx.emit("seen", { list = table.concat(seen, ","):sub(1, 3000), n = #t, d = d })
      return { s = s:sub(1, 100), n = n }
    end } } })";
  }

private:
  std::uint64_t below(std::uint64_t most) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 11) % most;
  }
  std::string pick(std::initializer_list<const char*> from) {
    return *(from.begin() + below(from.size()));
  }
  std::string number() {
    switch (below(6)) {
    case 0:
      return std::to_string(below(10));
    case 1:
      return "n";
    case 2:
      return "#t";
    case 3:
      return "(" + number() + pick({" + ", " * ", " - ", " ~ ", " & ", " | "}) + number() + ")";
    case 4:
      return "#s";
    default:
      return std::to_string(below(1000)) + pick({" // 7", " % 13", "", " << 3", " >> 1"});
    }
  }
  std::string text() {
    switch (below(7)) {
    case 0:
      return "words[" + std::to_string(1 + below(13)) + "]";
    case 1:
      return "s:sub(" + std::to_string(below(5)) + ", " + std::to_string(5 + below(20)) + ")";
    case 2:
      return "('k' .. " + number() + " % 50)";
    case 3:
      return "tostring("
             + pick({"t", "n", "d", "things ~= 1", "told", "none", "ctx", "things[1]"}) + ")";
    case 4:
      return "('%" + pick({"d", "5d", "x", "s", "05d", "-8s|", "+d", "q", "c"}) + "'):format("
             + number() + ")";
    case 5:
      return "(" + text() + " .. " + text() + ")";
    default:
      return "words[" + number() + " % 13 + 1]";
    }
  }
  /// A place in a table: mostly few, so that they come and go.
  std::string place() {
    switch (below(8)) {
    case 0:
      return "things[" + std::to_string(1 + below(7)) + "]";
    case 1:
      return text();
    case 2:
      return "(" + number() + ") * 63 % 4096";
    case 3:
      return "n % 2 == 0";
    case 4:
      return "i or 1";
    default:
      return "(" + number() + ") % 40";
    }
  }
  std::string condition() {
    return pick({"", "not "}) + "("
           + (below(2) ? text() + pick({" < ", " <= ", " == ", " > "}) + text()
                       : number() + pick({" < ", " >= ", " ~= "}) + number())
           + ")";
  }
  /// Entries of several kinds that come and go: when such a table is laid out anew, and where
  /// its list then ends, depends on how its keys' hashes fall.
  std::string churn() {
    const auto most = std::to_string(20 + below(300)), ring = std::to_string(5 + below(90));
    const auto step = std::to_string(1 + 2 * below(40));
    return "for i = 1, " + most + " do local k = i * " + step + " % " + ring
           + " if i % 3 == 0 then t['k' .. k], t[k], t[things[k % 7 + 1]] = nil, nil, nil "
             "else t['k' .. k], t[k % 21], t[things[i % 7 + 1]] = i, i, k end "
             "if i % 10 == 0 then note(#t) end end";
  }
  std::string statement(int depth) {
    const auto kind = below(depth > 0 ? 26 : 18);
    if (kind == 17 || kind == 24) return churn();
    switch (kind) {
    case 0:
      return "t[" + place() + "] = " + number();
    case 1:
      return "t[" + place() + "] = nil";
    case 2:
      return "s = (" + text() + " .. s):sub(1, " + std::to_string(20 + below(4000)) + ")";
    case 3:
      return "n = " + number();
    case 4:
      return "note(#t, next(t))";
    case 5:
      return "note(s:" + pick({"find", "match", "gsub"}) + "('"
             + pick({"%w+", "(.-)a", "%d*", "[^%s]+", "(.)%1", "%f[%w]%a+", ".-.-z", "()k"})
             + "'" + pick({"", ", '<%0>'", ", '%1'", ", 2"}) + "))";
    case 6:
      return "d = d " + pick({"+", "-", "*"}) + " decimal('" + std::to_string(below(90)) + "."
             + std::to_string(below(90)) + "')";
    case 7:
      return "d = d:"
             + pick({"round(2, 'half_even')", "div(3, 4, 'half_up')", "round(1, 'floor')",
                     "div(d, 2, 'up')"});
    case 8:
      return "ctx.store('rows', { id = (" + text()
             + " .. '.'):sub(1, 8), size = n % 100, raw = " + text() + ":sub(1, 9) })";
    case 9:
      return "for _, row in ipairs(ctx.find('rows', { size = n % 100 }, { limit = 5 })) do "
             "note(row.id, row.size, row.raw) end";
    case 10:
      return "note(" + condition() + ")";
    case 11:
      return "local l = {} for k in pairs(t) do l[#l + 1] = told(k) end table.sort(l"
             + pick({"", ", function(a, b) return #a < #b end",
                     ", function(a, b) return true end"})
             + ") note(table.concat(l, ' '))";
    case 12:
      return "note(pcall(function() "
             + pick({"error(s)", "return t.x.y", "return #n", "return s + 1", "error(t)",
                     "return t < t", "return s < n"})
             + " end))";
    case 13:
      return "table."
             + pick({"insert(t, s)", "insert(t, 1, n)", "remove(t)", "remove(t, 1)",
                     "insert(things, t)", "sort(t)"});
    case 14:
      return "note(table.unpack(t, 1, " + std::to_string(below(9)) + "))";
    case 15:
      return "local big = ('x'):rep(" + number() + " % 70000) .. s note(#big)";
    case 16:
      return "note(tonumber(" + text() + "), math.max(n, " + number() + "), " + text()
             + ":upper())";
    case 18:
    case 25:
      return "for i = 1, " + std::to_string(1 + below(200)) + " do " + statement(depth - 1)
             + " end";
    case 19:
      return "if " + condition() + " then " + statement(depth - 1) + " else "
             + statement(depth - 1) + " end";
    case 20:
      return "pcall(function() " + statement(depth - 1) + " " + statement(depth - 1) + " end)";
    case 21:
      return "for k, v in pairs(t) do " + statement(depth - 1) + " end";
    case 22:
      return "for i = '1', " + std::to_string(1 + below(4)) + " do " + statement(depth - 1)
             + " end";
    default:
      return "local function f(x) if x > 0 then " + statement(depth - 1)
             + " return f(x - 1) end " + pick({"return x", "return 1 + f(x)", "error(x)"})
             + " end pcall(f, n % 30)";
    }
  }

  std::uint64_t state_;
};

} // namespace tallymesh::contracts
