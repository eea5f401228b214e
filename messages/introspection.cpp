#include "messages/introspection.hpp"

#include "messages/encoding_archive.hpp"

#include <algorithm>

namespace tallymesh {

namespace introspection {

template <class Archive>
void question::serialize(Archive& a) {
  a(number, closed(about), arguments);
}

template <class Archive>
void answer::serialize(Archive& a) {
  a(number, last, failure, body);
}

std::string_view to_string(topic x) {
  static constexpr std::string_view names[] = {
      "hello",  "tree", "actor",     "mailbox",  "state",  "links",     "consensus", "mempool",
      "ledger", "rows", "contracts", "evidence", "config", "operation", "logs",      "trace",
      "stop",   "kill", "restart",   "pause",    "resume", "log level", "fault"};
  static_assert(std::size(names) == static_cast<std::size_t>(topic::fault) + 1);
  return names[static_cast<std::size_t>(x)];
}

std::string_view to_string(role x) { return x == role::control ? "control" : "read"; }

bytes make_frame(const question& x) { return encode(x); }

bytes make_frame(const answer& x) {
  auto frame = encode(x);
  if (frame.size() <= max_answer_bytes) return frame;
  return encode(answer{x.number,
                       true,
                       "the answer would be larger than "
                           + std::to_string(max_answer_bytes / 1024)
                           + " KiB; ask for less at a time",
                       {}});
}

result<answer_head> head_of_answer(bytes_view frame) {
  constexpr std::size_t number_bytes = 4; // then a byte: whether it is the last
  if (frame.size() <= number_bytes || frame[number_bytes] > 1)
    return make_error(errc::malformed, "no answer");
  answer_head out;
  for (std::size_t i = 0; i < number_bytes; ++i)
    out.number |= std::uint32_t{frame[i]} << 8 * i;
  out.last = frame[number_bytes] == 1;
  return out;
}

result<question> open_question(bytes_view frame) {
  if (frame.size() > max_question_bytes)
    return make_error(errc::too_large, "a question of more than 4 KiB");
  return decode<question>(frame);
}

result<answer> open_answer(bytes_view frame) {
  if (frame.size() > max_answer_bytes)
    return make_error(errc::too_large, "an answer of more than 256 KiB");
  return decode<answer>(frame);
}

template <class T>
static const T* member(const value_map& from, std::string_view key) {
  const auto* found = find(from, key);
  return found == nullptr ? nullptr : found->as<T>();
}

std::string text_at(const value_map& from, std::string_view key, std::string_view otherwise) {
  const auto* found = member<std::string>(from, key);
  return found == nullptr ? std::string(otherwise) : *found;
}

std::int64_t number_at(const value_map& from, std::string_view key, std::int64_t otherwise) {
  const auto* found = member<std::int64_t>(from, key);
  return found == nullptr ? otherwise : std::clamp(*found, -most_number, most_number);
}

std::vector<std::int64_t> numbers_at(const value_map& from, std::string_view key,
                                     std::size_t most) {
  std::vector<std::int64_t> out;
  for (const auto& each : list_at(from, key)) {
    if (out.size() == most) break;
    const auto* one = each.as<std::int64_t>();
    out.push_back(one == nullptr ? 0 : std::clamp(*one, -most_number, most_number));
  }
  return out;
}

bool flag_at(const value_map& from, std::string_view key) {
  const auto* found = member<bool>(from, key);
  return found != nullptr && *found;
}

const value_map& map_at(const value_map& from, std::string_view key) {
  static const value_map nothing;
  const auto* found = member<value_map>(from, key);
  return found == nullptr ? nothing : *found;
}

const value_list& list_at(const value_map& from, std::string_view key) {
  static const value_list nothing;
  const auto* found = member<value_list>(from, key);
  return found == nullptr ? nothing : *found;
}

std::vector<const value_map*> maps_at(const value_map& from, std::string_view key) {
  std::vector<const value_map*> out;
  for (const auto& each : list_at(from, key))
    if (const auto* map = each.as<value_map>()) out.push_back(map);
  return out;
}

} // namespace introspection

TALLYMESH_ENCODING(introspection::question);
TALLYMESH_ENCODING(introspection::answer);

} // namespace tallymesh
