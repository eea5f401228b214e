// What answers are made of: problem documents (RFC 9457) and the JSON forms of receipts and
// other things that several handlers write. Pure functions; any thread.
#pragma once

#include "actors/gateway/http.hpp"
#include "actors/gateway/json_in.hpp"
#include "actors/gateway/json_out.hpp"
#include "messages/receipt.hpp"

namespace tallymesh::gateway {

inline constexpr const char* ndjson_type = "application/x-ndjson";

response problem(const refusal& why);
response problem(const error& why);
response json_answer(std::string body, unsigned status = 200);

/// `lane_name`: the node whose lane it came in.
/// `events_left_out`: how many events it had beside those that `x` still has.
void write_receipt(json_out& out, const receipt& x, std::string_view lane_name,
                   std::size_t events_left_out = 0);
std::string_view name_of(const std::vector<std::string>& nodes, node_index which);

/// RFC 4648 base64url without padding.
std::string to_base64url(bytes_view raw);
std::optional<bytes> from_base64url(std::string_view text);

} // namespace tallymesh::gateway
