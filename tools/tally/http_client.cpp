#include "tools/tally/http_client.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <charconv>

namespace tallymesh::tally {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;

constexpr std::size_t max_answer_bytes = 64 * 1024 * 1024;

std::string http_target::url() const {
  const auto name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return (tls ? "https://" : "http://") + name + ":" + std::to_string(port);
}

result<http_target> http_target::from_url(std::string_view url) {
  const auto refused =
      make_error(errc::bad_config, "the URL " + std::string(url.substr(0, 100))
                                       + " is not of the form http://HOST:PORT or"
                                         " https://HOST:PORT");
  http_target out;
  std::string_view rest = url;
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    out.tls = true, rest.remove_prefix(8);
  else
    return refused;
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto colon = rest.rfind(':');
  const bool has_port = colon != std::string_view::npos && rest.find(']', colon) == rest.npos;
  auto host = has_port ? rest.substr(0, colon) : rest;
  out.port = out.tls ? 443 : 80;
  if (has_port) {
    const auto digits = rest.substr(colon + 1);
    const auto [end, failed] =
        std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
    if (failed != std::errc{} || end != digits.data() + digits.size() || out.port == 0)
      return refused;
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of("/?#@[] \r\n\t") != host.npos) return refused;
  out.host = host;
  return out;
}

std::string url_encoded(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                       || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'
                       || c == '~';
    if (plain)
      out += c;
    else
      (out += '%') += {digits[byte >> 4], digits[byte & 15]};
  }
  return out;
}

struct http_client::state {
  using plain_stream = beast::tcp_stream;
  using tls_stream = beast::ssl_stream<beast::tcp_stream>;

  explicit state(http_target x) : target(std::move(x)) {}

  http_target target;
  asio::io_context io;
  std::optional<asio::ssl::context> tls_context;
  std::optional<plain_stream> plain;
  std::optional<tls_stream> secure;
  beast::flat_buffer buffer;

  bool connected() const { return plain || secure; }
  void drop() {
    plain.reset();
    secure.reset();
    buffer.clear();
  }
  /// Runs one started operation to its end; its own timeout ends it if nothing else does.
  template <class Start>
  beast::error_code wait(Start&& start) {
    beast::error_code outcome;
    start([&outcome](beast::error_code code, auto&&...) { outcome = code; });
    io.restart();
    io.run();
    return outcome;
  }
  error failed(const beast::error_code& code, std::string_view doing) const {
    const auto what = code == beast::error::timeout ? "no answer in time" : code.message();
    return make_error(errc::unavailable,
                      target.url() + ": cannot " + std::string(doing) + ": " + what);
  }
  beast::tcp_stream& lowest() { return plain ? *plain : beast::get_lowest_layer(*secure); }

  result<void> prepare_tls() {
    if (tls_context) return {};
    tls_context.emplace(asio::ssl::context::tls_client);
    beast::error_code code;
    if (target.ca_file.empty())
      tls_context->set_default_verify_paths(code);
    else
      tls_context->load_verify_file(target.ca_file, code);
    if (!code) tls_context->set_verify_mode(asio::ssl::verify_peer, code);
    if (!code) return {};
    tls_context.reset();
    return make_error(errc::bad_config,
                      target.ca_file
                          + ": cannot be used as a CA certificate: " + code.message());
  }

  result<void> connect(std::chrono::milliseconds timeout) {
    beast::error_code code;
    tcp::resolver resolver(io);
    const auto found = resolver.resolve(target.host, std::to_string(target.port), code);
    if (code) return failed(code, "find the host");
    if (target.tls) {
      if (auto prepared = prepare_tls(); !prepared) return prepared.error();
      secure.emplace(io, *tls_context);
    } else {
      plain.emplace(io);
    }
    lowest().expires_after(timeout);
    code = wait([&](auto done) { lowest().async_connect(found, std::move(done)); });
    if (!code) lowest().socket().set_option(tcp::no_delay(true), code);
    if (code) {
      drop();
      return failed(code, "connect");
    }
    return target.tls ? shake_hands() : result<void>{};
  }

  result<void> shake_hands() {
    SSL_set_tlsext_host_name(secure->native_handle(), target.host.c_str());
    secure->set_verify_callback(asio::ssl::host_name_verification(target.host));
    const auto code = wait([&](auto done) {
      secure->async_handshake(asio::ssl::stream_base::client, std::move(done));
    });
    if (!code) return {};
    drop();
    return failed(code, "agree on TLS (--ca names the certificate to trust)");
  }

  template <class Stream>
  beast::error_code exchange(Stream& stream, const http::request<http::string_body>& out,
                             http::response_parser<http::string_body>& in) {
    auto code = wait([&](auto done) { http::async_write(stream, out, std::move(done)); });
    if (code) return code;
    return wait([&](auto done) { http::async_read(stream, buffer, in, std::move(done)); });
  }

  http::request<http::string_body> made_from(const http_request& what) const {
    http::request<http::string_body> out;
    out.version(11);
    out.method(what.method == http_method::get ? http::verb::get : http::verb::post);
    out.target(what.path);
    out.set(http::field::host, target.url().substr(target.tls ? 8 : 7));
    out.set(http::field::user_agent, "tally");
    out.set(http::field::accept,
            "application/json, application/x-ndjson, application/problem+json");
    if (!target.token.empty()) out.set(http::field::authorization, "Bearer " + target.token);
    if (what.method == http_method::post) {
      out.set(http::field::content_type, what.content_type);
      out.body() = what.body;
    }
    out.prepare_payload();
    return out;
  }

  static http_response taken_from(http::response<http::string_body>&& in) {
    http_response out;
    out.status = in.result_int();
    out.content_type = in[http::field::content_type];
    const auto wait = in[http::field::retry_after];
    if (unsigned seconds = 0;
        !wait.empty()
        && std::from_chars(wait.data(), wait.data() + wait.size(), seconds).ec == std::errc{})
      out.retry_after = std::chrono::seconds(std::min(seconds, 60u));
    out.body = std::move(in.body());
    return out;
  }
};

http_client::http_client(http_target target)
    : state_(std::make_unique<state>(std::move(target))) {}
http_client::~http_client() = default;
http_client::http_client(http_client&&) noexcept = default;
http_client& http_client::operator=(http_client&&) noexcept = default;

const http_target& http_client::target() const { return state_->target; }

result<http_response> http_client::send(const http_request& what) {
  auto& my = *state_;
  const auto request = my.made_from(what);
  for (;;) {
    const bool kept = my.connected();
    if (!kept)
      if (auto connected = my.connect(std::min(what.timeout, std::chrono::milliseconds(5000)));
          !connected)
        return connected.error();
    http::response_parser<http::string_body> parser;
    parser.body_limit(max_answer_bytes);
    my.lowest().expires_after(what.timeout);
    const auto code = my.plain ? my.exchange(*my.plain, request, parser)
                               : my.exchange(*my.secure, request, parser);
    if (!code) {
      if (!parser.get().keep_alive()) my.drop();
      return state::taken_from(parser.release());
    }
    my.drop();
    if (code == http::error::body_limit)
      return make_error(errc::too_large,
                        my.target.url() + ": its answer is larger than 64 MiB");
    // The gateway may have closed a connection that was idle: that is no failure yet.
    if (!kept || code == beast::error::timeout) return my.failed(code, "talk");
  }
}

} // namespace tallymesh::tally
