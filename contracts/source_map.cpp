#include "contracts/source_map.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace tallymesh::contracts {

namespace {

constexpr std::size_t max_depth = 256;
constexpr std::size_t max_paths = 65'536;

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool in_name(char c) { return starts_name(c) || (c >= '0' && c <= '9'); }

enum class kind { name, text, symbol, end };
struct token {
  kind what = kind::end;
  std::string_view text; ///< of a string what stands between its quotes
  std::size_t line = 0;
};

/// Lua's tokens, as far as braces and names need them.
class lexer {
public:
  explicit lexer(std::string_view source) : left_(source) {}

  token next() {
    skip_blank();
    token made{kind::end, {}, line_};
    if (left_.empty()) return made;
    const char first = left_.front();
    if (starts_name(first)) {
      std::size_t size = 1;
      while (size < left_.size() && in_name(left_[size]))
        ++size;
      return {kind::name, take(size), made.line};
    }
    if (first == '"' || first == '\'') return {kind::text, quoted_text(), made.line};
    if (const auto level = long_bracket(0)) return {kind::text, long_text(*level), made.line};
    return {kind::symbol, take(1), made.line};
  }

private:
  std::string_view take(std::size_t size) {
    const auto taken = left_.substr(0, size);
    for (const char c : taken)
      line_ += c == '\n';
    left_.remove_prefix(taken.size());
    return taken;
  }

  void skip_blank() {
    while (!left_.empty()) {
      const char c = left_.front();
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        take(1);
      } else if (left_.starts_with("--")) {
        if (const auto level = long_bracket(2)) {
          take(2);
          long_text(*level);
        } else {
          take(std::min(left_.find('\n'), left_.size()));
        }
      } else {
        return;
      }
    }
  }

  std::string_view quoted_text() {
    const char quote = left_.front();
    std::size_t size = 1;
    while (size < left_.size() && left_[size] != quote && left_[size] != '\n')
      size += left_[size] == '\\' ? 2 : 1;
    const auto raw = take(std::min(size + 1, left_.size()));
    return raw.substr(1, std::min(size, raw.size()) - 1);
  }

  /// The number of `=` of a long bracket that opens at `at`.
  std::optional<std::size_t> long_bracket(std::size_t at) const {
    if (at >= left_.size() || left_[at] != '[') return std::nullopt;
    std::size_t level = 0;
    while (at + 1 + level < left_.size() && left_[at + 1 + level] == '=')
      ++level;
    if (at + 1 + level >= left_.size() || left_[at + 1 + level] != '[') return std::nullopt;
    return level;
  }
  std::string_view long_text(std::size_t level) {
    take(level + 2);
    const auto end = left_.find("]" + std::string(level, '=') + "]");
    const auto inside = take(std::min(end, left_.size()));
    take(std::min(level + 2, left_.size()));
    return inside;
  }

  std::string_view left_;
  std::size_t line_ = 1;
};

/// The part of a file in one pair of braces.
struct frame {
  std::string path;
  std::size_t entries = 0; ///< without a name, so far
  bool at_entry = true;    ///< an entry begins here
};

} // namespace

source_map::source_map(std::string_view source) {
  lexer from(source);
  std::vector<frame> open;
  bool returned = false;
  std::string pending; ///< the path of the entry whose value comes now
  const auto note = [&](const std::string& path, std::size_t line) {
    if (lines_.size() < max_paths) lines_.try_emplace(path, line);
  };
  token now = from.next();
  while (now.what != kind::end) {
    const token after = from.next();
    const bool opens = now.what == kind::symbol && now.text == "{";
    if (open.empty()) {
      // A table that nobody returns may be anything; only what comes after `return` is
      // declared.
      if (now.what == kind::name && now.text == "return") returned = true;
      if (opens && returned) {
        open.push_back({});
        note("", now.line);
      }
      now = after;
      continue;
    }
    auto& here = open.back();
    const auto inside = here.path.empty() ? std::string() : here.path + ".";
    if (here.at_entry && now.what == kind::name && after.text == "="
        && after.what == kind::symbol) {
      pending = inside + std::string(now.text);
      note(pending, now.line);
      here.at_entry = false;
    } else if (here.at_entry && now.what == kind::symbol && now.text == "["
               && after.what == kind::text) {
      pending = inside + std::string(after.text);
      note(pending, now.line);
      here.at_entry = false;
    } else if (now.what == kind::symbol && now.text == "}") {
      open.pop_back();
      if (open.empty()) return;
    } else if (now.what == kind::symbol && (now.text == "," || now.text == ";")) {
      here.at_entry = true;
    } else {
      if (here.at_entry) {
        pending = here.path + "[" + std::to_string(++here.entries) + "]";
        note(pending, now.line);
        here.at_entry = false;
      }
      if (opens) {
        if (open.size() == max_depth) return;
        open.push_back({pending});
      }
    }
    now = after;
  }
}

std::size_t source_map::line_of(std::string_view path) const {
  for (;;) {
    if (const auto found = lines_.find(path); found != lines_.end()) return found->second;
    if (path.empty()) return 0;
    const auto cut = path.find_last_of(".[");
    path = cut == path.npos ? std::string_view() : path.substr(0, cut);
  }
}

} // namespace tallymesh::contracts
