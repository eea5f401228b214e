#include "tests/simulation/mutants/mutants.hpp"

#include "tests/faults/director.hpp"
#include "tests/faults/language/parser.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <istream>
#include <sstream>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace tallymesh::simulation {

namespace {

constexpr named_rule rules[] = {
    {rule::s1_announced_below_a_fork, "s1_announced_below_a_fork"},
    {rule::s1_announced_is_fetched, "s1_announced_is_fetched"},
    {rule::s1_available_at_a_quorum, "s1_available_at_a_quorum"},
    {rule::s1_available_below_a_fork, "s1_available_below_a_fork"},
    {rule::s1_below_a_fork_is_awaited, "s1_below_a_fork_is_awaited"},
    {rule::s1_certified_forks_are_followed, "s1_certified_forks_are_followed"},
    {rule::s1_certified_forks_are_stored, "s1_certified_forks_are_stored"},
    {rule::s1_cuts_hide_no_claims, "s1_cuts_hide_no_claims"},
    {rule::s1_forks_are_not_awaited, "s1_forks_are_not_awaited"},
    {rule::s1_forks_are_proven, "s1_forks_are_proven"},
    {rule::s1_gaps_are_fetched, "s1_gaps_are_fetched"},
    {rule::s1_liars_are_heeded_rarely, "s1_liars_are_heeded_rarely"},
    {rule::s1_on_its_chain, "s1_on_its_chain"},
    {rule::s1_other_side_is_shown, "s1_other_side_is_shown"},
    {rule::s1_shown_again_on_a_new_link, "s1_shown_again_on_a_new_link"},
    {rule::s1_signed, "s1_signed"},
    {rule::s2_limits_of_a_cut, "s2_limits_of_a_cut"},
    {rule::s2_on_the_parents_cut, "s2_on_the_parents_cut"},
    {rule::s2_passed_over_is_forgotten, "s2_passed_over_is_forgotten"},
    {rule::s4_certificates_are_verified, "s4_certificates_are_verified"},
    {rule::s5_finalization_clears, "s5_finalization_clears"},
    {rule::s5_never_jump, "s5_never_jump"},
    {rule::s6_best_parent, "s6_best_parent"},
    {rule::s6_justification, "s6_justification"},
    {rule::s6_not_after_nullify, "s6_not_after_nullify"},
    {rule::s6_one_proposal, "s6_one_proposal"},
    {rule::s7_1_current_view, "s7_1_current_view"},
    {rule::s7_2_first_proposal, "s7_2_first_proposal"},
    {rule::s7_2_signed_by_leader, "s7_2_signed_by_leader"},
    {rule::s7_3_not_after_nullify, "s7_3_not_after_nullify"},
    {rule::s7_3_one_notarize, "s7_3_one_notarize"},
    {rule::s7_4_certified_parent, "s7_4_certified_parent"},
    {rule::s7_5_gap, "s7_5_gap"},
    {rule::s7_6_bytes_of_others_cuts, "s7_6_bytes_of_others_cuts"},
    {rule::s7_6_cut_descends, "s7_6_cut_descends"},
    {rule::s7_6_cut_grows, "s7_6_cut_grows"},
    {rule::s7_6_evidence, "s7_6_evidence"},
    {rule::s7_6_executed_below, "s7_6_executed_below"},
    {rule::s7_6_execution, "s7_6_execution"},
    {rule::s7_6_height, "s7_6_height"},
    {rule::s7_6_limits, "s7_6_limits"},
    {rule::s7_6_limits_of_others_cuts, "s7_6_limits_of_others_cuts"},
    {rule::s7_6_time, "s7_6_time"},
    {rule::s7_7_batches, "s7_7_batches"},
    {rule::s7_7_fetched, "s7_7_fetched"},
    {rule::s7_7_fetched_elsewhere, "s7_7_fetched_elsewhere"},
    {rule::s7_blocks_fetched, "s7_blocks_fetched"},
    {rule::s7_blocks_fetched_elsewhere, "s7_blocks_fetched_elsewhere"},
    {rule::s8_current_view, "s8_current_view"},
    {rule::s8_invalid_for_ever, "s8_invalid_for_ever"},
    {rule::s8_leader_gave_up, "s8_leader_gave_up"},
    {rule::s8_not_after_finalize, "s8_not_after_finalize"},
    {rule::s8_others_gave_up, "s8_others_gave_up"},
    {rule::s8_timer, "s8_timer"},
    {rule::s9_above_finalized, "s9_above_finalized"},
    {rule::s9_batches, "s9_batches"},
    {rule::s9_not_after_nullify, "s9_not_after_nullify"},
    {rule::s9_not_beside_another, "s9_not_beside_another"},
    {rule::s9_notarization, "s9_notarization"},
    {rule::s9_once, "s9_once"},
    {rule::s10_batches, "s10_batches"},
    {rule::s10_halts, "s10_halts"},
    {rule::s10_prune_after_executing, "s10_prune_after_executing"},
    {rule::s11_empty_is_no_work, "s11_empty_is_no_work"},
    {rule::s11_new_batches, "s11_new_batches"},
    {rule::s11_open_suffix, "s11_open_suffix"},
    {rule::s11_timers_need_work, "s11_timers_need_work"},
    {rule::s12_backoff, "s12_backoff"},
    {rule::s12_bound, "s12_bound"},
    {rule::s12_late_notarizations_count, "s12_late_notarizations_count"},
    {rule::s12_reset, "s12_reset"},
    {rule::s13_quorum_is_heard, "s13_quorum_is_heard"},
    {rule::s13_skips_the_silent, "s13_skips_the_silent"},
    {rule::s14_announced_again, "s14_announced_again"},
    {rule::s14_certificates, "s14_certificates"},
    {rule::s14_finalization, "s14_finalization"},
    {rule::s14_have_on_link_up, "s14_have_on_link_up"},
    {rule::s14_idle_gets_no_votes, "s14_idle_gets_no_votes"},
    {rule::s14_nullify_again, "s14_nullify_again"},
    {rule::s14_one_push_a_delta, "s14_one_push_a_delta"},
    {rule::s14_own_proposal, "s14_own_proposal"},
    {rule::s14_own_votes, "s14_own_votes"},
    {rule::s14_pushes, "s14_pushes"},
    {rule::s14_status, "s14_status"},
    {rule::s14_status_on_link_up, "s14_status_on_link_up"},
    {rule::s14_work, "s14_work"},
    {rule::s15_batches, "s15_batches"},
    {rule::s15_batches_before_sending, "s15_batches_before_sending"},
    {rule::s15_before_sending, "s15_before_sending"},
    {rule::s15_block, "s15_block"},
    {rule::s15_certificate, "s15_certificate"},
    {rule::s15_proposal, "s15_proposal"},
    {rule::s15_vote, "s15_vote"},
    {rule::s16_certificates, "s16_certificates"},
    {rule::s16_first_proposal, "s16_first_proposal"},
    {rule::s16_forks, "s16_forks"},
    {rule::s16_frontier, "s16_frontier"},
    {rule::s16_observe_only, "s16_observe_only"},
    {rule::s16_own_hole_is_filled, "s16_own_hole_is_filled"},
    {rule::s16_own_lane, "s16_own_lane"},
    {rule::s16_own_lane_in_doubt, "s16_own_lane_in_doubt"},
    {rule::s16_own_place_is_known, "s16_own_place_is_known"},
    {rule::s16_own_votes_count, "s16_own_votes_count"},
    {rule::s16_proposal, "s16_proposal"},
    {rule::s16_votes, "s16_votes"},
    {rule::s17_asks_again, "s17_asks_again"},
    {rule::s17_batches_link, "s17_batches_link"},
    {rule::s17_batches_signed, "s17_batches_signed"},
    {rule::s17_blocks_by_leaders, "s17_blocks_by_leaders"},
    {rule::s17_certificate, "s17_certificate"},
    {rule::s17_liars_are_left, "s17_liars_are_left"},
    {rule::s17_links, "s17_links"},
    {rule::s17_not_before_it_serves, "s17_not_before_it_serves"},
    {rule::s17_ranges, "s17_ranges"},
    {rule::s17_ranges_by_leaders, "s17_ranges_by_leaders"},
    {rule::s18_forks_contradict, "s18_forks_contradict"},
    {rule::s18_forks_signed, "s18_forks_signed"},
    {rule::s18_in_blocks, "s18_in_blocks"},
    {rule::s18_once, "s18_once"},
    {rule::s18_once_on_a_chain, "s18_once_on_a_chain"},
    {rule::s18_reported, "s18_reported"},
    {rule::s18_two_batches, "s18_two_batches"},
    {rule::s18_two_proposals, "s18_two_proposals"},
    {rule::s18_votes_of_certificates, "s18_votes_of_certificates"},
};

constexpr bool as_declared() {
  for (std::size_t i = 0; i < std::size(rules); ++i)
    if (rules[i].what != static_cast<rule>(i + 1)) return false; // 0 is `none`
  return std::size(rules) + 1 == rule_count;
}
static_assert(as_declared(), "each rule stands here once, in the order of rules.hpp");

/// Of processor time, a seed: thousands of ordinary runs. A mutant may go round in circles.
constexpr time_t longest_run_s = 5;

/// What the hunting process leaves behind, however it ends.
struct shared_note {
  std::uint64_t seed = 0;
  bool found = false;
  char check[64] = {};
  char text[256] = {};
};

template <std::size_t N>
void copy(char (&to)[N], const std::string& from) {
  const auto size = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), size);
  to[size] = 0;
}

class shared_memory {
public:
  shared_memory() {
    void* at = mmap(nullptr, sizeof(shared_note), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("no shared memory for a hunt");
    note_ = new (at) shared_note;
  }
  ~shared_memory() { munmap(note_, sizeof(shared_note)); }
  shared_memory(const shared_memory&) = delete;
  shared_memory& operator=(const shared_memory&) = delete;
  shared_note& operator*() { return *note_; }
  shared_note* operator->() { return note_; }

private:
  shared_note* note_;
};

faults::script read_script(const std::string& name) {
  std::ifstream file(std::filesystem::path(FAULT_SCRIPTS) / name);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) throw std::runtime_error(name + " cannot be read");
  auto made = faults::parse_script(text.str(), name);
  if (!made) throw std::runtime_error(made.error().context);
  return std::move(*made);
}

outcome run_script(const faults::script& what, options chosen) {
  faults::director directing(what, chosen.seed);
  chosen.nodes = what.nodes;
  chosen.directed = directing.direction();
  return run(chosen);
}

[[noreturn]] void hunt_here(const hunt& what, const std::optional<faults::script>& script,
                            shared_note& note) {
  // A machine says which invariant broke; that it did is what is asked here.
  if (!std::freopen("/dev/null", "w", stderr)) _exit(3);
  left_out = what.without; // of this process
  options chosen;
  chosen.nodes = what.nodes;
  chosen.check_order = what.check_order;
  chosen.strategies = what.strategies;
  for (std::uint64_t i = 0; i < what.seeds; ++i) {
    note.seed = chosen.seed = what.first_seed + i;
    const itimerval limit{{0, 0}, {longest_run_s, 0}};
    setitimer(ITIMER_PROF, &limit, nullptr);
    const auto one = script ? run_script(*script, chosen) : run(chosen);
    if (one.passed()) continue;
    copy(note.check, one.violations.front().rule);
    copy(note.text, one.violations.front().text);
    note.found = true;
    break;
  }
  _exit(0);
}

} // namespace

std::span<const named_rule> all_rules() { return rules; }

std::string_view to_string(rule x) {
  for (const auto& each : rules)
    if (each.what == x) return each.name;
  return "none";
}

std::optional<rule> rule_named(std::string_view name) {
  if (name == "none") return rule::none;
  for (const auto& each : rules)
    if (each.name == name) return each.what;
  return std::nullopt;
}

std::vector<rule> rules_of(const rule_set& x) {
  std::vector<rule> found;
  for (const auto& each : rules)
    if (x.contains(each.what)) found.push_back(each.what);
  return found;
}

std::vector<rule_set> fewer_than(const rule_set& x) {
  std::vector<rule_set> made{rule::none};
  const auto rules = rules_of(x);
  for (std::size_t kept = 0; kept < rules.size() && rules.size() > 1; ++kept) {
    auto& rest = made.emplace_back();
    for (std::size_t i = 0; i < rules.size(); ++i)
      if (i != kept) rest.add(rules[i]);
  }
  return made;
}

std::string to_string(const rule_set& x) {
  std::string names;
  for (const auto each : rules_of(x))
    (names += names.empty() ? "" : "+") += to_string(each);
  return names.empty() ? "none" : names;
}

std::optional<rule_set> rules_named(std::string_view names) {
  rule_set found;
  for (bool more = true; more;) {
    const auto end = names.find('+');
    const auto one = rule_named(names.substr(0, end));
    if (!one) return std::nullopt;
    found.add(*one);
    more = end != names.npos;
    if (more) names.remove_prefix(end + 1);
  }
  return found;
}

std::optional<catch_of> go(const hunt& what) {
  std::optional<faults::script> script;
  if (!what.script.empty()) script = read_script(what.script);
  shared_memory note;
  const auto child = fork();
  if (child < 0) throw std::runtime_error("no process for a hunt");
  if (child == 0) hunt_here(what, script, *note);
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw std::runtime_error("a hunt was lost");
  if (WIFSIGNALED(status))
    return catch_of{note->seed, WTERMSIG(status) == SIGPROF ? "endless run" : "invariant",
                    strsignal(WTERMSIG(status))};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw std::runtime_error("a hunt could not be run");
  if (!note->found) return std::nullopt;
  return catch_of{note->seed, note->check, note->text};
}

std::string line_of(const caught& x) {
  std::ostringstream out;
  out << std::left << std::setw(34) << to_string(x.where.without) << ' ';
  if (x.where.script.empty())
    out << std::right << std::setw(2) << x.where.nodes << ' ' << std::setw(6);
  else
    out << "script " << x.where.script << ' ';
  out << x.where.first_seed << ' ';
  if (x.where.strategies != strategy::all) out << strategy::names_of(x.where.strategies) << ' ';
  out << (x.where.check_order ? "order " : "effect") << ' ' << x.check;
  return out.str();
}

std::vector<std::string> all_scripts() {
  namespace files = std::filesystem;
  std::vector<std::string> found;
  for (const auto& each : files::recursive_directory_iterator(FAULT_SCRIPTS))
    if (each.path().extension() == ".fault")
      found.push_back(each.path().lexically_relative(FAULT_SCRIPTS).string());
  std::sort(found.begin(), found.end());
  return found;
}

namespace {

bool read_unseen(std::istream& words, mutant_list& list) {
  std::string mark, name, why, test;
  words >> mark >> name >> why;
  const auto what = words ? rule_named(name) : std::nullopt;
  if (!what || (why != "unit" && why != "open")) return false;
  if (why == "unit" && !(words >> test)) return false;
  list.unseen.insert(*what);
  if (why == "unit") list.by_test.push_back({*what, test});
  return true;
}

std::optional<caught> read_caught(std::istream& words) {
  std::string name, nodes, order;
  caught one;
  words >> name >> nodes;
  if (nodes == "script")
    words >> one.where.script;
  else
    one.where.nodes = static_cast<std::uint16_t>(std::strtoul(nodes.c_str(), nullptr, 10));
  words >> one.where.first_seed >> order;
  if (const auto told = strategy::named(order)) {
    one.where.strategies = *told;
    words >> order;
  }
  words >> std::ws;
  std::getline(words, one.check);
  const auto what = rules_named(name);
  if (!what || one.where.nodes == 0 || one.check.empty()
      || (order != "order" && order != "effect"))
    return std::nullopt;
  one.where.without = *what;
  one.where.check_order = order == "order";
  return one;
}

} // namespace

mutant_list read_list(std::istream& from) {
  mutant_list list;
  std::string line;
  for (std::size_t number = 1; std::getline(from, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    if (line.front() == '!') {
      if (read_unseen(words, list)) continue;
    } else if (auto one = read_caught(words)) {
      list.seen.push_back(std::move(*one));
      continue;
    }
    throw std::runtime_error("line " + std::to_string(number)
                             + ": wanted: rule nodes seed [strategies] order|effect check, or: "
                               "rule script FILE seed "
                               "order|effect check, or: ! rule open, or: ! rule unit test");
  }
  return list;
}

} // namespace tallymesh::simulation
