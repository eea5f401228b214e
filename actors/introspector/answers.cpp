#include "actors/introspector/answers.hpp"

#include "actors/introspector/inspected.hpp"

#include <fstream>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace tallymesh::introspector {

namespace fs = std::filesystem;

namespace {

using introspection::number;

constexpr std::int64_t ns_in_us = 1000;

value_map describe_child(const node::child& x) {
  value_map out;
  put(out, "name", x.name);
  put(out, "family", x.family);
  put(out, "id", number(x.id));
  put(out, "alive", x.alive);
  put(out, "since_ms", number(x.since_ms));
  put(out, "restarts", number(x.restarts));
  put(out, "last_exit", x.last_exit);
  if (!x.meter) return out;
  const auto counts = x.meter->read();
  put(out, "handled", number(counts.handled));
  put(out, "busy_us", number(counts.busy_ns / ns_in_us));
  put(out, "waiting", number(x.alive ? counts.waiting() : 0));
  put(out, "oldest_us", number(x.alive ? counts.oldest_ns / ns_in_us : 0));
  if (x.alive && counts.oldest_at_least) put(out, "oldest_at_least", true);
  put(out, "in_handler_us", number(x.alive ? counts.in_handler_ns / ns_in_us : 0));
  put(out, "handler", x.alive && counts.in_handler_ns > 0 ? counts.handler : "");
  put(out, "paused", counts.paused);
  return out;
}

/// Resident bytes, open descriptors and processor time of this process.
value_map process_facts() {
  value_map out;
  std::ifstream statm("/proc/self/statm");
  std::int64_t total = 0, resident = 0;
  statm >> total >> resident;
  put(out, "pid", number(::getpid()));
  put(out, "resident_bytes", number(resident * ::sysconf(_SC_PAGESIZE)));
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  put(out, "cpu_ms", number(used.tv_sec * 1000 + used.tv_nsec / 1'000'000));
  std::error_code failed;
  const fs::directory_iterator open("/proc/self/fd", failed);
  put(out, "descriptors", number(failed ? 0 : std::distance(begin(open), end(open))));
  return out;
}

/// What a store takes of the disk: its file is as long as it may grow, and mostly empty.
std::int64_t size_of(const fs::path& directory) {
  constexpr std::int64_t bytes_in_block = 512;
  struct stat file {};
  return ::stat((directory / "data.mdb").c_str(), &file) == 0 ? file.st_blocks * bytes_in_block
                                                              : 0;
}

value_map disk_facts(const node::context& context) {
  value_map out;
  const auto& directory = context.config.data_directory;
  struct statvfs room {};
  if (::statvfs(directory.c_str(), &room) == 0) {
    put(out, "free_bytes", number(room.f_bavail * room.f_frsize));
    put(out, "total_bytes", number(room.f_blocks * room.f_frsize));
  }
  put(out, "directory", directory.string());
  for (const auto* store : {"ledger", "batches", "votes"})
    put(out, std::string(store) + "_bytes", number(size_of(directory / store)));
  return out;
}

std::string hex_of_lane_tip(const lane_tip& x) { return x.batch.short_hex(); }

} // namespace

value_map hello(const node::context& context, const configs::node_operator& who) {
  value_map out;
  put(out, "node", context.config.node);
  put(out, "index", number(context.self()));
  put(out, "mesh", context.genesis().mesh);
  put(out, "chain", context.genesis().chain.hex());
  put(out, "version", TALLYMESH_VERSION);
  put(out, "operator", who.name);
  put(out, "role", std::string(to_string(who.role)));
  value_list nodes;
  for (const auto& each : context.genesis().nodes)
    nodes.emplace_back(each.name);
  put(out, "nodes", std::move(nodes));
  return out;
}

value_map tree(const node::context& context) {
  value_map out;
  const auto board = context.board.look();
  put(out, "node", context.config.node);
  put(out, "now_ms", number(node::now().wall_ms));
  put(out, "started_ms", number(context.started_ms));
  put(out, "measuring", measuring.load());
  put(out, "halted", board.halted);
  put(out, "observing", board.consensus.observing);
  put(out, "height", number(board.height));
  put(out, "operations_executed", number(board.operations_executed));
  put(out, "last_block_ms", number(board.last_block_ms));
  put(out, "process", process_facts());
  value_list children;
  for (const auto& each : context.children.all())
    children.emplace_back(describe_child(each));
  put(out, "actors", std::move(children));
  return out;
}

result<node::child> find_child(const node::context& context, const std::string& name) {
  std::string names;
  for (auto& each : context.children.all()) {
    if (each.name == name) return std::move(each);
    (names += names.empty() ? "" : ", ") += each.name;
  }
  return make_error(errc::not_found,
                    "there is no actor " + configs::in_quotes(name) + "; there is: " + names);
}

result<value_map> one_actor(const node::context& context, const std::string& name) {
  const auto child = find_child(context, name);
  if (!child) return child.error();
  auto out = describe_child(*child);
  put(out, "now_ms", number(node::now().wall_ms));
  value_list kinds;
  if (child->meter)
    for (const auto& each : child->meter->read().kinds) {
      value_map kind;
      put(kind, "kind", each.name);
      put(kind, "count", number(each.count));
      put(kind, "busy_us", number(each.busy_ns / ns_in_us));
      value_list buckets;
      for (const auto count : each.buckets)
        buckets.push_back(number(count));
      put(kind, "buckets", std::move(buckets));
      kinds.emplace_back(std::move(kind));
    }
  put(out, "kinds", std::move(kinds));
  return out;
}

result<value_map> ledger(const node::context& context) {
  const auto head = context.ledger->head();
  if (!head) return head.error();
  const auto tables = context.ledger->tables();
  if (!tables) return tables.error();
  value_map out;
  put(out, "height", number(head->height));
  put(out, "view", number(head->view));
  put(out, "block", head->block.hex());
  put(out, "execution", head->execution.hex());
  put(out, "time_ms", number(head->time_ms));
  put(out, "now_ms", number(node::now().wall_ms));
  put(out, "disk", disk_facts(context));
  value_list cut;
  for (const auto& tip : head->full_cut) {
    value_map each;
    put(each, "node", number(tip.lane));
    put(each, "batch", number(tip.seq));
    put(each, "digest", hex_of_lane_tip(tip));
    cut.emplace_back(std::move(each));
  }
  put(out, "cut", std::move(cut));
  value_list list;
  for (const auto& each : *tables) {
    value_map table;
    put(table, "table", each.table);
    put(table, "records", number(each.records));
    list.emplace_back(std::move(table));
  }
  put(out, "tables", std::move(list));
  return out;
}

namespace {

bytes bytes_at(const value_map& from, std::string_view key) {
  const auto* found = find(from, key);
  const auto* raw = found != nullptr ? found->as<bytes>() : nullptr;
  return raw != nullptr ? *raw : bytes{};
}

/// The key that this name stands for; none: it was given to nobody here.
std::optional<bytes> place_of(const hidden_places& hidden, const std::string& table,
                              const bytes& name) {
  if (name.empty()) return bytes{};
  if (hidden.table == table)
    for (const auto& each : hidden.known)
      if (each.name == name) return each.key;
  return std::nullopt;
}

/// Names are digests of keys, salted like the records'.
bytes remember_place(hidden_places& hidden, const std::string& table, const bytes& salt,
                     const bytes& key) {
  const auto named = hash(digest_kind::record, {salt, key});
  const bytes name(named.raw.begin(), named.raw.end());
  if (std::exchange(hidden.table, table) != table) hidden.known = {};
  if (hidden.known[1].name != name) {
    hidden.known[0] = std::move(hidden.known[1]);
    hidden.known[1] = {name, key};
  }
  return name;
}

struct folded_rows {
  std::size_t count = 0;
  bytes last; ///< key of the last one
  digest all;
  value_list each; ///< if they were asked for
};

/// A few at a time: a page of the longest rows would take 256 MiB of memory at once.
result<folded_rows> fold_rows(const storage::ledger& ledger, const std::string& table,
                              bytes after, std::size_t limit, const bytes& salt,
                              bool with_each) {
  constexpr std::size_t at_once = 16;
  folded_rows out;
  while (out.count < limit) {
    const auto wanted = std::min(at_once, limit - out.count);
    const auto page = ledger.rows(table, after, wanted);
    if (!page) return page.error();
    for (const auto& row : *page) {
      const auto one = hash(digest_kind::record, {salt, row.key, row.row});
      out.all = hash(digest_kind::table, {out.all.raw, one.raw});
      if (!with_each) continue;
      value_map entry;
      put(entry, "key", row.key);
      put(entry, "digest", bytes(one.raw.begin(), one.raw.begin() + 16));
      put(entry, "height", number(row.last.height));
      out.each.emplace_back(std::move(entry));
    }
    out.count += page->size();
    if (!page->empty()) after = out.last = page->back().key;
    if (page->size() < wanted) break;
  }
  return out;
}

} // namespace

result<value_map> rows(const node::context& context, const value_map& arguments,
                       hidden_places* hidden) {
  using namespace introspection;
  constexpr std::int64_t most_rows = 1000, fewest_hidden = 100;
  const auto table = text_at(arguments, "table");
  const auto limit = static_cast<std::size_t>(std::clamp<std::int64_t>(
      number_at(arguments, "limit", most_rows), hidden ? fewest_hidden : 1, most_rows));
  const bool each_row = flag_at(arguments, "rows") && hidden == nullptr;
  // The asker's: so that what is shown to others says nothing of what a record may hold.
  auto salt = bytes_at(arguments, "salt");
  const auto head = context.ledger->head();
  if (!head) return head.error();
  auto after = bytes_at(arguments, "after");
  if (hidden != nullptr) {
    const auto place = place_of(*hidden, table, after);
    if (!place) return make_error(errc::not_found, "no page ended there; begin the table anew");
    after = *place;
    if (head->height > 0) {
      const auto block = context.ledger->block(head->height);
      if (!block) return block.error();
      const auto& secret = block->block->signed_by.raw;
      salt.insert(salt.end(), secret.begin(), secret.end());
    }
  }
  auto page = fold_rows(*context.ledger, table, std::move(after), limit, salt, each_row);
  if (!page) return page.error();
  const auto head_after = context.ledger->head();
  if (!head_after) return head_after.error();
  value_map out;
  put(out, "height", number(head->height));             // the page is at least so new,
  put(out, "height_after", number(head_after->height)); // and at most so new
  put(out, "count", number(page->count));
  put(out, "hidden", hidden != nullptr);
  put(out, "last",
      hidden && page->count > 0 ? remember_place(*hidden, table, salt, page->last)
                                : page->last);
  put(out, "digest", bytes(page->all.raw.begin(), page->all.raw.end()));
  put(out, "rows", std::move(page->each));
  return out;
}

value_map contracts(const node::context& context) {
  value_list list;
  for (const auto& each : *context.in_force.contracts()) {
    value_map contract;
    put(contract, "contract", each.name);
    put(contract, "version", number(each.version));
    if (each.source != digest{}) put(contract, "digest", each.source.hex()); // else built in
    value_list tables;
    for (const auto& table : each.tables)
      tables.emplace_back(table.name);
    put(contract, "tables", std::move(tables));
    list.emplace_back(std::move(contract));
  }
  value_map out;
  put(out, "contracts", std::move(list));
  return out;
}

value_map evidence(const node::context& context, std::int64_t limit) {
  constexpr std::int64_t most = 100;
  const auto wanted = static_cast<std::size_t>(std::clamp<std::int64_t>(limit, 1, most));
  value_list list;
  for (const auto& line : context.evidence->newest(wanted)) {
    const auto blank = line.find(' ');
    const auto raw = from_hex(line.substr(std::min(blank + 1, line.size())));
    const auto read = raw ? decode<tallymesh::evidence>(*raw)
                          : result<tallymesh::evidence>(make_error(errc::malformed, ""));
    if (blank == line.npos || !read) continue;
    value_map each;
    put(each, "node", line.substr(0, blank));
    put(each, "first", std::string(to_string(read->first.kind)));
    put(each, "second", std::string(to_string(read->second.kind)));
    put(each, "position", number(read->first.position));
    put(each, "first_digest", read->first.what.short_hex());
    put(each, "second_digest", read->second.what.short_hex());
    list.emplace_back(std::move(each));
  }
  const auto board = context.board.look();
  value_map out;
  put(out, "seen", number(board.consensus.evidence + board.mempool.evidence));
  put(out, "file", context.evidence->file().string());
  put(out, "evidence", std::move(list));
  return out;
}

value_map config(const node::context& context) {
  value_list list;
  auto in_force = context.config;
  in_force.operators = *context.admitted.all();
  for (const auto& each : configs::values_of(in_force)) {
    value_map one;
    put(one, "key", each.key);
    put(one, "value", each.value);
    put(one, "origin", each.origin);
    list.emplace_back(std::move(one));
  }
  value_map out;
  put(out, "file", context.config.file.string());
  put(out, "values", std::move(list));
  return out;
}

namespace {

void add_receipt(value_map& out, const receipt& x, std::int64_t head_height) {
  put(out, "where", "executed");
  put(out, "height", number(x.height));
  put(out, "head", number(head_height));
  put(out, "position", number(x.position));
  put(out, "lane", number(x.lane));
  put(out, "batch", number(x.seq));
  put(out, "outcome", std::string(to_string(x.result)));
  put(out, "detail", x.detail);
}

/// Among the batches beyond the final cut; bounded, all lanes together: `out` says if there was
/// more of them.
result<bool> find_in_batches(const node::context& context, const storage::ledger_head& head,
                             const operation_id& id, value_map& out) {
  constexpr std::size_t most_bytes = 8 * 1024 * 1024, most_batches = 256;
  std::size_t bytes_left = most_bytes, batches_left = most_batches;
  const auto seen = context.board.look().mempool;
  for (const auto& lane : seen.lanes) {
    const auto& tip = lane.stored;
    const auto final_seq = tip.lane < head.full_cut.size() ? head.full_cut[tip.lane].seq : 0;
    if (tip.seq <= final_seq) continue;
    if (bytes_left == 0 || batches_left == 0) {
      put(out, "unsure", "its backlog is too long to be looked through");
      return false;
    }
    const auto found = context.batches->descend(tip, final_seq, bytes_left, batches_left);
    if (!found) {
      if (found.error().code == errc::not_found) continue; // became final meanwhile
      return found.error();
    }
    if (found->size() < tip.seq - final_seq)
      put(out, "unsure", "its backlog is too long to be looked through");
    for (const auto& batch : *found) {
      bytes_left -= std::min(bytes_left, batch->body.size());
      batches_left -= std::min<std::size_t>(batches_left, 1);
      for (const auto& each : batch->content.operations)
        if (each.id == id) {
          std::erase_if(out, [](const auto& field) { return field.first == "unsure"; });
          put(out, "where", "batch");
          put(out, "lane", number(tip.lane));
          put(out, "batch", number(batch->content.seq));
          put(out, "available", lane.available.seq >= batch->content.seq);
          put(out, "final", number(final_seq));
          return true;
        }
    }
  }
  return false;
}

} // namespace

result<value_map> find_operation(const node::context& context, const operation_id& id) {
  const auto head = context.ledger->head();
  if (!head) return head.error();
  value_map out;
  const auto found = context.ledger->receipt(id, context.self());
  if (found) {
    add_receipt(out, *found, static_cast<std::int64_t>(head->height));
    return out;
  }
  if (found.error().code != errc::not_found) return found.error();
  const auto in_batch = find_in_batches(context, *head, id, out);
  if (!in_batch) return in_batch.error();
  return out;
}

} // namespace tallymesh::introspector
