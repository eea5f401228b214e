// A mesh of four at work while its disks are recorded: operations that are acknowledged, a node
// that stands still so that views are changed without it, one that is killed and started again,
// and a row that is erased, for which stores are made anew. Main thread.
#pragma once

#include "tests/faults/power_loss_checks.hpp"
#include "tests/faults/real/real_mesh.hpp"

namespace tallymesh::faults {

struct recorded_mesh {
  std::unique_ptr<real_mesh> mesh; ///< nothing of it runs any more
  power_recording what;
};

/// `scratch` must be there and stay. Takes some ten seconds. Errors: those of the mesh;
/// unavailable (it did not do in time what it had to).
result<recorded_mesh> record_mesh(const std::filesystem::path& scratch);

} // namespace tallymesh::faults
