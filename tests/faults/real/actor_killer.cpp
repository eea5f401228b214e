#include "tests/faults/real/actor_killer.hpp"

#include <numeric>

namespace tallymesh::faults {

using introspection::topic;
using std::chrono::milliseconds;

namespace {

/// The main thread waits so long: acts that are due meanwhile come that much later.
constexpr milliseconds for_link{3000}, for_answer{2000}, for_look{300};

std::vector<node_index> all_of(const configs::genesis& mesh) {
  std::vector<node_index> all(mesh.nodes.size());
  std::iota(all.begin(), all.end(), node_index{0});
  return all;
}

value_map named(const std::string& actor) {
  value_map out;
  put(out, "actor", actor);
  return out;
}

} // namespace

actor_killer::actor_killer(configs::genesis mesh, const signing_key& key)
    : mesh_(std::move(mesh)), client_(mesh_, key, all_of(mesh_)) {}

result<std::unique_ptr<actor_killer>> actor_killer::attach(const std::filesystem::path& mesh) {
  auto genesis = configs::load_genesis(mesh / "genesis.toml");
  if (!genesis) return genesis.error();
  const auto key = signing_key::load(mesh / "operator.key");
  if (!key) return key.error();
  std::unique_ptr<actor_killer> made(new actor_killer(std::move(*genesis), *key));
  made->client_.wait_for(all_of(made->mesh_), for_link);
  return made;
}

result<actor_killer::killed> actor_killer::kill(std::uint16_t node, const std::string& actor) {
  if (!client_.is_up(node)) client_.wait_for({node}, for_link); // it was started just now
  const auto before = client_.ask(node, topic::actor, named(actor), for_answer);
  if (!before) return before.error();
  const auto done = client_.ask(node, topic::kill, named(actor), for_answer);
  // The links end with the actor that holds them, and their last answer may: it is dead if it
  // is seen to be started again.
  if (!done && client_.is_up(node)) return done.error();
  return killed{node, actor, introspection::number_at(*before, "restarts")};
}

bool actor_killer::runs_again(const killed& x) {
  if (!client_.is_up(x.node)) return false;
  const auto now = client_.ask(x.node, topic::actor, named(x.actor), for_look);
  return now && introspection::flag_at(*now, "alive")
         && introspection::number_at(*now, "restarts") > x.starts_before;
}

} // namespace tallymesh::faults
