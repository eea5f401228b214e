// What a running contract can do, over a transaction: reads with its rights and its author's,
// writes to its own tables, and effects through the built-in contracts. One for each run of one
// contract; one thread.
#pragma once

#include "contracts/engine.hpp"
#include "contracts/host.hpp"

namespace tallymesh::contracts {

class transaction_host final : public host {
public:
  transaction_host(engine& by, transaction& on, const contract_entry& running)
      : by_(by), on_(on), running_(running), caller_(on.facts().caller) {}

  std::uint64_t left() const override { return on_.gas_limit() - on_.gas_used(); }
  checked<void> charge(std::uint64_t gas) override { return on_.charge(gas); }
  run_facts facts() const override;

  checked<std::optional<value_map>> get(std::string_view table, const value_list& key) override;
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
  checked<const table*> own(std::string_view name) const;

  engine& by_;
  transaction& on_;
  const contract_entry& running_;
  std::string_view caller_;
};

} // namespace tallymesh::contracts
