// What a running contract can do, over a transaction: it reads its own tables, and others' with
// the rights of whoever asks directly, which is the contract; it writes to its own tables, and
// has effects through the built-in contracts. One for each run of one contract; one thread.
#pragma once

#include "contracts/engine.hpp"
#include "contracts/host.hpp"

namespace tallymesh::contracts {

class transaction_host final : public host {
public:
  /// Whose rights count for tables of other contracts: in a contract's tests it is the party
  /// that acts, who looks at what came of it.
  enum class reader { contract, author };

  transaction_host(engine& by, transaction& on, const contract_entry& running,
                   reader reads_as = reader::contract)
      : by_(by), on_(on), running_(running), caller_(on.facts().caller), reads_as_(reads_as) {}

  std::uint64_t left() const override { return on_.gas_limit() - on_.gas_used(); }
  checked<void> charge(std::uint64_t gas) override { return on_.charge(gas); }
  run_facts facts() const override;

  checked<std::optional<shared_bytes>> get(std::string_view table,
                                           const value_list& key) override;
  checked<std::vector<value_map>> find(std::string_view table, const value_map& where,
                                       page wanted) override;
  checked<std::vector<value_map>> range(std::string_view table, const value_list& from,
                                        const value_list& to, page wanted) override;

  checked<void> store(std::string_view table, const value_map& row) override;
  checked<void> remove(std::string_view table, const value_list& key) override;
  checked<void> erase(std::string_view table, const value_list& key,
                      std::string_view reason) override;
  checked<void> settle(const value_map& what) override;
  checked<void> distribute(std::string_view table, const value_list& key,
                           const value_map& to) override;
  checked<void> emit(std::string_view name, value_map what) override;
  checked<value> call(std::string_view contract, std::string_view action,
                      const value_map& params) override;

private:
  checked<const table*> readable(std::string_view name) const;
  bool is_own(const table& x) const { return running_.declared.find_table(x.name) == &x; }
  actor reading() const;
  template <class Rows>
  Rows visible(const table& of, Rows rows) const;
  checked<const table*> own(std::string_view name) const;

  engine& by_;
  transaction& on_;
  const contract_entry& running_;
  std::string_view caller_;
  reader reads_as_;
};

} // namespace tallymesh::contracts
