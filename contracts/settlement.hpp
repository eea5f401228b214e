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

/// Enters it, whoever asks: the contract whose action calls this answers for it. A row can only
/// be settled by its own contract. Refusals: limit_exceeded, settled, period_closed, not_found
/// (node, currency, period or row), out_of_range, forbidden.
checked<void> settle(transaction& on, const transfer& what);

/// Whether the row was settled and is not disputed: then it must not change or go. Asked by
/// every write, so it costs one look-up where the table has settled before, and else none.
bool is_settled(transaction& on, const table& where, const bytes& row_key);

/// The contract's tables and actions.
builtin contract();

} // namespace tallymesh::contracts::settlement
