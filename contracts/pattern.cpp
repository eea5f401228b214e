#include "contracts/pattern.hpp"

#include <algorithm>

namespace tallymesh::contracts {

static constexpr std::size_t steps_a_payment = 16;

void pattern::step() {
  if (++steps_ % steps_a_payment == 0) meter_(steps_a_payment);
}

// --- single characters. ASCII only: what the locale thinks of other bytes does not count.

static bool lower(unsigned char c) { return c >= 'a' && c <= 'z'; }
static bool upper(unsigned char c) { return c >= 'A' && c <= 'Z'; }
static bool digit(unsigned char c) { return c >= '0' && c <= '9'; }
static bool letter(unsigned char c) { return lower(c) || upper(c); }
static bool graphic(unsigned char c) { return c > 0x20 && c < 0x7F; }

static bool class_fits(unsigned char c, unsigned char name) {
  bool fits = false;
  switch (name | 0x20) {
  case 'a':
    fits = letter(c);
    break;
  case 'c':
    fits = c < 0x20 || c == 0x7F;
    break;
  case 'd':
    fits = digit(c);
    break;
  case 'g':
    fits = graphic(c);
    break;
  case 'l':
    fits = lower(c);
    break;
  case 'p':
    fits = graphic(c) && !letter(c) && !digit(c);
    break;
  case 's':
    fits = c == ' ' || (c >= '\t' && c <= '\r');
    break;
  case 'u':
    fits = upper(c);
    break;
  case 'w':
    fits = letter(c) || digit(c);
    break;
  case 'x':
    fits = digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
    break;
  default:
    return c == name;
  }
  return upper(name) ? !fits : fits;
}

/// Behind the single character, class or set that begins at `rule`.
std::size_t pattern::end_of_class(std::size_t rule) {
  const char first = rules_[rule++];
  if (first == '%') {
    if (rule == rules_.size()) throw bad_pattern{"the pattern ends with a %"};
    return rule + 1;
  }
  if (first != '[') return rule;
  if (rule < rules_.size() && rules_[rule] == '^') ++rule;
  // The first one in a set may be a bracket.
  do {
    step();
    if (rule == rules_.size()) throw bad_pattern{"the pattern has a [ without its ]"};
    if (rules_[rule++] == '%') {
      if (rule == rules_.size()) throw bad_pattern{"the pattern has a [ without its ]"};
      ++rule;
    }
  } while (rule == rules_.size() || rules_[rule] != ']');
  return rule + 1;
}

/// `rule` is at the bracket, `end` at the one that closes.
bool pattern::in_set(unsigned char c, std::size_t rule, std::size_t end) {
  bool wanted = true;
  if (rules_[++rule] == '^') {
    wanted = false;
    ++rule;
  }
  for (; rule < end; ++rule) {
    step();
    const auto first = static_cast<unsigned char>(rules_[rule]);
    if (first == '%') {
      if (class_fits(c, static_cast<unsigned char>(rules_[++rule]))) return wanted;
    } else if (rule + 2 < end && rules_[rule + 1] == '-') {
      if (first <= c && c <= static_cast<unsigned char>(rules_[rule + 2])) return wanted;
      rule += 2;
    } else if (first == c) {
      return wanted;
    }
  }
  return !wanted;
}

bool pattern::one_fits(std::size_t at, std::size_t rule, std::size_t after) {
  step();
  if (at >= text_.size()) return false;
  const auto c = static_cast<unsigned char>(text_[at]);
  switch (rules_[rule]) {
  case '.':
    return true;
  case '%':
    return class_fits(c, static_cast<unsigned char>(rules_[rule + 1]));
  case '[':
    return in_set(c, rule, after - 1);
  default:
    return c == static_cast<unsigned char>(rules_[rule]);
  }
}

// --- repetition, captures and the rest. Each returns where the whole rest of the rules ended.

std::size_t pattern::match_most(std::size_t at, std::size_t rule, std::size_t after) {
  std::size_t count = 0;
  while (one_fits(at + count, rule, after))
    ++count;
  for (;; --count) {
    if (const auto end = match(at + count, after + 1); end != no_match) return end;
    if (count == 0) return no_match;
  }
}

std::size_t pattern::match_least(std::size_t at, std::size_t rule, std::size_t after) {
  for (;; ++at) {
    if (const auto end = match(at, after + 1); end != no_match) return end;
    if (!one_fits(at, rule, after)) return no_match;
  }
}

std::size_t pattern::begin_capture(std::size_t at, std::size_t rule, bool position) {
  if (captures_.size() == max_captures) throw bad_pattern{"the pattern has too many captures"};
  captures_.push_back({at, position ? 0 : open, position});
  const auto end = match(at, rule);
  if (end == no_match) captures_.pop_back();
  return end;
}

std::size_t pattern::end_capture(std::size_t at, std::size_t rule) {
  const auto last = std::find_if(captures_.rbegin(), captures_.rend(),
                                 [](const capture& x) { return x.size == open; });
  if (last == captures_.rend()) throw bad_pattern{"the pattern has a ) without its ("};
  const auto place = static_cast<std::size_t>(&*last - captures_.data());
  captures_[place].size = at - captures_[place].start;
  const auto end = match(at, rule);
  if (end == no_match) captures_[place].size = open;
  return end;
}

std::size_t pattern::match_balanced(std::size_t at, std::size_t rule) {
  if (rule + 1 >= rules_.size()) throw bad_pattern{"%b in a pattern takes two characters"};
  if (at >= text_.size() || text_[at] != rules_[rule]) return no_match;
  const char opening = rules_[rule], closing = rules_[rule + 1];
  std::size_t depth = 1;
  for (++at; at < text_.size(); ++at) {
    step();
    if (text_[at] == closing) {
      if (--depth == 0) return at + 1;
    } else if (text_[at] == opening) {
      ++depth;
    }
  }
  return no_match;
}

std::size_t pattern::match_again(std::size_t at, char number) {
  const auto place = static_cast<std::size_t>(number - '1');
  if (place >= captures_.size() || captures_[place].size == open)
    throw bad_pattern{"the pattern names a capture that is not there"};
  const auto& earlier = captures_[place];
  for (std::size_t i = 0; i < earlier.size; ++i) {
    step();
    if (at + i >= text_.size() || text_[at + i] != text_[earlier.start + i]) return no_match;
  }
  return at + earlier.size;
}

bool pattern::at_frontier(std::size_t at, std::size_t rule, std::size_t after) {
  const auto before = at == 0 ? '\0' : text_[at - 1];
  const auto here = at < text_.size() ? text_[at] : '\0';
  return !in_set(static_cast<unsigned char>(before), rule, after - 1)
         && in_set(static_cast<unsigned char>(here), rule, after - 1);
}

std::size_t pattern::match(std::size_t at, std::size_t rule) {
  struct deeper {
    int& depth;
    explicit deeper(int& x) : depth(x) {
      if (++depth > max_depth) {
        --depth;
        throw bad_pattern{"the pattern nests too deeply"};
      }
    }
    ~deeper() { --depth; }
  } const one_deeper(depth_);
  while (rule < rules_.size()) {
    step();
    const char first = rules_[rule];
    const char second = rule + 1 < rules_.size() ? rules_[rule + 1] : '\0';
    if (first == '(') {
      const bool position = second == ')';
      return begin_capture(at, rule + (position ? 2 : 1), position);
    }
    if (first == ')') return end_capture(at, rule + 1);
    if (first == '$' && rule + 1 == rules_.size()) return at == text_.size() ? at : no_match;
    if (first == '%' && second == 'b') {
      at = match_balanced(at, rule + 2);
      if (at == no_match) return no_match;
      rule += 4;
      continue;
    }
    if (first == '%' && second == 'f') {
      rule += 2;
      if (rule >= rules_.size() || rules_[rule] != '[')
        throw bad_pattern{"%f in a pattern takes a set: write %f[%w]"};
      const auto after = end_of_class(rule);
      if (!at_frontier(at, rule, after)) return no_match;
      rule = after;
      continue;
    }
    if (first == '%' && second >= '1' && second <= '9') {
      at = match_again(at, second);
      if (at == no_match) return no_match;
      rule += 2;
      continue;
    }
    const auto after = end_of_class(rule);
    switch (after < rules_.size() ? rules_[after] : '\0') {
    case '?':
      if (one_fits(at, rule, after))
        if (const auto end = match(at + 1, after + 1); end != no_match) return end;
      rule = after + 1;
      continue;
    case '+':
      return one_fits(at, rule, after) ? match_most(at + 1, rule, after) : no_match;
    case '*':
      return match_most(at, rule, after);
    case '-':
      return match_least(at, rule, after);
    default:
      if (!one_fits(at, rule, after)) return no_match;
      ++at;
      rule = after;
    }
  }
  return at;
}

std::optional<found_match> pattern::search(std::size_t from) {
  const bool anchored = !rules_.empty() && rules_.front() == '^';
  for (auto at = from; at <= text_.size(); ++at) {
    captures_.clear();
    step();
    if (const auto end = match(at, anchored ? 1 : 0); end != no_match) {
      for (const auto& each : captures_)
        if (each.size == open) throw bad_pattern{"the pattern has a ( without its )"};
      meter_(steps_ % steps_a_payment);
      steps_ = 0;
      return found_match{at, end, captures_};
    }
    if (anchored) break;
  }
  meter_(steps_ % steps_a_payment);
  steps_ = 0;
  return std::nullopt;
}

} // namespace tallymesh::contracts
