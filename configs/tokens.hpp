// The gateway's bearer tokens: which account of this node a token stands for. Only hashes of
// tokens are held, so a memory dump or a log shows none. Loaded at start and on HUP; read by
// any thread.
#pragma once

#include "configs/genesis.hpp"

namespace tallymesh::configs {

class token_list {
public:
  /// A file of lines "account token" or "account blake2b:HEX", # for comments, mode 0600. HEX
  /// is BLAKE2b-256 of the token, as `printf %s TOKEN | b2sum -l 256` prints it. Errors:
  /// not_found, forbidden (others can read the file), bad_config, too_large.
  static result<token_list> load(const std::filesystem::path& file, const genesis& mesh,
                                 node_index self);
  static result<token_list> parse(std::string_view text, const std::string& file,
                                  const genesis& mesh, node_index self);

  /// The account's name; nothing for a token that is not in the list.
  std::optional<std::string> account_of(std::string_view token) const;
  std::size_t size() const { return entries_.size(); }

private:
  struct entry {
    std::string account;
    std::array<std::uint8_t, 32> hash;
  };
  std::vector<entry> entries_;
};

} // namespace tallymesh::configs
