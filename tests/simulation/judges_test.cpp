// What the simulator's judges, checker and witness, say of a node that does what no machine of
// ours does: rules that no mutant shows by itself.
#define BOOST_TEST_MODULE simulation_judges
#include "tests/simulation/checker.hpp"
#include "tests/simulation/quick_credentials.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::simulation;

namespace {

const signing_domain domain{hash(digest_kind::genesis, as_bytes("judges")), 0};
const auto nodes = validator_set::make(domain.chain, 0, 4);

credentials keys_of(node_index node) { return quick_credentials(node, 4, domain); }

batch_ptr batch_of(node_index lane, std::uint64_t seq, const digest& parent, int salt = 0) {
  operation what;
  what.id.raw[0] = static_cast<std::uint8_t>(salt);
  what.contract = "simulated";
  return seal(keys_of(lane), batch{0, lane, seq, parent, {what}});
}

/// The first block after genesis.
block_ptr block_of(std::vector<lane_tip> cut) {
  const auto genesis = genesis_block(domain);
  block content;
  content.view = content.height = 1;
  content.parent = genesis->id;
  content.cut = std::move(cut);
  return seal(keys_of(nodes.leader(1)), content);
}

/// Judges node 0, which is honest, by what it stores and says.
struct judged {
  checker it;
  model_disk disk{domain, 4};

  explicit judged(bool check_order = true)
      : it(with_order(check_order), nodes, keys_of(0), 1'700'000'000'000) {
    it.set_honest(0);
    it.set_limits(4, 1'000);
  }
  judged(const judged&) = delete;
  static options with_order(bool checked) {
    options x;
    x.check_order = checked;
    return x;
  }

  judged& stores(const vote& x) {
    disk.commit(std::vector<consensus::record>{x});
    it.committed(0, {x}, disk);
    return *this;
  }
  judged& stores(const batch_ptr& x) {
    disk.commit(std::vector{x});
    it.committed(0, {x});
    return *this;
  }
  judged& is_shown(wire_message x) {
    it.received(make_parcel(std::move(x)));
    return *this;
  }
  judged& says(wire_message x) {
    it.sent(0, make_parcel(std::move(x)), disk);
    return *this;
  }
  /// Its mempool hears this at `ms`, and does nothing.
  judged& keeps_to_itself(std::int64_t ms, node_index from, wire_message x) {
    it.set_time(ms);
    it.told(0, mempool::received{from, std::move(x)}, disk);
    it.resolved(0, std::vector<mempool::effect>{});
    return *this;
  }
  judged& votes_for(const block_ptr& x) {
    return says(keys_of(0).make(item_kind::notarize, x->content.view, x->id));
  }
  /// The rule that was broken first.
  std::string broken() const { return it.failed() ? it.found().front().rule : ""; }
};

} // namespace

BOOST_AUTO_TEST_CASE(who_gave_up_a_view_does_not_notarize_in_it_and_may_the_other_way_round) {
  const auto some = hash(digest_kind::block, as_bytes("some"));
  const auto given_up = keys_of(0).make(item_kind::nullify, 3, {});
  const auto notarized = keys_of(0).make(item_kind::notarize, 3, some);
  BOOST_TEST(judged().stores(given_up).stores(notarized).broken() == "no double vote");
  BOOST_TEST(judged().stores(notarized).stores(given_up).stores(notarized).broken() == "");
}

BOOST_AUTO_TEST_CASE(a_batch_that_is_not_there_hides_nothing_of_other_lanes) {
  const auto absent = batch_of(1, 1, {});
  const auto strange = batch_of(2, 1, absent->id); // follows nothing of its lane
  const auto block = block_of({absent->tip(), strange->tip()});
  judged node(false);
  node.is_shown(proposal{block, {}}).stores(strange).votes_for(block);
  BOOST_TEST(node.broken() == "valid blocks only");
}

BOOST_AUTO_TEST_CASE(a_block_is_judged_again_by_batches_that_come_later) {
  const auto strange = batch_of(2, 1, hash(digest_kind::batch, as_bytes("nothing")));
  const auto block = block_of({strange->tip()});
  judged node(false);
  node.is_shown(proposal{block, {}}).votes_for(block);
  BOOST_TEST(node.broken() == "");
  node.stores(strange).votes_for(block);
  BOOST_TEST(node.broken() == "valid blocks only");
}

BOOST_AUTO_TEST_CASE(a_link_that_brought_eight_bad_signatures_in_100_ms_need_not_be_heard) {
  const auto one = batch_of(1, 1, {}), other = batch_of(1, 1, {}, 1);
  auto bad = *other;
  bad.signed_by.raw[0] ^= 1;
  const auto forged = std::make_shared<const sealed_batch>(bad);
  auto both = evidence{one->as_item(), bad.as_item()};
  both.first.signed_by.raw[0] ^= 1;
  // Eight in all, in each of the messages that bring them.
  const auto after_eight = [&](std::int64_t ms, node_index from) {
    judged node;
    node.stores(one).keeps_to_itself(100, 2, batch_message{forged});
    node.keeps_to_itself(101, 2, fetched_batches{{forged, forged, forged, forged, forged}});
    node.keeps_to_itself(102, 2, fork_evidence{both});
    return node.keeps_to_itself(ms, from, batch_message{other}).broken();
  };
  BOOST_TEST(after_eight(199, 2) == "");
  BOOST_TEST(after_eight(200, 2) == "what contradicts is reported"); // seven are left
  BOOST_TEST(after_eight(103, 3) == "what contradicts is reported"); // another link
}
