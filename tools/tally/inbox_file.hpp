// The file into which `tally take` writes what it takes: one JSON object a line, which begins
// with the delivery's number and the inbox that it came from. A delivery stands in it once:
// what the file holds already is known by its number, whatever ended its writer and in whatever
// order deliveries were taken. Owned by the command; one thread.
#pragma once

#include "messages/result.hpp"

#include <map>
#include <string>
#include <vector>

namespace tallymesh::tally {

/// Numbers, kept as the runs that they form.
class number_set {
public:
  void add(std::int64_t number);
  bool has(std::int64_t number) const;

private:
  std::map<std::int64_t, std::int64_t> runs_; ///< first to last
};

class inbox_file {
public:
  struct delivery {
    std::int64_t number = 0;
    std::string rest; ///< of the line, behind number and inbox: ",\"table\":…}"
  };

  /// `inbox` names node and mesh: deliveries of another one have other numbers. Creates the
  /// file if it is not there; cuts off a last line without an end, which was never
  /// acknowledged. What it holds is on the disk when this returns. Errors: conflict (another
  /// process writes to it, or it belongs to another inbox), damaged (a line without a number),
  /// storage.
  static result<inbox_file> open(const std::string& path, std::string_view inbox);
  inbox_file(inbox_file&& other) noexcept;
  inbox_file& operator=(inbox_file&&) = delete;
  ~inbox_file();

  bool has(std::int64_t number) const { return numbers_.has(number); }
  /// Appends those that it has not, and returns when they are on the disk; else they are not in
  /// the file. Errors: storage.
  result<void> append(const std::vector<delivery>& all);

  /// A line as the file holds it, without its end.
  static std::string line_of(std::string_view inbox, const delivery& x);

private:
  inbox_file(std::string path, std::string inbox, int file)
      : path_(std::move(path)), inbox_(std::move(inbox)), file_(file) {}
  result<void> read_all();
  result<void> read_line(std::string_view head, std::size_t line);
  result<void> sync_directory() const;

  std::string path_, inbox_;
  int file_ = -1;
  std::int64_t size_ = 0; ///< of the whole lines
  number_set numbers_;
};

} // namespace tallymesh::tally
