#include "tests/faults/history.hpp"

#include <set>

namespace tallymesh::faults {

void client_history::submitted(const operation_name& what, std::uint16_t node, duration when) {
  entries_.try_emplace(what, entry{node, when, std::nullopt, false});
}

void client_history::acknowledged(const operation_name& what, duration when) {
  auto& x = entries_[what];
  if (x.acknowledged) return;
  x.acknowledged = when;
  ++acknowledgements_;
}

void client_history::refused(const operation_name& what, duration when) {
  if (entries_[what].acknowledged) return;
  acknowledged(what, when);
  entries_[what].refused = true;
}

bool client_history::lived(duration since, duration until) const {
  for (const auto& [name, x] : entries_)
    if (x.submitted >= since && x.acknowledged && *x.acknowledged <= until) return true;
  return false;
}

namespace {

std::string name_of(std::uint16_t node) { return "n" + std::to_string(node + 1); }

void check_same(const std::vector<ledger_copy>& ledgers, std::vector<finding>& found) {
  std::map<std::uint64_t, std::pair<std::string, std::uint16_t>> first;
  std::map<std::uint64_t, std::vector<std::uint16_t>> by_height;
  for (const auto& ledger : ledgers) {
    by_height[ledger.blocks.empty() ? 0 : ledger.blocks.back().height].push_back(ledger.node);
    for (const auto& block : ledger.blocks) {
      const auto [place, fresh] =
          first.emplace(block.height, std::pair(block.name, ledger.node));
      if (fresh || place->second.first == block.name) continue;
      found.push_back({check::no_divergence, "at height " + std::to_string(block.height) + " "
                                                 + name_of(ledger.node) + " holds " + block.name
                                                 + ", " + name_of(place->second.second)
                                                 + " holds " + place->second.first});
      break;
    }
  }
  if (by_height.size() < 2) return;
  std::string text;
  for (const auto& [height, nodes] : by_height)
    for (const auto node : nodes)
      text += (text.empty() ? "" : ", ") + name_of(node) + " ends at height "
              + std::to_string(height);
  found.push_back({check::converged, text});
}

void check_operations(const client_history& clients, const ledger_copy& ledger,
                      std::vector<finding>& found) {
  std::set<operation_name> ran;
  for (const auto& block : ledger.blocks)
    for (const auto& each : block.operations)
      if (!ran.insert(each).second)
        found.push_back({check::exactly_once, "operation " + each + " ran twice on "
                                                  + name_of(ledger.node) + ", again at height "
                                                  + std::to_string(block.height)});
  for (const auto& [name, x] : clients.entries())
    if (x.acknowledged && ran.contains(name) == x.refused) {
      found.push_back(
          {check::no_lost_ack, "operation " + name + ", acknowledged by " + name_of(x.node)
                                   + " at " + duration_text(*x.acknowledged)
                                   + (x.refused ? " as refused, has run on " : ", is not on ")
                                   + name_of(ledger.node)});
      break; // one is enough; the others are in the history
    }
}

} // namespace

std::vector<finding> judge(const client_history& clients,
                           const std::vector<ledger_copy>& ledgers) {
  std::vector<finding> found;
  check_same(ledgers, found);
  for (const auto& each : ledgers)
    check_operations(clients, each, found);
  return found;
}

} // namespace tallymesh::faults
