#include "tools/tally/shell/screen.hpp"

#include <algorithm>
#include <ostream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace tallymesh::tally {

namespace {

constexpr std::size_t between = 2;     ///< blanks between columns, as print_table sets them
constexpr std::size_t least_text = 12; ///< less of a text than this says nothing

std::vector<std::size_t> widths_of(const std::vector<column>& columns,
                                   const std::vector<std::vector<cell>>& rows) {
  std::vector<std::size_t> out;
  for (const auto& each : columns)
    out.push_back(display_width(printable(each.title)));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size() && i < out.size(); ++i)
      out[i] = std::max(out[i], display_width(printable(row[i].text)));
  return out;
}

std::size_t total(const std::vector<std::size_t>& widths, std::size_t count) {
  std::size_t out = count > 0 ? between * (count - 1) : 0;
  for (std::size_t i = 0; i < count; ++i)
    out += widths[i];
  return out;
}

/// `text` in at most `width` columns; three points stand for what is cut.
std::string cut_text(const std::string& text, std::size_t width) {
  auto out = printable(text);
  if (display_width(out) <= width) return out;
  constexpr std::string_view points = "...";
  std::size_t size = 0, columns = points.size();
  while (size < out.size()) {
    auto next = size + 1; // of UTF-8: the bytes that continue a character
    while (next < out.size() && (static_cast<unsigned char>(out[next]) & 0xC0) == 0x80)
      ++next;
    columns += display_width(std::string_view(out).substr(size, next - size));
    if (columns > width) break;
    size = next;
  }
  out.resize(size);
  return out + std::string(points);
}

} // namespace

screen_size size_of_screen() {
  winsize seen{};
  if (::isatty(STDOUT_FILENO) != 1 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &seen) != 0) return {};
  return {seen.ws_col, seen.ws_row};
}

fitted_table fit(std::vector<column> columns, std::vector<std::vector<cell>> rows,
                 std::size_t width) {
  const auto widths = widths_of(columns, rows);
  auto shown = columns.size();
  while (width > 0 && shown > 1 && total(widths, shown) > width) {
    const auto before = total(widths, shown - 1) + between;
    if (!columns[shown - 1].right && before + least_text <= width) {
      for (auto& row : rows)
        if (row.size() >= shown)
          row[shown - 1].text = cut_text(row[shown - 1].text, width - before);
      break;
    }
    --shown;
  }
  std::string left_out;
  for (std::size_t i = shown; i < columns.size(); ++i)
    (left_out += left_out.empty() ? "" : ", ") += columns[i].title;
  columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(shown), columns.end());
  for (auto& row : rows)
    if (row.size() > shown)
      row.erase(row.begin() + static_cast<std::ptrdiff_t>(shown), row.end());
  return {std::move(columns), std::move(rows), std::move(left_out)};
}

void print_fitting(std::ostream& out, std::vector<column> columns,
                   std::vector<std::vector<cell>> rows) {
  const auto table = fit(std::move(columns), std::move(rows), size_of_screen().columns);
  print_table(out, table.columns, table.rows);
  if (!table.left_out.empty())
    out << "(no room for: " << table.left_out << "; a wider terminal or -o json shows them)\n";
}

} // namespace tallymesh::tally
