// Prints how quickly one core reads operations out of NDJSON lines and writes receipts. By
// processor time, so that a busy machine gives the same numbers.
#include "actors/gateway/answers.hpp"
#include "actors/gateway/json_in.hpp"

#include <cstdio>
#include <ctime>

using namespace tallymesh;
using namespace tallymesh::gateway;

namespace {

constexpr char source[] = R"(
local all = { "level1" }
return { contract = "divisions", version = 1, tables = {
  villages = { key = {"code"},
    fields = { code = text{max=12, min=12}, name = text{max=64, min=1}, streetCode = text{max=9, min=9},
               areaCode = text{max=6, min=6}, cityCode = text{max=4, min=4}, provinceCode = text{max=2, min=2} },
    index = { {"provinceCode"} }, read = all, store = all, delete = all } } })";

constexpr int lines = 5'000;
constexpr int rounds = 60;

std::string line(int i) {
  auto code = std::to_string(110'101'001'000 + i);
  return R"({"id":")" + make_operation_id(1'700'000'000'000).hex()
         + R"(","contract":"divisions","action":"store","arguments":{"table":"villages","row":{"code":")"
         + code + R"(","name":"多福巷社区居委会","streetCode":"110101001","areaCode":"110101",)"
         + R"("cityCode":"1101","provinceCode":"11"}}})";
}

template <class F>
void measure(const char* what, F&& round) {
  const auto begin = std::clock();
  for (int i = 0; i < rounds; ++i)
    round();
  const auto took = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%-18s %9.0f a second of processor time\n", what, lines * rounds / took);
}

} // namespace

int main() {
  initialise_crypto();
  auto parsed = contracts::parse(source, "divisions.lua");
  TALLYMESH_INVARIANT(parsed.has_value());
  const std::vector<contracts::contract> all{*parsed};
  const account author{"operator", {}};
  std::vector<std::string> texts;
  for (int i = 0; i < lines; ++i)
    texts.push_back(line(i));
  std::vector<operation> made(lines);
  measure("operations read", [&] {
    operation_reader reader(
        {all, author, "hq", contracts::tier::level1, {}, 1'700'000'000'000});
    for (std::size_t i = 0; i < texts.size(); ++i) {
      made[i] = {};
      bool id_given = false;
      const auto refused = reader.read(texts[i], made[i], id_given);
      TALLYMESH_INVARIANT(!refused && id_given);
    }
  });
  std::string body;
  measure("receipts written", [&] {
    body.clear();
    json_out out(body);
    receipt x;
    for (const auto& each : made) {
      x.id = each.id;
      write_receipt(out, x, "hq");
      out.end_line();
    }
  });
}
