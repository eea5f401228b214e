// A genesis and a node file that are right, for tests to spoil, and files that live in memory.
#pragma once

#include "configs/node_config.hpp"

#include <map>

namespace tallymesh::configs::fixture {

inline std::string key_text(char digit) { return std::string(63, '0') + digit; }

inline std::string node_entry(const std::string& name, char digit) {
  const auto even = static_cast<char>(digit * 2), odd = static_cast<char>(digit * 2 + 1);
  const auto hex = [](char x) { return to_hex(bytes(32, static_cast<std::uint8_t>(x))); };
  return "[[node]]\nname = \"" + name + "\"\ntier = \"level1\"\naddress = \"127.0.0.1:70"
         + std::to_string(10 + digit) + "\"\nlink_key = \"" + hex(even) + "\"\nvote_key = \""
         + hex(odd) + "\"\n";
}

inline std::string genesis_text() {
  return "mesh = \"test\"\n" + node_entry("n1", 1) + node_entry("n2", 2) + node_entry("n3", 3)
         + node_entry("n4", 4) + "[vm]\nversion = \"Lua\"\ndigest = \"" + key_text('9')
         + "\"\n[[account]]\nname = \"clerk\"\nnode = \"n1\"\n";
}

inline std::string node_text() {
  return "node = \"n2\"\ngenesis = \"../genesis.toml\"\ndata_directory = \"data\"\n"
         "link_key_file = \"link.key\"\nvote_key_file = \"vote.key\"\n[gateway]\ntokens_file = "
         "\"tokens\"\n";
}

/// Files by path; anything else is not found.
inline file_source files(std::map<std::string, std::string> held) {
  return [held = std::move(held)](const std::filesystem::path& file) -> result<std::string> {
    const auto found = held.find(file.string());
    if (found == held.end())
      return make_error(errc::not_found, file.string() + ": cannot be read");
    return found->second;
  };
}

inline std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const auto at = text.find(what);
  TALLYMESH_INVARIANT(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

} // namespace tallymesh::configs::fixture
