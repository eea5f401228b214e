#include "actors/peer_link/hub.hpp"

#include "actors/peer_link/resolver.hpp"

#include <caf/all.hpp>
#include <caf/io/middleman.hpp>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

namespace tallymesh::peer_link {

namespace io = caf::io;
using std::chrono::milliseconds;

namespace {

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using dial_atom = caf::atom_constant<caf::atom("dial")>;
using read_on_atom = caf::atom_constant<caf::atom("readon")>;

constexpr std::size_t stranger_read_bytes = 4 * 1024;
constexpr std::size_t link_read_bytes = 64 * 1024;
constexpr std::size_t small_output_bytes = 1024; ///< surely taken by the kernel
constexpr std::size_t record_bytes = 16 * 1024;  ///< the most that one TLS record holds
constexpr std::uint8_t tls_handshake_record = 22;
/// A link that carries frames needs no pings to live, but whoever looks at it wants to know.
constexpr std::chrono::seconds round_trip_every{5};

std::int64_t unix_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Ends a socket in both directions, whatever waits in CAF's buffers: a peer that does not read
/// could otherwise keep buffers and descriptor for ever. CAF closes the descriptor itself.
void cut(io::connection_handle handle) { ::shutdown(static_cast<int>(handle.id()), SHUT_RDWR); }

} // namespace

hub::hub(caf::actor_config& config, link_settings settings, caf::actor sink)
    : counted_broker(config), settings_(std::move(settings)), sink_(std::move(sink)),
      operators_(std::make_shared<const std::vector<operator_identity>>(settings_.operators)),
      log_(settings_.timing.log_every, [](const std::string& line) { spdlog::warn(line); }),
      now_(steady_clock::now()), last_tick_(now_), jitter_(std::random_device{}()) {
  for (const auto& identity : settings_.peers) {
    auto& slot = peers_[identity.index];
    slot.identity = identity;
    slot.backoff = settings_.timing.backoff_first;
    slot.dropped = std::make_shared<std::atomic<std::uint64_t>>(0);
    slot.totals.peer = identity.index;
    slot.totals.name = identity.name;
    slot.totals.address = identity.host + ":" + std::to_string(identity.port);
    slot.totals.since_ms = unix_ms();
  }
}

caf::behavior hub::make_behavior() {
  set_default_handler(caf::drop);
  set_exception_handler([](std::exception_ptr& what) -> caf::error {
    try {
      std::rethrow_exception(what);
    } catch (const std::exception& x) {
      spdlog::error("peer links stop: {}", x.what());
    } catch (...) {
      spdlog::error("peer links stop: unknown exception");
    }
    return caf::sec::runtime_error;
  });
  if (settings_.as_operator ? !make_identity() : !open_door()) {
    quit(caf::sec::cannot_open_port);
    return {[](tick_atom) {}};
  }
  for (auto& [index, slot] : peers_)
    if (settings_.as_operator || settings_.own_index < index) // the lower dials
      send(this, dial_atom::value, index);
  delayed_anon_send(this, settings_.timing.tick, tick_atom::value);
  // Every handler first reads the clock, once.
  const auto timely = [this](auto act) {
    now_ = steady_clock::now();
    act();
  };
  return {
      [=, this](io::new_data_msg& m) {
        timely([&] {
          if (auto* x = by_handle(m.handle)) receive(*x, m.buf);
        });
      },
      [=, this](const io::data_transferred_msg& m) {
        timely([&] {
          auto* x = by_handle(m.handle);
          if (x == nullptr) return;
          x->unsent_bytes = m.remaining;
          if (auto* slot = slot_of(*x)) slot->totals.bytes_out += m.written;
          if (x->at == connection::stage::up) pump(*x);
        });
      },
      [=, this](wake_atom, std::uint64_t serial) {
        timely([&] {
          if (auto* x = by_serial(serial)) pump(*x);
        });
      },
      [=, this](const io::new_connection_msg& m) { timely([&] { accept(m.handle); }); },
      [=, this](const io::connection_closed_msg& m) {
        timely([&] {
          // CAF has let go of the connection but not yet of the descriptor; output that the
          // other side never read must not keep it open.
          cut(m.handle);
          if (auto* x = by_handle(m.handle)) closed_by_other_side(*x);
        });
      },
      [=, this](const io::acceptor_closed_msg&) {
        spdlog::error("peer links stop: the listening socket failed");
        quit(caf::sec::cannot_open_port);
      },
      [=, this](tick_atom) { timely([&] { tick(); }); },
      [=, this](dial_atom, node_index index) {
        timely([&] {
          if (auto i = peers_.find(index); i != peers_.end()) dial(i->second);
        });
      },
      [=, this](resolved_atom, node_index index, const std::string& address) {
        timely([&] {
          auto i = peers_.find(index);
          if (i == peers_.end()) return;
          const bool first = i->second.resolved.empty();
          if (!address.empty()) i->second.resolved = address;
          if (!first) return;
          if (!address.empty()) return dial(i->second);
          log_.note(now_, "no such host", i->second.identity.name,
                    fmt::format("{}: host {} has no address; asking again",
                                i->second.identity.name, i->second.identity.host));
          dial_later(i->second);
        });
      },
      [=, this](read_on_atom, std::uint64_t serial) {
        timely([&] {
          if (auto* x = by_serial(serial)) resume_reading(*x);
        });
      },
      [=, this](sink_atom, const caf::actor& sink) {
        sink_ = sink;
        for (auto& [index, slot] : peers_)
          if (slot.link != nullptr)
            caf::anon_send(sink_, up_atom::value, index, slot.link->handle_actor);
          else
            caf::anon_send(sink_, down_atom::value, index);
      },
      [=, this](operators_atom, const caf::actor& sink) {
        operators_sink_ = sink;
        for (auto& [id, x] : connections_)
          if (x->as_guest && x->at == connection::stage::up) announce(*x);
      },
      [=, this](cut_atom, std::uint64_t serial) {
        timely([&] {
          auto* x = by_serial(serial);
          if (x != nullptr && x->as_guest) cut_operator(*x, "what it sends is no question");
        });
      },
      [=, this](operators_atom, operator_list list) {
        timely([&] { renew_operators(std::move(list)); });
      },
      [=, this](fault_atom, node_index index, std::int64_t for_ms) {
        timely([&] {
          if (auto i = peers_.find(index); i != peers_.end())
            keep_down(i->second, milliseconds(for_ms));
        });
      },
      [=, this](port_atom) { return port_; },
      [=, this](introspect_atom) { return report(); },
  };
}

void hub::on_exit() {
  stopping_ = true;
  while (!connections_.empty()) {
    auto& x = *connections_.begin()->second;
    finish(x, ending::at_once, "this node's peer links stop");
  }
  if (resolver_) send_exit(resolver_, caf::exit_reason::user_shutdown);
  resolver_ = nullptr;
  sink_ = nullptr;
  operators_sink_ = nullptr;
  door_ = nullptr;
}

/// CAF's brokers forget to close their mailbox: requests to one that ended would wait for ever.
bool hub::cleanup(caf::error&& reason, caf::execution_unit* host) {
  close_all();
  return scheduled_actor::cleanup(std::move(reason), host);
}

// --- opening

bool hub::make_identity() {
  auto identity = tls_context::make(settings_.link_key);
  if (!identity) {
    spdlog::error("peer links: {}", identity.error().context);
    return false;
  }
  identity_ = std::move(*identity);
  return true;
}

bool hub::open_door() {
  if (!make_identity()) return false;
  const auto listening = listen_on(settings_.listen_host, settings_.listen_port);
  if (!listening) {
    spdlog::error("peer links: {}", listening.error().context);
    return false;
  }
  auto& loop = dynamic_cast<io::network::default_multiplexer&>(backend());
  door_ = caf::make_counted<door>(loop, *listening);
  add_doorman(door_);
  port_ = door_->port();
  spdlog::info("peer links listen on {}:{}", door_->addr(), port_);
  return true;
}

void hub::keep_down(peer_slot& slot, milliseconds for_ms) {
  slot.kept_down_until = now_ + for_ms;
  if (for_ms.count() <= 0) return; // an operator healed it: it is dialed when its time comes
  if (slot.link != nullptr) finish(*slot.link, ending::at_once, "an operator cut it");
}

void hub::dial(peer_slot& slot) {
  if (slot.dialing || slot.link != nullptr) return;
  if (now_ < slot.kept_down_until) return dial_later(slot);
  sockaddr_storage to{};
  const auto port = slot.identity.port;
  auto size = numeric_address(slot.identity.host, port, to);
  if (size == 0) {
    resolve(slot); // also when there is an address from before: it may have changed
    if (slot.resolved.empty()) return; // the answer dials
    size = numeric_address(slot.resolved, port, to);
  }
  const int fd = ::socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0
      || (::connect(fd, reinterpret_cast<sockaddr*>(&to), size) != 0 && errno != EINPROGRESS)) {
    log_.note(now_, "dial", slot.identity.name,
              fmt::format("{} cannot be reached at {}: {}; trying again", slot.identity.name,
                          slot.totals.address, std::strerror(errno)));
    if (fd >= 0) ::close(fd);
    return dial_later(slot);
  }
  // The socket may still be connecting: the event loop then writes our first flight when it
  // has.
  auto& x = add(add_scribe(fd), slot.totals.address);
  x.dialed = true;
  x.peer = slot.identity.index;
  slot.dialing = true;
  x.tls = std::make_unique<tls_session>(
      *identity_, tls_role::dialing,
      [this, &x](const public_key& key) { return admit(x, key); });
  if (auto started = x.tls->start(); !started) return fail(x, started.error());
  flush_output(x);
}

void hub::dial_later(peer_slot& slot) {
  const auto wait = slot.backoff * std::uniform_int_distribution{75, 125}(jitter_) / 100;
  slot.backoff = std::min(slot.backoff * 2, settings_.timing.backoff_cap);
  delayed_anon_send(this, wait, dial_atom::value, slot.identity.index);
}

void hub::resolve(peer_slot& slot) {
  if (!resolver_) resolver_ = spawn_resolver(system());
  send(resolver_, resolve_atom::value, slot.identity.index, slot.identity.host);
}

connection& hub::add(io::connection_handle handle, std::string address) {
  auto& x = connections_[handle.id()];
  TALLYMESH_INVARIANT(!x); // a descriptor cannot be open twice
  x = std::make_unique<connection>();
  x->handle = handle;
  x->serial = ++last_serial_;
  x->address = std::move(address);
  x->opened = x->received = x->sent = now_;
  configure_read(handle, io::receive_policy::at_most(stranger_read_bytes));
  ack_writes(handle, true);
  return *x;
}

void hub::accept(io::connection_handle handle) {
  auto address = remote_addr(handle);
  make_room_for_stranger(address);
  add(handle, std::move(address));
}

/// When too many are inside without having shown who they are, the oldest one goes of the
/// address that has most of them: an attacker then fights himself and not our peers.
void hub::make_room_for_stranger(const std::string& newcomer) {
  std::map<std::string, std::size_t> by_address{{newcomer, 1}};
  std::size_t strangers = 0;
  for (const auto& [id, x] : connections_)
    if (!x->dialed && x->at == connection::stage::handshake)
      ++strangers, ++by_address[x->address];
  if (strangers < settings_.limits.unauthenticated_connections) return;
  connection* victim = nullptr;
  const auto better = [&](const connection& x) {
    if (victim == nullptr) return true;
    const auto mine = by_address[x.address], other = by_address[victim->address];
    return mine != other ? mine > other : x.serial < victim->serial;
  };
  for (const auto& [id, x] : connections_)
    if (!x->dialed && x->at == connection::stage::handshake && better(*x)) victim = x.get();
  refuse(*victim, "too many",
         fmt::format("more than {} connections have not shown a key",
                     settings_.limits.unauthenticated_connections));
}

/// The lower index dials, so an accepted connection must come from a lower one, or from an
/// operator.
bool hub::admit(connection& x, const public_key& key) {
  if (x.dialed) return peers_.at(*x.peer).identity.link_key == key;
  for (const auto& [index, slot] : peers_)
    if (index < settings_.own_index && slot.identity.link_key == key) {
      if (now_ < slot.kept_down_until) return false;
      x.peer = index;
      return true;
    }
  return admit_operator(x, key);
}

// --- operators

bool hub::admit_operator(connection& x, const public_key& key) {
  for (const auto& each : *operators_)
    if (each.key == key) {
      x.as_guest = std::make_unique<guest>();
      x.as_guest->key = key;
      auto& slot = x.as_guest->slot;
      slot.identity.name = "operator " + each.name;
      slot.dropped = std::make_shared<std::atomic<std::uint64_t>>(0);
      return true;
    }
  return false;
}

/// False, and the operator is cut, if it sends more than a person's shell ever would: nodes'
/// frames share this thread.
bool hub::within_rate(connection& x, std::size_t frames, std::size_t bytes) {
  auto& of = *x.as_guest;
  if (now_ - of.window >= std::chrono::seconds(1)) {
    of.window = now_;
    of.frames = of.bytes = 0;
  }
  of.bytes += bytes;
  of.frames += frames;
  if (of.frames <= settings_.limits.operator_frames_a_second
      && of.bytes <= settings_.limits.operator_bytes_a_second)
    return true;
  cut_operator(x, "it sends too much");
  return false;
}

/// A key that was cut stays out for a while, so that coming back does not pay.
void hub::cut_operator(connection& x, const std::string& why) {
  operators_seen_[x.as_guest->key].kept_out_until = now_ + settings_.limits.operator_kept_out;
  finish(x, ending::at_once, why);
}

void hub::renew_operators(operator_list list) {
  operators_ = std::move(list);
  std::vector<std::uint64_t> guests;
  for (const auto& [id, x] : connections_)
    if (x->as_guest) guests.push_back(x->serial);
  for (const auto serial : guests) {
    auto* x = by_serial(serial);
    if (x == nullptr) continue;
    const bool known =
        std::any_of(operators_->begin(), operators_->end(),
                    [&](const auto& each) { return each.key == x->as_guest->key; });
    if (!known)
      finish(*x, ending::at_once, "its key is no longer admitted");
    else if (x->at == connection::stage::up)
      announce(*x); // its role may be another one now
  }
}

// --- reading

void hub::receive(connection& x, const std::vector<char>& wire) {
  x.received = now_;
  const bytes_view raw{reinterpret_cast<const std::uint8_t*>(wire.data()), wire.size()};
  if (!x.tls) {
    // A stranger costs a TLS session only once it has sent something that looks like one.
    if (raw.front() != tls_handshake_record)
      return refuse(x, "not TLS", "what it sent is not TLS");
    x.tls = std::make_unique<tls_session>(
        *identity_, tls_role::accepting,
        [this, &x](const public_key& key) { return admit(x, key); });
  }
  x.heard = true;
  if (auto* slot = slot_of(x)) slot->totals.bytes_in += raw.size();
  plain_.clear();
  const auto decrypted = x.tls->receive(raw, plain_);
  if (x.as_guest && !within_rate(x, 0, raw.size())) return;
  if (x.tls->established() && !x.greeted && !greet(x)) return;
  flush_output(x);
  // What came whole before an error still counts.
  if (!read_frames(x, plain_)) return;
  if (!decrypted) return fail(x, decrypted.error());
  if (x.pong_due || x.sending) pump(x);
}

/// False if the connection has ended meanwhile, and `x` with it.
bool hub::read_frames(connection& x, bytes_view plain) {
  for (;;) {
    auto frame = x.reader.next(plain);
    if (!frame) return fail(x, frame.error()), false;
    if (!*frame) return true;
    if (!take(x, std::move(**frame))) return false;
  }
}

bool hub::take(connection& x, link_frame frame) {
  if (x.as_guest && !within_rate(x, 1, 0)) return false;
  auto& slot = *slot_of(x);
  switch (frame.kind) {
  case frame_kind::hello:
    if (auto good = check_hello(frame.body, settings_.chain); !good)
      return refuse(x, "hello", good.error().context), false;
    return come_up(x);
  case frame_kind::data:
    ++slot.totals.frames_in;
    if (x.as_guest)
      caf::anon_send(operators_sink_, frame_atom::value, x.serial,
                     x.credit->lend(std::move(frame.body)));
    else
      caf::anon_send(sink_, frame_atom::value, *x.peer, x.credit->lend(std::move(frame.body)));
    if (!x.paused && x.credit->must_pause()) {
      x.paused = true;
      halt(x.handle);
    }
    break;
  case frame_kind::ping:
    x.pong_due = true; // at most one is owed, however many pings come
    break;
  case frame_kind::pong:
    if (!std::exchange(x.ping_open, false)) break;
    slot.totals.round_trip_us =
        std::chrono::duration_cast<std::chrono::microseconds>(now_ - x.pinged).count();
    break;
  case frame_kind::refusal: {
    const auto why = "the other side refused us: " + refusal_text(frame.body);
    if (x.at == connection::stage::up)
      finish(x, ending::at_once, why);
    else
      refuse(x, "refused", why);
    return false;
  }
  }
  return true;
}

/// False if the connection has ended instead.
bool hub::come_up(connection& x) {
  auto& slot = *slot_of(x);
  if (x.as_guest) // again: others may have come since it was greeted
    if (const auto why = why_no_guest(x); !why.empty()) return refuse_in_words(x, why), false;
  if (slot.link != nullptr)
    finish(*slot.link, ending::at_once, "a newer connection replaces it");
  x.at = connection::stage::up;
  x.went_up = now_;
  auto queue = settings_.limits.queue;
  if (x.as_guest) {
    queue = {settings_.limits.operator_queue_bytes, 0, 0};
    x.reader.set_limit(settings_.limits.operator_frame_bytes);
  }
  x.queue = std::make_shared<send_queue>(queue);
  x.credit = std::make_shared<receive_credit>(
      x.as_guest ? settings_.limits.operator_receive_bytes : settings_.limits.receive_bytes,
      [self = caf::actor_cast<caf::actor>(this), serial = x.serial] {
        caf::anon_send(self, read_on_atom::value, serial);
      });
  caf::actor_config config;
  x.handle_actor = caf::make_actor<peer_handle, caf::actor>(
      system().next_actor_id(), system().node(), &system(), config,
      caf::actor_cast<caf::actor>(this), slot.identity.name, x.serial, x.queue, slot.dropped);
  configure_read(x.handle, io::receive_policy::at_most(link_read_bytes));
  slot.link = &x;
  slot.dialing = false;
  slot.totals.up = true;
  slot.totals.since_ms = unix_ms();
  slot.totals.address = x.address;
  slot.totals.round_trip_us = -1;
  ++slot.totals.times_up;
  tell(x, spdlog::level::info,
       fmt::format("link to {} up ({} {})", slot.identity.name,
                   x.dialed ? "dialed" : "accepted from", x.address));
  announce(x);
  return true;
}

void hub::announce(const connection& x) {
  if (x.as_guest)
    caf::anon_send(operators_sink_, operator_up_atom::value, x.serial, x.as_guest->key,
                   x.address, x.handle_actor);
  else
    caf::anon_send(sink_, up_atom::value, *x.peer, x.handle_actor);
}

void hub::announce_end(const connection& x) {
  if (!x.as_guest)
    caf::anon_send(sink_, down_atom::value, *x.peer);
  else if (operators_sink_)
    caf::anon_send(operators_sink_, operator_down_atom::value, x.serial);
}

/// Why this operator cannot come in just now, for who reads it there; empty: it can.
std::string hub::why_no_guest(const connection& x) {
  const auto& key = x.as_guest->key;
  if (!operators_sink_) return "the node is still starting; try again";
  const auto left =
      std::chrono::ceil<std::chrono::seconds>(operators_seen_[key].kept_out_until - now_);
  if (left.count() > 0)
    return fmt::format("this key is kept out for {} s more: it sent too much, or no questions",
                       left.count());
  return make_room_for_operator(key);
}

/// Where all places are taken, one who has several gives one up to one who has none: no key can
/// keep the others out. Says why there is no room.
std::string hub::make_room_for_operator(const public_key& key) {
  std::map<public_key, std::vector<connection*>> inside;
  std::size_t all = 0;
  for (const auto& [id, x] : connections_)
    if (x->as_guest && x->at == connection::stage::up)
      inside[x->as_guest->key].push_back(x.get()), ++all;
  const auto own = inside.find(key);
  if (own != inside.end() && own->second.size() >= settings_.limits.operator_connections_a_key)
    return fmt::format("this key has {} connections open, as many as one may have; end one of "
                       "its shells, or use another key",
                       own->second.size());
  if (all < settings_.limits.operator_connections) return "";
  const auto most =
      std::max_element(inside.begin(), inside.end(), [](const auto& a, const auto& b) {
        return a.second.size() < b.second.size();
      });
  if (own != inside.end() || most->second.size() < 2)
    return fmt::format("{} operators are connected, as many as may be; end a shell somewhere, "
                       "or try again later",
                       all);
  auto& goes =
      **std::min_element(most->second.begin(), most->second.end(),
                         [](const auto* a, const auto* b) { return a->serial < b->serial; });
  refuse_in_words(goes, "its place was needed for an operator who had none");
  return "";
}

/// Only for who has shown its key: nobody else is owed a reason.
void hub::refuse_in_words(connection& x, const std::string& why) {
  write_plain(x, refusal_frame(why));
  flush(x.handle);
  refuse(x, "operators", why);
}

void hub::resume_reading(connection& x) {
  if (!x.paused || !x.credit->is_low()) return;
  x.paused = false;
  x.received = now_; // the silence was ours
  trigger(x.handle);
}

// --- writing

/// False if it was refused instead, and `x` is gone.
bool hub::greet(connection& x) {
  x.greeted = true;
  if (x.as_guest)
    if (const auto why = why_no_guest(x); !why.empty()) return refuse_in_words(x, why), false;
  write_plain(x, hello_frame(settings_.chain));
  return true;
}

/// Moves frames from the queue into the write buffer, as far as that has room.
void hub::pump(connection& x) {
  if (x.at != connection::stage::up) return;
  // Not into a full buffer: pings from one that never reads must not make it grow.
  if (std::exchange(x.pong_due, false) && x.unsent_bytes < settings_.limits.write_buffer_bytes)
    write_control(x, frame_kind::pong);
  bytes& plain = plain_;
  while (x.unsent_bytes < settings_.limits.write_buffer_bytes) {
    plain.clear();
    if (stage_frames(x, plain) == 0) break;
    write_plain(x, plain);
  }
  const auto left = x.sending ? x.sending->size() - x.sending_offset : 0;
  x.queue->set_write_buffer_bytes(x.unsent_bytes + left);
  flush_output(x);
}

/// Fills one TLS record's worth with as many frames, and parts of frames, as go in.
std::size_t hub::stage_frames(connection& x, bytes& plain) {
  while (plain.size() + frame_header_bytes < record_bytes) {
    if (!x.sending) {
      x.sending = x.queue->take();
      if (!x.sending) break;
      x.sending_offset = 0;
      const auto header = frame_header(frame_kind::data, x.sending->size());
      plain.insert(plain.end(), header.begin(), header.end());
      ++slot_of(x)->totals.frames_out;
    }
    const auto rest = bytes_view(*x.sending).subspan(x.sending_offset);
    const auto part = rest.first(std::min(rest.size(), record_bytes - plain.size()));
    plain.insert(plain.end(), part.begin(), part.end());
    x.sending_offset += part.size();
    if (part.size() == rest.size()) x.sending = nullptr;
  }
  return plain.size();
}

void hub::write_control(connection& x, frame_kind kind) {
  // Between two parts of a large frame nothing may come; then what is being sent shows life.
  if (x.sending) return;
  write_plain(x, frame_header(kind, 0));
}

void hub::write_plain(connection& x, bytes_view plain) {
  if (auto sent = x.tls->send(plain); !sent) {
    spdlog::error("link to {}: cannot encrypt: {}", name_of(x), sent.error().context);
    return cut(x.handle); // the event loop reports it closed
  }
  auto& out = wr_buf(x.handle);
  const auto before = out.size();
  x.tls->drain(out);
  x.unsent_bytes += out.size() - before;
  x.sent = now_;
}

void hub::flush_output(connection& x) {
  auto& out = wr_buf(x.handle);
  const auto before = out.size();
  x.tls->drain(out);
  x.unsent_bytes += out.size() - before;
  flush(x.handle);
}

// --- ending

void hub::refuse(connection& x, const std::string& kind, const std::string& why) {
  if (auto* slot = slot_of(x); slot != nullptr && x.at == connection::stage::handshake)
    ++slot->totals.handshake_failures;
  log_.note(now_, kind, x.address,
            fmt::format("{} {} refused: {}", x.dialed ? "link to" : "connection from",
                        slot_of(x) ? name_of(x) + " (" + x.address + ")" : x.address, why));
  finish(x, ending::let_finish, why);
}

void hub::fail(connection& x, const error& why) {
  if (why.code == errc::unavailable && x.at == connection::stage::up)
    return finish(x, ending::at_once, why.context);
  refuse(x, std::string(to_string(why.code)), why.context);
}

void hub::closed_by_other_side(connection& x) {
  if (x.at == connection::stage::up)
    return finish(x, ending::at_once, "the other side closed it");
  if (!x.dialed) return finish(x, ending::at_once, "closed"); // a stranger that went away
  auto& slot = *slot_of(x);
  if (x.heard) ++slot.totals.handshake_failures;
  log_.note(
      now_, x.heard ? "closed" : "dial", slot.identity.name,
      x.heard ? fmt::format("{} at {} closed the connection during the handshake; trying again",
                            slot.identity.name, x.address)
              : fmt::format("{} cannot be reached at {}: refused; trying again",
                            slot.identity.name, x.address));
  finish(x, ending::at_once, "closed");
}

/// After this `x` is gone.
void hub::finish(connection& x, ending how, const std::string& why) {
  auto* slot = slot_of(x);
  const bool was_up = x.at == connection::stage::up;
  // A link that was up may hold much output for a peer that does not read; a socket that is
  // still connecting would wait for ever. Only a short refusal is worth sending on.
  const bool much = was_up && x.unsent_bytes > small_output_bytes;
  if (how == ending::at_once || much || (x.dialed && !x.heard)) {
    if (valid(x.handle)) cut(x.handle);
  }
  close(x.handle);
  if (was_up) take_down(x, why);
  const bool dial_again = x.dialed && slot != nullptr;
  connections_.erase(x.handle.id());
  if (!dial_again || stopping_) return;
  slot->dialing = false;
  if (slot->link == nullptr) dial_later(*slot);
}

void hub::take_down(connection& x, const std::string& why) {
  auto& slot = *slot_of(x);
  slot.link = nullptr;
  slot.totals.up = false;
  slot.totals.since_ms = unix_ms();
  x.queue->close();
  x.credit->close();
  auto* handle =
      static_cast<caf::actor_proxy*>(caf::actor_cast<caf::abstract_actor*>(x.handle_actor));
  handle->kill_proxy(context(), caf::exit_reason::remote_link_unreachable);
  const auto lived = std::chrono::duration_cast<milliseconds>(now_ - x.went_up);
  if (lived >= settings_.timing.steady_after) slot.backoff = settings_.timing.backoff_first;
  tell(x, spdlog::level::warn,
       fmt::format("link to {} down after {:.1f} s: {}", slot.identity.name,
                   static_cast<double>(lived.count()) / 1000, why));
  announce_end(x);
}

/// Ups and downs are told as they happen, but a peer or an operator that makes many of them
/// cannot flood the log.
void hub::tell(const connection& x, int level, const std::string& line) {
  constexpr int lines_a_window = 10;
  auto& told = x.as_guest ? operators_seen_[x.as_guest->key].told : slot_of(x)->told;
  if (now_ - told.since > settings_.timing.log_every) told = {now_, 0};
  if (++told.lines <= lines_a_window)
    spdlog::log(static_cast<spdlog::level::level_enum>(level), line);
  else
    log_.note(now_, "flapping", slot_of(x)->identity.name, line);
}

// --- by the clock

void hub::tick() {
  // If this process itself stood still (stopped, or a paused machine), the silence says nothing
  // about the others.
  const bool stood_still = now_ - last_tick_ > settings_.timing.silence / 2;
  last_tick_ = now_;
  std::vector<std::uint64_t> serials;
  for (auto& [id, x] : connections_) {
    serials.push_back(x->serial);
    if (stood_still) x->received = now_;
  }
  for (const auto serial : serials)
    if (auto* x = by_serial(serial)) check_deadlines(*x);
  if (door_ && door_->try_again())
    log_.note(
        now_, "descriptors", "door",
        "no file descriptor or memory left for new connections; they wait (raise LimitNOFILE)");
  log_drops();
  log_.flush(now_);
  delayed_anon_send(this, settings_.timing.tick, tick_atom::value);
}

void hub::check_deadlines(connection& x) {
  const auto& timing = settings_.timing;
  if (x.at == connection::stage::handshake) {
    if (now_ - x.opened > timing.handshake_deadline)
      refuse(x, "deadline",
             fmt::format("no {} within {} s", x.dialed && !x.heard ? "answer" : "handshake",
                         static_cast<double>(timing.handshake_deadline.count()) / 1000));
    return;
  }
  if (x.as_guest && *x.as_guest->slot.dropped > 0)
    return finish(x, ending::at_once, "it does not read its answers");
  resume_reading(x); // also heals a wake-up that CAF's event loop took for a repetition
  if (!x.paused && now_ - x.received > timing.silence)
    return finish(x, ending::at_once,
                  fmt::format("nothing received for {} s", timing.silence.count() / 1000.0));
  const bool is_silent = now_ - x.sent > timing.ping_after;
  const bool wants_round_trip = !x.ping_open && now_ - x.pinged > round_trip_every;
  if ((is_silent || wants_round_trip) && x.unsent_bytes == 0 && !x.sending) {
    x.ping_open = true;
    x.pinged = now_;
    write_control(x, frame_kind::ping);
    flush_output(x);
  }
}

void hub::log_drops() {
  for (auto& [index, slot] : peers_) {
    const auto dropped = slot.dropped->load();
    if (dropped == slot.dropped_logged) continue;
    log_.note(now_, "dropped", slot.identity.name,
              fmt::format(
                  "{} does not keep up: {} frames to it dropped so far; it fetches them later",
                  slot.identity.name, dropped));
    slot.dropped_logged = dropped;
  }
}

std::vector<link_info> hub::report() const {
  std::vector<link_info> out;
  for (const auto& [index, slot] : peers_) {
    auto& info = out.emplace_back(slot.totals);
    info.dropped_frames = slot.dropped->load();
    if (slot.link != nullptr) info.queue_bytes = slot.link->queue->bytes();
  }
  return out;
}

connection* hub::by_handle(io::connection_handle handle) {
  const auto i = connections_.find(handle.id());
  return i != connections_.end() ? i->second.get() : nullptr;
}

/// Links are few and most calls find theirs among the peers, so this walks.
connection* hub::by_serial(std::uint64_t serial) {
  for (auto& [id, x] : connections_)
    if (x->serial == serial) return x.get();
  return nullptr;
}

peer_slot* hub::slot_of(const connection& x) {
  if (x.as_guest) return &x.as_guest->slot;
  const auto i = x.peer ? peers_.find(*x.peer) : peers_.end();
  return i != peers_.end() ? &i->second : nullptr;
}

std::string hub::name_of(const connection& x) {
  const auto* slot = slot_of(x);
  return slot != nullptr ? slot->identity.name : x.address;
}

caf::actor spawn_links(caf::actor_system& system, link_settings settings, caf::actor sink) {
  caf::actor_config config{&system.middleman().backend()};
  return system.spawn_class<hub, caf::no_spawn_options>(config, std::move(settings),
                                                        std::move(sink));
}

} // namespace tallymesh::peer_link
