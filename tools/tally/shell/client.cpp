#include "tools/tally/shell/client.hpp"

#include "actors/peer_link/links.hpp"

#include <caf/all.hpp>
#include <caf/io/middleman.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

namespace tallymesh::tally {

namespace {

using introspection::answer;

const std::string no_link = "no link: ";

caf::actor_system_config& quiet(caf::actor_system_config& config) {
  config.load<caf::io::middleman>();
  config.set("scheduler.policy", caf::atom("sharing"))
      .set("scheduler.max-threads", std::size_t{1});
  return config;
}

} // namespace

/// Filled by the actor that links deliver to, read by the main thread.
struct mesh_client::shared_state {
  struct node {
    std::string name;
    caf::actor handle; ///< of its introspector, while up
    std::string trouble;
    bool was_up = false;
  };
  /// As they came, so that no node takes more memory than it has sent; read when it is their
  /// turn. Of one stream, and of all: a node that sends faster than we read loses some.
  static constexpr std::size_t most_waiting = 64, most_waiting_bytes = 4 * 1024 * 1024;
  struct asked {
    node_index of = 0;
    bool many = false; ///< a stream; else its first answer is its last
  };
  struct waiting {
    shared_frame frame; ///< none: `said` is not the node's
    answer said;
  };
  mutable std::mutex lock;
  mutable std::condition_variable changed;
  std::map<node_index, node> nodes;
  std::map<std::uint32_t, asked> open; ///< questions without their last answer
  std::map<std::uint32_t, std::deque<waiting>> answers;
  std::size_t waiting_bytes = 0;
  std::vector<std::string> notices;
  std::uint32_t last_number = 0;

  void up(node_index index, const caf::actor& handle) {
    const std::lock_guard guard(lock);
    auto& x = nodes[index];
    x.handle = handle;
    x.trouble.clear();
    if (std::exchange(x.was_up, true)) notices.push_back(x.name + " is back");
    changed.notify_all();
  }
  void down(node_index index) {
    const std::lock_guard guard(lock);
    auto& x = nodes[index];
    x.handle = nullptr;
    fail_all(index, no_link + "it was lost");
  }
  /// All that this node was asked has failed.
  void fail_all(node_index index, const std::string& why) {
    for (auto at = open.begin(); at != open.end();)
      if (at->second.of == index) {
        answers[at->first].push_back({nullptr, {at->first, true, why, {}}});
        at = open.erase(at);
      } else {
        ++at;
      }
    changed.notify_all();
  }
  void frame(node_index from, const shared_frame& raw) {
    const auto head = introspection::head_of_answer(*raw);
    const std::lock_guard guard(lock);
    if (!head) // whose answer it was meant to be cannot be told
      return fail_all(from, "its answer cannot be read: " + head.error().context);
    const auto at = open.find(head->number);
    if (at == open.end() || at->second.of != from) return;
    const bool last = head->last || !at->second.many;
    auto& of = answers[head->number];
    const bool room =
        of.size() < most_waiting && waiting_bytes + raw->size() <= most_waiting_bytes;
    if (!room && !last) return;
    if (room) {
      waiting_bytes += raw->size();
      of.push_back({raw, {}});
    } else {
      of.push_back({nullptr, {head->number, true, "it answers faster than we read", {}}});
    }
    if (last) open.erase(at);
    changed.notify_all();
  }
  void forget(std::uint32_t number) {
    open.erase(number);
    const auto at = answers.find(number);
    if (at == answers.end()) return;
    for (const auto& each : at->second)
      if (each.frame) waiting_bytes -= each.frame->size();
    answers.erase(at);
  }
  /// A line of the links' log: what it says of a node that is not up explains why.
  void note(const std::string& line) {
    const std::lock_guard guard(lock);
    for (auto& [index, x] : nodes) {
      const auto lost = "link to " + x.name + " down";
      if (line.starts_with(lost)) {
        const auto colon = line.find(": ");
        x.trouble = colon == line.npos ? line : line.substr(colon + 2);
        notices.push_back(x.name + " is lost: " + x.trouble + "; trying again");
      } else if (line.starts_with("link to " + x.name + " (")
                 || line.starts_with(x.name + " ")) {
        const auto refused = line.find("refused: ");
        x.trouble = refused == line.npos ? line : line.substr(refused + 9);
        if (const auto end = x.trouble.find("; trying again"); end != line.npos)
          x.trouble.resize(end);
      } else {
        continue;
      }
      changed.notify_all();
    }
  }
};

namespace {

class note_sink : public spdlog::sinks::base_sink<std::mutex> {
public:
  explicit note_sink(std::function<void(const std::string&)> tell) : tell_(std::move(tell)) {}

protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    tell_(std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

private:
  std::function<void(const std::string&)> tell_;
};

} // namespace

struct mesh_client::running_system {
  caf::actor_system_config config;
  caf::actor_system system{quiet(config)};
  caf::actor sink, links;

  ~running_system() {
    caf::anon_send_exit(links, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(sink, caf::exit_reason::user_shutdown);
  }
};

mesh_client::mesh_client(const configs::genesis& mesh, const signing_key& key,
                         const std::vector<node_index>& nodes)
    : state_(std::make_shared<shared_state>()) {
  peer_link::link_settings settings{.own_index = 0, .link_key = key, .chain = mesh.chain};
  settings.as_operator = true;
  settings.timing.handshake_deadline = milliseconds(2000); // a person waits
  for (const auto index : nodes) {
    const auto& each = mesh.nodes[index];
    state_->nodes[index].name = each.name;
    state_->nodes[index].trouble = "still connecting";
    settings.peers.push_back(
        {index, each.name, each.address.host, each.address.port, each.link_key});
  }
  // The links' log becomes what the shell knows of its links; nothing of it is printed.
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "shell", std::make_shared<note_sink>(
                   [state = state_](const std::string& line) { state->note(line); })));
  running_ = std::make_unique<running_system>();
  running_->sink = running_->system.spawn(
      [](caf::event_based_actor* self, std::shared_ptr<shared_state> state) -> caf::behavior {
        self->set_default_handler(caf::drop);
        return {
            [=](up_atom, node_index index, const caf::actor& handle) {
              state->up(index, handle);
            },
            [=](down_atom, node_index index) { state->down(index); },
            [=](frame_atom, node_index from, const shared_frame& frame) {
              state->frame(from, frame);
            },
        };
      },
      state_);
  running_->links = peer_link::spawn_links(running_->system, settings, running_->sink);
}

mesh_client::~mesh_client() {
  {
    const std::lock_guard guard(state_->lock);
    for (auto& [index, each] : state_->nodes)
      each.handle = nullptr;
  }
  running_.reset();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("tally"));
}

bool mesh_client::is_up(node_index node) const {
  const std::lock_guard guard(state_->lock);
  const auto at = state_->nodes.find(node);
  return at != state_->nodes.end() && at->second.handle != nullptr;
}

void mesh_client::wait_for(const std::vector<node_index>& nodes, milliseconds limit) const {
  std::unique_lock guard(state_->lock);
  state_->changed.wait_for(guard, limit, [&] {
    return std::all_of(nodes.begin(), nodes.end(), [&](node_index each) {
      const auto& x = state_->nodes[each];
      return x.handle != nullptr || (!x.trouble.empty() && x.trouble != "still connecting");
    });
  });
}

std::string mesh_client::trouble(node_index node) const {
  const std::lock_guard guard(state_->lock);
  return state_->nodes[node].trouble;
}

std::vector<std::string> mesh_client::take_notices() {
  const std::lock_guard guard(state_->lock);
  return std::exchange(state_->notices, {});
}

std::uint32_t mesh_client::begin(node_index node, introspection::topic about,
                                 value_map arguments) {
  return send(node, about, std::move(arguments), true);
}

std::uint32_t mesh_client::send(node_index node, introspection::topic about,
                                value_map arguments, bool many) {
  caf::actor handle;
  std::uint32_t number = 0;
  {
    const std::lock_guard guard(state_->lock);
    number = ++state_->last_number;
    auto& x = state_->nodes[node];
    handle = x.handle;
    if (!handle) {
      state_->answers[number].push_back({nullptr, {number, true, no_link + x.trouble, {}}});
      return number;
    }
    state_->open[number] = {node, many};
  }
  caf::anon_send(handle, frame_atom::value,
                 std::make_shared<const bytes>(introspection::make_frame(
                     introspection::question{number, about, std::move(arguments)})));
  return number;
}

std::optional<introspection::answer> mesh_client::next(std::uint32_t number,
                                                       milliseconds limit) {
  std::unique_lock guard(state_->lock);
  auto& waiting = state_->answers[number];
  if (!state_->changed.wait_for(guard, limit, [&] { return !waiting.empty(); }))
    return std::nullopt;
  auto first = std::move(waiting.front());
  waiting.pop_front();
  if (first.frame) state_->waiting_bytes -= first.frame->size();
  const bool ended = waiting.empty() && !state_->open.contains(number);
  if (ended) state_->answers.erase(number);
  guard.unlock();
  if (!first.frame) return std::move(first.said);
  auto read = introspection::open_answer(*first.frame);
  if (!read)
    return answer{number, ended, "its answer cannot be read: " + read.error().context, {}};
  read->last = ended;
  return std::move(*read);
}

bool mesh_client::says_lost(const introspection::answer& x) {
  return x.last && x.failure.starts_with(no_link);
}

void mesh_client::end(node_index node, std::uint32_t number) {
  bool runs = false;
  {
    const std::lock_guard guard(state_->lock);
    runs = state_->open.contains(number);
    state_->forget(number);
  }
  if (!runs) return;
  value_map arguments;
  put(arguments, "of", value(static_cast<std::int64_t>(number)));
  (void)ask(node, introspection::topic::stop, std::move(arguments));
}

static result<value_map> outcome(std::optional<introspection::answer> x, bool up) {
  if (!x)
    return make_error(errc::unavailable, "no answer in time: the node hangs or is overloaded");
  if (!x->failure.empty())
    return make_error(up ? errc::forbidden : errc::unavailable, x->failure);
  return std::move(x->body);
}

result<value_map> mesh_client::ask(node_index node, introspection::topic about,
                                   value_map arguments, milliseconds limit) {
  const auto number = send(node, about, std::move(arguments), false);
  auto first = next(number, limit);
  {
    const std::lock_guard guard(state_->lock);
    state_->forget(number);
  }
  return outcome(std::move(first), is_up(node));
}

std::vector<result<value_map>> mesh_client::ask_all(const std::vector<node_index>& nodes,
                                                    introspection::topic about,
                                                    const value_map& arguments,
                                                    milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::vector<std::uint32_t> numbers;
  for (const auto each : nodes)
    numbers.push_back(send(each, about, arguments, false));
  std::vector<result<value_map>> out;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    auto first = next(numbers[i], std::max(left, milliseconds(0)));
    {
      const std::lock_guard guard(state_->lock);
      state_->forget(numbers[i]);
    }
    out.push_back(outcome(std::move(first), is_up(nodes[i])));
  }
  return out;
}

} // namespace tallymesh::tally
