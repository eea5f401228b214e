// A contract as the mesh holds it: what tables there are, what a row may hold, and who may
// read, store and delete. `parse` makes it from a contract file (README.md); nothing else does.
// Value types, immutable once parsed; any thread.
#pragma once

#include "messages/digest.hpp"
#include "messages/limits.hpp"
#include "messages/result.hpp"
#include "messages/value.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tallymesh::contracts {

enum class field_kind : std::uint8_t { text, int64, decimal, boolean, bytes, one_of };

struct field {
  std::string name;
  field_kind kind{};
  bool optional = false;
  std::uint8_t scale = 0; ///< of a decimal
  /// int64: the value; decimal: in units of its scale; text: characters; bytes: bytes.
  std::int64_t min = 0, max = 0;
  std::vector<std::string> choices; ///< of a one_of, in the file's order

  /// As the contract file says it: "text{max=32}", "optional(decimal{scale=2})".
  std::string type_text() const;
};

enum class tier : std::uint8_t { level1, level2, level3, service };
std::string_view to_string(tier x);
/// Nothing unless `name` is one of level1, level2, level3, service.
std::optional<tier> tier_named(std::string_view name);

/// Someone to whom a right is given.
struct grantee {
  enum class kind : std::uint8_t { anyone, tier, node, account, author, contract };
  kind what{};          ///< author: the account whose operation created the row; only to read
  contracts::tier at{}; ///< of kind tier
  std::string name;     ///< of kind node: "hq"; of kind account: "importer@hq"
};

/// Whoever asks: an account of a node; or a contract that acts on that account's behalf, which
/// has the rights given to the contract or to anyone, and none of the account's.
struct actor {
  std::string_view account; ///< without the node: "importer"
  std::string_view node;
  contracts::tier at{};
  std::string_view contract = {}; ///< empty: the account itself asks
};

using field_number = std::uint16_t; ///< a place in table::fields
using field_numbers = std::vector<field_number>;

/// Values of a row that name a row of another table, which must be there and cannot go.
struct reference {
  field_numbers fields;   ///< in the order of the other table's key
  std::string table;      ///< the other's full name
  std::uint8_t index = 0; ///< of this table, over exactly `fields`: finds who refers to a row
};

struct table {
  std::string name;
  std::string full_name;     ///< "contract.table", as in change::table
  std::vector<field> fields; ///< ascending by name
  field_numbers key;         ///< in the declared order
  std::vector<field_numbers> indexes;
  /// Indexes whose values no two rows share. A row without one of the values is not bound, nor
  /// is one by a reference.
  std::vector<std::uint8_t> unique;
  std::vector<reference> references;
  bool has_check = false; ///< a function of the contract judges each row that is to be stored
  bool has_wide_index = false; ///< a row's values may make an index key that is too long
  bool settles = false; ///< entries of money may be about its rows, which are then closed
  std::vector<grantee> readers, storers, deleters, erasers; ///< empty: no one
  std::vector<grantee> distributors; ///< who may call the native `distribute`
  /// Fields that only these may read, of those who may read the row; ascending by field.
  std::vector<std::pair<field_number, std::vector<grantee>>> hidden;

  const field* find_field(std::string_view wanted) const;
};

/// What an account may call beside the native store, delete, erase and distribute. A program
/// (program.hpp) runs it.
struct action {
  std::string name;
  std::string doc;           ///< one line for people; may be empty
  std::vector<grantee> may;  ///< empty: no one
  std::vector<field> params; ///< ascending by name
};

struct contract {
  std::string name;
  std::uint32_t version = 0;
  bool author_signs = false;
  std::vector<table> tables;      ///< ascending by name
  std::vector<action> actions;    ///< ascending by name
  bool has_migrate = false;       ///< runs once, when this version becomes active
  std::vector<std::string> tests; ///< sentences, ascending
  digest source; ///< of the file's bytes, so that anyone can check which one is active

  const table* find_table(std::string_view wanted) const;
  const action* find_action(std::string_view wanted) const;
  /// Whether anything of it has to be run: actions, checks, a migration or tests.
  bool has_code() const;
};

bool may_read(const table& x, const actor& who);
bool may_store(const table& x, const actor& who);
bool may_delete(const table& x, const actor& who);
bool may_distribute(const table& x, const actor& who);
bool may_erase(const table& x, const actor& who);
bool may_call(const action& x, const actor& who);
/// Without regard to who created the row: a grantee "author" covers nobody here.
bool covered(const std::vector<grantee>& list, const actor& who);
/// Whether the row's author may read it as such, and what may be hidden from whom but him.
bool author_may_read(const table& x);
/// A field that `who` may not see; `is_author`: the row is his own.
bool is_hidden(const table& x, field_number field, const actor& who, bool is_author);
/// Takes what is hidden away.
void hide_fields(const table& x, value_map& row, const actor& who, bool is_author);
/// As above by names; false if the contract has no such table.
bool may_read(const contract& x, std::string_view table_name, const actor& who);

/// Of a contract's file: no more fits into the operation that proposes it, and what cannot be
/// proposed could never be changed again.
constexpr std::size_t max_source_bytes = 192 * 1024;

/// What a contract file may use. The defaults are the mesh's: every node must come to one
/// verdict.
struct parse_limits {
  std::size_t source_bytes = max_source_bytes;
  std::size_t memory_bytes = 16 * 1024 * 1024; ///< held at once
  std::size_t churn_bytes = 256 * 1024 * 1024; ///< allocated in all, freed or not
  std::size_t piece_bytes = 64 * 1024;         ///< one string or table, while the file runs
  std::size_t jump_words = 10'000;             ///< and, or, elseif, goto, break; prose included
  std::uint64_t steps = 200'000;               ///< instructions
};

struct parse_options {
  /// Whether the file may have a name that is kept for the contracts built into the program:
  /// mesh, settlement, distribution, erasure.
  bool builtin = false;
};

constexpr std::size_t max_tables = 64;
constexpr std::size_t max_fields = 256;
constexpr std::size_t max_indexes = 8;
constexpr std::size_t max_key_fields = 8;
constexpr std::size_t max_choices = 256;
constexpr std::size_t max_choices_in_all =
    16 * 1024; ///< of a contract's one_of fields together
constexpr std::size_t max_grantees = 256;
constexpr std::size_t max_actions = 128;
constexpr std::size_t max_tests = 256;
constexpr std::size_t max_doc_bytes = 256; ///< of an action's line and a test's sentence

/// Runs the file in a closed Lua state and checks everything it declares. `file_name` is only
/// for messages. Errors: bad_config, too_large; the context begins with file and line, or file
/// and the path of the field, and says what to write instead.
result<contract> parse(std::string_view source, std::string_view file_name,
                       const parse_limits& limits = {}, const parse_options& options = {});

} // namespace tallymesh::contracts
