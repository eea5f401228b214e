#include "configs/document.hpp"

#include "messages/bytes.hpp"
#include "messages/limits.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

namespace tallymesh::configs {

namespace {

struct descriptor {
  int number;
  ~descriptor() {
    if (number >= 0) ::close(number);
  }
};

toml_value convert(const toml::node& from);

toml_table convert_table(const toml::table& from) {
  toml_table out;
  for (const auto& [key, each] : from)
    out.push_back({std::string(key.str()), convert(each)});
  return out;
}

toml_value convert(const toml::node& from) {
  toml_value out;
  out.line = from.source().begin.line;
  if (const auto* boolean = from.as_boolean())
    out.data = boolean->get();
  else if (const auto* number = from.as_integer())
    out.data = number->get();
  else if (const auto* text = from.as_string())
    out.data = text->get();
  else if (const auto* table = from.as_table())
    out.data = convert_table(*table);
  else if (const auto* array = from.as_array()) {
    toml_array list;
    for (const auto& each : *array)
      list.push_back(convert(each));
    // The array of [[key]] itself has no place in the file; its first element has.
    if (out.line == 0 && !list.empty()) out.line = list.front().line;
    out.data = std::move(list);
  } else
    out.data = toml_other{from.is_floating_point() ? "a float" : "a date or time"};
  return out;
}

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200))
    out.push_back(c >= 0 && c < ' ' ? ' ' : c);
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string unknown_key(std::string_view key, std::initializer_list<std::string_view> known) {
  std::string_view nearest;
  std::size_t least = SIZE_MAX;
  for (const auto each : known)
    if (const auto distance = edit_distance(key.substr(0, 64), each); distance < least)
      least = distance, nearest = each;
  if (least <= std::max<std::size_t>(2, nearest.size() / 3))
    return "unknown key, did you mean " + in_quotes(nearest) + "?";
  std::string all;
  for (const auto each : known)
    (all += all.empty() ? "" : ", ") += each;
  return "unknown key, expected one of: " + all;
}

std::string describe(const toml_value& x) {
  if (const auto* flag = std::get_if<bool>(&x.data)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&x.data)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string>(&x.data)) return in_quotes(*text);
  if (std::holds_alternative<toml_array>(x.data)) return "a list";
  if (std::holds_alternative<toml_table>(x.data)) return "a table";
  return std::string(std::get<toml_other>(x.data).type);
}

} // namespace

result<std::string> read_bounded(const std::filesystem::path& file, std::size_t max_bytes) {
  // Without O_NONBLOCK, opening a FIFO by mistake would wait for a writer for ever.
  descriptor input{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (input.number < 0)
    return make_error(errno == ENOENT ? errc::not_found : errc::bad_config,
                      file.string() + ": cannot be read: " + std::strerror(errno));
  struct stat info {};
  if (::fstat(input.number, &info) != 0 || !S_ISREG(info.st_mode))
    return make_error(errc::bad_config, file.string() + ": is not a regular file");
  const auto too_large =
      make_error(errc::too_large,
                 file.string() + ": is larger than " + std::to_string(max_bytes) + " bytes");
  if (static_cast<std::uint64_t>(info.st_size) > max_bytes) return too_large;
  std::string text(static_cast<std::size_t>(info.st_size) + 1, '\0');
  std::size_t used = 0;
  while (used < text.size()) {
    const auto got = ::read(input.number, text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return make_error(errc::bad_config,
                        file.string() + ": cannot be read: " + std::strerror(errno));
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > max_bytes) return too_large;
    // Grew since fstat: one more byte of room shows the end.
    if (used == text.size()) text.resize(text.size() + 4096);
  }
  text.resize(used);
  return text;
}

result<toml_table> parse_toml(std::string_view text, const std::string& file) {
  if (text.size() > max_config_bytes)
    return make_error(errc::too_large,
                      file + ": is larger than " + std::to_string(max_config_bytes) + " bytes");
  if (!is_utf8(text)) return make_error(errc::bad_config, file + ": is not UTF-8 text");
  try {
    return convert_table(toml::parse(text));
  } catch (const toml::parse_error& failure) {
    return make_error(errc::bad_config, file + ":" + std::to_string(failure.source().begin.line)
                                            + ": " + one_line(failure.description()));
  } catch (const std::exception& failure) {
    return make_error(errc::bad_config, file + ": " + one_line(failure.what()));
  }
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 80;
  std::string out = "\"" + one_line(text.substr(0, most));
  if (text.size() > most) {
    // Cuts before a character that would be split.
    while (!is_utf8(std::string_view(out).substr(1)))
      out.pop_back();
    out += "...";
  }
  return out + "\"";
}

std::string endpoint::to_text() const {
  const auto name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return name + ":" + std::to_string(port);
}

bool endpoint::is_loopback() const {
  const bool digits = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || (digits && host.rfind("127.", 0) == 0);
}

std::optional<endpoint> endpoint::from_text(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || text.size() > 300) return std::nullopt;
  auto host = text.substr(0, colon);
  const auto digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, failed] =
      std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc{} || end != digits.data() + digits.size() || port == 0)
    return std::nullopt;
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto allowed = bracketed ? std::string("0123456789abcdefABCDEF:.")
                                 : std::string(letters) + "0123456789.-";
  if (host.empty() || host.find_first_not_of(allowed) != std::string_view::npos)
    return std::nullopt;
  if (bracketed && host.find(':') == std::string_view::npos) return std::nullopt;
  return endpoint{std::string(host), port};
}

bool is_name(std::string_view text, bool underscores) {
  if (text.empty() || text.size() > limits::max_name_bytes) return false;
  if (text[0] < 'a' || text[0] > 'z') return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
           || (underscores && c == '_');
  });
}

void reading::fail(std::size_t line, std::string_view key, std::string_view what) {
  if (failure) return;
  failure =
      make_error(errc::bad_config, file + ":" + std::to_string(std::max<std::size_t>(line, 1))
                                       + ": " + one_line(key) + ": " + std::string(what));
}

section::section(reading& state, const toml_table& table, std::string prefix, std::size_t line,
                 std::initializer_list<std::string_view> known)
    : state_(&state), table_(&table), prefix_(std::move(prefix)), line_(line) {
  const toml_entry* first = nullptr;
  for (const auto& each : table)
    if (std::find(known.begin(), known.end(), each.key) == known.end()
        && (first == nullptr || each.held.line < first->held.line))
      first = &each;
  if (first != nullptr)
    state.fail(first->held.line, full(first->key), unknown_key(first->key, known));
}

std::string section::full(std::string_view key) const {
  return prefix_.empty() ? std::string(key) : prefix_ + "." + std::string(key);
}

const toml_value* section::find(std::string_view key) const {
  for (const auto& [name, each] : *table_)
    if (name == key) {
      state_->lines[full(key)] = each.line;
      return &each;
    }
  return nullptr;
}

const toml_value* section::find(std::string_view key, presence need,
                                std::string_view expected) const {
  const auto* found = find(key);
  if (found == nullptr && need == presence::required)
    state_->fail(line_, full(key), "is missing, expected " + std::string(expected));
  return found;
}

void section::fail(std::string_view key, std::string_view what) const {
  const auto* found = find(key);
  state_->fail(found != nullptr ? found->line : line_, full(key), what);
}

void section::text(std::string_view key, std::string& out, presence need,
                   std::size_t max_bytes) {
  const auto expected = "text of 1 to " + std::to_string(max_bytes) + " bytes";
  const auto* found = find(key, need, expected);
  if (found == nullptr) return;
  const auto* read = std::get_if<std::string>(&found->data);
  const bool plain = read != nullptr && std::none_of(read->begin(), read->end(), [](char c) {
                       return c >= 0 && c < ' ';
                     });
  if (!plain || read->empty() || read->size() > max_bytes)
    return fail(key, "is " + describe(*found) + ", expected " + expected);
  out = *read;
}

void section::name(std::string_view key, std::string& out, bool underscores) {
  std::string read;
  text(key, read, presence::required, limits::max_name_bytes);
  if (state_->failure) return;
  if (!is_name(read, underscores))
    return fail(key, "is " + in_quotes(read)
                         + ", expected a name: a lower-case letter, then letters, digits"
                         + (underscores ? ", - and _" : " and -"));
  out = std::move(read);
}

void section::address(std::string_view key, endpoint& out, presence need) {
  std::string read;
  text(key, read, need, 300);
  if (read.empty() || state_->failure) return;
  auto parsed = endpoint::from_text(read);
  if (!parsed)
    return fail(key,
                "is " + in_quotes(read) + ", expected \"host:port\" with a port of 1 to 65535");
  out = std::move(*parsed);
}

void section::flag(std::string_view key, bool& out) {
  const auto* found = find(key);
  if (found == nullptr) return;
  const auto* read = std::get_if<bool>(&found->data);
  if (read == nullptr) return fail(key, "is " + describe(*found) + ", expected true or false");
  out = *read;
}

void section::path(std::string_view key, std::filesystem::path& out, presence need) {
  std::string read;
  text(key, read, need, 4096);
  if (read.empty() || state_->failure) return;
  out = (std::filesystem::path(state_->file).parent_path() / read).lexically_normal();
}

std::optional<std::int64_t> section::integer(std::string_view key, std::int64_t least,
                                             std::int64_t most) const {
  const auto* found = find(key);
  if (found == nullptr) return std::nullopt;
  const auto* read = std::get_if<std::int64_t>(&found->data);
  if (read == nullptr || *read < least || *read > most) {
    fail(key, "is " + describe(*found) + ", expected a whole number from "
                  + std::to_string(least) + " to " + std::to_string(most));
    return std::nullopt;
  }
  return *read;
}

std::optional<std::size_t> section::one_of(std::string_view key, presence need,
                                           const std::vector<std::string_view>& names) const {
  std::string expected = "one of:";
  for (const auto each : names)
    (expected += expected.back() == ':' ? " " : ", ") += in_quotes(each);
  const auto* found = find(key, need, expected);
  if (found == nullptr) return std::nullopt;
  if (const auto* read = std::get_if<std::string>(&found->data))
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == *read) return i;
  fail(key, "is " + describe(*found) + ", expected " + expected);
  return std::nullopt;
}

section section::table(std::string_view key,
                       std::initializer_list<std::string_view> known) const {
  static const toml_table nothing;
  const auto* found = find(key);
  if (found == nullptr) return {*state_, nothing, full(key), line_, known};
  if (const auto* read = std::get_if<toml_table>(&found->data))
    return {*state_, *read, full(key), found->line, known};
  fail(key, "is " + describe(*found) + ", expected a table [" + full(key) + "]");
  return {*state_, nothing, full(key), found->line, known};
}

std::vector<section> section::tables(std::string_view key, std::size_t most,
                                     std::initializer_list<std::string_view> known) const {
  std::vector<section> out;
  const auto* found = find(key);
  if (found == nullptr) return out;
  const auto* list = std::get_if<toml_array>(&found->data);
  const auto expected =
      "expected tables [[" + full(key) + "]], at most " + std::to_string(most);
  if (list == nullptr || list->size() > most) {
    fail(key, "is "
                  + (list == nullptr ? describe(*found)
                                     : "a list of " + std::to_string(list->size()))
                  + ", " + expected);
    return out;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto& each = (*list)[i];
    if (const auto* read = std::get_if<toml_table>(&each.data)) {
      out.emplace_back(*state_, *read, full(key) + "[" + std::to_string(i) + "]", each.line,
                       known);
      continue;
    }
    state_->fail(each.line, full(key), "holds " + describe(each) + ", " + expected);
    return out;
  }
  return out;
}

} // namespace tallymesh::configs
