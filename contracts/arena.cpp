#include "contracts/arena.hpp"

#include "messages/result.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <sys/mman.h>

namespace tallymesh::contracts {

static constexpr std::size_t alignment = std::size_t{1} << 32;
static constexpr std::size_t grain = 16, small_classes = 32;
static constexpr std::size_t writable_step = std::size_t{16} << 20;
/// What a run may leave mapped behind what is kept; more than that goes back to the system.
static constexpr std::size_t warm_bytes = std::size_t{1} << 20;

// Only address space: memory is asked for in steps, and a page costs some once it is written.
arena::arena(std::size_t capacity) : capacity_(capacity) {
  const auto whole = alignment + capacity_;
  void* const got =
      mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  // Without memory this node alone would come to another outcome: it must not go on.
  TALLYMESH_INVARIANT(got != MAP_FAILED);
  auto* const reserved = static_cast<char*>(got);
  const auto address = reinterpret_cast<std::uintptr_t>(reserved);
  const auto before = (alignment - address % alignment) % alignment;
  start_ = reserved + before;
  if (before > 0) munmap(reserved, before);
  if (before < alignment) munmap(start_ + capacity_, alignment - before);
}

arena::~arena() { munmap(start_, capacity_); }

bool arena::make_writable(std::size_t size) {
  if (size > capacity_) return false;
  if (size <= writable_) return true;
  const auto wanted = (size + writable_step - 1) / writable_step * writable_step;
  const auto most = std::min(wanted, capacity_);
  TALLYMESH_INVARIANT(mprotect(start_ + writable_, most - writable_, PROT_READ | PROT_WRITE)
                      == 0);
  writable_ = most;
  return true;
}

/// Multiples of 16 up to 512, then powers of two.
std::size_t arena::class_of(std::size_t size) {
  if (size <= grain * small_classes) return (size + grain - 1) / grain - 1;
  return small_classes + static_cast<std::size_t>(std::bit_width(size - 1)) - 10;
}
std::size_t arena::size_of_class(std::size_t number) {
  if (number < small_classes) return (number + 1) * grain;
  return std::size_t{1} << (number - small_classes + 10);
}

void* arena::allocate(std::size_t size) {
  if (size > capacity_) return nullptr;
  const auto number = class_of(size);
  if (auto* piece = free_[number]) {
    free_[number] = piece->next;
    return piece;
  }
  const auto whole = size_of_class(number);
  if (!make_writable(used_ + whole)) return nullptr;
  void* const piece = start_ + used_;
  used_ += whole;
  return piece;
}

void arena::release(void* piece, std::size_t size) {
  auto* const freed = static_cast<free_piece*>(piece);
  auto& list = free_[class_of(size)];
  freed->next = list;
  list = freed;
}

void* arena::resize(void* piece, std::size_t old_size, std::size_t new_size) {
  if (class_of(old_size) == class_of(new_size)) return piece;
  void* const fresh = allocate(new_size);
  // A piece may later be given back as a smaller one than it is: that only wastes the rest.
  if (fresh == nullptr) return new_size < old_size ? piece : nullptr;
  std::memcpy(fresh, piece, old_size < new_size ? old_size : new_size);
  release(piece, old_size);
  return fresh;
}

void arena::keep_range(std::size_t from, std::size_t to) {
  if (from == to) return;
  kept_.push_back({from, to - from});
  image_.insert(image_.end(), start_ + from, start_ + to);
}

// Pieces that are free now are never given out again: what a run writes there would have to be
// put back too.
void arena::keep() {
  std::vector<range> holes;
  for (std::size_t number = 0; number < free_.size(); ++number)
    for (const auto* piece = free_[number]; piece != nullptr; piece = piece->next)
      holes.push_back({static_cast<std::size_t>(reinterpret_cast<const char*>(piece) - start_),
                       size_of_class(number)});
  std::sort(holes.begin(), holes.end(),
            [](const range& a, const range& b) { return a.start < b.start; });
  kept_.clear();
  image_.clear();
  std::size_t at = 0;
  for (const auto& hole : holes) {
    keep_range(at, hole.start);
    at = hole.start + hole.size;
  }
  keep_range(at, used_);
  free_.fill(nullptr);
  kept_used_ = used_;
}

void arena::put_back() {
  const char* from = image_.data();
  for (const auto& each : kept_) {
    std::memcpy(start_ + each.start, from, each.size);
    from += each.size;
  }
  if (used_ > kept_used_ + warm_bytes) {
    static constexpr std::size_t page = 4096;
    const auto cold = (kept_used_ + warm_bytes + page - 1) / page * page;
    if (cold < used_) madvise(start_ + cold, used_ - cold, MADV_DONTNEED);
  }
  used_ = kept_used_;
  free_.fill(nullptr);
}

} // namespace tallymesh::contracts
