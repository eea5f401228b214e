// Rows and keys: whether given values follow a table's declaration, what a store leaves behind,
// and the ordered encoding of keys (README.md, "Keys in bytes"). Pure functions; any thread.
#pragma once

#include "contracts/contract.hpp"
#include "contracts/given.hpp"
#include "contracts/row_view.hpp"
#include "messages/receipt.hpp"
#include "messages/value.hpp"

#include <span>

namespace tallymesh::contracts {

/// Why given values break a table's rules, as it goes into the receipt.
struct refusal {
  outcome why{};
  std::string detail; ///< the field or table, cut to 64 bytes

  bool operator==(const refusal&) const = default;
};
/// Marked cold: what goes on without it stays together.
[[gnu::cold]] refusal refuse(outcome why, std::string_view about);

template <class T>
using checked = boost::system::result<T, refusal>;
[[noreturn]] void throw_exception_from_error(const refusal& what,
                                             const boost::source_location&);

/// `given` as the field stores it: an int64 or an exact text becomes a decimal of the field's
/// scale. Refusals: wrong_type, out_of_range.
checked<value> convert(const field& x, const value& given);

/// A value from a URL, a command line or a CSV cell: bool as true/false, bytes as hexadecimal.
/// Empty text for an optional field is null. Errors: malformed, with a line that names the
/// field.
result<value> value_from_text(const field& x, std::string_view text);

/// Of one row: an index or two are usual.
using moved_entries = boost::container::small_vector<index_change, 4>;

/// What a store makes of a row: its new form, and what that does to the table's indexes.
class row_merge {
public:
  /// `x` outlives it.
  explicit row_merge(const table& x) : of_(x) {}
  row_merge(const row_merge&) = delete;
  row_merge& operator=(const row_merge&) = delete;

  /// Merges `given` over `before` (null takes an optional field away); without `before` every
  /// required field must be given. Once; both outlive it. Refusals: unknown_field,
  /// missing_field, wrong_type, out_of_range; key_too_long if an index's key would be.
  checked<void> apply(given_row given, const std::optional<shared_bytes>& before);

  const shared_bytes& after() const { return after_; }
  /// As contracts::index_changes: what goes before what comes, index by index.
  moved_entries entries_moved(const bytes& row_key) const;
  /// The last thing that is asked of it.
  shared_bytes take() { return std::move(after_); }

  /// Where the value of a field comes from; `exact` is a decimal in the field's scale.
  enum class source : std::uint8_t { none, kept, given, exact };
  /// One declared field, encoded; empty where there is none.
  struct forms {
    bytes_view before, after;
    const given_value* given = nullptr;
    std::int64_t units = 0; ///< of `exact`
    source from = source::none;
  };

private:
  std::optional<refusal> gather(given_row given, const std::optional<shared_bytes>& before);
  std::optional<refusal> take_given(const field& declared, forms& form) const;
  void count(const field& declared, const forms& form);
  void write_whole(std::uint8_t* to);
  void write_over(bytes_view before, std::uint8_t* to);
  std::optional<refusal> check_width() const;

  const table& of_;
  bool replaces_ = false;     ///< a row that was there
  bool same_places_ = false;  ///< as in that row: each value is as long as the one before
  std::uint32_t present_ = 0; ///< fields
  std::size_t size_ = 4;      ///< of the encoded row
  shared_bytes after_;
  boost::container::small_vector<forms, 24> forms_; ///< as the table's fields
};

/// The new form alone. Also refuses (malformed_arguments) names that are not in order.
checked<shared_bytes> merge(const table& x, const value_map& given,
                            const std::optional<shared_bytes>& before);

/// The row key of a row that is to be stored. Refusals: missing_field, wrong_type,
/// out_of_range, key_too_long.
checked<bytes> key_of(const table& x, given_row row);
/// As above. Also refuses (malformed_arguments) names that are not in order.
checked<bytes> key_of(const table& x, const value_map& row);
/// The row key from the key's values in order. Also refuses (malformed_arguments) another
/// number of values.
checked<bytes> key_of(const table& x, std::span<const value> values);
checked<bytes> key_of(const table& x, std::initializer_list<given_value> values);

// --- ordered encoding: memcmp on the bytes orders as the values do

/// Of the first values of `fields`: all of them for a key, fewer for the start of a range.
/// Values must be as `convert` returns them; null only for optional fields.
bytes encode_key(const table& x, std::span<const field_number> fields,
                 std::span<const value> values);
/// Of a stored row: absent optional fields sort before all values.
bytes index_key(const table& x, std::span<const field_number> index, const row_view& row);
/// Errors: malformed.
result<value_list> decode_key(const table& x, std::span<const field_number> fields,
                              bytes_view raw);

/// A key, or the start of one, from texts as URLs hold them. Errors: malformed, with a helpful
/// line.
result<bytes> key_from_text(const table& x, std::span<const field_number> fields,
                            std::span<const std::string> texts);

/// Decodes a stored row. Only bytes that `merge` made: anything else ends the process.
value_map stored_row(bytes_view raw);

} // namespace tallymesh::contracts
