#include "tools/tally/output.hpp"

#include "messages/bytes.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <unistd.h>

namespace tallymesh::tally {

namespace {

struct code_point {
  std::uint32_t code = 0;
  std::size_t size = 0; ///< 0: not UTF-8
};

code_point first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (size > text.size() || !is_utf8(text.substr(0, size))) return {};
  std::uint32_t code = size == 1 ? lead : lead & (0x7F >> size);
  for (std::size_t i = 1; i < size; ++i)
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  return {code, size};
}

// C0 and C1 controls, and the marks that reorder or hide text.
bool is_unsafe(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200B && code <= 0x200F)
         || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069)
         || code == 0xFEFF;
}

// The wide blocks of Unicode's East Asian Width, coarsely: enough to align columns.
bool is_wide(std::uint32_t code) {
  return (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF)
         || (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF)
         || (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60)
         || (code >= 0xFFE0 && code <= 0xFFE6) || (code >= 0x1F300 && code <= 0x1FAFF)
         || (code >= 0x20000 && code <= 0x3FFFD);
}

bool colours_wanted() {
  static const bool wanted = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  return wanted;
}

std::string padded(const std::string& text, std::size_t width, bool right, colour with) {
  const std::string room(width - std::min(width, display_width(text)), ' ');
  return right ? room + painted(with, text) : painted(with, text) + room;
}

} // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [code, size] = first_of(text);
    if (size == 0 || is_unsafe(code))
      out += size == 1 && (code == '\n' || code == '\t') ? " " : "\uFFFD";
    else
      out += text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::string harmless_json(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [code, size] = first_of(text);
    if (size > 0 && code >= 0x20 && is_unsafe(code)) { // below that JSON escapes itself
      char escaped[16];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(code));
      out += escaped;
    } else {
      out += text.substr(0, std::max<std::size_t>(size, 1));
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const auto [code, size] = first_of(text);
    width += is_wide(code) ? 2 : 1;
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return width;
}

std::string painted(colour with, std::string_view text) {
  static constexpr const char* starts[] = {"", "\033[32m", "\033[31m", "\033[33m", "\033[1m"};
  if (with == colour::none || !colours_wanted()) return std::string(text);
  return starts[static_cast<int>(with)] + std::string(text) + "\033[0m";
}

void print_table(std::ostream& out, const std::vector<column>& columns,
                 const std::vector<std::vector<cell>>& rows) {
  std::vector<std::vector<cell>> lines;
  auto& head = lines.emplace_back();
  for (const auto& each : columns)
    head.emplace_back(printable(each.title), colour::bold);
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (const auto& each : row)
      line.emplace_back(printable(each.text), each.with);
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], display_width(line[i].text));
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size() && i < widths.size(); ++i) {
      const bool last = i + 1 == line.size();
      // No blanks at a line's end: they would wrap on a narrow terminal.
      const auto width = last && !columns[i].right ? 0 : widths[i];
      text += padded(line[i].text, width, columns[i].right, line[i].with);
      if (!last) text += "  ";
    }
    out << text << '\n';
  }
}

std::string grouped(std::uint64_t number) {
  auto text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;)
    text.insert(at -= 3, 1, ',');
  return text;
}

std::string duration_text(std::chrono::milliseconds x) {
  const auto ms = x.count();
  char text[64];
  if (ms < 1000)
    std::snprintf(text, sizeof text, "%lld ms", static_cast<long long>(ms));
  else if (ms < 60'000)
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1000);
  else if (ms < 3'600'000)
    std::snprintf(text, sizeof text, "%lld min %lld s", static_cast<long long>(ms / 60'000),
                  static_cast<long long>(ms / 1000 % 60));
  else
    std::snprintf(text, sizeof text, "%lld h %lld min", static_cast<long long>(ms / 3'600'000),
                  static_cast<long long>(ms / 60'000 % 60));
  return text;
}

std::string time_text(std::int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  char text[64];
  if (ms <= 0 || ::localtime_r(&seconds, &parts) == nullptr) return "-";
  const auto size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return std::string(text, size);
}

progress::progress(std::string what, std::uint64_t total)
    : what_(std::move(what)), total_(total), terminal_(::isatty(STDERR_FILENO) == 1),
      started_(clock::now()), next_(started_ + std::chrono::seconds(terminal_ ? 1 : 5)) {}

progress::~progress() { finish(); }

void progress::update(std::uint64_t done, std::string_view note) {
  const auto now = clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(terminal_ ? 100 : 5000);
  const auto seconds = std::chrono::duration<double>(now - started_).count();
  std::string text = what_ + " " + grouped(done);
  if (total_ > 0) {
    const auto share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    constexpr std::size_t cells = 24;
    const auto full = static_cast<std::size_t>(share * cells);
    if (terminal_)
      text = what_ + " [" + std::string(full, '#') + std::string(cells - full, '.') + "] "
             + grouped(done);
    text +=
        " of " + grouped(total_) + ", " + std::to_string(static_cast<int>(share * 100)) + " %";
  }
  text += ", " + grouped(static_cast<std::uint64_t>(static_cast<double>(done) / seconds))
          + " a second";
  if (!note.empty()) text += ", " + printable(note);
  if (terminal_)
    std::cerr << "\r\033[K" << text << std::flush;
  else
    std::cerr << text << '\n';
  drawn_ = true;
}

void progress::finish() {
  if (drawn_ && terminal_) std::cerr << "\r\033[K" << std::flush;
  drawn_ = false;
}

} // namespace tallymesh::tally
