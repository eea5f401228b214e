// The guards of S1 to S18 by name, so that tests can leave one out and show that it is missed.
// The machines of a node know nothing of this: consensus.patch and mempool.patch put `lacks`
// into copies of their sources that only tests are linked with. README.md says how.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tallymesh {

enum class rule : std::uint8_t {
  none,
  s1_announced_below_a_fork,
  s1_announced_is_fetched,
  s1_available_at_a_quorum,
  s1_available_below_a_fork,
  s1_below_a_fork_is_awaited,
  s1_certified_forks_are_followed,
  s1_certified_forks_are_stored,
  s1_cuts_hide_no_claims,
  s1_forks_are_not_awaited,
  s1_forks_are_proven,
  s1_gaps_are_fetched,
  s1_liars_are_heeded_rarely,
  s1_on_its_chain,
  s1_other_side_is_shown,
  s1_shown_again_on_a_new_link,
  s1_signed,
  s2_limits_of_a_cut,
  s2_on_the_parents_cut,
  s2_passed_over_is_forgotten,
  s4_certificates_are_verified,
  s5_finalization_clears,
  s5_never_jump,
  s6_best_parent,
  s6_justification,
  s6_not_after_nullify,
  s6_one_proposal,
  s7_1_current_view,
  s7_2_first_proposal,
  s7_2_signed_by_leader,
  s7_3_not_after_nullify,
  s7_3_one_notarize,
  s7_4_certified_parent,
  s7_5_gap,
  s7_6_bytes_of_others_cuts,
  s7_6_cut_descends,
  s7_6_cut_grows,
  s7_6_evidence,
  s7_6_executed_below,
  s7_6_execution,
  s7_6_height,
  s7_6_limits,
  s7_6_limits_of_others_cuts,
  s7_6_time,
  s7_7_batches,
  s7_7_fetched,
  s7_7_fetched_elsewhere,
  s7_blocks_fetched,
  s7_blocks_fetched_elsewhere,
  s8_current_view,
  s8_invalid_for_ever,
  s8_leader_gave_up,
  s8_not_after_finalize,
  s8_others_gave_up,
  s8_timer,
  s9_above_finalized,
  s9_batches,
  s9_not_after_nullify,
  s9_not_beside_another,
  s9_notarization,
  s9_once,
  s10_batches,
  s10_halts,
  s10_prune_after_executing,
  s11_empty_is_no_work,
  s11_new_batches,
  s11_open_suffix,
  s11_timers_need_work,
  s12_backoff,
  s12_bound,
  s12_late_notarizations_count,
  s12_reset,
  s13_quorum_is_heard,
  s13_skips_the_silent,
  s14_announced_again,
  s14_certificates,
  s14_finalization,
  s14_have_on_link_up,
  s14_idle_gets_no_votes,
  s14_nullify_again,
  s14_one_push_a_delta,
  s14_own_proposal,
  s14_own_votes,
  s14_pushes,
  s14_status,
  s14_status_on_link_up,
  s14_work,
  s15_batches,
  s15_batches_before_sending,
  s15_before_sending,
  s15_block,
  s15_certificate,
  s15_proposal,
  s15_vote,
  s16_certificates,
  s16_first_proposal,
  s16_forks,
  s16_frontier,
  s16_observe_only,
  s16_own_hole_is_filled,
  s16_own_lane,
  s16_own_lane_in_doubt,
  s16_own_place_is_known,
  s16_own_votes_count,
  s16_proposal,
  s16_votes,
  s17_asks_again,
  s17_batches_link,
  s17_batches_signed,
  s17_blocks_by_leaders,
  s17_certificate,
  s17_liars_are_left,
  s17_links,
  s17_not_before_it_serves,
  s17_ranges,
  s17_ranges_by_leaders,
  s18_forks_contradict,
  s18_forks_signed,
  s18_in_blocks,
  s18_once,
  s18_once_on_a_chain,
  s18_reported,
  s18_two_batches,
  s18_two_proposals,
  s18_votes_of_certificates,
};

constexpr std::size_t rule_count =
    static_cast<std::size_t>(rule::s18_votes_of_certificates) + 1;

/// Some of them: where one guard keeps what another does, only both together are missed.
class rule_set {
public:
  constexpr rule_set() = default;
  constexpr rule_set(rule x) { add(x); }

  constexpr void add(rule x) {
    if (x != rule::none) words_[place(x) / 64] |= bit(x);
  }
  constexpr bool contains(rule x) const { return (words_[place(x) / 64] & bit(x)) != 0; }
  bool operator==(const rule_set&) const = default;

private:
  static constexpr std::size_t place(rule x) { return static_cast<std::size_t>(x); }
  static constexpr std::uint64_t bit(rule x) { return std::uint64_t{1} << place(x) % 64; }
  std::array<std::uint64_t, (rule_count + 63) / 64> words_{};
};

/// Of the whole process: set before machines run, and not while they do.
extern constinit rule_set left_out;

inline bool lacks(rule x) { return left_out.contains(x); }

} // namespace tallymesh
