// Erasing: what a row held goes from every record, and once the file is made anew from every
// byte of it; digests and everything else stay.
#include "storage/batch_store.hpp"
#include "storage/ledger.hpp"

#include "storage_fixture.hpp"

#include <atomic>
#include <csignal>
#include <fstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>

using namespace tallymesh;
using namespace tallymesh::storage;
using namespace tallymesh::storage::testing;

namespace {

constexpr std::string_view table = "orders.orders";
constexpr std::size_t all = 1000;

std::unique_ptr<ledger> open_ledger(const fs::path& path) {
  auto opened = ledger::open(path, test_domain());
  require_ok(opened);
  return std::move(*opened);
}

bytes raw(std::string_view text) { return ledger_script::raw(text); }

bool holds(const fs::path& directory, std::string_view text) {
  for (const auto& each : fs::directory_iterator(directory))
    if (each.is_regular_file() && read_file(each.path()).find(text) != std::string::npos)
      return true;
  return false;
}

/// Rows "k" and "other", each changed in three blocks; "k" is gone in the fourth.
struct filled_ledger {
  temporary_directory home;
  ledger_script script;
  std::vector<ledger_commit> commits;
  std::unique_ptr<ledger> store;

  filled_ledger() {
    for (const std::string version : {"one", "two", "three"})
      commits.push_back(script.next({{std::string(table), "k", "secret " + version},
                                     {std::string(table), "other", "public " + version}}));
    commits.push_back(script.next({{std::string(table), "k", std::nullopt}}));
    reopen();
    for (const auto& each : commits)
      require_ok(store->append(std::span(&each, 1)));
  }
  void reopen() {
    store.reset();
    store = open_ledger(home / "ledger");
  }
  erased_page erase(change_place from = {}, std::size_t limit = all) {
    auto page = store->erase_history(table, raw("k"), {4, 0}, from, limit);
    require_ok(page);
    return *page;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(storage_erase)

BOOST_AUTO_TEST_CASE(an_erased_row_leaves_digests_in_its_history_and_the_chain_as_it_was) {
  filled_ledger of;
  const auto page = of.erase();
  BOOST_TEST(page.changed);
  BOOST_TEST(page.next.height == 0u);
  BOOST_TEST_REQUIRE(page.origins.size() == 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& from = of.commits[3 - i].result->receipts[0];
    BOOST_TEST(page.origins[i].height == 4 - i);
    BOOST_TEST((page.origins[i].id == from.id));
    BOOST_TEST(page.origins[i].seq == from.seq);
  }
  for (block_height height = 1; height <= 4; ++height) {
    const auto kept = of.store->execution_of(height);
    require_ok(kept); // checks its digest
    BOOST_TEST((execution_digest(*kept) == of.commits[height - 1].execution));
    BOOST_TEST(!kept->changes[0].before.has_value());
    BOOST_TEST(!kept->changes[0].after.has_value());
    BOOST_TEST(kept->changes[0].before_erased.has_value() == (height > 1));
  }
  const auto history = of.store->history(table, raw("k"), {}, 10);
  require_ok(history);
  BOOST_TEST(history->entries.size() == 4u);
  BOOST_TEST((history->entries[1].change.after_erased == row_digest(raw("secret three"))));
  BOOST_TEST((of.store->row(table, raw("other"))->row == raw("public three")));
  BOOST_TEST((of.store->history(table, raw("other"), {}, 1)->entries[0].change.after
              == raw("public three")));
}

BOOST_AUTO_TEST_CASE(erasing_may_go_in_pages_be_broken_off_and_be_repeated) {
  filled_ledger of;
  auto page = of.erase({}, 2);
  BOOST_TEST(page.next.height == 2u);
  of.reopen();
  page = of.erase({}, 3);
  BOOST_TEST(page.changed);
  BOOST_TEST(page.origins.size() == 3u, "what was erased before is named again");
  page = of.erase(page.next);
  BOOST_TEST(page.changed);
  page = of.erase();
  BOOST_TEST(!page.changed);
  BOOST_TEST(page.origins.size() == 4u);
}

BOOST_AUTO_TEST_CASE(what_was_stored_after_the_order_stays) {
  filled_ledger of;
  const auto again = of.script.next({{std::string(table), "k", "fresh"}});
  require_ok(of.store->append(std::span(&again, 1)));
  const auto page = of.erase();
  BOOST_TEST(page.origins.size() == 4u);
  BOOST_TEST((of.store->row(table, raw("k"))->row == raw("fresh")));
  BOOST_TEST((of.store->execution_of(5)->changes[0].after == raw("fresh")));
  BOOST_TEST(!of.store->execution_of(3)->changes[0].after.has_value());
}

BOOST_AUTO_TEST_CASE(a_row_that_never_was_cannot_be_erased) {
  filled_ledger of;
  BOOST_TEST(is_error(of.store->erase_history(table, raw("nobody"), {4, 0}, {}, all),
                      errc::not_found));
  BOOST_TEST(is_error(of.store->erase_history("no.table", raw("k"), {4, 0}, {}, all),
                      errc::not_found));
}

BOOST_AUTO_TEST_CASE(a_ledger_made_anew_holds_no_byte_of_what_was_erased) {
  filled_ledger of;
  const auto before = of.store->digests();
  BOOST_TEST(!of.store->holds_erased());
  of.erase();
  BOOST_TEST(of.store->holds_erased());
  of.reopen();
  BOOST_TEST(of.store->holds_erased(), "a crash does not make it forget that a rebuild is due");
  BOOST_TEST(holds(of.home / "ledger", "secret"), "LMDB leaves it in free pages");
  require_ok(of.store->rebuild());
  BOOST_TEST(!of.store->holds_erased());
  BOOST_TEST(!holds(of.home / "ledger", "secret"));
  BOOST_TEST(holds(of.home / "ledger", "public"));
  BOOST_TEST((of.store->digests()->tables[0].content == before->tables[0].content));
  // It goes on as before, and so does the next process.
  const auto next = of.script.next({{std::string(table), "k", "later"}});
  require_ok(of.store->append(std::span(&next, 1)));
  of.reopen();
  BOOST_TEST((of.store->row(table, raw("k"))->row == raw("later")));
  BOOST_TEST(of.store->head()->height == 5u);
}

BOOST_AUTO_TEST_CASE(a_rebuild_says_how_far_it_is) {
  filled_ledger of;
  std::vector<std::size_t> told;
  require_ok(of.store->rebuild([&](std::size_t copied) { told.push_back(copied); }));
  BOOST_TEST_REQUIRE(!told.empty());
  BOOST_TEST(std::is_sorted(told.begin(), told.end()));
  BOOST_TEST(told.back() > 1000u);
  BOOST_TEST(told.back() < of.store->used_bytes());
}

BOOST_AUTO_TEST_CASE(a_rebuild_that_was_cut_off_leaves_the_old_file_and_no_rest) {
  filled_ledger of;
  of.store.reset();
  fs::create_directory(of.home / "ledger" / "rebuilt");
  std::ofstream(of.home / "ledger" / "rebuilt" / "data.mdb") << "secret, half written";
  of.reopen();
  BOOST_TEST(!fs::exists(of.home / "ledger" / "rebuilt"));
  BOOST_TEST(of.store->head()->height == 4u);
}

BOOST_AUTO_TEST_CASE(a_disk_that_fills_up_during_a_rebuild_leaves_the_store_as_it_was) {
  filled_ledger of;
  const auto long_one =
      of.script.next({{std::string(table), "long", std::string(4 << 20, 'x')}});
  require_ok(of.store->append(std::span(&long_one, 1)));
  of.erase();
  of.store.reset();
  // As where a disk is full: in a child, since a limit on file size is for good.
  const auto child = ::fork();
  BOOST_TEST_REQUIRE(child >= 0);
  if (child == 0) {
    for (const int each : {SIGABRT, SIGBUS, SIGSEGV})
      std::signal(each, SIG_DFL); // the test runner's would go on with the other tests
    auto store = ledger::open(of.home / "ledger", test_domain());
    const rlimit limit{1 << 20, 1 << 20};
    std::signal(SIGXFSZ, SIG_IGN);
    if (!store || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    const auto failed = (*store)->rebuild();
    if (failed || failed.error().code != errc::too_large) ::_exit(2);
    const auto row = (*store)->row(table, raw("other"));
    const bool good = row && row->row == raw("public three") && (*store)->holds_erased()
                      && !fs::exists(of.home / "ledger" / "rebuilt");
    ::_exit(good ? 0 : 3);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
  of.reopen();
  BOOST_TEST(of.store->holds_erased());
  require_ok(of.store->rebuild());
  BOOST_TEST(!holds(of.home / "ledger", "secret"));
  BOOST_TEST(of.store->head()->height == 5u);
}

BOOST_AUTO_TEST_CASE(readers_wait_for_a_rebuild_and_go_on) {
  filled_ledger of;
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::thread reader([&] {
    while (!stop)
      if (const auto row = of.store->row(table, raw("other"));
          !row || row->row != raw("public three"))
        ++wrong;
  });
  for (int i = 0; i < 5; ++i)
    require_ok(of.store->rebuild());
  stop = true;
  reader.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(an_operations_arguments_go_from_its_batch_and_from_the_file) {
  const temporary_directory home;
  auto opened = batch_store::open(home / "batches", test_domain());
  require_ok(opened);
  auto& store = **opened;
  std::vector<batch_ptr> lane;
  for (std::uint64_t seq = 1; seq <= 3; ++seq)
    lane.push_back(make_batch(1, seq, lane.empty() ? digest{} : lane.back()->id, 300,
                              "secret" + std::to_string(seq)));
  require_ok(store.put(lane));
  const auto id = lane[1]->content.operations[0].id;
  const auto is_it = [&](const batch&, const operation& what) { return what.id == id; };
  const auto erase = [&](const lane_tip& up_to) {
    const auto done = store.erase(std::span(&up_to, 1), is_it);
    require_ok(done);
    return *done;
  };
  BOOST_TEST(!erase(lane[0]->tip()), "it stands above this cut");
  BOOST_TEST(erase(lane[2]->tip()));
  BOOST_TEST(!erase(lane[2]->tip()));
  const auto got = store.get(lane[1]->tip());
  require_ok(got);
  BOOST_TEST(((*got)->id == lane[1]->id));
  BOOST_TEST((*got)->erased == 1u);
  BOOST_TEST(((*store.get(lane[0]->tip()))->body == lane[0]->body));
  BOOST_TEST(store.holds_erased());
  require_ok(store.rebuild());
  BOOST_TEST(!holds(home / "batches", "secret2"));
  BOOST_TEST(holds(home / "batches", "secret1"));
}

BOOST_AUTO_TEST_CASE(a_fork_that_lost_its_place_loses_the_arguments_too) {
  const temporary_directory home;
  auto opened = batch_store::open(home / "batches", test_domain());
  require_ok(opened);
  auto& store = **opened;
  const auto one = make_batch(1, 1, {}, 300, "secret"),
             other = make_batch(1, 1, {}, 300, "else");
  require_ok(store.put(std::vector{one, other}));
  const auto cut = one->tip();
  const auto any = [](const batch&, const operation&) { return true; };
  require_ok(store.erase(std::span(&cut, 1), any));
  for (const auto& each : {one, other})
    BOOST_TEST(((*store.get(each->tip()))->erased == each->content.operations.size()));
}

BOOST_AUTO_TEST_CASE(the_mark_of_what_was_erased_outlives_the_process) {
  filled_ledger of;
  BOOST_TEST(*of.store->erased_through() == 0u);
  require_ok(of.store->set_erased_through(4));
  of.reopen();
  BOOST_TEST(*of.store->erased_through() == 4u);
}

BOOST_AUTO_TEST_CASE(an_execution_with_erased_rows_is_taken_in_and_hides_them_until_they_go) {
  filled_ledger of;
  of.erase();
  const temporary_directory home;
  auto late = open_ledger(home / "late");
  for (std::size_t i = 0; i < of.commits.size(); ++i) {
    auto commit = of.commits[i];
    commit.result = std::make_shared<const execution>(
        *of.store->execution_of(static_cast<block_height>(i + 1)));
    require_ok(late->append(std::span(&commit, 1)));
    BOOST_TEST(*late->hides_rows() == (i + 1 < of.commits.size()));
    BOOST_TEST(!late->row(table, raw("k"))->row.has_value());
  }
  BOOST_TEST((late->row(table, raw("k"))->last == of.store->row(table, raw("k"))->last));
  BOOST_TEST((late->head()->execution == of.store->head()->execution));
  const auto here = late->digests(), there = of.store->digests();
  BOOST_TEST((here->tables[0].content == there->tables[0].content));
  BOOST_TEST(late->tables()->front().records == of.store->tables()->front().records);
}

BOOST_AUTO_TEST_SUITE_END()
