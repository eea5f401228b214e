#include "tools/tally/shell/editor.hpp"

#include <cstdlib>
#include <cstring>
#include <editline/readline.h>
#include <sys/stat.h>

namespace tallymesh::tally {

namespace {

constexpr int kept_lines = 1000;
const shell_session* completing = nullptr;

/// libedit asks for one candidate after the other, and frees each.
char* next_candidate(const char* text, int which) {
  static std::vector<std::string> found;
  if (which == 0) {
    const std::string_view line(rl_line_buffer, static_cast<std::size_t>(rl_point));
    const auto typed = std::strlen(text);
    auto before = line.substr(0, line.size() - std::min(typed, line.size()));
    if (const auto last = before.rfind(';'); last != before.npos)
      before.remove_prefix(last + 1);
    found = candidates(*completing, split_words(before), text);
  }
  const auto at = static_cast<std::size_t>(which);
  return at < found.size() ? ::strdup(found[at].c_str()) : nullptr;
}

char** complete(const char* text, int, int) {
  rl_attempted_completion_over = 1; // no file names
  return rl_completion_matches(text, &next_candidate);
}

} // namespace

line_editor::line_editor(const shell_session& session, std::filesystem::path history_file)
    : history_file_(std::move(history_file)) {
  completing = &session;
  static char name[] = "tally";
  rl_readline_name = name;
  rl_initialize();
  using_history();
  stifle_history(kept_lines);
  rl_attempted_completion_function = &complete;
  if (!history_file_.empty()) read_history(history_file_.c_str());
}

line_editor::~line_editor() {
  completing = nullptr;
  if (history_file_.empty()) return;
  const auto before = ::umask(0077); // what an operator typed is his
  write_history(history_file_.c_str());
  ::umask(before);
}

std::optional<std::string> line_editor::read(const std::string& prompt) {
  const std::unique_ptr<char, void (*)(void*)> line{::readline(prompt.c_str()), &std::free};
  if (!line) return std::nullopt;
  std::string out = line.get();
  if (out.find_first_not_of(" \t") != out.npos) add_history(out.c_str());
  return out;
}

} // namespace tallymesh::tally
