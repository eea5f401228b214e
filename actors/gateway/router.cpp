#include "actors/gateway/router.hpp"

#include <algorithm>
#include <charconv>

namespace tallymesh::gateway {

namespace {

constexpr std::size_t most_query_keys = 32;

struct entry {
  std::string_view pattern; ///< {} is one variable segment, {key} a row's key
  std::string_view method;  ///< GET includes HEAD
  resource what;
  std::vector<std::string_view> query;
  bool any_query = false; ///< names that the handler checks itself: a table's fields
};

const std::vector<entry>& entries() {
  static const std::vector<entry> all = {
      {"/livez", "GET", resource::live, {}},
      {"/readyz", "GET", resource::ready, {}},
      {"/metrics", "GET", resource::metrics, {}},
      {"/v1/openapi.json", "GET", resource::description, {}},
      {"/v1/status", "GET", resource::status, {}},
      {"/v1/operations", "POST", resource::operations, {"wait", "timeout_ms"}},
      {"/v1/operations/{}", "GET", resource::operation, {"wait", "timeout_ms"}},
      {"/v1/operations/{}/trace", "GET", resource::trace, {}},
      {"/v1/tables", "GET", resource::tables, {}},
      {"/v1/tables/{}/rows", "GET", resource::rows, {"limit", "after"}, true},
      {"/v1/tables/{}/rows/{key}", "GET", resource::row, {}},
      {"/v1/tables/{}/access", "GET", resource::access, {"account"}},
      {"/v1/tables/{}/rows/{key}/access", "GET", resource::access, {"account"}},
      {"/v1/tables/{}/rows/{key}/history", "GET", resource::row_history, {"limit", "before"}},
      {"/v1/blocks", "GET", resource::blocks, {"from", "limit"}},
      {"/v1/blocks/{}", "GET", resource::block, {}},
      {"/v1/digest", "GET", resource::digests, {}},
      {"/v1/deliveries", "GET", resource::deliveries, {"after", "limit", "wait_ms", "table"}},
      {"/v1/deliveries/ack", "POST", resource::acknowledgement, {"timeout_ms"}},
      {"/v1/contracts", "GET", resource::contracts, {}},
      {"/v1/contracts/{}", "GET", resource::contract, {}},
  };
  return all;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const auto end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

bool matches(std::string_view pattern, const std::vector<std::string_view>& path) {
  const auto wanted = split(pattern, '/');
  if (wanted.size() != path.size()) return false;
  for (std::size_t i = 0; i < path.size(); ++i)
    if (wanted[i].starts_with('{') ? path[i].empty() : wanted[i] != path[i]) return false;
  return true;
}

refusal bad_encoding() {
  return refuse_as(errc::malformed, "the target is not well percent-encoded UTF-8");
}

std::optional<refusal> read_path(const entry& to, const std::vector<std::string_view>& path,
                                 call& out) {
  const auto wanted = split(to.pattern, '/');
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (!wanted[i].starts_with('{')) continue;
    const bool is_key = wanted[i] == "{key}";
    // Split before decoding: an encoded comma belongs to a part.
    for (const auto part : is_key ? split(path[i], ',') : std::vector{path[i]}) {
      auto text = percent_decode(part, false);
      if (!text) return bad_encoding();
      (is_key ? out.key : out.path).push_back(std::move(*text));
    }
  }
  return std::nullopt;
}

std::optional<refusal> read_query(const entry& to, std::string_view query, call& out) {
  if (query.empty()) return std::nullopt;
  for (const auto pair : split(query, '&')) {
    if (out.query.size() >= most_query_keys)
      return refuse_as(errc::malformed, "more than 32 query keys");
    const auto equals = pair.find('=');
    auto name = percent_decode(pair.substr(0, equals), true);
    auto text = percent_decode(
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!name || !text) return bad_encoding();
    if (out.find(*name))
      return refuse_as(errc::malformed,
                       "the query key '" + name->substr(0, 64) + "' occurs twice");
    const bool is_known = std::find(to.query.begin(), to.query.end(), *name) != to.query.end();
    if (!is_known && !to.any_query) {
      std::string choices;
      for (const auto each : to.query)
        (choices += choices.empty() ? "" : ", ") += each;
      return refuse_as(errc::malformed, "unknown query key '" + name->substr(0, 64) + "'; "
                                            + (choices.empty() ? "there are none here"
                                                               : "known are " + choices));
    }
    out.query.emplace_back(std::move(*name), std::move(*text));
  }
  return std::nullopt;
}

} // namespace

const std::string* call::find(std::string_view name) const {
  for (const auto& [key_name, text] : query)
    if (key_name == name) return &text;
  return nullptr;
}

std::variant<call, misrouted> route(std::string_view method, std::string_view target) {
  if (!target.starts_with('/'))
    return misrouted{refuse_as(errc::malformed, "the target must begin with '/'"), {}};
  const auto question = target.find('?');
  const auto path = split(target.substr(0, question), '/');
  const auto query =
      question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
  std::string allow;
  for (const auto& each : entries()) {
    if (!matches(each.pattern, path)) continue;
    if (each.method != method && !(each.method == "GET" && method == "HEAD")) {
      allow = each.method == "GET" ? "GET, HEAD" : each.method;
      continue;
    }
    call out;
    out.what = each.what;
    if (auto refused = read_path(each, path, out)) return misrouted{std::move(*refused), {}};
    if (auto refused = read_query(each, query, out)) return misrouted{std::move(*refused), {}};
    return out;
  }
  if (allow.empty())
    return misrouted{refuse_as(errc::not_found, "there is nothing at this path"), {}};
  refusal why{405, "unsupported",
              "this path does not take " + std::string(method.substr(0, 16))};
  return misrouted{std::move(why), std::move(allow)};
}

std::variant<std::uint64_t, refusal> number_in(const call& from, std::string_view name,
                                               std::uint64_t otherwise, std::uint64_t least,
                                               std::uint64_t most) {
  const auto* text = from.find(name);
  if (!text) return otherwise;
  std::uint64_t x = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), x);
  if (failure != std::errc{} || end != text->data() + text->size() || x < least || x > most)
    return refuse_as(errc::malformed, std::string(name) + " is a number from "
                                          + std::to_string(least) + " to "
                                          + std::to_string(most));
  return x;
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const auto raw = from_hex(text.substr(i + 1, 2));
      if (!raw || raw->size() != 1) return std::nullopt;
      out += static_cast<char>((*raw)[0]);
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_space ? ' ' : text[i];
    }
  }
  if (!is_utf8(out)) return std::nullopt;
  return out;
}

} // namespace tallymesh::gateway
