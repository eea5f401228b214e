// Hostile lengths: whatever an input promises, decoding it takes memory for what is there.
// This file replaces operator new of its executable to count.
#include "tests/unit/messages_samples.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <new>

static thread_local std::size_t allocated_bytes = 0;

// GCC takes malloc inside a replaced operator new for a mismatch where both are inlined.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocated_bytes += size;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

using namespace tallymesh;
using testing::sampler;

namespace {

// A null in a list is one byte, and sizeof(value) in memory; nothing grows more than that. A
// frame holds its batches' bodies once more. The constant is for exceptions and error texts.
constexpr std::size_t most_growth = sizeof(value) + 4;
constexpr std::size_t small_change = 2048;

template <class Decode>
std::size_t allocated_by(Decode decode_it) {
  const auto before = allocated_bytes;
  decode_it();
  return allocated_bytes - before;
}

template <class T>
void check_bounded(const bytes& raw) {
  const auto used = allocated_by([&] { (void)decode<T>(raw); });
  BOOST_TEST(used <= raw.size() * most_growth + small_change,
             used << " bytes allocated for " << raw.size() << " of input");
}

void append(bytes& out, const bytes& more) { out.insert(out.end(), more.begin(), more.end()); }
bytes u32(std::uint32_t x) {
  return {static_cast<std::uint8_t>(x), static_cast<std::uint8_t>(x >> 8),
          static_cast<std::uint8_t>(x >> 16), static_cast<std::uint8_t>(x >> 24)};
}
bytes zeros(std::size_t size) { return bytes(size, 0); }
bytes joined(std::initializer_list<bytes> parts) {
  bytes out;
  for (const auto& each : parts)
    append(out, each);
  return out;
}

/// Writes each of many bad counts over each four bytes of `raw` in turn.
template <class T>
void check_every_length_replaced(const bytes& raw) {
  for (const std::uint32_t count : {0xffffffffu, 0x7fffffffu, 0x10000000u, 0x00010000u, 1000u})
    for (std::size_t at = 0; at + 4 <= raw.size(); ++at) {
      auto changed = raw;
      const auto lie = u32(count);
      std::copy(lie.begin(), lie.end(), changed.begin() + static_cast<std::ptrdiff_t>(at));
      check_bounded<T>(changed);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(messages_hostile)

BOOST_AUTO_TEST_CASE(the_counter_counts) {
  BOOST_TEST(allocated_by([] { auto x = std::make_unique<bytes>(1000); }) >= 1000u);
}

BOOST_AUTO_TEST_CASE(a_length_beyond_the_end_is_refused_without_allocating) {
  for (const std::uint32_t lie : {5u, 0x7fffffffu, 0xffffffffu}) {
    for (const std::uint8_t type : {4, 5, 6, 7}) { // text, bytes, list, map
      const auto raw = joined({{type}, u32(lie), {0, 0, 0, 0}});
      const auto used = allocated_by([&] { BOOST_TEST(!decode<value>(raw)); });
      BOOST_TEST(used < small_change);
    }
    const auto used = allocated_by([&] {
      BOOST_TEST(!decode<value_map>(u32(lie)));
      BOOST_TEST(!decode<batch>(joined({zeros(46), u32(lie), zeros(4)})));
      BOOST_TEST(!decode<block>(joined({zeros(60), u32(lie), zeros(41)})));
      BOOST_TEST(!decode<certificate>(joined({{3}, zeros(40), u32(lie), zeros(65)})));
      BOOST_TEST(!decode<execution>(joined({zeros(48), u32(lie), zeros(50)})));
      BOOST_TEST(!decode<execution>(joined({zeros(52), u32(lie), zeros(25)})));
    });
    BOOST_TEST(used < 6 * small_change);
  }
}

BOOST_AUTO_TEST_CASE(four_thousand_million_receipts_in_a_megabyte_are_refused_at_once) {
  const auto raw = joined({zeros(48), u32(0xffffffff), zeros(1 << 20)});
  const auto used = allocated_by([&] { BOOST_TEST(!decode<execution>(raw)); });
  BOOST_TEST(used < small_change);
}

BOOST_AUTO_TEST_CASE(a_count_must_fit_the_shortest_encoding_of_its_elements) {
  // 2^20 receipts of 55 bytes each cannot stand in 2^20 bytes, though 2^20 bytes could.
  const auto raw = joined({zeros(48), u32(1 << 20), zeros(1 << 20)});
  const auto used = allocated_by([&] { BOOST_TEST(!decode<execution>(raw)); });
  BOOST_TEST(used < small_change);
}

BOOST_AUTO_TEST_CASE(a_long_list_of_nulls_costs_its_elements_once) {
  const auto raw = joined({{6}, u32(100000), zeros(100000)});
  BOOST_TEST(decode<value>(raw).has_value());
  check_bounded<value>(raw);
}

BOOST_AUTO_TEST_CASE(nested_lists_cannot_count_on_the_same_bytes) {
  // Fifteen lists, each within the one before and each promising all that is left.
  const std::size_t size = 100000;
  bytes raw;
  for (int depth = 0; depth < 15; ++depth)
    append(raw, joined({{6}, u32(static_cast<std::uint32_t>(size - raw.size() - 5))}));
  raw.resize(size);
  BOOST_TEST(!decode<value>(raw));
  check_bounded<value>(raw);
}

BOOST_AUTO_TEST_CASE(a_text_cannot_eat_what_the_list_around_it_was_promised) {
  BOOST_TEST(
      decode<value>(joined({{6}, u32(3), {4}, u32(2), {'a', 'b'}, {0}, {0}})).has_value());
  BOOST_TEST(
      !decode<value>(joined({{6}, u32(3), {4}, u32(3), {'a', 'b'}, {0}, {0}})).has_value());
}

BOOST_AUTO_TEST_CASE(lists_side_by_side_share_what_is_left) {
  sampler random(6);
  for (int i = 0; i < 200; ++i) {
    bytes raw{6};
    append(raw, u32(200));
    for (int each = 0; each < 200; ++each) {
      raw.push_back(static_cast<std::uint8_t>(6 + random.below(2)));
      append(raw, u32(static_cast<std::uint32_t>(random.below(4000))));
    }
    append(raw, zeros(2000));
    check_bounded<value>(raw);
  }
}

BOOST_AUTO_TEST_CASE(every_length_in_every_type_may_lie_and_costs_nothing) {
  sampler random(7);
  for (int i = 0; i < 2; ++i) {
    check_every_length_replaced<value>(encode(random.some_value()));
    check_every_length_replaced<operation>(encode(random.some_operation()));
    check_every_length_replaced<batch>(encode(random.some_batch()));
    check_every_length_replaced<block>(encode(random.some_block()));
    check_every_length_replaced<certificate>(encode(random.some_certificate()));
    check_every_length_replaced<execution>(encode(random.some_execution()));
    for (std::size_t kind = 0; kind < std::variant_size_v<wire_message>; ++kind)
      check_every_length_replaced<wire_message>(make_frame(random.some_message(kind)));
  }
}

BOOST_AUTO_TEST_CASE(random_bytes_open_nothing_and_cost_nothing) {
  sampler random(8);
  for (int i = 0; i < 5000; ++i) {
    const auto raw = random.some_bytes(200);
    check_bounded<value>(raw);
    check_bounded<batch>(raw);
    check_bounded<execution>(raw);
    check_bounded<wire_message>(raw);
  }
}

BOOST_AUTO_TEST_CASE(a_batch_full_of_nulls_is_bounded_also_inside_a_frame) {
  batch x{0, 0, 1, {}, {operation{}}};
  x.operations[0].arguments = {{"list", value_list(200000)}};
  const auto frame =
      joined({{0}, u32(static_cast<std::uint32_t>(encode(x).size())), encode(x), zeros(64)});
  BOOST_TEST(open_frame(frame).has_value());
  check_bounded<wire_message>(frame);
}

BOOST_AUTO_TEST_SUITE_END()
