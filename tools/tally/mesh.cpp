#include "tools/tally/mesh.hpp"

#include "tools/tally/output.hpp"

#include <iostream>
#include <sys/stat.h>
#include <thread>

namespace tallymesh::tally {

namespace {

// The first token that stands in plain text: what `tally init` writes for its own use.
result<std::string> first_token(const std::filesystem::path& file) {
  const auto text = configs::read_bounded(file);
  if (!text) return text.error();
  std::string_view rest = *text;
  while (!rest.empty()) {
    auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const auto blank = line.find(' ');
    if (line.starts_with('#') || blank == line.npos) continue;
    const auto token = line.substr(blank + 1);
    if (!token.starts_with("blake2b:")) return std::string(token);
  }
  return make_error(errc::not_found,
                    file.string() + ": holds no token in plain text; give one by --token");
}

result<gateway> gateway_of(const std::filesystem::path& directory, const place& where) {
  const auto config = configs::load_node(directory / "node.toml");
  if (!config) return config.error();
  gateway out{config->node, {}, directory};
  out.target.host = config->gateway.listen.host;
  if (out.target.host == "0.0.0.0") out.target.host = "127.0.0.1";
  if (out.target.host == "::") out.target.host = "::1";
  out.target.port = config->gateway.listen.port;
  out.target.tls = config->gateway.uses_tls();
  // A mesh on this machine: its own certificate is the one to trust.
  if (out.target.tls)
    out.target.ca_file = where.ca.empty() ? config->gateway.tls_certificate.string() : where.ca;
  out.target.token = where.token;
  if (!out.target.token.empty()) return out;
  auto token = first_token(config->gateway.tokens_file);
  if (!token) return token.error();
  out.target.token = std::move(*token);
  return out;
}

errc meaning_of(unsigned status) {
  switch (status) {
  case 401:
  case 403:
    return errc::forbidden;
  case 404:
    return errc::not_found;
  case 409:
    return errc::conflict;
  case 413:
    return errc::too_large;
  case 429:
  case 503:
    return errc::overloaded;
  default:
    return errc::malformed;
  }
}

result<json::value> call(http_client& client, const http_request& request) {
  const auto answer = client.send(request);
  if (!answer) return answer.error();
  if (answer->status < 200 || answer->status > 299) return refusal(client.target(), *answer);
  auto parsed = parse_json(answer->body);
  if (!parsed)
    return make_error(errc::malformed,
                      client.target().url() + request.path + ": " + parsed.error().context);
  return parsed;
}

} // namespace

void place::declare(command& on, bool with_node) {
  on.option("--mesh", mesh, "Directory that `tally init` made", "TALLYMESH_MESH");
  if (with_node) on.option("--node", node, "Node of the mesh to talk to (default: the first)");
  on.option("--url", url, "A gateway's URL, instead of --mesh");
  on.option("--token", token, "Bearer token (default: the one that `tally init` made)",
            "TALLYMESH_TOKEN");
  on.option("--ca", ca, "File with the certificate to trust, for https");
}

result<std::vector<gateway>> find_gateways(const place& where) {
  std::vector<gateway> out;
  if (!where.url.empty()) {
    auto target = http_target::from_url(where.url);
    if (!target) return target.error();
    if (where.token.empty())
      return make_error(errc::bad_config,
                        "--url needs a token: give --token or set TALLYMESH_TOKEN");
    target->token = where.token;
    target->ca_file = where.ca;
    out.push_back({where.url, std::move(*target), {}});
    return out;
  }
  const std::filesystem::path directory = where.mesh;
  const auto mesh = configs::load_genesis(directory / "genesis.toml");
  if (!mesh && mesh.error().code == errc::not_found)
    return make_error(errc::not_found,
                      "there is no mesh in " + directory.string()
                          + " (no genesis.toml): make one by `tally init " + directory.string()
                          + "`, or name it by --mesh, TALLYMESH_MESH or --url");
  if (!mesh) return mesh.error();
  for (const auto& each : mesh->nodes) {
    std::error_code ignored;
    // An organisation's machine holds the directory of its own node only.
    if (!std::filesystem::exists(directory / each.name / "node.toml", ignored)) continue;
    auto found = gateway_of(directory / each.name, where);
    if (!found) return found.error();
    out.push_back(std::move(*found));
  }
  if (out.empty())
    return make_error(errc::not_found,
                      directory.string() + " holds no node's directory with a node.toml");
  return out;
}

result<gateway> find_gateway(const place& where) {
  auto all = find_gateways(where);
  if (!all) return all.error();
  if (where.node.empty()) return std::move(all->front());
  std::string names;
  for (auto& each : *all) {
    if (each.node == where.node) return std::move(each);
    (names += names.empty() ? "" : ", ") += each.node;
  }
  return make_error(errc::not_found,
                    "there is no node " + where.node + " here; there is: " + names);
}

std::filesystem::path pid_file(const std::filesystem::path& node_directory) {
  return node_directory / "tallyd.pid";
}

std::filesystem::path log_file(const std::filesystem::path& node_directory) {
  return node_directory / "tallyd.log";
}

result<json::value> get_json(http_client& client, const std::string& path, call_options how) {
  return call(client, {http_method::get, path, "", "", how.timeout});
}

result<json::value> post_json(http_client& client, const std::string& path, std::string body,
                              call_options how) {
  return call(client,
              {http_method::post, path, std::move(body), "application/json", how.timeout});
}

error refusal(const http_target& target, const http_response& answer) {
  std::string what;
  if (const auto problem = parse_json(answer.body);
      problem && answer.content_type.find("json") != std::string::npos) {
    what = text_at(*problem, "detail");
    if (what.empty()) what = text_at(*problem, "title");
    if (const auto code = text_at(*problem, "code"); !code.empty()) what += " (" + code + ")";
  }
  if (what.empty()) what = "answered with status " + std::to_string(answer.status);
  if (answer.status == 401) what += "; check --token";
  return make_error(meaning_of(answer.status), target.url() + ": " + what);
}

result<json::value> parse_json(std::string_view text) {
  try {
    json::parse_options limits;
    limits.max_depth = 32;
    json::error_code failed;
    auto parsed = json::parse({text.data(), text.size()}, failed, {}, limits);
    if (failed) return make_error(errc::malformed, "is not JSON: " + failed.message());
    return parsed;
  } catch (const std::exception& failure) {
    return make_error(errc::malformed, std::string("is not JSON: ") + failure.what());
  }
}

std::vector<http_client> clients_of(const std::vector<gateway>& gateways) {
  std::vector<http_client> out;
  for (const auto& each : gateways)
    out.emplace_back(each.target);
  return out;
}

std::vector<result<json::value>> ask_all(std::vector<http_client>& clients,
                                         const std::string& path, call_options how) {
  std::vector<result<json::value>> answers(clients.size(),
                                           make_error(errc::unavailable, "was not asked"));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < clients.size(); ++i)
    threads.emplace_back([&, i] { answers[i] = get_json(clients[i], path, how); });
  for (auto& each : threads)
    each.join();
  return answers;
}

const json::value* member(const json::value& x, std::string_view key) {
  const auto* object = x.if_object();
  return object == nullptr ? nullptr : object->if_contains({key.data(), key.size()});
}

std::string text_at(const json::value& x, std::string_view key, std::string_view otherwise) {
  const auto* found = member(x, key);
  if (found == nullptr || !found->is_string()) return std::string(otherwise);
  return std::string(found->get_string().data(), found->get_string().size());
}

std::int64_t number_at(const json::value& x, std::string_view key, std::int64_t otherwise) {
  const auto* found = member(x, key);
  json::error_code failed;
  if (found == nullptr || !found->is_number()) return otherwise;
  const auto read = found->to_number<std::int64_t>(failed);
  return failed ? otherwise : read;
}

const json::array& list_of(const json::value& x) {
  static const json::array nothing;
  const auto* list = x.if_array();
  return list == nullptr ? nothing : *list;
}

const json::array& list_at(const json::value& x, std::string_view key) {
  static const json::array nothing;
  const auto* found = member(x, key);
  return found == nullptr ? nothing : list_of(*found);
}

std::string shown(const json::value& x) {
  if (const auto* text = x.if_string()) return {text->data(), text->size()};
  if (x.is_null()) return "-";
  return json::serialize(x);
}

void print_json(const json::value& x) {
  std::cout << harmless_json(json::serialize(x)) << '\n';
}

bool poll_until(std::chrono::milliseconds limit, std::chrono::milliseconds interval,
                const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(interval); // the polling interval; the deadline is above
  }
  return true;
}

} // namespace tallymesh::tally
