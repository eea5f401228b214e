// A mesh of five nodes, of every tier, with four accounts each.
#pragma once

#include "contracts/contract_set.hpp"

namespace tallymesh::contracts {

inline mesh_facts five_nodes() {
  mesh_facts mesh;
  mesh.nodes = {{"hq", tier::level1},
                {"coop", tier::level2},
                {"east", tier::level3},
                {"west", tier::level3},
                {"desk", tier::service}};
  for (const auto& each : mesh.nodes)
    for (const auto* account : {"clerk", "second", "third", "fourth"})
      mesh.accounts.push_back({account, each.name});
  return mesh;
}

} // namespace tallymesh::contracts
