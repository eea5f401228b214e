// Tables in memory, for tests and for `tally contract test`: takes in what a block changed, as
// the ledger does. One thread.
#pragma once

#include "contracts/by_name.hpp"
#include "contracts/table_source.hpp"

#include <map>
#include <span>

namespace tallymesh::contracts {

class memory_source : public table_source {
public:
  /// `height` is that of the block whose changes these are, all of them.
  void apply(block_height height, std::span<const change> changes,
             std::span<const index_change> indexes);

  held_row row(std::string_view table, bytes_view key) const override;
  void rows(std::string_view table, const key_range& wanted,
            const row_visitor& visit) const override;
  void entries(std::string_view table, std::uint8_t index, const key_range& wanted,
               const entry_visitor& visit) const override;

  /// Of keys, rows and entries, with what it takes to hold them.
  std::size_t size_bytes() const { return size_bytes_; }

  using rows_by_key = std::map<bytes, held_row, bytes_less>;
  const by_name<rows_by_key>& tables() const { return tables_; }

private:
  by_name<rows_by_key> tables_;
  using entries_in_order = std::map<entry_place, bytes>; // to the index key
  std::map<std::pair<std::string, std::uint8_t>, entries_in_order> indexes_;
  std::size_t size_bytes_ = 0;
};

} // namespace tallymesh::contracts
