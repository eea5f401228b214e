// Reading the chain and the node: blocks, traces, digests, status, metrics.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/readings.hpp"
#include "actors/gateway/service.hpp"
#include "contracts/row.hpp"
#include "storage/ledger.hpp"

#include <charconv>
#include <cstdio>
#include <sys/resource.h>
#include <unistd.h>

namespace tallymesh::gateway {

namespace {

constexpr std::uint64_t usual_blocks = 20;
constexpr std::uint64_t most_blocks = 100;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

result<void> write_block(json_out& out, const reading_call& from, block_height height) {
  const auto stored = from.node.ledger.block(height);
  if (!stored) return stored.error();
  const auto operations = from.node.ledger.operations_of(height);
  if (!operations) return operations.error();
  const auto& block = stored->block->content;
  out.begin_object().field("height", block.height).field("view", block.view);
  out.field("digest", stored->block->id.hex()).field("parent", block.parent.hex());
  out.field("leader", name_of(from.node.nodes, stored->block->leader));
  out.field("time_ms", block.time_ms).key("cut").begin_array();
  for (const auto& tip : block.cut) {
    out.begin_object().field("lane", name_of(from.node.nodes, tip.lane)).field("seq", tip.seq);
    out.field("digest", tip.batch.hex()).end_object();
  }
  out.end_array().key("evidence").begin_array();
  for (const auto& each : block.contradictions) { // S18
    const bool of_lane = each.first.kind == item_kind::batch;
    out.begin_object().field("node", name_of(from.node.nodes, each.first.signer));
    out.field(of_lane ? "seq" : "view", each.first.position);
    out.field("first", to_string(each.first.kind)).field("first_digest", each.first.what.hex());
    out.field("second", to_string(each.second.kind));
    out.field("second_digest", each.second.what.hex()).end_object();
  }
  out.end_array().key("executed").begin_object().field("height", block.executed.height);
  out.field("execution", block.executed.execution.hex()).end_object();
  out.field("execution", stored->execution.hex());
  out.field("operations", *operations).end_object();
  return {};
}

void write_change(json_out& out, const contracts::table& of, visible_rows& visible,
                  const change& x) {
  const auto key = contracts::decode_key(of, of.key, x.key);
  out.begin_object().field("table", x.table).key("key");
  if (key)
    out.typed(value(*key));
  else
    out.null();
  out.key("before");
  visible.write(out, x.key, x.before);
  out.key("after");
  visible.write(out, x.key, x.after);
  if (x.before_erased || x.after_erased) out.field("erased", true);
  out.end_object();
}

/// Of a trace: only of tables that the reader may read. One operation may change many long
/// rows, so behind the change that fills the answer the others are only counted; each is in the
/// history of its row.
result<void> write_changes(json_out& out, const std::string& body, const reading_call& from,
                           const receipt& of) {
  std::uint64_t told = 0, left_out = 0;
  std::uint32_t next = 0;
  out.key("changes").begin_array();
  do {
    const auto page =
        from.node.ledger.changes_of(of.height, of.position, next, from.page_bytes);
    if (!page) return page.error();
    for (const auto& each : page->changes) {
      const auto* table = from.find_table(each.table);
      if (!table) continue;
      visible_rows visible(from, *table);
      if (!visible.possible(each.key)) continue;
      if (told > 0 && body.size() > from.page_bytes) {
        ++left_out;
        continue;
      }
      write_change(out, *table, visible, each);
      ++told;
    }
    next = page->next;
  } while (next != 0);
  out.end_array().field("changes_left_out", left_out);
  return {};
}

// --- metrics, in the text format of Prometheus 0.0.4

class metric_writer {
public:
  explicit metric_writer(std::string& out) : out_(out) {}
  void family(std::string_view name, std::string_view kind, std::string_view help) {
    (((out_ += "# HELP tallymesh_") += name) += ' ') += help;
    ((((out_ += "\n# TYPE tallymesh_") += name) += ' ') += kind) += '\n';
  }
  void sample(std::string_view name, std::string_view number, std::string_view labels = {}) {
    (out_ += "tallymesh_") += name;
    if (!labels.empty()) ((out_ += '{') += labels) += '}';
    ((out_ += ' ') += number) += '\n';
  }
  void gauge(std::string_view name, std::uint64_t amount, std::string_view help) {
    family(name, "gauge", help);
    sample(name, std::to_string(amount));
  }

private:
  std::string& out_;
};

std::uint64_t resident_bytes() {
  unsigned long long total = 0, resident = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%llu %llu", &total, &resident) != 2) resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto micros = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * std::int64_t{1'000'000}
                      + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  return decimal{micros, 6}.to_text();
}

} // namespace

response read_status(const reading_call& from) {
  const auto now = from.node.status();
  std::string body;
  json_out out(body);
  out.begin_object().field("node", now.node).field("tier", now.tier);
  out.field("version", now.version).field("chain", now.chain.hex());
  out.field("state", to_string(now.state)).field("height", now.height).field("view", now.view);
  out.field("finalized_view", now.finalized_view).field("leader", now.leader);
  out.key("peers").begin_array();
  std::size_t up = 0;
  for (const auto& peer : now.peers) {
    up += peer.up ? 1 : 0;
    out.begin_object().field("node", peer.node).field("up", peer.up);
    out.field("since_ms", peer.since_ms).end_object();
  }
  out.end_array().field("peers_up", up).field("peers_total", now.peers.size());
  out.field("pending_operations", now.pending_operations);
  out.key("last_block_ms");
  if (now.last_block_ms == 0)
    out.null().key("last_block_age_ms").null();
  else {
    out.number(now.last_block_ms);
    out.field("last_block_age_ms", std::max<std::int64_t>(0, now_ms() - now.last_block_ms));
  }
  out.field("executed_height", now.executed_height)
      .field("attested_height", now.attested_height);
  out.field("evidence", now.evidence).field("uptime_ms", now.uptime_ms).end_object();
  return json_answer(std::move(body));
}

response read_block(const reading_call& from) {
  const auto& text = from.what.path[0];
  block_height height = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), height);
  if (failure != std::errc{} || end != text.data() + text.size())
    return problem(refuse_as(errc::malformed, "a block is named by its height, a number"));
  std::string body;
  json_out out(body);
  if (auto written = write_block(out, from, height); !written) return problem(written.error());
  return json_answer(std::move(body));
}

response read_blocks(const reading_call& from) {
  const auto limit = number_in(from.what, "limit", usual_blocks, 1, most_blocks);
  if (const auto* bad = std::get_if<refusal>(&limit)) return problem(*bad);
  const auto count = std::get<std::uint64_t>(limit);
  const auto head = from.node.ledger.head();
  if (!head) return problem(head.error());
  const auto newest = head->height >= count ? head->height - count + 1 : 1;
  const auto first = number_in(from.what, "from", newest, 1, INT64_MAX);
  if (const auto* bad = std::get_if<refusal>(&first)) return problem(*bad);
  auto height = std::get<std::uint64_t>(first);
  const auto last = std::min(head->height, height + count - 1);
  std::string body;
  json_out out(body);
  out.begin_object().key("blocks").begin_array();
  for (; height <= last; ++height)
    if (auto written = write_block(out, from, height); !written)
      return problem(written.error());
  out.end_array().key("next");
  if (height <= head->height)
    out.number(height);
  else
    out.null();
  out.field("height", head->height).end_object();
  return json_answer(std::move(body));
}

response read_trace(const reading_call& from) {
  const auto id = operation_id::from_hex(from.what.path[0]);
  if (!id)
    return problem(
        refuse_as(errc::malformed, "an operation's id is 32 hexadecimal characters"));
  const auto found = from.node.ledger.receipt(*id, from.node.lane);
  if (!found) return problem(found.error());
  const auto stored = from.node.ledger.block(found->height);
  if (!stored) return problem(stored.error());
  const auto lane = name_of(from.node.nodes, found->lane);
  const auto behind = from.node.operation_of ? from.node.operation_of(*found) : std::nullopt;
  std::string body;
  json_out out(body);
  out.begin_object().key("receipt");
  write_receipt(out, *found, lane);
  out.key("block").begin_object().field("height", found->height);
  out.field("view", stored->block->content.view).field("digest", stored->block->id.hex());
  out.field("time_ms", stored->block->content.time_ms);
  out.field("leader", name_of(from.node.nodes, stored->block->leader)).end_object();
  out.key("batch").begin_object().field("lane", lane).field("seq", found->seq).end_object();
  out.key("author");
  if (behind)
    out.text(behind->author + "@" + std::string(lane));
  else
    out.null();
  if (auto written = write_changes(out, body, from, *found); !written)
    return problem(written.error());
  out.end_object();
  return json_answer(std::move(body));
}

response service::digests() {
  // It reads all tables, so one at a time.
  const std::unique_lock alone(digests_mutex_, std::try_to_lock);
  if (!alone)
    return problem({503, "overloaded", "digests are being computed for another request"});
  const auto sums = node_.ledger.digests();
  if (!sums) return problem(sums.error());
  std::string body;
  json_out out(body);
  out.begin_object().field("height", sums->head.height);
  out.field("execution", sums->head.execution.hex()).key("tables").begin_array();
  for (const auto& each : sums->tables) {
    out.begin_object().field("table", each.table).field("records", each.records);
    out.field("digest", each.content.hex()).end_object();
  }
  out.end_array().end_object();
  return json_answer(std::move(body));
}

response service::metrics() const {
  const auto now = node_.status();
  response made;
  made.content_type = "text/plain; version=0.0.4; charset=utf-8";
  metric_writer out(made.body);
  out.gauge("height", now.height, "Height of the last final block.");
  out.gauge("executed_height", now.executed_height, "Height of the last executed block.");
  out.gauge("attested_height", now.attested_height,
            "Highest height that a quorum attested to.");
  out.gauge("view", now.view, "Current view.");
  out.gauge("finalized_view", now.finalized_view, "View of the last final block.");
  std::uint64_t up = 0;
  for (const auto& peer : now.peers)
    up += peer.up ? 1 : 0;
  out.gauge("peers_up", up, "Peers with a link.");
  out.gauge("peers", now.peers.size(), "Peers in genesis.");
  out.gauge("pending_operations", now.pending_operations, "Operations without a receipt.");
  out.gauge("evidence", now.evidence, "Contradictions that were seen.");
  out.gauge("ready", now.ready ? 1 : 0, "Whether the node takes operations.");
  out.gauge("waiting_operations", room_.operations(), "Operations that clients wait for.");
  for (const auto& each : now.counters) {
    out.family(each.name, each.is_gauge ? "gauge" : "counter", each.help);
    out.sample(each.name, std::to_string(each.amount));
  }
  out.family("operations_total", "counter", "Executed operations since the start, by outcome.");
  for (std::size_t i = 0; i < outcomes_.size() && known(static_cast<outcome>(i)); ++i)
    out.sample("operations_total", std::to_string(outcomes_[i].load()),
               "result=\"" + std::string(to_string(static_cast<outcome>(i))) + "\"");
  out.family("http_requests_total", "counter", "Answered requests since the start, by status.");
  for (std::size_t i = 0; i < answers_.size(); ++i)
    if (const auto count = answers_[i].load())
      out.sample("http_requests_total", std::to_string(count),
                 "code=\"" + std::to_string(i) + "\"");
  out.gauge("resident_bytes", resident_bytes(), "Memory of the process.");
  out.family("cpu_seconds_total", "counter", "Processor time of the process.");
  out.sample("cpu_seconds_total", cpu_seconds());
  return made;
}

} // namespace tallymesh::gateway
