#include "storage/batch_store.hpp"

#include "storage/environment.hpp"

#include <algorithm>

namespace tallymesh::storage {

namespace {

constexpr database batches = 0;

std::string tip_name(bytes_view key) {
  field_reader in{key};
  const auto lane = in.integer<std::uint16_t>();
  return "lane " + std::to_string(lane) + " seq " + std::to_string(in.integer<std::uint64_t>());
}

constexpr record_kind batch_kind{"batch_store", "batch", tip_name};

bytes key_of(const lane_tip& tip) {
  bytes key;
  key.reserve(2 + 8 + 32);
  put_integer(key, tip.lane);
  put_integer(key, tip.seq);
  put_bytes(key, tip.batch.raw);
  return key;
}

lane_tip tip_of(bytes_view key) {
  lane_tip tip;
  field_reader in{key};
  tip.lane = in.integer<std::uint16_t>();
  tip.seq = in.integer<std::uint64_t>();
  in.array(tip.batch.raw);
  if (!in.ok || !in.rest.empty())
    fail_damaged(batch_kind, key, "its key is not one of a batch");
  return tip;
}

/// What stands before the body.
struct stored_batch {
  digest parent;
  std::uint32_t operations = 0;
  signature signed_by;
  digest body_sum; ///< of the body as it is, which its name is not: that stays when parts go
  bytes_view body;
};
constexpr std::size_t content_bytes = 32 + 4 + 64 + 32;

digest sum_of(bytes_view body) {
  return hash(digest_kind::record, {as_bytes("batch_store/body"), body});
}

bytes to_value(bytes_view key, const sealed_batch& x) {
  bytes content;
  content.reserve(content_bytes);
  put_bytes(content, x.content.parent.raw);
  put_integer(content, static_cast<std::uint32_t>(x.content.operations.size()));
  put_bytes(content, x.signed_by.raw);
  put_bytes(content, sum_of(x.body).raw);
  auto value = seal_record(batch_kind, key, content);
  put_bytes(value, x.body);
  return value;
}

stored_batch to_stored(bytes_view key, bytes_view value) {
  if (value.size() < checksum_bytes + content_bytes) fail_damaged(batch_kind, key, "too short");
  field_reader in{open_record(batch_kind, key, value.first(checksum_bytes + content_bytes))};
  stored_batch x;
  in.array(x.parent.raw);
  x.operations = in.integer<std::uint32_t>();
  in.array(x.signed_by.raw);
  in.array(x.body_sum.raw);
  x.body = value.subspan(checksum_bytes + content_bytes);
  return x;
}

batch_ptr open_stored(bytes_view key, bytes_view value) {
  const auto x = to_stored(key, value);
  auto opened = open_batch(bytes(x.body.begin(), x.body.end()), x.signed_by);
  if (!opened) fail_damaged(batch_kind, key, opened.error().context);
  if ((*opened)->tip() != tip_of(key))
    fail_damaged(batch_kind, key, "its body is not the one named");
  return std::move(*opened);
}

/// As it is sent on: checked by its sum, not decoded.
batch_ptr undecoded(bytes_view key, bytes_view value) {
  const auto x = to_stored(key, value);
  const auto tip = tip_of(key);
  sealed_batch out;
  out.content.lane = tip.lane;
  out.content.seq = tip.seq;
  out.content.parent = x.parent;
  out.body.assign(x.body.begin(), x.body.end());
  out.id = tip.batch;
  out.signed_by = x.signed_by;
  if (sum_of(out.body) != x.body_sum)
    fail_damaged(batch_kind, key, "its body is not the one stored");
  return std::make_shared<const sealed_batch>(std::move(out));
}

[[noreturn]] void fail_missing(const lane_tip& tip) {
  fail(errc::not_found, "batch_store: the batch of lane " + std::to_string(tip.lane) + " seq "
                            + std::to_string(tip.seq) + " (" + tip.batch.short_hex()
                            + ") is not stored");
}

batch_header header_of(bytes_view key, bytes_view value) {
  const auto x = open_stored(key, value);
  return {x->tip(), x->content.parent, static_cast<std::uint32_t>(x->full_bytes),
          static_cast<std::uint32_t>(x->content.operations.size()), x->signed_by};
}

} // namespace

batch_store::batch_store(std::unique_ptr<environment> env) : env_(std::move(env)) {}
batch_store::~batch_store() = default;

result<std::unique_ptr<batch_store>> batch_store::open(const std::filesystem::path& directory,
                                                       const signing_domain& domain) {
  environment::description about;
  about.store = "batch_store";
  about.databases = {"batches"};
  about.chain = domain.chain;
  auto env = environment::open(directory, std::move(about));
  if (!env) return env.error();
  return std::unique_ptr<batch_store>(new batch_store(std::move(*env)));
}

result<void> batch_store::put(std::span<const batch_ptr> added) {
  if (added.empty()) return {};
  return env_->write([&](write_transaction& t) {
    for (const auto& each : added) {
      const auto key = key_of(each->tip());
      // Looked up first, so that a body that is there is neither copied nor written.
      if (!t.get(batches, key)) t.put(batches, key, to_value(key, *each));
    }
  });
}

result<bool> batch_store::contains(const lane_tip& tip) const {
  return env_->read(
      [&](const read_transaction& t) { return t.get(batches, key_of(tip)).has_value(); });
}

result<batch_ptr> batch_store::get(const lane_tip& tip) const {
  return env_->read([&](const read_transaction& t) {
    const auto key = key_of(tip);
    const auto value = t.get(batches, key);
    if (!value) fail_missing(tip);
    return open_stored(key, *value);
  });
}

result<std::vector<batch_ptr>>
batch_store::descend(const lane_tip& from, std::uint64_t after_seq, std::size_t max_bytes,
                     std::size_t max_count, contents wanted) const {
  return env_->read([&](const read_transaction& t) {
    std::vector<batch_ptr> found;
    std::size_t taken = 0;
    for (auto tip = from; tip.seq > after_seq || found.empty();) {
      const auto key = key_of(tip);
      const auto value = t.get(batches, key);
      if (!value && found.empty()) fail_missing(tip);
      if (!value
          || (!found.empty()
              && (taken + value->size() > max_bytes || found.size() >= max_count)))
        break;
      found.push_back(wanted == contents::decoded ? open_stored(key, *value)
                                                  : undecoded(key, *value));
      taken += value->size();
      tip = {tip.lane, tip.seq - 1, found.back()->content.parent};
    }
    return found;
  });
}

namespace {

std::uint64_t seq_in(std::span<const lane_tip> cut, node_index lane) {
  const auto at =
      std::find_if(cut.begin(), cut.end(), [&](const auto& x) { return x.lane == lane; });
  return at == cut.end() ? 0 : at->seq;
}

/// What one transaction rewrites: enough that a sync is worth it.
constexpr std::size_t rewritten_at_once_bytes = std::size_t{16} << 20;

struct doomed_batch {
  bytes key;
  std::vector<std::uint32_t> places;
};

using picker = std::function<bool(const batch&, const operation&)>;

std::vector<std::uint32_t> places_in(const batch& of, const picker& which) {
  std::vector<std::uint32_t> places;
  for (std::uint32_t i = 0; i < of.operations.size(); ++i)
    if (!of.operations[i].erased && which(of, of.operations[i])) places.push_back(i);
  return places;
}

/// From `from` on, which is moved to where to go on; empty: all was read.
std::vector<doomed_batch> find_doomed(const transaction& t, bytes& from,
                                      std::span<const lane_tip> cut, const picker& which) {
  std::vector<doomed_batch> found;
  std::size_t taken = 0;
  cursor at(t, batches);
  for (bool more = at.seek(from); more; more = at.next()) {
    if (taken > rewritten_at_once_bytes) {
      from.assign(at.key().begin(), at.key().end());
      return found;
    }
    const auto tip = tip_of(at.key());
    if (tip.seq > seq_in(cut, tip.lane)) continue;
    const auto whole = open_stored(at.key(), at.value());
    auto places = places_in(whole->content, which);
    if (places.empty()) continue;
    found.push_back({bytes(at.key().begin(), at.key().end()), std::move(places)});
    taken += at.value().size();
  }
  from.clear();
  return found;
}

} // namespace

result<bool>
batch_store::erase(std::span<const lane_tip> cut,
                   const std::function<bool(const batch& of, const operation& what)>& which) {
  bool erased = false;
  bytes from;
  do {
    const auto found =
        env_->read([&](const read_transaction& t) { return find_doomed(t, from, cut, which); });
    if (!found) return found.error();
    if (found->empty()) continue;
    const auto done = env_->write([&](write_transaction& t) {
      for (const auto& each : *found) {
        const auto value = t.get(batches, each.key);
        if (!value) fail_missing(tip_of(each.key));
        const auto whole = open_stored(each.key, *value);
        t.put(batches, each.key, to_value(each.key, *erase_arguments(*whole, each.places)));
      }
      t.note_erased();
    });
    if (!done) return done.error();
    erased = true;
  } while (!from.empty());
  return erased;
}

result<void> batch_store::rebuild(const std::function<void(std::size_t copied_bytes)>& told) {
  return env_->rebuild(told);
}
bool batch_store::holds_erased() const { return env_->holds_erased(); }
std::size_t batch_store::used_bytes() const { return env_->used_bytes(); }

result<std::vector<batch_header>>
batch_store::headers_after(std::span<const lane_tip> cut) const {
  return env_->read([&](const read_transaction& t) {
    std::vector<batch_header> found;
    cursor at(t, batches);
    for (bool more = at.seek({}); more;) {
      const auto tip = tip_of(at.key());
      const auto known = seq_in(cut, tip.lane);
      if (tip.seq <= known) { // over all that the cut covers, in one step
        lane_tip last{tip.lane, known, {}};
        last.batch.raw.fill(0xFF);
        more = at.seek(key_of(last));
        continue;
      }
      found.push_back(header_of(at.key(), at.value()));
      more = at.next();
    }
    return found;
  });
}

} // namespace tallymesh::storage
