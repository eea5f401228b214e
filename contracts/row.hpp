// Rows and keys: whether given values follow a table's declaration, what a store leaves behind,
// and the ordered encoding of keys (README.md, "Keys in bytes"). Pure functions; any thread.
#pragma once

#include "contracts/contract.hpp"
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
refusal refuse(outcome why, std::string_view about);

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

/// A row's new form, encoded. Merges `given` over `before` (null takes an optional field away);
/// without `before` every required field must be given. Refusals: unknown_field, missing_field,
/// wrong_type, out_of_range; key_too_long if an index's key would be.
checked<bytes> merge(const table& x, const value_map& given,
                     const std::optional<bytes>& before);

/// The row key of a row that is to be stored. Refusals: missing_field, wrong_type,
/// out_of_range, key_too_long; malformed_arguments if the names are not in order.
checked<bytes> key_of(const table& x, const value_map& row);
/// The row key from the key's values in order. Also refuses (malformed_arguments) another
/// number of values.
checked<bytes> key_of(const table& x, std::span<const value> values);

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
