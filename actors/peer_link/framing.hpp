// How frames lie in a link's byte stream, once TLS is taken off:
//   u32 length (little-endian; of what follows) | u8 kind | body
// A length is judged before a byte of the body is kept. Value types; one thread at a time.
#pragma once

#include "messages/digest.hpp"
#include "messages/limits.hpp"
#include "messages/result.hpp"

#include <array>
#include <optional>

namespace tallymesh::peer_link {

enum class frame_kind : std::uint8_t {
  data = 0, ///< body: a wire_message, at least one byte
  ping = 1, ///< no body; answered by a pong
  pong = 2, ///< no body
  hello =
      3, ///< body: u16 protocol version | 32 bytes chain digest; the first frame of each side
  refusal = 4, ///< body: why the connection ends, text; instead of a hello or at any time, last
};

constexpr std::uint16_t protocol_version = 1;
constexpr std::size_t frame_header_bytes = 5;
constexpr std::size_t hello_body_bytes = 2 + 32;
constexpr std::size_t max_refusal_bytes = 200;

std::array<std::uint8_t, frame_header_bytes> frame_header(frame_kind kind,
                                                          std::size_t body_bytes);
bytes hello_frame(const digest& chain);

bytes refusal_frame(std::string_view why);
/// What the other side says, made fit for a log: one line of printable ASCII.
std::string refusal_text(bytes_view body);

/// Errors: unsupported (another version), forbidden (another chain); the context says which.
result<void> check_hello(bytes_view body, const digest& chain);

struct link_frame {
  frame_kind kind{};
  bytes body;
};

/// Cuts a stream of bytes into frames. Until `greeted` only a hello is taken, then never again;
/// a refusal is at any time.
class frame_reader {
public:
  /// The next whole frame in `in`, which is advanced past what was used; nothing if more bytes
  /// are needed. After an error the stream cannot be read on. Errors: malformed (empty or
  /// unknown frame), too_large.
  result<std::optional<link_frame>> next(bytes_view& in);
  /// Of the body of every frame from now on.
  void set_limit(std::size_t bytes) { limit_bytes_ = bytes; }

private:
  result<void> read_header();

  std::array<std::uint8_t, frame_header_bytes> header_{};
  std::size_t header_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  link_frame frame_;
  bool greeted_ = false;
  std::size_t limit_bytes_ = limits::max_frame_bytes;
};

} // namespace tallymesh::peer_link
