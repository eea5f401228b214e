// Lua's patterns, by a matcher of our own whose every step is paid for: a single search with a
// few `.-` may take longer than a block has. Pure but for what `meter` does; one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tallymesh::contracts {

struct capture {
  std::size_t start = 0, size = 0;
  bool position = false; ///< of "()": only where, as `start`
};

struct found_match {
  std::size_t start = 0, end = 0;
  std::vector<capture> captures; ///< empty: the pattern has none
};

/// What a pattern that breaks the rules, or one that nests too deeply, is thrown as. Caught by
/// the string library, which knows the line.
struct bad_pattern {
  const char* why;
};

class pattern {
public:
  /// `meter` is called before every few steps with their number; it may throw.
  pattern(std::string_view text, std::string_view rules, std::function<void(std::size_t)> meter)
      : text_(text), rules_(rules), meter_(std::move(meter)) {}

  /// The first match that begins at `from` or later.
  std::optional<found_match> search(std::size_t from);

private:
  static constexpr std::size_t no_match = static_cast<std::size_t>(-1);
  static constexpr std::size_t open = static_cast<std::size_t>(-1);
  static constexpr int max_depth = 200;
  static constexpr std::size_t max_captures = 32;

  std::size_t match(std::size_t at, std::size_t rule);
  std::size_t match_most(std::size_t at, std::size_t rule, std::size_t after);
  std::size_t match_least(std::size_t at, std::size_t rule, std::size_t after);
  std::size_t begin_capture(std::size_t at, std::size_t rule, bool position);
  std::size_t end_capture(std::size_t at, std::size_t rule);
  std::size_t match_balanced(std::size_t at, std::size_t rule);
  std::size_t match_again(std::size_t at, char digit);
  bool at_frontier(std::size_t at, std::size_t rule, std::size_t after);
  bool one_fits(std::size_t at, std::size_t rule, std::size_t after);
  bool in_set(unsigned char c, std::size_t rule, std::size_t end);
  std::size_t end_of_class(std::size_t rule);
  void step();

  std::string_view text_, rules_;
  std::function<void(std::size_t)> meter_;
  std::size_t steps_ = 0;
  int depth_ = 0;
  std::vector<capture> captures_;
};

} // namespace tallymesh::contracts
