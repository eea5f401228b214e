#include "tests/simulation/quick_credentials.hpp"

#include "tests/simulation/random.hpp"

namespace tallymesh::simulation {

static signature keyed_hash(std::uint64_t secret, bytes_view message) {
  std::uint64_t a = secret, b = mix(secret);
  for (std::size_t i = 0; i < message.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data() + i, std::min<std::size_t>(8, message.size() - i));
    a = (a ^ word) * 0xFF51AFD7ED558CCDu;
    a ^= a >> 32;
    b = (b + word) * 0xC4CEB9FE1A85EC53u ^ a >> 29;
  }
  signature out;
  for (std::size_t i = 0; i < out.raw.size(); i += 16) {
    const std::uint64_t words[] = {mix(a + i), mix(b + i)};
    std::memcpy(out.raw.data() + i, words, sizeof words);
  }
  return out;
}

credentials quick_credentials(node_index self, std::uint16_t nodes,
                              const signing_domain& domain) {
  const auto secret_of = [](node_index node) { return mix(0x7461'6C6C'79u + node); };
  return {
      self, domain,
      [secret = secret_of(self)](bytes_view message) { return keyed_hash(secret, message); },
      [nodes, secret_of](node_index signer, bytes_view message, const signature& signed_by) {
        return signer < nodes && keyed_hash(secret_of(signer), message) == signed_by;
      }};
}

} // namespace tallymesh::simulation
