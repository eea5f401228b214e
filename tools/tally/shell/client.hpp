// The shell's side of the mesh: links to nodes' introspectors with an operator's key, and
// questions over them. A link that is lost is made again by itself. Main thread, except where
// said; the links have threads of their own.
#pragma once

#include "configs/genesis.hpp"
#include "messages/introspection.hpp"

#include <chrono>
#include <memory>

namespace tallymesh::tally {

using std::chrono::milliseconds;

class mesh_client {
public:
  /// Begins to connect to all `nodes` (indexes in genesis).
  mesh_client(const configs::genesis& mesh, const signing_key& key,
              const std::vector<node_index>& nodes);
  ~mesh_client();
  mesh_client(const mesh_client&) = delete;
  mesh_client& operator=(const mesh_client&) = delete;

  bool is_up(node_index node) const;
  /// Until all are up or have been refused, or the time is over.
  void wait_for(const std::vector<node_index>& nodes, milliseconds limit) const;
  /// Why a node is not up, as far as its link can say; one line.
  std::string trouble(node_index node) const;
  /// What became of links since the last call: "link to hq lost: ...", "hq is back".
  std::vector<std::string> take_notices();

  /// Errors: unavailable (not up, lost, no answer in time), forbidden (refused by the node; its
  /// words).
  result<value_map> ask(node_index node, introspection::topic about, value_map arguments = {},
                        milliseconds limit = milliseconds(3000));
  /// All at the same time; answers in the order of `nodes`.
  std::vector<result<value_map>> ask_all(const std::vector<node_index>& nodes,
                                         introspection::topic about,
                                         const value_map& arguments = {},
                                         milliseconds limit = milliseconds(3000));

  /// A question with more than one answer.
  std::uint32_t begin(node_index node, introspection::topic about, value_map arguments);
  /// The next answer; nothing when the time is over.
  std::optional<introspection::answer> next(std::uint32_t number, milliseconds limit);
  /// Whether this is no answer of the node but says that there is no link to it.
  static bool says_lost(const introspection::answer& x);
  /// Tells the node to stop, and forgets the answers.
  void end(node_index node, std::uint32_t number);

private:
  std::uint32_t send(node_index node, introspection::topic about, value_map arguments,
                     bool many);

  struct shared_state;
  struct running_system;
  std::shared_ptr<shared_state> state_;
  std::unique_ptr<running_system> running_;
};

} // namespace tallymesh::tally
