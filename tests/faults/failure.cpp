#include "tests/faults/failure.hpp"

#include "tests/faults/director.hpp"
#include "tests/faults/reduction.hpp"

#include <deque>
#include <fstream>

namespace tallymesh::faults {

namespace {

/// A shorter script draws other numbers from the same seed, so a few seeds may stand in for it.
constexpr std::uint64_t seeds_tried = 12;
constexpr std::size_t trace_lines_kept = 20'000;

bool same_promise(const simulated_outcome& a, const simulated_outcome& b) {
  return a.findings.front().what == b.findings.front().what;
}

std::optional<simulated_outcome> failing_run(const script& what, const simulated_outcome& like,
                                             bool check_order) {
  for (std::uint64_t i = 0; i < seeds_tried; ++i) {
    auto one = run_simulated(what, simulated_options{like.seed + i, check_order, {}});
    if (!one.passed() && same_promise(one, like)) return one;
  }
  return std::nullopt;
}

/// Of a trace's line: what a person looks for first.
bool tells_the_story(std::string_view line) {
  for (const auto word : {" -- ", " starts", " crashes", " cannot store", " delivers ",
                          " halts", " observes ", " link down ", " link up ", "VIOLATION"})
    if (line.find(word) != line.npos) return true;
  return false;
}

result<void> write_file(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (!out) return make_error(errc::storage, file.string() + ": cannot be written");
  return {};
}

std::string verdict_text(const script& what, const simulated_outcome& x) {
  std::string text = what.name + "\nseed " + std::to_string(x.seed) + '\n';
  for (const auto& each : x.findings)
    text += (each.what ? std::string(to_string(*each.what)) : std::string("a rule"))
            + " broken: " + each.text + '\n';
  return text;
}

} // namespace

failure_report reduce_failure(const script& what, const simulated_outcome& failed,
                              bool check_order) {
  failure_report made{what, failed};
  made.reduced = reduce(what, [&](const script& candidate) {
    auto shown = failing_run(candidate, failed, check_order);
    if (shown) made.shown = std::move(*shown);
    return shown.has_value();
  });
  made.reduced.seed = made.shown.seed;
  return made;
}

result<void> write_failure(const std::filesystem::path& folder, const script& what,
                           const simulated_outcome& failed, const failure_report& found,
                           bool check_order) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code) return make_error(errc::storage, folder.string() + ": " + code.message());
  std::string timeline = "Seconds, who, what. Lines with -- are the script's and the mesh's.\n";
  std::deque<std::string> trace;
  simulated_options again{found.shown.seed, check_order, {}};
  again.trace = [&](std::string_view line) {
    auto readable = count_from_one(line);
    if (tells_the_story(readable)) timeline += readable + '\n';
    trace.push_back(std::move(readable));
    if (trace.size() > trace_lines_kept) trace.pop_front();
  };
  run_simulated(found.reduced, again);
  std::string whole_trace;
  for (const auto& each : trace)
    whole_trace += each + '\n';
  const std::pair<const char*, std::string> files[] = {
      {"script.fault", what.text()},
      {"reduced.fault", found.reduced.text()},
      {"verdict.txt", verdict_text(what, failed) + "\nCut down:\n"
                          + verdict_text(found.reduced, found.shown)
                          + "\nAgain: tally faults run reduced.fault\n"},
      {"timeline.txt", timeline},
      {"trace.txt", whole_trace}};
  for (const auto& [name, text] : files)
    if (auto written = write_file(folder / name, text); !written) return written.error();
  return {};
}

} // namespace tallymesh::faults
