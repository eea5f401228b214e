// Gets what executing a block gave from peers, for a block that cannot be executed here because
// arguments of its operations were erased. Believed is what f + 1 nodes say its digest is,
// since one of them is honest; the bytes then come in parts from one node, and must have that
// digest. A digest does not tell how much of what it covers was erased, so the node is asked
// that says it erased least, and must keep its word: no liar can hide rows that no one ordered
// to erase. Pure: answers in, questions out. Owned by the executor's actor, one height at a
// time.
#pragma once

#include "messages/block.hpp"
#include "messages/receipt.hpp"
#include "messages/wire.hpp"

#include <map>
#include <set>

namespace tallymesh::contract_executor {

/// An answer to this offset carries digest and length only.
constexpr std::uint64_t digest_only = UINT64_MAX;

struct question {
  std::optional<node_index> to; ///< none: all peers
  fetch_execution what;
};

class execution_fetch {
public:
  /// `believed`: how many nodes must say the same, f + 1.
  explicit execution_fetch(std::size_t believed) : believed_(believed) {}

  /// Whatever was under way is dropped.
  std::vector<question> begin(block_height height);
  /// Nothing came for a while: asks again, and another node for the bytes.
  std::vector<question> retry();
  /// The answer of a node. When all is there, `found()` has it.
  std::vector<question> take(node_index from, const fetched_execution& x);

  bool under_way() const { return height_ != 0; }
  block_height height() const { return height_; }
  /// Ends it.
  std::optional<execution> found();

private:
  /// What a node says of it.
  struct claim {
    digest what;
    std::uint32_t erased = 0;
  };
  std::vector<question> next_part();
  std::vector<question> next_source();
  std::optional<digest> agreed() const;

  std::size_t believed_;
  block_height height_ = 0;
  std::map<node_index, claim> said_;
  std::set<node_index> useless_; ///< gave bytes that are not what they said, or nothing
  std::optional<node_index> source_;
  std::uint32_t source_erased_ = 0; ///< as it said when it was chosen
  std::uint64_t total_bytes_ = 0;
  bytes parts_;
  std::optional<execution> found_;
};

/// The answer to a peer's question from the execution's encoding; `encoded` empty: not here.
fetched_execution answer_of(const fetch_execution& question, const digest& execution,
                            std::uint32_t erased, bytes_view encoded);

/// How much one peer may ask for: reading and sending cost far more than asking.
class serving_budget {
public:
  /// Whether a question may be answered now.
  bool may_serve(std::int64_t now_ms);
  void served(std::size_t read_bytes) { bytes_ += read_bytes; }

private:
  std::int64_t window_start_ms_ = 0;
  std::size_t questions_ = 0, bytes_ = 0;
};

} // namespace tallymesh::contract_executor
