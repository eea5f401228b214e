// The mesh that a command talks to: a directory that `tally init` made, or one gateway by URL
// and token. Also the JSON calls that commands share. Main thread; a gateway may be moved to
// another.
#pragma once

#include "configs/node_config.hpp"
#include "tools/tally/command.hpp"
#include "tools/tally/http_client.hpp"

#include <boost/json.hpp>
#include <filesystem>

namespace tallymesh::tally {

namespace json = boost::json;

/// The options that say where: --mesh, --node, --url, --token, --ca.
struct place {
  std::string mesh = "./mesh";
  std::string node, url, token, ca;

  /// `with_node`: the command talks to one node.
  void declare(command& on, bool with_node);
};

struct gateway {
  std::string node; ///< or the URL, when that is all that is known
  http_target target;
  std::filesystem::path directory; ///< of the node; empty if known by URL only
};

/// All gateways, in genesis' order; one if the place is a URL.
result<std::vector<gateway>> find_gateways(const place& where);
/// The one of --node, or the first.
result<gateway> find_gateway(const place& where);

/// A node's pid file and log, in its directory.
std::filesystem::path pid_file(const std::filesystem::path& node_directory);
std::filesystem::path log_file(const std::filesystem::path& node_directory);

struct call_options {
  std::chrono::milliseconds timeout{10'000};
};
/// A GET whose answer is JSON. Errors: those of http_client; not_found for 404, forbidden for
/// 401 and 403, overloaded for 429 and 503, else malformed; the context holds the answer's
/// detail.
result<json::value> get_json(http_client& client, const std::string& path,
                             call_options how = {});
result<json::value> post_json(http_client& client, const std::string& path, std::string body,
                              call_options how = {});
/// One line for an answer that is no success.
error refusal(const http_target& target, const http_response& answer);
/// Errors: malformed. Bounds nesting.
result<json::value> parse_json(std::string_view text);

/// Asks all at the same time; answers in the order of `gateways`.
std::vector<result<json::value>> ask_all(std::vector<http_client>& clients,
                                         const std::string& path, call_options how = {});
std::vector<http_client> clients_of(const std::vector<gateway>& gateways);

// Members of answers, which are as hostile as any input: absent or of another type gives the
// default.
std::string text_at(const json::value& x, std::string_view key,
                    std::string_view otherwise = "");
std::int64_t number_at(const json::value& x, std::string_view key, std::int64_t otherwise = 0);
const json::value* member(const json::value& x, std::string_view key);
const json::array& list_at(const json::value& x, std::string_view key);
const json::array& list_of(const json::value& x);
/// A value for a person: a text without quotes, anything else as JSON.
std::string shown(const json::value& x);

void print_json(const json::value& x);

/// Calls `done` every `interval` until it says true or the time is up. For what announces no
/// event that could be waited for, such as another process's answer over HTTP.
bool poll_until(std::chrono::milliseconds limit, std::chrono::milliseconds interval,
                const std::function<bool()>& done);

} // namespace tallymesh::tally
