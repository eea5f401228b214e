#include "tests/faults/real/traitors.hpp"

#include "actors/peer_link/framing.hpp"
#include "actors/peer_link/tls_session.hpp"
#include "tests/faults/real/sockets.hpp"
#include "tests/simulation/adversary.hpp"

#include <algorithm>
#include <atomic>
#include <list>
#include <mutex>
#include <poll.h>
#include <queue>
#include <thread>

namespace tallymesh::faults {

namespace {

using clock = std::chrono::steady_clock;
using namespace peer_link;

constexpr std::size_t read_bytes = 64 * 1024;
/// What waits for one side at most; beyond it the connection goes, as if the line had broken.
constexpr std::size_t unsent_bytes = 32 * 1024 * 1024;

/// One end of a connection: the socket to a real node, and the TLS that we speak on it.
struct end {
  int number = -1;
  std::unique_ptr<tls_session> tls;
  frame_reader reader;
  bool greeted = false;
  std::vector<bytes> held; ///< frames from before the handshake was done
  std::vector<char> out;
  std::size_t sent = 0;
};

/// A pair: `near` is the one who dialled, `far` the one who was to be reached.
struct connection {
  std::uint16_t from = 0, to = 0;
  end near, far;
  bool connecting = true, broken = false;
};

struct listener {
  int number = -1;
  std::uint16_t from = 0, to = 0, target = 0;
};

bytes data_frame(bytes_view body) {
  const auto head = frame_header(frame_kind::data, body.size());
  bytes made(head.size() + body.size());
  std::copy(body.begin(), body.end(), std::copy(head.begin(), head.end(), made.begin()));
  return made;
}

} // namespace

std::uint32_t strategy_of(byzantine_habit x) {
  namespace habits = simulation::strategy;
  static constexpr std::uint32_t strategies[] = {
      habits::twins,     habits::rogue,   habits::lie,    habits::withhold, habits::equivocate,
      habits::fork_lane, habits::garbage, habits::replay, habits::hoard,    habits::mute};
  return strategies[static_cast<std::size_t>(x)];
}

struct traitors::state {
  struct timer {
    clock::time_point when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const timer& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  signing_domain domain;
  std::vector<member> mesh;
  std::vector<tls_context> identities;
  std::vector<public_key> vote_keys;
  std::optional<simulation::adversary> enemy;
  std::vector<listener> listeners; ///< before the thread starts

  std::list<connection> connections; ///< this and all below: the thread's
  std::priority_queue<timer> timers;
  std::uint64_t order = 0;

  std::mutex guard; ///< of turning
  std::vector<std::pair<std::uint16_t, std::uint32_t>> turning;
  std::atomic<std::uint64_t> misdeeds{0};
  std::atomic<bool> stopping{false};
  waker wake;
  std::thread worker;

  simulation::surroundings around();
  void run();
  void take_turns();
  void accept_from(const listener& at);
  void prepare(connection& x);
  bool carry(connection& x, const std::map<int, short>& ready);
  bool pump_in(connection& x, end& at);
  bool take(connection& x, end& at, link_frame frame);
  bool say(end& to, bytes frame);
  static void greet(end& x, const digest& chain);
  static bool pump_out(end& x);
  void post(node_index from, node_index to, const simulation::parcel_ptr& what);
  void drop(connection& x);
};

traitors::traitors(const signing_domain& domain, std::vector<member> mesh,
                   const std::vector<std::uint16_t>& who, std::uint64_t seed)
    : state_(std::make_unique<state>()) {
  auto& x = *state_;
  x.domain = domain;
  x.mesh = std::move(mesh);
  for (const auto& each : x.mesh)
    x.vote_keys.push_back(each.vote.public_part());
  x.enemy.emplace(x.around(),
                  simulation::random_source(simulation::mix(seed ^ 0x747261697473)));
  for (const auto each : who)
    x.enemy->enlist(each, 0, ed25519_credentials(each, domain, x.mesh[each].vote, x.vote_keys));
}

traitors::~traitors() {
  state_->stopping = true;
  if (state_->worker.joinable()) {
    state_->wake.nudge();
    state_->worker.join();
  }
  for (auto& each : state_->connections)
    state_->drop(each);
  for (const auto& each : state_->listeners)
    ::close(each.number);
}

result<std::uint16_t> traitors::stand_between(std::uint16_t from, std::uint16_t to,
                                              std::uint16_t target) {
  const auto made = listen_on_loopback();
  if (!made) return made.error();
  state_->listeners.push_back({made->number, from, to, target});
  return made->port;
}

result<void> traitors::start() {
  for (const auto& each : state_->mesh) {
    auto identity = tls_context::make(each.link);
    if (!identity) return identity.error();
    state_->identities.push_back(std::move(*identity));
  }
  if (auto open = state_->wake.open(); !open) return open;
  state_->worker = std::thread([this] {
    state_->enemy->start();
    state_->run();
  });
  return {};
}

void traitors::turn(std::uint16_t node, byzantine_habit habit) {
  {
    const std::scoped_lock lock(state_->guard);
    state_->turning.emplace_back(node, strategy_of(habit));
  }
  state_->wake.nudge();
}

std::uint64_t traitors::misdeeds() const { return state_->misdeeds; }

// --- the thread

simulation::surroundings traitors::state::around() {
  simulation::surroundings made;
  made.nodes =
      validator_set::make(domain.chain, domain.epoch, static_cast<std::uint16_t>(mesh.size()));
  made.genesis = genesis_block(domain);
  made.after = [this](std::int64_t delay_us, std::function<void()> what) {
    timers.push({clock::now() + std::chrono::microseconds(delay_us), order++, std::move(what)});
  };
  made.post = [this](node_index from, node_index to, const simulation::parcel_ptr& what, bool) {
    post(from, to, what);
  };
  made.count = [this](simulation::fault) { ++misdeeds; };
  made.wall_ms = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  made.note = [](const std::function<std::string()>&) {};
  return made;
}

void traitors::state::run() {
  while (!stopping) {
    std::vector<pollfd> all{{wake.descriptor(), POLLIN, 0}};
    for (const auto& each : listeners)
      all.push_back({each.number, POLLIN, 0});
    for (auto& each : connections)
      for (auto* side : {&each.near, &each.far}) {
        const bool waits = side == &each.far && each.connecting;
        const bool writes = waits || side->sent < side->out.size();
        all.push_back({side->number, static_cast<short>(POLLIN | (writes ? POLLOUT : 0)), 0});
      }
    auto wait = std::chrono::milliseconds(1000);
    if (!timers.empty())
      wait = std::clamp(
          std::chrono::ceil<std::chrono::milliseconds>(timers.top().when - clock::now()),
          std::chrono::milliseconds(0), wait);
    if (::poll(all.data(), all.size(), static_cast<int>(wait.count())) < 0 && errno != EINTR)
      return;
    std::map<int, short> ready;
    for (const auto& each : all)
      ready[each.fd] = each.revents;
    wake.drain();
    take_turns();
    while (!timers.empty() && timers.top().when <= clock::now()) {
      const auto next = timers.top();
      timers.pop();
      next.what();
    }
    for (auto& each : connections)
      if (!each.broken && ready.contains(each.near.number) && !carry(each, ready))
        each.broken = true;
    std::erase_if(connections, [this](connection& each) {
      if (each.broken) drop(each);
      return each.broken;
    });
    for (const auto& each : listeners)
      if (ready[each.number] & POLLIN) accept_from(each);
  }
}

void traitors::state::take_turns() {
  const std::scoped_lock lock(guard);
  for (const auto& [node, strategies] : std::exchange(turning, {}))
    enemy->take_up(node, strategies);
}

void traitors::state::accept_from(const listener& at) {
  const int near = ::accept4(at.number, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (near < 0) return;
  const int far = dial_loopback(at.target);
  if (far < 0) {
    ::close(near);
    return;
  }
  no_delay(near);
  no_delay(far);
  // A pair has one connection, the newer one: so the nodes themselves see it.
  for (auto& each : connections)
    if (each.from == at.from && each.to == at.to) each.broken = true;
  auto& made = connections.emplace_back();
  made.from = at.from;
  made.to = at.to;
  made.near.number = near;
  made.far.number = far;
  prepare(made);
}

/// Each side sees the key of the one it means to talk to.
void traitors::state::prepare(connection& x) {
  const auto only = [](const public_key& expected) {
    return [expected](const public_key& shown) { return shown == expected; };
  };
  x.near.tls = std::make_unique<tls_session>(identities[x.to], tls_role::accepting,
                                             only(mesh[x.from].link.public_part()));
  x.far.tls = std::make_unique<tls_session>(identities[x.from], tls_role::dialing,
                                            only(mesh[x.to].link.public_part()));
  if (!x.far.tls->start()) x.broken = true;
  x.far.tls->drain(x.far.out);
}

/// False: the connection is done with.
bool traitors::state::carry(connection& x, const std::map<int, short>& ready) {
  const auto at = [&](int number) {
    const auto found = ready.find(number);
    return found == ready.end() ? short{0} : found->second;
  };
  if (x.connecting) {
    if (at(x.far.number) & (POLLERR | POLLHUP)) return false;
    if (at(x.far.number) & POLLOUT) x.connecting = false;
  }
  constexpr short some = POLLIN | POLLHUP | POLLERR;
  for (auto* each : {&x.near, &x.far})
    if ((at(each->number) & some) && !pump_in(x, *each)) return false;
  return pump_out(x.near) && (x.connecting || pump_out(x.far));
}

bool traitors::state::pump_in(connection& x, end& at) {
  bytes wire(read_bytes);
  const auto count = ::read(at.number, wire.data(), wire.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  wire.resize(static_cast<std::size_t>(count));
  bytes plain;
  const auto decrypted = at.tls->receive(wire, plain);
  if (at.tls->established() && !at.greeted) greet(at, domain.chain);
  at.tls->drain(at.out);
  for (bytes_view left = plain;;) {
    auto frame = at.reader.next(left);
    if (!frame) return false;
    if (!*frame) break;
    if (!take(x, at, std::move(**frame))) return false;
  }
  return decrypted.has_value();
}

void traitors::state::greet(end& x, const digest& chain) {
  x.greeted = true;
  static_cast<void>(x.tls->send(hello_frame(chain)).has_value());
  for (const auto& each : x.held)
    static_cast<void>(x.tls->send(each).has_value());
  x.held.clear();
}

bool traitors::state::take(connection& x, end& at, link_frame frame) {
  const bool is_near = &at == &x.near;
  auto& other = is_near ? x.far : x.near;
  const auto speaker = is_near ? x.from : x.to, listener = is_near ? x.to : x.from;
  if (frame.kind == frame_kind::hello) return true; // each side had ours
  if (frame.kind != frame_kind::data) {
    const auto head = frame_header(frame.kind, 0);
    return say(other, bytes(head.begin(), head.end()));
  }
  auto opened = open_frame(frame.body);
  if (!opened) return say(other, data_frame(frame.body));
  const auto what = simulation::make_parcel(std::move(*opened));
  if (enemy->has(speaker)) {
    enemy->outgoing(speaker, true, listener, what);
    return true;
  }
  enemy->incoming(speaker, listener, what);
  return say(other, data_frame(frame.body));
}

bool traitors::state::say(end& to, bytes frame) {
  if (to.out.size() - to.sent > unsent_bytes || to.held.size() > 10'000) return false;
  if (!to.greeted) {
    to.held.push_back(std::move(frame));
    return true;
  }
  if (!to.tls->send(frame)) return false;
  to.tls->drain(to.out);
  return true;
}

void traitors::state::post(node_index from, node_index to, const simulation::parcel_ptr& what) {
  for (auto& each : connections) {
    if (each.broken) continue;
    auto* side = each.from == from && each.to == to   ? &each.far
                 : each.from == to && each.to == from ? &each.near
                                                      : nullptr;
    if (!side) continue;
    if (!say(*side, data_frame(make_frame(what->content)))) each.broken = true;
    return;
  }
}

bool traitors::state::pump_out(end& x) {
  while (x.sent < x.out.size()) {
    const auto count =
        ::send(x.number, x.out.data() + x.sent, x.out.size() - x.sent, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    x.sent += static_cast<std::size_t>(count);
  }
  x.out.clear();
  x.sent = 0;
  return true;
}

void traitors::state::drop(connection& x) {
  for (auto* each : {&x.near, &x.far})
    if (each->number >= 0) ::close(std::exchange(each->number, -1));
}

} // namespace tallymesh::faults
