// What this node found in each proposed contract, from when it looks at it until the chain has
// its verdict. Each is looked at once; one whose verification ended the process is not looked
// at again. Owned by the duty `verify_proposals`; one thread.
#pragma once

#include "actors/steward/begun_verifications.hpp"
#include "actors/steward/machine.hpp"
#include "actors/steward/verification.hpp"
#include "contracts/lifecycle.hpp"

namespace tallymesh::steward {

class candidates {
public:
  using waiting = contracts::lifecycle::waiting_proposal;
  using look_at = std::function<findings(const waiting&)>;

  candidates(begun_verifications begun, look_at look)
      : begun_(std::move(begun)), look_(std::move(look)) {}

  /// The verdicts on all that wait for this node's, in their order. Errors: storage.
  result<std::vector<owed>> verdicts_on(const std::vector<waiting>& open);

private:
  result<findings> found_in(const waiting& x);
  result<void> forget_others(const std::vector<waiting>& open);

  begun_verifications begun_;
  look_at look_;
  std::map<std::string, findings> found_; ///< by proposal
};

} // namespace tallymesh::steward
