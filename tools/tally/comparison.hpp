// Whether the halves match: what each node says about its tables at one height, and who differs
// in what. Pure; any thread.
#pragma once

#include "tools/tally/mesh.hpp"

#include <map>

namespace tallymesh::tally {

struct table_state {
  std::uint64_t records = 0;
  std::string digest;
  auto operator<=>(const table_state&) const = default;
};

/// One node's answer to GET /v1/digest, or why there is none.
struct node_digest {
  std::string node;
  std::optional<error> failure;
  std::uint64_t height = 0;
  std::string execution;
  std::map<std::string, table_state> tables;

  static node_digest from(std::string node, const result<json::value>& answer);
};

struct comparison {
  bool identical = false;
  bool complete = false; ///< all answered, and at one height: only then can anything be said
  std::vector<std::string> differences; ///< one line each: which node, in what
};

/// What most nodes say is the measure; whoever says otherwise is named.
comparison compare(const std::vector<node_digest>& nodes);

/// The balances of one currency's accounts, added up: "0.0000". Nothing if one is no number, or
/// the sum is none.
std::optional<std::string> sum_of_balances(const std::vector<json::value>& accounts);

} // namespace tallymesh::tally
