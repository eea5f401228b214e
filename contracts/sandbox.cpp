#include "contracts/sandbox.hpp"

#include <cstdlib>
#include <lua.hpp>

namespace tallymesh::contracts {

static constexpr int steps_between_counts = 1000;

static sandbox*& owner_of(lua_State* lua) {
  return *static_cast<sandbox**>(lua_getextraspace(lua));
}

sandbox::sandbox(const parse_limits& limits)
    : limits_(limits), piece_bytes_(limits.memory_bytes) {
  lua_ = lua_newstate(&allocate, this);
  if (lua_ == nullptr) return; // the limit is too low for a state; `run` says so
  owner_of(lua_) = this;
  lua_sethook(lua_, &count_steps, LUA_MASKCOUNT, steps_between_counts);
}

sandbox::~sandbox() {
  if (lua_ != nullptr) lua_close(lua_);
}

// Lua's contract: size 0 frees; shrinking must never fail; without an old block `old_size` is a
// type tag.
void* sandbox::allocate(void* self, void* old, std::size_t old_size, std::size_t new_size) {
  auto& box = *static_cast<sandbox*>(self);
  if (old == nullptr) old_size = 0;
  if (new_size == 0) {
    box.held_bytes_ -= old_size;
    std::free(old);
    return nullptr;
  }
  if (new_size > old_size) {
    if (new_size > box.piece_bytes_) return nullptr;
    if (box.held_bytes_ - old_size + new_size > box.limits_.memory_bytes) return nullptr;
    if (box.churned_bytes_ + new_size > box.limits_.churn_bytes) return nullptr;
    box.churned_bytes_ += new_size;
  }
  void* fresh = std::realloc(old, new_size);
  if (fresh == nullptr && new_size > old_size) return nullptr;
  if (fresh == nullptr) fresh = old;
  box.held_bytes_ += new_size;
  box.held_bytes_ -= old_size;
  return fresh;
}

void sandbox::count_steps(lua_State* lua, lua_Debug*) {
  auto& box = *owner_of(lua);
  box.steps_ += steps_between_counts;
  if (box.steps_ <= box.limits_.steps) return;
  luaL_where(lua, 0);
  lua_pushstring(lua, "the file runs too long; a contract only declares, so take the loop out");
  lua_concat(lua, 2);
  lua_error(lua);
}

static int call_body(lua_State* lua) {
  (*static_cast<const std::function<void(lua_State*)>*>(lua_touserdata(lua, 1)))(lua);
  return 0;
}

std::optional<std::string> sandbox::run(const std::function<void(lua_State*)>& body) {
  if (lua_ == nullptr) return "there is not enough memory to read a contract";
  // A light function and a light pointer: pushing them allocates nothing, so nothing can fail
  // outside the protected call.
  lua_pushcfunction(lua_, &call_body);
  lua_pushlightuserdata(lua_, const_cast<std::function<void(lua_State*)>*>(&body));
  if (lua_pcall(lua_, 1, 0, 0) == LUA_OK) return std::nullopt;
  std::string text = "the file failed without a message";
  if (lua_type(lua_, -1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* raw = lua_tolstring(lua_, -1, &size);
    text.assign(raw, size);
  }
  lua_settop(lua_, 0);
  return text;
}

static const char* read_all(lua_State*, void* source, std::size_t* size) {
  auto& left = *static_cast<std::string_view*>(source);
  const char* const start = left.data();
  *size = left.size();
  left = {};
  return *size == 0 ? nullptr : start;
}

void sandbox::evaluate(lua_State* lua, std::string_view source, std::string_view file_name) {
  const auto chunk = "@" + std::string(file_name);
  piece_bytes_ = limits_.memory_bytes;
  if (lua_load(lua, &read_all, &source, chunk.c_str(), "t") != LUA_OK) lua_error(lua);
  piece_bytes_ = limits_.piece_bytes;
  lua_call(lua, 0, 1);
}

} // namespace tallymesh::contracts
