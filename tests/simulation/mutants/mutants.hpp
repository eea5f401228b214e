// Meshes whose machines lack one rule, hunted for a seed that shows it. Each hunt is a process
// of its own, because a machine that finds its own state broken ends its process.
#pragma once

#include "tests/simulation/mutants/rules.hpp"
#include "tests/simulation/simulation.hpp"

#include <iosfwd>
#include <set>

namespace tallymesh::simulation {

struct named_rule {
  rule what;
  std::string_view name;
};
std::span<const named_rule> all_rules();
std::string_view to_string(rule x);
std::optional<rule> rule_named(std::string_view name);
/// With `+` between the names; `none` if there are none.
std::string to_string(const rule_set& x);
std::optional<rule_set> rules_named(std::string_view names);
std::vector<rule> rules_of(const rule_set& x);
/// What must pass where `x` fails, or the failure says nothing of `x`: none left out; of
/// several, all but one.
std::vector<rule_set> fewer_than(const rule_set& x);

/// Where a mutant is looked for, or was found.
struct hunt {
  rule_set without;
  std::uint16_t nodes = 4;
  std::uint64_t first_seed = 1, seeds = 1;
  /// Off: the order of commits and sends is not checked, so that only what it leads to is seen.
  bool check_order = true;
  /// A file of tests/faults, which says what befalls the mesh and how many nodes it has. Empty:
  /// the seed draws that.
  std::string script = {};
  std::uint32_t strategies = strategy::all; ///< that the seed draws from
};
struct catch_of {
  std::uint64_t seed = 0;
  /// The simulator's or the script's; or `invariant`: the machine stopped its process.
  std::string check;
  std::string text;
};
/// The first seed that fails, if one does.
std::optional<catch_of> go(const hunt& what);
/// All of tests/faults, as hunt::script names them.
std::vector<std::string> all_scripts();

/// A line of mutants.txt: rule or rules, nodes or `script` and its file, seed, strategies if
/// others than `all`, whether the order is checked, check.
struct caught {
  hunt where; ///< of one seed
  std::string check;
};
std::string line_of(const caught& x);

/// A line `! rule unit test`: what no seed shows, and a test of unit_mutants does.
struct shown_by_test {
  rule without = rule::none;
  std::string test;
};

/// mutants.txt. A line `! rule open` is of a mutant that neither a seed nor a test shows.
struct mutant_list {
  std::vector<caught> seen;
  std::vector<shown_by_test> by_test;
  std::set<rule> unseen; ///< those of by_test too
};
mutant_list read_list(std::istream& from); ///< throws std::runtime_error that names the line

} // namespace tallymesh::simulation
