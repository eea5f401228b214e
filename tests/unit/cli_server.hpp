// A tiny HTTP/1.1 server on a free loopback port, which answers as a test tells it to. One
// thread a connection; stops and joins all when it goes.
#pragma once

#include "tools/tally/http_client.hpp"

#include <arpa/inet.h>
#include <functional>
#include <mutex>
#include <set>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace tallymesh::tally::fixture {

struct seen_request {
  std::string method, path, authorization, body;
};
/// Nothing: the connection is closed without an answer.
struct told_answer {
  unsigned status = 200;
  std::string body;
  std::string headers; ///< whole lines, each ended by \r\n
};

class server {
public:
  using handler = std::function<std::optional<told_answer>(const seen_request&)>;

  explicit server(handler answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    TALLYMESH_INVARIANT(::bind(listener_, raw, size) == 0 && ::listen(listener_, 64) == 0
                        && ::getsockname(listener_, raw, &size) == 0);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ~server() {
    ::shutdown(listener_, SHUT_RDWR);
    accepting_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const auto each : open_)
        ::shutdown(each, SHUT_RDWR);
    }
    for (auto& each : threads_)
      each.join();
    ::close(listener_);
  }

  http_target target() const { return {false, "127.0.0.1", port_, "secret-token", ""}; }

private:
  void accept_all() {
    for (;;) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      const std::lock_guard lock(mutex_);
      open_.insert(connection);
      threads_.emplace_back([this, connection] {
        serve(connection);
        const std::lock_guard closing(mutex_);
        open_.erase(connection);
        ::close(connection);
      });
    }
  }

  static std::string header(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const auto begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }

  void serve(int connection) {
    std::string buffer;
    const auto more = [&] {
      char part[65'536];
      const auto got = ::recv(connection, part, sizeof part, 0);
      if (got > 0) buffer.append(part, static_cast<std::size_t>(got));
      return got > 0;
    };
    for (;;) {
      std::size_t end = 0;
      while ((end = buffer.find("\r\n\r\n")) == std::string::npos)
        if (!more()) return;
      const auto head = buffer.substr(0, end + 2);
      buffer.erase(0, end + 4);
      const auto length = std::strtoull(header(head, "Content-Length").c_str(), nullptr, 10);
      while (buffer.size() < length)
        if (!more()) return;
      seen_request seen;
      seen.method = head.substr(0, head.find(' '));
      seen.path = head.substr(seen.method.size() + 1);
      seen.path.resize(seen.path.find(' '));
      seen.authorization = header(head, "Authorization");
      seen.body = buffer.substr(0, length);
      buffer.erase(0, length);
      const auto told = answer_(seen);
      if (!told) return;
      const auto text = "HTTP/1.1 " + std::to_string(told->status)
                        + " X\r\nContent-Type: application/json\r\n" + told->headers
                        + "Content-Length: " + std::to_string(told->body.size()) + "\r\n\r\n"
                        + told->body;
      if (::send(connection, text.data(), text.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

  handler answer_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::set<int> open_;
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

} // namespace tallymesh::tally::fixture
