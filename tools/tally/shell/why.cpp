#include "tools/tally/shell/why.hpp"

#include "tools/tally/output.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace tallymesh::tally {

using namespace introspection;

namespace {

constexpr std::int64_t stuck_us = 2'000'000;      ///< a handler or a wait of so long
constexpr std::int64_t little_room = 256'000'000; ///< bytes free on the disk
constexpr std::int64_t behind_blocks = 16;

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& each : names)
    (out += out.empty() ? "" : ", ") += each;
  return out;
}

std::string ago(std::int64_t us) { return duration_text(std::chrono::milliseconds(us / 1000)); }

/// "no space left on device" and its like, in a node's last words or a failed actor's.
bool speaks_of_the_disk(std::string_view text) {
  for (const auto* each : {"No space left", "File too large", "Disk quota",
                           "Input/output error", "MDB_MAP_FULL", "storage"})
    if (text.find(each) != std::string_view::npos) return true;
  return false;
}

class doctor {
public:
  doctor(const std::vector<node_facts>& nodes, bool moved,
         const std::vector<table_difference>& differences)
      : nodes_(nodes), moved_(moved), differences_(differences) {}

  diagnosis examine() {
    for (const auto& each : nodes_)
      look_at(each);
    look_at_links();
    look_at_tables();
    look_at_heights();
    judge();
    std::stable_sort(out_.findings.begin(), out_.findings.end(),
                     [](const auto& a, const auto& b) { return a.how < b.how; });
    return std::move(out_);
  }

private:
  void add(weight how, const std::string& node, std::string what, std::string advice = "") {
    out_.findings.push_back({how, node, std::move(what), std::move(advice)});
  }

  void look_at(const node_facts& x) {
    if (!x.reachable) return look_at_absent(x);
    const auto halted = text_at(x.tree, "halted");
    if (!halted.empty()) {
      lost_.push_back({x.name, "halted"});
      add(weight::stops, x.name, "has halted by itself and votes no more: " + halted,
          "compare its tables (`tally compare`); its data must be made anew from the others");
    } else if (flag_at(x.tree, "observing")) {
      lost_.push_back({x.name, "only observes"});
      add(weight::stops, x.name,
          "only observes: its votes were lost, so its key never votes again",
          "give it a new vote key in the next genesis");
    } else if (const auto why = stuck_core(x); !why.empty()) {
      lost_.push_back({x.name, why});
    }
    look_at_actors(x);
    look_at_disk(x);
    look_at_mempool(x);
    if (const auto seen = number_at(x.consensus, "evidence"); seen > 0)
      add(weight::note, x.name, "holds evidence against a node: see `evidence`");
  }

  void look_at_absent(const node_facts& x) {
    switch (x.process) {
    case process_state::stopped:
      lost_.push_back({x.name, "stopped by a signal"});
      return add(weight::stops, x.name,
                 "its process is stopped (SIGSTOP): it is there and does not run",
                 "continue it: kill -CONT its pid, see tallyd.pid in its directory");
    case process_state::absent:
      if (speaks_of_the_disk(x.last_log_line)) {
        lost_.push_back({x.name, "its disk failed"});
        return add(weight::stops, x.name,
                   "its disk is full or failed, and it ended: " + x.last_log_line,
                   "make room on its disk, then start it: `tally up`");
      }
      lost_.push_back({x.name, "not running"});
      return add(weight::stops, x.name,
                 "its process does not run"
                     + (x.last_log_line.empty() ? "" : "; it said last: " + x.last_log_line),
                 "start it: `tally up`");
    default:
      break;
    }
    if (x.trouble.find("refused us") != std::string::npos) {
      return add(weight::note, x.name, "does not know this operator's key, so it was not asked",
                 "add it as [[operator]] to its node.toml");
    }
    look_at_unreachable(x);
  }

  /// Not to be reached from here is not lost to the mesh: the reachable nodes' links say which.
  void look_at_unreachable(const node_facts& x) {
    std::size_t lost = 0, asked = 0;
    for (const auto& each : nodes_)
      for (const auto* link : maps_at(each.links, "peers"))
        if (text_at(*link, "peer") == x.name) ++asked, lost += !flag_at(*link, "up");
    const auto seen = asked == 0 ? std::string()
                                 : "; " + std::to_string(lost) + " of " + std::to_string(asked)
                                       + " nodes have lost it too";
    const bool is_lost = lost * 2 >= asked;
    if (is_lost) lost_.push_back({x.name, "cannot be reached"});
    add(is_lost ? weight::stops : weight::harms, x.name,
        (is_lost ? "cannot be reached: " : "cannot be reached from here: ") + x.trouble + seen,
        is_lost ? "" : "the others have it: the way there, or as many operators as it admits");
  }

  /// Why consensus or what it needs does not move in this process; empty if it does.
  static std::string stuck_core(const node_facts& x) {
    for (const auto* actor : maps_at(x.tree, "actors")) {
      if (text_at(*actor, "family") != "core actors") continue;
      const auto name = text_at(*actor, "name");
      if (flag_at(*actor, "paused")) return name + " is paused";
      if (!flag_at(*actor, "alive")) return name + " is down";
      if (number_at(*actor, "in_handler_us") > stuck_us) return name + " is stuck";
    }
    return "";
  }

  void look_at_actors(const node_facts& x) {
    for (const auto* actor : maps_at(x.tree, "actors")) {
      const auto name = text_at(*actor, "name");
      const bool core = text_at(*actor, "family") == "core actors";
      const auto how = core ? weight::stops : weight::harms;
      const auto busy = number_at(*actor, "in_handler_us"),
                 oldest = number_at(*actor, "oldest_us");
      // More wait than are stamped: then it is the least that is known.
      const std::string at_least = flag_at(*actor, "oldest_at_least") ? "at least " : "";
      if (!flag_at(*actor, "alive"))
        add(how, x.name, "its " + name + " is down: " + text_at(*actor, "last_exit"));
      else if (flag_at(*actor, "paused"))
        add(how, x.name,
            "its " + name + " is paused by an operator; "
                + std::to_string(number_at(*actor, "waiting"))
                + " messages wait, the oldest for " + at_least + ago(oldest),
            "resume " + name);
      else if (busy > stuck_us)
        add(how, x.name,
            "its " + name + " handles one `" + text_at(*actor, "handler") + "` for " + ago(busy)
                + ": the disk hangs, or it computes",
            "see `info " + name + "`");
      else if (oldest > stuck_us)
        add(weight::harms, x.name,
            "its " + name + " does not keep up: " + std::to_string(number_at(*actor, "waiting"))
                + " messages wait, the oldest for " + at_least + ago(oldest));
    }
    note_restarts(x);
  }

  /// Those of one family end together, for one of them: a line for all.
  void note_restarts(const node_facts& x) {
    std::set<std::string> told;
    for (const auto* actor : maps_at(x.tree, "actors")) {
      const auto restarts = number_at(*actor, "restarts");
      const auto family = text_at(*actor, "family");
      if (restarts == 0 || !told.insert(family).second) continue;
      const bool core = family == "core actors";
      add(weight::note, x.name,
          (core ? "its core actors were" : "its " + text_at(*actor, "name") + " was")
              + std::string(" started again ")
              + (restarts == 1 ? "once" : std::to_string(restarts) + " times")
              + ", last because: " + text_at(*actor, "last_exit"));
    }
  }

  void look_at_disk(const node_facts& x) {
    const auto& disk = map_at(x.ledger, "disk");
    const auto room = number_at(disk, "free_bytes", -1);
    if (room >= 0 && room < little_room)
      add(weight::harms, x.name,
          "its disk has only " + std::to_string(room / 1'000'000) + " MB left at "
              + text_at(disk, "directory"),
          "make room: a full disk ends the node");
  }

  void look_at_mempool(const node_facts& x) {
    if (const auto missing = number_at(x.mempool, "missing"); missing > 0)
      add(weight::note, x.name,
          "fetches " + std::to_string(missing) + " batches that others have");
    const auto queued = number_at(x.mempool, "queued_operations"),
               most = number_at(x.mempool, "most_queued_operations");
    if (most > 0 && queued * 10 > most * 9)
      add(weight::harms, x.name,
          "its queue is full: " + std::to_string(queued)
              + " operations wait, more are refused");
  }

  void look_at_links() {
    std::set<std::string> reachable;
    for (const auto& each : nodes_)
      if (each.reachable) reachable.insert(each.name);
    std::set<std::pair<std::string, std::string>> told; // once, whichever end says it
    for (const auto& each : nodes_)
      for (const auto* link : maps_at(each.links, "peers")) {
        const auto peer = text_at(*link, "peer");
        if (flag_at(*link, "up") || !reachable.contains(peer)) continue;
        cut_[each.name].insert(peer);
        cut_[peer].insert(each.name);
        if (!told.insert(std::minmax(each.name, peer)).second) continue;
        add(weight::harms, each.name,
            "has no link to " + peer
                + ", though both run: the network between them, or a fault");
      }
  }

  void look_at_tables() {
    for (const auto& each : differences_) {
      std::vector<std::string> holds;
      for (const auto& [node, what] : each.holds)
        holds.push_back(node + " " + what);
      add(weight::stops, each.odd,
          "differs from the others in table " + each.table + ", first in record " + each.key
              + " (" + joined(holds) + ")",
          "its data was changed from outside; make it anew from the others");
    }
    for (const auto& each : nodes_)
      for (const auto* peer : maps_at(each.consensus, "peers"))
        if (const auto height = number_at(*peer, "differs_at"); height > 0)
          add(weight::harms, each.name,
              "got another result than " + name_of(number_at(*peer, "node")) + " at height "
                  + std::to_string(height));
  }

  void look_at_heights() {
    std::int64_t highest = 0;
    for (const auto& each : nodes_)
      highest = std::max(highest, number_at(each.tree, "height"));
    for (const auto& each : nodes_)
      if (const auto own = number_at(each.tree, "height");
          each.reachable && own + behind_blocks < highest)
        add(weight::harms, each.name,
            "is " + std::to_string(highest - own) + " blocks behind"
                + (flag_at(each.consensus, "catching_up") ? " and catches up" : ""));
  }

  std::string name_of(std::int64_t index) const {
    const auto at = static_cast<std::size_t>(index);
    return at < nodes_.size() ? nodes_[at].name : "node " + std::to_string(index);
  }

  /// The largest number of nodes that take part and all see each other.
  std::size_t largest_side(const std::set<std::string>& missing) const {
    std::size_t most = 0;
    for (const auto& each : nodes_) {
      if (missing.contains(each.name)) continue;
      std::size_t sees = 1;
      const auto cuts = cut_.find(each.name);
      for (const auto& other : nodes_)
        if (other.name != each.name && !missing.contains(other.name)
            && (cuts == cut_.end() || !cuts->second.contains(other.name)))
          ++sees;
      most = std::max(most, sees);
    }
    return most;
  }

  std::string lost_names() const {
    std::vector<std::string> names;
    for (const auto& [node, why] : lost_)
      names.push_back(node + " (" + why + ")");
    return joined(names);
  }

  void judge() {
    const auto n = nodes_.size();
    const auto quorum = n - (n - 1) / 3;
    std::set<std::string> missing;
    for (const auto& [node, why] : lost_)
      missing.insert(node);
    const auto part = n - missing.size(), side = largest_side(missing);
    const auto of = std::to_string(part) + " of " + std::to_string(n) + " nodes take part, "
                    + std::to_string(quorum) + " are needed";
    if (moved_) // whatever else is wrong
      judge_progress(of);
    else if (part < quorum)
      out_.verdict = "does not finalize: " + of + "; missing: " + lost_names();
    else if (side < quorum)
      out_.verdict = "does not finalize: links are cut, and at most " + std::to_string(side)
                     + " nodes see each other, " + std::to_string(quorum) + " are needed";
    else
      judge_progress(of);
    out_.healthy = std::none_of(out_.findings.begin(), out_.findings.end(),
                                [](const auto& x) { return x.how != weight::note; });
  }

  void judge_progress(const std::string& of) {
    const node_facts* pending = nullptr;
    for (const auto& each : nodes_)
      if (each.reachable && flag_at(each.consensus, "pending")
          && (number_at(each.consensus, "work_for_ms") > 1000
              || number_at(each.consensus, "views_given_up") > 0))
        pending = &each;
    const auto spares = lost_.empty() ? "" : "; without " + lost_names();
    if (moved_) {
      out_.verdict = "finalizes: " + of + spares;
      return;
    }
    if (pending == nullptr) {
      out_.verdict = "is idle: there is no work, and it would finalize: " + of + spares;
      return;
    }
    out_.verdict = "has work and does not move just now: " + of + spares;
    const auto leader = name_of(number_at(pending->consensus, "leader"));
    add(weight::harms, pending->name,
        "view " + std::to_string(number_at(pending->consensus, "view")) + ", leader " + leader
            + ": waits for " + text_at(pending->consensus, "waiting_for", "nothing"));
  }

  const std::vector<node_facts>& nodes_;
  const bool moved_;
  const std::vector<table_difference>& differences_;
  std::vector<std::pair<std::string, std::string>> lost_; ///< node, why it takes no part
  std::map<std::string, std::set<std::string>> cut_;
  diagnosis out_;
};

} // namespace

diagnosis diagnose(const std::vector<node_facts>& nodes, bool moved,
                   const std::vector<table_difference>& differences) {
  return doctor(nodes, moved, differences).examine();
}

} // namespace tallymesh::tally
