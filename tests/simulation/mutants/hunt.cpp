// Looks for a seed that shows each mutant, and prints the list that mutants.txt is.
//
//   hunt_mutants > mutants.txt
//   hunt_mutants --seeds 20000 s7_5_gap s9_batches   # these only, and how far
//   hunt_mutants --again mutants.txt                 # those whose line no longer holds
#include "tests/simulation/mutants/mutants.hpp"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

using namespace tallymesh;
using namespace tallymesh::simulation;

namespace {

constexpr std::uint64_t at_once =
    500; ///< seeds of one size, before the other size has its turn

using found = std::pair<hunt, catch_of>;

bool says_something(const hunt& one) {
  for (const auto& each : fewer_than(one.without)) {
    auto other = one;
    other.without = each;
    const auto failed = go(other);
    if (!failed) continue;
    if (each == rule::none)
      std::cout << "# seed " << one.first_seed << " of " << one.nodes
                << " nodes fails with all rules: [" << failed->check << "] " << failed->text
                << std::endl;
    return false;
  }
  return true;
}

/// The first seed that fails without the rule and passes with it; of several rules, with
/// either.
std::optional<found> search_here(hunt here) {
  const auto end = here.first_seed + here.seeds;
  while (const auto failed = go(here)) {
    auto one = here;
    one.first_seed = failed->seed;
    one.seeds = 1;
    if (says_something(one)) return found{one, *failed};
    here.first_seed = failed->seed + 1;
    here.seeds = end - here.first_seed;
  }
  return std::nullopt;
}

/// Meshes of four and of seven in turns.
std::optional<found> search(rule_set what, bool check_order, std::uint64_t seeds) {
  for (std::uint64_t from = 0; from < seeds; from += at_once)
    for (const std::uint16_t nodes : {4, 7})
      if (auto x = search_here(
              {what, nodes, from + 1, std::min(at_once, seeds - from), check_order}))
        return x;
  return std::nullopt;
}

void report(rule_set what, bool check_order, std::uint64_t seeds) {
  if (const auto x = search(what, check_order, seeds))
    std::cout << line_of({x->first, x->second.check}) << std::endl;
  else
    std::cout << "! " << to_string(what) << " open: not in 2 x " << seeds << " seeds"
              << (check_order ? "" : " with the order unchecked") << std::endl;
}

bool holds(const caught& x) {
  const auto now = go(x.where);
  return now && now->check == x.check && says_something(x.where);
}

/// The list once more: what still holds as it is, the rest from a new hunt.
void renew(std::istream& list, std::uint64_t seeds) {
  for (std::string line; std::getline(list, line);) {
    std::istringstream alone(line);
    const auto read = read_list(alone);
    if (read.seen.empty() || holds(read.seen.front()))
      std::cout << line << std::endl;
    else
      report(read.seen.front().where.without, read.seen.front().where.check_order, seeds);
  }
}

} // namespace

int main(int count, char** words) try {
  std::uint64_t seeds = 20'000;
  std::vector<rule_set> wanted;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto what = rules_named(word);
    if (word == "--seeds" && i + 1 < count) {
      seeds = std::strtoull(words[++i], nullptr, 10);
    } else if (word == "--again" && i + 1 < count) {
      std::ifstream list(words[++i]);
      if (!list) throw std::runtime_error(std::string(words[i]) + " cannot be read");
      renew(list, seeds);
      return 0;
    } else if (what) {
      wanted.push_back(*what);
    } else {
      throw std::runtime_error(
          word + " is no rule; usage: hunt_mutants [--seeds N] [RULE... | --again LIST]");
    }
  }
  if (wanted.empty())
    for (const auto& each : all_rules())
      wanted.push_back(each.what);
  std::cout
      << "# rule, nodes, seed, order|effect, the check that fails. Made by hunt_mutants; an\n"
         "# effect is found with the order of commits and sends unchecked.\n";
  for (const auto each : wanted) {
    report(each, true, seeds);
    if (to_string(each).starts_with("s15_")) report(each, false, seeds);
  }
} catch (const std::runtime_error& wrong) {
  std::cerr << "hunt_mutants: " << wrong.what() << '\n';
  return 2;
}
