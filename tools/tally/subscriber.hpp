// A subscriber of a node's inbox: asks for deliveries page by page, writes down those that it
// has not, and acknowledges exactly what is written down. Whatever ends it between any two of
// these steps, the next one loses nothing and writes nothing twice. Used by `tally take`; one
// thread.
#pragma once

#include "tools/tally/http_client.hpp"
#include "tools/tally/inbox_file.hpp"
#include "tools/tally/mesh.hpp"

#include <chrono>

namespace tallymesh::tally {

struct subscription {
  std::string table; ///< empty: of any
  std::string file;  ///< empty: to standard output
  bool follow = false;
  std::chrono::seconds give_up{120}; ///< for a node that does not answer
};

class subscriber {
public:
  subscriber(subscription what, http_target target);

  /// Until nothing is left to be taken, or with `follow` until an error. Errors: those of
  /// get_json and inbox_file; forbidden if an acknowledgement is refused.
  result<void> run();

private:
  struct page {
    std::vector<inbox_file::delivery> deliveries;
    std::int64_t next = 0;
  };
  result<void> identify();
  result<void> keep(const std::vector<inbox_file::delivery>& all);
  result<void> acknowledge(const std::vector<inbox_file::delivery>& all);
  std::string path() const;
  result<page> next_page();
  result<json::value> ask(const std::string& path, const std::string& body = {});

  subscription what_;
  http_client client_;
  std::string inbox_; ///< "coop of 5f2c…": node and mesh
  std::optional<inbox_file> file_;
  std::optional<std::int64_t> after_; ///< none: from the oldest that is still to be taken
};

} // namespace tallymesh::tally
