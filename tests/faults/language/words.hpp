// One line of a script as words, and how words become numbers, durations, sizes and sets of
// nodes. The first mistake is kept with its column; what is read after it does not count. Part
// of the parser; pure.
#pragma once

#include "tests/faults/language/script.hpp"

#include <initializer_list>

namespace tallymesh::faults {

class words {
public:
  words(std::string_view line, std::uint16_t nodes);

  bool failed() const { return !problem_.empty(); }
  bool at_end() const { return next_ == items_.size(); }
  /// The line without its comment and without space around it.
  std::string_view text() const { return text_; }
  const std::string& problem() const { return problem_; }
  std::size_t column() const { return column_; }
  /// Of the line's first word, and of the one that was read last.
  std::size_t first_column() const { return items_.empty() ? 1 : items_.front().column; }
  std::size_t last_column() const { return next_ == 0 ? 1 : items_[next_ - 1].column; }

  bool next_is(std::string_view word) const;
  /// Takes the word if it comes next.
  bool take(std::string_view word);
  void expect(std::string_view word, std::string_view instead);
  void expect_end(std::string_view what_may_follow);
  /// An index into `known`; a mistake names the one that is meant, or all.
  std::size_t one_of(std::string_view what, std::initializer_list<std::string_view> known);

  std::string quoted(std::string_view example);
  std::string word(std::string_view example);
  std::uint64_t number(std::string_view example, std::uint64_t least, std::uint64_t most);
  duration time(std::string_view example);
  duration signed_time(std::string_view example);
  /// "5ms..40ms", or one time for both.
  void times(std::string_view example, duration& least, duration& most);
  std::uint64_t parts_per_million(std::string_view example);
  std::uint64_t rate(std::string_view example, std::uint64_t most);
  std::uint64_t size(std::string_view example, std::uint64_t most);
  std::uint64_t byte_rate(std::string_view example, std::uint64_t most);
  node_set set();
  /// For the nodes statement: n1..nN.
  std::uint16_t mesh_size();

  /// Where the word read last stands.
  void fail_here(std::string text);
  void fail_next(std::string text);

private:
  struct item {
    std::string_view text; ///< without quotes
    std::size_t column = 0;
    bool is_quoted = false;
  };
  void split();
  bool set_item(std::string_view x, node_set& into);
  std::optional<std::uint64_t> node_number(std::string_view x);
  void fail(std::size_t column, std::string text);
  std::string found() const; ///< what comes next, for an error

  std::string_view text_;
  std::uint16_t nodes_;
  std::vector<item> items_;
  std::size_t next_ = 0;
  std::string problem_;
  std::size_t column_ = 1;
};

/// "kil" of {"kill", "heal"}: "kill"; nothing if none is near.
std::string nearest(std::string_view wrong, std::initializer_list<std::string_view> known);

} // namespace tallymesh::faults
