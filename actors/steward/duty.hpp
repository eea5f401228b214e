// A duty: what one part of the product lets a node owe. A value that names the tables it
// depends on and looks into them; `duties_of` lists those of this program. To add one, write a
// function that returns it and put it there. `look` runs on the steward's own thread, so it may
// read much or work on files; when it returns early because of its `limit`, it is called again.
#pragma once

#include "actors/node/context.hpp"
#include "actors/steward/machine.hpp"

namespace tallymesh::steward {

/// The account of a node that its own software uses; nobody has a token for it.
constexpr const char* node_account = "node";

struct duty {
  std::string name;
  /// "contract.table": a change to a row of one of these may make something owed.
  std::vector<std::string> tables;
  /// At most `limit` operations that are owed now, the most urgent first; the same ones each
  /// time until they are on the chain. errc::too_large: the disk has no room for it now, and it
  /// is tried again later. Any other error ends the process: it is the storage's.
  std::function<result<std::vector<owed>>(const node::context&, std::size_t limit)> look;
};

std::vector<duty> duties_of(const node::context& context);

} // namespace tallymesh::steward
