#include "actors/steward/confirm_deliveries.hpp"

namespace tallymesh::steward {

std::vector<duty> duties_of(const node::context&) { return {confirm_deliveries()}; }

} // namespace tallymesh::steward
