// What a running contract can do to the world, and what it is told: implemented over a
// transaction by the executor, in memory by tests. program.hpp calls it; `contracts/README.md`
// says how it looks from a contract. Every call may refuse: the refusal ends the whole
// operation with exactly that outcome, and the contract cannot catch it; what the run did until
// then is the caller's to take back. One host serves one run of one contract; one thread.
#pragma once

#include "contracts/row.hpp"
#include "messages/block.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace tallymesh::contracts {

/// Who asks, on whose behalf, when. The texts live as long as the host.
struct run_facts {
  actor who;               ///< the operation's author
  std::string_view caller; ///< the contract that called this one; empty: the author itself
  operation_id operation;
  block_height height = 0;
  std::int64_t time_ms = 0; ///< of the block
};

/// How much of a listing is wanted.
struct page {
  std::size_t limit = 0;
  bool descending = false;
};

/// Of the operation that runs. Prices are roughly nanoseconds.
class gas_meter {
public:
  virtual ~gas_meter() = default;
  virtual std::uint64_t left() const = 0;
  /// The price of work that the VM has done. Refusal: out_of_gas, which is final.
  virtual checked<void> charge(std::uint64_t gas) = 0;
};

class host : public gas_meter {
public:
  virtual run_facts facts() const = 0;

  // --- reads. A table without a dot is the running contract's own; "other.table" is read with
  // the rights of the operation's author, or of the contract that runs: the host decides.
  /// The row as row_view reads it.
  virtual checked<std::optional<shared_bytes>> get(std::string_view table,
                                                   const value_list& key) = 0;
  /// The rows that have these values, by an index or the key (`index_for` finds it), in the
  /// order of that index.
  virtual checked<std::vector<value_map>> find(std::string_view table, const value_map& where,
                                               page wanted) = 0;
  /// In key order, from the first key that begins with `from` to the last that begins with
  /// `to`. Each holds the first values of a key, or nothing: no limit on that side.
  virtual checked<std::vector<value_map>> range(std::string_view table, const value_list& from,
                                                const value_list& to, page wanted) = 0;

  // --- effects, on the running contract's own tables
  virtual checked<void> store(std::string_view table, const value_map& row) = 0;
  virtual checked<void> remove(std::string_view table, const value_list& key) = 0;
  virtual checked<void> erase(std::string_view table, const value_list& key,
                              std::string_view reason) = 0;
  /// As settlement::transfer_from takes it.
  virtual checked<void> settle(const value_map& what) = 0;
  /// As distribution::request_from takes it.
  virtual checked<void> distribute(std::string_view table, const value_list& key,
                                   const value_map& to) = 0;
  virtual checked<void> emit(std::string_view name, value_map what) = 0;

  /// Runs an action of another contract, native ones included, with the running contract as its
  /// caller. What it returns. The host checks `may` and depth (too_deep after 8).
  virtual checked<value> call(std::string_view contract, std::string_view action,
                              const value_map& params) = 0;
};

/// By what rows with given values are found: an index, or the key itself, whose first fields
/// are exactly those, in some order.
struct index_choice {
  std::optional<std::uint8_t> index; ///< none: the key
  value_list prefix;                 ///< in the order of its fields, converted
};
/// The first that fits, the key before the indexes. Refusals: unknown_field, wrong_type;
/// malformed_arguments (detail: the table) if nothing fits.
checked<index_choice> index_for(const table& x, const value_map& where);

/// What came of an operation inside a contract's test.
struct tried {
  outcome why = outcome::done;
  std::string detail;
  value returned;
};

/// The little mesh on which a contract's own tests act: `t` in `tests`. It must run actions by
/// another `program` than the one whose `run_test` called it.
class test_host {
public:
  virtual ~test_host() = default;
  /// Before each call: what it may use at most.
  virtual void allow(std::uint64_t gas) = 0;
  /// After each call: what it used, which the test that asked for it pays. Every node runs a
  /// candidate's tests before anybody has voted for it.
  virtual std::uint64_t take_used() = 0;
  /// Who acts from now on, written account@node; `level` of the node, as it is first named.
  virtual checked<void> become(std::string_view account, std::optional<tier> level) = 0;
  /// The block's time from now on.
  virtual checked<void> set_time(std::int64_t time_ms) = 0;
  virtual std::int64_t time_ms() const = 0;
  /// One operation: an action, or the native "store", "delete", "distribute", "erase" with
  /// arguments as an operation has them. Empty contract: the tested one.
  virtual tried perform(std::string_view contract, std::string_view action,
                        const value_map& params) = 0;
  virtual checked<std::optional<shared_bytes>> get(std::string_view table,
                                                   const value_list& key) = 0;
  virtual checked<std::vector<value_map>> find(std::string_view table, const value_map& where,
                                               page wanted) = 0;
  virtual checked<std::vector<value_map>> range(std::string_view table, const value_list& from,
                                                const value_list& to, page wanted) = 0;
};

} // namespace tallymesh::contracts
