// The contract executor: runs a final block's operations and says what came of each, the same
// on every node. Pure: it reads tables through `tables`, writes to their overlay, and its
// result goes to the ledger writer. Owned by the executor's actor; immutable, so `execute` may
// run on any thread that owns the tables.
#pragma once

#include "contracts/engine.hpp"
#include "messages/block.hpp"
#include "messages/receipt.hpp"

#include <functional>
#include <map>

namespace tallymesh::contract_executor {

struct node_facts {
  std::string name;
  contracts::tier at{};
};
struct account_facts {
  std::string name; ///< without the node
  std::string node;
  std::optional<public_key> key; ///< for contracts that ask for the author's signature
};
/// What genesis fixes. The place of a node in `nodes` is its node_index.
struct genesis_facts {
  digest chain;
  std::vector<node_facts> nodes;
  std::vector<account_facts> accounts;
  std::vector<contracts::contract_entry> contracts;
};

/// The tables and contracts as they are before the block.
struct tables {
  contracts::overlay& newer;
  const contracts::table_source& below;
  /// True if a receipt for it exists. Ids count within a lane: no node uses up another's.
  std::function<bool(node_index lane, const operation_id&)> executed;
  contracts::engine& runs; ///< holds what the contracts in force need
  contracts::contract_set_ptr rules;
  /// What all operations together may still use; null: each what it may. Of a node that looks
  /// what would happen: the chain has no such thing.
  std::uint64_t* purse = nullptr;
};

struct executed_block {
  execution result;
  std::vector<index_change> indexes; ///< of all changes, in their order
  contracts::contract_set_ptr rules; ///< in force from here on
};

class machine {
public:
  /// Errors: bad_config (two of one name, an account of an unknown node, a right given to a
  /// node or an account that genesis does not have).
  static result<machine> make(genesis_facts facts);

  /// `in_order`: the block's batches, lane by lane in cut order, each lane's by seq;
  /// `previous`: the execution digest of the height before.
  ///
  /// An operation whose id was executed before in its lane, or earlier in this block, gets no
  /// receipt. Positions count all operations of the block, those too. A failed operation
  /// changes nothing. Operations see the writes of those before them; several on one row make
  /// several changes, linked.
  executed_block execute(const sealed_block& block, const std::vector<batch_ptr>& in_order,
                         const digest& previous, const tables& on) const;

  /// The contracts that genesis gives, with the built-in ones: in force until the tables of the
  /// contract `mesh` say otherwise (rules_in_force).
  const contracts::contract_set_ptr& base() const { return base_; }

private:
  friend class block_run;
  machine() = default;
  const account_facts* find_account(node_index node, std::string_view name) const;

  digest chain_;
  std::vector<node_facts> nodes_;
  std::vector<std::map<std::string, account_facts, std::less<>>> accounts_; ///< by node
  contracts::contract_set_ptr base_;
};

} // namespace tallymesh::contract_executor
