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

/// Runs the functions that contracts declare beside their actions: the VM, as a transaction
/// needs it.
class code_runner {
public:
  virtual ~code_runner() = default;
  /// Whether the contract's file can run. Errors: bad_config, too_large.
  virtual result<void> compile(const contract_entry& x) = 0;
  /// The table's own check. Refusals: check_failed, and what a running function can meet.
  virtual checked<void> judge(transaction& on, const table& where, const value_map& row) = 0;
  /// The migration that a version declares.
  virtual checked<void> migrate(transaction& on, const contract_entry& to) = 0;
};

/// Why a version of a contract cannot be in force.
enum class activation_fault : std::uint8_t {
  not_parsed,         ///< the source is no contract
  built_in,           ///< of this name there is one inside the program
  cannot_run,         ///< its code does not compile
  closed_rows,        ///< it would open rows that are settled
  contradicts_others, ///< a reference, or a right, of what is not there
  table_has_rows,     ///< it no longer declares a table that has rows; `table`, `row`
  row_does_not_fit,   ///< `table`, `row`, and why
  key_would_change,   ///< of `table`, `row`
  too_much_work,      ///< the rows are more, or longer, than can be taken over; `table`
  migration_failed,   ///< why
};
std::string_view to_string(activation_fault x);

/// The same on every node. What goes onto the chain is codes and names; `text` is for people.
struct activation_refusal {
  activation_fault why{};
  std::string table, row;    ///< "orders.orders", and the values of the row's key: "2026,17"
  std::string cause, detail; ///< as in a receipt: "out_of_range", "amount"
  std::string text;
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
  const contract_set& rules() const { return sets_.empty() ? rules_ : *sets_.back(); }
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
  /// Without one, nothing here may declare a function.
  void run_code_by(code_runner* runner) { runner_ = runner; }

  /// The encoded start of a key or of an index's values, for a range. Refusals: wrong_type,
  /// out_of_range, malformed_arguments (too many values).
  static checked<bytes> start_of(const table& of, const field_numbers& fields,
                                 const value_list& values);

  // --- reads. Full table names ("contract.table"); rights are the caller's to check.
  /// The row, decoded. Refusals: unknown_table, malformed_arguments, wrong_type …
  checked<std::optional<value_map>> get(std::string_view table, std::span<const value> key);
  checked<std::optional<value_map>> get(const table& of, std::span<const value> key);
  checked<std::optional<value_map>> get(std::string_view table,
                                        std::initializer_list<value> key) {
    return get(table, std::span(key.begin(), key.size()));
  }
  /// As it is stored (row_view.hpp).
  checked<std::optional<shared_bytes>> get_encoded(const table& of, std::span<const value> key);
  /// Rows whose key begins with `prefix`, in key order, at most `limit`.
  checked<std::vector<value_map>> range(std::string_view table, const value_list& prefix,
                                        std::size_t limit, bool descending = false);
  checked<std::vector<value_map>> range(const table& of, const key_range& wanted,
                                        std::size_t limit);
  /// Rows whose values in the `index`-th index begin with `prefix`, in index order.
  checked<std::vector<value_map>> find(std::string_view table, std::uint8_t index,
                                       const value_list& prefix, std::size_t limit,
                                       bool descending = false);
  /// The row as held, with the place of its last change.
  checked<held_row> held(const table& of, const bytes& key);
  /// A row that is looked at in place, and may be written without another look. Good until
  /// anything else writes to the row.
  struct opened_row {
    const table* of;
    bytes key;
    held_row before;
    overlay::spot at;

    bool exists() const { return before.row.has_value(); }
    /// Without fields if there is none.
    row_view row() const { return before.row ? row_view(*before.row) : row_view(); }
  };
  /// Refusals as of `get`.
  checked<opened_row> open(std::string_view table, std::initializer_list<given_value> key);

  // --- writes. Checked: declaration, unique, references, check, guards, limits.
  /// Merges `row` over what is there, as a native store does; that it changes nothing is no
  /// refusal.
  checked<void> put(std::string_view table, const value_map& row);
  /// As above; false if the row already was exactly this.
  checked<bool> put(const table& to, const value_map& row);
  /// As above, over what was opened; `row` names the same key, and its fields in order.
  checked<bool> put(opened_row at, given_row row);
  checked<bool> put(opened_row at, std::initializer_list<given_field> row) {
    return put(std::move(at), given_row(row.begin(), row.size()));
  }
  /// Refusals: not_found, referenced …
  checked<void> remove(std::string_view table, std::span<const value> key);
  checked<void> remove(const table& from, std::span<const value> key);
  checked<void> remove(std::string_view table, std::initializer_list<value> key) {
    return remove(table, std::span(key.begin(), key.size()));
  }

  // --- contracts. What is in force changes with the tables, and is taken back with them.
  /// Puts this version in force, from the next action on: its rows are taken over, its
  /// migration runs with `author` as the one who asks, and every row must follow the new
  /// declaration. Nothing; or why this version cannot be: then nothing has changed. Its work is
  /// paid for beside the operation's gas (activation_gas). Refusal: block_full.
  checked<std::optional<activation_refusal>> activate(std::string_view source,
                                                      const actor& author);
  /// For work that is nobody's operation: its activations may use no more than this.
  void limit_activation(std::uint64_t gas) { activation_limit_ = gas; }
  void set_frozen(std::string_view contract, bool frozen);
  /// What is in force now, if this operation has changed it; else null.
  contract_set_ptr new_rules() const { return sets_.empty() ? nullptr : sets_.back(); }

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
    std::uint64_t gas = 0;
    std::size_t sets = 0;
  };
  mark_t mark() const;
  void rewind(const mark_t& to);
  /// As if nothing had been tried since: the gas comes back too.
  void forget(const mark_t& to);
  void rewind() { rewind(start_); }

  /// What goes into the receipt.
  std::uint32_t changes() const;
  const effect_counts& effects() const { return effects_; }
  std::vector<event> take_events() { return std::move(events_); }

private:
  checked<opened_row> opened(const table& of, bytes key);
  checked<void> pay_for(const held_row& found);
  checked<const table*> table_named(std::string_view full_name) const;
  overlay::skip_visitor paying_for_skipped(checked<void>& paid);
  checked<std::vector<value_map>> read_rows(const table& of, std::vector<bytes> keys);
  checked<void> may_change(const table& of, const bytes& key);
  checked<void> check_unique(const table& of, const bytes& key, const row_view& row);
  checked<void> check_references(const table& of, const row_view& row);
  checked<void> check_referrers(const table& of, const row_view& row);
  checked<void> check_by_code(const table& of, bytes_view row);
  checked<void> write(const table& of, bytes key, held_row before,
                      std::optional<shared_bytes> after, std::span<index_change> indexes,
                      const overlay::spot& at = {});

  // activation.cpp
  void forget_sets(std::size_t down_to);
  using fault = std::optional<activation_refusal>;
  using row_visit = std::function<fault(const bytes& key, const held_row& held)>;
  fault take_over(contract_entry next, const actor& author);
  fault migrate(const contract_entry& to, const actor& author);
  fault check_removed(const contract& before, const contract& after);
  fault index_anew(const table& before, const table& after);
  fault fit_rows(const table& of);
  fault check_rows(const table& of);
  fault each_row(const table& of, const row_visit& visit);
  checked<void> rewrite(const table& of, const bytes& key, held_row before, shared_bytes after,
                        std::vector<index_change> moved);

  const contract_set& rules_; ///< in force as the operation began
  std::vector<contract_set_ptr>
      sets_; ///< later ones; those before the last may still be in use
  overlay& over_;
  const table_source& below_;
  call_facts facts_;
  code_runner* runner_ = nullptr;
  std::uint64_t gas_used_ = 0, gas_limit_, activation_limit_ = activation_gas;
  effect_counts effects_;
  std::vector<event> events_;
  std::size_t event_bytes_ = 0;
  mark_t start_;
};

} // namespace tallymesh::contracts
