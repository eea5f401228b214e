// What fits on the terminal: a table that is too wide is cut at its last text, or loses columns
// from its end, and says so; nothing wraps. Main thread only.
#pragma once

#include "tools/tally/output.hpp"

namespace tallymesh::tally {

/// Of the terminal that standard output is; zeros: it is none, and everything fits.
struct screen_size {
  std::size_t columns = 0, lines = 0;
};
screen_size size_of_screen();

struct fitted_table {
  std::vector<column> columns;
  std::vector<std::vector<cell>> rows;
  std::string left_out; ///< titles of the columns that found no room
};
fitted_table fit(std::vector<column> columns, std::vector<std::vector<cell>> rows,
                 std::size_t width);

/// `print_table` on the screen that there is.
void print_fitting(std::ostream& out, std::vector<column> columns,
                   std::vector<std::vector<cell>> rows);

} // namespace tallymesh::tally
