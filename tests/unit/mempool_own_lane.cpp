// Admission, sealing, and what a node's own lane promises.
#include "mempool_fixture.hpp"

using namespace mempool_test;

BOOST_AUTO_TEST_SUITE(mempool_own_lane)

static batch_header header_of(const batch_ptr& x) {
  return {x->tip(), x->content.parent, x->body.size(), 1, x->signed_by};
}

BOOST_AUTO_TEST_CASE(operations_wait_for_the_batch_delay_and_leave_in_one_batch) {
  subject node(4);
  auto effects = node.submit({operation_of(1)});
  BOOST_TEST(node.verdicts(effects)[0] == admission::accepted);
  BOOST_TEST(node.disk.empty());
  node.submit({operation_of(2)});
  BOOST_TEST(silent(node.wait(node.chosen.batch_delay_ms - 1)));
  effects = node.wait(1);
  const auto batches = broadcasts<batch_message>(effects);
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.seq == 1u);
  BOOST_TEST(batches[0].batch->content.operations.size() == 2u);
  BOOST_TEST(node.chosen.keys.check(batches[0].batch->as_item()));
  BOOST_TEST(std::holds_alternative<persist>(effects[0]));
  const auto have = broadcasts<have_message>(effects);
  BOOST_TEST_REQUIRE(have.size() == 1u);
  BOOST_TEST_REQUIRE(have[0].tips.size() == 1u);
  BOOST_TEST(have[0].tips[0] == batches[0].batch->tip());
}

BOOST_AUTO_TEST_CASE(a_batch_is_sealed_at_once_when_it_is_large_enough) {
  subject node(4, 0, [](settings& x) { x.batch_bytes = 1000; });
  const auto effects =
      node.submit({operation_of(1, 400), operation_of(2, 400), operation_of(3, 400)});
  const auto batches = broadcasts<batch_message>(effects);
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.operations.size() == 2u);
  BOOST_TEST(node.here->look().queued_operations == 1u);
  BOOST_TEST(broadcasts<batch_message>(node.wait(5)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(batches_of_a_lane_are_numbered_and_linked) {
  subject node(4);
  digest before;
  for (std::uint32_t i = 1; i <= 3; ++i) {
    node.submit({operation_of(i)});
    const auto batches = broadcasts<batch_message>(node.wait(5));
    BOOST_TEST_REQUIRE(batches.size() == 1u);
    BOOST_TEST(batches[0].batch->content.seq == i);
    BOOST_TEST((batches[0].batch->content.parent == before));
    before = batches[0].batch->id;
  }
}

BOOST_AUTO_TEST_CASE(an_operation_without_its_arguments_is_not_taken) {
  subject node(4);
  auto bare = operation_of(1);
  bare.erased = {100, digest{}};
  bare.arguments.clear();
  const auto effects = node.submit({bare, operation_of(2)});
  const auto verdicts = node.verdicts(effects);
  BOOST_TEST(verdicts[0] == admission::erased);
  BOOST_TEST(verdicts[1] == admission::accepted);
  BOOST_TEST(node.here->look().queued_operations == 1u);
}

BOOST_AUTO_TEST_CASE(an_operation_that_cannot_fit_a_batch_is_too_large) {
  subject node(4, 0, [](settings& x) { x.batch_bytes = 1000; });
  const auto effects = node.submit({operation_of(1, 1000), operation_of(2)});
  BOOST_TEST(node.verdicts(effects)[0] == admission::too_large);
  BOOST_TEST(node.verdicts(effects)[1] == admission::accepted);
  subject roomy(4, 0, [](settings& x) { x.batch_bytes = limits::max_batch_bytes; });
  BOOST_TEST(roomy.verdicts(roomy.submit({operation_of(1, limits::max_operation_bytes)}))[0]
             == admission::too_large);
}

BOOST_AUTO_TEST_CASE(the_largest_batch_opens_at_its_receiver) {
  subject node(4, 0, [](settings& x) { x.batch_bytes = 16 << 20; });
  std::vector<operation> many;
  for (std::uint32_t i = 0; i < 20'000; ++i)
    many.push_back(operation_of(i, 20));
  for (std::uint32_t i = 0; i < 20; ++i)
    many.push_back(operation_of(100'000 + i, 250'000));
  node.submit(std::move(many));
  node.wait(10);
  std::size_t operations = 0;
  for (const auto& [tip, each] : node.disk) {
    operations += each->content.operations.size();
    BOOST_TEST(open_batch(each->body, each->signed_by).has_value());
  }
  BOOST_TEST(operations == 20'020u);
}

BOOST_AUTO_TEST_CASE(an_operation_that_waits_here_is_known_until_it_is_final) {
  subject node(4);
  node.submit({operation_of(1)});
  BOOST_TEST(node.verdicts(node.submit({operation_of(1)}))[0] == admission::known);
  node.wait(5);
  BOOST_TEST(node.verdicts(node.submit({operation_of(1)}))[0] == admission::known);
  auto cut = empty_cut(4);
  cut[0] = node.here->look().own_tip;
  node.handle(cut_finalized{cut});
  BOOST_TEST(node.verdicts(node.submit({operation_of(1)}))[0] == admission::accepted);
}

BOOST_AUTO_TEST_CASE(admission_is_bounded_until_batches_are_final) {
  subject node(4, 0, [](settings& x) { x.queue_operations = 3; });
  const auto verdicts = node.verdicts(node.submit(
      {operation_of(1), operation_of(2), operation_of(3), operation_of(4), operation_of(1)}));
  BOOST_TEST(verdicts[2] == admission::accepted);
  BOOST_TEST(verdicts[3] == admission::overloaded);
  BOOST_TEST(verdicts[4] == admission::known);
  node.wait(5); // sealed, but not final
  BOOST_TEST(node.verdicts(node.submit({operation_of(5)}))[0] == admission::overloaded);
  auto cut = empty_cut(4);
  cut[0] = node.here->look().own_tip;
  node.handle(cut_finalized{cut});
  BOOST_TEST(node.verdicts(node.submit({operation_of(5)}))[0] == admission::accepted);
}

BOOST_AUTO_TEST_CASE(admission_is_bounded_in_bytes_too) {
  subject node(4, 0, [](settings& x) { x.queue_bytes = 1000; });
  const auto verdicts = node.verdicts(
      node.submit({operation_of(1, 600), operation_of(2, 600), operation_of(3, 100)}));
  BOOST_TEST(verdicts[0] == admission::accepted);
  BOOST_TEST(verdicts[1] == admission::overloaded);
  BOOST_TEST(verdicts[2] == admission::accepted);
}

BOOST_AUTO_TEST_CASE(the_lane_window_holds_batches_back_until_earlier_ones_are_final) {
  subject node(4, 0, [](settings& x) { x.lane_window = 2; });
  for (std::uint32_t i = 1; i <= 4; ++i) {
    node.submit({operation_of(i)});
    node.wait(5);
  }
  BOOST_TEST(node.here->look().own_tip.seq == 2u);
  BOOST_TEST(node.here->look().queued_operations == 2u);
  auto cut = empty_cut(4);
  cut[0] = node.here->look().own_tip;
  const auto effects = node.handle(cut_finalized{cut});
  BOOST_TEST_REQUIRE(broadcasts<batch_message>(effects).size() == 1u);
  BOOST_TEST(broadcasts<batch_message>(effects)[0].batch->content.operations.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_lone_node_is_its_own_quorum_and_talks_to_nobody) {
  subject node(1);
  node.submit({operation_of(1)});
  const auto effects = node.wait(5);
  BOOST_TEST(all<broadcast>(effects).empty());
  const auto work = all<work_changed>(effects);
  BOOST_TEST_REQUIRE(work.size() == 1u);
  BOOST_TEST_REQUIRE(work[0].available.size() == 1u);
  const auto built = all<cut_built>(node.handle(cut_wanted{{}, empty_cut(1)}));
  BOOST_TEST_REQUIRE(built[0].cut.size() == 1u);
  node.handle(cut_finalized{built[0].cut});
  BOOST_TEST(silent(node.wait(60'000)));
}

BOOST_AUTO_TEST_CASE(a_restart_never_uses_a_number_of_its_lane_again) {
  mesh all_of(4);
  for (std::uint32_t i = 1; i <= 3; ++i) {
    all_of.submit(0, {operation_of(i)});
    all_of.wait(10);
  }
  const auto before = all_of.nodes[0].here->look().own_tip;
  BOOST_TEST(before.seq == 3u);
  all_of.restart(0);
  all_of.submit(0, {operation_of(4)});
  all_of.wait(10);
  const auto after = all_of.nodes[0].here->look().own_tip;
  BOOST_TEST(after.seq == 4u);
  BOOST_TEST((all_of.nodes[0].disk.at(after)->content.parent == before.batch));
  for (const auto& each : all_of.nodes)
    BOOST_TEST(each.here->look().evidence == 0u);
  // And where the final cut is ahead of what the disk holds.
  auto cut = empty_cut(4);
  cut[0] = after;
  machine bare(settings_of(0, 4), recovered{cut, {}});
  BOOST_TEST(bare.look().own_tip == after);
}

BOOST_AUTO_TEST_CASE(a_node_whose_disk_went_back_in_time_learns_its_lane_from_its_peers_first) {
  const auto lane = lane_of(0, 3);
  subject node(4); // knows nothing of these
  const auto asked = sent<fetch_batches>(node.hear(1, batch_message{lane[2]}));
  node.submit({operation_of(9)});
  node.wait(20);
  BOOST_TEST(node.here->look().own_tip.seq == 0u);
  BOOST_TEST_REQUIRE(!asked.empty());
  BOOST_TEST(asked[0].second.tip == lane[1]->tip());
  const auto effects = node.hear(asked[0].first, fetched_batches{{lane[1], lane[0]}});
  const auto batches = broadcasts<batch_message>(effects);
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.seq == 4u);
  BOOST_TEST((batches[0].batch->content.parent == lane[2]->id));
}

/// Its votes are gone, and peers are up. A client waits.
static subject in_doubt(const std::vector<node_index>& up, const std::vector<batch_ptr>& stored,
                        const std::function<void(settings&)>& change = {},
                        std::uint16_t nodes = 4) {
  subject node(nodes, 0, change);
  recovered from{empty_cut(nodes), {}, true};
  for (const auto& each : stored)
    from.stored.push_back(header_of(each));
  node.here = std::make_unique<machine>(node.chosen, from);
  node.handle(started{});
  for (const auto each : up)
    node.handle(peer_up{each});
  node.submit({operation_of(9)});
  return node;
}

BOOST_AUTO_TEST_CASE(without_its_votes_a_node_learns_its_place_before_it_uses_a_number) {
  const auto lane = lane_of(0, 2);
  auto node = in_doubt({1, 2, 3}, {lane[0]});
  node.hear(1, have_message{{lane[0]->tip()}});
  node.hear(2, have_message{{lane[0]->tip()}});
  BOOST_TEST(broadcasts<batch_message>(node.wait(100)).empty()); // the third may know more
  node.hear(3, have_message{{lane[1]->tip()}});
  const auto asked = sent<fetch_batches>(node.wait(node.chosen.fetch_retry_ms));
  BOOST_TEST_REQUIRE(asked.size() == 1u);
  BOOST_TEST(asked[0].second.tip == lane[1]->tip());
  node.hear(3, fetched_batches{{lane[1]}});
  const auto batches = broadcasts<batch_message>(node.wait(1));
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.seq == 3u);
  BOOST_TEST((batches[0].batch->content.parent == lane[1]->id));
}

BOOST_AUTO_TEST_CASE(who_speaks_of_other_lanes_has_not_told_of_this_nodes_yet) {
  auto node = in_doubt({1, 2, 3}, {});
  for (const node_index each : {1, 2, 3})
    node.hear(each, have_message{{lane_of(each, 1)[0]->tip()}});
  BOOST_TEST(broadcasts<batch_message>(node.wait(4 * node.chosen.announce_ms - 1)).empty());
}

BOOST_AUTO_TEST_CASE(who_is_away_is_not_waited_for_without_end_and_a_quorum_is) {
  const auto lane = lane_of(0, 1);
  auto node = in_doubt({1, 2}, {lane[0]});
  node.hear(1, have_message{{lane[0]->tip()}});
  node.hear(2, have_message{{lane[0]->tip()}});
  BOOST_TEST(broadcasts<batch_message>(node.wait(4 * node.chosen.announce_ms - 1)).empty());
  BOOST_TEST(broadcasts<batch_message>(node.wait(2)).size() == 1u);
  auto alone = in_doubt({1}, {lane[0]});
  alone.hear(1, have_message{{lane[0]->tip()}});
  BOOST_TEST(broadcasts<batch_message>(alone.wait(60'000)).empty());
}

BOOST_AUTO_TEST_CASE(who_has_nothing_says_nothing_and_is_waited_for_a_while) {
  auto node = in_doubt({1, 2, 3}, {});
  BOOST_TEST(broadcasts<batch_message>(node.wait(4 * node.chosen.announce_ms - 1)).empty());
  BOOST_TEST(broadcasts<batch_message>(node.wait(2)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_given_late_of_the_own_lane_is_waited_for) {
  const auto lane = lane_of(0, 2);
  auto node = in_doubt({1, 2, 3}, {lane[0]});
  node.hear(1, have_message{{lane[0]->tip()}});
  node.hear(2, have_message{{lane[0]->tip()}});
  node.hear(3, have_message{{lane[1]->tip()}});
  auto effects = node.wait(60'000);
  BOOST_TEST(broadcasts<batch_message>(effects).empty());
  BOOST_TEST(sent<fetch_batches>(effects).size() > 8u, "it is asked for again and again");
  node.handle(peer_down{3});
  BOOST_TEST(broadcasts<batch_message>(node.wait(60'000)).empty(), "what it said is kept");
  node.handle(peer_up{3});
  node.hear(3, fetched_batches{{lane[1]}});
  const auto batches = broadcasts<batch_message>(node.wait(1));
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.seq == 3u);
}

BOOST_AUTO_TEST_CASE(what_fewer_than_f_name_of_the_own_lane_is_not_waited_for_without_end) {
  const auto lane = lane_of(0, 2);
  const std::vector<node_index> all{1, 2, 3, 4, 5, 6};
  const auto hear_from = [&](subject& node, int ahead) {
    for (const auto each : all)
      node.hear(each, have_message{{lane[each <= ahead ? 1 : 0]->tip()}});
  };
  auto one = in_doubt(all, {lane[0]}, {}, 7);
  hear_from(one, 1);
  BOOST_TEST(broadcasts<batch_message>(one.wait(15'000)).empty());
  // A link that comes and goes gains it nothing.
  for (int i = 0; i < 10; ++i) {
    one.handle(peer_down{1});
    one.handle(peer_up{1});
    one.hear(1, have_message{{lane[1]->tip()}});
  }
  BOOST_TEST(broadcasts<batch_message>(one.wait(6'000)).size() == 1u);
  auto two = in_doubt(all, {lane[0]}, {}, 7); // f with this node: one of them says the truth
  hear_from(two, 2);
  BOOST_TEST(broadcasts<batch_message>(two.wait(60'000)).empty());
}

BOOST_AUTO_TEST_CASE(an_own_lane_that_went_far_ahead_is_followed_before_a_number_is_used) {
  const auto lane = lane_of(0, 30);
  auto node = in_doubt({1, 2, 3}, {}, [](settings& x) { x.peer_lane_window = 10; });
  for (const node_index each : {1, 2, 3})
    node.hear(each, have_message{{lane[29]->tip()}});
  BOOST_TEST(broadcasts<batch_message>(node.wait(60'000)).empty());
  auto cut = empty_cut(4);
  cut[0] = lane[29]->tip();
  node.handle(cut_finalized{cut});
  const auto batches = broadcasts<batch_message>(node.wait(1));
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.seq == 31u);
}

BOOST_AUTO_TEST_CASE(a_hole_in_the_own_lane_is_filled_before_a_new_number_is_used) {
  const auto lane = lane_of(0, 3);
  subject node(4);
  recovered from{empty_cut(4), {}};
  for (const auto& each : {lane[0], lane[2]})
    from.stored.push_back(header_of(each));
  node.here = std::make_unique<machine>(node.chosen, from);
  node.submit({operation_of(9)});
  BOOST_TEST(broadcasts<batch_message>(node.wait(100)).empty());
  const auto asked = sent<fetch_batches>(node.handle(peer_up{2}));
  BOOST_TEST_REQUIRE(asked.size() == 1u);
  BOOST_TEST(asked[0].second.tip == lane[1]->tip());
  const auto effects = node.hear(2, fetched_batches{{lane[1]}});
  const auto batches = broadcasts<batch_message>(effects);
  BOOST_TEST_REQUIRE(batches.size() == 1u);
  BOOST_TEST(batches[0].batch->content.seq == 4u);
  BOOST_TEST((batches[0].batch->content.parent == lane[2]->id));
}

BOOST_AUTO_TEST_SUITE_END()
