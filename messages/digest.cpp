#include "messages/digest.hpp"

#include "messages/result.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sodium.h>

namespace tallymesh {

bool digest::is_zero() const {
  return std::all_of(raw.begin(), raw.end(), [](auto byte) { return byte == 0; });
}

/// The salt of a hash over parts, so that none equals a hash over one string of bytes.
static constexpr std::array<std::uint8_t, 16> parts_salt{'t', 'm', '.', 'p',
                                                         'a', 'r', 't', 's'};

static std::array<std::uint8_t, 16> personalisation(digest_kind kind) {
  static constexpr std::string_view names[] = {
      "tm.genesis",   "tm.operation", "tm.batch",    "tm.block",   "tm.execution",
      "tm.write_set", "tm.table",     "tm.contract", "tm.record",  "tm.author",
      "tm.arguments", "tm.change",    "tm.row",      "tm.erasure", "tm.event"};
  std::array<std::uint8_t, 16> padded{};
  const auto name = names[static_cast<std::size_t>(kind)];
  std::copy(name.begin(), name.end(), padded.begin());
  return padded;
}

digest hash(digest_kind kind, bytes_view raw) {
  digest out;
  const auto person = personalisation(kind);
  crypto_generichash_blake2b_salt_personal(out.raw.data(), out.raw.size(), raw.data(),
                                           raw.size(), nullptr, 0, nullptr, person.data());
  return out;
}

digest hash(digest_kind kind, std::initializer_list<bytes_view> parts) {
  const auto person = personalisation(kind);
  crypto_generichash_blake2b_state state;
  crypto_generichash_blake2b_init_salt_personal(&state, nullptr, 0, 32, parts_salt.data(),
                                                person.data());
  for (const auto part : parts) {
    std::uint8_t length[8];
    for (int i = 0; i < 8; ++i)
      length[i] = static_cast<std::uint8_t>(std::uint64_t{part.size()} >> 8 * i);
    crypto_generichash_blake2b_update(&state, length, sizeof length);
    crypto_generichash_blake2b_update(&state, part.data(), part.size());
  }
  digest out;
  crypto_generichash_blake2b_final(&state, out.raw.data(), out.raw.size());
  return out;
}

std::string_view to_string(errc code) {
  switch (code) {
  case errc::malformed:
    return "malformed";
  case errc::too_large:
    return "too_large";
  case errc::bad_signature:
    return "bad_signature";
  case errc::not_found:
    return "not_found";
  case errc::conflict:
    return "conflict";
  case errc::forbidden:
    return "forbidden";
  case errc::overloaded:
    return "overloaded";
  case errc::expired:
    return "expired";
  case errc::bad_config:
    return "bad_config";
  case errc::storage:
    return "storage";
  case errc::damaged:
    return "damaged";
  case errc::unsupported:
    return "unsupported";
  case errc::unavailable:
    return "unavailable";
  }
  return "unknown";
}

void throw_exception_from_error(const error& what, const boost::source_location& at) {
  std::fprintf(stderr, "invariant broken: unexpected error %s: %s (%s:%u)\n",
               std::string(to_string(what.code)).c_str(), what.context.c_str(), at.file_name(),
               static_cast<unsigned>(at.line()));
  std::abort();
}

void invariant_broken(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "invariant broken: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

} // namespace tallymesh
