// The contract executor: runs a final block's operations and says what came of each, the same
// on every node. Pure: it reads tables through a `state_view` and writes nothing; its result
// goes to the ledger writer. Owned by the executor's actor; immutable, so `execute` may run on
// any thread.
#pragma once

#include "contracts/index_change.hpp"
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
  std::vector<contracts::contract> contracts;
};

/// A row as the ledger holds it. A deleted row keeps the place of its last change, so that its
/// history goes on when it is stored again.
struct held_row {
  std::optional<bytes> row;
  change_place last_change;
};

/// The tables as they are before the block.
struct state_view {
  std::function<held_row(const std::string& table, const bytes& key)>
      row; ///< table: "contract.table"
  /// True if a receipt for it exists. Ids count within a lane: no node uses up another's.
  std::function<bool(node_index lane, const operation_id&)> executed;
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
  execution execute(const sealed_block& block, const std::vector<batch_ptr>& in_order,
                    const digest& previous, const state_view& view) const;

  /// For all changes of an execution, in their order.
  std::vector<index_change> index_changes(const execution& of) const;

  const contracts::contract* find_contract(std::string_view name) const;
  /// By "contract.table", as changes name it.
  const contracts::table* find_table(std::string_view full_name) const;

private:
  friend class block_run;
  machine() = default;
  const account_facts* find_account(node_index node, std::string_view name) const;

  digest chain_;
  std::vector<node_facts> nodes_;
  std::vector<std::map<std::string, account_facts, std::less<>>> accounts_; ///< by node
  std::map<std::string, contracts::contract, std::less<>> contracts_;
};

} // namespace tallymesh::contract_executor
