// Texts, digests, keys, votes, certificates, and what open_batch, open_block and open_frame
// refuse.
#include "tests/unit/messages_samples.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

using namespace tallymesh;
using testing::sampler;

namespace {

constexpr auto smallest = std::numeric_limits<std::int64_t>::min();
constexpr auto largest = std::numeric_limits<std::int64_t>::max();

/// A directory that goes with the test.
struct temporary_directory {
  std::filesystem::path path;
  temporary_directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "tallymesh-XXXXXX").string();
    TALLYMESH_INVARIANT(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~temporary_directory() { std::filesystem::remove_all(path); }
};

void write(const std::filesystem::path& file, std::string_view text, mode_t mode = 0600) {
  std::ofstream(file) << text;
  ::chmod(file.c_str(), mode);
}

signing_key key_of(std::uint8_t seed) {
  std::array<std::uint8_t, 32> raw{};
  raw[0] = seed;
  return signing_key::from_seed(raw);
}

/// A mesh of n nodes whose node i signs with key_of(i).
struct small_mesh {
  signing_domain domain{hash(digest_kind::genesis, as_bytes("a mesh")), 1};
  validator_set nodes;
  std::vector<public_key> keys;

  explicit small_mesh(std::uint16_t n) : nodes(validator_set::make(domain.chain, 1, n)) {
    for (int i = 0; i < n; ++i)
      keys.push_back(key_of(static_cast<std::uint8_t>(i)).public_part());
  }
  credentials of(node_index i) const {
    return ed25519_credentials(i, domain, key_of(static_cast<std::uint8_t>(i)), keys);
  }
  certificate certify(item_kind kind, view_number view, const digest& what, int votes) const {
    certificate x{kind, view, what, {}};
    for (node_index i = 0; i < votes; ++i)
      x.votes.emplace_back(i, of(i).make(kind, view, what).signed_by);
    return x;
  }
};

const digest some_block = hash(digest_kind::block, as_bytes("some block"));
const digest other_block = hash(digest_kind::block, as_bytes("another block"));

signed_item item(item_kind kind, std::uint64_t position, const digest& what,
                 node_index signer = 1) {
  return {kind, signer, position, what, {}};
}

block lawful_block() {
  block x;
  x.view = x.height = 1;
  x.cut = {{0, 1, some_block}, {1, 1, some_block}};
  return x;
}
batch lawful_batch() { return {1, 0, 1, {}, {operation{}}}; }

/// The error's name, or "accepted".
template <class T>
std::string_view refusal(const result<T>& opened) {
  return opened ? "accepted" : to_string(opened.error().code);
}
std::string_view refusal_of(const batch& x) { return refusal(open_batch(encode(x), {})); }
std::string_view refusal_of(const block& x) { return refusal(open_block(encode(x), 0, {})); }
std::string_view refusal_of(const wire_message& x) {
  return refusal(open_frame(make_frame(x)));
}

} // namespace

BOOST_AUTO_TEST_SUITE(messages_decimals)

BOOST_AUTO_TEST_CASE(decimals_print_with_exactly_their_scale) {
  BOOST_TEST((decimal{1250, 2}.to_text()) == "12.50");
  BOOST_TEST((decimal{5, 2}.to_text()) == "0.05");
  BOOST_TEST((decimal{-5, 2}.to_text()) == "-0.05");
  BOOST_TEST((decimal{0, 0}.to_text()) == "0");
  BOOST_TEST((decimal{0, 3}.to_text()) == "0.000");
  BOOST_TEST((decimal{-7, 0}.to_text()) == "-7");
  BOOST_TEST((decimal{smallest, 0}.to_text()) == "-9223372036854775808");
  BOOST_TEST((decimal{smallest, 18}.to_text()) == "-9.223372036854775808");
  BOOST_TEST((decimal{largest, 18}.to_text()) == "9.223372036854775807");
}

BOOST_AUTO_TEST_CASE(decimals_read_what_fits_exactly) {
  const auto units = [](std::string_view text, std::uint8_t scale) {
    return decimal::from_text(text, scale).value().units;
  };
  BOOST_TEST(units("12.5", 2) == 1250);
  BOOST_TEST(units("-3", 2) == -300);
  BOOST_TEST(units("+0.05", 2) == 5);
  BOOST_TEST(units("-0", 2) == 0);
  BOOST_TEST(units("0007", 0) == 7);
  BOOST_TEST(units("1.50", 1) == 15);
  BOOST_TEST(units("3.000", 0) == 3);
  BOOST_TEST(units("-9.223372036854775808", 18) == smallest);
  BOOST_TEST(units("9.223372036854775807", 18) == largest);
}

BOOST_AUTO_TEST_CASE(decimals_refuse_rounding_overflow_and_anything_else) {
  for (const auto* text : {"1.55", "0.01"})
    BOOST_TEST(!decimal::from_text(text, 1));
  for (const auto* text :
       {"9223372036854775808", "-9223372036854775809", "99999999999999999999"})
    BOOST_TEST(!decimal::from_text(text, 0));
  BOOST_TEST(!decimal::from_text("92233720368547758.08", 3));
  BOOST_TEST(!decimal::from_text("1", 19));
  for (const auto* text : {"", "-", "+", ".", ".5", "5.", "-.5", "1.2.3", "+-1", "--1", " 1",
                           "1 ", "1e3", "0x1", "1,5", "nan", "١"})
    BOOST_TEST(!decimal::from_text(text, 4), text);
  BOOST_TEST(!decimal::from_text(std::string_view("1\0", 2), 4));
}

BOOST_AUTO_TEST_CASE(every_decimal_reads_back_from_its_text) {
  sampler random(10);
  for (int i = 0; i < 2000; ++i) {
    const decimal x{random.some_integer(), static_cast<std::uint8_t>(random.below(19))};
    BOOST_REQUIRE((decimal::from_text(x.to_text(), x.scale) == x));
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(messages_texts)

BOOST_AUTO_TEST_CASE(hexadecimal_reads_back_and_refuses_the_rest) {
  sampler random(11);
  for (int i = 0; i < 100; ++i) {
    const auto raw = random.some_bytes(40);
    BOOST_TEST((from_hex(to_hex(raw)) == raw));
  }
  BOOST_TEST(to_hex(from_hex("00aBFf").value()) == "00abff");
  for (const auto* text : {"0", "0g", "g0", " 0", "0x", "00 ", "é"})
    BOOST_TEST(!from_hex(text));
  BOOST_TEST(from_hex("")->empty());
}

BOOST_AUTO_TEST_CASE(shared_bytes_are_the_bytes_they_were_made_of_and_copies_share_them) {
  bytes from{1, 2, 3};
  const shared_bytes x(from);
  const auto copy = x;
  from.front() = 9;
  BOOST_TEST((x == bytes{1, 2, 3}));
  BOOST_TEST(!(x == from));
  BOOST_TEST(copy.data() == x.data());
  BOOST_TEST((copy == x));
  BOOST_TEST((x == shared_bytes(bytes{1, 2, 3})));
  BOOST_TEST(!(x == shared_bytes(bytes{1, 2})));
  BOOST_TEST((shared_bytes() == shared_bytes(bytes{})));
  BOOST_TEST(shared_bytes().empty());
  const auto filled = shared_bytes::made(2, [](std::uint8_t* to) { to[0] = 7, to[1] = 8; });
  BOOST_TEST((filled == bytes{7, 8}));
}

BOOST_AUTO_TEST_CASE(shared_bytes_that_were_moved_on_are_empty) {
  shared_bytes x(bytes{1, 2, 3}), y(bytes{4});
  const auto* const where = x.data();
  shared_bytes next(std::move(x));
  BOOST_TEST(x.empty());
  BOOST_TEST((x == bytes{}));
  BOOST_TEST(next.data() == where);
  y = std::move(next);
  BOOST_TEST((next == bytes{}));
  BOOST_TEST(y.data() == where);
  y = std::as_const(y);
  BOOST_TEST((y == bytes{1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(utf8_takes_every_character_and_no_other_bytes) {
  using namespace std::string_view_literals;
  for (const auto text : {""sv, "abc"sv, "\0"sv, "é"sv, "网状网"sv, "🧾"sv,
                          "\xf4\x8f\xbf\xbf"sv, "\xed\x9f\xbf"sv, "\xee\x80\x80"sv})
    BOOST_TEST(is_utf8(text));
  for (const auto text : {
           "\x80"sv,
           "\xbf"sv, // a following byte alone
           "\xc3"sv,
           "\xe7\xbd"sv,
           "\xf0\x9f\xa7"sv, // cut short
           "\xc3("sv,
           "\xe7(\x91"sv,
           "\xf0\x9f(\xbe"sv,
           "\xc0\x80"sv,
           "\xc1\xbf"sv, // overlong
           "\xe0\x9f\xbf"sv,
           "\xf0\x8f\xbf\xbf"sv,
           "\xed\xa0\x80"sv,
           "\xed\xbf\xbf"sv, // surrogates
           "\xf4\x90\x80\x80"sv,
           "\xf5\x80\x80\x80"sv,
           "\xf8\x88\x80\x80\x80"sv,
           "\xff"sv,
       })
    BOOST_TEST(!is_utf8(text), to_hex(as_bytes(text)));
}

BOOST_AUTO_TEST_CASE(operation_ids_and_public_keys_read_only_their_own_length) {
  const std::string digits(128, 'a');
  for (std::size_t size = 0; size <= digits.size(); ++size) {
    BOOST_TEST(operation_id::from_hex(digits.substr(0, size)).has_value() == (size == 32));
    BOOST_TEST(public_key::from_hex(digits.substr(0, size)).has_value() == (size == 64));
  }
  BOOST_TEST(!operation_id::from_hex(std::string(32, 'x')));
}

BOOST_AUTO_TEST_CASE(maps_are_kept_in_order_and_searched_by_key) {
  value_map map;
  for (const auto* key : {"m", "a", "z", "m", ""})
    put(map, key, std::string(key) + "!");
  BOOST_TEST(map.size() == 4u);
  BOOST_TEST(std::is_sorted(map.begin(), map.end(),
                            [](const auto& a, const auto& b) { return a.first < b.first; }));
  BOOST_TEST(*find(map, "m")->as<std::string>() == "m!");
  BOOST_TEST(find(map, "n") == nullptr);
  put(map, "m", std::int64_t{1});
  BOOST_TEST(find(map, "m")->type_name() == "int64");
  BOOST_TEST(map.size() == 4u);
}

BOOST_AUTO_TEST_CASE(values_name_their_type_in_the_words_of_contracts) {
  BOOST_TEST(value().type_name() == "null");
  BOOST_TEST(value(true).type_name() == "bool");
  BOOST_TEST(value(decimal{}).type_name() == "decimal");
  BOOST_TEST(value("x").type_name() == "text");
  BOOST_TEST(value(bytes{}).type_name() == "bytes");
  BOOST_TEST(value(value_list{}).type_name() == "list");
  BOOST_TEST(value(value_map{}).type_name() == "map");
}

BOOST_AUTO_TEST_CASE(every_error_and_outcome_has_its_own_name) {
  std::set<std::string_view> errors, outcomes, sentences;
  for (int i = 0; i <= static_cast<int>(errc::unavailable); ++i)
    errors.insert(to_string(static_cast<errc>(i)));
  BOOST_TEST(errors.size() == static_cast<std::size_t>(errc::unavailable) + 1);
  BOOST_TEST(errors.count("unknown") == 0u);
  for (int i = 0; known(static_cast<outcome>(i)); ++i) {
    outcomes.insert(to_string(static_cast<outcome>(i)));
    sentences.insert(describe(static_cast<outcome>(i)));
  }
  BOOST_TEST(outcomes.size() == static_cast<std::size_t>(last_outcome) + 1);
  BOOST_TEST(sentences.size() == outcomes.size());
  BOOST_TEST(outcomes.count("unknown") == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(messages_digests)

BOOST_AUTO_TEST_CASE(the_same_bytes_as_another_kind_have_another_digest) {
  std::set<digest> seen;
  for (int kind = 0; kind <= static_cast<int>(digest_kind::event); ++kind)
    seen.insert(hash(static_cast<digest_kind>(kind), as_bytes("same")));
  BOOST_TEST(seen.size() == static_cast<std::size_t>(digest_kind::event) + 1);
}

BOOST_AUTO_TEST_CASE(no_two_lists_of_parts_collide_by_shifting_bytes_between_them) {
  const auto of = [](std::initializer_list<std::string_view> texts) {
    switch (texts.size()) {
    case 1:
      return hash(digest_kind::record, {as_bytes(texts.begin()[0])});
    case 2:
      return hash(digest_kind::record,
                  {as_bytes(texts.begin()[0]), as_bytes(texts.begin()[1])});
    default:
      return hash(digest_kind::record, {as_bytes(texts.begin()[0]), as_bytes(texts.begin()[1]),
                                        as_bytes(texts.begin()[2])});
    }
  };
  const std::set<digest> seen{of({"abc"}),         of({"", "abc"}),    of({"a", "bc"}),
                              of({"ab", "c"}),     of({"abc", ""}),    of({"a", "b", "c"}),
                              of({"", "", "abc"}), of({"", "abc", ""})};
  BOOST_TEST(seen.size() == 8u);
}

BOOST_AUTO_TEST_CASE(a_list_of_parts_never_has_the_digest_of_one_string_of_bytes) {
  const auto abc = as_bytes("abc");
  BOOST_TEST((hash(digest_kind::record, {abc}) != hash(digest_kind::record, abc)));
  // What parts feed to the hash, given as one string.
  const auto spelled = from_hex("0300000000000000616263").value();
  BOOST_TEST(
      (hash(digest_kind::record, {abc}) != hash(digest_kind::record, bytes_view(spelled))));
}

BOOST_AUTO_TEST_CASE(an_authors_signature_covers_all_but_itself_and_binds_the_chain) {
  sampler random(12);
  auto x = random.some_operation();
  const auto signed_digest = author_signing_digest(some_block, x);
  x.author_signature = random.some_signature();
  BOOST_TEST((author_signing_digest(some_block, x) == signed_digest));
  BOOST_TEST((author_signing_digest(other_block, x) != signed_digest));
  x.valid_until_ms ^= 1;
  BOOST_TEST((author_signing_digest(some_block, x) != signed_digest));
}

BOOST_AUTO_TEST_CASE(blocks_of_two_meshes_never_link) {
  const auto ours = genesis_block({some_block, 0}), theirs = genesis_block({other_block, 0});
  BOOST_TEST((ours->id != theirs->id));
  BOOST_TEST((ours->content.executed.execution != theirs->content.executed.execution));
  BOOST_TEST(ours->content.height == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(messages_keys)

BOOST_AUTO_TEST_CASE(a_signature_verifies_for_that_message_and_that_key_only) {
  const auto key = key_of(1);
  const auto message = as_bytes("pay 10");
  auto signed_by = key.sign(message);
  BOOST_TEST(verify(key.public_part(), message, signed_by));
  BOOST_TEST(!verify(key.public_part(), as_bytes("pay 11"), signed_by));
  BOOST_TEST(!verify(key.public_part(), {}, signed_by));
  BOOST_TEST(!verify(key_of(2).public_part(), message, signed_by));
  for (auto& byte : signed_by.raw) {
    byte ^= 1;
    BOOST_TEST(!verify(key.public_part(), message, signed_by));
    byte ^= 1;
  }
  BOOST_TEST(!verify(public_key{}, message, signature{})); // the point of small order
}

BOOST_AUTO_TEST_CASE(a_key_is_the_one_of_rfc_8032) {
  std::array<std::uint8_t, 32> seed;
  const auto raw =
      from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").value();
  std::copy(raw.begin(), raw.end(), seed.begin());
  const auto key = signing_key::from_seed(seed);
  BOOST_TEST(key.public_part().hex()
             == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  BOOST_TEST(
      to_hex(key.sign({}).raw)
      == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
         "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
}

BOOST_AUTO_TEST_CASE(a_saved_key_loads_and_only_its_owner_may_read_it) {
  const temporary_directory directory;
  const auto file = directory.path / "node.key";
  const auto key = signing_key::generate();
  BOOST_REQUIRE(key.save(file));
  struct stat info {};
  BOOST_REQUIRE(::stat(file.c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0600u);
  const auto loaded = signing_key::load(file);
  BOOST_REQUIRE(loaded);
  BOOST_TEST((loaded->public_part() == key.public_part()));
  BOOST_TEST((loaded->sign(as_bytes("x")) == key.sign(as_bytes("x"))));
  for (const mode_t mode : {0640u, 0604u, 0666u, 0610u}) {
    ::chmod(file.c_str(), mode);
    const auto refused = signing_key::load(file);
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == errc::forbidden));
    BOOST_TEST(refused.error().context.find("chmod 600") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_key_file_is_never_overwritten) {
  const temporary_directory directory;
  const auto file = directory.path / "node.key";
  BOOST_REQUIRE(key_of(1).save(file));
  const auto again = key_of(2).save(file);
  BOOST_REQUIRE(!again);
  BOOST_TEST((again.error().code == errc::conflict));
  BOOST_TEST((signing_key::load(file)->public_part() == key_of(1).public_part()));
  const auto nowhere = key_of(1).save(directory.path / "missing" / "node.key");
  BOOST_REQUIRE(!nowhere);
  BOOST_TEST((nowhere.error().code == errc::storage));
}

BOOST_AUTO_TEST_CASE(a_key_file_that_is_not_exactly_a_key_is_refused) {
  const temporary_directory directory;
  const std::string digits(64, '7');
  write(directory.path / "good", digits);
  BOOST_TEST(signing_key::load(directory.path / "good").has_value());
  int i = 0;
  for (const auto& text : {std::string(), digits.substr(1), digits + "7", digits + "\n\n",
                           " " + digits, std::string(64, 'x'), digits + "\nmore"}) {
    const auto file = directory.path / std::to_string(i++);
    write(file, text);
    const auto refused = signing_key::load(file);
    BOOST_REQUIRE_MESSAGE(!refused, text);
    BOOST_TEST((refused.error().code == errc::malformed));
  }
  BOOST_TEST((signing_key::load(directory.path / "none").error().code == errc::not_found));
}

BOOST_AUTO_TEST_CASE(a_signed_item_is_good_for_its_mesh_epoch_kind_signer_and_position_only) {
  const small_mesh mesh(4);
  const auto ours = mesh.of(1);
  const auto good = ours.make(item_kind::notarize, 9, some_block);
  BOOST_TEST(mesh.of(0).check(good));
  auto other = good;
  other.kind = item_kind::finalize;
  BOOST_TEST(!ours.check(other));
  other = good;
  other.signer = 2;
  BOOST_TEST(!ours.check(other));
  other.signer = 4; // no such node
  BOOST_TEST(!ours.check(other));
  other = good;
  other.position = 10;
  BOOST_TEST(!ours.check(other));
  other = good;
  other.what = other_block;
  BOOST_TEST(!ours.check(other));
  for (const signing_domain& elsewhere :
       {signing_domain{mesh.domain.chain, 2}, signing_domain{some_block, 1}})
    BOOST_TEST(!ed25519_credentials(0, elsewhere, key_of(0), mesh.keys).check(good));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(messages_agreement)

BOOST_AUTO_TEST_CASE(the_quorum_follows_from_the_number_of_nodes) {
  const auto of = [](std::uint16_t n) { return small_mesh(n).nodes; };
  BOOST_TEST(of(1).faulty() == 0);
  BOOST_TEST(of(1).quorum() == 1);
  const int expected[][3] = {{4, 1, 3}, {5, 1, 4}, {6, 1, 5}, {7, 2, 5},
                             {8, 2, 6}, {9, 2, 7}, {10, 3, 7}};
  for (const auto& [n, f, q] : expected) {
    const auto nodes = of(static_cast<std::uint16_t>(n));
    BOOST_TEST(nodes.faulty() == f);
    BOOST_TEST(nodes.quorum() == q);
    BOOST_TEST(2 * q - n > f); // two quorums meet in an honest node
  }
}

BOOST_AUTO_TEST_CASE(the_order_of_leaders_is_a_permutation_that_every_node_computes_alike) {
  for (const std::uint16_t n : {1, 4, 5, 6, 7, 8, 9, 10, 128}) {
    const auto nodes = validator_set::make(some_block, 3, n);
    BOOST_TEST((nodes.permutation == validator_set::make(some_block, 3, n).permutation));
    std::set<node_index> distinct(nodes.permutation.begin(), nodes.permutation.end());
    BOOST_TEST(distinct.size() == n);
    BOOST_TEST(*distinct.rbegin() == n - 1);
    for (view_number view = 0; view < 2u * n; ++view)
      BOOST_TEST(nodes.leader(view) == nodes.leader(view + n));
  }
  BOOST_TEST((validator_set::make(some_block, 3, 10).permutation
              != validator_set::make(some_block, 4, 10).permutation));
  BOOST_TEST((validator_set::make(some_block, 3, 10).permutation
              != validator_set::make(other_block, 3, 10).permutation));
}

BOOST_AUTO_TEST_CASE(a_certificate_takes_a_quorum_of_distinct_right_signatures) {
  for (const std::uint16_t n : {1, 4, 7}) {
    const small_mesh mesh(n);
    const auto keys = mesh.of(0);
    for (int votes = 0; votes <= n; ++votes) {
      const auto checked =
          verify(mesh.certify(item_kind::notarize, 9, some_block, votes), mesh.nodes, keys);
      BOOST_TEST(checked.has_value() == (votes >= mesh.nodes.quorum()));
    }
    BOOST_TEST(
        verify(mesh.certify(item_kind::nullify, 9, {}, n), mesh.nodes, keys).has_value());
    BOOST_TEST(verify(mesh.certify(item_kind::finalize, 9, some_block, n), mesh.nodes, keys)
                   .has_value());
  }
}

BOOST_AUTO_TEST_CASE(a_certificate_with_anything_wrong_is_refused) {
  const small_mesh mesh(4);
  const auto good = mesh.certify(item_kind::notarize, 9, some_block, 4);
  const auto refusal = [&](auto change) {
    auto x = good;
    change(x);
    return ::refusal(verify(x, mesh.nodes, mesh.of(0)));
  };
  BOOST_TEST(refusal([](auto&) {}) == "accepted");
  BOOST_TEST(refusal([](auto& x) { std::swap(x.votes[0], x.votes[1]); }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.votes[1] = x.votes[0]; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.votes.push_back(x.votes[3]); }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.votes[3].first = 4; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.votes[3].first = 65535; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.votes.erase(x.votes.begin()), x.votes[2].first = 2; })
             == "malformed");
  BOOST_TEST(refusal([](auto& x) { std::swap(x.votes[0].second, x.votes[1].second); })
             == "bad_signature");
  BOOST_TEST(refusal([](auto& x) { x.votes[2].second.raw[5] ^= 1; }) == "bad_signature");
  BOOST_TEST(refusal([](auto& x) { x.block = other_block; }) == "bad_signature");
  BOOST_TEST(refusal([](auto& x) { x.view = 10; }) == "bad_signature");
  BOOST_TEST(refusal([](auto& x) { x.kind = item_kind::finalize; }) == "bad_signature");
  BOOST_TEST(refusal([](auto& x) { x.kind = item_kind::nullify; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.block = {}; }) == "malformed");
  for (const auto kind : {item_kind::batch, item_kind::proposal, item_kind::attestation})
    BOOST_TEST(refusal([&](auto& x) { x.kind = kind; }) == "malformed");
}

BOOST_AUTO_TEST_CASE(what_an_honest_node_never_signs_both_is_a_contradiction) {
  using enum item_kind;
  for (const auto kind : {batch, proposal, notarize, finalize})
    BOOST_TEST(contradicts(item(kind, 9, some_block), item(kind, 9, other_block)),
               to_string(kind));
  const std::pair<signed_item, signed_item> pairs[] = {
      {item(nullify, 9, {}), item(finalize, 9, some_block)},
      {item(notarize, 9, some_block), item(finalize, 9, other_block)},
  };
  for (const auto& [a, b] : pairs) {
    BOOST_TEST(contradicts(a, b));
    BOOST_TEST(contradicts(b, a));
  }
}

BOOST_AUTO_TEST_CASE(what_an_honest_node_may_sign_both_is_no_contradiction) {
  using enum item_kind;
  const std::pair<signed_item, signed_item> pairs[] = {
      {item(notarize, 9, some_block), item(nullify, 9, {})},
      {item(notarize, 9, some_block), item(finalize, 9, some_block)},
      {item(notarize, 9, some_block), item(notarize, 9, some_block)},
      {item(nullify, 9, {}), item(nullify, 9, {})},
      {item(notarize, 9, some_block), item(notarize, 10, other_block)},
      {item(nullify, 9, {}), item(finalize, 10, some_block)},
      {item(notarize, 9, some_block, 1), item(notarize, 9, other_block, 2)},
      {item(nullify, 9, {}, 1), item(finalize, 9, some_block, 2)},
      {item(proposal, 9, some_block), item(notarize, 9, other_block)},
      // Nullify has no digest to differ in, and a difference in execution is no lie about
      // order.
      {item(nullify, 9, {}), item(nullify, 9, some_block)},
      {item(attestation, 9, some_block), item(attestation, 9, other_block)},
      {item(batch, 9, some_block), item(proposal, 9, other_block)},
  };
  for (const auto& [a, b] : pairs) {
    BOOST_TEST(!contradicts(a, b));
    BOOST_TEST(!contradicts(b, a));
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(messages_opening)

BOOST_AUTO_TEST_CASE(a_sealed_batch_and_block_open_with_the_signature_of_their_sealer) {
  const small_mesh mesh(4);
  const auto batch = seal(mesh.of(2), {1, 2, 1, {}, {operation{}}});
  const auto again = open_batch(batch->body, batch->signed_by);
  BOOST_REQUIRE(again);
  BOOST_TEST(((*again)->id == batch->id));
  BOOST_TEST(((*again)->tip() == batch->tip()));
  BOOST_TEST(mesh.of(0).check((*again)->as_item()));

  const auto block = seal(mesh.of(3), lawful_block());
  const auto opened = open_block(block->body, 3, block->signed_by);
  BOOST_REQUIRE(opened);
  BOOST_TEST(((*opened)->id == block->id));
  BOOST_TEST(mesh.of(0).check((*opened)->as_item()));
  BOOST_TEST(!mesh.of(0).check((*open_block(block->body, 1, block->signed_by))->as_item()));
}

BOOST_AUTO_TEST_CASE(
    erased_arguments_leave_a_batchs_id_and_signature_and_its_other_operations) {
  sampler random(15);
  const small_mesh mesh(4);
  batch content{1, 2, 1, {}, {}};
  for (int i = 0; i < 5; ++i)
    do
      content.operations.push_back(random.some_operation());
    while (content.operations.back().erased && (content.operations.pop_back(), true));
  content.operations[1].arguments = {{"row", "a secret that is long enough to be seen"}};
  const auto full = seal(mesh.of(2), content);
  BOOST_TEST(full->erased == 0u);
  BOOST_TEST(full->full_bytes == full->body.size());
  const std::uint32_t places[] = {3, 1};
  const auto less = erase_arguments(*full, places);
  BOOST_TEST((less->id == full->id));
  BOOST_TEST(mesh.of(0).check(less->as_item()));
  BOOST_TEST(less->erased == 2u);
  BOOST_TEST(less->full_bytes == full->body.size());
  BOOST_TEST(as_text(full->body).find("secret") != std::string_view::npos);
  BOOST_TEST(as_text(less->body).find("secret") == std::string_view::npos);

  const auto again = open_batch(less->body, less->signed_by);
  BOOST_REQUIRE(again);
  BOOST_TEST(((*again)->id == full->id));
  BOOST_TEST((*again)->full_bytes == full->full_bytes);
  for (const std::size_t i : {0, 2, 4})
    BOOST_TEST(to_hex(encode((*again)->content.operations[i]))
               == to_hex(encode(content.operations[i])));
  for (const std::size_t i : {1, 3}) {
    const auto& what = (*again)->content.operations[i];
    BOOST_TEST(what.erased.has_value());
    BOOST_TEST((operation_digest(what) == operation_digest(content.operations[i])));
    BOOST_TEST((author_signing_digest(some_block, what)
                == author_signing_digest(some_block, content.operations[i])));
  }
  BOOST_TEST((erase_arguments(*less, places)->body == less->body), "erasing twice is once");
}

BOOST_AUTO_TEST_CASE(another_digest_or_size_of_erased_arguments_makes_another_batch) {
  const small_mesh mesh(4);
  auto content = lawful_batch();
  content.operations[0].erased = {100, some_block};
  const auto id = seal(mesh.of(2), content)->id;
  content.operations[0].erased->size_bytes = 101;
  BOOST_TEST((seal(mesh.of(2), content)->id != id));
  content.operations[0].erased = {100, other_block};
  BOOST_TEST((seal(mesh.of(2), content)->id != id));
}

BOOST_AUTO_TEST_CASE(limits_count_erased_arguments_as_if_they_were_there) {
  auto x = lawful_batch();
  x.operations.assign(1, {});
  const auto bare = static_cast<std::uint32_t>(encode(operation{}).size() - 4);
  const auto most = static_cast<std::uint32_t>(limits::max_operation_bytes) - bare;
  x.operations[0].erased = {most, some_block};
  BOOST_TEST(refusal_of(x) == "accepted");
  x.operations[0].erased->size_bytes = most + 1;
  BOOST_TEST(refusal_of(x) == "too_large");
  x.operations[0].erased->size_bytes = UINT32_MAX;
  BOOST_TEST(refusal_of(x) == "too_large");
  x.operations[0].erased->size_bytes = 3;
  BOOST_TEST(refusal_of(x) == "malformed", "no map is as short");
  x.operations[0].erased->size_bytes = most;
  x.operations.assign(7, x.operations[0]);
  BOOST_TEST(refusal_of(x) == "accepted");
  x.operations.push_back(x.operations[0]);
  BOOST_TEST(refusal_of(x) == "too_large");
  // Short arguments grow when they go; that takes nothing away from a lawful batch.
  x.operations.assign(limits::max_batch_operations, {});
  for (auto& each : x.operations)
    each.author =
        std::string(limits::max_batch_bytes / limits::max_batch_operations - bare - 5, 'x');
  BOOST_TEST(refusal_of(x) == "accepted");
  for (auto& each : x.operations)
    each.erased = {4, some_block};
  BOOST_TEST(encode(x).size() > limits::max_batch_bytes);
  BOOST_TEST(refusal_of(x) == "accepted");
}

BOOST_AUTO_TEST_CASE(an_execution_keeps_its_digest_when_rows_are_erased) {
  change made{"orders.orders", {1}, bytes{5, 6}, {}, 2, {7, 1}};
  const execution x{9, some_block, 5, {}, {made}, other_block};
  const auto before = execution_digest(x);
  auto less = x;
  BOOST_TEST(erase_rows(less.changes[0]));
  BOOST_TEST(!less.changes[0].before.has_value());
  BOOST_TEST((less.changes[0].before_erased == row_digest(bytes{5, 6})));
  BOOST_TEST(!less.changes[0].after_erased.has_value(), "no row is not an erased one");
  BOOST_TEST((execution_digest(less) == before));
  BOOST_TEST(!erase_rows(less.changes[0]));
  const auto differs = [&](auto bend) {
    auto other = x;
    bend(other);
    return execution_digest(other) != before;
  };
  auto told = x;
  told.receipts = {{.id = {}, .detail = "d", .events = {{"paid", {{"to", "a secret"}}}}}};
  auto less_told = told;
  BOOST_TEST(erase_events(less_told.receipts[0]));
  BOOST_TEST(less_told.receipts[0].events.empty());
  BOOST_TEST((execution_digest(less_told) == execution_digest(told)));
  BOOST_TEST(as_text(encode(less_told)).find("secret") == std::string_view::npos);
  BOOST_TEST(!erase_events(less_told.receipts[0]));
  told.receipts[0].events[0].name = "lost";
  BOOST_TEST((execution_digest(less_told) != execution_digest(told)));
  BOOST_TEST(differs([](auto& e) { e.height = 8; }));
  BOOST_TEST(differs([](auto& e) { e.previous = {}; }));
  BOOST_TEST(differs([](auto& e) { e.receipts.emplace_back(); }));
  BOOST_TEST(differs([](auto& e) { e.changes.emplace_back(); }));
  BOOST_TEST(differs([](auto& e) { e.changes[0].table = "orders.other"; }));
  BOOST_TEST(differs([](auto& e) { e.changes[0].key = {2}; }));
  BOOST_TEST(differs([](auto& e) { e.changes[0].position = 3; }));
  BOOST_TEST(differs([](auto& e) { e.changes[0].previous.index = 2; }));
  BOOST_TEST(differs([](auto& e) { e.changes[0].before = bytes{5, 7}; }));
  BOOST_TEST(differs([](auto& e) { e.changes[0].before.reset(); }));
  BOOST_TEST(differs([](auto& e) { std::swap(e.changes[0].before, e.changes[0].after); }));
}

BOOST_AUTO_TEST_CASE(a_batch_out_of_place_is_refused) {
  const auto refusal = [](auto change) {
    auto x = lawful_batch();
    change(x);
    return refusal_of(x);
  };
  BOOST_TEST(refusal([](auto&) {}) == "accepted");
  BOOST_TEST(refusal([](auto& x) { x.lane = limits::max_nodes - 1; }) == "accepted");
  BOOST_TEST(refusal([](auto& x) { x.lane = limits::max_nodes; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.seq = 0; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.parent = some_block; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.seq = 2; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.seq = 2, x.parent = some_block; }) == "accepted");
}

BOOST_AUTO_TEST_CASE(a_batch_over_a_limit_is_refused) {
  auto x = lawful_batch();
  x.operations.clear();
  BOOST_TEST(refusal_of(x) == "too_large");
  x.operations.resize(limits::max_batch_operations);
  BOOST_TEST(refusal_of(x) == "accepted");
  x.operations.resize(limits::max_batch_operations + 1);
  BOOST_TEST(refusal_of(x) == "too_large");

  // Of one operation, then of the whole batch, to the byte.
  x.operations.assign(1, {});
  const auto bare = encode(operation{}).size();
  x.operations[0].author = std::string(limits::max_operation_bytes - bare, 'x');
  BOOST_TEST(refusal_of(x) == "accepted");
  x.operations[0].author += 'x';
  BOOST_TEST(refusal_of(x) == "too_large");
  x.operations[0].author.pop_back();
  const auto largest_operation = x.operations[0];
  x.operations.assign(7, largest_operation);
  x.operations.emplace_back();
  x.operations.back().author = std::string(limits::max_batch_bytes - encode(x).size(), 'x');
  BOOST_TEST(encode(x).size() == limits::max_batch_bytes);
  BOOST_TEST(refusal_of(x) == "accepted");
  x.operations.back().author += 'x';
  BOOST_TEST(refusal_of(x) == "too_large");
}

BOOST_AUTO_TEST_CASE(a_block_of_impossible_place_or_cut_is_refused) {
  const auto refusal = [](auto change) {
    auto x = lawful_block();
    change(x);
    return refusal_of(x);
  };
  BOOST_TEST(refusal([](auto&) {}) == "accepted");
  BOOST_TEST(refusal([](auto& x) { x.cut.clear(); }) == "accepted");
  BOOST_TEST(refusal([](auto& x) { x.view = 0; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.height = 0; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.parent_view = 1; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.cut[0].seq = 0; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.cut[1].lane = 0; }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { std::swap(x.cut[0], x.cut[1]); }) == "malformed");
  BOOST_TEST(refusal([](auto& x) { x.cut[1].lane = limits::max_nodes; }) == "malformed");
}

BOOST_AUTO_TEST_CASE(a_block_over_a_limit_is_refused) {
  auto x = lawful_block();
  x.cut.clear();
  for (node_index lane = 0; lane < limits::max_nodes; ++lane)
    x.cut.push_back({lane, 1, some_block});
  const evidence pair{item(item_kind::notarize, 1, some_block),
                      item(item_kind::nullify, 1, {})};
  x.contradictions.assign(limits::max_block_evidence, pair);
  BOOST_TEST(refusal_of(x) == "accepted");
  x.contradictions.push_back(pair);
  BOOST_TEST(refusal_of(x) == "too_large");
  x.contradictions.pop_back();
  x.cut.push_back({limits::max_nodes, 1, some_block});
  BOOST_TEST(refusal_of(x) == "too_large");
  x.cut.pop_back();
  x.contradictions.assign(limits::max_block_bytes / encode(pair).size() + 1, pair);
  BOOST_TEST(refusal_of(x) == "too_large");
}

BOOST_AUTO_TEST_CASE(a_frame_over_a_limit_is_refused) {
  const auto too_long = open_frame(bytes(limits::max_frame_bytes + 1));
  BOOST_REQUIRE(!too_long);
  BOOST_TEST((too_long.error().code == errc::too_large));
  BOOST_TEST(!open_frame({}));

  have_message have{std::vector<lane_tip>(limits::max_nodes)};
  BOOST_TEST(refusal_of(have) == "accepted");
  have.tips.emplace_back();
  BOOST_TEST(refusal_of(have) == "too_large");

  certificate large{item_kind::notarize, 1, some_block, {}};
  large.votes.resize(limits::max_nodes);
  BOOST_TEST(refusal_of(large) == "accepted");
  large.votes.emplace_back();
  BOOST_TEST(refusal_of(large) == "too_large");
  BOOST_TEST(refusal_of(fetched_range{{}, large}) == "too_large");

  sampler random(13);
  proposal proposed{random.some_sealed_block(), {large}};
  BOOST_TEST(refusal_of(proposed) == "too_large");
  proposed.justification.assign(limits::max_justification, random.some_certificate());
  BOOST_TEST(refusal_of(proposed) == "accepted");
  proposed.justification.push_back(random.some_certificate());
  BOOST_TEST(refusal_of(proposed) == "too_large");
}

BOOST_AUTO_TEST_CASE(a_frame_whose_kind_does_not_fit_is_refused) {
  for (const auto kind : {item_kind::notarize, item_kind::finalize}) {
    BOOST_TEST(refusal_of(vote(item(kind, 1, some_block))) == "accepted");
    BOOST_TEST(refusal_of(vote(item(kind, 1, {}))) == "malformed");
  }
  BOOST_TEST(refusal_of(vote(item(item_kind::nullify, 1, {}))) == "accepted");
  BOOST_TEST(refusal_of(vote(item(item_kind::nullify, 1, some_block))) == "malformed");
  for (const auto kind : {item_kind::batch, item_kind::proposal, item_kind::attestation})
    BOOST_TEST(refusal_of(vote(item(kind, 1, some_block))) == "malformed");
  BOOST_TEST(refusal_of(attestation{item(item_kind::attestation, 1, some_block)})
             == "accepted");
  BOOST_TEST(refusal_of(attestation{item(item_kind::notarize, 1, some_block)}) == "malformed");
  const auto one = item(item_kind::batch, 1, some_block),
             vote_for_it = item(item_kind::notarize, 1, some_block);
  BOOST_TEST(refusal_of(fork_evidence{{one, one}}) == "accepted");
  BOOST_TEST(refusal_of(fork_evidence{{one, vote_for_it}}) == "malformed");
  BOOST_TEST(refusal_of(fork_evidence{{vote_for_it, one}}) == "malformed");
}

BOOST_AUTO_TEST_CASE(a_part_of_an_execution_lies_within_it) {
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, 10, 4, bytes(6)}) == "accepted");
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, 10, 4, bytes(7)}) == "malformed");
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, 10, 11, {}}) == "malformed");
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, 0, 0, {}}) == "accepted");
  const auto most = limits::max_execution_part_bytes;
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, most, 0, bytes(most)}) == "accepted");
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, most + 1, 0, bytes(most + 1)})
             == "too_large");
  BOOST_TEST(refusal_of(fetched_execution{5, {}, 0, limits::max_execution_bytes + 1, 0, {}})
             == "too_large");
}

BOOST_AUTO_TEST_CASE(a_certificate_of_an_erasure_shows_who_erased_and_cannot_be_bent) {
  const small_mesh mesh(4);
  sampler random(16);
  const auto what = random.some_erasure();
  const auto keys = mesh.of(0);
  erasure_certificate proof{keys.domain.chain, keys.domain.epoch, what, {}};
  for (const node_index node : {0, 1, 3})
    proof.nodes.emplace_back(node, attest(mesh.of(node), what).signed_by);
  const auto good = check(proof, keys);
  BOOST_REQUIRE(good);
  BOOST_TEST((*good == std::vector<node_index>{0, 1, 3}));
  const auto bent = [&](auto bend) {
    auto other = proof;
    bend(other);
    return !check(other, keys);
  };
  BOOST_TEST(bent([](auto& x) { x.what.reason += '!'; }));
  BOOST_TEST(bent([](auto& x) { x.what.key.push_back(0); }));
  BOOST_TEST(bent([](auto& x) { ++x.what.height; }));
  BOOST_TEST(bent([](auto& x) { x.nodes[2].first = 2; }));
  BOOST_TEST(bent([](auto& x) { x.nodes.push_back(x.nodes[2]); }));
  BOOST_TEST(bent([](auto& x) { ++x.epoch; }));
  BOOST_TEST(bent([](auto& x) { x.chain = some_block; }));
}

BOOST_AUTO_TEST_CASE(a_batch_within_a_frame_must_open_by_itself) {
  auto bad = lawful_batch();
  bad.seq = 0;
  auto sealed = std::make_shared<const sealed_batch>(sealed_batch{bad, encode(bad), {}, {}});
  BOOST_TEST(refusal_of(batch_message{sealed}) == "malformed");
  BOOST_TEST(refusal_of(fetched_batches{{sealed}}) == "malformed");
}

BOOST_AUTO_TEST_CASE(every_kind_of_message_has_its_own_name) {
  sampler random(14);
  std::set<std::string_view> names;
  for (std::size_t kind = 0; kind < std::variant_size_v<wire_message>; ++kind)
    names.insert(name_of(random.some_message(kind)));
  BOOST_TEST(names.size() == std::variant_size_v<wire_message>);
}

BOOST_AUTO_TEST_SUITE_END()
