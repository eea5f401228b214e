// A row as it is stored, read where it lies: an operation asks for few of a row's fields, and a
// decoded row is a list of names and values that are each allocated. Any thread.
#pragma once

#include "messages/value.hpp"

namespace tallymesh::contracts {

/// The bytes outlive it. Only bytes that `merge` made (row.hpp): anything else ends the
/// process.
class row_view {
public:
  /// A row without fields, as where there is none.
  row_view() = default;
  explicit row_view(bytes_view encoded);

  /// One field: its name, and the encoding of its value.
  struct item {
    std::string_view name;
    bytes_view encoded;
  };
  /// Walks the fields, ascending by name.
  class cursor {
  public:
    explicit cursor(const row_view& row) : left_(row.count_), rest_(row.items_) { next(); }
    /// Null behind the last.
    const item* at() const { return ended_ ? nullptr : &item_; }
    void next();

  private:
    std::uint32_t left_;
    bytes_view rest_;
    item item_;
    bool ended_ = false;
  };

  /// How many fields it has.
  std::size_t size() const { return count_; }
  /// The encoded value; empty if the row has no such field.
  bytes_view find(std::string_view field) const;
  bool has(std::string_view field) const { return !find(field).empty(); }
  /// Null if the row has no such field.
  value value_of(std::string_view field) const;

  // As of the row decoded (builtin_rows.hpp): the empty value if the field is missing; a field
  // of another type ends the process.
  std::int64_t number(std::string_view field) const;
  std::int64_t units(std::string_view field) const; ///< of a decimal
  std::string_view text(std::string_view field) const;
  bool flag(std::string_view field) const;

private:
  std::uint32_t count_ = 0;
  bytes_view items_;
};

/// Fields of a row that are asked for in their order: each look goes on where the one before
/// ended, so that all of them cost one walk. Asked out of order, a field seems to be missing.
class row_reader {
public:
  explicit row_reader(const row_view& row) : at_(row) {}

  /// The encoded value; empty if the row has no such field.
  bytes_view find(std::string_view field);
  bool has(std::string_view field) { return !find(field).empty(); }

  // As of row_view.
  std::int64_t number(std::string_view field);
  std::int64_t units(std::string_view field);
  std::string_view text(std::string_view field);

private:
  row_view::cursor at_;
};

// --- one encoded value

/// Which alternative of value::holder.
inline std::size_t kind_of(bytes_view encoded) { return encoded[0]; }
/// Of an int64, or a decimal's units.
std::int64_t integer_of(bytes_view encoded);
decimal decimal_of(bytes_view encoded);
/// Of a text or of bytes.
bytes_view content_of(bytes_view encoded);
bool flag_of(bytes_view encoded);

template <class T, class Holder = value::holder>
constexpr std::size_t value_kind = SIZE_MAX;
template <class T, class... Ts>
constexpr std::size_t value_kind<T, std::variant<T, Ts...>> = 0;
template <class T, class U, class... Ts>
constexpr std::size_t value_kind<T, std::variant<U, Ts...>> =
    1 + value_kind<T, std::variant<Ts...>>;

} // namespace tallymesh::contracts
