#include "contracts/code_check.hpp"

#include "contracts/constructors.hpp"
#include "messages/result.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <lua.hpp>
#include <vector>

namespace tallymesh::contracts {

namespace {

// Of Lua 5.4's instructions: those that make or compare floats, and the assignment to a
// variable of an enclosing function.
enum opcode : std::uint32_t {
  op_loadf = 2,
  op_loadk = 3,
  op_setupval = 10,
  op_gettabup = 11,
  op_getfield = 14,
  op_settabup = 15,
  op_setfield = 18,
  op_addk = 22,
  op_powk = 26,
  op_divk = 27,
  op_idivk = 28,
  op_pow = 38,
  op_div = 39,
  op_eqk = 60,
  op_eqi = 61,
  op_gei = 65,
};
constexpr std::uint8_t float_constant = 0x13, int_constant = 0x03, short_text = 0x04,
                       long_text = 0x14;

struct upvalue {
  bool in_stack = false; ///< a variable of the function right outside
  std::uint8_t index = 0;
  std::string name;
};

struct function_code {
  int first_line = 0;
  std::vector<std::uint32_t> code;
  std::vector<bool> float_constants;
  std::vector<std::string> texts; ///< of constants; empty for others
  std::vector<upvalue> upvalues;
  std::vector<function_code> inner;
  std::vector<int> lines; ///< of each instruction
};

/// Reads what lua_dump wrote in this very process, so anything unexpected is our own mistake.
class dump_reader {
public:
  explicit dump_reader(std::string_view raw) : left_(raw) {
    static constexpr std::size_t header_bytes = 31;
    take(header_bytes);
    byte(); // number of upvalues
  }

  function_code function() {
    function_code made;
    text(); // source
    made.first_line = number();
    number(); // last line
    take(3);  // parameters, vararg, stack size
    const auto instructions = count();
    made.code.resize(instructions);
    const auto raw = take(instructions * 4);
    if (instructions > 0) std::memcpy(made.code.data(), raw.data(), raw.size());
    read_constants(made);
    for (auto n = count(); n > 0; --n) {
      upvalue& x = made.upvalues.emplace_back();
      x.in_stack = byte() != 0;
      x.index = byte();
      byte(); // kind
    }
    for (auto n = count(); n > 0; --n)
      made.inner.push_back(function());
    read_lines(made);
    for (auto n = count(); n > 0; --n) { // local variables
      text();
      number();
      number();
    }
    const auto names = count();
    for (std::size_t i = 0; i < names; ++i) {
      auto name = text();
      if (i < made.upvalues.size()) made.upvalues[i].name = std::move(name);
    }
    return made;
  }

private:
  std::string_view take(std::size_t size) {
    TALLYMESH_INVARIANT(size <= left_.size());
    const auto taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)[0]); }
  std::size_t count() {
    std::size_t made = 0;
    for (;;) {
      const auto next = byte();
      made = made << 7 | (next & 0x7F);
      if (next & 0x80) return made;
    }
  }
  int number() { return static_cast<int>(count()); }
  std::string text() {
    const auto size = count();
    return size == 0 ? std::string() : std::string(take(size - 1));
  }
  void read_constants(function_code& into) {
    for (auto n = count(); n > 0; --n) {
      const auto kind = byte();
      into.float_constants.push_back(kind == float_constant);
      if (kind == float_constant || kind == int_constant) take(8);
      into.texts.push_back(kind == short_text || kind == long_text ? text() : std::string());
    }
  }
  void read_lines(function_code& into) {
    const auto deltas = take(count());
    std::vector<std::pair<int, int>> absolute;
    for (auto n = count(); n > 0; --n) {
      const int at = number();
      absolute.emplace_back(at, number());
    }
    static constexpr std::int8_t see_absolute = -128;
    int line = into.first_line;
    std::size_t next = 0;
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const auto delta = static_cast<std::int8_t>(deltas[i]);
      if (delta != see_absolute)
        line += delta;
      else if (next < absolute.size())
        line = absolute[next++].second;
      into.lines.push_back(line);
    }
  }

  std::string_view left_;
};

int line_of(const function_code& x, std::size_t at) {
  return at < x.lines.size() ? x.lines[at] : x.first_line;
}

/// The constant that an instruction names, if it names one.
std::optional<std::size_t> constant_in(std::uint32_t instruction) {
  const auto op = instruction & 0x7F;
  if (op == op_loadk) return instruction >> 15;
  if (op == op_eqk) return instruction >> 16 & 0xFF;
  if (op >= op_addk && op <= op_idivk) return instruction >> 24;
  const bool constant_operand = (instruction >> 15 & 1) != 0;
  if (op >= op_settabup && op <= op_setfield && constant_operand) return instruction >> 24;
  return std::nullopt;
}

const char* float_in(const function_code& x, std::uint32_t instruction) {
  static constexpr char fraction[] =
      "a number with a fraction is kept inexactly; write decimal(\"12.50\", 2)";
  const auto op = instruction & 0x7F;
  const bool float_operand = (instruction >> 24) != 0;
  if (op == op_div || op == op_divk)
    return "/ makes fractions that nodes may round apart; write // for whole numbers, or "
           "a:div(b, 2, \"half_up\") for decimals";
  if (op == op_pow || op == op_powk)
    return "^ makes fractions that nodes may round apart; multiply instead";
  if (op == op_loadf || (op >= op_eqi && op <= op_gei && float_operand)) return fraction;
  const auto constant = constant_in(instruction);
  if (constant && *constant < x.float_constants.size() && x.float_constants[*constant])
    return fraction;
  return nullptr;
}

/// Whether upvalue `index` of the innermost function of `path` lies outside the outermost one.
bool is_outside(const std::vector<const function_code*>& path, std::size_t index) {
  for (auto at = path.size(); at-- > 0;) {
    const auto& x = path[at]->upvalues[index];
    if (at == 0) return true;
    if (x.in_stack) return false;
    index = x.index;
  }
  return true;
}

/// A global name that the instruction at `i` reads or writes: "os", and "os.time" if the next
/// takes a field of it; empty: it does neither. Names that lie behind 255 other constants are
/// not seen, and found when the function runs.
struct global_use {
  std::string name, member;
  bool written = false;
};
global_use global_at(const function_code& x, std::size_t i) {
  const auto part = [&](std::size_t at, int shift) { return x.code[at] >> shift & 0xFF; };
  const auto text = [&](std::uint32_t constant) {
    return constant < x.texts.size() ? x.texts[constant] : std::string();
  };
  const auto is_globals = [&](std::uint32_t upvalue) {
    return upvalue < x.upvalues.size() && x.upvalues[upvalue].name == "_ENV";
  };
  const auto op = x.code[i] & 0x7F;
  if (op == op_settabup && is_globals(x.code[i] >> 7 & 0xFF))
    return {.name = text(part(i, 16)), .member = {}, .written = true};
  if (op != op_gettabup || !is_globals(part(i, 16))) return {};
  global_use used{.name = text(part(i, 24)), .member = {}};
  if (i + 1 < x.code.size() && (x.code[i + 1] & 0x7F) == op_getfield
      && part(i + 1, 16) == (x.code[i] >> 7 & 0xFF))
    used.member = text(part(i + 1, 24));
  return used;
}

std::optional<std::string> fault_of_names(const function_code& x, std::size_t i,
                                          const name_check& names) {
  const auto used = global_at(x, i);
  if (used.name.empty()) return std::nullopt;
  if (used.written)
    return in_quotes(used.name.substr(0, 64)) + " would be a global; write local before it";
  if (auto why = names(used.name)) return why;
  return used.member.empty() ? std::nullopt : names(used.name + "." + used.member);
}

std::optional<code_fault> check(std::vector<const function_code*>& path, bool outside_variables,
                                const name_check& names) {
  const auto& x = *path.back();
  for (std::size_t i = 0; i < x.code.size(); ++i) {
    if (names)
      if (auto why = fault_of_names(x, i, names))
        return code_fault{line_of(x, i), std::move(*why)};
    if (const char* why = float_in(x, x.code[i])) return code_fault{line_of(x, i), why};
    const auto variable = x.code[i] >> 16 & 0xFF;
    if (outside_variables && (x.code[i] & 0x7F) == op_setupval && is_outside(path, variable))
      return code_fault{line_of(x, i),
                        "assigns to " + in_quotes(x.upvalues[variable].name)
                            + ", which lies outside the function and would outlive the "
                              "operation; keep it in a table of the contract"};
  }
  // Whatever instruction reads it: no constant may be a float.
  if (std::find(x.float_constants.begin(), x.float_constants.end(), true)
      != x.float_constants.end())
    return code_fault{std::max(x.first_line, 1), "holds a number with a fraction"};
  for (const auto& each : x.inner) {
    path.push_back(&each);
    if (auto fault = check(path, outside_variables, names)) return fault;
    path.pop_back();
  }
  return std::nullopt;
}

int append_dump(lua_State*, const void* raw, std::size_t size, void* into) {
  static_cast<std::string*>(into)->append(static_cast<const char*>(raw), size);
  return 0;
}

} // namespace

std::string dump_function(lua_State* lua) {
  std::string dumped;
  lua_dump(lua, &append_dump, &dumped, 0);
  return dumped;
}

std::optional<code_fault> find_code_fault(std::string_view dumped, bool outside_variables,
                                          const name_check& names) {
  const auto whole = dump_reader(dumped).function();
  std::vector path{&whole};
  return check(path, outside_variables, names);
}

} // namespace tallymesh::contracts
