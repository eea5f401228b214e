#include "tests/faults/language/words.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tallymesh::faults {

namespace {

bool is_space(char x) { return x == ' ' || x == '\t' || x == '\r'; }
bool is_mark(char x) { return x == '{' || x == '}' || x == '|' || x == ','; }

/// A decimal number at the start of `x`, in millionths; its digits are taken off.
std::optional<std::int64_t> take_decimal(std::string_view& x) {
  std::int64_t whole = 0, part = 0, scale = 1'000'000;
  std::size_t digits = 0, at = 0;
  for (; at < x.size() && x[at] >= '0' && x[at] <= '9'; ++at, ++digits) {
    if (digits == 9) return std::nullopt; // 999,999,999 of any unit is more than any limit
    whole = whole * 10 + (x[at] - '0');
  }
  if (digits == 0) return std::nullopt;
  if (at + 1 < x.size() && x[at] == '.' && x[at + 1] >= '0' && x[at + 1] <= '9')
    for (++at; at < x.size() && x[at] >= '0' && x[at] <= '9' && scale > 1; ++at) {
      scale /= 10;
      part += (x[at] - '0') * scale;
    }
  x.remove_prefix(at);
  return whole * 1'000'000 + part;
}

std::optional<duration> to_duration(std::string_view x) {
  const auto value = take_decimal(x);
  if (!value) return std::nullopt;
  std::int64_t us = 0;
  if (x == "us") us = 1;
  if (x == "ms") us = 1'000;
  if (x == "s") us = 1'000'000;
  if (x == "min") us = 60'000'000;
  if (x == "h") us = 3'600'000'000;
  if (us == 0) return std::nullopt;
  // Whole units and parts apart: their product with an hour would not fit.
  const auto whole = *value / 1'000'000, part = *value % 1'000'000;
  if (whole > script_limits::longest.count() / us) return std::nullopt;
  return duration(whole * us + part * us / 1'000'000);
}

std::optional<std::uint64_t> to_size(std::string_view x, std::uint64_t most) {
  const auto value = take_decimal(x);
  if (!value) return std::nullopt;
  std::uint64_t unit = 0;
  if (x == "B") unit = 1;
  if (x == "KiB") unit = 1024;
  if (x == "MiB") unit = 1024 * 1024;
  if (x == "kB") unit = 1000;
  if (x == "MB") unit = 1'000'000;
  if (unit == 0) return std::nullopt;
  const auto whole = static_cast<std::uint64_t>(*value / 1'000'000);
  const auto part = static_cast<std::uint64_t>(*value % 1'000'000);
  if (whole > most / unit) return std::nullopt;
  const auto bytes = whole * unit + part * unit / 1'000'000;
  return bytes <= most ? std::optional(bytes) : std::nullopt;
}

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

std::string quote(std::string_view x) {
  std::string text = "'";
  for (const auto each : x.substr(0, 40)) // a terminal must not be driven by a script
    text += each >= ' ' && each < 0x7F ? each : '?';
  return text + (x.size() > 40 ? "...'" : "'");
}

} // namespace

std::string nearest(std::string_view wrong, std::initializer_list<std::string_view> known) {
  std::string_view best;
  std::size_t least = 3; // more changes than two are another word
  for (const auto each : known)
    if (const auto changes = distance(wrong.substr(0, 40), each);
        changes < least && changes < each.size())
      least = changes, best = each;
  return std::string(best);
}

words::words(std::string_view line, std::uint16_t nodes) : text_(line), nodes_(nodes) {
  split();
}

void words::split() {
  const auto whole = text_;
  std::size_t at = 0, end = 0;
  while (at < whole.size() && whole[at] != '#') {
    if (is_space(whole[at])) {
      ++at;
      continue;
    }
    const auto first = at;
    if (whole[at] == '"') {
      const auto close = whole.find('"', at + 1);
      if (close == std::string_view::npos) {
        fail(at + 1, "this text does not end: write the closing \" on the same line");
        break;
      }
      items_.push_back({whole.substr(at + 1, close - at - 1), first + 1, true});
      at = close + 1;
    } else if (is_mark(whole[at])) {
      items_.push_back({whole.substr(at++, 1), first + 1, false});
    } else {
      while (at < whole.size() && !is_space(whole[at]) && !is_mark(whole[at])
             && whole[at] != '#' && whole[at] != '"')
        ++at;
      items_.push_back({whole.substr(first, at - first), first + 1, false});
    }
    end = at;
  }
  const auto begin = items_.empty() ? 0 : items_.front().column - 1;
  text_ = whole.substr(begin, end > begin ? end - begin : 0);
}

void words::fail(std::size_t column, std::string text) {
  if (failed()) return;
  column_ = column;
  problem_ = std::move(text);
}

void words::fail_here(std::string text) {
  fail(next_ == 0 ? 1 : items_[next_ - 1].column, std::move(text));
}

void words::fail_next(std::string text) {
  if (at_end())
    fail(items_.empty() ? 1 : items_.back().column + items_.back().text.size(),
         std::move(text));
  else
    fail(items_[next_].column, std::move(text));
}

std::string words::found() const {
  return at_end() ? "the line ends here" : "found " + quote(items_[next_].text);
}

bool words::next_is(std::string_view word) const {
  return !failed() && !at_end() && !items_[next_].is_quoted && items_[next_].text == word;
}

bool words::take(std::string_view word) {
  if (!next_is(word)) return false;
  ++next_;
  return true;
}

void words::expect(std::string_view word, std::string_view instead) {
  if (!take(word)) fail_next(found() + ": write " + std::string(instead));
}

void words::expect_end(std::string_view what_may_follow) {
  if (!at_end())
    fail_next(found() + " where the line should end"
              + (what_may_follow.empty() ? "" : ": " + std::string(what_may_follow)));
}

std::size_t words::one_of(std::string_view what,
                          std::initializer_list<std::string_view> known) {
  if (!at_end() && !items_[next_].is_quoted)
    if (const auto at = std::find(known.begin(), known.end(), items_[next_].text);
        at != known.end()) {
      ++next_;
      return static_cast<std::size_t>(at - known.begin());
    }
  const auto meant = at_end() ? std::string() : nearest(items_[next_].text, known);
  std::string text = found() + ": write ";
  if (!meant.empty())
    text += quote(meant);
  else {
    text += std::string(what) + ", one of";
    for (const auto each : known)
      text += ' ' + std::string(each);
  }
  fail_next(std::move(text));
  return 0;
}

std::string words::quoted(std::string_view example) {
  if (failed() || at_end() || !items_[next_].is_quoted) {
    fail_next(found() + ": write a text in quotes, such as " + std::string(example));
    return {};
  }
  return std::string(items_[next_++].text);
}

std::string words::word(std::string_view example) {
  if (failed() || at_end() || items_[next_].is_quoted || is_mark(items_[next_].text[0])) {
    fail_next(found() + ": write a word, such as " + std::string(example));
    return {};
  }
  return std::string(items_[next_++].text);
}

std::uint64_t words::number(std::string_view example, std::uint64_t least, std::uint64_t most) {
  std::uint64_t x = 0;
  if (!failed() && !at_end()) {
    const auto text = items_[next_].text;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), x);
    if (code == std::errc() && end == text.data() + text.size() && x >= least && x <= most) {
      ++next_;
      return x;
    }
  }
  fail_next(found() + ": write a whole number from " + std::to_string(least) + " to "
            + std::to_string(most) + ", such as " + std::string(example));
  return least;
}

duration words::time(std::string_view example) {
  if (!failed() && !at_end())
    if (const auto x = to_duration(items_[next_].text)) {
      ++next_;
      return *x;
    }
  fail_next(found() + ": write a time with its unit (us, ms, s, min, h; 24 h at most), such as "
            + std::string(example));
  return {};
}

duration words::signed_time(std::string_view example) {
  if (!failed() && !at_end() && items_[next_].text.size() > 1) {
    const auto text = items_[next_].text;
    if (text[0] == '+' || text[0] == '-')
      if (const auto x = to_duration(text.substr(1))) {
        ++next_;
        return text[0] == '-' ? -*x : *x;
      }
  }
  fail_next(found() + ": write a time with sign and unit, such as " + std::string(example));
  return {};
}

void words::times(std::string_view example, duration& least, duration& most) {
  if (!failed() && !at_end()) {
    const auto text = items_[next_].text;
    const auto dots = text.find("..");
    const auto low = to_duration(text.substr(0, dots));
    const auto high = dots == std::string_view::npos ? low : to_duration(text.substr(dots + 2));
    if (low && high && *low <= *high) {
      ++next_;
      least = *low, most = *high;
      return;
    }
  }
  fail_next(found() + ": write a time or a range of times, such as " + std::string(example));
}

std::uint64_t words::parts_per_million(std::string_view example) {
  if (!failed() && !at_end()) {
    auto text = items_[next_].text;
    const auto x = take_decimal(text);
    if (x && text == "%" && *x <= 100'000'000) {
      ++next_;
      return static_cast<std::uint64_t>(*x / 100);
    }
  }
  fail_next(found() + ": write a share from 0% to 100%, such as " + std::string(example));
  return 0;
}

std::uint64_t words::rate(std::string_view example, std::uint64_t most) {
  if (!failed() && !at_end()) {
    const auto text = items_[next_].text;
    std::uint64_t x = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), x);
    if (code == std::errc() && std::string_view(end, text.data() + text.size()) == "/s"
        && x >= 1 && x <= most) {
      ++next_;
      return x;
    }
  }
  fail_next(found() + ": write how many a second, from 1/s to " + std::to_string(most)
            + "/s, such as " + std::string(example));
  return 1;
}

std::uint64_t words::size(std::string_view example, std::uint64_t most) {
  if (!failed() && !at_end())
    if (const auto x = to_size(items_[next_].text, most)) {
      ++next_;
      return *x;
    }
  fail_next(found() + ": write a size with its unit (B, kB, KiB, MB, MiB; "
            + std::to_string(most) + "B at most), such as " + std::string(example));
  return 0;
}

std::uint64_t words::byte_rate(std::string_view example, std::uint64_t most) {
  if (!failed() && !at_end() && items_[next_].text.ends_with("/s")) {
    const auto text = items_[next_].text;
    if (const auto x = to_size(text.substr(0, text.size() - 2), most); x && *x > 0) {
      ++next_;
      return *x;
    }
  }
  fail_next(found() + ": write bytes a second, such as " + std::string(example));
  return 1;
}

std::optional<std::uint64_t> words::node_number(std::string_view x) {
  std::uint64_t number = 0;
  if (x.size() < 2 || x[0] != 'n') return std::nullopt;
  const auto [end, code] = std::from_chars(x.data() + 1, x.data() + x.size(), number);
  if (code != std::errc() || end != x.data() + x.size() || number == 0) return std::nullopt;
  return number;
}

/// False if `x` cannot be part of a set.
bool words::set_item(std::string_view x, node_set& into) {
  using who = node_selector::who;
  if (x == "*") return into.push_back({who::all, 0}), true;
  if (x == "leader") return into.push_back({who::leader, 0}), true;
  if (x == "killed") return into.push_back({who::killed, 0}), true;
  if (x == "stopped") return into.push_back({who::stopped, 0}), true;
  if (x == "random") return into.push_back({who::random, 1}), true;
  const auto dots = x.find("..");
  const auto first = node_number(x.substr(0, dots));
  const auto last = dots == std::string_view::npos ? first : node_number(x.substr(dots + 2));
  if (!first || !last) return false;
  if (*first > *last)
    return fail_here("the range runs backwards: write n" + std::to_string(*last) + "..n"
                     + std::to_string(*first)),
           true;
  if (*last > nodes_)
    return fail_here("there is no n" + std::to_string(*last) + ": the nodes are n1..n"
                     + std::to_string(nodes_)),
           true;
  for (auto i = *first; i <= *last; ++i)
    into.push_back({who::node, static_cast<std::uint16_t>(i - 1)});
  return true;
}

node_set words::set() {
  node_set made;
  const auto wrong = [&] {
    fail_next(
        found()
        + ": write nodes, such as n1, n1..n3, {n1 n4}, leader, killed, stopped, random, *");
  };
  if (failed() || at_end() || items_[next_].is_quoted) return wrong(), made;
  if (take("{")) {
    while (!failed() && !take("}")) {
      if (at_end()) return fail_next("the set does not end: write }"), made;
      ++next_;
      if (!set_item(items_[next_ - 1].text, made)) {
        --next_;
        return wrong(), made;
      }
    }
    if (made.empty()) fail_here("the set is empty: write nodes, such as {n1 n4}");
    return made;
  }
  ++next_;
  if (!set_item(items_[next_ - 1].text, made)) return --next_, wrong(), made;
  // "random 2": so many at once
  if (made.size() == 1 && made[0].what == node_selector::who::random && !at_end()) {
    const auto text = items_[next_].text;
    if (!text.empty() && text[0] >= '0' && text[0] <= '9'
        && text.find_first_not_of("0123456789") == text.npos)
      made[0].number = static_cast<std::uint16_t>(number("random 2", 1, nodes_));
  }
  return made;
}

std::uint16_t words::mesh_size() {
  if (!failed() && !at_end()) {
    const auto text = items_[next_].text;
    const auto dots = text.find("..");
    const auto first = node_number(text.substr(0, dots));
    const auto last =
        dots == std::string_view::npos ? first : node_number(text.substr(dots + 2));
    if (first == 1 && last && *last <= script_limits::nodes) {
      ++next_;
      return static_cast<std::uint16_t>(*last);
    }
  }
  fail_next(found() + ": write the mesh's nodes, such as n1..n7 (n1..n"
            + std::to_string(script_limits::nodes) + " at most)");
  return 1;
}

} // namespace tallymesh::faults
