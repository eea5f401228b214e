// The lanes of others: what is stored, asked for, announced and proven.
#include "mempool_fixture.hpp"

using namespace mempool_test;

BOOST_AUTO_TEST_SUITE(mempool_lanes)

BOOST_AUTO_TEST_CASE(a_peers_batch_is_stored_and_then_announced) {
  subject node(4);
  const auto first = batch_of(1, 1, {});
  const auto effects = node.hear_batch(first);
  BOOST_TEST_REQUIRE(!effects.empty());
  BOOST_TEST(std::holds_alternative<persist>(effects[0]));
  const auto have = broadcasts<have_message>(effects);
  BOOST_TEST_REQUIRE(have.size() == 1u);
  BOOST_TEST(have[0].tips == std::vector{first->tip()}, boost::test_tools::per_element());
  BOOST_TEST(silent(node.hear_batch(first)), "the same again is no news");
}

BOOST_AUTO_TEST_CASE(a_batch_without_its_owners_signature_is_refused) {
  subject node(4);
  auto forged = *batch_of(1, 1, {});
  forged.signed_by = stamp(2, forged.body);
  BOOST_TEST(silent(node.hear(1, batch_message{std::make_shared<const sealed_batch>(forged)})));
  auto other_epoch = seal(keys_of(1), {9, 1, 1, {}, {operation_of(1)}});
  BOOST_TEST(silent(node.hear(1, batch_message{other_epoch})));
  BOOST_TEST(silent(node.hear(1, batch_message{batch_of(4, 1, {})})), "there is no lane 4");
  BOOST_TEST(silent(node.hear(1, batch_message{nullptr})));
  BOOST_TEST(silent(node.hear(1, batch_message{batch_of(1, 0, {})})), "lanes begin at 1");
  BOOST_TEST(node.here->look().dropped == 5u);
}

BOOST_AUTO_TEST_CASE(a_batch_that_no_block_could_hold_is_refused_however_it_comes) {
  subject node(4, 0, [](settings& x) { x.block_payload_bytes = 5'000; });
  const auto large = batch_of(1, 1, {}, 0, 5'000), small = batch_of(1, 1, {}, 0, 1'000);
  BOOST_TEST(silent(node.hear_batch(large)));
  auto cut = empty_cut(4);
  cut[1] = large->tip();
  node.handle(batches_wanted{large->id, empty_cut(4), cut, true});
  BOOST_TEST_REQUIRE(sent<fetch_batches>(node.wait(400)).size() > 0u);
  BOOST_TEST(all<batches_ready>(node.hear(1, fetched_batches{{large}})).empty());
  BOOST_TEST(!node.has(large));
  BOOST_TEST(node.here->look().dropped == 2u);
  node.hear_batch(small);
  BOOST_TEST(node.has(small));
}

BOOST_AUTO_TEST_CASE(a_batch_whose_arguments_were_erased_is_no_work) {
  subject node(4);
  const auto full = batch_of(1, 1, {});
  const std::uint32_t first[] = {0};
  const auto less = erase_arguments(*full, first);
  BOOST_TEST((less->id == full->id));
  BOOST_TEST(silent(node.hear(1, batch_message{less})));
  auto cut = empty_cut(4);
  cut[1] = full->tip();
  node.handle(batches_wanted{full->id, empty_cut(4), cut, false});
  BOOST_TEST_REQUIRE(sent<fetch_batches>(node.wait(400)).size() > 0u);
  node.hear(1, fetched_batches{{less}});
  BOOST_TEST(!node.has(full));
  BOOST_TEST(node.here->look().dropped == 2u);
  node.hear_batch(full);
  BOOST_TEST(node.has(full));
}

BOOST_AUTO_TEST_CASE(a_batch_that_a_quorum_chose_is_taken_as_it_is_left) {
  subject node(4);
  const auto full = batch_of(1, 1, {});
  const std::uint32_t first[] = {0};
  const auto less = erase_arguments(*full, first);
  auto cut = empty_cut(4);
  cut[1] = full->tip();
  node.handle(batches_wanted{full->id, empty_cut(4), cut, true});
  node.wait(100);
  const auto effects = node.hear(2, fetched_batches{{less}});
  BOOST_TEST(all<batches_ready>(effects).size() == 1u);
  BOOST_TEST(node.has(full));
}

BOOST_AUTO_TEST_CASE(a_tip_is_available_when_a_quorum_announced_it) {
  subject node(4);
  const auto first = batch_of(1, 1, {});
  BOOST_TEST(all<work_changed>(node.hear_batch(first)).empty());
  BOOST_TEST(all<work_changed>(node.hear(1, have_message{{first->tip()}})).empty());
  BOOST_TEST(all<work_changed>(node.hear(1, have_message{{first->tip()}})).empty(),
             "one node counts once");
  const auto work = all<work_changed>(node.hear(2, have_message{{first->tip()}}));
  BOOST_TEST_REQUIRE(work.size() == 1u);
  BOOST_TEST(work[0].available == std::vector{first->tip()}, boost::test_tools::per_element());
  auto cut = empty_cut(4);
  cut[1] = first->tip();
  const auto done = all<work_changed>(node.handle(cut_finalized{cut}));
  BOOST_TEST_REQUIRE(done.size() == 1u);
  BOOST_TEST(done[0].available.empty());
}

BOOST_AUTO_TEST_CASE(an_announcement_of_a_later_batch_supports_all_before_it) {
  subject node(4);
  const auto lane = lane_of(1, 3);
  for (const auto& each : lane)
    node.hear_batch(each);
  node.hear(1, have_message{{lane[2]->tip()}});
  const auto work = all<work_changed>(node.hear(2, have_message{{lane[1]->tip()}}));
  BOOST_TEST_REQUIRE(work.size() == 1u);
  BOOST_TEST(work[0].available[0] == lane[1]->tip());
}

BOOST_AUTO_TEST_CASE(announcements_that_came_before_the_batch_count_once_it_is_here) {
  subject node(4);
  const auto lane = lane_of(1, 20);
  for (const auto& each : lane)
    for (const node_index peer : {1, 2})
      node.hear(peer, have_message{{each->tip()}});
  BOOST_TEST(node.here->look().lanes[1].available.seq == 0u);
  for (std::size_t i = 0; i < 5; ++i)
    node.hear_batch(lane[i]);
  BOOST_TEST(node.here->look().lanes[1].available.seq == 5u);
  for (std::size_t i = 5; i < 20; ++i)
    node.hear_batch(lane[i]);
  BOOST_TEST(node.here->look().lanes[1].available.seq == 20u);
}

BOOST_AUTO_TEST_CASE(an_announcement_of_another_fork_supports_nothing) {
  subject node(4);
  const auto ours = batch_of(1, 1, {}, 1), theirs = batch_of(1, 1, {}, 2);
  node.hear_batch(ours);
  node.hear(1, have_message{{ours->tip()}});
  const auto effects = node.hear(2, have_message{{theirs->tip()}});
  BOOST_TEST(all<work_changed>(effects).empty());
  const auto proof = all<serve_batches>(effects);
  BOOST_TEST_REQUIRE(proof.size() == 1u, "the peer is shown our batch, so that it has both");
  BOOST_TEST(proof[0].to == 2);
  BOOST_TEST(proof[0].request.tip == ours->tip());
}

BOOST_AUTO_TEST_CASE(a_second_batch_for_one_place_is_evidence_once_and_is_not_stored) {
  subject node(4);
  const auto first = batch_of(1, 1, {}, 1), second = batch_of(1, 1, {}, 2),
             third = batch_of(1, 1, {}, 3);
  node.hear_batch(first);
  const auto effects = node.hear_batch(second);
  const auto shown = all<observed>(effects);
  BOOST_TEST_REQUIRE(shown.size() == 1u);
  BOOST_TEST(contradicts(shown[0].what.first, shown[0].what.second));
  BOOST_TEST(node.chosen.keys.check(shown[0].what.first));
  BOOST_TEST(node.chosen.keys.check(shown[0].what.second));
  BOOST_TEST(!node.has(second));
  BOOST_TEST(silent(node.hear_batch(second)));
  BOOST_TEST(silent(node.hear_batch(third)));
  BOOST_TEST(node.here->look().evidence == 1u);
  BOOST_TEST(node.here->look().lanes[1].forked);
}

BOOST_AUTO_TEST_CASE(evidence_also_comes_from_a_peers_proof_that_was_not_asked_for) {
  subject node(4);
  const auto first = batch_of(1, 1, {}, 1), second = batch_of(1, 1, {}, 2);
  node.hear_batch(first);
  BOOST_TEST(all<observed>(node.hear(3, fetched_batches{{second}})).size() == 1u);
  BOOST_TEST(!node.has(second));
  BOOST_TEST(silent(node.hear(3, fetched_batches{{batch_of(2, 1, {})}})),
             "a batch that contradicts nothing and was not asked for is not kept");
}

BOOST_AUTO_TEST_CASE(a_gap_is_fetched_and_the_batches_after_it_are_stored_in_order) {
  subject node(4);
  const auto lane = lane_of(1, 4);
  node.hear_batch(lane[0]);
  BOOST_TEST(!node.has(lane[3]));
  node.hear_batch(lane[3]);
  BOOST_TEST(!node.has(lane[3]));
  const auto asked = sent<fetch_batches>(node.wait(100));
  BOOST_TEST_REQUIRE(asked.size() == 1u);
  BOOST_TEST(asked[0].second.tip == lane[2]->tip());
  BOOST_TEST(asked[0].second.after_seq == 1u);
  const auto effects = node.hear(asked[0].first, fetched_batches{{lane[2], lane[1]}});
  const auto kept = all<persist>(effects);
  BOOST_TEST_REQUIRE(kept.size() == 1u);
  BOOST_TEST_REQUIRE(kept[0].batches.size() == 3u);
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(kept[0].batches[i]->content.seq == i + 2);
  BOOST_TEST(node.here->look().lanes[1].stored == lane[3]->tip());
  BOOST_TEST(node.here->look().held_bytes == 0u);
  BOOST_TEST(node.here->look().missing == 0u);
}

BOOST_AUTO_TEST_CASE(what_peers_announced_and_did_not_come_is_fetched_from_them_in_turn) {
  subject node(4);
  const auto lane = lane_of(1, 2);
  node.hear(2, have_message{{lane[1]->tip()}});
  node.hear(3, have_message{{lane[1]->tip()}});
  BOOST_TEST(silent(node.wait(node.chosen.fetch_retry_ms - 1)));
  std::set<node_index> peers;
  for (int i = 0; i < 2; ++i) {
    const auto asked = sent<fetch_batches>(node.wait(i == 0 ? 1 : node.chosen.fetch_retry_ms));
    BOOST_TEST_REQUIRE(asked.size() == 1u);
    BOOST_TEST(asked[0].second.tip == lane[1]->tip());
    BOOST_TEST(asked[0].second.after_seq == 0u);
    peers.insert(asked[0].first);
  }
  BOOST_TEST((peers == std::set<node_index>{2, 3}));
  node.hear(3, fetched_batches{{lane[1], lane[0]}});
  BOOST_TEST(node.here->look().lanes[1].stored == lane[1]->tip());
}

BOOST_AUTO_TEST_CASE(a_liar_does_not_keep_a_node_from_what_others_truly_have) {
  subject node(4);
  const auto lane = lane_of(1, 2);
  const lane_tip lie{1, 900, hash(digest_kind::batch, as_bytes("no such batch"))};
  node.hear(3, have_message{{lie}});
  node.hear(2, have_message{{lane[1]->tip()}});
  bool asked_honest = false;
  for (const auto& [to, request] : sent<fetch_batches>(node.wait(2000)))
    asked_honest = asked_honest || (to == 2 && request.tip == lane[1]->tip());
  BOOST_TEST(asked_honest);
  node.hear(2, fetched_batches{{lane[1], lane[0]}});
  node.wait(60'000);
  BOOST_TEST(node.has(lane[1]));
  auto cut = empty_cut(4);
  cut[1] = lane[1]->tip();
  node.handle(cut_finalized{cut});
  node.wait(60'000);
  BOOST_TEST(silent(node.wait(600'000)), "a lie is pursued a while, not for ever");
}

BOOST_AUTO_TEST_CASE(what_a_cut_waits_for_in_vain_does_not_hide_what_others_announced) {
  subject node(4);
  const auto theirs = batch_of(1, 1, {}, 1), real = batch_of(1, 1, {}, 2);
  auto cut = empty_cut(4);
  cut[1] = theirs->tip();
  node.handle(batches_wanted{theirs->id, empty_cut(4), cut, false});
  node.hear(1, have_message{{theirs->tip()}});
  node.hear(3, have_message{{real->tip()}});
  bool asked_honest = false;
  for (const auto& [to, request] : sent<fetch_batches>(node.wait(2000)))
    asked_honest = asked_honest || (to == 3 && request.tip == real->tip());
  BOOST_TEST(asked_honest);
  node.hear(3, fetched_batches{{real}});
  BOOST_TEST(node.has(real));
}

BOOST_AUTO_TEST_CASE(who_announced_another_batch_for_the_place_is_no_reason_to_ask_again) {
  subject node(4);
  const auto theirs = batch_of(1, 1, {}, 1), real = batch_of(1, 1, {}, 2);
  auto cut = empty_cut(4);
  cut[1] = theirs->tip();
  node.handle(batches_wanted{theirs->id, empty_cut(4), cut, false});
  node.wait(60'000);
  const auto asked_for = [&](const batch_ptr& what) {
    std::size_t count = 0;
    for (const auto& [to, request] : sent<fetch_batches>(node.wait(10'000)))
      count += request.tip == what->tip();
    return count;
  };
  node.hear(3, have_message{{real->tip()}});
  BOOST_TEST(asked_for(theirs) == 0u);
  node.hear(3, have_message{{theirs->tip()}});
  BOOST_TEST(asked_for(theirs) > 0u);
}

BOOST_AUTO_TEST_CASE(who_repeats_what_it_does_not_give_is_asked_ever_more_rarely) {
  subject node(4);
  const auto real = batch_of(1, 1, {});
  const auto asks = [&](std::int64_t seconds) {
    std::map<node_index, std::size_t> count;
    for (std::int64_t i = 0; i < seconds; ++i) {
      node.hear(3, have_message{{real->tip()}});
      for (const auto& [to, request] : sent<fetch_batches>(node.wait(1000)))
        ++count[to];
    }
    return count;
  };
  asks(60);
  const auto later = asks(320);
  BOOST_TEST(later.at(3) <= 80u);
  BOOST_TEST(later.at(3) > 20u, "it may have been the truth");
  BOOST_TEST(later.size() == 1u, "nobody else has to hear of it");

  node.hear(2, have_message{{real->tip()}});
  BOOST_TEST(sent<fetch_batches>(node.wait(node.chosen.fetch_retry_ms)).size() > 0u,
             "another's word is another matter");
  node.wait(16'000);
  node.hear(3, have_message{{real->tip()}});
  BOOST_TEST(sent<fetch_batches>(node.wait(node.chosen.fetch_retry_ms)).size() > 0u);
  node.hear(3, fetched_batches{{real}});
  BOOST_TEST(node.has(real));
}

BOOST_AUTO_TEST_CASE(
    who_takes_back_what_it_announced_and_says_it_again_is_asked_no_more_often) {
  subject node(4);
  const auto said = batch_of(1, 1, {})->tip();
  const auto beyond = node.chosen.peer_lane_window;
  std::size_t asked = 0;
  const auto count = [&](const std::vector<effect>& effects) {
    asked += sent<fetch_batches>(effects).size();
  };
  for (int i = 0; i < 320; ++i) {
    count(node.hear(3, have_message{{said}}));
    count(node.wait(1000));
    // Too far on to be asked for, and then less: what it said first is forgotten.
    for (const auto seq : {beyond + 2, beyond + 1})
      count(node.hear(3, have_message{{{1, seq, said.batch}}}));
  }
  BOOST_TEST(asked > 20u);
  BOOST_TEST(asked <= 100u);
}

BOOST_AUTO_TEST_CASE(who_announces_something_else_all_the_time_is_asked_one_thing_at_a_time) {
  subject node(4);
  std::size_t asked = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const auto raw = encode(operation_of(i));
    const lane_tip said{1, 1 + i % 9, hash(digest_kind::batch, bytes_view(raw))};
    asked += sent<fetch_batches>(node.hear(3, have_message{{said}})).size();
    asked += sent<fetch_batches>(node.wait(1)).size();
  }
  BOOST_TEST(asked > 0u);
  BOOST_TEST(asked <= 4u);
}

BOOST_AUTO_TEST_CASE(a_batch_whose_parents_nobody_has_is_given_up) {
  subject node(4);
  node.hear_batch(batch_of(1, 50, hash(digest_kind::batch, as_bytes("invented"))));
  BOOST_TEST(node.here->look().held_bytes > 0u);
  BOOST_TEST(!sent<fetch_batches>(node.wait(30'000)).empty());
  BOOST_TEST(silent(node.wait(600'000)));
  BOOST_TEST(node.here->look().held_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(batches_beyond_the_window_are_not_kept) {
  subject node(4, 0, [](settings& x) { x.peer_lane_window = 10; });
  const auto lane = lane_of(1, 12);
  BOOST_TEST(silent(node.hear_batch(lane[10])));
  node.hear_batch(lane[9]);
  BOOST_TEST(node.here->look().held_bytes == lane[9]->body.size());
  for (std::size_t i = 0; i < 12; ++i)
    node.hear_batch(lane[i]);
  BOOST_TEST(node.here->look().lanes[1].stored == lane[9]->tip());
  auto cut = empty_cut(4);
  cut[1] = lane[4]->tip();
  node.handle(cut_finalized{cut});
  node.hear_batch(lane[10]);
  BOOST_TEST(node.here->look().lanes[1].stored == lane[10]->tip());
}

BOOST_AUTO_TEST_CASE(memory_for_batches_that_wait_is_bounded_and_what_was_given_up_comes_back) {
  subject node(4, 0, [](settings& x) {
    x.block_payload_bytes = 200'000;
    x.peer_lane_window = 100;
  });
  const auto lane = lane_of(1, 100, 1, {}, 0, 10'000);
  for (std::size_t i = 99; i > 0; --i)
    node.hear_batch(lane[i]);
  BOOST_TEST(node.here->look().held_bytes <= 2 * node.chosen.block_payload_bytes);
  node.hear_batch(lane[0]);
  for (int round = 0; round < 20 && !node.has(lane[99]); ++round)
    for (const auto& [to, request] : sent<fetch_batches>(node.wait(100))) {
      fetched_batches answer;
      for (auto seq = request.tip.seq; seq > request.after_seq; --seq)
        answer.batches.push_back(lane[seq - 1]);
      node.hear(to, answer);
    }
  BOOST_TEST(node.has(lane[99]));
  BOOST_TEST(node.here->look().held_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(hostile_announcements_and_requests_change_nothing) {
  subject node(4);
  const digest any = hash(digest_kind::batch, as_bytes("any"));
  node.hear(3, have_message{std::vector<lane_tip>(5, lane_tip{1, 1, any})});
  BOOST_TEST(
      silent(node.hear(3, have_message{{{77, 1, any}, {1, 0, {}}, {1, UINT64_MAX, any}}})));
  node.hear(3, fetch_batches{{99, 1, any}, 0});
  node.hear(3, fetch_batches{{1, 0, {}}, 0});
  node.hear(3, fetch_batches{{1, 5, any}, 5});
  node.hear(3, fetch_batches{{1, 5, any}, 0}); // plausible, but not here
  node.hear(3, fetched_batches{});
  node.hear(3, fetched_batches{{nullptr}});
  node.handle(received{9, have_message{{{1, 1, any}}}});
  node.handle(cut_wanted{any, {}});
  node.handle(cut_finalized{{{99, 5, any}}});
  BOOST_TEST(silent(node.wait(60'000)));
  BOOST_TEST(node.here->look().missing == 0u);
  BOOST_TEST(node.disk.empty());
}

BOOST_AUTO_TEST_CASE(a_peer_is_served_a_bounded_number_of_requests_in_a_time) {
  subject node(4);
  const auto first = batch_of(1, 1, {});
  node.hear_batch(first);
  std::size_t served = 0;
  for (int i = 0; i < 1000; ++i)
    served += all<serve_batches>(node.hear(3, fetch_batches{first->tip(), 0})).size();
  BOOST_TEST(served > 0u);
  BOOST_TEST(served <= 16u);
  BOOST_TEST(all<serve_batches>(node.hear(2, fetch_batches{first->tip(), 0})).size() == 1u,
             "another peer does not pay for it");
  node.wait(100);
  BOOST_TEST(all<serve_batches>(node.hear(3, fetch_batches{first->tip(), 0})).size() == 1u);
}

// Else it waits for an answer that does not come, and takes an honest peer for one that has
// nothing.
BOOST_AUTO_TEST_CASE(a_peer_is_asked_no_more_than_it_serves) {
  constexpr std::uint16_t n = 60;
  subject asker(n), server(n, 1);
  auto cut = empty_cut(n);
  std::map<lane_tip, batch_ptr> all_of_them;
  for (node_index lane = 2; lane < n; ++lane) {
    const auto first = batch_of(lane, 1, {});
    server.hear_batch(first);
    all_of_them.emplace(cut[lane] = first->tip(), first);
    asker.handle(peer_down{lane});
  }
  const auto block = hash(digest_kind::block, as_bytes("block"));
  auto effects = asker.handle(batches_wanted{block, empty_cut(n), cut, true});
  std::size_t refused = 0;
  while (asker.disk.size() < all_of_them.size() && asker.now_ms < 60'000) {
    const auto asked = sent<fetch_batches>(effects);
    effects.clear();
    for (const auto& [to, request] : asked) {
      BOOST_TEST_REQUIRE(to == 1);
      if (all<serve_batches>(server.hear(0, request)).empty()) {
        ++refused;
        continue;
      }
      auto more = asker.hear(1, fetched_batches{{all_of_them.at(request.tip)}});
      std::move(more.begin(), more.end(), std::back_inserter(effects));
    }
    if (!asked.empty()) continue;
    effects = asker.wait(10);
    server.now_ms = asker.now_ms;
  }
  BOOST_TEST(asker.disk.size() == all_of_them.size());
  BOOST_TEST(refused == 0u);
}

BOOST_AUTO_TEST_CASE(a_new_link_gets_the_whole_vector) {
  subject node(4);
  const auto mine = batch_of(1, 1, {}), other = batch_of(2, 1, {});
  node.hear_batch(mine);
  node.hear_batch(other);
  auto cut = empty_cut(4);
  cut[1] = mine->tip();
  node.handle(cut_finalized{cut});
  const auto have = sent<have_message>(node.handle(peer_up{3}));
  BOOST_TEST_REQUIRE(have.size() == 1u);
  BOOST_TEST(have[0].first == 3);
  BOOST_TEST(have[0].second.tips == (std::vector{mine->tip(), other->tip()}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(
    announcements_repeat_while_something_is_pending_and_stop_when_it_is_final) {
  subject node(4);
  const auto first = batch_of(1, 1, {});
  node.hear_batch(first);
  BOOST_TEST(broadcasts<have_message>(node.wait(node.chosen.announce_ms)).size() == 1u);
  BOOST_TEST(!broadcasts<have_message>(node.wait(60'000)).empty());
  auto cut = empty_cut(4);
  cut[1] = first->tip();
  node.handle(cut_finalized{cut});
  BOOST_TEST(silent(node.wait(600'000)));
  BOOST_TEST(!node.alarm_ms.has_value());
}

BOOST_AUTO_TEST_CASE(who_comes_back_is_shown_the_proof_of_a_fork_again) {
  subject node(4);
  const auto ours = batch_of(1, 1, {}, 1), theirs = batch_of(1, 1, {}, 2);
  node.hear_batch(ours);
  node.hear_batch(theirs);
  const auto shown = [&] {
    return sent<fork_evidence>(node.hear(2, have_message{{theirs->tip()}})).size();
  };
  BOOST_TEST(shown() > 0u);
  BOOST_TEST(shown() == 0u); // not twice in a short time
  node.handle(peer_down{2});
  node.handle(peer_up{2}); // it may have been started anew, and have forgotten
  BOOST_TEST(shown() > 0u);
}

BOOST_AUTO_TEST_CASE(of_many_forks_the_last_is_shown_too_once_the_others_are_final) {
  subject node(4);
  const auto ours = lane_of(1, 5, 1, {}, 1), theirs = lane_of(1, 5, 1, {}, 2);
  for (std::size_t i = 0; i < 5; ++i)
    node.hear_batch(ours[i]), node.hear_batch(theirs[i]);
  BOOST_TEST(node.here->look().evidence == 5u);
  auto cut = empty_cut(4);
  cut[1] = ours[3]->tip();
  node.handle(cut_finalized{cut});
  const auto shown = sent<fork_evidence>(node.hear(2, have_message{{ours[4]->tip()}}));
  BOOST_TEST_REQUIRE(shown.size() == 1u);
  BOOST_TEST(shown[0].first == 2);
  const auto& what = shown[0].second.what;
  BOOST_TEST(what.first.position == 5u);
  BOOST_TEST(contradicts(what.first, what.second));

  subject waits(4, 2);
  for (const auto& each : ours)
    waits.hear_batch(each);
  waits.handle(cut_finalized{cut});
  BOOST_TEST(!silent(waits.wait(60'000)), "the last place is work");
  const auto told = all<observed>(waits.hear(0, shown[0].second));
  BOOST_TEST_REQUIRE(told.size() == 1u);
  BOOST_TEST((told[0].what == what));
  waits.wait(10'000);
  BOOST_TEST(silent(waits.wait(600'000)), "it is none any more");
}

namespace {
/// Each check of a signature adds one to `checks`, which lives as long as the machine.
void count_checks(settings& x, std::size_t& checks) {
  x.keys.verify = [&checks, verify = x.keys.verify](auto&&... args) {
    ++checks;
    return verify(args...);
  };
}

evidence fork_at(node_index lane, std::uint64_t seq) {
  return {batch_of(lane, seq, {}, 1)->as_item(), batch_of(lane, seq, {}, 2)->as_item()};
}
} // namespace

BOOST_AUTO_TEST_CASE(evidence_of_a_fork_is_believed_without_a_body) {
  subject node(4);
  const auto effects = node.hear(3, fork_evidence{fork_at(1, 2)});
  BOOST_TEST(all<observed>(effects).size() == 1u);
  BOOST_TEST(node.here->look().lanes[1].forked);
  BOOST_TEST(silent(node.hear(2, fork_evidence{fork_at(1, 2)})), "once a place");
  BOOST_TEST(silent(node.hear_batch(batch_of(1, 2, {}, 1))), "a side of it is no work");

  const auto shown = sent<fork_evidence>(node.hear(2, have_message{{{1, 2, chain_id()}}}));
  BOOST_TEST_REQUIRE(shown.size() == 1u);
  BOOST_TEST((shown[0].second.what == fork_at(1, 2)));
}

BOOST_AUTO_TEST_CASE(hostile_evidence_of_a_fork_changes_nothing) {
  std::size_t checks = 0;
  subject node(4, 0, [&](settings& x) {
    x.peer_lane_window = 10;
    count_checks(x, checks);
  });
  const auto lane = lane_of(1, 3);
  auto cut = empty_cut(4);
  cut[1] = lane[2]->tip();
  node.handle(cut_finalized{cut});
  const auto true_one = fork_at(1, 5);
  node.hear(3, fork_evidence{true_one});
  BOOST_TEST(checks == 2u);

  const auto changed = [](auto change) {
    auto x = fork_at(1, 4);
    change(x);
    return x;
  };
  const auto signed_by_1 = [](item_kind kind, std::uint64_t position, std::string_view what) {
    return keys_of(1).make(kind, position, hash(digest_kind::batch, as_bytes(what)));
  };
  const evidence not_worth_a_check[] = {
      {},
      true_one,
      {true_one.second, true_one.first},
      fork_at(1, 3),
      fork_at(1, 14),
      fork_at(1, UINT64_MAX),
      fork_at(2, 0),
      fork_at(4, 1),
      {signed_by_1(item_kind::notarize, 4, "a"), signed_by_1(item_kind::notarize, 4, "b")},
      {signed_by_1(item_kind::batch, 4, "a"), signed_by_1(item_kind::proposal, 4, "b")},
      changed([](evidence& x) { x.second = x.first; }),
      changed([](evidence& x) { x.second = batch_of(1, 6, {}, 2)->as_item(); }),
      changed([](evidence& x) { x.second = batch_of(2, 4, {}, 2)->as_item(); }),
  };
  for (const auto& each : not_worth_a_check)
    BOOST_TEST(silent(node.hear(3, fork_evidence{each})));
  BOOST_TEST(checks == 2u);

  const evidence badly_signed[] = {
      changed([](evidence& x) { x.first.signed_by = {}; }),
      changed([](evidence& x) { x.second.signed_by = {}; }),
      changed([](evidence& x) { std::swap(x.first.signed_by, x.second.signed_by); }),
      changed([](evidence& x) { x.first.signer = x.second.signer = 2; }),
  };
  for (const auto& each : badly_signed) {
    checks = 0;
    BOOST_TEST(silent(node.hear(3, fork_evidence{each})));
    BOOST_TEST(checks <= 2u);
  }
  BOOST_TEST(node.here->look().dropped
             == std::size(not_worth_a_check) + std::size(badly_signed));
  BOOST_TEST(node.here->look().evidence == 1u);
  BOOST_TEST(!node.here->look().lanes[2].forked);
}

BOOST_AUTO_TEST_CASE(a_link_that_brings_bad_signatures_is_not_heard_for_a_while) {
  std::size_t checks = 0;
  subject node(4, 0, [&](settings& x) { count_checks(x, checks); });
  const auto forged = [](const batch_ptr& x) {
    auto made = *x;
    made.signed_by = {};
    return std::make_shared<const sealed_batch>(std::move(made));
  };
  node.hear_batch(batch_of(1, 1, {}, 0)); // that a forged one may seem to fork
  fetched_batches unasked;
  for (std::uint64_t i = 1; i <= 100; ++i)
    unasked.batches.push_back(forged(batch_of(1, 1, {}, i)));
  checks = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    node.hear(3, batch_message{forged(batch_of(2, 1, {}, i))});
    node.hear(3, fork_evidence{{forged(batch_of(2, 2, {}, i))->as_item(),
                                batch_of(2, 2, {}, 0)->as_item()}});
    node.hear(3, unasked);
  }
  BOOST_TEST(checks <= 10u);
  const auto lane = lane_of(2, 3);
  node.hear(3, batch_message{lane[0]});
  BOOST_TEST(!node.has(lane[0]));

  node.hear(2, batch_message{lane[0]});
  BOOST_TEST(node.has(lane[0]), "others are heard");
  node.wait(1000);
  node.hear(3, batch_message{lane[1]});
  BOOST_TEST(node.has(lane[1]), "and so is that link later");
}

BOOST_AUTO_TEST_CASE(a_signature_is_not_checked_where_it_changes_nothing) {
  std::size_t checks = 0;
  subject node(4, 0, [&](settings& x) { count_checks(x, checks); });
  const auto lane = lane_of(1, 3);
  node.hear_batch(lane[0]);
  BOOST_TEST(checks == 1u);
  for (std::uint32_t i = 1; i <= 100; ++i)
    node.hear_batch(batch_of(1, 2, batch_of(1, 1, {}, i)->id, i));
  BOOST_TEST(checks == 1u, "they do not follow the tip");
  BOOST_TEST(node.here->look().dropped == 100u);

  node.hear_batch(lane[1]);
  BOOST_TEST(node.has(lane[1]), "they keep nobody from it");
  BOOST_TEST(checks == 2u);
  for (std::uint32_t i = 1; i <= 100; ++i)
    node.hear_batch(batch_of(1, 2, batch_of(1, 1, {}, i)->id, i));
  BOOST_TEST(checks == 3u, "the first of them is evidence, once a place");
  BOOST_TEST(node.here->look().evidence == 1u);
}

BOOST_AUTO_TEST_CASE(of_what_waits_in_memory_each_signature_is_checked_once) {
  std::size_t checks = 0;
  subject node(4, 0, [&](settings& x) {
    x.block_payload_bytes = 2000; // so bodies beyond twice that are given up at once
    count_checks(x, checks);
  });
  const auto lane = lane_of(1, 10, 1, {}, 0, 400);
  for (int i = 0; i < 100; ++i)
    for (std::size_t k = 2; k < lane.size(); ++k)
      node.hear_batch(lane[k]);
  BOOST_TEST(checks == lane.size() - 2);
  BOOST_TEST(node.here->look().held_bytes < lane.size() * 400u);

  auto other = *lane.back(); // an owner can sign one batch in many ways
  other.signed_by.raw[63] ^= 1;
  node.hear_batch(std::make_shared<const sealed_batch>(other));
  BOOST_TEST(checks == lane.size() - 2);

  node.hear_batch(lane[0]);
  for (auto each = lane.rbegin(); each != lane.rend(); ++each)
    node.hear_batch(*each);
  for (const auto& each : lane)
    node.hear_batch(each);
  for (const auto& each : lane)
    BOOST_TEST(node.has(each));
  BOOST_TEST(checks == lane.size());
}

BOOST_AUTO_TEST_CASE(an_answer_that_comes_again_and_again_costs_no_checks) {
  std::size_t checks = 0;
  subject node(4, 0, [&](settings& x) { count_checks(x, checks); });
  const auto branch = [](std::uint32_t number) {
    auto out = lane_of(1, 5, 1, {}, number);
    out.erase(out.begin()); // so nothing of it can be stored
    std::reverse(out.begin(), out.end());
    return out;
  };
  const auto answer = [&](const std::vector<batch_ptr>& x) {
    node.hear(1, have_message{{x.front()->tip()}});
    node.hear(1, fetched_batches{x});
  };
  const auto first = branch(0);
  for (int i = 0; i < 100; ++i)
    answer(first);
  BOOST_TEST(checks == first.size());

  checks = 0;
  for (std::uint32_t i = 1; i <= 100; ++i)
    answer(branch(i));
  BOOST_TEST(checks == first.size(), "one more of each place, as evidence");
  BOOST_TEST(node.here->look().evidence == first.size());
}

BOOST_AUTO_TEST_CASE(after_a_restart_a_fork_on_disk_is_no_work) {
  subject node(4);
  const auto ours = batch_of(1, 1, {}, 1), theirs = batch_of(1, 1, {}, 2);
  recovered from{empty_cut(4), {}};
  for (const auto& each : {ours, theirs})
    from.stored.push_back({each->tip(), each->content.parent, each->body.size(),
                           each->content.operations.size(), each->signed_by});
  node.here = std::make_unique<machine>(node.chosen, std::move(from));
  node.handle(started{});
  for (const node_index peer : {1, 2})
    for (const auto& each : {ours, theirs})
      node.hear(peer, have_message{{each->tip()}});
  BOOST_TEST(node.here->look().lanes[1].forked);
  BOOST_TEST(node.here->look().lanes[1].available.seq == 0u);

  const auto shown = sent<fork_evidence>(node.hear(3, have_message{{ours->tip()}}));
  BOOST_TEST_REQUIRE(shown.size() == 1u, "who saw one side only is shown the fork");
  const auto& what = shown[0].second.what;
  BOOST_TEST(contradicts(what.first, what.second));
  BOOST_TEST(node.chosen.keys.check(what.first));
  BOOST_TEST(node.chosen.keys.check(what.second));
}

// Who does not know of the fork waits for their announcements.
BOOST_AUTO_TEST_CASE(what_lies_below_a_fork_is_announced_until_it_is_final) {
  subject node(4);
  const auto lane = lane_of(1, 2);
  for (const auto& each : lane)
    node.hear_batch(each);
  node.hear(3, fork_evidence{fork_at(1, 3)});
  node.wait(60'000);
  BOOST_TEST(!broadcasts<have_message>(node.wait(60'000)).empty());
  auto cut = empty_cut(4);
  cut[1] = lane[1]->tip();
  node.handle(cut_finalized{cut});
  node.wait(10'000);
  BOOST_TEST(silent(node.wait(600'000)));
}

BOOST_AUTO_TEST_CASE(a_lane_known_to_be_forked_does_not_keep_the_node_awake) {
  subject node(4);
  node.hear_batch(batch_of(1, 1, {}, 1));
  node.hear_batch(batch_of(1, 1, {}, 2));
  node.wait(10'000);
  BOOST_TEST(silent(node.wait(600'000)));
}

BOOST_AUTO_TEST_CASE(a_fork_is_proven_though_the_body_of_one_side_was_given_up) {
  subject node(4, 0, [](settings& x) {
    x.block_payload_bytes = 20'000;
    x.peer_lane_window = 100;
  });
  const auto lane = lane_of(1, 20, 1, {}, 0, 10'000), fork = lane_of(1, 20, 1, {}, 1, 10'000);
  for (std::size_t i = 19; i > 0; --i)
    node.hear_batch(lane[i]);
  BOOST_TEST_REQUIRE(node.here->look().held_bytes < 19 * lane[0]->body.size());
  node.hear_batch(fork[19]); // the bodies that link last went first
  BOOST_TEST(node.here->look().lanes[1].forked);
  const auto shown = sent<fork_evidence>(node.hear(2, have_message{{lane[19]->tip()}}));
  BOOST_TEST_REQUIRE(shown.size() == 1u);
  BOOST_TEST((shown[0].second.what == evidence{lane[19]->as_item(), fork[19]->as_item()}));
}

BOOST_AUTO_TEST_SUITE_END()
