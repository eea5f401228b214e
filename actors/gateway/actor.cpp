#include "actors/gateway/actor.hpp"

#include "actors/gateway/server.hpp"

#include <spdlog/spdlog.h>

namespace tallymesh::gateway {

namespace {

using drained_atom = caf::atom_constant<caf::atom("drained")>;

/// The tokens in force; read by the server's threads while they are replaced.
class token_holder {
public:
  result<void> load(const node::context& context) {
    auto read = configs::token_list::load(context.config.gateway.tokens_file, context.genesis(),
                                          context.self());
    if (!read) return read.error();
    const std::lock_guard guard(lock_);
    tokens_ = std::make_shared<const configs::token_list>(std::move(*read));
    return {};
  }
  std::optional<std::string> account_of(std::string_view token) const {
    std::shared_ptr<const configs::token_list> tokens;
    {
      const std::lock_guard guard(lock_);
      tokens = tokens_;
    }
    return tokens->account_of(token);
  }

private:
  mutable std::mutex lock_;
  std::shared_ptr<const configs::token_list> tokens_;
};

struct actor_state {
  static inline const char* name = "gateway";
  node::context_ptr context;
  caf::actor mempool;
  std::shared_ptr<token_holder> tokens = std::make_shared<token_holder>();
  std::shared_ptr<class server> server;
};
value_map describe(const actor_state& x) {
  value_map out;
  put(out, "listening", x.server != nullptr);
  if (x.server) put(out, "port", value(static_cast<std::int64_t>(x.server->bound_port())));
  put(out, "contracts",
      value(
          static_cast<std::int64_t>(x.context ? x.context->in_force.contracts()->size() : 0)));
  put(out, "mempool_known", static_cast<bool>(x.mempool));
  return out;
}
using self_ptr = introspector::inspected_actor<actor_state>*;

admission verdict_of(mempool::admission x) {
  switch (x) {
  case mempool::admission::accepted:
    return admission::accepted;
  case mempool::admission::known:
    return admission::known;
  case mempool::admission::overloaded:
    return admission::overloaded;
  case mempool::admission::too_large:
  case mempool::admission::erased: // a request always has its arguments
    return admission::too_large;
  }
  return admission::overloaded;
}

/// The operation behind a receipt: the receipt names its lane and sequence number, the block's
/// cut leads there.
std::optional<operation> find_operation(const node::context& context, const receipt& of) {
  const auto block = context.ledger->block(of.height);
  if (!block || of.lane >= block->full_cut.size()) return std::nullopt;
  const auto batches =
      context.batches->descend(block->full_cut[of.lane], of.seq - 1, SIZE_MAX, SIZE_MAX);
  if (!batches || batches->empty() || batches->back()->content.seq != of.seq)
    return std::nullopt;
  for (const auto& each : batches->back()->content.operations)
    if (each.id == of.id) return each;
  return std::nullopt;
}

backend backend_of(self_ptr self) {
  const auto context = self->state.context;
  const auto& mesh = context->genesis();
  const auto own = caf::actor_cast<caf::actor>(self);
  const auto& own_name = context->config.node;
  backend x{
      *context->ledger,
      [context] { return context->in_force.contracts(); },
      mesh.chain,
      own_name,
      static_cast<contracts::tier>(mesh.nodes[context->self()].tier),
      context->self(),
      {},
      [context, tokens = self->state.tokens](std::string_view token) -> std::optional<account> {
        const auto name = tokens->account_of(token);
        if (!name) return std::nullopt;
        const auto* known = context->genesis().find_account(*name, context->config.node);
        return account{*name, known ? known->key : std::nullopt};
      },
      [own](std::vector<operation> operations,
            std::function<void(std::vector<admission>)> answer) {
        auto handed_in = std::make_shared<node::submission>();
        handed_in->operations = std::move(operations);
        handed_in->answer =
            [answer = std::move(answer)](const std::vector<mempool::admission>& verdicts) {
              std::vector<admission> translated;
              for (const auto each : verdicts)
                translated.push_back(verdict_of(each));
              answer(std::move(translated));
            };
        caf::anon_send(own, node::submission_ptr(std::move(handed_in)));
      },
      [context] { return context->status(); },
      [context](const receipt& of) { return find_operation(*context, of); },
      [context] { return context->in_force.look(); }};
  for (const auto& each : mesh.nodes)
    x.nodes.push_back(each.name);
  return x;
}

server_settings settings_of(const configs::gateway_config& chosen) {
  server_settings x;
  x.front.host = chosen.listen.host;
  x.front.port = chosen.listen.port;
  x.front.tls_certificate = chosen.tls_certificate;
  x.front.tls_key = chosen.tls_key;
  x.front.connections = chosen.max_connections;
  x.front.request_bytes = chosen.max_request_bytes;
  return x;
}

/// Clients that wait get their receipts, or 503 after two seconds. Draining has a thread of its
/// own: the receipts come through this actor meanwhile.
void drain(self_ptr self) {
  self->spawn<caf::detached>(
      [](caf::event_based_actor* drainer, const std::shared_ptr<class server>& server,
         const caf::actor& owner) {
        server->stop();
        drainer->send(owner, drained_atom::value);
      },
      self->state.server, caf::actor_cast<caf::actor>(self));
}

void reload(self_ptr self) {
  auto& state = self->state;
  if (const auto read = state.tokens->load(*state.context); !read)
    spdlog::error("gateway: tokens not reloaded: {}", read.error().context);
  if (const auto read = state.server->reload_certificates(); !read)
    spdlog::error("gateway: certificates not reloaded: {}", read.error().context);
}

caf::behavior behaviour(self_ptr self, node::context_ptr context) {
  auto& state = self->state;
  state.context = std::move(context);
  node::prepare(self);
  if (const auto read = state.tokens->load(*state.context); !read) {
    spdlog::error("gateway: {}", read.error().context);
    return {};
  }
  state.server = std::make_shared<class server>(settings_of(state.context->config.gateway),
                                                backend_of(self));
  if (const auto started = state.server->start(); !started) {
    spdlog::error("gateway: {}", started.error().context);
    return {};
  }
  spdlog::info("gateway: listening on {}:{}", state.context->config.gateway.listen.host,
               state.server->bound_port());
  self->set_exit_handler([self](const caf::exit_msg&) { drain(self); });
  return {
      [=](node::wired_atom, const node::wiring_ptr& wired) {
        auto& mempool = self->state.mempool;
        const bool restarted = mempool && mempool != wired->core.mempool;
        mempool = wired->core.mempool;
        if (restarted) self->state.server->mempool_restarted();
      },
      [=](const node::execution_ptr& executed) { self->state.server->executed(executed); },
      [=](node::reload_atom) { reload(self); },
      [=](drained_atom) { self->quit(caf::exit_reason::user_shutdown); },
      [=](const node::submission_ptr& x) {
        if (self->state.mempool)
          self->send(self->state.mempool, x);
        else
          x->answer(std::vector<mempool::admission>(x->operations.size(),
                                                    mempool::admission::overloaded));
      },
  };
}

} // namespace

caf::actor spawn_gateway(caf::actor_system& system, node::context_ptr context) {
  return system.spawn<caf::detached>(behaviour, std::move(context));
}

} // namespace tallymesh::gateway
