// The file into which `tally take` writes what it takes: one JSON object a line, each with its
// "number". The last whole line says where to go on, so that a subscriber that was killed
// neither loses a delivery nor writes one twice. Owned by the command; one thread.
#pragma once

#include "messages/result.hpp"

#include <string>
#include <vector>

namespace tallymesh::tally {

class inbox_file {
public:
  /// Creates it if it is not there; cuts off a last line without an end, which was never
  /// acknowledged. Errors: conflict (another process writes to it), damaged (a last line
  /// without a number), storage.
  static result<inbox_file> open(const std::string& path);
  inbox_file(inbox_file&& other) noexcept;
  inbox_file& operator=(inbox_file&&) = delete;
  ~inbox_file();

  /// The number of the last line; 0 if there is none.
  std::int64_t last() const { return last_; }
  /// Appends lines, the last of them of this number, and returns when they are on the disk.
  /// Errors: storage.
  result<void> append(const std::vector<std::string>& lines, std::int64_t last);

private:
  inbox_file(std::string path, int file) : path_(std::move(path)), file_(file) {}
  result<void> find_end();

  std::string path_;
  int file_ = -1;
  std::int64_t last_ = 0;
};

} // namespace tallymesh::tally
