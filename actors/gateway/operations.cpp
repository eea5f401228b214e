// Submitting operations and waiting for them.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/service.hpp"
#include "storage/ledger.hpp"

namespace tallymesh::gateway {

using stage = waiting_line::stage;

namespace {

constexpr std::uint64_t default_timeout_ms = 30'000;
constexpr std::uint64_t longest_timeout_ms = 300'000;
/// Blocks whose receipts are not handed out yet; more are handed out by whoever brings them.
constexpr std::size_t most_fresh = 256;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::optional<refusal> read_waiting(const call& from, waiting_request& out, bool& waits) {
  waits = false;
  if (const auto* text = from.find("wait")) {
    if (*text != "accepted" && *text != "finalized")
      return refuse_as(errc::malformed, "wait is accepted or finalized");
    waits = true;
    out.until = *text == "finalized" ? wait_for::finalized : wait_for::accepted;
  }
  const auto timeout = number_in(from, "timeout_ms", default_timeout_ms, 1, longest_timeout_ms);
  if (const auto* bad = std::get_if<refusal>(&timeout)) return *bad;
  out.deadline = std::chrono::steady_clock::now()
                 + std::chrono::milliseconds(std::get<std::uint64_t>(timeout));
  return std::nullopt;
}

std::string_view media_type(std::string_view header) {
  header = header.substr(0, header.find(';'));
  while (header.ends_with(' '))
    header.remove_suffix(1);
  return header;
}

void write_state(json_out& out, const operation_id& id, std::string_view status) {
  out.begin_object().field("id", id.hex()).field("status", status).end_object();
}

void write_refused(json_out& out, const waiting_line& line) {
  out.begin_object().key("id");
  if (line.has_id)
    out.text(line.id.hex());
  else
    out.null();
  out.field("status", "refused").field("code", line.refused.code);
  out.field("detail", line.refused.detail).field("line", line.line_number).end_object();
}

} // namespace

void recent_ids::add(const operation_id& id) {
  const std::lock_guard lock(mutex_);
  if (young_.size() >= half_) {
    old_ = std::move(young_);
    young_ = {};
  }
  young_.insert(id);
}

bool recent_ids::contains(const operation_id& id) const {
  const std::lock_guard lock(mutex_);
  return young_.contains(id) || old_.contains(id);
}

void service::submit(const admitted& what, const request& from, const answer_function& answer) {
  const auto who = std::make_shared<waiting_request>();
  bool waits = false;
  if (auto refused = read_waiting(what.what, *who, waits)) return answer(problem(*refused));
  submission handed_in;
  if (auto refused = read_operations(what, from, *who, handed_in))
    return answer(std::move(*refused));
  who->answer = answer;
  if (handed_in.operations.empty()) return finish(*who, ending::complete);
  bool earliest = false;
  // Into the room before the look into the ledger: a block stored in between finds it there.
  if (!room_.enter(who, earliest))
    return answer(
        problem(refuse_as(errc::overloaded, "too many operations wait on this node")));
  if (earliest) hooks_.wake_at(who->deadline);
  if (settle_executed(who, handed_in)) return finish(*who, ending::complete);
  hand_in(who, std::move(handed_in));
}

std::optional<response> service::read_operations(const admitted& what, const request& from,
                                                 waiting_request& who, submission& out) {
  const auto type = media_type(from.content_type);
  who.many = type == ndjson_type;
  if (!who.many && type != "application/json")
    return problem(
        {415, "unsupported",
         "send one operation as application/json, or one a line as application/x-ndjson"});
  const auto contracts = node_.contracts();
  operation_reader reader(
      {*contracts, what.who, node_.node, node_.tier, node_.chain, now_ms()});
  if (who.many) {
    if (read_lines(reader, from.body, who, out)) return std::nullopt;
    return problem(refuse_as(errc::too_large, "more than "
                                                  + std::to_string(settings_.request_lines)
                                                  + " lines; send them in several requests"));
  }
  auto& line = who.lines.emplace_back();
  auto& made = out.operations.emplace_back();
  bool id_given = false;
  if (auto refused = reader.read(from.body, made, id_given)) return problem(*refused);
  out.lines.push_back(0);
  if (id_given) out.with_own_id.push_back(0);
  line.id = made.id;
  line.has_id = true;
  return std::nullopt;
}

/// False if there are too many lines.
bool service::read_lines(operation_reader& reader, std::string_view body, waiting_request& who,
                         submission& out) {
  std::unordered_set<operation_id, operation_id_hash> given;
  for (std::size_t number = 1; !body.empty(); ++number) {
    const auto end = body.find('\n');
    auto text = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    while (!text.empty() && (text.back() == '\r' || text.back() == ' '))
      text.remove_suffix(1);
    if (text.empty()) continue;
    if (who.lines.size() >= settings_.request_lines) return false;
    auto& line = who.lines.emplace_back();
    line.line_number = number;
    auto& made = out.operations.emplace_back();
    bool id_given = false;
    auto refused = reader.read(text, made, id_given);
    if (!refused && id_given && !given.insert(made.id).second)
      refused = refuse_as(errc::conflict, "this id stands on an earlier line of the request");
    line.id = made.id;
    line.has_id = id_given || !refused;
    if (refused) {
      line.now = stage::refused;
      line.refused = std::move(*refused);
      out.operations.pop_back();
      continue;
    }
    if (id_given) out.with_own_id.push_back(out.operations.size() - 1);
    out.lines.push_back(who.lines.size() - 1);
  }
  return true;
}

/// Gives those lines their first receipts whose operations have been executed before, and takes
/// the operations away. True if nothing is left to wait for.
bool service::settle_executed(const waiting_ptr& who, submission& what) {
  if (what.with_own_id.empty()) return false;
  std::vector<operation_id> ids;
  for (const auto place : what.with_own_id)
    ids.push_back(what.operations[place].id);
  const auto known = node_.ledger.executed(node_.lane, ids);
  if (!known) return false; // the executor finds out by itself
  std::vector<bool> done(what.operations.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!(*known)[i]) continue;
    const auto found = node_.ledger.receipt(ids[i], node_.lane);
    if (!found) continue;
    const auto place = what.with_own_id[i];
    if (room_.executed(who, what.lines[place], *found)) return true;
    done[place] = true;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < done.size(); ++i) {
    if (done[i]) continue;
    what.lines[kept] = what.lines[i];
    if (kept != i) what.operations[kept] = std::move(what.operations[i]);
    ++kept;
  }
  what.lines.resize(kept);
  what.operations.resize(kept);
  return false;
}

void service::hand_in(const waiting_ptr& who, submission what) {
  std::vector<operation_id> ids;
  for (const auto& each : what.operations)
    ids.push_back(each.id);
  const auto verdicts_came =
      [weak = weak_from_this(), who, ids = std::move(ids),
       lines = std::move(what.lines)](const std::vector<admission>& verdicts) {
        const auto self = weak.lock();
        if (!self) return;
        for (std::size_t i = 0; i < ids.size() && i < verdicts.size(); ++i)
          if (verdicts[i] == admission::accepted || verdicts[i] == admission::known)
            self->recent_.add(ids[i]);
        if (!self->room_.admitted(who, lines, verdicts)) return;
        const auto done = [self, who] { self->finish(*who, ending::complete); };
        if (!self->hooks_.run(done)) done();
      };
  node_.submit(std::move(what.operations), verdicts_came);
}

void service::look_up(const admitted& what, const answer_function& answer) {
  const auto id = operation_id::from_hex(what.what.path[0]);
  if (!id)
    return answer(
        problem(refuse_as(errc::malformed, "an operation's id is 32 hexadecimal characters")));
  const auto who = std::make_shared<waiting_request>();
  bool waits = false;
  if (auto refused = read_waiting(what.what, *who, waits)) return answer(problem(*refused));
  who->read_only = true;
  who->answer = answer;
  auto& line = who->lines.emplace_back();
  line.id = *id;
  line.has_id = true;
  bool earliest = false;
  waits = waits && who->until == wait_for::finalized;
  if (waits && !room_.enter(who, earliest))
    return answer(
        problem(refuse_as(errc::overloaded, "too many operations wait on this node")));
  if (earliest) hooks_.wake_at(who->deadline);
  auto found = node_.ledger.receipt(*id, node_.lane);
  if (waits) {
    if (found && room_.executed(who, 0, *found)) finish(*who, ending::complete);
    return;
  }
  if (!found && found.error().code != errc::not_found) return answer(problem(found.error()));
  if (found) {
    line.now = stage::finalized;
    line.executed = std::move(*found);
  }
  finish(*who, ending::timed_out);
}

void service::executed(std::shared_ptr<const execution> what) {
  for (const auto& each : what->receipts)
    outcomes_[static_cast<std::size_t>(each.result) % outcomes_.size()].fetch_add(
        1, std::memory_order_relaxed);
  wake_subscribers(*what);
  // Whoever comes later finds the block in the ledger.
  if (room_.empty()) return;
  std::size_t waiting = 0;
  {
    const std::lock_guard lock(fresh_mutex_);
    fresh_.push_back(std::move(what));
    waiting = fresh_.size();
    if (std::exchange(resolving_, true) && waiting < most_fresh) return;
  }
  if (waiting >= most_fresh
      || !hooks_.run([self = shared_from_this()] { self->resolve_fresh(); }))
    resolve_fresh();
}

void service::resolve_fresh() {
  while (true) {
    std::vector<std::shared_ptr<const execution>> fresh;
    {
      const std::lock_guard lock(fresh_mutex_);
      fresh.swap(fresh_);
      if (fresh.empty()) {
        resolving_ = false;
        return;
      }
    }
    for (const auto& block : fresh)
      for (const auto& who : room_.executed(node_.lane, block->receipts))
        finish(*who, ending::complete);
  }
}

void service::finish(waiting_request& who, ending how) {
  const auto answer = std::exchange(who.answer, nullptr);
  if (answer) answer(who.many ? answer_many(who, how) : answer_one(who, how));
}

response service::answer_one(const waiting_request& who, ending how) const {
  const auto& line = who.lines.front();
  if (line.now == stage::refused) return problem(line.refused);
  std::string body;
  json_out out(body);
  if (line.executed) {
    write_receipt(out, *line.executed, name_of(node_.nodes, line.executed->lane));
    return json_answer(std::move(body));
  }
  if (how == ending::stopping)
    return problem(
        refuse_as(errc::unavailable, "the node is stopping; operation " + line.id.hex()
                                         + " may still be executed, ask for it later"));
  if (who.read_only) {
    if (!recent_.contains(line.id))
      return problem(
          refuse_as(errc::not_found, "no operation " + line.id.hex() + " is known here"));
    write_state(out, line.id, "pending");
    return json_answer(std::move(body));
  }
  const bool accepted = who.until == wait_for::accepted && line.now == stage::accepted;
  write_state(out, line.id, accepted ? "accepted" : "pending");
  return json_answer(std::move(body), 202);
}

response service::answer_many(const waiting_request& who, ending how) const {
  constexpr std::size_t usual_line_bytes = 256;
  response made;
  made.content_type = ndjson_type;
  made.status = how == ending::stopping ? 503 : 200;
  made.body.reserve(who.lines.size() * usual_line_bytes);
  json_out out(made.body);
  bool busy = how == ending::stopping;
  for (const auto& line : who.lines) {
    if (line.now == stage::refused) {
      busy = busy || line.refused.status == 429;
      write_refused(out, line);
    } else if (line.executed) {
      write_receipt(out, *line.executed, name_of(node_.nodes, line.executed->lane),
                    line.events_left_out);
    } else {
      const bool accepted = who.until == wait_for::accepted && line.now == stage::accepted;
      write_state(out, line.id, accepted ? "accepted" : "pending");
    }
    out.end_line();
  }
  if (busy) made.headers.emplace_back("Retry-After", "1");
  return made;
}

} // namespace tallymesh::gateway
