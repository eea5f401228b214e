#include "messages/keys.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tallymesh {

void initialise_crypto() { TALLYMESH_INVARIANT(sodium_init() >= 0); }

void random_bytes(std::span<std::uint8_t> out) { randombytes_buf(out.data(), out.size()); }

result<public_key> public_key::from_hex(std::string_view text) {
  const auto raw = tallymesh::from_hex(text);
  public_key key;
  if (!raw || raw->size() != key.raw.size())
    return make_error(errc::malformed,
                      "a public key is 64 hexadecimal characters, this is not: "
                          + std::string(text.substr(0, 80)));
  std::copy(raw->begin(), raw->end(), key.raw.begin());
  return key;
}

static std::shared_ptr<unsigned char> locked_secret() {
  auto* memory = static_cast<unsigned char*>(sodium_malloc(crypto_sign_SECRETKEYBYTES));
  TALLYMESH_INVARIANT(memory != nullptr);
  return {memory, sodium_free};
}

signing_key signing_key::generate() {
  signing_key key;
  key.secret_ = locked_secret();
  crypto_sign_keypair(key.public_.raw.data(), key.secret_.get());
  return key;
}

signing_key signing_key::from_seed(const std::array<std::uint8_t, 32>& seed) {
  signing_key key;
  key.secret_ = locked_secret();
  crypto_sign_seed_keypair(key.public_.raw.data(), key.secret_.get(), seed.data());
  return key;
}

namespace {
struct descriptor {
  int number;
  ~descriptor() {
    if (number >= 0) ::close(number);
  }
};
} // namespace

result<signing_key> signing_key::load(const std::filesystem::path& file) {
  descriptor input{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (input.number < 0)
    return make_error(errc::not_found, "cannot read the key file " + file.string() + ": "
                                           + std::strerror(errno));
  struct stat info {};
  if (::fstat(input.number, &info) != 0 || (info.st_mode & 077) != 0)
    return make_error(errc::forbidden, "the key file " + file.string()
                                           + " can be read by others; run: chmod 600 "
                                           + file.string());
  char text[66];
  const auto length = ::read(input.number, text, sizeof text);
  std::size_t used = length > 0 ? static_cast<std::size_t>(length) : 0;
  if (used == 65 && text[64] == '\n') used = 64;
  auto raw = tallymesh::from_hex({text, used});
  sodium_memzero(text, sizeof text);
  if (!raw || raw->size() != 32)
    return make_error(errc::malformed,
                      "the key file " + file.string()
                          + " must hold 64 hexadecimal characters and nothing else");
  std::array<std::uint8_t, 32> seed;
  std::copy(raw->begin(), raw->end(), seed.begin());
  sodium_memzero(raw->data(), raw->size());
  auto key = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return key;
}

/// A new file's name is on stable storage only once its directory is.
static bool sync_directory_of(const std::filesystem::path& file) {
  const auto directory =
      file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  descriptor opened{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  return opened.number >= 0 && ::fsync(opened.number) == 0;
}

result<void> signing_key::save(const std::filesystem::path& file) const {
  descriptor output{::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (output.number < 0)
    return make_error(errno == EEXIST ? errc::conflict : errc::storage,
                      "cannot create the key file " + file.string() + ": "
                          + std::strerror(errno));
  auto text = to_hex(seed()) + "\n";
  const bool written =
      ::write(output.number, text.data(), text.size()) == static_cast<ssize_t>(text.size())
      && ::fsync(output.number) == 0 && sync_directory_of(file);
  const int reason = errno;
  sodium_memzero(text.data(), text.size());
  if (!written) {
    ::unlink(file.c_str()); // half a key must not stand in the way of the next attempt
    return make_error(errc::storage, "cannot write the key file " + file.string() + ": "
                                         + std::strerror(reason));
  }
  return {};
}

signature signing_key::sign(bytes_view message) const {
  signature out;
  crypto_sign_detached(out.raw.data(), nullptr, message.data(), message.size(), secret_.get());
  return out;
}

bytes_view signing_key::seed() const { return {secret_.get(), 32}; }

bool verify(const public_key& signer, bytes_view message, const signature& signed_by) {
  return crypto_sign_verify_detached(signed_by.raw.data(), message.data(), message.size(),
                                     signer.raw.data())
         == 0;
}

} // namespace tallymesh
