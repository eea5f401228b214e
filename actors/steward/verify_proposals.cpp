#include "actors/steward/verify_proposals.hpp"

#include "actors/contract_executor/ledger_tables.hpp"
#include "actors/steward/candidates.hpp"

#include <algorithm>
#include <spdlog/spdlog.h>

namespace tallymesh::steward {

namespace {

namespace lifecycle = contracts::lifecycle;

/// Each takes seconds, and other duties wait meanwhile.
constexpr std::size_t candidates_at_once = 8;
constexpr std::size_t logged_bytes = 3'900;

[[noreturn]] void end_by_ledger(const error& why) { node::end_process(why, "ledger"); }

/// Proposals without this node's verdict, by the newest state of the ledger.
result<std::vector<lifecycle::waiting_proposal>> waiting(const node::context& context,
                                                         std::size_t limit) {
  std::vector<lifecycle::waiting_proposal> found;
  const auto read = context.ledger->look([&](const storage::ledger_view& seen) {
    const contract_executor::view_tables below(seen, end_by_ledger);
    contracts::overlay over;
    // The tables of `mesh` are the program's own, so genesis' set has them.
    contracts::transaction on(*context.executor.base(), over, below, {},
                              contracts::activation_gas);
    auto open = lifecycle::unverified(on, context.config.node, node::now().wall_ms, limit);
    if (open) found = std::move(*open);
  });
  if (!read) return read.error();
  return found;
}

findings look_at(const node::context& context, const lifecycle::waiting_proposal& x) {
  spdlog::info("contract proposal {}: verifying", x.id);
  auto found = verify(x.source, x.proposer,
                      {context.executor, *context.ledger, *context.batches, end_by_ledger});
  spdlog::info("contract proposal {}: {}; {} tests passed, {} rows looked at, {} operations "
               "replayed, {} of them would differ{}{}",
               x.id, found.good ? "good" : "not good", found.tests, found.rows, found.replayed,
               found.differing, found.lines.empty() ? "" : ": ", found.text(logged_bytes));
  return found;
}

} // namespace

duty verify_proposals() {
  return {"contract proposals",
          {"mesh.proposals", "mesh.verdicts"},
          [mine = std::make_shared<std::optional<candidates>>()](
              const node::context& context, std::size_t limit) -> result<std::vector<owed>> {
            if (!*mine) {
              auto begun =
                  begun_verifications::open(context.config.data_directory / "verifying");
              if (!begun) return begun.error();
              mine->emplace(std::move(*begun), [&context](const auto& proposal) {
                return look_at(context, proposal);
              });
            }
            const auto open = waiting(context, std::min(limit, candidates_at_once));
            if (!open) return open.error();
            return (*mine)->verdicts_on(*open);
          }};
}

} // namespace tallymesh::steward
