#include "configs/tokens.hpp"

#include <algorithm>
#include <sodium.h>
#include <sys/stat.h>

namespace tallymesh::configs {

namespace {

constexpr std::size_t max_tokens = 10'000;
constexpr std::size_t min_token_bytes = 32;
constexpr std::size_t max_token_bytes = 512;
constexpr std::string_view hashed = "blake2b:";

// Plain BLAKE2b without personalisation, so that b2sum can make the line.
std::array<std::uint8_t, 32> hash_token(std::string_view token) {
  std::array<std::uint8_t, 32> out;
  const auto raw = as_bytes(token);
  crypto_generichash(out.data(), out.size(), raw.data(), raw.size(), nullptr, 0);
  return out;
}

bool is_token(std::string_view text) {
  return text.size() >= min_token_bytes && text.size() <= max_token_bytes
         && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

std::string_view next_word(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  const auto word = rest.substr(0, rest.find_first_of(" \t"));
  rest.remove_prefix(word.size());
  return word;
}

// The token itself never stands in an error: it ends up in logs.
result<std::array<std::uint8_t, 32>> hash_of_word(std::string_view word) {
  if (word.starts_with(hashed)) {
    const auto raw = from_hex(word.substr(hashed.size()));
    if (!raw || raw->size() != 32)
      return make_error(errc::bad_config,
                        "token: expected blake2b: and 64 hexadecimal characters");
    std::array<std::uint8_t, 32> out;
    std::copy(raw->begin(), raw->end(), out.begin());
    return out;
  }
  if (!is_token(word))
    return make_error(errc::bad_config, "token: expected 32 to 512 printable ASCII characters");
  return hash_token(word);
}

} // namespace

result<token_list> token_list::parse(std::string_view text, const std::string& file,
                                     const genesis& mesh, node_index self) {
  token_list out;
  for (std::size_t line = 1; !text.empty(); ++line) {
    auto rest = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(rest.size() + 1, text.size()));
    if (rest.ends_with('\r')) rest.remove_suffix(1);
    const auto account = next_word(rest);
    if (account.empty() || account.starts_with('#')) continue;
    const auto failed = [&](std::string_view what) {
      return make_error(errc::bad_config,
                        file + ":" + std::to_string(line) + ": " + std::string(what));
    };
    const auto word = next_word(rest);
    if (word.empty() || !next_word(rest).empty())
      return failed("expected an account, a space and a token");
    if (mesh.find_account(account, mesh.nodes[self].name) == nullptr)
      return failed("account: is " + in_quotes(account)
                    + ", expected an account that genesis names for node "
                    + mesh.nodes[self].name);
    auto hash = hash_of_word(word);
    if (!hash) return failed(hash.error().context);
    if (std::any_of(out.entries_.begin(), out.entries_.end(),
                    [&](const auto& each) { return each.hash == *hash; }))
      return failed("token: is in the file twice, expected a token for one account");
    if (out.entries_.size() == max_tokens) return failed("expected at most 10000 tokens");
    out.entries_.push_back({std::string(account), *hash});
  }
  return out;
}

result<token_list> token_list::load(const std::filesystem::path& file, const genesis& mesh,
                                    node_index self) {
  struct stat info {};
  if (::stat(file.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
    return make_error(errc::forbidden, file.string()
                                           + ": can be read by others; run: chmod 600 "
                                           + file.string());
  const auto text = read_bounded(file);
  if (!text) return text.error();
  return parse(*text, file.string(), mesh, self);
}

std::optional<std::string> token_list::account_of(std::string_view token) const {
  if (!is_token(token)) return std::nullopt;
  const auto hash = hash_token(token);
  const entry* found = nullptr;
  for (const auto& each : entries_) // all of them, so that time does not tell which one
    if (sodium_memcmp(each.hash.data(), hash.data(), hash.size()) == 0) found = &each;
  if (found == nullptr) return std::nullopt;
  return found->account;
}

} // namespace tallymesh::configs
