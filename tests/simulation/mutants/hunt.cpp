// Looks for a seed that shows each mutant, and prints its line of mutants.txt.
//
//   hunt_mutants > found.txt
//   hunt_mutants --seeds 20000 s7_5_gap s9_batches   # these only, and how far
//   hunt_mutants --scripts --seeds 100 s12_reset     # in all scripts of tests/faults
//   hunt_mutants far_apart.fault s12_reset           # in this one
//   hunt_mutants --strategies all+forge s17_links    # with these attackers only
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
constexpr std::uint64_t at_once_of_a_script = 10;

using found = std::pair<hunt, catch_of>;

bool says_something(const hunt& one) {
  for (const auto& each : fewer_than(one.without)) {
    auto other = one;
    other.without = each;
    const auto failed = go(other);
    if (!failed) continue;
    if (each == rule::none)
      std::cout << "# seed " << one.first_seed << " of "
                << (one.script.empty() ? std::to_string(one.nodes) + " nodes" : one.script)
                << " fails with all rules: [" << failed->check << "] " << failed->text
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

/// Where to look: in scripts, or in seeds that draw from the strategies, one set after the
/// other.
struct grounds {
  std::vector<std::string> scripts;
  std::vector<std::uint32_t> strategies{strategy::all,
                                        strategy::forge,
                                        strategy::overreach,
                                        strategy::treason,
                                        strategy::all | strategy::forge | strategy::overreach
                                            | strategy::flood,
                                        strategy::all | strategy::accuse};
};

/// Meshes of four, of seven and of one in turns; or the scripts.
std::vector<hunt> places(const rule_set& what, bool check_order,
                         const std::vector<std::string>& scripts, std::uint32_t strategies) {
  std::vector<hunt> made;
  for (const auto& each : scripts)
    made.push_back({what, 0, 1, at_once_of_a_script, check_order, each});
  if (scripts.empty())
    for (const std::uint16_t nodes : {4, 7, 1})
      made.push_back({what, nodes, 1, at_once, check_order, {}, strategies});
  return made;
}

std::optional<found> search(std::vector<hunt> here, std::uint64_t seeds) {
  for (const auto step = here.front().seeds; here.front().first_seed <= seeds;)
    for (auto& each : here) {
      each.seeds = std::min(step, seeds + 1 - each.first_seed);
      if (auto x = search_here(each)) return x;
      each.first_seed += step;
    }
  return std::nullopt;
}

void report(const rule_set& what, bool check_order, std::uint64_t seeds, const grounds& where) {
  std::size_t looked_at = 0;
  for (const auto each : where.strategies) {
    const auto here = places(what, check_order, where.scripts, each);
    if (const auto x = search(here, seeds)) {
      std::cout << line_of({x->first, x->second.check}) << std::endl;
      return;
    }
    looked_at += here.size();
    if (!where.scripts.empty()) break; // they say themselves who does what
  }
  std::cout << "! " << to_string(what) << " open (not in " << looked_at << " x " << seeds
            << " seeds" << (check_order ? "" : " with the order unchecked") << ")" << std::endl;
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
    if (read.seen.empty() || holds(read.seen.front())) {
      std::cout << line << std::endl;
      continue;
    }
    const auto& where = read.seen.front().where;
    grounds same{{}, {where.strategies}};
    if (!where.script.empty()) same.scripts.push_back(where.script);
    report(where.without, where.check_order, seeds, same);
  }
}

} // namespace

int main(int count, char** words) try {
  std::uint64_t seeds = 20'000;
  std::vector<rule_set> wanted;
  grounds where;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto what = rules_named(word);
    if (word == "--seeds" && i + 1 < count) {
      seeds = std::strtoull(words[++i], nullptr, 10);
    } else if (word == "--scripts") {
      where.scripts = all_scripts();
    } else if (word.ends_with(".fault")) {
      where.scripts.push_back(word);
    } else if (word == "--strategies" && i + 1 < count) {
      const auto told = strategy::named(words[++i]);
      if (!told) throw std::runtime_error(std::string(words[i]) + " are no strategies");
      where.strategies = {*told};
    } else if (word == "--again" && i + 1 < count) {
      std::ifstream list(words[++i]);
      if (!list) throw std::runtime_error(std::string(words[i]) + " cannot be read");
      renew(list, seeds);
      return 0;
    } else if (what) {
      wanted.push_back(*what);
    } else {
      throw std::runtime_error(
          word
          + " is no rule; usage: hunt_mutants [--seeds N] [--strategies NAMES | --scripts | "
            "FILE.fault...] [RULE...], or: hunt_mutants [--seeds N] --again LIST");
    }
  }
  if (wanted.empty())
    for (const auto& each : all_rules())
      wanted.push_back(each.what);
  std::cout
      << "# rule, nodes, seed, order|effect, the check that fails. Made by hunt_mutants; an\n"
         "# effect is found with the order of commits and sends unchecked. In place of the\n"
         "# nodes may stand a script of tests/faults, which says what befalls the mesh.\n"
         "# After the seed may stand what attackers do that seeds do not draw otherwise.\n"
         "# `! rule open`: in no seed that was looked at.\n";
  for (const auto each : wanted) {
    report(each, true, seeds, where);
    if (to_string(each).starts_with("s15_")) report(each, false, seeds, where);
  }
} catch (const std::runtime_error& wrong) {
  std::cerr << "hunt_mutants: " << wrong.what() << '\n';
  return 2;
}
