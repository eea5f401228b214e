// A node as the gateway sees it: a real ledger in a temporary directory, the real executor, and
// a mempool that does what the test says. Blocks come when the test asks for them.
#pragma once

#include "actors/contract_executor/ledger_tables.hpp"
#include "actors/gateway/service.hpp"
#include "storage_fixture.hpp"

#include <boost/json.hpp>

namespace tallymesh::gateway::testing {

namespace json = boost::json;

inline constexpr char divisions_source[] = R"(
local all = { "level1", "level2", "level3", "service" }
return { contract = "divisions", version = 1, tables = {
  cities = { key = {"code"},
             fields = { code = text{max=4, min=4}, name = text{max=64, min=1}, people = optional(int64{min=0}),
                        area = optional(decimal{scale=2}), capital = optional(bool{}),
                        seal = optional(bytes{max=8}), provinceCode = text{max=2} },
             index = { {"provinceCode"}, {"provinceCode", "name"} },
             read = all, store = all, delete = { "operator@hq" } },
  pairs  = { key = {"a", "n"}, fields = { a = text{max=20}, n = int64{} }, read = all, store = all, delete = all },
  papers = { key = {"id"}, fields = { id = text{max=8}, shelf = text{max=8}, words = text{max=250000} },
             index = { {"shelf"} }, read = all, store = all },
  secret = { key = {"id"}, fields = { id = text{max=8} }, read = { "level3" }, store = { "operator@hq" } },
}, actions = {
  copy = { may = {"anyone"}, params = { words = text{max=250000}, times = int64 }, run = function(ctx, p)
    for i = 1, p.times do ctx.store("papers", { id = "c" .. i, shelf = "b", words = p.words }) end
    ctx.store("secret", { id = "c" })
  end },
  tell = { may = {"anyone"}, params = { words = text{max=8000} },
           run = function(ctx, p) ctx.emit("told", { words = p.words }) end },
} })";

inline const std::string operator_token = "token-of-operator-0001";
inline const std::string reader_token = "token-of-reader-000001";

class test_node {
public:
  /// What the mempool says; `silent`: nothing, ever.
  enum class mood { admits, overloaded, silent };

  test_node() {
    auto opened = storage::ledger::open(directory / "ledger", storage::testing::test_domain(),
                                        storage::durability::lazy);
    BOOST_TEST_REQUIRE(opened.has_value());
    ledger = std::move(*opened);
    auto parsed = contracts::parse(divisions_source, "divisions.lua");
    BOOST_TEST_REQUIRE(parsed.has_value(), parsed.error().context);
    contract_list = std::make_shared<std::vector<contracts::contract>>(
        std::vector<contracts::contract>{*parsed});
    contract_executor::genesis_facts facts;
    facts.chain = storage::testing::test_domain().chain;
    facts.nodes = {{"hq", contracts::tier::level1}, {"coop", contracts::tier::level2}};
    facts.accounts = {{"operator", "hq", {}}, {"reader", "hq", {}}};
    facts.contracts = {{*parsed, divisions_source, nullptr}};
    auto made = contract_executor::machine::make(facts);
    BOOST_TEST_REQUIRE(made.has_value(), made.error().context);
    executor.emplace(std::move(*made));
    rules = executor->base();
  }

  backend as_backend() {
    backend out{*ledger, [this] { return contract_list; }};
    out.chain = storage::testing::test_domain().chain;
    out.node = "hq";
    out.tier = contracts::tier::level1;
    out.nodes = {"hq", "coop"};
    out.authenticate = [](std::string_view token) -> std::optional<account> {
      if (token == operator_token) return account{"operator", {}};
      if (token == reader_token) return account{"reader", {}};
      return std::nullopt;
    };
    out.submit = [this](std::vector<operation> operations,
                        const std::function<void(std::vector<admission>)>& verdicts) {
      take(std::move(operations), verdicts);
    };
    out.status = [this] {
      node_status now;
      now.node = "hq";
      now.tier = "level1";
      now.version = "0.1.0";
      now.ready = ready;
      now.peers = {{"coop", true, 5}};
      now.counters = {{"mempool_bytes", "Bytes in the mempool.", true, 17}};
      return now;
    };
    out.rules = [this] { return rules; };
    out.operation_of = [this](const receipt& of) -> std::optional<operation> {
      const std::lock_guard lock(mutex);
      const auto found = executed_operations.find(of.id);
      if (found == executed_operations.end()) return std::nullopt;
      return found->second;
    };
    return out;
  }

  /// Puts what was submitted into a block, executes and stores it.
  std::shared_ptr<const execution> make_block() {
    using storage::testing::keyed_hash;
    const auto before = ledger->head();
    BOOST_TEST_REQUIRE(before.has_value());
    batch bodies;
    bodies.seq = before->height + 1;
    {
      const std::lock_guard lock(mutex);
      bodies.operations = std::move(pending);
      pending.clear();
      for (const auto& each : bodies.operations)
        executed_operations.emplace(each.id, each);
    }
    const auto sealed = seal(keyed_hash(), std::move(bodies));
    block content;
    content.height = before->height + 1;
    content.view = before->view + 1;
    content.parent = before->block;
    content.parent_view = before->view;
    content.time_ms = 1'700'000'000'000 + static_cast<std::int64_t>(content.height);
    content.cut = {sealed->tip()};
    storage::ledger_commit commit;
    commit.block = seal(keyed_hash(), content);
    commit.full_cut = content.cut;
    contracts::overlay newer;
    const contract_executor::ledger_tables below(*ledger, [](const error&) {});
    auto made = executor->execute(*commit.block, {sealed}, before->execution,
                                  {newer, below,
                                   [this](node_index lane, const operation_id& id) -> bool {
                                     return ledger->executed(lane, std::span(&id, 1))->front();
                                   },
                                   runs, executor->base()});
    if (in_block) act_in(content, below, made);
    auto done = std::make_shared<execution>(std::move(made.result));
    commit.result = done;
    commit.execution = execution_digest(*done);
    commit.indexes = std::move(made.indexes);
    const auto stored = ledger->append({&commit, 1});
    BOOST_TEST_REQUIRE(stored.has_value(), stored.error().context);
    return done;
  }

  std::size_t pending_count() {
    const std::lock_guard lock(mutex);
    return pending.size();
  }

  storage::testing::temporary_directory directory;
  std::unique_ptr<storage::ledger> ledger;
  std::shared_ptr<std::vector<contracts::contract>> contract_list;
  contracts::contract_set_ptr rules; ///< as /v1/contracts shows them
  std::optional<contract_executor::machine> executor;
  contracts::engine runs;
  std::atomic<mood> mempool{mood::admits};
  std::atomic<bool> ready{true};
  std::mutex mutex; // guards the two below
  std::vector<operation> pending;
  std::map<operation_id, operation> executed_operations;
  std::function<void()> on_submit; ///< called after operations came
  /// What else happens in the next block, as an account of hq: no operation of its lane.
  std::function<void(contracts::transaction&)> in_block;

private:
  void act_in(const block& content, const contracts::table_source& below,
              contract_executor::executed_block& made) {
    BOOST_TEST_REQUIRE(made.result.receipts.empty()); // operations and this do not mix
    contracts::overlay newer;
    newer.begin_block(content.height);
    contracts::transaction work(*executor->base(), newer, below,
                                {.who = {"operator", "hq", contracts::tier::level1},
                                 .caller = {},
                                 .operation = {},
                                 .height = content.height,
                                 .time_ms = content.time_ms});
    std::exchange(in_block, nullptr)(work);
    auto written = newer.end_block();
    made.result.changes = std::move(written.changes);
    made.indexes = std::move(written.indexes);
  }

  void take(std::vector<operation> operations,
            const std::function<void(std::vector<admission>)>& verdicts) {
    const auto count = operations.size();
    if (mempool == mood::admits) {
      const std::lock_guard lock(mutex);
      for (auto& each : operations)
        pending.push_back(std::move(each));
    }
    if (mempool != mood::silent)
      verdicts(std::vector<admission>(count, mempool == mood::admits ? admission::accepted
                                                                     : admission::overloaded));
    if (on_submit) on_submit();
  }
};

/// The service without sockets or threads: what it would run later runs at once.
class desk {
public:
  explicit desk(service_settings settings = {})
      : core(std::make_shared<service>(node.as_backend(), settings,
                                       service_hooks{[this](std::function<void()> task) {
                                                       if (!room_for_tasks) return false;
                                                       task();
                                                       return true;
                                                     },
                                                     [this](auto when) { wake = when; }})) {}

  struct pending_answer {
    std::shared_ptr<std::optional<response>> held = std::make_shared<std::optional<response>>();
    bool there() const { return held->has_value(); }
    const response& get() const {
      BOOST_TEST_REQUIRE(there());
      return **held;
    }
    json::value json() const { return json::parse(get().body); }
  };

  pending_answer ask(std::string method, std::string target, std::string body = {},
                     std::string type = "application/json",
                     const std::string& token = operator_token) {
    request x;
    x.method = std::move(method);
    x.target = std::move(target);
    if (!token.empty()) x.authorization = "Bearer " + token;
    x.content_type = std::move(type);
    x.address = "192.0.2.1";
    x.body = std::move(body);
    pending_answer out;
    core->handle(std::move(x), [held = out.held](response made) {
      BOOST_TEST(!held->has_value()); // exactly once
      *held = std::move(made);
    });
    return out;
  }
  pending_answer get(std::string target, const std::string& token = operator_token) {
    return ask("GET", std::move(target), {}, {}, token);
  }
  pending_answer post(std::string body, std::string query = {},
                      std::string type = "application/json") {
    return ask("POST", "/v1/operations" + query, std::move(body), std::move(type));
  }
  /// Operations as NDJSON lines, in a block of their own.
  void fill(const std::string& lines) {
    const auto answer = post(lines, "", ndjson);
    BOOST_TEST_REQUIRE(answer.get().status == 200u);
    BOOST_TEST_REQUIRE(answer.get().body.find("refused") == std::string::npos,
                       answer.get().body);
    core->executed(node.make_block());
  }

  static constexpr const char* ndjson = "application/x-ndjson";
  test_node node;
  bool room_for_tasks = true;
  std::optional<std::chrono::steady_clock::time_point> wake;
  std::shared_ptr<service> core;
};

inline std::string store_city(std::string code, std::string name, std::string province,
                              std::string more = "") {
  return R"({"contract":"divisions","action":"store","arguments":{"table":"cities","row":{"code":")"
         + code + R"(","name":")" + name + R"(","provinceCode":")" + province + "\"" + more
         + "}}}";
}

inline std::string with_id(const std::string& operation, const std::string& id) {
  return "{\"id\":\"" + id + "\"," + operation.substr(1);
}

inline std::string text_of(const json::value& x, std::string_view name) {
  return std::string(x.at(name).as_string());
}

inline std::vector<json::value> lines_of(const std::string& body) {
  std::vector<json::value> out;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = body.find('\n', at);
    out.push_back(json::parse(body.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

} // namespace tallymesh::gateway::testing
