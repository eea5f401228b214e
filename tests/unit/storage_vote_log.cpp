#include "storage/vote_log.hpp"

#include "storage_fixture.hpp"

using namespace tallymesh;
using namespace tallymesh::storage;
using namespace tallymesh::storage::testing;

BOOST_AUTO_TEST_SUITE(storage_vote_log)

static std::unique_ptr<vote_log> open_log(const fs::path& path, bool expect_existing = false) {
  auto opened = vote_log::open(path, test_domain(), expect_existing);
  require_ok(opened);
  return std::move(*opened);
}

static vote vote_in(view_number view, item_kind kind = item_kind::notarize,
                    std::string_view what = "a") {
  return {keyed_hash().make(kind, view, digest_of(what))};
}

BOOST_AUTO_TEST_CASE(everything_appended_is_there_after_reopening_in_the_order_of_views) {
  const temporary_directory home;
  const auto block = make_block(7);
  const auto notarization = make_certificate(item_kind::notarize, 7, block->id);
  {
    auto log = open_log(home / "votes");
    const std::vector<vote_record> late{notarization, kept_block{block}, vote_in(7),
                                        own_proposal{block}};
    require_ok(log->append(late));
    require_ok(log->append(std::vector<vote_record>{vote_in(3, item_kind::nullify)}));
  }
  const auto all = open_log(home / "votes", true)->load();
  require_ok(all);
  BOOST_REQUIRE_EQUAL(all->size(), 5u);
  BOOST_TEST((std::get<vote>((*all)[0]) == vote_in(3, item_kind::nullify)));
  BOOST_TEST((std::get<vote>((*all)[1]) == vote_in(7)));
  BOOST_TEST((std::get<own_proposal>((*all)[2]).block->id == block->id));
  BOOST_TEST((std::get<kept_block>((*all)[3]).block->body == block->body));
  BOOST_TEST((std::get<kept_block>((*all)[3]).block->signed_by == block->signed_by));
  BOOST_TEST((std::get<certificate>((*all)[4]) == notarization));
  BOOST_TEST(view_of((*all)[4]) == 7u);
}

BOOST_AUTO_TEST_CASE(
    a_second_different_vote_of_one_view_and_kind_is_refused_with_all_that_came_with_it) {
  const temporary_directory home;
  auto log = open_log(home / "votes");
  require_ok(log->append(std::vector<vote_record>{vote_in(5)}));
  require_ok(
      log->append(std::vector<vote_record>{vote_in(5)})); // the same again is no second vote
  const std::vector<vote_record> twice{vote_in(6), vote_in(5, item_kind::notarize, "b")};
  BOOST_TEST(is_error(log->append(twice), errc::conflict));
  const std::vector<vote_record> two_proposals{own_proposal{make_block(8, "a")},
                                               own_proposal{make_block(8, "b")}};
  BOOST_TEST(is_error(log->append(two_proposals), errc::conflict));
  BOOST_TEST(log->load()->size() == 1u);
  require_ok(log->append(std::vector<vote_record>{vote_in(5, item_kind::finalize)}));
}

BOOST_AUTO_TEST_CASE(
    pruned_views_are_forgotten_at_once_and_leave_the_disk_with_the_next_append) {
  const temporary_directory home;
  {
    auto log = open_log(home / "votes");
    std::vector<vote_record> many;
    for (view_number view = 1; view <= 300; ++view)
      many.push_back(vote_in(view));
    require_ok(log->append(many));
    const auto before = read_file(home / "votes" / "data.mdb");
    log->prune(299);
    log->prune(100); // never goes back
    BOOST_TEST(log->load()->size() == 1u);
    BOOST_TEST((read_file(home / "votes" / "data.mdb") == before));
    require_ok(log->append(std::vector<vote_record>{vote_in(301)}));
  }
  const auto left = open_log(home / "votes")->load();
  BOOST_REQUIRE_EQUAL(left->size(), 2u);
  BOOST_TEST(view_of((*left)[0]) == 300u);
  BOOST_TEST(view_of((*left)[1]) == 301u);
}

BOOST_AUTO_TEST_CASE(a_log_that_should_be_there_and_is_not_is_reported_and_not_created) {
  const temporary_directory home;
  const auto gone = vote_log::open(home / "votes", test_domain(), true);
  BOOST_TEST(is_error(gone, errc::not_found));
  BOOST_TEST(says(gone, "observe only, and rejoin with a new key"));
  BOOST_TEST(!fs::exists(home / "votes"));
  open_log(home / "votes");
  open_log(home / "votes", true); // an empty log is not a missing one
  fs::remove(home / "votes" / "data.mdb");
  BOOST_TEST(is_error(vote_log::open(home / "votes", test_domain(), true), errc::not_found));
  BOOST_TEST(!fs::exists(home / "votes" / "data.mdb"));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_any_kind_of_record_is_found_and_named) {
  const auto block = make_block(9, "a block");
  const auto proposal = make_block(9, "a proposal");
  const auto notarization = make_certificate(item_kind::notarize, 9, block->id);
  const auto own = vote_in(9, item_kind::notarize, "what the vote is for");
  const auto text_of = [](const auto& raw) { return std::string(raw.begin(), raw.end()); };
  const std::vector<std::tuple<vote_record, std::string, std::string>> cases{
      {own, text_of(own.signed_by.raw), "vote record of view 9"},
      {own_proposal{proposal}, text_of(proposal->body), "proposal record of view 9"},
      {kept_block{block}, text_of(block->body), "block record of view 9"},
      {notarization, text_of(notarization.votes[1].second.raw),
       "certificate record of view 9"}};
  for (const auto& [record, pattern, name] : cases) {
    const temporary_directory home;
    require_ok(open_log(home / "votes")->append({&record, 1}));
    BOOST_REQUIRE(flip_byte_of(home / "votes" / "data.mdb", pattern, 5) > 0);
    const auto loaded = open_log(home / "votes", true)->load();
    BOOST_TEST(is_error(loaded, errc::damaged));
    BOOST_TEST(says(loaded, "vote_log: the " + name));
  }
}

BOOST_AUTO_TEST_SUITE_END()
