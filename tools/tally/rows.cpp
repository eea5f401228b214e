#include "tools/tally/rows.hpp"

#include "messages/bytes.hpp"
#include "tools/tally/mesh.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <set>

namespace tallymesh::tally {

std::string json_quoted(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (byte < 0x20)
      (out += "\\u00") += {digits[byte >> 4], digits[byte & 15]};
    else
      out += c;
  }
  return out += '"';
}

row_reader::row_reader(std::unique_ptr<std::istream> in, row_format format, std::string name)
    : in_(std::move(in)), format_(format), name_(std::move(name)) {}

result<row_reader> row_reader::open(const std::string& file, std::optional<row_format> format) {
  if (!format) {
    if (file.ends_with(".csv"))
      format = row_format::csv;
    else if (file.ends_with(".ndjson") || file.ends_with(".jsonl"))
      format = row_format::ndjson;
    else
      return make_error(
          errc::bad_config,
          file + ": is it CSV or NDJSON? say so by --format csv or --format ndjson");
  }
  if (file == "-")
    return from(std::make_unique<std::istream>(std::cin.rdbuf()), *format, "standard input");
  auto in = std::make_unique<std::ifstream>(file, std::ios::binary);
  // Opening a directory succeeds; reading it does not.
  if (!*in || (in->peek() == EOF && in->bad()))
    return make_error(errc::not_found, file + ": cannot be read: " + std::strerror(errno));
  return from(std::move(in), *format, file);
}

result<row_reader> row_reader::from(std::unique_ptr<std::istream> in, row_format format,
                                    std::string name) {
  row_reader out(std::move(in), format, std::move(name));
  out.skip_mark();
  if (format == row_format::csv)
    if (auto header = out.read_header(); !header) return header.error();
  return out;
}

int row_reader::take() {
  const int c = in_->rdbuf()->sbumpc();
  if (c == '\n') ++line_;
  return c;
}

int row_reader::peek() { return in_->rdbuf()->sgetc(); }

// The byte order mark that spreadsheets put before UTF-8.
void row_reader::skip_mark() {
  if (peek() != 0xEF) return;
  char mark[3] = {};
  in_->read(mark, 3);
  if (std::memcmp(mark, "\xEF\xBB\xBF", 3) == 0) return;
  // Half a mark is no UTF-8 either; the row that begins so is refused for that.
  in_->clear();
  in_->seekg(0);
}

error row_reader::stopped(errc code, std::size_t line, std::string_view what) const {
  return make_error(code, name_ + ":" + std::to_string(line) + ": " + std::string(what));
}

result<row_reader::ending> row_reader::read_field(std::string& out, std::string& problem,
                                                  std::size_t& room, bool& quoted) {
  bool inside = peek() == '"';
  quoted = inside;
  if (inside) take();
  for (;;) {
    const int c = take();
    if (c == EOF) {
      if (inside) problem = "a quote that is opened and never closed";
      return ending::file;
    }
    if (inside && c == '"') {
      if (peek() == '"')
        take();
      else {
        inside = false;
        continue;
      }
    } else if (!inside) {
      if (c == ',') return ending::field;
      if (c == '\n') return ending::record;
      if (c == '\r' && (peek() == '\n' || peek() == EOF)) continue;
      if (c == '"' && problem.empty())
        problem = "a quote inside a field that does not begin with one";
      else if (quoted && problem.empty())
        problem = "text after a field's closing quote";
    }
    if (room == 0)
      return make_error(errc::too_large, "a row of more than 256 KiB; is a quote left open?");
    --room;
    out.push_back(static_cast<char>(c));
  }
}

/// False at the end of the file. Blank lines are skipped.
result<bool> row_reader::read_record(std::vector<std::string>& out, std::string& problem) {
  for (;;) {
    out.clear();
    problem.clear();
    std::size_t room = row_limits::max_row_bytes;
    bool any_quoted = false;
    for (;;) {
      bool quoted = false;
      std::string field;
      const auto end = read_field(field, problem, room, quoted);
      if (!end) return end.error();
      any_quoted = any_quoted || quoted;
      if (out.size() < row_limits::max_fields)
        out.push_back(std::move(field));
      else
        problem = "more than 1024 fields";
      if (*end == ending::field) continue;
      const bool blank = out.size() == 1 && out[0].empty() && !any_quoted;
      if (blank && *end == ending::file) return false;
      if (blank) break;
      return true;
    }
  }
}

result<void> row_reader::read_header() {
  std::vector<std::string> names;
  std::string problem;
  const auto read = read_record(names, problem);
  if (!read) return stopped(read.error().code, 1, read.error().context);
  if (!*read)
    return stopped(errc::malformed, 1,
                   "is empty, expected a first line with the names of the fields");
  if (!problem.empty()) return stopped(errc::malformed, 1, problem);
  std::set<std::string_view> seen;
  for (const auto& each : names) {
    if (each.empty() || each.size() > 64 || !is_utf8(each))
      return stopped(
          errc::malformed, 1,
          "a field's name is empty or longer than 64 bytes, expected the names of the fields");
    if (!seen.insert(each).second)
      return stopped(errc::malformed, 1, "the field " + each + " is named twice");
    header_.push_back(json_quoted(each));
  }
  return {};
}

result<std::optional<input_row>> row_reader::next() {
  return format_ == row_format::csv ? next_csv() : next_ndjson();
}

result<std::optional<input_row>> row_reader::next_csv() {
  // Blank lines before the row do not count as its beginning.
  while (peek() == '\n' || peek() == '\r')
    take();
  input_row row;
  row.line = line_;
  std::vector<std::string> fields;
  const auto read = read_record(fields, row.problem);
  if (!read) return stopped(read.error().code, row.line, read.error().context);
  if (!*read) return std::optional<input_row>();
  if (row.problem.empty() && fields.size() != header_.size())
    row.problem = std::to_string(fields.size()) + " fields, expected "
                  + std::to_string(header_.size()) + " as in the first line";
  if (row.problem.empty()
      && !std::all_of(fields.begin(), fields.end(), [](const auto& x) { return is_utf8(x); }))
    row.problem = "text that is not UTF-8";
  if (!row.problem.empty()) return std::optional(std::move(row));
  row.object = "{";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) row.object += ',';
    row.object += header_[i] + ":" + json_quoted(fields[i]);
  }
  row.object += '}';
  return std::optional(std::move(row));
}

result<std::optional<input_row>> row_reader::next_ndjson() {
  for (;;) {
    input_row row;
    row.line = line_;
    if (peek() == EOF) return std::optional<input_row>();
    for (int c = take(); c != '\n' && c != EOF; c = take()) {
      if (row.object.size() == row_limits::max_row_bytes)
        return stopped(errc::too_large, row.line, "a line of more than 256 KiB");
      row.object.push_back(static_cast<char>(c));
    }
    if (row.object.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (row.object.back() == '\r') row.object.pop_back();
    const auto parsed = is_utf8(row.object)
                            ? parse_json(row.object)
                            : make_error(errc::malformed, "text that is not UTF-8");
    if (!parsed)
      row.problem = parsed.error().context;
    else if (!parsed->is_object())
      row.problem = "expected a JSON object";
    if (!row.problem.empty()) row.object.clear();
    return std::optional(std::move(row));
  }
}

std::vector<std::string> key_parts(std::string_view key) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '\\' && i + 1 < key.size())
      parts.back() += key[++i];
    else if (key[i] == ',')
      parts.emplace_back();
    else
      parts.back() += key[i];
  }
  return parts;
}

result<std::uint64_t> count_rows(const std::string& file, std::optional<row_format> format) {
  auto reader = row_reader::open(file, format);
  if (!reader) return reader.error();
  for (std::uint64_t count = 0;; ++count) {
    const auto row = reader->next();
    if (!row) return row.error();
    if (!*row) return count;
  }
}

} // namespace tallymesh::tally
