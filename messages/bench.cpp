// What a batch of 512 KiB costs to seal and to open (decoding, form, its id): bench_messages.
#include "messages/receipt.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>

using namespace tallymesh;

namespace {

constexpr std::size_t body_bytes = 512 * 1024;
constexpr int runs = 40;

/// Processor time: other work on the machine does not count.
double cpu_ms() {
  timespec at{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) * 1e3 + static_cast<double>(at.tv_nsec) / 1e6;
}

operation village(std::uint32_t number) {
  const auto code = std::to_string(110'101'000'000 + number);
  value_map row;
  put(row, "code", code);
  put(row, "name", "多福巷社区居委会");
  put(row, "streetCode", code.substr(0, 9));
  put(row, "areaCode", code.substr(0, 6));
  put(row, "cityCode", code.substr(0, 4));
  put(row, "provinceCode", code.substr(0, 2));
  operation what{
      .contract = "divisions", .action = "store", .author = "importer", .valid_until_ms = 1};
  for (std::size_t i = 0; i < 4; ++i)
    what.id.raw[i] = static_cast<std::uint8_t>(number >> 8 * i);
  put(what.arguments, "table", "villages");
  put(what.arguments, "row", std::move(row));
  return what;
}

batch full_batch() {
  batch x{0, 0, 1, {}, {}};
  const auto each = encode(village(0)).size();
  for (std::uint32_t i = 0; i * each < body_bytes; ++i)
    x.operations.push_back(village(i));
  return x;
}

template <class F>
double best_ms(F work) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const auto start = cpu_ms();
    work();
    best = std::min(best, cpu_ms() - start);
  }
  return best;
}

} // namespace

int main() {
  initialise_crypto();
  const auto key = signing_key::generate();
  const auto signer = ed25519_credentials(0, {}, key, {key.public_part()});
  const auto content = full_batch();
  batch_ptr sealed;
  const auto sealing = best_ms([&] { sealed = seal(signer, content); });
  const auto opening = best_ms([&] { (void)open_batch(sealed->body, sealed->signed_by); });
  std::printf("a batch of %zu operations, %zu bytes: sealed in %.2f ms, opened in %.2f ms\n",
              content.operations.size(), sealed->body.size(), sealing, opening);
}
