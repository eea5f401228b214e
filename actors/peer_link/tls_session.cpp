#include "actors/peer_link/tls_session.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace tallymesh::peer_link {

namespace {

using key_ptr = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using certificate_ptr = std::unique_ptr<X509, void (*)(X509*)>;

std::string last_openssl_error() {
  const auto code = ERR_peek_last_error();
  const auto* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "unknown error";
}

error cannot(const char* what) {
  return make_error(errc::unsupported,
                    std::string("OpenSSL cannot ") + what + ": " + last_openssl_error());
}

key_ptr private_key(const signing_key& from) {
  return {EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, from.seed().data(), 32),
          &EVP_PKEY_free};
}

/// Carries the key and nothing else; nobody reads the names and dates in it.
certificate_ptr self_signed(EVP_PKEY* key) {
  certificate_ptr x{X509_new(), &X509_free};
  std::uint64_t serial = 0;
  if (!x || RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1)
    return {nullptr, &X509_free};
  auto* name = X509_get_subject_name(x.get());
  const auto* common = reinterpret_cast<const unsigned char*>("tallymesh link");
  const bool made =
      X509_set_version(x.get(), X509_VERSION_3) == 1
      && ASN1_INTEGER_set_uint64(X509_get_serialNumber(x.get()), serial >> 1) == 1
      && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1
      && X509_set_issuer_name(x.get(), name) == 1
      && ASN1_TIME_set_string(X509_getm_notBefore(x.get()), "20000101000000Z") == 1
      && ASN1_TIME_set_string(X509_getm_notAfter(x.get()), "99991231235959Z") == 1
      && X509_set_pubkey(x.get(), key) == 1 && X509_sign(x.get(), key, nullptr) != 0;
  return made ? std::move(x) : certificate_ptr{nullptr, &X509_free};
}

std::optional<public_key> ed25519_key(X509* from) {
  const auto* key = from != nullptr ? X509_get0_pubkey(from) : nullptr;
  if (key == nullptr || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) return std::nullopt;
  public_key out;
  auto size = out.raw.size();
  if (EVP_PKEY_get_raw_public_key(key, out.raw.data(), &size) != 1 || size != out.raw.size())
    return std::nullopt;
  return out;
}

/// Replaces OpenSSL's verification of chains altogether: the key is all that counts. That the
/// other side holds its private half is proved by the handshake's CertificateVerify.
int verify_pinned_key(X509_STORE_CTX* store, void*) {
  auto* ssl = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* session = static_cast<tls_session*>(SSL_get_app_data(ssl));
  const auto key = ed25519_key(X509_STORE_CTX_get0_cert(store));
  if (key && session->judge(*key)) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

bool configure(SSL_CTX* x) {
  SSL_CTX_set_verify(x, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(x, &verify_pinned_key, nullptr);
  SSL_CTX_set_options(x, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(x, 2048);
  SSL_CTX_set_mode(x,
                   SSL_MODE_RELEASE_BUFFERS); // idle links and strangers hold no record buffers
  return SSL_CTX_set_min_proto_version(x, TLS1_3_VERSION) == 1
         && SSL_CTX_set_max_proto_version(x, TLS1_3_VERSION) == 1
         && SSL_CTX_set_ciphersuites(x, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")
                == 1
         && SSL_CTX_set1_groups_list(x, "X25519") == 1
         && SSL_CTX_set1_sigalgs_list(x, "ed25519") == 1
         && SSL_CTX_set1_client_sigalgs_list(x, "ed25519") == 1
         && SSL_CTX_set_num_tickets(x, 0) == 1;
}

} // namespace

result<tls_context> tls_context::make(const signing_key& link_key) {
  ERR_clear_error();
  const auto key = private_key(link_key);
  if (!key) return cannot("use the link key");
  const auto certificate = self_signed(key.get());
  if (!certificate) return cannot("make a certificate");
  std::shared_ptr<SSL_CTX> context{SSL_CTX_new(TLS_method()), &SSL_CTX_free};
  if (!context || !configure(context.get()))
    return cannot("be set up for TLS 1.3 with Ed25519");
  if (SSL_CTX_use_certificate(context.get(), certificate.get()) != 1
      || SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1)
    return cannot("take the link key's certificate");
  return tls_context{std::move(context)};
}

tls_session::tls_session(const tls_context& identity, tls_role role, admission admit)
    : ssl_(SSL_new(identity.context_.get()), &SSL_free), admit_(std::move(admit)) {
  auto* in = BIO_new(BIO_s_mem());
  auto* out = BIO_new(BIO_s_mem());
  TALLYMESH_INVARIANT(ssl_ && in != nullptr && out != nullptr); // out of memory
  SSL_set_bio(ssl_.get(), in, out);
  SSL_set_app_data(ssl_.get(), this);
  if (role == tls_role::accepting)
    SSL_set_accept_state(ssl_.get());
  else
    SSL_set_connect_state(ssl_.get());
}

tls_session::~tls_session() = default;

bool tls_session::judge(const public_key& key) {
  if (admit_(key))
    peer_ = key;
  else
    refused_ = true;
  return !refused_;
}

result<void> tls_session::start() { return advance_handshake(); }

result<void> tls_session::advance_handshake() {
  ERR_clear_error();
  const auto status = SSL_do_handshake(ssl_.get());
  if (status == 1)
    established_ = true;
  else if (SSL_get_error(ssl_.get(), status) != SSL_ERROR_WANT_READ)
    return explain_failure(status);
  return {};
}

result<void> tls_session::receive(bytes_view wire, bytes& plain) {
  if (!established_) {
    handshake_bytes_ += wire.size();
    if (handshake_bytes_ > max_handshake_bytes)
      return make_error(errc::too_large, "a handshake of more than 16 KiB");
  }
  auto* in = SSL_get_rbio(ssl_.get());
  if (!wire.empty()
      && BIO_write(in, wire.data(), static_cast<int>(wire.size()))
             != static_cast<int>(wire.size()))
    return make_error(errc::overloaded, "no memory for received bytes");
  if (!established_) {
    if (auto done = advance_handshake(); !done) return done;
    if (!established_) return {};
  }
  std::uint8_t part[16 * 1024];
  for (;;) {
    ERR_clear_error();
    const auto size = SSL_read(ssl_.get(), part, sizeof part);
    if (size > 0)
      plain.insert(plain.end(), part, part + size);
    else if (SSL_get_error(ssl_.get(), size) == SSL_ERROR_WANT_READ)
      return {};
    else
      return explain_failure(size);
  }
}

result<void> tls_session::send(bytes_view plain) {
  TALLYMESH_INVARIANT(established_);
  ERR_clear_error();
  const auto size = static_cast<int>(plain.size());
  if (const auto status = SSL_write(ssl_.get(), plain.data(), size); status != size)
    return explain_failure(status);
  return {};
}

void tls_session::drain(std::vector<char>& out) {
  auto* wire = SSL_get_wbio(ssl_.get());
  char* data = nullptr;
  const auto size = BIO_get_mem_data(wire, &data);
  if (size <= 0) return;
  out.insert(out.end(), data, data + size);
  BIO_reset(wire);
}

error tls_session::explain_failure(int status) const {
  if (SSL_get_error(ssl_.get(), status) == SSL_ERROR_ZERO_RETURN)
    return make_error(errc::unavailable, "the other side ended the session");
  const auto reason = ERR_GET_REASON(ERR_peek_last_error());
  if (refused_) return make_error(errc::forbidden, "its key is not pinned here");
  if (reason > SSL_AD_REASON_OFFSET)
    return make_error(errc::unavailable, "the other side refused us: " + last_openssl_error());
  switch (reason) {
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
  case SSL_R_CERTIFICATE_VERIFY_FAILED:
    return make_error(errc::forbidden, "it showed no Ed25519 key");
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_WRONG_SSL_VERSION:
  case SSL_R_NO_PROTOCOLS_AVAILABLE:
    return make_error(errc::unsupported, "it does not speak TLS 1.3");
  default:
    return make_error(errc::malformed, "broken TLS: " + last_openssl_error());
  }
}

} // namespace tallymesh::peer_link
