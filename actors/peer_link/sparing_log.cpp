#include "actors/peer_link/sparing_log.hpp"

namespace tallymesh::peer_link {

void sparing_log::note(time_point now, const std::string& kind, const std::string& from,
                       const std::string& line) {
  auto key = std::pair{kind, from};
  // More addresses than anyone can read: from here on they share a line a kind.
  if (entries_.size() >= max_entries && !entries_.contains(key)) key.second = "many addresses";
  const auto [place, is_new] = entries_.try_emplace(key, entry{now, 0, line});
  if (is_new) {
    write_(line);
  } else {
    ++place->second.untold;
    place->second.last = line;
  }
}

void sparing_log::flush(time_point now) {
  for (auto i = entries_.begin(); i != entries_.end();) {
    auto& x = i->second;
    if (now - x.told < every_) {
      ++i;
    } else if (x.untold == 0) {
      i = entries_.erase(i);
    } else {
      write_(x.last + " (" + std::to_string(x.untold) + " times more)");
      x = {now, 0, {}};
      ++i;
    }
  }
}

} // namespace tallymesh::peer_link
