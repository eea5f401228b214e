// What a script's words mean at the moment of an act: which nodes, and which lines between
// them. The same in the simulator and among real processes. Pure but for the dice.
#pragma once

#include "tests/faults/language/script.hpp"
#include "tests/simulation/random.hpp"

#include <functional>
#include <map>

namespace tallymesh::faults {

using some_nodes = std::vector<std::uint16_t>;
using way = std::pair<std::uint16_t, std::uint16_t>; ///< from, to

/// What is asked of a mesh to know who is meant.
struct mesh_now {
  std::uint16_t size = 0;
  std::function<bool(std::uint16_t)> runs, is_stopped;
  std::function<std::optional<std::uint16_t>()> leader;
};
some_nodes resolve(const node_set& who, const mesh_now& mesh,
                   simulation::random_source& chance);

/// The ways that a `partition`, `one_way` or `cut` breaks between its sides; between one side
/// and all others if there is one only.
std::vector<way> broken_ways(const act& x, std::vector<some_nodes> sides,
                             std::uint16_t mesh_size);

/// None: as a line is by itself.
using known_lines = std::map<way, std::optional<line_quality>>;
/// Sets the lines between two sets of nodes, both ways; returns what they were, each once.
known_lines set_lines(known_lines& all, const some_nodes& some, const some_nodes& others,
                      const line_quality& how);
/// Sets them back to what they were.
void restore_lines(known_lines& all, const known_lines& before);

} // namespace tallymesh::faults
