// What commands share that call a contract's actions and show its tables: one operation, sent
// and waited for; and all rows of a table. Main thread.
#pragma once

#include "tools/tally/mesh.hpp"

#include <utility>
#include <vector>

namespace tallymesh::tally {

/// Sends the operation to the gateway of --node (or the first) and waits until it is final.
/// Prints what came of it.
exit_code act(const place& where, std::string_view contract, std::string_view action,
              json::object arguments, const invocation& told);

/// The rows that `conditions` (the first fields of an index) select, or all, page by page.
result<std::vector<json::value>>
all_rows(http_client& client, std::string_view table,
         const std::vector<std::pair<std::string, std::string>>& conditions = {});
/// Errors: not_found, and those of get_json.
result<json::value> get_row(http_client& client, std::string_view table,
                            const std::vector<std::string>& key);

/// "2026-11-24 06:05:18" in local time; "-" for 0.
std::string time_text(std::int64_t ms);

} // namespace tallymesh::tally
