#include "contracts/settlement_book.hpp"

#include "contracts/netting.hpp"

#include <algorithm>

namespace tallymesh::contracts::settlement {

checked<money> add(money a, money b, std::string_view field) {
  money sum = 0;
  // The smallest int64 is left out: it has no counterpart on the other side of an entry.
  if (__builtin_add_overflow(a, b, &sum) || sum == std::numeric_limits<money>::min())
    return refuse(outcome::out_of_range, field);
  return sum;
}

// --- currencies

static checked<std::string> first_currency(transaction& on) {
  const auto book = on.open("settlement.book", {"main"});
  if (!book) return book.error();
  if (!book->exists()) return refuse(outcome::not_found, "currency");
  return std::string(book->row().text("currency"));
}

checked<currency> read_currency(transaction& on, const std::string& name) {
  if (name.empty()) {
    const auto first = first_currency(on);
    if (!first) return first.error();
    return read_currency(on, *first);
  }
  const auto opened = on.open("settlement.currencies", {name});
  if (!opened) return opened.error();
  if (!opened->exists()) return refuse(outcome::not_found, "currency");
  row_reader row(opened->row());
  return currency{name, row.number("decimals"), row.units("limit"),
                  std::string(row.text("period"))};
}

checked<void> check_amount(const currency& in, money units) {
  money smallest = 1;
  for (auto more = amount_scale - in.decimals; more > 0; --more)
    smallest *= 10;
  if (units <= 0 || units % smallest != 0) return refuse(outcome::out_of_range, "amount");
  return {};
}

// --- accounts

checked<postings::account*> postings::at(const std::string& node) {
  for (auto& each : accounts_)
    if (each.node == node) return &each;
  auto opened = on_.open("settlement.accounts", {in_.name, node});
  if (!opened) return opened.error();
  TALLYMESH_INVARIANT(accounts_.size() < accounts_.capacity());
  auto& x = accounts_.emplace_back();
  x.node = node;
  x.limit = in_.limit;
  if (opened->exists()) {
    row_reader row(opened->row());
    x.balance = x.balance_before = row.units("balance");
    x.entries = row.number("entries");
    x.held = x.held_before = row.units("held");
    if (row.has("limit")) x.limit = row.units("limit");
  } else if (!has_node(on_.rules().mesh(), node)) {
    return refuse(outcome::not_found, node);
  }
  x.row = std::move(*opened);
  return &x;
}

checked<void> postings::move(const std::string& from, const std::string& to, money units) {
  const auto payer = at(from);
  if (!payer) return payer.error();
  const auto payee = at(to);
  if (!payee) return payee.error();
  const auto less = add((*payer)->balance, -units, "amount");
  if (!less) return less.error();
  (*payer)->balance = *less;
  const auto more = add((*payee)->balance, units, "amount");
  if (!more) return more.error();
  (*payee)->balance = *more;
  return {};
}

checked<void> postings::hold(const std::string& node, money units) {
  const auto whose = at(node);
  if (!whose) return whose.error();
  const auto held = add((*whose)->held, units, "amount");
  if (!held) return held.error();
  TALLYMESH_INVARIANT(*held >= 0);
  (*whose)->held = *held;
  return {};
}

checked<std::int64_t> postings::next_number(const std::string& node) {
  const auto whose = at(node);
  if (!whose) return whose.error();
  return ++(*whose)->entries;
}

checked<void> postings::commit() {
  __extension__ using wide = __int128;
  wide created = 0;
  std::sort(accounts_.begin(), accounts_.end(),
            [](const account& a, const account& b) { return a.node < b.node; });
  for (const auto& x : accounts_) {
    created += wide(x.balance) - x.balance_before;
    const auto means = wide(x.balance) - x.held;
    if (means < wide(x.balance_before) - x.held_before && means + x.limit < 0)
      return refuse(outcome::limit_exceeded, x.node);
  }
  TALLYMESH_INVARIANT(created == 0); // money is neither made nor lost
  for (auto& x : accounts_) {
    TALLYMESH_INVARIANT(x.row.has_value()); // committed once
    const auto written =
        on_.put(*std::exchange(x.row, std::nullopt), {{"balance", exact(x.balance)},
                                                      {"currency", in_.name},
                                                      {"entries", x.entries},
                                                      {"held", exact(x.held)},
                                                      {"node", x.node}});
    if (!written) return written.error();
  }
  return {};
}

// --- what a pair owes each other

static checked<bool> is_closed(transaction& on, const std::string& period) {
  const auto row = on.get("settlement.periods", {period});
  if (!row) return row.error();
  TALLYMESH_INVARIANT(row->has_value());
  return text_in(**row, "state") == "closed";
}

static checked<void> change_position(transaction& on, const statement_change& what,
                                     const std::string& node, money units) {
  const auto row = on.get("settlement.positions", {what.period, what.currency, node});
  if (!row) return row.error();
  const auto net = add(*row ? units_in(**row, "net") : 0, units, "amount");
  if (!net) return net.error();
  return on.put("settlement.positions",
                make_row({{"period", what.period},
                          {"currency", what.currency},
                          {"node", node},
                          {"net", amount(*net)},
                          {"paid", amount(*row ? units_in(**row, "paid") : 0)}}));
}

checked<void> change_statement(transaction& on, const statement_change& what) {
  const bool in_order = what.payer < what.payee;
  const auto& a = in_order ? what.payer : what.payee;
  const auto& b = in_order ? what.payee : what.payer;
  auto held = on.open("settlement.statements", {what.period, what.currency, a, b});
  if (!held) return held.error();
  // Fields are read in their order: each look goes on from the one before.
  row_reader row(held->row());
  const auto a_owes = row.units("a_owes");
  const auto a_said = row.text("a_says");
  const auto b_owes = row.units("b_owes");
  const auto b_said = row.text("b_says");
  const auto disputed = row.number("disputed") + what.disputed;
  const auto entries = row.number("entries") + what.entries;
  const auto revision = row.number("revision") + 1;
  const auto owed = add(in_order ? a_owes : b_owes, what.units, "amount");
  if (!owed) return owed.error();
  // Who disputed stays so until nothing of it is left.
  const auto says = [&](std::string_view said, const std::string& node) {
    return node == what.disputed_by || (disputed > 0 && said == "disputed") ? "disputed"
                                                                            : "open";
  };
  const auto written = on.put(std::move(*held), {{"a", a},
                                                 {"a_owes", exact(in_order ? *owed : a_owes)},
                                                 {"a_says", says(a_said, a)},
                                                 {"b", b},
                                                 {"b_owes", exact(in_order ? b_owes : *owed)},
                                                 {"b_says", says(b_said, b)},
                                                 {"currency", what.currency},
                                                 {"disputed", disputed},
                                                 {"entries", entries},
                                                 {"period", what.period},
                                                 {"revision", revision}});
  if (!written) return written.error();
  if (what.in_open_period) return {};
  const auto closed = is_closed(on, what.period);
  if (!closed) return closed.error();
  if (!*closed) return {};
  if (auto good = change_position(on, what, what.payer, -what.units); !good) return good;
  if (auto good = change_position(on, what, what.payee, what.units); !good) return good;
  return renew_payments(on, what.period, what.currency);
}

// --- payments

static checked<std::vector<net_position>>
open_positions(transaction& on, const std::string& period, const std::string& currency) {
  const auto rows = on.range("settlement.positions", {period, currency}, limits::max_nodes);
  if (!rows) return rows.error();
  std::vector<net_position> open;
  for (const auto& each : *rows) {
    const auto left = add(units_in(each, "net"), units_in(each, "paid"), "amount");
    if (!left) return left.error();
    open.push_back({text_in(each, "node"), *left});
  }
  return open;
}

checked<void> renew_payments(transaction& on, const std::string& period,
                             const std::string& currency) {
  auto open = open_positions(on, period, currency);
  if (!open) return open.error();
  if (const auto nodes = std::min(open->size(), exact_netting_nodes + 1); nodes > 0)
    if (auto good = on.charge(nodes << std::min(nodes, exact_netting_nodes)); !good)
      return good;
  std::map<std::pair<std::string, std::string>, money> due;
  for (auto& each : fewest_payments(std::move(*open)))
    due[{each.from, each.to}] = each.units;
  const auto rows = on.range("settlement.payments", {period, currency}, most_statements * 2);
  if (!rows) return rows.error();
  for (const auto& each : *rows) { // what was due and is no longer, unless something was paid
    const auto &from = text_in(each, "from"), &to = text_in(each, "to");
    if (due.contains({from, to})) continue;
    auto done = units_in(each, "paid") == 0
                    ? on.remove("settlement.payments", {period, currency, from, to})
                    : on.put("settlement.payments", make_row({{"period", period},
                                                              {"currency", currency},
                                                              {"from", from},
                                                              {"to", to},
                                                              {"due", amount(0)}}));
    if (!done) return done;
  }
  for (const auto& [pair, units] : due) {
    const auto held =
        on.get("settlement.payments", {period, currency, pair.first, pair.second});
    if (!held) return held.error();
    auto done = on.put("settlement.payments",
                       make_row({{"period", period},
                                 {"currency", currency},
                                 {"from", pair.first},
                                 {"to", pair.second},
                                 {"due", amount(units)},
                                 {"paid", amount(*held ? units_in(**held, "paid") : 0)}}));
    if (!done) return done;
  }
  return {};
}

// --- rights

/// Without a row in settlement.rules.
static std::string_view default_right(std::string_view rule) {
  static constexpr std::string_view parties[] = {"transfers", "holds", "statements"};
  return std::find(std::begin(parties), std::end(parties), rule) == std::end(parties)
             ? "level1"
             : "anyone";
}

/// A mesh without such a node could never set a rule.
static bool has_level1(const mesh_facts& mesh) {
  return std::any_of(mesh.nodes.begin(), mesh.nodes.end(),
                     [](const mesh_facts::node& each) { return each.at == tier::level1; });
}

checked<void> require_right(transaction& on, std::string_view rule) {
  if (!on.facts().caller.empty()) return refuse(outcome::forbidden, rule);
  const auto row = on.get("settlement.rules", {std::string(rule)});
  if (!row) return row.error();
  const auto may = *row ? std::string_view(text_in(**row, "may")) : default_right(rule);
  if (is_named(may, on.facts().who)) return {};
  if (!*row && may == "level1" && !has_level1(on.rules().mesh())) return {};
  return refuse(outcome::forbidden, rule);
}

} // namespace tallymesh::contracts::settlement
