// Where in a contract file something is declared: from a path such as "tables.orders.read" to
// its line. Lua keeps no lines of tables, so this looks at the text: braces, names before `=`,
// strings and comments. It is for messages only and never decides anything. Pure; any thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace tallymesh::contracts {

class source_map {
public:
  /// Any text will do, however broken: it finds what it can. At most 256 levels and 65,536
  /// paths.
  explicit source_map(std::string_view source);

  /// The line, from 1, of this path or of the nearest one around it that is known; 0 if none
  /// is. An entry of a list has its place in brackets, as in messages:
  /// "tables.orders.index[2]".
  std::size_t line_of(std::string_view path) const;

private:
  std::map<std::string, std::size_t, std::less<>> lines_;
};

} // namespace tallymesh::contracts
