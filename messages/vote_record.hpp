// What a node must not forget of its own part in agreement (rules S15, S16): consensus makes
// these records, the vote log keeps them. Value types; any thread.
#pragma once

#include "messages/block.hpp"

#include <variant>

namespace tallymesh {

/// The one proposal that this node made for a view; sent again after a restart, never made
/// anew.
struct own_proposal {
  block_ptr block;
};
/// A block that this node voted for, or that is certified.
struct kept_block {
  block_ptr block;
};
/// A vote is always this node's own; a certificate is one that it acted on.
using vote_record = std::variant<vote, own_proposal, kept_block, certificate>;

} // namespace tallymesh
