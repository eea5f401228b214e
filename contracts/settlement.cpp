#include "contracts/settlement.hpp"

#include "contracts/settlement_book.hpp"

#include <algorithm>

namespace tallymesh::contracts::settlement {

static constexpr std::string_view source = R"lua(
-- Money between nodes. A balance is what a node is owed by the others (above zero) or owes
-- them (below). An entry says that its payer owes its payee more; number is the payer's own
-- count in this currency, so that "CNY, coop, 17" names one entry for good.
local everyone = { "anyone" }
local node = text{max=64, min=1}
local currency = text{max=8, min=1}
local some_currency = optional(currency) -- left out: the mesh's first
local period = text{max=16, min=1}
local money = decimal{scale=4}
local positive = decimal{scale=4, min="0.0001"}
local not_negative = decimal{scale=4, min=0}
local number = int64{min=0}
local says = one_of{"open", "confirmed", "disputed"}

return {
  contract = "settlement", version = 1,
  tables = {
    book = {
      key = { "book" },
      fields = { book = one_of{"main"}, currency = currency },
      read = everyone,
    },
    currencies = {
      key = { "currency" },
      fields = { currency = currency, decimals = int64{min=0, max=4}, limit = not_negative,
                 period = optional(period) },
      read = everyone,
    },
    rules = {
      key = { "rule" },
      fields = { rule = one_of{"currencies", "limits", "periods", "disputes", "rules",
                               "transfers", "holds", "statements"},
                 may = text{max=1000, min=1} },
      read = everyone,
    },
    accounts = {
      key = { "currency", "node" },
      fields = { currency = currency, node = node, balance = money, held = not_negative,
                 limit = optional(not_negative), entries = number },
      read = everyone,
    },
    entries = {
      key = { "currency", "payer", "number" },
      fields = { currency = currency, payer = node, number = number, payee = node,
                 amount = positive, period = period,
                 kind = one_of{"transfer", "capture", "payment"},
                 state = one_of{"settled", "disputed", "replaced", "cancelled"},
                 reference = optional(text{max=128}),
                 row = optional(text{max=700}), record = optional(bytes{max=32, min=32}),
                 corrects = optional(number), contract = optional(text{max=64}),
                 author = text{max=160}, height = number, time_ms = number,
                 disputed_by = optional(node), reason = optional(text{max=400}) },
      index = { {"period", "currency", "payer", "payee"} },
      read = everyone,
    },
    closed_rows = { -- a row that was settled, and by which entry; open: disputed meanwhile,
                    -- and content: what the row held when it was opened
      key = { "record" },
      fields = { record = bytes{max=32, min=32}, currency = currency, payer = node,
                 number = number, open = bool, table = text{max=129},
                 row_key = bytes{max=255}, content = optional(bytes{max=32, min=32}) },
      read = everyone,
    },
    holds = {
      key = { "payer", "hold" },
      fields = { payer = node, hold = text{max=32, min=1}, payee = node, currency = currency,
                 amount = positive, captured = optional(not_negative),
                 state = one_of{"held", "captured", "released"},
                 until_ms = optional(number), reference = optional(text{max=128}) },
      index = { {"payer", "state"}, {"payee", "state"} },
      read = everyone,
    },
    periods = {
      key = { "period" },
      fields = { period = period, state = one_of{"open", "closed"}, opened_ms = number,
                 closed_ms = optional(number) },
      index = { {"state", "opened_ms"} },
      read = everyone,
    },
    statements = { -- of a pair, a before b in the alphabet; disputed entries are left out
      key = { "period", "currency", "a", "b" },
      fields = { period = period, currency = currency, a = node, b = node,
                 a_owes = not_negative, b_owes = not_negative, entries = number,
                 disputed = number, revision = number, a_says = says, b_says = says },
      read = everyone,
    },
    positions = { -- of a closed period: what statements come to, and what payments undid of it
      key = { "period", "currency", "node" },
      fields = { period = period, currency = currency, node = node, net = money, paid = money },
      read = everyone,
    },
    payments = { -- of a closed period: after these nobody owes anybody anything of it
      key = { "period", "currency", "from", "to" },
      fields = { period = period, currency = currency, from = node, to = node,
                 due = not_negative, paid = not_negative },
      read = everyone,
    },
  },
  actions = {
    set_rule = { may = everyone, params = {
      rule = one_of{"currencies", "limits", "periods", "disputes", "rules", "transfers",
                    "holds", "statements"},
      may = text{max=1000, min=1} } },
    define_currency = { may = everyone, params = {
      currency = currency, decimals = int64{min=0, max=4}, limit = not_negative } },
    set_limit = { may = everyone, params = {
      node = node, currency = some_currency, limit = not_negative } },
    transfer = { may = everyone, params = {
      to = node, amount = positive, currency = some_currency, period = optional(period),
      reference = optional(text{max=128}), table = optional(text{max=129}),
      key = optional(text{max=255}), corrects = optional(number) } },
    hold = { may = everyone, params = {
      hold = text{max=32, min=1}, to = node, amount = positive, currency = some_currency,
      until_ms = optional(number), reference = optional(text{max=128}) } },
    capture = { may = everyone, params = {
      from = node, hold = text{max=32, min=1}, amount = optional(positive) } },
    release = { may = everyone, params = { from = node, hold = text{max=32, min=1} } },
    open_period = { may = everyone, params = { period = period } },
    close_period = { may = everyone, params = { period = period } },
    confirm = { may = everyone, params = {
      period = period, with = node, currency = some_currency, revision = number } },
    dispute = { may = everyone, params = {
      payer = node, number = number, currency = some_currency,
      reason = text{max=400, min=1} } },
    withdraw = { may = everyone, params = {
      payer = node, number = number, currency = some_currency } },
    cancel = { may = everyone, params = {
      payer = node, number = number, currency = some_currency } },
    paid = { may = everyone, params = {
      period = period, from = node, amount = positive, currency = some_currency } },
  },
}
)lua";

// --- what a contract asks for

static const field& amount_field() {
  static const field x{.name = "amount",
                       .kind = field_kind::decimal,
                       .scale = amount_scale,
                       .min = std::numeric_limits<std::int64_t>::min(),
                       .max = std::numeric_limits<std::int64_t>::max()};
  return x;
}

checked<transfer> transfer_from(const value_map& given, std::string_view calling_contract) {
  transfer x;
  for (const auto& [name, what] : given) {
    if (what.is_null()) continue;
    if (name == "amount") {
      const auto exact = convert(amount_field(), what);
      if (!exact) return exact.error();
      x.amount = *exact->as<decimal>();
    } else if (name == "key") {
      // One value need not be written as a list.
      if (const auto* list = what.as<value_list>())
        x.key = *list;
      else
        x.key = {what};
    } else {
      std::string* const into = name == "from"        ? &x.from
                                : name == "to"        ? &x.to
                                : name == "currency"  ? &x.currency
                                : name == "period"    ? &x.period
                                : name == "reference" ? &x.reference
                                : name == "table"     ? &x.table
                                                      : nullptr;
      if (into == nullptr) return refuse(outcome::malformed_arguments, name);
      if (what.as<std::string>() == nullptr) return refuse(outcome::wrong_type, name);
      *into = *what.as<std::string>();
    }
  }
  for (const auto& [text, name] : {std::pair{&x.from, "from"}, {&x.to, "to"}})
    if (text->empty()) return refuse(outcome::malformed_arguments, name);
  if (x.amount.scale != amount_scale) return refuse(outcome::malformed_arguments, "amount");
  if (x.table.empty() != x.key.empty()) return refuse(outcome::malformed_arguments, "key");
  if (!x.table.empty() && x.table.find('.') == x.table.npos)
    x.table.insert(0, std::string(calling_contract) + ".");
  return x;
}

// --- the row that is settled

static bytes record_of(const table& where, const bytes& row_key) {
  const auto id = hash(digest_kind::record, {as_bytes(where.full_name), row_key});
  return bytes(id.raw.begin(), id.raw.end());
}

namespace {

/// The row that an entry is about, and the entry that settled it before, if that is disputed.
struct settled_row {
  bytes record;      ///< empty: the entry is about no row
  std::string text;  ///< "orders.orders A-17"
  std::string table; ///< "orders.orders"
  bytes key;
  std::optional<value_map> disputed;
};

} // namespace

/// Only the contract itself closes its rows, or who may store them anyway: else anybody could
/// lock others' rows for a cent.
static bool may_close(transaction& on, const table& where) {
  const auto caller = on.facts().caller;
  if (caller.empty()) return may_store(where, on.facts().who);
  return where.full_name.starts_with(caller) && where.full_name[caller.size()] == '.';
}

static checked<value_map> entry_named(transaction& on, const std::string& currency,
                                      const std::string& payer, std::int64_t number) {
  auto row = on.get("settlement.entries", {currency, payer, number});
  if (!row) return row.error();
  if (!*row) return refuse(outcome::not_found, "entry");
  return std::move(**row);
}

static checked<settled_row> row_to_settle(transaction& on, const transfer& what,
                                          const currency& in) {
  if (what.table.empty()) return settled_row{};
  const auto* where = on.rules().find_table(what.table);
  if (where == nullptr) return refuse(outcome::unknown_table, what.table);
  if (!where->settles || !may_close(on, *where)) return refuse(outcome::forbidden, what.table);
  auto key = key_of(*where, what.key);
  if (!key) return key.error();
  const auto held = on.get(*where, what.key);
  if (!held) return held.error();
  if (!*held) return refuse(outcome::not_found, what.table);
  settled_row row{record_of(*where, *key),
                  where->full_name + " " + key_text(what.key),
                  where->full_name,
                  std::move(*key),
                  {}};
  const auto closed = on.get("settlement.closed_rows", {row.record});
  if (!closed) return closed.error();
  if (!*closed) return row;
  if (!*find(**closed, "open")->as<bool>()) return refuse(outcome::settled, where->name);
  // It can be settled anew, in place of the entry that is disputed.
  if (text_in(**closed, "currency") != in.name) return refuse(outcome::wrong_state, "currency");
  auto entry =
      entry_named(on, in.name, text_in(**closed, "payer"), number_in(**closed, "number"));
  if (!entry) return entry.error();
  row.disputed = std::move(*entry);
  return row;
}

checked<void> guard(transaction& on, const table& where, const bytes& row_key) {
  if (!where.settles) return {};
  const auto closed = on.open("settlement.closed_rows", {record_of(where, row_key)});
  if (!closed) return closed.error();
  if (!closed->exists() || closed->row().flag("open")) return {};
  return refuse(outcome::settled, where.name);
}

/// Texts and one_of are the same in a key; a decimal is there in units of its scale.
static bool same_in_key(const field& a, const field& b) {
  const auto written_as = [](const field& x) {
    return x.kind == field_kind::one_of ? field_kind::text : x.kind;
  };
  return written_as(a) == written_as(b) && a.scale == b.scale;
}

static bool same_key(const table& a, const table& b) {
  return std::equal(a.key.begin(), a.key.end(), b.key.begin(), b.key.end(),
                    [&](field_number in_a, field_number in_b) {
                      const auto &x = a.fields[in_a], &y = b.fields[in_b];
                      return x.name == y.name && same_in_key(x, y);
                    });
}

result<void> check_upgrade(const contracts::contract& now,
                           const contracts::contract& candidate) {
  for (const auto& before : now.tables) {
    if (!before.settles) continue;
    const auto refuse_it = [&](std::string_view what) {
      return make_error(errc::bad_config, "table " + before.full_name
                                              + " has rows that are closed once they are "
                                                "settled; "
                                              + std::string(what));
    };
    const auto* after = candidate.find_table(before.name);
    if (after == nullptr) return refuse_it("keep the table");
    if (!after->settles) return refuse_it("keep settles = true");
    if (!same_key(before, *after)) return refuse_it("keep its key");
  }
  return {};
}

// --- entries

/// Where the entry is counted. A correction stays in the period of what it corrects; anything
/// else needs an open one.
static checked<std::string> period_for(transaction& on, const transfer& what,
                                       const currency& in,
                                       const std::optional<value_map>& corrected) {
  if (corrected) return text_in(*corrected, "period");
  if (what.period.empty() || what.period == in.period) {
    if (in.period.empty()) return refuse(outcome::period_closed, "");
    return in.period;
  }
  const auto row = on.get("settlement.periods", {what.period});
  if (!row) return row.error();
  if (!*row) return refuse(outcome::not_found, "period");
  if (text_in(**row, "state") != "open") return refuse(outcome::period_closed, what.period);
  return what.period;
}

/// Takes back the disputed entry that the new one stands in for.
static checked<void> replace(transaction& on, postings& moved, const value_map& entry) {
  const auto &payer = text_in(entry, "payer"), &payee = text_in(entry, "payee");
  if (auto good = moved.move(payee, payer, units_in(entry, "amount")); !good) return good;
  auto done = on.put("settlement.entries", make_row({{"currency", text_in(entry, "currency")},
                                                     {"payer", payer},
                                                     {"number", number_in(entry, "number")},
                                                     {"state", "replaced"}}));
  if (!done) return done;
  return change_statement(on, {.period = text_in(entry, "period"),
                               .currency = text_in(entry, "currency"),
                               .payer = payer,
                               .payee = payee,
                               .disputed = -1});
}

static value text_or_null(std::string_view text) {
  return text.empty() ? value() : value(std::string(text));
}
/// Null for what is empty.
template <class T>
static given_value unless_empty(const T& x) {
  return x.empty() ? given_value() : given_value(x);
}

namespace {

/// An entry that is about to be made.
struct new_entry {
  const currency& in;
  const std::string &from, &to;
  money units;
  std::string period;
  std::string_view kind, reference;
  settled_row about;
  std::optional<std::int64_t> corrects;
};

} // namespace

static checked<void> write_entry(transaction& on, postings& moved, const new_entry& x) {
  if (auto good = moved.move(x.from, x.to, x.units); !good) return good;
  const auto number = moved.next_number(x.from);
  if (!number) return number.error();
  if (auto good = moved.commit(); !good) return good;
  const auto& facts = on.facts();
  auto entry = on.open("settlement.entries", {x.in.name, x.from, *number});
  if (!entry) return entry.error();
  const auto done = on.put(std::move(*entry),
                           {{"amount", exact(x.units)},
                            {"author", full_name(facts.who)},
                            {"contract", unless_empty(facts.caller)},
                            {"corrects", x.corrects ? given_value(*x.corrects) : given_value()},
                            {"currency", x.in.name},
                            {"height", static_cast<std::int64_t>(facts.height)},
                            {"kind", x.kind},
                            {"number", *number},
                            {"payee", x.to},
                            {"payer", x.from},
                            {"period", x.period},
                            {"record", unless_empty(x.about.record)},
                            {"reference", unless_empty(x.reference)},
                            {"row", unless_empty(std::string_view(x.about.text))},
                            {"state", "settled"},
                            {"time_ms", facts.time_ms}});
  if (!done) return done.error();
  on.count(effect::settled);
  if (!x.about.record.empty()) {
    auto closed = on.open("settlement.closed_rows", {x.about.record});
    if (!closed) return closed.error();
    const auto shut = on.put(std::move(*closed), {{"currency", x.in.name},
                                                  {"number", *number},
                                                  {"open", false},
                                                  {"payer", x.from},
                                                  {"record", x.about.record},
                                                  {"row_key", x.about.key},
                                                  {"table", x.about.table}});
    if (!shut) return shut.error();
  }
  return change_statement(on, {.period = x.period,
                               .currency = x.in.name,
                               .payer = x.from,
                               .payee = x.to,
                               .units = x.units,
                               .entries = 1,
                               .in_open_period = x.in.period == x.period});
}

static checked<void> enter(transaction& on, const transfer& what, const currency& in,
                           settled_row about) {
  if (what.from == what.to) return refuse(outcome::out_of_range, "to");
  if (auto good = check_amount(in, what.amount.units); !good) return good;
  auto period = period_for(on, what, in, about.disputed);
  if (!period) return period.error();
  postings moved(on, in);
  std::optional<std::int64_t> corrects;
  if (about.disputed) {
    corrects = number_in(*about.disputed, "number");
    if (auto good = replace(on, moved, *about.disputed); !good) return good;
  }
  return write_entry(on, moved,
                     {in, what.from, what.to, what.amount.units, std::move(*period), "transfer",
                      what.reference, std::move(about), corrects});
}

static checked<void> settle_or_stop(transaction& on, const transfer& what) {
  const auto in = read_currency(on, what.currency);
  if (!in) return in.error();
  auto about = row_to_settle(on, what, *in);
  if (!about) return about.error();
  return enter(on, what, *in, std::move(*about));
}

checked<void> settle(transaction& on, const transfer& what) {
  const auto before = on.mark();
  auto done = settle_or_stop(on, what);
  if (!done) on.rewind(before); // an action may go on without it
  return done;
}

checked<void> settle_for(transaction& on, std::string_view calling_contract,
                         const value_map& what) {
  const auto asked = transfer_from(what, calling_contract);
  if (!asked) return asked.error();
  return settle(on, *asked);
}

// --- actions of the parties

/// A key as URLs write it: its values separated by commas. A key of one value holds any text.
static checked<value_list> key_from(const table& where, std::string_view text) {
  value_list key;
  for (const auto number : where.key) {
    const bool last = key.size() + 1 == where.key.size();
    const auto end = last ? text.npos : text.find(',');
    const auto made = value_from_text(where.fields[number], text.substr(0, end));
    if (!made) return refuse(outcome::malformed_arguments, "key");
    key.push_back(*made);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return key;
}

/// A payer may not take back by itself what another is owed: of an entry that the payee has not
/// disputed, a correction leaves the payee at least what it had. (A contract corrects as its
/// own rules say.)
static checked<void> may_correct(const value_map& disputed, const transfer& by) {
  const auto &payer = text_in(disputed, "payer"), &payee = text_in(disputed, "payee");
  if (payer != by.from) return refuse(outcome::forbidden, by.table);
  if (text_in(disputed, "disputed_by") == payee) return {};
  if (by.to != payee) return refuse(outcome::forbidden, "to");
  if (by.amount.units < units_in(disputed, "amount"))
    return refuse(outcome::forbidden, "amount");
  return {};
}

static checked<void> transfer_by_party(transaction& on, arguments given) {
  if (auto good = require_right(on, "transfers"); !good) return good;
  transfer what{.from = std::string(on.facts().who.node),
                .to = text_in(given, "to"),
                .amount = {units_in(given, "amount"), amount_scale},
                .currency = text_in(given, "currency"),
                .period = text_in(given, "period"),
                .reference = text_in(given, "reference"),
                .table = text_in(given, "table")};
  if (const auto& key = text_in(given, "key"); what.table.empty() != key.empty())
    return refuse(outcome::malformed_arguments, "key");
  else if (!key.empty()) {
    const auto* where = on.rules().find_table(what.table);
    if (where == nullptr) return refuse(outcome::unknown_table, what.table);
    auto values = key_from(*where, key);
    if (!values) return values.error();
    what.key = std::move(*values);
  }
  const auto in = read_currency(on, what.currency);
  if (!in) return in.error();
  auto about = row_to_settle(on, what, *in);
  if (!about) return about.error();
  const auto* corrects = find(given, "corrects");
  if (corrects != nullptr && !corrects->is_null()) {
    if (!about->record.empty()) return refuse(outcome::malformed_arguments, "corrects");
    auto entry = entry_named(on, in->name, what.from, number_in(given, "corrects"));
    if (!entry) return entry.error();
    if (text_in(*entry, "state") != "disputed" || find(*entry, "record") != nullptr)
      return refuse(outcome::wrong_state, "corrects");
    about->disputed = std::move(*entry);
  }
  if (about->disputed)
    if (auto good = may_correct(*about->disputed, what); !good) return good;
  return enter(on, what, *in, std::move(*about));
}

static checked<void> hold(transaction& on, arguments given) {
  if (auto good = require_right(on, "holds"); !good) return good;
  const auto in = read_currency(on, text_in(given, "currency"));
  if (!in) return in.error();
  const auto units = units_in(given, "amount");
  if (auto good = check_amount(*in, units); !good) return good;
  const std::string me(on.facts().who.node);
  const auto &name = text_in(given, "hold"), &payee = text_in(given, "to");
  if (payee == me) return refuse(outcome::out_of_range, "to");
  if (!has_node(on.rules().mesh(), payee)) return refuse(outcome::not_found, payee);
  const auto held = on.get("settlement.holds", {me, name});
  if (!held) return held.error();
  if (*held) return refuse(outcome::wrong_state, "hold");
  postings moved(on, *in);
  if (auto good = moved.hold(me, units); !good) return good;
  if (auto good = moved.commit(); !good) return good;
  const auto* until = find(given, "until_ms");
  return on.put("settlement.holds",
                make_row({{"payer", me},
                          {"hold", name},
                          {"payee", payee},
                          {"currency", in->name},
                          {"amount", amount(units)},
                          {"state", "held"},
                          {"until_ms", until == nullptr ? value() : *until},
                          {"reference", text_or_null(text_in(given, "reference"))}}));
}

static checked<value_map> standing_hold(transaction& on, arguments given) {
  auto row = on.get("settlement.holds", {text_in(given, "from"), text_in(given, "hold")});
  if (!row) return row.error();
  if (!*row) return refuse(outcome::not_found, "hold");
  if (text_in(**row, "state") != "held") return refuse(outcome::wrong_state, "hold");
  return std::move(**row);
}

static checked<void> end_hold(transaction& on, const value_map& row, std::string_view state,
                              value captured = {}) {
  return on.put("settlement.holds", make_row({{"payer", text_in(row, "payer")},
                                              {"hold", text_in(row, "hold")},
                                              {"state", std::string(state)},
                                              {"captured", std::move(captured)}}));
}

/// Takes what was set aside, or part of it; the rest is free again.
static checked<void> capture(transaction& on, arguments given) {
  if (auto good = require_right(on, "holds"); !good) return good;
  const auto row = standing_hold(on, given);
  if (!row) return row.error();
  const auto &payer = text_in(*row, "payer"), &payee = text_in(*row, "payee");
  if (payee != on.facts().who.node) return refuse(outcome::forbidden, "hold");
  const auto in = read_currency(on, text_in(*row, "currency"));
  if (!in) return in.error();
  const auto held = units_in(*row, "amount");
  const auto* part = find(given, "amount");
  const auto units = part == nullptr || part->is_null() ? held : units_in(given, "amount");
  if (auto good = check_amount(*in, units); !good) return good;
  if (units > held) return refuse(outcome::out_of_range, "amount");
  if (in->period.empty()) return refuse(outcome::period_closed, "");
  postings moved(on, *in);
  if (auto good = moved.hold(payer, -held); !good) return good;
  if (auto good = end_hold(on, *row, "captured", amount(units)); !good) return good;
  return write_entry(
      on, moved,
      {*in, payer, payee, units, in->period, "capture", text_in(*row, "reference"), {}, {}});
}

/// By the payee at any time; by the payer once it has run out.
static checked<void> release(transaction& on, arguments given) {
  if (auto good = require_right(on, "holds"); !good) return good;
  const auto row = standing_hold(on, given);
  if (!row) return row.error();
  const auto me = on.facts().who.node;
  const auto* until = find(*row, "until_ms");
  const bool over = until != nullptr && on.facts().time_ms > number_in(*row, "until_ms");
  if (me != text_in(*row, "payee") && !(me == text_in(*row, "payer") && over))
    return refuse(outcome::forbidden, "hold");
  const auto in = read_currency(on, text_in(*row, "currency"));
  if (!in) return in.error();
  postings moved(on, *in);
  if (auto good = moved.hold(text_in(*row, "payer"), -units_in(*row, "amount")); !good)
    return good;
  if (auto good = moved.commit(); !good) return good;
  return end_hold(on, *row, "released");
}

// --- actions of those whom the rules name

static checked<void> set_rule(transaction& on, arguments given) {
  if (auto good = require_right(on, "rules"); !good) return good;
  const auto& may = text_in(given, "may");
  if (const auto unknown = unknown_name(may, on.rules().mesh()))
    return refuse(outcome::not_found, *unknown);
  return on.put("settlement.rules", make_row({{"rule", text_in(given, "rule")}, {"may", may}}));
}

static checked<void> define_currency(transaction& on, arguments given) {
  if (auto good = require_right(on, "currencies"); !good) return good;
  const auto& name = text_in(given, "currency");
  const auto held = on.get("settlement.currencies", {name});
  if (!held) return held.error();
  // Amounts that are there already would no longer fit.
  if (*held && number_in(**held, "decimals") != number_in(given, "decimals"))
    return refuse(outcome::wrong_state, "decimals");
  const auto all = on.range("settlement.currencies", {}, most_currencies);
  if (!all) return all.error();
  if (!*held && all->size() == most_currencies)
    return refuse(outcome::out_of_range, "currency");
  const auto open = on.find("settlement.periods", 0, {"open"}, 1, true);
  if (!open) return open.error();
  auto row = make_row({{"currency", name},
                       {"decimals", number_in(given, "decimals")},
                       {"limit", amount(units_in(given, "limit"))}});
  if (!*held && !open->empty()) put(row, "period", text_in(open->front(), "period"));
  if (auto done = on.put("settlement.currencies", row); !done) return done;
  if (!all->empty()) return {};
  return on.put("settlement.book", make_row({{"book", "main"}, {"currency", name}}));
}

static checked<void> set_limit(transaction& on, arguments given) {
  if (auto good = require_right(on, "limits"); !good) return good;
  const auto in = read_currency(on, text_in(given, "currency"));
  if (!in) return in.error();
  const auto& node = text_in(given, "node");
  if (!has_node(on.rules().mesh(), node)) return refuse(outcome::not_found, node);
  const auto held = on.get("settlement.accounts", {in->name, node});
  if (!held) return held.error();
  auto row = make_row(
      {{"currency", in->name}, {"node", node}, {"limit", amount(units_in(given, "limit"))}});
  if (!*held)
    for (const auto* zero : {"balance", "held"})
      put(row, zero, amount(0));
  if (!*held) put(row, "entries", std::int64_t{0});
  return on.put("settlement.accounts", row);
}

// --- the contract

static checked<void> perform(transaction& on, std::string_view action, const value_map& given) {
  using act = checked<void> (*)(transaction&, arguments);
  static const std::map<std::string_view, act> acts = {{"set_rule", set_rule},
                                                       {"define_currency", define_currency},
                                                       {"set_limit", set_limit},
                                                       {"transfer", transfer_by_party},
                                                       {"hold", hold},
                                                       {"capture", capture},
                                                       {"release", release},
                                                       {"open_period", open_period},
                                                       {"close_period", close_period},
                                                       {"confirm", confirm},
                                                       {"dispute", dispute},
                                                       {"withdraw", withdraw},
                                                       {"cancel", cancel},
                                                       {"paid", paid}};
  const auto found = acts.find(action);
  if (found == acts.end()) return refuse(outcome::unknown_action, action);
  return found->second(on, given);
}

builtin contract() {
  return {.name = "settlement",
          .source = source,
          .perform = perform,
          .guard = guard,
          .check_upgrade = check_upgrade};
}

} // namespace tallymesh::contracts::settlement
