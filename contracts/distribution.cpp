#include "contracts/distribution.hpp"

#include "contracts/builtin_rows.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::contracts::distribution {

static constexpr std::string_view source = R"lua(
-- Who must get which row, and how far each one got. A delivery stands in its node's inbox under
-- a number that only grows, so that "everything after 17" is all that is new.
local everyone = { "anyone" }
local node = text{max=64, min=1}
local number = int64{min=0}

return {
  contract = "distribution", version = 1,
  tables = {
    inboxes = {
      key = { "node" },
      fields = { node = node, last = number },
      read = everyone,
    },
    deliveries = {
      key = { "node", "number" },
      fields = { node = node, number = number,
                 account = optional(text{max=64}), -- only this one may take it
                 table = text{max=129}, row = text{max=520},
                 record = bytes{max=32, min=32}, row_key = bytes{max=255},
                 state = one_of{"pending", "received", "applied", "handed_over", "superseded"},
                 height = number, author = text{max=160},
                 distributed_ms = number, deadline_ms = optional(number),
                 received_ms = optional(number), applied_ms = optional(number),
                 handed_over_ms = optional(number), handed_over_to = optional(text{max=160}),
                 superseded_by = optional(number),
                 late = optional(bool) }, -- handed over after its deadline
      index = { {"table", "record", "node", "account"}, {"node", "state"}, {"late", "node"} },
      read = everyone,
    },
  },
  actions = {
    -- By the node itself, for all that its inbox holds from first to last.
    confirm = { may = everyone, params = {
      first = number, last = number, state = one_of{"received", "applied"} } },
    -- By the account that took them.
    hand_over = { may = everyone, params = {
      first = number, last = number, table = optional(text{max=129}),
      -- Which of them: a bit each, from first on, the lowest of the first byte before the next.
      -- Left out: all that the account may take.
      only = optional(bytes{max=125, min=1}) } },
  },
}
)lua";

// --- who must get it

static constexpr std::size_t most_names = 64;
/// Adds a text, or a list of texts.
static checked<void> add_names(const value& given, std::string_view field,
                               std::vector<std::string>& to) {
  const auto add = [&](const value& each) -> checked<void> {
    const auto* name = each.as<std::string>();
    if (name == nullptr) return refuse(outcome::wrong_type, field);
    // A node that is called as a tier would be taken for it, so what is meant stands before.
    if ((field == "tier") != tier_named(*name).has_value()
        || (field == "account") != (name->find('@') != name->npos))
      return refuse(outcome::not_found, *name);
    if (to.size() == most_names) return refuse(outcome::out_of_range, field);
    to.push_back(*name);
    return {};
  };
  const auto* list = given.as<value_list>();
  if (list == nullptr) return add(given);
  for (const auto& each : *list)
    if (auto good = add(each); !good) return good;
  return {};
}

checked<request> request_from(std::string_view contract_name, std::string_view table_name,
                              const value_list& key, const value_map& to,
                              std::int64_t block_time_ms) {
  request x{.table = std::string(table_name), .key = key, .recipients = {}};
  if (x.table.find('.') == x.table.npos) x.table.insert(0, std::string(contract_name) + ".");
  for (const auto& [name, what] : to) {
    if (what.is_null()) continue;
    if (name == "tier" || name == "node" || name == "account") {
      if (auto good = add_names(what, name, x.recipients); !good) return good.error();
    } else if (name == "deadline_ms" || name == "within_s") {
      const auto* number = what.as<std::int64_t>();
      if (number == nullptr) return refuse(outcome::wrong_type, name);
      // Ten thousand years are enough, and keep the sum below from overflowing.
      if (*number <= 0 || *number > 315'360'000'000'000)
        return refuse(outcome::out_of_range, name);
      if (x.deadline_ms != 0) return refuse(outcome::malformed_arguments, name);
      x.deadline_ms = name == "within_s" ? block_time_ms + *number * 1000 : *number;
    } else {
      return refuse(outcome::malformed_arguments, name);
    }
  }
  if (x.recipients.empty()) return refuse(outcome::malformed_arguments, "to");
  return x;
}

namespace {

struct recipient {
  std::string node, account; ///< account: empty unless only this one may take it
  auto operator<=>(const recipient&) const = default;
};

} // namespace

/// In the order of nodes, so that deliveries have the same numbers everywhere.
static checked<std::set<recipient>> recipients_of(const request& what, const mesh_facts& mesh) {
  std::set<recipient> all;
  for (const auto& name : what.recipients) {
    if (const auto level = tier_named(name)) {
      for (const auto& node : mesh.nodes)
        if (node.at == *level) all.insert({node.name, {}});
    } else if (const auto at = name.find('@'); at != name.npos) {
      if (!has_account(mesh, name)) return refuse(outcome::not_found, name);
      all.insert({name.substr(at + 1), name.substr(0, at)});
    } else {
      if (!has_node(mesh, name)) return refuse(outcome::not_found, name);
      all.insert({name, {}});
    }
  }
  return all;
}

// --- distribute

bool is_open(const value_map& delivery) {
  const auto& state = text_in(delivery, "state");
  return state == "pending" || state == "received" || state == "applied";
}

static checked<std::int64_t> next_number(transaction& on, const std::string& node) {
  const auto inbox = on.get("distribution.inboxes", {node});
  if (!inbox) return inbox.error();
  const auto number = (*inbox ? number_in(**inbox, "last") : 0) + 1;
  auto done = on.put("distribution.inboxes", make_row({{"node", node}, {"last", number}}));
  if (!done) return done.error();
  return number;
}

namespace {

/// The row that goes out.
struct subject {
  std::string table, text;
  bytes record, key;
};

} // namespace

/// The delivery before of this row to this recipient need not be taken any more.
static checked<void> supersede(transaction& on, const subject& row, const recipient& to,
                               std::int64_t by) {
  const auto before = on.find(
      "distribution.deliveries", 0,
      {row.table, row.record, to.node, to.account.empty() ? value() : value(to.account)}, 1,
      true);
  if (!before) return before.error();
  if (before->empty() || !is_open(before->front())) return {};
  return on.put("distribution.deliveries",
                make_row({{"node", to.node},
                          {"number", number_in(before->front(), "number")},
                          {"state", "superseded"},
                          {"superseded_by", by}}));
}

static checked<void> deliver(transaction& on, const subject& row, const recipient& to,
                             std::int64_t deadline_ms) {
  const auto number = next_number(on, to.node);
  if (!number) return number.error();
  if (auto good = supersede(on, row, to, *number); !good) return good;
  on.count(effect::distributed);
  return on.put("distribution.deliveries",
                make_row({{"node", to.node},
                          {"number", *number},
                          {"account", to.account.empty() ? value() : value(to.account)},
                          {"table", row.table},
                          {"row", row.text},
                          {"record", row.record},
                          {"row_key", row.key},
                          {"state", "pending"},
                          {"height", static_cast<std::int64_t>(on.facts().height)},
                          {"author", full_name(on.facts().who)},
                          {"distributed_ms", on.facts().time_ms},
                          {"deadline_ms", deadline_ms == 0 ? value() : value(deadline_ms)}}));
}

static checked<subject> subject_of(transaction& on, const request& what) {
  const auto* table = on.rules().find_table(what.table);
  if (table == nullptr) return refuse(outcome::unknown_table, what.table);
  auto key = key_of(*table, what.key);
  if (!key) return key.error();
  const auto row = on.held(*table, *key);
  if (!row) return row.error();
  if (!row->row) return refuse(outcome::not_found, what.table);
  const auto id = hash(digest_kind::record, {as_bytes(table->full_name), *key});
  return subject{table->full_name, key_text(what.key), bytes(id.raw.begin(), id.raw.end()),
                 std::move(*key)};
}

static checked<void> distribute_or_stop(transaction& on, const request& what) {
  const auto row = subject_of(on, what);
  if (!row) return row.error();
  const auto all = recipients_of(what, on.rules().mesh());
  if (!all) return all.error();
  for (const auto& each : *all)
    if (auto good = deliver(on, *row, each, what.deadline_ms); !good) return good;
  return {};
}

checked<void> distribute(transaction& on, const request& what) {
  const auto before = on.mark();
  auto done = distribute_or_stop(on, what);
  if (!done) on.rewind(before); // an action may go on without it
  return done;
}

checked<void> distribute_for(transaction& on, const table& from, const value_list& key,
                             const value_map& to) {
  const auto what = request_from({}, from.full_name, key, to, on.facts().time_ms);
  if (!what) return what.error();
  return distribute(on, *what);
}

checked<void> distribute_by_operation(transaction& on, const contracts::contract& of,
                                      const value_map& given) {
  if (given.size() != 3 || given[0].first != "key" || given[1].first != "table"
      || given[2].first != "to")
    return refuse(outcome::malformed_arguments, "");
  const auto* key = given[0].second.as<value_list>();
  if (key == nullptr) return refuse(outcome::malformed_arguments, "key");
  const auto* name = given[1].second.as<std::string>();
  if (name == nullptr) return refuse(outcome::malformed_arguments, "table");
  const auto* to = given[2].second.as<value_map>();
  if (to == nullptr) return refuse(outcome::malformed_arguments, "to");
  const auto* from = of.find_table(*name);
  if (from == nullptr) return refuse(outcome::unknown_table, *name);
  if (!may_distribute(*from, on.facts().who)) return refuse(outcome::forbidden, from->name);
  return distribute_for(on, *from, *key, *to);
}

// --- confirmations

/// Calls `change` for each delivery of `node` from first to last that is still under way.
template <class F>
static checked<void> for_each_open(transaction& on, const std::string& node,
                                   const value_map& given, F change) {
  const auto first = number_in(given, "first"), last = number_in(given, "last");
  if (last < first || last - first >= most_at_once)
    return refuse(outcome::out_of_range, "last");
  for (std::int64_t i = 0; i <= last - first; ++i) { // the last number there is has no next
    const auto row = on.get("distribution.deliveries", {node, first + i});
    if (!row) return row.error();
    if (!*row || !is_open(**row)) continue;
    if (auto good = change(**row); !good) return good;
  }
  return {};
}

/// Names the delivery, and every step up to `step` that has no time yet gets the block's.
static value_map reached(transaction& on, const value_map& delivery, std::string_view step) {
  auto row = make_row({{"node", text_in(delivery, "node")},
                       {"number", number_in(delivery, "number")},
                       {"state", std::string(step)}});
  for (const std::string each : {"received", "applied", "handed_over"}) {
    if (find(delivery, each + "_ms") == nullptr) put(row, each + "_ms", on.facts().time_ms);
    if (each == step) break;
  }
  return row;
}

static checked<void> confirm(transaction& on, const value_map& given) {
  const auto& who = on.facts().who;
  if (who.account != node_account || !on.facts().caller.empty())
    return refuse(outcome::forbidden, "confirm");
  const auto& step = text_in(given, "state");
  return for_each_open(on, std::string(who.node), given,
                       [&](const value_map& row) -> checked<void> {
                         const auto& state = text_in(row, "state");
                         if (state == "applied" || state == step) return {};
                         return on.put("distribution.deliveries", reached(on, row, step));
                       });
}

/// Whether the delivery of this number is among those that were named.
static bool is_named_in(const value* only, std::int64_t place) {
  if (only == nullptr || only->is_null()) return true;
  const auto& bits = *only->as<bytes>();
  const auto at = static_cast<std::size_t>(place / 8);
  return at < bits.size() && (bits[at] >> (place % 8) & 1) != 0;
}

static checked<void> hand_over(transaction& on, const value_map& given) {
  if (!on.facts().caller.empty()) return refuse(outcome::forbidden, "hand_over");
  const auto& who = on.facts().who;
  const auto& of_table = text_in(given, "table");
  const auto* only = find(given, "only");
  const auto first = number_in(given, "first");
  return for_each_open(
      on, std::string(who.node), given, [&](const value_map& delivery) -> checked<void> {
        const auto& table = text_in(delivery, "table");
        if (!may_take(on.rules().find_table(table), delivery, who)) return {};
        if (!of_table.empty() && of_table != table) return {};
        if (!is_named_in(only, number_in(delivery, "number") - first)) return {};
        auto row = reached(on, delivery, "handed_over");
        put(row, "handed_over_to", full_name(who));
        const auto* deadline = find(delivery, "deadline_ms");
        if (deadline != nullptr && on.facts().time_ms > *deadline->as<std::int64_t>())
          put(row, "late", true);
        return on.put("distribution.deliveries", row);
      });
}

bool may_take(const table* of, const value_map& delivery, const actor& who) {
  if (of == nullptr || who.node != text_in(delivery, "node")) return false;
  const auto& account = text_in(delivery, "account");
  return (account.empty() || account == who.account) && may_read(*of, who);
}

static checked<void> perform(transaction& on, std::string_view action, const value_map& given) {
  if (action == "confirm") return confirm(on, given);
  if (action == "hand_over") return hand_over(on, given);
  return refuse(outcome::unknown_action, action);
}

builtin contract() { return {.name = "distribution", .source = source, .perform = perform}; }

} // namespace tallymesh::contracts::distribution
