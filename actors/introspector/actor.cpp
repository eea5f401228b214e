#include "actors/introspector/actor.hpp"

#include "actors/introspector/answers.hpp"
#include "actors/introspector/budget.hpp"
#include "actors/introspector/log_tap.hpp"
#include "actors/node/wiring.hpp"

#include <ctime>
#include <span>
#include <spdlog/spdlog.h>

namespace tallymesh::introspector {

namespace {

using introspection::answer;
using introspection::number;
using introspection::question;
using introspection::topic;

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using work_atom = caf::atom_constant<caf::atom("work")>;

constexpr std::chrono::milliseconds tick_every{200};
constexpr std::int64_t rate_window_ms = 1000;
constexpr std::size_t questions_a_window = 200; ///< more are refused
constexpr std::size_t acts_a_window = 20;
constexpr std::size_t held_a_session = 64;       ///< asked and not yet answered
constexpr std::int64_t asking_another_us = 1000; ///< what it may cost the actor that is asked
constexpr std::size_t streams_a_session = 4;
constexpr std::int64_t longest_trace_ms = 60'000, longest_pause_ms = 60'000;
constexpr std::size_t lines_an_answer = 200, messages_an_answer = 500;
/// One below what ends the process (supervisor): an operator's restarts never do.
constexpr std::size_t restarts_allowed = 4;
constexpr std::int64_t restart_window_ms = 30'000;
constexpr const char* links_name = "peer_links";
constexpr std::chrono::milliseconds answer_goes_in{50};
const caf::duration asking{std::chrono::seconds{1}};

struct session {
  configs::node_operator who;
  std::string address;
  caf::actor handle;
  std::int64_t since_ms = 0;
  std::int64_t window_ms = 0;
  std::size_t asked = 0, acted = 0; ///< in this window
  std::deque<question> held;
  hidden_places hidden;
  bool looks_for_operation = false; ///< one at a time: it may read megabytes
};

/// What an operator's questions write into the log, which must not be filled by who may only
/// look. What was done is always said.
enum class told_kind : std::uint8_t { refused, traces, asks_much, no_question };
struct told_lines {
  std::int64_t since_ms = 0;
  std::size_t lines = 0;
};
constexpr std::int64_t told_window_ms = 60'000;
constexpr std::size_t told_a_window = 5; ///< of each kind

struct stream {
  std::uint64_t of = 0; ///< the session
  std::uint32_t number = 0;
  topic about{};
  std::uint64_t last_line = 0;
  int level = 0;
  std::int64_t ends_ms = 0; ///< steady
};

struct actor_state {
  static inline const char* name = "introspector";
  node::context_ptr context;
  node::wiring_ptr wired;
  std::map<std::uint64_t, session> sessions;
  std::vector<stream> streams;
  /// By operator, as many as the config names, and why.
  std::map<std::pair<std::string, told_kind>, told_lines> told;
  budget allowed{steady_ns() / 1000};
  std::uint64_t served = 0; ///< the session whose turn it was
  bool ticking = false;
  bool tracing = false;
  bool resting = false; ///< until the budget allows more

  actor_state() = default;
  actor_state(const actor_state&) = delete;
  actor_state& operator=(const actor_state&) = delete;
  ~actor_state() {
    if (tracing) the_trace.end();
  }
};
value_map describe(const actor_state& x) {
  value_map out;
  value_list sessions;
  for (const auto& [serial, each] : x.sessions) {
    value_map one;
    put(one, "operator", each.who.name);
    put(one, "role", std::string(to_string(each.who.role)));
    put(one, "address", each.address);
    put(one, "since_ms", value(each.since_ms));
    sessions.emplace_back(std::move(one));
  }
  put(out, "sessions", std::move(sessions));
  put(out, "streams", number(x.streams.size()));
  return out;
}
using self_ptr = inspected_actor<actor_state>*;

void reply(self_ptr self, std::uint64_t to, const answer& x) {
  const auto at = self->state.sessions.find(to);
  if (at == self->state.sessions.end()) return; // it left meanwhile
  self->send(at->second.handle, frame_atom::value,
             std::make_shared<const bytes>(make_frame(x)));
}

/// Whom an answer goes to.
struct asker {
  self_ptr self;
  std::uint64_t session;
  std::uint32_t number;

  void answer_with(value_map body) const {
    reply(self, session, {number, true, {}, std::move(body)});
  }
  void answer_with(result<value_map> body) const {
    if (body) return answer_with(std::move(*body));
    refuse(body.error().context);
  }
  void refuse(std::string why) const {
    reply(self, session, {number, true, std::move(why), {}});
  }
  const class session& who() const { return self->state.sessions.at(session); }
};

void tell(self_ptr self, const session& who, told_kind kind, const std::string& what) {
  auto& told = self->state.told[{who.who.name, kind}];
  const auto now = node::now().monotonic_ms;
  if (now - told.since_ms >= told_window_ms) {
    if (told.lines > told_a_window)
      spdlog::warn("operator {}: {} more such lines were left out", who.who.name,
                   told.lines - told_a_window);
    told = {now, 0};
  }
  if (++told.lines > told_a_window) return;
  spdlog::log(kind == told_kind::traces ? spdlog::level::info : spdlog::level::warn,
              "operator {} from {} {}", who.who.name, who.address, what);
}

/// Of this thread, which is the introspector's alone: what it costs the node, whoever else
/// runs.
std::int64_t processor_us() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * 1'000'000 + used.tv_nsec / 1000;
}

/// Charges what is done as long as it lives.
class charged {
public:
  explicit charged(self_ptr self, std::int64_t more_us = 0)
      : self_(self), more_us_(more_us), began_us_(processor_us()) {}
  ~charged() {
    self_->state.allowed.spend(processor_us() - began_us_ + more_us_, steady_ns() / 1000);
  }
  charged(const charged&) = delete;
  charged& operator=(const charged&) = delete;

private:
  self_ptr self_;
  std::int64_t more_us_, began_us_;
};

// --- what other actors are asked

/// An actor that does not answer is an answer too: what it is busy with says why.
value_map unanswered(const node::context& context, const std::string& name) {
  auto out = one_actor(context, name);
  value_map body = out ? std::move(*out) : value_map{};
  std::erase_if(body, [](const auto& each) { return each.first == "kinds"; });
  put(body, "answers", false);
  return body;
}

value_map describe_link(const link_info& x) {
  value_map out;
  put(out, "peer", x.name);
  put(out, "address", x.address);
  put(out, "up", x.up);
  put(out, "since_ms", number(x.since_ms));
  put(out, "round_trip_us", number(x.round_trip_us));
  put(out, "bytes_in", number(x.bytes_in));
  put(out, "bytes_out", number(x.bytes_out));
  put(out, "frames_in", number(x.frames_in));
  put(out, "frames_out", number(x.frames_out));
  put(out, "queue_bytes", number(x.queue_bytes));
  put(out, "dropped_frames", number(x.dropped_frames));
  put(out, "handshake_failures", number(x.handshake_failures));
  put(out, "times_up", number(x.times_up));
  return out;
}

void ask_links(const asker& to) {
  const auto self = to.self;
  if (!self->state.wired) return to.refuse("the node is still starting");
  self->request<caf::message_priority::high>(self->state.wired->links, asking,
                                             introspect_atom::value)
      .then(
          [=](const std::vector<link_info>& all) {
            const auto& mesh = self->state.context->genesis();
            value_list peers;
            for (const auto& each : all) {
              auto one = describe_link(each);
              put(one, "key", mesh.nodes[each.peer].link_key.hex());
              peers.emplace_back(std::move(one));
            }
            value_map body;
            put(body, "now_ms", value(node::now().wall_ms));
            put(body, "peers", std::move(peers));
            put(body, "operators", *find(describe(self->state), "sessions"));
            to.answer_with(std::move(body));
          },
          [=](const caf::error&) { to.refuse("peer links do not answer"); });
}

void ask_state(const asker& to, const std::string& name) {
  const auto self = to.self;
  const auto child = find_child(*self->state.context, name);
  if (!child) return to.refuse(child.error().context);
  if (name == actor_state::name) return to.answer_with(describe(self->state));
  if (name == links_name) return ask_links(to);
  const auto handle = caf::actor_cast<caf::actor>(child->address);
  if (!handle) return to.refuse(name + " is down: " + child->last_exit);
  self->request<caf::message_priority::high>(handle, asking, inspect_atom::value)
      .then(
          [=](const described& x) {
            auto body = *x;
            put(body, "answers", true);
            if (name == "consensus") {
              const auto board = self->state.context->board.look();
              put(body, "halted_why", board.halted);
              put(body, "evidence", number(board.consensus.evidence));
            }
            to.answer_with(std::move(body));
          },
          [=](const caf::error&) { to.answer_with(unanswered(*self->state.context, name)); });
}

void ask_mailbox(const asker& to, const std::string& name) {
  const auto self = to.self;
  auto counted = one_actor(*self->state.context, name);
  if (!counted) return to.refuse(counted.error().context);
  std::erase_if(*counted, [](const auto& each) { return each.first == "kinds"; });
  const auto child = find_child(*self->state.context, name);
  const auto handle = child ? caf::actor_cast<caf::actor>(child->address) : caf::actor{};
  // The links are no actor of ours, and sort nothing into kinds before they handle it.
  if (!handle || name == actor_state::name || name == links_name)
    return to.answer_with(std::move(*counted));
  const auto body = std::make_shared<value_map>(std::move(*counted));
  self->request<caf::message_priority::high>(handle, asking, mailbox_atom::value)
      .then(
          [=](const described& x) {
            for (const auto& [key, each] : *x)
              put(*body, key, each);
            to.answer_with(std::move(*body));
          },
          [=](const caf::error&) {
            put(*body, "answers", false);
            to.answer_with(std::move(*body));
          });
}

void ask_operation(const asker& to, const value_map& arguments) {
  const auto self = to.self;
  const auto text = introspection::text_at(arguments, "id");
  const auto id = operation_id::from_hex(text);
  if (!id)
    return to.refuse("is " + configs::in_quotes(text)
                     + ", expected an operation's id: 32 hexadecimal characters");
  if (!self->state.wired) return to.refuse("the node is still starting");
  auto& of = self->state.sessions.at(to.session);
  if (std::exchange(of.looks_for_operation, true))
    return to.refuse("one operation at a time is looked for; ask again");
  const auto then = [=](std::optional<bool> waits) {
    const charged cost(self);
    if (const auto at = self->state.sessions.find(to.session); at != self->state.sessions.end())
      at->second.looks_for_operation = false;
    auto found = find_operation(*self->state.context, *id);
    if (!found) return to.refuse(found.error().context);
    if (find(*found, "where") == nullptr) {
      put(*found, "where", waits.value_or(false) ? "queue" : "unknown");
      if (!waits) put(*found, "unsure", "its mempool does not answer");
    }
    to.answer_with(std::move(*found));
  };
  self->request<caf::message_priority::high>(self->state.wired->core.mempool, asking,
                                             locate_atom::value, *id)
      .then([=](bool waits) { then(waits); }, [=](const caf::error&) { then(std::nullopt); });
}

// --- streams

void keep_ticking(self_ptr self) {
  if (self->state.streams.empty() || std::exchange(self->state.ticking, true)) return;
  self->delayed_send(self, tick_every, tick_atom::value);
}

bool add_stream(const asker& to, stream x) {
  auto& streams = to.self->state.streams;
  const auto held = std::count_if(streams.begin(), streams.end(),
                                  [&](const stream& each) { return each.of == to.session; });
  if (static_cast<std::size_t>(held) >= streams_a_session) {
    to.refuse("this connection follows as much as it may; end one first");
    return false;
  }
  x.of = to.session;
  x.number = to.number;
  streams.push_back(x);
  keep_ticking(to.self);
  return true;
}

value_map describe_lines(const std::vector<log_line>& lines) {
  value_list list;
  for (const auto& each : lines) {
    value_map line;
    put(line, "number", number(each.number));
    put(line, "time_ms", value(each.wall_ms));
    const auto level =
        spdlog::level::to_string_view(static_cast<spdlog::level::level_enum>(each.level));
    put(line, "level", std::string(level.data(), level.size()));
    put(line, "text", is_utf8(each.text) ? each.text : std::string("(not UTF-8)"));
    list.emplace_back(std::move(line));
  }
  value_map out;
  put(out, "lines", std::move(list));
  return out;
}

std::optional<int> level_named(const std::string& name) {
  const auto level = spdlog::level::from_str(name); // off if it is none
  if (level == spdlog::level::off) return std::nullopt;
  return static_cast<int>(level);
}

void show_logs(const asker& to, const value_map& arguments) {
  const auto tap = the_log_tap();
  if (!tap) return to.refuse("this process keeps no log lines");
  const auto level = level_named(introspection::text_at(arguments, "level", "trace"));
  if (!level) return to.refuse("unknown level; there is: trace, debug, info, warning, error");
  const auto most = std::clamp<std::int64_t>(introspection::number_at(arguments, "lines", 20),
                                             0, lines_an_answer);
  const auto lines = tap->after(0, static_cast<std::size_t>(most), *level);
  const bool follow = introspection::flag_at(arguments, "follow");
  if (follow) {
    stream x;
    x.about = topic::logs;
    x.level = *level;
    const auto newest = tap->after(0, 1, 0);
    x.last_line = newest.empty() ? 0 : newest.back().number;
    x.ends_ms = INT64_MAX;
    if (!add_stream(to, x)) return;
  }
  reply(to.self, to.session, {to.number, !follow, {}, describe_lines(lines)});
}

void begin_trace(const asker& to, const value_map& arguments) {
  const auto self = to.self;
  const auto child =
      find_child(*self->state.context, introspection::text_at(arguments, "actor"));
  if (!child) return to.refuse(child.error().context);
  const auto max = static_cast<std::size_t>(std::clamp<std::int64_t>(
      introspection::number_at(arguments, "max", 100), 1, trace::most));
  const auto for_ms = std::clamp<std::int64_t>(
      introspection::number_at(arguments, "for_ms", 10'000), 100, longest_trace_ms);
  stream x;
  x.about = topic::trace;
  x.ends_ms = node::now().monotonic_ms + for_ms;
  if (!the_trace.begin(child->id, max))
    return to.refuse("another trace runs in this process; try again when it has ended");
  if (!add_stream(to, x)) return the_trace.end();
  self->state.tracing = true;
  tell(self, to.who(), told_kind::traces,
       fmt::format("traces {} for {} ms", child->name, for_ms));
}

std::string name_of_actor(const node::context& context, std::uint64_t id) {
  for (const auto& each : context.children.all())
    if (each.id == id) return each.name;
  return id == 0 ? "-" : "#" + std::to_string(id);
}

value_map describe_trace(const node::context& context, std::span<traced_message> messages) {
  const auto wall_less_steady_us = node::now().wall_ms * 1000 - steady_ns() / 1000;
  std::map<std::uint64_t, std::string> names;
  value_list list;
  for (auto& each : messages) {
    auto name = std::move(each.peer);
    if (name.empty()) {
      auto& known = names[each.other];
      if (known.empty()) known = name_of_actor(context, each.other);
      name = known;
    }
    value_map one;
    put(one, "time_us", number(each.at_ns / 1000 + wall_less_steady_us));
    put(one, "way", each.out ? "out" : "in");
    put(one, "other", std::move(name));
    put(one, "kind", std::move(each.kind));
    put(one, "bytes", number(each.bytes));
    put(one, "took_us", number(each.took_ns < 0 ? -1 : each.took_ns / 1000));
    list.emplace_back(std::move(one));
  }
  value_map out;
  put(out, "messages", std::move(list));
  return out;
}

/// False when the stream has ended.
bool serve(self_ptr self, stream& x) {
  const bool over = node::now().monotonic_ms >= x.ends_ms;
  if (x.about == topic::logs) {
    const auto lines = the_log_tap()->after(x.last_line, lines_an_answer, x.level);
    if (lines.empty()) return true;
    x.last_line = lines.back().number;
    reply(self, x.of, {x.number, false, {}, describe_lines(lines)});
    return true;
  }
  const bool ends = over || the_trace.full();
  if (ends) {
    the_trace.end();
    self->state.tracing = false;
  }
  auto messages = the_trace.take();
  std::span<traced_message> left(messages);
  do {
    const auto part = left.first(std::min(left.size(), messages_an_answer));
    left = left.subspan(part.size());
    if (ends || !part.empty())
      reply(self, x.of,
            {x.number, ends && left.empty(), {}, describe_trace(*self->state.context, part)});
  } while (!left.empty());
  return !ends;
}

void end_stream(self_ptr self, const stream& x) {
  if (x.about != topic::trace) return;
  the_trace.end();
  self->state.tracing = false;
}

void tick(self_ptr self) {
  auto& state = self->state;
  state.ticking = false;
  {
    const charged cost(self);
    std::erase_if(state.streams, [&](stream& each) { return !serve(self, each); });
  }
  keep_ticking(self);
}

void stop_stream(const asker& to, const value_map& arguments) {
  const auto of = introspection::number_at(arguments, "of", -1);
  std::erase_if(to.self->state.streams, [&](const stream& each) {
    if (each.of != to.session || each.number != of) return false;
    end_stream(to.self, each);
    reply(to.self, to.session, {each.number, true, {}, {}});
    return true;
  });
  to.answer_with(value_map{});
}

// --- what changes something

void note(const asker& who, const std::string& what) {
  spdlog::warn("operator {} from {}: {}", who.who().who.name, who.who().address, what);
}

/// Kept by the node: an introspector that was killed has forgotten whom it killed.
bool may_restart(const actor_state& state) {
  const auto now = node::now().monotonic_ms;
  auto& made = state.context->operators_restarts_ms;
  while (!made.empty() && made.front() + restart_window_ms < now)
    made.pop_front();
  if (made.size() >= restarts_allowed) return false;
  made.push_back(now);
  return true;
}

void end_actor(const asker& to, const std::string& name, bool at_once) {
  const auto self = to.self;
  const auto child = find_child(*self->state.context, name);
  if (!child) return to.refuse(child.error().context);
  if (name == "node")
    return to.refuse("the supervisor ends with the process: use `tally down`");
  const auto handle = caf::actor_cast<caf::actor>(child->address);
  if (!handle) return to.refuse(name + " is down already: " + child->last_exit);
  if (!may_restart(self->state))
    return to.refuse(
        "4 restarts in the last 30 s: two more would end the process; wait a little");
  note(to, (at_once ? "kill " : "restart ") + name);
  value_map body;
  put(body, "actor", name);
  put(body, "family", child->family);
  to.answer_with(std::move(body));
  const auto why = at_once ? caf::exit_reason::kill : caf::exit_reason::user_shutdown;
  if (name == links_name) // the answer goes first: it takes the same way
    self->delayed_send(handle, answer_goes_in, caf::exit_msg{self->address(), why});
  else
    self->send_exit(handle, why);
}

void pause_actor(const asker& to, const value_map& arguments, bool pause) {
  const auto self = to.self;
  const auto name = introspection::text_at(arguments, "actor");
  const auto child = find_child(*self->state.context, name);
  if (!child) return to.refuse(child.error().context);
  if (name == "node" || name == links_name || name == actor_state::name)
    return to.refuse(name + " cannot be paused: without it nobody could resume it");
  const auto handle = caf::actor_cast<caf::actor>(child->address);
  if (!handle) return to.refuse(name + " is down: " + child->last_exit);
  const auto for_ms = std::clamp<std::int64_t>(
      introspection::number_at(arguments, "for_ms", 10'000), 100, longest_pause_ms);
  value_map body;
  put(body, "actor", name);
  if (pause) {
    note(to, fmt::format("pause {} for {} ms", name, for_ms));
    put(body, "for_ms", value(for_ms));
    self->send<caf::message_priority::high>(handle, pause_atom::value, for_ms);
  } else {
    note(to, "resume " + name);
    self->send<caf::message_priority::high>(handle, resume_atom::value);
  }
  to.answer_with(std::move(body));
}

void change_log_level(const asker& to, const value_map& arguments) {
  const auto text = introspection::text_at(arguments, "level");
  const auto name = introspection::text_at(arguments, "actor");
  const auto level = level_named(text);
  if (!level)
    return to.refuse("is " + configs::in_quotes(text)
                     + ", expected trace, debug, info, warning, error or critical");
  if (name.empty()) {
    note(to, "log " + text);
    set_log_level(*level);
    return to.answer_with(value_map{});
  }
  const auto child = find_child(*to.self->state.context, name);
  if (!child) return to.refuse(child.error().context);
  if (!child->meter) return to.refuse(name + " has no log level of its own");
  note(to, "log " + text + " " + name);
  set_log_level(*child->meter, *level);
  to.answer_with(value_map{});
}

/// `cut`: the link to a peer is taken down and not made for a while.
void make_fault(const asker& to, const value_map& arguments) {
  const auto& state = to.self->state;
  const auto what = introspection::text_at(arguments, "what");
  const auto peer = introspection::text_at(arguments, "peer");
  const auto for_ms = std::clamp<std::int64_t>(
      introspection::number_at(arguments, "for_ms", 10'000), 100, 600'000);
  if (what != "cut" && what != "heal")
    return to.refuse("is " + configs::in_quotes(what)
                     + ", expected: cut PEER [for 10s], or heal PEER");
  const auto index = state.context->genesis().index_of(peer);
  if (!index || *index == state.context->self())
    return to.refuse("there is no peer " + configs::in_quotes(peer));
  if (!state.wired) return to.refuse("the node is still starting");
  const bool cuts = what == "cut";
  note(to, cuts ? fmt::format("fault cut {} for {} ms", peer, for_ms) : "fault heal " + peer);
  to.self->send(state.wired->links, fault_atom::value, *index, cuts ? for_ms : 0);
  value_map body;
  put(body, "peer", peer);
  put(body, "for_ms", value(for_ms));
  to.answer_with(std::move(body));
}

// --- dispatch

void act(const asker& to, const question& x) {
  const auto name = introspection::text_at(x.arguments, "actor");
  switch (x.about) {
  case topic::kill:
    return end_actor(to, name, true);
  case topic::restart:
    return end_actor(to, name, false);
  case topic::pause:
    return pause_actor(to, x.arguments, true);
  case topic::resume:
    return pause_actor(to, x.arguments, false);
  case topic::log_level:
    return change_log_level(to, x.arguments);
  default:
    return make_fault(to, x.arguments);
  }
}

/// A record's key may be a person's number: who may only look is not shown it.
void show_rows(const asker& to, const value_map& arguments) {
  auto& of = to.self->state.sessions.at(to.session);
  const bool hides =
      of.who.role != introspection::role::control || introspection::flag_at(arguments, "hide");
  to.answer_with(rows(*to.self->state.context, arguments, hides ? &of.hidden : nullptr));
}

void show(const asker& to, const question& x) {
  const auto& context = *to.self->state.context;
  switch (x.about) {
  case topic::hello:
    return to.answer_with(hello(context, to.who().who));
  case topic::tree:
    return to.answer_with(tree(context));
  case topic::actor:
    return to.answer_with(one_actor(context, introspection::text_at(x.arguments, "actor")));
  case topic::mailbox:
    return ask_mailbox(to, introspection::text_at(x.arguments, "actor"));
  case topic::state:
    return ask_state(to, introspection::text_at(x.arguments, "actor"));
  case topic::links:
    return ask_links(to);
  case topic::consensus:
    return ask_state(to, "consensus");
  case topic::mempool:
    return ask_state(to, "mempool");
  case topic::ledger:
    return to.answer_with(ledger(context));
  case topic::rows:
    return show_rows(to, x.arguments);
  case topic::contracts:
    return to.answer_with(contracts(context));
  case topic::evidence:
    return to.answer_with(
        evidence(context, introspection::number_at(x.arguments, "limit", 20)));
  case topic::config:
    return to.answer_with(config(context));
  case topic::operation:
    return ask_operation(to, x.arguments);
  case topic::logs:
    return show_logs(to, x.arguments);
  case topic::trace:
    return begin_trace(to, x.arguments);
  case topic::stop:
    return stop_stream(to, x.arguments);
  default:
    return act(to, x);
  }
}

void cut(self_ptr self, std::uint64_t serial) {
  if (self->state.wired) self->send(self->state.wired->links, cut_atom::value, serial);
}

/// True if the question may be answered.
bool within_rate(const asker& to, session& who) {
  const auto now = node::now().monotonic_ms;
  if (now - who.window_ms >= rate_window_ms) {
    who.window_ms = now;
    who.asked = who.acted = 0;
  }
  if (++who.asked <= questions_a_window) return true;
  if (who.asked == questions_a_window + 1)
    tell(to.self, who, told_kind::asks_much,
         fmt::format("asks more than {} questions a second", questions_a_window));
  to.refuse("more than " + std::to_string(questions_a_window)
            + " questions a second; ask again in a second");
  return false;
}

/// Refuses what this operator may not do.
void answer_one(const asker& to, const question& x) {
  const auto& who = to.who();
  if (needs_control(x.about) && who.who.role != introspection::role::control) {
    tell(to.self, who, told_kind::refused,
         fmt::format("asked to {} and has not the role control", to_string(x.about)));
    return to.refuse("the key of operator " + who.who.name + " may read only; `"
                     + std::string(to_string(x.about))
                     + "` needs role = \"control\" in this node's config");
  }
  show(to, x);
}

/// What another actor does for the answer counts too.
std::int64_t cost_elsewhere_us(topic x) {
  switch (x) {
  case topic::state:
  case topic::mailbox:
  case topic::consensus:
  case topic::mempool:
  case topic::links:
  case topic::operation:
    return asking_another_us;
  default:
    return 0;
  }
}

/// The session that has asked and was not served for longest.
std::map<std::uint64_t, session>::iterator next_in_turn(actor_state& state) {
  const auto asks = [](const auto& each) { return !each.second.held.empty(); };
  const auto after = state.sessions.upper_bound(state.served);
  const auto at = std::find_if(after, state.sessions.end(), asks);
  if (at != state.sessions.end()) return at;
  const auto again = std::find_if(state.sessions.begin(), after, asks);
  return again == after ? state.sessions.end() : again;
}

/// Answers what was asked, in turn, as long as the budget lasts.
void work(self_ptr self) {
  auto& state = self->state;
  for (auto at = next_in_turn(state); at != state.sessions.end(); at = next_in_turn(state)) {
    if (const auto wait_us = state.allowed.wait_us(steady_ns() / 1000); wait_us > 0) {
      if (!std::exchange(state.resting, true))
        self->delayed_send(self, std::chrono::microseconds(wait_us), work_atom::value);
      return;
    }
    const auto asked = std::move(at->second.held.front());
    at->second.held.pop_front();
    state.served = at->first;
    const charged cost(self, cost_elsewhere_us(asked.about));
    answer_one({self, at->first, asked.number}, asked);
  }
}

void read(self_ptr self, std::uint64_t serial, const shared_frame& frame) {
  const auto at = self->state.sessions.find(serial);
  if (at == self->state.sessions.end()) return;
  auto& who = at->second;
  auto asked = introspection::open_question(*frame);
  if (!asked) {
    tell(self, who, told_kind::no_question,
         "is cut: what it sent is no question: " + asked.error().context);
    return cut(self, serial);
  }
  const asker to{self, serial, asked->number};
  if (!within_rate(to, who)) return;
  if (asked->about == topic::stop || needs_control(asked->about)) {
    // To end what costs, and to act, must not wait for what others look at.
    const charged cost(self);
    if (needs_control(asked->about) && ++who.acted > acts_a_window)
      return to.refuse("more than " + std::to_string(acts_a_window)
                       + " acts a second; ask again in a second");
    return answer_one(to, *asked);
  }
  if (who.held.size() >= held_a_session)
    return to.refuse("the questions before this one are not answered yet; ask again");
  who.held.push_back(std::move(*asked));
  work(self);
}

void forget(self_ptr self, std::uint64_t serial) {
  auto& state = self->state;
  std::erase_if(state.streams, [&](const stream& each) {
    if (each.of != serial) return false;
    end_stream(self, each);
    return true;
  });
  state.sessions.erase(serial);
}

caf::behavior behaviour(self_ptr self, node::context_ptr context) {
  self->state.context = std::move(context);
  node::prepare(self);
  return {
      [=](node::wired_atom, const node::wiring_ptr& wired) { self->state.wired = wired; },
      [=](operator_up_atom, std::uint64_t serial, const public_key& key,
          const std::string& address, const caf::actor& handle) {
        const auto known = self->state.context->admitted.all();
        const auto who = std::find_if(known->begin(), known->end(),
                                      [&](const auto& each) { return each.key == key; });
        if (who == known->end()) return; // no longer admitted: the link ends on its own
        auto& x = self->state.sessions[serial];
        if (x.handle != handle) x.since_ms = node::now().wall_ms;
        x.who = *who; // also of one that is here already: its role may be another one now
        x.address = address;
        x.handle = handle;
      },
      [=](operator_down_atom, std::uint64_t serial) { forget(self, serial); },
      [=](frame_atom, std::uint64_t serial, const shared_frame& frame) {
        read(self, serial, frame);
      },
      [=](tick_atom) { tick(self); },
      [=](work_atom) {
        self->state.resting = false;
        work(self);
      },
  };
}

} // namespace

caf::actor spawn_introspector(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::introspector
