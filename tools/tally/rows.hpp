// Rows from a CSV (RFC 4180) or NDJSON file, one at a time and each bounded: files are as
// hostile as any input. A row that cannot be used comes with its problem; a file that cannot be
// read on is an error. Owned by its reader; one thread.
#pragma once

#include "messages/result.hpp"

#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tallymesh::tally {

enum class row_format { csv, ndjson };

struct input_row {
  std::size_t line = 0; ///< where the row begins, from 1
  std::string object;   ///< the row as a JSON object
  std::string problem;  ///< not empty: why the row is refused; then there is no object
};

namespace row_limits {
constexpr std::size_t max_row_bytes = 256 * 1024; ///< an operation holds no more
constexpr std::size_t max_fields = 1024;
} // namespace row_limits

class row_reader {
public:
  /// By the name's end: .csv, or .ndjson, .jsonl; "-" is standard input and needs `format`.
  /// Errors: not_found, bad_config, malformed (a header that is none).
  static result<row_reader> open(const std::string& file, std::optional<row_format> format);
  static result<row_reader> from(std::unique_ptr<std::istream> in, row_format format,
                                 std::string name);

  /// The next row; nothing at the end. Errors: too_large, malformed: nothing can be read after.
  result<std::optional<input_row>> next();

private:
  enum class ending { field, record, file };
  row_reader(std::unique_ptr<std::istream> in, row_format format, std::string name);

  int take();
  int peek();
  void skip_mark();
  result<ending> read_field(std::string& out, std::string& problem, std::size_t& room,
                            bool& quoted);
  result<bool> read_record(std::vector<std::string>& out, std::string& problem);
  result<void> read_header();
  result<std::optional<input_row>> next_csv();
  result<std::optional<input_row>> next_ndjson();
  error stopped(errc code, std::size_t line, std::string_view what) const;

  std::unique_ptr<std::istream> in_;
  row_format format_;
  std::string name_;
  std::size_t line_ = 1;
  std::vector<std::string> header_; ///< each already as a JSON string
};

/// `text` as a JSON string, in quotes.
std::string json_quoted(std::string_view text);

/// The parts of a key as typed: separated by commas; \, is a comma inside one.
std::vector<std::string> key_parts(std::string_view key);

/// How many rows a regular file holds, problems included. Errors: as row_reader.
result<std::uint64_t> count_rows(const std::string& file, std::optional<row_format> format);

} // namespace tallymesh::tally
