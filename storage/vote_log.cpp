#include "storage/vote_log.hpp"

#include "messages/overload.hpp"
#include "storage/environment.hpp"

namespace tallymesh::storage {

namespace {

constexpr database records = 0;

enum class entry_kind : std::uint8_t {
  own_vote = 1,
  own_proposal = 2,
  block = 3,
  certificate = 4
};

std::string view_name(bytes_view key) {
  field_reader in{key};
  return "view " + std::to_string(in.integer<std::uint64_t>());
}

constexpr record_kind vote_kind{"vote_log", "vote", view_name};
constexpr record_kind proposal_kind{"vote_log", "proposal", view_name};
constexpr record_kind block_kind{"vote_log", "block", view_name};
constexpr record_kind certificate_kind{"vote_log", "certificate", view_name};
constexpr record_kind unknown_kind{"vote_log", "unknown", view_name};

struct stored_record {
  bytes key, value;
  std::string_view only_one; ///< what a different record under this key would contradict
};

bytes start_key(view_number view, entry_kind kind) {
  bytes key;
  put_integer(key, view);
  put_integer(key, static_cast<std::uint8_t>(kind));
  return key;
}

stored_record to_stored(const vote& x) {
  auto key = start_key(x.position, entry_kind::own_vote);
  put_integer(key, static_cast<std::uint8_t>(x.kind));
  auto value = seal_record(vote_kind, key, encode(x));
  return {std::move(key), std::move(value), to_string(x.kind)};
}

stored_record to_stored(const own_proposal& x) {
  auto key = start_key(x.block->content.view, entry_kind::own_proposal);
  auto value = seal_record(proposal_kind, key, encode(record_of(*x.block)));
  return {std::move(key), std::move(value), "proposal"};
}

stored_record to_stored(const kept_block& x) {
  auto key = start_key(x.block->content.view, entry_kind::block);
  put_bytes(key, x.block->id.raw);
  auto value = seal_record(block_kind, key, encode(record_of(*x.block)));
  return {std::move(key), std::move(value), {}};
}

stored_record to_stored(const certificate& x) {
  auto key = start_key(x.view, entry_kind::certificate);
  put_integer(key, static_cast<std::uint8_t>(x.kind));
  put_bytes(key, x.block.raw);
  auto value = seal_record(certificate_kind, key, encode(x));
  return {std::move(key), std::move(value), {}};
}

void store(write_transaction& t, const stored_record& x) {
  if (t.insert(records, x.key, x.value) || x.only_one.empty()) return;
  const auto held = t.get(records, x.key);
  if (held && std::equal(held->begin(), held->end(), x.value.begin(), x.value.end())) return;
  fail(errc::conflict, "vote_log: a second, different " + std::string(x.only_one) + " of "
                           + view_name(x.key) + " was refused; nothing was stored");
}

vote_record to_record(bytes_view key, bytes_view value) {
  field_reader in{key};
  in.integer<std::uint64_t>();
  switch (static_cast<entry_kind>(in.integer<std::uint8_t>())) {
  case entry_kind::own_vote:
    return decode_record<vote>(vote_kind, key, open_record(vote_kind, key, value));
  case entry_kind::own_proposal:
    return own_proposal{
        open_block_record(proposal_kind, key,
                          decode_record<block_record>(proposal_kind, key,
                                                      open_record(proposal_kind, key, value)))};
  case entry_kind::block:
    return kept_block{open_block_record(
        block_kind, key,
        decode_record<block_record>(block_kind, key, open_record(block_kind, key, value)))};
  case entry_kind::certificate:
    return decode_record<certificate>(certificate_kind, key,
                                      open_record(certificate_kind, key, value));
  }
  fail_damaged(unknown_kind, key, "its key names no kind");
}

void erase_through(write_transaction& t, view_number through) {
  cursor at(t, records);
  for (bool found = at.seek({}); found; found = at.seek({})) {
    field_reader in{at.key()};
    if (in.integer<std::uint64_t>() > through) return;
    at.erase();
  }
}

} // namespace

view_number view_of(const vote_record& x) {
  return std::visit(overload{[](const vote& y) { return y.position; },
                             [](const own_proposal& y) { return y.block->content.view; },
                             [](const kept_block& y) { return y.block->content.view; },
                             [](const certificate& y) { return y.view; }},
                    x);
}

vote_log::vote_log(std::unique_ptr<environment> env) : env_(std::move(env)) {}
vote_log::~vote_log() = default;

result<std::unique_ptr<vote_log>> vote_log::open(const std::filesystem::path& directory,
                                                 const signing_domain& domain,
                                                 bool expect_existing) {
  environment::description about;
  about.store = "vote_log";
  about.databases = {"records"};
  about.chain = domain.chain;
  about.may_create = !expect_existing;
  about.if_missing = "This node may have voted before and must not vote "
                     "again with this key: let it observe only, and rejoin with a new key";
  auto env = environment::open(directory, std::move(about));
  if (!env) return env.error();
  return std::unique_ptr<vote_log>(new vote_log(std::move(*env)));
}

result<void> vote_log::append(std::span<const vote_record> added) {
  if (added.empty()) return {};
  std::vector<stored_record> stored;
  stored.reserve(added.size());
  for (const auto& each : added)
    stored.push_back(std::visit([](const auto& x) { return to_stored(x); }, each));
  return env_->write([&](write_transaction& t) {
    if (const auto through = pruned_through_.load(); through > 0) erase_through(t, through);
    for (const auto& each : stored)
      store(t, each);
  });
}

result<std::vector<vote_record>> vote_log::load() const {
  return env_->read([&](const read_transaction& t) {
    std::vector<vote_record> all;
    cursor at(t, records);
    for (bool found = at.seek(height_key(pruned_through_.load() + 1)); found; found = at.next())
      all.push_back(to_record(at.key(), at.value()));
    return all;
  });
}

void vote_log::prune(view_number through) {
  auto before = pruned_through_.load();
  while (before < through && !pruned_through_.compare_exchange_weak(before, through)) {
  }
}

} // namespace tallymesh::storage
