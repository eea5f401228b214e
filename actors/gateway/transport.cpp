#include "actors/gateway/transport.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

namespace tallymesh::gateway {

namespace net = boost::asio;
namespace ssl = net::ssl;
using tcp = net::ip::tcp;
using boost::system::error_code;

namespace {

void end_tcp(tcp::socket& socket, const transport::done_function& done) {
  error_code failure;
  socket.shutdown(tcp::socket::shutdown_send, failure);
  done(failure, 0);
}

class plain final : public transport {
public:
  explicit plain(tcp::socket socket) : socket_(std::move(socket)) {}
  void handshake(done_function done) override { done({}, 0); }
  void read_some(net::mutable_buffer into, done_function done) override {
    socket_.async_read_some(into, std::move(done));
  }
  void write_all(std::array<net::const_buffer, 2> parts, done_function done) override {
    net::async_write(socket_, parts, std::move(done));
  }
  void end_writing(done_function done) override { end_tcp(socket_, done); }
  tcp::socket& socket() override { return socket_; }

private:
  tcp::socket socket_;
};

class through_tls final : public transport {
public:
  through_tls(tcp::socket socket, std::shared_ptr<ssl::context> with)
      : context_(std::move(with)), stream_(std::move(socket), *context_) {}
  void handshake(done_function done) override {
    stream_.async_handshake(ssl::stream_base::server,
                            [done = std::move(done)](error_code failure) { done(failure, 0); });
  }
  void read_some(net::mutable_buffer into, done_function done) override {
    stream_.async_read_some(into, std::move(done));
  }
  void write_all(std::array<net::const_buffer, 2> parts, done_function done) override {
    net::async_write(stream_, parts, std::move(done));
  }
  void end_writing(done_function done) override {
    // A client that does not answer the close_notify is cut by the connection's deadline.
    stream_.async_shutdown(
        [this, done = std::move(done)](error_code) { end_tcp(stream_.next_layer(), done); });
  }
  tcp::socket& socket() override { return stream_.next_layer(); }

private:
  std::shared_ptr<ssl::context> context_; // before the stream that uses it
  ssl::stream<tcp::socket> stream_;
};

} // namespace

std::unique_ptr<transport> plain_transport(tcp::socket socket) {
  return std::make_unique<plain>(std::move(socket));
}

std::unique_ptr<transport> tls_transport(tcp::socket socket,
                                         std::shared_ptr<ssl::context> with) {
  return std::make_unique<through_tls>(std::move(socket), std::move(with));
}

result<std::shared_ptr<ssl::context>> load_tls(const std::filesystem::path& certificate,
                                               const std::filesystem::path& key) {
  auto made = std::make_shared<ssl::context>(ssl::context::tls_server);
  if (SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION) != 1)
    return make_error(errc::bad_config, "this OpenSSL does not know TLS 1.2");
  error_code failure;
  made->use_certificate_chain_file(certificate.string(), failure);
  if (failure)
    return make_error(errc::bad_config,
                      "TLS certificate " + certificate.string() + ": " + failure.message());
  made->use_private_key_file(key.string(), ssl::context::pem, failure);
  if (failure)
    return make_error(errc::bad_config, "TLS key " + key.string() + ": " + failure.message());
  if (SSL_CTX_check_private_key(made->native_handle()) != 1)
    return make_error(errc::bad_config, "TLS key " + key.string()
                                            + " does not belong to the certificate "
                                            + certificate.string());
  return made;
}

} // namespace tallymesh::gateway
