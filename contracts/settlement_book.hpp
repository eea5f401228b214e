// The books behind settlement: currencies, accounts, entries, and what each pair of nodes owes
// each other in a period. Only `postings` changes balances. For settlement*.cpp alone; inside a
// transaction; one thread.
#pragma once

#include "contracts/builtin_rows.hpp"
#include "contracts/settlement.hpp"

#include <boost/container/static_vector.hpp>

namespace tallymesh::contracts::settlement {

/// Sums of money, in units of 10^-amount_scale.
using money = std::int64_t;
inline decimal exact(money units) { return {units, amount_scale}; }
inline value amount(money units) { return exact(units); }
/// Refusal: out_of_range, about `field`.
checked<money> add(money a, money b, std::string_view field);

struct currency {
  std::string name;
  std::int64_t decimals = 0;
  money limit = 0;    ///< how much a node may owe that has no limit of its own
  std::string period; ///< the open one; empty: none
};
/// Empty: the mesh's first. Refusal: not_found.
checked<currency> read_currency(transaction& on, const std::string& name);
/// Above zero and exact in the currency's decimals. Refusal: out_of_range.
checked<void> check_amount(const currency& in, money units);

/// What an operation does to the accounts of one currency, all at once or not at all.
class postings {
public:
  postings(transaction& on, const currency& in) : on_(on), in_(in) {}

  /// `from` owes `units` more, and `to` is owed them. Refusals: not_found (node), out_of_range.
  checked<void> move(const std::string& from, const std::string& to, money units);
  /// Sets aside what `node` may spend; below zero frees it again.
  checked<void> hold(const std::string& node, money units);
  /// How many entries `node` has paid, this one included.
  checked<std::int64_t> next_number(const std::string& node);
  /// Checks that the sum stays zero, and that no one whose means shrink goes beyond its limit;
  /// then writes; the last thing that is asked of it. Refusal: limit_exceeded, with the node.
  checked<void> commit();

private:
  struct account {
    std::string node;
    money balance = 0, held = 0, limit = 0;
    std::int64_t entries = 0;
    money balance_before = 0, held_before = 0;
    std::optional<transaction::opened_row> row; ///< as it was; written once
  };
  checked<account*> at(const std::string& node);

  transaction& on_;
  const currency& in_;
  /// Of one entry that stands in for another: two pairs.
  boost::container::static_vector<account, 4> accounts_;
};

/// What one entry adds to the statement of its pair, or takes away again.
struct statement_change {
  std::string period, currency, payer, payee;
  money units = 0;
  std::int64_t entries = 0, disputed = 0;
  std::string disputed_by;     ///< a node; empty: both sides have to look at it again
  bool in_open_period = false; ///< known to be; else it is looked up
};
/// Keeps statement, and for a closed period also positions and payments. Refusal: out_of_range.
checked<void> change_statement(transaction& on, const statement_change& what);

/// Writes what is still to be paid after netting what the period's positions and the payments
/// so far leave open.
checked<void> renew_payments(transaction& on, const std::string& period,
                             const std::string& currency);

/// By the row of settlement.rules, or what applies without one. Always the account itself: a
/// contract that it calls borrows neither its word as a party nor its office.
checked<void> require_right(transaction& on, std::string_view rule);

constexpr std::size_t most_statements = limits::max_nodes * (limits::max_nodes - 1) / 2;
constexpr std::size_t most_currencies = 64;

// settlement_periods.cpp
using arguments = const value_map&;
checked<void> open_period(transaction& on, arguments given);
checked<void> close_period(transaction& on, arguments given);
checked<void> confirm(transaction& on, arguments given);
checked<void> dispute(transaction& on, arguments given);
checked<void> withdraw(transaction& on, arguments given);
checked<void> cancel(transaction& on, arguments given);
checked<void> paid(transaction& on, arguments given);

} // namespace tallymesh::contracts::settlement
