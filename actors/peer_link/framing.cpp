#include "actors/peer_link/framing.hpp"

#include <algorithm>

namespace tallymesh::peer_link {

std::array<std::uint8_t, frame_header_bytes> frame_header(frame_kind kind,
                                                          std::size_t body_bytes) {
  const auto length = static_cast<std::uint32_t>(body_bytes + 1);
  return {static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(length >> 8),
          static_cast<std::uint8_t>(length >> 16), static_cast<std::uint8_t>(length >> 24),
          static_cast<std::uint8_t>(kind)};
}

bytes hello_frame(const digest& chain) {
  const auto header = frame_header(frame_kind::hello, hello_body_bytes);
  bytes out(header.begin(), header.end());
  out.push_back(static_cast<std::uint8_t>(protocol_version));
  out.push_back(static_cast<std::uint8_t>(protocol_version >> 8));
  out.insert(out.end(), chain.raw.begin(), chain.raw.end());
  return out;
}

bytes refusal_frame(std::string_view why) {
  why = why.substr(0, max_refusal_bytes);
  const auto header = frame_header(frame_kind::refusal, why.size());
  bytes out(header.begin(), header.end());
  for (const auto each : why)
    out.push_back(static_cast<std::uint8_t>(each));
  return out;
}

std::string refusal_text(bytes_view body) {
  std::string text;
  for (const auto each : body.first(std::min(body.size(), max_refusal_bytes)))
    text.push_back(each >= 0x20 && each < 0x7f ? static_cast<char>(each) : '?');
  return text;
}

result<void> check_hello(bytes_view body, const digest& chain) {
  const auto version = static_cast<std::uint16_t>(body[0] | body[1] << 8);
  if (version != protocol_version)
    return make_error(errc::unsupported, "it speaks link protocol " + std::to_string(version)
                                             + ", we speak "
                                             + std::to_string(protocol_version));
  digest theirs;
  std::copy_n(body.begin() + 2, theirs.raw.size(), theirs.raw.begin());
  if (theirs != chain)
    return make_error(errc::forbidden, "it is on chain " + theirs.short_hex() + ", we are on "
                                           + chain.short_hex() + "; compare the genesis files");
  return {};
}

result<std::optional<link_frame>> frame_reader::next(bytes_view& in) {
  while (header_bytes_ < frame_header_bytes) {
    if (in.empty()) return std::nullopt;
    header_[header_bytes_++] = in.front();
    in = in.subspan(1);
    if (header_bytes_ < 4) continue;
    if (auto good = read_header(); !good) return good.error();
  }
  const auto part = in.first(std::min(in.size(), body_bytes_ - frame_.body.size()));
  frame_.body.insert(frame_.body.end(), part.begin(), part.end());
  in = in.subspan(part.size());
  if (frame_.body.size() < body_bytes_) return std::nullopt;
  header_bytes_ = 0;
  return std::optional{std::exchange(frame_, {})};
}

/// Called with the length alone, and again with the kind.
result<void> frame_reader::read_header() {
  const std::uint32_t length = header_[0] | header_[1] << 8 | header_[2] << 16
                               | static_cast<std::uint32_t>(header_[3]) << 24;
  if (length == 0) return make_error(errc::malformed, "an empty frame");
  body_bytes_ = length - 1;
  const auto limit = greeted_ ? limit_bytes_ : std::max(hello_body_bytes, max_refusal_bytes);
  if (body_bytes_ > limit)
    return make_error(errc::too_large, "a frame of " + std::to_string(body_bytes_)
                                           + " bytes, more than " + std::to_string(limit));
  if (header_bytes_ < frame_header_bytes) return {};
  frame_.kind = static_cast<frame_kind>(header_[4]);
  const bool control = frame_.kind == frame_kind::ping || frame_.kind == frame_kind::pong;
  const bool refuses =
      frame_.kind == frame_kind::refusal && body_bytes_ > 0 && body_bytes_ <= max_refusal_bytes;
  const bool lawful = refuses ? true
                      : greeted_
                          ? (control && body_bytes_ == 0)
                                || (frame_.kind == frame_kind::data && body_bytes_ > 0)
                          : frame_.kind == frame_kind::hello && body_bytes_ == hello_body_bytes;
  if (!lawful)
    return make_error(errc::malformed, "a frame of kind " + std::to_string(header_[4]) + " and "
                                           + std::to_string(body_bytes_)
                                           + " bytes, which is none of ours");
  greeted_ = true;
  frame_.body.reserve(body_bytes_);
  return {};
}

} // namespace tallymesh::peer_link
