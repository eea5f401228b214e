// Single operations over REST, for commands: handed in with an id of their own, so that sending
// again is safe, and waited for until they are final. Main thread.
#pragma once

#include "tools/tally/mesh.hpp"

#include <functional>

namespace tallymesh::tally {

/// The receipt of `contract`'s `action`, whatever it says. Errors: those of post_json;
/// unavailable if it is not final within 30 s (it may become so later: the context names its
/// id).
result<json::value> perform(http_client& client, std::string_view contract,
                            std::string_view action, json::object arguments);

/// Whether a receipt says that it was done.
bool is_done(const json::value& receipt);
/// "refused_by_contract (not_open): the contract refused it"
std::string reason_of(const json::value& receipt);

/// Performs it on the gateway of --node (or the first) and prints what came of it.
exit_code act(const place& where, std::string_view contract, std::string_view action,
              json::object arguments, const invocation& told);

/// "&node=coop&state=pending": the fields of an index or the key, from the first on.
std::string where_text(const std::vector<std::pair<std::string, std::string>>& conditions);
/// Calls `visit` with each row of a table, page by page, until it says false. `query` as
/// `where_text` makes it, or empty.
result<void> each_row(http_client& client, std::string_view table, const std::string& query,
                      const std::function<bool(const json::value& row)>& visit);
/// Those rows, up to `most`.
result<std::vector<json::value>> list_table(http_client& client, std::string_view table,
                                            const std::string& query = {},
                                            std::size_t most = SIZE_MAX);
/// One row; nothing if it is not there. `key`: its parts as texts.
result<std::optional<json::value>> find_row(http_client& client, std::string_view table,
                                            const std::vector<std::string>& key);

} // namespace tallymesh::tally
