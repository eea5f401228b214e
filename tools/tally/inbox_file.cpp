#include "tools/tally/inbox_file.hpp"

#include "tools/tally/mesh.hpp"
#include "tools/tally/output.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace tallymesh::tally {

namespace {

constexpr std::size_t read_bytes = 64 * 1024;
/// A row has at most 256 KiB, and no byte of it becomes more than six in JSON.
constexpr std::size_t most_line_bytes = 2 * 1024 * 1024;

error failed(const std::string& path) {
  return make_error(errc::storage, path + ": " + std::strerror(errno));
}

} // namespace

result<inbox_file> inbox_file::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return failed(path);
  inbox_file made(path, file);
  if (::flock(file, LOCK_EX | LOCK_NB) != 0)
    return make_error(errc::conflict, path + ": another process writes to it");
  if (auto found = made.find_end(); !found) return found.error();
  return made;
}

inbox_file::inbox_file(inbox_file&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)), last_(other.last_) {
}

inbox_file::~inbox_file() {
  if (file_ >= 0) ::close(file_);
}

/// Reads backwards until the last whole line is there.
result<void> inbox_file::find_end() {
  const auto size = ::lseek(file_, 0, SEEK_END);
  if (size < 0) return failed(path_);
  std::string tail;
  auto begin = size;
  const auto whole_line = [&]() -> bool {
    const auto end = tail.rfind('\n');
    return end != tail.npos && (begin == 0 || tail.rfind('\n', end - 1) < end);
  };
  while (begin > 0 && !whole_line()) {
    if (tail.size() > 2 * most_line_bytes)
      return make_error(errc::damaged, path_ + ": its last line has no end; is it an inbox?");
    const auto more = std::min<off_t>(begin, read_bytes);
    std::string before(static_cast<std::size_t>(more), '\0');
    if (::pread(file_, before.data(), before.size(), begin - more) != more)
      return failed(path_);
    tail.insert(0, before);
    begin -= more;
  }
  const auto end = tail.rfind('\n');
  const auto kept = begin + static_cast<off_t>(end == tail.npos ? 0 : end + 1);
  if (kept < size && ::ftruncate(file_, kept) != 0) return failed(path_);
  if (end == tail.npos) return {};
  const auto before = end == 0 ? tail.npos : tail.rfind('\n', end - 1);
  const auto first = before == tail.npos ? 0 : before + 1;
  const auto line = parse_json(std::string_view(tail).substr(first, end - first));
  last_ = line ? number_at(*line, "number") : 0;
  if (last_ <= 0)
    return make_error(errc::damaged, path_
                                         + ": its last line holds no delivery; is it an "
                                           "inbox?");
  return {};
}

result<void> inbox_file::append(const std::vector<std::string>& lines, std::int64_t last) {
  std::string all;
  for (const auto& each : lines)
    (all += each) += '\n';
  for (std::size_t done = 0; done < all.size();) {
    const auto wrote = ::write(file_, all.data() + done, all.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return failed(path_);
    done += static_cast<std::size_t>(wrote);
  }
  // Before it is acknowledged: what the mesh counts as handed over is on this disk.
  if (::fdatasync(file_) != 0) return failed(path_);
  last_ = last;
  return {};
}

} // namespace tallymesh::tally
