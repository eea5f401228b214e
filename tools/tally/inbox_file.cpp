#include "tools/tally/inbox_file.hpp"

#include "tools/tally/rows.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>

namespace tallymesh::tally {

namespace {

constexpr std::size_t read_bytes = 256 * 1024;
/// What of a line is looked at: its number and its inbox, however they are escaped.
constexpr std::size_t head_bytes = 1024;
constexpr std::string_view number_mark = "{\"number\":";
constexpr std::string_view inbox_mark = ",\"inbox\":";

error failed(const std::string& path) {
  return make_error(errc::storage, path + ": " + std::strerror(errno));
}

} // namespace

void number_set::add(std::int64_t number) {
  if (has(number)) return;
  auto last = number;
  if (const auto next = runs_.find(number + 1); next != runs_.end()) {
    last = next->second;
    runs_.erase(next);
  }
  auto before = runs_.lower_bound(number);
  if (before != runs_.begin() && (--before)->second == number - 1)
    before->second = last;
  else
    runs_[number] = last;
}

bool number_set::has(std::int64_t number) const {
  const auto behind = runs_.upper_bound(number);
  return behind != runs_.begin() && std::prev(behind)->second >= number;
}

result<inbox_file> inbox_file::open(const std::string& path, std::string_view inbox) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return failed(path);
  inbox_file made(path, std::string(inbox), file);
  if (::flock(file, LOCK_EX | LOCK_NB) != 0)
    return make_error(errc::conflict, path + ": another process writes to it");
  if (auto good = made.read_all(); !good) return good.error();
  // A writer that was ended may have written what no disk has yet; and a file whose name is not
  // on the disk is as lost as its lines.
  if (::fsync(file) != 0) return failed(path);
  if (auto good = made.sync_directory(); !good) return good.error();
  return made;
}

inbox_file::inbox_file(inbox_file&& other) noexcept
    : path_(std::move(other.path_)), inbox_(std::move(other.inbox_)),
      file_(std::exchange(other.file_, -1)), size_(other.size_),
      numbers_(std::move(other.numbers_)) {}

inbox_file::~inbox_file() {
  if (file_ >= 0) ::close(file_);
}

result<void> inbox_file::sync_directory() const {
  const auto parent = std::filesystem::absolute(path_).parent_path();
  const int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return failed(parent);
  const bool good = ::fsync(directory) == 0;
  const auto why = failed(parent);
  ::close(directory);
  if (!good) return why;
  return {};
}

/// The beginning of line `line`, as `line_of` makes it.
result<void> inbox_file::read_line(std::string_view head, std::size_t line) {
  const auto no_inbox = [&] {
    return make_error(errc::damaged, path_ + ": line " + std::to_string(line)
                                         + " holds no delivery; is it an inbox?");
  };
  if (!head.starts_with(number_mark)) return no_inbox();
  head.remove_prefix(number_mark.size());
  std::int64_t number = 0;
  const auto end = std::from_chars(head.data(), head.data() + head.size(), number);
  if (end.ec != std::errc() || number <= 0) return no_inbox();
  head.remove_prefix(static_cast<std::size_t>(end.ptr - head.data()));
  if (!head.starts_with(inbox_mark)) return no_inbox();
  if (!head.substr(inbox_mark.size()).starts_with(json_quoted(inbox_)))
    return make_error(errc::conflict, path_ + ": line " + std::to_string(line)
                                          + " is of another inbox than " + inbox_
                                          + "; name another file");
  numbers_.add(number);
  return {};
}

result<void> inbox_file::read_all() {
  std::string block(read_bytes, '\0'), head;
  std::int64_t at = 0;
  for (std::size_t line = 1;;) {
    const auto got = ::pread(file_, block.data(), block.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path_);
    if (got == 0) break;
    at += got;
    std::string_view left(block.data(), static_cast<std::size_t>(got));
    while (!left.empty()) {
      const auto end = left.find('\n');
      head.append(
          left.substr(0, std::min(end, head_bytes - std::min(head.size(), head_bytes))));
      if (end == left.npos) break;
      if (auto good = read_line(head, line++); !good) return good;
      head.clear();
      left.remove_prefix(end + 1);
      size_ = at - static_cast<std::int64_t>(left.size());
    }
  }
  if (size_ < at && ::ftruncate(file_, size_) != 0) return failed(path_);
  return {};
}

std::string inbox_file::line_of(std::string_view inbox, const delivery& x) {
  return std::string(number_mark) + std::to_string(x.number) + std::string(inbox_mark)
         + json_quoted(inbox) + x.rest;
}

result<void> inbox_file::append(const std::vector<delivery>& all) {
  std::string text;
  for (const auto& each : all)
    if (!has(each.number)) (text += line_of(inbox_, each)) += '\n';
  if (text.empty()) return {};
  const auto give_up = [&] {
    const auto why = failed(path_);
    // What may not be on the disk must not look as if it were. If even this fails, the next
    // writer finds half a line, or syncs what is there.
    [[maybe_unused]] const int ignored = ::ftruncate(file_, size_);
    return why;
  };
  for (std::size_t done = 0; done < text.size();) {
    const auto wrote = ::write(file_, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return give_up();
    done += static_cast<std::size_t>(wrote);
  }
  // Before it is acknowledged: what the mesh counts as handed over is on this disk.
  if (::fdatasync(file_) != 0) return give_up();
  size_ += static_cast<std::int64_t>(text.size());
  for (const auto& each : all)
    numbers_.add(each.number);
  return {};
}

} // namespace tallymesh::tally
