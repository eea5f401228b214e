// The end of a run: after healing everything promised becomes final everywhere, and then it is
// quiet. Part of a world.
#include "tests/simulation/world.hpp"

#include <algorithm>

namespace tallymesh::simulation {

constexpr std::int64_t look_every_us = 100'000;
constexpr std::int64_t deadline_us = 900'000'000; ///< for all to be final, after healing
/// The same while a lane is known to be forked: longer than the proof is held back (4 s) and
/// the next `have`, which asks for it, may take (4 s).
constexpr std::int64_t settle_with_fork_us = 9'000'000;
constexpr std::int64_t watched_us = 10'000'000;
/// A lie, or what was said before healing and came late, may be the last thing that is heard.
/// By then its hearer has begun to ask or to answer, which is activity; or it never will.
constexpr std::int64_t untrue_starts_work_us = 1'000'000;

/// Called again and again after healing.
void world::judge() {
  if (over()) return;
  if (options_.strategies & strategy::treason) {
    over_ = true; // a mesh of so many traitors owes nothing more
    return;
  }
  const auto problem = why_not_settled();
  if (problem.empty()) {
    if (adversary_->active()) adversary_->stop(); // its nodes would be work for ever
    if (options_.directed && !options_.directed->watch_silence) {
      over_ = true;
      return;
    }
    if (why_not_quiet().empty()) return watch_silence();
  }
  const bool late = options_.directed && !problem.empty()
                    && now_us_ - heal_us_ > options_.directed->settle_within_us;
  if (late || now_us_ - heal_us_ > deadline_us)
    return checker_.report(-1, problem.empty() ? "quiet when idle" : "all final after healing",
                           problem.empty() ? why_not_quiet() : problem);
  after(look_every_us, [this] { judge(); });
}

std::string world::why_not_settled() {
  if (now_us_ - heal_us_ < settle_us) return "healed just now";
  const process* highest = nullptr;
  const process* lowest = nullptr;
  for (const auto& each : processes_) {
    if (!each->honest()) continue;
    if (!each->running()) return "n" + std::to_string(each->node()) + " does not run";
    const auto height = each->disk().ledger().size();
    if (!highest || height > highest->disk().ledger().size()) highest = each.get();
    if (!lowest || height < lowest->disk().ledger().size()) lowest = each.get();
  }
  if (!highest) return {};
  if (highest->disk().ledger().size() != lowest->disk().ledger().size())
    return "n" + std::to_string(lowest->node()) + " is at h"
           + std::to_string(lowest->disk().ledger().size() - 1) + ", n"
           + std::to_string(highest->node()) + " at h"
           + std::to_string(highest->disk().ledger().size() - 1) + "; n"
           + std::to_string(lowest->node()) + " waits for: " + lowest->look().waiting_for;
  // Same height and same digests: what is final on one is final on all.
  for (const auto& each : processes_) {
    std::string missing;
    if (each->honest() && !all_final(*each, &missing)) return missing;
  }
  return {};
}

bool world::all_final(const process& who, std::string* what) {
  const auto check = [&](const std::set<operation_id>& ids, const char* where) {
    for (const auto& id : ids)
      if (!who.disk().executed(id)) {
        *what = "operation " + id.hex().substr(0, 8) + " " + where + " n"
                + std::to_string(who.node())
                + " is not final; it waits for: " + who.look().waiting_for;
        return false;
      }
    return true;
  };
  return check(who.promised_operations(), "in a batch of")
         && check(who.accepted_operations(), "accepted by");
}

std::string world::why_not_quiet() {
  if (now_us_ < untrue_until_us_ + untrue_starts_work_us)
    return "an attacker's word, or one from before healing, came just now";
  const bool forked = std::ranges::any_of(
      processes_, [](const auto& x) { return x->honest() && x->knows_fork(); });
  const auto settled_after_us = forked ? settle_with_fork_us : settle_us;
  for (const auto& each : processes_) {
    if (!each->honest()) continue;
    if (const auto why = each->why_not_quiet(now_us_, settled_after_us); !why.empty())
      return "n" + std::to_string(each->node()) + " " + why;
  }
  return {};
}

/// From here on only status and have, at the idle rate.
void world::watch_silence() {
  note(nullptr, [] { return std::string("quiet; silence is watched"); });
  silent_since_us_ = now_us_;
  for (const auto& each : processes_)
    each->count_talk();
  after(watched_us, [this] {
    for (const auto& each : processes_) {
      if (!each->honest()) continue;
      if (each->last_activity_us() > *silent_since_us_)
        return checker_.report(each->node(), "quiet when idle", "still " + each->last_deed());
      // A message a second and kind to each peer, and one more at the edges.
      const auto allowed = 2 * (watched_us / 1'000'000 + 1) * (nodes_.size - 1);
      if (each->talk() > allowed)
        return checker_.report(each->node(), "quiet when idle",
                               std::to_string(each->talk()) + " messages in "
                                   + std::to_string(watched_us / 1'000'000) + " s");
    }
    over_ = true;
  });
}

} // namespace tallymesh::simulation
