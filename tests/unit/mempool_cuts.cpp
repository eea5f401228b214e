// Cuts: building them, getting what they name, and meshes of several nodes.
#include "mempool_fixture.hpp"

using namespace mempool_test;

namespace {

const digest block_a = hash(digest_kind::block, as_bytes("a"));
const digest block_b = hash(digest_kind::block, as_bytes("b"));

/// Stored here and announced by a quorum.
void give(subject& node, const std::vector<batch_ptr>& lane) {
  for (const auto& each : lane)
    node.hear_batch(each);
  for (const node_index peer : {1, 2, 3})
    node.hear(peer, have_message{{lane.back()->tip()}});
}

std::vector<lane_tip> cut_at(std::size_t n, std::vector<lane_tip> tips) {
  auto cut = empty_cut(n);
  for (const auto& each : tips)
    cut[each.lane] = each;
  return cut;
}

std::vector<lane_tip> built(subject& node, const std::vector<lane_tip>& parent_cut,
                            const digest& parent = block_a) {
  const auto answers = all<cut_built>(node.handle(cut_wanted{parent, parent_cut}));
  BOOST_TEST_REQUIRE(answers.size() == 1u);
  BOOST_TEST((answers[0].parent == parent));
  return answers[0].cut;
}

} // namespace

BOOST_AUTO_TEST_SUITE(mempool_cuts)

BOOST_AUTO_TEST_CASE(a_cut_names_the_highest_available_tips_of_the_lanes_that_moved) {
  subject node(4);
  const auto one = lane_of(1, 3), three = lane_of(3, 1);
  give(node, one);
  give(node, three);
  node.hear_batch(batch_of(2, 1, {})); // stored, but nobody announced it
  BOOST_TEST(built(node, empty_cut(4)) == (std::vector{one[2]->tip(), three[0]->tip()}),
             boost::test_tools::per_element());
  BOOST_TEST(built(node, cut_at(4, {one[2]->tip(), three[0]->tip()})).empty());
}

BOOST_AUTO_TEST_CASE(a_cut_follows_the_parents_and_never_falls_below_it) {
  subject node(4);
  const auto one = lane_of(1, 3);
  give(node, one);
  BOOST_TEST(built(node, cut_at(4, {one[0]->tip()})) == std::vector{one[2]->tip()},
             boost::test_tools::per_element());
  const lane_tip beyond{1, 7, block_b};
  BOOST_TEST(built(node, cut_at(4, {beyond})).empty());
  const lane_tip fork{1, 2, block_b};
  BOOST_TEST(built(node, cut_at(4, {fork})).empty());
}

BOOST_AUTO_TEST_CASE(a_cut_is_bounded_in_batches_and_shared_fairly) {
  subject node(4, 0, [](settings& x) { x.block_batches = 7; });
  for (node_index lane = 1; lane < 4; ++lane)
    give(node, lane_of(lane, 10));
  const auto cut = built(node, empty_cut(4));
  BOOST_TEST_REQUIRE(cut.size() == 3u);
  std::uint64_t sum = 0;
  for (const auto& each : cut) {
    BOOST_TEST(each.seq >= 2u);
    BOOST_TEST(each.seq <= 3u);
    sum += each.seq;
  }
  BOOST_TEST(sum == 7u);
}

BOOST_AUTO_TEST_CASE(where_the_limit_is_below_the_lanes_each_gets_its_turn) {
  subject node(4, 0, [](settings& x) { x.block_batches = 1; });
  for (node_index lane = 1; lane < 4; ++lane)
    give(node, lane_of(lane, 5));
  std::set<node_index> chosen;
  auto parent = block_a;
  for (int i = 0; i < 50; ++i) {
    const auto cut = built(node, empty_cut(4), parent);
    BOOST_TEST_REQUIRE(cut.size() == 1u);
    chosen.insert(cut[0].lane);
    parent = hash(digest_kind::block, bytes_view(parent.raw));
  }
  BOOST_TEST(chosen.size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_cut_is_bounded_in_bytes) {
  subject node(4, 0, [](settings& x) { x.block_payload_bytes = 35'000; });
  for (node_index lane = 1; lane < 3; ++lane)
    give(node, lane_of(lane, 5, 1, {}, 0, 10'000));
  const auto cut = built(node, empty_cut(4));
  BOOST_TEST_REQUIRE(cut.size() == 2u);
  BOOST_TEST(cut[0].seq + cut[1].seq == 3u);
}

BOOST_AUTO_TEST_CASE(batches_that_are_here_are_ready_at_once) {
  subject node(4);
  const auto one = lane_of(1, 2);
  for (const auto& each : one)
    node.hear_batch(each);
  const auto effects =
      node.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {one[1]->tip()}), false});
  const auto ready = all<batches_ready>(effects);
  BOOST_TEST_REQUIRE(ready.size() == 1u);
  BOOST_TEST((ready[0].block == block_a));
  BOOST_TEST(all<batches_ready>(
                 node.handle(batches_wanted{block_b, empty_cut(4), empty_cut(4), false}))
                 .size()
             == 1u);
}

BOOST_AUTO_TEST_CASE(cuts_that_can_never_follow_are_recognised) {
  subject node(4, 0, [](settings& x) {
    x.block_batches = 8;
    x.block_payload_bytes = 5'000;
  });
  const auto one = lane_of(1, 8, 1, {}, 0, 1'000);
  for (const auto& each : one)
    node.hear_batch(each);
  const auto invalid = [&](const std::vector<lane_tip>& parent,
                           const std::vector<lane_tip>& cut) {
    return all<batches_invalid>(node.handle(batches_wanted{block_a, parent, cut, false})).size()
           == 1;
  };
  const auto at = [&](std::size_t i) { return cut_at(4, {one[i]->tip()}); };
  const lane_tip stranger{1, 2, block_b};
  BOOST_TEST(invalid(at(2), at(1)), "backwards");
  BOOST_TEST(invalid(at(2), empty_cut(4)), "back to nothing");
  BOOST_TEST(invalid(cut_at(4, {stranger}), at(1)), "another batch of the same number");
  BOOST_TEST(invalid(cut_at(4, {stranger}), at(4)), "does not descend from the parent's");
  BOOST_TEST(invalid(empty_cut(4), at(7)), "too many bytes");
  BOOST_TEST(invalid(empty_cut(4), cut_at(4, {{1, 9, block_b}})), "too many batches");
  BOOST_TEST(invalid(empty_cut(4), cut_at(4, {{1, UINT64_MAX, block_b}})));
  BOOST_TEST(invalid(empty_cut(3), at(1)), "not one tip a lane");
  auto crossed = at(1);
  std::swap(crossed[1], crossed[2]);
  BOOST_TEST(invalid(empty_cut(4), crossed), "a tip in another lane's place");
  node.handle(cut_finalized{at(3)});
  BOOST_TEST(invalid(at(2), cut_at(4, {{1, 4, block_b}})), "contradicts the final cut");
  BOOST_TEST(!invalid(at(3), at(6)));
}

BOOST_AUTO_TEST_CASE(missing_batches_are_fetched_and_lost_answers_are_asked_of_another_peer) {
  subject node(4);
  const auto one = lane_of(1, 3);
  node.hear_batch(one[0]);
  node.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {one[2]->tip()}), true});
  std::vector<node_index> peers;
  for (int i = 0; i < 3; ++i)
    for (const auto& [to, request] :
         sent<fetch_batches>(node.wait(node.chosen.fetch_retry_ms))) {
      BOOST_TEST(request.tip == one[2]->tip());
      BOOST_TEST(request.after_seq == 1u);
      peers.push_back(to);
    }
  BOOST_TEST(
      (std::set<node_index>(peers.begin(), peers.end()) == std::set<node_index>{1, 2, 3}));
  const auto effects = node.hear(2, fetched_batches{{one[2], one[1]}});
  BOOST_TEST(std::holds_alternative<persist>(effects[0]));
  BOOST_TEST(all<batches_ready>(effects).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_lost_link_sends_its_fetches_elsewhere_at_once) {
  subject node(4);
  node.handle(
      batches_wanted{block_a, empty_cut(4), cut_at(4, {batch_of(1, 1, {})->tip()}), true});
  const auto first = sent<fetch_batches>(node.wait(100));
  BOOST_TEST_REQUIRE(first.size() == 1u);
  const auto second = sent<fetch_batches>(node.handle(peer_down{first[0].first}));
  BOOST_TEST_REQUIRE(second.size() == 1u);
  BOOST_TEST(second[0].first != first[0].first);
}

BOOST_AUTO_TEST_CASE(an_answer_that_was_cut_short_is_continued) {
  subject node(4);
  const auto one = lane_of(1, 5);
  for (const bool certified : {false, true}) {
    subject each(4);
    each.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {one[4]->tip()}), certified});
    each.wait(100);
    auto effects = each.hear(1, fetched_batches{{one[4], one[3]}});
    BOOST_TEST(each.has(one[4]) == certified, "certified batches are stored as they come");
    BOOST_TEST(all<batches_ready>(effects).empty());
    auto asked = sent<fetch_batches>(effects);
    if (asked.empty()) asked = sent<fetch_batches>(each.wait(100));
    BOOST_TEST_REQUIRE(asked.size() == 1u);
    BOOST_TEST(asked[0].second.tip == one[2]->tip());
    effects = each.hear(asked[0].first, fetched_batches{{one[2], one[1], one[0]}});
    BOOST_TEST(all<batches_ready>(effects).size() == 1u);
    BOOST_TEST(each.has(one[4]));
    BOOST_TEST(each.here->look().lanes[1].stored == one[4]->tip());
  }
}

BOOST_AUTO_TEST_CASE(an_answer_with_other_batches_or_signatures_is_not_believed) {
  subject node(4);
  const auto one = lane_of(1, 3), other = lane_of(1, 3, 1, {}, 9);
  node.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {one[2]->tip()}), true});
  node.wait(100);
  node.hear(1, fetched_batches{{other[2], other[1], other[0]}});
  node.hear(1, fetched_batches{{one[2], other[1], other[0]}});
  auto spoilt = *one[1];
  spoilt.signed_by = stamp(3, spoilt.body);
  node.wait(400);
  node.hear(1, fetched_batches{{std::make_shared<const sealed_batch>(spoilt), one[0]}});
  for (const auto& each : other)
    BOOST_TEST(!node.has(each));
  BOOST_TEST(node.has(one[2]));
  BOOST_TEST(!node.has(one[1]));
  BOOST_TEST(!node.has(one[0]));
  BOOST_TEST(all<batches_ready>(node.hear(2, fetched_batches{{one[1], one[0]}})).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_certified_fork_is_fetched_stored_and_followed) {
  subject node(4);
  const auto ours = lane_of(1, 3, 1, {}, 1);
  const auto theirs = lane_of(1, 2, 2, ours[0]->id, 2);
  for (const auto& each : ours)
    node.hear_batch(each);
  const auto cut = cut_at(4, {theirs[1]->tip()});

  // A proposal's word is not enough.
  node.handle(batches_wanted{block_a, empty_cut(4), cut, false});
  node.wait(100);
  node.hear(1, fetched_batches{{theirs[1], theirs[0]}});
  BOOST_TEST(!node.has(theirs[1]));

  node.handle(batches_wanted{block_a, empty_cut(4), cut, true});
  node.wait(400);
  const auto effects = node.hear(1, fetched_batches{{theirs[1], theirs[0]}});
  BOOST_TEST(all<batches_ready>(effects).size() == 1u);
  BOOST_TEST(node.has(theirs[0]));
  BOOST_TEST(node.has(theirs[1]));
  BOOST_TEST(node.here->look().evidence >= 1u);
  BOOST_TEST(node.here->look().lanes[1].stored == theirs[1]->tip());
  const auto have = broadcasts<have_message>(effects);
  BOOST_TEST_REQUIRE(have.size() == 1u);
  BOOST_TEST(have[0].tips[0] == ours[0]->tip()); // up to the fork, until one side is final

  // The lane goes on from there, and counts announcements of this fork.
  node.handle(cut_finalized{cut});
  const auto next = batch_of(1, 4, theirs[1]->id, 3);
  node.hear_batch(next);
  BOOST_TEST(node.has(next));
  for (const node_index peer : {1, 2})
    node.hear(peer, have_message{{next->tip()}});
  BOOST_TEST(node.here->look().lanes[1].available == next->tip());
  BOOST_TEST(!node.here->look().lanes[1].forked);
}

BOOST_AUTO_TEST_CASE(a_certified_batch_that_comes_by_itself_is_kept_though_it_forks) {
  subject node(4);
  const auto ours = batch_of(1, 1, {}, 1), theirs = batch_of(1, 1, {}, 2);
  node.hear_batch(ours);
  node.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {theirs->tip()}), true});
  const auto effects = node.hear_batch(theirs);
  BOOST_TEST(node.has(theirs));
  BOOST_TEST(all<batches_ready>(effects).size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_fork_that_became_final_elsewhere_replaces_the_chain) {
  subject node(4);
  const auto ours = lane_of(1, 3, 1, {}, 1), theirs = lane_of(1, 1, 1, {}, 2);
  for (const auto& each : ours)
    node.hear_batch(each);
  node.handle(cut_finalized{cut_at(4, {theirs[0]->tip()})});
  const auto seen = node.here->look().lanes[1];
  BOOST_TEST(seen.stored == theirs[0]->tip());
  BOOST_TEST(seen.available == theirs[0]->tip());
  const auto next = batch_of(1, 2, theirs[0]->id, 2);
  node.hear_batch(next);
  BOOST_TEST(node.has(next));
}

BOOST_AUTO_TEST_CASE(wants_at_or_below_the_final_cut_are_ready) {
  subject node(4);
  const auto one = lane_of(1, 4);
  node.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {one[1]->tip()}), false});
  const auto effects = node.handle(cut_finalized{cut_at(4, {one[1]->tip()})});
  BOOST_TEST(all<batches_ready>(effects).size() == 1u);
  BOOST_TEST(node.here->look().missing == 0u);
}

BOOST_AUTO_TEST_CASE(a_cut_that_the_final_one_passed_over_is_not_waited_for) {
  for (const bool certified : {false, true}) {
    subject node(4);
    const auto lost = batch_of(1, 1, {}, 9), real = batch_of(2, 1, {});
    node.hear_batch(real);
    const auto cut = cut_at(4, {lost->tip()});
    node.handle(batches_wanted{block_a, empty_cut(4), cut, certified});
    // Still to come: a block that follows the final one.
    const auto later = cut_at(4, {lost->tip(), real->tip()});
    node.handle(batches_wanted{block_b, empty_cut(4), later, certified});
    BOOST_TEST(node.here->look().wants == 2u);
    node.handle(cut_finalized{cut_at(4, {real->tip()})});
    BOOST_TEST(node.here->look().wants == 1u);
    node.handle(cut_finalized{cut_at(4, {batch_of(2, 2, real->id)->tip()})});
    BOOST_TEST(node.here->look().wants == 0u);
    BOOST_TEST(silent(node.wait(60'000)));
  }
}

BOOST_AUTO_TEST_CASE(proposals_of_batches_that_nobody_has_are_not_pursued_for_ever) {
  subject node(4);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const auto raw = encode(operation_of(i));
    const auto block = hash(digest_kind::block, bytes_view(raw));
    node.handle(batches_wanted{block, empty_cut(4), cut_at(4, {{1, 1 + i % 9, block}}), false});
  }
  BOOST_TEST(node.here->look().wants <= 4u * 4 + 64);
  node.wait(600'000);
  BOOST_TEST(silent(node.wait(600'000)));
  // One of them turns out to be certified: then it is.
  const auto real = batch_of(1, 1, {});
  node.handle(batches_wanted{block_a, empty_cut(4), cut_at(4, {real->tip()}), true});
  BOOST_TEST(!sent<fetch_batches>(node.wait(1000)).empty());
}

BOOST_AUTO_TEST_CASE(a_given_up_want_is_pursued_again_when_it_is_certified) {
  subject node(4);
  const auto real = batch_of(1, 1, {});
  const auto cut = cut_at(4, {real->tip()});
  node.handle(batches_wanted{block_a, empty_cut(4), cut, false});
  node.wait(60'000);
  BOOST_TEST(silent(node.wait(60'000)));
  node.handle(batches_wanted{block_b, empty_cut(4), cut, true});
  BOOST_TEST(!sent<fetch_batches>(node.wait(1000)).empty());
  BOOST_TEST(all<batches_ready>(node.hear(2, fetched_batches{{real}})).size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_work_of_every_node_becomes_final_everywhere_and_then_all_is_quiet) {
  for (const std::uint16_t n : {1, 4, 7}) {
    mesh all_of(n);
    for (std::uint32_t i = 0; i < 20; ++i)
      for (node_index k = 0; k < n; ++k)
        all_of.submit(k, {operation_of(i * 100 + k)});
    all_of.wait(20);
    const auto moved = all_of.finalize(static_cast<node_index>(n - 1));
    BOOST_TEST_REQUIRE(moved.has_value());
    BOOST_TEST(*moved == n);
    all_of.seen.clear();
    all_of.wait(10'000);
    for (const auto& [i, effects] : all_of.seen)
      BOOST_TEST(silent(effects));
    for (const auto& each : all_of.nodes)
      BOOST_TEST(each.here->look().held_bytes == 0u);
  }
}

BOOST_AUTO_TEST_CASE(work_becomes_available_though_a_third_of_all_messages_is_lost) {
  mesh all_of(4, [](settings& x) { x.batch_bytes = 2'000; });
  std::uint32_t dice = 1;
  all_of.loses = [&](const mesh::letter&) {
    dice = dice * 1664525 + 1013904223;
    return dice >> 16 & 1 && dice >> 17 & 1;
  };
  for (std::uint32_t i = 0; i < 200; ++i) {
    all_of.submit(static_cast<node_index>(i % 4), {operation_of(i, 300)});
    all_of.wait(5);
  }
  all_of.wait(20'000);
  for (const auto& each : all_of.nodes)
    for (const auto& lane : each.here->look().lanes) {
      BOOST_TEST(lane.stored.seq > 5u);
      BOOST_TEST(lane.available == lane.stored);
      BOOST_TEST(lane.stored == all_of.nodes[lane.stored.lane].here->look().own_tip);
    }
  BOOST_TEST_REQUIRE(all_of.finalize(2).value_or(0) == 4u);
}

BOOST_AUTO_TEST_CASE(a_node_that_was_away_catches_up_on_certified_cuts) {
  mesh all_of(4, [](settings& x) { x.peer_lane_window = 8; });
  all_of.loses = [](const mesh::letter& x) { return x.to == 3 || x.from == 3; };
  std::vector<std::vector<lane_tip>> cuts{all_of.final_cut};
  for (std::uint32_t i = 0; i < 40; ++i) {
    all_of.submit(0, {operation_of(i)});
    all_of.wait(10);
    if (i % 4 != 3) continue;
    auto next = all_of.final_cut;
    next[0] = all_of.nodes[0].here->look().own_tip;
    cuts.push_back(next);
    all_of.final_cut = next;
    for (node_index k = 0; k < 3; ++k)
      all_of.nodes[k].handle(cut_finalized{next});
  }
  all_of.loses = [](const mesh::letter&) { return false; };
  all_of.seen.clear();
  for (std::size_t i = 1; i < cuts.size(); ++i) {
    const auto block = hash(digest_kind::block, bytes_view(cuts[i][0].batch.raw));
    all_of.carry(3, all_of.nodes[3].handle(batches_wanted{block, cuts[i - 1], cuts[i], true}));
  }
  all_of.wait(1000);
  BOOST_TEST(all<batches_ready>(all_of.seen[3]).size() == cuts.size() - 1);
  for (std::size_t i = 1; i < cuts.size(); ++i)
    all_of.nodes[3].handle(cut_finalized{cuts[i]});
  BOOST_TEST(all_of.nodes[3].here->look().lanes[0].stored
             == all_of.nodes[0].here->look().own_tip);
}

BOOST_AUTO_TEST_CASE(after_all_nodes_restart_their_unfinal_work_becomes_available_again) {
  mesh all_of(4);
  // Only node 1 got the batch before the lights went out.
  all_of.loses = [](const mesh::letter& x) { return x.to != 1; };
  all_of.submit(0, {operation_of(1)});
  all_of.wait(10);
  all_of.loses = [](const mesh::letter&) { return false; };
  all_of.wire.clear();
  for (node_index i = 0; i < 4; ++i)
    all_of.restart(i);
  all_of.wait(2000);
  for (const auto& each : all_of.nodes)
    BOOST_TEST(each.here->look().lanes[0].available.seq == 1u);
}

BOOST_AUTO_TEST_CASE(a_lane_that_forks_stalls_only_itself_and_all_learn_of_it) {
  mesh all_of(4);
  const auto left = batch_of(3, 1, {}, 1), right = batch_of(3, 1, {}, 2);
  all_of.loses = [](const mesh::letter& x) { return x.to == 3 || x.from == 3; };
  all_of.carry(0, all_of.nodes[0].handle(received{3, batch_message{left}}));
  all_of.carry(1, all_of.nodes[1].handle(received{3, batch_message{right}}));
  all_of.run();
  all_of.submit(2, {operation_of(5)});
  all_of.wait(5000);
  for (node_index i = 0; i < 3; ++i) {
    BOOST_TEST(all_of.nodes[i].here->look().lanes[2].available.seq == 1u);
    BOOST_TEST(all_of.nodes[i].here->look().lanes[3].available.seq == 0u);
    BOOST_TEST(all_of.nodes[i].here->look().evidence == 1u);
  }
  for (node_index i = 0; i < 3; ++i)
    all_of.carry(i, all_of.nodes[i].handle(
                        cut_finalized{cut_at(4, {all_of.nodes[2].here->look().own_tip})}));
  all_of.run();
  all_of.wait(10'000);
  all_of.seen.clear();
  all_of.wait(60'000);
  for (node_index i = 0; i < 3; ++i)
    BOOST_TEST(silent(all_of.seen[i]));
}

BOOST_AUTO_TEST_CASE(the_same_events_give_the_same_effects) {
  const auto story = [] {
    mesh all_of(4, [](settings& x) { x.batch_bytes = 3'000; });
    std::uint32_t dice = 7;
    all_of.loses = [&](const mesh::letter&) {
      return ((dice = dice * 1664525 + 1013904223) >> 20) % 5 == 0;
    };
    bytes told;
    for (std::uint32_t i = 0; i < 60; ++i) {
      all_of.submit(static_cast<node_index>(i % 4), {operation_of(i, 500)});
      all_of.wait(20);
    }
    for (const auto& [i, effects] : all_of.seen)
      for (const auto& each : effects) {
        told.push_back(static_cast<std::uint8_t>(each.index()));
        wire_message message;
        if (const auto* one = std::get_if<send>(&each))
          message = one->message;
        else if (const auto* x = std::get_if<broadcast>(&each))
          message = x->message;
        else
          continue;
        const auto frame = make_frame(message);
        told.insert(told.end(), frame.begin(), frame.end());
      }
    return told;
  };
  const auto first = story();
  BOOST_TEST(first.size() > 10'000u);
  BOOST_TEST((first == story()));
}

BOOST_AUTO_TEST_SUITE_END()
