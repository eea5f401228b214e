#include "tools/tally/certificate.hpp"

#include <algorithm>
#include <map>

namespace tallymesh::tally {

namespace {

constexpr const char* kind = "tallymesh erasure certificate";
constexpr std::size_t most_erasures = 100'000;

error malformed(const std::string& what) {
  return make_error(errc::malformed, "the certificate is not one: " + what);
}

template <std::size_t Size>
std::optional<std::array<std::uint8_t, Size>> raw_at(const json::value& x,
                                                     std::string_view field) {
  const auto raw = from_hex(text_at(x, field));
  if (!raw || raw->size() != Size) return std::nullopt;
  std::array<std::uint8_t, Size> out;
  std::copy(raw->begin(), raw->end(), out.begin());
  return out;
}

json::object order_json(const json::value& row) {
  json::object out;
  for (const auto* text : {"id", "node", "author", "table", "row_key", "reason"})
    out[text] = text_at(row, text);
  for (const auto* number : {"height", "position", "ordered_ms"})
    out[number] = number_at(row, number);
  return out;
}

result<erasure> order_of(const json::value& x) {
  erasure out;
  const auto id = operation_id::from_hex(text_at(x, "id"));
  const auto key = from_hex(text_at(x, "row_key"));
  const auto height = number_at(x, "height", -1), position = number_at(x, "position", -1);
  if (!id || !key || height < 0 || position < 0 || position > UINT32_MAX)
    return malformed("an erasure without id, row_key, height or position");
  out.id = *id;
  out.node = text_at(x, "node");
  out.author = text_at(x, "author");
  out.table = text_at(x, "table");
  out.key = *key;
  out.reason = text_at(x, "reason");
  out.height = static_cast<block_height>(height);
  out.position = static_cast<std::uint32_t>(position);
  out.time_ms = number_at(x, "ordered_ms");
  return out;
}

credentials checking_only(const configs::genesis& mesh) {
  std::vector<public_key> keys;
  for (const auto& each : mesh.nodes)
    keys.push_back(each.vote_key);
  credentials x;
  x.domain = mesh.domain();
  x.verify = [keys](node_index node, bytes_view message, const signature& by) {
    return node < keys.size() && verify(keys[node], message, by);
  };
  return x;
}

/// In the form that is checked: nodes by their places in genesis.
result<erasure_certificate> compact(const json::value& x, const configs::genesis& mesh) {
  auto what = order_of(x);
  if (!what) return what.error();
  erasure_certificate out{mesh.chain, mesh.epoch, std::move(*what), {}};
  for (const auto& each : list_at(x, "nodes")) {
    const auto name = text_at(each, "node");
    const auto place = mesh.index_of(name);
    if (!place)
      return make_error(errc::conflict, "the certificate names node " + name.substr(0, 64)
                                            + ", which genesis does not have");
    const auto raw = raw_at<64>(each, "signature");
    if (!raw) return malformed("a signature that is not 64 bytes in hexadecimal");
    out.nodes.emplace_back(*place, signature{*raw});
  }
  std::sort(out.nodes.begin(), out.nodes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

result<proven_erasure> prove(const json::value& x, const configs::genesis& mesh) {
  const auto certificate = compact(x, mesh);
  if (!certificate) return certificate.error();
  const auto good = check(*certificate, checking_only(mesh));
  if (!good) return good.error();
  proven_erasure out{certificate->what, {}, {}};
  for (node_index i = 0; i < mesh.nodes.size(); ++i) {
    const bool signed_it = std::find(good->begin(), good->end(), i) != good->end();
    (signed_it ? out.erased_by : out.missing).push_back(mesh.nodes[i].name);
  }
  return out;
}

} // namespace

result<json::value> certificate_of(std::string_view chain,
                                   const std::vector<json::value>& orders,
                                   const std::vector<json::value>& attestations) {
  if (orders.empty()) return make_error(errc::not_found, "this operation erased nothing");
  json::array all;
  for (const auto& order : orders) {
    auto out = order_json(order);
    json::array nodes;
    for (const auto& each : attestations)
      if (text_at(each, "node") == text_at(order, "node")
          && number_at(each, "number", -1) == number_at(order, "number", -2))
        nodes.push_back({{"node", text_at(each, "by")},
                         {"signature", text_at(each, "signature")},
                         {"attested_ms", number_at(each, "attested_ms")}});
    out["nodes"] = std::move(nodes);
    all.push_back(std::move(out));
  }
  return json::value{{"kind", kind}, {"chain", chain}, {"erasures", std::move(all)}};
}

result<std::vector<proven_erasure>> check_certificate(const json::value& file,
                                                      const configs::genesis& mesh) {
  if (text_at(file, "kind") != kind)
    return malformed(std::string("its \"kind\" is not \"") + kind + "\"");
  if (text_at(file, "chain") != mesh.chain.hex())
    return make_error(errc::conflict, "the certificate is of another mesh: its chain is "
                                          + text_at(file, "chain").substr(0, 16)
                                          + "…, genesis says " + mesh.chain.hex().substr(0, 16)
                                          + "…");
  const auto& all = list_at(file, "erasures");
  if (all.empty() || all.size() > most_erasures)
    return malformed("it names no erasure, or more than 100,000");
  std::vector<proven_erasure> out;
  for (const auto& each : all) {
    auto proven = prove(each, mesh);
    if (!proven) return proven.error();
    out.push_back(std::move(*proven));
  }
  return out;
}

} // namespace tallymesh::tally
