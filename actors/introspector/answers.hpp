// What the introspector can say without asking another actor: from counters, config and stores.
// Reads of stores are pages. On the introspector's own thread.
#pragma once

#include "actors/node/context.hpp"
#include "messages/introspection.hpp"

#include <array>

namespace tallymesh::introspector {

value_map hello(const node::context& context, const configs::node_operator& who);
value_map tree(const node::context& context);
/// Errors: not_found (the context lists the actors there are), as of all with an actor's name.
result<value_map> one_actor(const node::context& context, const std::string& name);
result<node::child> find_child(const node::context& context, const std::string& name);

result<value_map> ledger(const node::context& context);
/// Where a page of hidden records ended: the only key that its name may stand for.
struct hidden_place {
  bytes name, key;
};
/// The last two pages of a connection, of one table.
struct hidden_places {
  std::string table;
  std::array<hidden_place, 2> known;
};

/// Arguments: table, after (bytes), limit, rows (bool: each row's key and digest too), hide. A
/// row's content never leaves: rights to read are a contract's to give. Hidden, no key does
/// either: a page is a digest that nobody can guess, since it is salted with a signature that
/// the nodes have and operators do not see. Then pages of equal heights can be compared.
result<value_map> rows(const node::context& context, const value_map& arguments,
                       hidden_places* hidden);
value_map contracts(const node::context& context);
value_map evidence(const node::context& context, std::int64_t limit);
value_map config(const node::context& context);
/// Where the chain or the stored batches have it. Errors: not_found in neither, storage.
result<value_map> find_operation(const node::context& context, const operation_id& id);

} // namespace tallymesh::introspector
