// Erasure: the payload of a row goes from rows, history, batches and indexes of every node, and
// its digests stay. What is ordered stands in the tables of the built-in contract "erasure";
// each node does it by itself (actors/steward/erasing.cpp) and then says so, signed, by the
// action `attest`. Called by contracts, by the native action `erase`, and by nodes, inside a
// transaction. Pure; one thread.
#pragma once

#include "contracts/builtins.hpp"
#include "contracts/transaction.hpp"
#include "messages/erasure.hpp"

namespace tallymesh::contracts::erasure {

constexpr std::string_view orders_table = "erasure.erasures";
constexpr std::string_view attestations_table = "erasure.attestations";
/// Places of the orders' indexes.
constexpr std::uint8_t by_state = 0, by_height = 1, by_id = 2;

/// The native action: {"key": list, "reason": text, "table": text} of contract `of`; a right of
/// its own. Refusals: malformed_arguments, unknown_table, forbidden, and those of `erase`.
checked<void> perform(transaction& on, const contracts::contract& of,
                      const value_map& arguments);

/// Orders it, whoever asks: the contract that calls this answers for it. The row need not be
/// there any more, but must have been. Refusals: not_found, out_of_range (no reason, or one of
/// more than 1000 characters), and those of a delete.
checked<void> erase(transaction& on, const table& from, const value_list& key,
                    std::string_view reason);

/// What a row of `orders_table` says.
tallymesh::erasure order_of(const value_map& row);

/// The contract's tables and actions.
builtin contract();

} // namespace tallymesh::contracts::erasure
