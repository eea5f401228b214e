// `tally settle …`: balances, periods, statements, and what parties say about them.
#include "messages/value.hpp"
#include "tools/tally/operations.hpp"
#include "tools/tally/output.hpp"

#include <algorithm>
#include <iostream>
#include <map>
#include <numeric>

namespace tallymesh::tally {

namespace {

constexpr const char* contract = "settlement";

struct settle_options {
  place where;
  std::string currency, period, first, second, third;
  std::string reference, table, key, until, corrects, revision;
  std::uint64_t decimals = 2;
};
using options_ptr = std::shared_ptr<settle_options>;

// --- amounts, as a clerk reads them

/// "-1234.5000" with two decimals: "-1,234.50".
std::string money_text(std::string text, std::size_t decimals) {
  const bool negative = text.starts_with('-');
  if (negative) text.erase(0, 1);
  const auto point = text.find('.');
  auto whole = text.substr(0, point);
  auto fraction = point == text.npos ? std::string() : text.substr(point + 1);
  fraction.resize(decimals, '0');
  for (auto at = static_cast<std::ptrdiff_t>(whole.size()) - 3; at > 0; at -= 3)
    whole.insert(static_cast<std::size_t>(at), ",");
  return (negative ? "-" : "") + whole + (decimals > 0 ? "." + fraction : "");
}

bool is_zero(std::string_view amount) {
  return amount.find_first_not_of("-0.,") == amount.npos;
}

/// Exact sums of the amounts that rows hold.
std::int64_t units_at(const json::value& row, std::string_view field) {
  const auto exact = decimal::from_text(text_at(row, field, "0"), 4);
  return exact ? exact->units : 0;
}
std::string text_of_units(std::int64_t units) { return decimal{units, 4}.to_text(); }

struct currency_facts {
  std::map<std::string, std::size_t> decimals;
  std::string first; ///< what applies when none is named
};

result<currency_facts> currencies(http_client& client) {
  const auto rows = list_table(client, "settlement.currencies");
  if (!rows) return rows.error();
  currency_facts known;
  for (const auto& each : *rows)
    known.decimals[text_at(each, "currency")] =
        static_cast<std::size_t>(std::clamp<std::int64_t>(number_at(each, "decimals"), 0, 4));
  const auto book = list_table(client, "settlement.book");
  if (!book) return book.error();
  if (!book->empty()) known.first = text_at(book->front(), "currency");
  return known;
}

class view {
public:
  static result<view> open(const settle_options& options) {
    const auto at = find_gateway(options.where);
    if (!at) return at.error();
    view made{http_client(at->target)};
    auto known = currencies(made.client);
    if (!known) return known.error();
    made.known_ = std::move(*known);
    made.currency = options.currency.empty() ? made.known_.first : options.currency;
    return made;
  }
  std::string money(const json::value& row, std::string_view field) const {
    return money_of(text_at(row, "currency", currency), text_at(row, field, "0"));
  }
  std::string money_of(const std::string& in, const std::string& amount) const {
    const auto found = known_.decimals.find(in);
    return money_text(amount, found == known_.decimals.end() ? 4 : found->second);
  }
  std::string default_limit(const std::string& of) {
    const auto rows = list_table(client, "settlement.currencies");
    for (const auto& each : rows ? *rows : std::vector<json::value>())
      if (text_at(each, "currency") == of) return text_at(each, "limit");
    return "0";
  }

  http_client client;
  std::string currency;

private:
  explicit view(http_client to) : client(std::move(to)) {}
  currency_facts known_;
};

exit_code print(const invocation& told, const std::vector<json::value>& rows,
                const std::vector<column>& columns, const std::vector<std::vector<cell>>& lines,
                std::string_view when_empty) {
  if (told.json())
    print_json(json::array(rows.begin(), rows.end()));
  else if (lines.empty())
    std::cout << when_empty << '\n';
  else
    print_table(std::cout, columns, lines);
  return exit_code::ok;
}

// --- what stands in the books

exit_code run_balances(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  auto rows = list_table(on->client, "settlement.accounts");
  if (!rows) return report(rows.error());
  if (!options.currency.empty())
    std::erase_if(*rows, [&](const json::value& x) {
      return text_at(x, "currency") != options.currency;
    });
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *rows) {
    const auto units = units_at(each, "balance");
    const auto in = text_at(each, "currency");
    const auto limit = text_at(each, "limit", on->default_limit(in));
    const auto left = units - units_at(each, "held")
                      + decimal::from_text(limit, 4).value_or(decimal{0, 4}).units;
    lines.push_back({text_at(each, "node"), in,
                     units > 0   ? "is owed"
                     : units < 0 ? "owes"
                                 : "is even",
                     on->money_of(in, text_of_units(units < 0 ? -units : units)),
                     on->money(each, "held"), on->money_of(in, limit),
                     cell(on->money_of(in, text_of_units(std::max<std::int64_t>(left, 0))),
                          left <= 0 ? colour::red : colour::none)});
  }
  return print(told, *rows,
               {{"node"},
                {"currency"},
                {""},
                {"amount", true},
                {"held", true},
                {"limit", true},
                {"may still spend", true}},
               lines, "no accounts: nothing was settled yet");
}

exit_code run_periods(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  const auto rows = list_table(on->client, "settlement.periods");
  if (!rows) return report(rows.error());
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *rows)
    lines.push_back({text_at(each, "period"), text_at(each, "state"),
                     time_text(number_at(each, "opened_ms")),
                     time_text(number_at(each, "closed_ms"))});
  return print(told, *rows, {{"period"}, {"state"}, {"opened"}, {"closed"}}, lines,
               "no periods: open one with tally settle open PERIOD");
}

std::vector<json::value> of_period(std::vector<json::value> rows, const std::string& period,
                                   const std::string& currency) {
  std::erase_if(rows, [&](const json::value& x) {
    return text_at(x, "period") != period
           || (!currency.empty() && text_at(x, "currency") != currency);
  });
  return rows;
}

/// Of a closed period: what came of everybody's debts, and who pays whom for it.
exit_code run_netting(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  auto positions = list_table(on->client, "settlement.positions");
  if (!positions) return report(positions.error());
  auto payments = list_table(on->client, "settlement.payments");
  if (!payments) return report(payments.error());
  *positions = of_period(std::move(*positions), options.period, options.currency);
  *payments = of_period(std::move(*payments), options.period, options.currency);
  if (told.json()) {
    print_json(json::value{{"positions", json::array(positions->begin(), positions->end())},
                           {"payments", json::array(payments->begin(), payments->end())}});
    return exit_code::ok;
  }
  if (positions->empty()) {
    std::cout << "nothing: period " << printable(options.period)
              << " is not closed, or nothing was settled in it\n";
    return exit_code::ok;
  }
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *positions) {
    const auto net = text_at(each, "net");
    const bool owes = net.starts_with('-');
    lines.push_back({text_at(each, "node"), text_at(each, "currency"),
                     owes ? "pays" : "receives",
                     on->money_of(text_at(each, "currency"), owes ? net.substr(1) : net)});
  }
  print_table(std::cout, {{"node"}, {"currency"}, {"net"}, {"amount", true}}, lines);
  lines.clear();
  for (const auto& each : *payments)
    lines.push_back({text_at(each, "from"), text_at(each, "to"), text_at(each, "currency"),
                     on->money(each, "due"), on->money(each, "paid"),
                     is_zero(text_at(each, "due")) ? cell("paid", colour::green)
                                                   : cell("due", colour::yellow)});
  std::cout << '\n';
  if (lines.empty())
    std::cout << "nobody has to pay anybody\n";
  else
    print_table(
        std::cout,
        {{"from"}, {"to"}, {"currency"}, {"still due", true}, {"paid", true}, {"state"}},
        lines);
  return exit_code::ok;
}

exit_code run_statements(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  auto rows = list_table(on->client, "settlement.statements");
  if (!rows) return report(rows.error());
  *rows = of_period(std::move(*rows), options.period, options.currency);
  std::vector<std::vector<cell>> lines;
  const auto said = [](const std::string& what) {
    return cell(what, what == "confirmed"  ? colour::green
                      : what == "disputed" ? colour::red
                                           : colour::none);
  };
  for (const auto& each : *rows)
    lines.push_back({text_at(each, "a"), text_at(each, "b"), text_at(each, "currency"),
                     on->money(each, "a_owes"), on->money(each, "b_owes"),
                     std::to_string(number_at(each, "entries")),
                     std::to_string(number_at(each, "disputed")), said(text_at(each, "a_says")),
                     said(text_at(each, "b_says"))});
  return print(told, *rows,
               {{"A"},
                {"B"},
                {"currency"},
                {"A owes B", true},
                {"B owes A", true},
                {"entries", true},
                {"disputed", true},
                {"A says"},
                {"B says"}},
               lines, "no statements: nothing was settled in this period");
}

result<std::vector<json::value>> entries_between(view& on, const settle_options& options) {
  std::vector<json::value> all;
  for (const auto& [payer, payee] :
       {std::pair(options.first, options.second), std::pair(options.second, options.first)}) {
    auto rows = list_table(on.client, "settlement.entries",
                           where_text({{"period", options.period},
                                       {"currency", on.currency},
                                       {"payer", payer},
                                       {"payee", payee}}));
    if (!rows) return rows;
    std::move(rows->begin(), rows->end(), std::back_inserter(all));
  }
  return all;
}

exit_code no_statement(const std::string& a, const std::string& b, const std::string& period) {
  std::cerr << "nothing was settled between " << printable(a) << " and " << printable(b)
            << " in period " << printable(period) << '\n';
  return exit_code::differs;
}

/// The entries between two nodes, one by one: what each side compares with its own books.
exit_code run_statement(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  const auto& a = std::min(options.first, options.second);
  const auto& b = std::max(options.first, options.second);
  const auto entries = entries_between(*on, options);
  if (!entries) return report(entries.error());
  const auto found =
      find_row(on->client, "settlement.statements", {options.period, on->currency, a, b});
  if (!found) return report(found.error());
  if (!*found) return no_statement(a, b, options.period);
  const auto& statement = *found;
  if (told.json()) {
    print_json(json::value{{"statement", *statement},
                           {"entries", json::array(entries->begin(), entries->end())}});
    return exit_code::ok;
  }
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *entries) {
    const auto state = text_at(each, "state");
    lines.push_back({text_at(each, "payer"), std::to_string(number_at(each, "number")),
                     text_at(each, "payee"), on->money(each, "amount"),
                     text_at(each, "row", text_at(each, "reference", "-")),
                     time_text(number_at(each, "time_ms")),
                     cell(text_at(each, "kind") == "payment" ? "payment received" : state,
                          state == "disputed" ? colour::red : colour::none),
                     text_at(each, "reason", "")});
  }
  print_table(std::cout,
              {{"payer"},
               {"number", true},
               {"payee"},
               {"amount", true},
               {"for"},
               {"time"},
               {"state"},
               {"reason"}},
              lines);
  std::cout << '\n';
  print_table(std::cout, {{""}, {"amount", true}},
              {{a + " owes " + b, on->money(*statement, "a_owes")},
               {b + " owes " + a, on->money(*statement, "b_owes")},
               {a + " says", text_at(*statement, "a_says")},
               {b + " says", text_at(*statement, "b_says")},
               {"disputed entries", std::to_string(number_at(*statement, "disputed"))},
               {"revision", std::to_string(number_at(*statement, "revision"))}});
  return exit_code::ok;
}

exit_code run_holds(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  const auto rows = list_table(on->client, "settlement.holds");
  if (!rows) return report(rows.error());
  std::vector<std::vector<cell>> lines;
  for (const auto& each : *rows)
    lines.push_back({text_at(each, "payer"), text_at(each, "hold"), text_at(each, "payee"),
                     text_at(each, "currency"), on->money(each, "amount"),
                     text_at(each, "state"), time_text(number_at(each, "until_ms"))});
  return print(
      told, *rows,
      {{"payer"}, {"hold"}, {"payee"}, {"currency"}, {"amount", true}, {"state"}, {"until"}},
      lines, "nothing is on hold");
}

// --- what a party says

/// What one's own node and `other` owe each other, in lines that a person reads before it
/// agrees.
void print_before_confirming(const view& on, const json::value& statement) {
  const auto a = text_at(statement, "a"), b = text_at(statement, "b");
  std::cout << printable(a) << " owes " << printable(b) << ' ' << on.money(statement, "a_owes")
            << ", " << printable(b) << " owes " << printable(a) << ' '
            << on.money(statement, "b_owes") << ", " << number_at(statement, "entries")
            << " entries, revision " << number_at(statement, "revision") << '\n';
}

/// Confirms the revision that is named; else the one that is shown: if anything is entered or
/// disputed between, the mesh refuses.
exit_code run_confirm(const settle_options& options, const invocation& told) {
  auto on = view::open(options);
  if (!on) return report(on.error());
  auto revision = options.revision;
  if (revision.empty()) {
    const auto status = get_json(on->client, "/v1/status");
    if (!status) return report(status.error());
    const auto me = text_at(*status, "node");
    const auto statement = find_row(on->client, "settlement.statements",
                                    {options.period, on->currency, std::min(me, options.first),
                                     std::max(me, options.first)});
    if (!statement) return report(statement.error());
    if (!*statement) return no_statement(me, options.first, options.period);
    if (!told.json()) print_before_confirming(*on, **statement);
    revision = std::to_string(number_at(**statement, "revision"));
  }
  json::object given{
      {"period", options.period}, {"with", options.first}, {"revision", revision}};
  if (!options.currency.empty()) given["currency"] = options.currency;
  return act(options.where, contract, "confirm", std::move(given), told);
}

using fill = void (*)(const settle_options&, json::object& arguments);

exit_code run_action(const settle_options& options, const char* action, fill with,
                     const invocation& told) {
  json::object arguments;
  if (!options.currency.empty()) arguments["currency"] = options.currency;
  with(options, arguments);
  // A number on the command line that is none is refused by the gateway, which names the field.
  for (const auto* optional : {"reference", "table", "key", "until_ms", "corrects"})
    if (const auto* found = arguments.if_contains(optional);
        found != nullptr && found->is_string() && found->get_string().empty())
      arguments.erase(optional);
  return act(options.where, contract, action, std::move(arguments), told);
}

command& add_view(command& group, std::string name, std::string description,
                  std::vector<std::string> examples, const options_ptr& options,
                  exit_code (*run)(const settle_options&, const invocation&)) {
  auto& added = group.add(std::move(name), std::move(description), std::move(examples));
  options->where.declare(added, true);
  added.option("--currency", options->currency, "Only this currency");
  added.on_run([options, run](const invocation& told) { return run(*options, told); });
  return added;
}

command& add_action(command& group, std::string name, std::string description,
                    std::vector<std::string> examples, const options_ptr& options,
                    const char* action, fill with) {
  auto& added = group.add(std::move(name), std::move(description), std::move(examples));
  options->where.declare(added, true);
  added.on_run([options, action, with](const invocation& told) {
    return run_action(*options, action, with, told);
  });
  return added;
}

void currency_option(command& on, const options_ptr& options) {
  on.option("--currency", options->currency, "Default: the mesh's first currency");
}

void add_views(command& group) {
  add_view(group, "balances", "What each node owes or is owed, and what it may still spend.",
           {"tally settle balances", "tally settle balances --currency CNY -o json"},
           std::make_shared<settle_options>(), run_balances);
  add_view(group, "periods", "The settlement periods.", {"tally settle periods"},
           std::make_shared<settle_options>(), run_periods);
  add_view(group, "holds", "What is set aside for whom.", {"tally settle holds"},
           std::make_shared<settle_options>(), run_holds);
  const auto netting = std::make_shared<settle_options>();
  add_view(group, "netting",
           "Of a closed period: each node's net position, and the payments that clear it.",
           {"tally settle netting 2026-11"}, netting, run_netting)
      .argument("PERIOD", netting->period, "The period's name");
  const auto statements = std::make_shared<settle_options>();
  add_view(group, "statements",
           "A period's statements: what each pair of nodes owes each other.",
           {"tally settle statements 2026-11"}, statements, run_statements)
      .argument("PERIOD", statements->period, "The period's name");
  const auto statement = std::make_shared<settle_options>();
  auto& one = add_view(group, "statement",
                       "The entries between two nodes in a period, one by one, to compare with "
                       "one's own books.",
                       {"tally settle statement 2026-11 hq coop"}, statement, run_statement);
  one.argument("PERIOD", statement->period, "The period's name");
  one.argument("NODE", statement->first, "One node");
  one.argument("OTHER", statement->second, "The other");
}

void add_rules(command& group) {
  const auto currency = std::make_shared<settle_options>();
  auto& defines = add_action(
      group, "currency", "Define a currency, or change what a node may owe in it by default.",
      {"tally settle currency CNY --decimals 2 --limit 1000000"}, currency, "define_currency",
      [](const settle_options& x, json::object& to) {
        to["currency"] = x.first;
        to["decimals"] = static_cast<std::int64_t>(x.decimals);
        to["limit"] = x.second;
      });
  defines.argument("CURRENCY", currency->first, "Its name, at most 8 characters");
  defines.option("--decimals", currency->decimals, "Decimals of its amounts", 0, 4);
  defines.required_option("--limit", currency->second,
                          "What a node without a limit of its own may owe");

  const auto limit = std::make_shared<settle_options>();
  auto& limits = add_action(group, "limit", "Set how much a node may owe.",
                            {"tally settle limit coop 250000"}, limit, "set_limit",
                            [](const settle_options& x, json::object& to) {
                              to["node"] = x.first;
                              to["limit"] = x.second;
                            });
  limits.argument("NODE", limit->first, "Whose limit");
  limits.argument("AMOUNT", limit->second, "The most that it may owe");
  currency_option(limits, limit);

  const auto rule = std::make_shared<settle_options>();
  auto& rules = add_action(
      group, "rule",
      "Say who may do what: currencies, limits, periods, disputes, rules, transfers, holds, "
      "statements.",
      {"tally settle rule limits 'treasurer@hq, level1'"}, rule, "set_rule",
      [](const settle_options& x, json::object& to) {
        to["rule"] = x.first;
        to["may"] = x.second;
      });
  rules.argument("RULE", rule->first, "What it is about");
  rules.argument("WHO", rule->second, "Tiers, nodes or accounts, with commas between");
}

void add_periods(command& group) {
  const auto period = [](const settle_options& x, json::object& to) {
    to["period"] = x.period;
  };
  const auto opened = std::make_shared<settle_options>();
  add_action(group, "open", "Open a period: what is settled from now on belongs to it.",
             {"tally settle open 2026-12"}, opened, "open_period", period)
      .argument("PERIOD", opened->period, "Its name, at most 16 characters");
  const auto closed = std::make_shared<settle_options>();
  add_action(group, "close",
             "Close a period: nothing more is settled in it, and all debts are netted.",
             {"tally settle close 2026-11"}, closed, "close_period", period)
      .argument("PERIOD", closed->period, "The period's name");

  const auto agreed = std::make_shared<settle_options>();
  auto& confirm = group.add(
      "confirm",
      "Confirm the statement with another node, in the name of one's own.\nThe revision that "
      "is "
      "named, or the present one, which is shown. It is refused if the statement is another "
      "one by then.",
      {"tally settle confirm 2026-11 coop --revision 17",
       "tally settle confirm 2026-11 hq --node coop"});
  agreed->where.declare(confirm, true);
  confirm.on_run([agreed](const invocation& told) { return run_confirm(*agreed, told); });
  confirm.argument("PERIOD", agreed->period, "The period's name");
  confirm.argument("OTHER", agreed->first, "The node that the statement is with");
  confirm.option("--revision", agreed->revision,
                 "The revision that tally settle statement showed");
  currency_option(confirm, agreed);

  const auto paid = std::make_shared<settle_options>();
  auto& pays = add_action(group, "paid", "Confirm that another node's payment has arrived.",
                          {"tally settle paid 2026-11 coop 1250.50"}, paid, "paid",
                          [](const settle_options& x, json::object& to) {
                            to["period"] = x.period;
                            to["from"] = x.first;
                            to["amount"] = x.second;
                          });
  pays.argument("PERIOD", paid->period, "The period's name");
  pays.argument("FROM", paid->first, "Who paid");
  pays.argument("AMOUNT", paid->second, "How much of what was due");
  currency_option(pays, paid);
}

void add_disputes(command& group) {
  const auto entry = [](const settle_options& x, json::object& to) {
    to["payer"] = x.first;
    to["number"] = x.second;
    if (!x.third.empty()) to["reason"] = x.third;
  };
  const auto add = [&](std::string name, std::string description,
                       std::vector<std::string> examples, const char* action) {
    const auto options = std::make_shared<settle_options>();
    auto& made = add_action(group, std::move(name), std::move(description), std::move(examples),
                            options, action, entry);
    made.argument("PAYER", options->first, "The entry's payer");
    made.argument("NUMBER", options->second, "The entry's number");
    if (std::string_view(action) == "dispute")
      made.argument("REASON", options->third, "What is wrong with it");
    currency_option(made, options);
  };
  add("dispute",
      "Dispute one entry of a statement: its row can be changed again, the rest stays closed.",
      {"tally settle dispute coop 17 'the call was never connected'"}, "dispute");
  add("withdraw", "Withdraw a dispute: the entry counts again.",
      {"tally settle withdraw coop 17"}, "withdraw");
  add("cancel", "Give up a disputed claim: the entry counts no longer.",
      {"tally settle cancel coop 17 --node hq"}, "cancel");
}

void add_transfers(command& group) {
  const auto moved = std::make_shared<settle_options>();
  auto& transfer =
      add_action(group, "transfer", "Enter that one's own node owes another one more.",
                 {"tally settle transfer hq 1250.50 --reference 'invoice 17'",
                  "tally settle transfer hq 80 --table orders.orders --key A-17"},
                 moved, "transfer", [](const settle_options& x, json::object& to) {
                   to["to"] = x.first;
                   to["amount"] = x.second;
                   to["reference"] = x.reference;
                   to["table"] = x.table;
                   to["key"] = x.key;
                   to["corrects"] = x.corrects;
                   if (!x.period.empty()) to["period"] = x.period;
                 });
  transfer.argument("TO", moved->first, "Who is owed it");
  transfer.argument("AMOUNT", moved->second, "How much");
  transfer.option("--reference", moved->reference, "What for, in a few words");
  transfer.option("--table", moved->table, "The row that it settles: contract.table");
  transfer.option("--key", moved->key, "The row's key; its parts separated by commas");
  transfer.option("--corrects", moved->corrects,
                  "The number of the disputed entry it replaces");
  transfer.option("--period", moved->period, "Default: the newest open one");
  currency_option(transfer, moved);

  const auto held = std::make_shared<settle_options>();
  auto& hold = add_action(group, "hold", "Set an amount aside for another node.",
                          {"tally settle hold H-1 hq 500"}, held, "hold",
                          [](const settle_options& x, json::object& to) {
                            to["hold"] = x.first;
                            to["to"] = x.second;
                            to["amount"] = x.third;
                            to["reference"] = x.reference;
                            to["until_ms"] = x.until;
                          });
  hold.argument("HOLD", held->first, "A name for it, new for this node");
  hold.argument("TO", held->second, "Whom it is for");
  hold.argument("AMOUNT", held->third, "How much");
  hold.option("--reference", held->reference, "What for, in a few words");
  hold.option("--until-ms", held->until, "From then on its payer may release it");
  currency_option(hold, held);

  const auto taken = std::make_shared<settle_options>();
  auto& capture =
      add_action(group, "capture", "Take what another node has set aside.",
                 {"tally settle capture coop H-1", "tally settle capture coop H-1 80"}, taken,
                 "capture", [](const settle_options& x, json::object& to) {
                   to["from"] = x.first;
                   to["hold"] = x.second;
                   if (!x.third.empty()) to["amount"] = x.third;
                 });
  capture.argument("FROM", taken->first, "Who set it aside");
  capture.argument("HOLD", taken->second, "The hold's name");
  capture.optional_argument("AMOUNT", taken->third, "Part of it; the rest is free again");

  const auto freed = std::make_shared<settle_options>();
  auto& release = add_action(group, "release", "Free what is set aside.",
                             {"tally settle release coop H-1 --node hq"}, freed, "release",
                             [](const settle_options& x, json::object& to) {
                               to["from"] = x.first;
                               to["hold"] = x.second;
                             });
  release.argument("FROM", freed->first, "Who set it aside");
  release.argument("HOLD", freed->second, "The hold's name");
}

} // namespace

void add_settle(command& program) {
  auto& group = program.add(
      "settle", "Money between nodes: balances, periods, statements, disputes and payments.",
      {"tally settle balances", "tally settle statement 2026-11 hq coop"});
  add_views(group);
  add_transfers(group);
  add_periods(group);
  add_disputes(group);
  add_rules(group);
}

} // namespace tallymesh::tally
