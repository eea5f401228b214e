// The proof of an erasure: what it proves, and that nothing in it can be changed.
#include "tools/tally/certificate.hpp"

#include <boost/test/unit_test.hpp>

using namespace tallymesh;
using namespace tallymesh::tally;

namespace {

signing_key key_of(std::uint8_t node) {
  return signing_key::from_seed({static_cast<std::uint8_t>(node + 1)});
}

/// A mesh of three, an order on it, and the rows that a gateway would give.
struct erased_mesh {
  configs::genesis mesh;
  erasure what;

  erased_mesh() {
    mesh.chain.raw[0] = 9;
    for (std::uint8_t i = 0; i < 3; ++i) {
      configs::genesis_node node;
      node.name = std::string(1, static_cast<char>('a' + i));
      node.vote_key = key_of(i).public_part();
      mesh.nodes.push_back(node);
    }
    what.id.raw[0] = 1;
    what.node = "a";
    what.author = "clerk";
    what.table = "shop.orders";
    what.key = {1, 2, 3};
    what.reason = "a person asked";
    what.height = 17;
    what.position = 2;
    what.time_ms = 1'000'000;
  }

  json::value order() const {
    return {
        {"id", to_hex(what.id.raw)},  {"node", what.node},     {"number", 0},
        {"author", what.author},      {"table", what.table},   {"row_key", to_hex(what.key)},
        {"reason", what.reason},      {"height", what.height}, {"position", what.position},
        {"ordered_ms", what.time_ms}, {"state", "ordered"}};
  }
  json::value attestation(std::uint8_t node) const {
    const auto keys = ed25519_credentials(node, mesh.domain(), key_of(node), {});
    return {{"id", to_hex(what.id.raw)},
            {"node", what.node},
            {"number", 0},
            {"by", mesh.nodes[node].name},
            {"signature", to_hex(attest(keys, what).signed_by.raw)},
            {"attested_ms", 1'000'100}};
  }
  json::value certificate(const std::vector<std::uint8_t>& nodes) const {
    std::vector<json::value> attestations;
    for (const auto node : nodes)
      attestations.push_back(attestation(node));
    return certificate_of(mesh.chain.hex(), {order()}, attestations).value();
  }
  std::string refusal_of(const json::value& file) const {
    const auto checked = check_certificate(file, mesh);
    return checked ? "accepted" : std::string(to_string(checked.error().code));
  }
};

json::object& first_of(json::value& file) {
  return file.get_object()["erasures"].get_array()[0].get_object();
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(erasure_certificates, erased_mesh)

BOOST_AUTO_TEST_CASE(it_says_who_has_erased_and_who_has_not) {
  const auto some = check_certificate(certificate({2, 0}), mesh);
  BOOST_TEST_REQUIRE(some.has_value(), some.error().context);
  BOOST_TEST_REQUIRE(some->size() == 1u);
  BOOST_TEST(((*some)[0].what == what));
  BOOST_TEST((*some)[0].erased_by == (std::vector<std::string>{"a", "c"}),
             boost::test_tools::per_element());
  BOOST_TEST((*some)[0].missing == std::vector<std::string>{"b"},
             boost::test_tools::per_element());
  const auto all = check_certificate(certificate({0, 1, 2}), mesh);
  BOOST_TEST_REQUIRE(all.has_value());
  BOOST_TEST((*all)[0].missing.empty());
}

BOOST_AUTO_TEST_CASE(whatever_is_changed_in_it_is_found) {
  const auto good = certificate({0, 1, 2});
  BOOST_TEST(refusal_of(good) == "accepted");
  for (const auto* field : {"node", "author", "table", "reason"}) {
    auto bad = good;
    first_of(bad)[field] = "other";
    BOOST_TEST(refusal_of(bad) == "bad_signature", field);
  }
  for (const auto* field : {"height", "position", "ordered_ms"}) {
    auto bad = good;
    first_of(bad)[field] = 5;
    BOOST_TEST(refusal_of(bad) == "bad_signature", field);
  }
  auto other_row = good;
  first_of(other_row)["row_key"] = "010204";
  BOOST_TEST(refusal_of(other_row) == "bad_signature");
  auto other_signer = good;
  first_of(other_signer)["nodes"].get_array()[0].get_object()["node"] = "b";
  BOOST_TEST(refusal_of(other_signer) == "bad_signature");
  auto twice = good;
  auto& nodes = first_of(twice)["nodes"].get_array();
  nodes[1] = nodes[0];
  BOOST_TEST(refusal_of(twice) == "malformed");
  auto stranger = good;
  first_of(stranger)["nodes"].get_array()[0].get_object()["node"] = "moon";
  BOOST_TEST(refusal_of(stranger) == "conflict");
  auto other_mesh = good;
  other_mesh.get_object()["chain"] = digest{}.hex();
  BOOST_TEST(refusal_of(other_mesh) == "conflict");
}

BOOST_AUTO_TEST_CASE(what_is_no_certificate_is_refused) {
  BOOST_TEST(refusal_of({}) == "malformed");
  BOOST_TEST(refusal_of({{"kind", "receipt"}}) == "malformed");
  auto empty = certificate({0});
  empty.get_object()["erasures"] = json::array();
  BOOST_TEST(refusal_of(empty) == "malformed");
  auto half = certificate({0});
  first_of(half).erase("row_key");
  first_of(half)["id"] = "01";
  BOOST_TEST(refusal_of(half) == "malformed");
  BOOST_TEST((certificate_of("", {}, {}).error().code == errc::not_found));
}

BOOST_AUTO_TEST_SUITE_END()
