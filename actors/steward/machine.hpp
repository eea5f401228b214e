// The steward: sees to what a node itself owes the mesh. A duty looks into the tables and says
// which operations are owed; the steward submits each under an id that follows from what it is
// for, so that it takes effect once, however often the node starts, and submits it again until
// the chain has it. Pure: time and the ledger's answers come in. Owned by the steward's actor.
#pragma once

#include "actors/mempool/machine.hpp"
#include "messages/receipt.hpp"

#include <functional>
#include <map>
#include <set>

namespace tallymesh::steward {

/// An operation that this node, as its account `node`, has to bring onto the chain.
struct owed {
  std::string contract, action;
  value_map arguments;
  /// What it is for, among all of this contract and action: "erasure 0a…", "row 17". The same
  /// purpose is one operation.
  std::string purpose;
};

/// Of the `attempt`-th operation for this purpose. Another attempt is made only when the one
/// before was refused for a reason that passes, and as often as it takes: what a node owes, the
/// mesh waits for. Each rest is twice as long as the one before.
operation_id id_of(const digest& chain, node_index self, const owed& what,
                   std::uint32_t attempt);

struct settings {
  digest chain;
  node_index self = 0;
  std::string account;               ///< the author
  std::int64_t valid_ms = 600'000;   ///< of each operation
  std::int64_t retry_ms = 2'000;     ///< after a refusal by the mempool
  std::int64_t patience_ms = 30'000; ///< an operation that is not final by then is sent again
  std::int64_t longest_rest_ms = 300'000; ///< between two attempts for one purpose
  std::size_t at_once = 256;              ///< under way together
};

/// What came of an operation in this node's lane, if it was executed.
using fate = std::function<std::optional<receipt>(const operation_id&)>;

class machine {
public:
  explicit machine(settings with) : set_(std::move(with)) {}

  /// All that a duty owes at present. What is to be submitted now, in order.
  std::vector<operation> take(const std::vector<owed>& all, const fate& known,
                              std::int64_t now_ms);
  /// The mempool's answer to operations that `take` returned.
  void answered(const std::vector<operation_id>& ids,
                const std::vector<mempool::admission>& verdicts, std::int64_t now_ms);
  /// Receipts of this node's lane. True if one of its operations was refused: duties have to
  /// look again, because nothing in the tables will make them.
  bool executed(const execution& x);

  /// Drops what nobody owed any more when it was to be sent again. After all duties have
  /// looked.
  void forget_stale(std::int64_t now_ms);

  std::size_t under_way() const { return under_way_.size(); }
  /// When to look again at the latest; nothing: when the tables change.
  std::optional<std::int64_t> look_at_ms() const;
  /// Purposes that no further attempt will serve, with the receipt that says why; each once.
  std::vector<std::pair<std::string, receipt>> take_given_up();

private:
  /// The id to submit under; none if it is done, under way, resting, or given up.
  std::optional<operation_id> next_id(const owed& what, const fate& known, std::int64_t now_ms);
  std::int64_t rest_after(std::uint32_t attempt) const;

  settings set_;
  std::map<operation_id, std::int64_t> under_way_; ///< until when it is left alone
  std::set<operation_id> hopeless_;                ///< by the id of the last attempt
  std::vector<std::pair<std::string, receipt>> given_up_;
};

} // namespace tallymesh::steward
