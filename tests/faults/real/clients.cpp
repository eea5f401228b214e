#include "tests/faults/real/clients.hpp"

#include "tools/tally/mesh.hpp"

#include <algorithm>
#include <map>

namespace tallymesh::faults {

constexpr std::size_t most_at_once = 100;
constexpr std::uint64_t most_filler = 4000; ///< what the contract's field takes
constexpr std::chrono::milliseconds answer_within{3000}, again_after{150}, look_every{20};

std::string random_id(simulation::random_source& chance) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string id;
  for (int i = 0; i < 32; ++i)
    id += digits[chance.below(16)];
  return id;
}

std::string operation_line(const std::string& id, std::uint64_t size_bytes) {
  return R"({"id":")" + id
         + R"(","contract":"faults","action":"store","arguments":{"table":"entries","row":{"id":")"
         + id + R"(","filler":")"
         + std::string(static_cast<std::size_t>(std::min(size_bytes, most_filler)), 'x')
         + "\"}}}\n";
}

clients::clients(const script& what, std::uint64_t seed, std::vector<tally::http_target> nodes,
                 clock::time_point began)
    : began_(began) {
  simulation::random_source chance(simulation::mix(seed ^ 0x636C69656E74));
  for (auto& each : nodes) {
    clients_.emplace_back();
    clients_.back().target = std::move(each);
  }
  for (const auto& each : what.statements)
    if (each.what == statement::kind::load) plan(each.puts, what, chance);
  for (auto& each : clients_)
    std::stable_sort(each.to_come.begin(), each.to_come.end(),
                     [](const auto& a, const auto& b) { return a.when < b.when; });
  for (std::uint16_t i = 0; i < clients_.size(); ++i)
    clients_[i].worker = std::thread([this, i] { work(i); });
}

clients::~clients() {
  {
    const std::scoped_lock lock(guard_);
    stopping_ = true;
  }
  stopped_.notify_all();
  for (auto& each : clients_)
    each.worker.join();
}

void clients::plan(const load& x, const script& what, simulation::random_source& chance) {
  std::vector<std::uint16_t> at;
  for (const auto& each : x.at)
    if (each.what == node_selector::who::all)
      for (std::uint16_t i = 0; i < clients_.size(); ++i)
        at.push_back(i);
    else
      at.push_back(each.number);
  const auto traitors = what.byzantine();
  const auto until = std::min(x.until.value_or(what.heal), what.heal);
  const auto gap_us = static_cast<std::int64_t>(1'000'000 / x.rate_per_s);
  for (auto when = x.from; when < until;
       when +=
       duration(std::max<std::int64_t>(1, chance.between(gap_us / 2, gap_us * 3 / 2)))) {
    const auto node = chance.pick(at);
    planned next{when, random_id(chance), x.size_bytes};
    // A node that breaks the rules owes its clients nothing.
    if (std::find(traitors.begin(), traitors.end(), node) == traitors.end())
      clients_[node].to_come.push_back(std::move(next));
  }
}

duration clients::now() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began_);
}

client_history clients::history() const {
  const std::scoped_lock lock(guard_);
  return history_;
}

std::size_t clients::open() const {
  const std::scoped_lock lock(guard_);
  std::size_t sum = 0;
  for (const auto& each : clients_)
    sum += each.to_come.size() + each.unanswered.size();
  return sum;
}

void clients::work(std::uint16_t node) {
  tally::http_client over(clients_[node].target);
  std::unique_lock lock(guard_);
  auto& self = clients_[node];
  while (!stopping_) {
    for (; !self.to_come.empty() && self.to_come.front().when <= now();
         self.to_come.pop_front()) {
      history_.submitted(self.to_come.front().id, node, now());
      self.unanswered.push_back(std::move(self.to_come.front()));
    }
    if (self.unanswered.empty()) {
      if (self.to_come.empty()) return;
      stopped_.wait_for(lock, look_every);
      continue;
    }
    if (!hand_in(over, node)) stopped_.wait_for(lock, again_after);
  }
}

/// Holds the lock when called and when done; not while it asks. False: nothing was answered.
bool clients::hand_in(tally::http_client& over, std::uint16_t node) {
  tally::http_request request;
  request.method = tally::http_method::post;
  request.path =
      "/v1/operations?wait=finalized&timeout_ms=" + std::to_string(answer_within.count());
  request.content_type = "application/x-ndjson";
  request.timeout = answer_within + std::chrono::seconds(2);
  std::size_t count = 0;
  for (const auto& each : clients_[node].unanswered) {
    if (count++ == most_at_once) break;
    request.body += operation_line(each.id, each.size_bytes);
  }
  guard_.unlock();
  const auto answer = over.send(request);
  guard_.lock();
  const auto before = history_.acknowledgements();
  if (answer && answer->status == 200) take_answers(node, answer->body);
  return history_.acknowledgements() > before;
}

void clients::take_answers(std::uint16_t node, const std::string& body) {
  auto& open = clients_[node].unanswered;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = std::min(body.find('\n', at), body.size());
    const auto line = tally::parse_json(std::string_view(body).substr(at, end - at));
    at = end + 1;
    if (!line || tally::text_at(*line, "status") != "finalized") continue;
    const auto id = tally::text_at(*line, "id");
    // Such as one whose time was over when it came: a clock that is set off does that.
    if (const auto* ok = line->as_object().if_contains("ok");
        ok && ok->is_bool() && !ok->as_bool())
      history_.refused(id, now());
    else
      history_.acknowledged(id, now());
    std::erase_if(open, [&](const planned& each) { return each.id == id; });
  }
}

} // namespace tallymesh::faults
