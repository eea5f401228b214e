#include "actors/gateway/http_front.hpp"

#include "actors/gateway/connection.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <spdlog/spdlog.h>
#include <thread>

namespace tallymesh::gateway {

namespace net = boost::asio;
using tcp = net::ip::tcp;
using boost::system::error_code;

struct http_front::state {
  std::shared_ptr<shared_parts> parts = std::make_shared<shared_parts>();
  net::io_context io;
  std::optional<net::executor_work_guard<net::io_context::executor_type>> work;
  tcp::acceptor acceptor{net::make_strand(io)};
  net::steady_timer retry{acceptor.get_executor()};
  net::steady_timer alarm{net::make_strand(io)};
  std::optional<std::chrono::steady_clock::time_point> alarm_at; // on the alarm's strand
  std::mutex tls_mutex;
  std::shared_ptr<net::ssl::context> tls; // null: plain HTTP
  std::vector<std::thread> threads;
  std::uint16_t port = 0;
  bool over_limit_logged = false;

  std::shared_ptr<net::ssl::context> current_tls() {
    const std::lock_guard lock(tls_mutex);
    return tls;
  }
  void accept();
  void on_accept(error_code failure, tcp::socket socket);
  result<void> listen();
};

result<void> http_front::state::listen() {
  const auto& from = parts->settings;
  const auto where = from.host + ":" + std::to_string(from.port);
  error_code failure;
  const auto address = net::ip::make_address(from.host, failure);
  if (failure)
    return make_error(errc::bad_config,
                      "listen address '" + from.host
                          + "' is not an IP address (try 127.0.0.1 or 0.0.0.0)");
  const tcp::endpoint endpoint(address, from.port);
  acceptor.open(endpoint.protocol(), failure);
  if (!failure) acceptor.set_option(net::socket_base::reuse_address(true), failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (!failure) acceptor.listen(net::socket_base::max_listen_connections, failure);
  if (failure)
    return make_error(errc::unavailable,
                      "cannot listen on " + where + ": " + failure.message());
  port = acceptor.local_endpoint(failure).port();
  return {};
}

void http_front::state::accept() {
  acceptor.async_accept(net::make_strand(io), [this](error_code failure, tcp::socket socket) {
    on_accept(failure, std::move(socket));
  });
}

void http_front::state::on_accept(error_code failure, tcp::socket socket) {
  if (failure == net::error::operation_aborted || !acceptor.is_open()) return;
  if (failure) {
    // Out of file descriptors, most likely: trying again at once would spin.
    spdlog::warn("gateway: cannot accept a connection: {}", failure.message());
    retry.expires_after(std::chrono::milliseconds(200));
    retry.async_wait([this](error_code stopped) {
      if (!stopped) accept();
    });
    return;
  }
  auto place = share::take(parts->open, parts->settings.connections, 1);
  if (!place) {
    // Closed at once, so that those who are served stay served.
    if (!std::exchange(over_limit_logged, true))
      spdlog::warn("gateway: more than {} connections; new ones are closed",
                   parts->settings.connections);
  } else {
    over_limit_logged = false;
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    auto context = current_tls();
    serve(parts,
          context ? tls_transport(std::move(socket), std::move(context))
                  : plain_transport(std::move(socket)),
          std::move(*place));
  }
  accept();
}

http_front::http_front(front_settings settings, front_hooks hooks)
    : state_(std::make_unique<state>()) {
  state_->parts->settings = std::move(settings);
  state_->parts->hooks = std::move(hooks);
}

http_front::~http_front() { close(std::chrono::milliseconds(0)); }

result<void> http_front::start() {
  const auto& from = state_->parts->settings;
  if (from.tls_certificate.empty() != from.tls_key.empty())
    return make_error(errc::bad_config, "TLS needs both a certificate file and a key file");
  if (auto loaded = reload_certificates(); !loaded) return loaded.error();
  if (auto bound = state_->listen(); !bound) return bound.error();
  state_->work.emplace(state_->io.get_executor());
  net::post(state_->acceptor.get_executor(), [raw = state_.get()] { raw->accept(); });
  for (unsigned i = 0; i < std::max(1u, from.threads); ++i)
    state_->threads.emplace_back([raw = state_.get()] { raw->io.run(); });
  return {};
}

std::uint16_t http_front::bound_port() const { return state_->port; }

result<void> http_front::reload_certificates() {
  if (state_->parts->settings.tls_certificate.empty()) return {};
  auto made =
      load_tls(state_->parts->settings.tls_certificate, state_->parts->settings.tls_key);
  if (!made) return made.error();
  const std::lock_guard lock(state_->tls_mutex);
  state_->tls = std::move(*made);
  return {};
}

void http_front::call_at(std::chrono::steady_clock::time_point when,
                         std::function<void()> task) {
  net::post(state_->alarm.get_executor(), [raw = state_.get(), when, task = std::move(task)] {
    if (raw->alarm_at && *raw->alarm_at <= when) return;
    raw->alarm_at = when;
    raw->alarm.expires_at(when);
    raw->alarm.async_wait([raw, task](error_code stopped) {
      if (stopped) return;
      raw->alarm_at.reset();
      task();
    });
  });
}

void http_front::stop_accepting() {
  state_->parts->draining = true;
  net::post(state_->acceptor.get_executor(), [raw = state_.get()] {
    error_code ignored;
    raw->acceptor.close(ignored);
    raw->retry.cancel();
  });
  for (const auto& each : state_->parts->all())
    begin_drain(each);
}

void http_front::close(std::chrono::milliseconds grace) {
  if (state_->threads.empty()) return;
  stop_accepting();
  {
    std::unique_lock lock(state_->parts->mutex);
    state_->parts->left.wait_for(lock, grace,
                                 [&] { return state_->parts->connections.empty(); });
  }
  for (const auto& each : state_->parts->all())
    abort(each);
  net::post(state_->alarm.get_executor(), [raw = state_.get()] { raw->alarm.cancel(); });
  state_->work.reset();
  // A connection whose answer nobody made keeps no thread: the context stops once its sockets
  // are closed.
  for (auto& each : state_->threads)
    each.join();
  state_->threads.clear();
}

} // namespace tallymesh::gateway
