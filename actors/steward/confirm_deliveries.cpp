#include "actors/steward/confirm_deliveries.hpp"

#include "actors/steward/confirmations.hpp"
#include "contracts/builtin_rows.hpp"
#include "contracts/distribution.hpp"

namespace tallymesh::steward {

namespace {

namespace distribution = contracts::distribution;

constexpr const char* deliveries = "distribution.deliveries";
constexpr std::uint8_t by_state = 1; ///< the index over node, state

} // namespace

/// Numbers of this node's inbox that it has not confirmed, the lowest first.
static result<std::vector<std::int64_t>> unconfirmed(const node::context& context) {
  const auto rules = context.in_force.look();
  const auto* inbox = rules->find_table(deliveries);
  TALLYMESH_INVARIANT(inbox != nullptr && inbox->indexes.size() > by_state);
  const auto& own_name = context.genesis().nodes[context.self()].name;
  const auto prefix =
      contracts::encode_key(*inbox, inbox->indexes[by_state], value_list{own_name, "pending"});
  const auto page =
      context.ledger->index_scan(deliveries, by_state, prefix, {}, distribution::most_at_once);
  if (!page) return page.error();
  std::vector<std::int64_t> numbers;
  for (const auto& each : page->entries)
    numbers.push_back(contracts::number_in(contracts::stored_row(each.row), "number"));
  return numbers;
}

duty confirm_deliveries() {
  return {"confirming deliveries",
          {deliveries},
          [given = std::make_shared<confirmations>()](
              const node::context& context, std::size_t limit) -> result<std::vector<owed>> {
            const auto numbers = unconfirmed(context);
            if (!numbers) return numbers.error();
            return given->of(*numbers, limit);
          }};
}

} // namespace tallymesh::steward
