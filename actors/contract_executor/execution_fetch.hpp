// Gets what executing a block gave from peers, for a block that cannot be executed here because
// arguments of its operations were erased. Believed is what f + 1 nodes say its digest is,
// since one of them is honest; the bytes then come in parts from one node, and must have that
// digest. A digest does not tell what of that it covers was erased. So each node says how much
// it erased and must keep its word, who erased least is asked first, and unless it erased
// nothing f others are asked as well: what one of them gives is known, and what all of them
// lack was erased by an honest node. Who lied, or fell silent again and again, is asked after
// all others at later heights too, so that it delays a node that catches up once and not at
// each block. Pure: answers in, questions out. Owned by the executor's actor, one height at a
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
  /// `believed`: one of so many nodes is honest, f + 1.
  explicit execution_fetch(std::size_t believed) : believed_(believed) {}

  /// Whatever was under way is dropped; who was of no use before is remembered.
  std::vector<question> begin(block_height height);
  /// Nothing came for a while: asks again, and after some times in vain another node.
  std::vector<question> retry();
  /// The answer of a node. When all is there that can be, `found()` has it.
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
  /// Ascending: whom to ask first.
  enum class trust : std::uint8_t { fine, silent, liar };
  std::vector<question> next_part();
  /// `hopes`: other answers may still come, and better ones.
  std::vector<question> next_source(bool hopes);
  std::vector<question> give_up(trust because);
  std::size_t who_say(const digest& what) const;
  trust trust_in(node_index node) const;

  std::size_t believed_;
  block_height height_ = 0;
  std::map<node_index, claim> said_;
  std::optional<digest> agreed_;           ///< what so many say
  std::map<node_index, trust> distrusted_; ///< at earlier heights too
  std::set<node_index> useless_;           ///< at this height
  std::optional<node_index> source_;
  unsigned asked_in_vain_ = 0;
  std::uint32_t source_erased_ = 0; ///< as it said when it was chosen
  std::uint64_t total_bytes_ = 0;
  bytes parts_;
  std::set<node_index> gave_; ///< whose bytes are in `gathered_`
  execution gathered_;
  std::optional<execution> found_;
};

/// What was fetched for `block`, held against what this node knows itself: the digest before
/// it, and that money is neither made nor lost (../../contracts/zero_sum.hpp). Errors:
/// conflict.
result<void> may_follow(const execution& fetched, const digest& block, const digest& previous);

/// The answer to a peer's question from the execution's encoding; `encoded` empty: not here.
fetched_execution answer_of(const fetch_execution& question, const digest& execution,
                            std::uint32_t erased, bytes_view encoded);

/// What peers asked for and when it may be answered. To ask costs ten bytes, to answer may cost
/// reading hundreds of megabytes, on the thread that executes blocks: so one question a peer is
/// kept, its last, they are answered in turn, and all answers together take a part of the
/// thread's time. Who is left waiting asks again.
class serving_queue {
public:
  /// Of a second; and so much may be taken at once, or be owed after one dear answer.
  static constexpr std::int64_t us_a_second = 200'000, most_us = 500'000;

  void ask(node_index from, const fetch_execution& what) { asked_[from] = what; }
  void forget(node_index from) { asked_.erase(from); }
  /// The question whose turn it is; nothing: there is none, or it has to wait.
  std::optional<std::pair<node_index, fetch_execution>> next(std::int64_t now_us);
  /// What the last answer took of the thread.
  void spent(std::int64_t us, std::int64_t now_us);
  /// How long until `next` may give one; nothing: none waits.
  std::optional<std::int64_t> wait_us(std::int64_t now_us);

private:
  void fill(std::int64_t now_us);

  std::map<node_index, fetch_execution> asked_;
  node_index served_ = 0; ///< who was answered last
  std::int64_t left_us_ = most_us;
  std::optional<std::int64_t> at_us_;
};

} // namespace tallymesh::contract_executor
