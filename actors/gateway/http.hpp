// Requests and answers as plain values, so that everything but http_front.cpp is free of
// sockets and of Beast, and tests call it directly. Value types; any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tallymesh::gateway {

struct request {
  std::string method;        ///< "GET", upper case
  std::string target;        ///< path and query as they came, percent-encoded
  std::string authorization; ///< the header's whole value
  std::string content_type;
  std::string address; ///< of the peer, without its port
  std::string body;
};

struct response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  bool close = false; ///< end the connection after this answer
};

/// Called exactly once, from any thread.
using answer_function = std::function<void(response)>;

std::string_view reason(unsigned status);

} // namespace tallymesh::gateway
