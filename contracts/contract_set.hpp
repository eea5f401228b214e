// All contracts in force at one place of the chain, built-in ones included, and the parties of
// the mesh. An activation makes another set. Immutable and shared; any thread.
#pragma once

#include "contracts/by_name.hpp"
#include "contracts/contract.hpp"

#include <map>
#include <memory>
#include <set>

namespace tallymesh::contracts {

struct builtin;

/// The parties that genesis names; the place of a node is its node_index. Built-in contracts
/// ask for it: who is of a tier, how many nodes are a quorum.
struct mesh_facts {
  struct node {
    std::string name;
    tier at{};
  };
  struct account {
    std::string name; ///< without the node
    std::string node;
  };
  std::vector<node> nodes;
  std::vector<account> accounts; ///< each node has an account `node` of its own beside these

  std::size_t faulty() const { return nodes.empty() ? 0 : (nodes.size() - 1) / 3; }
  std::size_t quorum() const { return nodes.size() - faulty(); }
};

/// The account of a node that its own software uses: it attests and confirms.
constexpr std::string_view node_account = "node";

/// A contract with what it was made from.
struct contract_entry {
  contract declared;
  std::string source;              ///< the file's bytes
  const builtin* native = nullptr; ///< of a contract inside the program
};

class contract_set;
using contract_set_ptr = std::shared_ptr<const contract_set>;

class contract_set {
public:
  /// A row of another table that names rows of this one.
  struct referrer {
    const table* from = nullptr;
    std::size_t reference = 0; ///< place in table::references
  };

  /// Errors: bad_config (two of one name, a reference to a table or fields that are not there,
  /// a right of a party that the mesh does not have).
  static result<contract_set_ptr> make(mesh_facts mesh, std::vector<contract_entry> all);
  /// This set with one contract more, or with another version of one. Errors as above.
  result<contract_set_ptr> with(contract_entry next) const;
  /// No operation of a frozen contract is executed, and no other contract can call it; its
  /// tables can be read as before.
  contract_set_ptr with_frozen(std::string_view name, bool frozen) const;

  const contract* find_contract(std::string_view name) const;
  /// By "contract.table".
  const table* find_table(std::string_view full_name) const;
  const contract_entry* find_entry(std::string_view name) const;
  bool is_frozen(std::string_view name) const { return frozen_.contains(name); }
  const std::vector<referrer>& referrers(const table& to) const;
  const std::map<std::string, contract_entry, std::less<>>& contracts() const { return all_; }
  const mesh_facts& mesh() const { return mesh_; }

private:
  contract_set() = default;
  static result<contract_set_ptr> make(mesh_facts mesh, std::vector<contract_entry> all,
                                       std::set<std::string, std::less<>> frozen);
  std::vector<contract_entry> entries() const;
  result<void> link(const table& from);

  mesh_facts mesh_;
  std::map<std::string, contract_entry, std::less<>> all_;
  std::set<std::string, std::less<>> frozen_;
  by_name<const table*> tables_;                            ///< by full name
  std::map<const table*, std::vector<referrer>> referrers_; ///< looked up, never iterated
};

} // namespace tallymesh::contracts
