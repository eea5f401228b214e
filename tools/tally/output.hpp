// How `tally` prints: aligned tables, colour only on a terminal, progress on stderr for what
// takes longer than a second. Text from outside is made harmless first, so that a row cannot
// drive the terminal. Main thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace tallymesh::tally {

/// Control characters and what is not UTF-8 replaced.
std::string printable(std::string_view text);
/// JSON with what could drive or mislead a terminal escaped, as JSON allows.
std::string harmless_json(std::string_view text);

/// Columns that the text takes on a terminal: two for a Chinese character.
std::size_t display_width(std::string_view text);

enum class colour { none, green, red, yellow, bold };
/// Coloured only if standard output is a terminal and NO_COLOR is not set.
std::string painted(colour with, std::string_view text);

struct column {
  std::string title;
  bool right = false; ///< numbers
};
struct cell {
  std::string text;
  colour with = colour::none;
  cell(std::string x, colour c = colour::none) : text(std::move(x)), with(c) {}
  cell(const char* x, colour c = colour::none) : text(x), with(c) {}
};
void print_table(std::ostream& out, const std::vector<column>& columns,
                 const std::vector<std::vector<cell>>& rows);

/// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number);
/// "850 ms", "12.3 s", "4 min 5 s", "3 h 12 min"
std::string duration_text(std::chrono::milliseconds x);
/// "2026-11-24 06:05:18" in local time, of milliseconds since 1970; "-" for 0.
std::string time_text(std::int64_t ms);

/// A bar on a terminal, else a line every five seconds; nothing in the first second.
class progress {
public:
  /// `total` 0: not known.
  progress(std::string what, std::uint64_t total);
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// Call it often: it draws only when it is time to.
  void update(std::uint64_t done, std::string_view note = "");
  /// Takes the bar away.
  void finish();

private:
  using clock = std::chrono::steady_clock;
  std::string what_;
  std::uint64_t total_;
  bool terminal_;
  bool drawn_ = false;
  clock::time_point started_, next_;
};

} // namespace tallymesh::tally
