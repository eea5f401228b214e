#include "storage/ledger.hpp"

#include "storage_fixture.hpp"

#include <thread>

using namespace tallymesh;
using namespace tallymesh::storage;
using namespace tallymesh::storage::testing;

BOOST_AUTO_TEST_SUITE(storage_ledger)

using steps = std::vector<ledger_script::step>;

static std::unique_ptr<ledger> open_ledger(const fs::path& path,
                                           durability how = durability::synced) {
  auto opened = ledger::open(path, test_domain(), how);
  require_ok(opened);
  return std::move(*opened);
}

static bytes raw(std::string_view text) { return ledger_script::raw(text); }

static void same_head(const ledger_head& a, const ledger_head& b) {
  BOOST_TEST(a.height == b.height);
  BOOST_TEST(a.view == b.view);
  BOOST_TEST((a.block == b.block));
  BOOST_TEST(a.time_ms == b.time_ms);
  BOOST_TEST((a.full_cut == b.full_cut));
  BOOST_TEST((a.execution == b.execution));
}

BOOST_AUTO_TEST_CASE(an_empty_ledger_stands_at_genesis) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  same_head(*store->head(), ledger_script().head());
  BOOST_TEST(store->tables()->empty());
  BOOST_TEST(is_error(store->block(1), errc::not_found));
  BOOST_TEST(is_error(store->range(1, 10, 1 << 20), errc::not_found));
  BOOST_TEST(!store->row("orders.orders", raw("k"))->row);
}

BOOST_AUTO_TEST_CASE(blocks_executions_rows_and_receipts_are_there_after_reopening) {
  const temporary_directory home;
  ledger_script script;
  const std::vector<ledger_commit> both{
      script.next({{"orders.orders", "k1", "first"}, {"orders.lines", "k1", "line"}}, false),
      script.next({{"orders.orders", "k1", "second"}, {"orders.orders", "k2", "other"}})};
  require_ok(open_ledger(home / "ledger")->append(both));

  const auto store = open_ledger(home / "ledger");
  same_head(*store->head(), script.head());
  const auto block = store->block(1);
  require_ok(block);
  BOOST_TEST((block->block->body == both[0].block->body));
  BOOST_TEST((block->block->signed_by == both[0].block->signed_by));
  BOOST_TEST((block->full_cut == both[0].full_cut));
  BOOST_TEST((block->execution == both[0].execution));
  BOOST_TEST(!block->finalization);
  BOOST_TEST((store->block(2)->finalization == both[1].finalization));
  BOOST_TEST((encode(*store->execution_of(2)) == encode(*both[1].result)));
  const auto row = store->row("orders.orders", raw("k1"));
  BOOST_TEST((row->row == raw("second")));
  BOOST_TEST((row->last == change_place{2, 0}));
  BOOST_TEST((store->row("orders.lines", raw("k1"))->row == raw("line")));
  const auto receipt = store->receipt(operation_number(4), 0);
  require_ok(receipt);
  BOOST_TEST(receipt->height == 2u);
  BOOST_TEST(receipt->position == 1u);
  BOOST_TEST(is_error(store->receipt(operation_number(99), 0), errc::not_found));
}

BOOST_AUTO_TEST_CASE(only_what_follows_the_head_is_appended) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script, fork;
  const auto one = script.next({{"a.t", "k", "v"}});
  const auto two = script.next({{"a.t", "k", "w"}});
  const auto three = script.next({{"a.t", "k", "x"}});
  const auto other_one = fork.next({{"a.t", "k", "other"}});
  const auto other_two = fork.next({});
  const auto refused = [&](const ledger_commit& x) {
    return is_error(store->append({&x, 1}), errc::conflict);
  };

  BOOST_TEST(refused(two));
  BOOST_TEST(is_error(store->append(std::vector<ledger_commit>{one, three}), errc::conflict));
  BOOST_TEST(store->head()->height == 0u); // nothing of a refused append remains
  require_ok(store->append({&one, 1}));
  BOOST_TEST(refused(one));
  BOOST_TEST(refused(other_two));
  auto broken = two;
  broken.execution = digest_of("another result");
  BOOST_TEST(refused(broken));
  broken = two;
  broken.finalization = other_one.finalization;
  BOOST_TEST(refused(broken));
  broken = two;
  broken.result = other_two.result;
  BOOST_TEST(refused(broken));
  require_ok(store->append({&two, 1}));
}

BOOST_AUTO_TEST_CASE(an_operation_is_executed_once_and_its_id_is_known_from_then_on) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  const auto one = script.next({{"a.t", "k", "v"}, {"a.t", "l", "v"}});
  require_ok(store->append({&one, 1}));
  const std::vector<operation_id> ids{operation_number(2), operation_number(7),
                                      operation_number(1)};
  BOOST_TEST((*store->executed(0, ids) == std::vector<bool>{true, false, true}));
  BOOST_TEST((*store->executed(1, ids) == std::vector<bool>{false, false, false}));
  BOOST_TEST(store->receipt(ids[0], 1)->lane == 0); // nobody else used the id

  auto two = script.next({{"a.t", "k", "w"}});
  auto again = *two.result;
  again.receipts[0].id = operation_number(2);
  two.execution = execution_digest(again);
  two.result = std::make_shared<const execution>(again);
  BOOST_TEST(is_error(store->append({&two, 1}), errc::conflict));
  BOOST_TEST(store->head()->height == 1u);
  BOOST_TEST((store->row("a.t", raw("k"))->row == raw("v")));
}

BOOST_AUTO_TEST_CASE(deleted_rows_leave_lists_and_counts_and_keep_their_history) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  const std::vector<ledger_commit> all{
      script.next({{"a.t", "k1", "one"},
                   {"a.t", "k2", "two"},
                   {"a.t", "k3", "three"},
                   {"b.t", "k2", "b"}}),
      script.next({{"a.t", "k2", "two again"}, {"a.t", "k2", std::nullopt}}),
      script.next({{"a.t", "k4", "four"}, {"a.t", "k2", "back"}, {"a.t", "k2", std::nullopt}})};
  require_ok(store->append(all));
  const auto gone = store->row("a.t", raw("k2"));
  BOOST_TEST(!gone->row);
  BOOST_TEST((gone->last == change_place{3, 2}));
  const auto counts = store->tables();
  BOOST_REQUIRE_EQUAL(counts->size(), 2u);
  BOOST_TEST((*counts)[0].table == "a.t");
  BOOST_TEST((*counts)[0].records == 3u);
  BOOST_TEST((*counts)[1].records == 1u);

  const auto keys = [&](bytes_view after, std::size_t limit) {
    std::vector<std::string> found;
    const auto rows = store->rows("a.t", after, limit);
    require_ok(rows);
    for (const auto& each : *rows)
      found.emplace_back(as_text(each.key));
    return found;
  };
  BOOST_TEST((keys({}, 10) == std::vector<std::string>{"k1", "k3", "k4"}));
  BOOST_TEST((keys({}, 2) == std::vector<std::string>{"k1", "k3"}));
  BOOST_TEST((keys(raw("k3"), 10) == std::vector<std::string>{"k4"}));
  BOOST_TEST((keys(raw("k2"), 1) == std::vector<std::string>{"k3"}));
}

BOOST_AUTO_TEST_CASE(history_goes_back_change_by_change_with_who_and_when) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  for (int height = 1; height <= 6; ++height) {
    const auto made = script.next({{"a.t", "other", "x" + std::to_string(height)},
                                   {"a.t", "k", "v" + std::to_string(height)},
                                   {"a.t", "k", "w" + std::to_string(height)}});
    require_ok(store->append({&made, 1}));
  }
  std::vector<std::string> after;
  change_place from;
  do {
    const auto page = store->history("a.t", raw("k"), from, 5);
    require_ok(page);
    for (const auto& each : page->entries) {
      after.emplace_back(as_text(*each.change.after));
      BOOST_TEST(each.time_ms == 1000 + static_cast<std::int64_t>(each.place.height));
      BOOST_TEST(each.receipt.position == each.change.position);
      BOOST_TEST(each.receipt.height == each.place.height);
    }
    from = page->next;
  } while (from.height != 0);
  const std::vector<std::string> expected{"w6", "v6", "w5", "v5", "w4", "v4",
                                          "w3", "v3", "w2", "v2", "w1", "v1"};
  BOOST_TEST((after == expected));
  BOOST_TEST(
      is_error(store->history("a.t", raw("k"), {3, 0}, 5), errc::not_found)); // of another row
  BOOST_TEST(is_error(store->history("a.t", raw("k"), {3, 99}, 5), errc::not_found));
  BOOST_TEST(is_error(store->history("a.t", raw("k"), {99, 0}, 5), errc::not_found));
  BOOST_TEST(is_error(store->history("a.t", raw("never"), {}, 5), errc::not_found));
}

static std::vector<std::string> scan(const ledger& store, std::string_view prefix,
                                     std::size_t limit) {
  std::vector<std::string> found;
  bytes after;
  do {
    const auto page = store.index_scan("a.t", 1, raw(prefix), after, limit);
    require_ok(page);
    BOOST_TEST(page->entries.size() <= limit);
    for (const auto& each : page->entries)
      found.push_back(std::string(as_text(each.row_key)) + "="
                      + std::string(as_text(each.row)));
    after = page->next;
  } while (!after.empty());
  return found;
}

BOOST_AUTO_TEST_CASE(an_index_is_read_page_by_page_in_the_order_of_index_key_then_row_key) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  const std::vector<ledger_commit> all{
      script.next(
          {{"a.t", "k3", "b3"}, {"a.t", "k1", "b1"}, {"a.t", "k2", "a2"}, {"b.t", "k", "b"}}),
      script.next({{"a.t", "k4", "b4"},
                   {"a.t", "k5", "c5"},
                   {"a.t", "k2", "b2"},
                   {"a.t", "k3", std::nullopt}})};
  require_ok(store->append(all));
  const std::vector<std::string> under_b{"k1=b1", "k2=b2", "k4=b4"};
  for (std::size_t limit = 1; limit <= 5; ++limit)
    BOOST_TEST((scan(*store, std::string_view("b\0", 2), limit) == under_b));
  BOOST_TEST(
      (scan(*store, "", 2) == std::vector<std::string>{"k1=b1", "k2=b2", "k4=b4", "k5=c5"}));
  BOOST_TEST(scan(*store, "z", 2).empty());
  BOOST_TEST(store->index_scan("a.t", 2, {}, {}, 9)->entries.empty());
  BOOST_TEST(store->index_scan("no.table", 1, {}, {}, 9)->entries.empty());
  // a cursor made up by somebody leads nowhere else
  BOOST_TEST(store->index_scan("a.t", 1, raw("a"), bytes(400, 0xFF), 9)->entries.empty());
  BOOST_TEST(is_error(store->index_scan("a.t", 1, {}, bytes(600, 1), 9), errc::malformed));
}

BOOST_AUTO_TEST_CASE(a_page_ends_behind_what_passes_its_bytes_and_the_next_goes_on_there) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  const std::string longer(99, 'b');
  const std::vector<ledger_commit> all{
      script.next({{"a.t", "k1", longer}, {"a.t", "k2", longer + "2"}, {"a.t", "k3", longer}}),
      script.next({{"a.t", "k1", longer + "1"}, {"b.t", "k1", "c"}, {"a.t", "k1", longer}})};
  require_ok(store->append(all));
  const std::vector<std::pair<std::size_t, std::size_t>> cases{
      {1, 1}, {100, 1}, {150, 2}, {1000, 3}};
  for (const auto& [bytes, entries] : cases) {
    const auto page = store->index_scan("a.t", 1, {}, {}, 9, bytes);
    require_ok(page);
    BOOST_TEST(page->entries.size() == entries);
    BOOST_TEST(page->next.empty() == (entries == 3));
    const auto rest = store->index_scan("a.t", 1, {}, page->entries.back().place, 9);
    require_ok(rest);
    BOOST_TEST(rest->entries.size() == 3 - entries);
    // A change tells the row before and after.
    const auto history = store->history("a.t", raw("k1"), {}, 9, 2 * bytes);
    require_ok(history);
    BOOST_TEST(history->entries.size() == entries);
    BOOST_TEST((history->next.height == 0) == (entries == 3));
  }
}

BOOST_AUTO_TEST_CASE(the_changes_of_one_operation_are_read_by_themselves) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  auto made = script.next({{"a.t", "k1", "v1"}, {"a.t", "k2", "v2"}, {"a.t", "k3", "v3"}});
  auto done = *made.result;
  done.changes[2].position = 0; // the first operation changed two rows
  made.execution = execution_digest(done);
  made.result = std::make_shared<const execution>(std::move(done));
  require_ok(store->append({&made, 1}));
  BOOST_TEST(*store->operations_of(1) == 3u);
  BOOST_TEST(is_error(store->operations_of(2), errc::not_found));
  BOOST_TEST(is_error(store->changes_of(2, 0, 0, 1000), errc::not_found));
  const auto both = store->changes_of(1, 0, 0, 1000);
  require_ok(both);
  BOOST_REQUIRE_EQUAL(both->changes.size(), 2u);
  BOOST_TEST((both->changes[1].key == raw("k3")));
  BOOST_TEST(both->next == 0u);
  const auto first = store->changes_of(1, 0, 0, 1);
  require_ok(first);
  BOOST_REQUIRE_EQUAL(first->changes.size(), 1u);
  const auto second = store->changes_of(1, 0, first->next, 1);
  require_ok(second);
  BOOST_REQUIRE_EQUAL(second->changes.size(), 1u);
  BOOST_TEST((second->changes[0].key == raw("k3")));
  BOOST_TEST(second->next == 0u);
}

BOOST_AUTO_TEST_CASE(an_index_key_longer_than_a_key_can_be_is_still_found_whole) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  auto made = script.next({{"a.t", "k1", "1"}, {"a.t", std::string(255, 'k'), "2"}});
  const bytes one(1000, 'x');
  auto other = one;
  other[999] = 'y';
  made.indexes = {{"a.t", 3, one, raw("k1"), true},
                  {"a.t", 3, other, raw(std::string(255, 'k')), true}};
  require_ok(store->append({&made, 1}));
  const auto page = store->index_scan("a.t", 3, other, {}, 9);
  require_ok(page);
  BOOST_REQUIRE_EQUAL(page->entries.size(), 1u);
  BOOST_TEST((page->entries[0].index_key == other));
  BOOST_TEST((page->entries[0].row == raw("2")));
  BOOST_TEST(!store->index_scan("a.t", 3, {}, {}, 1)->next.empty());
  auto remove = script.next({});
  remove.indexes = {{"a.t", 3, other, raw(std::string(255, 'k')), false}};
  require_ok(store->append({&remove, 1}));
  BOOST_TEST(store->index_scan("a.t", 3, {}, {}, 9)->entries.size() == 1u);
}

BOOST_AUTO_TEST_CASE(rows_and_entries_are_walked_in_both_directions_between_two_bounds) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  const std::vector all{
      script.next(
          {{"a.t", "k1", "b"}, {"a.t", "k2", "a"}, {"a.t", "k3", "c"}, {"b.t", "k", "b"}}),
      script.next({{"a.t", "k2", std::nullopt}, {"a.t", "k4", "b"}})};
  require_ok(store->append(all));
  const auto rows = [&](std::string_view from, std::string_view to, bool descending,
                        std::size_t limit = 9) {
    std::string found;
    const auto start = raw(from), end = raw(to);
    require_ok(store->walk_rows("a.t", {start, end, descending},
                                [&](bytes_view key, const stored_row& row) {
                                  found += std::string(as_text(key)) + (row.row ? " " : "! ");
                                  return --limit > 0;
                                }));
    return found;
  };
  BOOST_TEST(rows("", "", false) == "k1 k2! k3 k4 ");
  BOOST_TEST(rows("", "", true) == "k4 k3 k2! k1 ");
  BOOST_TEST(rows("k2", "k4", false) == "k2! k3 ");
  BOOST_TEST(rows("k2", "k4", true) == "k3 k2! ");
  BOOST_TEST(rows("", "", true, 2) == "k4 k3 ");
  BOOST_TEST(rows("k5", "", false).empty());
  const auto entries = [&](bytes_view from, bytes_view to, bool descending) {
    std::string found;
    require_ok(
        store->walk_entries("a.t", 1, {from, to, descending}, [&](bytes_view, bytes_view key) {
          found += std::string(as_text(key)) + " ";
          return true;
        }));
    return found;
  };
  BOOST_TEST(entries({}, {}, false) == "k1 k4 k3 ");
  BOOST_TEST(entries({}, {}, true) == "k3 k4 k1 ");
  const auto b = raw("b"), c = raw("c");
  BOOST_TEST(entries(b, c, true) == "k4 k1 ");
  BOOST_TEST(entries(c, {}, false) == "k3 ");
}

BOOST_AUTO_TEST_CASE(a_view_stays_as_it_was_while_blocks_are_appended) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  const auto first = script.next({{"a.t", "k1", "b"}, {"a.t", "k2", "a"}});
  const auto second = script.next({{"a.t", "k1", std::nullopt}, {"a.t", "k3", "c"}});
  require_ok(store->append({&first, 1}));
  const auto keys = [](const ledger_view& seen) {
    std::string found;
    require_ok(seen.walk_rows("a.t", {}, [&](bytes_view key, const stored_row& row) {
      found += std::string(as_text(key)) + (row.row ? " " : "! ");
      return true;
    }));
    require_ok(seen.walk_entries("a.t", 1, {}, [&](bytes_view, bytes_view key) {
      found += std::string(as_text(key)) + " ";
      return true;
    }));
    return found;
  };
  require_ok(store->look([&](const ledger_view& seen) {
    std::thread([&] { require_ok(store->append({&second, 1})); }).join();
    BOOST_TEST(keys(seen) == "k1 k2 k2 k1 ");
    BOOST_TEST(seen.head()->height == 1u);
    BOOST_TEST((seen.row("a.t", raw("k1"))->row == raw("b")));
    BOOST_TEST(!seen.row("a.t", raw("k3"))->row);
    BOOST_TEST(seen.execution_of(1)->changes.size() == first.result->changes.size());
    BOOST_TEST((seen.block(2).error().code == errc::not_found));
  }));
  require_ok(store->look([&](const ledger_view& seen) {
    BOOST_TEST(keys(seen) == "k1! k2 k3 k2 k3 ");
    BOOST_TEST(seen.head()->height == 2u);
  }));
}

BOOST_AUTO_TEST_CASE(long_index_keys_are_walked_between_bounds_that_differ_at_their_ends) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  auto made = script.next({{"a.t", "k1", "1"}, {"a.t", "k2", "2"}, {"a.t", "k3", "3"}});
  bytes one(1000, 'x'), two(1000, 'x'), three(1000, 'x');
  two.back() = 'y';
  three.back() = 'z';
  made.indexes = {{"a.t", 3, three, raw("k1"), true},
                  {"a.t", 3, two, raw("k2"), true},
                  {"a.t", 3, one, raw("k3"), true}};
  require_ok(store->append({&made, 1}));
  std::string found;
  require_ok(store->walk_entries("a.t", 3, {two, three}, [&](bytes_view, bytes_view key) {
    found += as_text(key);
    return true;
  }));
  BOOST_TEST(found == "k2");
}

BOOST_AUTO_TEST_CASE(a_range_ends_at_a_finalization_within_its_bounds_or_at_the_next) {
  const temporary_directory home;
  const auto store = open_ledger(home / "ledger");
  ledger_script script;
  std::vector<ledger_commit> all;
  for (const bool finalized : {true, false, false, true, false, false, false, true})
    all.push_back(script.next({}, finalized));
  require_ok(store->append(all));
  const auto ends = [&](block_height from, std::size_t max_blocks, std::size_t max_bytes) {
    const auto got = store->range(from, max_blocks, max_bytes);
    require_ok(got);
    const auto& last = got->blocks.back();
    BOOST_TEST(got->blocks.front()->content.height == std::max<block_height>(from, 1));
    BOOST_TEST(got->blocks.size()
               == last->content.height - std::max<block_height>(from, 1) + 1);
    BOOST_TEST((got->finalization.block == last->id));
    return last->content.height;
  };
  BOOST_TEST(ends(1, 100, 1 << 20) == 8u);
  BOOST_TEST(ends(0, 100, 1 << 20) == 8u);
  BOOST_TEST(ends(1, 7, 1 << 20) == 4u);
  BOOST_TEST(ends(1, 3, 1 << 20) == 1u);
  BOOST_TEST(ends(2, 2, 1 << 20) == 4u); // none within: on to the next
  BOOST_TEST(ends(5, 1, 1) == 8u);
  BOOST_TEST(ends(1, 100, 2 * all[0].block->body.size()) == 1u);
  BOOST_TEST(is_error(store->range(9, 100, 1 << 20), errc::not_found));
}

BOOST_AUTO_TEST_CASE(two_ledgers_with_the_same_rows_have_the_same_digests_however_these_came) {
  const temporary_directory home;
  const auto one = open_ledger(home / "one"), other = open_ledger(home / "other");
  ledger_script first, second;
  const std::vector<ledger_commit> direct{
      first.next({{"b.t", "x", "1"}, {"a.t", "k", "v"}, {"a.t", "l", "w"}})};
  const std::vector<ledger_commit> winding{
      second.next({{"a.t", "l", "to be changed"}, {"a.t", "gone", "x"}, {"b.t", "x", "1"}}),
      second.next({{"a.t", "gone", std::nullopt}, {"a.t", "l", "w"}, {"a.t", "k", "v"}})};
  require_ok(one->append(direct));
  require_ok(other->append(winding));
  const auto a = one->digests(), b = other->digests();
  BOOST_REQUIRE_EQUAL(a->tables.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(a->tables[i].table == b->tables[i].table);
    BOOST_TEST(a->tables[i].records == b->tables[i].records);
    BOOST_TEST((a->tables[i].content == b->tables[i].content));
  }
  BOOST_TEST((one->table_digest("a.t")->tables[0].content == a->tables[0].content));
  BOOST_TEST(other->table_digest("a.t")->head.height == 2u);
  const auto change = second.next({{"a.t", "k", "V"}});
  require_ok(other->append({&change, 1}));
  BOOST_TEST((other->table_digest("a.t")->tables[0].content != a->tables[0].content));
  BOOST_TEST(is_error(one->table_digest("no.table"), errc::not_found));
}

BOOST_AUTO_TEST_CASE(a_lazy_ledger_keeps_what_it_got_when_it_is_closed) {
  const temporary_directory home;
  ledger_script script;
  const auto made = script.next({{"a.t", "k", "v"}});
  require_ok(open_ledger(home / "ledger", durability::lazy)->append({&made, 1}));
  BOOST_TEST(open_ledger(home / "ledger")->head()->height == 1u);
}

// --- damage

struct damaged_ledger {
  temporary_directory home;
  ledger_commit made;
  std::unique_ptr<ledger> store;

  explicit damaged_ledger(const std::function<std::string(const ledger_commit&)>& pattern,
                          std::size_t at = 0) {
    ledger_script script;
    const std::vector<ledger_commit> all{
        script.next({{"a.t", "a key to find", "value of the damaged row"}}), script.next({})};
    made = all[0];
    require_ok(open_ledger(home / "ledger")->append(all));
    BOOST_REQUIRE(flip_byte_of(home / "ledger" / "data.mdb", pattern(made), at) > 0);
    store = open_ledger(home / "ledger");
  }
};

template <class Raw>
static std::string text_of(const Raw& raw) {
  return std::string(raw.begin(), raw.end());
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_a_block_is_found_and_named) {
  const damaged_ledger x([](const auto& made) { return text_of(made.block->body); }, 20);
  const auto got = x.store->block(1);
  BOOST_TEST(is_error(got, errc::damaged));
  BOOST_TEST(says(got, "ledger: the block record of height 1"));
  BOOST_TEST(is_error(x.store->range(1, 1, 1 << 20), errc::damaged));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_a_finalization_is_found_and_named) {
  const damaged_ledger x(
      [](const auto& made) { return text_of(made.finalization->votes[0].second.raw); });
  const auto got = x.store->block(1);
  BOOST_TEST(is_error(got, errc::damaged));
  BOOST_TEST(says(got, "ledger: the finalization record of height 1"));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_an_execution_is_found_and_named) {
  // the change's encoding begins with its table and key; the row's record does not hold these
  const damaged_ledger x(
      [](const auto& made) { return text_of(encode(made.result->changes[0])); }, 30);
  const auto whole = x.store->execution_of(1);
  BOOST_TEST(is_error(whole, errc::damaged));
  BOOST_TEST(says(whole, "ledger: the execution record of height 1"));
  BOOST_TEST(is_error(x.store->history("a.t", raw("a key to find"), {}, 9), errc::damaged));
  require_ok(x.store->receipt(operation_number(1), 0));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_a_receipt_is_found_and_named) {
  const damaged_ledger x(
      [](const auto& made) { return text_of(encode(made.result->receipts[0])); }, 40);
  const auto got = x.store->receipt(operation_number(1), 0);
  BOOST_TEST(is_error(got, errc::damaged));
  BOOST_TEST(says(got, "ledger: the execution record of height 1"));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_a_row_is_found_and_named) {
  // a row's record: the place of its last change (1, 0), then 1 for live, then the row
  const damaged_ledger x(
      [](const auto&) { return std::string("\0\0\0\0\1value of the damaged row", 29); }, 8);
  const auto got = x.store->row("a.t", raw("a key to find"));
  BOOST_TEST(is_error(got, errc::damaged));
  BOOST_TEST(says(got, "ledger: the row record of key"));
  BOOST_TEST(is_error(x.store->rows("a.t", {}, 9), errc::damaged));
  BOOST_TEST(is_error(x.store->digests(), errc::damaged));
  BOOST_TEST(is_error(x.store->index_scan("a.t", 1, {}, {}, 9), errc::damaged));
}

BOOST_AUTO_TEST_CASE(a_flipped_byte_in_the_last_block_keeps_the_ledger_from_opening) {
  const temporary_directory home;
  ledger_script script;
  const auto made = script.next({});
  require_ok(open_ledger(home / "ledger")->append({&made, 1}));
  BOOST_REQUIRE(flip_byte_of(home / "ledger" / "data.mdb", text_of(made.block->body), 20) > 0);
  BOOST_TEST(is_error(ledger::open(home / "ledger", test_domain()), errc::damaged));
}

BOOST_AUTO_TEST_SUITE_END()
