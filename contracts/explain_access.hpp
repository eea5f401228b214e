// Who may do what with a table, and which line of which contract says so: the same questions
// that `may_read` and its like answer, with their reasons. For people; nothing is decided by
// it. Pure; any thread.
#pragma once

#include "contracts/contract_set.hpp"

namespace tallymesh::contracts {

struct explained_right {
  std::string
      right; ///< "read", "store", "delete", "erase", "distribute", "see amount", "call accept"
  bool given = false;
  /// The entry of the list that covers the account ("level1", "clerk@hq", "author"); empty if
  /// none does.
  std::string by;
  std::size_t line = 0; ///< of that entry, or of the list; 0: the file says nothing of it
};

/// `who` as genesis knows him. `is_author`: he made the row that is asked about. Rights on the
/// table first, then hidden fields, then the contract's actions.
std::vector<explained_right> explain_access(const contract_entry& of, const table& about,
                                            const actor& who, bool is_author);

/// As the contract file writes it.
std::string text_of(const grantee& x);

} // namespace tallymesh::contracts
