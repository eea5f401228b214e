#include "storage/batch_store.hpp"

#include "messages/wire.hpp"
#include "storage_fixture.hpp"

using namespace tallymesh;
using namespace tallymesh::storage;
using namespace tallymesh::storage::testing;

BOOST_AUTO_TEST_SUITE(storage_batch_store)

static std::unique_ptr<batch_store> open_store(const fs::path& path) {
  auto opened = batch_store::open(path, test_domain());
  require_ok(opened);
  return std::move(*opened);
}

static std::vector<batch_ptr> lane_of(node_index lane, std::uint64_t length,
                                      std::size_t payload_bytes = 10) {
  std::vector<batch_ptr> made;
  for (std::uint64_t seq = 1; seq <= length; ++seq)
    made.push_back(
        make_batch(lane, seq, made.empty() ? digest{} : made.back()->id, payload_bytes));
  return made;
}

BOOST_AUTO_TEST_CASE(a_batch_comes_back_as_it_was_after_reopening) {
  const temporary_directory home;
  const auto lane = lane_of(2, 3, 5000);
  require_ok(open_store(home / "batches")->put(lane));
  const auto store = open_store(home / "batches");
  const auto got = store->get(lane[1]->tip());
  require_ok(got);
  BOOST_TEST(((*got)->body == lane[1]->body));
  BOOST_TEST(((*got)->signed_by == lane[1]->signed_by));
  BOOST_TEST(((*got)->id == lane[1]->id));
  BOOST_TEST(*store->contains(lane[2]->tip()));
  const lane_tip other{2, 3, digest_of("other")};
  BOOST_TEST(!*store->contains(other));
  BOOST_TEST(is_error(store->get(other), errc::not_found));
}

BOOST_AUTO_TEST_CASE(a_batch_without_arguments_has_the_name_and_the_size_of_the_whole_one) {
  const temporary_directory home;
  const auto full = make_batch(2, 1, {}, 500);
  const std::uint32_t first[] = {0};
  const auto less = erase_arguments(*full, first);
  const auto store = open_store(home / "batches");
  require_ok(store->put(std::vector<batch_ptr>{less}));
  const auto got = store->get(full->tip());
  require_ok(got);
  BOOST_TEST(((*got)->body == less->body));
  BOOST_TEST((*got)->erased == 1u);
  const auto headers = store->headers_after({});
  require_ok(headers);
  BOOST_TEST_REQUIRE(headers->size() == 1u);
  BOOST_TEST((headers->front().tip == full->tip()));
  BOOST_TEST(headers->front().body_bytes == full->body.size());
  // Storing the whole one again does not bring back what was erased.
  require_ok(store->put(std::vector<batch_ptr>{full}));
  BOOST_TEST(((*store->get(full->tip()))->body == less->body));
}

BOOST_AUTO_TEST_CASE(a_forked_lane_keeps_both_batches_of_one_number) {
  const temporary_directory home;
  const auto store = open_store(home / "batches");
  const std::vector<batch_ptr> fork{make_batch(1, 1, {}, 10, "one"),
                                    make_batch(1, 1, {}, 10, "other")};
  require_ok(store->put(fork));
  BOOST_TEST(((*store->get(fork[0]->tip()))->id == fork[0]->id));
  BOOST_TEST(((*store->get(fork[1]->tip()))->id == fork[1]->id));
  BOOST_TEST(store->headers_after({})->size() == 2u);
}

BOOST_AUTO_TEST_CASE(descending_follows_parents_and_stops_at_each_bound) {
  const temporary_directory home;
  const auto store = open_store(home / "batches");
  const auto lane = lane_of(0, 10, 1000);
  require_ok(store->put(lane));
  require_ok(
      store->put(std::vector<batch_ptr>{make_batch(0, 6, lane[4]->id, 10, "a fork aside")}));
  const auto seqs = [&](std::uint64_t after, std::size_t max_bytes, std::size_t max_count) {
    std::vector<std::uint64_t> found;
    const auto got = store->descend(lane[8]->tip(), after, max_bytes, max_count);
    require_ok(got);
    for (const auto& each : *got) {
      BOOST_TEST((each->id == lane[each->content.seq - 1]->id));
      found.push_back(each->content.seq);
    }
    return found;
  };
  BOOST_TEST((seqs(5, 1 << 20, 100) == std::vector<std::uint64_t>{9, 8, 7, 6}));
  BOOST_TEST((seqs(0, 1 << 20, 100).size() == 9));
  BOOST_TEST((seqs(0, 1 << 20, 2) == std::vector<std::uint64_t>{9, 8}));
  BOOST_TEST((seqs(0, 3000, 100) == std::vector<std::uint64_t>{9, 8}));
  BOOST_TEST(
      (seqs(0, 1, 100) == std::vector<std::uint64_t>{9})); // one at least, or nobody gets on
  BOOST_TEST(
      is_error(store->descend({0, 11, digest_of("none")}, 0, 1 << 20, 9), errc::not_found));
}

BOOST_AUTO_TEST_CASE(batches_to_send_on_are_not_decoded_and_make_the_same_frame) {
  const temporary_directory home;
  const auto store = open_store(home / "batches");
  const auto lane = lane_of(0, 5, 1000);
  require_ok(store->put(lane));
  const auto decoded = store->descend(lane[4]->tip(), 1, 1 << 20, 100);
  const auto sealed =
      store->descend(lane[4]->tip(), 1, 1 << 20, 100, batch_store::contents::sealed);
  require_ok(decoded);
  require_ok(sealed);
  BOOST_TEST((make_frame(fetched_batches{*sealed}) == make_frame(fetched_batches{*decoded})));
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    BOOST_TEST(((*sealed)[i]->tip() == (*decoded)[i]->tip()));
    BOOST_TEST((*sealed)[i]->content.operations.empty());
  }
}

BOOST_AUTO_TEST_CASE(headers_after_a_cut_tell_what_is_beyond_it_in_every_lane) {
  const temporary_directory home;
  const auto first = lane_of(0, 5), second = lane_of(3, 4), third = lane_of(9, 2);
  {
    const auto store = open_store(home / "batches");
    for (const auto* lane : {&first, &second, &third})
      require_ok(store->put(*lane));
  }
  const std::vector<lane_tip> cut{first[2]->tip(), second[3]->tip()};
  const auto headers = open_store(home / "batches")->headers_after(cut);
  require_ok(headers);
  const auto expected = [](const batch_ptr& x) {
    return batch_header{x->tip(), x->content.parent, static_cast<std::uint32_t>(x->body.size()),
                        1, x->signed_by};
  };
  const std::vector<batch_header> beyond{expected(first[3]), expected(first[4]),
                                         expected(third[0]), expected(third[1])};
  BOOST_TEST((*headers == beyond));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_body_or_signature_is_found_and_named) {
  const auto batch = make_batch(4, 1, {}, 100, "to be damaged");
  for (const auto& pattern :
       {std::string(batch->body.begin(), batch->body.end()),
        std::string(batch->signed_by.raw.begin(), batch->signed_by.raw.end())}) {
    const temporary_directory home;
    require_ok(open_store(home / "batches")->put({&batch, 1}));
    BOOST_REQUIRE(flip_byte_of(home / "batches" / "data.mdb", pattern, 60) > 0);
    const auto store = open_store(home / "batches");
    const auto sent_on =
        store->descend(batch->tip(), 0, 1 << 20, 1, batch_store::contents::sealed);
    for (const auto& got :
         {store->get(batch->tip()).has_error() ? store->get(batch->tip()).error() : error{},
          store->headers_after({}).has_error() ? store->headers_after({}).error() : error{},
          sent_on.has_error() ? sent_on.error() : error{}}) {
      BOOST_TEST((got.code == errc::damaged));
      BOOST_TEST(got.context.find("batch_store: the batch record of lane 4 seq 1") == 0u);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
