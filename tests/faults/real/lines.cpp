#include "tests/faults/real/lines.hpp"

#include "tests/faults/real/sockets.hpp"
#include "tests/simulation/random.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <list>
#include <mutex>
#include <poll.h>
#include <thread>

namespace tallymesh::faults {

namespace {

using clock = std::chrono::steady_clock;
using way = std::pair<std::uint16_t, std::uint16_t>;

constexpr std::size_t chunk_bytes = 16 * 1024;
/// What one way holds back at most; then it reads no more, as a full pipe.
constexpr std::size_t held_bytes = 1024 * 1024;
/// A lost piece of a TCP stream comes later, after it was sent again.
constexpr std::chrono::milliseconds sent_again{200};

struct way_state {
  line_quality how{duration(0), duration(0), 0, 0, 0};
  int cuts = 0;
};

struct chunk {
  clock::time_point due;
  std::string content;
  std::size_t sent = 0;
};

/// One direction of a connection.
struct flow {
  way which;
  int from = -1, to = -1;
  std::deque<chunk> held;
  std::size_t bytes = 0;
  clock::time_point last_due{}, free_at{};
  bool ended = false; ///< the sender closed
};

struct connection {
  int near = -1, far = -1; ///< the dialler's socket and ours to its peer
  std::uint16_t port = 0, target = 0;
  bool connecting = true;
  flow out, back;
};

struct listener {
  int number = -1;
  way which;
  std::uint16_t port = 0;
};

} // namespace

struct lines::state {
  std::mutex guard; ///< of ways and targets
  std::map<way, way_state> ways;
  std::map<std::uint16_t, std::uint16_t> targets; ///< of each port we listen on; 0: nobody

  std::vector<listener> listeners;   ///< before the thread starts
  std::list<connection> connections; ///< the thread's
  simulation::random_source chance{7};
  waker wake;
  std::atomic<bool> stopping{false};
  std::thread worker;

  way_state look(const way& which) {
    const std::scoped_lock lock(guard);
    return ways[which];
  }
  bool cut_off(const way& which) {
    const std::scoped_lock lock(guard);
    return ways[which].cuts > 0 && ways[{which.second, which.first}].cuts > 0;
  }
  std::uint16_t target_of(std::uint16_t port) {
    const std::scoped_lock lock(guard);
    return targets[port];
  }

  void run();
  void accept_from(const listener& at);
  bool pump_in(flow& x);
  bool pump_out(flow& x);
  bool carry(connection& x, const std::map<int, short>& ready);
  void close_connection(connection& x);
};

lines::lines() : state_(std::make_unique<state>()) {}

lines::~lines() {
  state_->stopping = true;
  if (state_->worker.joinable()) {
    state_->wake.nudge();
    state_->worker.join();
  }
  for (auto& each : state_->connections)
    state_->close_connection(each);
  for (const auto& each : state_->listeners)
    ::close(each.number);
}

result<std::uint16_t> lines::add(std::uint16_t from, std::uint16_t to, std::uint16_t target) {
  const auto made = listen_on_loopback();
  if (!made) return made.error();
  state_->listeners.push_back({made->number, {from, to}, made->port});
  state_->targets[made->port] = target;
  return made->port;
}

void lines::lead_to(std::uint16_t port, std::uint16_t target) {
  {
    const std::scoped_lock lock(state_->guard);
    state_->targets[port] = target;
  }
  state_->wake.nudge();
}

result<void> lines::start() {
  if (auto open = state_->wake.open(); !open) return open;
  state_->worker = std::thread([this] { state_->run(); });
  return {};
}

void lines::set(std::uint16_t from, std::uint16_t to, const line_quality& how) {
  {
    const std::scoped_lock lock(state_->guard);
    state_->ways[{from, to}].how = how;
  }
  state_->wake.nudge();
}

void lines::cut(std::uint16_t from, std::uint16_t to) {
  {
    const std::scoped_lock lock(state_->guard);
    ++state_->ways[{from, to}].cuts;
  }
  state_->wake.nudge();
}

void lines::mend(std::uint16_t from, std::uint16_t to) {
  {
    const std::scoped_lock lock(state_->guard);
    auto& x = state_->ways[{from, to}];
    if (x.cuts > 0) --x.cuts;
  }
  state_->wake.nudge();
}

void lines::heal() {
  {
    const std::scoped_lock lock(state_->guard);
    state_->ways.clear();
  }
  state_->wake.nudge();
}

// --- the thread

void lines::state::run() {
  while (!stopping) {
    std::vector<pollfd> all{{wake.descriptor(), POLLIN, 0}};
    for (const auto& each : listeners)
      all.push_back({each.number, POLLIN, 0});
    const auto now = clock::now();
    auto wait = std::chrono::milliseconds(1000);
    for (auto& each : connections) {
      short near = 0, far = each.connecting ? POLLOUT : 0;
      const auto watch = [&](flow& x, short& in, short& out) {
        if (!x.ended && x.bytes < held_bytes) in |= POLLIN;
        if (x.held.empty() || each.connecting || look(x.which).cuts > 0) return;
        const auto left = x.held.front().due - now;
        if (left <= left.zero())
          out |= POLLOUT;
        else
          wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(left));
      };
      watch(each.out, near, far);
      watch(each.back, far, near);
      all.push_back({each.near, near, 0});
      all.push_back({each.far, far, 0});
    }
    if (::poll(all.data(), all.size(), static_cast<int>(wait.count())) < 0 && errno != EINTR)
      return;
    std::map<int, short> ready;
    for (const auto& each : all)
      ready[each.fd] = each.revents;
    wake.drain();
    for (auto each = connections.begin(); each != connections.end();) {
      const auto known = ready.contains(each->near);
      const bool astray = each->target != target_of(each->port);
      if (astray || cut_off(each->out.which) || (known && !carry(*each, ready))) {
        close_connection(*each);
        each = connections.erase(each);
      } else {
        ++each;
      }
    }
    for (const auto& each : listeners)
      if (ready[each.number] & POLLIN) accept_from(each);
  }
}

void lines::state::accept_from(const listener& at) {
  const int near = ::accept4(at.number, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (near < 0) return;
  const auto target = target_of(at.port);
  const int far = cut_off(at.which) || target == 0 ? -1 : dial_loopback(target);
  if (far < 0) {
    ::close(near);
    return;
  }
  no_delay(near);
  no_delay(far);
  auto& made = connections.emplace_back();
  made.near = near;
  made.far = far;
  made.port = at.port;
  made.target = target;
  made.out.which = at.which;
  made.out.from = near, made.out.to = far;
  made.back.which = {at.which.second, at.which.first};
  made.back.from = far, made.back.to = near;
}

/// False: the connection is done with.
bool lines::state::carry(connection& x, const std::map<int, short>& ready) {
  const auto at = [&](int number) {
    const auto found = ready.find(number);
    return found == ready.end() ? short{0} : found->second;
  };
  if (x.connecting) {
    if (at(x.far) & (POLLERR | POLLHUP)) return false;
    if (at(x.far) & POLLOUT) x.connecting = false;
  }
  constexpr short some = POLLIN | POLLHUP | POLLERR;
  for (auto* each : {&x.out, &x.back}) {
    if (!each->ended && (at(each->from) & some) && each->bytes < held_bytes && !pump_in(*each))
      return false;
    if (!x.connecting && !pump_out(*each)) return false;
    // Nothing more can come: what was held is passed on first.
    if (each->ended && each->held.empty()) return false;
  }
  return true;
}

bool lines::state::pump_in(flow& x) {
  std::string content(chunk_bytes, '\0');
  const auto count = ::read(x.from, content.data(), content.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) {
    x.ended = true;
    return true;
  }
  content.resize(static_cast<std::size_t>(count));
  const auto now = clock::now();
  const auto how = look(x.which).how;
  auto due = now
             + std::chrono::microseconds(
                 chance.between(how.least_delay.count(), how.most_delay.count()));
  if (chance.below(1'000'000) < how.lost_ppm) due += sent_again;
  if (how.bytes_per_s > 0) {
    x.free_at = std::max(x.free_at, now)
                + std::chrono::microseconds(content.size() * 1'000'000 / how.bytes_per_s);
    due = std::max(due, x.free_at);
  }
  x.last_due = std::max(x.last_due, due); // a stream keeps its order
  x.bytes += content.size();
  x.held.push_back({x.last_due, std::move(content), 0});
  return true;
}

bool lines::state::pump_out(flow& x) {
  while (!x.held.empty()) {
    auto& next = x.held.front();
    if (next.due > clock::now() || look(x.which).cuts > 0) return true;
    const auto count = ::send(x.to, next.content.data() + next.sent,
                              next.content.size() - next.sent, MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    next.sent += static_cast<std::size_t>(count);
    x.bytes -= static_cast<std::size_t>(count);
    if (next.sent < next.content.size()) return true;
    x.held.pop_front();
  }
  return true;
}

void lines::state::close_connection(connection& x) {
  for (auto* each : {&x.near, &x.far})
    if (*each >= 0) ::close(std::exchange(*each, -1));
}

} // namespace tallymesh::faults
