// What a client may send to the gateway: operations as JSON, targets, cursors. Whatever is
// taken must be what the mesh's canonical encoding can carry.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/cursor.hpp"
#include "actors/gateway/router.hpp"
#include "messages/encoding.hpp"

using namespace tallymesh;
using namespace tallymesh::gateway;

namespace {

constexpr char source[] = R"(
local all = { "level1" }
return { contract = "c", version = 1, tables = {
  t = { key = {"k", "n"},
        fields = { k = text{max=20}, n = int64{}, o = optional(one_of{"x", "y"}), d = optional(decimal{scale=3}),
                   b = optional(bytes{max=8}), f = optional(bool{}), m = optional(int64{min=-5, max=5}) },
        index = { {"n"} }, read = all, store = all, delete = all } } })";

const std::vector<contracts::contract>& contract_list() {
  static const std::vector<contracts::contract> all = [] {
    initialise_crypto();
    auto made = contracts::parse(source, "c.lua");
    TALLYMESH_INVARIANT(made.has_value());
    return std::vector<contracts::contract>{*made};
  }();
  return all;
}

void try_operation(std::string_view text) {
  static const account author{"a", {}};
  static operation_reader reader(
      {contract_list(), author, "hq", contracts::tier::level1, {}, 1'700'000'000'000});
  operation made;
  bool id_given = false;
  if (const auto refused = reader.read(text, made, id_given)) {
    TALLYMESH_INVARIANT(refused->status >= 400 && !refused->detail.empty());
    return;
  }
  const auto raw = encode(made);
  TALLYMESH_INVARIANT(raw.size() <= limits::max_operation_bytes);
  const auto again = decode<operation>(raw);
  TALLYMESH_INVARIANT(again.has_value() && encode(*again) == raw);
  TALLYMESH_INVARIANT(made.author == "a" && made.contract == "c");
  // The whole answer for it is JSON again.
  std::string body;
  json_out(body).typed(made.arguments);
  TALLYMESH_INVARIANT(is_utf8(body));
}

void try_target(std::string_view text) {
  const auto routed = route("GET", text);
  if (const auto* found = std::get_if<call>(&routed)) {
    for (const auto& each : found->path)
      TALLYMESH_INVARIANT(is_utf8(each));
    for (const auto& each : found->key)
      TALLYMESH_INVARIANT(is_utf8(each));
    for (const auto& [name, what] : found->query)
      TALLYMESH_INVARIANT(is_utf8(name + what));
    (void)number_in(*found, "limit", 1, 1, 1000);
  }
}

void try_cursor(std::string_view text) {
  if (const auto raw = from_base64url(text)) TALLYMESH_INVARIANT(to_base64url(*raw) == text);
  if (const auto place = read_place_cursor(text, {}))
    TALLYMESH_INVARIANT(make_place_cursor(*place, {}) == text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('/'))
    try_target(text);
  else
    try_operation(text);
  try_cursor(text);
  return 0;
}
