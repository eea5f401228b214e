// What the consensus machine promises, rule by rule (ARCHITECTURE.md names them S0 to S18): one
// machine of four, and the test plays everyone else.
#include "actors/consensus/machine.hpp"
#include "messages/receipt.hpp"

#include <boost/test/unit_test.hpp>
#include <set>

using namespace tallymesh;
using namespace tallymesh::consensus;

namespace {

constexpr std::int64_t delta_ms = 500, wall_ms = 1'700'000'000'000;

const signing_domain domain{hash(digest_kind::genesis, as_bytes("a test mesh")), 1};
const validator_set nodes = validator_set::make(domain.chain, domain.epoch, 4);

/// Signatures that only hash the signer and the message: quick, and never right for another
/// node.
credentials keyed(node_index self) {
  const auto mark = [](node_index signer, bytes_view message) {
    const auto made =
        hash(digest_kind::record, {bytes{static_cast<std::uint8_t>(signer)}, message});
    signature out;
    std::copy(made.raw.begin(), made.raw.end(), out.raw.begin());
    return out;
  };
  return {self, domain, [=](bytes_view message) { return mark(self, message); },
          [=](node_index signer, bytes_view message, const signature& x) {
            return mark(signer, message) == x;
          }};
}

vote vote_of(node_index signer, item_kind kind, view_number view, const digest& block = {}) {
  return keyed(signer).make(kind, view, block);
}

/// By the three nodes that are not `without`.
certificate certified(item_kind kind, view_number view, const digest& block = {},
                      node_index without = 3) {
  certificate x{kind, view, block, {}};
  for (node_index i = 0; i < 4; ++i)
    if (i != without) x.votes.emplace_back(i, vote_of(i, kind, view, block).signed_by);
  return x;
}

lane_tip tip_of(node_index lane, std::uint64_t seq) {
  return {lane, seq,
          hash(digest_kind::batch,
               bytes{static_cast<std::uint8_t>(lane), static_cast<std::uint8_t>(seq)})};
}

block_ptr block_after(const block_ptr& parent, view_number view, std::vector<lane_tip> cut,
                      int salt = 0) {
  block x;
  x.epoch = 1;
  x.view = view;
  x.height = parent->content.height + 1;
  x.parent_view = parent->content.view;
  x.parent = parent->id;
  x.cut = std::move(cut);
  x.executed = {0, genesis_execution(domain.chain)};
  x.time_ms = wall_ms + salt;
  return seal(keyed(nodes.leader(view)), x);
}

struct subject {
  node_index self;
  instant now{1'000'000, wall_ms};
  std::vector<record> disk;
  std::vector<effect> last; ///< effects of the last event
  std::size_t verified = 0; ///< signatures
  std::optional<machine> it;
  const block_ptr genesis = genesis_block(domain);

  explicit subject(node_index index) : self(index) { boot(); }

  ledger_tip tip() const {
    ledger_tip x{genesis, std::vector<lane_tip>(4), genesis_execution(domain.chain),
                 std::nullopt};
    for (node_index i = 0; i < 4; ++i)
      x.full_cut[i].lane = i;
    return x;
  }
  void boot(bool observe_only = false) {
    settings chosen;
    chosen.nodes = nodes;
    chosen.keys = keyed(self);
    chosen.keys.verify = [this, by = chosen.keys.verify](node_index who, bytes_view what,
                                                         const signature& x) {
      ++verified;
      return by(who, what, x);
    };
    // As the vote log has them in a view: votes, proposal, block, certificate.
    std::stable_sort(disk.begin(), disk.end(),
                     [](const auto& a, const auto& b) { return a.index() < b.index(); });
    it.emplace(chosen, recovered{tip(), disk, observe_only});
    tell(started{});
    for (node_index i = 0; i < 4; ++i)
      if (i != self) tell(peer_up{i});
  }
  template <class What>
  subject& tell(What what) {
    last = it->handle({now, std::move(what)});
    for (const auto& each : last)
      if (const auto* kept = std::get_if<persist>(&each))
        disk.insert(disk.end(), kept->records.begin(), kept->records.end());
    return *this;
  }
  subject& hear(node_index from, wire_message message) {
    return tell(received{from, std::move(message)});
  }
  subject& after_ms(std::int64_t ms) {
    now.monotonic_ms += ms;
    now.wall_ms += ms;
    return tell(alarm_rang{});
  }
  /// Someone who is not this node.
  node_index other(int nth = 0) const { return static_cast<node_index>((self + 1 + nth) % 4); }

  template <class T>
  std::vector<T> effects() const {
    std::vector<T> found;
    for (const auto& each : last)
      if (const auto* x = std::get_if<T>(&each)) found.push_back(*x);
    return found;
  }
  /// Messages of type T that were broadcast by the last event.
  template <class T>
  std::vector<T> said() const {
    std::vector<T> found;
    for (const auto& each : effects<broadcast>())
      if (const auto* x = std::get_if<T>(&each.message)) found.push_back(*x);
    return found;
  }
  bool voted(item_kind kind) const {
    const auto votes = said<vote>();
    return std::any_of(votes.begin(), votes.end(),
                       [&](const auto& x) { return x.kind == kind && x.signer == self; });
  }
  /// A proposal of the leader, with every batch stored here.
  subject& propose(const block_ptr& block, std::vector<certificate> justification = {}) {
    hear(nodes.leader(block->content.view), proposal{block, std::move(justification)});
    if (effects<require_batches>().empty()) return *this;
    return tell(batches_ready{block->id});
  }
};

const auto first_leader = nodes.leader(1);
const auto not_first_leader = static_cast<node_index>((nodes.leader(1) + 1) % 4);

template <class T>
std::size_t place_of(const std::vector<effect>& all, auto matches) {
  for (std::size_t i = 0; i < all.size(); ++i)
    if (const auto* x = std::get_if<T>(&all[i]); x && matches(*x)) return i;
  return all.size();
}

} // namespace

BOOST_AUTO_TEST_SUITE(consensus_rules)

BOOST_AUTO_TEST_CASE(
    s6_s15_a_leader_stores_its_block_before_it_proposes_and_its_vote_before_it_votes) {
  subject leader(first_leader);
  leader.tell(work_changed{{tip_of(0, 1)}});
  BOOST_TEST_REQUIRE(leader.effects<build_cut>().size() == 1u);
  leader.tell(cut_built{leader.genesis->id, {tip_of(0, 1)}});
  const auto proposed = leader.said<proposal>();
  BOOST_TEST_REQUIRE(proposed.size() == 1u);
  BOOST_TEST((proposed[0].block->content.cut == std::vector{tip_of(0, 1)}));
  const auto stored_block = place_of<persist>(leader.last, [](const persist& x) {
    return std::holds_alternative<own_proposal>(x.records.front());
  });
  const auto stored_vote = place_of<persist>(leader.last, [](const persist& x) {
    return std::holds_alternative<vote>(x.records.back());
  });
  const auto sent_proposal = place_of<broadcast>(leader.last, [](const broadcast& x) {
    return std::holds_alternative<proposal>(x.message);
  });
  const auto sent_vote = place_of<broadcast>(
      leader.last, [](const broadcast& x) { return std::holds_alternative<vote>(x.message); });
  BOOST_TEST(stored_block < sent_proposal);
  BOOST_TEST(stored_vote < sent_vote);
  BOOST_TEST(sent_vote < leader.last.size());
}

BOOST_AUTO_TEST_CASE(s6_after_a_restart_a_leader_has_the_same_proposal_and_makes_no_other) {
  subject leader(first_leader);
  leader.tell(work_changed{{tip_of(0, 1)}}).tell(cut_built{leader.genesis->id, {tip_of(0, 1)}});
  const auto before = leader.said<proposal>().at(0).block->id;
  leader.boot();
  leader.tell(work_changed{{tip_of(0, 1), tip_of(1, 1)}});
  BOOST_TEST(leader.effects<build_cut>().empty());
  BOOST_TEST(leader.said<proposal>().empty());
  leader.hear(leader.other(), status{1, 0, 0, true}); // S14: a pending peer gets it again
  std::vector<digest> sent;
  for (const auto& each : leader.effects<send>())
    if (const auto* x = std::get_if<proposal>(&each.message)) sent.push_back(x->block->id);
  BOOST_TEST((sent == std::vector{before}));
}

BOOST_AUTO_TEST_CASE(s6_a_leader_that_gave_up_its_view_proposes_nothing_in_it) {
  subject leader(first_leader);
  leader.tell(work_changed{{tip_of(0, 1)}});
  BOOST_TEST_REQUIRE(leader.effects<build_cut>().size() == 1u);
  leader.after_ms(2 * delta_ms);
  BOOST_TEST_REQUIRE(leader.voted(item_kind::nullify));
  leader.tell(cut_built{leader.genesis->id, {tip_of(0, 1)}});
  BOOST_TEST(leader.said<proposal>().empty());
  leader.boot();
  leader.tell(work_changed{{tip_of(0, 1)}});
  BOOST_TEST(leader.effects<build_cut>().empty());
}

BOOST_AUTO_TEST_CASE(s6_a_proposal_comes_with_the_certificates_that_it_rests_on) {
  subject leader(nodes.leader(3));
  const auto parent = block_after(leader.genesis, 1, {tip_of(0, 1)});
  const auto notarization = certified(item_kind::notarize, 1, parent->id);
  const auto nullification = certified(item_kind::nullify, 2);
  leader.propose(parent);
  leader.hear(leader.other(), notarization).hear(leader.other(), nullification);
  leader.tell(work_changed{{tip_of(1, 1)}}).tell(cut_built{parent->id, {tip_of(1, 1)}});
  const auto said = leader.said<proposal>();
  BOOST_TEST_REQUIRE(said.size() == 1u);
  BOOST_TEST_REQUIRE(said[0].justification.size() == 2u);
  BOOST_TEST((said[0].justification[0].block == notarization.block));
  BOOST_TEST((said[0].justification[1].view == nullification.view));
}

BOOST_AUTO_TEST_CASE(s7_a_good_proposal_is_notarized_once_its_batches_are_stored) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.hear(first_leader, proposal{block, {}});
  BOOST_TEST(!node.voted(item_kind::notarize)); // S7.7
  BOOST_TEST_REQUIRE(node.effects<require_batches>().size() == 1u);
  node.tell(batches_ready{block->id});
  BOOST_TEST(node.voted(item_kind::notarize));
  const auto second = block_after(node.genesis, 1, {tip_of(1, 1)}); // S7.2, S18
  node.hear(first_leader, proposal{second, {}});
  BOOST_TEST(!node.voted(item_kind::notarize));
  BOOST_TEST(node.effects<observed>().size() == 1u);
}

BOOST_AUTO_TEST_CASE(s7_2_only_the_first_proposal_of_a_view_gets_a_vote) {
  subject node(not_first_leader);
  const auto first = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.hear(first_leader, proposal{first, {}});
  node.propose(block_after(node.genesis, 1, {tip_of(1, 1)})); // whose batches are here
  BOOST_TEST(!node.voted(item_kind::notarize));
  node.tell(batches_ready{first->id});
  BOOST_TEST_REQUIRE(node.said<vote>().size() == 1u);
  BOOST_TEST((node.said<vote>()[0].what == first->id));
}

BOOST_AUTO_TEST_CASE(s7_2_a_proposal_that_the_leader_did_not_sign_is_nothing) {
  subject node(not_first_leader);
  const auto good = block_after(node.genesis, 1, {tip_of(0, 1)});
  auto forged = *good;
  forged.signed_by.raw[0] ^= 1;
  node.propose(std::make_shared<const sealed_block>(forged));
  BOOST_TEST(!node.voted(item_kind::notarize));
  node.propose(good);
  BOOST_TEST(node.voted(item_kind::notarize));
}

BOOST_AUTO_TEST_CASE(s7_4_a_proposal_whose_parent_is_not_notarized_gets_no_vote) {
  const auto self = nodes.leader(2) == 0 ? node_index{1} : node_index{0};
  subject node(self);
  const auto parent = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(parent);
  node.hear(node.other(), certified(item_kind::nullify, 1)); // moves on, and not by the parent
  const auto block = block_after(parent, 2, {tip_of(1, 1)});
  node.propose(block);
  BOOST_TEST(!node.voted(item_kind::notarize));
  node.hear(node.other(), certified(item_kind::notarize, 1, parent->id));
  if (!node.effects<require_batches>().empty()) node.tell(batches_ready{block->id});
  BOOST_TEST(node.voted(item_kind::notarize));
}

BOOST_AUTO_TEST_CASE(s7_5_a_proposal_that_passes_over_a_view_needs_its_nullification) {
  const auto self = nodes.leader(2) == 0 ? node_index{1} : node_index{0};
  subject node(self);
  node.hear(node.other(), certified(item_kind::notarize, 1,
                                    hash(digest_kind::block, as_bytes("passed over"))));
  const auto block = block_after(node.genesis, 2, {tip_of(0, 1)});
  node.propose(block);
  BOOST_TEST(!node.voted(item_kind::notarize));
  node.hear(node.other(), certified(item_kind::nullify, 1));
  if (!node.effects<require_batches>().empty()) node.tell(batches_ready{block->id});
  BOOST_TEST(node.voted(item_kind::notarize));
}

BOOST_AUTO_TEST_CASE(s7_6_a_proposal_that_can_never_be_valid_is_answered_by_nullify) {
  const auto wrong = [](auto change) {
    subject node(not_first_leader);
    auto x = block_after(node.genesis, 1, {tip_of(0, 1)})->content;
    change(x);
    node.propose(seal(keyed(first_leader), x));
    return node.voted(item_kind::nullify) && !node.voted(item_kind::notarize);
  };
  BOOST_TEST(wrong([](block& x) { x.height = 3; }));
  BOOST_TEST(wrong([](block& x) { x.time_ms = wall_ms + 3'600'000; }));
  BOOST_TEST(wrong([](block& x) { x.cut[0].seq = 10'000; }));
  BOOST_TEST(wrong([](block& x) { x.cut = {tip_of(9, 1)}; }));
  BOOST_TEST(wrong([](block& x) { x.executed.height = 1; })); // its own
  BOOST_TEST(
      wrong([](block& x) { x.executed.execution.raw[0] ^= 1; })); // another result at height 0
  BOOST_TEST(!wrong([](block&) {}));
}

BOOST_AUTO_TEST_CASE(s7_6_a_cut_that_falls_below_its_parents_is_answered_by_nullify) {
  const auto self = nodes.leader(2) == 0 ? node_index{1} : node_index{0};
  const auto answered_by = [&](std::uint64_t seq) {
    subject node(self);
    const auto parent = block_after(node.genesis, 1, {tip_of(0, 5)});
    node.propose(parent);
    node.hear(node.other(), certified(item_kind::notarize, 1, parent->id));
    node.propose(block_after(parent, 2, {tip_of(0, seq)}));
    return std::pair{node.voted(item_kind::notarize), node.voted(item_kind::nullify)};
  };
  BOOST_TEST((answered_by(6) == std::pair{true, false}));
  BOOST_TEST((answered_by(5) == std::pair{false, true}));
  BOOST_TEST((answered_by(4) == std::pair{false, true}));
}

BOOST_AUTO_TEST_CASE(s7_a_block_that_is_missing_is_asked_of_one_after_the_other) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  std::set<node_index> asked;
  const auto note_asked = [&] {
    for (const auto& each : node.effects<send>())
      if (std::holds_alternative<fetch_block>(each.message)) asked.insert(each.to);
  };
  node.hear(node.other(), certified(item_kind::notarize, 1, block->id));
  note_asked();
  for (int i = 0; i < 3; ++i) {
    node.after_ms(delta_ms);
    note_asked();
  }
  BOOST_TEST(asked.size() == 3u);
  auto forged = *block;
  forged.signed_by.raw[0] ^= 1;
  const auto before = node.it->look().blocks_held;
  node.hear(node.other(), fetched_block{std::make_shared<const sealed_block>(forged)});
  BOOST_TEST(node.it->look().blocks_held == before); // not signed by its leader
  node.hear(node.other(), fetched_block{block});
  BOOST_TEST(node.it->look().blocks_held == before + 1);
}

BOOST_AUTO_TEST_CASE(s7_3_s8_who_nullified_a_view_does_not_notarize_in_it) {
  subject node(not_first_leader);
  node.hear(first_leader,
            vote_of(first_leader, item_kind::nullify, 1)); // S8: the leader gave up
  BOOST_TEST(node.voted(item_kind::nullify));
  node.propose(block_after(node.genesis, 1, {tip_of(0, 1)}));
  BOOST_TEST(!node.voted(item_kind::notarize));
}

BOOST_AUTO_TEST_CASE(s8_a_node_without_work_joins_f_plus_1_that_gave_up_and_not_fewer) {
  subject node(not_first_leader);
  std::vector<node_index> others;
  for (node_index i = 0; i < 4; ++i)
    if (i != node.self && i != first_leader) others.push_back(i);
  node.hear(others[0], vote_of(others[0], item_kind::nullify, 1));
  BOOST_TEST(!node.voted(item_kind::nullify));
  node.hear(others[1], vote_of(others[1], item_kind::nullify, 1));
  BOOST_TEST(node.voted(item_kind::nullify));
}

BOOST_AUTO_TEST_CASE(s9_who_nullified_a_view_never_finalizes_it_not_even_after_a_restart) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.hear(first_leader, vote_of(first_leader, item_kind::nullify, 1));
  node.boot();
  node.propose(block);
  node.hear(node.other(), certified(item_kind::notarize, 1, block->id));
  node.tell(batches_ready{block->id});
  BOOST_TEST(!node.voted(item_kind::finalize));
}

BOOST_AUTO_TEST_CASE(s8_s9_a_notarized_view_is_finalized_and_then_never_nullified) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  node.hear(node.other(), certified(item_kind::notarize, 1, block->id));
  if (!node.voted(item_kind::finalize)) node.tell(batches_ready{block->id});
  BOOST_TEST(node.voted(item_kind::finalize));
  // A crash that loses the certificate: the frontier is view 1 again, and the vote is
  // remembered.
  std::erase_if(node.disk,
                [](const record& x) { return std::holds_alternative<certificate>(x); });
  node.boot();
  BOOST_TEST(node.it->look().frontier == 1u);
  node.hear(first_leader, vote_of(first_leader, item_kind::nullify, 1));
  BOOST_TEST(!node.voted(item_kind::nullify));
}

BOOST_AUTO_TEST_CASE(s4_s5_only_a_full_quorum_of_distinct_signed_votes_moves_the_frontier) {
  subject node(not_first_leader);
  auto few = certified(item_kind::nullify, 1);
  few.votes.pop_back();
  auto twice = certified(item_kind::nullify, 1);
  twice.votes[1] = twice.votes[0];
  auto forged = certified(item_kind::nullify, 1);
  forged.votes[0].second.raw[0] ^= 1;
  for (const auto& bad : {few, twice, forged})
    node.hear(node.other(), bad);
  BOOST_TEST(node.it->look().frontier == 1u);
  node.hear(node.other(), certified(item_kind::nullify, 3)); // a gap is never jumped
  BOOST_TEST(node.it->look().frontier == 1u);
  node.hear(node.other(), certified(item_kind::nullify, 1));
  BOOST_TEST(node.it->look().frontier == 2u);
}

BOOST_AUTO_TEST_CASE(a_link_that_brings_bad_signatures_is_not_heard_until_it_is_made_anew) {
  subject node(not_first_leader);
  const auto liar = node.other();
  for (node_index signer = 0; signer < 3; ++signer)
    for (view_number view = 1; view < 6; ++view) {
      auto forged = vote_of(signer, item_kind::nullify, view);
      forged.signed_by.raw[0] ^= 1;
      node.hear(liar, forged);
    }
  node.hear(liar, certified(item_kind::nullify, 1));
  BOOST_TEST(node.it->look().frontier == 1u);
  node.hear(node.other(1), certified(item_kind::nullify, 1)); // others are heard
  BOOST_TEST(node.it->look().frontier == 2u);
  node.tell(peer_down{liar}).tell(peer_up{liar});
  node.hear(liar, certified(item_kind::nullify, 2));
  BOOST_TEST(node.it->look().frontier == 3u);
}

BOOST_AUTO_TEST_CASE(
    s10_a_final_block_is_delivered_with_its_ancestors_and_pruned_only_when_executed) {
  subject node(not_first_leader);
  const auto one = block_after(node.genesis, 1, {tip_of(0, 1)});
  const auto two = block_after(one, 2, {tip_of(1, 1)});
  node.hear(node.other(), certified(item_kind::finalize, 2, two->id));
  node.hear(node.other(), fetched_block{two});
  node.hear(node.other(), fetched_block{one});
  BOOST_TEST(node.effects<deliver>().empty()); // their batches are not here
  node.tell(batches_ready{two->id});
  BOOST_TEST(node.effects<deliver>().empty()); // in height order
  node.tell(batches_ready{one->id});
  const auto delivered = node.effects<deliver>();
  BOOST_TEST_REQUIRE(delivered.size() == 2u);
  BOOST_TEST((delivered[0].block->id == one->id));
  BOOST_TEST((delivered[1].block->id == two->id));
  BOOST_TEST(node.effects<prune>().empty());
  node.tell(executed{1, hash(digest_kind::execution, as_bytes("one"))});
  BOOST_TEST(node.effects<prune>().at(0).through == 1u);
  node.hear(node.other(),
            vote_of(node.other(), item_kind::notarize, 1, one->id)); // refused for ever
  BOOST_TEST(node.it->look().executed_height == 1u);
}

BOOST_AUTO_TEST_CASE(s10_a_finalization_beside_a_nullification_stops_the_node) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.hear(node.other(), certified(item_kind::nullify, 1));
  node.hear(node.other(), certified(item_kind::finalize, 1, block->id));
  BOOST_TEST(node.effects<halted>().size() == 1u);
  node.propose(block_after(node.genesis, 2, {tip_of(0, 1)}));
  BOOST_TEST(node.last.empty()); // it says nothing more
}

BOOST_AUTO_TEST_CASE(s11_without_work_there_are_no_votes_no_proposals_and_nothing_is_stored) {
  subject node(first_leader);
  for (int second = 0; second < 60; ++second) {
    node.after_ms(1000);
    for (node_index i = 0; i < 3; ++i)
      node.hear(node.other(i), status{1, 0, 0, false});
    BOOST_TEST(node.effects<persist>().empty());
    BOOST_TEST(node.said<vote>().empty());
    BOOST_TEST(node.said<proposal>().empty());
  }
  BOOST_TEST(!node.it->look().pending);
}

BOOST_AUTO_TEST_CASE(s11_a_notarized_block_is_work_only_if_it_orders_something) {
  for (const bool orders : {false, true}) {
    subject node(not_first_leader);
    node.hear(first_leader, vote_of(first_leader, item_kind::nullify, 1)); // finalizes nothing
    const auto block = block_after(
        node.genesis, 1, orders ? std::vector{tip_of(0, 1)} : std::vector<lane_tip>{});
    node.propose(block);
    node.hear(node.other(), certified(item_kind::notarize, 1, block->id));
    BOOST_TEST(node.it->look().pending == orders);
  }
}

BOOST_AUTO_TEST_CASE(
    s12_work_without_a_proposal_is_nullified_after_two_deltas_and_with_one_after_three) {
  for (const bool proposed : {false, true}) {
    subject node(not_first_leader);
    node.tell(work_changed{{tip_of(0, 1)}});
    if (proposed) node.propose(block_after(node.genesis, 1, {tip_of(0, 1)}));
    for (node_index i = 0; i < 3; ++i)
      node.hear(node.other(i), status{1, 0, 0, true});
    node.after_ms(2 * delta_ms - 1);
    BOOST_TEST(!node.voted(item_kind::nullify));
    for (node_index i = 0; i < 3; ++i)
      node.hear(node.other(i), status{1, 0, 0, true});
    node.after_ms(1);
    BOOST_TEST(node.voted(item_kind::nullify) == !proposed);
    if (!proposed) continue;
    node.after_ms(delta_ms);
    BOOST_TEST(node.voted(item_kind::nullify));
  }
}

namespace {
std::int64_t wait_for_nullify_ms(subject& node, view_number view) {
  for (std::int64_t ms = 0; ms < 100 * delta_ms; ms += 50) {
    for (node_index i = 0; i < 3; ++i)
      node.hear(node.other(i), status{view, 0, 0, true}); // nobody is silent (S13)
    node.after_ms(50);
    if (node.voted(item_kind::nullify)) return ms + 50;
  }
  return 0;
}
} // namespace

BOOST_AUTO_TEST_CASE(s12_each_view_given_up_in_a_row_makes_the_next_wait_longer) {
  subject node(not_first_leader);
  node.tell(work_changed{{tip_of(0, 1)}});
  const auto first = wait_for_nullify_ms(node, 1);
  node.hear(node.other(), certified(item_kind::nullify, 1));
  const auto second = wait_for_nullify_ms(node, 2);
  BOOST_TEST(first == 2 * delta_ms);
  BOOST_TEST(second >= 3 * delta_ms);
}

BOOST_AUTO_TEST_CASE(
    s12_a_view_notarized_after_it_was_given_up_makes_the_next_wait_longer_too) {
  subject node(not_first_leader);
  node.tell(work_changed{{tip_of(0, 2)}});
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  BOOST_TEST(wait_for_nullify_ms(node, 1) == 3 * delta_ms);
  node.hear(node.other(), certified(item_kind::notarize, 1, block->id));
  BOOST_TEST(wait_for_nullify_ms(node, 2) >= 3 * delta_ms); // without a proposal
}

BOOST_AUTO_TEST_CASE(s12_a_view_counts_once_whatever_is_told_again_and_after_a_restart) {
  subject node(not_first_leader);
  node.tell(work_changed{{tip_of(0, 2)}});
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  wait_for_nullify_ms(node, 1);
  for (int again = 0; again < 2; ++again) {
    for (const auto& each :
         {certified(item_kind::nullify, 1), certified(item_kind::notarize, 1, block->id)})
      node.hear(node.other(again), each);
    BOOST_TEST(node.it->look().views_given_up == 1u);
    node.boot();
    BOOST_TEST(node.it->look().views_given_up == 1u);
  }
  // In time for this node: it finalizes it.
  const auto next = block_after(block, 2, {tip_of(0, 2)});
  node.propose(next);
  node.hear(node.other(), certified(item_kind::notarize, 2, next->id));
  BOOST_TEST(node.it->look().views_given_up == 1u);
  node.hear(node.other(), certified(item_kind::finalize, 2, next->id));
  BOOST_TEST(node.it->look().views_given_up == 0u);
}

BOOST_AUTO_TEST_CASE(s12_the_wait_grows_to_25_times_and_a_finalization_ends_that) {
  subject node(not_first_leader);
  node.tell(work_changed{{tip_of(0, 2)}});
  std::vector<std::int64_t> waits;
  view_number view = 1;
  for (; view <= 12; ++view) {
    waits.push_back(wait_for_nullify_ms(node, view));
    node.hear(node.other(), certified(item_kind::nullify, view));
  }
  BOOST_TEST(waits[0] == 2 * delta_ms);
  BOOST_TEST(waits[11] == 25 * 2 * delta_ms);
  const auto block = block_after(node.genesis, view, {tip_of(0, 1)});
  node.propose(block);
  node.hear(node.other(), certified(item_kind::finalize, view, block->id));
  BOOST_TEST(node.it->look().pending);
  BOOST_TEST(wait_for_nullify_ms(node, view + 1) == 2 * delta_ms);
}

BOOST_AUTO_TEST_CASE(s13_a_leader_whose_link_is_down_is_skipped_at_once) {
  subject node(not_first_leader);
  node.tell(peer_down{first_leader});
  node.tell(work_changed{{tip_of(0, 1)}});
  BOOST_TEST(node.voted(item_kind::nullify));
}

BOOST_AUTO_TEST_CASE(s13_who_hears_nobody_takes_no_leader_for_silent) {
  subject node(not_first_leader);
  for (node_index i = 0; i < 3; ++i)
    node.tell(peer_down{node.other(i)});
  node.tell(work_changed{{tip_of(0, 1)}});
  BOOST_TEST(!node.voted(item_kind::nullify));
  node.after_ms(2 * delta_ms);
  BOOST_TEST(node.voted(item_kind::nullify));
}

BOOST_AUTO_TEST_CASE(s14_a_new_link_hears_the_status_at_once) {
  subject node(not_first_leader);
  node.tell(peer_up{node.other()});
  const auto sent = node.effects<send>();
  BOOST_TEST_REQUIRE(sent.size() == 1u);
  BOOST_TEST(sent[0].to == node.other());
  BOOST_TEST(std::holds_alternative<status>(sent[0].message));
}

BOOST_AUTO_TEST_CASE(s14_who_gave_up_a_view_says_so_again_while_there_is_work) {
  subject node(not_first_leader);
  node.tell(work_changed{{tip_of(0, 1)}});
  node.after_ms(2 * delta_ms);
  BOOST_TEST_REQUIRE(node.voted(item_kind::nullify));
  node.after_ms(2 * delta_ms - 1);
  BOOST_TEST(!node.voted(item_kind::nullify));
  node.after_ms(1);
  BOOST_TEST(node.voted(item_kind::nullify));
  node.tell(work_changed{});
  node.after_ms(2 * delta_ms);
  BOOST_TEST(!node.voted(item_kind::nullify));
}

BOOST_AUTO_TEST_CASE(s14_a_peer_that_lags_gets_what_it_lacks_once_a_delta) {
  subject node(not_first_leader);
  node.hear(node.other(), certified(item_kind::nullify, 1));
  const auto pushed = [&](const status& theirs) {
    node.hear(node.other(), theirs);
    std::size_t certificates = 0;
    for (const auto& each : node.effects<send>())
      certificates += std::holds_alternative<certificate>(each.message);
    return certificates;
  };
  BOOST_TEST(pushed({2, 0, 0, false}) == 0u); // lacks nothing
  BOOST_TEST(pushed({1, 0, 0, false}) == 1u);
  BOOST_TEST(pushed({1, 0, 0, false}) == 0u); // not twice within a delta
  node.after_ms(delta_ms);
  BOOST_TEST(pushed({1, 0, 0, false}) == 1u);
}

namespace {
/// What `node` pushes to a peer of this status.
template <class T>
std::vector<T> pushed(subject& node, const status& theirs) {
  node.hear(node.other(), theirs);
  std::vector<T> found;
  for (const auto& each : node.effects<send>())
    if (const auto* x = std::get_if<T>(&each.message)) found.push_back(*x);
  return found;
}
} // namespace

BOOST_AUTO_TEST_CASE(s14_a_peer_that_lacks_the_finalization_gets_it) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  node.hear(node.other(), certified(item_kind::finalize, 1, block->id));
  const auto sent = pushed<certificate>(node, {2, 0, 0, false});
  BOOST_TEST_REQUIRE(sent.size() == 1u);
  BOOST_TEST((sent[0].kind == item_kind::finalize && sent[0].block == block->id));
  node.after_ms(delta_ms);
  BOOST_TEST(pushed<certificate>(node, {2, 1, 1, false}).empty());
}

BOOST_AUTO_TEST_CASE(s14_a_peer_with_work_gets_the_own_votes_again) {
  subject node(not_first_leader);
  node.propose(block_after(node.genesis, 1, {tip_of(0, 1)}));
  BOOST_TEST(node.voted(item_kind::notarize));
  const auto sent = pushed<vote>(node, {1, 0, 0, true});
  BOOST_TEST_REQUIRE(sent.size() == 1u);
  BOOST_TEST((sent[0].kind == item_kind::notarize && sent[0].signer == node.self));
}

BOOST_AUTO_TEST_CASE(s14_a_peer_that_sees_no_work_gets_the_notarization_that_is_work) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  node.hear(node.other(), certified(item_kind::notarize, 1, block->id));
  BOOST_TEST(node.it->look().pending);
  const auto sent = pushed<certificate>(node, {2, 0, 0, false}); // it nullified view 1
  BOOST_TEST_REQUIRE(sent.size() == 1u);
  BOOST_TEST((sent[0].kind == item_kind::notarize && sent[0].block == block->id));
  node.after_ms(delta_ms);
  BOOST_TEST(pushed<certificate>(node, {2, 0, 0, true}).empty());
}

BOOST_AUTO_TEST_CASE(s16_a_node_without_its_vote_log_follows_and_never_votes) {
  subject node(not_first_leader);
  node.boot(true);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  BOOST_TEST(!node.voted(item_kind::notarize));
  node.hear(node.other(), certified(item_kind::finalize, 1, block->id));
  if (node.effects<deliver>().empty()) node.tell(batches_ready{block->id});
  BOOST_TEST(node.effects<deliver>().size() == 1u);
  BOOST_TEST(node.said<vote>().empty());
}

BOOST_AUTO_TEST_CASE(s16_what_was_voted_for_is_the_first_proposal_after_a_restart_too) {
  subject node(not_first_leader);
  node.propose(block_after(node.genesis, 1, {tip_of(0, 1)}));
  BOOST_TEST_REQUIRE(node.voted(item_kind::notarize));
  node.boot();
  node.propose(block_after(node.genesis, 1, {tip_of(1, 1)}));
  BOOST_TEST(!node.voted(item_kind::notarize));
  BOOST_TEST(node.effects<observed>().size() == 1u); // two proposals of one leader
}

BOOST_AUTO_TEST_CASE(s16_a_lone_node_counts_its_stored_votes_after_a_restart) {
  settings chosen;
  chosen.nodes = validator_set::make(domain.chain, domain.epoch, 1);
  chosen.keys = keyed(0);
  const ledger_tip tip{
      genesis_block(domain), {lane_tip{}}, genesis_execution(domain.chain), std::nullopt};
  std::vector<record> votes; // what a crash before the certificates leaves
  machine before(chosen, {tip, {}, false});
  before.handle({{1000, wall_ms}, started{}});
  before.handle({{1000, wall_ms}, work_changed{{tip_of(0, 1)}}});
  for (const auto& each :
       before.handle({{1001, wall_ms}, cut_built{tip.block->id, {tip_of(0, 1)}}}))
    if (const auto* kept = std::get_if<persist>(&each))
      for (const auto& x : kept->records)
        if (!std::holds_alternative<certificate>(x)) votes.push_back(x);
  BOOST_TEST_REQUIRE(before.look().finalized_view == 1u);
  machine after(chosen, {tip, votes, false});
  after.handle({{2000, wall_ms}, started{}});
  BOOST_TEST(after.look().finalized_view == 1u);
}

BOOST_AUTO_TEST_CASE(s17_a_range_is_taken_only_if_it_links_to_a_certified_block) {
  const auto takes = [](auto spoil) {
    subject node(not_first_leader);
    const auto one = block_after(node.genesis, 1, {tip_of(0, 1)});
    const auto two = block_after(one, 3, {tip_of(1, 1)});
    fetched_range range{{one, two}, certified(item_kind::finalize, 3, two->id)};
    spoil(range, node.genesis);
    node.hear(node.other(), range);
    return node.it->look().finalized_height == 2u;
  };
  BOOST_TEST(takes([](auto&, auto&) {}));
  BOOST_TEST(!takes([](auto& x, auto&) { x.finalization.votes[0].second.raw[0] ^= 1; }));
  BOOST_TEST(!takes(
      [](auto& x, auto& genesis) { x.blocks[0] = block_after(genesis, 1, {tip_of(2, 1)}); }));
  BOOST_TEST(!takes([](auto& x, auto&) { x.blocks.pop_back(); }));
  BOOST_TEST(!takes([](auto& x, auto&) {
    auto forged = *x.blocks[0];
    forged.signed_by.raw[0] ^= 1;
    x.blocks[0] = std::make_shared<const sealed_block>(forged);
  }));
}

namespace {
/// Blocks of one to `height`, in the views of the same number.
std::vector<block_ptr> chain_on(const block_ptr& genesis, std::uint64_t height) {
  std::vector<block_ptr> chain{genesis};
  for (std::uint64_t i = 1; i <= height; ++i)
    chain.push_back(block_after(chain.back(), i, {tip_of(0, i)}));
  return chain;
}

/// Whom the last event asked for a range.
std::optional<node_index> asked_for_a_range(const subject& node) {
  for (const auto& each : node.effects<send>())
    if (std::holds_alternative<fetch_range>(each.message)) return each.to;
  return std::nullopt;
}

fetched_range range_of_one(const std::vector<block_ptr>& chain, std::uint64_t height) {
  return {{chain[height]}, certified(item_kind::finalize, height, chain[height]->id)};
}
} // namespace

BOOST_AUTO_TEST_CASE(s17_who_has_just_served_a_range_is_not_asked_before_it_would_serve_again) {
  subject node(not_first_leader);
  const auto chain = chain_on(node.genesis, 3);
  const auto only = node.other();
  node.hear(only, status{50, 49, 49, false});
  BOOST_REQUIRE(asked_for_a_range(node) == only);
  node.after_ms(10).hear(only, range_of_one(chain, 1));
  BOOST_TEST(!asked_for_a_range(node).has_value());
  const auto alarms = node.effects<set_alarm>();
  BOOST_REQUIRE(alarms.size() == 1u);
  BOOST_TEST(alarms[0].at_monotonic_ms <= node.now.monotonic_ms + 60);
  node.after_ms(49); // what the other side would refuse
  BOOST_TEST(!asked_for_a_range(node).has_value());
  node.after_ms(11);
  BOOST_TEST((asked_for_a_range(node) == only));

  // Another that has it is asked at once.
  const auto second = node.other(1);
  node.hear(second, status{50, 49, 49, false}).hear(only, range_of_one(chain, 2));
  BOOST_TEST((asked_for_a_range(node) == second));
}

BOOST_AUTO_TEST_CASE(s17_who_did_not_answer_is_asked_again_only_when_it_says_its_height_again) {
  subject node(not_first_leader);
  const auto liar = node.other();
  node.hear(liar, status{50, 49, 49, false});
  BOOST_TEST_REQUIRE((asked_for_a_range(node) == liar));
  for (int i = 0; i < 20; ++i) {
    node.after_ms(4 * delta_ms);
    BOOST_TEST(!asked_for_a_range(node).has_value());
  }
  node.hear(liar, status{50, 49, 49, false});
  BOOST_TEST((asked_for_a_range(node) == liar));
}

BOOST_AUTO_TEST_CASE(s17_who_serves_ranges_is_waited_for_rather_than_asking_who_does_not) {
  subject node(not_first_leader);
  const auto chain = chain_on(node.genesis, 2);
  const auto liar = node.other();
  const auto good = node.other(1);
  node.hear(liar, status{50, 49, 49, false});
  BOOST_REQUIRE(asked_for_a_range(node) == liar);
  node.hear(good, status{50, 49, 49, false});
  node.after_ms(4 * delta_ms);
  BOOST_REQUIRE(asked_for_a_range(node) == good);
  node.hear(liar, status{50, 49, 49, false}).hear(good, range_of_one(chain, 1));
  BOOST_TEST(!asked_for_a_range(node).has_value());
  node.after_ms(60);
  BOOST_TEST((asked_for_a_range(node) == good));
}

BOOST_AUTO_TEST_CASE(s17_blocks_that_do_not_link_to_the_certified_one_are_not_held) {
  subject node(not_first_leader);
  const auto one = block_after(node.genesis, 1, {tip_of(0, 1)});
  const auto two = block_after(one, 3, {tip_of(1, 1)});
  const auto before = node.it->look().blocks_held;
  node.hear(node.other(), fetched_range{{block_after(node.genesis, 1, {tip_of(2, 1)}), two},
                                        certified(item_kind::finalize, 3, two->id)});
  BOOST_TEST(node.it->look().blocks_held == before);
}

BOOST_AUTO_TEST_CASE(s18_two_contradicting_votes_of_one_node_are_evidence_once) {
  subject node(not_first_leader);
  const auto liar = node.other();
  const auto digest_of = [](std::string_view text) {
    return hash(digest_kind::block, as_bytes(text));
  };
  node.hear(liar, vote_of(liar, item_kind::notarize, 1, digest_of("a")));
  node.hear(liar, vote_of(liar, item_kind::nullify, 1));
  BOOST_TEST(node.effects<observed>().empty()); // lawful together
  node.hear(liar, vote_of(liar, item_kind::notarize, 1, digest_of("b")));
  BOOST_TEST(node.effects<observed>().size() == 1u);
  node.hear(liar, vote_of(liar, item_kind::notarize, 1, digest_of("c")));
  BOOST_TEST(node.effects<observed>().empty());
}

BOOST_AUTO_TEST_CASE(s18_a_vote_that_only_a_certificate_shows_is_evidence_too) {
  subject node(not_first_leader);
  const auto digest_of = [](std::string_view text) {
    return hash(digest_kind::block, as_bytes(text));
  };
  const auto liar = node.other();
  node.hear(liar, vote_of(liar, item_kind::notarize, 1, digest_of("a")));
  node.hear(node.other(1), certified(item_kind::notarize, 1, digest_of("b"), node.self));
  const auto shown = node.effects<observed>();
  BOOST_TEST_REQUIRE(shown.size() == 1u);
  BOOST_TEST(shown[0].what.first.signer == liar);
}

namespace {
/// Two votes of `liar` that contradict each other.
evidence two_votes(node_index liar, view_number view) {
  return {vote_of(liar, item_kind::notarize, view, hash(digest_kind::block, as_bytes("a"))),
          vote_of(liar, item_kind::notarize, view, hash(digest_kind::block, as_bytes("b")))};
}

void hear_both(subject& node, const evidence& x) {
  node.hear(x.first.signer, x.first).hear(x.first.signer, x.second);
}

/// What the leader proposes on `parent` when it has work.
block_ptr proposed_on(subject& leader, const block_ptr& parent, std::vector<lane_tip> cut) {
  leader.tell(work_changed{cut}).tell(cut_built{parent->id, cut});
  const auto said = leader.said<proposal>();
  return said.empty() ? nullptr : said.front().block;
}
} // namespace

BOOST_AUTO_TEST_CASE(s18_a_leader_puts_what_it_observed_into_its_next_block) {
  subject leader(first_leader);
  const auto liar = leader.other();
  const auto votes = two_votes(liar, 2);
  hear_both(leader, votes);
  const evidence batches{{item_kind::batch, liar, 1, tip_of(liar, 1).batch, {}},
                         {item_kind::batch, liar, 1, tip_of(liar, 2).batch, {}}};
  leader.tell(evidence_found{batches});
  leader.tell(evidence_found{batches});
  BOOST_TEST(leader.it->look().untold_evidence == 2u);
  const auto block = proposed_on(leader, leader.genesis, {tip_of(0, 1)});
  BOOST_TEST_REQUIRE(block);
  BOOST_TEST((block->content.contradictions == std::vector{votes, batches}));
}

BOOST_AUTO_TEST_CASE(s18_one_liar_does_not_keep_out_what_others_did) {
  subject leader(first_leader);
  const auto liar = leader.other(0), another = leader.other(1);
  for (std::uint64_t seq = 1; seq < 300; ++seq)
    leader.tell(evidence_found{{{item_kind::batch, liar, seq, tip_of(liar, 1).batch, {}},
                                {item_kind::batch, liar, seq, tip_of(liar, 2).batch, {}}}});
  BOOST_TEST(leader.it->look().untold_evidence == 256u);
  hear_both(leader, two_votes(another, 2));
  BOOST_TEST(leader.it->look().untold_evidence == 257u);
}

BOOST_AUTO_TEST_CASE(s18_what_a_proposal_tells_is_verified_once_while_its_batches_are_missing) {
  subject node(not_first_leader);
  auto content = block_after(node.genesis, 1, {tip_of(0, 1)})->content;
  content.contradictions = {two_votes(0, 3), two_votes(0, 4)};
  const auto block = seal(keyed(first_leader), content);
  node.hear(first_leader, proposal{block, {}});
  BOOST_TEST(!node.effects<require_batches>().empty());
  const auto before = node.verified;
  for (int i = 0; i < 10; ++i)
    node.tell(work_changed{{tip_of(0, 1)}}); // looks at the proposal again each time
  BOOST_TEST(node.verified == before);
  node.tell(batches_ready{block->id});
  BOOST_TEST(node.voted(item_kind::notarize));
}

BOOST_AUTO_TEST_CASE(s18_a_proposal_that_slanders_gets_no_vote) {
  subject node(not_first_leader);
  auto content = block_after(node.genesis, 1, {tip_of(0, 1)})->content;
  content.contradictions = {two_votes(0, 3)};
  content.contradictions[0].second.signed_by.raw[0] ^= 1;
  node.propose(seal(keyed(first_leader), content));
  BOOST_TEST(!node.voted(item_kind::notarize));
}

BOOST_AUTO_TEST_CASE(s18_evidence_alone_is_no_work) {
  subject leader(first_leader);
  hear_both(leader, two_votes(leader.other(), 2));
  leader.after_ms(10 * delta_ms);
  BOOST_TEST(leader.said<proposal>().empty());
  BOOST_TEST(!leader.it->look().pending);
}

BOOST_AUTO_TEST_CASE(
    s18_a_block_takes_as_much_evidence_as_the_limit_allows_and_the_rest_waits) {
  subject leader(first_leader);
  for (view_number view = 2; view < 8; ++view)
    hear_both(leader, two_votes(leader.other(), view));
  const auto block = proposed_on(leader, leader.genesis, {tip_of(0, 1)});
  BOOST_TEST_REQUIRE(block);
  BOOST_TEST_REQUIRE(block->content.contradictions.size() == limits::max_block_evidence);
  for (std::size_t i = 0; i < limits::max_block_evidence; ++i)
    BOOST_TEST(block->content.contradictions[i].first.position == i + 2);
}

BOOST_AUTO_TEST_CASE(s18_what_a_final_block_tells_is_not_told_again) {
  const auto second_leader = nodes.leader(2);
  const auto tells = [&](bool first_block_tells) {
    subject leader(second_leader);
    const auto liar = leader.other();
    const auto votes = two_votes(liar, 3);
    hear_both(leader, votes);
    auto content = block_after(leader.genesis, 1, {tip_of(0, 1)})->content;
    if (first_block_tells) content.contradictions = {votes};
    const auto one = seal(keyed(first_leader), content);
    leader.propose(one);
    leader.hear(leader.other(), certified(item_kind::notarize, 1, one->id));
    const auto two = proposed_on(leader, one, {tip_of(0, 1), tip_of(1, 1)});
    BOOST_TEST_REQUIRE(two);
    const bool beside_notarized = !two->content.contradictions.empty();
    leader.hear(leader.other(), certified(item_kind::finalize, 1, one->id));
    leader.tell(evidence_found{votes}); // whoever says so again
    BOOST_TEST(leader.it->look().untold_evidence == (first_block_tells ? 0u : 1u));
    return beside_notarized;
  };
  BOOST_TEST(tells(false));
  BOOST_TEST(!tells(true)); // an ancestor carries it, final or not
}

BOOST_AUTO_TEST_CASE(a_node_whose_tables_differ_from_what_f_plus_1_others_computed_stops) {
  subject node(not_first_leader);
  const auto block = block_after(node.genesis, 1, {tip_of(0, 1)});
  node.propose(block);
  node.hear(node.other(), certified(item_kind::finalize, 1, block->id));
  node.tell(executed{1, hash(digest_kind::execution, as_bytes("mine"))});
  const auto theirs = hash(digest_kind::execution, as_bytes("theirs"));
  node.hear(node.other(0),
            attestation{keyed(node.other(0)).make(item_kind::attestation, 1, theirs)});
  BOOST_TEST(node.effects<halted>().empty()); // one may lie
  node.hear(node.other(1),
            attestation{keyed(node.other(1)).make(item_kind::attestation, 1, theirs)});
  BOOST_TEST(node.effects<halted>().size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
