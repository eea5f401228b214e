#include "actors/steward/verify_proposals.hpp"

#include "actors/contract_executor/ledger_tables.hpp"
#include "actors/steward/verification.hpp"
#include "contracts/lifecycle.hpp"

#include <algorithm>
#include <spdlog/spdlog.h>

namespace tallymesh::steward {

namespace {

namespace lifecycle = contracts::lifecycle;

/// Each takes seconds, and other duties wait meanwhile.
constexpr std::size_t candidates_at_once = 8;
constexpr std::size_t findings_bytes = 3'900; ///< the table takes 4000 characters

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

owed verdict_of(const std::string& proposal, const findings& x) {
  owed said{.contract = "mesh", .action = "verdict", .arguments = {}, .purpose = proposal};
  auto& given = said.arguments;
  put(given, "differing", static_cast<std::int64_t>(x.differing));
  if (!x.lines.empty()) put(given, "findings", x.text(findings_bytes));
  put(given, "good", x.good);
  put(given, "proposal", proposal);
  put(given, "replayed", static_cast<std::int64_t>(x.replayed));
  put(given, "rows", static_cast<std::int64_t>(x.rows));
  put(given, "tests", static_cast<std::int64_t>(x.tests));
  return said;
}

findings look_at(const node::context& context, const lifecycle::waiting_proposal& x) {
  spdlog::info("contract proposal {}: verifying", x.id);
  auto found =
      verify(x.source, {context.executor, *context.ledger, *context.batches, end_by_ledger});
  spdlog::info("contract proposal {}: {}; {} tests passed, {} rows looked at, {} operations "
               "replayed, {} of them would differ{}{}",
               x.id, found.good ? "good" : "not good", found.tests, found.rows, found.replayed,
               found.differing, found.lines.empty() ? "" : ": ", found.text(findings_bytes));
  return found;
}

} // namespace

duty verify_proposals() {
  using known = std::map<std::string, findings>; // by proposal, until its verdict is stored
  return {"contract proposals",
          {"mesh.proposals", "mesh.verdicts"},
          [found = std::make_shared<known>()](const node::context& context,
                                              std::size_t limit) -> result<std::vector<owed>> {
            const auto open = waiting(context, std::min(limit, candidates_at_once));
            if (!open) return open.error();
            known still;
            std::vector<owed> all;
            for (const auto& each : *open) {
              const auto at = found->find(each.id);
              const auto& mine =
                  still
                      .emplace(each.id, at != found->end() ? std::move(at->second)
                                                           : look_at(context, each))
                      .first->second;
              all.push_back(verdict_of(each.id, mine));
            }
            *found = std::move(still);
            return all;
          }};
}

} // namespace tallymesh::steward
