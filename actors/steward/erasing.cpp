#include "actors/steward/erasing.hpp"

#include "contracts/builtin_rows.hpp"
#include "contracts/erasure.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <spdlog/spdlog.h>

namespace tallymesh::steward {

namespace {

namespace chain = contracts::erasure;

constexpr std::size_t page_changes = 1000;
constexpr std::size_t orders_at_once = 256; ///< and the rest of the last one's block
/// Larger stores are made anew when the node starts, since all else waits for it: until then
/// their free pages keep what was erased, and the node attests nothing.
constexpr std::size_t rebuilt_at_once_bytes = std::size_t{512} << 20;

using lane_id = std::pair<node_index, operation_id>;

struct order {
  value_map row;
  erasure what;
};

std::uint64_t seq_of(const std::vector<lane_tip>& cut, node_index lane) {
  const auto at =
      std::find_if(cut.begin(), cut.end(), [&](const auto& each) { return each.lane == lane; });
  return at == cut.end() ? 0 : at->seq;
}

/// Which operations came before an order: those of earlier blocks, and of its own block those
/// with a receipt before it.
struct moment {
  std::vector<lane_tip> cut_before;
  std::map<lane_id, std::uint32_t> positions;

  bool is_before(const erasure& x, const batch& of, const operation& what) const {
    if (of.seq <= seq_of(cut_before, of.lane)) return true;
    const auto at = positions.find({of.lane, what.id});
    return at != positions.end() && at->second <= x.position;
  }
};

/// The operations whose arguments go with these orders: those that changed one of the rows,
/// and stores of such a row that changed nothing or were refused.
class doomed_operations {
public:
  doomed_operations(const contracts::contract_set& rules, const storage::ledger& from)
      : rules_(rules), ledger_(from) {}

  result<void> add(const erasure& x, const std::vector<storage::erased_origin>& origins) {
    for (const auto& each : origins)
      origins_.emplace(each.lane, each.id);
    orders_[{x.table, x.key}].push_back(x);
    if (moments_.contains(x.height)) return {};
    auto made = moment_of(x.height);
    if (!made) return made.error();
    moments_.emplace(x.height, std::move(*made));
    return {};
  }

  bool contains(const batch& of, const operation& what) const {
    return origins_.contains({of.lane, what.id}) || stores_such_a_row(of, what);
  }

private:
  result<moment> moment_of(block_height height) const {
    moment made;
    if (height > 1) {
      auto before = ledger_.block(height - 1);
      if (!before) return before.error();
      made.cut_before = std::move(before->full_cut);
    }
    const auto done = ledger_.execution_of(height);
    if (!done) return done.error();
    for (const auto& each : done->receipts)
      made.positions.emplace(lane_id{each.lane, each.id}, each.position);
    return made;
  }

  bool stores_such_a_row(const batch& of, const operation& what) const {
    if (what.action != "store") return false;
    const auto* name = find(what.arguments, "table");
    const auto* row = find(what.arguments, "row");
    if (name == nullptr || row == nullptr || name->as<std::string>() == nullptr
        || row->as<value_map>() == nullptr)
      return false;
    const auto* table = rules_.find_table(what.contract + "." + *name->as<std::string>());
    if (table == nullptr) return false;
    const auto key = contracts::key_of(*table, *row->as<value_map>());
    if (!key) return false;
    const auto at = orders_.find({table->full_name, *key});
    return at != orders_.end()
           && std::any_of(at->second.begin(), at->second.end(), [&](const erasure& x) {
                return moments_.at(x.height).is_before(x, of, what);
              });
  }

  const contracts::contract_set& rules_;
  const storage::ledger& ledger_;
  std::set<lane_id> origins_;
  std::map<std::pair<std::string, bytes>, std::vector<erasure>> orders_;
  std::map<block_height, moment> moments_;
};

class eraser {
public:
  explicit eraser(const node::context& context)
      : context_(context), ledger_(*context.ledger), rules_(context.in_force.look()),
        self_(context.genesis().nodes[context.self()].name),
        orders_(*rules_->find_table(chain::orders_table)),
        attestations_(*rules_->find_table(chain::attestations_table)) {}

  result<std::vector<owed>> run(std::size_t limit) {
    if (auto done = erase_what_is_ordered(); !done) return done.error();
    if (auto done = clear_files(); !done) return done.error();
    if (ledger_.holds_erased() || context_.batches->holds_erased()) {
      spdlog::warn("erased payloads are still in free pages: this node attests its erasures "
                   "when it has started again, because its stores are too large to be made "
                   "anew while it runs");
      return std::vector<owed>{};
    }
    return unattested(limit);
  }

private:
  // --- to do it

  result<void> erase_what_is_ordered() {
    for (;;) {
      const auto mark = ledger_.erased_through();
      if (!mark) return mark.error();
      const auto open = ordered_after(*mark);
      if (!open) return open.error();
      if (open->empty()) return {};
      if (auto done = erase(*open); !done) return done;
      if (auto done = ledger_.set_erased_through(open->back().what.height); !done) return done;
    }
  }

  /// By height, all of a height or none.
  result<std::vector<order>> ordered_after(block_height mark) const {
    const value from(static_cast<std::int64_t>(mark + 1));
    const auto first =
        contracts::encode_key(orders_, orders_.indexes[chain::by_height], std::span(&from, 1));
    std::vector<bytes> keys;
    bytes last;
    auto walked = ledger_.walk_entries(orders_.full_name, chain::by_height, {first, {}, false},
                                       [&](bytes_view height, bytes_view key) {
                                         bytes now(height.begin(), height.end());
                                         if (keys.size() >= orders_at_once && now != last)
                                           return false;
                                         last = std::move(now);
                                         keys.emplace_back(key.begin(), key.end());
                                         return true;
                                       });
    if (!walked) return walked.error();
    std::vector<order> found;
    for (const auto& key : keys) {
      const auto held = ledger_.row(orders_.full_name, key);
      if (!held) return held.error();
      TALLYMESH_INVARIANT(held->row.has_value()); // orders are never taken away
      auto row = contracts::stored_row(*held->row);
      auto what = chain::order_of(row);
      found.push_back({std::move(row), std::move(what)});
    }
    return found;
  }

  result<void> erase(const std::vector<order>& all) {
    doomed_operations doomed(*rules_, ledger_);
    for (const auto& each : all) {
      const auto origins = erase_history(each.what);
      if (!origins) return origins.error();
      if (auto added = doomed.add(each.what, *origins); !added) return added;
    }
    // What the batches lose, the ledger must never need again, not after a power cut either.
    if (auto kept = ledger_.sync(); !kept) return kept;
    const auto head = ledger_.head();
    if (!head) return head.error();
    const auto erased =
        context_.batches->erase(head->full_cut, [&](const batch& of, const operation& what) {
          return doomed.contains(of, what);
        });
    if (!erased) return erased.error();
    for (const auto& each : all)
      spdlog::info("erased a row of {} and its history here, as {}@{} ordered at height {}",
                   each.what.table, each.what.author, each.what.node, each.what.height);
    return {};
  }

  result<std::vector<storage::erased_origin>> erase_history(const erasure& x) {
    std::vector<storage::erased_origin> origins;
    change_place from;
    do {
      auto page =
          ledger_.erase_history(x.table, x.key, {x.height, x.position}, from, page_changes);
      if (!page) return page.error();
      origins.insert(origins.end(), page->origins.begin(), page->origins.end());
      from = page->next;
    } while (from.height != 0);
    return origins;
  }

  result<void> clear_files() {
    if (auto done = clear_file(ledger_); !done) return done;
    return clear_file(*context_.batches);
  }

  template <class Store>
  static result<void> clear_file(Store& store) {
    if (!store.holds_erased() || store.used_bytes() > rebuilt_at_once_bytes) return {};
    return store.rebuild();
  }

  // --- to say so

  /// Erased here, not by every node yet, and without this node's attestation.
  result<std::vector<owed>> unattested(std::size_t limit) const {
    const auto mark = ledger_.erased_through();
    if (!mark) return mark.error();
    const value ordered("ordered");
    const auto prefix = contracts::encode_key(orders_, orders_.indexes[chain::by_state],
                                              std::span(&ordered, 1));
    std::vector<owed> found;
    for (bytes after; found.size() < limit;) {
      auto page =
          ledger_.index_scan(orders_.full_name, chain::by_state, prefix, after, page_changes);
      if (!page) return page.error();
      for (const auto& each : page->entries) {
        order x{contracts::stored_row(each.row), {}};
        x.what = chain::order_of(x.row);
        if (x.what.height > *mark) continue;
        const auto mine = ledger_.row(attestations_.full_name, attestation_key(x));
        if (!mine) return mine.error();
        if (!mine->row) found.push_back(attestation_of(x));
        if (found.size() == limit) break;
      }
      if (page->next.empty()) break;
      after = std::move(page->next);
    }
    return found;
  }

  static value_list identity(const order& x) {
    return {*find(x.row, "id"), *find(x.row, "node"), *find(x.row, "number")};
  }

  static bytes encoded(const contracts::table& of, const value_list& values) {
    auto key = contracts::key_of(of, values);
    TALLYMESH_INVARIANT(key.has_value());
    return std::move(*key);
  }

  bytes attestation_key(const order& x) const {
    auto key = identity(x);
    key.emplace_back(self_);
    return encoded(attestations_, key);
  }

  owed attestation_of(const order& x) const {
    const auto signed_by = attest(context_.keys, x.what).signed_by;
    const auto key = identity(x);
    owed said{.contract = "erasure",
              .action = "attest",
              .arguments = {},
              .purpose = to_hex(encoded(orders_, key))};
    auto& given = said.arguments;
    put(given, "id", key[0]);
    put(given, "node", key[1]);
    put(given, "number", key[2]);
    put(given, "signature", bytes(signed_by.raw.begin(), signed_by.raw.end()));
    return said;
  }

  const node::context& context_;
  storage::ledger& ledger_;
  contracts::contract_set_ptr rules_; ///< holds the two tables below
  const std::string& self_;
  const contracts::table& orders_;
  const contracts::table& attestations_;
};

} // namespace

duty erasing() {
  return {"erasing",
          {std::string(chain::orders_table)},
          [](const node::context& context, std::size_t limit) {
            return eraser(context).run(limit);
          }};
}

} // namespace tallymesh::steward
