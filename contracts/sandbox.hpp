// A closed Lua state: text chunks only, our own library, and a limit on memory, on the size of
// one piece, on instructions and on depth. Two states that are given the same do the same, to
// the byte that they allocate: the seed of Lua's hashes is fixed and addresses are an arena's.
// Once the file was read, every run begins with exactly the bytes that reading left, whatever
// other runs did. Owned by one parse or one program; one thread.
#pragma once

#include "contracts/arena.hpp"
#include "contracts/contract.hpp"
#include "contracts/row.hpp"

#include <functional>
#include <unordered_map>

struct lua_State;
struct lua_Debug;

namespace tallymesh::contracts {

/// Why a run had to end at once. Nothing in the contract can catch it.
enum class stop_reason : std::uint8_t { none, gas, memory, depth, refusal };

class sandbox {
public:
  explicit sandbox(const parse_limits& limits);
  ~sandbox();
  sandbox(const sandbox&) = delete;
  sandbox& operator=(const sandbox&) = delete;

  static sandbox& of(lua_State* lua);

  // --- while the file is read

  /// Calls `body` where Lua errors, memory errors included, are caught. The text of the error,
  /// if there was one.
  std::optional<std::string> run(const std::function<void(lua_State*)>& body);

  /// Leaves the compiled chunk on the stack, or an error; its code is Lua's.
  static int compile(lua_State* lua, std::string_view source, const char* chunk_name);
  /// Loads `source` as a text chunk named `file_name`, runs it and leaves its first value on
  /// the stack. Only inside `run`; raises Lua errors.
  void evaluate(lua_State* lua, std::string_view source, std::string_view file_name);

  // --- after the file was read: runs of its functions

  struct run_limits {
    std::size_t bytes = 0, piece_bytes = 0, stack_bytes = 0;
  };
  /// Ends the reading: what nothing holds is collected, for the only time, and the rest is
  /// kept.
  void seal(const run_limits& limits);

  struct run_end {
    bool done = false;
    stop_reason stopped = stop_reason::none;
    refusal why;             ///< of stop_reason::refusal
    std::string text;        ///< of an error; without the file's name
    int line = 0;            ///< of the contract, where it happened; 0: unknown
    std::uint64_t spent = 0; ///< gas since `give_gas`, or since the run began
  };
  /// One run with so much gas, in the state as `seal` kept it; the state is as kept again when
  /// this returns. What `body` wants to keep must be no longer Lua's.
  run_end run_sealed(std::uint64_t gas, const std::function<void(lua_State*)>& body);

  /// What was spent is paid for; from now on so much may be spent.
  void give_gas(std::uint64_t left);
  std::uint64_t spent() const { return spent_; }
  std::uint64_t left() const { return gas_; }
  /// Takes the price of work, or ends the run. In a file that is being read: steps.
  void spend(lua_State* lua, std::uint64_t gas);
  [[noreturn]] void stop(lua_State* lua, stop_reason why);
  [[noreturn]] void stop(lua_State* lua, refusal why);
  stop_reason stopped() const { return stop_; }
  void note_memory_error();
  /// What Lua's own walk through a table may meet beside the entries that are there.
  void spend_walk(lua_State* lua);
  /// Of one entry that the library looks up, beside its own price: in a large table all keys
  /// may fall together. Nothing while the file is read.
  std::uint64_t look_up_price() const;
  /// A text that the library builds while it calls the contract's code counts as the run's
  /// memory, though it is not in the arena. May end the run; what is given back is `size`
  /// again.
  void hold_outside(lua_State* lua, std::size_t size);
  void release_outside(std::size_t size) { held_bytes_ -= size; }
  /// A text with a zero byte came in: Lua compares such texts piece by piece.
  void note_zero_byte() { zero_bytes_ = true; }
  void* user = nullptr;                    ///< program's run in progress
  const void* decimal_metatable = nullptr; ///< what makes a userdata a decimal

  bool reading() const { return reading_; }
  /// What putting the state back copies.
  std::size_t kept_bytes() const { return memory_.kept_bytes(); }

private:
  static void* allocate(void* self, void* old, std::size_t old_size, std::size_t new_size);
  static void on_hook(lua_State* lua, lua_Debug* at);
  static int on_error(lua_State* lua);
  bool may_grow(std::size_t old_size, std::size_t new_size) const;
  void note_stack();
  void weigh_new(int tag, const void* piece, std::size_t size);
  void weigh_kept();
  std::uint64_t burden() const;
  std::uint64_t price_of_period();
  static int call_body(lua_State* lua);
  void fix_seed();
  std::string take_error(lua_State* lua);

  const parse_limits limits_;
  arena memory_;
  std::size_t held_bytes_ = 0;
  std::size_t churned_bytes_ = 0;
  std::size_t most_bytes_;  ///< held at once
  std::size_t piece_bytes_; ///< larger while loading: the loader keeps the code in one piece
  std::size_t stack_bytes_;
  std::size_t kept_held_bytes_ = 0;
  std::size_t allocations_ = 0;
  void* first_piece_ = nullptr;
  std::size_t first_size_ = 0;
  const void* stack_ = nullptr; ///< Lua's own, with a slot for each variable of a waiting call
  const void* kept_stack_ = nullptr;
  const void* latest_ = nullptr;
  std::size_t latest_size_ = 0;
  /// What makes single instructions dear: see vm_gas.hpp.
  struct weights {
    std::size_t text_bytes = 0, nodes = 0, entries = 0, texts = 0, stack_bytes = 0;
  };
  weights weight_, kept_weight_;
  std::uint64_t moved_bytes_ = 0;
  std::unordered_map<const void*, std::size_t> texts_read_, nodes_read_; ///< while reading
  bool reading_ = true;
  bool zero_bytes_ = false; ///< of this run
  bool exhausted_ = false;
  std::uint64_t gas_, spent_ = 0;
  stop_reason stop_ = stop_reason::none;
  refusal refusal_;
  int error_line_ = 0;
  lua_State* lua_ = nullptr;
};

} // namespace tallymesh::contracts
