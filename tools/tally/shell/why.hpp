// What `why` says: from what all reachable nodes report of themselves and of each other, which
// node holds back the mesh, and why. Pure: facts in, findings out. Any thread.
#pragma once

#include "messages/introspection.hpp"

#include <optional>

namespace tallymesh::tally {

/// What this machine knows of a node's process, if its directory is here.
enum class process_state { unknown, running, stopped, absent };

struct node_facts {
  std::string name;
  bool reachable = false;
  std::string trouble; ///< of the link, if it is not reachable
  process_state process = process_state::unknown;
  std::string
      last_log_line; ///< the last error in its log, if it is here and the process is gone
  value_map tree, consensus, mempool, ledger, links; ///< empty: not answered
};

/// The first record in which two nodes' tables differ, at one height.
struct table_difference {
  std::string table, key;
  std::vector<std::pair<std::string, std::string>>
      holds;       ///< node, what it has: a digest or "-"
  std::string odd; ///< the node that differs from the others; empty: there is no majority
};

enum class weight { stops, harms, note };

struct finding {
  weight how = weight::note;
  std::string node; ///< whom it is about; empty: the mesh
  std::string what; ///< one line
  std::string advice;
};

struct diagnosis {
  std::string verdict; ///< one line: does it finalize, and if not, why not
  bool healthy = false;
  std::vector<finding> findings; ///< the gravest first
};

/// `nodes` in genesis' order; `moved`: some height grew while the facts were taken.
diagnosis diagnose(const std::vector<node_facts>& nodes, bool moved,
                   const std::vector<table_difference>& differences);

} // namespace tallymesh::tally
