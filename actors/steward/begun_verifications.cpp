#include "actors/steward/begun_verifications.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace tallymesh::steward {

static error failed(const std::filesystem::path& file) {
  return make_error(errc::storage, file.string() + ": " + std::strerror(errno));
}

static result<void> sync(const std::filesystem::path& file, int flags) {
  const int opened = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
  if (opened < 0) return failed(file);
  const bool synced = ::fsync(opened) == 0;
  const auto why = failed(file);
  ::close(opened);
  if (!synced) return why;
  return {};
}

result<begun_verifications> begun_verifications::open(std::filesystem::path directory) {
  std::error_code why;
  std::filesystem::create_directories(directory, why);
  if (why) return make_error(errc::storage, directory.string() + ": " + why.message());
  begun_verifications made(std::move(directory));
  for (std::filesystem::directory_iterator at(made.directory_, why), end; !why && at != end;
       at.increment(why))
    made.left_.insert(at->path().filename().string());
  if (why) return make_error(errc::storage, made.directory_.string() + ": " + why.message());
  return made;
}

result<void> begun_verifications::sync_directory() const {
  return sync(directory_, O_RDONLY | O_DIRECTORY);
}

result<void> begun_verifications::begin(const std::string& proposal) const {
  // Its name is all that it says; it must be there after a power loss, too.
  if (auto made = sync(directory_ / proposal, O_WRONLY | O_CREAT); !made) return made;
  return sync_directory();
}

result<void> begun_verifications::finish(const std::string& proposal) const {
  const auto file = directory_ / proposal;
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return failed(file);
  return sync_directory();
}

result<void> begun_verifications::forget(const std::string& proposal) {
  left_.erase(proposal);
  return finish(proposal);
}

} // namespace tallymesh::steward
