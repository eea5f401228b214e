// What the built-in contracts share: rows made and read in a line, and rights that are a row's
// text. Pure functions; any thread.
#pragma once

#include "contracts/transaction.hpp"

namespace tallymesh::contracts {

/// In any order; a null is left out.
value_map make_row(std::initializer_list<std::pair<std::string_view, value>> fields);

// Of a stored row or of arguments that follow their declaration: the empty value if the field
// is missing. A field of another type ends the process.
std::int64_t number_in(const value_map& row, std::string_view field);
std::int64_t units_in(const value_map& row, std::string_view field); ///< of a decimal
const std::string& text_in(const value_map& row, std::string_view field);

/// The values of a key as URLs and command lines write them: separated by commas.
std::string key_text(const value_list& key);

/// Whether `who` is one of those named: "level1, treasurer@hq", "anyone".
bool is_named(std::string_view grantees, const actor& who);
/// Nothing if all of `grantees` is known to the mesh; else the first name that is not.
std::optional<std::string> unknown_name(std::string_view grantees, const mesh_facts& mesh);

bool has_node(const mesh_facts& mesh, std::string_view name);
/// "clerk@hq", the implicit account `node` too.
bool has_account(const mesh_facts& mesh, std::string_view account_at_node);
std::string full_name(const actor& who);
/// The account of this full name, with its node's tier; nothing if there is no such node. It
/// points into `mesh` and `account_at_node`.
std::optional<actor> party_named(const mesh_facts& mesh, std::string_view account_at_node);

} // namespace tallymesh::contracts
