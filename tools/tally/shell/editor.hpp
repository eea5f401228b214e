// A line from a person: editing, history in a file, completion, by libedit. Main thread; one at
// a time.
#pragma once

#include "tools/tally/shell/session.hpp"

namespace tallymesh::tally {

class line_editor {
public:
  /// `session` must outlive it. An empty file: no history is kept.
  line_editor(const shell_session& session, std::filesystem::path history_file);
  ~line_editor();
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  /// Nothing at the end of the input.
  std::optional<std::string> read(const std::string& prompt);

private:
  std::filesystem::path history_file_;
};

} // namespace tallymesh::tally
