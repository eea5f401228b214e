// Which contracts are in force, as the tables of the contract `mesh` say it: genesis' own until
// they say otherwise. So whoever has the tables of a height has its contracts. Pure; any
// thread.
#pragma once

#include "contracts/contract_set.hpp"
#include "contracts/table_source.hpp"

namespace tallymesh::contracts {

/// `genesis`: the set that the mesh began with. Errors: damaged (the tables name a source that
/// they do not hold, or one that is no contract).
result<contract_set_ptr> rules_in_force(const contract_set_ptr& genesis,
                                        const table_source& tables);

} // namespace tallymesh::contracts
