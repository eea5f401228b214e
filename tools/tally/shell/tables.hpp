// Whether a record differs between nodes that are at different heights and go on meanwhile, or
// is only newer at one of them: a record carries the height of its last change, and a page of
// records the heights between which it was read. Pure. Any thread.
#pragma once

#include "tools/tally/shell/why.hpp"

#include <map>

namespace tallymesh::tally {

/// A part of one node's table, from the key that all nodes were asked for on.
struct table_page {
  struct row {
    bytes digest;
    std::int64_t height = 0; ///< of its last change
  };
  std::string node;
  std::int64_t before = 0, after = 0; ///< the node's heights around the reading
  std::map<bytes, row> rows;
  bytes last;         ///< the greatest key
  bool whole = false; ///< the table ends here
};

/// `limit`: how many records were asked for. Nothing if the node contradicts itself.
std::optional<table_page> read_page(const std::string& node, const value_map& answer,
                                    std::int64_t limit);

/// Up to which key all pages speak; nothing: all are whole.
std::optional<bytes> common_end(const std::vector<table_page>& pages);

/// The first record that no order of reading explains.
std::optional<table_difference> first_difference(const std::string& table,
                                                 const std::vector<table_page>& pages);

} // namespace tallymesh::tally
