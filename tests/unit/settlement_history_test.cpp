// Random histories of settlement against a naive bookkeeper that adds everything up anew after
// each step: the sum stays zero, no limit is passed, and netting clears what the bookkeeper
// finds.
#include "tests/unit/settlement_fixture.hpp"

#include <random>

using namespace settlement_test;

namespace {

constexpr int histories = 10'000;
constexpr int steps = 30;

/// Knows nothing of accounts, statements or positions: only what was agreed to, one by one.
struct naive_books {
  struct entry {
    std::string payer, payee, period;
    std::int64_t number, units;
    std::string disputed_by;
    enum { good, disputed, gone } state = good;
  };
  struct payment {
    std::string from, to, period;
    std::int64_t units;
  };
  struct hold {
    std::string payer, payee, name;
    std::int64_t units;
  };
  std::vector<entry> entries;
  std::vector<payment> payments;
  std::vector<hold> holds;
  std::map<std::string, std::int64_t> limits, paid_entries;
  std::map<std::string, bool> closed; ///< periods
  std::string current;

  std::map<std::string, std::int64_t> balances() const {
    std::map<std::string, std::int64_t> sums;
    for (const auto& each : entries)
      if (each.state != entry::gone) {
        sums[each.payer] -= each.units;
        sums[each.payee] += each.units;
      }
    for (const auto& each : payments) {
      sums[each.from] += each.units;
      sums[each.to] -= each.units;
    }
    return sums;
  }
  std::int64_t means(const std::string& node) const {
    auto left = balances()[node];
    for (const auto& each : holds)
      if (each.payer == node) left -= each.units;
    return left;
  }
  bool may_spend(const std::string& node, std::int64_t units) {
    return means(node) - units >= -limits[node];
  }
  /// What each node has still to get (or to pay) of a period.
  std::map<std::string, std::int64_t> open_positions(const std::string& period) const {
    std::map<std::string, std::int64_t> sums;
    for (const auto& each : entries)
      if (each.state == entry::good && each.period == period) {
        sums[each.payer] -= each.units;
        sums[each.payee] += each.units;
      }
    for (const auto& each : payments)
      if (each.period == period) {
        sums[each.from] += each.units;
        sums[each.to] -= each.units;
      }
    std::erase_if(sums, [](const auto& each) { return each.second == 0; });
    return sums;
  }
};

class history {
public:
  explicit history(std::uint64_t seed) : random_(seed) {
    expect(
        mesh_.settle_action("hq", "define_currency",
                            {{"currency", "CNY"}, {"decimals", n(2)}, {"limit", cents(500)}}),
        outcome::done);
    for (const auto& each : rules()->mesh().nodes)
      books_.limits[each.name] = 500;
    open_period();
  }

  void run() {
    for (int i = 0; i < steps && !failed_; ++i) {
      step();
      check();
    }
  }
  bool failed() const { return failed_; }

private:
  using entry = naive_books::entry;

  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::string node() { return rules()->mesh().nodes[below(5)].name; }
  std::string other(const std::string& than) {
    for (;;)
      if (auto x = node(); x != than) return x;
  }
  std::int64_t amount() { return 1 + static_cast<std::int64_t>(below(300)); }

  void expect(const refusal& got, outcome wanted) { require(got.why == wanted, got.detail); }
  void require(bool condition, const std::string& about) {
    if (condition || failed_) return;
    failed_ = true;
    BOOST_TEST_MESSAGE("step " << last_ << ": " << about);
  }

  void step() {
    using act = void (history::*)();
    static constexpr std::pair<const char*, act> acts[] = {
        {"transfer", &history::transfer},
        {"transfer", &history::transfer},
        {"transfer", &history::transfer},
        {"transfer", &history::transfer},
        {"hold", &history::hold},
        {"capture", &history::capture},
        {"release", &history::release},
        {"set_limit", &history::set_limit},
        {"dispute", &history::dispute},
        {"dispute", &history::dispute},
        {"withdraw", &history::withdraw},
        {"cancel", &history::cancel},
        {"correct", &history::correct},
        {"close", &history::close_period},
        {"paid", &history::pay},
        {"paid", &history::pay},
        {"next block", &history::next_block}};
    const auto& chosen = acts[below(std::size(acts))];
    last_ = chosen.first;
    (this->*chosen.second)();
  }

  void next_block() { mesh_.next_block(); }

  void open_period() {
    books_.current = "p" + std::to_string(books_.closed.size());
    books_.closed[books_.current] = false;
    expect(mesh_.settle_action("hq", "open_period", {{"period", books_.current}}),
           outcome::done);
  }
  void close_period() {
    expect(mesh_.settle_action("hq", "close_period", {{"period", books_.current}}),
           outcome::done);
    books_.closed[books_.current] = true;
    mesh_.next_block();
    open_period();
  }

  void transfer() {
    const auto from = node(), to = other(from);
    const auto units = amount();
    const bool can = books_.may_spend(from, units);
    expect(mesh_.settle_action(from, "transfer", {{"to", to}, {"amount", cents(units)}}),
           can ? outcome::done : outcome::limit_exceeded);
    if (can) enter(from, to, books_.current, units);
  }
  void enter(const std::string& from, const std::string& to, const std::string& period,
             std::int64_t units) {
    books_.entries.push_back({from, to, period, ++books_.paid_entries[from], units, {}});
  }

  void hold() {
    const auto from = node(), to = other(from), name = "h" + std::to_string(random_());
    const auto units = amount();
    const bool can = books_.may_spend(from, units);
    expect(mesh_.settle_action(from, "hold",
                               {{"hold", name}, {"to", to}, {"amount", cents(units)}}),
           can ? outcome::done : outcome::limit_exceeded);
    if (can) books_.holds.push_back({from, to, name, units});
  }
  std::optional<naive_books::hold> take_hold() {
    if (books_.holds.empty()) return std::nullopt;
    const auto at =
        books_.holds.begin() + static_cast<std::ptrdiff_t>(below(books_.holds.size()));
    const auto x = *at;
    books_.holds.erase(at);
    return x;
  }
  void capture() {
    const auto x = take_hold();
    if (!x) return;
    const auto units = 1 + static_cast<std::int64_t>(below(static_cast<std::size_t>(x->units)));
    expect(
        mesh_.settle_action(x->payee, "capture",
                            {{"from", x->payer}, {"hold", x->name}, {"amount", cents(units)}}),
        outcome::done);
    enter(x->payer, x->payee, books_.current, units);
  }
  void release() {
    if (const auto x = take_hold())
      expect(mesh_.settle_action(x->payee, "release", {{"from", x->payer}, {"hold", x->name}}),
             outcome::done);
  }

  void set_limit() {
    const auto whose = node();
    const auto units = static_cast<std::int64_t>(below(1000));
    expect(mesh_.settle_action("hq", "set_limit", {{"node", whose}, {"limit", cents(units)}}),
           outcome::done);
    books_.limits[whose] = units;
  }

  entry* any_entry(decltype(entry::state) state) {
    if (books_.entries.empty()) return nullptr;
    auto& x = books_.entries[below(books_.entries.size())];
    return x.state == state ? &x : nullptr;
  }
  void dispute() {
    auto* x = any_entry(entry::good);
    if (x == nullptr) return;
    const auto& who = below(2) == 0 ? x->payer : x->payee;
    expect(mesh_.settle_action(who, "dispute",
                               {{"payer", x->payer}, {"number", x->number}, {"reason", "no"}}),
           outcome::done);
    x->state = entry::disputed;
    x->disputed_by = who;
  }
  void withdraw() {
    auto* x = any_entry(entry::disputed);
    if (x == nullptr) return;
    expect(mesh_.settle_action(x->disputed_by, "withdraw",
                               {{"payer", x->payer}, {"number", x->number}}),
           outcome::done);
    x->state = entry::good;
  }
  void cancel() {
    auto* x = any_entry(entry::disputed);
    if (x == nullptr) return;
    const bool can = books_.may_spend(x->payee, x->units);
    expect(
        mesh_.settle_action(x->payee, "cancel", {{"payer", x->payer}, {"number", x->number}}),
        can ? outcome::done : outcome::limit_exceeded);
    if (can) x->state = entry::gone;
  }
  void correct() {
    auto* x = any_entry(entry::disputed);
    if (x == nullptr) return;
    const auto payee = below(3) == 0 ? other(x->payer) : x->payee;
    const auto units = amount();
    const bool allowed = x->disputed_by == x->payee || (payee == x->payee && units >= x->units);
    // Whoever ends up with less must have the means for it.
    std::map<std::string, std::int64_t> less;
    less[x->payer] += units - x->units;
    less[x->payee] += x->units;
    less[payee] -= units;
    bool can = true;
    for (const auto& [whose, by] : less)
      can = can && (by <= 0 || books_.may_spend(whose, by));
    expect(
        mesh_.settle_action(x->payer, "transfer",
                            {{"to", payee}, {"amount", cents(units)}, {"corrects", x->number}}),
        !allowed ? outcome::forbidden
        : can    ? outcome::done
                 : outcome::limit_exceeded);
    if (!allowed || !can) return;
    x->state = entry::gone;
    const auto replaced = *x; // `enter` moves the entries
    enter(replaced.payer, payee, replaced.period, units);
  }

  void pay() {
    std::vector<value_map> due;
    for (const auto& each : mesh_.rows("settlement.payments"))
      if (units_in(each, "due") > 0) due.push_back(each);
    if (due.empty()) return;
    const auto& x = due[below(due.size())];
    const auto owed = units_in(x, "due") / 100;
    const auto units =
        below(2) == 0 ? owed
                      : 1 + static_cast<std::int64_t>(below(static_cast<std::size_t>(owed)));
    const auto &from = text_in(x, "from"), &to = text_in(x, "to");
    const bool can = books_.may_spend(to, units);
    expect(mesh_.settle_action(
               to, "paid",
               {{"period", text_in(x, "period")}, {"from", from}, {"amount", cents(units)}}),
           can ? outcome::done : outcome::limit_exceeded);
    if (!can) return;
    books_.payments.push_back({from, to, text_in(x, "period"), units});
    ++books_.paid_entries[to]; // it stands among its entries
  }

  // --- what must hold after each step

  void check() {
    auto expected = books_.balances();
    std::int64_t sum = 0;
    for (const auto& each : mesh_.rows("settlement.accounts")) {
      const auto& whose = text_in(each, "node");
      const auto balance = units_in(each, "balance");
      sum += balance;
      require(balance == expected[whose] * 100, "balance of " + whose);
      expected.erase(whose);
      const auto means = balance - units_in(each, "held");
      require(means == books_.means(whose) * 100, "means of " + whose);
      const auto limit = books_.limits[whose] * 100;
      const auto before = means_before_.find(whose);
      require(means >= -limit || (before != means_before_.end() && means >= before->second),
              "limit of " + whose);
      means_before_[whose] = means;
    }
    require(sum == 0, "the sum is not zero");
    for (const auto& [whose, balance] : expected)
      require(balance == 0, "no account of " + whose);
    for (const auto& [period, closed] : books_.closed)
      if (closed) check_netting(period);
  }

  void check_netting(const std::string& period) {
    auto open = books_.open_positions(period);
    const auto nodes = open.size();
    std::size_t payments = 0;
    for (const auto& each : mesh_.rows("settlement.payments", {period, "CNY"})) {
      const auto due = units_in(each, "due") / 100;
      if (due == 0) continue;
      ++payments;
      open[text_in(each, "from")] += due;
      open[text_in(each, "to")] -= due;
    }
    for (const auto& [whose, left] : open)
      require(left == 0, "netting of " + period + " for " + whose);
    require(payments < std::max<std::size_t>(nodes, 1), "too many payments in " + period);
  }

  std::mt19937_64 random_;
  mesh_in_memory mesh_;
  naive_books books_;
  std::map<std::string, std::int64_t> means_before_;
  std::string last_;
  bool failed_ = false;
};

} // namespace

BOOST_AUTO_TEST_SUITE(settlement_histories)

BOOST_AUTO_TEST_CASE(
    ten_thousand_random_histories_keep_the_zero_sum_and_the_limits_and_net_as_a_naive_book) {
  for (int seed = 0; seed < histories; ++seed) {
    history one(static_cast<std::uint64_t>(seed));
    one.run();
    BOOST_TEST_REQUIRE(!one.failed(), "seed " << seed);
  }
}

BOOST_AUTO_TEST_SUITE_END()
