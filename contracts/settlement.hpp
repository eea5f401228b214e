// Money between nodes: accounts, entries, holds, periods, statements and payments, kept in the
// tables of the built-in contract "settlement" (settlement.cpp declares them). Every entry is
// double: what one account loses another gains, so that a currency's accounts always sum up to
// zero; a violation ends the process. Called by contracts (ctx.settle) and by the contract's
// own actions, inside a transaction. Pure; one thread.
#pragma once

#include "contracts/transaction.hpp"

namespace tallymesh::contracts::settlement {

/// Of all amounts in the tables; a currency may have fewer decimals.
constexpr std::uint8_t amount_scale = 4;

/// One transfer of a claim: afterwards `from` owes `amount` more, and `to` is owed it.
struct transfer {
  std::string from, to; ///< nodes
  decimal amount;       ///< above zero, and exact in the currency's decimals
  std::string currency; ///< empty: the mesh's first one
  std::string period;   ///< empty: the one opened last that is still open
  std::string reference;
  std::string table; ///< "contract.table" of the row that is settled by this; empty: none
  value_list key;    ///< of that row: it can neither change nor go until somebody disputes
};

/// What ctx.settle is given: {from, to, amount, currency, reference, period, table, key}; of
/// these currency, reference, period, and table with key may be left out. `table` without a
/// contract's name is one of the calling contract. Refusals: malformed_arguments, wrong_type.
checked<transfer> transfer_from(const value_map& given, std::string_view calling_contract);

/// Enters it, whoever asks: the contract whose action calls this answers for it. Changes
/// nothing if it refuses. A row can only be settled by its own contract (facts().caller), or by
/// who may store it. Refusals: limit_exceeded, settled, period_closed, not_found (node,
/// currency, period or row), out_of_range, forbidden.
checked<void> settle(transaction& on, const transfer& what);

/// ctx.settle of the contract that runs: `transfer_from` and `settle`.
checked<void> settle_for(transaction& on, std::string_view calling_contract,
                         const value_map& what);

/// Refuses (settled) to change a row that was settled and is not disputed. Asked before every
/// write; costs a look-up only in tables that are declared with `settles = true`.
checked<void> guard(transaction& on, const table& where, const bytes& row_key);

/// Whether `candidate`, another version of the same contract, leaves settled rows closed: a row
/// is known by its table's name and its encoded key, and guarded only in tables with
/// `settles = true`. So such a table stays, with the flag and the key. Asked before a version
/// becomes active, also when an earlier one comes back. Errors: bad_config, which names
/// the table.
result<void> check_upgrade(const contracts::contract& now,
                           const contracts::contract& candidate);

/// The contract's tables and actions.
builtin contract();

} // namespace tallymesh::contracts::settlement
