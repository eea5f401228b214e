#include "tests/faults/meaning.hpp"

#include <algorithm>
#include <set>

namespace tallymesh::faults {

some_nodes resolve(const node_set& who, const mesh_now& mesh,
                   simulation::random_source& chance) {
  using kind = node_selector::who;
  std::set<std::uint16_t> found;
  for (const auto& each : who) {
    some_nodes running;
    for (std::uint16_t i = 0; i < mesh.size; ++i) {
      const bool runs = mesh.runs(i), is_stopped = mesh.is_stopped(i);
      if (each.what == kind::all || (each.what == kind::killed && !runs)
          || (each.what == kind::stopped && is_stopped))
        found.insert(i);
      if (runs && !is_stopped) running.push_back(i);
    }
    if (each.what == kind::node) found.insert(each.number);
    if (each.what == kind::leader)
      if (const auto leader = mesh.leader()) found.insert(*leader);
    if (each.what == kind::random) {
      chance.shuffle(running);
      running.resize(std::min<std::size_t>(running.size(), each.number));
      found.insert(running.begin(), running.end());
    }
  }
  return {found.begin(), found.end()};
}

std::vector<way> broken_ways(const act& x, std::vector<some_nodes> sides,
                             std::uint16_t mesh_size) {
  if (x.what == verb::cut && sides.size() == 1) { // from all others
    sides.emplace_back();
    for (std::uint16_t i = 0; i < mesh_size; ++i)
      if (std::find(sides[0].begin(), sides[0].end(), i) == sides[0].end())
        sides[1].push_back(i);
  }
  std::vector<way> broken;
  for (std::size_t a = 0; a < sides.size(); ++a)
    for (std::size_t b = a + 1; b < sides.size(); ++b)
      for (const auto from : sides[a])
        for (const auto to : sides[b]) {
          if (from == to) continue;
          broken.emplace_back(from, to);
          if (x.what != verb::one_way) broken.emplace_back(to, from);
        }
  return broken;
}

known_lines set_lines(known_lines& all, const some_nodes& some, const some_nodes& others,
                      const line_quality& how) {
  known_lines before;
  for (const auto a : some)
    for (const auto b : others)
      if (a != b)
        for (const auto& each : {way(a, b), way(b, a)})
          before.try_emplace(each, all[each]);
  for (const auto& [each, was] : before)
    all[each] = how;
  return before;
}

void restore_lines(known_lines& all, const known_lines& before) {
  for (const auto& [each, was] : before)
    all[each] = was;
}

} // namespace tallymesh::faults
