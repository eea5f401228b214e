// Bytes that do not change any more. Value types; any thread.
#pragma once

#include "messages/bytes.hpp"

#include <algorithm>
#include <concepts>
#include <memory>
#include <utility>

namespace tallymesh {

/// Shared by all that hold them: a copy costs a count, whatever the size. Encoded rows are of
/// this kind: a row stands in its change, in the tables above the store, and as what the next
/// change of it was before.
class shared_bytes {
public:
  shared_bytes() = default;
  shared_bytes(const shared_bytes&) = default;
  shared_bytes(shared_bytes&& x) noexcept
      : data_(std::move(x.data_)), size_(std::exchange(x.size_, 0)) {} // x is empty then
  shared_bytes(const bytes& from) : shared_bytes(bytes_view(from)) {}
  explicit shared_bytes(bytes_view from)
      : shared_bytes(made(from.size(),
                          [&](std::uint8_t* to) { std::copy(from.begin(), from.end(), to); })) {
  }
  /// `fill(to)` writes all `size` of them, and keeps no way to them.
  template <class Fill>
  static shared_bytes made(std::size_t size, Fill fill) {
    auto room = std::make_shared_for_overwrite<std::uint8_t[]>(size);
    fill(room.get());
    shared_bytes x;
    x.data_ = std::move(room);
    x.size_ = size;
    return x;
  }

  shared_bytes& operator=(shared_bytes x) noexcept {
    data_.swap(x.data_);
    size_ = x.size_;
    return *this;
  }

  operator bytes_view() const { return {data(), size_}; }
  const std::uint8_t* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::uint8_t* begin() const { return data(); }
  const std::uint8_t* end() const { return data() + size_; }

  template <std::convertible_to<bytes_view> T>
  friend bool operator==(const shared_bytes& a, const T& b) {
    const bytes_view other = b;
    return std::equal(a.begin(), a.end(), other.begin(), other.end());
  }

private:
  std::shared_ptr<const std::uint8_t[]> data_;
  std::size_t size_ = 0;
};

} // namespace tallymesh
