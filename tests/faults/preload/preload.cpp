// Faults of disks and clocks for a real process, by LD_PRELOAD: stands between the program and
// the C library's calls that write, sync, send and tell the time. Changes nothing unless the
// environment names a control file (control.hpp). Never allocates, never throws, never locks
// but around a record; runs on whatever thread makes the call.
#include "tests/faults/preload/control.hpp"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <mutex>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

namespace {

using namespace tallymesh::faults;

template <class F>
F* next_of(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

struct calls {
  decltype(&::write) write = next_of<decltype(::write)>("write");
  decltype(&::writev) writev = next_of<decltype(::writev)>("writev");
  decltype(&::pwrite) pwrite = next_of<decltype(::pwrite)>("pwrite");
  decltype(&::pwritev) pwritev = next_of<decltype(::pwritev)>("pwritev");
  decltype(&::fsync) fsync = next_of<decltype(::fsync)>("fsync");
  decltype(&::fdatasync) fdatasync = next_of<decltype(::fdatasync)>("fdatasync");
  decltype(&::msync) msync = next_of<decltype(::msync)>("msync");
  decltype(&::ftruncate) ftruncate = next_of<decltype(::ftruncate)>("ftruncate");
  decltype(&::rename) rename = next_of<decltype(::rename)>("rename");
  decltype(&::remove) remove = next_of<decltype(::remove)>("remove");
  decltype(&::unlink) unlink = next_of<decltype(::unlink)>("unlink");
  decltype(&::unlinkat) unlinkat = next_of<decltype(::unlinkat)>("unlinkat");
  decltype(&::send) send = next_of<decltype(::send)>("send");
  int (*clock_gettime)(clockid_t,
                       timespec*) = next_of<int(clockid_t, timespec*)>("clock_gettime");
};
const calls& real() {
  static const calls made;
  return made;
}

using file_name = char[sizeof record_header::name];

class state {
public:
  state() {
    if (std::getenv(leash_variable)) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (const char* data = std::getenv(data_variable)) {
      data_size_ = std::strlen(data);
      if (data_size_ < sizeof data_) std::memcpy(data_, data, data_size_ + 1);
    }
    if (const char* file = std::getenv(control_variable)) {
      const int number = ::open(file, O_RDWR | O_CLOEXEC);
      if (number >= 0) {
        void* at = ::mmap(nullptr, sizeof(preload_control), PROT_READ | PROT_WRITE, MAP_SHARED,
                          number, 0);
        if (at != MAP_FAILED) control_ = static_cast<preload_control*>(at);
        ::close(number);
      }
    }
    if (const char* file = std::getenv(record_variable))
      record_ = ::open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }

  preload_control* control() const { return control_; }
  bool records() const { return record_ >= 0; }

  /// The part of the file's path below the data directory; false if it is elsewhere.
  bool name_of(int number, file_name& name) const {
    char path[path_size];
    return data_size_ != 0 && number != record_ && path_of(number, path) && name_of(path, name);
  }
  /// Of a file that need not be there, seen from a directory.
  bool name_at(int directory, const char* file, file_name& name) const {
    if (data_size_ == 0) return false;
    char path[PATH_MAX + path_size];
    const char* slash = std::strrchr(file, '/');
    if (slash == nullptr && directory == AT_FDCWD) {
      if (::realpath(".", path) == nullptr) return false;
    } else if (slash == nullptr) {
      char of_directory[path_size];
      if (!path_of(directory, of_directory)) return false;
      std::memcpy(path, of_directory, sizeof of_directory);
    } else {
      char parent[path_size];
      const auto size = static_cast<std::size_t>(slash - file);
      if (size >= sizeof parent) return false;
      std::memcpy(parent, file, size);
      parent[size] = '\0';
      if (::realpath(size == 0 ? "/" : parent, path) == nullptr) return false;
    }
    const char* last = slash == nullptr ? file : slash + 1;
    const auto used = std::strlen(path);
    if (used + 1 + std::strlen(last) >= sizeof path) return false;
    path[used] = '/';
    std::strcpy(path + used + 1, last);
    return name_of(path, name);
  }

  void record(record_header head, const iovec* parts, int count) {
    const std::scoped_lock alone(record_mutex_);
    timespec now{}; // read inside: the log is in the order of time
    real().clock_gettime(CLOCK_MONOTONIC, &now);
    head.at_us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
    append(&head, sizeof head);
    auto left = head.size;
    for (int i = 0; i < count && left > 0; ++i) {
      const auto some = parts[i].iov_len < left ? parts[i].iov_len : left;
      append(parts[i].iov_base, some);
      left -= some;
    }
  }

private:
  static constexpr std::size_t path_size = 512;
  static bool path_of(int number, char (&path)[path_size]) {
    char link[64];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", number);
    const auto size = ::readlink(link, path, sizeof path - 1);
    if (size < 0) return false;
    path[size] = '\0';
    return true;
  }
  bool name_of(const char* path, file_name& name) const {
    if (std::strncmp(path, data_, data_size_) != 0) return false;
    const char* below = path + data_size_;
    if (*below != '/' && *below != '\0') return false;
    std::strncpy(name, *below == '/' ? below + 1 : ".", sizeof name - 1);
    name[sizeof name - 1] = '\0';
    return true;
  }

  void append(const void* at, std::size_t size) {
    auto* from = static_cast<const char*>(at);
    while (size > 0) {
      const auto done = real().write(record_, from, size);
      if (done <= 0) std::abort(); // a log with a hole would prove nothing
      from += done;
      size -= static_cast<std::size_t>(done);
    }
  }

  preload_control* control_ = nullptr;
  char data_[400] = {};
  std::size_t data_size_ = 0;
  int record_ = -1;
  std::mutex record_mutex_;
};

state& here() {
  static state made;
  return made;
}
/// Before main, so that the leash holds from the start.
const bool started = (here(), true);

void count_down(std::atomic<std::int32_t>& counter) {
  auto now = counter.load();
  while (now > 0)
    if (counter.compare_exchange_weak(now, now - 1)) {
      if (now == 1) ::kill(::getpid(), SIGKILL);
      return;
    }
}

disk_state disk() {
  const auto* control = here().control();
  return control ? static_cast<disk_state>(control->disk.load()) : disk_state::well;
}

std::size_t size_of(const iovec* parts, int count) {
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i)
    sum += parts[i].iov_len;
  return sum;
}

/// Where a write without an offset goes.
off_t position(int number, off_t offset) {
  if (offset >= 0) return offset;
  const auto flags = ::fcntl(number, F_GETFL);
  return ::lseek(number, 0, (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
}

/// A write of a node's data: what the disk makes of it. `direct` does it.
template <class F>
ssize_t write_data(int number, const iovec* parts, int count, off_t offset, F direct) {
  file_name name;
  auto& self = here();
  if ((!self.control() && !self.records()) || !self.name_of(number, name)) return direct();
  switch (disk()) {
  case disk_state::full:
    errno = ENOSPC;
    return -1;
  case disk_state::eio:
    errno = EIO;
    return -1;
  case disk_state::torn: {
    const auto half = size_of(parts, count) / 2;
    const auto some = half < parts[0].iov_len ? half : parts[0].iov_len;
    const auto at = position(number, offset);
    if (some > 0 && at >= 0 && real().pwrite(number, parts[0].iov_base, some, at) < 0)
      return -1;
    errno = EIO;
    return -1;
  }
  default:
    break;
  }
  const auto at = self.records() ? position(number, offset) : 0;
  const auto done = direct();
  const bool is_synced = (::fcntl(number, F_GETFL) & O_DSYNC) != 0;
  if (done > 0 && self.records()) {
    record_header head;
    head.what = static_cast<std::uint32_t>(recorded::write);
    head.is_synced = is_synced;
    head.offset = at;
    head.size = static_cast<std::uint64_t>(done);
    std::memcpy(head.name, name, sizeof name);
    self.record(head, parts, count);
  }
  // LMDB's commit counts from here: its pages were synced before, this was the page that says
  // so.
  if (auto* control = self.control(); control && done > 0 && is_synced)
    count_down(control->after_sync);
  return done;
}

template <class F>
int sync_data(int number, F direct) {
  file_name name;
  auto& self = here();
  if ((!self.control() && !self.records()) || !self.name_of(number, name)) return direct();
  if (auto* control = self.control()) {
    count_down(control->before_sync);
    const auto now = disk();
    if (now == disk_state::eio || now == disk_state::torn || now == disk_state::full) {
      errno = now == disk_state::full ? ENOSPC : EIO;
      return -1;
    }
    if (now == disk_state::slow) {
      const auto ms = control->slow_ms.load();
      const timespec pause{ms / 1000, (ms % 1000) * 1'000'000L};
      ::nanosleep(&pause, nullptr);
    }
  }
  const int done = direct();
  if (done == 0 && self.records()) {
    record_header head;
    head.what = static_cast<std::uint32_t>(recorded::sync);
    std::memcpy(head.name, name, sizeof name);
    self.record(head, nullptr, 0);
  }
  return done;
}

int truncate_data(int number, off_t size) {
  const int done = real().ftruncate(number, size);
  file_name name;
  if (done == 0 && here().records() && here().name_of(number, name)) {
    record_header head;
    head.what = static_cast<std::uint32_t>(recorded::truncate);
    head.offset = size;
    std::memcpy(head.name, name, sizeof name);
    here().record(head, nullptr, 0);
  }
  return done;
}

/// A file gets another name, or with `to` empty none. The old name is judged before the call.
template <class F>
int rename_data(int directory, const char* from, const char* to, F direct) {
  file_name name, target;
  auto& self = here();
  const bool concerns = self.records() && self.name_at(directory, from, name)
                        && (to == nullptr || self.name_at(AT_FDCWD, to, target));
  const int done = direct();
  if (done == 0 && concerns) {
    record_header head;
    head.what = static_cast<std::uint32_t>(to ? recorded::rename : recorded::remove);
    head.size = to ? std::strlen(target) : 0;
    std::memcpy(head.name, name, sizeof name);
    const iovec part{target, static_cast<std::size_t>(head.size)};
    self.record(head, &part, 1);
  }
  return done;
}

/// A connection to a peer, not one of the gateway's.
bool is_link(int number, const preload_control& control) {
  sockaddr_in here{};
  socklen_t size = sizeof here;
  return ::getsockname(number, reinterpret_cast<sockaddr*>(&here), &size) == 0
         && here.sin_family == AF_INET
         && ntohs(here.sin_port) != static_cast<std::uint16_t>(control.gateway_port.load());
}

std::int64_t clock_offset_ms() {
  const auto* control = here().control();
  return control ? control->clock_offset_ms.load() : 0;
}

} // namespace

extern "C" {

ssize_t write(int number, const void* from, size_t size) {
  const iovec part{const_cast<void*>(from), size};
  return write_data(number, &part, 1, -1, [&] { return real().write(number, from, size); });
}

ssize_t writev(int number, const iovec* parts, int count) {
  return write_data(number, parts, count, -1,
                    [&] { return real().writev(number, parts, count); });
}

ssize_t pwrite(int number, const void* from, size_t size, off_t offset) {
  const iovec part{const_cast<void*>(from), size};
  return write_data(number, &part, 1, offset,
                    [&] { return real().pwrite(number, from, size, offset); });
}

ssize_t pwrite64(int number, const void* from, size_t size, off64_t offset) {
  return pwrite(number, from, size, offset);
}

ssize_t pwritev(int number, const iovec* parts, int count, off_t offset) {
  return write_data(number, parts, count, offset,
                    [&] { return real().pwritev(number, parts, count, offset); });
}

ssize_t pwritev64(int number, const iovec* parts, int count, off64_t offset) {
  return pwritev(number, parts, count, offset);
}

int fsync(int number) {
  return sync_data(number, [&] { return real().fsync(number); });
}

int fdatasync(int number) {
  return sync_data(number, [&] { return real().fdatasync(number); });
}

int msync(void* at, size_t size, int flags) { return real().msync(at, size, flags); }

int ftruncate(int number, off_t size) noexcept { return truncate_data(number, size); }
int ftruncate64(int number, off64_t size) noexcept { return truncate_data(number, size); }

int rename(const char* from, const char* to) noexcept {
  return rename_data(AT_FDCWD, from, to, [&] { return real().rename(from, to); });
}
int remove(const char* file) noexcept {
  return rename_data(AT_FDCWD, file, nullptr, [&] { return real().remove(file); });
}
int unlink(const char* file) noexcept {
  return rename_data(AT_FDCWD, file, nullptr, [&] { return real().unlink(file); });
}
int unlinkat(int directory, const char* file, int flags) noexcept {
  return rename_data(directory, file, nullptr,
                     [&] { return real().unlinkat(directory, file, flags); });
}

ssize_t send(int number, const void* from, size_t size, int flags) {
  auto* control = here().control();
  if (control
      && ((control->before_send <= 0 && control->after_send <= 0)
          || !is_link(number, *control)))
    control = nullptr;
  if (control) count_down(control->before_send);
  const auto done = real().send(number, from, size, flags);
  if (control && done > 0) count_down(control->after_send);
  return done;
}

int clock_gettime(clockid_t which, timespec* now) noexcept {
  const int done = real().clock_gettime(which, now);
  if (done != 0 || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return done;
  const auto offset_ms = clock_offset_ms();
  now->tv_sec += offset_ms / 1000;
  now->tv_nsec += offset_ms % 1000 * 1'000'000;
  if (now->tv_nsec < 0) --now->tv_sec, now->tv_nsec += 1'000'000'000;
  if (now->tv_nsec >= 1'000'000'000) ++now->tv_sec, now->tv_nsec -= 1'000'000'000;
  return 0;
}

int gettimeofday(timeval* now, void*) noexcept {
  timespec fine{};
  if (clock_gettime(CLOCK_REALTIME, &fine) != 0) return -1;
  *now = {fine.tv_sec, fine.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

} // extern "C"
