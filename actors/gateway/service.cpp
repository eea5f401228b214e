#include "actors/gateway/service.hpp"

#include "actors/gateway/answers.hpp"
#include "actors/gateway/description.hpp"
#include "actors/gateway/readings.hpp"

namespace tallymesh::gateway {

namespace {

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() <= scheme.size()) return {};
  for (std::size_t i = 0; i < scheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != scheme[i]) return {};
  }
  authorization.remove_prefix(scheme.size());
  while (authorization.starts_with(' '))
    authorization.remove_prefix(1);
  return authorization;
}

response unauthorised(bool allowed_to_fail) {
  if (allowed_to_fail)
    return problem({401, "forbidden", "give a token: Authorization: Bearer TOKEN"});
  auto out = problem({429, "overloaded", "too many requests without a right token"});
  out.close = true;
  return out;
}

response stopping() { return problem(refuse_as(errc::unavailable, "the node is stopping")); }

response too_busy() {
  return problem({503, "overloaded", "too many requests wait for this node; try again"});
}

response plain(unsigned status, std::string body) {
  auto out = json_answer(std::move(body), status);
  out.content_type = "text/plain; charset=utf-8";
  return out;
}

} // namespace

service::service(backend node, service_settings settings, service_hooks hooks)
    : node_(std::move(node)), settings_(settings), hooks_(std::move(hooks)),
      room_(settings.waiting_operations, settings.page_bytes),
      deliveries_(settings.waiting_subscribers, settings.waiting_subscribers_each) {}

std::variant<service::admitted, response> service::admit(const request& head) {
  auto routed = route(head.method, head.target);
  auto* found = std::get_if<call>(&routed);
  if (found && is_open(found->what)) return admitted{std::move(*found), {}};
  // Before anything else is said, so that strangers learn nothing about paths either.
  const auto token = bearer_token(head.authorization);
  auto who = token.empty() ? std::nullopt : node_.authenticate(token);
  if (!who)
    return unauthorised(failures_.allow(head.address, std::chrono::steady_clock::now()));
  if (!found) {
    const auto& wrong = std::get<misrouted>(routed);
    auto out = problem(wrong.why);
    if (!wrong.allow.empty()) out.headers.emplace_back("Allow", wrong.allow);
    return out;
  }
  return admitted{std::move(*found), std::move(*who)};
}

std::optional<response> service::screen(const request& head) {
  auto verdict = admit(head);
  if (auto* refused = std::get_if<response>(&verdict)) return std::move(*refused);
  return std::nullopt;
}

answer_function service::counted(answer_function answer) {
  {
    const std::lock_guard lock(flight_mutex_);
    ++in_flight_;
  }
  return [self = weak_from_this(), answer = std::move(answer)](response made) {
    answer(std::move(made));
    if (const auto alive = self.lock()) {
      const std::lock_guard lock(alive->flight_mutex_);
      if (--alive->in_flight_ == 0) alive->landed_.notify_all();
    }
  };
}

void service::handle(request what, answer_function given) {
  auto verdict = admit(what);
  if (auto* refused = std::get_if<response>(&verdict)) return given(std::move(*refused));
  if (draining_) return given(stopping());
  auto answer = counted(std::move(given));
  auto& found = std::get<admitted>(verdict);
  if (is_open(found.what.what)) return answer(read(found));
  struct task_parts {
    request from;
    admitted what;
  };
  auto parts = std::make_shared<task_parts>(task_parts{std::move(what), std::move(found)});
  const bool taken = hooks_.run([self = shared_from_this(), parts, answer] {
    self->perform(parts->what, parts->from, answer);
  });
  if (!taken) answer(too_busy());
}

void service::perform(const admitted& what, const request& from,
                      const answer_function& answer) {
  switch (what.what.what) {
  case resource::operations:
    return submit(what, from, answer);
  case resource::operation:
    return look_up(what, answer);
  case resource::deliveries:
    return read_deliveries(what, answer);
  case resource::acknowledgement:
    return acknowledge(what, from, answer);
  default:
    return answer(read(what));
  }
}

response service::read(const admitted& what) {
  const auto contracts = node_.contracts();
  const reading_call from{node_, *contracts, what.what, what.who, settings_.page_bytes};
  switch (what.what.what) {
  case resource::live:
    return plain(200, "alive\n");
  case resource::ready:
    return node_.status().ready && !draining_ ? plain(200, "ready\n")
                                              : plain(503, "not ready\n");
  case resource::metrics:
    return metrics();
  case resource::description:
    return json_answer(std::string(openapi_text()));
  case resource::status:
    return read_status(from);
  case resource::tables:
    return read_tables(from);
  case resource::rows:
    return read_rows(from);
  case resource::row:
    return read_row(from);
  case resource::row_history:
    return read_history(from);
  case resource::access:
    return read_access(from);
  case resource::blocks:
    return read_blocks(from);
  case resource::block:
    return read_block(from);
  case resource::digests:
    return digests();
  case resource::contracts:
    return read_contracts(from);
  case resource::contract:
    return read_contract(from);
  case resource::trace:
    return read_trace(from);
  case resource::operations:
  case resource::operation:
  case resource::deliveries:
  case resource::acknowledgement:
    break;
  }
  return problem(refuse_as(errc::not_found, "there is nothing at this path"));
}

void service::count_answer(unsigned status) {
  if (status < answers_.size()) answers_[status].fetch_add(1, std::memory_order_relaxed);
}

void service::expire(std::chrono::steady_clock::time_point now) {
  for (const auto& who : room_.expire(now))
    finish(*who, ending::timed_out);
  for (const auto& who : deliveries_.expire(now))
    if (!hooks_.run([self = shared_from_this(), who] { self->end_waiting(who); }))
      who->answer(too_busy());
  if (look_missed_.exchange(false)) look_for_subscribers();
  if (const auto next = room_.next_deadline()) hooks_.wake_at(*next);
  if (const auto next = deliveries_.next_deadline()) hooks_.wake_at(*next);
}

void service::drain(std::chrono::milliseconds patience) {
  draining_ = true;
  for (const auto& who : deliveries_.expire(delivery_room::time_point::max()))
    end_waiting(who);
  std::unique_lock lock(flight_mutex_);
  landed_.wait_for(lock, patience, [this] { return in_flight_ == 0; });
  lock.unlock();
  for (const auto& who : room_.expire_all())
    finish(*who, ending::stopping);
}

} // namespace tallymesh::gateway
