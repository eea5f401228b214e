#include "contracts/sandbox.hpp"

#include "contracts/vm_gas.hpp"
#include "messages/result.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <locale.h>
#include <lua.hpp>

namespace tallymesh::contracts {

// Room for pieces of every size that were given back; only pages that are used cost memory.
static constexpr std::size_t arena_bytes = std::size_t{1} << 30;
static constexpr std::size_t bytes_an_entry = 16; // of a table's list

static sandbox*& owner_of(lua_State* lua) {
  return *static_cast<sandbox**>(lua_getextraspace(lua));
}
sandbox& sandbox::of(lua_State* lua) { return *owner_of(lua); }

sandbox::sandbox(const parse_limits& limits)
    : limits_(limits), memory_(arena_bytes), most_bytes_(limits.memory_bytes),
      piece_bytes_(limits.memory_bytes), stack_bytes_(limits.memory_bytes),
      gas_(limits.steps * vm_prices.instruction) {
  lua_ = lua_newstate(&allocate, this);
  if (lua_ == nullptr) return; // the limit is too low for a state; `run` says so
  owner_of(lua_) = this;
  lua_sethook(lua_, &on_hook, LUA_MASKCOUNT, instructions_between_counts);
}

sandbox::~sandbox() {
  if (lua_ != nullptr) lua_close(lua_);
}

/// Lua seeds its hashes with time and addresses, so the same tables would have other shapes on
/// every node. The seed stands in the first piece that a state asks for, behind the allocator
/// and its argument, and nothing has been hashed when the second piece is asked for.
/// `check_lua` proves that this is so in the Lua that is linked.
void sandbox::fix_seed() {
  static constexpr std::size_t seed_after_allocator = 96;
  static constexpr std::uint32_t seed = 0x74616C6C;
  const auto function = &allocate;
  const void* const self = this;
  auto* const piece = static_cast<char*>(first_piece_);
  for (std::size_t at = 0; at + seed_after_allocator + sizeof seed <= first_size_; at += 8) {
    if (std::memcmp(piece + at, &function, sizeof function) != 0) continue;
    if (std::memcmp(piece + at + sizeof function, &self, sizeof self) != 0) continue;
    std::memcpy(piece + at + seed_after_allocator, &seed, sizeof seed);
    return;
  }
}

bool sandbox::may_grow(std::size_t old_size, std::size_t new_size) const {
  if (exhausted_) return false;
  if (new_size > piece_bytes_ || held_bytes_ - old_size + new_size > most_bytes_) return false;
  return !reading_ || churned_bytes_ + new_size <= limits_.churn_bytes;
}

// Lua's contract: size 0 frees; shrinking must never fail; without an old block `old_size` is a
// type tag.
void* sandbox::allocate(void* self, void* old, std::size_t old_size, std::size_t new_size) {
  auto& box = *static_cast<sandbox*>(self);
  const int tag = old == nullptr ? static_cast<int>(old_size) : 0;
  if (old == nullptr) old_size = 0;
  box.moved_bytes_ += old_size + new_size;
  if (new_size == 0) {
    if (old == nullptr) return nullptr;
    if (box.reading_) {
      box.texts_read_.erase(old);
      box.nodes_read_.erase(old);
    }
    box.held_bytes_ -= old_size;
    box.memory_.release(old, old_size);
    if (old == box.stack_) box.note_stack();
    return nullptr;
  }
  if (++box.allocations_ == 2) box.fix_seed();
  if (new_size > old_size) {
    if (!box.may_grow(old_size, new_size)) {
      // Once a run met its limit, what Lua's own collection would free must not help it on.
      if (!box.reading_) box.exhausted_ = true;
      return nullptr;
    }
    box.churned_bytes_ += new_size;
  }
  void* const fresh = old == nullptr ? box.memory_.allocate(new_size)
                                     : box.memory_.resize(old, old_size, new_size);
  if (fresh == nullptr) return nullptr;
  if (box.allocations_ == 1) {
    box.first_piece_ = fresh;
    box.first_size_ = new_size;
  }
  if (box.allocations_ == 2) box.stack_ = fresh;
  if (old == nullptr) {
    box.latest_ = fresh;
    box.latest_size_ = new_size;
    box.weigh_new(tag, fresh, new_size);
  } else {
    box.weight_.entries = std::max(box.weight_.entries, new_size / bytes_an_entry);
  }
  box.held_bytes_ += new_size;
  box.held_bytes_ -= old_size;
  return fresh;
}

/// A state's second piece is its stack. A new one is asked for right before the old one is
/// given back, so it is known only then; what comes next is refused if it is too long.
void sandbox::note_stack() {
  stack_ = latest_;
  weight_.stack_bytes = std::max(weight_.stack_bytes, latest_size_);
  if (reading_ || latest_size_ <= stack_bytes_) return;
  if (stop_ == stop_reason::none) stop_ = stop_reason::depth;
  exhausted_ = true;
  gas_ = 0;
}

// --- what makes instructions dear

static constexpr std::size_t bytes_a_node = 24; // of a table's part without order; 2^n of them

// A piece that only looks like such a part makes a run dearer, on every node alike.
void sandbox::weigh_new(int tag, const void* piece, std::size_t size) {
  if (tag == LUA_TSTRING) {
    ++weight_.texts;
    weight_.text_bytes = std::max(weight_.text_bytes, size);
    if (reading_) texts_read_.emplace(piece, size);
    return;
  }
  if (tag != 0) return;
  weight_.entries = std::max(weight_.entries, size / bytes_an_entry);
  if (size % bytes_a_node != 0 || !std::has_single_bit(size / bytes_a_node)) return;
  const auto nodes = size / bytes_a_node;
  weight_.nodes = std::max(weight_.nodes, nodes);
  if (reading_ && nodes > vm_prices.free_entries) nodes_read_.emplace(piece, nodes);
}

/// Of what is kept; what reading alone needed does not count.
void sandbox::weigh_kept() {
  weight_ = {};
  weight_.texts = texts_read_.size();
  for (const auto& [piece, size] : texts_read_)
    weight_.text_bytes = std::max(weight_.text_bytes, size);
  for (const auto& [piece, nodes] : nodes_read_)
    weight_.nodes = std::max(weight_.nodes, nodes);
  kept_weight_ = weight_;
  texts_read_.clear();
  nodes_read_.clear();
}

static std::uint64_t above(std::uint64_t count, std::uint64_t free, std::uint64_t a_gas) {
  return count > free ? (count - free) / a_gas : 0;
}

std::uint64_t sandbox::burden() const {
  const auto& x = weight_;
  return above(x.text_bytes, vm_prices.free_text_bytes, vm_prices.text_bytes_a_gas)
         + (zero_bytes_ ? x.text_bytes / vm_prices.zero_bytes_a_gas : 0)
         + above(x.nodes, vm_prices.free_entries, vm_prices.entries_a_gas)
         + above(x.texts, vm_prices.free_texts, vm_prices.texts_a_gas)
         + above(x.stack_bytes, vm_prices.free_stack_bytes, vm_prices.stack_bytes_a_gas);
}

void sandbox::spend_walk(lua_State* lua) {
  const auto most = std::max(weight_.entries, weight_.nodes);
  spend(lua, above(most, vm_prices.free_entries, vm_prices.entries_a_gas));
}

std::uint64_t sandbox::look_up_price() const {
  return reading_ ? 0 : above(weight_.nodes, vm_prices.free_entries, vm_prices.entries_a_gas);
}

void sandbox::hold_outside(lua_State* lua, std::size_t size) {
  held_bytes_ += size;
  if (held_bytes_ <= most_bytes_) return;
  held_bytes_ -= size;
  if (reading_) {
    lua_pushliteral(lua, "not enough memory");
    lua_error(lua);
  }
  stop(lua, stop_reason::memory);
}

// --- gas, and what ends a run

/// Of what makes instructions dear, for as many as Lua counts at once.
std::uint64_t sandbox::price_of_period() {
  const auto moved = moved_bytes_ / vm_prices.moved_bytes_a_gas;
  moved_bytes_ %= vm_prices.moved_bytes_a_gas;
  return instructions_between_counts * burden() + moved;
}

void sandbox::on_hook(lua_State* lua, lua_Debug*) {
  auto& box = of(lua);
  auto gas = instructions_between_counts * vm_prices.instruction;
  if (!box.reading_) gas += box.price_of_period();
  box.spend(lua, gas);
}

void sandbox::give_gas(std::uint64_t left) {
  gas_ = left;
  spent_ = 0;
}

void sandbox::spend(lua_State* lua, std::uint64_t gas) {
  spent_ += gas;
  if (gas <= gas_) {
    gas_ -= gas;
    return;
  }
  gas_ = 0;
  if (!reading_) stop(lua, stop_reason::gas);
  luaL_where(lua, 0);
  lua_pushstring(lua, "the file runs too long; a contract only declares, so take the loop out");
  lua_concat(lua, 2);
  lua_error(lua);
}

void sandbox::stop(lua_State* lua, stop_reason why) {
  if (stop_ == stop_reason::none) stop_ = why;
  lua_pushlightuserdata(lua, this);
  lua_error(lua);
  std::abort(); // lua_error does not return
}

void sandbox::stop(lua_State* lua, refusal why) {
  if (stop_ == stop_reason::none) refusal_ = std::move(why);
  stop(lua, stop_reason::refusal);
}

void sandbox::note_memory_error() {
  if (stop_ == stop_reason::none) stop_ = stop_reason::memory;
}

// --- runs

namespace {

/// Lua compares texts and writes numbers by the thread's locale; here it is always C's.
class in_c_locale {
public:
  in_c_locale() : before_(uselocale(c_locale())) {}
  ~in_c_locale() { uselocale(before_); }
  in_c_locale(const in_c_locale&) = delete;
  in_c_locale& operator=(const in_c_locale&) = delete;

private:
  static locale_t c_locale() {
    static const locale_t made = newlocale(LC_ALL_MASK, "C", nullptr);
    TALLYMESH_INVARIANT(made != nullptr);
    return made;
  }
  locale_t before_;
};

} // namespace

int sandbox::call_body(lua_State* lua) {
  auto& box = of(lua);
  // A run pays for the bytes that are put back behind it.
  if (!box.reading_) box.spend(lua, box.kept_bytes() / vm_prices.kept_bytes_a_gas);
  (*static_cast<const std::function<void(lua_State*)>*>(lua_touserdata(lua, 1)))(lua);
  return 0;
}

std::string sandbox::take_error(lua_State* lua) {
  std::string text = "the file failed without a message";
  if (lua_type(lua, -1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* raw = lua_tolstring(lua, -1, &size);
    text.assign(raw, size);
  }
  if (text.find("bad 'for' ") != std::string::npos && text.ends_with("got string)"))
    text += "; write tonumber(it)";
  return text;
}

// A light function and a light pointer: pushing them allocates nothing, so nothing can fail
// outside the protected call.
std::optional<std::string> sandbox::run(const std::function<void(lua_State*)>& body) {
  if (lua_ == nullptr) return "there is not enough memory to read a contract";
  const in_c_locale scope;
  lua_pushcfunction(lua_, &call_body);
  lua_pushlightuserdata(lua_, const_cast<std::function<void(lua_State*)>*>(&body));
  if (lua_pcall(lua_, 1, 0, 0) == LUA_OK) return std::nullopt;
  auto text = take_error(lua_);
  lua_settop(lua_, 0);
  return text;
}

void sandbox::seal(const run_limits& limits) {
  TALLYMESH_INVARIANT(lua_ != nullptr && reading_);
  lua_gc(lua_, LUA_GCCOLLECT);
  lua_gc(lua_, LUA_GCSTOP);
  lua_sethook(lua_, &on_hook, LUA_MASKCOUNT, instructions_between_counts);
  weigh_kept();
  reading_ = false;
  kept_held_bytes_ = held_bytes_;
  kept_stack_ = stack_;
  most_bytes_ = held_bytes_ + limits.bytes;
  piece_bytes_ = limits.piece_bytes;
  stack_bytes_ = limits.stack_bytes;
  memory_.keep();
}

/// The innermost line of the contract's own code, for the receipt.
int sandbox::on_error(lua_State* lua) {
  auto& box = of(lua);
  lua_Debug at{};
  box.error_line_ = 0;
  for (int level = 0; lua_getstack(lua, level, &at) != 0; ++level) {
    lua_getinfo(lua, "l", &at);
    if (at.currentline <= 0) continue;
    box.error_line_ = at.currentline;
    break;
  }
  return 1;
}

sandbox::run_end sandbox::run_sealed(std::uint64_t gas,
                                     const std::function<void(lua_State*)>& body) {
  TALLYMESH_INVARIANT(!reading_);
  const in_c_locale scope;
  give_gas(gas);
  stop_ = stop_reason::none;
  exhausted_ = false;
  error_line_ = 0;
  weight_ = kept_weight_;
  zero_bytes_ = false;
  moved_bytes_ = 0;
  lua_pushcfunction(lua_, &on_error);
  lua_pushcfunction(lua_, &call_body);
  lua_pushlightuserdata(lua_, const_cast<std::function<void(lua_State*)>*>(&body));
  const int ended = lua_pcall(lua_, 1, 0, 1);
  // Anything else is a C++ exception that went through Lua: no node may guess what it left.
  TALLYMESH_INVARIANT(ended == LUA_OK || ended == LUA_ERRRUN || ended == LUA_ERRMEM
                      || ended == LUA_ERRERR);
  // Lua goes on where it can without the piece that it was refused; the run does not.
  if (ended == LUA_ERRMEM || exhausted_) note_memory_error();
  if (ended == LUA_ERRERR && stop_ == stop_reason::none) stop_ = stop_reason::depth;
  run_end end;
  end.done = ended == LUA_OK && stop_ == stop_reason::none;
  if (ended != LUA_OK) {
    end.text = take_error(lua_);
    end.line = error_line_;
  }
  end.stopped = stop_;
  if (stop_ == stop_reason::refusal) end.why = std::move(refusal_);
  // The last instructions were not counted any more; what made them dear is.
  end.spent = spent_ + price_of_period();
  memory_.put_back();
  held_bytes_ = kept_held_bytes_;
  stack_ = kept_stack_;
  return end;
}

// Where a loop's bounds are texts Lua would take them for numbers, and make floats of them; and
// reading a text of a thousand digits takes a hundred times what is paid for it. So
// the linker puts the second of these in the place of Lua's own function, which it lets through
// only to the compiler: check_lua proves it.
static thread_local bool compiling = false;
std::size_t number_of_text(const char* text,
                           void* into) asm("__real__Z12luaO_str2numPKcP6TValue");
std::size_t number_if_compiling(const char* text,
                                void* into) asm("__wrap__Z12luaO_str2numPKcP6TValue");
std::size_t number_if_compiling(const char* text, void* into) {
  return compiling ? number_of_text(text, into) : 0;
}

static const char* read_all(lua_State*, void* source, std::size_t* size) {
  auto& left = *static_cast<std::string_view*>(source);
  const char* const start = left.data();
  *size = left.size();
  left = {};
  return *size == 0 ? nullptr : start;
}

int sandbox::compile(lua_State* lua, std::string_view source, const char* chunk_name) {
  compiling = true;
  const int code = lua_load(lua, &read_all, &source, chunk_name, "t");
  compiling = false;
  return code;
}

void sandbox::evaluate(lua_State* lua, std::string_view source, std::string_view file_name) {
  const auto chunk = "@" + std::string(file_name);
  piece_bytes_ = limits_.memory_bytes;
  if (compile(lua, source, chunk.c_str()) != LUA_OK) lua_error(lua);
  piece_bytes_ = limits_.piece_bytes;
  lua_call(lua, 0, 1);
}

} // namespace tallymesh::contracts
