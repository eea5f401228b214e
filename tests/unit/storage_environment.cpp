// What all stores owe to the environment beneath them: the map grows, a crash loses nothing
// that was acknowledged, and what must not be opened is not touched.
#include "storage/batch_store.hpp"
#include "storage/environment.hpp"
#include "storage/vote_log.hpp"

#include "storage_fixture.hpp"

#include <atomic>
#include <csignal>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace tallymesh;
using namespace tallymesh::storage;
using namespace tallymesh::storage::testing;

BOOST_AUTO_TEST_SUITE(storage_environment)

static environment::description plain_store() {
  environment::description about;
  about.store = "plain";
  about.databases = {"things"};
  about.chain = test_domain().chain;
  return about;
}

static std::map<std::string, std::string> files_of(const fs::path& directory) {
  std::map<std::string, std::string> found;
  for (const auto& each : fs::directory_iterator(directory))
    found[each.path().filename().string()] = read_file(each.path());
  return found;
}

static bool refused_untouched(const fs::path& directory, errc code, std::string_view part) {
  const auto before = files_of(directory);
  const auto opened = environment::open(directory, plain_store());
  return is_error(opened, code) && says(opened, part) && files_of(directory) == before;
}

/// Writes a store's mark as another program would have.
static void replace_mark(const fs::path& directory, const bytes& mark) {
  MDB_env* env = nullptr;
  BOOST_REQUIRE(mdb_env_create(&env) == 0);
  mdb_env_set_maxdbs(env, 4);
  BOOST_REQUIRE(mdb_env_open(env, directory.c_str(), 0, 0600) == 0);
  MDB_txn* txn = nullptr;
  BOOST_REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
  MDB_dbi meta = 0;
  BOOST_REQUIRE(mdb_dbi_open(txn, mark_database, 0, &meta) == 0);
  MDB_val key{mark_key.size(), const_cast<char*>(mark_key.data())};
  MDB_val value{mark.size(), const_cast<std::uint8_t*>(mark.data())};
  BOOST_REQUIRE(mdb_put(txn, meta, &key, &value, 0) == 0);
  BOOST_REQUIRE(mdb_txn_commit(txn) == 0);
  mdb_env_close(env);
}

BOOST_AUTO_TEST_CASE(a_store_is_made_in_a_directory_that_only_its_owner_can_read) {
  const temporary_directory home;
  require_ok(environment::open(home / "deep/store", plain_store()));
  struct stat info {};
  BOOST_REQUIRE(::stat((home / "deep/store").c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0700u);
  BOOST_REQUIRE(::stat((home / "deep/store/data.mdb").c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0600u);
}

BOOST_AUTO_TEST_CASE(an_older_or_newer_format_is_refused_and_no_file_changes) {
  for (const auto other : {environment::format - 1, environment::format + 1}) {
    const temporary_directory home;
    require_ok(environment::open(home / "store", plain_store()));
    replace_mark(home / "store", store_mark("plain", other, test_domain().chain));
    BOOST_TEST(refused_untouched(home / "store", errc::unsupported,
                                 "format " + std::to_string(other)));
  }
}

BOOST_AUTO_TEST_CASE(a_store_of_another_chain_is_refused_and_no_file_changes) {
  const temporary_directory home;
  require_ok(environment::open(home / "store", plain_store()));
  replace_mark(home / "store", store_mark("plain", environment::format, digest_of("another")));
  BOOST_TEST(refused_untouched(home / "store", errc::conflict, "belongs to the chain"));
}

BOOST_AUTO_TEST_CASE(another_kind_of_store_is_refused_and_no_file_changes) {
  const temporary_directory home;
  require_ok(batch_store::open(home / "store", test_domain()));
  BOOST_TEST(
      refused_untouched(home / "store", errc::conflict, "holds a batch_store, not a plain"));
  BOOST_TEST(is_error(vote_log::open(home / "store", test_domain(), true), errc::conflict));
}

BOOST_AUTO_TEST_CASE(a_damaged_mark_is_refused_and_no_file_changes) {
  const temporary_directory home;
  require_ok(environment::open(home / "store", plain_store()));
  const auto mark = store_mark("plain", environment::format, test_domain().chain);
  BOOST_REQUIRE(flip_byte_of(home / "store" / "data.mdb", as_text(mark), 17) > 0);
  BOOST_TEST(refused_untouched(home / "store", errc::damaged, "format and chain is damaged"));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_store_is_refused_and_no_file_changes) {
  const temporary_directory home;
  fs::create_directory(home / "store");
  std::ofstream(home / "store" / "data.mdb") << std::string(20000, 'x');
  BOOST_TEST(refused_untouched(home / "store", errc::damaged, "damaged or not a store"));
}

BOOST_AUTO_TEST_CASE(a_file_that_was_cut_off_is_refused_and_no_file_changes) {
  const temporary_directory home;
  {
    const auto store = std::move(*environment::open(home / "store", plain_store()));
    require_ok(store->write([](auto& t) { t.put(0, as_bytes("big"), bytes(1 << 20, 7)); }));
  }
  fs::resize_file(home / "store" / "data.mdb", 1 << 19);
  BOOST_TEST(refused_untouched(home / "store", errc::damaged, "cut off"));
}

BOOST_AUTO_TEST_CASE(a_store_left_empty_by_a_crash_at_its_creation_is_made_anew) {
  const temporary_directory home;
  fs::create_directory(home / "store");
  std::ofstream(home / "store" / "data.mdb") << "";
  require_ok(environment::open(home / "store", plain_store()));
}

BOOST_AUTO_TEST_CASE(a_store_in_use_is_not_opened_a_second_time) {
  const temporary_directory home;
  auto first = environment::open(home / "store", plain_store());
  require_ok(first);
  const auto second = environment::open(home / "store", plain_store());
  BOOST_TEST(is_error(second, errc::conflict));
  BOOST_TEST(says(second, "in use by another process"));
  first->reset();
  require_ok(environment::open(home / "store", plain_store()));
}

BOOST_AUTO_TEST_CASE(a_write_that_fails_leaves_nothing_behind_and_the_store_usable) {
  const temporary_directory home;
  const auto store = std::move(*environment::open(home / "store", plain_store()));
  const auto failed = store->write([](auto& t) {
    t.put(0, as_bytes("a"), as_bytes("1"));
    fail(errc::conflict, "no");
  });
  BOOST_TEST(is_error(failed, errc::conflict));
  BOOST_TEST(!*store->read([](const auto& t) { return t.get(0, as_bytes("a")).has_value(); }));
  require_ok(store->write([](auto& t) { t.put(0, as_bytes("a"), as_bytes("2")); }));
}

BOOST_AUTO_TEST_CASE(the_map_grows_by_itself_beyond_its_first_size_and_stays_grown) {
  const temporary_directory home;
  const auto one_mib = [](int i) { return bytes(1 << 20, static_cast<std::uint8_t>(i)); };
  const auto key = [](int i) { return height_key(static_cast<block_height>(i)); };
  {
    const auto store = std::move(*environment::open(home / "store", plain_store()));
    BOOST_TEST(store->map_bytes() == environment::first_map_bytes);
    for (int i = 0; i < 50; ++i)
      require_ok(store->write([&](auto& t) { t.put(0, key(i), one_mib(i)); }));
    require_ok(store->write([&](auto& t) { // twice the map in one transaction
      for (int i = 50; i < 200; ++i)
        t.put(0, key(i), one_mib(i));
    }));
    BOOST_TEST(store->map_bytes() >= std::size_t{256} << 20);
  }
  const auto store = std::move(*environment::open(home / "store", plain_store()));
  BOOST_TEST(store->map_bytes() >= std::size_t{256} << 20);
  const auto intact = store->read([&](const auto& t) {
    for (int i = 0; i < 200; ++i) {
      const auto got = t.get(0, key(i));
      const auto expected = one_mib(i);
      if (!got || !std::equal(got->begin(), got->end(), expected.begin(), expected.end()))
        return i;
    }
    return 200;
  });
  BOOST_TEST(*intact == 200);
}

BOOST_AUTO_TEST_CASE(readers_see_whole_transactions_while_the_map_grows_under_them) {
  const temporary_directory home;
  const auto store = std::move(*environment::open(home / "store", plain_store()));
  const auto write_round = [&](std::uint8_t round) {
    return store->write([&](auto& t) {
      t.put(0, as_bytes("first"), bytes(1000, round));
      t.put(0, height_key(round), bytes(4 << 20, round));
      t.put(0, as_bytes("last"), bytes(1000, round));
    });
  };
  require_ok(write_round(0));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> reads{0}, torn{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i)
    readers.emplace_back([&] {
      do {
        const auto whole = store->read([](const auto& t) {
          const auto first = *t.get(0, as_bytes("first")), last = *t.get(0, as_bytes("last"));
          const auto body = *t.get(0, height_key(first[0]));
          return first[0] == last[999] && body[0] == first[0]
                 && body[body.size() - 1] == first[0];
        });
        if (!whole || !*whole) ++torn;
        ++reads;
      } while (!done);
    });
  bool written = true;
  for (std::uint8_t round = 1; round <= 60 && written; ++round)
    written = write_round(round).has_value();
  done = true;
  for (auto& each : readers)
    each.join();
  BOOST_TEST(written);
  BOOST_TEST(store->map_bytes() >= std::size_t{256} << 20);
  BOOST_TEST(torn == 0u);
  BOOST_TEST(reads > 100u);
}

BOOST_AUTO_TEST_CASE(a_disk_without_room_is_a_storage_error_and_nothing_of_the_write_remains) {
  const temporary_directory home;
  // A limit on file size stands for the full disk: the kernel refuses the same writes. In a
  // child, since a limit is for good.
  {
    const auto store = std::move(*environment::open(home / "store", plain_store()));
    require_ok(store->write([](auto& t) { t.put(0, as_bytes("kept"), as_bytes("1")); }));
  }
  const auto child = ::fork();
  if (child == 0) {
    auto store = environment::open(home / "store", plain_store());
    const rlimit limit{1 << 20, 1 << 20};
    std::signal(SIGXFSZ, SIG_IGN);
    if (!store || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    const auto failed =
        (*store)->write([](auto& t) { t.put(0, as_bytes("lost"), bytes(4 << 20, 1)); });
    const auto after =
        (*store)->write([](auto& t) { t.put(0, as_bytes("small"), as_bytes("1")); });
    const auto kept =
        (*store)->read([](const auto& t) { return t.get(0, as_bytes("kept")).has_value(); });
    const bool good =
        !failed && failed.error().code == errc::storage && !after && kept && *kept;
    ::_exit(good ? 0 : 2);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  const auto store = environment::open(home / "store", plain_store());
  require_ok(store);
  BOOST_TEST(
      *(*store)->read([](const auto& t) { return t.get(0, as_bytes("kept")).has_value(); }));
  BOOST_TEST(
      !*(*store)->read([](const auto& t) { return t.get(0, as_bytes("lost")).has_value(); }));
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_named_whatever_the_system_calls_it) {
  const temporary_directory home;
  require_ok(environment::open(home / "store", plain_store()));
  const auto child = ::fork();
  if (child == 0) {
    auto store = environment::open(home / "store", plain_store());
    const rlimit limit{8192, 8192}; // the two pages that every commit ends with
    std::signal(SIGXFSZ, SIG_IGN);
    if (!store || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(1);
    const auto failed =
        (*store)->write([](auto& t) { t.put(0, as_bytes("lost"), as_bytes("1")); });
    const bool named =
        !failed && failed.error().context.find("the disk is full") != std::string::npos;
    ::_exit(named ? 0 : 2);
  }
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}

// --- kill -9

/// Runs `work` in a child, which reports each number it has made durable, and kills it in the
/// midst. Returns the last number reported.
static std::uint64_t kill_in_the_midst(const std::function<void(int report_to)>& work,
                                       std::uint64_t kill_after) {
  int pipe[2];
  BOOST_REQUIRE(::pipe(pipe) == 0);
  const auto child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    work(pipe[1]);
    ::_exit(1);
  }
  ::close(pipe[1]);
  std::uint64_t reported = 0, number = 0;
  while (reported < kill_after && ::read(pipe[0], &number, sizeof number) == sizeof number)
    reported = number;
  ::kill(child, SIGKILL);
  while (::read(pipe[0], &number, sizeof number) == sizeof number)
    reported = number;
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(WIFSIGNALED(status));
  return reported;
}

static void report(int to, std::uint64_t number) {
  if (::write(to, &number, sizeof number) != sizeof number) ::_exit(3);
}

BOOST_AUTO_TEST_CASE(
    a_ledger_killed_in_mid_append_has_every_append_that_returned_and_no_half_one) {
  const temporary_directory home;
  std::uint64_t height = 0;
  for (int round = 0; round < 5; ++round) {
    const auto rows_of = [](std::uint64_t at) {
      std::vector<ledger_script::step> rows;
      for (int i = 0; i < 50; ++i)
        rows.push_back({"a.t", "k" + std::to_string(i), "v" + std::to_string(at)});
      return rows;
    };
    const auto reported = kill_in_the_midst(
        [&](int to) {
          auto store = std::move(*ledger::open(home / "ledger", test_domain()));
          ledger_script script;
          for (std::uint64_t at = 1;; ++at) {
            const auto made = script.next(rows_of(at));
            if (at <= height) continue;
            if (!store->append({&made, 1})) ::_exit(2);
            report(to, at);
          }
        },
        height + 20 + static_cast<std::uint64_t>(round));
    const auto store = ledger::open(home / "ledger", test_domain());
    require_ok(store);
    height = (*store)->head()->height;
    BOOST_TEST(height >= reported);
    BOOST_TEST(height <= reported + 1); // the one that was under way may be there, as a whole
    for (int i = 0; i < 50; ++i)
      BOOST_TEST((*(*store)->row("a.t", ledger_script::raw("k" + std::to_string(i)))->row
                  == ledger_script::raw("v" + std::to_string(height))));
    require_ok((*store)->execution_of(height));
  }
}

BOOST_AUTO_TEST_CASE(a_vote_log_and_a_batch_store_killed_in_mid_append_have_all_that_returned) {
  const temporary_directory home;
  const auto reported = kill_in_the_midst(
      [&](int to) {
        auto votes = std::move(*vote_log::open(home / "votes", test_domain(), false));
        auto batches = std::move(*batch_store::open(home / "batches", test_domain()));
        digest parent;
        for (std::uint64_t seq = 1;; ++seq) {
          const auto batch = make_batch(0, seq, parent, 20000);
          parent = batch->id;
          const vote_record vote = keyed_hash().make(item_kind::notarize, seq, parent);
          if (!batches->put({&batch, 1}) || !votes->append({&vote, 1})) ::_exit(2);
          report(to, seq);
        }
      },
      40);
  const auto votes = vote_log::open(home / "votes", test_domain(), true);
  require_ok(votes);
  BOOST_TEST((*votes)->load()->size() >= reported);
  const auto batches = batch_store::open(home / "batches", test_domain());
  require_ok(batches);
  const auto headers = (*batches)->headers_after({});
  BOOST_REQUIRE(headers->size() >= reported);
  BOOST_TEST((*batches)->descend(headers->back().tip, 0, 1 << 30, 10000)->size()
             == headers->size());
}

BOOST_AUTO_TEST_SUITE_END()
