#include "actors/gateway/connection.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace tallymesh::gateway {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds handshake_timeout{10};
/// How long and how much of a refused body is read away, so that the client gets to see the
/// answer instead of a reset connection.
constexpr std::chrono::seconds linger_timeout{2};
constexpr std::size_t linger_bytes = 1024 * 1024;
constexpr std::size_t read_bytes = 64 * 1024;

response refusal_of(unsigned status, std::string_view code, std::string_view detail) {
  response out;
  out.status = status;
  out.content_type = "application/problem+json";
  out.body = R"({"type":"about:blank","title":")";
  out.body.append(reason(status)).append(R"(","status":)").append(std::to_string(status));
  out.body.append(R"(,"detail":")").append(detail).append(R"(","code":")").append(code);
  out.body.append("\"}");
  return out;
}

response busy(std::string_view detail) {
  auto out = refusal_of(503, "overloaded", detail);
  out.headers.emplace_back("Retry-After", "1");
  return out;
}

std::string head_of(const response& x, bool close) {
  std::string out = "HTTP/1.1 ";
  out.append(std::to_string(x.status)).append(" ").append(reason(x.status));
  out.append("\r\nContent-Type: ").append(x.content_type);
  out.append("\r\nContent-Length: ").append(std::to_string(x.body.size()));
  out.append("\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff");
  for (const auto& [name, text] : x.headers)
    out.append("\r\n").append(name).append(": ").append(text);
  out.append(close ? "\r\nConnection: close\r\n\r\n" : "\r\nConnection: keep-alive\r\n\r\n");
  return out;
}

} // namespace

std::string_view reason(unsigned status) {
  return http::obsolete_reason(http::int_to_status(status));
}

class connection : public std::enable_shared_from_this<connection> {
public:
  connection(std::shared_ptr<shared_parts> parts, std::unique_ptr<transport> bytes, share place)
      : parts_(std::move(parts)), place_(std::move(place)), bytes_(std::move(bytes)),
        deadline_(bytes_->socket().get_executor()) {
    error_code ignored;
    const auto remote = bytes_->socket().remote_endpoint(ignored);
    if (!ignored) address_ = remote.address().to_string();
  }
  ~connection() {
    const std::lock_guard lock(parts_->mutex);
    parts_->connections.erase(this);
    parts_->left.notify_all();
  }

  void start() {
    {
      const std::lock_guard lock(parts_->mutex);
      parts_->connections.emplace(this, weak_from_this());
    }
    post([this] { greet(); });
  }
  void drain() {
    post([this] {
      if (phase_ == phase::head) drop();
    });
  }
  void abort() {
    post([this] { drop(); });
  }

private:
  enum class phase : std::uint8_t { greeting, head, body, handled, writing, lingering };

  template <class F>
  void post(F&& task) {
    net::post(deadline_.get_executor(), [self = shared_from_this(), task] { task(); });
  }
  transport::done_function then(void (connection::*next)(error_code, std::size_t)) {
    return [self = shared_from_this(), next](error_code failure, std::size_t count) {
      (self.get()->*next)(failure, count);
    };
  }
  void drop() {
    error_code ignored;
    deadline_.cancel();
    bytes_->socket().close(ignored);
  }
  /// Everything until the next call must be done by then, or the connection is cut.
  void must_end_within(std::chrono::milliseconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([weak = weak_from_this()](error_code stopped) {
      const auto self = weak.lock();
      // A timer that was set anew may have fired already.
      if (stopped || !self || self->deadline_.expiry() > std::chrono::steady_clock::now())
        return;
      self->drop();
    });
  }

  void greet() {
    must_end_within(handshake_timeout);
    bytes_->handshake(then(&connection::on_greeted));
  }
  void on_greeted(error_code failure, std::size_t) {
    if (failure) return drop();
    read_request();
  }

  // --- reading

  void read_request() {
    if (parts_->draining) return finish();
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(parts_->settings.header_bytes));
    parser_->body_limit(parts_->settings.request_bytes);
    request_ = {};
    body_place_ = {};
    head_only_ = keep_alive_ = false;
    phase_ = phase::head;
    // One deadline for all of the header: a client that trickles bytes gains nothing by it.
    must_end_within(parts_->settings.idle_timeout);
    parse();
  }

  void read_more() {
    bytes_->read_some(buffer_.prepare(read_bytes), then(&connection::on_bytes));
  }
  void on_bytes(error_code failure, std::size_t count) {
    if (failure) return drop();
    buffer_.commit(count);
    parse();
  }

  /// Takes what is in the buffer, which never holds more than a header and one read.
  void parse() {
    error_code failure;
    if (buffer_.size() > 0) {
      const auto used = parser_->put(buffer_.data(), failure);
      buffer_.consume(used);
    } else {
      failure = http::error::need_more;
    }
    if (failure && failure != http::error::need_more) return on_bad_request(failure);
    if (phase_ == phase::head && parser_->is_header_done()) return on_head();
    if (parser_->is_done()) return hand_on();
    read_more();
  }

  void on_head() {
    phase_ = phase::body;
    const auto& head = parser_->get();
    keep_alive_ = head.keep_alive();
    head_only_ = head.method() == http::verb::head;
    request_.method = std::string(head.method_string());
    request_.target = std::string(head.target());
    request_.authorization = std::string(head[http::field::authorization]);
    request_.content_type = std::string(head[http::field::content_type]);
    request_.address = address_;
    if (head.count(http::field::authorization) > 1 || head.count(http::field::content_type) > 1)
      return refuse(refusal_of(400, "malformed", "a header that may occur once occurs twice"));
    if (auto refused = parts_->hooks.screen(request_)) return refuse(std::move(*refused));
    if (parser_->is_done()) return hand_on();
    const auto length = parser_->content_length();
    if (length && *length > parts_->settings.request_bytes) return refuse(too_large());
    // A chunked body does not say its size, so it takes what it may grow to.
    auto place = share::take(parts_->buffered, parts_->settings.buffered_bytes,
                             length ? static_cast<std::size_t>(*length)
                                    : parts_->settings.request_bytes);
    if (!place) return refuse(busy("too many request bodies at once; try again"));
    body_place_ = std::move(*place);
    must_end_within(parts_->settings.body_timeout);
    parser_->eager(true);
    if (!beast::iequals(head[http::field::expect], "100-continue")) return parse();
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    bytes_->write_all({net::const_buffer(go_on.data(), go_on.size()), {}},
                      then(&connection::on_continued));
  }
  void on_continued(error_code failure, std::size_t) {
    if (failure) return drop();
    parse();
  }

  response too_large() const {
    return refusal_of(413, "too_large",
                      "a request of more than " + std::to_string(parts_->settings.request_bytes)
                          + " bytes; send it in parts");
  }

  void on_bad_request(error_code failure) {
    if (failure == http::error::header_limit)
      return refuse(refusal_of(431, "too_large", "the request's header is too large"));
    if (failure == http::error::body_limit) return refuse(too_large());
    refuse(refusal_of(400, "malformed", "this is not a well-formed HTTP/1.1 request"));
  }

  /// Answers without having read all of the request, so the connection cannot go on.
  void refuse(response made) {
    if (!parser_->is_done()) made.close = unread_ = true;
    write(std::move(made));
  }

  // --- answering

  void hand_on() {
    phase_ = phase::handled;
    // While an answer is being made there is nothing of the client's to wait for.
    deadline_.cancel();
    request_.body = std::move(parser_->get().body());
    auto place = share::take(parts_->in_flight, parts_->settings.requests_in_flight, 1);
    if (!place) return write(busy("too many requests at once; try again"));
    in_flight_place_ = std::move(*place);
    parts_->hooks.handle(std::move(request_), [self = shared_from_this()](response made) {
      net::post(self->deadline_.get_executor(),
                [self, made = std::move(made)]() mutable { self->write(std::move(made)); });
    });
  }

  void write(response made) {
    if (!bytes_->socket().is_open()) return;
    phase_ = phase::writing;
    parts_->hooks.answered(made.status);
    close_after_ = made.close || !keep_alive_ || parts_->draining;
    head_ = head_of(made, close_after_);
    body_ = head_only_ ? std::string() : std::move(made.body);
    in_flight_place_ = {};
    body_place_ = {};
    must_end_within(parts_->settings.write_timeout);
    bytes_->write_all({net::buffer(head_), net::buffer(body_)}, then(&connection::on_written));
  }
  void on_written(error_code failure, std::size_t) {
    body_ = {};
    if (failure) return drop();
    if (close_after_) return finish();
    read_request();
  }

  // --- ending

  void finish() {
    phase_ = phase::lingering;
    must_end_within(linger_timeout);
    bytes_->end_writing(then(&connection::on_ended));
  }
  void on_ended(error_code failure, std::size_t) {
    if (failure || !unread_) return drop();
    skip({}, 0);
  }
  void skip(error_code failure, std::size_t count) {
    skipped_ += count;
    if (failure || skipped_ > linger_bytes) return drop();
    buffer_.clear();
    bytes_->socket().async_read_some(buffer_.prepare(read_bytes), then(&connection::skip));
  }

  std::shared_ptr<shared_parts> parts_;
  share place_, body_place_, in_flight_place_;
  std::unique_ptr<transport> bytes_;
  net::steady_timer deadline_;
  phase phase_ = phase::greeting;
  beast::flat_buffer buffer_;
  std::string address_;
  std::optional<http::request_parser<http::string_body>> parser_;
  request request_;
  std::string head_, body_; // being written
  bool keep_alive_ = false, head_only_ = false, close_after_ = false;
  bool unread_ = false; ///< a part of the request was never read
  std::size_t skipped_ = 0;
};

std::optional<share> share::take(std::atomic<std::size_t>& used, std::size_t limit,
                                 std::size_t amount) {
  if (used.fetch_add(amount) + amount > limit) {
    used.fetch_sub(amount);
    return std::nullopt;
  }
  return share(used, amount);
}

std::vector<std::shared_ptr<connection>> shared_parts::all() {
  const std::lock_guard lock(mutex);
  std::vector<std::shared_ptr<connection>> out;
  for (const auto& [key, weak] : connections)
    if (auto strong = weak.lock()) out.push_back(std::move(strong));
  return out;
}

void serve(std::shared_ptr<shared_parts> parts, std::unique_ptr<transport> bytes, share place) {
  std::make_shared<connection>(std::move(parts), std::move(bytes), std::move(place))->start();
}
void begin_drain(const std::shared_ptr<connection>& which) { which->drain(); }
void abort(const std::shared_ptr<connection>& which) { which->abort(); }

} // namespace tallymesh::gateway
