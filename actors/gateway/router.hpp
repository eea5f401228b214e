// From a request's target to one of the gateway's resources: paths, query keys and methods, and
// nothing else. Pure functions; any thread.
#pragma once

#include "actors/gateway/http.hpp"
#include "actors/gateway/json_in.hpp"

#include <variant>

namespace tallymesh::gateway {

enum class resource : std::uint8_t {
  live,
  ready,
  metrics,
  description, ///< openapi.json
  status,
  operations,
  operation,
  trace,
  tables,
  rows,
  row,
  row_history,
  access, ///< of a table or a row
  blocks,
  block,
  digests,
  deliveries,
  acknowledgement,
  contracts,
  contract,
};

struct call {
  resource what{};
  /// The variable parts of the path, decoded; a row's key is split at its commas first.
  std::vector<std::string> path;
  std::vector<std::string> key;
  std::vector<std::pair<std::string, std::string>> query; ///< decoded; names are distinct

  const std::string* find(std::string_view name) const;
};

/// Checks path, method and query names. A refusal of an unlawful method comes with "allow".
struct misrouted {
  refusal why;
  std::string allow;
};
std::variant<call, misrouted> route(std::string_view method, std::string_view target);

/// True for what is answered without a token.
constexpr bool is_open(resource x) { return x == resource::live || x == resource::ready; }

/// The number that a query holds. Refuses what is not one, or lies outside.
std::variant<std::uint64_t, refusal> number_in(const call& from, std::string_view name,
                                               std::uint64_t otherwise, std::uint64_t least,
                                               std::uint64_t most);

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

} // namespace tallymesh::gateway
