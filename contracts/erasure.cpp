#include "contracts/erasure.hpp"

#include "contracts/builtin_rows.hpp"

#include <algorithm>

namespace tallymesh::contracts::erasure {

static constexpr std::string_view source = R"lua(
-- What is erased, by whose order and why, and which nodes have signed that they hold it no more.
-- The row itself is gone; its key and the reason stay, so neither should hold what must go.
local everyone = { "anyone" }
local name = text{max=64, min=1}
local number = int64{min=0}
local order = { id = bytes{max=16, min=16}, node = name, number = number }

return {
  contract = "erasure", version = 1,
  tables = {
    erasures = {
      -- The operation that ordered it, in whose lane it came, which of its erasures this is.
      key = { "id", "node", "number" },
      fields = { id = order.id, node = order.node, number = order.number,
                 author = text{max=64}, table = text{max=129}, row_key = bytes{max=255},
                 reason = text{max=1000, min=1}, height = number, position = number,
                 ordered_ms = number, state = one_of{"ordered", "done"} },
      index = { {"state"}, {"height"}, {"id"} },
      read = everyone,
    },
    attestations = {
      key = { "id", "node", "number", "by" },
      fields = { id = order.id, node = order.node, number = order.number, by = name,
                 signature = bytes{max=64, min=64}, attested_ms = number },
      index = { {"id"} },
      read = everyone,
    },
  },
  actions = {
    -- By a node itself, once it has erased. Done when every node has.
    attest = { may = everyone, params = {
      id = order.id, node = order.node, number = order.number,
      signature = bytes{max=64, min=64} } },
  },
}
)lua";

static constexpr std::size_t most_reason_bytes = 4000; ///< 1000 characters

static const bytes& bytes_in(const value_map& row, std::string_view field) {
  const auto* found = find(row, field);
  TALLYMESH_INVARIANT(found != nullptr && found->as<bytes>() != nullptr);
  return *found->as<bytes>();
}

static bytes raw(const operation_id& id) { return {id.raw.begin(), id.raw.end()}; }

// --- to order it

/// How many rows this operation has erased so far.
static checked<std::int64_t> next_number(transaction& on) {
  const auto& facts = on.facts();
  const auto earlier =
      on.range(orders_table, {raw(facts.operation), std::string(facts.who.node)}, 1, true);
  if (!earlier) return earlier.error();
  return earlier->empty() ? 0 : number_in(earlier->front(), "number") + 1;
}

/// The row goes as by a delete; if it went before, its history is still to be erased.
static checked<bytes> take_away(transaction& on, const table& from, const value_list& key) {
  auto row_key = key_of(from, key);
  if (!row_key) return row_key.error();
  const auto held = on.held(from, *row_key);
  if (!held) return held.error();
  if (held->last_change.height == 0) return refuse(outcome::not_found, from.name);
  if (held->row)
    if (auto gone = on.remove(from, key); !gone) return gone.error();
  return std::move(*row_key);
}

static checked<void> order(transaction& on, const table& from, const value_list& key,
                           std::string_view reason) {
  auto row_key = take_away(on, from, key);
  if (!row_key) return row_key.error();
  const auto number = next_number(on);
  if (!number) return number.error();
  const auto& facts = on.facts();
  on.count(effect::erased);
  return on.put(orders_table, make_row({{"id", raw(facts.operation)},
                                        {"node", std::string(facts.who.node)},
                                        {"number", *number},
                                        {"author", std::string(facts.who.account)},
                                        {"table", from.full_name},
                                        {"row_key", std::move(*row_key)},
                                        {"reason", std::string(reason)},
                                        {"height", static_cast<std::int64_t>(facts.height)},
                                        {"position", static_cast<std::int64_t>(facts.position)},
                                        {"ordered_ms", facts.time_ms},
                                        {"state", "ordered"}}));
}

checked<void> erase(transaction& on, const table& from, const value_list& key,
                    std::string_view reason) {
  if (reason.empty() || reason.size() > most_reason_bytes)
    return refuse(outcome::out_of_range, "reason");
  const auto before = on.mark();
  auto done = order(on, from, key, reason);
  if (!done) on.rewind(before); // an action may go on without it
  return done;
}

checked<void> perform(transaction& on, const contracts::contract& of, const value_map& given) {
  if (given.size() != 3 || given[0].first != "key" || given[1].first != "reason"
      || given[2].first != "table")
    return refuse(outcome::malformed_arguments, "");
  const auto* key = given[0].second.as<value_list>();
  if (key == nullptr) return refuse(outcome::malformed_arguments, "key");
  const auto* reason = given[1].second.as<std::string>();
  if (reason == nullptr) return refuse(outcome::malformed_arguments, "reason");
  const auto* name = given[2].second.as<std::string>();
  if (name == nullptr) return refuse(outcome::malformed_arguments, "table");
  const auto* from = of.find_table(*name);
  if (from == nullptr) return refuse(outcome::unknown_table, *name);
  auto who = on.facts().who;
  who.contract = on.facts().caller;
  if (!may_erase(*from, who)) return refuse(outcome::forbidden, from->name);
  return erase(on, *from, *key, *reason);
}

tallymesh::erasure order_of(const value_map& row) {
  tallymesh::erasure x;
  const auto& id = bytes_in(row, "id");
  TALLYMESH_INVARIANT(id.size() == x.id.raw.size());
  std::copy(id.begin(), id.end(), x.id.raw.begin());
  x.node = text_in(row, "node");
  x.author = text_in(row, "author");
  x.table = text_in(row, "table");
  x.key = bytes_in(row, "row_key");
  x.reason = text_in(row, "reason");
  x.height = static_cast<block_height>(number_in(row, "height"));
  x.position = static_cast<std::uint32_t>(number_in(row, "position"));
  x.time_ms = number_in(row, "ordered_ms");
  return x;
}

// --- to say that it was done

static checked<void> finish_if_all(transaction& on, const value_list& key) {
  const auto all = on.rules().mesh().nodes.size();
  const auto attested = on.range(attestations_table, key, all);
  if (!attested) return attested.error();
  if (attested->size() < all) return {};
  return on.put(
      orders_table,
      make_row({{"id", key[0]}, {"node", key[1]}, {"number", key[2]}, {"state", "done"}}));
}

/// The node vouches for the signature with its lane; whoever checks the certificate checks it.
static checked<void> attest(transaction& on, const value_map& given) {
  const auto& facts = on.facts();
  if (facts.who.account != node_account || !facts.caller.empty())
    return refuse(outcome::forbidden, "attest");
  const value_list key{*find(given, "id"), *find(given, "node"), *find(given, "number")};
  const auto ordered = on.get(orders_table, key);
  if (!ordered) return ordered.error();
  if (!*ordered) return refuse(outcome::not_found, "erasures");
  auto done = on.put(attestations_table, make_row({{"id", key[0]},
                                                   {"node", key[1]},
                                                   {"number", key[2]},
                                                   {"by", std::string(facts.who.node)},
                                                   {"signature", *find(given, "signature")},
                                                   {"attested_ms", facts.time_ms}}));
  if (!done) return done;
  return finish_if_all(on, key);
}

static checked<void> act(transaction& on, std::string_view action, const value_map& given) {
  if (action == "attest") return attest(on, given);
  return refuse(outcome::unknown_action, action);
}

builtin contract() { return {.name = "erasure", .source = source, .perform = act}; }

} // namespace tallymesh::contracts::erasure
