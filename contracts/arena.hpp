// The memory of one Lua state. Addresses count from a place whose low 32 bits are zero, and a
// piece goes where the same pieces before it would send it in every process: Lua hashes the low
// half of addresses, so the shape of its tables, and with it what they allocate, is the same on
// every node. What it holds can be kept and put back byte for byte, so that one run of a
// contract leaves nothing to the next. Owned by a sandbox; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace tallymesh::contracts {

class arena {
public:
  explicit arena(std::size_t capacity);
  ~arena();
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  /// Null if the arena is full.
  void* allocate(std::size_t size);
  void release(void* piece, std::size_t size);
  /// Never fails when shrinking.
  void* resize(void* piece, std::size_t old_size, std::size_t new_size);

  /// From now on `put_back` makes everything as it is now: content, and where new pieces go.
  void keep();
  void put_back();
  std::size_t kept_bytes() const { return image_.size(); }

private:
  static std::size_t class_of(std::size_t size);
  static std::size_t size_of_class(std::size_t number);
  bool make_writable(std::size_t size);
  void keep_range(std::size_t from, std::size_t to);
  struct free_piece {
    free_piece* next;
  };
  struct range {
    std::size_t start, size;
  };

  char* start_ = nullptr;
  std::size_t used_ = 0, writable_ = 0;
  const std::size_t capacity_;
  std::array<free_piece*, 64> free_{};
  std::vector<range>
      kept_; ///< of the pieces in use, in order, one behind the other in `image_`
  std::vector<char> image_;
  std::size_t kept_used_ = 0;
};

} // namespace tallymesh::contracts
