// A TOML file as a tree that remembers the line of each value, and a reader of its sections
// that turns the first thing wrong into one line: "FILE:LINE: key: what, expected what". Keeps
// toml++ inside document.cpp. Owned by whoever loads a config; any thread.
#pragma once

#include "messages/result.hpp"

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tallymesh::configs {

struct toml_value;
using toml_array = std::vector<toml_value>;
struct toml_entry;
using toml_table = std::vector<toml_entry>;
/// A type that no config uses: "float", "date", ...
struct toml_other {
  std::string_view type;
};
struct toml_value {
  std::size_t line = 0;
  std::variant<bool, std::int64_t, std::string, toml_array, toml_table, toml_other> data;
};

struct toml_entry {
  std::string key;
  toml_value held;
};

constexpr std::size_t max_config_bytes = 1024 * 1024;

/// The whole of a regular file of at most `max_bytes`. Errors: not_found, bad_config,
/// too_large.
result<std::string> read_bounded(const std::filesystem::path& file,
                                 std::size_t max_bytes = max_config_bytes);

/// Errors: bad_config, with file and line.
result<toml_table> parse_toml(std::string_view text, const std::string& file);

/// `text` in quotes, on one line and of bounded length, whatever it holds.
std::string in_quotes(std::string_view text);

/// Where a listener or a peer is: "host:port", with an IPv6 address in brackets.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;

  std::string to_text() const;
  /// True for 127.0.0.0/8, ::1 and localhost.
  bool is_loopback() const;
  static std::optional<endpoint> from_text(std::string_view text);
  bool operator==(const endpoint&) const = default;
};

/// True for [a-z][a-z0-9-]* (and _ where `underscores`), at most limits::max_name_bytes.
bool is_name(std::string_view text, bool underscores = false);

enum class presence { required, optional };

/// What the sections of one file share. After the first failure every read does nothing.
struct reading {
  std::string file;
  std::optional<error> failure;
  std::map<std::string, std::size_t> lines{}; ///< of the keys that were read and are there

  void fail(std::size_t line, std::string_view key, std::string_view what);
};

/// One table of the file. Reads leave `out` as it was, its default, when an optional key is
/// absent.
class section {
public:
  /// Fails at once on a key that is not in `known`.
  section(reading& state, const toml_table& table, std::string prefix, std::size_t line,
          std::initializer_list<std::string_view> known);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  void text(std::string_view key, std::string& out, presence need, std::size_t max_bytes = 256);
  void name(std::string_view key, std::string& out, bool underscores = false);
  void address(std::string_view key, endpoint& out, presence need);
  /// Relative paths are relative to the folder of the file itself.
  void flag(std::string_view key, bool& out);
  void path(std::string_view key, std::filesystem::path& out, presence need);
  template <class T>
  void number(std::string_view key, T& out, std::int64_t least, std::int64_t most) {
    if (const auto read = integer(key, least, most)) out = static_cast<T>(*read);
  }
  template <class E>
  void choice(std::string_view key, E& out, presence need,
              const std::vector<std::pair<std::string_view, E>>& choices) {
    std::vector<std::string_view> names;
    for (const auto& each : choices)
      names.push_back(each.first);
    if (const auto index = one_of(key, need, names)) out = choices[*index].second;
  }
  /// The sub-table, an empty one if it is absent.
  section table(std::string_view key, std::initializer_list<std::string_view> known) const;
  /// An array of tables, [[key]].
  std::vector<section> tables(std::string_view key, std::size_t most,
                              std::initializer_list<std::string_view> known) const;

  void fail(std::string_view key, std::string_view what) const;
  reading& state() const { return *state_; }

private:
  const toml_value* find(std::string_view key) const;
  const toml_value* find(std::string_view key, presence need, std::string_view expected) const;
  std::string full(std::string_view key) const;
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least,
                                      std::int64_t most) const;
  std::optional<std::size_t> one_of(std::string_view key, presence need,
                                    const std::vector<std::string_view>& names) const;

  reading* state_;
  const toml_table* table_;
  std::string prefix_;
  std::size_t line_;
};

} // namespace tallymesh::configs
