// Exact numbers with decimals, as values of the contract's code: immutable, checked.
#include "contracts/library.hpp"
#include "contracts/sandbox.hpp"

#include <algorithm>
#include <lua.hpp>
#include <new>

namespace tallymesh::contracts {

static constexpr char decimal_metatable[] = "decimal";
__extension__ using wide = __int128;

void push_decimal(lua_State* lua, decimal x) {
  static_assert(std::is_trivially_destructible_v<decimal>);
  new (lua_newuserdatauv(lua, sizeof x, 0)) decimal(x);
  luaL_setmetatable(lua, decimal_metatable);
}

const decimal* decimal_at(lua_State* lua, int at) {
  if (lua_type(lua, at) != LUA_TUSERDATA) return nullptr;
  if (lua_getmetatable(lua, at) == 0) return nullptr;
  const bool is_decimal = lua_topointer(lua, -1) == sandbox::of(lua).decimal_metatable;
  lua_pop(lua, 1);
  return is_decimal ? static_cast<const decimal*>(lua_touserdata(lua, at)) : nullptr;
}

static wide power_of_ten(int exponent) {
  wide power = 1;
  for (; exponent > 0; --exponent)
    power *= 10;
  return power;
}

static decimal narrowed(lua_State* lua, wide units, int scale) {
  if (units > LUA_MAXINTEGER || units < LUA_MININTEGER)
    raise(lua, "the result has more digits than a decimal can hold");
  return {static_cast<std::int64_t>(units), static_cast<std::uint8_t>(scale)};
}

static decimal number_argument(lua_State* lua, int number) {
  if (const auto* exact = decimal_at(lua, number)) return *exact;
  if (lua_type(lua, number) == LUA_TNUMBER && lua_isinteger(lua, number))
    return {lua_tointeger(lua, number), 0};
  raise_argument(lua, number, "a decimal or a whole number");
}

/// Both at one scale; scales differ by 18 at most, so this holds in 128 bits.
struct aligned {
  wide left, right;
  int scale;
};
static aligned align(decimal left, decimal right) {
  const int scale = std::max(left.scale, right.scale);
  return {left.units * power_of_ten(scale - left.scale),
          right.units * power_of_ten(scale - right.scale), scale};
}
static aligned both_arguments(lua_State* lua) {
  spend_call(lua);
  return align(number_argument(lua, 1), number_argument(lua, 2));
}

static int decimal_add(lua_State* lua) {
  const auto x = both_arguments(lua);
  push_decimal(lua, narrowed(lua, x.left + x.right, x.scale));
  return 1;
}
static int decimal_subtract(lua_State* lua) {
  const auto x = both_arguments(lua);
  push_decimal(lua, narrowed(lua, x.left - x.right, x.scale));
  return 1;
}
static int decimal_negate(lua_State* lua) {
  spend_call(lua);
  const auto x = number_argument(lua, 1);
  push_decimal(lua, narrowed(lua, -static_cast<wide>(x.units), x.scale));
  return 1;
}
static int decimal_multiply(lua_State* lua) {
  spend_call(lua);
  const auto left = number_argument(lua, 1), right = number_argument(lua, 2);
  auto units = static_cast<wide>(left.units) * right.units;
  int scale = left.scale + right.scale;
  for (; scale > decimal::max_scale && units % 10 == 0; --scale)
    units /= 10;
  if (scale > decimal::max_scale)
    raise(lua, "the product has more than 18 decimals; round the factors first");
  push_decimal(lua, narrowed(lua, units, scale));
  return 1;
}
static int decimal_equal(lua_State* lua) {
  const auto x = both_arguments(lua);
  lua_pushboolean(lua, x.left == x.right);
  return 1;
}
static int decimal_less(lua_State* lua) {
  const auto x = both_arguments(lua);
  lua_pushboolean(lua, x.left < x.right);
  return 1;
}
static int decimal_less_or_equal(lua_State* lua) {
  const auto x = both_arguments(lua);
  lua_pushboolean(lua, x.left <= x.right);
  return 1;
}

static int decimal_concat(lua_State* lua) {
  spend_call(lua);
  const auto text = text_of(lua, 1) + text_of(lua, 2);
  spend_bytes(lua, text.size());
  lua_pushlstring(lua, text.data(), text.size());
  return 1;
}

static int refuse_division(lua_State* lua) {
  raise(lua, "say how to round: write a:div(b, 2, \"half_up\")");
}

/// `above / below` as a whole number. `rounding`: down (towards zero), up (away from it),
/// floor, ceiling, half_up (a half away from zero), half_even.
static wide divide(lua_State* lua, wide above, wide below, std::string_view rounding) {
  if (below < 0) {
    above = -above;
    below = -below;
  }
  const auto whole = above / below;
  const auto rest = above % below;
  if (rest == 0) return whole;
  const int away = above < 0 ? -1 : 1;
  const auto left = rest < 0 ? -rest : rest;
  const bool over_half = left > below - left, half = left == below - left;
  bool step = false;
  if (rounding == "up")
    step = true;
  else if (rounding == "floor")
    step = away < 0;
  else if (rounding == "ceiling")
    step = away > 0;
  else if (rounding == "half_up")
    step = over_half || half;
  else if (rounding == "half_even")
    step = over_half || (half && whole % 2 != 0);
  else if (rounding != "down")
    raise(lua, "rounding is one of down, up, floor, ceiling, half_up and half_even");
  return step ? whole + away : whole;
}

static int scale_argument(lua_State* lua, int number) {
  const auto scale = whole_argument(lua, number);
  if (scale < 0 || scale > decimal::max_scale)
    raise_argument(lua, number, "a number of decimals from 0 to 18");
  return static_cast<int>(scale);
}

/// a:div(b, scale, rounding)
static int decimal_divide(lua_State* lua) {
  spend_call(lua);
  const auto left = number_argument(lua, 1), right = number_argument(lua, 2);
  const int scale = scale_argument(lua, 3);
  const auto rounding = text_argument(lua, 4);
  if (right.units == 0) raise(lua, "a division by zero");
  // left / 10^l / (right / 10^r) in units of 10^-scale
  const int shift = scale + right.scale - left.scale;
  auto above = static_cast<wide>(left.units), below = static_cast<wide>(right.units);
  if (shift >= 0 && __builtin_mul_overflow(above, power_of_ten(shift), &above))
    raise(lua, "the result has more digits than a decimal can hold");
  if (shift < 0 && __builtin_mul_overflow(below, power_of_ten(-shift), &below))
    raise(lua, "the result has more digits than a decimal can hold");
  push_decimal(lua, narrowed(lua, divide(lua, above, below, rounding), scale));
  return 1;
}

/// a:round(scale, rounding)
static int decimal_round(lua_State* lua) {
  spend_call(lua);
  const auto x = number_argument(lua, 1);
  const int scale = scale_argument(lua, 2);
  const auto rounding = text_argument(lua, 3);
  const auto units = scale >= x.scale
                         ? x.units * power_of_ten(scale - x.scale)
                         : divide(lua, x.units, power_of_ten(x.scale - scale), rounding);
  push_decimal(lua, narrowed(lua, units, scale));
  return 1;
}

static int decimal_scale(lua_State* lua) {
  spend_call(lua);
  lua_pushinteger(lua, number_argument(lua, 1).scale);
  return 1;
}
static int decimal_units(lua_State* lua) {
  spend_call(lua);
  lua_pushinteger(lua, number_argument(lua, 1).units);
  return 1;
}

int make_decimal_value(lua_State* lua) {
  spend_call(lua);
  const int scale = lua_isnoneornil(lua, 2) ? -1 : scale_argument(lua, 2);
  std::optional<decimal> made;
  if (const auto* exact = decimal_at(lua, 1)) {
    made = decimal::from_text(exact->to_text(),
                              scale < 0 ? exact->scale : static_cast<std::uint8_t>(scale));
  } else {
    const auto text = text_argument(lua, 1);
    spend_bytes(lua, text.size());
    const auto point = text.find('.');
    const auto digits = point == std::string_view::npos ? 0 : text.size() - point - 1;
    if (scale >= 0 || digits <= decimal::max_scale)
      made = decimal::from_text(
          text, static_cast<std::uint8_t>(scale < 0 ? static_cast<int>(digits) : scale));
  }
  if (!made) raise(lua, "this is no number that fits; write decimal(\"12.50\", 2)");
  push_decimal(lua, *made);
  return 1;
}

void open_decimals(lua_State* lua) {
  static constexpr luaL_Reg operators[] = {{"__add", &decimal_add},
                                           {"__sub", &decimal_subtract},
                                           {"__mul", &decimal_multiply},
                                           {"__unm", &decimal_negate},
                                           {"__eq", &decimal_equal},
                                           {"__lt", &decimal_less},
                                           {"__le", &decimal_less_or_equal},
                                           {"__concat", &decimal_concat},
                                           {"__idiv", &refuse_division},
                                           {"__mod", &refuse_division},
                                           {nullptr, nullptr}};
  static constexpr luaL_Reg methods[] = {{"div", &decimal_divide},
                                         {"round", &decimal_round},
                                         {"scale", &decimal_scale},
                                         {"units", &decimal_units},
                                         {nullptr, nullptr}};
  luaL_newmetatable(lua, decimal_metatable);
  sandbox::of(lua).decimal_metatable = lua_topointer(lua, -1);
  luaL_setfuncs(lua, operators, 0);
  lua_newtable(lua);
  add_functions(lua, methods);
  freeze(lua, -1);
  lua_setfield(lua, -2, "__index");
  lua_pop(lua, 1);
}

} // namespace tallymesh::contracts
