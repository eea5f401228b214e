// What an operator's shell and a node's introspector say to each other: a question, and one or
// more answers. Kept apart from wire.hpp, because these frames never reach consensus. Nothing
// here trusts its sender: the open_ functions check form and limits before anything is built.
// Value types; any thread.
#pragma once

#include "messages/result.hpp"
#include "messages/value.hpp"

namespace tallymesh::introspection {

/// What a question is about. The first ones only read; those from `kill` on change something
/// and need the role control.
enum class topic : std::uint8_t {
  hello,     ///< who the node is, and what this operator may do
  tree,      ///< the supervision tree, each actor with its counters
  actor,     ///< one actor: counters, and a histogram for each kind of message
  mailbox,   ///< one actor: what waits there, by kind
  state,     ///< what one actor holds
  links,     ///< a line a peer
  consensus, ///< view, leader, votes, certificates, and what it waits for
  mempool,
  ledger, ///< head, tables and their number of records, room on the disk
  rows,   ///< a page of a table: digest of all its rows, and each row's if asked for
  contracts,
  evidence,
  config,    ///< each value, and where it comes from
  operation, ///< one operation by its id: executed where, or waiting where
  logs,      ///< the last lines, and what follows while `follow`
  trace,     ///< messages in and out of one actor
  stop,      ///< ends the stream that the question `of` began
  kill,
  restart,
  pause,
  resume,
  log_level,
  fault,
};
constexpr bool known(topic x) { return x <= topic::fault; }
constexpr bool needs_control(topic x) { return x >= topic::kill; }
std::string_view to_string(topic x);

/// What an operator's key is allowed to do.
enum class role : std::uint8_t { read, control };
constexpr bool known(role x) { return x <= role::control; }
std::string_view to_string(role x);

constexpr std::size_t max_question_bytes = 4 * 1024;
constexpr std::size_t max_answer_bytes = 256 * 1024;

struct question {
  std::uint32_t number = 0; ///< chosen by the asker; comes back in the answers
  topic about{};
  value_map arguments;
  template <class Archive>
  void serialize(Archive& a);
};

struct answer {
  std::uint32_t number = 0;
  bool last = true;    ///< false: more follow, of a stream
  std::string failure; ///< one line; empty if `body` is the answer
  value_map body;
  template <class Archive>
  void serialize(Archive& a);
};

bytes make_frame(const question& x);
/// A body that would be over the limit is replaced by a failure that says so.
bytes make_frame(const answer& x);

/// What an answer begins with: whose it is, and whether more follow.
struct answer_head {
  std::uint32_t number = 0;
  bool last = true;
};
/// Without looking at the rest. Errors: malformed.
result<answer_head> head_of_answer(bytes_view frame);

/// Errors: malformed, too_large.
result<question> open_question(bytes_view frame);
result<answer> open_answer(bytes_view frame);

// Members of an answer or of arguments, as hostile as any input: absent or of another type
// gives the default. No number is beyond `most_number`, so that sums of some cannot overflow.
constexpr std::int64_t most_number = std::int64_t{1} << 53;
std::string text_at(const value_map& from, std::string_view key,
                    std::string_view otherwise = "");
/// A count or a time, of whatever type it is kept in.
inline value number(auto x) { return value(static_cast<std::int64_t>(x)); }
std::int64_t number_at(const value_map& from, std::string_view key, std::int64_t otherwise = 0);
bool flag_at(const value_map& from, std::string_view key);
const value_map& map_at(const value_map& from, std::string_view key);
const value_list& list_at(const value_map& from, std::string_view key);
/// The numbers in a list; what is none is 0. At most the first `most`.
std::vector<std::int64_t> numbers_at(const value_map& from, std::string_view key,
                                     std::size_t most);
/// The maps in a list; what is no map is left out.
std::vector<const value_map*> maps_at(const value_map& from, std::string_view key);

} // namespace tallymesh::introspection
