// A closed Lua state: no standard library, text chunks only, and a limit on memory, on all that
// is ever allocated, on the size of one piece, and on instructions. The limits make the worst
// file cost a bounded time on every node. Owned by one parse; one thread.
#pragma once

#include "contracts/contract.hpp"

#include <functional>

struct lua_State;
struct lua_Debug;

namespace tallymesh::contracts {

class sandbox {
public:
  explicit sandbox(const parse_limits& limits);
  ~sandbox();
  sandbox(const sandbox&) = delete;
  sandbox& operator=(const sandbox&) = delete;

  /// Calls `body` where Lua errors, memory errors included, are caught. The text of the error,
  /// if there was one.
  std::optional<std::string> run(const std::function<void(lua_State*)>& body);

  /// Loads `source` as a text chunk named `file_name`, runs it and leaves its first value on
  /// the stack. Only inside `run`; raises Lua errors.
  void evaluate(lua_State* lua, std::string_view source, std::string_view file_name);

private:
  static void* allocate(void* self, void* old, std::size_t old_size, std::size_t new_size);
  static void count_steps(lua_State* lua, lua_Debug* at);

  const parse_limits limits_;
  std::size_t held_bytes_ = 0;
  std::size_t churned_bytes_ = 0;
  std::size_t piece_bytes_; ///< larger while loading: the loader keeps the code in one piece
  std::uint64_t steps_ = 0;
  lua_State* lua_ = nullptr;
};

} // namespace tallymesh::contracts
