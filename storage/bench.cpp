// bench_storage [DIRECTORY]: how fast the stores are on this machine and disk. Works in a new
// directory below DIRECTORY (by default the current one), which it removes.
#include "storage/batch_store.hpp"
#include "storage/ledger.hpp"
#include "storage/vote_log.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>

using namespace tallymesh;
using namespace tallymesh::storage;
namespace fs = std::filesystem;

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Of all of this process: on a busy machine it tells more than the clock.
double processor_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

template <class T>
T must(result<T> x) {
  if (x) return std::move(*x);
  std::fprintf(stderr, "bench_storage: %s\n", x.error().context.c_str());
  std::exit(1);
}
void must(const result<void>& x) {
  if (x) return;
  std::fprintf(stderr, "bench_storage: %s\n", x.error().context.c_str());
  std::exit(1);
}

const signing_domain domain{hash(digest_kind::genesis, as_bytes("bench")), 0};

credentials keys() {
  const auto key = signing_key::from_seed({});
  return ed25519_credentials(0, domain, key, {key.public_part()});
}

/// Blocks of rows with two indexed values each, as a bulk load makes them.
class load {
public:
  load(std::size_t rows_a_block, std::uint64_t distinct, bool ids_by_time)
      : rows_a_block_(rows_a_block), distinct_(distinct), ids_by_time_(ids_by_time) {
    const auto first = genesis_block(domain);
    head_.block = first->id;
    head_.execution = genesis_execution(domain.chain);
    last_.resize(distinct);
  }

  ledger_commit next() {
    block content;
    content.height = head_.height + 1;
    content.view = head_.view + 1;
    content.parent = head_.block;
    content.parent_view = head_.view;
    ledger_commit made;
    made.block = seal(keys_, content);
    execution done{content.height, made.block->id, 0, {}, {}, head_.execution};
    for (std::size_t i = 0; i < rows_a_block_; ++i)
      add(done, made, static_cast<std::uint32_t>(i));
    made.execution = execution_digest(done);
    made.finalization = certificate{item_kind::finalize, content.view, made.block->id, {}};
    made.result = std::make_shared<const execution>(std::move(done));
    head_ = {content.height, content.view, made.block->id, 0, {}, made.execution};
    return made;
  }

  /// Rows in no order, as people's keys come.
  static bytes key_of(std::uint64_t number) {
    const auto mixed = hash(digest_kind::table, as_bytes(std::to_string(number)));
    return {mixed.raw.begin(), mixed.raw.begin() + 16};
  }

private:
  void add(execution& done, ledger_commit& made, std::uint32_t position) {
    const auto number = random_() % distinct_;
    receipt of;
    for (std::size_t i = 0; i < 16; ++i)
      of.id.raw[i] = static_cast<std::uint8_t>(random_());
    if (ids_by_time_)
      for (std::size_t i = 0; i < 8; ++i)
        of.id.raw[i] = static_cast<std::uint8_t>((done.height << 20) >> 8 * (7 - i));
    of.height = done.height;
    of.position = position;
    done.receipts.push_back(of);
    change what{
        "orders.orders", key_of(number), {}, bytes(200, static_cast<std::uint8_t>(number)),
        position,        last_[number]};
    if (what.previous.height != 0) what.before = what.after;
    last_[number] = {done.height, position};
    for (std::uint8_t index = 0; index < 2 && !what.before; ++index)
      made.indexes.push_back(
          {what.table, index, {static_cast<std::uint8_t>(number % 31), 0}, what.key, true});
    done.changes.push_back(std::move(what));
  }

  std::size_t rows_a_block_;
  std::uint64_t distinct_;
  bool ids_by_time_;
  std::vector<change_place> last_;
  std::mt19937_64 random_{1};
  credentials keys_ = keys();
  ledger_head head_;
};

void bench_ledger(const fs::path& home, durability how, bool ids_by_time, const char* name) {
  constexpr std::size_t rows_a_block = 1000, blocks_an_append = 4, appends = 75;
  constexpr std::uint64_t distinct = 200'000;
  auto store = must(ledger::open(home / name, domain, how));
  load source(rows_a_block, distinct, ids_by_time);
  double total = 0, slowest = 0, processor = 0;
  for (std::size_t i = 0; i < appends; ++i) {
    std::vector<ledger_commit> commits;
    for (std::size_t j = 0; j < blocks_an_append; ++j)
      commits.push_back(source.next());
    const auto before = processor_seconds();
    const auto taken = seconds_of([&] { must(store->append(commits)); });
    processor += processor_seconds() - before;
    total += taken;
    slowest = std::max(slowest, taken);
  }
  const auto changes = rows_a_block * blocks_an_append * appends;
  std::printf("%-8s %zu row changes, 2 indexes, %zu an append: %.0f a second; append %.1f ms "
              "(processor %.1f ms), slowest %.1f ms\n",
              name, changes, rows_a_block * blocks_an_append,
              static_cast<double>(changes) / total, 1e3 * total / appends,
              1e3 * processor / appends, 1e3 * slowest);
  constexpr int reads = 100'000;
  std::mt19937_64 random{2};
  std::vector<bytes> wanted;
  for (int i = 0; i < reads; ++i)
    wanted.push_back(load::key_of(random() % distinct));
  const auto reading = seconds_of([&] {
    for (const auto& key : wanted)
      must(store->row("orders.orders", key));
  });
  std::printf("%-8s one row read: %.2f us\n", name, 1e6 * reading / reads);
  ledger_sums sums;
  const auto summing = seconds_of([&] { sums = must(store->digests()); });
  std::printf("%-8s digest of %llu rows: %.0f ms\n", name,
              static_cast<unsigned long long>(sums.tables.at(0).records), 1e3 * summing);
  std::vector<double> times;
  for (int i = 0; i < 21; ++i) {
    load single(1, 1, true);
    auto small = must(ledger::open(home / ("one" + std::to_string(i)), domain, how));
    const auto commit = single.next();
    times.push_back(seconds_of([&] { must(small->append({&commit, 1})); }));
    small.reset();
    fs::remove_all(home / ("one" + std::to_string(i)));
  }
  std::sort(times.begin(), times.end());
  std::printf("%-8s append of one row to a new ledger: median %.2f ms\n", name,
              1e3 * times[10]);
}

void bench_batches(const fs::path& home) {
  auto store = must(batch_store::open(home / "batches", domain));
  const auto signer = keys();
  constexpr int count = 200;
  std::vector<batch_ptr> made;
  for (int i = 1; i <= count; ++i) {
    batch content;
    content.seq = static_cast<std::uint64_t>(i);
    if (!made.empty()) content.parent = made.back()->id;
    operation one;
    one.contract = "orders";
    one.action = "store";
    one.arguments = {{"row", value(bytes(200, 1))}};
    content.operations.assign(1600, one);
    made.push_back(seal(signer, std::move(content)));
  }
  const auto total = seconds_of([&] {
    for (const auto& each : made)
      must(store->put({&each, 1}));
  });
  const auto size = static_cast<double>(made[0]->body.size());
  std::printf("batches  %d of %.0f KiB, a sync each: %.2f ms each, %.0f MiB/s\n", count,
              size / 1024, 1e3 * total / count, count * size / total / (1 << 20));
  const auto reading = seconds_of([&] { must(store->headers_after({})); });
  std::printf("batches  headers of all, checked: %.0f MiB/s\n",
              count * size / reading / (1 << 20));
}

void bench_votes(const fs::path& home) {
  auto log = must(vote_log::open(home / "votes", domain, false));
  const auto signer = keys();
  std::vector<double> times;
  for (view_number view = 1; view <= 300; ++view) {
    const vote_record record = signer.make(item_kind::notarize, view, domain.chain);
    times.push_back(seconds_of([&] { must(log->append({&record, 1})); }));
    if (view > 10) log->prune(view - 10);
  }
  std::sort(times.begin(), times.end());
  std::printf("votes    append of one vote: median %.2f ms, 99 of 100 below %.2f ms\n",
              1e3 * times[150], 1e3 * times[296]);
}

} // namespace

int main(int argc, char** argv) {
  initialise_crypto();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  auto name = (fs::path(argc > 1 ? argv[1] : ".") / "bench_storage-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    std::fprintf(stderr, "bench_storage: cannot create a directory in %s\n",
                 argc > 1 ? argv[1] : ".");
    return 1;
  }
  bench_votes(name);
  bench_batches(name);
  bench_ledger(name, durability::synced, true, "synced");
  bench_ledger(name, durability::synced, false, "any ids");
  bench_ledger(name, durability::lazy, true, "lazy");
  fs::remove_all(name);
}
