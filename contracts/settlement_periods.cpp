// Periods of settlement: open, close with netting, statements, disputes, payments.
#include "contracts/settlement_book.hpp"

#include <algorithm>

namespace tallymesh::contracts::settlement {

static checked<value_map> required(transaction& on, std::string_view table,
                                   const value_list& key, std::string_view what) {
  auto row = on.get(table, key);
  if (!row) return row.error();
  if (!*row) return refuse(outcome::not_found, what);
  return std::move(**row);
}

static checked<std::vector<value_map>> currencies(transaction& on) {
  return on.range("settlement.currencies", {}, most_currencies);
}

// --- open and close

checked<void> open_period(transaction& on, arguments given) {
  if (auto good = require_right(on, "periods"); !good) return good;
  const auto& period = text_in(given, "period");
  const auto held = on.get("settlement.periods", {period});
  if (!held) return held.error();
  if (*held) return refuse(outcome::wrong_state, "period");
  auto done = on.put(
      "settlement.periods",
      make_row({{"period", period}, {"state", "open"}, {"opened_ms", on.facts().time_ms}}));
  if (!done) return done;
  const auto all = currencies(on);
  if (!all) return all.error();
  for (const auto& each : *all) {
    done = on.put("settlement.currencies",
                  make_row({{"currency", text_in(each, "currency")}, {"period", period}}));
    if (!done) return done;
  }
  return {};
}

/// The open period that was opened last, or nothing.
static checked<std::string> latest_open(transaction& on) {
  const auto open = on.find("settlement.periods", 0, {"open"}, 1, true);
  if (!open) return open.error();
  return open->empty() ? std::string() : text_in(open->front(), "period");
}

/// Settlements of `currency` that name no period go to `period` from now on.
static checked<void> set_current(transaction& on, const std::string& currency,
                                 const std::string& period) {
  value_map row = make_row({{"currency", currency}});
  put(row, "period", period.empty() ? value() : value(period));
  return on.put("settlement.currencies", row);
}

/// What all statements of the period come to for each node.
static checked<void> enter_positions(transaction& on, const std::string& period,
                                     const std::string& currency) {
  const auto rows = on.range("settlement.statements", {period, currency}, most_statements);
  if (!rows) return rows.error();
  std::map<std::string, money> nets;
  const auto change = [&](const std::string& node, money units) -> checked<void> {
    const auto sum = add(nets[node], units, "amount");
    if (!sum) return sum.error();
    nets[node] = *sum;
    return {};
  };
  for (const auto& each : *rows) {
    const auto b_gains = add(units_in(each, "a_owes"), -units_in(each, "b_owes"), "amount");
    if (!b_gains) return b_gains.error();
    if (auto good = change(text_in(each, "a"), -*b_gains); !good) return good;
    if (auto good = change(text_in(each, "b"), *b_gains); !good) return good;
  }
  for (const auto& [node, net] : nets) {
    auto done = on.put("settlement.positions", make_row({{"period", period},
                                                         {"currency", currency},
                                                         {"node", node},
                                                         {"net", amount(net)},
                                                         {"paid", amount(0)}}));
    if (!done) return done;
  }
  return {};
}

/// The whole sum, beside the check of each operation: a period's end is when it is looked for.
static checked<void> check_zero_sum(transaction& on, const std::string& currency) {
  const auto rows = on.range("settlement.accounts", {currency}, limits::max_nodes);
  if (!rows) return rows.error();
  __extension__ __int128 sum = 0;
  for (const auto& each : *rows)
    sum += units_in(each, "balance");
  TALLYMESH_INVARIANT(sum == 0);
  return {};
}

static checked<void> close_for(transaction& on, const std::string& period,
                               const value_map& currency_row, const std::string& next) {
  const auto& currency = text_in(currency_row, "currency");
  if (auto good = check_zero_sum(on, currency); !good) return good;
  if (auto good = enter_positions(on, period, currency); !good) return good;
  if (auto good = renew_payments(on, period, currency); !good) return good;
  if (text_in(currency_row, "period") != period) return {};
  return set_current(on, currency, next);
}

checked<void> close_period(transaction& on, arguments given) {
  if (auto good = require_right(on, "periods"); !good) return good;
  const auto& period = text_in(given, "period");
  const auto row = required(on, "settlement.periods", {period}, "period");
  if (!row) return row.error();
  if (text_in(*row, "state") == "closed") return refuse(outcome::period_closed, period);
  auto done = on.put(
      "settlement.periods",
      make_row({{"period", period}, {"state", "closed"}, {"closed_ms", on.facts().time_ms}}));
  if (!done) return done;
  const auto next = latest_open(on);
  if (!next) return next.error();
  const auto all = currencies(on);
  if (!all) return all.error();
  for (const auto& each : *all)
    if (auto good = close_for(on, period, each, *next); !good) return good;
  return {};
}

// --- statements

/// The two halves match when both have said so; then nothing of it changes any more.
static bool is_agreed(const value_map& statement) {
  return text_in(statement, "a_says") == "confirmed"
         && text_in(statement, "b_says") == "confirmed";
}

checked<void> confirm(transaction& on, arguments given) {
  if (auto good = require_right(on, "statements"); !good) return good;
  const std::string me(on.facts().who.node);
  const auto& other = text_in(given, "with");
  const auto in = read_currency(on, text_in(given, "currency"));
  if (!in) return in.error();
  const auto& period = text_in(given, "period");
  const auto when = required(on, "settlement.periods", {period}, "period");
  if (!when) return when.error();
  if (text_in(*when, "state") != "closed") return refuse(outcome::wrong_state, "period");
  const value_list key{period, in->name, std::min(me, other), std::max(me, other)};
  const auto row = required(on, "settlement.statements", key, "statement");
  if (!row) return row.error();
  if (number_in(*row, "disputed") > 0) return refuse(outcome::wrong_state, "disputed");
  // What is confirmed is what was seen, not what it has become since.
  if (number_in(given, "revision") != number_in(*row, "revision"))
    return refuse(outcome::wrong_state, "revision");
  return on.put("settlement.statements",
                make_row({{"period", period},
                          {"currency", in->name},
                          {"a", key[2]},
                          {"b", key[3]},
                          {me < other ? "a_says" : "b_says", "confirmed"}}));
}

// --- disputes

/// An entry that an argument names by payer and number.
static checked<value_map> entry_of(transaction& on, arguments given) {
  const auto in = read_currency(on, text_in(given, "currency"));
  if (!in) return in.error();
  return required(on, "settlement.entries",
                  {in->name, text_in(given, "payer"), number_in(given, "number")}, "entry");
}

static checked<void> set_state(transaction& on, const value_map& entry, std::string_view state,
                               value disputed_by = {}, value reason = {}) {
  auto row = make_row({{"currency", text_in(entry, "currency")},
                       {"payer", text_in(entry, "payer")},
                       {"number", number_in(entry, "number")},
                       {"state", std::string(state)},
                       {"disputed_by", std::move(disputed_by)},
                       {"reason", std::move(reason)}});
  return on.put("settlement.entries", row);
}

/// What a row that was settled holds now; empty if it is not there.
static checked<bytes> content_of(transaction& on, const value_map& closed) {
  const auto* where = on.rules().find_table(text_in(closed, "table"));
  if (where == nullptr) return bytes();
  const auto row = on.held(*where, *find(closed, "row_key")->as<bytes>());
  if (!row) return row.error();
  if (!row->row) return bytes();
  const auto sum = hash(digest_kind::record, {as_bytes("content"), *row->row});
  return bytes(sum.raw.begin(), sum.raw.end());
}

/// Opens the row that the entry settled; nothing if it settled none.
static checked<void> open_row(transaction& on, const value_map& entry) {
  const auto* record = find(entry, "record");
  if (record == nullptr) return {};
  const auto closed = required(on, "settlement.closed_rows", {*record}, "row");
  if (!closed) return closed.error();
  auto content = content_of(on, *closed);
  if (!content) return content.error();
  return on.put(
      "settlement.closed_rows",
      make_row({{"record", *record}, {"open", true}, {"content", std::move(*content)}}));
}

/// Closes it again, if it still holds what the entry was about.
static checked<void> close_row(transaction& on, const value_map& entry) {
  const auto* record = find(entry, "record");
  if (record == nullptr) return {};
  const auto closed = required(on, "settlement.closed_rows", {*record}, "row");
  if (!closed) return closed.error();
  const auto content = content_of(on, *closed);
  if (!content) return content.error();
  if (*find(*closed, "content")->as<bytes>() != *content)
    return refuse(outcome::wrong_state, "row");
  auto row = make_row({{"record", *record}, {"open", false}});
  put(row, "content", value());
  return on.put("settlement.closed_rows", row);
}

static statement_change change_by(const value_map& entry) {
  return {text_in(entry, "period"), text_in(entry, "currency"), text_in(entry, "payer"),
          text_in(entry, "payee")};
}

checked<void> dispute(transaction& on, arguments given) {
  if (auto good = require_right(on, "statements"); !good) return good;
  const auto entry = entry_of(on, given);
  if (!entry) return entry.error();
  const std::string me(on.facts().who.node);
  if (me != text_in(*entry, "payer") && me != text_in(*entry, "payee"))
    return refuse(outcome::forbidden, "entry");
  if (text_in(*entry, "state") != "settled" || text_in(*entry, "kind") == "payment")
    return refuse(outcome::wrong_state, "entry");
  auto change = change_by(*entry);
  const auto statement =
      required(on, "settlement.statements",
               {change.period, change.currency, std::min(change.payer, change.payee),
                std::max(change.payer, change.payee)},
               "statement");
  if (!statement) return statement.error();
  if (is_agreed(*statement)) return refuse(outcome::period_closed, change.period);
  change.units = -units_in(*entry, "amount");
  change.entries = -1;
  change.disputed = 1;
  change.disputed_by = me;
  if (auto good = set_state(on, *entry, "disputed", me, text_in(given, "reason")); !good)
    return good;
  if (auto good = open_row(on, *entry); !good) return good;
  return change_statement(on, change);
}

/// The entry of a dispute that `who` may end: `party`, or whoever the rules make the arbiter.
static checked<value_map> disputed_entry(transaction& on, arguments given,
                                         std::string_view party) {
  auto entry = entry_of(on, given);
  if (!entry) return entry;
  const bool own = text_in(*entry, party) == on.facts().who.node;
  if (auto good = own ? require_right(on, "statements") : require_right(on, "disputes"); !good)
    return good.error();
  if (text_in(*entry, "state") != "disputed") return refuse(outcome::wrong_state, "entry");
  return entry;
}

checked<void> withdraw(transaction& on, arguments given) {
  const auto entry = disputed_entry(on, given, "disputed_by");
  if (!entry) return entry.error();
  auto change = change_by(*entry);
  change.units = units_in(*entry, "amount");
  change.entries = 1;
  change.disputed = -1;
  if (auto good = set_state(on, *entry, "settled"); !good) return good;
  if (auto good = close_row(on, *entry); !good) return good;
  return change_statement(on, change);
}

checked<void> cancel(transaction& on, arguments given) {
  const auto entry = disputed_entry(on, given, "payee"); // it gives up what it is owed
  if (!entry) return entry.error();
  auto change = change_by(*entry);
  change.disputed = -1;
  const auto in = read_currency(on, change.currency);
  if (!in) return in.error();
  postings back(on, *in);
  if (auto good = back.move(change.payee, change.payer, units_in(*entry, "amount")); !good)
    return good;
  if (auto good = back.commit(); !good) return good;
  if (auto good = set_state(on, *entry, "cancelled"); !good) return good;
  if (const auto* record = find(*entry, "record"))
    if (auto good = on.remove("settlement.closed_rows", {*record}); !good) return good;
  return change_statement(on, change);
}

// --- payments

static checked<void> add_paid(transaction& on, const std::string& period,
                              const std::string& currency, const std::string& node,
                              money units) {
  const auto row = required(on, "settlement.positions", {period, currency, node}, "position");
  if (!row) return row.error();
  const auto paid_so_far = add(units_in(*row, "paid"), units, "amount");
  if (!paid_so_far) return paid_so_far.error();
  return on.put("settlement.positions", make_row({{"period", period},
                                                  {"currency", currency},
                                                  {"node", node},
                                                  {"paid", amount(*paid_so_far)}}));
}

/// The payer owes less by it, and the payee is owed less.
static checked<void> enter_payment(transaction& on, const currency& in, arguments given,
                                   const std::string& payer, const std::string& payee) {
  const auto units = units_in(given, "amount");
  postings moved(on, in);
  if (auto good = moved.move(payee, payer, units); !good) return good;
  const auto number = moved.next_number(payee);
  if (!number) return number.error();
  if (auto good = moved.commit(); !good) return good;
  return on.put("settlement.entries", make_row({{"currency", in.name},
                                                {"payer", payee},
                                                {"number", *number},
                                                {"payee", payer},
                                                {"amount", amount(units)},
                                                {"period", text_in(given, "period")},
                                                {"kind", "payment"},
                                                {"state", "settled"},
                                                {"author", full_name(on.facts().who)},
                                                {"height", std::int64_t(on.facts().height)},
                                                {"time_ms", on.facts().time_ms}}));
}

checked<void> paid(transaction& on, arguments given) {
  if (auto good = require_right(on, "statements"); !good) return good;
  const auto in = read_currency(on, text_in(given, "currency"));
  if (!in) return in.error();
  const auto units = units_in(given, "amount");
  if (auto good = check_amount(*in, units); !good) return good;
  const auto &period = text_in(given, "period"), &payer = text_in(given, "from");
  const std::string me(on.facts().who.node);
  const auto row =
      required(on, "settlement.payments", {period, in->name, payer, me}, "payment");
  if (!row) return row.error();
  const auto due = units_in(*row, "due");
  if (units > due) return refuse(outcome::out_of_range, "amount");
  const auto paid_so_far = add(units_in(*row, "paid"), units, "amount");
  if (!paid_so_far) return paid_so_far.error();
  auto done = on.put("settlement.payments", make_row({{"period", period},
                                                      {"currency", in->name},
                                                      {"from", payer},
                                                      {"to", me},
                                                      {"due", amount(due - units)},
                                                      {"paid", amount(*paid_so_far)}}));
  if (!done) return done;
  if (auto good = add_paid(on, period, in->name, payer, units); !good) return good;
  if (auto good = add_paid(on, period, in->name, me, -units); !good) return good;
  return enter_payment(on, *in, given, payer, me);
}

} // namespace tallymesh::contracts::settlement
