// One operation's dealings with the tables: reads see what earlier operations wrote, writes are
// checked against the table's declaration and its constraints, and all of it takes effect or
// none of it does. Everything that executes goes through here: native store and delete, actions
// in Lua (contracts/host.hpp), and the built-in contracts (settlement, distribution, erasure,
// mesh), which keep their state in declared tables like any other. Pure: no clock, no CAF, no
// LMDB; one thread.
#pragma once

#include "contracts/builtins.hpp"
#include "contracts/contract_set.hpp"
#include "contracts/gas.hpp"
#include "contracts/overlay.hpp"
#include "contracts/row.hpp"
#include "contracts/table_source.hpp"

namespace tallymesh::contracts {

/// Who asks, on whose behalf, when. The texts outlive the transaction.
struct call_facts {
  actor who;               ///< the operation's author
  std::string_view caller; ///< the contract that called; empty: the author itself
  operation_id operation;
  node_index lane = 0;
  std::uint32_t position = 0;
  block_height height = 0;
  std::int64_t time_ms = 0;
};

class transaction;

/// Judges rows by the functions that contracts declare: the VM's side of `check`.
class row_judge {
public:
  virtual ~row_judge() = default;
  /// Refusals: check_failed, and what a running function can meet.
  virtual checked<void> judge(transaction& on, const table& where, const value_map& row) = 0;
};

/// What counts in a receipt beside the rows that the transaction counts by itself.
enum class effect : std::uint8_t { erased, settled, distributed };

class transaction {
public:
  transaction(const contract_set& rules, overlay& over, const table_source& below,
              call_facts facts, std::uint64_t gas_limit = default_operation_gas);
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  const call_facts& facts() const { return facts_; }
  const contract_set& rules() const { return rules_; }
  /// While a contract runs on behalf of another, `facts().caller` names that one.
  class called_by {
  public:
    called_by(transaction& on, std::string_view contract)
        : on_(on), before_(std::exchange(on.facts_.caller, contract)) {}
    ~called_by() { on_.facts_.caller = before_; }
    called_by(const called_by&) = delete;
    called_by& operator=(const called_by&) = delete;

  private:
    transaction& on_;
    std::string_view before_;
  };
  void judge_rows_by(row_judge* judge) { judge_ = judge; }

  // --- reads. Full table names ("contract.table"); rights are the caller's to check.
  /// The row, decoded. Refusals: unknown_table, malformed_arguments, wrong_type …
  checked<std::optional<value_map>> get(std::string_view table, const value_list& key);
  checked<std::optional<value_map>> get(const table& of, const value_list& key);
  /// Rows whose key begins with `prefix`, in key order, at most `limit`.
  checked<std::vector<value_map>> range(std::string_view table, const value_list& prefix,
                                        std::size_t limit, bool descending = false);
  /// Rows whose values in the `index`-th index begin with `prefix`, in index order.
  checked<std::vector<value_map>> find(std::string_view table, std::uint8_t index,
                                       const value_list& prefix, std::size_t limit,
                                       bool descending = false);
  /// The row as held, with the place of its last change.
  checked<held_row> held(const table& of, const bytes& key);

  // --- writes. Checked: declaration, unique, references, check, guards, limits.
  /// Merges `row` over what is there, as a native store does; that it changes nothing is no
  /// refusal.
  checked<void> put(std::string_view table, const value_map& row);
  /// As above; false if the row already was exactly this.
  checked<bool> put(const table& to, const value_map& row);
  /// Refusals: not_found, referenced …
  checked<void> remove(std::string_view table, const value_list& key);
  checked<void> remove(const table& from, const value_list& key);

  /// Something that happened, for the receipt and for those who follow. Refusals: too_large,
  /// out_of_range (too many), malformed_arguments (no name, or names not in order).
  checked<void> emit(std::string_view name, value_map what);
  void count(effect x);

  /// Adds to the operation's gas. Refusal: out_of_gas.
  checked<void> charge(std::uint64_t gas);
  std::uint64_t gas_used() const { return gas_used_; }
  std::uint64_t gas_limit() const { return gas_limit_; }

  /// Takes back every write, event and effect since the transaction began, or since `mark`; the
  /// gas stays spent.
  struct mark_t {
    overlay::mark_t writes;
    std::size_t events = 0, event_bytes = 0;
    effect_counts effects;
  };
  mark_t mark() const;
  void rewind(const mark_t& to);
  void rewind() { rewind(start_); }

  /// What goes into the receipt.
  std::uint32_t changes() const;
  const effect_counts& effects() const { return effects_; }
  std::vector<event> take_events() { return std::move(events_); }

private:
  checked<const table*> table_named(std::string_view full_name) const;
  checked<std::vector<value_map>> read_rows(const table& of, std::vector<bytes> keys);
  checked<void> may_change(const table& of, const bytes& key);
  checked<void> check_unique(const table& of, const bytes& key, const value_map& row);
  checked<void> check_references(const table& of, const value_map& row);
  checked<void> check_referrers(const table& of, const value_map& row);
  checked<void> write(const table& of, bytes key, held_row before, std::optional<bytes> after,
                      std::vector<index_change> indexes);

  const contract_set& rules_;
  overlay& over_;
  const table_source& below_;
  call_facts facts_;
  row_judge* judge_ = nullptr;
  std::uint64_t gas_used_ = 0, gas_limit_;
  effect_counts effects_;
  std::vector<event> events_;
  std::size_t event_bytes_ = 0;
  mark_t start_;
};

} // namespace tallymesh::contracts
