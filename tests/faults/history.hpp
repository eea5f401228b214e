// What clients did and were told, and whether the nodes' ledgers keep it. Knows nothing of how
// a node works: a ledger is a list of blocks, each a name and the operations it ran, as anyone
// can read them from outside. Values; one thread.
#pragma once

#include "tests/faults/language/script.hpp"

#include <map>

namespace tallymesh::faults {

using operation_name = std::string; ///< its id, in any writing that is the same everywhere

class client_history {
public:
  struct entry {
    std::uint16_t node = 0; ///< to whom it was handed in
    duration submitted{0};
    std::optional<duration> acknowledged; ///< told that it is final
    bool refused = false;                 ///< and told that it changed nothing
  };

  void submitted(const operation_name& what, std::uint16_t node, duration when);
  /// Only the first time counts.
  void acknowledged(const operation_name& what, duration when);
  /// Final, too, and without effect: its receipt says so.
  void refused(const operation_name& what, duration when);
  const std::map<operation_name, entry>& entries() const { return entries_; }
  std::size_t acknowledgements() const { return acknowledgements_; }
  /// Something handed in from `since` on was acknowledged by `until`.
  bool lived(duration since, duration until) const;

private:
  std::map<operation_name, entry> entries_;
  std::size_t acknowledgements_ = 0;
};

struct block_copy {
  std::uint64_t height = 0;
  std::string name;                       ///< of block and result: equal where nothing differs
  std::vector<operation_name> operations; ///< in the order in which they ran
};
struct ledger_copy {
  std::uint16_t node = 0;
  std::vector<block_copy> blocks; ///< rising heights
};

struct finding {
  std::optional<check> what; ///< nothing: a rule that no check names
  std::string text;
};

/// Of the whole mesh after it was healed: no_divergence, no_lost_ack, exactly_once, converged,
/// all_acked_final. Node numbers in texts count from 1.
std::vector<finding> judge(const client_history& clients,
                           const std::vector<ledger_copy>& ledgers);

} // namespace tallymesh::faults
