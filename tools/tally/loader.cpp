#include "tools/tally/loader.hpp"

#include <algorithm>

namespace tallymesh::tally {

namespace {

constexpr std::size_t max_request_bytes = 2 * 1024 * 1024;
constexpr std::size_t max_refused_shown = 10;
constexpr auto wait_for_receipts = std::chrono::milliseconds(20'000);
constexpr auto first_pause = std::chrono::milliseconds(50);
constexpr auto longest_pause = std::chrono::milliseconds(2'000);
constexpr auto tick = std::chrono::milliseconds(100);

/// A refusal that says nothing about the row itself.
bool comes_later(std::string_view code) {
  return code == "overloaded" || code == "unavailable";
}

} // namespace

operation_id new_operation_id() {
  operation_id id;
  random_bytes(id.raw);
  auto ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                           std::chrono::system_clock::now().time_since_epoch())
                                           .count());
  for (int i = 5; i >= 0; --i, ms >>= 8)
    id.raw[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(ms);
  return id;
}

std::string store_operation(const operation_id& id, std::string_view contract,
                            std::string_view table, std::string_view row_object) {
  std::string out = R"({"id":")" + id.hex() + R"(","contract":)" + json_quoted(contract);
  out += R"(,"action":"store","arguments":{"table":)" + json_quoted(table) + R"(,"row":)";
  return (out += row_object) += "}}";
}

std::string call_operation(const operation_id& id, std::string_view contract,
                           std::string_view action, std::string_view arguments_object) {
  std::string out = R"({"id":")" + id.hex() + R"(","contract":)" + json_quoted(contract);
  out += R"(,"action":)" + json_quoted(action) + R"(,"arguments":)";
  return (out += arguments_object) += "}";
}

result<table_name> table_name::from_text(std::string_view text) {
  const auto dot = text.find('.');
  if (dot == text.npos || dot == 0 || dot + 1 == text.size()
      || text.find('.', dot + 1) != text.npos)
    return make_error(errc::bad_config,
                      "the table " + std::string(text.substr(0, 100))
                          + " is not of the form contract.table, such as divisions.cities");
  return table_name{std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

loader::loader(const std::vector<gateway>& gateways, table_name table, load_settings settings)
    : table_(std::move(table)), settings_(settings) {
  for (const auto& each : gateways) {
    lanes_.push_back(std::make_unique<lane>());
    lanes_.back()->to = each;
    lanes_.back()->last_receipt = started_;
  }
  for (auto& each : lanes_)
    for (std::size_t i = 0; i < settings_.window; ++i)
      threads_.emplace_back([this, mine = each.get()] { work(*mine); });
}

loader::~loader() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    if (!failure_) failure_ = make_error(errc::unavailable, "stopped");
  }
  changed_.notify_all();
  for (auto& each : threads_)
    if (each.joinable()) each.join();
}

std::uint64_t loader::done() const {
  const std::lock_guard lock(mutex_);
  return summary_.all();
}

void loader::close(lane& which) {
  if (which.filling.empty()) return;
  which.queue.push_back(std::move(which.filling));
  which.filling = {};
  which.filling_bytes = 0;
}

bool loader::add(std::size_t to, input_row row, const std::function<void()>& while_waiting) {
  auto& mine = *lanes_[to];
  if (!row.problem.empty()) {
    const std::lock_guard lock(mutex_);
    refuse(row.line, std::move(row.problem));
    return !failure_;
  }
  pending made{new_operation_id(), row.line, {}};
  made.text = settings_.calls
                  ? call_operation(made.id, table_.contract, table_.table, row.object)
                  : store_operation(made.id, table_.contract, table_.table, row.object);
  std::unique_lock lock(mutex_);
  if (mine.filling.size() >= settings_.request_rows
      || mine.filling_bytes + made.text.size() > max_request_bytes) {
    while (!failure_ && mine.queue.size() >= 2 * settings_.window) {
      changed_.wait_for(lock, tick);
      lock.unlock();
      while_waiting();
      lock.lock();
    }
    close(mine);
    changed_.notify_all();
  }
  mine.filling_bytes += made.text.size() + 1;
  mine.filling.push_back(std::move(made));
  return !failure_;
}

result<load_summary> loader::finish(const std::function<void()>& while_waiting) {
  std::unique_lock lock(mutex_);
  for (auto& each : lanes_)
    close(*each);
  closing_ = true;
  changed_.notify_all();
  const auto all_sent = [&] {
    return std::all_of(lanes_.begin(), lanes_.end(),
                       [](const auto& x) { return x->busy == 0 && x->queue.empty(); });
  };
  while (!failure_ && !all_sent()) {
    changed_.wait_for(lock, tick);
    lock.unlock();
    while_waiting();
    lock.lock();
  }
  if (failure_) return *failure_;
  summary_.took =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - started_);
  for (const auto& [line, why] : refused_)
    summary_.first_refused.push_back({line, why});
  return summary_;
}

void loader::work(lane& mine) {
  http_client client(mine.to.target);
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || closing_ || !mine.queue.empty(); });
    if (failure_ || mine.queue.empty()) return;
    auto rows = std::move(mine.queue.front());
    mine.queue.pop_front();
    // Time spent without work is not time without answers.
    if (mine.busy++ == 0) mine.last_receipt = clock::now();
    lock.unlock();
    changed_.notify_all();
    send(mine, client, rows);
    lock.lock();
    --mine.busy;
    lock.unlock();
    changed_.notify_all();
  }
}

result<http_response> loader::post(http_client& client, const chunk& rows) const {
  http_request request{
      http_method::post,
      "/v1/operations?wait=finalized&timeout_ms=" + std::to_string(wait_for_receipts.count()),
      "", "application/x-ndjson", wait_for_receipts + std::chrono::milliseconds(10'000)};
  for (const auto& each : rows)
    (request.body += each.text) += '\n';
  return client.send(request);
}

/// False when the gateway was given up, or somebody else's was.
bool loader::send(lane& mine, http_client& client, chunk& rows) {
  auto pause = first_pause;
  while (!rows.empty()) {
    const auto answer = post(client, rows);
    if (answer && answer->status == 200) {
      const auto before = rows.size();
      account(mine, rows, answer->body);
      if (rows.empty()) return true;
      if (rows.size() < before) pause = first_pause;
      if (!wait_before_resend(
              mine, pause,
              make_error(errc::overloaded, mine.to.target.url()
                                               + ": keeps refusing operations as overloaded, "
                                                 "or does not finalize them")))
        return false;
      pause = std::min(2 * pause, longest_pause);
      continue;
    }
    const auto why = answer ? refusal(mine.to.target, *answer) : answer.error();
    // A gateway that is full, restarting or away will answer later; any other refusal stays
    // one.
    if (answer && why.code != errc::overloaded && answer->status < 500) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = why;
      changed_.notify_all();
      return false;
    }
    const auto asked =
        answer && answer->retry_after ? std::chrono::milliseconds(*answer->retry_after) : pause;
    if (!wait_before_resend(mine, asked, why)) return false;
    pause = std::min(2 * pause, longest_pause);
  }
  return true;
}

bool loader::wait_before_resend(lane& mine, std::chrono::milliseconds pause, const error& why) {
  std::unique_lock lock(mutex_);
  ++summary_.resent;
  if (!failure_ && clock::now() - mine.last_receipt > settings_.give_up_after) {
    failure_ = make_error(
        why.code,
        why.context + "; gave up after "
            + std::to_string(settings_.give_up_after.count() / 1000)
            + " s without a receipt from " + mine.to.node
            + "; what has a receipt stays stored, and storing the file again is harmless");
    changed_.notify_all();
  }
  changed_.wait_for(lock, pause, [&] { return failure_.has_value(); });
  return !failure_;
}

void loader::refuse(std::size_t line, std::string why) {
  ++summary_.refused;
  refused_.emplace(line, std::move(why));
  if (refused_.size() > max_refused_shown) refused_.erase(std::prev(refused_.end()));
}

void loader::account(lane& mine, chunk& rows, std::string_view answer) {
  chunk again;
  std::size_t at = 0;
  const std::lock_guard lock(mutex_);
  for (; at < rows.size() && !answer.empty(); ++at) {
    const auto line = answer.substr(0, answer.find('\n'));
    answer.remove_prefix(std::min(line.size() + 1, answer.size()));
    const auto parsed = parse_json(line);
    // An answer that is not about this row means the request was cut: ask again for the rest.
    if (!parsed || text_at(*parsed, "id") != rows[at].id.hex()) break;
    const auto status = text_at(*parsed, "status");
    if (status == "refused" && !comes_later(text_at(*parsed, "code"))) {
      refuse(rows[at].line, text_at(*parsed, "detail", text_at(*parsed, "code")));
    } else if (status != "finalized") {
      again.push_back(std::move(rows[at]));
      continue;
    } else {
      const auto* ok = member(*parsed, "ok");
      const auto result = text_at(*parsed, "result");
      if (ok == nullptr || !ok->is_bool() || !ok->get_bool()) {
        auto why = text_at(*parsed, "description", result);
        if (const auto detail = text_at(*parsed, "detail"); !detail.empty())
          why += " (" + detail + ")";
        refuse(rows[at].line, std::move(why));
      } else {
        ++(result == "no_change" ? summary_.unchanged : summary_.stored);
      }
      summary_.last_height = std::max(
          summary_.last_height,
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, number_at(*parsed, "height"))));
    }
    mine.last_receipt = clock::now();
  }
  std::move(rows.begin() + static_cast<std::ptrdiff_t>(at), rows.end(),
            std::back_inserter(again));
  rows = std::move(again);
}

} // namespace tallymesh::tally
