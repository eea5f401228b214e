// A program that a test drives through a pseudo-terminal, as a person does: typed text goes in,
// and what the screen shows comes out as plain text. One thread.
#pragma once

#include <chrono>
#include <csignal>
#include <poll.h>
#include <pty.h>
#include <string>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <vector>

namespace end_to_end {

class terminal {
public:
  explicit terminal(const std::vector<std::string>& program) {
    const winsize size{50, 160, 0, 0};
    pid_ = ::forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    ::setenv("TERM", "dumb", 1);
    ::setenv("NO_COLOR", "1", 1);
    ::setenv("TALLYMESH_HISTORY", "", 1);
    std::vector<char*> arguments;
    for (const auto& each : program)
      arguments.push_back(const_cast<char*>(each.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  ~terminal() {
    if (pid_ > 0 && !ended_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (fd_ >= 0) ::close(fd_);
  }
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;

  bool started() const { return pid_ > 0; }

  /// All that comes up to and with `prompt` at the end; empty if it does not come in time.
  std::string read_until(const std::string& prompt,
                         std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    std::string seen;
    while (!plain(seen).ends_with(prompt)) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd input{fd_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&input, 1, static_cast<int>(left.count())) != 1)
        return {};
      char part[4096];
      const auto size = ::read(fd_, part, sizeof part);
      if (size <= 0) return {};
      seen.append(part, static_cast<std::size_t>(size));
    }
    return plain(seen);
  }
  void type(const std::string& text) {
    wait_until_it_reads_keys();
    for (const char each : text) // as keys come
      if (::write(fd_, &each, 1) != 1) return;
  }
  /// The exit status; -1 if it did not leave by itself.
  int wait_for_end() {
    char part[4096]; // until the other side closes, so that it never waits for us
    while (::read(fd_, part, sizeof part) > 0) {
    }
    int status = 0;
    ended_ = ::waitpid(pid_, &status, 0) == pid_;
    return ended_ && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

private:
  /// What comes between its prompt and its change of the terminal's mode would be shown twice:
  /// by the terminal, and by the program. Nothing tells of that change but the mode itself.
  void wait_until_it_reads_keys() const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    termios mode{};
    while (::tcgetattr(fd_, &mode) == 0 && (mode.c_lflag & ICANON) != 0
           && std::chrono::steady_clock::now() < end)
      ::poll(nullptr, 0, 1);
  }
  /// Without escape sequences and carriage returns.
  static std::string plain(const std::string& raw) {
    std::string out;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '\033' && i + 1 < raw.size() && raw[i + 1] == '[') {
        i += 2;
        while (i < raw.size() && (raw[i] < '@' || raw[i] > '~'))
          ++i;
      } else if (raw[i] == '\b') {
        if (!out.empty()) out.pop_back();
      } else if (raw[i] != '\r' && raw[i] != '\a') {
        out.push_back(raw[i]);
      }
    }
    return out;
  }

  pid_t pid_ = -1;
  int fd_ = -1;
  bool ended_ = false;
};

} // namespace end_to_end
