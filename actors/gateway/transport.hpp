// A connection's bytes, plain or through TLS, behind one interface: so the HTTP side is
// compiled once and knows nothing of TLS. Owned by one connection; used on that connection's
// strand only.
#pragma once

#include "messages/result.hpp"

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <functional>
#include <memory>

namespace boost::asio::ssl {
class context;
}

namespace tallymesh::gateway {

class transport {
public:
  using done_function = std::function<void(boost::system::error_code, std::size_t)>;
  virtual ~transport() = default;

  virtual void handshake(done_function done) = 0; ///< nothing to do when plain
  virtual void read_some(boost::asio::mutable_buffer into, done_function done) = 0;
  virtual void write_all(std::array<boost::asio::const_buffer, 2> parts,
                         done_function done) = 0;
  /// Says that nothing more will come: TLS's close_notify, then TCP's.
  virtual void end_writing(done_function done) = 0;
  /// The socket below TLS.
  virtual boost::asio::ip::tcp::socket& socket() = 0;
};

std::unique_ptr<transport> plain_transport(boost::asio::ip::tcp::socket socket);
std::unique_ptr<transport> tls_transport(boost::asio::ip::tcp::socket socket,
                                         std::shared_ptr<boost::asio::ssl::context> with);

/// TLS 1.2 or later, by a PEM chain and its key. Errors: bad_config, naming the file.
result<std::shared_ptr<boost::asio::ssl::context>>
load_tls(const std::filesystem::path& certificate, const std::filesystem::path& key);

} // namespace tallymesh::gateway
