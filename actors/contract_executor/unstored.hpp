// What was executed and is not in the ledger yet: the rows and operation ids that later blocks
// must see. Owned by the executor's actor; one thread.
#pragma once

#include "actors/contract_executor/machine.hpp"

#include <deque>
#include <set>
#include <unordered_map>

namespace tallymesh::contract_executor {

class unstored {
public:
  void add(const execution& x) {
    auto& last = blocks_.emplace_back();
    last.height = x.height;
    for (const auto& each : x.receipts) {
      ids_.emplace(each.lane, each.id);
      last.ids.emplace_back(each.lane, each.id);
    }
    for (std::uint32_t i = 0; i < x.changes.size(); ++i) {
      const auto& each = x.changes[i];
      auto name = name_of(each.table, each.key);
      last.size_bytes += name.size() + (each.after ? each.after->size() : 0);
      rows_[name] = {{each.after, {x.height, i}}, x.height};
      last.rows.push_back(std::move(name));
    }
    size_bytes_ += last.size_bytes;
  }

  void stored(block_height through) {
    for (; !blocks_.empty() && blocks_.front().height <= through; blocks_.pop_front()) {
      auto& first = blocks_.front();
      for (const auto& id : first.ids)
        ids_.erase(id);
      for (const auto& name : first.rows)
        if (const auto at = rows_.find(name);
            at != rows_.end() && at->second.height == first.height)
          rows_.erase(at); // a later block's version stays
      size_bytes_ -= first.size_bytes;
    }
  }

  const held_row* row(std::string_view table, bytes_view key) const {
    const auto at = rows_.find(name_of(table, key));
    return at == rows_.end() ? nullptr : &at->second.row;
  }
  bool executed(node_index lane, const operation_id& id) const {
    return ids_.contains({lane, id});
  }
  std::size_t blocks() const { return blocks_.size(); }
  std::size_t size_bytes() const { return size_bytes_; }

private:
  struct entry {
    block_height height = 0;
    std::vector<std::string> rows;
    std::vector<std::pair<node_index, operation_id>> ids;
    std::size_t size_bytes = 0;
  };
  struct versioned_row {
    held_row row;
    block_height height = 0;
  };
  static std::string name_of(std::string_view table, bytes_view key) {
    std::string name(table);
    name += '\0';
    name += as_text(key);
    return name;
  }

  std::deque<entry> blocks_;
  std::unordered_map<std::string, versioned_row> rows_;
  std::set<std::pair<node_index, operation_id>> ids_;
  std::size_t size_bytes_ = 0;
};

} // namespace tallymesh::contract_executor
