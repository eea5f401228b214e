// The diagnosis: from what nodes report, which one holds back the mesh and why. And how a line
// becomes a command.
#include "tools/tally/shell/screen.hpp"
#include "tools/tally/shell/session.hpp"
#include "tools/tally/shell/why.hpp"

#include <boost/test/unit_test.hpp>

#include <sstream>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

value number(std::int64_t x) { return value(x); }

value_map link(const std::string& peer, bool up) {
  value_map out;
  put(out, "peer", peer);
  put(out, "up", up);
  return out;
}

value_map actor(const std::string& name, const std::string& family) {
  value_map out;
  put(out, "name", name);
  put(out, "family", family);
  put(out, "alive", true);
  return out;
}

/// Four nodes that run well, at one height.
std::vector<node_facts> good_mesh() {
  std::vector<node_facts> out;
  for (const auto* name : {"hq", "coop", "platform", "service"}) {
    auto& x = out.emplace_back();
    x.name = name;
    x.reachable = true;
    put(x.tree, "height", number(10));
    put(x.tree, "actors",
        value_list{actor("consensus", "core actors"), actor("gateway", "gateway")});
    put(x.consensus, "leader", number(1));
    value_list peers;
    for (const auto* peer : {"hq", "coop", "platform", "service"})
      if (std::string(peer) != name) peers.emplace_back(link(peer, true));
    put(x.links, "peers", std::move(peers));
    value_map disk;
    put(disk, "free_bytes", number(100'000'000'000));
    put(x.ledger, "disk", std::move(disk));
  }
  return out;
}

void absent(node_facts& x, process_state process, std::string last = "") {
  const auto name = x.name;
  x = {};
  x.name = name;
  x.trouble = "refused";
  x.process = process;
  x.last_log_line = std::move(last);
}

void change_actor(node_facts& x, const char* key, value what) {
  auto* list = const_cast<value_list*>(find(x.tree, "actors")->as<value_list>());
  put(*(*list)[0].as<value_map>(), key, std::move(what));
}

bool says(const diagnosis& x, const std::string& node, const std::string& text) {
  for (const auto& each : x.findings)
    if (each.node == node && each.what.find(text) != std::string::npos) return true;
  return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(shell_why)

BOOST_AUTO_TEST_CASE(a_good_mesh_has_no_findings) {
  const auto found = diagnose(good_mesh(), true, {});
  BOOST_TEST(found.healthy);
  BOOST_TEST(found.findings.empty());
  BOOST_TEST(found.verdict == "finalizes: 4 of 4 nodes take part, 3 are needed");
}

BOOST_AUTO_TEST_CASE(two_stopped_nodes_of_four_are_named_and_why_that_is_too_many) {
  auto mesh = good_mesh();
  absent(mesh[1], process_state::stopped);
  absent(mesh[3], process_state::stopped);
  const auto found = diagnose(mesh, false, {});
  BOOST_TEST(found.verdict
             == "does not finalize: 2 of 4 nodes take part, 3 are needed; missing: coop "
                "(stopped by a signal), service (stopped by a signal)");
  BOOST_TEST(says(found, "coop", "SIGSTOP"));
  BOOST_TEST(!found.healthy);
}

BOOST_AUTO_TEST_CASE(a_node_that_ended_of_a_full_disk_is_told_from_one_that_was_ended) {
  auto mesh = good_mesh();
  absent(mesh[2], process_state::absent, "ledger: storage: write: No space left on device");
  BOOST_TEST(says(diagnose(mesh, true, {}), "platform", "disk is full or failed"));
  absent(mesh[2], process_state::absent);
  BOOST_TEST(says(diagnose(mesh, true, {}), "platform", "does not run"));
}

BOOST_AUTO_TEST_CASE(a_key_that_one_node_does_not_know_says_nothing_of_the_mesh) {
  auto mesh = good_mesh();
  absent(mesh[2], process_state::unknown);
  mesh[2].trouble = "the other side refused us: tlsv1 alert";
  const auto found = diagnose(mesh, true, {});
  BOOST_TEST(found.healthy);
  BOOST_TEST(says(found, "platform", "does not know this operator's key"));
}

BOOST_AUTO_TEST_CASE(a_halted_node_and_its_reason_come_first) {
  auto mesh = good_mesh();
  put(mesh[0].tree, "halted", "its execution differs from f+1 others");
  const auto found = diagnose(mesh, true, {});
  BOOST_TEST(says(found, "hq", "halted by itself and votes no more: its execution differs"));
  BOOST_TEST(found.verdict.find("without hq (halted)") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_paused_and_a_stuck_core_actor_take_no_part) {
  auto mesh = good_mesh();
  change_actor(mesh[1], "paused", value(true));
  change_actor(mesh[2], "in_handler_us", number(5'000'000));
  change_actor(mesh[2], "handler", value("flush"));
  const auto found = diagnose(mesh, false, {});
  BOOST_TEST(found.verdict.starts_with("does not finalize: 2 of 4"));
  BOOST_TEST(says(found, "coop", "paused by an operator"));
  BOOST_TEST(says(found, "platform", "handles one `flush` for 5.0 s"));
}

BOOST_AUTO_TEST_CASE(a_mesh_cut_in_halves_is_seen_by_its_links) {
  auto mesh = good_mesh();
  const auto cut = [&](std::size_t of, std::initializer_list<const char*> from) {
    value_list peers;
    for (const auto& each : mesh)
      if (each.name != mesh[of].name)
        peers.emplace_back(
            link(each.name, std::find(from.begin(), from.end(), each.name) == from.end()));
    put(mesh[of].links, "peers", std::move(peers));
  };
  cut(0, {"platform", "service"});
  cut(1, {"platform", "service"});
  cut(2, {"hq", "coop"});
  cut(3, {"hq", "coop"});
  const auto found = diagnose(mesh, false, {});
  BOOST_TEST(found.verdict.find("links are cut") != std::string::npos);
  BOOST_TEST(found.findings.size() == 4u); // each cut once, not from both ends
}

BOOST_AUTO_TEST_CASE(a_link_that_only_one_end_calls_down_is_named_once) {
  for (const std::size_t of : {0u, 2u}) {
    auto mesh = good_mesh();
    value_list peers;
    for (const auto& each : mesh)
      if (each.name != mesh[of].name)
        peers.emplace_back(link(each.name, each.name != mesh[2 - of].name));
    put(mesh[of].links, "peers", std::move(peers));
    const auto found = diagnose(mesh, true, {});
    BOOST_TEST(found.findings.size() == 1u);
    BOOST_TEST(says(found, mesh[of].name, "has no link to " + mesh[2 - of].name));
  }
}

BOOST_AUTO_TEST_CASE(who_is_not_reached_from_here_but_by_the_others_is_not_lost_to_the_mesh) {
  auto mesh = good_mesh();
  for (const std::size_t away : {1u, 2u}) {
    absent(mesh[away], process_state::unknown);
    mesh[away].trouble = "no answer within 2 s";
  }
  const auto found = diagnose(mesh, false, {});
  BOOST_TEST(found.verdict.find("does not finalize") == std::string::npos, found.verdict);
  BOOST_TEST(says(found, "coop", "cannot be reached from here: no answer within 2 s; 0 of 2"));
}

BOOST_AUTO_TEST_CASE(a_mesh_whose_heights_grow_finalizes_whatever_else_is_wrong) {
  auto mesh = good_mesh();
  absent(mesh[1], process_state::stopped);
  absent(mesh[3], process_state::stopped);
  BOOST_TEST(diagnose(mesh, true, {}).verdict.starts_with("finalizes"));
}

BOOST_AUTO_TEST_CASE(a_record_that_differs_is_named_with_the_node_that_has_it) {
  const std::vector<table_difference> differences{
      {"orders.lines",
       "\"17\"",
       {{"hq", "aa"}, {"coop", "aa"}, {"platform", "bb"}},
       "platform"}};
  const auto found = diagnose(good_mesh(), true, differences);
  BOOST_TEST(says(found, "platform", "in table orders.lines, first in record \"17\""));
}

BOOST_AUTO_TEST_CASE(little_room_on_a_disk_is_said_before_it_is_none) {
  auto mesh = good_mesh();
  value_map disk;
  put(disk, "free_bytes", number(12'000'000));
  put(disk, "directory", "/data");
  put(mesh[3].ledger, "disk", std::move(disk));
  BOOST_TEST(says(diagnose(mesh, true, {}), "service", "only 12 MB left at /data"));
}

BOOST_AUTO_TEST_CASE(work_that_waits_names_the_leader_and_what_is_missing) {
  auto mesh = good_mesh();
  put(mesh[0].consensus, "pending", true);
  put(mesh[0].consensus, "work_for_ms", number(4000));
  put(mesh[0].consensus, "waiting_for", "the proposal of node 1");
  const auto found = diagnose(mesh, false, {});
  BOOST_TEST(found.verdict.starts_with("has work and does not move"));
  BOOST_TEST(says(found, "hq", "leader coop: waits for the proposal of node 1"));
}

BOOST_AUTO_TEST_CASE(words_may_be_quoted_and_comments_are_none) {
  BOOST_TEST((split_words("  log debug  \"a b\" ") == words{"log", "debug", "a b"}));
  BOOST_TEST(split_words("# a comment").empty());
  BOOST_TEST(split_words("").empty());
}

BOOST_AUTO_TEST_CASE(times_need_a_unit) {
  BOOST_TEST(*duration_ms("250ms") == 250);
  BOOST_TEST(*duration_ms("2s") == 2000);
  BOOST_TEST(*duration_ms("1min") == 60'000);
  for (const auto* each : {"", "5", "s", "-1s", "5 s", "99999999999999999999s"})
    BOOST_TEST(!duration_ms(each).has_value(), each);
}

BOOST_AUTO_TEST_CASE(every_command_has_help_with_an_example) {
  for (const auto& each : shell_commands()) {
    BOOST_TEST(!each.summary.empty(), each.name);
    BOOST_TEST(!each.examples.empty(), each.name);
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(shell_screen)

const std::vector<column> columns{{"actor"}, {"n", true}, {"last exit"}};
const std::vector<std::vector<cell>> rows{{"mempool", "1", "the disk said no"},
                                          {"hub", "22", ""}};

std::size_t widest(const fitted_table& x) {
  std::ostringstream out;
  print_table(out, x.columns, x.rows);
  std::istringstream lines(out.str());
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);)
    most = std::max(most, display_width(line));
  return most;
}

BOOST_AUTO_TEST_CASE(what_fits_is_left_as_it_is) {
  for (const std::size_t width : {std::size_t{0}, std::size_t{29}, std::size_t{200}}) {
    const auto table = fit(columns, rows, width);
    BOOST_TEST(table.left_out.empty());
    BOOST_TEST(table.rows[0][2].text == "the disk said no");
  }
}

BOOST_AUTO_TEST_CASE(a_last_text_is_cut_at_the_screens_edge) {
  const auto table = fit(columns, rows, 26);
  BOOST_TEST(table.rows[0][2].text == "the disk s...");
  BOOST_TEST(widest(table) == 26u);
}

BOOST_AUTO_TEST_CASE(columns_without_room_are_left_out_and_named) {
  const auto table = fit(columns, rows, 15);
  BOOST_TEST(table.left_out == "last exit");
  BOOST_TEST(widest(table) <= 15u);
}

BOOST_AUTO_TEST_CASE(a_wide_character_is_not_cut_in_two) {
  const auto table = fit({{"a"}, {"b"}}, {{"x", "统计用区划代码和城乡划分代码"}}, 20);
  BOOST_TEST(is_utf8(table.rows[0][1].text));
  BOOST_TEST(widest(table) <= 20u);
}

BOOST_AUTO_TEST_SUITE_END()
