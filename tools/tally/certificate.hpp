// The proof of an erasure, as a file that a person can read and anyone can check who has the
// mesh's genesis: what was ordered, and the signatures of the nodes that hold it no more. Pure;
// any thread.
#pragma once

#include "configs/genesis.hpp"
#include "messages/erasure.hpp"
#include "tools/tally/mesh.hpp"

namespace tallymesh::tally {

/// Of the rows of erasure.erasures and erasure.attestations that one operation made. Errors:
/// not_found (it erased nothing).
result<json::value> certificate_of(std::string_view chain,
                                   const std::vector<json::value>& orders,
                                   const std::vector<json::value>& attestations);

/// What a certificate proves.
struct proven_erasure {
  erasure what;
  std::vector<std::string> erased_by; ///< in the order of genesis
  std::vector<std::string> missing;   ///< have not signed
};

/// All of it, or nothing. Errors: malformed (no such file), conflict (of another mesh),
/// bad_signature; the context names what is wrong.
result<std::vector<proven_erasure>> check_certificate(const json::value& file,
                                                      const configs::genesis& mesh);

} // namespace tallymesh::tally
