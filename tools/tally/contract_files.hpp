// What `tally contract` knows of contract files by itself, without a mesh: checking and
// comparing them. Main thread.
#pragma once

#include "contracts/contract.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace tallymesh::tally {

/// A small contract with comments, to begin with. Errors: bad_config (no name for a contract).
result<std::string> contract_template(const std::string& name);

/// Errors: not_found, too_large (192 KiB), storage.
result<std::string> read_contract_file(const std::string& file);

/// Reads it as a node does. The error's context begins with file and line, says what to write
/// instead, and shows the line.
result<contracts::contract> check_contract(std::string_view source, const std::string& file);

/// The line that a message's "orders.lua:8: " speaks of, below it.
std::string with_text_of_line(std::string context, std::string_view source,
                              const std::string& file);

/// What changes for those who use it: a line each, such as
/// "table orders.orders: field remark is new: optional(text{max=200})".
std::vector<std::string> differences_between(const contracts::contract& before,
                                             const contracts::contract& after);
/// Unified, by the system's diff; empty if they are the same. A line that says why if that
/// cannot be run.
std::string text_difference(std::string_view before, const std::string& before_name,
                            std::string_view after, const std::string& after_name);

} // namespace tallymesh::tally
