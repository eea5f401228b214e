// Operations and single values out of JSON, typed by the contract: a JSON string becomes the
// field's int64, decimal, bool or bytes. Numbers are integers only, so that no value is rounded
// on its way. Nesting and size are bounded before anything is built. An `operation_reader`
// keeps its scratch memory from line to line and belongs to one thread at a time.
#pragma once

#include "contracts/contract.hpp"
#include "messages/operation.hpp"
#include "messages/receipt.hpp"

#include <memory>

namespace tallymesh::gateway {

/// Why a request, or a line of one, was not done: for a problem document or an NDJSON line.
struct refusal {
  unsigned status = 400;
  std::string_view code; ///< an errc's or an outcome's name
  std::string detail;
};

/// An account of this node, as genesis and the node's tokens know it.
struct account {
  std::string name;
  std::optional<public_key> signs_with;
};

/// In whose name, when and under which contracts operations are read.
struct reading_rules {
  const std::vector<contracts::contract>& contracts;
  const account& author;
  std::string_view node;
  contracts::tier tier{};
  digest chain;
  std::int64_t now_ms = 0;
};

constexpr std::int64_t default_validity_ms = 3'600'000;
constexpr std::int64_t longest_validity_ms = 86'400'000;

class operation_reader {
public:
  explicit operation_reader(const reading_rules& rules);
  ~operation_reader();

  /// Reads one operation object and makes all checks that need no table: form, names, types,
  /// rights, size. Nothing when it is good. `id_given` says whether `out.id` is the client's
  /// own; without one, a good operation gets a new one.
  std::optional<refusal> read(std::string_view text, operation& out, bool& id_given);

private:
  struct scratch;
  reading_rules rules_;
  std::unique_ptr<scratch> scratch_;
};

/// Six bytes of time, so that new ids lie together in the index, then ten random ones.
operation_id make_operation_id(std::int64_t now_ms);

refusal refuse_as(outcome code, std::string detail);
refusal refuse_as(errc code, std::string detail);

} // namespace tallymesh::gateway
