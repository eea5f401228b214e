#include "tests/faults/real/ledgers.hpp"

#include "tools/tally/mesh.hpp"

#include <thread>

namespace tallymesh::faults {

namespace {

result<void> read_blocks(tally::http_client& over, ledger_copy& into) {
  for (std::uint64_t from = 1;;) {
    const auto page =
        tally::get_json(over, "/v1/blocks?limit=100&from=" + std::to_string(from));
    if (!page) return page.error();
    for (const auto& each : tally::list_at(*page, "blocks"))
      into.blocks.push_back(
          {static_cast<std::uint64_t>(tally::number_at(each, "height")),
           tally::text_at(each, "digest") + " " + tally::text_at(each, "execution"),
           {}});
    const auto next = static_cast<std::uint64_t>(tally::number_at(*page, "next"));
    if (next <= from) return {};
    from = next;
  }
}

/// Who changed the row, and in which blocks.
result<void> read_changes(tally::http_client& over, const std::string& key, ledger_copy& into) {
  const auto path = "/v1/tables/faults.entries/rows/" + tally::url_encoded(key) + "/history";
  const auto page = tally::get_json(over, path);
  if (!page) return page.error();
  for (const auto& each : tally::list_at(*page, "changes")) {
    const auto height = static_cast<std::uint64_t>(tally::number_at(each, "height"));
    if (height == 0 || height > into.blocks.size())
      return make_error(errc::malformed, "row " + key + " was changed at height "
                                             + std::to_string(height)
                                             + ", which the node does not show");
    into.blocks[height - 1].operations.push_back(tally::text_at(each, "operation"));
  }
  return {};
}

result<void> read_rows(tally::http_client& over, ledger_copy& into) {
  for (std::string after;;) {
    const auto page = tally::get_json(over, "/v1/tables/faults.entries/rows?limit=100"
                                                + (after.empty() ? "" : "&after=" + after));
    if (!page) return page.error();
    for (const auto& each : tally::list_at(*page, "rows")) {
      const auto& key = tally::list_at(each, "key");
      if (key.empty() || !key[0].is_string())
        return make_error(errc::malformed, "a row without a key");
      if (auto done = read_changes(over, std::string(key[0].as_string()), into); !done)
        return done;
    }
    after = tally::text_at(*page, "next");
    if (after.empty()) return {};
    after = tally::url_encoded(after);
  }
}

result<ledger_copy> read_one(const node_gateway& whose) {
  tally::http_client over(whose.at);
  ledger_copy made;
  made.node = whose.node;
  if (auto done = read_blocks(over, made); !done) return done.error();
  if (auto done = read_rows(over, made); !done) return done.error();
  return made;
}

} // namespace

result<std::vector<ledger_copy>> read_ledgers(const std::vector<node_gateway>& gateways) {
  std::vector<result<ledger_copy>> read(gateways.size(),
                                        make_error(errc::unavailable, "not asked"));
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < gateways.size(); ++i)
    workers.emplace_back([&, i] { read[i] = read_one(gateways[i]); });
  for (auto& each : workers)
    each.join();
  std::vector<ledger_copy> made;
  for (auto& each : read) {
    if (!each) return each.error();
    made.push_back(std::move(*each));
  }
  return made;
}

} // namespace tallymesh::faults
