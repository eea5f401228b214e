// The life of contracts, as rules on the chain: the built-in contract `mesh`. Somebody proposes
// a new version of a contract (or an earlier one, a freeze, other rules); every node verifies
// it by itself and says what it found; the nodes that the rules name vote; with enough of both
// it is in force from the next operation on, or refused with the reason. Everything is rows of
// declared tables, so that anyone can list, trace and prove it. Pure; one thread.
#pragma once

#include "contracts/builtins.hpp"

namespace tallymesh::contracts::lifecycle {

/// The contract's tables and actions. Refusals of its actions: forbidden, not_found (no such
/// proposal), refused_by_contract (with a code below), and those of rows.
///
/// | code             | because                                                             |
/// |------------------|---------------------------------------------------------------------|
/// | not_parsed       | the source is no contract; `tally contract check` says where        |
/// | old_version      | the version is not above the one in force                           |
/// | same_source      | this source is in force already                                     |
/// | unknown_contract | there is no such contract to roll back or freeze                    |
/// | never_active     | a rollback names a source that never was in force                   |
/// | same_state       | it is frozen, or not frozen, already                                |
/// | already_open     | the same party has one of this kind for this contract still open    |
/// | unknown_party    | the rules name a node or an account that genesis does not have      |
/// | too_many_open    | the party, or its node, has too many proposals open                 |
/// | bad_threshold    | the rules ask for fewer than f+1 or for more nodes than may approve |
/// | not_open         | the proposal is decided, withdrawn or past its time                 |
/// | not_proposer     | only who proposed may withdraw                                      |
/// | has_verdict      | the node has said its verdict already                               |
builtin contract();

/// Rules where mesh.rules has none for a contract, nor for "*".
struct approval_rules {
  std::string propose = "anyone", approve = "anyone"; ///< grantees, separated by commas
  std::size_t approvals = 0, verdicts = 0;            ///< nodes; never below f+1
};
checked<approval_rules> rules_for(transaction& on, std::string_view contract);

/// Proposals that one account, and all accounts of one node, may have open together.
constexpr std::size_t max_open_of_account = 4, max_open_of_node = 12;

/// How long a proposal is open.
constexpr std::int64_t proposal_days = 14;

/// A proposal whose candidate has to be looked at.
struct waiting_proposal {
  std::string id;
  std::string source;
  std::string proposer = {}; ///< "clerk@hq"
};
/// Proposals for which this node has not said its verdict, the oldest first, at most `most`.
/// After them those that others have refused meanwhile: each node answers for itself.
checked<std::vector<waiting_proposal>> unverified(transaction& on, std::string_view node,
                                                  std::int64_t now_ms, std::size_t most);

} // namespace tallymesh::contracts::lifecycle
