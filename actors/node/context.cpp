#include "actors/node/context.hpp"

#include "actors/contract_executor/ledger_tables.hpp"
#include "contracts/rules_in_force.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace tallymesh::node {

void status_board::set(consensus::snapshot x) {
  const std::lock_guard guard(lock_);
  board_.consensus = std::move(x);
}

void status_board::set(mempool::snapshot x) {
  const std::lock_guard guard(lock_);
  board_.mempool = std::move(x);
}

void status_board::executed(block_height height, std::int64_t time_ms, std::size_t operations) {
  const std::lock_guard guard(lock_);
  board_.height = height;
  board_.last_block_ms = time_ms;
  board_.operations_executed += operations;
}

void status_board::peer(node_index index, bool up, std::int64_t now_ms) {
  const std::lock_guard guard(lock_);
  if (index < board_.peers.size()) board_.peers[index] = {up, now_ms};
}

void status_board::stopped(std::string_view why) {
  const std::lock_guard guard(lock_);
  board_.halted = why;
}

status_board::view status_board::look() const {
  const std::lock_guard guard(lock_);
  return board_;
}

void contract_board::show(contracts::contract_set_ptr x) {
  auto all = std::make_shared<list>();
  for (const auto& [name, entry] : x->contracts())
    all->push_back(entry.declared);
  set_ = std::move(x);
  list_ = std::move(all);
}

void contract_board::begin(contracts::contract_set_ptr now) {
  const std::lock_guard guard(lock_);
  coming_.clear();
  show(std::move(now));
}

void contract_board::change(block_height from, contracts::contract_set_ptr next) {
  const std::lock_guard guard(lock_);
  coming_.emplace_back(from, std::move(next));
}

void contract_board::stored(block_height through) {
  const std::lock_guard guard(lock_);
  for (; !coming_.empty() && coming_.front().first <= through; coming_.pop_front())
    show(std::move(coming_.front().second));
}

contracts::contract_set_ptr contract_board::look() const {
  const std::lock_guard guard(lock_);
  return set_;
}

std::shared_ptr<const contract_board::list> contract_board::contracts() const {
  const std::lock_guard guard(lock_);
  return list_;
}

instant now() {
  using namespace std::chrono;
  return {duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count(),
          duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

void end_process(const error& why, std::string_view where) {
  spdlog::critical("{}: {}: {}; the node stops", where, to_string(why.code), why.context);
  spdlog::default_logger()->flush();
  ::_exit(74); // EX_IOERR; destructors would wait for threads that must do nothing more
}

gateway::node_status context::status() const {
  const auto board_now = board.look();
  const auto at = now();
  gateway::node_status x;
  x.node = config.node;
  x.tier = to_string(genesis().nodes[self()].tier);
  x.version = TALLYMESH_VERSION;
  x.chain = genesis().chain;
  using phase = gateway::node_status::phase;
  const auto& c = board_now.consensus;
  x.state = c.halted        ? phase::halted
            : c.observing   ? phase::observing
            : c.catching_up ? phase::catching_up
                            : phase::running;
  x.height = board_now.height;
  x.executed_height = board_now.height;
  x.attested_height = c.attested_height;
  x.view = c.frontier;
  x.finalized_view = c.finalized_view;
  x.leader = genesis().nodes[c.leader].name;
  for (node_index i = 0; i < board_now.peers.size(); ++i)
    if (i != self())
      x.peers.push_back(
          {genesis().nodes[i].name, board_now.peers[i].first, board_now.peers[i].second});
  x.pending_operations = board_now.mempool.queued_operations;
  x.last_block_ms = board_now.last_block_ms;
  x.evidence = c.evidence + board_now.mempool.evidence;
  x.uptime_ms = at.wall_ms - started_ms;
  std::size_t up = 1; // this node itself
  for (const auto& peer : board_now.peers)
    up += peer.first;
  x.ready = !c.halted && !c.catching_up && up >= nodes.quorum();
  x.counters = {
      {"operations_executed_total", "Operations executed since the node started", false,
       board_now.operations_executed},
      {"mempool_bytes", "Bytes of operations accepted here and not yet final", true,
       board_now.mempool.queued_bytes},
      {"views_given_up", "Views of live leaders given up since the last finalization", true,
       c.views_given_up},
      {"consensus_blocks_held", "Blocks held that are not yet executed", true, c.blocks_held},
  };
  return x;
}

static result<contract_executor::machine> make_executor(const configs::genesis& mesh) {
  contract_executor::genesis_facts facts;
  facts.chain = mesh.chain;
  for (const auto& each : mesh.nodes)
    facts.nodes.push_back({each.name, static_cast<contracts::tier>(each.tier)});
  for (const auto& each : mesh.accounts)
    facts.accounts.push_back({each.name, each.node, each.key});
  for (const auto& each : mesh.contracts) {
    auto parsed = contracts::parse(each.source, each.file.string());
    if (!parsed) return parsed.error();
    if (parsed->name != each.name)
      return make_error(errc::bad_config, each.file.string() + ": the contract calls itself "
                                              + parsed->name + ", genesis calls it "
                                              + each.name);
    facts.contracts.push_back({std::move(*parsed), each.source, nullptr});
  }
  return contract_executor::machine::make(std::move(facts));
}

void keep_evidence(const context& context, const evidence& x) {
  const auto& culprit = context.genesis().nodes[x.first.signer].name;
  context.evidence->keep(std::chrono::steady_clock::now(), culprit, x);
}

/// Beside the key, not in the data directory: a node whose data was wiped must still know that
/// its key has signed votes which it no longer remembers (S16).
static std::filesystem::path vote_key_mark(const configs::node_config& config) {
  auto file = config.vote_key_file;
  return file += ".used";
}

static bool key_has_voted(const configs::node_config& config) {
  std::error_code failed;
  return std::filesystem::exists(vote_key_mark(config), failed);
}

static void remember_that_key_votes(const configs::node_config& config) {
  if (key_has_voted(config)) return;
  const auto file = vote_key_mark(config);
  std::ofstream(file)
      << "This vote key has been used. If the node's data is lost, make a new key: "
         "votes that were forgotten must not be contradicted.\n";
  if (!key_has_voted(config))
    spdlog::warn(
        "cannot create {}: if the data directory is lost, the node will not notice that "
        "its key has voted before",
        file.string());
}

/// What was erased while the store was too large to be made anew beside other work. If it
/// cannot be, the node runs, and attests nothing.
template <class Store>
static void rebuild_if_due(Store& store, std::string_view name, const start_listener& held_up) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds pause_between_lines{5};
  if (!store.holds_erased()) return;
  const auto all_mib = store.used_bytes() >> 20;
  spdlog::info("making the {} anew, so that its file holds nothing that was erased: {} MiB; "
               "the node answers when that is done",
               name, all_mib);
  const auto begun = clock::now();
  auto told = begun - pause_between_lines;
  const auto done = store.rebuild([&](std::size_t copied) {
    if (clock::now() - told < pause_between_lines) return;
    told = clock::now();
    const auto line =
        fmt::format("making the {} anew: {} of at most {} MiB", name, copied >> 20, all_mib);
    spdlog::info("{}", line);
    if (held_up) held_up(line);
  });
  if (!done)
    return spdlog::error("the {} keeps what was erased in free pages: {}", name,
                         done.error().context);
  spdlog::info("made the {} anew in {} s: {} MiB", name,
               std::chrono::duration_cast<std::chrono::seconds>(clock::now() - begun).count(),
               store.used_bytes() >> 20);
}

result<std::shared_ptr<context>> open_context(configs::node_config config,
                                              const start_listener& held_up) {
  auto keys = configs::load_keys(config);
  if (!keys) return keys.error();
  auto executor = make_executor(config.mesh);
  if (!executor) return executor.error();
  const auto& mesh = config.mesh;
  const auto domain = mesh.domain();
  const auto how = config.durability.ledger == configs::ledger_durability::synced
                       ? storage::durability::synced
                       : storage::durability::lazy;
  auto ledger = storage::ledger::open(config.data_directory / "ledger", domain, how);
  if (!ledger) return ledger.error();
  auto batches = storage::batch_store::open(config.data_directory / "batches", domain);
  if (!batches) return batches.error();
  rebuild_if_due(**ledger, "ledger", held_up);
  rebuild_if_due(**batches, "batch store", held_up);
  const auto head = (*ledger)->head();
  if (!head) return head.error();
  auto votes = storage::vote_log::open(config.data_directory / "votes", domain,
                                       head->height > 0 || key_has_voted(config));
  if (votes) remember_that_key_votes(config);
  if (votes)
    if (const auto records = (*votes)->load(); !records) votes = records.error();
  if (!votes && votes.error().code != errc::not_found && votes.error().code != errc::damaged)
    return votes.error();
  if (!votes)
    spdlog::error(
        "{}; this node observes only: it follows the chain and never votes with this key again",
        votes.error().context);
  std::vector<public_key> vote_keys;
  for (const auto& each : mesh.nodes)
    vote_keys.push_back(each.vote_key);
  auto evidence =
      std::make_unique<evidence_log>(config.data_directory / "evidence.log",
                                     [](const std::string& line) { spdlog::warn(line); });
  const auto self = config.self; // taken before `config` is moved from
  auto admitted = config.operators;
  const auto size = mesh.nodes.size();
  auto nodes = validator_set::make(mesh.chain, mesh.epoch, static_cast<std::uint16_t>(size));
  auto made = std::shared_ptr<context>(
      new context{std::move(config),
                  std::move(nodes),
                  ed25519_credentials(self, domain, keys->vote, std::move(vote_keys)),
                  keys->link,
                  std::move(*executor),
                  std::move(*ledger),
                  std::move(*batches),
                  votes ? std::move(*votes) : nullptr,
                  std::move(evidence),
                  status_board(size),
                  {},
                  now().wall_ms,
                  operators(std::move(admitted))});
  introspector::measuring = made->config.introspection.measure;
  if (!made->votes) made->own_lane = lane_doubt::unasked;
  made->board.executed(head->height, head->time_ms, 0);
  auto rules = contracts::rules_in_force(
      made->executor.base(),
      contract_executor::ledger_tables(*made->ledger,
                                       [](const error& why) { end_process(why, "ledger"); }));
  if (!rules) return rules.error();
  made->in_force.begin(std::move(*rules));
  return made;
}

} // namespace tallymesh::node
