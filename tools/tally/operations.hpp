// Single operations over REST, for commands: handed in with an id of their own, so that sending
// again is safe, and waited for until they are final. Main thread.
#pragma once

#include "tools/tally/mesh.hpp"

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

/// Rows of a table, all pages up to `most`; `query` as "&contract=orders", or empty.
result<std::vector<json::value>> list_table(http_client& client, std::string_view table,
                                            const std::string& query, std::size_t most);
/// One row; nothing if it is not there. `key`: its parts as texts.
result<std::optional<json::value>> find_row(http_client& client, std::string_view table,
                                            const std::vector<std::string>& key);

} // namespace tallymesh::tally
