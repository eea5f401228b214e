// A temporary directory, and a small mesh's worth of signed things to store. The signatures are
// a keyed hash: the stores never check them.
#pragma once

#include "storage/ledger.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <map>

namespace tallymesh::storage::testing {

namespace fs = std::filesystem;

class temporary_directory {
public:
  temporary_directory() {
    auto name = (fs::temp_directory_path() / "tallymesh-storage-XXXXXX").string();
    BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~temporary_directory() { fs::remove_all(path_); }
  fs::path operator/(const char* name) const { return path_ / name; }

private:
  fs::path path_;
};

inline digest digest_of(std::string_view text) {
  return hash(digest_kind::genesis, as_bytes(text));
}

inline signing_domain test_domain() { return {digest_of("a chain"), 0}; }

inline credentials keyed_hash(node_index self = 0) {
  const auto sign = [self](bytes_view message) {
    const auto half = hash(digest_kind::genesis, {as_bytes(std::to_string(self)), message});
    signature made;
    std::copy(half.raw.begin(), half.raw.end(), made.raw.begin());
    std::copy(half.raw.begin(), half.raw.end(), made.raw.begin() + 32);
    return made;
  };
  return {self, test_domain(), sign,
          [](node_index, bytes_view, const signature&) { return true; }};
}

inline operation_id operation_number(std::uint64_t n) {
  operation_id id;
  for (int i = 0; i < 8; ++i)
    id.raw[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(n >> 8 * (7 - i));
  id.raw[15] = 1;
  return id;
}

inline batch_ptr make_batch(node_index lane, std::uint64_t seq, const digest& parent,
                            std::size_t payload_bytes = 10, std::string_view mark = "x") {
  batch content;
  content.lane = lane;
  content.seq = seq;
  content.parent = parent;
  operation one;
  one.id = operation_number(lane * 1'000'000u + seq);
  one.contract = "orders";
  one.action = "store";
  one.author = "alice";
  std::string payload(payload_bytes, 'p');
  one.arguments = {{"mark", value(std::string(mark))}, {"payload", value(std::move(payload))}};
  content.operations.push_back(std::move(one));
  return seal(keyed_hash(lane), std::move(content));
}

inline block_ptr make_block(view_number view, std::string_view mark = "a") {
  block content;
  content.view = view;
  content.height = view;
  content.parent_view = view - 1;
  content.parent = digest_of(mark);
  content.time_ms = 1;
  return seal(keyed_hash(), std::move(content));
}

inline certificate make_certificate(item_kind kind, view_number view, const digest& block) {
  certificate x{kind, view, block, {}};
  for (node_index i = 0; i < 3; ++i)
    x.votes.emplace_back(i, keyed_hash(i).make(kind, view, block).signed_by);
  return x;
}

/// Plays executor: builds blocks with executions that link, and knows what the rows should be.
class ledger_script {
public:
  struct step {
    std::string table;
    std::string key;
    std::optional<std::string> after;
  };

  explicit ledger_script(signing_domain domain = test_domain()) {
    const auto first = genesis_block(domain);
    head_.block = first->id;
    head_.execution = genesis_execution(domain.chain);
  }

  /// One operation a step.
  ledger_commit next(const std::vector<step>& steps, bool finalized = true) {
    block content;
    content.height = head_.height + 1;
    content.view = head_.view + 1;
    content.parent = head_.block;
    content.parent_view = head_.view;
    content.time_ms = 1000 + static_cast<std::int64_t>(content.height);
    content.cut = {{0, content.height, digest_of("tip" + std::to_string(content.height))}};
    auto block = seal(keyed_hash(), content);

    execution done;
    done.height = content.height;
    done.block = block->id;
    done.time_ms = content.time_ms;
    done.previous = head_.execution;
    ledger_commit made;
    for (std::size_t i = 0; i < steps.size(); ++i)
      add(done, made, steps[i], static_cast<std::uint32_t>(i));

    made.execution = execution_digest(done);
    made.full_cut = content.cut;
    made.block = block;
    if (finalized)
      made.finalization = make_certificate(item_kind::finalize, content.view, block->id);
    head_ = {content.height,  content.view, block->id,
             content.time_ms, content.cut,  made.execution};
    made.result = std::make_shared<const execution>(std::move(done));
    return made;
  }

  const ledger_head& head() const { return head_; }

  static bytes raw(std::string_view text) { return {text.begin(), text.end()}; }
  /// The rows of these tests have one indexed value, their first character.
  static bytes index_key(std::string_view row) {
    return {static_cast<std::uint8_t>(row.at(0)), 0};
  }

private:
  struct known_row {
    std::optional<std::string> row;
    change_place last;
  };

  void add(execution& done, ledger_commit& made, const step& x, std::uint32_t position) {
    auto& known = rows_[{x.table, x.key}];
    receipt of;
    of.id = operation_number(++operations_);
    of.height = done.height;
    of.position = position;
    of.changes = 1;
    done.receipts.push_back(of);
    change what;
    what.table = x.table;
    what.key = raw(x.key);
    if (known.row) what.before = raw(*known.row);
    if (x.after) what.after = raw(*x.after);
    what.position = position;
    what.previous = known.last;
    const bool moved = !known.row || !x.after || index_key(*known.row) != index_key(*x.after);
    if (known.row && moved)
      made.indexes.push_back({x.table, 1, index_key(*known.row), raw(x.key), false});
    if (x.after && moved)
      made.indexes.push_back({x.table, 1, index_key(*x.after), raw(x.key), true});
    known = {x.after, {done.height, static_cast<std::uint32_t>(done.changes.size())}};
    done.changes.push_back(std::move(what));
  }

  ledger_head head_;
  std::map<std::pair<std::string, std::string>, known_row> rows_;
  std::uint64_t operations_ = 0;
};

inline std::string read_file(const fs::path& file) {
  std::string whole(fs::file_size(file), '\0');
  std::ifstream(file, std::ios::binary)
      .read(whole.data(), static_cast<std::streamsize>(whole.size()));
  return whole;
}

/// Changes one byte wherever `pattern` stands in the file (an old copy of a page may still hold
/// it). Returns how often.
inline int flip_byte_of(const fs::path& file, std::string_view pattern, std::size_t at = 0) {
  const auto whole = read_file(file);
  std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
  int flipped = 0;
  for (auto found = whole.find(pattern); found != std::string::npos;
       found = whole.find(pattern, found + 1)) {
    out.seekp(static_cast<std::streamoff>(found + at));
    out.put(static_cast<char>(whole[found + at] ^ 0x40));
    ++flipped;
  }
  return flipped;
}

template <class T>
bool is_error(const result<T>& x, errc code) {
  if (x) return false;
  BOOST_TEST_MESSAGE("  says: " << x.error().context);
  return x.error().code == code;
}

template <class T>
void require_ok(const result<T>& x) {
  const std::string why = x.has_value() ? "" : x.error().context;
  BOOST_REQUIRE_MESSAGE(x.has_value(), why);
}

template <class T>
bool says(const result<T>& x, std::string_view part) {
  return !x && x.error().context.find(part) != std::string::npos;
}

} // namespace tallymesh::storage::testing
