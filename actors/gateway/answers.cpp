#include "actors/gateway/answers.hpp"

namespace tallymesh::gateway {

response problem(const refusal& why) {
  response out;
  out.status = why.status;
  out.content_type = "application/problem+json";
  json_out json(out.body);
  json.begin_object().field("type", "about:blank").field("title", reason(why.status));
  json.field("status", why.status).field("detail", why.detail).field("code", why.code);
  json.end_object();
  if (why.status == 401)
    out.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"tallymesh\"");
  if (why.status == 429 || why.status == 503) out.headers.emplace_back("Retry-After", "1");
  return out;
}

response problem(const error& why) { return problem(refuse_as(why.code, why.context)); }

response json_answer(std::string body, unsigned status) {
  response out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

void write_receipt(json_out& out, const receipt& x, std::string_view lane_name,
                   std::size_t events_left_out) {
  out.begin_object().field("id", x.id.hex()).field("status", "finalized");
  out.field("height", x.height).field("position", x.position);
  out.field("lane", lane_name).field("seq", x.seq);
  out.field("result", to_string(x.result)).field("ok", x.ok()).field("detail", x.detail);
  out.field("description", describe(x.result)).field("changes", x.changes).field("gas", x.gas);
  const auto& counts = x.effects;
  out.key("effects").begin_object().field("stored", counts.stored);
  out.field("deleted", counts.deleted).field("erased", counts.erased);
  out.field("settled", counts.settled).field("distributed", counts.distributed).end_object();
  out.key("events").begin_array();
  for (const auto& each : x.events)
    out.begin_object().field("name", each.name).key("what").typed(each.what).end_object();
  out.end_array();
  if (events_left_out > 0) out.field("events_left_out", events_left_out);
  out.end_object();
}

std::string_view name_of(const std::vector<std::string>& nodes, node_index which) {
  return which < nodes.size() ? std::string_view(nodes[which]) : "unknown";
}

static constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string to_base64url(bytes_view raw) {
  std::string out;
  out.reserve((raw.size() * 4 + 2) / 3);
  std::uint32_t held = 0;
  int bits = 0;
  for (const auto byte : raw) {
    held = held << 8 | byte;
    for (bits += 8; bits >= 6; bits -= 6)
      out += alphabet[held >> (bits - 6) & 63];
  }
  if (bits > 0) out += alphabet[held << (6 - bits) & 63];
  return out;
}

std::optional<bytes> from_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t held = 0;
  int bits = 0;
  for (const char c : text) {
    const auto digit = alphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    held = held << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out.push_back(static_cast<std::uint8_t>(held >> bits));
  }
  // One text for one cursor: the bits left over are zero.
  if ((held & ((1u << bits) - 1)) != 0) return std::nullopt;
  return out;
}

} // namespace tallymesh::gateway
