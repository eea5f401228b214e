// Who must get which row, and how far each one got: deliveries, kept in the tables of the
// built-in contract "distribution" (distribution.cpp declares them). A delivery is a row of its
// recipient's inbox, numbered; the recipient's node confirms it on the chain as received and
// applied, and an account that took it from the gateway as handed over. Called by contracts
// (ctx.distribute), by the native action `distribute`, and by the contract's own actions,
// inside a transaction. Pure; one thread.
#pragma once

#include "contracts/transaction.hpp"

namespace tallymesh::contracts::distribution {

struct request {
  std::string table; ///< "contract.table"
  value_list key;
  /// Each a tier ("level3"), a node ("hq") or an account ("clerk@hq"); together at most 64.
  std::vector<std::string> recipients;
  /// Until when it must be handed over, in milliseconds since 1970; 0: whenever.
  std::int64_t deadline_ms = 0;
};

/// What ctx.distribute(table, key, to) and the native action are given. `to` holds one or more
/// of tier, node, account, each a text or a list of texts; and `deadline_ms`, or `within_s`
/// from the block's time. `table` is one of `contract_name`. Refusals: malformed_arguments,
/// wrong_type.
checked<request> request_from(std::string_view contract_name, std::string_view table,
                              const value_list& key, const value_map& to,
                              std::int64_t block_time_ms);

/// Puts one delivery into each recipient's inbox; an earlier one of the same row that was not
/// handed over yet is superseded. Changes nothing if it refuses. Rights are the caller's to
/// check. Refusals: not_found (row, node or account), out_of_range.
checked<void> distribute(transaction& on, const request& what);

/// ctx.distribute of the contract that runs: `request_from` and `distribute`.
checked<void> distribute_for(transaction& on, const table& from, const value_list& key,
                             const value_map& to);
/// The native action: {key: list, table: text, to: map}, by whom the table lets distribute.
/// Refusals: malformed_arguments, unknown_table, forbidden, and those above.
checked<void> distribute_by_operation(transaction& on, const contracts::contract& of,
                                      const value_map& given);

/// On its way: neither handed over nor superseded.
bool is_open(const value_map& delivery);
/// Whether this account may take a row of distribution.deliveries from its node: it is for this
/// node, for no other account, and of a table that the account may read. `of`: that table;
/// null if there is none.
bool may_take(const table* of, const value_map& delivery, const actor& who);

/// Numbers of an inbox that one operation, or one page for a subscriber, may cover.
constexpr std::int64_t most_at_once = 1000;

/// The contract's tables and actions.
builtin contract();

} // namespace tallymesh::contracts::distribution
