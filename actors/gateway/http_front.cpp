#include "actors/gateway/http_front.hpp"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <spdlog/spdlog.h>
#include <thread>
#include <unordered_map>

namespace tallymesh::gateway {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = net::ssl;
using tcp = net::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto handshake_timeout = std::chrono::seconds(10);
/// How long and how much of a refused body is read away, so that the client gets to see the
/// answer instead of a reset connection.
constexpr auto linger_timeout = std::chrono::seconds(2);
constexpr std::size_t linger_bytes = 1024 * 1024;
constexpr std::size_t read_buffer_bytes = 64 * 1024;

response refusal(unsigned status, std::string_view code, std::string_view detail) {
  response out;
  out.status = status;
  out.content_type = "application/problem+json";
  out.body = R"({"type":"about:blank","title":")";
  out.body.append(reason(status)).append(R"(","status":)").append(std::to_string(status));
  out.body.append(R"(,"detail":")")
      .append(detail)
      .append(R"(","code":")")
      .append(code)
      .append("\"}");
  out.close = true;
  return out;
}

/// A part of a bounded number; gives it back when it goes.
class share {
public:
  share() = default;
  static std::optional<share> take(std::atomic<std::size_t>& used, std::size_t limit,
                                   std::size_t amount) {
    if (used.fetch_add(amount) + amount > limit) {
      used.fetch_sub(amount);
      return std::nullopt;
    }
    return share(used, amount);
  }
  share(share&& other) noexcept
      : used_(std::exchange(other.used_, nullptr)), amount_(other.amount_) {}
  share& operator=(share&& other) noexcept {
    std::swap(used_, other.used_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  ~share() {
    if (used_) used_->fetch_sub(amount_);
  }

private:
  share(std::atomic<std::size_t>& used, std::size_t amount) : used_(&used), amount_(amount) {}
  std::atomic<std::size_t>* used_ = nullptr;
  std::size_t amount_ = 0;
};

class connection_base {
public:
  virtual ~connection_base() = default;
  virtual void
  begin_drain() = 0; ///< close now if it waits for a request, else after the answer
  virtual void abort() = 0;
};

/// What all connections of a front share.
struct shared_parts {
  front_settings settings;
  front_hooks hooks;
  std::atomic<std::size_t> open{0}, buffered{0}, in_flight{0};
  std::atomic<bool> draining{false};

  std::mutex mutex; // guards the two below
  std::condition_variable closed;
  std::unordered_map<connection_base*, std::weak_ptr<connection_base>> connections;

  void leave(connection_base* who) {
    const std::lock_guard lock(mutex);
    connections.erase(who);
    closed.notify_all();
  }
  std::vector<std::shared_ptr<connection_base>> all() {
    const std::lock_guard lock(mutex);
    std::vector<std::shared_ptr<connection_base>> out;
    for (const auto& [key, weak] : connections)
      if (auto strong = weak.lock()) out.push_back(std::move(strong));
    return out;
  }
};

using plain_stream = beast::tcp_stream;
using tls_stream = beast::ssl_stream<beast::tcp_stream>;

template <class Stream>
class connection : public connection_base,
                   public std::enable_shared_from_this<connection<Stream>> {
public:
  connection(Stream stream, std::shared_ptr<shared_parts> parts, share place,
             std::shared_ptr<ssl::context> tls)
      : parts_(std::move(parts)), place_(std::move(place)), tls_(std::move(tls)),
        stream_(std::move(stream)), buffer_(read_buffer_bytes) {
    error_code ignored;
    const auto remote = beast::get_lowest_layer(stream_).socket().remote_endpoint(ignored);
    if (!ignored) address_ = remote.address().to_string();
  }
  ~connection() override { parts_->leave(this); }

  void start() {
    {
      const std::lock_guard lock(parts_->mutex);
      parts_->connections.emplace(this, this->weak_from_this());
    }
    net::dispatch(stream_.get_executor(), [self = this->shared_from_this()] { self->greet(); });
  }

  void begin_drain() override {
    net::post(stream_.get_executor(), [self = this->shared_from_this()] {
      if (self->waits_for_request_) self->drop();
    });
  }
  void abort() override {
    net::post(stream_.get_executor(), [self = this->shared_from_this()] { self->drop(); });
  }

private:
  auto bind(void (connection::*member)(error_code, std::size_t)) {
    return beast::bind_front_handler(member, this->shared_from_this());
  }
  beast::tcp_stream& socket() { return beast::get_lowest_layer(stream_); }
  void drop() { socket().close(); }

  void greet() {
    if (parts_->draining) return drop();
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      socket().expires_after(handshake_timeout);
      stream_.async_handshake(ssl::stream_base::server,
                              [self = this->shared_from_this()](error_code failure) {
                                if (!failure) self->read_head();
                              });
    } else {
      read_head();
    }
  }

  void read_head() {
    if (parts_->draining) return finish();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(parts_->settings.header_bytes));
    parser_->body_limit(parts_->settings.request_bytes);
    request_ = {};
    body_place_ = {};
    waits_for_request_ = true;
    // One deadline for the whole header: a client that trickles bytes gains nothing by it.
    socket().expires_after(parts_->settings.idle_timeout);
    http::async_read_header(stream_, buffer_, *parser_, bind(&connection::on_head));
  }

  void on_head(error_code failure, std::size_t) {
    waits_for_request_ = false;
    if (failure) return on_read_failure(failure);
    const auto& head = parser_->get();
    keep_alive_ = head.keep_alive();
    request_.method = std::string(head.method_string());
    request_.target = std::string(head.target());
    request_.authorization = std::string(head[http::field::authorization]);
    request_.content_type = std::string(head[http::field::content_type]);
    request_.address = address_;
    if (head.count(http::field::authorization) > 1 || head.count(http::field::content_type) > 1)
      return refuse(refusal(400, "malformed", "a header that may occur once occurs twice"));
    if (auto refused = parts_->hooks.screen(request_)) return refuse(std::move(*refused));
    if (parser_->is_done()) return hand_on();
    read_body();
  }

  void read_body() {
    const auto& limits = parts_->settings;
    const auto length = parser_->content_length();
    if (length && *length > limits.request_bytes) return refuse(too_large());
    // A chunked body does not say its size, so it takes what it may grow to.
    auto place = share::take(parts_->buffered, limits.buffered_bytes,
                             length ? static_cast<std::size_t>(*length) : limits.request_bytes);
    if (!place) {
      auto busy = refusal(503, "overloaded", "too many request bodies at once; try again");
      busy.headers.emplace_back("Retry-After", "1");
      return refuse(std::move(busy));
    }
    body_place_ = std::move(*place);
    socket().expires_after(limits.body_timeout);
    if (beast::iequals(parser_->get()[http::field::expect], "100-continue")) {
      continue_.emplace(http::status::continue_, 11u);
      return http::async_write(stream_, *continue_, bind(&connection::on_continued));
    }
    on_continued({}, 0);
  }

  void on_continued(error_code failure, std::size_t) {
    if (failure) return;
    http::async_read(stream_, buffer_, *parser_, bind(&connection::on_body));
  }

  void on_body(error_code failure, std::size_t) {
    if (failure) return on_read_failure(failure);
    request_.body = std::move(parser_->get().body());
    hand_on();
  }

  response too_large() const {
    return refusal(413, "too_large",
                   "a request of more than " + std::to_string(parts_->settings.request_bytes)
                       + " bytes; send it in parts");
  }

  void on_read_failure(error_code failure) {
    if (failure == http::error::header_limit || failure == http::error::buffer_overflow)
      return refuse(refusal(431, "too_large", "the request's header is too large"));
    if (failure == http::error::body_limit) return refuse(too_large());
    if (failure == beast::error::timeout || failure == http::error::end_of_stream)
      return finish();
    // Errors of the format are of Beast's category; others say that the connection is gone.
    if (failure.category() == http::make_error_code(http::error::bad_method).category()
        && failure != http::error::partial_message)
      return refuse(refusal(400, "malformed", "this is not a well-formed HTTP/1.1 request"));
    drop();
  }

  void hand_on() {
    // While an answer is being made nothing is read or written, so there is no deadline of
    // ours.
    socket().expires_never();
    auto place = share::take(parts_->in_flight, parts_->settings.requests_in_flight, 1);
    if (!place) {
      auto busy = refusal(503, "overloaded", "too many requests at once; try again");
      busy.headers.emplace_back("Retry-After", "1");
      busy.close = false;
      return write(std::move(busy));
    }
    const bool head_only = request_.method == "HEAD";
    parser_.reset();
    request_.method = head_only ? "GET" : request_.method;
    head_only_ = head_only;
    auto held = std::make_shared<share>(std::move(*place));
    parts_->hooks.handle(
        std::move(request_), [self = this->shared_from_this(), held](response made) mutable {
          *held = share();
          auto& executor = self->stream_;
          net::post(executor.get_executor(),
                    [self, made = std::move(made)]() mutable { self->write(std::move(made)); });
        });
  }

  /// Answers without having read all of the request, so the connection cannot go on.
  void refuse(response made) {
    head_only_ = request_.method == "HEAD";
    if (parser_ && !parser_->is_done()) {
      made.close = true;
      unread_body_ = true;
    }
    write(std::move(made));
  }

  void write(response made) {
    parts_->hooks.answered(made.status);
    const bool close = made.close || !keep_alive_ || parts_->draining;
    answer_.emplace();
    answer_->version(11);
    answer_->result(made.status);
    answer_->reason(reason(made.status));
    answer_->set(http::field::content_type, made.content_type);
    answer_->set(http::field::cache_control, "no-store");
    answer_->set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, text] : made.headers)
      answer_->set(name, text);
    answer_->content_length(made.body.size());
    answer_->keep_alive(!close);
    if (!head_only_) answer_->body() = std::move(made.body);
    serializer_.emplace(*answer_);
    close_after_ = close;
    body_place_ = {};
    socket().expires_after(parts_->settings.write_timeout);
    if (head_only_)
      http::async_write_header(stream_, *serializer_, bind(&connection::on_written));
    else
      http::async_write(stream_, *serializer_, bind(&connection::on_written));
  }

  void on_written(error_code failure, std::size_t) {
    serializer_.reset();
    answer_.reset();
    if (failure) return drop();
    if (close_after_) return finish();
    read_head();
  }

  void finish() {
    socket().expires_after(linger_timeout);
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      stream_.async_shutdown([self = this->shared_from_this()](error_code) { self->linger(); });
    } else {
      linger();
    }
  }

  void linger() {
    error_code ignored;
    socket().socket().shutdown(tcp::socket::shutdown_send, ignored);
    if (ignored || !unread_body_) return drop();
    buffer_.clear();
    skip({}, 0);
  }
  void skip(error_code failure, std::size_t count) {
    skipped_ += count;
    if (failure || skipped_ > linger_bytes) return drop();
    socket().async_read_some(buffer_.prepare(read_buffer_bytes / 2), bind(&connection::skip));
  }

  std::shared_ptr<shared_parts> parts_;
  share place_;
  std::shared_ptr<ssl::context> tls_; // outlives the stream that uses it
  Stream stream_;
  beast::flat_buffer buffer_;
  std::string address_;
  std::optional<http::request_parser<http::string_body>> parser_;
  request request_;
  share body_place_;
  std::optional<http::response<http::empty_body>> continue_;
  std::optional<http::response<http::string_body>> answer_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
  bool waits_for_request_ = false, keep_alive_ = false, head_only_ = false,
       close_after_ = false;
  bool unread_body_ = false;
  std::size_t skipped_ = 0;
};

result<std::shared_ptr<ssl::context>> make_tls(const front_settings& from) {
  auto made = std::make_shared<ssl::context>(ssl::context::tls_server);
  error_code failure;
  if (SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION) != 1)
    return make_error(errc::bad_config, "this OpenSSL does not know TLS 1.2");
  made->use_certificate_chain_file(from.tls_certificate.string(), failure);
  if (failure)
    return make_error(errc::bad_config, "TLS certificate " + from.tls_certificate.string()
                                            + ": " + failure.message());
  made->use_private_key_file(from.tls_key.string(), ssl::context::pem, failure);
  if (failure)
    return make_error(errc::bad_config,
                      "TLS key " + from.tls_key.string() + ": " + failure.message());
  if (SSL_CTX_check_private_key(made->native_handle()) != 1)
    return make_error(errc::bad_config, "TLS key " + from.tls_key.string()
                                            + " does not belong to the certificate "
                                            + from.tls_certificate.string());
  return made;
}

} // namespace

std::string_view reason(unsigned status) {
  return http::obsolete_reason(http::int_to_status(status));
}

struct http_front::state {
  std::shared_ptr<shared_parts> parts = std::make_shared<shared_parts>();
  net::io_context io;
  std::optional<net::executor_work_guard<net::io_context::executor_type>> work;
  tcp::acceptor acceptor{net::make_strand(io)};
  net::steady_timer retry{acceptor.get_executor()};
  net::steady_timer alarm{net::make_strand(io)};
  std::optional<std::chrono::steady_clock::time_point> alarm_at; // on the alarm's strand
  std::mutex tls_mutex;
  std::shared_ptr<ssl::context> tls; // null: plain HTTP
  std::vector<std::thread> threads;
  std::uint16_t port = 0;
  bool over_limit_logged = false;

  std::shared_ptr<ssl::context> current_tls() {
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
    if (auto context = current_tls()) {
      auto& with = *context;
      std::make_shared<connection<tls_stream>>(
          tls_stream(beast::tcp_stream(std::move(socket)), with), parts, std::move(*place),
          std::move(context))
          ->start();
    } else {
      std::make_shared<connection<plain_stream>>(plain_stream(std::move(socket)), parts,
                                                 std::move(*place), nullptr)
          ->start();
    }
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
  auto made = make_tls(state_->parts->settings);
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
    each->begin_drain();
}

void http_front::close(std::chrono::milliseconds grace) {
  if (state_->threads.empty()) return;
  stop_accepting();
  {
    std::unique_lock lock(state_->parts->mutex);
    state_->parts->closed.wait_for(lock, grace,
                                   [&] { return state_->parts->connections.empty(); });
  }
  for (const auto& each : state_->parts->all())
    each->abort();
  net::post(state_->alarm.get_executor(), [raw = state_.get()] { raw->alarm.cancel(); });
  state_->work.reset();
  // A connection whose answer nobody made keeps no thread: the context stops once its sockets
  // are closed.
  for (auto& each : state_->threads)
    each.join();
  state_->threads.clear();
}

} // namespace tallymesh::gateway
