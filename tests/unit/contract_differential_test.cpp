// The same random contracts in processes that differ in all that must not matter: where things
// lie in memory, what Lua seeds its hashes with, the locale, the environment, and what ran
// before. Outcome, gas and writes must be the same to the bit.
#include <boost/test/unit_test.hpp>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

struct setting {
  std::vector<std::string> environment;
  bool fixed_layout = false; ///< without address space randomization
  bool noise = false;
};

/// What `contract_differential_run` writes.
std::string output_of(int first, int last, const setting& how) {
  std::vector<std::string> arguments = {TALLYMESH_DIFFERENTIAL_RUN, std::to_string(first),
                                        std::to_string(last)};
  if (how.noise) arguments.emplace_back("noise");
  const auto pointers = [](std::vector<std::string>& from) {
    std::vector<char*> to;
    for (auto& each : from)
      to.push_back(each.data());
    to.push_back(nullptr);
    return to;
  };
  auto environment = how.environment;
  auto argv = pointers(arguments), envp = pointers(environment);
  int ends[2];
  BOOST_TEST_REQUIRE(pipe(ends) == 0);
  const auto child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    if (how.fixed_layout) personality(ADDR_NO_RANDOMIZE);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(ends[1]);
  std::string text;
  std::array<char, 65536> buffer;
  for (ssize_t got; (got = read(ends[0], buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  BOOST_TEST_REQUIRE(WIFEXITED(status));
  BOOST_TEST_REQUIRE(WEXITSTATUS(status) == 0);
  return text;
}

/// A locale whose decimal point is a comma and whose order is not that of bytes, made here, for
/// a machine may have none. Empty: it cannot be made.
class german_locale {
public:
  german_locale() {
    std::string pattern = std::filesystem::temp_directory_path() / "tallymesh-locale-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) return;
    directory_ = pattern;
    const auto command =
        "localedef -i de_DE -f UTF-8 " + pattern + "/de_DE.UTF-8 > /dev/null 2>&1";
    made_ = std::system(command.c_str()) == 0;
  }
  ~german_locale() { std::filesystem::remove_all(directory_); }
  bool made() const { return made_; }
  const std::string& directory() const { return directory_; }

private:
  std::string directory_;
  bool made_ = false;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream from(text);
  for (std::string line; std::getline(from, line);)
    if (!line.starts_with('#')) lines.push_back(line);
  return lines;
}

} // namespace

BOOST_AUTO_TEST_SUITE(contracts_in_two_processes)

BOOST_AUTO_TEST_CASE(random_contracts_come_to_the_same_in_processes_that_differ) {
  const char* const given = std::getenv("TALLYMESH_DIFFERENTIAL_SEEDS");
  const int count = given == nullptr ? 400 : std::atoi(given);
  const german_locale german;
  const auto first_text = output_of(1, count, {.environment = {"LC_ALL=C"}});
  const auto first = lines_of(first_text);
  BOOST_TEST_REQUIRE(first.size() >= static_cast<std::size_t>(count));
  std::vector<setting> others = {
      {.environment = {"LC_ALL=C.UTF-8", "FILLER=" + std::string(5000, 'x')}, .noise = true},
      {.environment = {"LC_ALL=C"}, .fixed_layout = true, .noise = true}};
  BOOST_WARN_MESSAGE(german.made(), "localedef is not there, so no other locale is tried");
  if (german.made())
    others.push_back({.environment = {"LC_ALL=de_DE.UTF-8", "LOCPATH=" + german.directory()},
                      .noise = true});
  for (const auto& other : others) {
    const auto text = output_of(1, count, other);
    if (!other.environment[0].starts_with("LC_ALL=C"))
      BOOST_TEST(text.starts_with("# locale: 0,5"));
    BOOST_TEST(lines_of(text) == first, boost::test_tools::per_element());
  }
  // The contracts must do something, or this test says nothing.
  std::map<std::string, int> outcomes;
  for (const auto& line : first)
    ++outcomes[line.substr(line.find(' ') + 1,
                           line.find(' ', line.find(' ') + 1) - line.find(' ') - 1)];
  for (const auto& [what, times] : outcomes)
    BOOST_TEST_MESSAGE(what << ": " << times);
  BOOST_TEST(outcomes["done"] > count / 2);
  BOOST_TEST(outcomes["refused:"] < count / 10);
}

BOOST_AUTO_TEST_SUITE_END()
