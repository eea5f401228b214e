#include "actors/steward/confirm_deliveries.hpp"
#include "actors/steward/erasing.hpp"
#include "actors/steward/verify_proposals.hpp"

namespace tallymesh::steward {

std::vector<duty> duties_of(const node::context&) {
  return {confirm_deliveries(), erasing(), verify_proposals()};
}

} // namespace tallymesh::steward
