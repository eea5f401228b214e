// The canonical encoding of every type: one value, one string of bytes, and nothing else opens.
#include "tests/unit/messages_samples.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using testing::sampler;

namespace {

constexpr int round_trips = 60, truncated_samples = 15, mutated_samples = 10; // of each type

template <class T>
using maker = T (*)(sampler&);

template <class T>
void check_round_trip(maker<T> make) {
  sampler random(1);
  for (int i = 0; i < round_trips; ++i) {
    const auto raw = encode(make(random));
    const auto decoded = decode<T>(raw);
    BOOST_REQUIRE_MESSAGE(decoded, to_hex(raw));
    BOOST_REQUIRE_EQUAL(to_hex(encode(*decoded)), to_hex(raw));
  }
}

template <class T>
void check_truncations_and_trailing_bytes(maker<T> make) {
  sampler random(2);
  for (int i = 0; i < truncated_samples; ++i) {
    auto raw = encode(make(random));
    for (std::size_t size = 0; size < raw.size(); ++size) {
      const auto cut = decode<T>(bytes_view(raw).first(size));
      BOOST_REQUIRE_MESSAGE(!cut, size << " bytes of " << to_hex(raw));
      BOOST_REQUIRE(cut.error().code == errc::malformed);
    }
    for (const std::uint8_t extra : {0, 1, 255}) {
      raw.push_back(extra);
      BOOST_REQUIRE(!decode<T>(raw));
      raw.pop_back();
    }
  }
}

template <class T>
void check_mutations(maker<T> make) {
  sampler random(3);
  for (int i = 0; i < mutated_samples; ++i) {
    auto raw = encode(make(random));
    for (auto& byte : raw) {
      const auto original = byte;
      for (const int flipped : {1, 2, 16, 128, 255}) {
        byte = static_cast<std::uint8_t>(original ^ flipped);
        if (const auto decoded = decode<T>(raw))
          BOOST_REQUIRE_EQUAL(to_hex(encode(*decoded)), to_hex(raw));
      }
      byte = original;
    }
  }
}

template <class T>
void check(maker<T> make) {
  check_round_trip(make);
  check_truncations_and_trailing_bytes(make);
  check_mutations(make);
}

bytes from(std::string_view hex) {
  std::string packed;
  for (const char c : hex)
    if (c != ' ') packed += c;
  return from_hex(packed).value();
}

template <class T>
bool opens(std::string_view hex) {
  return decode<T>(from(hex)).has_value();
}

} // namespace

BOOST_AUTO_TEST_SUITE(messages_encoding)

// Each of these: a round trip gives equal bytes; every truncation and every trailing byte is
// refused; a changed byte is refused or is the canonical encoding of another value.
BOOST_AUTO_TEST_CASE(a_value_has_one_encoding) {
  check<value>([](sampler& s) { return s.some_value(); });
}
BOOST_AUTO_TEST_CASE(a_map_has_one_encoding) {
  check<value_map>([](sampler& s) { return s.some_map(); });
}
BOOST_AUTO_TEST_CASE(an_operation_has_one_encoding) {
  check<operation>([](sampler& s) { return s.some_operation(); });
}
BOOST_AUTO_TEST_CASE(a_batch_has_one_encoding) {
  check<batch>([](sampler& s) { return s.some_batch(); });
}
BOOST_AUTO_TEST_CASE(a_block_has_one_encoding) {
  check<block>([](sampler& s) { return s.some_block(); });
}
BOOST_AUTO_TEST_CASE(a_signed_item_has_one_encoding) {
  check<signed_item>([](sampler& s) { return s.some_item(); });
}
BOOST_AUTO_TEST_CASE(evidence_has_one_encoding) {
  check<evidence>([](sampler& s) { return s.some_evidence(); });
}
BOOST_AUTO_TEST_CASE(a_certificate_has_one_encoding) {
  check<certificate>([](sampler& s) { return s.some_certificate(); });
}
BOOST_AUTO_TEST_CASE(a_receipt_has_one_encoding) {
  check<receipt>([](sampler& s) { return s.some_receipt(); });
}
BOOST_AUTO_TEST_CASE(a_change_has_one_encoding) {
  check<change>([](sampler& s) { return s.some_change(); });
}
BOOST_AUTO_TEST_CASE(an_execution_has_one_encoding) {
  check<execution>([](sampler& s) { return s.some_execution(); });
}
BOOST_AUTO_TEST_CASE(an_erasure_and_its_certificate_have_one_encoding) {
  check<erasure>([](sampler& s) { return s.some_erasure(); });
  check<erasure_certificate>([](sampler& s) { return s.some_erasure_certificate(); });
}
BOOST_AUTO_TEST_CASE(every_kind_of_message_has_one_encoding) {
  check_round_trip<wire_message>([](sampler& s) { return s.some_message(); });
  check_truncations_and_trailing_bytes<wire_message>(
      [](sampler& s) { return s.some_message(); });
  check_mutations<wire_message>([](sampler& s) { return s.some_message(); });
}

BOOST_AUTO_TEST_CASE(values_keep_their_type_and_content) {
  sampler random(4);
  for (int i = 0; i < 500; ++i) {
    const auto what = random.some_value();
    BOOST_REQUIRE(*decode<value>(encode(what)) == what);
  }
}

BOOST_AUTO_TEST_CASE(forms_that_are_not_canonical_are_refused) {
  BOOST_TEST(opens<value>("01 01"));                                      // true
  BOOST_TEST(!opens<value>("01 02"));                                     // a bool of 2
  BOOST_TEST(opens<value>("03 0100000000000000 12"));                     // scale 18
  BOOST_TEST(!opens<value>("03 0100000000000000 13"));                    // scale 19
  BOOST_TEST(!opens<value>("08"));                                        // no such type
  BOOST_TEST(opens<value>("04 02000000 c3a9"));                           // é
  BOOST_TEST(!opens<value>("04 02000000 c328"));                          // not UTF-8
  BOOST_TEST(opens<value>("07 02000000 01000000 61 00 01000000 62 00"));  // a, b
  BOOST_TEST(!opens<value>("07 02000000 01000000 62 00 01000000 61 00")); // b, a
  BOOST_TEST(!opens<value>("07 02000000 01000000 61 00 01000000 61 00")); // a, a
}

BOOST_AUTO_TEST_CASE(a_row_and_an_operation_ask_for_ordered_keys_like_any_map) {
  BOOST_TEST(opens<value_map>("02000000 01000000 61 00 01000000 62 00"));
  BOOST_TEST(!opens<value_map>("02000000 01000000 62 00 01000000 61 00"));
  BOOST_TEST(!opens<value_map>("02000000 01000000 61 00 01000000 61 00"));
  operation unordered;
  unordered.arguments = {{"b", true}, {"a", true}};
  BOOST_TEST(!decode<operation>(encode(unordered)));
}

BOOST_AUTO_TEST_CASE(kinds_that_do_not_exist_are_refused) {
  sampler random(5);
  auto item = encode(random.some_item());
  auto receipt_bytes = encode(random.some_receipt());
  for (int kind = 0; kind < 256; ++kind) {
    item[0] = static_cast<std::uint8_t>(kind);
    BOOST_TEST(decode<signed_item>(item).has_value() == (kind >= 1 && kind <= 7));
    receipt_bytes[16 + 8 + 4 + 2 + 8] = static_cast<std::uint8_t>(kind);
    BOOST_TEST(decode<receipt>(receipt_bytes).has_value()
               == (kind <= static_cast<int>(last_outcome)));
  }
}

BOOST_AUTO_TEST_CASE(values_nest_to_the_limit_and_no_deeper) {
  const auto nested = [](int depth) {
    value x;
    for (int i = 1; i < depth; ++i)
      x = value_list{x};
    return encode(x);
  };
  BOOST_TEST(decode<value>(nested(max_value_depth)).has_value());
  BOOST_TEST(!decode<value>(nested(max_value_depth + 1)));
}

BOOST_AUTO_TEST_SUITE_END()

// Bytes that must never change: they are signed, hashed and stored.
BOOST_AUTO_TEST_SUITE(messages_golden_bytes)

namespace {
digest digest_of(std::uint8_t byte) {
  digest x;
  x.raw.fill(byte);
  return x;
}
signature signature_of(std::uint8_t byte) {
  signature x;
  x.raw.fill(byte);
  return x;
}
operation store_order() {
  operation x;
  x.id.raw = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  x.contract = "orders";
  x.action = "store";
  x.arguments = {{"row", value_map{{"amount", decimal{1250, 2}},
                                   {"codes", value_list{std::int64_t{-1}, true, value{}}},
                                   {"raw", bytes{0xab}},
                                   {"town", "é"}}},
                 {"table", "orders"}};
  x.author = "clerk";
  x.valid_until_ms = 1700000000000;
  return x;
}
std::string repeated(std::string_view hex, int times) {
  std::string x;
  for (int i = 0; i < times; ++i)
    x += hex;
  return x;
}
/// Hexadecimal parts, written with spaces for the eye.
template <class... Parts>
std::string packed(const Parts&... parts) {
  auto x = (std::string() + ... + std::string(parts));
  std::erase(x, ' ');
  return x;
}
} // namespace

BOOST_AUTO_TEST_CASE(a_batch_is_these_bytes) {
  batch x{7, 3, 1, {}, {store_order()}};
  const auto unsigned_operation = packed("000102030405060708090a0b0c0d0e0f", // id
                                         "06000000 6f7264657273",            // contract
                                         "05000000 73746f7265",              // action
                                         "05000000 636c65726b",              // author
                                         "0068e5cf8b010000");                // valid until
  const auto arguments = packed(
      "02000000",                    // two of them
      "03000000 726f77 07 04000000", // row: four fields
      "06000000 616d6f756e74 03 e204000000000000 02",
      "05000000 636f646573 06 03000000", // codes: three
      "02 ffffffffffffffff", "01 01", "00", "03000000 726177 05 01000000 ab",
      "04000000 746f776e 04 02000000 c3a9", "05000000 7461626c65 04 06000000 6f7264657273");
  BOOST_TEST(to_hex(encode(x))
             == packed("07000000 0300 0100000000000000", repeated("00", 32), "01000000",
                       unsigned_operation, "00", "00", arguments));
  x.operations[0].author_signature = signature_of(0x55);
  BOOST_TEST(to_hex(encode(x.operations[0]))
             == packed(unsigned_operation, "01", repeated("55", 64), "00", arguments));
  x.operations[0].arguments.clear();
  x.operations[0].erased = {0x0102, digest_of(0x66)};
  BOOST_TEST(to_hex(encode(x.operations[0]))
             == packed(unsigned_operation, "01", repeated("55", 64), "01", "02010000",
                       repeated("66", 32)));
}

BOOST_AUTO_TEST_CASE(a_batchs_id_is_made_of_these_digests) {
  const credentials nobody{3, {}, [](bytes_view) { return signature{}; }, {}};
  auto stored = store_order();
  stored.author_signature = signature_of(0x55);
  const auto sealed = seal(nobody, {7, 3, 1, {}, {stored}});
  const auto encoded = encode(stored);
  const auto arguments = encode(stored.arguments);
  const auto head = bytes_view(encoded).first(encoded.size() - arguments.size() - 1);
  const auto content = hash(digest_kind::arguments, arguments);
  const auto size = packed("6e000000");
  BOOST_TEST(arguments.size() == 0x6eu);
  const auto stands_for = from(size + content.hex());
  const auto of_operation = hash(digest_kind::operation, {head, stands_for});
  BOOST_TEST((operation_digest(stored) == of_operation));
  const auto header = bytes_view(sealed->body).first(4 + 2 + 8 + 32);
  BOOST_TEST((sealed->id == hash(digest_kind::batch, {header, of_operation.raw})));
  BOOST_TEST(sealed->id.hex()
             == "c08cbcc0c6b2068df462733d695213bd1b02752d2566037357b1416b2bb706d4");
}

BOOST_AUTO_TEST_CASE(a_block_is_these_bytes) {
  block x;
  x.epoch = 1;
  x.view = 9;
  x.height = 4;
  x.parent_view = 8;
  x.parent = digest_of(0x11);
  x.cut = {{0, 5, digest_of(0x22)}, {44, 6, digest_of(0x33)}};
  x.executed = {2, digest_of(0x44)};
  x.time_ms = -2;
  x.contradictions = {{{item_kind::nullify, 2, 7, {}, signature_of(0x66)},
                       {item_kind::finalize, 2, 7, digest_of(0x77), signature_of(0x88)}}};
  BOOST_TEST(to_hex(encode(x))
             == packed("01000000 0900000000000000 0400000000000000 0800000000000000",
                       repeated("11", 32), "02000000",              // cut
                       "0000 0500000000000000", repeated("22", 32), //
                       "2c00 0600000000000000", repeated("33", 32), //
                       "0200000000000000", repeated("44", 32),      // executed
                       "feffffffffffffff",                          // time
                       "01000000",                                  // evidence
                       "04 0200 0700000000000000", repeated("00", 32), repeated("66", 64),
                       "05 0200 0700000000000000", repeated("77", 32), repeated("88", 64)));
}

BOOST_AUTO_TEST_CASE(a_vote_is_these_bytes_also_as_a_frame) {
  const vote x{item_kind::notarize, 258, 9, digest_of(0x11), signature_of(0x22)};
  const auto expected =
      packed("03 0201 0900000000000000", repeated("11", 32), repeated("22", 64));
  BOOST_TEST(to_hex(encode(x)) == expected);
  BOOST_TEST(to_hex(make_frame(x)) == "05" + expected);
}

BOOST_AUTO_TEST_CASE(a_certificate_is_these_bytes) {
  const certificate x{item_kind::finalize,
                      9,
                      digest_of(0x11),
                      {{0, signature_of(0x22)}, {2, signature_of(0x33)}}};
  BOOST_TEST(to_hex(encode(x))
             == packed("05 0900000000000000", repeated("11", 32), "02000000", "0000",
                       repeated("22", 64), "0200", repeated("33", 64)));
}

BOOST_AUTO_TEST_CASE(an_execution_is_these_bytes) {
  execution x;
  x.height = 4;
  x.block = digest_of(0x11);
  x.time_ms = 5;
  x.receipts = {{{{1}},
                 4,
                 0,
                 2,
                 3,
                 outcome::out_of_range,
                 "amount",
                 1,
                 9,
                 {1, 2, 3, 4, 5},
                 {{"paid", {{"a", true}}}}}};
  x.changes = {{"orders.orders", {0xab}, {}, bytes{0, 0, 0, 0}, 6, {7, 8}}};
  x.previous = digest_of(0x22);
  BOOST_TEST(to_hex(encode(x))
             == packed("0400000000000000", repeated("11", 32), "0500000000000000",
                       "01000000 01", repeated("00", 15), "0400000000000000 00000000 0200",
                       "0300000000000000 0b 06000000 616d6f756e74 01000000 0900000000000000",
                       "01000000 02000000 03000000 04000000 05000000",
                       "00", // the events are there
                       "01000000 04000000 70616964 01000000 01000000 61 01 01",
                       "01000000 0d000000 6f72646572732e6f7264657273 01000000 ab",
                       "06000000 0700000000000000 08000000", // position, previous
                       "00", "01 04000000 00000000",         // before, after
                       repeated("22", 32)));
  BOOST_TEST(execution_digest(x).hex()
             == "d50cb2f45c6678a587c8f68ea2a04efdd9c1f0d899aa9c045110c50ffedd9b28");
  BOOST_TEST(erase_rows(x.changes[0]));
  BOOST_TEST(to_hex(encode(x.changes[0]))
             == packed("0d000000 6f72646572732e6f7264657273 01000000 ab",
                       "06000000 0700000000000000 08000000", "00 02",
                       row_digest(bytes{0, 0, 0, 0}).hex()));
  BOOST_TEST(execution_digest(x).hex()
             == "d50cb2f45c6678a587c8f68ea2a04efdd9c1f0d899aa9c045110c50ffedd9b28");
}

BOOST_AUTO_TEST_CASE(what_is_signed_is_these_bytes) {
  const auto raw = signing_bytes({digest_of(0xcc), 3}, item_kind::nullify, 2, 9, {});
  BOOST_TEST(to_hex(raw)
             == packed("74616c6c796d657368", repeated("cc", 32),
                       "03000000 04 0200 0900000000000000", repeated("00", 32)));
}

BOOST_AUTO_TEST_CASE(digests_are_these_bytes) {
  BOOST_TEST(hash(digest_kind::block, as_bytes("abc")).hex()
             == "1371d45d1b93e89aee0d1633e19eb40fd4630185f902f84e529949a51d801008");
  BOOST_TEST(hash(digest_kind::block, {as_bytes("a"), as_bytes("bc")}).hex()
             == "3feeff80d475351fb66f273c267dfdda06706c9561d1171c3348ce64c6db2a9d");
}

BOOST_AUTO_TEST_SUITE_END()
