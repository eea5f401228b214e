// An operator of a real mesh: kills single actors of running nodes by name, the way `tally
// shell` comes in, and sees whether their supervisor starts them again. Main thread.
#pragma once

#include "configs/genesis.hpp"
#include "tools/tally/shell/client.hpp"

#include <filesystem>

namespace tallymesh::faults {

class actor_killer {
public:
  /// `mesh`: what `tally init` made, with the operator's key.
  static result<std::unique_ptr<actor_killer>> attach(const std::filesystem::path& mesh);

  struct killed {
    std::uint16_t node = 0;
    std::string actor;
    std::int64_t starts_before = 0;
  };
  /// Errors: those of the link, and the node's own words when it refuses.
  result<killed> kill(std::uint16_t node, const std::string& actor);
  /// It was started again since, and runs. False also while the node does not answer.
  bool runs_again(const killed& x);

private:
  actor_killer(configs::genesis mesh, const signing_key& key);

  configs::genesis mesh_;
  tally::mesh_client client_;
};

} // namespace tallymesh::faults
